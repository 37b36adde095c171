"""Putting damaged stores right: hot copies from their source, tiles from a hot copy or from the model."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sdm_core.errors import CorruptStoreError, NotWritableError
from sdm_core.prediction.files import array_header, map_array
from sdm_core.prediction.hot import CODES, SPECIES_CODES, write_arrays
from sdm_core.prediction.integrity import write_stamp
from sdm_core.prediction.opening import AtlasFolder, hot_copies
from sdm_core.prediction.sources import HotSource
from sdm_core.prediction.store import PredictionStore
from sdm_core.prediction.tiles import Tile, TileStore
from sdm_core.writing import reason_of, write_whole

logger = logging.getLogger(__name__)

_CODES_FILE = f"{CODES}.npy"
_SPECIES_CODES_FILE = f"{SPECIES_CODES}.npy"


@dataclass
class Healed:
    """What was found damaged, and what became of it: files of hot copies, and tiles."""

    hot_files: list[str] = field(default_factory=list)
    tiles_from_hot: list[int] = field(default_factory=list)
    tiles_recomputed: list[int] = field(default_factory=list)
    tiles_left: list[int] = field(default_factory=list)


def heal(atlas: AtlasFolder, recompute: Callable[[list[int]], None] | None = None) -> Healed:
    """Repair the tiles of an atlas and its hot copies in the cache.

    Damaged tiles are written again from a hot copy whose rows have their checksums; `recompute` predicts and
    writes those no hot copy holds (without it they are taken out and listed in `tiles_left`). Then damaged
    blocks of hot copies are written again from the archive or the tiles.
    Raises `CorruptStoreError` when the archive is damaged, or a hot copy cannot be repaired from it.
    """
    healed = Healed()
    hot = hot_copies(atlas)
    if atlas.tiles is not None:
        was_noted = atlas.tiles.is_noted()
        _heal_tiles(atlas.tiles, hot, recompute, healed)
        if was_noted and not atlas.tiles.is_noted():
            atlas.tiles.finish()
        if healed.tiles_left:
            return healed
    for store in hot:
        healed.hot_files += [f"{store.folder.name}/{name}" for name in heal_hot(store, atlas)]
    return healed


def _heal_tiles(
    tiles: TileStore,
    hot: Iterable[PredictionStore],
    recompute: Callable[[list[int]], None] | None,
    healed: Healed,
) -> None:
    damaged = tiles.damaged().tolist()
    digests = tiles.digests()
    for tile in damaged:
        for store in hot:
            content = _tile_of_hot(store, tiles, tile)
            if content is not None and digests.get(tile, content.digest()) == content.digest():
                tiles.write_tile(tile, content)
                healed.tiles_from_hot.append(tile)
                break
        else:
            healed.tiles_left.append(tile)
    if healed.tiles_left and recompute is not None:
        recompute(healed.tiles_left)
        left = set(tiles.damaged(healed.tiles_left).tolist())
        healed.tiles_recomputed = [tile for tile in healed.tiles_left if tile not in left]
        healed.tiles_left = sorted(left)
    for tile in healed.tiles_left:
        tiles.remove_tile(tile)


def _tile_of_hot(store: PredictionStore, tiles: TileStore, tile: int) -> Tile | None:
    """Content of a tile as a hot copy holds it, every block compared first; None where it does not."""
    try:
        checked = PredictionStore.open(store.folder, trust_stamp=False)
        rows = checked.rows_under(tile)
        if not len(rows):
            return None
        part = slice(int(rows[0]), int(rows[-1]) + 1)
        values = {name: np.array(checked.layer(name)[part]) for name in tiles.grid.value_names}
        return Tile(np.array(checked.cells[part]), np.array(checked.codes[part]), values)
    except CorruptStoreError as error:
        logger.info("tile %x cannot be taken from %s (%s)", tile, store.folder, error)
        return None


def heal_hot(store: PredictionStore, atlas: AtlasFolder) -> list[str]:
    """Write the damaged blocks of a hot store again, in place; returns the names of the files repaired.

    Processes that have the store open see the repaired bytes. Raises `CorruptStoreError` when the atlas is
    damaged itself, or holds other predictions than the store.
    """
    damage = store.damage()
    if not damage:
        return []
    try:
        _patch_all(store, atlas, damage)
    except OSError as error:
        raise NotWritableError(
            f"{store.folder} is damaged ({', '.join(sorted(damage))}) and cannot be repaired there "
            f"({reason_of(error)}); free some space, or remove the folder and open the atlas again"
        ) from error
    logger.warning("repaired %s of %s", ", ".join(sorted(damage)), store.folder)
    return sorted(damage)


def _patch_all(store: PredictionStore, atlas: AtlasFolder, damage: dict[str, list[int]]) -> None:
    tables = {name: content for name, content in atlas.side_files.items() if name in damage}
    for name, content in tables.items():
        write_whole(store.folder / name, content, error=None)
    arrays = {name: blocks for name, blocks in damage.items() if name.endswith(".npy")}
    if arrays:
        source = atlas.source()
        if (source.origin, len(source.cells)) != (store.meta.get("origin"), store.n_cells):
            raise CorruptStoreError(
                f"{store.folder} is damaged ({', '.join(sorted(damage))}) and cannot be repaired from "
                f"{atlas.folder.address}, which holds other predictions; remove the folder, and open the "
                "atlas again"
            )
        _patch_codes(store, source, arrays.pop(_CODES_FILE, []))
        _patch_species_codes(store, arrays.pop(_SPECIES_CODES_FILE, []))
        _patch_others(store, source, arrays)
    left = {name: blocks for name in damage if (blocks := store.damaged_blocks(name))}
    if left:
        raise CorruptStoreError(
            f"{store.folder} is damaged ({', '.join(sorted(left))}) and could not be repaired from "
            f"{atlas.folder.address}; remove the folder, and open the atlas again"
        )
    write_stamp(store.folder, damage)


def _patch_codes(store: PredictionStore, source: HotSource, blocks: list[int]) -> None:
    _patch(
        store,
        _CODES_FILE,
        (store.n_cells, store.n_species),
        blocks,
        lambda first, stop: source.read(slice(first, stop)).codes,
    )


def _patch_species_codes(store: PredictionStore, blocks: list[int]) -> None:
    if not blocks:
        return
    codes = map_array(store.folder / _CODES_FILE)  # whole by now
    _patch(
        store,
        _SPECIES_CODES_FILE,
        (store.n_species, store.n_cells),
        blocks,
        lambda first, stop: np.ascontiguousarray(codes[:, first:stop].T),
    )


def _patch(
    store: PredictionStore,
    name: str,
    shape: tuple[int, int],
    blocks: list[int],
    rows: Callable[[int, int], NDArray[np.uint8]],
) -> None:
    """Write blocks of a file of bytes again; rows: content of some rows of its array."""
    header = array_header(shape, np.dtype(np.uint8))
    n_bytes = len(header) + shape[0] * shape[1]
    block_bytes = store.meta["block_bytes"]
    path = store.folder / name
    with path.open("r+b" if path.is_file() else "w+b") as file:
        file.truncate(n_bytes)
        for number in blocks:
            first = number * block_bytes
            stop = min(first + block_bytes, n_bytes)
            first_row = max(first - len(header), 0) // shape[1]
            stop_row = -(-max(stop - len(header), 0) // shape[1])
            content = (
                np.ascontiguousarray(rows(first_row, stop_row)).tobytes() if stop_row > first_row else b""
            )
            start = len(header) + first_row * shape[1]
            if first < len(header):
                content, start = header + content, 0
            file.seek(first)
            file.write(content[first - start : stop - start])
        file.flush()
        os.fsync(file.fileno())


def _patch_others(store: PredictionStore, source: HotSource, damage: dict[str, list[int]]) -> None:
    """Write damaged blocks of arrays that follow from the codes and cells, which are computed again."""
    if not damage:
        return
    with tempfile.TemporaryDirectory(prefix=f".{store.folder.name}-", dir=store.folder.parent) as scratch:
        write_arrays(Path(scratch), source, only={name.removesuffix(".npy") for name in damage})
        for name, blocks in damage.items():
            fresh, path = Path(scratch) / name, store.folder / name
            if not path.is_file() or path.stat().st_size != fresh.stat().st_size:
                fresh.replace(path)
                continue
            with fresh.open("rb") as read, path.open("r+b") as write:
                for number in blocks:
                    read.seek(number * store.meta["block_bytes"])
                    write.seek(number * store.meta["block_bytes"])
                    write.write(read.read(store.meta["block_bytes"]))
                write.flush()
                os.fsync(write.fileno())
