"""Whether the files of a hot store are still what was written: told by a stamp, else block by block on touch.

A file is vouched for when its size is the recorded one and it has not changed since it was last compared with
its checksums (`verified.json` keeps the time of change of each file). Of any other file a block is compared
when it is first read, so that opening costs nothing and no wrong number is ever handed out. What changes on
the disk without a trace in size and time is found by a full check (`PredictionStore.verify`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdm_core.errors import CorruptStoreError, NotWritableError
from sdm_core.prediction import checksums
from sdm_core.writing import write_whole

logger = logging.getLogger(__name__)

#: Raised whenever the meaning of a file of the hot copy changes. 2: areas on the ellipsoid, in quanta.
HOT_FORMAT = 2
STORE_FILE = "store.json"
#: Time of change of each file when it was last compared with its checksums.
STAMP_FILE = "verified.json"
#: Larger arrays are compared block by block, smaller ones whole when they are first read.
_WHOLE_BYTES = 32 * 1024 * 1024


def read_meta(folder: Path) -> dict[str, Any]:
    """Content of `store.json`; raises `CorruptStoreError` when it is not as written, or of another format."""
    path = folder / STORE_FILE
    try:
        meta: dict[str, Any] = json.loads(path.read_bytes())
        digest = meta.pop("digest")
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CorruptStoreError(f"{path} is damaged: {error}") from error
    if digest != checksums.digest_json(meta):
        raise CorruptStoreError(f"{path} is damaged: its content does not have the checksum it carries")
    if meta["format"] != HOT_FORMAT:
        raise CorruptStoreError(f"{path} has store format {meta['format']}, this version reads {HOT_FORMAT}")
    return meta


def read_stamp(folder: Path) -> dict[str, int]:
    """Time of change of each file when it was last checked; empty when nothing is known."""
    try:
        stamp = json.loads((folder / STAMP_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def write_stamp(folder: Path, files: Iterable[str]) -> None:
    """Remember when the files, just checked, were last changed; of a read-only folder nothing is kept."""
    stamp = read_stamp(folder) | {name: (folder / name).stat().st_mtime_ns for name in files}
    try:
        write_whole(folder / STAMP_FILE, json.dumps(stamp), lasting=False)
    except NotWritableError as error:
        logger.info("it is not noted that %s was checked: %s", folder, error)


class GuardedFile:
    """A file that may have changed: each block is compared with its checksum before it is first used.

    repair: called with the file name when a block is damaged; the block is then compared once more.
    """

    def __init__(
        self,
        path: Path,
        entry: dict[str, Any],
        block_bytes: int,
        repair: Callable[[str], None] | None = None,
    ):
        self.path = path
        self.repair = repair
        self._entry = entry
        self.block_bytes = block_bytes
        self._checked = np.zeros(len(entry["blake2b"]), dtype=bool)

    def check(self, first_byte: int, stop_byte: int) -> None:
        """Compare the blocks that hold some bytes; raises `CorruptStoreError` naming file and block."""
        blocks = np.arange(first_byte // self.block_bytes, -(-stop_byte // self.block_bytes))
        self.check_blocks(blocks)

    def check_blocks(self, blocks: NDArray[np.integer]) -> None:
        """Compare some blocks, those that have been compared before left out."""
        wanted = blocks[~self._checked[blocks]].tolist()
        if not wanted:
            return
        for number in wanted:
            problem = checksums.block_problem(self.path, number, self._entry, self.block_bytes)
            if problem and self.repair is not None:
                logger.warning("%s; repairing it", problem)
                self.repair(self.path.name)
                problem = checksums.block_problem(self.path, number, self._entry, self.block_bytes)
            if problem:
                raise CorruptStoreError(problem)
            self._checked[number] = True
        if self._checked.all():
            write_stamp(self.path.parent, [self.path.name])

    def check_all(self) -> None:
        """Compare the whole file."""
        self.check_blocks(np.arange(len(self._checked)))


class GuardedRows:
    """A large memory-mapped matrix whose rows are checked on first touch; indexed like the array itself.

    Indexing gives plain arrays; `numpy.asarray` checks the whole file first.
    """

    def __init__(self, array: NDArray, guard: GuardedFile, header_bytes: int):
        self._array = array
        self._guard = guard
        self._header_bytes = header_bytes
        self.shape = array.shape
        self.dtype = array.dtype
        self.ndim = array.ndim
        self.nbytes = array.nbytes

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, key: Any) -> Any:
        first, rest = (key[0], key[1:]) if isinstance(key, tuple) else (key, ())
        if isinstance(first, slice) and first.step in (None, 1):
            start, stop, _ = first.indices(len(self))
            self._check_range(start, stop)
        elif isinstance(first, int | np.integer):
            row = range(len(self))[int(first)]
            if len(rest) == 1 and isinstance(rest[0], slice):  # a piece of one row
                start, stop, _ = rest[0].indices(self.shape[1])
                self._check_bytes(row * self.shape[1] + start, row * self.shape[1] + stop)
            else:
                self._check_range(row, row + 1)
        elif isinstance(first, np.ndarray) and first.dtype.kind in "iu" and first.ndim == 1:
            self._check_rows(np.unique(np.where(first < 0, first + len(self), first)))
        else:
            self._guard.check_all()
        return self._array[key]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray:
        self._guard.check_all()
        return np.array(self._array, dtype=dtype, copy=copy)

    def _check_range(self, start: int, stop: int) -> None:
        if stop > start:
            self._check_bytes(start * self.shape[1], stop * self.shape[1])

    def _check_bytes(self, first_value: int, stop_value: int) -> None:
        size = self.dtype.itemsize
        self._guard.check(self._header_bytes + first_value * size, self._header_bytes + stop_value * size)

    def _check_rows(self, rows: NDArray[np.integer]) -> None:
        row_bytes = self.shape[1] * self.dtype.itemsize
        first = (self._header_bytes + rows.astype(np.int64) * row_bytes) // self._guard.block_bytes
        last = (self._header_bytes + (rows.astype(np.int64) + 1) * row_bytes - 1) // self._guard.block_bytes
        blocks = np.unique(np.concatenate([first, last]))
        if len(rows) and int((last - first).max()) > 1:  # rows longer than a block
            blocks = np.unique(
                np.concatenate([np.arange(a, b + 1) for a, b in zip(first, last, strict=True)])
            )
        self._guard.check_blocks(blocks)


def guarded(array: NDArray, guard: GuardedFile) -> NDArray:
    """The array as it is where all of it has been compared (small ones are now), else row by row."""
    if array.ndim == 1 or array.nbytes <= _WHOLE_BYTES:
        guard.check_all()
        return array
    rows: Any = GuardedRows(array, guard, guard.path.stat().st_size - array.nbytes)
    return rows  # stands for an array wherever rows are indexed
