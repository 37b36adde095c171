"""What a region may really hold: draws of every species' area, given predictions and the errors of the model.

Errors inside a region average out the more squares of the error model it covers. For each species the
correlation that is left for the region as one is

    ρ_s = Σ_L (ρ_L − ρ_{L+1}) · Σ_B (V_Bs / V_s)²,   V_Bs = Σ_{cells i in square B} w_i φ(Φ⁻¹(p_is)),

the share of the variance of Σ w z that neighbouring errors cause, to first order in ρ. One factor per
species, part of it common to all, then moves all its cells at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.special import ndtr, ndtri

from sdm_core.intervals.latent import (
    DENSITY_OF_CODE,
    DEVIATE_OF_CODE,
    ErrorModel,
    ErrorModelError,
    Floats,
    conditional_table,
    squares_of,
)

#: Share of the distribution inside every interval.
LEVEL = 0.9
#: Draws: the ends of an interval come from 25 on either side.
N_DRAWS = 512
_SEED = 20_261_126
#: Values of the factor that areas are worked out at; between them they are interpolated.
_FACTORS = np.linspace(-4.0, 4.0, 65)
#: Correlations of a region are rounded to so many steps.
_N_CORRELATIONS = 32
#: Cells handled at once.
_CHUNK = 1024
#: Cells and species handled at once where their numbers are to stay in the processor's own memory.
_FEW, _SPECIES_AT_ONCE = 32, 64


@dataclass(frozen=True, eq=False)
class RegionDraws:
    """Draws of a region, the same for the same region and error model.

    Attributes:
        area: (n_draws, n_species) Σ weight · probability, the probabilities moved by errors; in the unit
            of the weights.
        low, high: (n_species,) ends of the interval of each species' area.
        correlation: (n_species,) ρ of the region as one.
        common: correlation of different species over the region, chance of single lists included.
        factors: (n_draws,) the factor that all species share.
    """

    area: Floats
    low: Floats
    high: Floats
    correlation: Floats
    common: float
    factors: Floats

    def interval(self, index: Callable[[Floats], ArrayLike]) -> tuple[float, float]:
        """Interval of any index of areas: `index` takes (n_draws, n_species) and gives (n_draws,)."""
        return interval_of(index(self.area))

    def count_interval(self, codes: ArrayLike, members: ArrayLike | None = None) -> tuple[float, float]:
        """Interval of the number of species present, each with the probability of its code.

        codes: (n_species,) of each species' best cell. members: boolean (n_species,), by default all.
        """
        return number_interval(self.presences(codes), members)

    def presences(self, codes: ArrayLike) -> NDArray[np.bool_]:
        """Which species are present in each draw (n_draws, n_species), by the code of their best cell."""
        best = np.asarray(codes, dtype=np.int64)
        alone = _normals(_SEED + 1, len(self.factors), len(best))
        # √c·g + √(1 − c)·e < Φ⁻¹(p), solved for e
        shared = np.sqrt(self.common) * self.factors[:, None]
        limits = (DEVIATE_OF_CODE[best] - shared) / np.sqrt(1.0 - self.common)
        limits[:, best == 0] = -np.inf
        return alone < limits.astype(np.float32)


def number_interval(presences: NDArray[np.bool_], members: ArrayLike | None = None) -> tuple[float, float]:
    """Interval of the number of species (of members, boolean) present in draws (n_draws, n_species)."""
    chosen = presences if members is None else presences[:, np.flatnonzero(members)]
    return interval_of(np.count_nonzero(chosen, axis=1), whole=True)


@lru_cache(maxsize=8)
def _normals(seed: int, n_draws: int, n_species: int) -> NDArray[np.float32]:
    """Standard normals (n_draws, n_species), the same for every region."""
    drawn = np.random.default_rng(seed).standard_normal((n_draws, n_species), dtype=np.float32)
    drawn.setflags(write=False)
    return drawn


def interval_of(values: ArrayLike, whole: bool = False) -> tuple[float, float]:
    """The ends that leave (1 − LEVEL) / 2 of the draws on either side; NaN where none is a number.

    whole: the ends are draws themselves, for counts.
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    if not known.size:
        return float("nan"), float("nan")
    tails = [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0]
    low, high = np.quantile(known, tails, method="inverted_cdf" if whole else "linear")
    return float(low), float(high)


