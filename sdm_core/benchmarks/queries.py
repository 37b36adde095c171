"""Speed of the prediction store: totals of a region, and the map of a species."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdm_core import registry
from sdm_core.benchmarks.synthetic import circles, synthetic_store, write_long_parquet
from sdm_core.benchmarks.timing import Comparison, compare
from sdm_core.errors import ConfigurationError
from sdm_core.prediction import PredictionStore, RegionSums

SYNTHETIC_CELLS, SYNTHETIC_SPECIES = 100_000, 3_700
#: Claims against duckdb: on stores of more than so many codes, and on smaller ones.
_LARGE, _GOAL_AGAINST_TABLE, _GOAL_OF_SMALL = 100_000_000, 100.0, 20.0
_SHARES = (0.002, 0.02, 0.1, 0.3, 0.6)
_CIRCLES_PER_SHARE = 3
_SAME_SUMS = "identical integers: Σ hectares·code² and largest code of every species, on every region"
_SAME_MAP = "identical codes in every cell, for every species asked"
_SUMS_SQL = """
    SELECT species, sum(area_ha::BIGINT * code::BIGINT * code::BIGINT) AS squares, max(code) AS largest
    FROM predictions JOIN region USING (cell) GROUP BY species
"""
_MAP_SQL = "SELECT cell, code FROM predictions WHERE species = ?"


@dataclass(frozen=True)
class _Region:
    """A region ready for both: its rows in the store, and its cells and areas as an Arrow table."""

    rows: NDArray[np.int64]
    table: Any
    hectares: int

    @classmethod
    def of(cls, store: PredictionStore, cells: NDArray[np.uint64]) -> _Region:
        """Region of some cells of a store."""
        import pyarrow as pa

        rows = store.rows_of(cells)
        area_ha = store.area_ha[rows]
        table = pa.table({"cell": cells, "area_ha": area_ha})
        return cls(rows, table, int(area_ha.sum(dtype=np.int64)))


class LongTable:
    """The peer: duckdb, one thread, on a long Parquet table (cell, species, code) without zero codes."""

    def __init__(self, store: PredictionStore, path: Path):
        try:
            import duckdb
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                "the speed benchmarks compare with duckdb, which is not installed; run `pip install duckdb`"
            ) from error

        self.store = store
        self.n_rows = write_long_parquet(store, path)
        self.bytes = path.stat().st_size
        self.connection = duckdb.connect(config={"threads": 1})
        self.connection.execute(f"CREATE VIEW predictions AS SELECT * FROM read_parquet('{path}')")

    def region_sums(self, region: _Region) -> RegionSums:
        """Totals of a region, as `PredictionStore.region_sums` gives them."""
        self.connection.register("region", region.table)
        found: dict[str, Any] = self.connection.execute(_SUMS_SQL).fetchnumpy()
        squares = np.zeros(self.store.n_species, dtype=np.int64)
        largest = np.zeros(self.store.n_species, dtype=np.uint8)
        squares[found["species"]] = found["squares"].astype(np.int64)
        largest[found["species"]] = found["largest"]
        return RegionSums(len(region.rows), region.hectares, squares, largest)

    def species_map(self, species_id: int) -> NDArray[np.uint8]:
        """Codes of one species in every cell."""
        found: dict[str, Any] = self.connection.execute(_MAP_SQL, [species_id]).fetchnumpy()
        codes = np.zeros(self.store.n_cells, dtype=np.uint8)
        codes[self.store.rows_of(found["cell"])] = found["code"]
        return codes


def _same_sums(ours: RegionSums, peer: RegionSums) -> bool:
    return (
        ours.hectares == peer.hectares
        and np.array_equal(ours.weighted_squares, peer.weighted_squares)
        and np.array_equal(ours.max_codes, peer.max_codes)
    )


@contextmanager
def _stores(which: str) -> Iterator[Iterator[tuple[str, PredictionStore, Path]]]:
    """The synthetic store, built into a temporary folder, or the shipped atlases, with a scratch folder."""
    with tempfile.TemporaryDirectory(prefix="florascope-benchmark-") as scratch:
        folder = Path(scratch)

        def each() -> Iterator[tuple[str, PredictionStore, Path]]:
            if which == "synthetic":
                yield (
                    f"synthetic {SYNTHETIC_CELLS:,} cells × {SYNTHETIC_SPECIES:,} species",
                    synthetic_store(folder / "store", SYNTHETIC_CELLS, SYNTHETIC_SPECIES),
                    folder,
                )
            else:
                for name in registry.list_atlases():
                    yield name, registry.open_atlas(name).store, folder

        yield each()


def _details(store: PredictionStore, table: LongTable | None = None) -> dict[str, Any]:
    details: dict[str, Any] = {"n_cells": store.n_cells, "n_species": store.n_species}
    if table is not None:
        details |= {"peer_rows": table.n_rows, "peer_bytes": table.bytes}
    return details


def store_queries(which: str, rounds: int = 2) -> list[Comparison]:
    """All comparisons on the synthetic store or on the shipped atlases.

    Region totals against duckdb on the long table and against gathering the dense rows; species maps
    against duckdb and against the column of the dense rows. Files are in the page cache for both.
    """
    found: list[Comparison] = []
    with _stores(which) as stores:
        for label, store, folder in stores:
            found += compare_store(label, store, folder / "long.parquet", rounds)
    return found


def compare_store(label: str, store: PredictionStore, table_path: Path, rounds: int = 2) -> list[Comparison]:
    """The four comparisons of one store; the long table is written to `table_path`."""
    table = LongTable(store, table_path)
    round_regions = [_Region.of(store, cells) for cells in circles(store, _SHARES, _CIRCLES_PER_SHARE)]
    species = np.linspace(0, store.n_species - 1, 7).astype(int).tolist()

    def summed(region: _Region) -> RegionSums:
        return store.region_sums(region.rows)

    def gathered(region: _Region) -> RegionSums:
        return store.scan_sums(region.rows)

    def mapped(species_id: int) -> NDArray[np.uint8]:
        return np.array(store.species_map(species_id))

    def column(species_id: int) -> NDArray[np.uint8]:
        return np.ascontiguousarray(store.codes[:, species_id])

    regions_text = "round regions of 0.2 to 60 % of the cells"
    against_table = {"cases": regions_text, "against": "duckdb, long Parquet without zeros, sorted by cell"}
    against_rows = {
        "cases": regions_text,
        "against": "dense memory-mapped rows, gathered and summed in chunks",
    }
    maps_table = {"cases": "species maps", "against": "duckdb, long Parquet without zeros, sorted by cell"}
    maps_rows = {"cases": "species maps", "against": "column of the dense memory-mapped rows"}
    with_table, plain = _details(store, table), _details(store)
    return [
        compare(
            f"region query, {label}, against duckdb",
            round_regions,
            summed,
            table.region_sums,
            _same_sums,
            goal=_GOAL_AGAINST_TABLE if store.n_cells * store.n_species > _LARGE else _GOAL_OF_SMALL,
            equal=_SAME_SUMS,
            rounds=rounds,
            details=with_table | against_table,
        ),
        compare(
            f"region query, {label}, against dense gather",
            round_regions,
            summed,
            gathered,
            _same_sums,
            goal=3.0,
            equal=_SAME_SUMS,
            rounds=rounds,
            details=plain | against_rows,
        ),
        compare(
            f"species map, {label}, against duckdb",
            species,
            mapped,
            table.species_map,
            np.array_equal,
            goal=100.0,
            equal=_SAME_MAP,
            rounds=rounds,
            details=with_table | maps_table,
        ),
        compare(
            f"species map, {label}, against dense column",
            species,
            mapped,
            column,
            np.array_equal,
            goal=5.0,
            equal=_SAME_MAP,
            rounds=rounds,
            details=plain | maps_rows,
        ),
    ]
