"""The archive of a store: one Zarr v3 zip, small enough to ship, unpacked into the cache on first use.

Only what cannot be computed is inside: `cells`, codes, and layers of the atlas's own (`value_…`). Codes are
kept as `code_differences` (n_species, n_cells), what neighbouring cells do not foretell (see
`prediction.lift`), or, where cells have no certain order of neighbours, as `codes` (n_species, n_cells).
"""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdm_core import regions
from sdm_core.errors import CorruptStoreError
from sdm_core.prediction import lift
from sdm_core.prediction.content import ARCHIVE_FORMAT, StoreContent, digest_array, quantised_hectares
from sdm_core.writing import written_aside

logger = logging.getLogger(__name__)

EXCHANGE_FILE = "predictions.zarr.zip"
_ATTRIBUTE = "florascope"
#: Level of zstd for what ships; 3 is a hundred times faster and a sixth larger.
COMPRESSION_LEVEL = 19
#: Values per chunk of codes: whole species, about this many bytes.
_CHUNK_VALUES = 4 * 1024 * 1024


def pack(content: StoreContent, path: Path, compression_level: int = COMPRESSION_LEVEL) -> str:
    """Write the exchange copy aside, read it back, rename it to `path`; returns the version hash."""
    import zarr

    digests = content.digests()
    version = content.version(digests)
    attributes: dict[str, Any] = {
        "format": ARCHIVE_FORMAT,
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
    with written_aside(path) as aside:
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
    if attributes["format"] != ARCHIVE_FORMAT:
        raise CorruptStoreError(
            f"{path} has store format {attributes['format']}, this version of Florascope reads "
            f"{ARCHIVE_FORMAT}"
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
        area_ha=quantised_hectares(regions.cell_area_km2(cells), resolution),
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
