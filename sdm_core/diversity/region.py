"""Alpha, gamma and beta of a region: cells × species in, one number out.

Gamma is never Σ(1 − Π(1 − p)): neighbouring cells are not independent trials, and a probability of 1e-4 in
each of 100,000 cells would make every species certain. `gamma` counts species of sets, `gamma_lower` sums
each species' best probability.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sdm_core.diversity._arrays import (
    Floats,
    checked_probabilities,
    checked_weights,
    presences,
    region_table,
    region_weights,
    relative,
    row_chunks,
)
from sdm_core.diversity.community import hill
from sdm_core.errors import RuleError


def alpha(presence: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Mean number of species per cell ᾱ, weighted by cell area.

    Sets give the mean count, probabilities the mean expected richness Σ p; both need the same formula.

    Args:
        presence: (n_cells, n_species) sets or probabilities in 0…1.
        weights: (n_cells) areas; equal when left out.

    Raises:
        RuleError: not cells × species, values outside 0…1 or NaN, no cell, bad weights.
    """
    table = region_table(presence, "presence")
    share = region_weights(weights, len(table))
    total = 0.0
    for part in row_chunks(*table.shape):
        total += float(share[part] @ checked_probabilities(table[part], "presence").sum(axis=-1))
    return total


def gamma(
    presence: ArrayLike,
    minimum_cells: int = 1,
    weights: ArrayLike | None = None,
    minimum_area: float = 0.0,
) -> int:
    """Number of species of the pooled region γ: those present in enough cells, and on enough area.

    Args:
        presence: (n_cells, n_species) sets (booleans, or 0 and 1).
        minimum_cells: cells a species must be present in.
        weights: (n_cells) areas, needed for `minimum_area`.
        minimum_area: summed area a species must be present on, in the unit of `weights`.

    Raises:
        RuleError: probabilities instead of sets, no cell, a minimum below 1 cell, or an area without weights.
    """
    table = presences(region_table(presence, "presence"), "presence")
    if minimum_cells < 1:
        raise RuleError(f"minimum_cells is {minimum_cells}, expected 1 or more.")
    counted = np.count_nonzero(table, axis=0) >= minimum_cells
    if minimum_area > 0:
        if weights is None:
            raise RuleError(f"minimum_area is {minimum_area:g} but no cell areas are given as weights.")
        region_weights(weights, len(table))
        counted &= np.asarray(weights, dtype=np.float64) @ table >= minimum_area
    return int(np.count_nonzero(counted))


def gamma_lower(probability: ArrayLike) -> float:
    """Lower bound of the expected regional richness: Σ over species of its highest probability in any cell.

    Exact if presences are nested (a species present anywhere is present in its best cell), too low otherwise.

    Args:
        probability: (n_cells, n_species) in 0…1.

    Raises:
        RuleError: not cells × species, values outside 0…1 or NaN, no cell.
    """
    table = region_table(probability, "probability")
    highest = np.zeros(table.shape[1])
    for part in row_chunks(*table.shape):
        np.maximum(highest, checked_probabilities(table[part], "probability").max(axis=0), out=highest)
    return float(highest.sum())


