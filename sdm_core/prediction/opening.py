"""The hot copy of an atlas folder or address: the one in the cache, or built there now."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd

from sdm_core import config
from sdm_core.errors import CacheNotWritableError, CorruptStoreError
from sdm_core.prediction import checksums
from sdm_core.prediction.atlas import CARD_FILE
from sdm_core.prediction.exchange import EXCHANGE_FILE, read_attributes, unpack
from sdm_core.prediction.files import (
    HELD_OUT_FILE,
    OBSERVED_FILE,
    OBSERVED_SPECIES_FILE,
    SPECIES_FILE,
    TRUST_FILE,
    read_species_table,
)
from sdm_core.prediction.hot import build_hot
from sdm_core.prediction.integrity import HOT_FORMAT, STORE_FILE, read_meta
from sdm_core.prediction.objects import ObjectFolder
from sdm_core.prediction.sources import HotSource, source_of_content, source_of_tiles
from sdm_core.prediction.store import PredictionStore
from sdm_core.prediction.tiles import TILES_FOLDER, TileStore

logger = logging.getLogger(__name__)

#: How long another process may take to build the same hot copy (a continent takes minutes).
_LOCK_SECONDS = 3600
_KEY_LENGTH = 16
_VERSIONS_KEPT = 3
_SIDE_FILES = (SPECIES_FILE, OBSERVED_FILE, OBSERVED_SPECIES_FILE, TRUST_FILE, HELD_OUT_FILE)
_COMPANIONS = (CARD_FILE, "MODEL_CARD.md", "model.json", "model.safetensors", "applicability.npz")


@dataclass(frozen=True)
class AtlasFolder:
    """An atlas as it lies in a folder or at an address: an archive or tiles, and tables beside them.

    archive: path of the archive; tiles: the tiled store; exactly one of them is given.
    """

    folder: ObjectFolder
    archive: Path | None = None
    tiles: TileStore | None = None

    @classmethod
    def at(cls, address: Path | str, storage_options: dict[str, Any] | None = None) -> AtlasFolder:
        """What lies at an address; raises `CorruptStoreError` when it is no atlas."""
        folder = ObjectFolder(address, storage_options)
        if folder.path is not None and (folder.path / EXCHANGE_FILE).is_file():
            return cls(folder, archive=folder.path / EXCHANGE_FILE)
        if folder.path is None or (folder.path / TILES_FOLDER).is_dir():
            return cls(folder, tiles=TileStore.open(address, storage_options))
        raise CorruptStoreError(
            f"{folder.address} holds neither {STORE_FILE}, {EXCHANGE_FILE} nor {TILES_FOLDER}; give the "
            "folder of an atlas or of an unpacked store"
        )

    def __repr__(self) -> str:
        return str(self.archive or self.tiles)

    @cached_property
    def side_files(self) -> dict[str, bytes]:
        """Species table (of the tiled store itself where there is none beside it) and record densities."""
        found = self.folder.get_many(list(_SIDE_FILES))
        if SPECIES_FILE not in found:
            if self.tiles is None:
                raise CorruptStoreError(
                    f"{self.folder.address}/{SPECIES_FILE} is missing; fetch the atlas folder again"
                )
            found[SPECIES_FILE] = self.tiles.grid.species_csv
        return found

    @cached_property
    def species(self) -> pd.DataFrame:
        """Species table; raises `CorruptStoreError` when it cannot be read."""
        named = f"{self.folder.address}/{SPECIES_FILE}"
        return read_species_table(BytesIO(self.side_files[SPECIES_FILE]), name=named)

    def companions(self) -> dict[str, bytes]:
        """Small files of the atlas beside its predictions: tables, model card, the model itself."""
        return self.folder.get_many(list(_COMPANIONS)) | self.side_files

    @property
    def name(self) -> str:
        """Name of the atlas."""
        return self.tiles.grid.name if self.tiles is not None else str(self._attributes["name"])

    @property
    def version(self) -> str:
        """Hash of everything that decides the predictions."""
        return self.tiles.version if self.tiles is not None else str(self._attributes["version"])

    @cached_property
    def _attributes(self) -> dict[str, Any]:
        assert self.archive is not None
        return read_attributes(self.archive)

    @cached_property
    def cache_name(self) -> str:
        """Name of the hot copy in the cache: the atlas and a hash of everything that decides it."""
        contents = [] if self.tiles is None else sorted(self.tiles.digests().items())
        tables = {key: checksums.digest_bytes(content) for key, content in self.side_files.items()}
        key = checksums.digest_json([HOT_FORMAT, self.version, contents, tables])
        return f"{self.name}-{key[:_KEY_LENGTH]}"

    def source(self) -> HotSource:
        """The rows of the atlas, to build a hot copy from; raises `CorruptStoreError` when it is damaged."""
        if self.tiles is not None:
            return source_of_tiles(self.tiles)
        assert self.archive is not None
        return source_of_content(unpack(self.archive), self.version)


def open_cached(
    address: Path | str, cache_dir: Path | None = None, storage_options: dict[str, Any] | None = None
) -> PredictionStore:
    """Hot store of an atlas folder or address: the one in the cache, or built now.

    A damaged hot copy is logged and rebuilt; of one whose blocks turn out damaged later, those are repaired.
    Where the cache cannot be written (read only, full), a temporary folder is used and a warning logged.
    Several processes may do this at once.
    Raises `CorruptStoreError` when the atlas is damaged, `CacheNotWritableError`.
    """
    atlas = AtlasFolder.at(address, storage_options)
    roots = [(cache_dir or config.CACHE_DIR) / "stores", temporary_root()]
    for root in roots:
        if (root / atlas.cache_name / STORE_FILE).is_file():
            try:
                return _open_hot(root / atlas.cache_name, atlas)
            except CorruptStoreError as error:
                logger.warning("%s; rebuilding it from %s", error, atlas)
                break
    problems = []
    for root in roots:
        try:
            return _build_into(root, atlas)
        except OSError as error:
            problems.append(f"{root}: {error.strerror or error}")
            logger.warning("cannot unpack %s into %s (%s)", atlas, root, error)
    raise CacheNotWritableError(
        f"the predictions of {atlas.folder.address} cannot be unpacked ({'; '.join(problems)}); free some "
        "space, or set FLORASCOPE_CACHE to a folder that can be written"
    )


def _open_hot(folder: Path, atlas: AtlasFolder) -> PredictionStore:
    def repair(store: PredictionStore) -> None:
        from sdm_core.prediction.healing import heal_hot

        heal_hot(store, atlas)

    return PredictionStore.open(folder, repair)


def hot_copies(atlas: AtlasFolder, cache_dir: Path | None = None) -> list[PredictionStore]:
    """Hot copies of an atlas (the same predictions) that lie in the cache, newest first, damaged or not."""
    found = []
    for root in ((cache_dir or config.CACHE_DIR) / "stores", temporary_root()):
        for path in sorted(
            root.glob(f"{atlas.name}-*/{STORE_FILE}"), key=lambda path: -path.stat().st_mtime_ns
        ):
            try:
                meta = read_meta(path.parent)
            except CorruptStoreError as error:
                logger.info("%s", error)
                continue
            if meta.get("origin") == atlas.version:
                found.append(PredictionStore(path.parent, meta))
    return found


def _build_into(root: Path, atlas: AtlasFolder) -> PredictionStore:
    from filelock import FileLock

    root.mkdir(parents=True, exist_ok=True)
    folder = root / atlas.cache_name
    with FileLock(root / f".{folder.name}.lock", timeout=_LOCK_SECONDS):
        if (folder / STORE_FILE).is_file():
            try:
                return _open_hot(folder, atlas)
            except CorruptStoreError:
                logger.info("replacing the damaged store %s", folder)
        _remove_leftovers(root, folder.name)
        source = atlas.source()
        species = BytesIO(atlas.side_files[SPECIES_FILE])
        read_species_table(species, source.n_species, f"{atlas.folder.address}/{SPECIES_FILE}")
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-tables-", dir=root) as scratch:
            side_files = []
            for name, content in atlas.side_files.items():
                (Path(scratch) / name).write_bytes(content)
                side_files.append(Path(scratch) / name)
            build_hot(folder, source, side_files)
        logger.info("unpacked %s to %s", atlas, folder)
        _remove_old_versions(root, folder.name)
        return _open_hot(folder, atlas)


def _remove_leftovers(root: Path, folder_name: str) -> None:
    """Remove what an interrupted build of the same store left; the lock says nobody is at it."""
    for path in root.glob(f".{folder_name}-*"):
        shutil.rmtree(path, ignore_errors=True)


def _remove_old_versions(root: Path, folder_name: str) -> None:
    """Keep the few newest versions of an atlas, since another process may still read the one before."""
    atlas_name = folder_name[: -_KEY_LENGTH - 1]
    versions = [
        path
        for path in root.glob(f"{atlas_name}-*")
        if len(path.name) == len(folder_name) and (path / STORE_FILE).is_file()
    ]
    versions.sort(key=lambda path: (path / STORE_FILE).stat().st_mtime, reverse=True)
    for path in versions[_VERSIONS_KEPT:]:
        shutil.rmtree(path, ignore_errors=True)
        logger.info("removed %s, an older version of the same atlas", path)


def temporary_root() -> Path:
    """Folder of this user alone below the system's temporary folder, made where it is absent."""
    user = os.getuid() if hasattr(os, "getuid") else None
    root = (
        Path(tempfile.gettempdir())
        / f"florascope-{os.environ.get('USERNAME', 'user') if user is None else user}"
    )
    with contextlib.suppress(OSError):
        root.mkdir(mode=0o700, exist_ok=True)
        if user is not None and root.stat().st_uid != user:
            return Path(tempfile.mkdtemp(prefix="florascope-")) / "stores"
    return root / "stores"
