"""One way in for every kind of occurrence file: which kind is it, and who reads it."""

from __future__ import annotations

import difflib
import gzip
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

from sdm_core.errors import OccurrenceError
from sdm_core.occurrences.afliber import read_afliber
from sdm_core.occurrences.cubes import CELL_COLUMNS, read_cube
from sdm_core.occurrences.darwin_core import read_darwin_core
from sdm_core.occurrences.eu_forest import read_eu_forest
from sdm_core.occurrences.geolifeclef import read_geolifeclef
from sdm_core.occurrences.geolifeclef.tables import SITE_COLUMNS as CLEF_SITE_COLUMNS
from sdm_core.occurrences.geolifeclef.tables import SPECIES_COLUMNS as CLEF_SPECIES_COLUMNS
from sdm_core.occurrences.geopackage import MAGIC as GEOPACKAGE
from sdm_core.occurrences.geopackage import read_geopackage
from sdm_core.occurrences.names import parse_name
from sdm_core.occurrences.plain import LATITUDE_COLUMNS, LONGITUDE_COLUMNS, SPECIES_COLUMNS, read_csv
from sdm_core.occurrences.plots import SITE_COLUMNS, read_plots_long, read_plots_wide
from sdm_core.occurrences.reading import find_column
from sdm_core.occurrences.sinr_format import read_sinr
from sdm_core.occurrences.table import Occurrences

_HEADER_BYTES = 1_000_000


def _plots_long(path: Path, **options: Any) -> Occurrences:
    return read_plots_long(path, **options).occurrences()


def _plots_wide(path: Path, **options: Any) -> Occurrences:
    return read_plots_wide(path, **options).occurrences()


#: Name of a format → its reader; the names are what `read_occurrences` and configurations know.
FORMATS: Mapping[str, Callable[..., Occurrences]] = MappingProxyType(
    {
        "csv": read_csv,
        "darwin-core": read_darwin_core,
        "geopackage": read_geopackage,
        "cube": read_cube,
        "geolifeclef": read_geolifeclef,
        "sinr": read_sinr,
        "plots-long": _plots_long,
        "plots-wide": _plots_wide,
        "eu-forest": read_eu_forest,
        "afliber": read_afliber,
    }
)


def read_occurrences(path: Path, format: str | None = None, **options: Any) -> Occurrences:
    """Occurrences of any file or folder we know: by its name of `FORMATS`, or recognised from its content.

    Args:
        path: a table (plain, gzipped, zipped), an archive or a folder.
        format: one of `FORMATS`; recognised when not given.
        options: of the reader of that format.

    Raises:
        OccurrenceError: when the format is unknown or cannot be recognised, and as the reader.
    """
    path = Path(path)
    name = recognise(path) if format is None else format
    if name not in FORMATS:
        near = difflib.get_close_matches(str(name), FORMATS, n=1)
        hint = f" (nearest: '{near[0]}')" if near else ""
        raise OccurrenceError(
            f"No format of occurrences is called '{name}'{hint}; there are {', '.join(FORMATS)}."
        )
    try:
        return FORMATS[name](path, **options)
    except TypeError as error:
        if "unexpected keyword argument" in str(error):
            raise OccurrenceError(f"The format '{name}' has no such option: {error}.") from error
        raise


def recognise(path: Path) -> str:
    """Which of `FORMATS` a file or folder is, by its file names or its header line.

    Raises:
        OccurrenceError: with what was found and what is missing, when it is none of them.
    """
    path = Path(path)
    if path.is_dir():
        return _of_folder(path)
    if not path.is_file():
        raise OccurrenceError(f"There is no occurrence file at {path}; check the path.")
    if path.suffix.lower() == ".npz":
        return "sinr"
    with path.open("rb") as file:
        start = file.read(len(GEOPACKAGE))
    if start == GEOPACKAGE:
        return "geopackage"
    if start[:4] == b"PK\x03\x04":
        try:
            with zipfile.ZipFile(path) as archive:
                inside = {PurePosixPath(name).name for name in archive.namelist()}
        except (zipfile.BadZipFile, OSError) as error:
            raise OccurrenceError(
                f"{path.name} cannot be unpacked ({error}); download it again or unpack it first."
            ) from error
        if "meta.xml" in inside:
            return "darwin-core"
    return _of_columns(header_columns(path), path.name)


