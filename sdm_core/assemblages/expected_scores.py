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
    _check_score(score)
    rows = array.reshape(-1, array.shape[-1]) if array.size else array.reshape(0, array.shape[-1])
    out = np.empty(rows.shape)
    for number, row in enumerate(rows):
        ordered = -np.sort(-np.nan_to_num(row.astype(np.float64), nan=0.0))
        out[number] = _scores(ordered, np.ones(len(ordered), dtype=np.int64), score, len(ordered))
    return out.reshape(array.shape)


def max_exp(probability: ArrayLike, score: Score = "f1") -> Booleans:
    """The species set with the highest expected score, if species occurred independently.

    The best set is always one of the k most probable species, since swapping in a more probable one raises
    the hits and lowers the misses; k is chosen by `expected_score`. No threshold or calibration set is needed
    beyond calibrated probabilities (MaxExp of arXiv 2602.11771; formula derived here and checked by brute
    force over all sets). Species of equal probability are all in or all out, so only such sets compete, and
    the smallest wins where several are best. As the score of a truly empty cell is 0, a cell with any
    probability above 0 gets at least one species.

    Args:
        probability: (…, n_species) calibrated, in 0…1; NaN and 0 are never present.
        score: "f1" or "jaccard".

    Returns:
        (…, n_species) booleans.

    Raises:
        RuleError: probabilities outside 0…1, or an unknown score.
    """
    array = probabilities_last(probability)
    _check_score(score)
    rows = array.reshape(-1, array.shape[-1]) if array.size else array.reshape(0, array.shape[-1])
    out = np.zeros(rows.shape, dtype=bool)
    for number, row in enumerate(rows):
        values, counts = np.unique(row[row > 0], return_counts=True)
        if values.size:
            best = _best_group(values[::-1].astype(np.float64), counts[::-1], score)
            out[number] = row >= values[values.size - 1 - best]
    return out.reshape(array.shape)


def _best_group(values: Floats, counts: NDArray[np.int64], score: Score) -> int:
    """Last of the distinct probabilities (falling, above 0) that belongs to the best set.

    E[score of k] ≤ 2m/(k+m) (F1) or m/k (Jaccard) with m = Σ p, so sizes that cannot beat the score at
    about k = m are never looked at.
    """
    sizes = np.cumsum(counts)
    expected = float(values @ counts)
    first = min(int(np.searchsorted(sizes, expected)), len(sizes) - 1)
    reached = float(_scores(values, counts, score, first + 1)[-1])
    if reached <= 0:
        largest = len(sizes)
    else:
        bound = expected * (2.0 / reached - 1.0) if score == "f1" else expected / reached
        largest = max(first, int(np.searchsorted(sizes, bound * (1 + 1e-9), side="right"))) + 1
    scores = _scores(values, counts, score, min(largest, len(sizes)))
    return int(np.argmax(scores >= scores.max() * (1 - 1e-12)))


def _scores(values: Floats, counts: NDArray[np.int64], score: Score, n_groups: int) -> Floats:
    """Expected score of the sets that end with each of the first `n_groups` distinct probabilities.

    Args:
        values: (n_values) probabilities, falling.
        counts: (n_values) number of species that have each.
        score: "f1" or "jaccard".
        n_groups: sets looked at; the remaining values stay outside all of them.
    """
    sizes = np.cumsum(counts)
    largest = int(sizes[n_groups - 1])
    x, weight = _nodes(_n_nodes(int(sizes[-1]), largest, float(values @ counts)))
    miss = (1.0 - x)[:, None]  # (n_nodes, 1)
    inside, inside_counts, sizes = values[:n_groups], counts[:n_groups], sizes[:n_groups]
    g = 1.0 - inside * miss  # (n_nodes, n_groups); above 0, as every node has x > 0
    log_inside = np.cumsum(np.log(g) * inside_counts, axis=1)
    log_outside = np.log1p(-values[n_groups:] * miss) @ counts[n_groups:]  # (n_nodes)
    log_x = np.log(x)[:, None]
    if score == "f1":
        hits = np.cumsum(inside_counts * inside / g, axis=1)
        log_all = (log_inside[:, -1] + log_outside)[:, None]
        return 2.0 * (weight @ (np.exp(log_all + sizes * log_x) * hits))
    log_rest = (log_inside[:, -1] + log_outside)[:, None] - log_inside
    return (weight @ np.exp(log_rest + (sizes - 1) * log_x)) * np.cumsum(inside * inside_counts)


def _check_score(score: str) -> None:
    if score not in ("f1", "jaccard"):
        raise RuleError(f'The score is "{score}", expected "f1" or "jaccard".')


def _n_nodes(n_species: int, largest: int, expected: float) -> int:
    """Nodes that keep the quadrature error below 1e-9.

    n_species + 1 are exact. As the integrand behaves like x^(k + Σ p), about the root of that power is
    enough; 3 roots and 32 more leave errors near 1e-12 (tested against the exact number).
    """
    return min(n_species + 1, 32 + int(3 * np.sqrt(largest + expected)))


@lru_cache(maxsize=512)
def _nodes(n_nodes: int) -> tuple[Floats, Floats]:
    """Gauss–Legendre nodes and weights on 0…1."""
    nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
    return (nodes + 1.0) / 2.0, weights / 2.0
