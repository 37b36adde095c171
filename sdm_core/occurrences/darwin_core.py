"""Darwin Core archives: a zip or a folder whose `meta.xml` says what each table holds."""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

import pandas as pd

from sdm_core.errors import OccurrenceError
from sdm_core.occurrences.plain import occurrences_of_table
from sdm_core.occurrences.reading import MAX_TABLE_BYTES
from sdm_core.occurrences.table import Occurrences

_MAX_META_BYTES = 5_000_000
#: Files of archives that lost their meta.xml, by the kind of their rows.
_USUAL_NAMES = {
    "Occurrence": ("occurrence", "occurrences"),
    "Event": ("event", "events"),
    "Taxon": ("taxon", "taxa"),
}


@dataclass(frozen=True)
class DarwinCoreTable:
    """One table of an archive.

    Attributes:
        kind: what a row is, the last part of its type: "Occurrence", "Taxon", "Event", "Distribution", …
        rows: text, columns named by the last part of their term (`scientificName`); `id` (in the core) or
            `coreid` (in extensions) links the tables.
    """

    kind: str
    rows: pd.DataFrame = field(repr=False)


@dataclass(frozen=True)
class DarwinCoreArchive:
    """An archive: its core table and the extensions to it."""

    path: Path
    core: DarwinCoreTable
    extensions: tuple[DarwinCoreTable, ...] = ()

    def table(self, kind: str) -> DarwinCoreTable | None:
        """The core or the first extension of a kind, such as "Occurrence"; None without one."""
        return next((table for table in (self.core, *self.extensions) if table.kind == kind), None)


def open_darwin_core(path: Path) -> DarwinCoreArchive:
    """All tables of a Darwin Core archive, zipped or as a folder.

    Delimiters, quotes, encoding, header lines, column numbers, defaults and tables in several files are taken
    from `meta.xml`. A folder without one is read by the usual names of its files (`occurrence.csv`,
    `taxon.csv`, …) and their header lines.

    Source: Darwin Core text guide (TDWG 2009), https://dwc.tdwg.org/text/.

    Raises:
        OccurrenceError: when it is no such archive, is damaged, or names files outside of it.
    """
    path = Path(path)
    files = _ArchiveFiles(path)
    try:
        meta = next((name for name in files.names if PurePosixPath(name).name == "meta.xml"), None)
        if meta is None:
            return _without_meta(path, files)
        return _with_meta(path, files, meta)
    finally:
        files.close()


def read_darwin_core(path: Path, **options: Any) -> Occurrences:
    """Occurrences of a Darwin Core archive, cleaned as `read_csv` cleans a GBIF table.

    In archives of sampling events, places and dates that stand with the event are given to its occurrences.

    Args:
        path: zip, or folder.
        options: as `read_csv`: crs, max_uncertainty_m, years, bounds, species, longitude, latitude, date.

    Raises:
        OccurrenceError: as `open_darwin_core` and `read_csv`, and for a checklist, which has names and no
            places (`read_checklist` reads those).
    """
    archive = open_darwin_core(path)
    rows = occurrence_rows(archive)
    return occurrences_of_table(
        rows, archive.path.name, f"Darwin Core archive {archive.path.name}", **options
    )


def occurrence_rows(archive: DarwinCoreArchive) -> pd.DataFrame:
    """The occurrences of an archive as text, with the places, dates and names that stand with their event.

    Raises:
        OccurrenceError: for an archive without occurrences.
    """
    occurrence = archive.table("Occurrence")
    if occurrence is None:
        advice = " (read_checklist reads its names)" if archive.core.kind == "Taxon" else ""
        raise OccurrenceError(
            f"{archive.path.name} is a Darwin Core archive of {archive.core.kind} rows without occurrences, "
            f"so it has no places{advice}; give an archive with an Occurrence table."
        )
    rows = occurrence.rows
    if archive.core.kind == "Event" and "coreid" in rows:
        event = archive.core.rows.drop_duplicates("id").set_index("id")
        rows = rows.reset_index(drop=True)
        given = event.reindex(rows["coreid"]).fillna("").reset_index(drop=True)
        for column in given.columns:
            own = rows[column] if column in rows else pd.Series("", index=rows.index)
            rows[column] = own.where(own != "", given[column])
    elif archive.core.kind == "Taxon" and "coreid" in rows:
        names = archive.core.rows.drop_duplicates("id").set_index("id")
        if "scientificName" not in rows and "scientificName" in names:
            rows = rows.assign(
                scientificName=names["scientificName"].reindex(rows["coreid"]).fillna("").to_numpy()
            )
    return rows


