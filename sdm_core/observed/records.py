"""A user's own records and plots, read from one or several files into one table."""

from __future__ import annotations

import hashlib
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from sdm_core.errors import OccurrenceError
from sdm_core.observed.uploads import check_packed, check_size
from sdm_core.occurrences import Occurrences, geopackage_tables, open_darwin_core, read_cube
from sdm_core.occurrences.cubes import CELL_COLUMNS
from sdm_core.occurrences.darwin_core import occurrence_rows
from sdm_core.occurrences.geopackage import MAGIC as GEOPACKAGE
from sdm_core.occurrences.guessing import with_usual_names
from sdm_core.occurrences.names import parse_name
from sdm_core.occurrences.plain import (
    LATITUDE_COLUMNS,
    LONGITUDE_COLUMNS,
    SPECIES_COLUMNS,
    occurrences_of_table,
)
from sdm_core.occurrences.plots import (
    COVER_COLUMNS,
    SITE_COLUMNS,
    CoverScale,
    SiteTable,
    plots_of_long_table,
    plots_of_wide_table,
)
from sdm_core.occurrences.reading import find_column, read_table

#: Columns of every table of records; the last five may be empty.
RECORD_COLUMNS = ("species", "longitude", "latitude", "year", "plot", "cover", "uncertainty_m", "gbif_key")
ACCOUNT_COLUMNS = ("file", "rule", "removed", "left", "note")
#: Columns with numbers of plants or animals of a record.
COUNT_COLUMNS = ("individualCount", "count", "n_individuals", "number", "organismQuantity", "abundance")
#: A site with fewer species than this, as a mean, is a place with a record and no plot.
_SPECIES_OF_A_PLOT = 2
_OTHER_ENCODING = "cp1252"
#: Rules of cleaning that are told although they removed no record.
_TOLD_ANYWAY = ("plots without finds", "sites at several places", "no cover", "no cover stated")


@dataclass(frozen=True, eq=False)
class Records:
    """What was read from a user's files.

    Attributes:
        table: one row per record, columns `RECORD_COLUMNS`: `plot` names the plot whose whole list was
            written down (missing for single records), `cover` is in percent.
        account: what each file held and what each rule of cleaning removed: `ACCOUNT_COLUMNS`.
        files: their names.
        options: how they were read, as options of the report command: (name, value).
        fingerprint: hash of the files and of how they were read.
    """

    table: pd.DataFrame = field(repr=False)
    account: pd.DataFrame = field(repr=False)
    files: tuple[str, ...]
    options: tuple[tuple[str, str], ...]
    fingerprint: str

    @property
    def title(self) -> str:
        """Names of the files in one text."""
        return ", ".join(self.files)

    @property
    def n_records(self) -> int:
        """Number of records left after cleaning."""
        return len(self.table)

    @property
    def n_plots(self) -> int:
        """Number of plots with at least one species."""
        return int(self.table["plot"].nunique())

    @property
    def n_read(self) -> int:
        """Number of records before cleaning."""
        return int(self.account.loc[self.account["rule"] == "records read", "left"].sum())


@dataclass(frozen=True, eq=False)
class _Table:
    """A table of one file, before it is known whether it holds records, finds in plots, or the plots."""

    name: str
    rows: pd.DataFrame
    notes: tuple[str, ...] = ()

    def has(self, candidates: Sequence[str]) -> bool:
        return find_column(self.rows.columns, candidates) is not None

    @property
    def placed(self) -> bool:
        return self.has(LONGITUDE_COLUMNS) and self.has(LATITUDE_COLUMNS)

    @property
    def named(self) -> bool:
        return self.has(SPECIES_COLUMNS)

    @property
    def covers(self) -> bool:
        """Whether a column holds covers; Darwin Core's organismQuantity may hold other quantities."""
        column = find_column(self.rows.columns, COVER_COLUMNS)
        if column is None or column.lower() != "organismquantity":
            return column is not None
        kind = find_column(self.rows.columns, ("organismQuantityType",))
        return kind is not None and bool(
            self.rows[kind].str.contains("cover|braun", case=False, regex=True).any()
        )

    @property
    def wide(self) -> bool:
        columns = [str(name).replace(".", " ").replace("_", " ") for name in self.rows.columns]
        return not self.named and sum(parse_name(name).species is not None for name in columns) >= 2


