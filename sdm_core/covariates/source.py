"""Covariate files read in windows, for rasters too large to be held whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rasterio.windows import Window

from sdm_core.covariates.grid import RasterGrid
from sdm_core.covariates.reading import (
    band_names,
    check_same_grid,
    joined_names,
    opened,
    raster_files,
    read_values,
)
from sdm_core.covariates.stack import CovariateStack
from sdm_core.covariates.units import unit_of
from sdm_core.errors import CovariateError

_BYTES_PER_VALUE = 4
#: Cells along the longer side when the files are looked at as a whole.
_OVERVIEW_CELLS = 2000


@dataclass(frozen=True)
class RasterSource:
    """Layers of one or more raster files on one grid, of which any window can be read.

    Attributes:
        files: the files, in order.
        names: one per layer, as `read_stack` would name them.
        grid: where the cells lie.
        bands: per layer, number of its file and of its band in it, both from 0.
    """

    files: tuple[Path, ...]
    names: tuple[str, ...]
    grid: RasterGrid
    bands: tuple[tuple[int, int], ...] = field(repr=False)
    crs: str | None = None

    @property
    def n_bytes(self) -> int:
        """Bytes of all layers as float32."""
        return len(self.names) * self.grid.height * self.grid.width * _BYTES_PER_VALUE

    def read_window(
        self, first_row: int = 0, first_column: int = 0, height: int | None = None, width: int | None = None
    ) -> CovariateStack:
        """The cells of a rectangle as a stack of its own, the values those of `read_stack`.

        Rows and columns beyond the grid are left out; on a grid that goes around the Earth columns may start
        or end beyond its edge and continue on the other side. Where the whole grid is asked for, by default,
        the stack goes around the Earth too.
        Raises `CovariateError` when nothing of the grid lies in the rectangle, or a file cannot be read.
        """
        full_height, full_width = self.grid.height, self.grid.width
        height = full_height if height is None else height
        width = full_width if width is None else width
        top, bottom = max(first_row, 0), min(first_row + height, full_height)
        if self.grid.wraps:
            width = min(width, full_width)
            left = first_column
            right = first_column + width
        else:
            left, right = max(first_column, 0), min(first_column + width, full_width)
        if top >= bottom or left >= right:
            raise CovariateError(
                f"The window from row {first_row} and column {first_column}, {height} × {width} cells, holds "
                f"nothing of a raster of {full_height} × {full_width} cells."
            )
        parts = list(_stretches(left, right, full_width))
        values = np.empty((len(self.names), bottom - top, right - left), dtype=np.float32)
        for number, file in enumerate(self.files):
            layers = [layer for layer, (own, _) in enumerate(self.bands) if own == number]
            if not layers:
                continue
            numbers = [self.bands[layer][1] for layer in layers]
            with opened(file, self.crs) as (raster, _):
                place = 0
                for start, stop in parts:
                    window = Window(start, top, stop - start, bottom - top)
                    values[layers, :, place : place + stop - start] = read_values(
                        raster, file, numbers, window
                    )
                    place += stop - start
        grid = self.grid.window(top, left, bottom - top, right - left)
        units = tuple(unit_of(name) for name in self.names)
        return CovariateStack(values, self.names, units, grid.crs, grid.transform, self.files[0].name)

    def coverage(self) -> tuple[np.ndarray, float, float]:
        """Where the first layer has data, seen from afar: boolean (height, width), cells per row and column.

        At most 2,000 cells along a side, each standing for one cell of the grid within it.
        """
        step = max(1.0, max(self.grid.height, self.grid.width) / _OVERVIEW_CELLS)
        height = max(1, round(self.grid.height / step))
        width = max(1, round(self.grid.width / step))
        number, band = self.bands[0]
        with opened(self.files[number], self.crs) as (raster, _):
            values = read_values(raster, self.files[number], [band], None, (height, width))[0]
        return np.isfinite(values), self.grid.height / height, self.grid.width / width

    def checksum(self) -> str:
        """BLAKE2b of the files' bytes and of the layers chosen, 32 hexadecimal digits; reads every file."""
        digest = hashlib.blake2b("\n".join(self.names).encode(), digest_size=16)
        for file in self.files:
            with file.open("rb") as content:
                digest.update(hashlib.file_digest(content, "blake2b").digest())
        return digest.hexdigest()


def open_rasters(
    paths: Path | str | Sequence[Path | str], *, layers: Sequence[str] | None = None, crs: str | None = None
) -> RasterSource:
    """What `read_stack` would read, with no value read yet; the same arguments mean the same.

    Raises `CovariateError` and `MissingCRSError` as `read_stack`.
    """
    files = raster_files(paths)
    found: list[tuple[str, ...]] = []
    grids: list[RasterGrid] = []
    for file in files:
        with opened(file, crs) as (raster, grid_crs):
            found.append(band_names(raster, file))
            grids.append(RasterGrid(grid_crs, raster.transform, raster.width, raster.height))
    check_same_grid(files, grids)
    names = joined_names(files, found)
    bands = [(number, band) for number, part in enumerate(found) for band in range(len(part))]
    if layers is not None:
        missing = [name for name in layers if name not in names]
        if missing:
            raise CovariateError(
                f"The covariates have no layer '{missing[0]}'; there are {', '.join(names[:40])}."
            )
        chosen = [names.index(name) for name in layers]
        names, bands = [names[layer] for layer in chosen], [bands[layer] for layer in chosen]
    return RasterSource(tuple(files), tuple(names), grids[0], tuple(bands), crs)


def _stretches(left: int, right: int, width: int) -> Iterator[tuple[int, int]]:
    """Columns `left` to `right` of a grid that goes around, as stretches that lie on it."""
    column = left
    while column < right:
        start = column % width
        length = min(right - column, width - start)
        yield start, start + length
        column += length
