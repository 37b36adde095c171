"""How far the members of an ensemble are apart."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from sdm_core.errors import ApplicabilityError


def ensemble_spread(members: Iterable[NDArray]) -> NDArray[np.float64]:
    """Standard deviation of the members' probabilities, summed over species, as a share of expected richness.

    members: probabilities (n, n_species) of each member, at least two. Per cell Σ_s sd_s / Σ_s p̄_s, where
    sd_s is the standard deviation between members (divided by their number) and p̄_s their mean: 0 where all
    members agree, 0.3 where the probability of a typical expected species is ± 30 % of itself. NaN where
    no species is expected. Members trained alike agree too much: the spread is a floor of the uncertainty.

    Raises `ApplicabilityError` for fewer than two members, or members of different shapes.
    """
    total: NDArray[np.float64] | None = None
    squares: NDArray[np.float64] | None = None
    n_members = 0
    for member in members:
        part = np.asarray(member, dtype=np.float64)
        if total is not None and part.shape != total.shape:
            raise ApplicabilityError(
                f"Members of the ensemble have probabilities of shape {total.shape} and {part.shape}; "
                "expected the same cells and species of all."
            )
        total = part.copy() if total is None else total + part
        squares = part**2 if squares is None else squares + part**2
        n_members += 1
    if total is None or squares is None or n_members < 2:
        raise ApplicabilityError(
            f"The ensemble has {n_members} members; its spread needs two or more that were trained apart."
        )
    mean = total / n_members
    deviation = np.sqrt(np.maximum(squares / n_members - mean**2, 0.0))
    expected = mean.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(expected > 0, deviation.sum(axis=-1) / expected, np.nan)
