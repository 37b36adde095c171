"""Cells in a polygon, found from coarse to fine: only cells near its boundary are ever tested one by one."""

from __future__ import annotations

import h3ronpy
import numpy as np
import shapely

from sdm_core.regions.cells import (
    CellArray,
    arrow_to_numpy,
    cells_to_lonlat,
    cells_to_parents,
    check_resolution,
    lonlat_to_cells,
)
from sdm_core.regions.prepared import prepared_copy

#: Mean edge of a cell of resolution 0 in degrees of a great circle; each resolution divides it by √7.
_EDGE_DEG = 11.5
#: Points on a boundary stand this many mean cell edges apart. A boundary that parts the centres of two
#: neighbours crosses the line between them, whose surroundings as far as half an edge (a third of a mean edge
#: where cells are squeezed most) are theirs: a point of it, at most half a step away, lies in one of them.
_STEP_IN_EDGES = 0.4


def cells_in_polygon(geometry: shapely.Geometry, resolution: int) -> CellArray:
    """Cells whose centre lies inside a polygon, sorted uint64; the polygon must not leave ±180 and ±90.

    The same cells as h3-py's `h3shape_to_cells`. Where none of a cell's descendants one step above the
    resolution asked for holds a point of the boundary, all their centres, and so those of their children,
    which lie within them, are on the side of the cell's own: it is taken or left as a whole. The others are
    opened, and only centres of the last step are tested one by one.
    """
    check_resolution(resolution)
    if geometry.is_empty:
        return np.empty(0, dtype=np.uint64)
    geometry = prepared_copy(geometry)
    if resolution == 0:
        return _inside(geometry, _base_cells())
    outline = cells_on_outline(geometry, resolution - 1)
    level = _level_larger_than(geometry, resolution - 1)
    open_cells = _base_cells() if level == 0 else np.unique(cells_to_parents(outline, level))
    found = []
    while level < resolution:
        crossed = np.isin(open_cells, np.unique(cells_to_parents(outline, level)), assume_unique=True)
        found.append(_descendants(_inside(geometry, open_cells[~crossed]), resolution))
        level += 1
        open_cells = _descendants(open_cells[crossed], level)
    found.append(_inside(geometry, open_cells))
    return np.sort(np.concatenate(found))


def cells_on_outline(geometry: shapely.Geometry, resolution: int) -> CellArray:
    """Cells met along the boundary of a polygon, sorted; all it crosses are among them or next to them."""
    step_deg = _STEP_IN_EDGES * _EDGE_DEG / 7.0 ** (resolution / 2)
    lines = shapely.get_parts(shapely.boundary(geometry))
    points, line = shapely.get_coordinates(lines, return_index=True)
    steps = np.diff(points, axis=0)
    same = np.diff(line) == 0
    narrowing = np.cos(np.radians(np.minimum(np.abs(points[:-1, 1]), np.abs(points[1:, 1]))))
    length = np.hypot(steps[:, 0] * narrowing, steps[:, 1])
    pieces = np.where(same, np.maximum(1, np.ceil(length / step_deg)), 1).astype(np.int64)
    edge = np.repeat(np.arange(len(steps)), pieces)
    within = (np.arange(len(edge)) - np.repeat(np.cumsum(pieces) - pieces, pieces)) / pieces[edge]
    dense = points[edge] + steps[edge] * np.where(same[edge], within, 0.0)[:, None]
    return np.unique(lonlat_to_cells(dense[:, 0], dense[:, 1], resolution))


def with_neighbours(cells: CellArray) -> CellArray:
    """The cells and all that touch them, sorted."""
    around = arrow_to_numpy(h3ronpy.grid_disk(cells, 1, flatten=True))
    return np.unique(around).astype(np.uint64)


def _inside(geometry: shapely.Geometry, cells: CellArray) -> CellArray:
    lonlat = cells_to_lonlat(cells)
    return cells[shapely.contains_xy(geometry, lonlat[:, 0], lonlat[:, 1])]


def _descendants(cells: CellArray, resolution: int) -> CellArray:
    return arrow_to_numpy(h3ronpy.change_resolution(cells, resolution)).astype(np.uint64)


def _base_cells() -> CellArray:
    """The 122 cells of resolution 0: mode 1, their number in bits 45 to 51, unused digits all ones."""
    return np.uint64(1 << 59) | (np.arange(122, dtype=np.uint64) << np.uint64(45)) | np.uint64((1 << 45) - 1)


def _level_larger_than(geometry: shapely.Geometry, finest: int) -> int:
    """Finest level whose cells are all larger than the polygon, so that one without boundary is outside."""
    west, south, east, north = geometry.bounds
    size_deg = max(north - south, east - west, 1e-9)
    return int(np.clip(np.floor(2.0 * np.log(_EDGE_DEG / 2.0 / size_deg) / np.log(7.0)), 0, finest))
