"""Correlations of errors, by distance, from held-out sites.

The covariance of two presences that are cut from hidden normals of correlation ρ is the tetrachoric series
(Pearson 1900; Kendall & Stuart, The Advanced Theory of Statistics, vol. 2, eq. 26.66)

    Cov = Σ_k ρ^k / k! · h_k(p₁) · h_k(p₂),   h_k(p) = φ(a) He_{k−1}(a),   a = Φ⁻¹(p),

a product in each term, so that its sum over all pairs of sites in a square follows from the sums of the
sites. Equating it to the sum of products of the residuals (presence − p) of the same pairs gives ρ, a method
of moments. No pair is a site with itself, so the chance of single records takes no part. Every held-out block
weighs alike, however many sites it has: a region of interest is as often where few surveys are.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import factorial

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.special import ndtri

from sdm_core.assemblages.calibration_surveys import checked_surveys
from sdm_core.intervals.latent import HIGHEST_CORRELATION, ErrorModel, ErrorModelError, Floats, squares_of

#: Terms of the series: the next one is below 1 % of the sum for correlations up to 0.5.
_N_TERMS = 5
#: Sides of the squares as parts of a held-out block.
_PARTS_OF_BLOCK = (0.125, 0.25, 0.5, 1.0)
#: Pairs of sites that share a square without sharing a smaller one: fewer say nothing, the scale is left out.
_LEAST_PAIRS = 300
#: Probabilities are kept this far from 0 and 1.
_LEAST = 1e-6


def fit_error_model(
    probability: ArrayLike, presence: ArrayLike, lonlat: ArrayLike, block_deg: float
) -> ErrorModel:
    """How errors of a model hang together on sites it has not seen.

    A model trained on all sites knows those around a place, so that its errors are smaller than these where
    records are dense: intervals from them are meant for places without.

    Args:
        probability: (n_sites, n_species) calibrated, from models and calibrations that had not seen the site.
        presence: (n_sites, n_species) 1 recorded, 0 not.
        lonlat: (n_sites, 2) degrees.
        block_deg: side of the squares that were held out together; correlations are read within such squares,
            since a model that has seen a neighbouring block corrects what reaches further.

    Raises:
        RuleError: shapes that differ, NaN, values out of range, or no presence at all.
        ErrorModelError: coordinates that are not one pair per site, or too few sites that share a block.
    """
    p, seen = checked_surveys(probability, presence)
    points = np.asarray(lonlat, dtype=np.float64)
    if points.shape != (len(p), 2) or not np.isfinite(points).all():
        raise ErrorModelError(f"Coordinates have shape {points.shape}; expected ({len(p)}, 2), all finite.")
    if not block_deg > 0:
        raise ErrorModelError(f"The side of a held-out block is {block_deg}; expected degrees above 0.")
    squares, scales = _usable_scales(points, block_deg)
    p = np.clip(p, _LEAST, 1.0 - _LEAST)
    sites_of_block = np.bincount(squares[-1])[squares[-1]][:, None]
    found = PairSums.of((seen - p) / sites_of_block, squares)
    terms = [PairSums.of(values / sites_of_block, squares) for values in series_terms(ndtri(p))]
    same = [_root(found.same[i], [term.same[i] for term in terms]) for i in range(len(scales))]
    other = [_root(found.other[i], [term.other[i] for term in terms]) for i in range(len(scales))]
    here = _root(found.other_here, [term.other_here for term in terms])
    # larger squares hold what they share with the smaller ones: correlations rise towards the smallest
    same = list(np.maximum.accumulate(same[::-1])[::-1])
    other = list(np.minimum(np.maximum.accumulate(other[::-1])[::-1], same))
    return ErrorModel(
        tuple(scales),
        tuple(round(float(number), 5) for number in same),
        tuple(round(float(number), 5) for number in other),
        round(max(here, float(other[0])), 5),
        len(p),
        int(squares[-1].max()) + 1,
    )


def _usable_scales(points: Floats, block_deg: float) -> tuple[list[NDArray[np.int64]], list[float]]:
    """Squares (n_sites,) and sides of the scales with enough pairs of sites, smallest first."""
    squares: list[NDArray[np.int64]] = []
    scales: list[float] = []
    n_before = 0
    for part in _PARTS_OF_BLOCK:
        side = part * block_deg
        number = squares_of(points, side)
        sizes = np.bincount(number)
        n_pairs = int((sizes * (sizes - 1)).sum()) // 2
        if n_pairs - n_before >= _LEAST_PAIRS:
            squares.append(number)
            scales.append(float(side))
            n_before = n_pairs
    if not scales:
        raise ErrorModelError(
            f"Of {len(points)} held-out sites, only {n_before} pairs share a block of {block_deg:g}°; "
            f"expected {_LEAST_PAIRS} or more to tell how errors hang together."
        )
    return squares, scales


def series_terms(deviates: Floats) -> Iterator[Floats]:
    """h_k (n_sites, n_species) for k = 1, 2, …, one after the other."""
    density = np.exp(-(deviates**2) / 2.0) / np.sqrt(2.0 * np.pi)
    before, now = np.zeros_like(deviates), np.ones_like(deviates)  # He_{-1}, He_0
    for k in range(1, _N_TERMS + 1):
        yield density * now
        before, now = now, deviates * now - (k - 1) * before


class PairSums:
    """Sums of products over pairs of sites, by the smallest square that a pair shares.

    same: (n_scales,) of one species at two sites. other: of two species at two sites. other_here: of two
    species at one site. Every pair counts twice, in all sums alike.
    """

    def __init__(self, same: list[float], other: list[float], other_here: float):
        self.same, self.other, self.other_here = same, other, other_here

    @classmethod
    def of(cls, values: Floats, squares: list[NDArray[np.int64]]) -> PairSums:
        """Sums over the pairs of `values` (n_sites, n_species)."""
        alone = float(np.einsum("ij,ij->", values, values))
        of_site = values.sum(axis=1)
        here = float(of_site @ of_site) - alone
        same: list[float] = []
        other: list[float] = []
        for number in squares:
            sums = _sum_by(values, number)
            total = sums.sum(axis=1)
            within = float(np.einsum("ij,ij->", sums, sums))
            same.append(within - alone - sum(same))
            other.append(float(total @ total) - within - here - sum(other))
        return cls(same, other, here)


def _sum_by(values: Floats, number: NDArray[np.int64]) -> Floats:
    """Sums of rows by square (n_squares, n_species)."""
    chosen = sparse.csr_matrix((np.ones(len(number)), (number, np.arange(len(number)))))
    return np.asarray(chosen @ values)


def _root(found: float, terms: list[float]) -> float:
    """Smallest ρ from 0 to the highest allowed with Σ_k ρ^k/k! · terms[k] = found."""
    grid = np.linspace(0.0, HIGHEST_CORRELATION, 901)
    powers = np.array([grid**k / factorial(k) for k in range(1, len(terms) + 1)])
    series = np.asarray(terms) @ powers
    reached = np.flatnonzero(series >= found)
    if found <= 0 or terms[0] <= 0:
        return 0.0
    if not len(reached):
        return HIGHEST_CORRELATION
    right = int(reached[0])
    if right == 0:
        return 0.0
    low, high = float(series[right - 1]), float(series[right])
    return float(grid[right - 1] + (grid[right] - grid[right - 1]) * (found - low) / (high - low))
