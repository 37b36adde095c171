"""Checksums of files in blocks, so that damage is named by file and place."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from sdm_core.errors import CorruptStoreError

#: Bytes under one checksum: what is read at least when a part of a file that may have changed is touched.
BLOCK_BYTES = 1024 * 1024
_DIGEST_BYTES = 16


def new_digest() -> hashlib.blake2b:
    """A BLAKE2b digest of 128 bits, to be updated piece by piece."""
    return hashlib.blake2b(digest_size=_DIGEST_BYTES)


def digest_bytes(*parts: bytes | memoryview) -> str:
    """BLAKE2b (128 bits, hexadecimal) of some bytes, one part after the other."""
    digest = new_digest()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def digest_json(value: Any) -> str:
    """Checksum of a value as JSON with sorted keys."""
    return digest_bytes(json.dumps(value, sort_keys=True, default=str).encode())


def block_digests(path: Path, block_bytes: int) -> list[str]:
    """Checksum of each block of a file, read one block at a time."""
    digests = []
    with path.open("rb") as file:
        while block := file.read(block_bytes):
            digests.append(digest_bytes(block))
    return digests


def check_file(path: Path, size: int, digests: list[str], block_bytes: int) -> None:
    """Compare a file with its recorded size and checksums.

    Raises `CorruptStoreError` that names the file and, where bytes differ, the first damaged block.
    """
    check_size(path, size)
    for number, (found, expected) in enumerate(zip(block_digests(path, block_bytes), digests, strict=True)):
        if found != expected:
            raise CorruptStoreError(_damage(path, number, size, block_bytes, found, expected))


def damaged_blocks(path: Path, entry: dict[str, Any], block_bytes: int) -> list[int]:
    """Numbers of the blocks of a file that do not have their checksums; all where its size differs."""
    if not path.is_file() or path.stat().st_size != entry["bytes"]:
        return list(range(len(entry["blake2b"])))
    found = block_digests(path, block_bytes)
    return [number for number, expected in enumerate(entry["blake2b"]) if found[number] != expected]


def block_problem(path: Path, number: int, entry: dict[str, Any], block_bytes: int) -> str:
    """What is wrong with one block of a file, as a sentence; empty when nothing is."""
    try:
        with path.open("rb") as file:
            file.seek(number * block_bytes)
            found = digest_bytes(file.read(block_bytes))
    except OSError as error:
        return f"{path} cannot be read ({error.strerror or error})"
    expected = entry["blake2b"][number]
    return "" if found == expected else _damage(path, number, entry["bytes"], block_bytes, found, expected)


def _damage(path: Path, number: int, size: int, block_bytes: int, found: str, expected: str) -> str:
    first = number * block_bytes
    last = min(first + block_bytes, size) - 1
    return (
        f"{path} is damaged: block {number} (bytes {first} to {last}) has checksum {found}, "
        f"expected {expected}"
    )


def check_size(path: Path, size: int) -> None:
    """Raise `CorruptStoreError` when a file is absent or does not have its recorded size."""
    if not path.is_file():
        raise CorruptStoreError(f"{path} is missing from the prediction store")
    if path.stat().st_size != size:
        raise CorruptStoreError(f"{path} is damaged: it has {path.stat().st_size} bytes, expected {size}")
