"""Which cells a map of a report shows: those of the atlas, or coarser ones where there are too many."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def cells_to_draw(
    store: Any, rows: NDArray[np.int64], values: np.ndarray, most: int
) -> tuple[NDArray[np.uint64], np.ndarray, int]:
    """Cells, values and resolution of a map: as stored, or means of parents above `most` cells."""
    if len(rows) <= most:
        return np.asarray(store.cells)[rows], values[rows], store.resolution
    inside = np.full(len(values), np.nan)
    inside[rows] = values[rows]
    for resolution in range(store.resolution - 1, -1, -1):
        parents, means = store.aggregate(inside, resolution)
        held = np.isfinite(means)
        if held.sum() <= most or resolution == 0:
            return np.asarray(parents)[held], np.asarray(means)[held], resolution
    raise AssertionError("resolution 0 ends the search")