def beta_whittaker(presence: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Whittaker's multiplicative beta γ/ᾱ: how many times richer the region is than its mean cell.

    1 when every cell holds all species of the region. For two cells it is 1 + Sørensen dissimilarity. NaN for
    a region without species.

    Args:
        presence: (n_cells, n_species) sets (booleans, or 0 and 1); γ and ᾱ use the same sets.
        weights: (n_cells) areas for ᾱ; equal when left out.

    Raises:
        RuleError: as for `gamma` and `alpha`.
    """
    table = presences(region_table(presence, "presence"), "presence")
    mean = alpha(table, weights)
    return max(1.0, gamma(table) / mean) if mean > 0 else float("nan")  # never below 1 by rounding


def beta_additive(presence: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Additive beta γ − ᾱ: species of the region that the mean cell lacks (Lande 1996, doi 10.2307/3545743).

    Args and errors as for `beta_whittaker`; 0 for a region without species.
    """
    table = presences(region_table(presence, "presence"), "presence")
    return max(0.0, gamma(table) - alpha(table, weights))


def alpha_jost(q: ArrayLike, order: float, weights: ArrayLike | None = None) -> float:
    """Mean effective number of species per cell, ^qD_α of Jost 2007 (doi 10.1890/06-1736.1, eq. 11).

    Each cell's weights are normalised to sum 1 first. NaN when any cell is empty: it has no composition.

    Args:
        q: (n_cells, n_species) weights or probabilities ≥ 0.
        order: 0 or more; other orders than 0 and 1 need equal cell weights (Jost 2007, p. 2431).
        weights: (n_cells) areas; equal when left out.

    Raises:
        RuleError: bad values, no cell, or unequal cell weights at an order other than 0 and 1.
    """
    table = region_table(q, "q")
    share = _jost_weights(weights, len(table), order)
    numbers = np.atleast_1d(hill(table, order))
    if order == 1:
        return float(np.exp(share @ np.log(numbers)))
    if np.isinf(order):
        return float(numbers.min())
    # Σ w^q · Σ p^q over Σ w^q, where Σ p^q = D^(1 − q); w^0 = 1, so order 0 is the plain mean of richness
    power = share**order
    return float((power @ numbers ** (1 - order) / power.sum()) ** (1 / (1 - order)))


def gamma_jost(q: ArrayLike, order: float, weights: ArrayLike | None = None) -> float:
    """Effective number of species of the region: Hill number of the area-weighted mean composition.

    Args, limits and errors as for `alpha_jost`.
    """
    table = region_table(q, "q")
    share = _jost_weights(weights, len(table), order)
    pooled = np.zeros(table.shape[1])
    for part in row_chunks(*table.shape):
        composition, empty = relative(checked_weights(table[part], "q"))
        if empty.any():
            return float("nan")
        pooled += share[part] @ composition
    return float(hill(pooled, order))


def beta_jost(q: ArrayLike, order: float, weights: ArrayLike | None = None) -> float:
    """Effective number of distinct communities, ^qD_γ / ^qD_α (Jost 2007).

    From 1 (all cells alike) to the number of cells (no species shared, equal weights).

    Args, limits and errors as for `alpha_jost`.
    """
    return gamma_jost(q, order, weights) / alpha_jost(q, order, weights)


def _jost_weights(weights: ArrayLike | None, n_cells: int, order: float) -> Floats:
    share = region_weights(weights, n_cells)
    if order not in (0, 1) and not np.allclose(share, share[0]):
        raise RuleError(
            f"Jost's beta of order {order:g} is not defined for cells of unequal weight; use order 0 or 1, "
            "or leave the weights out."
        )
    return share


@dataclass(frozen=True)
class MultiSiteSample:
    """Multi-site Sørensen dissimilarity over repeated random samples of equal size.

    Values rise with the number of cells, so only samples of the same `n_cells` may be compared.
    """

    n_cells: int
    n_samples: int
    total: float
    turnover: float
    nestedness: float
    total_standard_deviation: float
    turnover_standard_deviation: float
    nestedness_standard_deviation: float


def multi_site_sorensen(presence: ArrayLike) -> float:
    """Baselga's multi-site Sørensen dissimilarity (m+M)/(2A+m+M), one number for all cells together.

    A = ΣS_i − S_T, m = Σ_{i<j} min(b_ij, b_ji), M likewise with max (Baselga 2010; betapart `beta.multi`,
    vegan `nestedbetasor`). Not the mean of pairwise values. Rises with the number of cells. Memory and
    time grow with its square: use `multi_site_sample` beyond a few thousand.

    Args:
        presence: (n_cells, n_species) sets (booleans, or 0 and 1).

    Returns:
        0…1; NaN for fewer than two cells with species.

    Raises:
        RuleError: probabilities instead of sets, or no cell.
    """
    shared, lesser, greater = _multi_site_components(presence)
    return _divide(lesser + greater, 2 * shared + lesser + greater)


def multi_site_sorensen_turnover(presence: ArrayLike) -> float:
    """Turnover part (Simpson) of `multi_site_sorensen`: m/(A+m). Argument, result and errors as there."""
    shared, lesser, _ = _multi_site_components(presence)
    return _divide(lesser, shared + lesser)


def multi_site_sorensen_nestedness(presence: ArrayLike) -> float:
    """Nestedness part of `multi_site_sorensen`: total − turnover. Argument, result and errors as there."""
    return multi_site_sorensen(presence) - multi_site_sorensen_turnover(presence)


def multi_site_jaccard(presence: ArrayLike) -> float:
    """Multi-site Jaccard dissimilarity (m+M)/(A+m+M) (Baselga 2012).

    Argument, result and errors as for `multi_site_sorensen`.
    """
    shared, lesser, greater = _multi_site_components(presence)
    return _divide(lesser + greater, shared + lesser + greater)


def multi_site_jaccard_turnover(presence: ArrayLike) -> float:
    """Turnover part of `multi_site_jaccard`: 2m/(A+2m). Argument, result and errors as there."""
    shared, lesser, _ = _multi_site_components(presence)
    return _divide(2 * lesser, shared + 2 * lesser)


def multi_site_jaccard_nestedness(presence: ArrayLike) -> float:
    """Nestedness part of `multi_site_jaccard`: total − turnover. Argument, result and errors as there."""
    return multi_site_jaccard(presence) - multi_site_jaccard_turnover(presence)


def multi_site_sample(
    presence: ArrayLike, generator: np.random.Generator, n_cells: int = 100, n_samples: int = 100
) -> MultiSiteSample:
    """Multi-site Sørensen dissimilarity and its parts over random samples of cells (betapart `beta.sample`).

    Args:
        presence: (cells, n_species) sets (booleans, or 0 and 1).
        generator: source of the samples; the same state gives the same result.
        n_cells: cells per sample, drawn without replacement.
        n_samples: samples drawn.

    Raises:
        RuleError: fewer cells than `n_cells`, `n_cells` below 2, `n_samples` below 1, or not sets.
    """
    table = presences(region_table(presence, "presence"), "presence")
    if not 2 <= n_cells <= len(table):
        raise RuleError(f"n_cells is {n_cells}, expected between 2 and the region's {len(table)} cells.")
    if n_samples < 1:
        raise RuleError(f"n_samples is {n_samples}, expected 1 or more.")
    values = np.empty((n_samples, 3))
    for row in range(n_samples):
        shared, lesser, greater = _multi_site_components(
            table[generator.choice(len(table), n_cells, replace=False)]
        )
        total = _divide(lesser + greater, 2 * shared + lesser + greater)
        turnover = _divide(lesser, shared + lesser)
        values[row] = total, turnover, total - turnover
    spread = values.std(axis=0, ddof=1) if n_samples > 1 else np.full(3, np.nan)
    return MultiSiteSample(n_cells, n_samples, *map(float, values.mean(axis=0)), *map(float, spread))


def _divide(top: float, bottom: float) -> float:
    return top / bottom if bottom > 0 else float("nan")


def _multi_site_components(presence: ArrayLike) -> tuple[float, float, float]:
    """A, m and M of Baselga's multi-site measures; cells without species play no part."""
    table = presences(region_table(presence, "presence"), "presence")
    table = table[table.any(axis=1)]
    counts = np.count_nonzero(table, axis=1).astype(np.float64)
    pooled = float(np.count_nonzero(table.any(axis=0)))
    numbers = table.astype(np.float32)  # counts below 2^24 stay exact in the products
    lesser = greater = 0.0
    for part in row_chunks(len(table), max(table.shape[1], len(table))):
        common = (numbers[part] @ numbers.T).astype(np.float64)
        # b_ij = S_i − shared; over ordered pairs the diagonal adds nothing and each pair counts twice
        lesser += float((np.minimum(counts[part, None], counts) - common).sum())
        greater += float((np.maximum(counts[part, None], counts) - common).sum())
    return float(counts.sum()) - pooled, lesser / 2, greater / 2
