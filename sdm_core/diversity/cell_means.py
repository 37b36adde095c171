"""How unlike the others each cell of a region is: mean dissimilarity, with turnover and nestedness apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core.diversity._arrays import Floats, presences, region_table
from sdm_core.errors import RuleError


@dataclass(frozen=True, eq=False)
class CellMeans:
    """Mean Sørensen dissimilarity of each cell (n_cells,) from other cells; total = turnover + nestedness.

    NaN for a cell without species, and where there is no other cell with any.
    """

    total: Floats
    turnover: Floats
    nestedness: Floats


def mean_dissimilarity(
    parts: Callable[[], Iterator[ArrayLike]], others: ArrayLike, own: ArrayLike | None = None
) -> CellMeans:
    """Mean pairwise Sørensen dissimilarity of each cell from some other cells, with turnover and nestedness.

    With a species shared by a pair, b and c unique to one of them: total (b + c)/(2a + b + c), turnover
    min(b, c)/(a + min(b, c)), nestedness the rest (Baselga 2010, doi 10.1111/j.1466-8238.2009.00490.x, eqs 1
    to 4), averaged over pairs. It is a mean of pairs: it does not rise with the number of cells, unlike the
    multi-site value, from which it differs. Pairs with an empty cell have no turnover and are left out.

    Args:
        parts: gives the sets of the cells part by part, each (n, n_species) of 0 and 1.
        others: (n_others, n_species) sets of the cells compared with.
        own: (n_cells,) place of each cell among the others, left out of its own mean; -1 where it is none of
            them.

    Raises:
        RuleError: values other than 0 and 1, or numbers of species that differ.
    """
    reference = presences(region_table(others, "others"), "others").astype(np.float32)
    reference_size = reference.sum(axis=1, dtype=np.float64)
    held = reference_size > 0
    places = None if own is None else np.asarray(own, dtype=np.int64)
    found: list[tuple[Floats, Floats]] = []
    start = 0
    for part in parts():
        sets = presences(region_table(part, "sets"), "sets").astype(np.float32)
        if sets.shape[1] != reference.shape[1]:
            raise RuleError(
                f"The cells have {sets.shape[1]} species and those compared with {reference.shape[1]}; "
                "expected the same species in the same order."
            )
        size = sets.sum(axis=1, dtype=np.float64)
        shared = (sets @ reference.T).astype(np.float64)  # (n, n_others); exact, as counts are below 2^24
        counted: NDArray[np.bool_] = held[None, :] & (size > 0)[:, None]
        if places is not None:
            mine = places[start : start + len(sets)]
            rows = np.flatnonzero(mine >= 0)
            counted[rows, mine[rows]] = False
        with np.errstate(divide="ignore", invalid="ignore"):
            total = 1.0 - 2.0 * shared / (size[:, None] + reference_size[None, :])
            turnover = 1.0 - shared / np.minimum(size[:, None], reference_size[None, :])
            n_counted = counted.sum(axis=1)
            means = [np.where(counted, values, 0.0).sum(axis=1) / n_counted for values in (total, turnover)]
        found.append((means[0], means[1]))
        start += len(sets)
    total, turnover = (np.concatenate(values) for values in zip(*found, strict=True))
    return CellMeans(total, turnover, total - turnover)