@dataclass(frozen=True, eq=False)
class _Part:
    """The records of one file, and whether they come from plots whose whole list was written down."""

    name: str
    occurrences: Occurrences
    plots: bool = False


def read_records(
    files: Sequence[Path | tuple[str, bytes]],
    *,
    crs: str | None = None,
    cover_scale: CoverScale | None = None,
) -> Records:
    """Records and plots of a user's files: CSV, tab-separated, GBIF, Darwin Core, cube, GeoPackage.

    Finds that name plots but no coordinates are placed by the table of plots among the other files (or
    layers). Text that is not UTF-8 is read as Windows-1252, with a note. What a rule of cleaning removes is
    counted. Nothing is kept on the disk: uploads lie in a temporary folder while they are read.

    Args:
        files: paths, or names and contents of uploads.
        crs: coordinate system of the coordinates where it is not degrees, or of a GeoPackage without one.
        cover_scale: how covers are written; found from the values when not given.

    Raises:
        OccurrenceError: a file that is too large, empty, no table, without the columns that are needed, or
            with negative counts or covers; each in one sentence.
        MissingCRSError: a GeoPackage that does not say its coordinate system.
    """
    if not files:
        raise OccurrenceError(
            "No file of records was given; choose a CSV, Darwin Core archive or GeoPackage."
        )
    digest = hashlib.blake2b(repr((crs, cover_scale)).encode(), digest_size=16)
    tables: list[_Table] = []
    parts: list[_Part] = []
    names: list[str] = []
    with tempfile.TemporaryDirectory(prefix="florascope-") as folder:
        for number, source in enumerate(files):
            path = _on_disk(source, Path(folder) / str(number))
            names.append(path.name)
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
            check_packed(path)
            found = _read_file(path, crs)
            if isinstance(found, Occurrences):
                parts.append(_Part(path.name, found))
            else:
                tables += found
    if tables or not parts:
        parts += _read_tables(tables, crs, cover_scale)
    return Records(
        pd.concat([_columns(part) for part in parts], ignore_index=True),
        _account(parts, tables),
        tuple(names),
        tuple((name, value) for name, value in (("records-crs", crs), ("cover-scale", cover_scale)) if value),
        digest.hexdigest(),
    )


def _on_disk(source: Path | tuple[str, bytes], folder: Path) -> Path:
    """The path of a file; an upload is written into `folder` under the last part of its name."""
    if isinstance(source, Path):
        if not source.is_file():
            what = "is a folder" if source.is_dir() else "does not exist"
            raise OccurrenceError(
                f"The file of records '{source}' {what}; give a CSV, archive or GeoPackage."
            )
        check_size(source.stat().st_size, source.name)
        return source
    name, content = source
    safe = PurePosixPath(name.replace("\\", "/")).name or "records.csv"
    check_size(len(content), safe)
    folder.mkdir()
    path = folder / safe.replace("\0", "")[-120:]
    path.write_bytes(content)
    return path


