"""A stack of covariate rasters on one grid, and the value of each at any place."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
from affine import Affine
from rasterio.crs import CRS

from sdm_core.covariates.grid import RasterGrid
from sdm_core.covariates.windows import gaussian_mean, window_mean, window_moments
from sdm_core.errors import CovariateError

Method = Literal["bilinear", "nearest"]
#: Points looked up at once; bounds the memory of large samplings.
_CHUNK = 20_000


@dataclass(frozen=True)
class CovariateStack:
    """Covariates of one area on one north-up or sheared grid; never changed after it is made.

    Attributes:
        values: float32 (n_layers, height, width), NaN where there is no data.
        names: one per layer, each once.
        units: one per layer; "" where unknown, "1" for plain numbers.
        crs: coordinate system of the grid.
        transform: affine (column, row) of a cell corner → (x, y).
        source: where the layers come from, in words.
    """

    values: np.ndarray = field(repr=False)
    names: tuple[str, ...]
    units: tuple[str, ...]
    crs: CRS
    transform: Affine
    source: str = ""

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or 0 in self.values.shape:
            raise CovariateError(
                f"A covariate stack has the shape {self.values.shape}; expected (layers, height, width), "
                "none of them 0."
            )
        n_layers = self.values.shape[0]
        if len(self.names) != n_layers or len(self.units) != n_layers:
            raise CovariateError(
                f"The stack has {n_layers} layers but {len(self.names)} names and {len(self.units)} units; "
                "give one of each per layer."
            )
        doubled = sorted({name for name in self.names if self.names.count(name) > 1})
        if doubled:
            raise CovariateError(f"Two layers are named '{doubled[0]}'; give every layer a name of its own.")
        if self.values.dtype != np.float32:
            object.__setattr__(self, "values", self.values.astype(np.float32))

    # -- shape -------------------------------------------------------------------------------------------

    @property
    def n_layers(self) -> int:
        """Number of layers."""
        return int(self.values.shape[0])

    @property
    def height(self) -> int:
        """Number of rows."""
        return int(self.values.shape[1])

    @property
    def width(self) -> int:
        """Number of columns."""
        return int(self.values.shape[2])

    @cached_property
    def grid(self) -> RasterGrid:
        """Where the cells lie."""
        return RasterGrid(self.crs, self.transform, self.width, self.height)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north of the outer cell edges, in the units of `crs`."""
        return self.grid.bounds

    @property
    def wraps(self) -> bool:
        """Whether the columns go once around the Earth, so that 180° east touches 180° west."""
        return self.grid.wraps

    @cached_property
    def valid(self) -> np.ndarray:
        """Boolean (height, width): every layer has data."""
        return np.isfinite(self.values).all(axis=0)

    @cached_property
    def cell_values(self) -> np.ndarray:
        """Values by cell, float32 (height * width, n_layers), so that one place is one stretch of memory."""
        return np.ascontiguousarray(self.values.reshape(self.n_layers, -1).T)

    # -- choosing and joining layers ---------------------------------------------------------------------

    def select(self, names: list[str] | tuple[str, ...]) -> CovariateStack:
        """The named layers, in that order.

        Raises:
            CovariateError: when a name is not among the layers.
        """
        missing = [name for name in names if name not in self.names]
        if missing:
            raise CovariateError(
                f"The covariates have no layer '{missing[0]}'; there are {', '.join(self.names[:40])}."
            )
        rows = [self.names.index(name) for name in names]
        return replace(
            self, values=self.values[rows], names=tuple(names), units=tuple(self.units[row] for row in rows)
        )

    def joined(self, other: CovariateStack) -> CovariateStack:
        """These layers followed by those of another stack on the same grid."""
        difference = grid_difference(self, other)
        if difference:
            raise CovariateError(f"Two covariate stacks do not share one grid: {difference}.")
        return replace(
            self,
            values=np.concatenate([self.values, other.values]),
            names=self.names + other.names,
            units=self.units + other.units,
        )

    # -- places ------------------------------------------------------------------------------------------

    def grid_position(self, longitude: np.ndarray, latitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Fractional (row, column) of each place in cells, 0 at the outer edge of the first; NaN for NaN."""
        return self.grid.position(longitude, latitude)

    def cell_index(self, longitude: np.ndarray, latitude: np.ndarray) -> np.ndarray:
        """Flat number (row * width + column) of the cell holding each place, int64; -1 outside the grid."""
        return self.grid.cell_at(*self.grid_position(longitude, latitude))

    def cell_lonlat(self, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Longitude and latitude (degrees) of the centres of flat cell numbers."""
        return self.grid.lonlat(cells)

    def sample(self, longitude: np.ndarray, latitude: np.ndarray, method: Method = "bilinear") -> np.ndarray:
        """Value of every layer at each place, float32 (n, n_layers).

        `nearest` takes the cell that holds the place. `bilinear` weighs the four cell centres around it;
        cells without data (and those beyond the edge) drop out and the other weights are raised to sum to
        one, so a place is NaN only where all four are. Places outside the grid are NaN.

        Args:
            longitude: degrees, (n,).
            latitude: degrees, (n,).
            method: "bilinear" or "nearest".

        Raises:
            CovariateError: for another method, or arrays of different length.
        """
        longitude = np.atleast_1d(np.asarray(longitude, dtype=np.float64)).ravel()
        latitude = np.atleast_1d(np.asarray(latitude, dtype=np.float64)).ravel()
        return self.sample_at(*self.grid_position(longitude, latitude), method)

    def sample_at(self, row: np.ndarray, column: np.ndarray, method: Method = "bilinear") -> np.ndarray:
        """As `sample`, at fractional positions (n,) in the grid, as `grid_position` gives them."""
        if method not in ("bilinear", "nearest"):
            raise CovariateError(f"The sampling method '{method}' is not known; use 'bilinear' or 'nearest'.")
        out = np.full((row.size, self.n_layers), np.nan, dtype=np.float32)
        for start in range(0, row.size, _CHUNK):
            part = slice(start, start + _CHUNK)
            if method == "nearest":
                cells = self.grid.cell_at(row[part], column[part])
                inside = cells >= 0
                out[part][inside] = self.cell_values[cells[inside]]
            else:
                self._bilinear(row[part], column[part], out[part])
        return out

    def _bilinear(self, row: np.ndarray, column: np.ndarray, out: np.ndarray) -> None:
        """Fill `out` (n, n_layers) with NaN-aware bilinear values at fractional cell positions."""
        inside = np.flatnonzero((row >= 0) & (row <= self.height) & (column >= 0) & (column <= self.width))
        row, column = row[inside] - 0.5, column[inside] - 0.5
        top, left = np.floor(row).astype(np.int64), np.floor(column).astype(np.int64)
        down, right = (row - top).astype(np.float32), (column - left).astype(np.float32)
        corners, weights = [], []
        on_grid_everywhere = np.ones(inside.size, dtype=bool)
        for step_row, row_weight in ((0, 1 - down), (1, down)):
            for step_column, column_weight in ((0, 1 - right), (1, right)):
                corner_row, corner_column = top + step_row, left + step_column
                on_grid = (corner_row >= 0) & (corner_row < self.height)
                if self.wraps:
                    corner_column = corner_column % self.width
                else:
                    on_grid &= (corner_column >= 0) & (corner_column < self.width)
                on_grid_everywhere &= on_grid
                corners.append(np.where(on_grid, corner_row * self.width + corner_column, 0))
                weights.append(np.where(on_grid, row_weight * column_weight, 0)[:, None])  # (n, 1)
        valid = self.valid.ravel()
        easy = on_grid_everywhere & np.logical_and.reduce([valid[cells] for cells in corners])
        result = np.full((inside.size, self.n_layers), np.nan, dtype=np.float32)
        result[easy] = sum(
            weight[easy] * self.cell_values[cells[easy]]  # (n_easy, n_layers)
            for cells, weight in zip(corners, weights, strict=True)
        )
        if not easy.all():
            total = np.zeros((int((~easy).sum()), self.n_layers), dtype=np.float32)
            share = np.zeros_like(total)
            for cells, weight in zip(corners, weights, strict=True):
                values = self.cell_values[cells[~easy]]
                known = np.isfinite(values)
                total += weight[~easy] * np.where(known, values, 0)
                share += weight[~easy] * known
            with np.errstate(invalid="ignore", divide="ignore"):
                result[~easy] = np.where(share > 0, total / share, np.nan)
        out[inside] = result

    # -- neighbourhoods ----------------------------------------------------------------------------------

    def valid_share(self, radius_cells: int) -> np.ndarray:
        """Share of the cells with data in every layer in the square of 2r + 1 cells around each, float32.

        Cells beyond the edge of the grid count as without data (the square goes around the Earth where the
        grid does).
        """
        return window_mean(self.valid, radius_cells, self.wraps).astype(np.float32)

    def neighbourhood_mean(self, radius_cells: int) -> CovariateStack:
        """Mean of each layer over the valid cells of the square of 2r + 1 cells around each cell.

        A cell without data gets the mean of its neighbours; NaN where the whole square has none. Layers are
        named `<name>_mean<r>`.
        """
        means = [window_moments(layer, radius_cells, self.wraps)[0] for layer in self.values]
        return self._derived(means, f"mean{radius_cells}")

    def neighbourhood_std(self, radius_cells: int) -> CovariateStack:
        """Standard deviation (of the whole, n in the denominator) in the same square; `<name>_std<r>`."""
        deviations = [window_moments(layer, radius_cells, self.wraps)[1] for layer in self.values]
        return self._derived(deviations, f"std{radius_cells}")

    def smoothed(self, sigma_cells: float) -> CovariateStack:
        """Mean of each layer with Gaussian weights (standard deviation `sigma_cells`, cut at 4 of them).

        Only valid cells count, their weights sum to one; NaN where they carry less than 0.0001 of the weight.
        Layers are named `<name>_smooth<sigma>`.
        """
        smooth = [gaussian_mean(layer, sigma_cells, self.wraps) for layer in self.values]
        return self._derived(smooth, f"smooth{sigma_cells:g}")

    def _derived(self, layers: list[np.ndarray], suffix: str) -> CovariateStack:
        names = tuple(f"{name}_{suffix}" for name in self.names)
        return replace(self, values=np.stack(layers).astype(np.float32), names=names)

    # -- patches -----------------------------------------------------------------------------------------

    def patches(
        self,
        longitude: np.ndarray,
        latitude: np.ndarray,
        size: int,
        *,
        mean: np.ndarray | None = None,
        std: np.ndarray | None = None,
        mask: bool = False,
        empty: float = 0.0,
    ) -> np.ndarray:
        """Standardised square windows around places, float32 (n, n_layers, size, size), north at row 0.

        The cell that holds the place is at index size // 2. Values are (value - mean) / std; no data and
        cells beyond the edge become `empty`: 0, the mean after standardising, which `mask=True` tells from
        data, or NaN.

        Args:
            longitude: degrees, (n,).
            latitude: degrees, (n,); a place outside the grid gives a patch without data.
            size: side in cells.
            mean: per layer, (n_layers,); of this stack's valid cells when not given. Give those of the
                training sites wherever a model is fitted or applied.
            std: per layer, likewise; layers with std 0 are only centred.
            mask: add a last channel, 1 where the first channels all have data and 0 elsewhere.
            empty: value of cells without data.
        """
        if int(size) != size or size < 1:
            raise CovariateError(f"The patch size is {size}; it must be a whole number of cells, 1 or more.")
        row, column = self.grid_position(np.atleast_1d(longitude), np.atleast_1d(latitude))
        row = np.floor(np.where(np.isfinite(row), row, -(10**9))).astype(np.int64)
        column = np.floor(np.where(np.isfinite(column), column, -(10**9))).astype(np.int64)
        return self.patches_at(row, column, size, mean=mean, std=std, mask=mask, empty=empty)

    def patches_at(
        self,
        rows: np.ndarray,
        columns: np.ndarray,
        size: int,
        *,
        mean: np.ndarray | None = None,
        std: np.ndarray | None = None,
        mask: bool = False,
        empty: float = 0.0,
    ) -> np.ndarray:
        """As `patches`, around cells given by row and column."""
        mean = self.layer_means if mean is None else np.asarray(mean, dtype=np.float32)
        std = self.layer_stds if std is None else np.asarray(std, dtype=np.float32)
        if mean.shape != (self.n_layers,) or std.shape != (self.n_layers,):
            raise CovariateError(
                f"Standardising {self.n_layers} layers needs as many means and deviations, not {mean.size} "
                f"and {std.size}."
            )
        rows, columns = np.asarray(rows), np.asarray(columns)
        out = np.zeros((len(rows), self.n_layers + mask, size, size), dtype=np.float32)
        step = max(1, _CHUNK * 16 // size**2)
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            self._fill_patches(rows[part], columns[part], mean, np.where(std > 0, std, 1), out[part], empty)
        return out

    def _fill_patches(
        self,
        rows: np.ndarray,
        columns: np.ndarray,
        mean: np.ndarray,
        std: np.ndarray,
        out: np.ndarray,
        empty: float,
    ) -> None:
        """Fill `out` (n, channels, size, size) with standardised windows; a channel more is the mask."""
        size = out.shape[-1]
        offsets = np.arange(size) - size // 2
        patch_rows = rows[:, None, None] + offsets[None, :, None]  # (n, size, 1)
        patch_columns = columns[:, None, None] + offsets[None, None, :]  # (n, 1, size)
        if self.wraps:
            patch_columns = patch_columns % self.width
        on_grid = (patch_rows >= 0) & (patch_rows < self.height)
        on_grid = on_grid & (patch_columns >= 0) & (patch_columns < self.width)  # (n, size, size)
        cells = np.where(on_grid, patch_rows * self.width + patch_columns, 0)
        values = (self.cell_values[cells] - mean) / std  # (n, size, size, n_layers)
        known = np.isfinite(values) & on_grid[..., None]
        out[:, : self.n_layers] = np.where(known, values, np.float32(empty)).transpose(0, 3, 1, 2)
        if out.shape[1] > self.n_layers:
            out[:, self.n_layers] = known.all(axis=-1)

    @cached_property
    def layer_means(self) -> np.ndarray:
        """Mean of each layer over its valid cells, float32 (n_layers,); NaN for a layer without data."""
        return self._layer_statistics[0]

    @cached_property
    def layer_stds(self) -> np.ndarray:
        """Standard deviation of each layer over its valid cells, float32 (n_layers,)."""
        return self._layer_statistics[1]

    @cached_property
    def _layer_statistics(self) -> tuple[np.ndarray, np.ndarray]:
        known = [values[np.isfinite(values)].astype(np.float64) for values in self.values]
        means = [values.mean() if values.size else np.nan for values in known]
        stds = [values.std() if values.size else np.nan for values in known]
        return np.asarray(means, dtype=np.float32), np.asarray(stds, dtype=np.float32)


def grid_difference(one: RasterGrid | CovariateStack, other: RasterGrid | CovariateStack) -> str:
    """What tells two grids apart, in words; "" when they are the same to a hundredth of a cell."""
    if one.crs != other.crs:
        return f"the coordinate systems are {_crs_name(one.crs)} and {_crs_name(other.crs)}"
    if (one.width, one.height) != (other.width, other.height):
        return f"the sizes are {one.width} × {one.height} and {other.width} × {other.height} cells"
    a, b = one.transform, other.transform
    if any(
        abs(step - step_other) > tolerance
        for step, step_other, tolerance in (
            (a.a, b.a, abs(a.a) * 0.01 / one.width),
            (a.e, b.e, abs(a.e) * 0.01 / one.height),
            (a.b, b.b, abs(a.a) * 0.01 / one.height),
            (a.d, b.d, abs(a.e) * 0.01 / one.width),
        )
    ):
        return f"the cell sizes are {abs(a.a):g} × {abs(a.e):g} and {abs(b.a):g} × {abs(b.e):g}"
    if abs(a.c - b.c) > abs(a.a) * 0.01 or abs(a.f - b.f) > abs(a.e) * 0.01:
        return f"the upper left corners are {a.c:.6g}, {a.f:.6g} and {b.c:.6g}, {b.f:.6g}"
    return ""


def _crs_name(crs: CRS) -> str:
    epsg = crs.to_epsg()
    return f"EPSG:{epsg}" if epsg else crs.to_string()[:60]
