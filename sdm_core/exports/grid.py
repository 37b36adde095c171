"""Grids of square pixels in any coordinate system."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray
from pyproj.exceptions import CRSError
from rasterio import Affine

from sdm_core import config, regions
from sdm_core.errors import ExportError
from sdm_core.exports.layers import DTYPES

#: Pixel sizes tried in degrees: 1, 3, 10, 15, 30, 60, … arc-seconds (30 are 0.9 km at the equator).
PIXEL_SIZES_DEG = (
    1 / 3600,
    1 / 1200,
    1 / 360,
    1 / 240,
    1 / 120,
    1 / 60,
    1 / 30,
    1 / 12,
    1 / 6,
    1 / 3,
    1.0,
)
#: Pixel sizes tried in metres.
PIXEL_SIZES_M = tuple(
    digit * 10.0**power for power in range(5) for digit in (1, 2, 2.5, 5) if digit * 10**power >= 5
)
#: Rows handled at once when files are written; also the side of their blocks.
BLOCK = 512
_SAMPLE_CELLS = 2000
_DEGREES_TO_KM = 111.2
#: Largest distance in degrees between a place and where it lands there and back.
_ROUND_TRIP_DEG = 1e-4


@dataclass(frozen=True)
class PixelSpec:
    """How pixels are asked for.

    crs: coordinate system, anything pyproj knows one by: EPSG code, PROJ or WKT text.
    size: side of a pixel in units of `crs`; None is a round number near a sixth of a cell's width.
    bounds: west, south, east, north in units of `crs`, widened to whole pixels; None is the box round
        the cells.
    dtype: "uint8": round(200 · p) of a probability, nodata 255, coloured, and other layers by a step the file
        states. "float32": the exact values, NaN for none.
    most_pixels: pixels up to which a size is chosen where none is given.
    """

    crs: Any = "EPSG:4326"
    size: float | None = None
    bounds: tuple[float, float, float, float] | None = None
    dtype: str = "uint8"
    most_pixels: int = 50_000_000

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ExportError(f"The data type is {self.dtype!r}, expected {' or '.join(DTYPES)}.")
        if self.size is not None and not (math.isfinite(self.size) and self.size > 0):
            raise ExportError(
                f"The pixel size is {self.size:g}, expected a number above 0 in units of the coordinate "
                "system."
            )


@dataclass(frozen=True)
class Grid:
    """Square pixels aligned to multiples of their size: column i starts at x = (first_column + i) · pixel.

    first_row counts upwards: the upper edge lies at y = first_row · pixel, rows run down from there.
    """

    crs: pyproj.CRS
    pixel: float
    first_column: int
    first_row: int
    width: int
    height: int

    @property
    def transform(self) -> Affine:
        """From column and row to x and y of the upper left corner of a pixel."""
        return Affine(
            self.pixel,
            0.0,
            self.first_column * self.pixel,
            0.0,
            -self.pixel,
            self.first_row * self.pixel,
        )

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north in units of the coordinate system."""
        return (
            self.first_column * self.pixel,
            (self.first_row - self.height) * self.pixel,
            (self.first_column + self.width) * self.pixel,
            self.first_row * self.pixel,
        )

    @property
    def n_pixels(self) -> int:
        """Width times height."""
        return self.width * self.height

    @cached_property
    def x(self) -> NDArray[np.float64]:
        """Centres of columns (width,)."""
        return (self.first_column + np.arange(self.width, dtype=np.float64) + 0.5) * self.pixel

    @cached_property
    def y(self) -> NDArray[np.float64]:
        """Centres of rows (height,), falling."""
        return (self.first_row - np.arange(self.height, dtype=np.float64) - 0.5) * self.pixel

    @property
    def name(self) -> str:
        """The coordinate system as people name it, see `name_of`."""
        return name_of(self.crs)

    def strips(self) -> Iterator[slice]:
        """Rows from the top, `BLOCK` at a time."""
        for top in range(0, self.height, BLOCK):
            yield slice(top, min(top + BLOCK, self.height))


def name_of(crs: pyproj.CRS) -> str:
    """A coordinate system as people name it: EPSG:3035, else by its own name."""
    authority = crs.to_authority(min_confidence=100)
    if authority:
        return ":".join(authority)
    return crs.name if crs.name != "unknown" else "the coordinate system given"


def read_crs(text: Any) -> pyproj.CRS:
    """Coordinate system of an EPSG code, PROJ or WKT text; raises `ExportError` unless it maps the Earth."""
    try:
        crs = pyproj.CRS.from_user_input(text)
    except CRSError as error:
        raise ExportError(
            f"The coordinate system {str(text)[:60]!r} is not known; give one such as EPSG:3035, EPSG:4326 "
            "or a PROJ or WKT text."
        ) from error
    if crs.is_compound:
        crs = next((part for part in crs.sub_crs_list if part.is_projected or part.is_geographic), crs)
    if not (crs.is_projected or crs.is_geographic):
        raise ExportError(
            f"The coordinate system {str(text)[:60]!r} is not one of a flat map or of degrees; choose one "
            "such as EPSG:3035 or EPSG:4326."
        )
    return crs.to_2d()


