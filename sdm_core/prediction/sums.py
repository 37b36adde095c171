"""Totals of a region per species, exact whichever way they are added up.

Rows of a region come in long runs, since cells are sorted by H3 index. Whole parents of each run are taken
from the pyramid, coarsest first, and only what is left at the ends of a run is read cell by cell. Areas are
whole numbers of quanta and codes whole numbers, so every total is a sum of integers below 2^53.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core.errors import NoDataInRegionError
from sdm_core.prediction.code import PROBABILITY_OF_CODE, SQUARE_OF_MAX_CODE
from sdm_core.prediction.content import HECTARES_PER_KM2
from sdm_core.prediction.derive import row_chunks, weighted_square_sums

_LOW_BITS = 20


@dataclass(frozen=True)
class RegionSums:
    """Totals of a set of cells, per species; the same numbers whichever way they were added up.

    hectares: area of the cells, or of their parts inside the region. weighted_squares (n_species,) float64:
    Σ hectares · code², exact. max_codes (n_species,) uint8.
    """

    n_cells: int
    hectares: float
    weighted_squares: NDArray[np.float64]
    max_codes: NDArray[np.uint8]

    @property
    def area_km2(self) -> float:
        """Area of the cells."""
        return self.hectares / HECTARES_PER_KM2

    @property
    def expected_area_km2(self) -> NDArray[np.float64]:
        """Σ area · p per species (n_species,), km²."""
        return self.weighted_squares / (SQUARE_OF_MAX_CODE * HECTARES_PER_KM2)

    @property
    def mean_probability(self) -> NDArray[np.float64]:
        """Area-weighted mean probability per species (n_species,)."""
        return self.weighted_squares / (SQUARE_OF_MAX_CODE * self.hectares)

    @property
    def max_probability(self) -> NDArray[np.float64]:
        """Largest probability per species (n_species,)."""
        return PROBABILITY_OF_CODE[self.max_codes]

    @property
    def expected_richness(self) -> float:
        """Expected number of species in a cell drawn by area: Σ over species of their mean probability."""
        return exact_total(self.weighted_squares) / (SQUARE_OF_MAX_CODE * self.hectares)

    @property
    def gamma_lower(self) -> float:
        """Lower bound of the expected number of species of the region: Σ over species of their largest p."""
        squares = self.max_codes.astype(np.int64) ** 2
        return int(squares.sum()) / SQUARE_OF_MAX_CODE

    @property
    def occupancy_shares(self) -> NDArray[np.float64]:
        """Share of each species in the expected occupied area (n_species,), Σ 1; NaN where there is none."""
        total = exact_total(self.weighted_squares)
        return self.weighted_squares / total if total else np.full(len(self.weighted_squares), np.nan)

    def group_area_km2(self, members: ArrayLike) -> float:
        """Expected occupied area summed over a group of species, km²: threatened, endemic, flagged.

        members: boolean (n_species,) or indices of species.
        """
        total = exact_total(self.weighted_squares[np.asarray(members)])
        return total / (SQUARE_OF_MAX_CODE * HECTARES_PER_KM2)

    def group_max(self, members: ArrayLike) -> float:
        """Largest probability of any species of a group anywhere in the region; 0 for an empty group."""
        codes = self.max_codes[np.asarray(members)]
        return float(PROBABILITY_OF_CODE[codes.max(initial=0)])


def exact_total(values: NDArray[np.float64]) -> float:
    """Sum of numbers that are multiples of 1/128 below 2^46, rounded once at the end.

    The parts above and below 2^20 are summed apart, so that each sum is exact.
    """
    high = np.floor(np.ldexp(values, -_LOW_BITS))
    low = values - np.ldexp(high, _LOW_BITS)
    return float(int(high.sum()) * 2**_LOW_BITS + float(low.sum()))


@dataclass(frozen=True)
class PyramidLevel:
    """Totals of the parents at one resolution, in quanta: parent i holds rows `starts[i]:starts[i + 1]`."""

    starts: NDArray[np.int64]
    squares: NDArray
    max_codes: NDArray[np.uint8]


@dataclass
class Totals:
    """Totals that are being added up, in quanta."""

    n_species: int
    squares: NDArray[np.float64] = field(init=False)
    max_codes: NDArray[np.uint8] = field(init=False)

    def __post_init__(self) -> None:
        self.squares = np.zeros(self.n_species)
        self.max_codes = np.zeros(self.n_species, dtype=np.uint8)

    def add_cells(
        self, codes: NDArray[np.uint8], rows: NDArray[np.int64], quanta: NDArray[np.float64]
    ) -> None:
        """Add cells one by one; quanta: one whole number per row."""
        for part in row_chunks(len(rows), self.n_species):
            read = codes[rows[part]]
            self.squares += weighted_square_sums(read, quanta[part])
            np.maximum(self.max_codes, read.max(axis=0), out=self.max_codes)

    def add_parents(self, level: PyramidLevel, parents: NDArray[np.int64]) -> None:
        """Add whole parents."""
        for part in row_chunks(len(parents), self.n_species):
            numbers = level.squares[parents[part]].astype(np.float64, copy=False)
            self.squares += np.ones(len(numbers)) @ numbers
            np.maximum(self.max_codes, level.max_codes[parents[part]].max(axis=0), out=self.max_codes)


def runs_of(rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First row of each unbroken run of ascending rows, and the row after its last."""
    breaks = np.flatnonzero(np.diff(rows) != 1)
    first = rows[np.concatenate([[0], breaks + 1])] if len(rows) else rows
    stop = rows[np.concatenate([breaks, [len(rows) - 1]])] + 1 if len(rows) else rows
    return first, stop


