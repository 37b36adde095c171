"""Which cells make a region diverse: local contributions to beta diversity."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from sdm_core.diversity._arrays import Floats, checked_weights, region_table, row_chunks
from sdm_core.errors import RuleError

Transformation = Literal["hellinger", "chord", "none"]


@dataclass(frozen=True)
class BetaContributions:
    """Total beta diversity of a region, and who makes it.

    Attributes:
        total: BD, the sum of the variances of all species after the transformation; 0 (all cells alike) to 1
            (no two share a species) for "hellinger" and "chord".
        cells: (n_cells) LCBD, share of each cell in the total; sums to 1, NaN where the total is 0.
        species: (n_species) SCBD, share of each species; sums to 1, NaN where the total is 0.
        transformation: what was done to the table.
    """

    total: float
    cells: Floats
    species: Floats
    transformation: Transformation


def beta_contributions(values: ArrayLike, transformation: Transformation = "hellinger") -> BetaContributions:
    """Local (LCBD) and species (SCBD) contributions to beta diversity.

    With y the transformed table, s_ij = (y_ij − mean_j)², SS = Σ s: BD = SS/(n − 1), LCBD_i = Σ_j s_ij / SS,
    SCBD_j = Σ_i s_ij / SS (Legendre & De Cáceres 2013, doi 10.1111/ele.12141, eqs 1–5; adespatial
    `beta.div`). A high LCBD marks a cell unlike the others: rare in composition, rich, or badly predicted.
    Two passes over the table, chunk by chunk.

    Args:
        values: (n_cells, n_species) sets, abundances or probabilities ≥ 0, with at least two cells.
        transformation: "hellinger" (square root of shares), "chord" (rows of length 1) or "none".

    Raises:
        RuleError: fewer than two cells, an empty cell, negative or NaN values, an unknown transformation.
    """
    table = region_table(values, "values")
    chunks = list(row_chunks(*table.shape))
    return beta_contributions_in_parts(lambda: (table[part] for part in chunks), transformation)


def beta_contributions_in_parts(
    parts: Callable[[], Iterable[ArrayLike]], transformation: Transformation = "hellinger"
) -> BetaContributions:
    """`beta_contributions` of a table that is never whole in memory.

    Args:
        parts: gives its rows from the first to the last, part by part, each (n, n_species); called twice.
        transformation: as `beta_contributions`, which also says what is refused.
    """
    if transformation not in ("hellinger", "chord", "none"):
        raise RuleError(f'The transformation is "{transformation}", expected "hellinger", "chord" or "none".')

    def transformed() -> Iterator[Floats]:
        for part in parts():
            yield _transformed(checked_weights(np.asarray(part), "values"), transformation)

    mean, n_cells = np.zeros(1), 0
    for rows in transformed():
        mean = mean + rows.sum(axis=0)
        n_cells += len(rows)
    if n_cells < 2:
        raise RuleError("Contributions to beta diversity need two cells or more, found one.")
    mean /= n_cells
    of_cells, species = [], np.zeros(len(mean))
    for rows in transformed():
        squares = (rows - mean) ** 2
        of_cells.append(squares.sum(axis=1))
        species += squares.sum(axis=0)
    cells = np.concatenate(of_cells)
    whole = float(cells.sum())
    if whole <= 1e-12 * n_cells * max(float((mean**2).sum()), 1e-300):  # alike but for rounding
        return BetaContributions(0.0, np.full(n_cells, np.nan), np.full(len(mean), np.nan), transformation)
    return BetaContributions(whole / (n_cells - 1), cells / whole, species / whole, transformation)


def _transformed(weights: Floats, transformation: Transformation) -> Floats:
    if transformation == "none":
        return weights
    size = weights.sum(axis=1) if transformation == "hellinger" else np.sqrt((weights**2).sum(axis=1))
    if not np.all(size > 0):
        raise RuleError(
            "A cell without species has no composition, so it has no contribution to beta diversity; leave "
            "it out first."
        )
    shares = weights / size[:, None]
    return np.sqrt(shares) if transformation == "hellinger" else shares
