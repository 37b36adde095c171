"""How fast tiles are predicted: against the model's own forward pass, and with several processes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sdm_core.errors import NoDataInRegionError
from sdm_core.pipeline.predictor import ModelPredictor, ModelSpec
from sdm_core.prediction import TileStore
from sdm_core.prediction.forward import one_thread
from sdm_core.prediction.tiling import Progress, predictor_of, run_tiling

#: Cells that the forward pass is timed on, at least, where there are so many.
_FORWARD_CELLS = 100_000
#: How often it is timed; the best counts.
_REPEATS = 3


@dataclass(frozen=True)
class TilingSpeed:
    """One way to predict the same cells.

    cells_per_second counts from the first tile to the last by the wall clock, cells_per_cpu_second by the
    time the process worked (0 with workers), seconds the whole with starting processes. share is that of
    the forward pass, times the processes: by CPU time in one process, by the wall clock with workers.
    """

    name: str
    processes: int
    n_cells: int
    seconds: float
    cells_per_second: float
    cells_per_cpu_second: float
    share: float
    peak_bytes: int
    store_bytes: int
    equal: bool

    def sentence(self) -> str:
        """The result in words."""
        cpu = f" ({self.cells_per_cpu_second:,.0f} a CPU second)" if self.cells_per_cpu_second else ""
        parts = [
            f"{self.name}: {self.cells_per_second:,.0f} cells/s{cpu}, {100 * self.share:.0f} % of the bound"
        ]
        if self.store_bytes:
            same = "same bytes as one process" if self.equal else "OTHER BYTES than one process"
            parts.append(
                f"{self.n_cells:,} cells in {self.seconds:.1f} s with start; peak "
                f"{self.peak_bytes / 1e6:,.0f} MB a process; {self.store_bytes / 1e6:,.1f} MB; {same}"
            )
        return "; ".join(parts)


def run_tiling_speed(spec: ModelSpec, resolution: int, workers: Sequence[int]) -> Iterator[TilingSpeed]:
    """The forward pass alone, then tiling in this process, then with each number of worker processes.

    The forward pass is what tiling cannot be faster than: the same batches on one thread, their features
    ready in memory, codes thrown away.
    Raises `NoDataInRegionError` when there is no cell.
    """
    predictor = predictor_of(spec)
    assert isinstance(predictor, ModelPredictor)
    grid = predictor.grid(resolution)
    bound, cpu_bound, n_bound = _forward(predictor, grid.tiles, resolution)
    name = "forward pass, one thread"
    yield TilingSpeed(name, 1, n_bound, n_bound / bound, bound, cpu_bound, 1.0, 0, 0, True)
    reference: dict[int, str] = {}
    for number in (0, *workers):
        with tempfile.TemporaryDirectory(prefix="florascope-tiling-") as scratch:
            store = TileStore.create(Path(scratch) / "predictions.zarr", grid)
            worked = time.process_time()
            progress, rate = _timed(spec, store, number)
            cpu_rate = 0.0 if number else progress.n_cells / (time.process_time() - worked)
            digests = store.digests()
            reference = reference or digests
            yield TilingSpeed(
                f"tiling, {number} worker process{'es' if number > 1 else ''}"
                if number
                else "tiling, in process",
                max(number, 1),
                progress.n_cells,
                progress.seconds,
                rate,
                cpu_rate,
                rate / (bound * number) if number else cpu_rate / cpu_bound,
                progress.peak_bytes,
                sum(path.stat().st_size for path in Path(scratch).rglob("*") if path.is_file()),
                digests == reference,
            )


def _timed(spec: ModelSpec, store: TileStore, workers: int) -> tuple[Progress, float]:
    """A whole run, and its cells a second from the first tile to the last."""
    ended = time.perf_counter()

    def note(progress: Progress) -> None:
        nonlocal ended
        ended = time.perf_counter()

    progress = run_tiling(spec, store, workers=workers or None, on_progress=note)
    if progress.first is None or progress.n_cells == progress.first[1]:
        return progress, progress.cells_per_second
    return progress, (progress.n_cells - progress.first[1]) / max(ended - progress.first[0], 1e-9)


def _forward(predictor: ModelPredictor, tiles: np.ndarray, resolution: int) -> tuple[float, float, int]:
    """Cells a second of the forward pass alone, by the wall clock and of CPU time, and on how many."""
    order = np.argsort(-predictor.estimate(tiles, resolution), kind="stable")
    batches, n_cells = [], 0
    for number in order:
        batches += list(predictor.batches(int(tiles[number]), resolution))
        n_cells = sum(len(batch) for batch in batches)
        if n_cells >= _FORWARD_CELLS:
            break
    if not n_cells:
        raise NoDataInRegionError("There is no cell with covariates in the region; choose another one.")
    best, best_cpu = np.inf, np.inf
    with one_thread():
        predictor.codes(batches[0])
        for _ in range(_REPEATS):
            started, worked = time.perf_counter(), time.process_time()
            for batch in batches:
                predictor.codes(batch)
            best = min(best, time.perf_counter() - started)
            best_cpu = min(best_cpu, time.process_time() - worked)
    return n_cells / best, n_cells / best_cpu, n_cells
