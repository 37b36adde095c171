"""Intervals of single cells: of the number of species in one, and of every index as a map layer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from sdm_core.intervals.draws import LEVEL
from sdm_core.intervals.latent import DENSITY_OF_CODE, ErrorModel, Floats, conditional_table
from sdm_core.prediction.code import PROBABILITY_OF_CODE

#: Nodes of the quadrature over a factor.
_N_NODES = 15
_CHUNK = 1024
#: Half-width of an interval of a normal in standard deviations.
_WIDE = float(ndtri((1.0 + LEVEL) / 2.0))


def _nodes() -> tuple[Floats, Floats]:
    """Nodes and weights of a standard normal."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(_N_NODES)
    return nodes, weights / weights.sum()


def richness_of_a_cell(
    codes: NDArray[np.uint8], model: ErrorModel, weights: ArrayLike | None = None
) -> tuple[float, float, float]:
    """Median and ends of the interval of the number of species in one cell, drawn by weight from some cells.

    Given what all species of a cell share, they are independent: a Poisson-binomial number, taken as normal
    with continuity correction, mixed over the shared factor and over the cells. Unlike the Poisson-binomial
    alone it allows for lists that are long or short as a whole.

    Args:
        codes: (n_cells, n_species) stored codes.
        model: errors, from held-out sites.
        weights: (n_cells,) area of each, by default all alike.

    Returns:
        Median, low and high, whole numbers.
    """
    w = np.ones(len(codes)) if weights is None else np.asarray(weights, dtype=np.float64)
    nodes, node_weights = _nodes()
    table = conditional_table(model.other_species_here, nodes)  # nodes, codes
    mean = np.empty((len(codes), len(nodes)))
    spread = np.empty_like(mean)
    for start in range(0, len(codes), _CHUNK):
        held = _histograms(codes[start : start + _CHUNK])  # cells, codes
        mean[start : start + _CHUNK] = held @ table.T
        spread[start : start + _CHUNK] = np.sqrt(np.maximum(held @ (table * (1.0 - table)).T, 1e-12))
    share = (w / w.sum())[:, None] * node_weights

    def smallest_count_reaching(level: float) -> float:
        low, high = 0, int(np.ceil((mean + 6 * spread).max())) + 1
        while low < high:
            middle = (low + high) // 2
            if (share * ndtr((middle + 0.5 - mean) / spread)).sum() >= level:
                high = middle
            else:
                low = middle + 1
        return float(low)

    tail = (1.0 - LEVEL) / 2.0
    return smallest_count_reaching(0.5), smallest_count_reaching(tail), smallest_count_reaching(1.0 - tail)


def probability_ends(model: ErrorModel) -> tuple[Floats, Floats]:
    """Ends (256,) each of the interval of a single cell's probability, for every stored code.

    Where the true probability may lie, given errors as on held-out blocks: P(present | g) for the factor g at
    both ends of `LEVEL`. Code 0 has no width.
    """
    low, high = conditional_table(model.same_species[0], [-_WIDE, _WIDE])
    return low, high


def _histograms(codes: NDArray[np.uint8]) -> Floats:
    """How many species of each cell have each code (n_cells, 256)."""
    place = codes + 256 * np.arange(len(codes), dtype=np.int64)[:, None]
    return np.bincount(place.ravel(), minlength=256 * len(codes)).reshape(len(codes), 256).astype(np.float64)


def cell_half_widths(
    codes: NDArray[np.uint8],
    model: ErrorModel,
    sums: Mapping[str, ArrayLike] | None = None,
    shares: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Half the width of the interval of every index of single cells: value ± it, to first order.

    With G_s the derivative of an index by p_s, σ_s the standard deviation that errors of the model give p_s
    and λ the part of it that all species share, the variance of the index is
    (1 − λ) Σ G_s² σ_s² + λ (Σ G_s σ_s)². That of `richness` is of the number present, chance included:
    Σ p (1 − p) and the covariance of lists.

    Args:
        codes: (n_cells, n_species) stored codes.
        model: errors, from held-out sites.
        sums: name → weights (n_species,) of an index Σ_s w_s p_s.
        shares: name → numerator and denominator (n_species,) of an index Σ a_s p_s ÷ Σ b_s p_s.

    Returns:
        (n_cells,) for `richness`, `shannon`, `simpson` and every name given; NaN where the index is not
        defined.
    """
    nodes, node_weights = _nodes()
    same = model.same_species[0]
    table = conditional_table(same, nodes)
    deviation = np.sqrt(np.maximum(node_weights @ (table - PROBABILITY_OF_CODE) ** 2, 0.0))
    common = min(1.0, model.other_species[0] / same) if same > 0 else 0.0
    weights = {name: np.asarray(w, dtype=np.float64) for name, w in (sums or {}).items()}
    parts = {
        name: (np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64))
        for name, (a, b) in (shares or {}).items()
    }
    names = ("richness", "shannon", "simpson", *weights, *parts)
    found = {name: np.empty(len(codes), dtype=np.float32) for name in names}
    for start in range(0, len(codes), _CHUNK):
        rows = slice(start, start + _CHUNK)
        part = codes[rows]
        p, sigma, density = PROBABILITY_OF_CODE[part], deviation[part], DENSITY_OF_CODE[part]
        squared = sigma**2
        total = p.sum(axis=1)
        every = np.maximum(total, 1e-300)[:, None]

        def keep(name: str, alone: Floats, together: Floats, known: NDArray[np.bool_]) -> None:
            variance = (1.0 - common) * alone + common * together**2
            width = _WIDE * np.sqrt(np.maximum(variance, 0.0))
            found[name][rows] = np.where(known, width, np.nan)  # noqa: B023

        chance = (p * (1.0 - p)).sum(axis=1)
        lists = density.sum(axis=1) ** 2 - (density**2).sum(axis=1)
        found["richness"][rows] = _WIDE * np.sqrt(chance + model.other_species_here * lists)
        q = p / every
        logs = np.log(np.where(q > 0, q, 1.0))
        slope = -(logs - (q * logs).sum(axis=1, keepdims=True)) / every
        keep("shannon", (slope**2 * squared).sum(axis=1), (slope * sigma).sum(axis=1), total > 0)
        slope = -2.0 * (q - (q**2).sum(axis=1, keepdims=True)) / every
        keep("simpson", (slope**2 * squared).sum(axis=1), (slope * sigma).sum(axis=1), total > 0)
        for name, w in weights.items():
            keep(name, squared @ w**2, sigma @ w, np.ones(len(p), dtype=bool))
        for name, (a, b) in parts.items():
            bottom = p @ b
            ratio = np.divide(p @ a, bottom, out=np.zeros_like(bottom), where=bottom > 0)
            safe = np.where(bottom > 0, bottom, 1.0)
            alone = squared @ a**2 - 2.0 * ratio * (squared @ (a * b)) + ratio**2 * (squared @ b**2)
            keep(name, alone / safe**2, (sigma @ a - ratio * (sigma @ b)) / safe, bottom > 0)
    return found
