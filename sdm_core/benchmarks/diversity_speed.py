"""Speed of diversity and of rules: Shannon against scikit-bio, all pairs against scipy, MaxExp in seconds."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from sdm_core import diversity
from sdm_core.assemblages import expected_score, max_exp
from sdm_core.benchmarks.timing import Comparison, Timing, UnequalResultsError, compare

_SHANNON_GOAL = 8.0
_PAIRS_GOAL = 15.0
_MAX_EXP_GOAL_MS = 10_000.0
#: Single precision holds 7 digits, and both add up 2,000 terms in it.
_SHANNON_TOLERANCE = 1e-5


def predicted(n_cells: int, n_species: int, seed: int = 0) -> NDArray[np.float32]:
    """Probabilities as a model gives them: logits of mean −5 and deviation 2: 1 in 30 species expected."""
    logits = np.random.default_rng(seed).standard_normal((n_cells, n_species), dtype=np.float32)
    logits *= 2.0
    logits -= 5.0
    np.exp(-logits, out=logits)
    logits += 1.0
    return np.divide(1.0, logits, out=logits)


def shannon_index(n_cells: int = 100_000, n_species: int = 2_000, rounds: int = 1) -> list[Comparison]:
    """Shannon index of cells of predicted probabilities in single precision.

    The peer is `skbio.diversity.alpha_diversity` without validation, its fastest way for many samples.
    """
    import skbio

    def peer(p: NDArray[np.float32]) -> NDArray[np.float64]:
        return skbio.diversity.alpha_diversity("shannon", p, base=np.e, validate=False).to_numpy()

    return [
        compare(
            f"Shannon index of {n_cells:,} cells × {n_species:,} species, against scikit-bio",
            [predicted(n_cells, n_species)],
            diversity.shannon,
            peer,
            lambda ours, other: bool(np.abs(ours - other).max() < _SHANNON_TOLERANCE),
            goal=_SHANNON_GOAL,
            equal=f"equal within {_SHANNON_TOLERANCE:g} nats",
            rounds=rounds,
            details={"n_cells": n_cells, "n_species": n_species},
        )
    ]


def all_pairs(n_cells: int = 2_000, n_species: int = 2_000, rounds: int = 1) -> list[Comparison]:
    """Sørensen dissimilarity of all pairs of species sets.

    The peer is scipy's `pdist` with "dice", compiled, which gives the total only; ours gives turnover and
    nestedness with it, and both halves of the table.
    """
    from scipy.spatial.distance import pdist, squareform

    sets = predicted(n_cells, n_species) > 0.02
    n_pairs = n_cells * (n_cells - 1) // 2
    found = compare(
        f"Sørensen dissimilarity of {n_pairs:,} pairs of sets of {n_species:,} species, against scipy",
        [sets],
        lambda cells: diversity.all_pairs(cells).total,
        lambda cells: pdist(cells, "dice"),
        lambda ours, other: np.allclose(ours, squareform(other), atol=1e-12),
        goal=_PAIRS_GOAL,
        equal="equal to 12 digits",
        rounds=rounds,
        details={"n_cells": n_cells, "n_species": n_species, "n_pairs": n_pairs},
    )
    found.details["ours_ns_per_pair"] = round(found.ours * 1e6 / n_pairs, 1)
    found.details["peer_ns_per_pair"] = round(found.peer * 1e6 / n_pairs, 1)
    return [found]


def max_exp_sets(n_cells: int = 10_000, n_species: int = 4_000, n_checked: int = 10) -> list[Timing]:
    """MaxExp sets for F1 of cells × species in single precision, on one thread.

    Raises `UnequalResultsError` where a set is not the best of all sizes by `expected_score`.
    """
    from threadpoolctl import threadpool_limits

    p = predicted(n_cells, n_species)
    with threadpool_limits(limits=1):
        start = time.perf_counter()
        sets = max_exp(p)
        took = (time.perf_counter() - start) * 1000.0
    for row in np.linspace(0, n_cells - 1, min(n_checked, n_cells)).astype(int):
        scores = expected_score(p[row])
        if scores[np.count_nonzero(sets[row]) - 1] < scores.max() - 1e-9:
            raise UnequalResultsError(f"MaxExp does not give the best set of cell {row}")
    return [
        Timing(
            f"MaxExp sets of {n_cells:,} cells × {n_species:,} species",
            [took],
            _MAX_EXP_GOAL_MS,
            f"the best of all sizes in {min(n_checked, n_cells)} cells",
            {
                "n_cells": n_cells,
                "n_species": n_species,
                "mean_size": round(float(sets.sum(axis=1).mean()), 1),
            },
        )
    ]
