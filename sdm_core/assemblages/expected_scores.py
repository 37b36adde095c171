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

#: Values worked on at once (cells × probabilities × about 64 nodes).
_CHUNK_VALUES = 1 << 19


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
        counts = np.ones((1, len(ordered)))
        grid = _Grid(ordered, _n_nodes(len(ordered), len(ordered), float(ordered.sum())))
        out[number] = _scores(grid, ordered, counts, counts @ grid.log_g, score, 0, len(ordered) - 1)[0]
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
            best = int(best_levels(values[::-1].astype(np.float64), counts[None, ::-1], score)[0])
            out[number] = row >= values[values.size - 1 - best]
    return out.reshape(array.shape)


def best_levels(values: Floats, counts: NDArray[np.int64], score: Score = "f1") -> NDArray[np.int64]:
    """MaxExp sets of cells whose species share a few probabilities, such as those of one-byte codes.

    Only sizes that can win against the one near k = m, m = Σ p, are looked at: F1 = 2A/(k+A+B) is at most
    2m/(k+m) in expectation and, as A ≤ k, at most 2k·E[1/(k+A+B)], which rises with k; Jaccard at most m/k.

    Args:
        values: (n_values) distinct probabilities above 0, falling.
        counts: (n_cells, n_values) number of species of each cell that have each of them.
        score: "f1" or "jaccard".

    Returns:
        (n_cells) index of the lowest probability in the set; −1 for a cell without species.

    Raises:
        RuleError: an unknown score.
    """
    _check_score(score)
    best = np.full(len(counts), -1, dtype=np.int64)
    filled = np.flatnonzero(counts.any(axis=1))
    step = max(1, _CHUNK_VALUES // max(1, len(values) * 64))
    for start in range(0, len(filled), step):
        part = filled[start : start + step]
        best[part] = _best_levels(values, counts[part].astype(np.float64), score)
    return best


def _best_levels(values: Floats, counts: Floats, score: Score) -> NDArray[np.int64]:
    sizes = np.cumsum(counts, axis=1)  # (n_cells, n_values)
    expected = counts @ values
    cells = np.arange(len(counts))
    near = np.minimum((sizes < expected[:, None]).sum(axis=1), len(values) - 1)  # level where k is about Σ p
    # more nodes than a size needs cost little; twice Σ p is where the best sizes lie
    largest = int(min(sizes[:, -1].max(), 1 + 3 * expected.max()))
    grid = _Grid(values, _n_nodes(int(sizes[:, -1].max()), largest, float(expected.max())))
    log_all = counts @ grid.log_g  # (n_cells, n_nodes), ln Π_all g
    inside = np.where(np.arange(len(values)) <= near[:, None], counts, 0.0)
    k = sizes[cells, near]
    if score == "f1":
        hits = inside @ grid.odds
        reached = 2.0 * (np.exp(log_all + k[:, None] * grid.log_x) * hits) @ grid.weight
        limit = expected * (2.0 / np.maximum(reached, 1e-300) - 1.0)
        first = _first_possible(grid, log_all, sizes, reached, near)
    else:
        reached = np.exp(log_all - inside @ grid.log_g + (k[:, None] - 1) * grid.log_x) @ grid.weight
        reached *= inside @ values
        limit = expected / np.maximum(reached, 1e-300)
        first = 0
    last = int(max(near.max(), (sizes <= limit[:, None] * (1 + 1e-9)).sum(axis=1).max() - 1))
    scores = _scores(grid, values, counts, log_all, score, first, min(last, len(values) - 1))
    return first + np.argmax(scores >= scores.max(axis=1, keepdims=True) * (1 - 1e-12), axis=1)


def _first_possible(
    grid: _Grid, log_all: Floats, sizes: Floats, reached: Floats, near: NDArray[np.int64]
) -> int:
    """First level at which any of the cells could have an F1 as high as the one reached, by bisection."""
    cells = np.arange(len(sizes))
    low, high = np.zeros(len(sizes), dtype=np.int64), near.copy()
    while (low < high).any():
        middle = (low + high) // 2
        k = np.maximum(sizes[cells, middle], 1)
        bound = 2.0 * k * (np.exp(log_all + (k[:, None] - 1) * grid.log_x) @ grid.weight)
        enough = bound >= reached * (1 - 1e-9)
        high = np.where(enough, middle, high)
        low = np.where(enough, low, np.minimum(middle + 1, high))
    return int(low.min())


class _Grid:
    """Quadrature nodes x, and what the integrands need of each probability there.

    log_x, weight: (n_nodes). log_g, odds: (n_values, n_nodes), ln g and p/g with g = 1 − p + p·x.
    """

    def __init__(self, values: Floats, n_nodes: int) -> None:
        x, self.weight = _nodes(n_nodes)
        g = 1.0 - values[:, None] * (1.0 - x)  # above 0, as every node has x > 0
        self.log_x = np.log(x)
        self.log_g = np.log(g)
        self.odds = values[:, None] / g


def _scores(
    grid: _Grid,
    values: Floats,
    counts: Floats,
    log_all: Floats,
    score: Score,
    first: int,
    last: int,
) -> Floats:
    """Expected score (n_cells, n_levels) of the sets that end with each of the levels `first` … `last`.

    A level no species of a cell has repeats the set before it; a set that is still empty scores 0.
    """
    window = slice(first, last + 1)
    sizes = np.cumsum(counts, axis=1)[:, window, None]  # (n_cells, n_levels, 1)
    some = sizes[..., 0] > 0
    if score == "f1":
        hits = np.cumsum(counts[:, window, None] * grid.odds[window], axis=1)
        hits += (counts[:, :first] @ grid.odds[:first])[:, None]
        k, place = np.unique(sizes[..., 0], return_inverse=True)
        hits *= np.exp(k[:, None] * grid.log_x)[place.reshape(some.shape)]
        found = 2.0 * np.einsum("cln,cn->cl", hits, np.exp(log_all) * grid.weight)
    else:
        log_rest = log_all[:, None] - np.cumsum(counts[:, window, None] * grid.log_g[window], axis=1)
        log_rest -= (counts[:, :first] @ grid.log_g[:first])[:, None]
        found = np.exp(log_rest + (np.maximum(sizes, 1) - 1) * grid.log_x) @ grid.weight
        found *= np.cumsum(counts * values, axis=1)[:, window]
    return np.where(some, found, 0.0)


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