def draw_region(
    codes: NDArray[np.uint8],
    weights: ArrayLike,
    lonlat: ArrayLike,
    model: ErrorModel,
    totals: ArrayLike | None = None,
    n_draws: int = N_DRAWS,
    fraction: float = 1.0,
) -> RegionDraws:
    """Draws of what some cells hold.

    Args:
        codes: (n_cells, n_species) stored codes.
        weights: (n_cells,) area each counts with.
        lonlat: (n_cells, 2) degrees.
        model: errors, from held-out sites.
        totals: (n_species,) Σ weight · p where the cells are a sample of the region: draws are scaled to it.
        n_draws: number of draws.
        fraction: of the region's cells that are among these.

    Raises:
        ErrorModelError: no cells, or shapes that do not fit.
    """
    w, points = np.asarray(weights, dtype=np.float64), np.asarray(lonlat, dtype=np.float64)
    if codes.ndim != 2 or not len(codes) or w.shape != (len(codes),) or points.shape != (len(codes), 2):
        raise ErrorModelError(
            f"Draws need codes of cells × species, with one weight and one place per cell; found "
            f"{codes.shape}, {w.shape} and {points.shape}."
        )
    correlation, shared, common = _region_correlations(codes, w, points, model, fraction)
    curves = _areas_by_factor(codes, w, correlation)
    expected = curves @ _normal_weights()
    if totals is not None:
        wanted = np.asarray(totals, dtype=np.float64)
        curves = curves * np.divide(wanted, expected, out=np.zeros_like(wanted), where=expected > 0)[:, None]
        curves[(expected <= 0) & (wanted > 0)] = wanted[(expected <= 0) & (wanted > 0), None]
    # stratified, so that no tail is missed
    factors = ndtri((np.random.default_rng(_SEED).permutation(n_draws) + 0.5) / n_draws)
    part = np.divide(shared, correlation, out=np.zeros_like(correlation), where=correlation > 0)
    part = np.minimum(part, 1.0)
    # single precision is far finer than what 512 draws tell
    moved = np.sqrt(1.0 - part).astype(np.float32) * _normals(_SEED, n_draws, len(correlation))
    moved += np.sqrt(part).astype(np.float32) * factors.astype(np.float32)[:, None]
    edge = float(ndtri((1.0 + LEVEL) / 2.0))
    ends = _interpolated(curves, np.array([[-edge], [edge]]) * np.ones(len(correlation)))
    return RegionDraws(_interpolated(curves, moved), ends[0], ends[1], correlation, common, factors)


