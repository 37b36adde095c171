"""Means over neighbourhoods that leave cells without data out of the account."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d, uniform_filter1d

from sdm_core.errors import CovariateError


def window_mean(layer: np.ndarray, radius_cells: int, wraps: bool) -> np.ndarray:
    """Mean over the square of 2r + 1 cells, float64 (height, width); zeros beyond the edge.

    With `wraps`, the square goes around the Earth.
    """
    if int(radius_cells) != radius_cells or radius_cells < 0:
        raise CovariateError(
            f"The neighbourhood radius is {radius_cells}; it must be a whole number of cells."
        )
    size = 2 * int(radius_cells) + 1
    if wraps and size > layer.shape[1]:
        raise CovariateError(
            f"A neighbourhood of {size} cells is wider than the grid ({layer.shape[1]} columns)."
        )
    rows = uniform_filter1d(layer.astype(np.float64), size, axis=0, mode="constant", cval=0.0)
    return uniform_filter1d(rows, size, axis=1, mode="wrap" if wraps else "constant", cval=0.0)


def window_moments(values: np.ndarray, radius_cells: int, wraps: bool) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the valid cells in the square of 2r + 1 cells, float64 (height, width).

    NaN where the whole square has no data. The deviation is that of the whole (n in the denominator).
    """
    known = np.isfinite(values)
    share = window_mean(known, radius_cells, wraps)
    share[share < 0.5 / (2 * radius_cells + 1) ** 2] = np.nan
    # Centred on the layer's mean, so that squares do not lose their digits.
    centre = float(values[known].mean(dtype=np.float64)) if known.any() else 0.0
    centred = np.where(known, values.astype(np.float64) - centre, 0.0)
    mean = window_mean(centred, radius_cells, wraps) / share
    square = window_mean(centred**2, radius_cells, wraps) / share
    return mean + centre, np.sqrt(np.maximum(square - mean**2, 0))


def gaussian_mean(values: np.ndarray, sigma_cells: float, wraps: bool) -> np.ndarray:
    """Mean of the valid cells with Gaussian weights cut at 4 standard deviations, float64 (height, width).

    NaN where the valid cells carry less than 0.0001 of the weight.
    """
    if not sigma_cells > 0:
        raise CovariateError(f"The smoothing width is {sigma_cells} cells; it must be above 0.")
    known = np.isfinite(values)
    weighted = _gaussian(np.where(known, values, 0), sigma_cells, wraps)
    share = _gaussian(known, sigma_cells, wraps)
    return np.where(share >= 1e-4, weighted / np.maximum(share, 1e-4), np.nan)


def _gaussian(layer: np.ndarray, sigma_cells: float, wraps: bool) -> np.ndarray:
    rows = gaussian_filter1d(layer.astype(np.float64), sigma_cells, axis=0, mode="constant", cval=0.0)
    return gaussian_filter1d(rows, sigma_cells, axis=1, mode="wrap" if wraps else "constant", cval=0.0)
