"""The cache of finer predictions: tiles and stores on disk, and which go when it grows too large.

    cache/fine/<atlas>-<version>/speed.json
    cache/fine/<atlas>-<version>/r<resolution>/predictions.zarr     tiles, shared by all regions
    cache/fine/<atlas>-<version>/r<resolution>/hot/<tiles>/         store of one set of tiles, for one region
    cache/fine/in_use/<name>.json, .lock                            what a living process works with

What was last used longest ago goes first: the time of change of a tile's marker, and of the file `used` of a
store, is when it was last asked for. What a living process works with stays.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from sdm_core import config
from sdm_core.errors import CacheNotWritableError, CorruptStoreError
from sdm_core.jobs.folder import is_locked, write_json
from sdm_core.prediction import TILES_FOLDER, TileStore

if TYPE_CHECKING:
    from sdm_core.registry import Atlas

logger = logging.getLogger(__name__)

HOT_FOLDER, USED_FILE = "hot", "used"
_LOCK_TIMEOUT_S = 120.0


def fine_root() -> Path:
    """Folder of all finer predictions."""
    return config.CACHE_DIR / "fine"


def atlas_folder(atlas: Atlas) -> Path:
    """Folder of the finer predictions of one version of an atlas."""
    return fine_root() / f"{atlas.name}-{atlas.store.version[:12]}"


def fine_folder(atlas: Atlas, resolution: int) -> Path:
    """Folder of the predictions of an atlas at one finer resolution."""
    return atlas_folder(atlas) / f"r{resolution}"


def hot_folder(folder: Path, tiles: NDArray[np.uint64]) -> Path:
    """Folder of the store made of some tiles."""
    digest = hashlib.blake2b(tiles.astype("<u8").tobytes(), digest_size=12).hexdigest()
    return folder / HOT_FOLDER / digest


def finished_tiles(folder: Path) -> NDArray[np.uint64]:
    """Tiles in the cache at one resolution, uint64 ascending; none where there is no store."""
    names = (folder / TILES_FOLDER / "done").glob("[!.]*.json")
    return np.array(sorted(int(path.stem, 16) for path in names), dtype=np.uint64)


def marker(folder: Path, tile: int) -> Path:
    """The file that says a tile is in the cache; its time of change is when it was last used."""
    return folder / TILES_FOLDER / "done" / f"{int(tile):x}.json"


def holds_cells(folder: Path, tile: int) -> bool:
    """Whether a finished tile holds cells, or may: its marker cannot be read."""
    try:
        return json.loads(marker(folder, tile).read_bytes())["n_cells"] != 0
    except (OSError, ValueError, KeyError, TypeError):
        return True


def touch(folder: Path, tiles: NDArray[np.uint64]) -> None:
    """Note that the tiles and their store are used now."""
    for tile in tiles.tolist():
        with contextlib.suppress(OSError):
            os.utime(marker(folder, tile))
    with contextlib.suppress(OSError):
        (hot_folder(folder, tiles) / USED_FILE).touch()


@contextlib.contextmanager
def in_use(folder: Path, tiles: NDArray[np.uint64]) -> Iterator[None]:
    """Keep the tiles and their store from being evicted, as long as this process lives and is in here.

    Raises `CacheNotWritableError`.
    """
    noted = fine_root() / "in_use" / f"{secrets.token_hex(8)}.json"
    lock = FileLock(noted.with_suffix(".lock"))
    try:
        noted.parent.mkdir(parents=True, exist_ok=True)
        with eviction_lock():
            lock.acquire()
            write_json(noted, {"folder": str(folder), "tiles": [f"{tile:x}" for tile in tiles.tolist()]})
    except OSError as error:
        raise CacheNotWritableError(
            f"{fine_root()} cannot be written ({error.strerror or error}); set FLORASCOPE_CACHE to a folder "
            "that can."
        ) from error
    try:
        yield
    finally:
        noted.unlink(missing_ok=True)
        lock.release()
        noted.with_suffix(".lock").unlink(missing_ok=True)


def eviction_lock() -> FileLock:
    """Held while entries are removed, and while a process notes what it works with."""
    return FileLock(fine_root() / "evict.lock", timeout=_LOCK_TIMEOUT_S)


@dataclass(frozen=True)
class _Entry:
    """A tile or a store in the cache."""

    used: float
    n_bytes: int
    folder: Path
    #: H3 index of a tile, or the name of a store's folder.
    name: str


def evict(limit_bytes: int | None = None) -> int:
    """Remove what was last used longest ago until the cache is below the limit; returns the bytes freed."""
    limit = config.FINE_CACHE_BYTES if limit_bytes is None else limit_bytes
    if not fine_root().is_dir():
        return 0
    with eviction_lock():
        entries = sorted(_entries(), key=lambda entry: entry.used)
        total = sum(entry.n_bytes for entry in entries)
        kept = _names_in_use()
        freed = 0
        for entry in entries:
            if total - freed <= limit:
                break
            if (entry.folder, entry.name) in kept:
                continue
            _remove(entry)
            freed += entry.n_bytes
    if freed:
        logger.info("finer predictions took %d bytes, %d were removed to keep %d", total, freed, limit)
    if total - freed > limit:
        logger.warning("finer predictions in use take %d bytes, above the limit of %d", total - freed, limit)
    return freed


def used_bytes() -> int:
    """Bytes of all tiles and stores in the cache."""
    return sum(entry.n_bytes for entry in _entries())


def _names_in_use() -> set[tuple[Path, str]]:
    """Tiles and stores a living process works with; notes of ended ones are removed."""
    names: set[tuple[Path, str]] = set()
    for noted in (fine_root() / "in_use").glob("[!.]*.json"):
        lock = noted.with_suffix(".lock")
        if not is_locked(lock):
            noted.unlink(missing_ok=True)
            lock.unlink(missing_ok=True)
            continue
        try:
            used = json.loads(noted.read_bytes())
            folder, tiles = Path(used["folder"]), [int(name, 16) for name in used["tiles"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("%s cannot be read: %s", noted, error)
            continue
        names |= {(folder, f"{tile:x}") for tile in tiles}
        names.add((folder, hot_folder(folder, np.array(tiles, dtype=np.uint64)).name))
    return names


def _entries() -> Iterator[_Entry]:
    for folder in fine_root().glob("*/r*"):
        for path in (folder / HOT_FOLDER).glob("[!.]*"):
            used = path / USED_FILE
            with contextlib.suppress(OSError):
                time = (used if used.exists() else path).stat().st_mtime
                yield _Entry(time, _size(path), folder, path.name)
        yield from _tile_entries(folder)


def _tile_entries(folder: Path) -> Iterator[_Entry]:
    tiles = finished_tiles(folder)
    if not len(tiles):
        return
    try:
        grid = TileStore.open(folder / TILES_FOLDER).grid
    except CorruptStoreError as error:
        logger.warning("removing finer predictions that cannot be read: %s", error)
        shutil.rmtree(folder, ignore_errors=True)
        return
    indices = np.searchsorted(grid.tiles, tiles)
    group = folder / TILES_FOLDER
    for tile, index in zip(tiles.tolist(), indices.tolist(), strict=True):
        with contextlib.suppress(OSError):
            used = marker(folder, tile).stat()
            n_bytes = used.st_size + sum(_size(array / "c" / str(index)) for array in group.iterdir())
            yield _Entry(used.st_mtime, n_bytes, folder, f"{tile:x}")


def _size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder; 0 where there is neither."""
    if path.is_dir():
        return sum(inner.stat().st_size for inner in path.rglob("*") if inner.is_file())
    return path.stat().st_size if path.is_file() else 0


def _remove(entry: _Entry) -> None:
    hot = entry.folder / HOT_FOLDER / entry.name
    if hot.is_dir():
        remove_folder(hot)
        logger.info("removed the store %s of finer predictions", hot)
        return
    TileStore.open(entry.folder / TILES_FOLDER).remove_tile(int(entry.name, 16))
    logger.info("removed the tile %s of finer predictions in %s", entry.name, entry.folder)


def remove_folder(folder: Path) -> None:
    """Remove a folder at once for who looks for it, then its files."""
    aside = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    with contextlib.suppress(OSError):
        folder.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)


__all__ = [
    "HOT_FOLDER",
    "USED_FILE",
    "atlas_folder",
    "evict",
    "fine_folder",
    "finished_tiles",
    "holds_cells",
    "hot_folder",
    "in_use",
    "remove_folder",
    "touch",
    "used_bytes",
    "write_json",
]
