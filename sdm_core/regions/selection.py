"""Which cells belong to a region, and with how much of their area."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from sdm_core.errors import NoDataInRegionError, RegionError
from sdm_core.regions.areas import cell_area_km2, hectare_quantum
from sdm_core.regions.cells import CellArray, cells_to_strings
from sdm_core.regions.fill import cells_in_polygon
from sdm_core.regions.overlap import cells_near_outline, polygon_shares, share_inside
from sdm_core.regions.prepared import prepared_copy
from sdm_core.regions.region import Region, format_lonlat

#: Rules by which cells belong to a region, each with what it does in words ("the cells counted are …").
CONTAINMENT_RULES: dict[str, str] = {
    "centre": "cells whose centre lies inside the outline, each with its whole area",
    "intersect": "cells of which any part lies inside the outline, each with its whole area",
    "area_weighted": (
        "cells of which any part lies inside the outline, each with the part of its area that lies inside"
    ),
}
DEFAULT_CONTAINMENT = "centre"

#: Cells from which a share of the region without predictions is worth a note.
_MIN_CELLS_FOR_COVERAGE = 30
_FULL_COVERAGE = 0.95
#: Region area, in mean cells, up to which a region without a centre inside takes the cell it lies in.
_TINY_IN_CELLS = 6.0
_HECTARES_PER_KM2 = 100.0


@dataclass(frozen=True)
class Selection:
    """Cells of an atlas that belong to a region.

    Attributes:
        rows: rows of the atlas, int64 (n,), ascending.
        hectares: area each row counts with, float64 (n,): the cell's own, or the part inside the region in
            multiples of `hectare_quantum`, so that sums stay exact.
        rule: one of `CONTAINMENT_RULES`.
        notes: what a reader should know of how they were chosen, one sentence each.
    """

    rows: NDArray[np.int64]
    hectares: NDArray[np.float64]
    rule: str
    notes: tuple[str, ...] = ()


def select_cells(
    region: Region,
    lonlat: NDArray[np.float64],
    resolution: int,
    cells: CellArray,
    area_ha: ArrayLike,
    rule: str = DEFAULT_CONTAINMENT,
) -> Selection:
    """Cells of an atlas that lie in a region, by one of the `CONTAINMENT_RULES`.

    Parameters: `lonlat` float64 (n, 2) centres, `cells` uint64 (n,) and `area_ha` (n,) of the atlas,
    sorted by cell, all of one H3 `resolution`.

    By "centre" regions side by side share no cell; one too small to hold a centre takes the atlas cell it
    overlaps most, named in a note. By "area_weighted" they share out the hectares of the cells on their
    border, but for rounding to a quantum (`hectare_quantum`), and the hectares add up to the part of the
    region that the atlas covers; a cell of which less than half a quantum lies inside is left out.

    Raises RegionError for an unknown rule, NoDataInRegionError when the region holds no cell, saying whether
    it lies outside the atlas or on the sea.
    """
    check_containment(rule)
    hectares = np.asarray(area_ha, dtype=np.float64)
    inside = _rows_with_centre_inside(region, lonlat)
    if rule == "centre":
        if len(inside):
            return Selection(inside, hectares[inside], rule, _coverage_note(region, hectares[inside]))
        return _cell_of_tiny_region(region, lonlat, resolution, cells, hectares)
    rows, shares = _rows_with_shares(region, resolution, cells, inside)
    if not len(rows):
        raise NoDataInRegionError(_why_nothing(region, lonlat))
    if rule == "intersect":
        return Selection(rows, hectares[rows], rule, _coverage_note(region, hectares[rows]))
    quantum = hectare_quantum(resolution)
    parts = np.where(shares == 1, hectares[rows], np.rint(shares * hectares[rows] / quantum) * quantum)
    counted = parts > 0
    if not counted.any():
        row = int(rows[np.argmax(shares * hectares[rows])])
        note = (
            f"The region ({region.area_km2 * _HECTARES_PER_KM2:,.4f} ha) holds less than {quantum / 2:g} ha "
            f"of any cell, so {quantum:g} ha of the cell it lies in is counted: "
            f"{_cell_in_words(cells, lonlat, row)}."
        )
        return Selection(np.array([row], dtype=np.int64), np.array([quantum]), rule, (note,))
    return Selection(rows[counted], parts[counted], rule, _coverage_note(region, parts[counted]))


def polygon_cells(geometry: shapely.Geometry, resolution: int, rule: str = DEFAULT_CONTAINMENT) -> CellArray:
    """Cells of a resolution that belong to a polygon by one of the `CONTAINMENT_RULES`, sorted uint64.

    By "centre" there are none in a polygon that holds no centre; the other two rules give the same cells, of
    which `polygon_shares` has the parts inside.
    """
    check_containment(rule)
    return (
        cells_in_polygon(geometry, resolution)
        if rule == "centre"
        else polygon_shares(geometry, resolution)[0]
    )


def check_containment(rule: str) -> None:
    """Raise RegionError, naming the rules there are, for an unknown one."""
    if rule not in CONTAINMENT_RULES:
        raise RegionError(
            f'The containment rule is "{rule}", expected one of {", ".join(CONTAINMENT_RULES)}.'
        )


def _rows_with_centre_inside(region: Region, lonlat: NDArray[np.float64]) -> NDArray[np.int64]:
    west, south, east, north = region.bounds
    longitude, latitude = lonlat[:, 0], lonlat[:, 1]
    near = np.flatnonzero(
        (longitude >= west) & (longitude <= east) & (latitude >= south) & (latitude <= north)
    )
    inside = shapely.contains_xy(prepared_copy(region.geometry), longitude[near], latitude[near])
    return near[inside].astype(np.int64)


def _rows_with_shares(
    region: Region, resolution: int, cells: CellArray, inside: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows of which any part lies inside, ascending, and that share of each; `inside` hold their centre."""
    crossed = _rows_of(cells, cells_near_outline(region.geometry, resolution))
    shares = np.zeros(len(cells))
    shares[inside] = 1.0
    shares[crossed] = share_inside(region.geometry, cells[crossed])
    rows = np.flatnonzero(shares)
    return rows, shares[rows]


