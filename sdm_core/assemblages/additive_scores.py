"""Expected scores to which each species adds its own part: accuracy and the true skill statistic."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sdm_core.assemblages import quadrature

Floats = NDArray[np.float64]

ADDITIVE_SCORES = ("tss", "accuracy")


def species_merits(values: Floats, counts: Floats, n_species: NDArray[np.int64], score: str) -> Floats:
    """What a species of each probability adds to the expected score of a cell's set by being in it.

    With N the number of species present, N′ the same without the species itself, and S the number of all,

        accuracy   1 − Σ_all p/S + Σ_inside (2p − 1)/S
        TSS        Σ_inside p·E[1/(1 + N′)] − (1 − p)·E[1/(S − N′)]

    as E[hits/N] = Σ_inside p·E[1/(1 + N′)], and the false ones over S − N likewise. The expectations are
    integrals of products over the other species, E[1/(1 + N′)] = ∫ Π (1 − p + p·x) dx and E[1/(S − N′)] =
    ∫ Π (p + (1 − p)·x) dx. Sensitivity counts as 0 where no species is present, and so does the share of
    false ones where all are.

    Args:
        values: (n_values) probabilities.
        counts: (n_cells, n_values) number of species of each cell that have each of them.
        n_species: (n_cells) number of all species, those of probability 0 included.
        score: "tss" or "accuracy".

    Returns:
        (n_cells, n_values), rising with the probability; of no meaning where the count is 0.
    """
    if score == "accuracy":
        return (2.0 * values - 1.0) / np.maximum(n_species, 1)[:, None]
    absent = n_species - counts.sum(axis=1)
    expected = float((counts @ values).max(initial=0.0))
    largest = int(n_species.max(initial=1))

    def mean_inverse(p: Floats, n_of_zero: Floats, about: float) -> Floats:
        """∫ Π_others (1 − p + p·x) dx for each cell and probability."""
        x, weight = quadrature.nodes(quadrature.n_nodes(largest, 0, about))
        g = 1.0 - p[:, None] * (1.0 - x)
        whole = np.exp(counts @ np.log(g) + n_of_zero[:, None] * np.log(x))
        return (whole * weight) @ (1.0 / g).T

    hits = values * mean_inverse(values, np.zeros(len(counts)), expected)
    return hits - (1.0 - values) * mean_inverse(1.0 - values, absent, float(largest))
