"""The numbers of a region, each with what is known of its interval."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from sdm_core import diversity
from sdm_core.indicators.certainty import count_interval
from sdm_core.indicators.error_intervals import RegionErrors, share_of
from sdm_core.indicators.range_size import RANGE_LIMITS_PERCENT, RangeShares
from sdm_core.indicators.sets import SetCounts, StoreLike
from sdm_core.indicators.summary import Indicator
from sdm_core.indicators.texts import COUNT_ERRORS, COUNT_OF_A_SITE, EVENNESS, MODEL_ERRORS
from sdm_core.intervals import LEVEL as INTERVAL_LEVEL
from sdm_core.regions import Region

HECTARES_PER_KM2 = 100


def region_indicators(
    store: StoreLike,
    rows: NDArray[np.int64],
    region: Region | None,
    sums: Any,
    counts: SetCounts,
    hectares: NDArray[np.float64],
    errors: RegionErrors | None,
) -> dict[str, Indicator]:
    """Area, α, β, γ, Shannon, Simpson and Hill numbers of a region.

    Args:
        store: predictions of an atlas.
        rows: of the region, ascending.
        region: its outline, for its area.
        sums: totals of the rows.
        counts: species sets of the rows by the rule.
        hectares: area each row counts with.
        errors: of the model there; without them only what follows from the probabilities has an interval.
    """
    expected_richness = np.asarray(store.layer("richness"))[rows].astype(np.float64)
    simpson = np.asarray(store.layer("simpson"))[rows].astype(np.float64)
    shannon = np.asarray(store.layer("shannon"))[rows].astype(np.float64)
    alpha = float(hectares @ counts.richness / hectares.sum())
    gamma = int(np.count_nonzero(counts.n_cells))
    best = np.asarray(sums.max_probability, dtype=np.float64)
    q = np.asarray(sums.expected_area_km2, dtype=np.float64)
    drawn = np.empty((0, len(q))) if errors is None else errors.draws.area
    entropy, evenness = diversity.shannon(drawn), diversity.simpson(drawn)
    found = [
        Indicator("area_km2", region.area_km2 if region is not None else math.nan),
        Indicator("cell_area_km2", float(hectares.sum() / HECTARES_PER_KM2)),
        # Σ mean probability, so that it is exactly the sum of the species table
        _with_errors(
            "alpha_expected",
            float(np.sum(sums.mean_probability)),
            errors,
            lambda area: area.sum(axis=1) / sums.area_km2,
        ),
        _mean_over_cells("alpha_range", expected_richness, hectares),
        _random_cell(store, expected_richness, simpson, hectares, errors),
        Indicator("alpha", alpha, float(counts.richness.min()), float(counts.richness.max())),
        Indicator("gamma", gamma),
        _lower_bound(best, errors),
        Indicator("beta_whittaker", max(1.0, gamma / alpha) if alpha > 0 else math.nan),
        Indicator("beta_additive", max(0.0, gamma - alpha)),
        _with_errors("shannon", float(diversity.shannon(q)), errors, lambda _: entropy, EVENNESS),
        _with_errors("simpson", float(diversity.simpson(q)), errors, lambda _: evenness, EVENNESS),
        Indicator("hill_0", float(diversity.hill(q, 0))),
        # Hill numbers of the draws follow from the indices of the same draws
        _with_errors("hill_1", float(diversity.hill(q, 1)), errors, lambda _: np.exp(entropy), EVENNESS),
        _with_errors(
            "hill_2", float(diversity.hill(q, 2)), errors, lambda _: 1.0 / (1.0 - evenness), EVENNESS
        ),
        _mean_over_cells("cell_shannon", shannon, hectares),
        _mean_over_cells("cell_simpson", simpson, hectares),
    ]
    return {indicator.name: indicator for indicator in found}


def range_indicators(shares: RangeShares, sums: Any, errors: RegionErrors | None) -> dict[str, Indicator]:
    """Weighted endemism and the species of whose range the region holds much.

    With errors the area inside is drawn, that outside stays: a share is inside ÷ (inside + outside).
    """
    inside = np.asarray(sums.expected_area_km2, dtype=np.float64)
    whole = np.divide(inside, shares.share, out=np.zeros_like(inside), where=shares.share > 0)
    outside = np.maximum(whole - inside, 0.0)

    def endemism(area: NDArray[np.float64]) -> NDArray[np.float64]:
        total = area + outside
        return np.divide(area, total, out=np.zeros_like(area), where=total > 0).sum(axis=1)

    ratio = shares.relative_endemism / shares.weighted_endemism if shares.weighted_endemism > 0 else math.nan
    found = [
        _with_errors("weighted_endemism", shares.weighted_endemism, errors, endemism),
        _with_errors(
            "relative_endemism", shares.relative_endemism, errors, lambda area: ratio * endemism(area)
        ),
        *(
            Indicator(f"range_over_{percent}_percent", shares.n_above(percent))
            for percent in RANGE_LIMITS_PERCENT
        ),
    ]
    return {indicator.name: indicator for indicator in found}


def invasive_share(
    flags: tuple[NDArray[np.bool_], NDArray[np.bool_]], sums: Any, errors: RegionErrors | None
) -> dict[str, Indicator]:
    """Share of invasive species of Union concern in the expected species; NaN where not looked up.

    flags: members and assessed species (n_species,), of `flag_members`.
    """
    members, assessed = flags
    area = np.asarray(sums.expected_area_km2, dtype=np.float64)
    known = bool(assessed.any() and area.sum() > 0)
    value = float(share_of(area[None], members)[0]) if known else math.nan
    index = partial(share_of, members=members)
    found = _with_errors(
        "invasive_share", 100.0 * value, errors if known else None, lambda a: 100.0 * index(a)
    )
    return {found.name: found}


def _with_errors(
    name: str,
    value: float,
    errors: RegionErrors | None,
    index: Callable[[NDArray[np.float64]], ArrayLike],
    meaning: str = MODEL_ERRORS,
) -> Indicator:
    """An indicator with the interval that `index` has over the draws of the areas, where errors are known."""
    if errors is None or not math.isfinite(value):
        return Indicator(name, value)
    low, high = errors.draws.interval(index)
    return Indicator(name, value, low, high, meaning)


def _lower_bound(best: NDArray[np.float64], errors: RegionErrors | None) -> Indicator:
    """Σ of the highest probabilities; interval of the number of species present in their best cell."""
    if errors is not None:
        return Indicator("gamma_lower", float(best.sum()), *errors.count_interval(), COUNT_ERRORS)
    low, high = diversity.richness_interval(best[best > 0], INTERVAL_LEVEL)
    return Indicator("gamma_lower", float(best.sum()), float(low), float(high))


def _mean_over_cells(name: str, values: NDArray[np.float64], weights: NDArray[np.float64]) -> Indicator:
    """Area-weighted mean and range over the cells where the index is defined (those with any species)."""
    defined = np.isfinite(values)
    if not defined.any():
        return Indicator(name, math.nan)
    values, weights = values[defined], weights[defined]
    return Indicator(name, float(values @ weights / weights.sum()), float(values.min()), float(values.max()))


def _random_cell(
    store: StoreLike,
    expected: NDArray[np.float64],
    simpson: NDArray[np.float64],
    weights: NDArray[np.float64],
    errors: RegionErrors | None,
) -> Indicator:
    """Median, 5 % and 95 % of the number of species in one cell drawn by area.

    Of one cell alone the interval is the conformal one of held-out surveys, where the atlas has them, about
    its Σp; of several see `intervals.richness_of_a_cell`. Without errors, each cell's Poisson-binomial number
    has mean μ = Σp and variance Σp(1 − p) = μ − μ²(1 − Simpson); it is taken as normal with continuity
    correction, and the cells are mixed by area.
    """
    if len(expected) == 1 and (found := count_interval(store, float(expected[0]))) is not None:
        return Indicator("alpha_cell_interval", float(expected[0]), *found, COUNT_OF_A_SITE)
    if errors is not None:
        return Indicator("alpha_cell_interval", *errors.richness_of_a_cell(), COUNT_ERRORS)
    squares = np.where(expected > 0, np.nan_to_num(1.0 - simpson) * expected**2, 0.0)
    deviation = np.sqrt(np.maximum(expected - squares, 1e-12))
    share = weights / weights.sum()
    tail = (1.0 - INTERVAL_LEVEL) / 2.0

    def smallest_count_reaching(level: float) -> float:
        low, high = 0, int(np.ceil((expected + 6 * deviation).max())) + 1
        while low < high:
            middle = (low + high) // 2
            if share @ ndtr((middle + 0.5 - expected) / deviation) >= level:
                high = middle
            else:
                low = middle + 1
        return float(low)

    middle, low, high = (smallest_count_reaching(level) for level in (0.5, tail, 1.0 - tail))
    return Indicator("alpha_cell_interval", middle, low, high)
