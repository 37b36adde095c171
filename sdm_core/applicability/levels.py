"""Predictors of training sites in one byte a value, so that a reference is small enough to ship."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Values that one predictor can take; a byte numbers them.
N_LEVELS = 256


def levels_of(column: ArrayLike) -> NDArray[np.float32]:
    """The values (n_levels,), ascending, that stand for those of a column of finite numbers.

    All of its values where there are at most `N_LEVELS` different ones. Else half of the levels lie evenly
    between the ends, so that no distance is far off, and half at even steps of rank, so that shares of
    sites below a value (MESS) are kept too. The ends are kept exactly: nothing leaves the range of the sites
    or enters it.
    """
    values = np.unique(np.asarray(column, dtype=np.float32))
    if len(values) <= N_LEVELS:
        return values
    half = N_LEVELS // 2
    even = np.linspace(values[0], values[-1], half)
    ranks = np.quantile(np.asarray(column, dtype=np.float64), np.linspace(0, 1, N_LEVELS - half + 2)[1:-1])
    found = np.unique(np.concatenate([even, ranks]).astype(np.float32))
    return np.clip(found, values[0], values[-1])


def to_levels(sites: ArrayLike) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Numbers of the nearest levels (n_sites, n_variables), and the levels (n_variables, N_LEVELS).

    After the last level of a predictor there is NaN. Sites that are on levels already stay as they are.
    """
    table = np.asarray(sites, dtype=np.float32)
    codes = np.empty(table.shape, dtype=np.uint8)
    levels = np.full((table.shape[1], N_LEVELS), np.nan, dtype=np.float32)
    for column in range(table.shape[1]):
        found = levels_of(table[:, column])
        between = (found[1:].astype(np.float64) + found[:-1]) / 2
        codes[:, column] = np.searchsorted(between, table[:, column])
        levels[column, : len(found)] = found
    return codes, levels


def from_levels(codes: NDArray[np.uint8], levels: NDArray[np.float32]) -> NDArray[np.float32]:
    """The sites (n_sites, n_variables) that numbers of levels stand for."""
    return levels[np.arange(len(levels)), codes]
