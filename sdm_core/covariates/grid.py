"""The grid of a raster: where its cells lie, without their values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from affine import Affine
from pyproj import Transformer
from rasterio.crs import CRS

from sdm_core.errors import CovariateError


@dataclass(frozen=True)
class RasterGrid:
    """Cells of one north-up or sheared raster.

    Attributes:
        crs: coordinate system.
        transform: affine (column, row) of a cell corner → (x, y).
        width: number of columns.
        height: number of rows.
    """

    crs: CRS
    transform: Affine
    width: int
    height: int

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north of the outer cell edges, in the units of `crs`."""
        a = self.transform
        corners = [(0, 0), (self.width, 0), (0, self.height), (self.width, self.height)]
        x = [a.a * column + a.b * row + a.c for column, row in corners]
        y = [a.d * column + a.e * row + a.f for column, row in corners]
        return float(min(x)), float(min(y)), float(max(x)), float(max(y))

    @cached_property
    def wraps(self) -> bool:
        """Whether the columns go once around the Earth, so that 180° east touches 180° west."""
        return bool(
            self.crs.is_geographic
            and self.transform.b == 0
            and abs(self.width * abs(self.transform.a) - 360) < abs(self.transform.a) / 2
        )

    @cached_property
    def _transformer(self) -> Transformer | None:
        if self.crs.to_epsg() == 4326:
            return None
        return Transformer.from_crs(4326, self.crs, always_xy=True)

    def position(self, longitude: np.ndarray, latitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Fractional (row, column) of each place in cells, 0 at the outer edge of the first; NaN for NaN.

        Raises `CovariateError` when there are not as many longitudes as latitudes.
        """
        longitude = np.asarray(longitude, dtype=np.float64)
        latitude = np.asarray(latitude, dtype=np.float64)
        if longitude.shape != latitude.shape:
            raise CovariateError(
                f"There are {longitude.size} longitudes and {latitude.size} latitudes; give one of each "
                "per place."
            )
        if self._transformer is not None:
            longitude, latitude = self._transformer.transform(longitude, latitude)
            longitude = np.where(np.isfinite(longitude), longitude, np.nan)
            latitude = np.where(np.isfinite(latitude), latitude, np.nan)
        inverse = ~self.transform
        column = inverse.a * longitude + inverse.b * latitude + inverse.c
        row = inverse.d * longitude + inverse.e * latitude + inverse.f
        if self.wraps:
            column = np.mod(column, self.width)
        return row, column

    def cell_at(self, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Flat number (row * width + column) of the cell at fractional positions, int64; -1 outside."""
        inside = (row >= 0) & (row < self.height) & (column >= 0) & (column < self.width)
        row = np.where(inside, row, 0).astype(np.int64)
        column = np.where(inside, column, 0).astype(np.int64)
        return np.where(inside, row * self.width + column, -1)

    def lonlat(self, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Longitude and latitude (degrees) of the centres of flat cell numbers."""
        cells = np.asarray(cells, dtype=np.int64)
        column, row = cells % self.width + 0.5, cells // self.width + 0.5
        x = self.transform.a * column + self.transform.b * row + self.transform.c
        y = self.transform.d * column + self.transform.e * row + self.transform.f
        if self._transformer is None:
            return x, y
        longitude, latitude = self._transformer.transform(x, y, direction="INVERSE")
        return np.asarray(longitude), np.asarray(latitude)

    def window(self, first_row: int, first_column: int, height: int, width: int) -> RasterGrid:
        """The grid of a part of it; columns may lie beyond the edge where the grid goes around the Earth."""
        a = self.transform
        moved = Affine(
            a.a, a.b, a.c + a.a * first_column + a.b * first_row,
            a.d, a.e, a.f + a.d * first_column + a.e * first_row,
        )  # fmt: skip
        return RasterGrid(self.crs, moved, width, height)
