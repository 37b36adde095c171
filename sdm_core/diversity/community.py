"""Indices of one community: weights (or probabilities) per species in, one number out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core.assemblages.richness_distribution import poisson_binomial_interval
from sdm_core.diversity._arrays import (
    Floats,
    checked_probabilities,
    checked_weights,
    per_row,
    presences,
    relative,
    row_chunks,
    species_last,
)
from sdm_core.errors import RuleError

#: Below this distance from order 1 a Hill number is computed around its limit, where the usual form cancels.
_NEAR_ONE = 0.5
_TINY = np.finfo(np.float64).tiny


def richness(presence: ArrayLike) -> NDArray[np.int64]:
    """Number of species in each set.

    Relatives: `expected_richness` sums probabilities; `hill(q, 0)` counts species of non-zero weight.

    Args:
        presence: (…, n_species) booleans, or 0 and 1.

    Returns:
        (…) counts; an empty set has 0 species.

    Raises:
        RuleError: values other than 0 and 1.
    """
    return np.count_nonzero(presences(presence, "presence"), axis=-1)


def expected_richness(probability: ArrayLike) -> Floats:
    """Expected number of species, Σ p: the mean of the richness, whether or not species co-occur.

    Needs calibrated probabilities (predicted-richness stacking, Calabrese et al. 2014, doi
    10.1111/geb.12102).

    Args:
        probability: (…, n_species) in 0…1.

    Returns:
        (…) numbers of species, not rounded.

    Raises:
        RuleError: values outside 0…1, or NaN.
    """
    return per_row(probability, lambda p: p.sum(axis=-1), "probability", probabilities=True)


def richness_variance(probability: ArrayLike) -> Floats:
    """Variance of the number of species, Σ p(1 − p), if species occurred independently.

    The true variance is larger wherever species share habitats; a spread from it is a lower limit.

    Args:
        probability: (…, n_species) in 0…1.

    Returns:
        (…) variances, in species squared.

    Raises:
        RuleError: values outside 0…1, or NaN.
    """
    return per_row(probability, lambda p: (p * (1.0 - p)).sum(axis=-1), "probability", probabilities=True)


def richness_interval(probability: ArrayLike, level: float = 0.9) -> NDArray[np.int64]:
    """Equal-tailed interval of the number of species if they occurred independently (Poisson-binomial).

    It holds at least `level` of the probability. Species are not independent, so the real interval is wider.

    Args:
        probability: (…, n_species) in 0…1.
        level: share of the distribution inside, above 0 and below 1.

    Returns:
        (…, 2) lower and upper count.

    Raises:
        RuleError: values outside 0…1, NaN, or a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise RuleError(f"The interval level is {level:g}, expected a share above 0 and below 1 such as 0.9.")
    array = checked_probabilities(species_last(probability, "probability"), "probability")
    return poisson_binomial_interval(array, level)


def shannon(q: ArrayLike) -> Floats:
    """Shannon entropy H′ = −Σ q ln q, natural logarithm, of weights normalised to sum 1.

    0 for a single species, ln S for S equally common ones, NaN for a community without any weight. exp(H′) is
    `hill(q, 1)`; H′ / ln S is `pielou(q)`.

    Args:
        q: (…, n_species) weights ≥ 0 that need not sum to 1. With probabilities the index is the evenness and
            number of expected species, not of individuals.

    Returns:
        (…) in nats; weights in single precision give it to about 1e-6, in double precision to about 1e-14.

    Raises:
        RuleError: negative, NaN or infinite weights.
    """
    array = species_last(q, "q")
    rows = array.reshape(int(np.prod(array.shape[:-1], dtype=np.int64)), array.shape[-1])
    return _shannon_of_many(rows).reshape(array.shape[:-1])[()]


def _shannon_of_many(rows: NDArray[np.generic]) -> Floats:
    """Entropy of each row as ln T − Σ w ln w / T, T = Σ w: one logarithm and two products over the values.

    A row that comes out as no number (zeros, where 0·ln 0 is undefined, an empty or a wrong one) is done
    again, with the least positive number added, and at last by `_shannon` with all checks; so is a row whose
    sum is so small that the added number would count.
    """
    out = np.empty(len(rows), dtype=np.float64)
    precision: type[np.floating] = np.float32 if rows.dtype == np.float32 else np.float64
    ones, least = np.ones(rows.shape[1], dtype=precision), np.finfo(precision).tiny
    buffer = np.empty((0, rows.shape[1]), dtype=precision)
    has_zeros = False
    for part in row_chunks(*rows.shape):
        weights: NDArray[np.floating] = rows[part].astype(precision, copy=False)
        if len(buffer) < len(weights):
            buffer = np.empty(weights.shape, dtype=precision)
        logarithm = buffer[: len(weights)]
        with np.errstate(all="ignore"):
            total = weights @ ones
            for attempt in (0, 1):
                if attempt or has_zeros:
                    np.log2(np.add(weights, least, out=logarithm), out=logarithm)
                else:
                    np.log2(weights, out=logarithm)  # a fifth faster than the natural one
                entropy = np.log(2.0) * (np.log2(total) - np.vecdot(weights, logarithm) / total)
                wrong = ~(np.isfinite(entropy) & (total > 1e20 * least))
                if has_zeros or not wrong.any():
                    break
                has_zeros = True
        out[part] = np.maximum(entropy, 0.0) + 0.0
        if wrong.any():
            out[part][wrong] = _shannon(checked_weights(weights[wrong], "q"))
    return out


