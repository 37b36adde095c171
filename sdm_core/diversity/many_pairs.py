"""Dissimilarity of all pairs of a stated sample of cells, by one matrix product; never of a whole map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core.diversity._arrays import Floats, checked_weights, presences, region_table
from sdm_core.errors import RuleError

Family = Literal["sorensen", "jaccard"]

#: Cells beyond which all pairs are refused: 50 million pairs in three tables are 1.2 GB.
MOST_CELLS = 10_000
_ROWS_AT_ONCE = 256
#: Values of the comparison of weights worked on at once.
_CHUNK_VALUES = 1 << 21


@dataclass(frozen=True)
class PairTables:
    """Dissimilarity and its two parts for every pair of cells (n_cells, n_cells), symmetric.

    total = turnover + nestedness; NaN where it is not defined (two empty cells; the parts where one is).
    """

    total: Floats
    turnover: Floats
    nestedness: Floats
    family: Family


@dataclass(frozen=True)
class PairSample:
    """Mean dissimilarity over the pairs of a random sample of cells.

    Means of pairs neither rise nor fall with the number of cells, unlike multi-site values.

    Attributes:
        n_cells: cells drawn; n_pairs: pairs of them for which the dissimilarity is defined.
        total, turnover, nestedness: means over those pairs; the parts where they are defined.
        low, high: 5 % and 95 % quantiles of the total over pairs.
    """

    n_cells: int
    n_pairs: int
    total: float
    turnover: float
    nestedness: float
    low: float
    high: float
    family: Family


def all_pairs(values: ArrayLike, family: Family = "sorensen") -> PairTables:
    """Sørensen or Jaccard dissimilarity of all pairs of cells, with turnover and nestedness.

    Sets: shared species are one product X·Xᵀ, unique ones follow from the numbers of species. Weights or
    probabilities: shared amounts Σ min(x, y), the same in every other respect; see `diversity.sorensen`.

    Args:
        values: (n_cells, n_species) sets (booleans) or weights ≥ 0; numbers that are all 0 and 1 are sets.
        family: "sorensen" or "jaccard".

    Raises:
        RuleError: more than `MOST_CELLS` cells, negative or NaN values, or an unknown family.
    """
    table = region_table(values, "values")
    _check(len(table), family)
    n = len(table)
    total, turnover = np.empty((n, n)), np.empty((n, n))
    for rows, columns, shared, lesser_amount, both_amounts in _shared(table):
        with np.errstate(divide="ignore", invalid="ignore"):
            if family == "sorensen":
                whole, replaced = 2.0 * shared / both_amounts, shared / lesser_amount
            else:
                whole, replaced = shared / (both_amounts - shared), shared / (2.0 * lesser_amount - shared)
        for out, similar in ((total, whole), (turnover, replaced)):
            np.subtract(1.0, similar, out=similar)
            np.maximum(similar, 0.0, out=similar)  # never below 0 by rounding; NaN stays
            out[rows, columns] = similar
            out[columns, rows] = similar.T
    return PairTables(total, turnover, total - turnover, family)


def pair_sample(
    values: ArrayLike,
    generator: np.random.Generator,
    n_cells: int = 500,
    family: Family = "sorensen",
) -> PairSample:
    """Mean dissimilarity of the pairs of `n_cells` cells drawn without replacement; memory for those only.

    Args:
        values: (cells, n_species) as for `all_pairs`; drawn from, not copied.
        generator: source of the sample; the same state gives the same result.
        n_cells: cells drawn; all where there are fewer.
        family: "sorensen" or "jaccard".

    Raises:
        RuleError: fewer than two cells, more than `MOST_CELLS` to draw, bad values, or an unknown family.
    """
    table = region_table(values, "values")
    drawn = min(n_cells, len(table))
    if drawn < 2:
        raise RuleError(f"Pairs need two cells or more, found {drawn}.")
    _check(drawn, family)
    rows = np.sort(generator.choice(len(table), drawn, replace=False))
    found = all_pairs(table[rows], family)
    above = np.triu_indices(drawn, 1)
    totals = found.total[above]
    defined = totals[~np.isnan(totals)]
    if not defined.size:
        return PairSample(drawn, 0, *(float("nan"),) * 5, family)
    low, high = np.quantile(defined, (0.05, 0.95))

    def mean(part: Floats) -> float:
        known = part[above][~np.isnan(part[above])]
        return float(known.mean()) if known.size else float("nan")

    return PairSample(
        drawn,
        defined.size,
        float(defined.mean()),
        mean(found.turnover),
        mean(found.nestedness),
        float(low),
        float(high),
        family,
    )


def _check(n_cells: int, family: str) -> None:
    if family not in ("sorensen", "jaccard"):
        raise RuleError(f'The family is "{family}", expected "sorensen" or "jaccard".')
    if n_cells > MOST_CELLS:
        raise RuleError(
            f"{n_cells} cells have {n_cells * (n_cells - 1) // 2} pairs; at most {MOST_CELLS} cells can be "
            "compared. Draw a sample with pair_sample."
        )


def _shared(table: NDArray[np.generic]) -> Iterator[tuple[slice, slice, Floats, Floats, Floats]]:
    """Shared amount, lesser amount of the two cells and sum of both, for blocks of the upper triangle."""
    is_sets = table.dtype.kind == "b" or bool(np.all((table == 0) | (table == 1)))
    # counts of species are exact in single precision up to 2^24
    weights = presences(table, "values").astype(np.float32) if is_sets else checked_weights(table, "values")
    amounts = weights.sum(axis=1, dtype=np.float64)
    step = _ROWS_AT_ONCE if is_sets else max(1, _CHUNK_VALUES // max(1, table.size))
    for start in range(0, len(table), step):
        rows, columns = slice(start, min(start + step, len(table))), slice(start, len(table))
        if is_sets:
            shared = (weights[rows] @ weights[columns].T).astype(np.float64)
        else:
            shared = np.minimum(weights[rows, None], weights[None, columns]).sum(axis=-1)
        one, other = amounts[rows, None], amounts[None, columns]
        yield rows, columns, shared, np.minimum(one, other), one + other
