"""Columns that are found by what they hold, where their name says nothing."""

from __future__ import annotations

import pandas as pd

from sdm_core.occurrences.cleaning import numbers
from sdm_core.occurrences.names import parse_name
from sdm_core.occurrences.plain import LATITUDE_COLUMNS, LONGITUDE_COLUMNS, SPECIES_COLUMNS
from sdm_core.occurrences.plots import SITE_COLUMNS
from sdm_core.occurrences.reading import find_column

#: Names of eastings and northings, in pairs; degrees too where the values fit.
EASTING_COLUMNS = ("x", "easting", "coord_x", "x_coord", "xcoord", "point_x", "rechtswert", "utm_x", "coordx")
NORTHING_COLUMNS = ("y", "northing", "coord_y", "y_coord", "ycoord", "point_y", "hochwert", "utm_y", "coordy")
#: Distinct values looked at, and the share of them that must be names of species.
_N_LOOKED_AT = 200
_SHARE_OF_NAMES = 0.8


def species_column_by_content(table: pd.DataFrame) -> str | None:
    """The column whose values are names of species, the fullest of them; None where there is none.

    table: columns of text. At least four fifths of its first distinct values must read as a species.
    """
    best, best_share = None, 0.0
    for column in table.columns:
        share = _share_of_names(table[column])
        if share >= _SHARE_OF_NAMES and share > best_share:
            best, best_share = str(column), share
    return best


def _share_of_names(values: pd.Series) -> float:
    """Share of the first distinct values of a column that read as a species; 0 where it is empty."""
    values = values.iloc[: 50 * _N_LOOKED_AT]
    distinct = values[values != ""].drop_duplicates().head(_N_LOOKED_AT)
    names = [parse_name(str(text)).species is not None for text in distinct]
    return sum(names) / len(names) if names else 0.0


def with_usual_names(table: pd.DataFrame, projected: bool = False) -> tuple[pd.DataFrame, list[str]]:
    """The table with `species`, `longitude`, `latitude` where they had other names, and a note on each.

    Names of species are found by content; eastings and northings by their names, taken only where the
    coordinate system is stated (`projected`) or every value is a degree.
    """
    notes: list[str] = []
    renamed: dict[str, str] = {}
    named = find_column(table.columns, SPECIES_COLUMNS)
    # A column `name` may as well hold the names of places.
    if named is None or _share_of_names(table[named]) < 1 - _SHARE_OF_NAMES:
        found = species_column_by_content(table)
        if found is not None and found not in (named, find_column(table.columns, SITE_COLUMNS)):
            renamed[found] = "species"
            notes.append(f"Column '{found}' was taken for the species: its values are names of species.")
    placed = [find_column(table.columns, names) for names in (LONGITUDE_COLUMNS, LATITUDE_COLUMNS)]
    if None in placed:
        x, y = (find_column(table.columns, names) for names in (EASTING_COLUMNS, NORTHING_COLUMNS))
        if x is not None and y is not None and (projected or _degrees(table[x], table[y])):
            renamed |= {x: "longitude", y: "latitude"}
            notes.append(f"Columns '{x}' and '{y}' were taken for the coordinates.")
    kept = table.drop(columns=[name for name in renamed.values() if name in table.columns])
    return kept.rename(columns=renamed), notes


def _degrees(x: pd.Series, y: pd.Series) -> bool:
    """Whether every value that is a number can be a longitude and a latitude."""
    longitude, latitude = numbers(x).dropna(), numbers(y).dropna()
    return bool(len(longitude) and longitude.abs().le(180).all() and latitude.abs().le(90).all())
