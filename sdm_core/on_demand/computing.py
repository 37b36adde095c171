"""Finer cells of a region, predicted: in a job, or in the foreground of the command line."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from sdm_core.errors import CorruptStoreError, StoreMismatchError
from sdm_core.on_demand import cache, plan, reading
from sdm_core.prediction import TILES_FOLDER, TileGrid, TileStore
from sdm_core.prediction.tiling import predictor_of, tile_one

if TYPE_CHECKING:
    from sdm_core.prediction import PredictionStore
    from sdm_core.prediction.tiling import PredictorSpec
    from sdm_core.regions import Region
    from sdm_core.registry import Atlas

logger = logging.getLogger(__name__)

#: Share of the work that predicting is; the rest is the store made of the tiles.
_PREDICTING = 0.92
_LOCK_TIMEOUT_S = 600.0

Progress = Callable[[float, str, float | None], None]


def compute_fine(
    atlas: Atlas,
    tiles: NDArray[np.uint64],
    resolution: int,
    on_progress: Progress,
    check_cancelled: Callable[[], None] = lambda: None,
) -> PredictionStore:
    """Predict those tiles that are not in the cache yet, and make the store of them all.

    tiles: of a region, as `tiles_of` gives them. A tile that another process predicts at the same time is
    waited for, not predicted twice. What was last used longest ago leaves the cache when it grows above
    `config.FINE_CACHE_BYTES`.

    on_progress: share done, what is being done, seconds left. check_cancelled: raises to stop; the tiles done
    so far stay. Raises `FineError` when it cannot be computed here, `CacheNotWritableError`, and what reading
    model and covariates raises.
    """
    plan.check_resolution(atlas, resolution)
    folder = cache.fine_folder(atlas, resolution)
    with cache.in_use(folder, tiles):
        predicted = _predict(atlas, tiles, resolution, on_progress, check_cancelled)
        check_cancelled()
        on_progress(_PREDICTING, "Putting the cells together", None)
        try:
            store = reading.make_store(atlas, folder, predicted, tiles)
        except CorruptStoreError as error:
            damaged = predicted.damaged(tiles.tolist())
            if not len(damaged):
                raise
            logger.warning("%s; predicting %d tiles again", error, len(damaged))
            for tile in damaged.tolist():
                predicted.remove_tile(tile)
            predicted = _predict(atlas, tiles, resolution, on_progress, check_cancelled)
            store = reading.make_store(atlas, folder, predicted, tiles)
        cache.touch(folder, tiles)
        cache.evict()
    return store


def finer_atlas(
    atlas: Atlas,
    region: Region,
    resolution: int,
    on_progress: Progress,
    check_cancelled: Callable[[], None] = lambda: None,
) -> tuple[Atlas, Region]:
    """Atlas and region for a report with finer cells, predicted here and now where they are not in the cache.

    Raises what `fine_plan` and `compute_fine` raise.
    """
    wanted = plan.fine_plan(atlas, region, resolution)
    store = reading.fine_store(atlas, region, resolution, wanted.tiles)
    if store is None:
        store = compute_fine(atlas, wanted.tiles, resolution, on_progress, check_cancelled)
    return reading.fine_atlas(atlas, store), reading.with_fine_note(atlas, region, resolution)


def _predict(
    atlas: Atlas,
    tiles: NDArray[np.uint64],
    resolution: int,
    on_progress: Progress,
    check_cancelled: Callable[[], None],
) -> TileStore:
    """The store of every tile of the atlas, these among the predicted ones."""
    started = time.monotonic()
    folder = cache.fine_folder(atlas, resolution)
    missing = tiles[~np.isin(tiles, cache.finished_tiles(folder))]
    if not len(missing):
        return TileStore.open(folder / TILES_FOLDER)
    if problem := plan.missing_inputs(atlas):
        raise plan.FineError(problem)
    expected = plan.expected_seconds(atlas, len(missing) * plan.CELLS_PER_TILE)
    on_progress(0.0, "Loading the model and its covariates", expected)
    spec = predictor_spec(atlas)
    store = _open_tiles(atlas, resolution, folder, spec)
    missing = tiles[~np.isin(tiles, store.finished())]
    start_s = time.monotonic() - started
    order = missing.tolist()
    # Two requests that overlap take their tiles in different orders, so that they rarely wait for each other.
    random.Random(tiles.tobytes()).shuffle(order)
    begun = time.monotonic()
    for number, tile in enumerate(order):
        check_cancelled()
        so_far = time.monotonic() - begun
        left = so_far / number * (len(order) - number) if number else expected
        on_progress(_PREDICTING * number / len(order), f"Predicting part {number + 1} of {len(order)}", left)
        tile_one(spec, store, tile)
    plan.note_speed(atlas, start_s, len(order) * store.grid.rows_per_tile, time.monotonic() - begun)
    return store


def predictor_spec(atlas: Atlas) -> PredictorSpec:
    """What predicts the cells of an atlas, the same bytes whoever does it."""
    from sdm_core.pipeline.predictor import ModelSpec

    return ModelSpec.of_folder(str(atlas.folder), device="cpu")


def _open_tiles(atlas: Atlas, resolution: int, folder: Path, spec: PredictorSpec) -> TileStore:
    """The store of all tiles at a resolution, made where there is none.

    One made from other covariates or by another version of the model is set aside and removed.
    """
    predictor: Any = predictor_of(spec)
    grid = TileGrid(
        name=atlas.name,
        title=atlas.title,
        resolution=resolution,
        tile_resolution=resolution - plan.TILE_STEPS,
        tiles=plan.grid_tiles(atlas, resolution),
        species=atlas.species,
        inputs={"atlas_version": atlas.store.version, **predictor.inputs},
        value_names=predictor.value_names,
    )
    group = folder / TILES_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "create.lock", timeout=_LOCK_TIMEOUT_S):
        try:
            store = TileStore.create(group, grid)
        except StoreMismatchError as error:
            logger.warning("%s; they are predicted anew", error)
            cache.remove_folder(group)
            cache.remove_folder(folder / cache.HOT_FOLDER)
            store = TileStore.create(group, grid)
    return store
