"""Occurrences from a user's own table or a GBIF download (simple CSV)."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pandas as pd
from pyproj import Transformer
from pyproj.exceptions import CRSError

from sdm_core.errors import OccurrenceError
from sdm_core.occurrences.names import parse_names
from sdm_core.occurrences.reading import find_column, read_table, require_column
from sdm_core.occurrences.table import Cleaner, Occurrences

#: Column names understood without being told, the most specific first.
SPECIES_COLUMNS = (
    "species",
    "scientificName",
    "acceptedScientificName",
    "species name",
    "taxon",
    "taxonName",
    "canonicalName",
    "name",
    "binomial",
    "verbatimScientificName",
)
LONGITUDE_COLUMNS = ("decimalLongitude", "longitude", "long", "lon", "lng")
LATITUDE_COLUMNS = ("decimalLatitude", "latitude", "lat")
DATE_COLUMNS = ("eventDate", "date", "dateIdentified", "observed_on")
UNCERTAINTY_COLUMNS = (
    "coordinateUncertaintyInMeters",
    "uncertainty",
    "coordinate_uncertainty",
    "geoUncertaintyInM",
)
#: Years before herbaria hold dated plants are taken as typing errors.
FIRST_YEAR = 1600


def read_csv(
    path: Path,
    *,
    species: str | None = None,
    longitude: str | None = None,
    latitude: str | None = None,
    date: str | None = None,
    crs: str = "EPSG:4326",
    encoding: str = "utf-8",
    separator: str | None = None,
    max_uncertainty_m: float | None = None,
    years: tuple[int, int] | None = None,
    bounds: tuple[float, float, float, float] | None = None,
) -> Occurrences:
    """Occurrences of a plain CSV, a tab-separated table or a GBIF simple CSV, plain, zipped or gzipped.

    Columns are found by their usual names (Darwin Core first); name them where yours differ.

    Args:
        path: the table, with a header line.
        species: column of the scientific name, with or without author.
        longitude: column of the longitude in degrees (or easting, when `crs` is not degrees).
        latitude: column of the latitude in degrees (or northing).
        date: column of the date.
        crs: coordinate system of the two columns; other than EPSG:4326 is turned into degrees.
        encoding: text encoding of the file.
        separator: field separator; found from the header line when not given.
        max_uncertainty_m: remove records with a stated coordinate uncertainty above this, in metres
            (records that state none are kept).
        years: first and last possible year; other years count as errors (default: 1600 to this year;
            records without a year are kept).
        bounds: west, south, east, north in degrees; records outside are removed, those that would lie inside
            with longitude and latitude exchanged under a rule of their own.

    Returns:
        Columns species, longitude, latitude and, where the file has them, date, year, country, site,
        uncertainty_m, family, gbif_key.

    Raises:
        OccurrenceError: when the file is not a table, a column is missing or nothing is left.
    """
    path = Path(path)
    raw = read_table(path, encoding, separator)
    name = path.name
    species_column = require_column(raw, [species] if species else SPECIES_COLUMNS, "the species name", name)
    x_column = require_column(raw, [longitude] if longitude else LONGITUDE_COLUMNS, "the longitude", name)
    y_column = require_column(raw, [latitude] if latitude else LATITUDE_COLUMNS, "the latitude", name)
    table = pd.DataFrame(
        {
            "name": raw[species_column],
            "longitude": _numbers(raw[x_column]),
            "latitude": _numbers(raw[y_column]),
        }
    )
    optional = {
        "date": [date] if date else DATE_COLUMNS,
        "year": ("year",),
        "uncertainty_m": UNCERTAINTY_COLUMNS,
        "country": ("countryCode", "country"),
        "site": ("site", "plot", "plotID", "eventID", "locality_id"),
        "status": ("occurrenceStatus",),
        "family": ("family",),
        "gbif_key": ("speciesKey", "acceptedTaxonKey", "taxonKey", "gbif_key"),
    }
    for field_name, candidates in optional.items():
        column = find_column(raw.columns, candidates)
        if column is None and field_name == "date" and date is not None:
            require_column(raw, [date], "the date", name)
        if column is not None and column not in (species_column, x_column, y_column):
            table[field_name] = raw[column].str.strip()
    cleaner = Cleaner(table, f"{name} (read {datetime.date.today().isoformat()})", name)
    _clean_coordinates(cleaner, crs, bounds)
    _clean_names(cleaner)
    _clean_status_and_uncertainty(cleaner, max_uncertainty_m)
    _clean_years(cleaner, years)
    keys = [
        column for column in ("species", "longitude", "latitude", "date", "year") if column in cleaner.table
    ]
    cleaner.remove(
        cleaner.table.duplicated(keys),
        "duplicates",
        "The same species at the same coordinates on the same date is kept once.",
    )
    taxa = _taxa(cleaner)
    columns = ["species", "longitude", "latitude", "date", "year", "country", "site", "uncertainty_m"]
    return cleaner.finish([column for column in columns if column in cleaner.table], taxa=taxa)


def _numbers(column: pd.Series) -> pd.Series:
    """Numbers of a text column, decimal commas understood; NaN where there is none."""
    text = column.str.strip()
    values = pd.to_numeric(text, errors="coerce")
    if values.isna().all() and text.str.contains(",", regex=False).any():
        values = pd.to_numeric(text.str.replace(",", ".", regex=False), errors="coerce")
    return values.astype(float)


def _clean_coordinates(cleaner: Cleaner, crs: str, bounds: tuple[float, float, float, float] | None) -> None:
    """Coordinates that are numbers, in range, not 0/0, not exchanged."""
    x, y = cleaner.table["longitude"], cleaner.table["latitude"]
    cleaner.remove(
        ~(np.isfinite(x) & np.isfinite(y)),
        "no coordinates",
        "Longitude or latitude is missing or not a number.",
    )
    if crs.upper() not in ("EPSG:4326", "WGS84", "OGC:CRS84"):
        try:
            transform = Transformer.from_crs(crs, 4326, always_xy=True)
        except CRSError as error:
            raise OccurrenceError(
                f"The coordinate system '{crs}' is not known; name it as EPSG code, for instance 'EPSG:3035'."
            ) from error
        easting, northing = cleaner.table["longitude"].to_numpy(), cleaner.table["latitude"].to_numpy()
        longitude, latitude = transform.transform(easting, northing)
        cleaner.table = cleaner.table.assign(longitude=longitude, latitude=latitude)
    x, y = cleaner.table["longitude"], cleaner.table["latitude"]
    exchanged = (y.abs() > 90) & (y.abs() <= 180) & (x.abs() <= 90)
    if bounds is not None:
        exchanged |= ~_inside(x, y, bounds) & _inside(y, x, bounds)
    cleaner.remove(
        exchanged,
        "longitude and latitude exchanged",
        "The record only makes sense with longitude and latitude exchanged; it is removed, not guessed.",
    )
    x, y = cleaner.table["longitude"], cleaner.table["latitude"]
    cleaner.remove(
        ~((x.abs() <= 180) & (y.abs() <= 90)),
        "coordinates out of range",
        "Longitude must be within ±180 and latitude within ±90 degrees.",
    )
    x, y = cleaner.table["longitude"], cleaner.table["latitude"]
    cleaner.remove(
        (x == 0) & (y == 0), "coordinates 0, 0", "Zero longitude and latitude stand for a missing place."
    )
    if bounds is not None:
        x, y = cleaner.table["longitude"], cleaner.table["latitude"]
        cleaner.remove(
            ~_inside(x, y, bounds),
            "outside the area",
            "Only longitude {0:g} to {2:g} and latitude {1:g} to {3:g} was asked for.".format(*bounds),
        )


def _inside(x: pd.Series, y: pd.Series, bounds: tuple[float, float, float, float]) -> pd.Series:
    west, south, east, north = bounds
    return x.between(west, east) & y.between(south, north)


def _clean_names(cleaner: Cleaner) -> None:
    """Names at species level, counted by what was wrong with the others."""
    parsed = parse_names(cleaner.table["name"])
    lost = parsed["rank"][parsed["species"].isna()].value_counts()
    n_merged = int((parsed["rank"] == "infraspecific").sum())
    kinds = ", ".join(f"{count} {rank}" for rank, count in lost.items())
    cleaner.table = cleaner.table.assign(species=parsed["species"])
    cleaner.remove(
        parsed["species"].isna(),
        "not at species level",
        (
            f"Names that do not reach a species are left out ({kinds})."
            if kinds
            else "All names reach a species."
        )
        + (
            f" {n_merged} records of subspecies, varieties or forms count for their species."
            if n_merged
            else ""
        ),
    )


def _clean_status_and_uncertainty(cleaner: Cleaner, max_uncertainty_m: float | None) -> None:
    """Presences only, placed well enough."""
    if "status" in cleaner.table:
        cleaner.remove(
            cleaner.table["status"].str.lower() == "absent",
            "recorded as absent",
            "The record says that the species was not found (occurrenceStatus ABSENT).",
        )
    if "uncertainty_m" in cleaner.table:
        cleaner.table = cleaner.table.assign(uncertainty_m=_numbers(cleaner.table["uncertainty_m"]))
    if max_uncertainty_m is None:
        return
    if "uncertainty_m" not in cleaner.table:
        raise OccurrenceError(
            f"{cleaner.name} has no column for the coordinate uncertainty, so the limit of "
            f"{max_uncertainty_m:g} m cannot be applied; expected one named "
            "'coordinateUncertaintyInMeters'."
        )
    uncertainty = cleaner.table["uncertainty_m"]
    cleaner.remove(
        uncertainty > max_uncertainty_m,
        "coordinates too uncertain",
        f"The stated uncertainty is above {max_uncertainty_m:g} m; {int(uncertainty.isna().sum())} records "
        "state none and are kept.",
    )


def _clean_years(cleaner: Cleaner, years: tuple[int, int] | None) -> None:
    """Years that are possible, as a nullable whole number."""
    if "year" in cleaner.table:
        year = pd.to_numeric(cleaner.table["year"], errors="coerce")
        year = year.where(year == year.round()).astype("Int64")
    elif "date" in cleaner.table:
        year = pd.to_numeric(cleaner.table["date"].str.extract(r"(?<!\d)(\d{4})(?!\d)")[0], errors="coerce")
        year = year.astype("Int64")
    else:
        return
    first, last = years or (FIRST_YEAR, datetime.date.today().year)
    cleaner.table = cleaner.table.assign(year=year)
    cleaner.remove(
        ((year < first) | (year > last)).fillna(False).to_numpy(bool),
        "impossible years",
        f"Only years {first} to {last} are possible; records without a year are kept.",
    )


def _taxa(cleaner: Cleaner) -> pd.DataFrame | None:
    """Family and GBIF key of each species, the most frequent where records differ."""
    columns = [column for column in ("family", "gbif_key") if column in cleaner.table]
    if not columns:
        return None
    groups = cleaner.table.groupby("species", sort=True)
    taxa = pd.DataFrame(
        {
            column: groups[column].agg(lambda values: values[values != ""].mode().get(0, ""))
            for column in columns
        }
    ).reset_index()
    if "gbif_key" in taxa:
        taxa["gbif_key"] = pd.to_numeric(taxa["gbif_key"], errors="coerce").astype("Int64")
    return taxa
