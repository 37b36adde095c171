"""Extent of occurrence and area of occupancy of observed records, as the IUCN defines them.

IUCN Standards and Petitions Committee (2024), Guidelines for using the Red List Categories and Criteria 16,
sections 4.9 and 4.10. Never from a predicted map: a thresholded map is an area of suitable habitat, from
which no category follows (Akçakaya et al. 2006).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd
import pyproj
import shapely
from numpy.typing import ArrayLike, NDArray

from sdm_core.errors import OccurrenceError

#: Side of the squares of an area of occupancy, km.
AOO_CELL_KM = 2.0
#: Upper limits of criterion B, km²: CR, EN, VU.
CRITERION_B: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "EOO": MappingProxyType({"CR": 100.0, "EN": 5_000.0, "VU": 20_000.0}),
        "AOO": MappingProxyType({"CR": 10.0, "EN": 500.0, "VU": 2_000.0}),
    }
)
CRITERION_B_NOTE = (
    "Thresholds of criterion B for information, not a category: a category also needs two of few locations "
    "or severe fragmentation, continuing decline, and extreme fluctuation, and an assessor."
)
#: Columns of a table of observed ranges: unit and meaning.
RANGE_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "species": "scientific name",
        "n_records": "records used",
        "n_places": "distinct places",
        "eoo_km2": "extent of occurrence, never below the area of occupancy",
        "hull_km2": "area of the minimum convex polygon",
        "aoo_km2": "area of occupancy, 2 km squares",
        "n_squares": "number of these squares",
        "eoo_below_threshold": "strictest threshold of criterion B1 the extent is below: no category",
        "aoo_below_threshold": "likewise for the area of occupancy, criterion B2",
        "warnings": "what to know before using the numbers",
    }
)
#: The grid is laid down in so many places each way; the smallest count holds, as the guidelines ask.
_N_SHIFTS = 8
_GEOD = pyproj.Geod(ellps="WGS84")
#: Records further than this from their centre have no convex hull on a plane.
_MAX_ANGLE_DEG = 80.0
_FEW_RECORDS = 10


@dataclass(frozen=True)
class ObservedRange:
    """Range measures of the records of one species.

    Attributes:
        n_records: records used.
        n_places: distinct places among them.
        eoo_km2: area of the minimum convex polygon, never below the area of occupancy; NaN without records.
        hull_km2: area of the polygon itself, 0 for fewer than three places or places in a line.
        aoo_km2: number of occupied 2 km squares × 4 km²; NaN without records.
        n_squares: that number.
        warnings: what to know before using the numbers, one sentence each.
    """

    n_records: int
    n_places: int
    eoo_km2: float
    hull_km2: float
    aoo_km2: float
    n_squares: int
    warnings: tuple[str, ...]

    def thresholds(self) -> dict[str, str]:
        """The strictest threshold of criterion B each measure is under: "CR", "EN", "VU" or "".

        Information only, see `CRITERION_B_NOTE`.
        """
        values = {"EOO": self.eoo_km2, "AOO": self.aoo_km2}
        return {measure: below_threshold(measure, values[measure]) for measure in CRITERION_B}


def below_threshold(measure: str, km2: float) -> str:
    """The strictest threshold of criterion B an "EOO" or "AOO" is under: "CR", "EN", "VU" or "".

    Information only, see `CRITERION_B_NOTE`.
    """
    return next((name for name, limit in CRITERION_B[measure].items() if km2 < limit), "")


def observed_range(lonlat: ArrayLike) -> ObservedRange:
    """EOO and AOO of the records of one species.

    Args:
        lonlat: (n, 2) longitude and latitude in degrees, WGS84.

    Raises:
        OccurrenceError: coordinates that are not pairs, or are missing or off the globe.
    """
    points = np.asarray(lonlat, dtype=np.float64).reshape(-1, 2) if np.size(lonlat) else np.zeros((0, 2))
    if np.size(lonlat) and (np.ndim(lonlat) != 2 or np.shape(lonlat)[1] != 2):
        raise OccurrenceError(
            f"The records have the shape {np.shape(lonlat)}; expected longitude and latitude of each."
        )
    if not (np.isfinite(points).all() and (np.abs(points) <= [360.0, 90.0]).all()):
        raise OccurrenceError(
            "A record has no coordinates, or coordinates off the globe; expected degrees, longitude first."
        )
    places = np.unique(points, axis=0)
    if not len(places):
        return ObservedRange(0, 0, math.nan, math.nan, math.nan, 0, ("There is no record.",))
    n_squares = occupied_squares(places)
    aoo = n_squares * AOO_CELL_KM**2
    warnings = []
    try:
        hull = convex_hull_km2(places)
    except OccurrenceError as error:
        hull = math.nan
        warnings.append(str(error))
    if len(places) < _FEW_RECORDS:
        counted = "1 place" if len(places) == 1 else f"{len(places)} places"
        warnings.append(f"Only {counted}: both measures are too small.")
    if hull < aoo:
        warnings.append(
            f"The convex polygon ({hull:.1f} km²) is smaller than the area of occupancy, so the extent of "
            "occurrence is set to that area."
        )
    warnings.append(
        "The area of occupancy counts recorded squares only, so it grows with every survey; coarse "
        "coordinates (a 10 km square given by its centre) make it too small."
    )
    extent = math.nan if math.isnan(hull) else max(hull, aoo)
    return ObservedRange(len(points), len(places), extent, hull, aoo, n_squares, tuple(warnings))


def observed_ranges(records: pd.DataFrame) -> pd.DataFrame:
    """EOO and AOO of every species of a table of records.

    Args:
        records: columns species, longitude, latitude; rows without coordinates are left out.

    Returns:
        One row per species in alphabetical order, columns `RANGE_COLUMNS`.

    Raises:
        OccurrenceError: coordinates off the globe.
    """
    placed = records.dropna(subset=["species", "longitude", "latitude"])
    rows = []
    for species, own in placed.groupby(placed["species"].astype(str), sort=True):
        found = observed_range(own[["longitude", "latitude"]].to_numpy(np.float64))
        under = found.thresholds()
        values = (
            found.n_records,
            found.n_places,
            found.eoo_km2,
            found.hull_km2,
            found.aoo_km2,
            found.n_squares,
        )
        rows.append((str(species), *values, under["EOO"], under["AOO"], " ".join(found.warnings)))
    return pd.DataFrame(rows, columns=list(RANGE_COLUMNS))


def convex_hull_km2(lonlat: ArrayLike) -> float:
    """Area of the minimum convex polygon around points (n, 2) on the WGS84 ellipsoid, km².

    The hull is taken in a gnomonic projection around the points' centre, where the sides of a polygon on the
    sphere are straight; its area is geodesic. 0 for fewer than three points, or points in a line. The poles
    and the date line need no care.

    Raises:
        OccurrenceError: points that spread over more than a hemisphere.
    """
    points = np.asarray(lonlat, dtype=np.float64)
    centre, angles = _centre(points)
    if angles.max(initial=0.0) > _MAX_ANGLE_DEG:
        raise OccurrenceError(
            "The records spread over more than half of the globe, where no convex polygon is defined; leave "
            "out those that are misplaced."
        )
    plane = pyproj.Proj(proj="gnom", lon_0=centre[0], lat_0=centre[1], R=6_371_000)
    x, y = plane(points[:, 0], points[:, 1])
    hull = shapely.convex_hull(shapely.multipoints(np.column_stack([x, y])))
    if hull.geom_type != "Polygon":
        return 0.0
    corners = shapely.get_coordinates(hull)
    longitude, latitude = plane(corners[:, 0], corners[:, 1], inverse=True)
    area_m2, _ = _GEOD.polygon_area_perimeter(longitude, latitude)
    return abs(area_m2) / 1e6


def occupied_squares(lonlat: ArrayLike, side_km: float = AOO_CELL_KM) -> int:
    """Smallest number of squares of a grid that hold all points (n, 2), over 64 positions of the grid.

    The grid lies in a Lambert azimuthal equal-area projection around the points' centre (WGS84).
    """
    points = np.asarray(lonlat, dtype=np.float64)
    if not len(points):
        return 0
    centre, _ = _centre(points)
    plane = pyproj.Proj(proj="laea", lon_0=centre[0], lat_0=centre[1], ellps="WGS84")
    x, y = plane(points[:, 0], points[:, 1])
    step = side_km * 1_000.0
    squares = np.column_stack([x, y]) / step
    fewest = len(points)
    for shift_x in range(_N_SHIFTS):
        for shift_y in range(_N_SHIFTS):
            columns, rows = np.floor(squares + np.array([shift_x, shift_y]) / _N_SHIFTS).astype(np.int64).T
            fewest = min(fewest, len(np.unique((columns + 2**31) << 32 | (rows + 2**31))))
    return fewest


def _centre(points: NDArray[np.float64]) -> tuple[tuple[float, float], NDArray[np.float64]]:
    """Longitude and latitude of the middle of points on the sphere, and their angles from it in degrees."""
    longitude, latitude = np.radians(points).T
    directions = np.column_stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)]
    )
    middle = directions.mean(axis=0)
    length = float(np.linalg.norm(middle))
    middle = middle / length if length > 1e-9 else directions[0]
    angles = np.degrees(np.arccos(np.clip(directions @ middle, -1.0, 1.0)))
    centre = (
        math.degrees(math.atan2(middle[1], middle[0])),
        math.degrees(math.asin(float(np.clip(middle[2], -1.0, 1.0)))),
    )
    return centre, angles