def rows_of_runs(first: NDArray[np.int64], stop: NDArray[np.int64]) -> NDArray[np.int64]:
    """All rows of some runs, one after the other."""
    lengths = stop - first
    ends = np.cumsum(lengths)
    steps = np.ones(int(ends[-1]) if len(ends) else 0, dtype=np.int64)
    filled = lengths > 0
    first, starts = first[filled], (ends - lengths)[filled]
    if len(first):
        steps[starts] = first - np.concatenate([[1], first[:-1] + lengths[filled][:-1]]) + 1
        steps[0] = first[0]
    return np.cumsum(steps)


def whole_parents(
    first: NDArray[np.int64], stop: NDArray[np.int64], starts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Parents that lie wholly in some runs, and the runs of rows that are left beside them."""
    before = np.searchsorted(starts, first, side="left")
    after = np.searchsorted(starts, stop, side="right") - 1
    whole = after > before
    parents = rows_of_runs(before[whole], after[whole])
    left_first = np.concatenate([first, starts[after[whole]]])
    left_stop = np.concatenate([np.where(whole, starts[np.where(whole, before, 0)], stop), stop[whole]])
    kept = left_stop > left_first
    order = np.argsort(left_first[kept], kind="stable")
    return parents, left_first[kept][order], left_stop[kept][order]


def add_rows(
    totals: Totals,
    rows: NDArray[np.int64],
    codes: NDArray[np.uint8],
    quanta: NDArray[np.float64],
    levels: Sequence[PyramidLevel],
) -> None:
    """Add whole cells: parents from the pyramid (levels coarsest first), the rest cell by cell.

    rows: ascending, each once. quanta (n_cells,): area of every cell of the store.
    """
    if not len(rows):
        return
    first, stop = runs_of(rows)
    for level in levels:
        parents, first, stop = whole_parents(first, stop, level.starts)
        totals.add_parents(level, parents)
        if not len(first):
            return
    left = rows_of_runs(first, stop)
    totals.add_cells(codes, left, quanta[left])


def checked_rows(
    rows: ArrayLike, hectares: ArrayLike | None, whole_quanta: NDArray[np.float64], quantum: float, name: str
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows ascending, each once, and their areas in quanta.

    hectares: area of each row inside a region; None for the whole cells. whole_quanta: areas of all cells of
    the store called `name`, in quanta of `quantum` hectares. Raises as `PredictionStore.region_sums`.
    """
    wanted = np.asarray(rows, dtype=np.int64)
    inside = None if hectares is None else np.asarray(hectares, dtype=np.float64)
    if inside is not None and inside.shape != wanted.shape:
        raise ValueError(f"{inside.shape} hectares for {wanted.shape} rows; give one number per row")
    if wanted.size and not (np.diff(wanted) > 0).all():
        wanted, first = np.unique(wanted, return_index=True)
        inside = None if inside is None else inside[first]
    if not wanted.size:
        raise NoDataInRegionError(
            f"the region holds no cell of the atlas {name}; choose one on the land it covers"
        )
    n_cells = len(whole_quanta)
    if wanted[0] < 0 or wanted[-1] >= n_cells:
        raise IndexError(f"rows run from {wanted[0]} to {wanted[-1]}; the store has {n_cells} cells")
    whole = whole_quanta[wanted]
    if inside is None:
        return wanted, whole
    quanta = inside / quantum
    if not ((quanta >= 0) & (quanta <= whole) & (quanta == np.rint(quanta))).all():
        raise ValueError(f"hectares of rows must be from 0 to the area of the cell, in steps of {quantum} ha")
    if not quanta.any():
        raise NoDataInRegionError(
            f"the region holds none of the area of the cells of the atlas {name}; choose a larger one"
        )
    return wanted, quanta
