"""Zarr v3 as a tiled store writes it: metadata of its arrays, and chunks of bytes, zstd and crc32c.

The format is small enough to write by hand, and doing so lets each chunk go to its place in one atomic step;
the tests open the result with zarr and xarray. Specification: https://zarr-specs.readthedocs.io (core v3).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Fast, and within a few per cent of the strongest levels on codes.
ZSTD_LEVEL = 3
_CRC_BYTES = 4


class ChunkError(Exception):
    """The bytes of a chunk are not what was written; the store that reads it says which tile it was."""


def array_metadata(
    shape: Sequence[int],
    chunks: Sequence[int],
    dtype: np.dtype,
    dimensions: Sequence[str],
    attributes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Content of the `zarr.json` of an array."""
    serializer: dict[str, Any] = {"name": "bytes"}
    if dtype.itemsize > 1:
        serializer["configuration"] = {"endian": "little"}
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunks)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": "NaN" if dtype.kind == "f" else 0,
        "codecs": [
            serializer,
            {"name": "zstd", "configuration": {"level": ZSTD_LEVEL, "checksum": False}},
            {"name": "crc32c"},
        ],
        "dimension_names": list(dimensions),
        "attributes": dict(attributes or {}),
        "storage_transformers": [],
    }


def group_metadata(attributes: Mapping[str, Any], arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Content of the `zarr.json` of the group, the metadata of its arrays repeated in it (consolidated).

    So a reader at an address without listing (HTTP) finds the arrays.
    """
    return {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": dict(attributes),
        "consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": dict(arrays)},
    }


def to_json(metadata: Mapping[str, Any]) -> bytes:
    """Metadata as the bytes of a file."""
    return (json.dumps(metadata, indent=1, ensure_ascii=False) + "\n").encode()


def encode_chunk(values: NDArray, chunk_shape: Sequence[int]) -> bytes:
    """Bytes of a chunk whose first rows are `values`; the rest is filled with 0, or NaN for floats."""
    from google_crc32c import value as crc32c
    from numcodecs import Zstd

    little = values.dtype.newbyteorder("<")
    if values.shape != tuple(chunk_shape):
        padded = np.full(chunk_shape, np.nan if values.dtype.kind == "f" else 0, dtype=little)
        padded[: len(values)] = values
        values = padded
    packed = bytes(Zstd(level=ZSTD_LEVEL).encode(np.ascontiguousarray(values, dtype=little)))
    return packed + crc32c(packed).to_bytes(_CRC_BYTES, "little")


def decode_chunk(content: bytes, chunk_shape: Sequence[int], dtype: np.dtype) -> NDArray:
    """Values of a chunk; raises `ChunkError` when the bytes do not have their checksum or size."""
    from google_crc32c import value as crc32c
    from numcodecs import Zstd

    packed, check = content[:-_CRC_BYTES], content[-_CRC_BYTES:]
    if len(content) <= _CRC_BYTES or crc32c(packed) != int.from_bytes(check, "little"):
        raise ChunkError("does not have its checksum")
    little = dtype.newbyteorder("<")
    try:
        values = np.frombuffer(Zstd().decode(packed), dtype=little).reshape(tuple(chunk_shape))
    except (ValueError, RuntimeError) as error:
        raise ChunkError(f"cannot be decoded ({error})") from error
    return values.astype(dtype, copy=False)


def chunk_name(array: str, index: int, n_dimensions: int) -> str:
    """Name of the chunk that holds tile number `index` of an array chunked along its first dimension."""
    return "/".join([array, "c", str(index), *["0"] * (n_dimensions - 1)])