def _shannon(weights: Floats) -> Floats:
    share, empty = relative(weights)
    logarithm = np.log(np.maximum(share, _TINY))
    entropy = -np.einsum("ij,ij->i", share, logarithm)
    return np.where(empty, np.nan, np.maximum(entropy, 0.0) + 0.0)


def simpson(q: ArrayLike) -> Floats:
    """Gini–Simpson index 1 − Σ q²: chance that two draws are different species.

    0 for a single species, 1 − 1/S for S equally common ones, NaN for a community without any weight.

    Args:
        q: (…, n_species) weights ≥ 0 that need not sum to 1.

    Returns:
        (…) in 0…1.

    Raises:
        RuleError: negative, NaN or infinite weights.
    """
    return per_row(q, lambda w: np.maximum(1.0 - _dominance(w), 0.0), "q")


def inverse_simpson(q: ArrayLike) -> Floats:
    """Inverse Simpson index 1/Σ q², the Hill number of order 2: effective number of common species.

    Args:
        q: (…, n_species) weights ≥ 0 that need not sum to 1.

    Returns:
        (…) from 1 to S, NaN for a community without any weight.

    Raises:
        RuleError: negative, NaN or infinite weights.
    """
    return per_row(q, lambda w: np.maximum(1.0 / _dominance(w), 1.0), "q")


def _dominance(weights: Floats) -> Floats:
    share, empty = relative(weights)
    return np.where(empty, np.nan, np.einsum("ij,ij->i", share, share))


def pielou(q: ArrayLike) -> Floats:
    """Pielou's evenness J = H′ / ln S, with S the species of non-zero weight.

    NaN for one species (evenness of one has no meaning) and for none.

    Args:
        q: (…, n_species) weights ≥ 0 that need not sum to 1.

    Returns:
        (…) in 0…1, where 1 is all equally common.

    Raises:
        RuleError: negative, NaN or infinite weights.
    """
    return per_row(q, _pielou, "q")


def _pielou(weights: Floats) -> Floats:
    present = np.count_nonzero(weights, axis=-1)
    entropy = _shannon(weights)
    out = np.full(len(weights), np.nan)
    np.divide(entropy, np.log(np.maximum(present, 1)), out=out, where=present > 1)
    return np.minimum(out, 1.0)


def hill(q: ArrayLike, order: float) -> Floats:
    """Hill number (Σ q^order)^(1/(1 − order)): effective number of species.

    Order 0 counts species of non-zero weight, 1 is exp(Shannon), 2 the inverse Simpson index, infinity one
    over the largest share. Never rises with the order (Hill 1973, doi 10.2307/1934352). The order has no
    default: scikit-bio's is 2, others' 1.

    Args:
        q: (…, n_species) weights ≥ 0 that need not sum to 1.
        order: 0 or more, `math.inf` included.

    Returns:
        (…) from 1 to S, NaN for a community without any weight.

    Raises:
        RuleError: negative, NaN or infinite weights; a negative or NaN order.
    """
    if not order >= 0:
        raise RuleError(f"The order of a Hill number is {order:g}, expected 0 or more (usually 0, 1, 2).")
    return per_row(q, lambda w: _hill(w, float(order)), "q")


def _hill(weights: Floats, order: float) -> Floats:
    present = np.count_nonzero(weights, axis=-1).astype(np.float64)
    share, empty = relative(weights)
    if order == 0:
        number = present
    elif order == 1:
        number = np.exp(_shannon(share))
    elif abs(order - 1) < _NEAR_ONE:
        # ln D = ln(1 + Σ q (q^(order−1) − 1)) / (1 − order), without the cancellation near order 1
        excess = share * np.expm1((order - 1) * np.log(np.maximum(share, _TINY)))
        number = np.exp(np.log1p(excess.sum(axis=-1)) / (1 - order))
    else:
        highest = np.where(empty, 1.0, share.max(axis=-1, initial=0.0))
        if np.isinf(order):
            number = 1.0 / highest
        else:
            total = np.sum((share / highest[:, None]) ** order, axis=-1)
            total[empty] = 1.0
            number = highest ** (order / (1 - order)) * total ** (1 / (1 - order))
    return np.where(empty, np.nan, np.clip(number, 1.0, np.maximum(present, 1.0)))


def weighted_endemism(presence: ArrayLike, range_size: ArrayLike) -> Floats:
    """Weighted endemism Σ z / range: presences (or probabilities), each divided by its species' range.

    Crisp et al. 2001 (doi 10.1046/j.1365-2699.2001.00524.x), as in SSDM and phyloregion. With ranges from the
    same map the sum over all cells is the number of species. A species without a range counts nothing.

    Args:
        presence: (…, n_species) sets or probabilities in 0…1.
        range_size: (n_species) number of cells, or km², that the species occupies.

    Returns:
        (…) in species per range unit.

    Raises:
        RuleError: values outside 0…1 or NaN, negative or missing ranges, or another number of species.
    """
    array = species_last(presence, "presence")
    size = np.asarray(range_size, dtype=np.float64)
    if size.shape != array.shape[-1:]:
        raise RuleError(
            f"range_size has shape {size.shape}, expected one range for each of {array.shape[-1]} species."
        )
    if not np.all(size >= 0):
        raise RuleError("range_size holds a negative or missing range, expected zero or more per species.")
    rarity = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
    return per_row(array, lambda p: p @ rarity, "presence", probabilities=True)
