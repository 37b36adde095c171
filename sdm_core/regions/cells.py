"""H3 cells as uint64 arrays: points to cells, cells to points, parents and outlines.

Everything outside this file speaks longitude, latitude; H3's own order (latitude first) stops here.
Bulk work is done by h3ronpy (the Rust port of H3 4); the tests compare it with the reference library h3-py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import h3ronpy
import h3ronpy.vector as h3_vector
import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import ArrayLike, NDArray

from sdm_core.errors import RegionError
from sdm_core.regions.dateline import split_at_date_line

CellArray = NDArray[np.uint64]

MAX_RESOLUTION = 15


def check_resolution(resolution: int) -> int:
    """The resolution, if H3 has it; raises RegionError for one it has not."""
    if not 0 <= int(resolution) <= MAX_RESOLUTION:
        raise RegionError(
            f"H3 resolution {resolution} does not exist; use a whole number from 0 to {MAX_RESOLUTION}."
        )
    return int(resolution)


def _uint64(cells: ArrayLike) -> CellArray:
    return np.ascontiguousarray(np.atleast_1d(np.asarray(cells, dtype=np.uint64)))


def arrow_to_numpy(arrow: Any) -> NDArray[Any]:
    """A numpy array of an arrow array that has no nulls."""
    return pa.array(arrow).to_numpy(zero_copy_only=False)


def lonlat_to_cells(longitude: ArrayLike, latitude: ArrayLike, resolution: int) -> CellArray:
    """H3 cell that holds each point.

    Parameters: longitude and latitude in degrees WGS84, shape (n,); longitudes outside ±180 wrap round.
    Returns uint64 (n,). Raises RegionError for a coordinate that is not a number or a latitude outside ±90.
    """
    lon = np.atleast_1d(np.asarray(longitude, dtype=np.float64))
    lat = np.atleast_1d(np.asarray(latitude, dtype=np.float64))
    bad = ~(np.isfinite(lon) & np.isfinite(lat) & (np.abs(lat) <= 90))
    if bad.any():
        first = int(np.argmax(bad))
        raise RegionError(
            f"{int(bad.sum())} of {len(lon)} points have no place on the Earth (the first is longitude "
            f"{lon[first]}, "
            f"latitude {lat[first]}); give longitude, latitude in degrees, in this order."
        )
    return arrow_to_numpy(h3_vector.coordinates_to_cells(lat, lon, check_resolution(resolution))).astype(
        np.uint64
    )


def cells_to_lonlat(cells: ArrayLike) -> NDArray[np.float64]:
    """Centres of cells: float64 (n, 2), longitude then latitude, degrees WGS84."""
    batch = pa.record_batch(h3_vector.cells_to_coordinates(_uint64(cells)))
    return np.column_stack([batch["lng"].to_numpy(), batch["lat"].to_numpy()])


def cell_resolutions(cells: ArrayLike) -> NDArray[np.uint8]:
    """H3 resolution (0 to 15) of each cell, read from bits 52 to 55 of its index."""
    return ((_uint64(cells) >> np.uint64(52)) & np.uint64(0xF)).astype(np.uint8)


def cells_to_parents(cells: ArrayLike, resolution: int) -> CellArray:
    """Parent of each cell at a coarser (or the same) resolution, uint64 (n,).

    Sets the resolution bits and fills the digits below it with ones, as H3's `cellToParent` does.
    Raises RegionError when a cell is coarser than the resolution asked for.
    """
    parent_resolution = check_resolution(resolution)
    children = _uint64(cells)
    own = cell_resolutions(children)
    if len(own) and int(own.min()) < parent_resolution:
        raise RegionError(
            f"A cell of resolution {int(own.min())} has no parent at resolution {parent_resolution}; "
            "ask for a coarser one."
        )
    digits_below = np.uint64((1 << (3 * (MAX_RESOLUTION - parent_resolution))) - 1)
    without_resolution = children & ~np.uint64(0xF << 52)
    return (without_resolution | np.uint64(parent_resolution << 52)) | digits_below


def valid_cells(cells: ArrayLike) -> NDArray[np.bool_]:
    """Whether each number is the index of an H3 cell, boolean (n,)."""
    return np.asarray(arrow_to_numpy(h3ronpy.cells_valid(_uint64(cells), booleanarray=True)), dtype=bool)


def cell_polygons(cells: ArrayLike) -> NDArray[np.object_]:
    """Outlines of cells as shapely geometries in longitude, latitude, object array (n,).

    A cell across the date line comes as a MultiPolygon cut there, a polar cell reaches the pole, so
    that all coordinates stay within ±180 and ±90.
    """
    binary = arrow_to_numpy(h3_vector.cells_to_wkb_polygons(_uint64(cells)))
    polygons: NDArray[np.object_] = np.asarray(shapely.from_wkb(binary), dtype=object)
    return at_date_line(polygons)


def at_date_line(outlines: NDArray[np.object_]) -> NDArray[np.object_]:
    """The outlines of cells (n,), those across the date line or round a pole cut there, in place."""
    bounds = shapely.bounds(outlines)
    for row in np.flatnonzero((bounds[:, 2] - bounds[:, 0]) > 180.0):
        outlines[row] = split_at_date_line(outlines[row], longest_edge_deg=180.0)[0]
    return outlines


def cells_to_strings(cells: ArrayLike) -> list[str]:
    """Fifteen-digit hexadecimal names of cells, as H3 tools write them."""
    return [f"{cell:x}" for cell in _uint64(cells).tolist()]


def strings_to_cells(names: Iterable[str]) -> CellArray:
    """Cells from their hexadecimal names, uint64 (n,); raises RegionError naming the first that is none."""
    texts: Sequence[str] = [str(name).strip() for name in names]
    numbers = np.zeros(len(texts), dtype=np.uint64)
    for row, text in enumerate(texts):
        try:
            number = int(text, 16)
        except ValueError:
            number = 0
        if not 0 < number < 2**63:
            raise RegionError(
                f"'{text[:40]}' is no H3 cell; a cell is 15 hexadecimal digits such as 861f83647ffffff."
            )
        numbers[row] = number
    valid = valid_cells(numbers)
    if not valid.all():
        first = texts[int(np.argmin(valid))]
        raise RegionError(
            f"'{first[:40]}' is no H3 cell; a cell is 15 hexadecimal digits such as 861f83647ffffff."
        )
    return numbers
