"""The cleaning rules that occurrence files of several kinds share, each with its count."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
from pyproj import Transformer
from pyproj.exceptions import CRSError

from sdm_core.errors import OccurrenceError
from sdm_core.occurrences.names import parse_names
from sdm_core.occurrences.table import Cleaner

Bounds = tuple[float, float, float, float]
#: Years before herbaria hold dated plants are taken as typing errors.
FIRST_YEAR = 1600
#: Years beyond are this one, and impossible.
_FAR_YEAR = 1_000_000
#: Flags of GBIF (column `issue`) that together make its `hasGeospatialIssues`.
GEOSPATIAL_ISSUES = (
    "ZERO_COORDINATE",
    "COORDINATE_INVALID",
    "COORDINATE_OUT_OF_RANGE",
    "COUNTRY_COORDINATE_MISMATCH",
)
#: `basisOfRecord` of what does not grow wild at the place today.
NOT_WILD = ("FOSSIL_SPECIMEN", "FOSSILSPECIMEN", "LIVING_SPECIMEN", "LIVINGSPECIMEN")


def numbers(column: pd.Series) -> pd.Series:
    """Numbers of a text column, decimal commas understood; NaN where there is none."""
    text = column.str.strip()
    values = pd.to_numeric(text, errors="coerce")
    if values.isna().all() and text.str.contains(",", regex=False).any():
        values = pd.to_numeric(text.str.replace(",", ".", regex=False), errors="coerce")
    return values.astype(float)


def clean_coordinates(cleaner: Cleaner, crs: str = "EPSG:4326", bounds: Bounds | None = None) -> None:
    """Coordinates that are numbers, in range, not 0/0, not exchanged.

    The cleaner's table has `longitude` and `latitude` as numbers; other systems than degrees are turned into
    degrees.

    Raises:
        OccurrenceError: when the coordinate system is unknown, and when more than half of the records only
            make sense with longitude and latitude exchanged: then the columns are, not the records.
    """
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
        exchanged |= ~inside(x, y, bounds) & inside(y, x, bounds)
    refuse_exchanged_columns(exchanged.to_numpy(bool), cleaner.name)
    cleaner.remove(
        exchanged,
        "longitude and latitude exchanged",
        "The record only makes sense with longitude and latitude exchanged; it is removed, not guessed.",
    )
    x, y = cleaner.table["longitude"], cleaner.table["latitude"]
    far = ~((x.abs() <= 180) & (y.abs() <= 90))
    example = f"{x[far].iloc[0]:g}, {y[far].iloc[0]:g}" if far.any() else ""
    cleaner.remove(
        far,
        "coordinates out of range",
        "Longitude must be within ±180 and latitude within ±90 degrees.",
        f"if numbers such as {example} are metres, name their coordinate system, as in EPSG:25832",
    )
    x, y = cleaner.table["longitude"], cleaner.table["latitude"]
    cleaner.remove(
        (x == 0) & (y == 0), "coordinates 0, 0", "Zero longitude and latitude stand for a missing place."
    )
    if bounds is not None:
        x, y = cleaner.table["longitude"], cleaner.table["latitude"]
        cleaner.remove(
            ~inside(x, y, bounds),
            "outside the area",
            "Only longitude {0:g} to {2:g} and latitude {1:g} to {3:g} was asked for.".format(*bounds),
        )


def refuse_exchanged_columns(exchanged: np.ndarray, name: str) -> None:
    """Stop when more than half of the records have longitude and latitude exchanged."""
    if 2 * int(exchanged.sum()) > len(exchanged):
        raise OccurrenceError(
            f"In {name}, longitude and latitude look swapped: {int(exchanged.sum())} of {len(exchanged)} "
            "records only make sense the other way round; name the two columns the other way round."
        )


def inside(x: pd.Series, y: pd.Series, bounds: Bounds) -> pd.Series:
    """Whether places lie within west, south, east, north."""
    west, south, east, north = bounds
    return x.between(west, east) & y.between(south, north)


def clean_names(cleaner: Cleaner) -> None:
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


def clean_status_and_uncertainty(cleaner: Cleaner, max_uncertainty_m: float | None) -> None:
    """Presences only, wild, placed well enough."""
    if "status" in cleaner.table:
        cleaner.remove(
            cleaner.table["status"].str.lower() == "absent",
            "recorded as absent",
            "The record says that the species was not found (occurrenceStatus ABSENT).",
        )
    if "basis" in cleaner.table:
        cleaner.remove(
            cleaner.table["basis"].str.upper().isin(NOT_WILD),
            "fossil or cultivated",
            "basisOfRecord is a fossil or a living specimen (a garden), not a plant found growing there.",
        )
    _clean_geospatial_issues(cleaner)
    if "uncertainty_m" in cleaner.table:
        cleaner.table = cleaner.table.assign(uncertainty_m=numbers(cleaner.table["uncertainty_m"]))
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


def _clean_geospatial_issues(cleaner: Cleaner) -> None:
    """No records whose coordinates GBIF itself found wrong."""
    flagged = np.zeros(len(cleaner.table), dtype=bool)
    columns = [column for column in ("geospatial_issues", "issues") if column in cleaner.table]
    if not columns:
        return
    if "geospatial_issues" in columns:
        flagged |= (cleaner.table["geospatial_issues"].str.lower() == "true").to_numpy(bool)
    if "issues" in columns:
        wrong = r"\b(?:" + "|".join(GEOSPATIAL_ISSUES) + r")\b"
        flagged |= cleaner.table["issues"].str.contains(wrong, regex=True).to_numpy(bool)
    cleaner.remove(
        flagged,
        "coordinates flagged by GBIF",
        "GBIF flags the place (hasGeospatialIssues, or an issue such as COUNTRY_COORDINATE_MISMATCH).",
    )


def clean_years(cleaner: Cleaner, years: tuple[int, int] | None) -> None:
    """Years that are possible, as a nullable whole number."""
    if "year" in cleaner.table:
        year = pd.to_numeric(cleaner.table["year"], errors="coerce")
        year = year.where(year == year.round()).clip(-_FAR_YEAR, _FAR_YEAR).astype("Int64")
    elif "date" in cleaner.table:
        distinct = cleaner.table["date"].drop_duplicates()
        found = pd.to_numeric(distinct.str.extract(r"(?<!\d)(\d{4})(?!\d)")[0], errors="coerce")
        year = cleaner.table["date"].map(found.set_axis(distinct)).astype("Int64")
    else:
        return
    first, last = years or (FIRST_YEAR, datetime.date.today().year)
    cleaner.table = cleaner.table.assign(year=year)
    cleaner.remove(
        ((year < first) | (year > last)).fillna(False).to_numpy(bool),
        "impossible years",
        f"Only years {first} to {last} are possible; records without a year are kept.",
    )


def taxa_of(cleaner: Cleaner) -> pd.DataFrame | None:
    """Family and GBIF key of each species, the most frequent where records differ."""
    columns = [column for column in ("family", "gbif_key") if column in cleaner.table]
    if not columns:
        return None
    taxa = pd.DataFrame(index=pd.Index(sorted(cleaner.table["species"].unique()), name="species"))
    for column in columns:
        known = cleaner.table.loc[cleaner.table[column] != "", ["species", column]]
        counts = known.value_counts(sort=False).rename("n").reset_index()
        counts = counts.sort_values(["n", column], ascending=[False, True])
        taxa[column] = counts.drop_duplicates("species").set_index("species")[column]
        taxa[column] = taxa[column].fillna("")
    taxa = taxa.reset_index()
    if "gbif_key" in taxa:
        key = pd.to_numeric(taxa["gbif_key"], errors="coerce").astype(float)
        taxa["gbif_key"] = key.where((key == key.round()) & key.between(0, 2**53)).astype("Int64")
    return taxa
