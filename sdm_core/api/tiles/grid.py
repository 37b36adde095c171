"""Pixels of a Web-Mercator tile, and the cell of an atlas under each of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdm_core import regions
from sdm_core.regions import EARTH_RADIUS_KM

#: Length of the equator of the Web-Mercator map, km.
_EQUATOR_KM = 40_075.017
#: Pixels shrink towards the poles; zooms are fitted to this latitude.
_FITTED_LATITUDE = 45.0
#: Number of H3 cells of resolution 0; each finer resolution has about seven times as many.
_CELLS_OF_RESOLUTION_0 = 122
_CHILDREN = 7


@dataclass(frozen=True)
class TileAddress:
    """One tile: zoom, column from the west, row from the north, and pixels along an edge."""

    z: int
    x: int
    y: int
    pixels: int = 256

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north in degrees."""
        longitude, latitude = self._edges(np.array([0.0, 1.0]))
        return float(longitude[0]), float(latitude[1]), float(longitude[1]), float(latitude[0])

    def pixel_lonlat(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Longitude and latitude of pixel centres, row by row from the north-west, each (pixels²,)."""
        longitude, latitude = self._edges((np.arange(self.pixels) + 0.5) / self.pixels)
        return np.tile(longitude, self.pixels), np.repeat(latitude, self.pixels)

    def _edges(self, share: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Longitudes and latitudes at shares of the width and height of the tile."""
        n_tiles = 2.0**self.z
        longitude = (self.x + share) / n_tiles * 360.0 - 180.0
        latitude = np.degrees(np.arctan(np.sinh(np.pi * (1.0 - 2.0 * (self.y + share) / n_tiles))))
        return longitude, latitude


def cell_width_km(resolution: int) -> float:
    """Width of a mean cell: side of the square of its area."""
    sphere_km2 = 4.0 * math.pi * EARTH_RADIUS_KM**2
    return math.sqrt(sphere_km2 / (_CELLS_OF_RESOLUTION_0 * _CHILDREN**resolution))


def fitting_resolution(z: int, pixels: int, finest: int) -> int:
    """H3 resolution whose cells come nearest to a pixel's width at 45° (by ratio), at most `finest`."""
    pixel_km = _EQUATOR_KM * math.cos(math.radians(_FITTED_LATITUDE)) / (2.0**z * pixels)
    return min(range(finest + 1), key=lambda resolution: abs(math.log(cell_width_km(resolution) / pixel_km)))


@dataclass(frozen=True)
class PixelRows:
    """Place of the cell under each pixel in a sorted list of cells, in runs of equal neighbours.

    places (n_runs,) int32, −1 where there is no cell; lengths (n_runs,) int32, summing up to all pixels.
    """

    places: NDArray[np.int32]
    lengths: NDArray[np.int32]

    @property
    def is_empty(self) -> bool:
        """Whether no pixel lies on a cell."""
        return len(self.places) == 0

    @property
    def n_bytes(self) -> int:
        """Bytes kept."""
        return self.places.nbytes + self.lengths.nbytes


NO_PIXELS = PixelRows(np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int32))


def pixel_rows(tile: TileAddress, cells: NDArray[np.uint64], resolution: int) -> PixelRows:
    """The cell of `cells` (ascending, all of one resolution) under the centre of each pixel."""
    longitude, latitude = tile.pixel_lonlat()
    under = regions.lonlat_to_cells(longitude, latitude, resolution)
    heads = np.flatnonzero(np.r_[True, under[1:] != under[:-1]])
    wanted = under[heads]
    places = np.searchsorted(cells, wanted)
    places[places == len(cells)] = 0
    found = cells[places] == wanted
    if not found.any():
        return NO_PIXELS
    lengths = np.diff(np.r_[heads, len(under)])
    return PixelRows(np.where(found, places, -1).astype(np.int32), lengths.astype(np.int32))


def may_overlap(tile: TileAddress, bounds: tuple[float, float, float, float], cell_km: float) -> bool:
    """Whether a tile can hold cells with centres within `bounds`; False is certain."""
    west, south, east, north = tile.bounds
    margin = 2.0 * cell_km / 111.0
    if north < bounds[1] - margin or south > bounds[3] + margin:
        return False
    furthest = max(abs(south), abs(north))
    margin_east = margin / max(math.cos(math.radians(furthest)), 1e-3)
    inside = west <= bounds[2] + margin_east and east >= bounds[0] - margin_east
    over_date_line = bounds[0] - margin_east < -180.0 or bounds[2] + margin_east > 180.0
    return inside or over_date_line
