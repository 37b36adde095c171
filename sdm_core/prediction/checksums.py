"""Checksums of files in blocks, so that damage is named by file and place."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from sdm_core.errors import CorruptStoreError

#: Bytes under one checksum.
BLOCK_BYTES = 4 * 1024 * 1024
_DIGEST_BYTES = 16


def digest_bytes(*parts: bytes | memoryview) -> str:
    """BLAKE2b (128 bits, hexadecimal) of some bytes, one part after the other."""
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def digest_json(value: Any) -> str:
    """Checksum of a value as JSON with sorted keys."""
    return digest_bytes(json.dumps(value, sort_keys=True, default=str).encode())


def block_digests(path: Path, block_bytes: int = BLOCK_BYTES) -> list[str]:
    """Checksum of each block of a file, read one block at a time."""
    digests = []
    with path.open("rb") as file:
        while block := file.read(block_bytes):
            digests.append(digest_bytes(block))
    return digests


def check_file(path: Path, size: int, digests: list[str], block_bytes: int = BLOCK_BYTES) -> None:
    """Compare a file with its recorded size and checksums.

    Raises `CorruptStoreError` that names the file and, where bytes differ, the first damaged block.
    """
    check_size(path, size)
    for number, (found, expected) in enumerate(zip(block_digests(path, block_bytes), digests, strict=True)):
        if found != expected:
            first = number * block_bytes
            last = min(first + block_bytes, size) - 1
            raise CorruptStoreError(
                f"{path} is damaged: block {number} (bytes {first} to {last}) has checksum {found}, "
                f"expected {expected}"
            )


def check_size(path: Path, size: int) -> None:
    """Raise `CorruptStoreError` when a file is absent or does not have its recorded size."""
    if not path.is_file():
        raise CorruptStoreError(f"{path} is missing from the prediction store")
    if path.stat().st_size != size:
        raise CorruptStoreError(f"{path} is damaged: it has {path.stat().st_size} bytes, expected {size}")
