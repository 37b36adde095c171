"""The species set that promises the best score: MaxExp."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core.assemblages import quadrature
from sdm_core.assemblages.additive_scores import ADDITIVE_SCORES, species_merits
from sdm_core.assemblages.rules import Booleans, probabilities_last
from sdm_core.errors import RuleError

Score = Literal["f1", "jaccard", "tss", "accuracy"]
SCORES: tuple[str, ...] = ("f1", "jaccard", *ADDITIVE_SCORES)
Floats = NDArray[np.float64]

#: Values worked on at once (cells × probabilities × about 64 nodes).
_CHUNK_VALUES = 1 << 19
#: Highest probability of species that are summed up by powers, and terms of that series: 10,000 species of it
#: leave out less than 10000 · 0.1^15 / 15 ≈ 1e-12 of the logarithm.
_TAIL_PROBABILITY, _TAIL_TERMS = 0.1, 14
_LEAST_HEAD = 64


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
    with it to 1e-9 (`quadrature.n_nodes`). A set scores 0 when the cell truly holds no species. To accuracy
    and the true skill statistic each species adds its own part (`additive_scores.species_merits`).

    Args:
        probability: (…, n_species) in 0…1; NaN counts as 0.
        score: "f1", "jaccard", "tss" or "accuracy".

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
        if score in ADDITIVE_SCORES:
            merits = species_merits(ordered, counts, np.array([len(ordered)]), score)[0]
            out[number] = np.cumsum(merits) + (np.mean(1.0 - ordered) if score == "accuracy" else 0.0)
            continue
        grid = _Grid(ordered, quadrature.n_nodes(len(ordered), len(ordered), float(ordered.sum())))
        out[number] = _scores(grid, ordered, counts, counts @ grid.log_g, score, 0, len(ordered) - 1)[0]
    return out.reshape(array.shape)


def max_exp(probability: ArrayLike, score: Score = "f1") -> Booleans:
    """The species set with the highest expected score, if species occurred independently.

    The best set is always one of the k most probable species, since swapping in a more probable one raises
    the hits and lowers the misses; k is chosen by `expected_score`. No threshold or calibration set is needed
    beyond calibrated probabilities (MaxExp of arXiv 2602.11771; formula derived here and checked by brute
    force over all sets). Species of equal probability are all in or all out, so only such sets compete, and
    the smallest wins where several are best. As the F1 and Jaccard scores of a truly empty cell are 0, a cell
    with any probability above 0 gets at least one species; by accuracy and the true skill statistic (TSS), to
    which species add their own parts, a set may be empty. By accuracy a species is in where p > 1/2.

    Cells of thousands of species take a way that gives the same sets: species far too improbable to be in
    the set enter ln Π g only, as the series −Σ_j (1 − x)^j/j · Σ p^j.

    Args:
        probability: (…, n_species) calibrated, in 0…1; NaN and 0 are never present, but 0 is a species.
        score: "f1", "jaccard", "tss" or "accuracy".

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
        out[number] = row >= _cut(row, score)
    return out.reshape(array.shape)


def _cut(row: NDArray[np.floating], score: Score) -> float:
    """Lowest probability in the best set of one cell; infinite where that is empty."""
    if score not in ADDITIVE_SCORES:
        n_head = _LEAST_HEAD + int(8 * np.nansum(row))  # larger sets win only where F1 < 0.22
        if len(row) > 2 * n_head:
            filled = np.nan_to_num(row, nan=0.0)
            head_from = min(np.partition(filled, len(row) - n_head)[len(row) - n_head], _TAIL_PROBABILITY)
            if head_from > 0:
                values, counts = np.unique(filled[filled >= head_from], return_counts=True)
                falling, numbers = values[::-1].astype(np.float64), counts[None, ::-1].astype(np.float64)
                power = rest = filled[filled < head_from].astype(np.float64)
                sums = [power.sum()]
                for _ in range(_TAIL_TERMS - 1):
                    power = power * rest
                    sums.append(power.sum())
                found = _best_levels(falling, numbers, score, np.array([sums]), len(row))
                if found is not None:
                    return float(falling[found[0]])
    values, counts = np.unique(row[row > 0], return_counts=True)
    if not values.size:
        return float("inf")
    n_species = np.array([np.count_nonzero(~np.isnan(row))])
    best = int(best_levels(values[::-1].astype(np.float64), counts[None, ::-1], score, n_species)[0])
    return float(values[values.size - 1 - best]) if best >= 0 else float("inf")


