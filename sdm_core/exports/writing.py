"""Files that are whole or absent: written aside in the same folder, then renamed."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from sdm_core.errors import ExportError


@contextlib.contextmanager
def refusals_of(path: Path) -> Iterator[None]:
    """Say in one sentence, as an `ExportError`, why the folder or the disk refuses what is written."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        raise ExportError(
            f"{path} cannot be written ({reason}); choose another place or free some space."
        ) from error


@contextlib.contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Name to write under; renamed to `path` when the block ends well, removed when it does not.

    Raises `ExportError` in one sentence when the folder or the disk refuses.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.writing{path.suffix}")
    try:
        with refusals_of(path):
            if path.is_dir():
                raise ExportError(f"{path} is a folder; give the name of a file.")
            path.parent.mkdir(parents=True, exist_ok=True)
            yield aside
            aside.replace(path)
    finally:
        if aside.is_dir():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")