def _of_folder(path: Path) -> str:
    files = {file.name.lower() for file in path.iterdir()}
    if "meta.xml" in files or files & {"occurrence.csv", "occurrence.txt", "taxon.csv", "taxon.txt"}:
        return "darwin-core"
    if "derived_cells.csv" in files:
        return "afliber"
    if "train_po" in files:
        raise OccurrenceError(
            f"The folder {path.name} is the NCEAS benchmark, whose regions are read one by one: "
            "read_nceas_region(folder, region)."
        )
    tables = sorted(name for name in files if name.endswith((".csv", ".tsv", ".txt", ".gz", ".zip")))
    hint = f"give the table inside, such as {tables[0]}" if tables else "it holds no table"
    raise OccurrenceError(f"The folder {path.name} is no Darwin Core archive (it has no meta.xml); {hint}.")


def _of_columns(columns: list[str], name: str) -> str:
    """The format of a table with these columns."""

    def has(*candidates: str) -> bool:
        return find_column(columns, candidates) is not None

    placed = has(*LONGITUDE_COLUMNS) and has(*LATITUDE_COLUMNS)
    named = has(*SPECIES_COLUMNS)
    if has("X") and has("Y") and has("EEO", "EOO"):
        return "eu-forest"
    if has(*CELL_COLUMNS, "mgrsCode", "qdgcCode") and has("occurrences", "n", "count"):
        return "cube"
    if placed and has(*CLEF_SPECIES_COLUMNS) and has(*CLEF_SITE_COLUMNS) and not has("scientificName"):
        return "geolifeclef"
    if placed and has("taxon_id") and not named:
        return "sinr"
    if placed and named:
        return "csv"
    n_species = sum(
        parse_name(column.replace(".", " ").replace("_", " ")).species is not None for column in columns
    )
    if has(*SITE_COLUMNS) and not named and n_species >= 2:
        return "plots-wide"
    if has(*SITE_COLUMNS) and named:
        return "plots-long"
    lacking = [
        part
        for part, there in (
            ("the species name (scientificName)", named),
            ("the longitude (decimalLongitude)", has(*LONGITUDE_COLUMNS)),
            ("the latitude (decimalLatitude)", has(*LATITUDE_COLUMNS)),
        )
        if not there
    ]
    raise OccurrenceError(
        f"{name} is none of the occurrence files we know: it has no column for {' nor '.join(lacking)} "
        f"(found: {', '.join(columns[:8])}); rename its columns, or name its format ({', '.join(FORMATS)})."
    )


def header_columns(path: Path) -> list[str]:
    """The columns of a table's header line, without reading the rest.

    Raises:
        OccurrenceError: when it is empty or no text.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(4)
        if start[:2] == b"\x1f\x8b":
            with gzip.open(path) as packed:
                content = packed.read(_HEADER_BYTES)
        elif start == b"PK\x03\x04":
            with zipfile.ZipFile(path) as archive:
                tables = [
                    name for name in archive.namelist() if name.lower().endswith((".csv", ".txt", ".tsv"))
                ]
                if len(tables) != 1:
                    raise OccurrenceError(
                        f"{path.name} holds {len(tables)} tables and no meta.xml; a zip with one table or a "
                        "Darwin Core archive was expected."
                    )
                with archive.open(tables[0]) as member:
                    content = member.read(_HEADER_BYTES)
        else:
            with path.open("rb") as file:
                content = file.read(_HEADER_BYTES)
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise OccurrenceError(f"{path.name} cannot be unpacked ({error}); download it again.") from error
    utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    if not content.strip():
        raise OccurrenceError(f"{path.name} is empty.")
    if b"\x00" in content[:4096] and not utf16:
        raise OccurrenceError(
            f"{path.name} is a binary file, not a text table; give a CSV or tab-separated file."
        )
    text = content.decode("utf-16" if utf16 else "utf-8", errors="replace").lstrip("\ufeff")
    header = text.split("\n", 1)[0].strip("\r")
    separator = max("\t,;|", key=header.count)
    return [column.strip().strip('"') for column in header.split(separator)]
