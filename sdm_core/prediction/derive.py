"""What a store keeps beside its codes: totals per parent cell, and diversity and assemblage per cell.

All of it follows from the codes alone, so the exchange copy ships without it and the hot copy is
rebuilt the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdm_core.prediction.code import PROBABILITY_OF_CODE, SQUARE_OF_MAX_CODE

#: Cut code of a cell whose assemblage is empty: no code reaches it.
NO_SPECIES_CUT = 256
_DIGIT_BITS = 3
_FINEST_RESOLUTION = 15
_LARGEST_UINT32 = 2**32 - 1
#: Elements handled at once, so that the work stays in the processor's cache.
_CHUNK_ELEMENTS = 65_536


@dataclass(frozen=True)
class CellLayers:
    """One value per cell, all computed from decoded probabilities p.

    richness: Σp, the expected number of species. shannon: −Σ q ln q and simpson: 1 − Σq², q = p/Σp
    (NaN where no species has any probability). sse_cut: smallest code of the k = round(Σp) best species,
    ties included (`NO_SPECIES_CUT` when k = 0). sse_richness: number of species at or above the cut.
    """

    richness: NDArray[np.float32]
    shannon: NDArray[np.float32]
    simpson: NDArray[np.float32]
    sse_cut: NDArray[np.uint16]
    sse_richness: NDArray[np.uint16]


@dataclass(frozen=True)
class ParentLevel:
    """Totals of the parents at one coarser resolution; parent i holds rows `starts[i]:starts[i + 1]`.

    weighted_squares (n_parents, n_species) float64: Σ weight · code², whole numbers below 2^53 and so exact.
    max_codes: uint8, same shape.
    """

    resolution: int
    starts: NDArray[np.int64]
    weighted_squares: NDArray[np.float64]
    max_codes: NDArray[np.uint8]


def pyramid_resolutions(cell_resolution: int) -> list[int]:
    """Resolutions of the parents whose totals are kept, finest first: one to four above the cells."""
    return list(range(cell_resolution - 1, max(-1, cell_resolution - 5), -1))


def smallest_type(largest_weight: float) -> np.dtype:
    """Type that holds totals of parents exactly: uint32 where the heaviest parent fits, else float64."""
    fits = largest_weight * SQUARE_OF_MAX_CODE <= _LARGEST_UINT32
    return np.dtype(np.uint32 if fits else np.float64)


def parent_starts(cells: NDArray[np.uint64], cell_resolution: int, resolution: int) -> NDArray[np.int64]:
    """First row of each parent at a coarser resolution, and the number of rows at the end.

    Sorted H3 indices of one resolution keep the children of a parent together, because the digits of
    the parent come first in the index; no geometry is needed.
    """
    if not 0 <= resolution <= cell_resolution:
        raise ValueError(f"parents at resolution {resolution} asked of cells at {cell_resolution}")
    prefix = cells >> np.uint64(_DIGIT_BITS * (_FINEST_RESOLUTION - resolution))
    first = np.flatnonzero(prefix[1:] != prefix[:-1]) + 1
    return np.concatenate([[0], first, [len(cells)]]).astype(np.int64)


def parent_cells(cells: NDArray[np.uint64], resolution: int) -> NDArray[np.uint64]:
    """H3 index of the parent of each cell: coarser resolution, unused digits set to 7."""
    unused = np.uint64((1 << _DIGIT_BITS * (_FINEST_RESOLUTION - resolution)) - 1)
    field = np.uint64(0xF << 52)
    return (cells & ~field) | np.uint64(resolution << 52) | unused


def row_chunks(n_rows: int, n_columns: int, elements: int = _CHUNK_ELEMENTS) -> Iterator[slice]:
    """Slices over rows of about `elements` values each."""
    step = max(1, elements // max(1, n_columns))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def weighted_square_sums(codes: NDArray[np.uint8], weights: NDArray[np.floating]) -> NDArray[np.float64]:
    """Σ weight · code² per species over rows: whole numbers below 2^53, so exact in any order."""
    total = np.zeros(codes.shape[1])
    for rows in row_chunks(*codes.shape):
        squares = np.multiply(codes[rows], codes[rows], dtype=np.uint16)
        total += weights[rows] @ squares.astype(np.float64)
    return total


def cell_layers(codes: NDArray[np.uint8]) -> CellLayers:
    """Diversity and assemblage of every cell, from how often each code occurs in it.

    The assemblage rule is SSE: the k = round(Σp) most probable species; Σp is an integer over 65025, an
    odd number, so no cell sits on a half.
    """
    n_cells, n_species = codes.shape
    richness = np.zeros(n_cells)
    shannon = np.full(n_cells, np.nan)
    simpson = np.full(n_cells, np.nan)
    cut = np.full(n_cells, NO_SPECIES_CUT, dtype=np.uint16)
    kept = np.zeros(n_cells, dtype=np.uint16)
    with np.errstate(divide="ignore", invalid="ignore"):
        p_log_p = np.nan_to_num(PROBABILITY_OF_CODE * np.log(PROBABILITY_OF_CODE))
    per_code = (np.arange(256.0) ** 2, p_log_p, PROBABILITY_OF_CODE**2)
    for rows in row_chunks(n_cells, n_species, elements=1 << 18):
        n_rows = rows.stop - rows.start
        offset = (np.arange(n_rows, dtype=np.int32) << 8)[:, None]
        counts = np.bincount((codes[rows] + offset).ravel(), minlength=n_rows << 8).reshape(n_rows, 256)
        as_float = counts.astype(np.float64)
        squares, entropies, square_probabilities = (
            np.einsum("ij,j->i", as_float, values) for values in per_code
        )
        square_sum = squares.astype(np.int64)  # sums of integers below 2^53: exact
        total = squares / SQUARE_OF_MAX_CODE
        richness[rows] = total
        with np.errstate(divide="ignore", invalid="ignore"):
            shannon[rows] = np.where(square_sum > 0, np.log(total) - entropies / total, np.nan)
            simpson[rows] = np.where(square_sum > 0, 1 - square_probabilities / total**2, np.nan)
        k = (2 * square_sum + SQUARE_OF_MAX_CODE) // (2 * SQUARE_OF_MAX_CODE)
        at_or_above = np.cumsum(counts[:, ::-1], axis=1, dtype=np.int32)[:, ::-1]
        found = np.count_nonzero(at_or_above >= np.maximum(k, 1)[:, None], axis=1) - 1
        has_any = k > 0
        cut[rows] = np.where(has_any, found, NO_SPECIES_CUT)
        kept[rows] = np.where(has_any, np.take_along_axis(at_or_above, found[:, None], axis=1)[:, 0], 0)
    return CellLayers(
        richness.astype(np.float32), shannon.astype(np.float32), simpson.astype(np.float32), cut, kept
    )


def parent_level(
    codes: NDArray[np.uint8],
    weights: NDArray[np.float64],
    cells: NDArray[np.uint64],
    cell_resolution: int,
    resolution: int,
) -> ParentLevel:
    """Totals of the parents at `resolution`, read from the codes once; whole weights, one per cell."""
    starts = parent_starts(cells, cell_resolution, resolution)
    n_parents, n_species = len(starts) - 1, codes.shape[1]
    sums = np.zeros((n_parents, n_species))
    max_codes = np.zeros((n_parents, n_species), dtype=np.uint8)
    for parent in range(n_parents):
        rows = slice(starts[parent], starts[parent + 1])
        sums[parent] = weighted_square_sums(codes[rows], weights[rows])
        max_codes[parent] = codes[rows].max(axis=0)
    return ParentLevel(resolution, starts, sums, max_codes)


def coarser_level(
    fine: ParentLevel, cells: NDArray[np.uint64], cell_resolution: int, resolution: int
) -> ParentLevel:
    """Totals at a coarser resolution, added up from a finer level."""
    starts = parent_starts(cells, cell_resolution, resolution)
    first_child = np.searchsorted(fine.starts, starts)
    n_parents, n_species = len(starts) - 1, fine.max_codes.shape[1]
    sums = np.zeros((n_parents, n_species))
    max_codes = np.zeros((n_parents, n_species), dtype=np.uint8)
    for parent in range(n_parents):
        children = slice(first_child[parent], first_child[parent + 1])
        sums[parent] = fine.weighted_squares[children].sum(axis=0)
        max_codes[parent] = fine.max_codes[children].max(axis=0)
    return ParentLevel(resolution, starts, sums, max_codes)


def parent_levels(
    codes: NDArray[np.uint8], weights: NDArray[np.float64], cells: NDArray[np.uint64], cell_resolution: int
) -> list[ParentLevel]:
    """The pyramid, finest first (see `pyramid_resolutions`)."""
    levels: list[ParentLevel] = []
    for resolution in pyramid_resolutions(cell_resolution):
        if levels:
            levels.append(coarser_level(levels[-1], cells, cell_resolution, resolution))
        else:
            levels.append(parent_level(codes, weights, cells, cell_resolution, resolution))
    return levels
