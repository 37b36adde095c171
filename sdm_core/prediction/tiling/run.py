"""All tiles: in this process, on workers beside it, or on a cluster."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sdm_core.errors import FlorascopeError
from sdm_core.prediction.tiles import TileStore
from sdm_core.prediction.tiling.protocol import PredictorSpec
from sdm_core.prediction.tiling.work import TileResult, tile_one, try_tile

logger = logging.getLogger(__name__)


class TilingError(FlorascopeError):
    """Tiling cannot start or go on."""


@dataclass
class Progress:
    """How far tiling is. Counts are of this run, but for `n_done_before`."""

    n_tiles: int
    n_done_before: int
    #: About how many cells the tiles of this run hold, 0 where nobody has estimated it.
    expected_cells: float = 0.0
    n_done: int = 0
    n_computed: int = 0
    n_cells: int = 0
    peak_bytes: int = 0
    started: float = field(default_factory=time.perf_counter)
    #: When the first tile was there, and its cells: before it, processes start and covariates are read.
    first: tuple[float, int] | None = None

    def add(self, result: TileResult) -> None:
        """Count a tile."""
        if self.first is None and result.computed:
            self.first = (time.perf_counter(), result.n_cells)
        self.n_done += 1
        self.n_computed += result.computed
        self.n_cells += result.n_cells if result.computed else 0
        self.peak_bytes = max(self.peak_bytes, result.peak_bytes)

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.started

    @property
    def cells_per_second(self) -> float:
        """Cells predicted in a second, of all workers together."""
        return self.n_cells / max(self.seconds, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """About how long it will still take, by the tiles after the first; None before there are any."""
        if self.first is None or self.n_done < 2:
            return None
        seconds = time.perf_counter() - self.first[0]
        cells = self.n_cells - self.first[1]
        if self.expected_cells and cells:
            return max(0.0, self.expected_cells - self.n_cells) * seconds / cells
        return seconds / (self.n_done - 1) * (self.n_tiles - self.n_done_before - self.n_done)


OnProgress = Callable[[Progress], None]


def run_tiling(
    spec: PredictorSpec,
    store: TileStore,
    *,
    tiles: Sequence[int] | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
    expected_cells: float = 0.0,
    on_progress: OnProgress | None = None,
    wait_minutes: float = 10.0,
) -> Progress:
    """Predict and write every tile that is missing or damaged; gives what was done.

    Args:
        spec: the model; its cells and its store's grid must be of the same inputs.
        store: where tiles go; those already there are read and compared with their checksums first.
        tiles: these only.
        scheduler: address of a running Dask scheduler, such as tcp://host:8786.
        workers: so many processes on this machine, one thread each; without either, this process works.
        expected_cells: about how many cells are to come, for the time left.
        on_progress: called after every tile.
        wait_minutes: how long to wait for a scheduler or workers that have gone.

    Raises:
        TilingError: when the cluster does not answer, or a tile cannot be predicted.
        FlorascopeError: what the model, its covariates or the store raise; tiles that are done stay done.
    """
    wanted = np.asarray(store.grid.tiles if tiles is None else sorted(tiles), dtype=np.uint64)
    missing = missing_tiles(store, wanted)
    progress = Progress(len(wanted), len(wanted) - len(missing), expected_cells)
    if on_progress is not None:
        on_progress(progress)
    for result in _results(spec, store, missing.tolist(), scheduler, workers, wait_minutes):
        progress.add(result)
        if on_progress is not None:
            on_progress(progress)
    return progress


def missing_tiles(store: TileStore, wanted: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Tiles that are not there, and those without their checksum, which are removed."""
    finished = np.intersect1d(store.finished(), wanted)
    damaged = store.damaged(finished.tolist())
    for tile in damaged.tolist():
        logger.info("tile %x of %s will be predicted again", tile, store.address)
        store.remove_tile(tile)
    return np.setdiff1d(wanted, np.setdiff1d(finished, damaged))


def _results(
    spec: PredictorSpec,
    store: TileStore,
    tiles: list[int],
    scheduler: str | None,
    workers: int | None,
    wait_minutes: float,
) -> Iterator[TileResult]:
    """Results of the tiles as they come."""
    if not tiles:
        return
    if scheduler is None and workers is None:
        busy = []
        for tile in tiles:
            result = try_tile(spec, store, tile)
            if result is None:
                busy.append(tile)  # another process is at it: go on with the next, and look again at the end
            else:
                yield result
        for tile in busy:
            yield tile_one(spec, store, tile)
        return
    from sdm_core.prediction.tiling.cluster import ClusterRun

    yield from ClusterRun(spec, store, scheduler, workers, wait_minutes).results(tiles)
