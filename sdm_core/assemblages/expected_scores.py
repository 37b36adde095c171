"""The species set that promises the best score: MaxExp."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core.assemblages.rules import Booleans, probabilities_last
from sdm_core.errors import RuleError

Score = Literal["f1", "jaccard"]
Floats = NDArray[np.float64]


def expected_score(probability: ArrayLike, score: Score = "f1") -> Floats:
    """Expected score of the k most probable species, for k = 1 … n_species.

    Species are taken to occur independently. With A species present inside the set and B outside it, both
    Poisson-binomial,

        E[F1]      = Σ_a Σ_b P(A=a) P(B=b) · 2a/(k+a+b)
        E[Jaccard] = Σ_a Σ_b P(A=a) P(B=b) · a/(k+b)

    Writing 1/m as ∫₀¹ x^(m−1) dx turns the double sum into one integral of products, with
    g_s(x) = 1 − p_s + p_s·x:

        E[F1]      = 2 ∫ x^k   Π_all g(x) · Σ_inside p_s/g_s(x) dx
        E[Jaccard] =   ∫ x^(k−1) Π_outside g(x) dx · Σ_inside p_s

    which are polynomials: Gauss–Legendre quadrature with n_species + 1 nodes is exact, and far fewer agree
    with it to 1e-9 (`_n_nodes`). A set scores 0 when the cell truly holds no species.

    Args:
        probability: (…, n_species) in 0…1; NaN counts as 0.
        score: "f1" or "jaccard".

    Returns:
        (…, n_species): at position k − 1 the expected score of the best k.

    Raises:
        RuleError: probabilities outside 0…1, or an unknown score.
    """
    array = probabilities_last(probability)
    rows = array.reshape(-1, array.shape[-1]) if array.size else array.reshape(0, array.shape[-1])
    out = np.empty(rows.shape)
    for number, row in enumerate(rows):
        ordered = -np.sort(-np.nan_to_num(row.astype(np.float64), nan=0.0))
        out[number] = _scores(ordered, score, array.shape[-1])
    return out.reshape(array.shape)


def max_exp(probability: ArrayLike, score: Score = "f1") -> Booleans:
    """The species set with the highest expected score, if species occurred independently.

    The best set is always one of the k most probable species, since swapping in a more probable one raises
    the hits and lowers the misses; k is chosen by `expected_score` (the smallest k where several are best).
    No threshold or calibration set is needed beyond calibrated probabilities (MaxExp of arXiv 2602.11771;
    formula derived here and checked by brute force over all sets). As F1 of an empty cell is taken as 0, a
    cell with any probability above 0 gets at least one species.

    Args:
        probability: (…, n_species) calibrated, in 0…1; NaN and 0 are never present.
        score: "f1" or "jaccard".

    Returns:
        (…, n_species) booleans; species tied with the k-th are in.

    Raises:
        RuleError: probabilities outside 0…1, or an unknown score.
    """
    array = probabilities_last(probability)
    rows = array.reshape(-1, array.shape[-1]) if array.size else array.reshape(0, array.shape[-1])
    out = np.zeros(rows.shape, dtype=bool)
    for number, row in enumerate(rows):
        ordered = -np.sort(-np.nan_to_num(row.astype(np.float64), nan=0.0))
        ordered = ordered[: np.count_nonzero(ordered)]
        if ordered.size:
            cut = ordered[_best_size(ordered, score) - 1]
            out[number] = row >= cut.astype(row.dtype)
    return out.reshape(array.shape)


def _best_size(ordered: Floats, score: Score) -> int:
    """Size of the best set of species ordered by falling probability, all above 0.

    E[score of k] ≤ 2m/(k+m) (F1) or m/k (Jaccard) with m = Σ p, so sizes that cannot beat the score at
    k = round(m) are never looked at.
    """
    expected = float(ordered.sum())
    first = min(max(1, round(expected)), len(ordered))
    reached = float(_scores(ordered, score, first)[-1])
    bound = expected * (2.0 / reached - 1.0) if score == "f1" else expected / reached
    largest = min(len(ordered), max(first, int(bound) + 1)) if reached > 0 else len(ordered)
    scores = _scores(ordered, score, largest)
    return int(np.argmax(scores >= scores.max() * (1 - 1e-12))) + 1


def _scores(ordered: Floats, score: Score, largest: int) -> Floats:
    """Expected score of the best 1 … `largest` of species ordered by falling probability."""
    if score not in ("f1", "jaccard"):
        raise RuleError(f'The score is "{score}", expected "f1" or "jaccard".')
    x, weight = _nodes(_n_nodes(ordered, largest))
    miss = (1.0 - x)[:, None]  # (n_nodes, 1)
    inside = ordered[:largest]
    sizes = np.arange(1, largest + 1)
    log_inside = np.log1p(-inside * miss)  # (n_nodes, largest); finite, as every node has x > 0
    log_outside = np.log1p(-ordered[largest:] * miss).sum(axis=1)  # (n_nodes)
    log_x = np.log(x)[:, None]
    if score == "f1":
        hits = np.cumsum(inside / np.exp(log_inside), axis=1)
        log_all = (log_inside.sum(axis=1) + log_outside)[:, None]
        return 2.0 * (weight @ (np.exp(log_all + sizes * log_x) * hits))
    # Π over species outside the best k: everything, less what is inside so far
    log_rest = (log_inside.sum(axis=1) + log_outside)[:, None] - np.cumsum(log_inside, axis=1)
    return (weight @ np.exp(log_rest + (sizes - 1) * log_x)) * np.cumsum(inside)


def _n_nodes(ordered: Floats, largest: int) -> int:
    """Nodes that keep the quadrature error below 1e-9.

    Exact from half the polynomial's degree + 1. As the integrand behaves like x^(k + Σ p), about the root of
    that power is enough; 3 roots and 32 more leave errors near 1e-12 (tested against the exact count).
    """
    return min(len(ordered) + 1, 32 + int(3 * np.sqrt(largest + ordered.sum())))


@lru_cache(maxsize=512)
def _nodes(n_nodes: int) -> tuple[Floats, Floats]:
    """Gauss–Legendre nodes and weights on 0…1."""
    nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
    return (nodes + 1.0) / 2.0, weights / 2.0
