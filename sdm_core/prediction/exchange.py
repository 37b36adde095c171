"""The exchange copy of a store: one Zarr v3 zip, small enough to ship, unpacked into the cache on first use.

Only what cannot be computed is inside: `cells`, codes, and layers of the atlas's own (`value_…`). Codes are
kept as `code_differences` (n_species, n_cells), what neighbouring cells do not foretell (see
`prediction.lift`), or, where cells have no certain order of neighbours, as `codes` (n_species, n_cells).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdm_core import config, regions
from sdm_core.errors import CacheNotWritableError, CorruptStoreError
from sdm_core.prediction import checksums, lift
from sdm_core.prediction.files import read_species_table
from sdm_core.prediction.store import STORE_FILE, STORE_FORMAT, PredictionStore
from sdm_core.prediction.write import (
    OBSERVED_FILE,
    OBSERVED_SPECIES_FILE,
    SPECIES_FILE,
    StoreContent,
    digest_array,
    whole_hectares,
    write_hot,
)

logger = logging.getLogger(__name__)

EXCHANGE_FILE = "predictions.zarr.zip"
_ATTRIBUTE = "florascope"
#: Level of zstd for what ships; 3 is a hundred times faster and a sixth larger.
COMPRESSION_LEVEL = 19
_LOCK_SECONDS = 300
_KEY_LENGTH = 16
_VERSIONS_KEPT = 3
#: Values per chunk of codes: whole species, about this many bytes.
_CHUNK_VALUES = 4 * 1024 * 1024


def pack(content: StoreContent, path: Path, compression_level: int = COMPRESSION_LEVEL) -> str:
    """Write the exchange copy aside, read it back, rename it to `path`; returns the version hash."""
    import zarr

    digests = content.digests()
    version = content.version(digests)
    attributes: dict[str, Any] = {
        "format": STORE_FORMAT,
        "name": content.name,
        "title": content.title,
        "version": version,
        "resolution": content.resolution,
        "cell_values": sorted(content.cell_values),
        "inputs": json.loads(json.dumps(dict(content.inputs), default=str)),
        "blake2b": digests,
        "code": "probability = (code / 255) ** 2",
    }
    codes, codes_name, delta = content.codes, "codes", True
    try:
        plan, tie = lift.choose_steps(content.cells, content.lonlat, content.resolution)
        weights = lift.fit_weights(codes, plan)
        codes, codes_name, delta = lift.forward(codes, plan, weights), "code_differences", False
        attributes["neighbours"] = {"tie": tie, "scale": lift.WEIGHT_SCALE, "weights": weights}
    except lift.TiedNeighboursError as error:
        logger.info("codes of %s are packed without foretelling them: %s", content.name, error)
    n_cells, n_species = codes.shape
    species_per_chunk = max(1, min(n_species, _CHUNK_VALUES // n_cells))
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with _quiet_zarr(), zarr.storage.ZipStore(aside, mode="w", compression=zipfile.ZIP_STORED) as archive:
            group = zarr.create_group(archive, attributes={_ATTRIBUTE: attributes})
            _add(
                group,
                codes_name,
                codes.T,
                (species_per_chunk, n_cells),
                ("species", "cell"),
                delta,
                compression_level,
            )
            _add(group, "cells", content.cells, (n_cells,), ("cell",), True, compression_level)
            for name, values in content.cell_values.items():
                _add(
                    group,
                    f"value_{name}",
                    values,
                    (n_cells,),
                    ("cell",),
                    values.dtype.kind in "iu",
                    compression_level,
                )
        unpack(aside)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return version


@contextlib.contextmanager
def _quiet_zarr() -> Iterator[None]:
    """Without the warning that Delta and Shuffle, which zarr-python brings along, are not in the standard."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Numcodecs codecs are not in the Zarr version 3")
        yield


def _add(
    group: Any,
    name: str,
    values: NDArray,
    chunks: tuple[int, ...],
    dimensions: tuple[str, ...],
    delta: bool,
    compression_level: int,
) -> None:
    from zarr.codecs import ZstdCodec
    from zarr.codecs.numcodecs import Delta, Shuffle

    size = values.dtype.itemsize
    array = group.create_array(
        name,
        shape=values.shape,
        dtype=values.dtype,
        chunks=chunks,
        dimension_names=dimensions,
        filters=[Delta(dtype=values.dtype.str)] if delta else [],
        compressors=[*([Shuffle(elementsize=size)] if size > 1 else []), ZstdCodec(level=compression_level)],
        fill_value=0,
    )
    array[...] = np.ascontiguousarray(values)  # Delta flattens a chunk in the order it finds in memory


