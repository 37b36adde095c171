"""What is in the cache already: the store of a region's finer cells, and the atlas it makes."""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from sdm_core.errors import CorruptStoreError, NoDataInRegionError
from sdm_core.on_demand import cache, plan
from sdm_core.prediction import TILES_FOLDER, PredictionStore, TileStore
from sdm_core.prediction.files import OBSERVED_FILE, OBSERVED_SPECIES_FILE
from sdm_core.prediction.hot import build_hot
from sdm_core.prediction.integrity import read_stamp

if TYPE_CHECKING:
    from sdm_core.regions import Region
    from sdm_core.registry import Atlas

logger = logging.getLogger(__name__)

_LOCK_TIMEOUT_S = 600.0
#: Seconds after which a store that is read again counts as used anew.
_TOUCH_AFTER_S = 60.0
#: Cells up to which a page makes the store of a region from finished tiles itself, in well under a second.
_QUICK_CELLS = 20_000


def fine_store(
    atlas: Atlas, region: Region, resolution: int, tiles: NDArray[np.uint64] | None = None
) -> PredictionStore | None:
    """The finer predictions of a region when they are in the cache, else None; predicts nothing.

    tiles: those of `tiles_of`, where the caller has them already. Raises what `tiles_of` raises.
    """
    if tiles is None:
        tiles, _ = plan.tiles_of(atlas, region, resolution)
    folder = cache.fine_folder(atlas, resolution)
    hot = cache.hot_folder(folder, tiles)
    try:
        if not (hot / cache.USED_FILE).exists():
            if len(tiles) * plan.CELLS_PER_TILE > _QUICK_CELLS:
                return None
            if not np.isin(tiles, cache.finished_tiles(folder)).all():
                return None
            return make_store(atlas, folder, TileStore.open(folder / TILES_FOLDER), tiles)
        if time.time() - (hot / cache.USED_FILE).stat().st_mtime > _TOUCH_AFTER_S:
            cache.touch(folder, tiles)
        store = PredictionStore.open(hot)
        if _changed(store):
            store.verify()
        return _of_atlas(atlas, store)
    except (CorruptStoreError, FileNotFoundError) as error:  # damaged, or evicted just now: predicted anew
        logger.warning("the finer predictions in %s cannot be read: %s", hot, error)
        cache.remove_folder(hot)
        return None


def _changed(store: PredictionStore) -> bool:
    """Whether a file of the store changed since it was last compared with its checksums."""
    stamp = read_stamp(store.folder)
    return any(stamp.get(name) != (store.folder / name).stat().st_mtime_ns for name in store.meta["files"])


def make_store(
    atlas: Atlas, folder: Path, tiles_store: TileStore, tiles: NDArray[np.uint64]
) -> PredictionStore:
    """The store of some tiles, all of them finished; made once, whoever asks.

    Raises `NoDataInRegionError` when they hold no cell, `CorruptStoreError` when one is damaged.
    """
    if not any(cache.holds_cells(folder, tile) for tile in tiles.tolist()):
        raise NoDataInRegionError(
            f"The model of {atlas.title} has no covariates in this region, so no finer cell could be "
            "predicted; choose a region on the land it covers."
        )
    hot = cache.hot_folder(folder, tiles)
    hot.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{hot.name}.lock", timeout=_LOCK_TIMEOUT_S):
        if not (hot / cache.USED_FILE).exists():
            densities = [atlas.store.folder / name for name in (OBSERVED_FILE, OBSERVED_SPECIES_FILE)]
            build_hot(hot, tiles_store, [path for path in densities if path.is_file()], tiles=tiles.tolist())
            (hot / cache.USED_FILE).touch()
    with contextlib.suppress(OSError):
        (folder / f"{hot.name}.lock").unlink()
    return _of_atlas(atlas, PredictionStore.open(hot))


def _of_atlas(atlas: Atlas, store: PredictionStore) -> PredictionStore:
    """The store, knowing the atlas it is a part of: percentiles compare with all of that."""
    store.whole = atlas.store
    return store


def fine_atlas(atlas: Atlas, store: PredictionStore) -> Atlas:
    """The atlas with finer cells: same name, species and card, other predictions."""
    return replace(atlas, store=store)


def with_fine_note(atlas: Atlas, region: Region, resolution: int) -> Region:
    """The region with the sentence that finer cells owe their reader, which every report then carries."""
    return replace(region, notes=(*region.notes, fine_note(atlas, resolution)))


def fine_note(atlas: Atlas, resolution: int) -> str:
    """What finer cells are and are not, in one sentence."""
    grain = str(atlas.card.get("grain") or "the squares the model learned from")
    return (
        f"Cells of about {plan.mean_cell_km2(resolution):.2g} km² are predicted on demand from the same "
        "covariates, interpolated: they follow borders more closely but show no detail the covariates do not "
        f"have, and a probability still stands for {grain}."
    )
