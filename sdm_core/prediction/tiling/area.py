"""Where cells may be, and the tiles that may hold one."""

from __future__ import annotations

from dataclasses import dataclass

import h3ronpy
import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from sdm_core import regions
from sdm_core.regions.fill import cells_on_outline, with_neighbours
from sdm_core.regions.prepared import prepared_copy

#: Steps below a tile at which its cells are compared with the area.
_STEPS_BELOW = 2


@dataclass(frozen=True, eq=False)
class StudyArea:
    """Where cells may be predicted.

    geometry: longitude, latitude within ±180 and ±90; a cell belongs to it when its centre does.
    on_data_only: whether the raster cell that holds a cell's centre must have data itself, where no outline
    of land says what is land.
    """

    geometry: shapely.Geometry
    on_data_only: bool = False

    def contains(self, lonlat: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each place (n, 2) lies inside, boolean (n,)."""
        if not len(lonlat):
            return np.zeros(0, dtype=bool)
        (west, south), (east, north) = lonlat.min(axis=0), lonlat.max(axis=0)
        around, geometry = shapely.box(west, south, east, north), prepared_copy(self.geometry)
        if shapely.contains_properly(geometry, around):
            return np.ones(len(lonlat), dtype=bool)
        if not shapely.intersects(geometry, around):
            return np.zeros(len(lonlat), dtype=bool)
        inside: NDArray[np.bool_] = shapely.contains_xy(geometry, lonlat[:, 0], lonlat[:, 1])
        return inside


def children_of(tiles: NDArray[np.uint64], resolution: int) -> NDArray[np.uint64]:
    """Cells of tiles at a finer resolution, uint64 ascending."""
    found = pa.array(h3ronpy.change_resolution(np.ascontiguousarray(tiles, dtype=np.uint64), resolution))
    return np.sort(found.to_numpy(zero_copy_only=False).astype(np.uint64))


def tiles_of_area(area: StudyArea, resolution: int, tile_resolution: int) -> NDArray[np.uint64]:
    """Every tile that may hold a cell whose centre lies in the area, ascending; some more at its edge."""
    level = min(resolution, tile_resolution + _STEPS_BELOW)
    inside = regions.cells_in_polygon(area.geometry, level)
    edge = with_neighbours(with_neighbours(cells_on_outline(area.geometry, level)))
    cells = np.concatenate([inside, edge])
    return np.unique(regions.cells_to_parents(cells, tile_resolution))
