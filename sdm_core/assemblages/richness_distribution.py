"""Distribution of the number of successes among independent events of unequal probability."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core.errors import RuleError


def poisson_binomial(probability: ArrayLike) -> NDArray[np.float64]:
    """Exact distribution of the number of species present, if they occurred independently.

    Adds one species after another, P(n) ← P(n)(1 − p) + P(n − 1)p: all terms are positive, nothing cancels.
    A single cell adds species of equal probability together, which is many times faster on stored codes.

    Args:
        probability: (…, n_species) in 0…1.

    Returns:
        (…, n_species + 1) probabilities of 0, 1, … n_species, summing to 1.

    Raises:
        RuleError: values outside 0…1, or NaN.
    """
    array = np.asarray(probability)
    if array.ndim == 0:
        raise RuleError(f"probability is a single number ({array}), expected an array with species last.")
    if array.dtype.kind not in "biuf":
        raise RuleError(f"probability has type {array.dtype}, expected numbers from 0 to 1.")
    array = array.astype(np.float64)
    if array.size and not (array.min() >= 0 and array.max() <= 1):
        raise RuleError("probability holds NaN or a value outside 0 to 1, expected probabilities.")
    n_species = array.shape[-1]
    if array.ndim == 1:
        return _of_one_cell(array)
    by_species = np.moveaxis(array, -1, 0)[..., None]  # (n_species, …, 1)
    distribution = np.zeros((*array.shape[:-1], n_species + 1))
    distribution[..., 0] = 1.0
    for number in range(n_species):
        p = by_species[number]
        if not p.any():
            continue
        moved = distribution[..., : number + 1] * p
        distribution[..., : number + 1] *= 1.0 - p
        distribution[..., 1 : number + 2] += moved
    return distribution


def _of_one_cell(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    distribution = np.ones(1)
    for p, n_equal in zip(*np.unique(probability, return_counts=True), strict=True):
        distribution = np.convolve(distribution, _binomial(float(p), int(n_equal)))
    return distribution


def _binomial(p: float, n: int) -> NDArray[np.float64]:
    """Distribution of n equal events, by squaring."""
    result, power = np.ones(1), np.array([1.0 - p, p])
    while n:
        if n & 1:
            result = np.convolve(result, power)
        n >>= 1
        if n:
            power = np.convolve(power, power)
    return result


def poisson_binomial_interval(probability: ArrayLike, level: float) -> NDArray[np.int64]:
    """Equal-tailed interval (…, 2) of the number of species present, holding at least `level`.

    The lower count is the first with P(N ≤ n) > (1 − level)/2, the upper the first with
    P(N ≤ n) ≥ (1 + level)/2.

    Raises:
        RuleError: values outside 0…1, or NaN.
    """
    cumulative = np.cumsum(poisson_binomial(probability), axis=-1)
    tail = (1.0 - level) / 2.0
    rounding = 1e-12
    lower = np.argmax(cumulative > tail + rounding, axis=-1)
    upper = np.argmax(cumulative >= 1.0 - tail - rounding, axis=-1)
    return np.stack([lower, upper], axis=-1).astype(np.int64)