def best_levels(
    values: Floats,
    counts: NDArray[np.int64],
    score: Score = "f1",
    n_species: ArrayLike | None = None,
) -> NDArray[np.int64]:
    """MaxExp sets of cells whose species share a few probabilities, such as those of one-byte codes.

    Only sizes that can win against the one near k = m, m = Σ p, are looked at: F1 = 2A/(k+A+B) is at most
    2m/(k+m) in expectation and, as A ≤ k, at most 2k·E[1/(k+A+B)], which rises with k; Jaccard at most m/k.

    Args:
        values: (n_values) distinct probabilities above 0, falling.
        counts: (n_cells, n_values) number of species of each cell that have each of them.
        score: "f1", "jaccard", "tss" or "accuracy".
        n_species: number of species, one for all cells or (n_cells), those of probability 0 included; only
            "tss" depends on it. None: there are no more than `counts` has.

    Returns:
        (n_cells) index of the lowest probability in the set; −1 for an empty set.

    Raises:
        RuleError: an unknown score.
    """
    _check_score(score)
    all_species = np.broadcast_to(
        counts.sum(axis=1) if n_species is None else np.asarray(n_species, dtype=np.int64), (len(counts),)
    )
    best = np.full(len(counts), -1, dtype=np.int64)
    filled = np.flatnonzero(counts.any(axis=1))
    step = max(1, _CHUNK_VALUES // max(1, len(values) * 64))
    for start in range(0, len(filled), step):
        part = filled[start : start + step]
        numbers = counts[part].astype(np.float64)
        if score in ADDITIVE_SCORES:
            worth = (species_merits(values, numbers, all_species[part], score) > 1e-15) & (numbers > 0)
            last = len(values) - 1 - np.argmax(worth[:, ::-1], axis=1)
            best[part] = np.where(worth.any(axis=1), last, -1)
        else:
            found = _best_levels(values, numbers, score)
            assert found is not None  # only species summed up apart can be too many
            best[part] = found
    return best


def _best_levels(
    values: Floats, counts: Floats, score: Score, tail: Floats | None = None, n_species: int = 0
) -> NDArray[np.int64] | None:
    """`best_levels` for F1 and Jaccard.

    `tail` (n_cells, n_terms) holds Σ p^j of further species, less probable than all in `counts`, of
    `n_species` in all; None comes back where the best set could reach into them.
    """
    sizes = np.cumsum(counts, axis=1)  # (n_cells, n_values)
    expected = counts @ values + (0.0 if tail is None else tail[:, 0])
    cells = np.arange(len(counts))
    near = np.minimum((sizes < expected[:, None]).sum(axis=1), len(values) - 1)  # level where k is about Σ p
    # more nodes than a size needs cost little; twice Σ p is where the best sizes lie
    largest = int(min(sizes[:, -1].max(), 1 + 3 * expected.max()))
    most = max(int(sizes[:, -1].max()), n_species)
    grid = _Grid(values, quadrature.n_nodes(most, largest, float(expected.max())))
    log_all = counts @ grid.log_g  # (n_cells, n_nodes), ln Π_all g
    if tail is not None:
        terms = np.arange(1, tail.shape[1] + 1)[:, None]
        log_all -= tail @ ((1.0 - np.exp(grid.log_x)) ** terms / terms)
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
    if tail is not None and np.any(limit >= sizes[:, -1]):
        return None
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
        x, self.weight = quadrature.nodes(n_nodes)
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
    if score not in SCORES:
        raise RuleError(f'The score is "{score}", expected one of {", ".join(SCORES)}.')
