"""Opening text tables: encodings, separators and missing columns end in one sentence each."""

from __future__ import annotations

import csv
import difflib
import gzip
import io
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import pandas as pd

from sdm_core.errors import OccurrenceError

#: An archive may unpack to this much text.
MAX_TABLE_BYTES = 4_000_000_000
_BINARY_STARTS = {
    b"\x89PNG": "a picture",
    b"%PDF": "a PDF",
    b"\xff\xd8\xff": "a picture",
    b"II*\x00": "a TIFF raster",
    b"MM\x00*": "a TIFF raster",
    b"SQLite": "an SQLite or GeoPackage file",
    b"PAR1": "a Parquet file",
    b"\x89HDF": "an HDF5 file",
}


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """The text of a table file, plain, gzipped or the only table in a zip.

    Raises:
        OccurrenceError: when the file is absent, empty, binary, holds several tables or is not in `encoding`.
    """
    path = Path(path)
    if path.is_dir():
        raise OccurrenceError(f"{path} is a folder; a table file was expected.")
    if not path.is_file():
        raise OccurrenceError(f"There is no occurrence file at {path}; check the path.")
    content = path.read_bytes()
    try:
        if content[:2] == b"\x1f\x8b":
            with gzip.open(path) as file:
                content = _within_limit(file.read(MAX_TABLE_BYTES + 1), path)
        elif content[:4] == b"PK\x03\x04":
            content = _only_table_in_zip(path)
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise OccurrenceError(
            f"{path.name} cannot be unpacked ({error}); download it again or unpack it first."
        ) from error
    for start, kind in _BINARY_STARTS.items():
        if content.startswith(start):
            raise OccurrenceError(
                f"{path.name} is {kind}, not a text table; give a CSV or tab-separated file."
            )
    if not content.strip():
        raise OccurrenceError(f"{path.name} is empty.")
    if b"\x00" in content[:4096] and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise OccurrenceError(
            f"{path.name} is a binary file, not a text table; give a CSV or tab-separated file."
        )
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif content.startswith(b"\xef\xbb\xbf"):
        encoding = "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise OccurrenceError(
            f"{path.name} is not written in {encoding} (byte {error.start} cannot be read); save it as "
            "UTF-8, or name its encoding, for instance encoding='latin-1'."
        ) from error
    except LookupError as error:
        raise OccurrenceError(f"The encoding '{encoding}' is not known; use 'utf-8' or 'latin-1'.") from error


def _only_table_in_zip(path: Path) -> bytes:
    """The bytes of the one table inside a zip."""
    with zipfile.ZipFile(path) as archive:
        members = [
            member
            for member in archive.infolist()
            if not member.is_dir() and member.filename.lower().endswith((".csv", ".txt", ".tsv"))
        ]
        if len(members) != 1:
            names = ", ".join(member.filename for member in members[:4]) or "none"
            raise OccurrenceError(
                f"{path.name} holds {len(members)} tables ({names}); a zip with exactly one .csv, .txt or "
                ".tsv was expected, so unpack it and give the table itself."
            )
        with archive.open(members[0]) as file:
            return _within_limit(file.read(MAX_TABLE_BYTES + 1), path)


def _within_limit(content: bytes, path: Path) -> bytes:
    """The content, unless an archive holds more than a table should."""
    if len(content) > MAX_TABLE_BYTES:
        raise OccurrenceError(
            f"{path.name} unpacks to more than {MAX_TABLE_BYTES / 1e9:g} GB; unpack it and give a part of it."
        )
    return content


def read_table(path: Path, encoding: str = "utf-8", separator: str | None = None) -> pd.DataFrame:
    """All columns as text, empty where the file has nothing; separator found from the header when not given.

    Raises:
        OccurrenceError: as `read_text`, and when rows do not match the header.
    """
    text = read_text(path, encoding)
    header = text.lstrip("\ufeff").split("\n", 1)[0]
    if separator is None:
        counts = {mark: header.count(mark) for mark in ("\t", ",", ";", "|")}
        separator = max(counts, key=lambda mark: counts[mark])
        if counts[separator] == 0:
            raise OccurrenceError(
                f"{Path(path).name} has no comma, tab or semicolon in its first line "
                f"({header.strip()[:60]!r}); a table with a header line was expected."
            )
    # GBIF writes tab-separated tables without quoting, so a lone quote is text there.
    quoting: Literal[0, 3] = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pd.errors.ParserWarning)  # its rows are checked below
            table = pd.read_csv(
                io.StringIO(text),
                sep=separator,
                dtype=str,
                keep_default_na=False,
                quoting=quoting,
                index_col=False,
            )
    except (pd.errors.ParserError, ValueError) as error:
        reason = str(error).strip().replace("\n", " ")
        raise OccurrenceError(
            f"{Path(path).name} cannot be read as a table ({reason}); check that every row has as many "
            "fields as the header."
        ) from error
    _refuse_long_row(text, separator, quoting, len(table.columns), Path(path).name)
    table.columns = pd.Index([str(name).strip().strip('"') for name in table.columns])
    return table


def _refuse_long_row(text: str, separator: str, quoting: Literal[0, 3], n_columns: int, name: str) -> None:
    """Refuse a first row with more fields than the header, which pandas would cut; empty ones are let be."""
    rows = csv.reader(io.StringIO(text.lstrip("\ufeff")), delimiter=separator, quoting=quoting)
    try:
        first = next((row for place, row in enumerate(rows) if place and row), [])
    except csv.Error:
        return
    if any(field.strip() for field in first[n_columns:]):
        raise OccurrenceError(
            f"{name} has {len(first)} fields in its first row and {n_columns} in its header; check that "
            "every row has as many fields as the header."
        )


def find_column(columns: Iterable[str], candidates: Sequence[str]) -> str | None:
    """The first of `candidates` present among `columns`, spelling of case, spaces and underscores apart."""
    plain = {_plain(name): name for name in reversed(list(columns))}
    return next((plain[_plain(name)] for name in candidates if _plain(name) in plain), None)


def require_column(table: pd.DataFrame, candidates: Sequence[str], meaning: str, name: str) -> str:
    """As `find_column`, but an absent column ends in a sentence that names the nearest one.

    Raises:
        OccurrenceError: when no candidate is there.
    """
    found = find_column(table.columns, candidates)
    if found is not None:
        return found
    plain = {_plain(column): column for column in table.columns}
    near = [
        plain[match]
        for candidate in candidates
        for match in difflib.get_close_matches(_plain(candidate), plain, n=1, cutoff=0.7)
    ]
    hint = f" (nearest column: '{near[0]}')" if near else ""
    shown = ", ".join(map(str, list(table.columns)[:12]))
    raise OccurrenceError(
        f"{name} has no column for {meaning}{hint}; expected one named '{candidates[0]}', found: {shown}."
    )


def _plain(name: str) -> str:
    return "".join(letter for letter in str(name).lower() if letter.isalnum())
