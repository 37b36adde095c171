"""Files a user drops: how large they may be, and packed ones that unpack to far more than they weigh."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from pathlib import Path

from sdm_core import config
from sdm_core.errors import OccurrenceError

#: Suffixes a file of records may have, for file choosers.
RECORD_SUFFIXES = (".csv", ".tsv", ".txt", ".zip", ".gz", ".gpkg")
_MAX_ENTRIES = 10_000
#: A member above the first size may not unpack to more than the second times its packed size.
_RATIO_FROM_BYTES = 10 * 1024**2
_MAX_RATIO = 200
_BLOCK_BYTES = 1 << 20


def check_size(n_bytes: int, name: str) -> None:
    """Refuse a file of records above `config.MAX_RECORDS_BYTES`, or an empty one.

    Raises:
        OccurrenceError: with the size and what to do.
    """
    if n_bytes > config.MAX_RECORDS_BYTES:
        raise OccurrenceError(
            f"'{name}' is {n_bytes / 1024**2:,.0f} MB, more than the "
            f"{config.MAX_RECORDS_BYTES / 1024**2:,.0f} MB a file of records may have; keep the records "
            "around your region, or only the columns species, longitude, latitude and date."
        )
    if n_bytes == 0:
        raise OccurrenceError(f"'{name}' is empty (0 bytes); export the records again.")


def check_packed(path: Path) -> None:
    """Refuse a zip or gzip that would unpack to more than `config.MAX_UNPACKED_BYTES`, before unpacking it.

    Raises:
        OccurrenceError: a bomb, too many files, a file cut short, or one that leads out of its archive.
    """
    with path.open("rb") as file:
        start = file.read(4)
    try:
        if start == b"PK\x03\x04":
            with zipfile.ZipFile(path) as archive:
                _check_members([member for member in archive.infolist() if not member.is_dir()], path.name)
        elif start[:2] == b"\x1f\x8b":
            unpacked = 0
            with gzip.open(path) as packed:
                while block := packed.read(_BLOCK_BYTES):
                    unpacked += len(block)
                    _check_unpacked(unpacked, path.name)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError) as error:
        raise OccurrenceError(
            f"'{path.name}' cannot be unpacked ({error}); pack or download it again."
        ) from error


def _check_members(members: list[zipfile.ZipInfo], name: str) -> None:
    if len(members) > _MAX_ENTRIES:
        raise OccurrenceError(
            f"'{name}' holds {len(members):,} files, more than the {_MAX_ENTRIES:,} an archive of records "
            "may have; pack only the tables."
        )
    # Members are never read beyond the size they declare, so the declared sizes are those that count.
    _check_unpacked(sum(member.file_size for member in members), name)
    for member in members:
        inside = member.filename.replace("\\", "/")
        if inside.startswith("/") or ".." in inside.split("/"):
            raise OccurrenceError(
                f"'{name}' holds a file whose path leads out of the archive; pack the tables again."
            )
        if member.file_size > _RATIO_FROM_BYTES and member.file_size > _MAX_RATIO * max(
            member.compress_size, 1
        ):
            raise OccurrenceError(
                f"'{name}' holds a file that unpacks to "
                f"{member.file_size / max(member.compress_size, 1):,.0f} times its size (at most "
                f"{_MAX_RATIO} is allowed); pack the original tables again."
            )


def _check_unpacked(n_bytes: int, name: str) -> None:
    if n_bytes > config.MAX_UNPACKED_BYTES:
        raise OccurrenceError(
            f"'{name}' unpacks to more than the {config.MAX_UNPACKED_BYTES / 1024**2:,.0f} MB allowed; keep "
            "the records around your region."
        )
