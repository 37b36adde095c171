"""Which cells of an atlas belong to a region."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from sdm_core.errors import NoDataInRegionError
from sdm_core.regions.areas import cell_area_km2
from sdm_core.regions.cells import (
    CellArray,
    cell_polygons,
    cells_to_strings,
    cells_touching_polygon,
)
from sdm_core.regions.region import Region, format_lonlat

#: Cells from which a share of the region without predictions is worth a note.
_MIN_CELLS_FOR_COVERAGE = 30
_FULL_COVERAGE = 0.95
#: Region area, in mean cells, up to which a region without a centre inside takes the cell it lies in.
_TINY_IN_CELLS = 6.0


def select_rows(
    region: Region, lonlat: NDArray[np.float64], resolution: int, cells: CellArray
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Rows of an atlas that lie in a region, by the centre rule, and notes on how they were chosen.

    Parameters: `lonlat` float64 (n, 2) centres and `cells` uint64 (n,) of the atlas, sorted by cell, all of
    one H3 `resolution`. A cell belongs to the region that holds its centre, so regions side by side share
    none. A region too small to hold a centre takes the atlas cell it overlaps most, named in a note.
    Returns rows int64 in ascending order. Raises NoDataInRegionError when the region holds no cell, saying
    whether it lies outside the atlas or on the sea.
    """
    west, south, east, north = region.bounds
    longitude, latitude = lonlat[:, 0], lonlat[:, 1]
    near = np.flatnonzero(
        (longitude >= west) & (longitude <= east) & (latitude >= south) & (latitude <= north)
    )
    shapely.prepare(region.geometry)
    rows = near[shapely.contains_xy(region.geometry, longitude[near], latitude[near])].astype(np.int64)
    if len(rows):
        return rows, _coverage_note(region, cells[rows])
    return _cell_of_tiny_region(region, lonlat, resolution, cells)


def _coverage_note(region: Region, chosen: CellArray) -> tuple[str, ...]:
    if len(chosen) < _MIN_CELLS_FOR_COVERAGE:
        return ()
    covered_km2 = float(cell_area_km2(chosen).sum())
    share = covered_km2 / region.area_km2
    if share >= _FULL_COVERAGE:
        return ()
    return (
        f"Predictions cover {covered_km2:,.0f} of the region's {region.area_km2:,.0f} km² ({share:.0%}); "
        "the rest is sea, inland water or outside the atlas.",
    )


def _cell_of_tiny_region(
    region: Region, lonlat: NDArray[np.float64], resolution: int, cells: CellArray
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    mean_cell_km2 = float(cell_area_km2(cells[: min(len(cells), 1000)]).mean()) if len(cells) else 0.0
    if len(cells) and region.area_km2 <= _TINY_IN_CELLS * mean_cell_km2:
        touching = cells_touching_polygon(region.geometry, resolution)
        positions = np.searchsorted(cells, touching)
        positions = positions[(positions < len(cells))]
        positions = positions[np.isin(cells[positions], touching)]
        if len(positions):
            overlaps = shapely.area(shapely.intersection(cell_polygons(cells[positions]), region.geometry))
            row = int(positions[int(np.argmax(overlaps))])
            name = cells_to_strings(cells[row : row + 1])[0]
            note = (
                f"The region ({region.area_km2:,.2f} km²) holds no cell centre, so the cell it lies in is "
                f"used: {name}, "
                f"{float(cell_area_km2(cells[row : row + 1])[0]):,.1f} km² around "
                f"{format_lonlat(float(lonlat[row, 0]), float(lonlat[row, 1]))}."
            )
            return np.array([row], dtype=np.int64), (note,)
    raise NoDataInRegionError(_why_nothing(region, lonlat))


def _why_nothing(region: Region, lonlat: NDArray[np.float64]) -> str:
    if not len(lonlat):
        return "The atlas holds no cells; build or download it again."
    inside = region.geometry.representative_point()
    where = f"'{region.name}' (near {format_lonlat(inside.x, inside.y)})"
    (west, south), (east, north) = lonlat.min(axis=0), lonlat.max(axis=0)
    atlas = shapely.box(west, south, east, north)
    if not atlas.intersects(region.geometry):
        swapped = shapely.transform(region.geometry, lambda xy: xy[:, ::-1])
        hint = (
            "; its latitude and longitude look swapped: give longitude first"
            if atlas.intersects(swapped)
            else "; choose a region inside it"
        )
        return (
            f"{where} lies outside the atlas, which covers {format_lonlat(west, south)} to "
            f"{format_lonlat(east, north)}{hint}."
        )
    from sdm_core.regions.basemap import land_share

    if land_share(region.geometry) < 0.05:
        return f"{where} lies in the sea, where no plants are predicted; draw a region that reaches the land."
    return (
        f"{where} lies on land without predictions (the atlas has no data there); "
        "choose a region where the map shows cells."
    )
