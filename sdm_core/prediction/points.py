"""Probabilities at points, looked up in the cell that holds each of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from sdm_core import regions
from sdm_core.errors import FlorascopeError
from sdm_core.prediction.store import PredictionStore

#: Layer of an atlas that says where its model applies: above 0 inside, 0 outside.
APPLICABILITY_LAYER = "applicability"
_COORDINATES = {"longitude": 180.0, "latitude": 90.0}


class PointsFileError(FlorascopeError):
    """A file of points cannot be read as longitudes and latitudes."""


def probabilities_at(
    store: PredictionStore, longitude: ArrayLike, latitude: ArrayLike
) -> NDArray[np.float64]:
    """Calibrated probability of every species at points (n_points, n_species).

    A point gets the values of the H3 cell it lies in; NaN where the atlas has no such cell, and where its
    layer `applicability` is 0 or NaN.
    """
    rows = store.rows_of(regions.lonlat_to_cells(longitude, latitude, store.resolution))
    inside = rows >= 0
    if APPLICABILITY_LAYER in store.layer_names:
        inside[inside] = store.layer(APPLICABILITY_LAYER)[rows[inside]] > 0
    values = np.full((len(rows), store.n_species), np.nan)
    values[inside] = store.probabilities(rows[inside])
    return values


def read_points(path: Path) -> pd.DataFrame:
    """Table of points with numeric `longitude` and `latitude` (degrees, WGS84), other columns as text.

    Raises `PointsFileError` naming the line of the first value that is not a coordinate.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except OSError as error:
        raise PointsFileError(f"{path} cannot be read: {error.strerror or error}") from error
    except pd.errors.EmptyDataError as error:
        raise PointsFileError(f"{path} is empty; give a table with longitude, latitude in degrees") from error
    except (ValueError, UnicodeError) as error:
        raise PointsFileError(
            f"{path} is not a CSV table in UTF-8 ({str(error).strip()}); save it as one"
        ) from error
    table.columns = [str(column).strip() for column in table.columns]
    lower = {column.lower(): column for column in reversed(table.columns)}
    for name, limit in _COORDINATES.items():
        if name not in lower:
            raise PointsFileError(
                f"{path} has the columns {', '.join(table.columns)[:200]}, but needs longitude, latitude in "
                "degrees; rename its columns, and separate them by commas"
            )
        text = table[lower[name]]
        numbers = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64)
        wrong = np.flatnonzero(~(np.abs(numbers) <= limit))
        if len(wrong):
            raise PointsFileError(
                f"{path}, line {wrong[0] + 2}: {name} is {text.iloc[wrong[0]]!r}, expected a number from "
                f"{-limit:g} to {limit:g} degrees"
            )
        table[lower[name]] = numbers
        table = table.rename(columns={lower[name]: name})
    if table.empty:
        raise PointsFileError(
            f"{path} has no points below its header; give one longitude and latitude a line"
        )
    return table
