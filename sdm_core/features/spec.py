"""What a model sees of a place: declared once, built once per raster, looked up anywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from scipy.ndimage import distance_transform_edt

from sdm_core.covariates import CovariateStack
from sdm_core.errors import ConfigurationError, CovariateError

CoordinateEncoding = Literal["none", "lonlat", "sinr", "fourier"]
MissingPolicy = Literal["refuse", "nearest", "mark"]


@dataclass(frozen=True)
class FeatureSpec:
    """Which features a place has. Everything that decides a feature value is here.

    Attributes:
        covariates: layers of the stack, in order; None takes all, () none.
        mean_radii: neighbourhood means of the covariates, square of 2r + 1 cells, one set per radius.
        std_radii: neighbourhood standard deviations, likewise.
        smooth_sigmas: Gaussian means of the covariates, one set per width in cells.
        land_share_radii: share of cells with data in the square of 2r + 1 cells, one feature per radius.
        coordinates: "none"; "lonlat" degrees; "sinr" [sin πx, cos πx, sin πy, cos πy] with x = lon/180,
            y = lat/90 (Cole et al. 2023, SINR); "fourier": x and y over `bounds`, and sines and cosines at
            `frequencies`.
        frequencies: for "fourier"; 1 is half a wave over the study area.
        bounds: for "fourier": west, south, east, north of the study area in degrees.
        method: how rasters are looked up between cell centres.
        missing: places without data: "refuse" them with an error, take the "nearest" cell with data within
            `max_gap_cells` (and refuse beyond), or "mark" what is left after that as missing and leave NaN.
        max_gap_cells: how far "nearest" and "mark" may reach, in cells; 0 does not reach.
    """

    covariates: tuple[str, ...] | None = None
    mean_radii: tuple[int, ...] = ()
    std_radii: tuple[int, ...] = ()
    smooth_sigmas: tuple[float, ...] = ()
    land_share_radii: tuple[int, ...] = ()
    coordinates: CoordinateEncoding = "none"
    frequencies: tuple[float, ...] = ()
    bounds: tuple[float, float, float, float] | None = None
    method: Literal["bilinear", "nearest"] = "bilinear"
    missing: MissingPolicy = "refuse"
    max_gap_cells: float = 0.0

    def __post_init__(self) -> None:
        for name in (
            "covariates",
            "mean_radii",
            "std_radii",
            "smooth_sigmas",
            "land_share_radii",
            "frequencies",
        ):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, tuple(value))
        for name in ("mean_radii", "std_radii", "land_share_radii"):
            if any(int(radius) != radius or radius < 1 for radius in getattr(self, name)):
                raise ConfigurationError(
                    f"{name} is {getattr(self, name)}; neighbourhood radii are whole numbers of cells, 1 "
                    "or more."
                )
        choices = {
            "coordinates": ("none", "lonlat", "sinr", "fourier"),
            "method": ("bilinear", "nearest"),
            "missing": ("refuse", "nearest", "mark"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ConfigurationError(
                    f"{name} is '{getattr(self, name)}'; use one of {', '.join(allowed)}."
                )
        if self.coordinates == "fourier":
            if self.bounds is None or not (
                self.bounds[0] < self.bounds[2] and self.bounds[1] < self.bounds[3]
            ):
                raise ConfigurationError(
                    "Fourier coordinates need bounds (west, south, east, north) of the study area, not "
                    f"{self.bounds}."
                )
            object.__setattr__(self, "bounds", tuple(float(edge) for edge in self.bounds))
        if not self.max_gap_cells >= 0:
            raise ConfigurationError(f"max_gap_cells is {self.max_gap_cells}; it must be 0 or more.")
        if self.missing == "nearest" and self.max_gap_cells == 0:
            raise ConfigurationError(
                "missing is 'nearest' but max_gap_cells is 0; say how many cells it may reach."
            )

    @property
    def reach_cells(self) -> int:
        """How many cells away from the one that holds a place a value may still decide its features."""
        around = max(
            *self.mean_radii, *self.std_radii, *self.land_share_radii, 0,
            *(math.ceil(4 * sigma) + 1 for sigma in self.smooth_sigmas),
        )  # fmt: skip
        return int(around) + math.ceil(self.max_gap_cells) + (1 if self.method == "bilinear" else 0)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, read back by `from_dict`."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FeatureSpec:
        """The specification written by `to_dict`, or a table of a configuration file.

        Raises:
            ConfigurationError: for a key or value that is not known.
        """
        known = set(cls.__dataclass_fields__)
        unknown = sorted(set(data) - known)
        if unknown:
            raise ConfigurationError(
                f"Features have no setting '{unknown[0]}'; there are {', '.join(sorted(known))}."
            )
        settings: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        return cls(**settings)


@dataclass(frozen=True)
class FeatureTable:
    """Features of places, in their own units (not scaled).

    Attributes:
        values: float32 (n_sites, n_features).
        names: one per feature.
        filled: boolean (n_sites,), raster features taken from the nearest cell with data.
        missing: boolean (n_sites,), no data within reach: the row holds NaN.
    """

    values: np.ndarray = field(repr=False)
    names: tuple[str, ...]
    filled: np.ndarray = field(repr=False)
    missing: np.ndarray = field(repr=False)

    def with_columns(self, values: np.ndarray, names: Sequence[str]) -> FeatureTable:
        """These features followed by more of the same places, such as those of neighbours' records.

        Args:
            values: (n_sites, n).
            names: one per new feature.

        Raises:
            CovariateError: when the shapes or names do not fit.
        """
        values = np.asarray(values, dtype=np.float32)
        if values.shape != (len(self.values), len(names)):
            raise CovariateError(
                f"{len(names)} more features of {len(self.values)} sites were given as an array of shape "
                f"{values.shape}."
            )
        doubled = set(names) & set(self.names)
        if doubled:
            raise CovariateError(f"There already is a feature '{min(doubled)}'.")
        return replace(self, values=np.hstack([self.values, values]), names=self.names + tuple(names))


@dataclass(frozen=True)
class FeatureStack:
    """The raster features of a specification, built once; `at` gives all features of any place."""

    spec: FeatureSpec
    stack: CovariateStack | None = field(repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all features, rasters first, then coordinates."""
        rasters = self.stack.names if self.stack is not None else ()
        return rasters + coordinate_names(self.spec)

    def at(
        self,
        longitude: np.ndarray,
        latitude: np.ndarray,
        position: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> FeatureTable:
        """Features of places (degrees), by the specification's rule for places without data.

        A place has data when its own raster cell, or one of the four around it that bilinear sampling uses,
        has all covariates. `position` is the places' (row, column) in the stack's grid where the caller
        knows it better than the coordinates tell, as with a window across the date line.

        Raises:
            CovariateError: for coordinates that are not numbers, and for places without data under the rules
                "refuse" and "nearest".
        """
        longitude = np.atleast_1d(np.asarray(longitude, dtype=np.float64))
        latitude = np.atleast_1d(np.asarray(latitude, dtype=np.float64))
        bad = ~(np.isfinite(longitude) & np.isfinite(latitude))
        if bad.any():
            raise CovariateError(
                f"{int(bad.sum())} of {len(bad)} places have no longitude or latitude; leave them out first."
            )
        parts = []
        filled = np.zeros(len(longitude), dtype=bool)
        missing = np.zeros(len(longitude), dtype=bool)
        if self.stack is not None:
            row, column = self.stack.grid_position(longitude, latitude) if position is None else position
            values = self.stack.sample_at(row, column, self.spec.method)
            empty = ~np.isfinite(values).all(axis=1)
            if empty.any() and self.spec.max_gap_cells > 0 and self.spec.missing != "refuse":
                cells = self._nearest_cells(row[empty], column[empty])
                rows = np.flatnonzero(empty)
                found = cells >= 0
                values[rows[found]] = self.stack.cell_values[cells[found]]
                filled[rows[found]] = True
            missing = empty & ~filled
            values[missing] = np.nan
            if missing.any() and self.spec.missing != "mark":
                first = int(np.argmax(missing))
                reach = f" within {self.spec.max_gap_cells:g} cells" if self.spec.missing == "nearest" else ""
                raise CovariateError(
                    f"{int(missing.sum())} of {len(missing)} places have no covariate data{reach} (the "
                    f"first at longitude {longitude[first]:.4f}, latitude {latitude[first]:.4f}); leave "
                    "them out, or allow the nearest cell with data (missing='nearest', max_gap_cells=…)."
                )
            parts.append(values)
        parts.append(encode_coordinates(longitude, latitude, self.spec))
        return FeatureTable(np.hstack(parts).astype(np.float32, copy=False), self.names, filled, missing)

    @cached_property
    def _nearest(self) -> tuple[np.ndarray, np.ndarray]:
        """Row and column of the nearest cell with all features, for every cell."""
        assert self.stack is not None
        _, (rows, columns) = distance_transform_edt(~self.stack.valid, return_indices=True)
        return rows, columns

    def _nearest_cells(self, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Flat number of the cell with data nearest to each position, -1 beyond reach or without any."""
        assert self.stack is not None
        stack = self.stack
        if not stack.valid.any():
            return np.full(len(row), -1, dtype=np.int64)
        # Places just off the grid start from its edge.
        own_row = np.clip(np.nan_to_num(row), 0, stack.height - 1).astype(np.int64)
        own_column = np.clip(np.nan_to_num(column), 0, stack.width - 1).astype(np.int64)
        rows, columns = self._nearest
        nearest_row, nearest_column = rows[own_row, own_column], columns[own_row, own_column]
        distance = np.hypot(nearest_row + 0.5 - row, nearest_column + 0.5 - column)
        near = np.nan_to_num(distance, nan=np.inf) <= self.spec.max_gap_cells
        return np.where(near, nearest_row * stack.width + nearest_column, -1)


def build_features(spec: FeatureSpec, stack: CovariateStack | None) -> FeatureStack:
    """The raster features of `spec` over `stack`: covariates, their neighbourhoods, land shares.

    Neighbourhood features are kept only where all covariates themselves have data, so that a coast is not
    described by its neighbours alone. With no covariates in the specification the stack is not used.

    Raises:
        CovariateError: when a covariate is not in the stack, or no stack is given where one is needed.
    """
    if spec.covariates == () and not spec.land_share_radii:
        if spec.coordinates == "none":
            raise ConfigurationError(
                "The features name no covariates and no coordinates; choose at least one."
            )
        return FeatureStack(spec, None)
    if stack is None:
        raise CovariateError("The features name covariates but no covariate stack was given.")
    base = stack if spec.covariates is None else stack.select(spec.covariates) if spec.covariates else None
    parts: list[CovariateStack] = []
    if base is not None:
        parts.append(base)
        parts += [base.neighbourhood_mean(radius) for radius in spec.mean_radii]
        parts += [base.neighbourhood_std(radius) for radius in spec.std_radii]
        parts += [base.smoothed(sigma) for sigma in spec.smooth_sigmas]
    land = base if base is not None else stack
    if spec.land_share_radii:
        shares = np.stack([land.valid_share(radius) for radius in spec.land_share_radii])
        names = tuple(f"land_share{radius}" for radius in spec.land_share_radii)
        parts.append(replace(land, values=shares, names=names, units=("1",) * len(names)))
    values = np.concatenate([part.values for part in parts])
    values[:, ~land.valid] = np.nan
    built = CovariateStack(
        values,
        tuple(name for part in parts for name in part.names),
        tuple(unit for part in parts for unit in part.units),
        stack.crs,
        stack.transform,
        stack.source,
    )
    return FeatureStack(spec, built)


def coordinate_names(spec: FeatureSpec) -> tuple[str, ...]:
    """Names of the coordinate features of a specification."""
    if spec.coordinates == "lonlat":
        return ("longitude", "latitude")
    if spec.coordinates == "sinr":
        return ("sin_longitude", "cos_longitude", "sin_latitude", "cos_latitude")
    if spec.coordinates == "fourier":
        waves = [
            f"{wave}{frequency:g}_{axis}"
            for frequency in spec.frequencies
            for axis in ("x", "y")
            for wave in ("sin", "cos")
        ]
        return ("x", "y", *waves)
    return ()


def encode_coordinates(longitude: np.ndarray, latitude: np.ndarray, spec: FeatureSpec) -> np.ndarray:
    """Coordinates (degrees) as features, float32 (n_sites, n); the caller's arrays stay as they are.

    Source: SINR (Cole et al. 2023), equation 8.2 of the thesis, for "sinr"; both poles get the same latitude
    features there, kept to reproduce the paper.
    """
    longitude, latitude = np.asarray(longitude, dtype=np.float64), np.asarray(latitude, dtype=np.float64)
    columns: list[np.ndarray] = []
    if spec.coordinates == "lonlat":
        columns = [longitude, latitude]
    elif spec.coordinates == "sinr":
        x, y = np.pi * longitude / 180, np.pi * latitude / 90
        columns = [np.sin(x), np.cos(x), np.sin(y), np.cos(y)]
    elif spec.coordinates == "fourier" and spec.bounds is not None:
        west, south, east, north = spec.bounds
        x, y = 2 * (longitude - west) / (east - west) - 1, 2 * (latitude - south) / (north - south) - 1
        columns = [x, y]
        for frequency in spec.frequencies:
            for axis in (x, y):
                columns += [np.sin(np.pi * frequency * axis / 2), np.cos(np.pi * frequency * axis / 2)]
    if not columns:
        return np.empty((len(longitude), 0), dtype=np.float32)
    return np.stack(columns, axis=1).astype(np.float32)
