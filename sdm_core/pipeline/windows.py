"""Features of any places from rasters of any size: whole where they are small, else in windows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sdm_core.covariates import CovariateStack, RasterSource
from sdm_core.features import FeatureSpec, FeatureStack, build_features
from sdm_core.pipeline.preparation import fill_gaps

#: Rasters up to this size, as float32, are read whole, once per process.
WHOLE_RASTER_BYTES = 64 * 1024 * 1024
#: Memory one window may take, with its features and what is made on the way to them.
WINDOW_BYTES = 384 * 1024 * 1024
#: Copies of every feature value of a window in memory while it is built.
_COPIES = 4


@dataclass(frozen=True)
class Window:
    """A part of the rasters with its features, and where some places lie in it.

    rows: which of the places asked for; row, column: their fractional positions in the window's grid.
    """

    rows: slice
    stack: CovariateStack
    features: FeatureStack
    row: NDArray[np.float64]
    column: NDArray[np.float64]

    @property
    def own_cell(self) -> NDArray[np.int64]:
        """Flat number of the raster cell that holds each place, -1 outside the raster."""
        return self.stack.grid.cell_at(self.row, self.column)


@dataclass(frozen=True)
class CovariateWindows:
    """Covariates of a model, their gaps filled, and its features, for places anywhere.

    A window reaches so far beyond the places that nothing outside it can decide their features: the radii of
    neighbourhoods, four standard deviations of smoothing, the gaps that are filled, half a patch, and two
    cells more. Values are then those of the whole rasters, but for two things: running sums of neighbourhood
    means start at the window's edge (which moves their last digits, about 1e-13 of the values, before they
    are rounded to 32 bits), and on rasters around the Earth gaps are filled across the date line too.
    """

    source: RasterSource
    spec: FeatureSpec
    fill_cells: float = 0.0
    #: Cells along one side of the model's patches, 0 for none.
    patch_size: int = 0
    #: Read the rasters whole, in windows, or as their size tells.
    whole: bool | None = None

    @property
    def reads_whole(self) -> bool:
        """Whether the rasters are held whole in memory."""
        return self.source.n_bytes <= WHOLE_RASTER_BYTES if self.whole is None else self.whole

    @property
    def margin_cells(self) -> int:
        """Cells that a window reaches beyond the places in it."""
        decides = max(self.spec.reach_cells, self.patch_size // 2 + 1)
        return decides + math.ceil(self.fill_cells) + 2

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features; raises `CovariateError` when the rasters lack a layer."""
        return build_features(self._marking, self.source.read_window(0, 0, 1, 1)).names

    @cached_property
    def layer_moments(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and standard deviation of each layer over all cells with data, float32 (n_layers,).

        Patches are scaled by them; rasters read in windows are gone through once, strip by strip.
        """
        if self.reads_whole:
            return self._all[0].layer_means, self._all[0].layer_stds
        n_layers = len(self.source.names)
        n, total, spread = np.zeros(n_layers), np.zeros(n_layers), np.zeros(n_layers)
        for strip in self._strips():
            total += np.nansum(strip, axis=(1, 2), dtype=np.float64)
            n += np.isfinite(strip).sum(axis=(1, 2))
        mean = np.divide(total, n, out=np.full(n_layers, np.nan), where=n > 0)
        for strip in self._strips():
            spread += np.nansum((strip - mean[:, None, None]) ** 2, axis=(1, 2))
        deviation = np.sqrt(np.divide(spread, n, out=np.full(n_layers, np.nan), where=n > 0))
        return mean.astype(np.float32), deviation.astype(np.float32)

    def windows(self, longitude: NDArray[np.float64], latitude: NDArray[np.float64]) -> Iterator[Window]:
        """Windows that together hold the places (n,), which are best near each other in order.

        Places farther outside the raster than features reach, and none else, are in no window.
        """
        row, column = self.source.grid.position(longitude, latitude)
        if self.reads_whole:
            stack, features = self._all
            yield Window(slice(0, len(row)), stack, features, row, column)
            return
        yield from self._split(row, column, 0, len(row))

    # -- whole -------------------------------------------------------------------------------------------

    @cached_property
    def _marking(self) -> FeatureSpec:
        """The specification with places without data marked instead of refused."""
        reach = 0.0 if self.spec.missing == "refuse" else self.spec.max_gap_cells
        return replace(self.spec, missing="mark", max_gap_cells=reach)

    @cached_property
    def _all(self) -> tuple[CovariateStack, FeatureStack]:
        stack = fill_gaps(self.source.read_window(), self.fill_cells)
        return stack, build_features(self._marking, stack)

    # -- in windows --------------------------------------------------------------------------------------

    @cached_property
    def _largest_cells(self) -> int:
        """Raster cells that a window may have."""
        n_values = len(self.feature_names) + len(self.source.names)
        return max(1, WINDOW_BYTES // (n_values * 4 * _COPIES))

    def _split(self, row: NDArray, column: NDArray, first: int, last: int) -> Iterator[Window]:
        """Windows of the places `first` to `last`, halved until each is small enough."""
        top, left, height, width = self._around(row[first:last], column[first:last])
        if height <= 0 or width <= 0:
            return
        if height * width > self._largest_cells and last - first > 1:
            middle = (first + last) // 2
            yield from self._split(row, column, first, middle)
            yield from self._split(row, column, middle, last)
            return
        stack = fill_gaps(self.source.read_window(top, left, height, width), self.fill_cells)
        own_column = column[first:last] - left
        if self.source.grid.wraps:
            own_column = np.mod(own_column, self.source.grid.width)
        yield Window(
            slice(first, last),
            stack,
            build_features(self._marking, stack),
            row[first:last] - top,
            own_column,
        )

    def _around(self, row: NDArray, column: NDArray) -> tuple[int, int, int, int]:
        """First row and column, height and width of the window around places; no height where it is empty."""
        grid, margin = self.source.grid, self.margin_cells
        near = (row > -margin) & (row < grid.height + margin)
        if not grid.wraps:
            near &= (column > -margin) & (column < grid.width + margin)
        if not near.any():
            return 0, 0, 0, 0
        rows, columns = np.floor(row[near]).astype(np.int64), np.floor(column[near]).astype(np.int64)
        top = max(0, int(rows.min()) - margin)
        bottom = min(grid.height, int(rows.max()) + margin + 1)
        if not grid.wraps:
            left = max(0, int(columns.min()) - margin)
            return top, left, bottom - top, min(grid.width, int(columns.max()) + margin + 1) - left
        occupied = np.unique(columns)
        gaps = np.diff(np.append(occupied, occupied[0] + grid.width))
        widest = int(np.argmax(gaps))
        left = int(occupied[(widest + 1) % len(occupied)]) - margin
        width = grid.width - int(gaps[widest]) + 1 + 2 * margin
        return (top, 0, bottom - top, grid.width) if width >= grid.width else (top, left, bottom - top, width)

    def _strips(self) -> Iterator[NDArray[np.float32]]:
        """The filled layers, a few rows after the others (n_layers, n_rows, width)."""
        grid, reach = self.source.grid, math.ceil(self.fill_cells) + 1
        step = max(1, WINDOW_BYTES // (len(self.source.names) * grid.width * 4 * _COPIES))
        for start in range(0, grid.height, step):
            top, bottom = max(0, start - reach), min(grid.height, start + step + reach)
            stack = fill_gaps(self.source.read_window(top, 0, bottom - top), self.fill_cells)
            yield stack.values[:, start - top : min(start + step, grid.height) - top]