def _rows_of(cells: CellArray, wanted: CellArray) -> NDArray[np.int64]:
    """Rows of those of the wanted cells (sorted) that the atlas holds, ascending."""
    if not len(cells):
        return np.zeros(0, dtype=np.int64)
    rows = np.minimum(np.searchsorted(cells, wanted), len(cells) - 1)
    return rows[cells[rows] == wanted]


def _coverage_note(region: Region, hectares: NDArray[np.float64]) -> tuple[str, ...]:
    if len(hectares) < _MIN_CELLS_FOR_COVERAGE:
        return ()
    covered_km2 = float(hectares.sum()) / _HECTARES_PER_KM2
    share = covered_km2 / region.area_km2
    if share >= _FULL_COVERAGE:
        return ()
    covered, whole = (f"{area:,.0f}".replace(",", "\u202f") for area in (covered_km2, region.area_km2))
    return (
        f"Predictions cover {covered} of the region's {whole} km² ({100 * share:.0f} %); "
        "the rest is sea, inland water or outside the atlas.",
    )


def _cell_of_tiny_region(
    region: Region,
    lonlat: NDArray[np.float64],
    resolution: int,
    cells: CellArray,
    hectares: NDArray[np.float64],
) -> Selection:
    mean_cell_km2 = float(cell_area_km2(cells[: min(len(cells), 1000)]).mean()) if len(cells) else 0.0
    if len(cells) and region.area_km2 <= _TINY_IN_CELLS * mean_cell_km2:
        rows = _rows_of(cells, cells_near_outline(region.geometry, resolution))
        overlaps = share_inside(region.geometry, cells[rows]) * hectares[rows]
        if overlaps.any():
            row = int(rows[int(np.argmax(overlaps))])
            note = (
                f"The region ({region.area_km2:,.2f} km²) holds no cell centre, so the cell it lies in is "
                f"used: {_cell_in_words(cells, lonlat, row)}."
            )
            chosen = np.array([row], dtype=np.int64)
            return Selection(chosen, hectares[chosen], "centre", (note,))
    raise NoDataInRegionError(_why_nothing(region, lonlat))


def _cell_in_words(cells: CellArray, lonlat: NDArray[np.float64], row: int) -> str:
    cell = cells[row : row + 1]
    return (
        f"{cells_to_strings(cell)[0]}, {float(cell_area_km2(cell)[0]):,.1f} km² around "
        f"{format_lonlat(float(lonlat[row, 0]), float(lonlat[row, 1]))}"
    )


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
