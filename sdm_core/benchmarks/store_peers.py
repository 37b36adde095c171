"""What the store is compared with: duckdb on a long Parquet table, and dense rows in Zarr."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdm_core.benchmarks.synthetic import write_long_parquet
from sdm_core.errors import ConfigurationError
from sdm_core.prediction import PredictionStore, RegionSums
from sdm_core.prediction.code import SQUARE_OF_MAX_CODE
from sdm_core.prediction.derive import weighted_square_sums
from sdm_core.prediction.store import HECTARES_PER_KM2

_SUMS_SQL = """
    WITH sums AS (
        SELECT species, sum(area_ha::BIGINT * code::BIGINT * code::BIGINT) AS squares, max(code) AS largest
        FROM predictions JOIN region USING (cell) GROUP BY species
    ), total AS (SELECT sum(squares)::DOUBLE AS all_squares FROM sums)
    SELECT species, squares, largest,
        (SELECT -sum(squares / all_squares * ln(squares / all_squares)) FROM sums, total) AS shannon,
        (SELECT 1 - sum((squares / all_squares) ** 2) FROM sums, total) AS simpson,
        (SELECT sum((largest / 255.0) ** 2) FROM sums) AS gamma,
        (SELECT sum(squares) FROM sums WHERE species % 10 = 0) AS group_squares
    FROM sums
"""
_MAP_SQL = "SELECT cell, code FROM predictions WHERE species = ?"


@dataclass(frozen=True)
class RegionNumbers:
    """What a region is asked for: totals of every species, and the indicators that follow from them.

    richness: Σ mean probability. shannon, simpson: of the shares of expected area. gamma: Σ largest
    probability. group_km2: expected area of the species of a group, here every tenth.
    """

    sums: RegionSums
    richness: float
    shannon: float
    simpson: float
    gamma: float
    group_km2: float

    @classmethod
    def of(cls, sums: RegionSums) -> RegionNumbers:
        """Numbers from totals."""
        from sdm_core import diversity

        area = sums.expected_area_km2
        return cls(
            sums,
            float(sums.mean_probability.sum()),
            float(diversity.shannon(area)),
            float(diversity.simpson(area)),
            float(sums.max_probability.sum()),
            float(area[::10].sum()),
        )


@dataclass(frozen=True)
class RegionCase:
    """A region ready for both: its rows in the store, and its cells and areas as an Arrow table."""

    rows: NDArray[np.int64]
    table: Any
    hectares: int

    @classmethod
    def of(cls, store: PredictionStore, cells: NDArray[np.uint64]) -> RegionCase:
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

    def region_numbers(self, region: RegionCase) -> RegionNumbers:
        """Totals and indicators of a region, both by SQL."""
        self.connection.register("region", region.table)
        found: dict[str, Any] = self.connection.execute(_SUMS_SQL).fetchnumpy()
        squares = np.zeros(self.store.n_species)
        largest = np.zeros(self.store.n_species, dtype=np.uint8)
        squares[found["species"]] = found["squares"].astype(np.float64)  # whole numbers below 2^53
        largest[found["species"]] = found["largest"]
        sums = RegionSums(len(region.rows), region.hectares, squares, largest)
        shannon, simpson, gamma, group = (
            float(found[name][0]) for name in ("shannon", "simpson", "gamma", "group_squares")
        )
        unit = SQUARE_OF_MAX_CODE * HECTARES_PER_KM2
        return RegionNumbers(sums, float(sums.mean_probability.sum()), shannon, simpson, gamma, group / unit)

    def species_map(self, species_id: int) -> NDArray[np.uint8]:
        """Codes of one species in every cell."""
        found: dict[str, Any] = self.connection.execute(_MAP_SQL, [species_id]).fetchnumpy()
        codes = np.zeros(self.store.n_cells, dtype=np.uint8)
        codes[self.store.rows_of(found["cell"])] = found["code"]
        return codes


class ZarrRows:
    """Another peer: the dense rows as a Zarr v3 array with the library's own defaults, 1,024 rows a chunk.

    What a user has who writes predictions with `zarr.create_array`; only chunks that hold a row are read.
    """

    chunk_rows = 1024

    def __init__(self, store: PredictionStore, path: Path):
        import zarr

        self.store = store
        self.array: Any = zarr.create_array(
            path, shape=store.codes.shape, chunks=(self.chunk_rows, store.n_species), dtype=np.uint8
        )
        for start in range(0, store.n_cells, self.chunk_rows):
            part = slice(start, start + self.chunk_rows)
            self.array[part] = store.codes[part]
        self.bytes = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())

    def region_numbers(self, region: RegionCase) -> RegionNumbers:
        """Totals by reading the chunks one after the other, indicators from them."""
        squares = np.zeros(self.store.n_species)
        largest = np.zeros(self.store.n_species, dtype=np.uint8)
        chunk_of = region.rows // self.chunk_rows
        for chunk in np.unique(chunk_of):
            rows = region.rows[chunk_of == chunk]
            start = int(chunk) * self.chunk_rows
            codes = np.asarray(self.array[start : start + self.chunk_rows])[rows - start]
            squares += weighted_square_sums(codes, self.store.area_ha[rows].astype(np.float64))
            np.maximum(largest, codes.max(axis=0), out=largest)
        return RegionNumbers.of(RegionSums(len(region.rows), region.hectares, squares, largest))


def same_numbers(ours: RegionNumbers, peer: RegionNumbers) -> bool:
    """Whether totals are the same integers, and indicators the same but for rounding."""
    indicators = ("richness", "shannon", "simpson", "gamma", "group_km2")
    return (
        ours.sums.hectares == peer.sums.hectares
        and np.array_equal(ours.sums.weighted_squares, peer.sums.weighted_squares)
        and np.array_equal(ours.sums.max_codes, peer.sums.max_codes)
        and np.allclose(
            [getattr(ours, name) for name in indicators],
            [getattr(peer, name) for name in indicators],
            rtol=1e-9,
        )
    )