def _region_correlations(
    codes: NDArray[np.uint8], weights: Floats, points: Floats, model: ErrorModel, fraction: float
) -> tuple[Floats, float, float]:
    """ρ of each species over the cells as one; of different species without, and with, single lists.

    Of a sample, a cell paired with itself counts by the fraction sampled, as it would among all cells.
    """
    n_species, n_levels = codes.shape[1], len(model.scales_deg)
    numbers = [squares_of(points, side) for side in model.scales_deg]
    # squares are nested: in this order the cells of every square of every side stand together
    order = np.lexsort(numbers)
    total = np.zeros(n_species)
    of_species, of_all = np.zeros((n_levels, n_species)), np.zeros(n_levels)  # Σ over squares of V²
    single = 0.0  # Σ over cells of the squared total of all species
    alone = np.zeros(n_species)  # Σ over cells of squares
    for start, stop in _whole_squares(numbers[-1][order]):
        cells = order[start:stop]
        moved, w = DENSITY_OF_CODE.take(codes[cells]), weights[cells]
        single += float(((moved.sum(axis=1) * w) ** 2).sum())
        if fraction < 1.0:
            alone += w**2 @ moved**2
        sums, place = moved, np.arange(len(cells))
        for level, number in enumerate(numbers):
            square = np.cumsum(np.diff(number[cells], prepend=number[cells[0]]) != 0)
            first = np.flatnonzero(np.diff(square[place], prepend=-1))
            sums = _grouping(square[place], w if level == 0 else np.ones(len(place))) @ sums
            place = place[first]
            of_species[level] += np.einsum("bs,bs->s", sums, sums)
            of_all[level] += float((sums.sum(axis=1) ** 2).sum())
        total += sums.sum(axis=0)
    everything = float(total.sum())
    if everything <= 0:
        return np.zeros(n_species), 0.0, 0.0
    of_species = np.maximum(of_species - (1.0 - fraction) * alone, 0.0)
    of_all = np.maximum(of_all - (1.0 - fraction) * single, 0.0)
    single *= fraction
    same, other = np.append(model.same_species, 0.0), np.append(model.other_species, 0.0)
    share = np.divide(of_species, total**2, out=np.zeros_like(of_species), where=total > 0)
    correlation = (same[:-1] - same[1:]) @ share
    shared = float((other[:-1] - other[1:]) @ of_all) / everything**2
    common = shared + (model.other_species_here - other[0]) * single / everything**2
    return correlation, shared, common


def _whole_squares(number: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Start and stop of runs of `_FEW` cells or more that part no square; equal numbers stand together."""
    ends = np.append(np.flatnonzero(np.diff(number)) + 1, len(number))
    start = 0
    for end in ends.tolist():
        if end - start >= _FEW or end == len(number):
            yield start, end
            start = end


def _grouping(number: NDArray[np.int64], weights: Floats) -> sparse.csr_matrix:
    """(n_groups, n) with the weight of an entry where it belongs to a group."""
    return sparse.csr_matrix(
        (weights, (number, np.arange(len(number)))), shape=(int(number[-1]) + 1, len(number))
    )


def _areas_by_factor(codes: NDArray[np.uint8], weights: Floats, correlation: Floats) -> Floats:
    """Σ weight · P(present | g) (n_species, n_factors) for every value of the factor."""
    n_species = codes.shape[1]
    held = np.zeros((n_species, 256))
    for first in range(0, n_species, _SPECIES_AT_ONCE):
        part = held[first : first + _SPECIES_AT_ONCE]
        place = np.arange(len(part), dtype=np.int64) * 256
        for start in range(0, len(codes), _CHUNK):
            rows = slice(start, start + _CHUNK)
            part += np.bincount(
                (codes[rows, first : first + _SPECIES_AT_ONCE] + place).ravel(),
                weights=np.repeat(weights[rows], len(part)),
                minlength=part.size,
            ).reshape(part.shape)
    step = max(float(correlation.max()), 1e-9) / _N_CORRELATIONS
    rounded = np.rint(correlation / step).astype(np.int64)
    curves = np.empty((n_species, len(_FACTORS)))
    for level in np.unique(rounded):
        members = rounded == level
        curves[members] = held[members] @ conditional_table(level * step, _FACTORS).T
    return curves


def _normal_weights() -> Floats:
    """Weights of the factors' values, Σ 1."""
    edges = np.concatenate([[-np.inf], (_FACTORS[1:] + _FACTORS[:-1]) / 2.0, [np.inf]])
    return np.diff(ndtr(edges))


def _interpolated(curves: Floats, factors: NDArray[np.floating]) -> Floats:
    """Areas (n, n_species) at factors (n, n_species)."""
    position = np.clip(factors, _FACTORS[0], _FACTORS[-1])
    position -= _FACTORS[0]
    position /= _FACTORS[1] - _FACTORS[0]
    left = np.minimum(position.astype(np.int32), len(_FACTORS) - 2)
    position -= left  # now the share of the way to the next value
    left += np.arange(len(curves), dtype=np.int32) * np.int32(len(_FACTORS))
    flat = curves.ravel()
    areas: Floats = flat.take(left)
    left += 1
    further = flat.take(left)
    further -= areas
    further *= position
    areas += further
    return areas
