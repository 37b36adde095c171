"""The folder of a report: every file is written aside and renamed in, the manifest last.

An earlier report in the same folder stays whole until all new files lie beside it, checked; when
anything fails before that, it is left as it was.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import shutil
import tempfile
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path

from sdm_core.errors import ReportError

logger = logging.getLogger(__name__)

MANIFEST_NAME = "MANIFEST.sha256"
_BLOCK_BYTES = 1 << 20


def file_sha256(path: Path) -> str:
    """SHA-256 of a file as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def write_manifest(folder: Path) -> Path:
    """Write `MANIFEST.sha256` for every file below `folder`, as `sha256sum --check` reads it."""
    lines = [
        f"{file_sha256(path)}  {path.relative_to(folder).as_posix()}\n"
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST_NAME
    ]
    manifest = folder / MANIFEST_NAME
    manifest.write_text("".join(lines), encoding="utf-8")
    return manifest


def read_manifest(folder: Path) -> dict[str, str]:
    """Relative path → SHA-256 of the report in `folder`; empty when there is none.

    Lines that are not a checksum and a path inside the folder are left out.
    """
    manifest = folder / MANIFEST_NAME
    if not manifest.is_file():
        return {}
    listed: dict[str, str] = {}
    for line in manifest.read_text(encoding="utf-8", errors="replace").splitlines():
        digest, separator, name = line.partition("  ")
        parts = Path(name).parts
        if separator and len(digest) == 64 and parts and ".." not in parts and not Path(name).is_absolute():
            listed[name] = digest
    return listed


def verify_manifest(folder: Path) -> list[str]:
    """Names of files listed in the manifest of `folder` that are missing or were changed since."""
    return [
        name
        for name, digest in read_manifest(folder).items()
        if not (folder / name).is_file() or file_sha256(folder / name) != digest
    ]


@contextlib.contextmanager
def staged_folder(out: Path, report_files: Collection[str] | None = None) -> Iterator[Path]:
    """Give a folder to write into; on leaving it, move its files into `out`, or nothing at all on error.

    Files of an earlier report that its manifest lists unchanged and that were not written again are
    removed, so that a folder never mixes the numbers of two reports; every other file stays. A file that
    was edited since, or that no report wrote, is never overwritten: it stays under a free name such as
    `species.kept-1.csv`.

    Args:
        out: the folder.
        report_files: relative names of all files a report may have; a manifest that lists any other
            belongs to something else, such as an atlas, whose files are left alone. None: not checked.

    Raises:
        ReportError: the folder cannot be made or written, holds the manifest of something else, or the disk
            is full.
    """
    foreign = [] if report_files is None else sorted(set(read_manifest(out)) - set(report_files))
    if foreign:
        raise ReportError(
            f"The folder {out} is no earlier report: its {MANIFEST_NAME} lists {foreign[0]}; choose another "
            "folder."
        )
    made = _missing_parents(out)
    try:
        with _disk_errors(out):
            if out.exists() and not out.is_dir():
                raise ReportError(
                    f"The report folder {out} is a file; give the name of a folder, existing or not."
                )
            out.mkdir(parents=True, exist_ok=True)
            staging = Path(tempfile.mkdtemp(prefix=".report-", dir=out))
        try:
            with _disk_errors(out):
                fresh, replaced = staging / "new", staging / "old"
                fresh.mkdir()
                replaced.mkdir()
                yield fresh
                write_manifest(fresh)
                _move_in(fresh, replaced, out)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except BaseException:
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def zip_folder(folder: Path, archive: Path) -> Path:
    """Write the files that the manifests of `folder` and of those below it name, and these, to one zip."""
    temporary = archive.with_name(archive.name + ".part")
    with _disk_errors(archive.parent):
        try:
            with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as bundle:
                for manifest in sorted(folder.rglob(MANIFEST_NAME)):
                    for name in (MANIFEST_NAME, *read_manifest(manifest.parent)):
                        path = manifest.parent / name
                        bundle.write(path, path.relative_to(folder).as_posix())
            temporary.replace(archive)
        finally:
            temporary.unlink(missing_ok=True)
    return archive


def _missing_parents(out: Path) -> list[Path]:
    """`out` and those of its parents that do not exist yet, innermost first."""
    missing = []
    folder = out
    while not folder.exists() and folder != folder.parent:
        missing.append(folder)
        folder = folder.parent
    return missing


def _move_in(fresh: Path, replaced: Path, out: Path) -> None:
    """Rename every file of `fresh` into `out`; put back what was there when one rename fails."""
    new_names = sorted(path.relative_to(fresh) for path in fresh.rglob("*") if path.is_file())
    new_names.sort(key=lambda name: name.name == MANIFEST_NAME)  # the manifest comes last
    earlier = read_manifest(out)
    stale = [
        Path(name)
        for name, digest in earlier.items()
        if Path(name) not in new_names and (out / name).is_file() and file_sha256(out / name) == digest
    ]
    kept: dict[Path, Path] = {}
    moved_out: list[Path] = []
    moved_in: list[Path] = []
    try:
        for name in [*new_names, *stale]:
            if (out / name).is_file():
                if name.name != MANIFEST_NAME and earlier.get(name.as_posix()) != file_sha256(out / name):
                    kept[name] = _free_name(out / name)
                    shutil.copy2(out / name, kept[name])
                (replaced / name).parent.mkdir(parents=True, exist_ok=True)
                _rename(out / name, replaced / name)
                moved_out.append(name)
            if name in stale:
                continue
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            _rename(fresh / name, out / name)
            moved_in.append(name)
    except BaseException:
        for name in moved_in:
            with contextlib.suppress(OSError):
                (out / name).unlink()
        for name in moved_out:
            with contextlib.suppress(OSError):
                _rename(replaced / name, out / name)
        for copy in kept.values():
            with contextlib.suppress(OSError):
                copy.unlink()
        raise
    for name, copy in kept.items():
        logger.warning("%s was not as a report wrote it, and is kept as %s", out / name, copy.name)
    for name in stale:
        with contextlib.suppress(OSError):
            (out / name).parent.rmdir()


def _free_name(path: Path) -> Path:
    """Name beside `path` that no file has."""
    number = 1
    while (free := path.with_name(f"{path.stem}.kept-{number}{path.suffix}")).exists():
        number += 1
    return free


def _rename(source: Path, target: Path) -> None:
    source.replace(target)


@contextlib.contextmanager
def _disk_errors(out: Path) -> Iterator[None]:
    """Turn what the file system refuses into one sentence."""
    try:
        yield
    except OSError as error:
        logger.debug("writing to %s failed", out, exc_info=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ReportError(
                f"The disk that holds {out} is full; free some space or choose another folder. "
                "Nothing was changed."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise ReportError(
                f"The report folder {out} cannot be written; choose a folder you may write to."
            ) from error
        raise ReportError(
            f"The report could not be written to {out} ({error.strerror or error}); choose another folder."
        ) from error


__all__ = [
    "MANIFEST_NAME",
    "file_sha256",
    "read_manifest",
    "staged_folder",
    "verify_manifest",
    "write_manifest",
    "zip_folder",
]
