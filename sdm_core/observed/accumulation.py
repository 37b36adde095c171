"""How complete an observed list is: coverage, species at a standard size, and those not found yet."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from sdm_core.indicators.summary import format_number
from sdm_core.observed.numbers import ObservedNumber

#: Sizes an observed list is brought down to, the largest that there are enough plots (or records) for.
PLOT_SIZES = (100, 50, 20, 10, 5)
RECORD_SIZES = (10_000, 1_000, 500, 100, 50)


def accumulation_numbers(counts: NDArray[np.float64], n_plots: int) -> list[ObservedNumber]:
    """Coverage, rarefied richness and Chao's lower bound of the whole richness.

    counts: plots (or records, with `n_plots` 0) of each species (n_species,). With plots the formulas for
    incidences hold: a plot is a sampling unit; without, every record is taken for a plant drawn at random.
    """
    counts = counts[counts > 0]
    size = n_plots or int(counts.sum())
    unit, estimator = ("plots", "Chao2") if n_plots else ("records", "Chao1")
    sizes = PLOT_SIZES if n_plots else RECORD_SIZES
    small = next((number for number in sizes if number < size), None)
    found = [
        ObservedNumber(
            "coverage",
            "Coverage of the observed list, %",
            100 * sample_coverage(counts, size),
            f"Share of the finds that further {unit} of the same kind would add to species already listed "
            "(Chao & Jost 2012); near 100 the list is complete for this way of looking.",
            1,
        )
    ]
    if small is not None:
        found.append(
            ObservedNumber(
                "rarefied",
                f"Species in {format_number(small, 0)} {unit}, rarefied",
                rarefied_richness(counts, size, small),
                f"Expected number of species in {format_number(small, 0)} of the {format_number(size, 0)} "
                f"{unit}, drawn at random; compare areas at the same number of {unit}.",
                1,
            )
        )
    found.append(
        ObservedNumber(
            "chao",
            f"Species with those not found yet, at least ({estimator})",
            chao_richness(counts, size),
            f"Lower bound of the number of species that {unit} like these would find in the end, from those "
            "found once and twice (Chao 1984).",
            0,
        )
    )
    return found


def _singles(counts: NDArray[np.float64]) -> tuple[float, float]:
    return float((counts == 1).sum()), float((counts == 2).sum())


def sample_coverage(counts: NDArray[np.float64], size: int) -> float:
    """Estimated coverage 0…1: share of all finds that belong to species in the list; NaN without any.

    Ĉ = 1 − f₁/n · (m−1)f₁ / ((m−1)f₁ + 2f₂), n finds in m sampling units (m = n for single records); where
    no species was found twice, (m−1)(f₁−1) / ((m−1)(f₁−1) + 2) stands for the fraction. Source: Chao & Jost
    2012 (doi 10.1890/11-1952.1), equation 4a, and Chao et al. 2014 for incidences.
    """
    total = float(counts.sum())
    once, twice = _singles(counts)
    if total == 0:
        return math.nan
    if once == 0:
        return 1.0
    if twice > 0:
        share = (size - 1) * once / ((size - 1) * once + 2 * twice)
    else:
        share = (size - 1) * (once - 1) / ((size - 1) * (once - 1) + 2)
    return 1 - once / total * share


def chao_richness(counts: NDArray[np.float64], size: int) -> float:
    """Lower bound of the whole richness: S + (m−1)/m · f₁²/(2f₂), or f₁(f₁−1)/2 where f₂ = 0 (Chao 1984)."""
    once, twice = _singles(counts)
    unseen = once**2 / (2 * twice) if twice > 0 else once * (once - 1) / 2
    return float((counts > 0).sum()) + (size - 1) / max(size, 1) * unseen


def rarefied_richness(counts: NDArray[np.float64], size: int, smaller: int) -> float:
    """Expected species in `smaller` of `size` units drawn without replacement: Σ 1 − C(m−n_s, k)/C(m, k)."""
    left = size - counts
    possible = left >= smaller
    log_none = (
        gammaln(np.where(possible, left, smaller) + 1)
        - gammaln(np.where(possible, left - smaller, 0) + 1)
        - gammaln(size + 1)
        + gammaln(size - smaller + 1)
    )
    return float((1 - np.where(possible, np.exp(log_none), 0.0)).sum())