def read_attributes(path: Path) -> dict[str, Any]:
    """What an exchange copy says of itself, read without decoding anything.

    Raises `CorruptStoreError`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            attributes: dict[str, Any] = json.loads(archive.read("zarr.json"))["attributes"][_ATTRIBUTE]
            attributes["version"]
    except (OSError, zipfile.BadZipFile, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, error) from error
    if attributes["format"] != STORE_FORMAT:
        raise CorruptStoreError(
            f"{path} has store format {attributes['format']}, this version of Florascope reads {STORE_FORMAT}"
        )
    return attributes


def unpack(path: Path) -> StoreContent:
    """Decode an exchange copy and compare every array with its checksum.

    Raises `CorruptStoreError` naming the file and array.
    """
    import zarr

    attributes = read_attributes(path)
    _check_members(path)
    neighbours = attributes.get("neighbours")
    codes_name = "code_differences" if neighbours else "codes"
    arrays: dict[str, NDArray] = {}
    try:
        with _quiet_zarr(), zarr.storage.ZipStore(path, mode="r") as archive:
            group = zarr.open_group(archive, mode="r")
            for name in attributes["blake2b"]:
                array: Any = group[codes_name if name == "codes" else name]
                arrays[name] = np.asarray(array[...])
    except Exception as error:  # a decoder may raise anything on damaged bytes; all of it means the same
        raise _damaged(path, error) from error
    cells, resolution = arrays["cells"], attributes["resolution"]
    if digest_array(cells) != attributes["blake2b"]["cells"]:
        raise _damaged(path, "array cells does not have its checksum")
    lonlat = regions.cells_to_lonlat(cells)
    codes = np.ascontiguousarray(arrays.pop("codes").T)
    if neighbours:
        plan = lift.steps(cells, lonlat, resolution, neighbours["tie"])
        codes = lift.inverse(codes, plan, neighbours["weights"])
    arrays["codes"] = codes
    for name, expected in attributes["blake2b"].items():
        if digest_array(arrays[name]) != expected:
            raise _damaged(path, f"array {name} does not have its checksum")
    return StoreContent(
        name=attributes["name"],
        title=attributes["title"],
        resolution=resolution,
        cells=cells,
        lonlat=lonlat,
        area_ha=whole_hectares(regions.cell_area_km2(cells)),
        codes=codes,
        cell_values={name: arrays[f"value_{name}"] for name in attributes["cell_values"]},
        inputs=attributes["inputs"],
    )


def _check_members(path: Path) -> None:
    """Compare every member with its CRC, before zarr reads many at once and tells one damage many times."""
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except Exception as error:  # a damaged header may raise anything; all of it means the same
        raise _damaged(path, error) from error
    if broken is not None:
        raise _damaged(path, f"member {broken} does not have its checksum")


def _damaged(path: Path, reason: object) -> CorruptStoreError:
    return CorruptStoreError(
        f"{path} is damaged ({reason}); fetch this file again from where the atlas came from, or build the "
        "atlas anew with `python -m sdm_core atlas`"
    )


def open_unpacked(atlas_folder: Path, cache_dir: Path | None = None) -> PredictionStore:
    """Hot store of an atlas folder: the one in the cache, or unpacked now.

    A damaged hot copy is logged and rebuilt from the exchange copy. Where the cache cannot be written (read
    only, full), a temporary folder is used and a warning logged. Several processes may do this at once.
    Raises `CorruptStoreError` when the exchange copy is damaged, `CacheNotWritableError`.
    """
    exchange = atlas_folder / EXCHANGE_FILE
    attributes = read_attributes(exchange)
    side_files = [
        atlas_folder / name
        for name in (SPECIES_FILE, OBSERVED_FILE, OBSERVED_SPECIES_FILE)
        if (atlas_folder / name).is_file()
    ]
    if side_files[:1] != [atlas_folder / SPECIES_FILE]:
        raise CorruptStoreError(f"{atlas_folder / SPECIES_FILE} is missing; fetch the atlas folder again")
    key = checksums.digest_bytes(
        attributes["version"].encode(),
        *(checksums.digest_bytes(path.read_bytes()).encode() for path in side_files),
    )
    folder_name = f"{attributes['name']}-{key[:_KEY_LENGTH]}"
    roots = [(cache_dir or config.CACHE_DIR) / "stores", _temporary_root()]
    for root in roots:
        if (root / folder_name / STORE_FILE).is_file():
            try:
                return PredictionStore.open(root / folder_name)
            except CorruptStoreError as error:
                logger.warning("%s; rebuilding it from %s", error, exchange)
                break
    problems = []
    for root in roots:
        try:
            return _unpack_into(root, folder_name, exchange, attributes["version"], side_files)
        except OSError as error:
            problems.append(f"{root}: {error.strerror or error}")
            logger.warning("cannot unpack %s into %s (%s)", exchange, root, error)
    raise CacheNotWritableError(
        f"the predictions of {attributes['name']} cannot be unpacked ({'; '.join(problems)}); free some "
        "space, or set FLORASCOPE_CACHE to a folder that can be written"
    )


def _unpack_into(
    root: Path, folder_name: str, exchange: Path, version: str, side_files: list[Path]
) -> PredictionStore:
    from filelock import FileLock

    root.mkdir(parents=True, exist_ok=True)
    folder = root / folder_name
    with FileLock(root / f".{folder_name}.lock", timeout=_LOCK_SECONDS):
        if (folder / STORE_FILE).is_file():
            try:
                return PredictionStore.open(folder)
            except CorruptStoreError:
                logger.info("replacing the damaged store %s", folder)
        _remove_leftovers(root, folder_name)
        content = unpack(exchange)
        read_species_table(side_files[0], content.codes.shape[1])
        write_hot(folder, content, version, side_files)
        logger.info("unpacked %s to %s", exchange, folder)
        _remove_old_versions(root, folder_name)
        return PredictionStore.open(folder)


def _remove_leftovers(root: Path, folder_name: str) -> None:
    """Remove what an interrupted unpacking of the same store left; the lock says nobody is at it."""
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


def _temporary_root() -> Path:
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
