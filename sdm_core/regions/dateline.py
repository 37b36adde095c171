"""Polygons that cross the date line or hold a pole, cut so that longitudes stay within ±180."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import affinity

#: Sheets of 360° that a ring may reach after its jumps are undone.
_TURNS = range(-3, 4)

#: Degrees above which one edge of a user's outline is read as a jump over the date line: a box drawn round a
#: continent stays what it is, a box from 170 to -170 is twenty degrees wide.
LONGEST_EDGE_DEG = 270.0


def _jumps(ring: NDArray[np.float64], longest_edge_deg: float) -> bool:
    """Whether a closed ring (n, 2) has an edge that jumps over the date line.

    An edge from -180 to 180 is the rim of a world map, unless the ring is a proper one without it.
    """
    spans = np.abs(np.diff(ring[:, 0]))
    full_turn = spans >= 359.999
    if ((spans > longest_edge_deg) & ~full_turn).any():
        return True
    if not full_turn.any():
        return False
    unwrapped, polar = _unwrap(ring, longest_edge_deg)
    return not polar and bool(shapely.Polygon(unwrapped).area > 1e-9)


def _unwrap(ring: NDArray[np.float64], longest_edge_deg: float) -> tuple[NDArray[np.float64], bool]:
    """A closed ring (n, 2) with its jumps undone, and whether it runs round a pole (then closed over it)."""
    longitudes = np.unwrap(ring[:, 0], discont=longest_edge_deg, period=360.0)
    unwrapped = np.column_stack([longitudes, ring[:, 1]])
    turn = longitudes[-1] - longitudes[0]
    if abs(turn) < 180.0:
        return unwrapped, False
    pole = 90.0 if ring[:, 1].mean() >= 0 else -90.0
    along_pole = np.linspace(longitudes[-1], longitudes[0], 9)  # short edges, so that none looks like a jump
    cap = np.column_stack([along_pole, np.full(len(along_pole), pole)])
    return np.vstack([unwrapped, cap, unwrapped[:1]]), True


def crosses_date_line(polygon: shapely.Polygon, longest_edge_deg: float = LONGEST_EDGE_DEG) -> bool:
    """Whether a polygon leaves ±180° of longitude or has an edge longer than allowed."""
    west, _, east, _ = polygon.bounds
    if west < -180.0 or east > 180.0:
        return True
    if east - west <= longest_edge_deg:
        return False
    rings = [polygon.exterior, *polygon.interiors]
    return any(_jumps(shapely.get_coordinates(ring), longest_edge_deg) for ring in rings)


def split_at_date_line(
    polygon: shapely.Polygon, longest_edge_deg: float = LONGEST_EDGE_DEG
) -> tuple[shapely.Geometry, list[str]]:
    """A polygon cut at the date line, with notes on how it was read.

    Three forms are understood: longitudes beyond ±180 (170 to 190), a ring that jumps from 170 to -170,
    and a ring round a pole. A polygon that is none of them comes back unchanged.
    """
    if not crosses_date_line(polygon, longest_edge_deg):
        return polygon, []
    notes = []
    exterior = shapely.get_coordinates(polygon.exterior)
    if _jumps(exterior, longest_edge_deg):
        exterior, polar = _unwrap(exterior, longest_edge_deg)
        notes.append(
            "The outline runs round a pole and was closed over it."
            if polar
            else f"An edge spans more than {longest_edge_deg:.0f}° of longitude, so the region was read as "
            "crossing the date line; "
            "add points along that edge if the long way round is meant."
        )
    else:
        notes.append("The region crosses the date line and was cut there.")
    west, east = exterior[:, 0].min(), exterior[:, 0].max()
    holes = []
    for interior in polygon.interiors:
        hole = shapely.get_coordinates(interior)
        if _jumps(hole, longest_edge_deg):
            hole, _ = _unwrap(hole, longest_edge_deg)
        centre = (hole[:, 0].min() + hole[:, 0].max()) / 2
        shift = 360.0 * np.round(((west + east) / 2 - centre) / 360.0)
        holes.append(hole + np.array([shift, 0.0]))
    whole = shapely.Polygon(exterior, holes)
    if not whole.is_valid:
        whole = shapely.make_valid(whole, method="structure", keep_collapsed=False)
    sheets = []
    for turn in _TURNS:
        if east < turn * 360.0 - 180.0 or west > turn * 360.0 + 180.0:
            continue
        sheet = shapely.intersection(
            whole, shapely.box(turn * 360.0 - 180.0, -90.0, turn * 360.0 + 180.0, 90.0)
        )
        sheets += [affinity.translate(part, -360.0 * turn) for part in polygon_parts(sheet)]
    return (sheets[0] if len(sheets) == 1 else shapely.union_all(sheets)), notes


def polygon_parts(geometry: shapely.Geometry) -> list[shapely.Polygon]:
    """All polygons with area inside a geometry, however deeply it nests collections."""
    found = []
    for part in shapely.get_parts(geometry):
        if isinstance(part, shapely.Polygon):
            if not part.is_empty and part.area > 0:
                found.append(part)
        elif isinstance(part, shapely.MultiPolygon | shapely.GeometryCollection):
            found += polygon_parts(part)
    return found
