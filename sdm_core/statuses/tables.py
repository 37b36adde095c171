"""CSV files of users, from the bytes on the disk or of an upload to a table of text with its line numbers."""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path

import pandas as pd

from sdm_core.errors import StatusListError

MAX_BYTES = 20_000_000
_SEPARATORS = (",", ";", "\t")
_NOT_TEXT = (b"%PDF", b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"\x89PNG", b"\x1f\x8b")


def content_of(source: Path | str | bytes, name: str, what: str) -> tuple[str, bytes]:
    """Name and content of a file, or of the bytes of an upload called `name`; `what` it is in messages.

    Raises:
        StatusListError: it is absent, a folder, or larger than `MAX_BYTES`.
    """
    if isinstance(source, bytes):
        called, n_bytes = name, len(source)
    elif not str(source).strip():
        raise StatusListError(f"The path of the {what} is empty; give one CSV file.")
    else:
        path = Path(source)
        called = path.name
        if path.is_dir():
            raise StatusListError(f"{path} is a folder; a {what} is one CSV file.")
        if not path.is_file():
            raise StatusListError(f"There is no {what} at {path}; check the path.")
        n_bytes = path.stat().st_size
    if n_bytes > MAX_BYTES:
        raise StatusListError(
            f"{called} has {n_bytes / 1e6:.0f} MB, expected at most {MAX_BYTES / 1e6:.0f}; give only the "
            "species of your area."
        )
    return called, source if isinstance(source, bytes) else Path(source).read_bytes()


def digest_of(content: bytes) -> str:
    """SHA-256 of a content, first 16 digits."""
    return hashlib.sha256(content).hexdigest()[:16]


def text_of(content: bytes, called: str, header: str) -> str:
    """The text of a CSV file in UTF-8 or UTF-16; `header` is the one expected, for messages.

    Raises:
        StatusListError: it is empty, no text, or in another encoding.
    """
    if not content.strip():
        raise StatusListError(f"{called} is empty; a CSV file with the header {header} was expected.")
    if content.startswith(_NOT_TEXT):
        raise StatusListError(
            f"{called} is no text file; save the table as CSV (“CSV UTF-8” in a spreadsheet) and give that."
        )
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise StatusListError(
            f"{called} is not written in UTF-8 (line {line} holds a byte that cannot be read); save it again "
            "as “CSV UTF-8”."
        ) from error
    if "\x00" in text:
        raise StatusListError(f"{called} is no text file; save the table as CSV in UTF-8 and give that.")
    if not text.strip():
        raise StatusListError(f"{called} is empty; a CSV file with the header {header} was expected.")
    return text


def table_of(text: str, called: str, header: str) -> pd.DataFrame:
    """The rows of a CSV text, cells without blanks at their ends; the index is the line in the file.

    Raises:
        StatusListError: the first line has no separator, a row has more or fewer cells than it, a quotation
            mark is never closed, or there is no row.
    """
    first = text.lstrip().split("\n", 1)[0]
    separator = max(_SEPARATORS, key=first.count)
    if not first.count(separator):
        raise StatusListError(
            f"{called} has no comma, semicolon or tab in its first line ({first.strip()[:60]!r}); expected "
            f"the header {header}."
        )
    reader = csv.reader(io.StringIO(text, newline=None), delimiter=separator, strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise StatusListError(
            f"{called} cannot be read as a table ({error}); check its quotation marks."
        ) from error
    if not rows:
        raise StatusListError(f"{called} is empty; a CSV file with the header {header} was expected.")
    names = [cell.strip() for cell in rows[0][1]]
    for number, row in rows[1:]:
        if len(row) != len(names):
            raise StatusListError(
                f"{called} has {len(row)} cells in line {number}, expected {len(names)} as in its header; "
                "put texts that hold a separator in quotation marks."
            )
    cells = [[cell.strip() for cell in row] for _, row in rows[1:]]
    if not cells:
        raise StatusListError(f"{called} holds a header and no taxon; add one line per taxon.")
    table = pd.DataFrame(cells, columns=names, dtype=object)
    table.index = pd.Index([number for number, _ in rows[1:]], name="line")
    return table
