"""Speed of turning polygons into cells: against h3-py, and the hectares of a country."""

from __future__ import annotations

import time

import h3.api.numpy_int as h3_numpy
import numpy as np
import shapely

from sdm_core import regions
from sdm_core.benchmarks.timing import Comparison, Timing, UnequalResultsError, compare

#: Longitude and latitude of Europe: west, south, east, north.
EUROPE = (-25.0, 34.0, 45.0, 72.0)
RESOLUTION = 7
_FILL_GOAL = 15.0
_WEIGHTING_GOAL_MS = 500.0
#: Part of the area by which hectares may miss the geodesic area of the region.
_AREA_TOLERANCE = 2e-5


def polygon_fill(
    bounds: tuple[float, float, float, float] = EUROPE, resolution: int = RESOLUTION, rounds: int = 1
) -> list[Comparison]:
    """Land of Europe (Natural Earth, as shipped) to the cells whose centre it holds, as sorted uint64.

    The peer is h3-py's `geo_to_cells` in its fastest interface, integers in a numpy array; sorting its result
    is not timed. Both start from the bytes of the outline, so nothing prepared earlier is of use.
    """
    land = shapely.intersection(regions.land_geometry(), shapely.box(*bounds))
    n_cells = len(regions.cells_in_polygon(land, resolution))
    return [
        compare(
            f"Europe land polygon to resolution-{resolution} cells, against h3-py",
            [shapely.to_wkb(land)],
            lambda outline: regions.cells_in_polygon(shapely.from_wkb(outline), resolution),
            lambda outline: h3_numpy.geo_to_cells(shapely.from_wkb(outline), resolution),
            lambda ours, peer: np.array_equal(ours, np.sort(peer)),
            goal=_FILL_GOAL,
            equal="the same set of cells",
            rounds=rounds,
            details={"n_cells": n_cells, "n_vertices": int(shapely.get_num_coordinates(land))},
        )
    ]


def area_weighted_hectares(
    place: str = "Spain", resolution: int = RESOLUTION, rounds: int = 7
) -> list[Timing]:
    """Cells of a country with the hectares of each that lie inside, out of those of an atlas around it.

    Raises `UnequalResultsError` when the hectares do not add up to the geodesic area of the country.
    """
    region = regions.region_from_place(place)
    west, south, east, north = region.bounds
    around = shapely.box(west - 1.0, south - 1.0, east + 1.0, north + 1.0)
    cells = regions.cells_in_polygon(around, resolution)
    quantum = regions.hectare_quantum(resolution)
    hectares = np.rint(regions.cell_area_km2(cells) * 100.0 / quantum) * quantum
    lonlat = regions.cells_to_lonlat(cells)
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        chosen = regions.select_cells(region, lonlat, resolution, cells, hectares, "area_weighted")
        times.append((time.perf_counter() - start) * 1000.0)
    error = float(chosen.hectares.sum()) / 100.0 / region.area_km2 - 1.0
    if abs(error) > _AREA_TOLERANCE:
        raise UnequalResultsError(f"the hectares of {place} miss its geodesic area by {error:.1e} of it")
    return [
        Timing(
            f"hectares of {place} by resolution-{resolution} cells, cut at the border",
            times,
            _WEIGHTING_GOAL_MS,
            f"they add up to the geodesic area within {_AREA_TOLERANCE:g} of it",
            {"n_cells": len(chosen.rows), "n_atlas_cells": len(cells), "area_error": error},
        )
    ]
