"""The cell of the atlas that each pixel's centre lies in, worked out once for all layers of a grid."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyproj
from numpy.typing import NDArray

from sdm_core import regions
from sdm_core.errors import ExportError
from sdm_core.exports.grid import Grid
from sdm_core.writing import refusals_of

_PIXELS_AT_ONCE = 1 << 20
#: Bytes on disk a pixel needs at most: the row of its cell, and two copies of a float32.
_BYTES_PER_PIXEL = 12


class PixelIndex:
    """Row in the cells of every pixel of a grid, −1 for none, in a file; `index[rows]` reads a piece of it.

    Plain reads keep the memory of the process small, where a memory map would count the whole file.
    """

    def __init__(self, path: Path, grid: Grid):
        self._path = path
        self._width = grid.width

    def __getitem__(self, rows: slice) -> NDArray[np.int32]:
        """Rows `start` to `stop` of the grid, int32 (rows, width)."""
        count = (rows.stop - rows.start) * self._width
        piece = np.fromfile(self._path, np.int32, count, offset=4 * rows.start * self._width)
        return piece.reshape(-1, self._width)


@contextlib.contextmanager
def pixel_index(grid: Grid, cells: NDArray[np.uint64], resolution: int, beside: Path) -> Iterator[PixelIndex]:
    """`rows_of_pixels` of the whole grid, for as long as the block runs.

    It lies in a file in the folder `beside`, so that a grid may be larger than memory.
    Raises `ExportError` when the disk has no room for it and what is written from it.
    """
    needed = grid.n_pixels * _BYTES_PER_PIXEL
    free = shutil.disk_usage(beside).free
    if needed > free:
        raise ExportError(
            f"{grid.n_pixels:,} pixels need up to {needed / 1e9:,.1f} GB of disk while they are written, and "
            f"{free / 1e9:,.1f} GB are free; choose larger pixels, a smaller region or another disk."
        )
    ascending = np.asarray(cells)
    step = max(1, _PIXELS_AT_ONCE // grid.width)
    with refusals_of(beside, ExportError):
        temporary = tempfile.TemporaryDirectory(prefix=".pixels-", dir=beside)
    with temporary as scratch:
        path = Path(scratch) / "rows.i4"
        with refusals_of(path, ExportError), path.open("wb") as file:
            for top in range(0, grid.height, step):
                window = slice(top, min(top + step, grid.height))
                file.write(rows_of_pixels(grid, ascending, resolution, window).data)
        yield PixelIndex(path, grid)


def rows_of_pixels(
    grid: Grid, cells: NDArray[np.uint64], resolution: int, window: slice
) -> NDArray[np.int32]:
    """Row in `cells` (ascending) of the cell each pixel's centre lies in, −1 for none.

    window: rows of the grid. Returns int32 (rows of the window, width).
    """
    to_lonlat = pyproj.Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    x, y = np.meshgrid(grid.x, grid.y[window])
    longitude, latitude = (part.ravel() for part in to_lonlat.transform(x, y))
    on_earth = np.isfinite(longitude) & np.isfinite(latitude) & (np.abs(latitude) <= 90.0)
    rows = np.full(x.size, -1, dtype=np.int32)
    if on_earth.any():
        pixel_cells = regions.lonlat_to_cells(longitude[on_earth], latitude[on_earth], resolution)
        nearest = np.minimum(np.searchsorted(cells, pixel_cells), len(cells) - 1)
        rows[on_earth] = np.where(cells[nearest] == pixel_cells, nearest, -1)
    return rows.reshape(x.shape)
