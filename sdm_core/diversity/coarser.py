"""Probabilities of coarser cells from those of their children, weighted by area."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core.diversity._arrays import Floats, checked_weights, region_table, row_chunks
from sdm_core.errors import RuleError
from sdm_core.regions import cell_area_km2, cells_to_parents


def aggregate_cells(
    values: ArrayLike, cells: ArrayLike, resolution: int, area: ArrayLike | None = None
) -> tuple[NDArray[np.uint64], Floats]:
    """Area-weighted mean of each species over the children of every parent cell.

    H3 cells differ in area by up to a third within a continent, so children do not weigh the same. For
    probabilities the result is the expected share of the parent's area that a species occupies; it is not the
    probability that the species occurs somewhere in it. Logits are never averaged: turn them into
    probabilities first.

    Args:
        values: (n_cells, n_species) probabilities or weights ≥ 0.
        cells: (n_cells) H3 cells, any order.
        resolution: of the parents, coarser than that of the cells or the same.
        area: (n_cells) area of each cell inside the region; by default its whole area.

    Returns:
        Parents (n_parents), ascending, and means (n_parents, n_species).

    Raises:
        RuleError: another number of cells, negative or NaN values (logits), or areas that are not above 0.
        RegionError: parents finer than the cells.
    """
    table = region_table(values, "values")
    index = np.asarray(cells, dtype=np.uint64)
    if index.shape != (len(table),):
        raise RuleError(f"cells has shape {index.shape}, expected one cell for each of {len(table)} rows.")
    weight = np.asarray(cell_area_km2(index) if area is None else area, dtype=np.float64)
    if weight.shape != index.shape or not np.all(np.isfinite(weight)) or not np.all(weight > 0):
        raise RuleError(
            f"area holds missing or zero areas, or another number than {len(table)}, expected one above zero "
            "per cell."
        )
    parents, parent_of = np.unique(cells_to_parents(index, resolution), return_inverse=True)
    sums = np.zeros((len(parents), table.shape[1]))
    order = np.argsort(parent_of, kind="stable")
    for part in row_chunks(*table.shape):
        rows = order[part]
        weighted = checked_weights(table[rows], "values") * weight[rows, None]
        found, starts = np.unique(parent_of[rows], return_index=True)
        sums[found] += np.add.reduceat(weighted, starts, axis=0)
    return parents, sums / np.bincount(parent_of, weights=weight)[:, None]
