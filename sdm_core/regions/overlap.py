"""How much of each cell lies inside a polygon, as a share of the cell's area on the ellipsoid."""

from __future__ import annotations

import h3ronpy.vector as h3_vector
import numpy as np
import shapely
from numpy.typing import NDArray

from sdm_core.regions.cells import CellArray, arrow_to_numpy, at_date_line
from sdm_core.regions.fill import cells_in_polygon, cells_on_outline, with_neighbours
from sdm_core.regions.geometry import area_segment_deg
from sdm_core.regions.prepared import prepared_copy
from sdm_core.regions.sphere import unit_vectors

_ECCENTRICITY = 0.08181919084262149
#: Shares nearer than this to all of a cell, or below this part of the largest, are rounding of the outlines.
_ROUNDING = 1e-5
#: Edges over more longitude than this are drawn as the great circles they are, in steps of a quarter of it.
_WIDE_EDGE_DEG = 0.5
#: A part of the polygon is halved until it meets so few cells, or has so few points.
_CELLS_PER_PART, _POINTS_PER_PART = 24, 48


def share_inside(geometry: shapely.Geometry, cells: CellArray) -> NDArray[np.float64]:
    """Share of each cell's area that lies inside a polygon, 0 to 1, float64 (n,).

    The polygon's edges are straight in longitude and latitude, as in GeoJSON; cells are cut there, and the
    pieces measured on the equal-area cylinder of the ellipsoid (longitude against authalic height, Snyder
    1987, eq. 3-12), where whole cells and pieces keep their true ratio. Outlines of neighbours share their
    edges, so the shares of a cell in polygons that fill it add up to 1. Shares within 1e-5 of 1 are 1 and
    those below 1e-5 of the largest are 0: a region made of cells has its outline rounded by that much.
    """
    shares = np.zeros(len(cells))
    outlines = _outlines(cells)
    geometry = prepared_copy(geometry)
    touched = shapely.intersects(geometry, outlines)
    covered = touched & shapely.covers(geometry, outlines)
    shares[covered] = 1.0
    cut = np.flatnonzero(touched & ~covered)
    if len(cut):
        pieces = _intersections(geometry, outlines[cut])
        shares[cut] = np.clip(_equal_areas(pieces) / _equal_areas(outlines[cut]), 0.0, 1.0)
    shares[shares < _ROUNDING * shares.max(initial=0.0)] = 0.0
    shares[shares > 1.0 - _ROUNDING] = 1.0
    return shares


def cells_near_outline(geometry: shapely.Geometry, resolution: int) -> CellArray:
    """A sorted set of cells that holds every cell the boundary of a polygon crosses, and few others."""
    return with_neighbours(cells_on_outline(geometry, resolution))


def polygon_shares(geometry: shapely.Geometry, resolution: int) -> tuple[CellArray, NDArray[np.float64]]:
    """Cells of which any part lies inside a polygon, sorted uint64 (n,), and that share of each, (0, 1]."""
    near = cells_near_outline(geometry, resolution)
    whole = np.setdiff1d(cells_in_polygon(geometry, resolution), near, assume_unique=True)
    shares = share_inside(geometry, near)
    cells = np.concatenate([whole, near[shares > 0]])
    order = np.argsort(cells)
    return cells[order], np.concatenate([np.ones(len(whole)), shares[shares > 0]])[order]


def _outlines(cells: CellArray) -> NDArray[np.object_]:
    """Outlines of cells in longitude, latitude, wide edges as great circles, cut at the date line."""
    outlines: NDArray[np.object_] = np.asarray(
        shapely.from_wkb(arrow_to_numpy(h3_vector.cells_to_wkb_polygons(cells))), dtype=object
    )
    points, owner = shapely.get_coordinates(outlines, return_index=True)
    across = np.abs(np.diff(points[:, 0]))
    wide = (np.minimum(across, 360.0 - across) > _WIDE_EDGE_DEG) & (np.diff(owner) == 0)
    for row in np.unique(owner[:-1][wide]):
        outlines[row] = shapely.Polygon(_along_great_circles(points[owner == row]))
    return at_date_line(outlines)


def _along_great_circles(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """A closed ring (n, 2) with points added on the great circles between its corners."""
    corners = unit_vectors(ring)
    dense = [ring[:1]]
    for start, end, first, last in zip(ring[:-1], ring[1:], corners[:-1], corners[1:], strict=True):
        across = abs(end[0] - start[0])
        pieces = max(1, int(np.ceil(4.0 * min(across, 360.0 - across) / _WIDE_EDGE_DEG)))
        ahead = np.arange(1, pieces)[:, None] / pieces
        x, y, z = ((1.0 - ahead) * first + ahead * last).T
        dense += [np.degrees(np.column_stack([np.arctan2(y, x), np.arctan2(z, np.hypot(x, y))])), end[None]]
    return np.concatenate(dense)


def _intersections(geometry: shapely.Geometry, outlines: NDArray[np.object_]) -> NDArray[np.object_]:
    """Parts of the outlines inside a polygon, which is halved first, so that each cut is a small one."""
    bounds = shapely.bounds(outlines)
    pieces = np.empty(len(outlines), dtype=object)
    parts: list[tuple[shapely.Geometry, NDArray[np.int64]]] = [(geometry, np.arange(len(outlines)))]
    while parts:
        part, members = parts.pop()
        if len(members) <= _CELLS_PER_PART or shapely.get_num_coordinates(part) <= _POINTS_PER_PART:
            pieces[members] = shapely.intersection(outlines[members], part)
            continue
        lowest, highest = bounds[members, :2].min(axis=0), bounds[members, 2:].max(axis=0)
        axis = int(np.argmax(highest - lowest))
        order = members[np.argsort(bounds[members, axis], kind="stable")]
        for half in np.array_split(order, 2):
            frame = shapely.box(*bounds[half, :2].min(axis=0), *bounds[half, 2:].max(axis=0))
            parts.append((shapely.intersection(part, frame), half))
    return pieces


def _equal_areas(shapes: NDArray[np.object_]) -> NDArray[np.float64]:
    """Areas (n,) on the equal-area cylinder of WGS84, in units of half its squared semi-major axis."""

    def onto_cylinder(lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
        sine = np.sin(np.radians(lonlat[:, 1]))
        e = _ECCENTRICITY
        height = (1.0 - e**2) * (sine / (1.0 - (e * sine) ** 2) + np.arctanh(e * sine) / e)
        return np.column_stack([np.radians(lonlat[:, 0]), height])

    bounds = shapely.bounds(shapes)
    longest = area_segment_deg(np.nan_to_num(np.maximum(np.abs(bounds[:, 1]), np.abs(bounds[:, 3]))))
    areas: NDArray[np.float64] = shapely.area(
        shapely.transform(shapely.segmentize(shapes, longest), onto_cylinder)
    )
    return areas
