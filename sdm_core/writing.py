"""Files that are whole or absent: written aside in the same folder, flushed to the disk, then renamed.

A reader, a full disk or a power cut never meets half of a file. What the file system refuses is said in one
sentence; verifying what was written is the caller's, inside the block of `written_aside`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from sdm_core.errors import FlorascopeError, NotWritableError

#: What a user can do about a file that cannot be written.
WAY_OUT = "free some space there or choose another place"

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "no more space is allowed to you on this disk",
    errno.EFBIG: "the file is larger than the disk allows",
    errno.EROFS: "the disk can only be read",
    errno.EACCES: "you have no right to write there",
    errno.EPERM: "you have no right to write there",
    errno.ENOENT: "its folder does not exist",
    errno.ENOTDIR: "its folder is a file",
    errno.EEXIST: "its folder is a file",
    errno.EISDIR: "it is a folder",
    errno.ENAMETOOLONG: "its name is too long",
    errno.EIO: "the disk does not answer",
}


def reason_of(error: Exception) -> str:
    """Why the file system refused, in words for whoever asked."""
    if isinstance(error, OSError):
        known = _REASONS.get(error.errno or 0)
        return known or error.strerror or str(error).partition("\n")[0]
    return str(error).partition("\n")[0]


@contextlib.contextmanager
def refusals_of(
    path: Path, error: type[FlorascopeError] | None = NotWritableError, way_out: str = WAY_OUT
) -> Iterator[None]:
    """Say in one sentence, as an `error`, why the folder or the disk refuses what is written.

    error: None lets the `OSError` through, for callers with a sentence of their own.
    """
    try:
        yield
    except OSError as problem:
        if error is None:
            raise
        raise error(f"{path} cannot be written ({reason_of(problem)}); {way_out}.") from problem


@contextlib.contextmanager
def written_aside(
    path: Path,
    error: type[FlorascopeError] | None = NotWritableError,
    way_out: str = WAY_OUT,
    lasting: bool = True,
    suffix: str | None = None,
) -> Iterator[Path]:
    """Name of a file or folder to write; it becomes `path` when the block ends well, and goes otherwise.

    The name has the suffix of `path` and a leading dot, and is another one for every writer; the folder is
    made where it is absent. lasting: flush to the disk before and after the renaming, so that a power cut
    loses nothing. suffix: another ending of the name, where the writer does not go by it: who lists files by
    their ending then never meets one that is being written. Raises `error` (see `refusals_of`), and the file
    that was there is then still whole.
    """
    ending = path.suffix if suffix is None else suffix
    aside = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{ending}")
    with refusals_of(path, error, way_out):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        _make(path.parent)
        try:
            yield aside
            if lasting and aside.is_file():
                with aside.open("rb+") as file:
                    os.fsync(file.fileno())
            aside.replace(path)
        except BaseException:
            _remove(aside)
            raise
    if lasting:
        flush_folder(path.parent)


def write_whole(
    path: Path,
    content: bytes | str,
    error: type[FlorascopeError] | None = NotWritableError,
    way_out: str = WAY_OUT,
    lasting: bool = True,
) -> None:
    """Write bytes, or text in UTF-8, so that a reader sees the old content or the new, never half of it.

    Arguments and errors are those of `written_aside`.
    """
    with written_aside(path, error, way_out, lasting, suffix="") as aside:
        aside.write_bytes(content.encode() if isinstance(content, str) else content)


def check_writable(folder: Path, way_out: str = "choose another one") -> None:
    """Make a folder and refuse one that nothing can be written to, before the hours that fill it.

    Raises `NotWritableError`.
    """
    probe = folder / f".writable.{os.getpid()}-{secrets.token_hex(4)}"
    try:
        _make(folder)
        probe.write_bytes(b"?")
        probe.unlink()
    except OSError as error:
        raise NotWritableError(
            f"Nothing can be written into the folder {folder} ({reason_of(error)}); {way_out}."
        ) from error


def flush_folder(folder: Path) -> None:
    """Flush the entries of a folder to the disk, where the system can do that (not on Windows)."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        return
    finally:
        os.close(handle)


def _make(folder: Path) -> None:
    """Make a folder; a name that no file system can hold (a null character) is an `OSError` too."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except ValueError as error:
        raise OSError(errno.EINVAL, str(error)) from error


def _remove(aside: Path) -> None:
    """Remove what was written aside."""
    if aside.is_dir():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
