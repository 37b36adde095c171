"""Speed of the prediction store: totals of a region, and the map of a species."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdm_core import registry
from sdm_core.benchmarks.store_peers import LongTable, RegionCase, RegionNumbers, ZarrRows, same_numbers
from sdm_core.benchmarks.synthetic import circles, synthetic_store
from sdm_core.benchmarks.timing import Comparison, Timing, UnequalResultsError, compare
from sdm_core.errors import ConfigurationError
from sdm_core.prediction import PredictionStore, decode

SYNTHETIC_CELLS, SYNTHETIC_SPECIES = 100_000, 5_000
LARGE_CELLS, LARGE_SPECIES = 1_000_000, 10_000
#: Claims against duckdb: on stores of more than so many codes, and on smaller ones.
_LARGE, _GOAL_AGAINST_TABLE, _GOAL_OF_SMALL = 100_000_000, 100.0, 20.0
#: Longest accepted 95th percentile of a region at 100,000 cells × 5,000 species, milliseconds.
GOAL_P95_MS = 50.0
#: Longest accepted time for the map of a species of an atlas, milliseconds.
GOAL_MAP_MS = 30.0
_SHARES = (0.002, 0.02, 0.1, 0.3, 0.6)
_CIRCLES_PER_SHARE = 3
_WAIT_ROUNDS = 5
_SAME_NUMBERS = (
    "identical integers Σ hectares·code² and largest codes of every species; richness, Shannon, Simpson, γ "
    "and group area within 1e-9, on every region"
)
_SAME_MAP = "identical codes in every cell, for every species asked"
#: Bytes a store of the large size takes, with its copies and the Zarr peer.
_LARGE_BYTES = 45e9


@contextmanager
def _stores(which: str) -> Iterator[Iterator[tuple[str, PredictionStore, Path]]]:
    """A synthetic store, built into a temporary folder, or the shipped atlases, with a scratch folder."""
    with tempfile.TemporaryDirectory(prefix="florascope-benchmark-") as scratch:
        folder = Path(scratch)

        def each() -> Iterator[tuple[str, PredictionStore, Path]]:
            if which == "atlases":
                for name in registry.list_atlases():
                    yield name, registry.open_atlas(name).store, folder
                return
            n_cells, n_species = (
                (LARGE_CELLS, LARGE_SPECIES) if which == "large" else (SYNTHETIC_CELLS, SYNTHETIC_SPECIES)
            )
            label = f"synthetic {n_cells:,} cells × {n_species:,} species"
            yield label, synthetic_store(folder / "store", n_cells, n_species), folder

        yield each()


def store_queries(which: str, rounds: int = 2) -> Iterator[Comparison | Timing]:
    """All comparisons on a synthetic store ("synthetic", "large") or on the shipped "atlases".

    Region numbers against duckdb on the long table, Zarr, and gathering the dense rows; species maps against
    duckdb and against the column of the dense rows. Files are in the page cache for both. The large store is
    too much for the long table (7.5 billion rows), so it meets Zarr and the dense rows alone.
    Raises `ConfigurationError` where the large store has no room.
    """
    if which == "large":
        _check_room()
    with _stores(which) as stores:
        for label, store, folder in stores:
            yield from compare_store(label, store, folder, rounds, with_table=which != "large")


def _check_room() -> None:
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if free < _LARGE_BYTES:
        raise ConfigurationError(
            f"the large store takes {_LARGE_BYTES / 1e9:.0f} GB in {folder}, where {free / 1e9:.0f} GB are "
            "free; make room, or set TMPDIR to a larger disk"
        )


def compare_store(
    label: str, store: PredictionStore, folder: Path, rounds: int = 2, with_table: bool = True
) -> Iterator[Comparison | Timing]:
    """The comparisons of one store; the peers' files are written into `folder` and removed again."""
    rows = [RegionCase.of(store, cells) for cells in circles(store, _SHARES, _CIRCLES_PER_SHARE)]
    table = LongTable(store, folder / "long.parquet") if with_table else None
    yield from _compare_regions(label, store, table, ZarrRows(store, folder / "rows.zarr"), rows, rounds)
    shutil.rmtree(folder / "rows.zarr", ignore_errors=True)
    yield from _compare_maps(label, store, table, rounds)
    (folder / "long.parquet").unlink(missing_ok=True)


