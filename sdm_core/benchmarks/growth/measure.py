"""Stores of growing size: seconds to build, milliseconds to open and to ask, bytes on disk and in memory."""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from sdm_core.benchmarks.synthetic import circles, synthetic_store
from sdm_core.prediction import PredictionStore

#: (cells, species): one of the two grows while the other stays.
MORE_CELLS = ((10_000, 500), (30_000, 500), (100_000, 500), (300_000, 500), (1_000_000, 500))
MORE_SPECIES = ((30_000, 100), (30_000, 300), (30_000, 1_000), (30_000, 3_000), (30_000, 10_000))
#: Shares of the cells in the regions asked for.
SHARES = (0.002, 0.1, 0.5)
_REGIONS_PER_SHARE, _ROUNDS, _MAPS = 3, 5, 9
_MILLISECONDS = 1000.0


@dataclass(frozen=True)
class StoreCost:
    """What one store costs.

    build_s: seconds from codes in memory to a verified folder. bytes: of all files. open_ms: of a store that
    was checked before. opened_mb: resident memory that opening and the first region added. region_ms, map_ms:
    medians, files in the page cache, one thread; region_ms_<share> by share of the cells.
    """

    n_cells: int
    n_species: int
    build_s: float
    bytes: int
    open_ms: float
    opened_mb: float
    region_ms_small: float
    region_ms_tenth: float
    region_ms_half: float
    map_ms: float


def measure_stores(sizes: Sequence[tuple[int, int]]) -> Iterator[StoreCost]:
    """Build a synthetic store of each size in a temporary folder and ask it, one after the other."""
    for n_cells, n_species in sizes:
        with tempfile.TemporaryDirectory(prefix="florascope-growth-") as scratch:
            folder = Path(scratch) / "store"
            start = time.perf_counter()
            built = synthetic_store(folder, n_cells, n_species)
            build_s = time.perf_counter() - start
            regions = circles(built, SHARES, _REGIONS_PER_SHARE)
            del built
            gc.collect()
            yield _ask(folder, n_cells, n_species, build_s, regions)


def _ask(folder: Path, n_cells: int, n_species: int, build_s: float, regions: list[np.ndarray]) -> StoreCost:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        before = resident_bytes()
        open_ms, store = _timed(lambda: PredictionStore.open(folder))
        store.region_sums(store.rows_of(regions[0]))
        opened_mb = (resident_bytes() - before) / 1e6
        rows = [store.rows_of(cells) for cells in regions]
        by_share = [
            rows[first : first + _REGIONS_PER_SHARE] for first in range(0, len(rows), _REGIONS_PER_SHARE)
        ]
        small, tenth, half = (
            _median_ms([partial(store.region_sums, part) for part in group for _ in range(_ROUNDS)])
            for group in by_share
        )
        asked = np.linspace(0, n_species - 1, _MAPS).astype(int).tolist()
        map_ms = _median_ms([partial(_copy_map, store, species_id) for species_id in asked for _ in range(2)])
    n_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return StoreCost(n_cells, n_species, build_s, n_bytes, open_ms, opened_mb, small, tenth, half, map_ms)


def _copy_map(store: PredictionStore, species_id: int) -> np.ndarray:
    """The map of a species, read to its last byte."""
    return np.array(store.species_map(species_id))


def resident_bytes() -> int:
    """Memory of this process that lies in RAM and is its own: files mapped in do not count.

    Where the system does not tell them apart, all resident memory.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def as_table(costs: Sequence[StoreCost]) -> pd.DataFrame:
    """One row per store."""
    return pd.DataFrame([asdict(cost) for cost in costs])


def _timed(function: Callable[[], PredictionStore]) -> tuple[float, PredictionStore]:
    start = time.perf_counter()
    result = function()
    return (time.perf_counter() - start) * _MILLISECONDS, result


def _median_ms(calls: Sequence[Callable[[], object]]) -> float:
    """Median wall time after one untimed call."""
    calls[0]()
    times = []
    for call in calls:
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * _MILLISECONDS)
    return float(np.median(times))