def _read_file(path: Path, crs: str | None) -> Occurrences | list[_Table]:
    """Records of a format that knows its columns, else the tables of the file."""
    with path.open("rb") as file:
        start = file.read(len(GEOPACKAGE))
    if start == GEOPACKAGE:
        return [
            _named(f"{path.name}: {layer}", rows, True)
            for layer, rows in geopackage_tables(path, crs).items()
            if len(rows)
        ]
    if start[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(path) as archive:
            if any(PurePosixPath(name).name == "meta.xml" for name in archive.namelist()):
                return [_named(path.name, occurrence_rows(open_darwin_core(path)), crs is not None)]
    rows, notes = _text_table(path)
    table = _named(path.name, rows, crs is not None)
    if table.has((*CELL_COLUMNS, "mgrsCode", "qdgcCode")) and table.has(("occurrences", "n", "count")):
        return read_cube(path)
    return [_Table(table.name, table.rows, (*notes, *table.notes))]


def _text_table(path: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The columns of a text file, and a note where it is not UTF-8."""
    try:
        return read_table(path), ()
    except OccurrenceError as error:
        if not isinstance(error.__cause__, UnicodeDecodeError):
            raise
    note = "The file is not UTF-8 and was read as Windows-1252; check names with accents or ×."
    return read_table(path, _OTHER_ENCODING), (note,)


def _named(name: str, rows: pd.DataFrame, projected: bool) -> _Table:
    renamed, notes = with_usual_names(rows, projected)
    return _Table(name, renamed, tuple(notes))


def _read_tables(tables: Sequence[_Table], crs: str | None, cover_scale: CoverScale | None) -> list[_Part]:
    """Records of the tables; finds without coordinates take those of the table of plots."""
    plots = [t for t in tables if t.placed and t.has(SITE_COLUMNS) and not t.named and not t.wide]
    read: list[_Part] = []
    for table in tables:
        if any(table is other for other in plots):
            continue
        in_degrees = table.name.partition(": ")[2] != ""  # layers of a GeoPackage are in degrees by now
        sites: SiteTable | None = None
        if not table.placed:
            if not (table.has(SITE_COLUMNS) and (table.named or table.wide)):
                if len(tables) > 1 and not table.named:
                    continue
                raise OccurrenceError(_lacking(table))
            if len(plots) != 1:
                found = f"{len(plots)} tables of plots" if plots else "no table of plots"
                raise OccurrenceError(
                    f"'{table.name}' names plots but has no coordinates, and there is {found} beside it; add "
                    "one table with the columns plot, longitude and latitude."
                )
            sites = (plots[0].rows, plots[0].name)
            in_degrees = plots[0].name.partition(": ")[2] != ""
        elif not table.named and not table.wide:
            raise OccurrenceError(_lacking(table))
        system = "EPSG:4326" if in_degrees or crs is None else crs
        read.append(_read_one(table, sites, system, cover_scale))
    if not read:
        raise OccurrenceError(
            _lacking(tables[0]) if tables else "The files hold no table of records; give one with species."
        )
    return read


def _lacking(table: _Table) -> str:
    lacking = [
        words
        for words, there in (
            ("the species (scientificName)", table.named or table.wide),
            ("the longitude (decimalLongitude)", table.has(LONGITUDE_COLUMNS)),
            ("the latitude (decimalLatitude)", table.has(LATITUDE_COLUMNS)),
        )
        if not there
    ]
    found = ", ".join(str(name)[:40] for name in list(table.rows.columns)[:8])
    return (
        f"'{table.name}' has no column for {' nor for '.join(lacking)} (found: {found}); rename its "
        "columns, or add the table that has them."
    )


def _read_one(table: _Table, sites: SiteTable | None, crs: str, cover_scale: CoverScale | None) -> _Part:
    """Records of one table: as plots where it has covers, a column for each species, or plots elsewhere."""
    if table.wide:
        surveys = plots_of_wide_table(table.rows, table.name, sites=sites, cover_scale=cover_scale, crs=crs)
        return _Part(table.name, surveys.occurrences(), True)
    if sites is not None or (table.has(SITE_COLUMNS) and table.covers):
        scale = cover_scale if table.covers else "presence"
        surveys = plots_of_long_table(table.rows, table.name, sites=sites, cover_scale=scale, crs=crs)
        return _Part(table.name, surveys.occurrences(), True)
    read = occurrences_of_table(_absent_where_none(table), table.name, table.name, crs=crs)
    return _Part(table.name, read, _lists_whole_plots(read.table))


def _lists_whole_plots(table: pd.DataFrame) -> bool:
    """Whether the sites of records are plots: more than a place for every record."""
    if "site" not in table:
        return False
    site = table["site"].astype("string").str.strip()
    named = table[(site.fillna("") != "").to_numpy(bool)]
    per_site = named.groupby("site", observed=True)["species"].nunique()
    return bool(len(per_site) and per_site.mean() >= _SPECIES_OF_A_PLOT)


def _absent_where_none(table: _Table) -> pd.DataFrame:
    """The rows, those with a count of 0 marked as absences.

    Raises `OccurrenceError` for negative counts.
    """
    column = find_column(table.rows.columns, COUNT_COLUMNS)
    if column is None:
        return table.rows
    count = pd.to_numeric(table.rows[column], errors="coerce")
    if (count < 0).any():
        row = int(np.flatnonzero((count < 0).to_numpy())[0])
        raise OccurrenceError(
            f"'{table.name}' has the count {table.rows[column].iloc[row]} in row {row + 2} of its column "
            f"'{column}' ({int((count < 0).sum())} such rows); a count is 0 or more, so correct it."
        )
    if not (count == 0).any():
        return table.rows
    status = find_column(table.rows.columns, ("occurrenceStatus",))
    stated = table.rows[status] if status else pd.Series("", index=table.rows.index)
    return table.rows.assign(**{status or "occurrenceStatus": stated.where(count != 0, "absent")})


def _columns(part: _Part) -> pd.DataFrame:
    """The records of one file in the columns `RECORD_COLUMNS`."""
    table, taxa = part.occurrences.table, part.occurrences.taxa
    size = len(table)
    key = pd.Series(pd.NA, index=table.index, dtype="Int64")
    if taxa is not None and "gbif_key" in taxa:
        known = taxa.set_index("species")["gbif_key"]
        key = pd.Series(known.reindex(table["species"].astype(str)).array, index=table.index, dtype="Int64")
    return pd.DataFrame(
        {
            "species": table["species"].astype(str),
            "longitude": table["longitude"].to_numpy(np.float64),
            "latitude": table["latitude"].to_numpy(np.float64),
            "year": table["year"] if "year" in table else pd.array([pd.NA] * size, dtype="Int64"),
            "plot": _plots(part),
            "cover": table["cover"].to_numpy(np.float64) if "cover" in table else np.full(size, np.nan),
            "uncertainty_m": (
                table["uncertainty_m"].to_numpy(np.float64) if "uncertainty_m" in table else np.nan
            ),
            "gbif_key": key,
        }
    )


def _plots(part: _Part) -> pd.Series:
    """The plot of each record, with its file; missing where it belongs to none."""
    table = part.occurrences.table
    if not part.plots:
        return pd.Series(pd.NA, index=table.index, dtype="string")
    site = table["site"].astype("string").str.strip()
    return part.name + ": " + site.where(site.fillna("") != "")


def _account(parts: Sequence[_Part], tables: Sequence[_Table]) -> pd.DataFrame:
    """What each file held and lost; rules that did nothing are left out."""
    notes = {table.name: table.notes for table in tables}
    rows: list[tuple[Any, ...]] = []
    for part in parts:
        name, report = part.name, part.occurrences.report()
        left = int(report["left"].iloc[0])
        rows.append((name, "records read", 0, left, " ".join(notes.get(name, ()))))
        for step in report.iloc[1:].to_dict("records"):
            if step["removed"] or step["rule"] in _TOLD_ANYWAY:
                rows.append((name, *(step[column] for column in ACCOUNT_COLUMNS[1:])))
    return pd.DataFrame(rows, columns=list(ACCOUNT_COLUMNS))
