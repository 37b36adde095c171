"""Uploaded zip archives read in memory, after everything that makes an archive dangerous was refused."""

from __future__ import annotations

import io
import re
import stat
import zipfile
import zlib
from pathlib import PurePosixPath

from sdm_core import config
from sdm_core.errors import RegionError, UnsafeArchiveError

#: Files an archive may hold.
MAX_ENTRIES = 1_000
#: How many times its packed size a member above 10 MB may unpack to; outlines pack about tenfold.
MAX_RATIO = 100
_RATIO_FROM_BYTES = 10 * 1024 * 1024
#: Members that belong to a region, the main file of a format first.
MAIN_SUFFIXES = (".shp", ".gpkg", ".geojson", ".json", ".kml")
_SIDE_SUFFIXES = (".shx", ".dbf", ".prj", ".cpg")


def read_archive(data: bytes, filename: str) -> dict[str, bytes]:
    """Members of a zip that a region can be read from, by their path inside it; nothing is written to disk.

    Raises UnsafeArchiveError for paths that leave the archive, links and bombs; RegionError for archives
    that are encrypted, damaged, nested or hold no region, saying what was found.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            _refuse_unsafe(members, filename)
            wanted = [info for info in members if _belongs_to_region(info.filename)]
            if not any(_suffix(info.filename) in MAIN_SUFFIXES for info in wanted):
                raise RegionError(_nothing_found(members, filename))
            if any(info.flag_bits & 0x1 for info in wanted):
                raise RegionError(
                    f"'{filename}' is encrypted; unpack it with its password and upload it without one."
                )
            return {info.filename: _read_member(archive, info) for info in wanted}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError) as error:
        raise RegionError(
            f"'{filename}' is no readable zip archive ({error}); zip the files again."
        ) from error


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """A member, never unpacked beyond the size it declares, which may be a lie (`archive.read` would)."""
    with archive.open(info) as file:
        return file.read(info.file_size + 1)


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _belongs_to_region(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return not hidden and _suffix(name) in (*MAIN_SUFFIXES, *_SIDE_SUFFIXES)


def _refuse_unsafe(members: list[zipfile.ZipInfo], filename: str) -> None:
    if len(members) > MAX_ENTRIES:
        raise UnsafeArchiveError(
            f"'{filename}' holds {len(members):,} files, more than the {MAX_ENTRIES:,} a region archive "
            "may have; "
            "zip only the files of one region."
        )
    total = sum(info.file_size for info in members)
    limit_mb = config.MAX_UNPACKED_BYTES / 1024**2
    if total > config.MAX_UNPACKED_BYTES:
        raise UnsafeArchiveError(
            f"'{filename}' would unpack to {total / 1024**2:,.0f} MB, more than the {limit_mb:,.0f} MB "
            "allowed; "
            "simplify the polygon or keep only the one you need."
        )
    for info in members:
        name = info.orig_filename.replace("\\", "/")
        if name.startswith("/") or re.match(r"^[A-Za-z]:", name) or ".." in name.split("/") or "\0" in name:
            raise UnsafeArchiveError(
                f"'{filename}' holds the path '{clean_path(name)}', which leads out of the archive; "
                "zip the files again without folders."
            )
        if stat.S_ISLNK(info.external_attr >> 16):
            raise UnsafeArchiveError(
                f"'{filename}' holds the link '{clean_path(name)}' instead of a file; zip the files "
                "themselves."
            )
        if info.file_size > _RATIO_FROM_BYTES and info.file_size > MAX_RATIO * max(info.compress_size, 1):
            raise UnsafeArchiveError(
                f"'{filename}' holds '{clean_path(name)}', which unpacks to "
                f"{info.file_size / max(info.compress_size, 1):,.0f} times its size (at most {MAX_RATIO} "
                "is allowed); "
                "zip the original files again."
            )


def clean_path(name: str) -> str:
    """A member's path fit for a message."""
    return re.sub(r"[^\w./: -]", "?", name)[:80]


def _nothing_found(members: list[zipfile.ZipInfo], filename: str) -> str:
    if any(_suffix(info.filename) in (".zip", ".kmz") for info in members):
        return f"'{filename}' holds another zip archive; upload the inner archive itself."
    suffixes = sorted({_suffix(info.filename) or "no suffix" for info in members})
    found = f"only {', '.join(suffixes[:8])} files" if suffixes else "nothing"
    return (
        f"'{filename}' holds no region: it contains {found}; a zipped shapefile needs .shp, .shx, .dbf and "
        ".prj, "
        "and .gpkg, .geojson or .kml may be zipped as well."
    )