def read_checklist(path: Path) -> pd.DataFrame:
    """The taxa of a Darwin Core checklist, one row each, as text; columns of extensions come with a prefix.

    Columns: those of the taxa (`taxonID`, `scientificName`, `family`, `taxonRank`, …), then
    `<Extension>.<term>` with the distinct values of the taxon's rows, joined by " | ".

    Raises:
        OccurrenceError: as `open_darwin_core`, and for an archive without taxa.
    """
    archive = open_darwin_core(path)
    taxon = archive.table("Taxon")
    if taxon is None:
        raise OccurrenceError(
            f"{archive.path.name} holds {archive.core.kind} rows and no taxa; a checklist was expected."
        )
    checklist = taxon.rows.copy()
    if "id" not in checklist:
        return checklist
    for extension in archive.extensions:
        if extension is taxon or "coreid" not in extension.rows:
            continue
        rows = extension.rows
        for column in rows.columns.drop("coreid"):
            known = rows.loc[rows[column] != "", ["coreid", column]].drop_duplicates()
            joined = known.groupby("coreid", sort=False)[column].agg(" | ".join)
            checklist[f"{extension.kind}.{column}"] = joined.reindex(checklist["id"]).fillna("").to_numpy()
    return checklist


class _ArchiveFiles:
    """The files of a zip or a folder, by their path inside."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        if path.is_dir():
            self.names = sorted(
                str(file.relative_to(path).as_posix()) for file in path.rglob("*") if file.is_file()
            )
        elif path.is_file():
            try:
                self._zip = zipfile.ZipFile(path)
                self.names = [member.filename for member in self._zip.infolist() if not member.is_dir()]
            except (zipfile.BadZipFile, OSError) as error:
                raise OccurrenceError(
                    f"{path.name} is not a zip or is cut short ({error}); download the archive again."
                ) from error
        else:
            raise OccurrenceError(f"There is no Darwin Core archive at {path}; check the path.")

    def read(self, name: str, limit: int = MAX_TABLE_BYTES) -> bytes:
        """The bytes of one file."""
        if name not in self.names:
            raise OccurrenceError(
                f"meta.xml of {self.path.name} names {name}, which the archive does not hold."
            )
        try:
            if self._zip is None:
                with (self.path / name).open("rb") as file:
                    content = file.read(limit + 1)
            else:
                with self._zip.open(name) as member:
                    content = member.read(limit + 1)
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError) as error:
            raise OccurrenceError(
                f"{name} of {self.path.name} cannot be unpacked ({error}); download the archive again."
            ) from error
        if len(content) > limit:
            raise OccurrenceError(f"{name} of {self.path.name} unpacks to more than {limit / 1e9:g} GB.")
        return content

    def close(self) -> None:
        if self._zip is not None:
            self._zip.close()


def _with_meta(path: Path, files: _ArchiveFiles, meta: str) -> DarwinCoreArchive:
    """The archive as its meta.xml describes it."""
    content = files.read(meta, _MAX_META_BYTES)
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise OccurrenceError(f"meta.xml of {path.name} declares entities, which no archive needs; refused.")
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise OccurrenceError(f"meta.xml of {path.name} is not readable XML ({error}).") from error
    core = next((node for node in root if _local(node.tag) == "core"), None)
    if core is None:
        raise OccurrenceError(f"meta.xml of {path.name} names no core table; it is no Darwin Core archive.")
    folder = PurePosixPath(meta).parent
    extensions = [node for node in root if _local(node.tag) == "extension"]
    return DarwinCoreArchive(
        path,
        _described(files, folder, core, "id"),
        tuple(_described(files, folder, node, "coreid") for node in extensions),
    )


def _local(name: str) -> str:
    """The last part of a tag or term: after the namespace, the slash or the hash."""
    return name.rsplit("}", 1)[-1].rstrip("/#").replace("#", "/").rsplit("/", 1)[-1]


def _escaped(text: str) -> str:
    r"""A delimiter as meta.xml writes it: \t, \n and \r stand for themselves."""
    return text.replace("\\t", "\t").replace("\\n", "\n").replace("\\r", "\r")


def _described(
    files: _ArchiveFiles, folder: PurePosixPath, node: ElementTree.Element, link: str
) -> DarwinCoreTable:
    """A table as a <core> or <extension> describes it."""
    name = files.path.name
    kind = _local(node.get("rowType", ""))
    separator = _escaped(node.get("fieldsTerminatedBy", ","))
    quote = _escaped(node.get("fieldsEnclosedBy", '"'))
    encoding = node.get("encoding", "UTF-8") or "UTF-8"
    try:
        n_header = int(node.get("ignoreHeaderLines", "0") or 0)
        link_node = next((child for child in node if _local(child.tag) == link), None)
        columns = {int(link_node.get("index", "0")): link} if link_node is not None else {}
        defaults: dict[str, str] = {}
        also_link: list[str] = []
        for child in node:
            if _local(child.tag) != "field":
                continue
            term = _local(child.get("term", ""))
            if child.get("default") is not None:
                defaults[term] = child.get("default", "")
            index = child.get("index")
            if index is not None and columns.setdefault(int(index), term) == link:
                also_link.append(term)
    except ValueError as error:
        raise OccurrenceError(f"meta.xml of {name} has a column number that is none ({error}).") from error
    locations = [child.text or "" for child in node.iter() if _local(child.tag) == "location"]
    if not locations or len(separator) != 1:
        raise OccurrenceError(
            f"meta.xml of {name} names no file for its {kind} rows, or separates fields by {separator!r}; "
            "one character was expected."
        )
    parts = []
    for location in locations:
        inside = PurePosixPath(location.strip())
        if inside.is_absolute() or ".." in inside.parts:
            raise OccurrenceError(f"meta.xml of {name} names {location}, which lies outside of the archive.")
        text = _decoded(files.read(str(folder / inside)), encoding, f"{location} of {name}")
        parts.append(_parsed(text, separator, quote, n_header, columns, f"{location} of {name}"))
    rows = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]
    for term, value in defaults.items():
        rows[term] = rows[term].where(rows[term] != "", value) if term in rows else value
    for term in also_link:
        rows[term] = rows[link]
    return DarwinCoreTable(kind, rows)


def _decoded(content: bytes, encoding: str, name: str) -> str:
    try:
        return content.decode(encoding).lstrip("\ufeff")
    except LookupError as error:
        raise OccurrenceError(
            f"{name} is said to be in the encoding {encoding}, which is not known."
        ) from error
    except UnicodeDecodeError as error:
        raise OccurrenceError(
            f"{name} is not written in {encoding} as meta.xml says (byte {error.start} cannot be read)."
        ) from error


def _parsed(
    text: str, separator: str, quote: str, n_header: int, columns: dict[int, str], name: str
) -> pd.DataFrame:
    """Rows of text with the columns of meta.xml."""
    try:
        table = pd.read_csv(
            io.StringIO(text),
            sep=separator,
            header=None,
            skiprows=n_header,
            dtype=str,
            keep_default_na=False,
            quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
            quotechar=quote or '"',
            index_col=False,
        )
    except pd.errors.EmptyDataError:
        table = pd.DataFrame({number: pd.Series(dtype=str) for number in columns})
    except (pd.errors.ParserError, ValueError) as error:
        reason = str(error).strip().replace("\n", " ")
        raise OccurrenceError(f"{name} cannot be read as meta.xml describes it ({reason}).") from error
    beyond = [number for number in columns if number >= table.shape[1]]
    if beyond:
        raise OccurrenceError(
            f"{name} has {table.shape[1]} columns but meta.xml puts {columns[beyond[0]]} in column "
            f"{beyond[0] + 1}; the delimiter or the file is another one."
        )
    rows = table[sorted(columns)].fillna("")
    return rows.set_axis([columns[number] for number in sorted(columns)], axis=1)


def _without_meta(path: Path, files: _ArchiveFiles) -> DarwinCoreArchive:
    """The archive by the usual names of its files, whose header lines are taken as terms."""
    tables: dict[str, pd.DataFrame] = {}
    for name in files.names:
        inside = PurePosixPath(name)
        if inside.suffix.lower() in (".csv", ".txt", ".tsv"):
            kind = next((kind for kind, usual in _USUAL_NAMES.items() if inside.stem.lower() in usual), None)
            text = _decoded(files.read(name), "utf-8", f"{name} of {path.name}")
            header = text.split("\n", 1)[0]
            separator = max("\t,;", key=header.count)
            terms = next(csv.reader([header.strip()], delimiter=separator))
            columns = {number: _local(term) for number, term in enumerate(terms)}
            if kind is None and not {"taxonID", "eventID", "occurrenceID", "id"} & set(columns.values()):
                continue
            quote = "" if separator == "\t" else '"'
            tables[kind or inside.stem.capitalize()] = _parsed(
                text, separator, quote, 1, columns, f"{name} of {path.name}"
            )
    core = next((kind for kind in ("Event", "Occurrence", "Taxon") if kind in tables), None)
    if core is None:
        raise OccurrenceError(
            f"{path.name} has no meta.xml and no occurrence, event or taxon table; it is no Darwin Core "
            "archive."
        )
    link = {"Event": "eventID", "Occurrence": "occurrenceID", "Taxon": "taxonID"}[core]
    rows = tables.pop(core)
    if link in rows:
        rows = rows.assign(id=rows[link])
    extensions = tuple(
        DarwinCoreTable(kind, table.rename(columns={link: "coreid"}) if link in table else table)
        for kind, table in tables.items()
    )
    return DarwinCoreArchive(path, DarwinCoreTable(core, rows), extensions)