def make_grid(
    cells: NDArray[np.uint64],
    lonlat: NDArray[np.float64],
    spec: PixelSpec | None = None,
) -> Grid:
    """Grid over some cells of one resolution, or over the bounds asked for.

    Args:
        cells: H3 indices, uint64 (n,), not empty.
        lonlat: their centres, float64 (n, 2), degrees.
        spec: coordinate system, size and bounds; degrees round the hexagons by default.

    Raises:
        ExportError: an unknown or unfit coordinate system, bounds that are none, or more than
            `config.MAX_EXPORT_PIXELS` pixels.
    """
    asked = spec or PixelSpec()
    system, pixel = read_crs(asked.crs), asked.size
    to_map = pyproj.Transformer.from_crs("EPSG:4326", system, always_xy=True)
    centres = _centres_on_map(to_map, lonlat, system)
    west, south, east, north = (
        _box(cells, centres, to_map) if asked.bounds is None else _checked(asked.bounds)
    )
    if pixel is None:
        pixel = _default_pixel(cells, system, (east - west, north - south), asked.most_pixels)
    count = math.ceil((east - west) / pixel) * math.ceil((north - south) / pixel)
    if count > config.MAX_EXPORT_PIXELS:
        raise ExportError(
            f"A grid of {count:,} pixels of {pixel:g} {_unit(system)} is above the limit of "
            f"{config.MAX_EXPORT_PIXELS:,}; choose larger pixels or a smaller region."
        )
    slack = 1e-9  # 0.1 / (1 / 120) is 12.000000000000002
    first_column, last_column = math.floor(west / pixel + slack), math.ceil(east / pixel - slack)
    last_row, first_row = math.floor(south / pixel + slack), math.ceil(north / pixel - slack)
    return Grid(
        system,
        float(pixel),
        first_column,
        first_row,
        max(last_column - first_column, 1),
        max(first_row - last_row, 1),
    )


def _unit(crs: pyproj.CRS) -> str:
    return str(crs.axis_info[0].unit_name)


def _checked(bounds: Sequence[float]) -> tuple[float, float, float, float]:
    west, south, east, north = (float(value) for value in bounds)
    if not (west < east and south < north and all(map(math.isfinite, (west, south, east, north)))):
        raise ExportError(
            f"The bounds are {west:g}, {south:g}, {east:g}, {north:g}; expected west, south, east, north, "
            "west below east and south below north, in units of the coordinate system."
        )
    return west, south, east, north


def _centres_on_map(
    to_map: pyproj.Transformer, lonlat: NDArray[np.float64], crs: pyproj.CRS
) -> NDArray[np.float64]:
    """Centres of cells in the coordinate system (n, 2), checked to come back to where they were."""
    x, y = to_map.transform(lonlat[:, 0], lonlat[:, 1])
    back = to_map.transform(x, y, direction="INVERSE")
    away = np.abs(np.column_stack(back) - lonlat)
    away[:, 0] = np.minimum(away[:, 0], 360.0 - away[:, 0])
    wrong = ~(away.max(axis=1) <= _ROUND_TRIP_DEG)
    if wrong.any():
        raise ExportError(
            f"A map in {name_of(crs)} does not reach {int(wrong.sum()):,} of {len(lonlat):,} cells (one "
            f"near {regions.format_lonlat(*map(float, lonlat[int(np.argmax(wrong))]))}); choose a coordinate "
            "system made for the whole area, or a smaller region."
        )
    return np.column_stack([x, y])


def _box(
    cells: NDArray[np.uint64], centres: NDArray[np.float64], to_map: pyproj.Transformer
) -> tuple[float, float, float, float]:
    """Box round the hexagons, from the outlines of the outermost cells on each side."""
    count = min(_SAMPLE_CELLS, len(cells))
    outer = set()
    for axis in (0, 1):
        outer.update(np.argpartition(centres[:, axis], count - 1)[:count].tolist())
        outer.update(np.argpartition(-centres[:, axis], count - 1)[:count].tolist())
    corners = shapely.get_coordinates(regions.cell_polygons(cells[sorted(outer)]))
    x, y = to_map.transform(corners[:, 0], corners[:, 1])
    x, y = x[np.isfinite(x)], y[np.isfinite(y)]
    return float(x.min()), float(y.min()), float(x.max()), float(y.max())


def _default_pixel(
    cells: NDArray[np.uint64], crs: pyproj.CRS, extent: tuple[float, float], max_pixels: int
) -> float:
    """Smallest round size near a sixth of a cell's width or wider with which the grid fits the limit."""
    edge_km = math.sqrt(float(np.mean(regions.cell_area_km2(cells[:100]))) / 2.598)
    wanted_km = edge_km * 1.7 / 6.0
    if crs.is_geographic:
        sizes: Sequence[float] = PIXEL_SIZES_DEG
        wanted = wanted_km / _DEGREES_TO_KM
    else:
        metres = float(crs.axis_info[0].unit_conversion_factor) or 1.0
        sizes, wanted = PIXEL_SIZES_M, wanted_km * 1000.0 / metres
    for size in sizes:
        if size >= 0.75 * wanted and (extent[0] / size + 2) * (extent[1] / size + 2) <= max_pixels:
            return size
    return sizes[-1]