def _compare_regions(
    label: str,
    store: PredictionStore,
    table: LongTable | None,
    chunks: ZarrRows,
    cases: list[RegionCase],
    rounds: int,
) -> Iterator[Comparison | Timing]:
    is_large = store.n_cells * store.n_species > _LARGE
    size: dict[str, Any] = {"n_cells": store.n_cells, "n_species": store.n_species}
    size |= {"cases": "round regions of 0.2 to 60 % of the cells"}
    touched = [bytes_touched(store, case.rows) for case in cases]
    dense = [len(case.rows) * store.n_species for case in cases]
    size |= {"bytes_touched_median": int(np.median(touched)), "bytes_touched_max": max(touched)}

    def ours(case: RegionCase) -> RegionNumbers:
        return RegionNumbers.of(store.region_sums(case.rows))

    def gathered(case: RegionCase) -> RegionNumbers:
        return RegionNumbers.of(store.scan_sums(case.rows))

    peers: list[tuple[str, Callable[[RegionCase], RegionNumbers], float, dict[str, Any]]] = []
    if table is not None:
        text = "duckdb, long Parquet without zeros, sorted by cell"
        files = {"against": text, "peer_rows": table.n_rows, "peer_bytes": table.bytes}
        goal = _GOAL_AGAINST_TABLE if is_large else _GOAL_OF_SMALL
        peers.append(("duckdb", table.region_numbers, goal, files))
    text = f"Zarr v3 rows, {chunks.chunk_rows} a chunk, the library's own compression"
    peers.append(("zarr", chunks.region_numbers, 10.0, {"against": text, "peer_bytes": chunks.bytes}))
    text = "dense memory-mapped rows, gathered and summed in chunks"
    peers.append(("dense gather", gathered, 3.0, {"against": text, "peer_bytes_touched_max": max(dense)}))
    for name, peer, goal, details in peers:
        yield compare(
            f"region query, {label}, against {name}",
            cases,
            ours,
            peer,
            same_numbers,
            goal=goal,
            equal=_SAME_NUMBERS,
            rounds=rounds,
            details=size | details,
        )
    yield _region_waits(label, store, cases, ours, gathered, size)


def _region_waits(
    label: str,
    store: PredictionStore,
    cases: list[RegionCase],
    ours: Callable[[RegionCase], RegionNumbers],
    gathered: Callable[[RegionCase], RegionNumbers],
    details: dict[str, Any],
) -> Timing:
    """How long a user waits for a region: wall time, every region several times, in turn."""
    times = []
    for turn in range(_WAIT_ROUNDS):
        for case in cases:
            start = time.perf_counter()
            found = ours(case)
            times.append((time.perf_counter() - start) * 1000)
            if turn == 0 and not same_numbers(found, gathered(case)):
                raise UnequalResultsError(f"{label}: a region's numbers differ from those of its rows")
    return Timing(
        f"region query, {label}, wait", times, GOAL_P95_MS, _SAME_NUMBERS, {**details, "goal_is_for": "p95"}
    )


def bytes_touched(store: PredictionStore, rows: NDArray[np.int64]) -> int:
    """Bytes of the store's files that the totals of these rows are read from."""
    total = 0
    left = rows
    for level in sorted(store.meta["levels"]):
        starts = np.load(store.folder / f"level{level}_starts.npy", mmap_mode="r")
        parent = np.searchsorted(starts, left, side="right") - 1
        found, counts = np.unique(parent, return_counts=True)
        full = counts == np.diff(starts)[found]
        squares = np.load(store.folder / f"level{level}_squares.npy", mmap_mode="r")
        total += int(full.sum()) * store.n_species * (squares.dtype.itemsize + 1)
        left = left[~np.isin(parent, found[full])]
    return total + len(left) * store.n_species


def _compare_maps(
    label: str, store: PredictionStore, table: LongTable | None, rounds: int
) -> Iterator[Comparison | Timing]:
    size = {"n_cells": store.n_cells, "n_species": store.n_species, "cases": "species maps"}
    species = np.linspace(0, store.n_species - 1, 7).astype(int).tolist()

    def mapped(species_id: int) -> NDArray[np.uint8]:
        return np.array(store.species_map(species_id))

    def column(species_id: int) -> NDArray[np.uint8]:
        return np.ascontiguousarray(store.codes[:, species_id])

    if table is not None:
        yield compare(
            f"species map, {label}, against duckdb",
            species,
            mapped,
            table.species_map,
            np.array_equal,
            goal=100.0,
            equal=_SAME_MAP,
            rounds=rounds,
            details=size | {"against": "duckdb, long Parquet without zeros, sorted by cell"},
        )
    yield compare(
        f"species map, {label}, against dense column",
        species,
        mapped,
        column,
        np.array_equal,
        goal=5.0,
        equal=_SAME_MAP,
        rounds=rounds,
        details=size | {"against": "column of the dense memory-mapped rows"},
    )
    times = []
    for species_id in species * _WAIT_ROUNDS:
        start = time.perf_counter()
        probability = decode(store.species_map(species_id), np.float32)
        times.append((time.perf_counter() - start) * 1000)
        if not np.array_equal(probability[:100], store.probabilities(np.arange(100))[:, species_id]):
            raise UnequalResultsError(f"{label}: the map of species {species_id} differs from its rows")
    yield Timing(f"species map as probabilities, {label}, wait", times, GOAL_MAP_MS, _SAME_MAP, size)
