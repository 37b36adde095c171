"""Palette PNG: one byte a pixel, written without an image library because it is most of a tile's work."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PALETTE_COLOURS = 256
#: Larger pictures for a fraction of the time of the default level.
_LEVEL = 1


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def palette_png(inks: NDArray[np.uint8], palette: NDArray[np.uint8]) -> bytes:
    """PNG of a picture of palette indices.

    inks: uint8 (height, width). palette: RGBA, uint8 (n_colours, 4), where colours that are not opaque come
    first. Follows the PNG specification (third edition), colour type 3, no filter.
    """
    height, width = inks.shape
    lines = np.zeros((height, width + 1), dtype=np.uint8)  # a zero before each line: no filter
    lines[:, 1:] = inks
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    n_clear = int(np.flatnonzero(palette[:, 3] < 255).max(initial=-1)) + 1
    parts = [
        _SIGNATURE,
        _chunk(b"IHDR", header),
        _chunk(b"PLTE", palette[:, :3].tobytes()),
        _chunk(b"tRNS", palette[:n_clear, 3].tobytes()) if n_clear else b"",
        _chunk(b"IDAT", zlib.compress(lines.tobytes(), _LEVEL)),
        _chunk(b"IEND", b""),
    ]
    return b"".join(parts)
