"""One tile: predicted and written once, whoever else asks for it at the same time."""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sdm_core.errors import CorruptStoreError, NotWritableError, StoreMismatchError
from sdm_core.prediction.tiles import MissingTileError, TileStore
from sdm_core.prediction.tiling.protocol import CellPredictor, PredictorSpec, predictor_of

LOCKS_FOLDER = ".locks"
_KIBIBYTE = 1024


class TileBusyError(Exception):
    """Another process of this machine works on the tile; never shown to a user."""


@dataclass(frozen=True)
class TileResult:
    """What became of a tile: its cells, whether they were predicted now, and what that took.

    peak_bytes is the largest memory the process has held so far.
    """

    tile: int
    n_cells: int
    computed: bool
    seconds: float
    peak_bytes: int


def tile_one(spec: PredictorSpec, store: TileStore, tile: int) -> TileResult:
    """Predict a tile and write it, unless it is there and whole; asking again is harmless.

    Processes on one machine that ask for the same tile of a store on disk wait for the first of them. At
    other addresses two of them may do the same work twice, and write the same. On the CPU one thread works,
    so that the content does not depend on how many processes there are.
    Raises subclasses of `FlorascopeError`: the model's, the covariates', `NotWritableError`, and
    `StoreMismatchError` where the store is of other inputs than the model at hand.
    """
    with tile_lock(store, tile):
        return _tile(spec, store, tile)


def try_tile(spec: PredictorSpec, store: TileStore, tile: int) -> TileResult | None:
    """As `tile_one`, but None at once where another process of this machine works on the tile."""
    try:
        with tile_lock(store, tile, wait=False):
            return _tile(spec, store, tile)
    except TileBusyError:
        return None


def _tile(spec: PredictorSpec, store: TileStore, tile: int) -> TileResult:
    """A tile whose lock is held."""
    started = time.perf_counter()
    n_cells = _whole(store, tile)
    computed = n_cells is None
    if n_cells is None:
        from sdm_core.prediction.forward import one_thread

        with one_thread():
            content = _predictor_for(spec, store).tile(tile, store.grid.resolution)
        store.write_tile(tile, content)
        n_cells = len(content.cells)
    return TileResult(tile, n_cells, computed, time.perf_counter() - started, peak_bytes())


@contextlib.contextmanager
def tile_lock(store: TileStore, tile: int, wait: bool = True) -> Iterator[None]:
    """Wait until no other process of this machine works on a tile of a store on disk; elsewhere at once.

    The system lets go of the lock when its process dies. Raises `NotWritableError`, and `TileBusyError` for a
    tile that another works on where there is no time to `wait`.
    """
    folder = store.folder.path
    if folder is None:
        yield
        return
    from filelock import FileLock, Timeout

    path = Path(folder) / LOCKS_FOLDER / f".{int(tile):x}.lock"
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=wait)
    except Timeout as error:
        raise TileBusyError(f"another process works on tile {int(tile):x}") from error
    except OSError as error:
        raise NotWritableError(
            f"{path.parent} cannot be written ({error.strerror or error}); free some space there or choose "
            "another place."
        ) from error
    try:
        yield
    finally:
        lock.release()


def peak_bytes() -> int:
    """Largest memory this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIBIBYTE


def _predictor_for(spec: PredictorSpec, store: TileStore) -> CellPredictor:
    """The predictor whose inputs are those of the store; loaded anew where the model has changed."""
    try:
        predictor_of(spec).check(store.grid.inputs)
    except StoreMismatchError:
        predictor_of.cache_clear()
        predictor_of(spec).check(store.grid.inputs)
    return predictor_of(spec)


def _whole(store: TileStore, tile: int) -> int | None:
    """Number of cells of a finished tile that reads back whole, else None."""
    try:
        return len(store.read_tile(tile).cells)
    except MissingTileError:
        return None
    except CorruptStoreError:
        store.remove_tile(tile)
        return None
