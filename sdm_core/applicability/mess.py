"""Multivariate environmental similarity surface (MESS): the range of each variable that a model has seen.

Elith, Kearney & Phillips 2010, "The art of modelling range-shifting species" (doi
10.1111/j.2041-210X.2010.00036.x), in the form of the R package dismo, which counts reference values less
than or equal to a value where the paper counts those less than it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core.applicability.sites import checked_places, checked_sites


def mess_by_variable(values: ArrayLike, reference: ArrayLike) -> NDArray[np.float64]:
    """Similarity of each variable at places (n, n_variables) to its reference (n_sites, n_variables).

    With f the percentage of reference values at or below the value: 2 f up to the median, 200 - 2 f above
    it, at most 100; beyond the reference's range, minus 100 times the distance to its end over its width; 0
    at its upper end. NaN stays NaN. A variable that does not vary in the reference gives 100 at that value
    and minus infinity elsewhere. Shifting or scaling a variable, at places and sites alike, changes nothing.
    Raises `ApplicabilityError` for no site, sites with missing values, or other variables.
    """
    sites = np.sort(checked_sites(reference, "reference"), axis=0)
    places = checked_places(values, "values", sites.shape[1])
    similarity = np.empty_like(places)
    for column in range(places.shape[1]):
        similarity[:, column] = _similarity(places[:, column], sites[:, column])
    return similarity


def mess(values: ArrayLike, reference: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """MESS of each place (n,), the lowest similarity of any variable, and which variable it is (n,).

    Below zero, at least one variable lies outside the range of the reference. -1 where a value is NaN.
    """
    similarity = mess_by_variable(values, reference)
    unknown = np.isnan(similarity).any(axis=1)
    lowest = np.where(np.isnan(similarity), np.inf, similarity).argmin(axis=1)
    found = similarity[np.arange(len(similarity)), lowest]
    return np.where(unknown, np.nan, found), np.where(unknown, -1, lowest)


def _similarity(values: NDArray[np.float64], ordered: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = ordered[0], ordered[-1]
    share = 100.0 * np.searchsorted(ordered, values, side="right") / len(ordered)
    found = np.where(share <= 50, 2 * share, 200 - 2 * share)
    with np.errstate(divide="ignore", invalid="ignore"):
        below, above = 100 * (values - low) / (high - low), 100 * (high - values) / (high - low)
    if low == high:
        found = np.where(values == low, 100.0, -np.inf)
    else:
        found = np.where(share == 0, below, np.where(share == 100, above, found))
    return np.where(np.isnan(values), np.nan, found)
