"""Distances in the space of predictors: to the nearest training site, between training sites, their limit.

After Meyer & Pebesma 2021, "Predicting into unknown space?" (doi 10.1111/2041-210X.13650), as the R package
CAST computes them (`trainDI`, `aoa`). All functions take predictors that are already scaled and weighted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core.applicability.sites import checked_places, checked_sites

#: Distances held at once, as float64.
_DISTANCES_AT_ONCE = 8_000_000


def nearest_distances(
    values: ArrayLike,
    training: ArrayLike,
    groups: ArrayLike | None = None,
    training_groups: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Euclidean distance of each place (n, n_variables) to the nearest training site, float64 (n,).

    groups, training_groups: with both, only sites of another group than the place's own count (folds of a
    cross-validation); infinite where there are none. A place with NaN has NaN.

    Raises `ApplicabilityError` for no training site, sites with missing values, or other variables.
    """
    sites = checked_sites(training, "training")
    places = checked_places(values, "values", sites.shape[1])
    # |a - b|² = |a|² - 2 (a·b - |b|²/2): the nearest site has the largest a·b - |b|²/2, one product for all.
    lifted = np.column_stack([sites, -0.5 * (sites**2).sum(axis=1)]).T
    own = None if groups is None else np.asarray(groups)
    other = None if training_groups is None else np.asarray(training_groups)
    distances = np.full(len(places), np.nan)
    known = np.flatnonzero(np.isfinite(places).all(axis=1))
    step = max(1, _DISTANCES_AT_ONCE // max(1, len(sites)))
    for start in range(0, len(known), step):
        rows = known[start : start + step]
        part = places[rows]
        closeness = np.column_stack([part, np.ones(len(part))]) @ lifted
        if own is not None and other is not None:
            closeness[own[rows][:, None] == other[None, :]] = -np.inf
        nearest = closeness.argmax(axis=1)
        found = np.sqrt(((part - sites[nearest]) ** 2).sum(axis=1))
        alone = np.isneginf(closeness[np.arange(len(part)), nearest])
        distances[rows] = np.where(alone, np.inf, found)
    return distances


def mean_distance(training: ArrayLike) -> float:
    """Mean Euclidean distance between two different training sites (n_sites, n_variables).

    Raises `ApplicabilityError` for fewer than two sites, or sites with missing values.
    """
    sites = checked_sites(training, "training", least=2)
    squares = (sites**2).sum(axis=1)
    total = 0.0
    step = max(1, _DISTANCES_AT_ONCE // max(1, len(sites)))
    for start in range(0, len(sites), step):
        part = slice(start, start + step)
        squared = squares[part, None] + squares[None, :] - 2 * sites[part] @ sites.T
        rows = np.arange(len(squared))
        squared[rows, start + rows] = 0.0  # a site and itself, whatever rounding leaves
        total += float(np.sqrt(np.maximum(squared, 0.0)).sum())
    return total / (len(sites) * (len(sites) - 1))


def training_dissimilarity(training: ArrayLike, folds: ArrayLike | None = None) -> NDArray[np.float64]:
    """Dissimilarity index of each training site to those of other folds, float64 (n_sites,).

    DI = distance to the nearest site of another fold / mean distance between training sites. Without folds,
    the nearest other site counts. NaN for sites of no fold (negative numbers). Raises as `mean_distance`.
    """
    sites = checked_sites(training, "training", least=2)
    groups = np.arange(len(sites)) if folds is None else np.asarray(folds)
    distances = nearest_distances(sites, sites, groups, groups)
    return np.where(groups < 0, np.nan, distances) / mean_distance(sites)


def outlier_removed_maximum(values: ArrayLike) -> float:
    """Largest value within 1.5 hinge spreads above the upper hinge: the upper whisker of Tukey's box plot.

    NaN and infinite values are left out. Hinges as in R's `fivenum`, so that the limit is the one of
    `boxplot.stats(values)$stats[5]`, which CAST takes as the threshold of the area of applicability.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64)[np.isfinite(values)])
    if not len(ordered):
        return float("nan")
    lower, upper = _hinges(ordered)
    return float(ordered[ordered <= upper + 1.5 * (upper - lower)].max())


def _hinges(ordered: NDArray[np.float64]) -> tuple[float, float]:
    """Medians of the lower and of the upper half, the median in both where their number is odd."""
    depth = (len(ordered) + 3) // 2 / 2
    low, high = int(np.floor(depth)) - 1, int(np.ceil(depth)) - 1
    return (
        float((ordered[low] + ordered[high]) / 2),
        float((ordered[-1 - low] + ordered[-1 - high]) / 2),
    )
