"""Where records are thin and species lists uncertain: layers that follow from codes and record densities.

Expected information of a cell = uncertainty × gap, from 0 to 100:

* uncertainty = Σ_s p_s (1 - p_s) / (n_species / 4), in percent: the variance of the number of species if they
  were independent, as a share of the largest it could be. It is what a full list of the cell would settle.
* gap = h / (h + e), where e is the density of records around the cell (records per 100 km² of its coarse
  cell) and h the median density of the atlas' coarse cells with records: 1 without records, 1/2 at h.

How easily a place is reached is not known to an atlas, and is left to the reader.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sdm_core.prediction.code import PROBABILITY_OF_CODE
from sdm_core.regions import cell_area_km2, cell_resolutions, cells_to_parents

#: Rows of codes read at once.
_ROWS_AT_ONCE = 4096
DEFINITION = (
    "Expected information of a cell is its uncertainty times its gap in records. Uncertainty is Σ p (1 − p) "
    "over the species, in percent of the largest it could be: what a full species list of the cell would "
    "settle. The gap is h / (h + e), where e is the density of records around the cell and h its median over "
    "the coarse cells of the atlas that have records: 1 without records, 1/2 at the median."
)


class Store(Protocol):
    """What these layers are made of, as `PredictionStore` gives it."""

    resolution: int
    n_cells: int
    n_species: int

    @property
    def cells(self) -> NDArray[np.uint64]: ...  # noqa: D102
    @property
    def codes(self) -> NDArray[np.uint8]: ...  # noqa: D102
    @property
    def observed(self) -> pd.DataFrame | None: ...  # noqa: D102


def effort_density(store: Store, rows: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
    """Records per 100 km² in the coarse cell around each cell, float64 (n,); NaN where the atlas ships none.

    Coarse cells are those in which records are counted (H3 resolution 5, about 250 km²), or the cells
    themselves where they are coarser.
    """
    cells = np.asarray(store.cells) if rows is None else np.asarray(store.cells)[rows]
    density = _density(store)
    if density is None:
        return np.full(len(cells), np.nan)
    coarse, values, resolution = density
    parents = cells_to_parents(cells, min(resolution, store.resolution))
    place = np.minimum(np.searchsorted(coarse, parents), len(coarse) - 1)
    return np.where(coarse[place] == parents, values[place], 0.0)


def median_density(store: Store) -> float:
    """Median of the records per 100 km² over the coarse cells of the atlas that have records; NaN without."""
    density = _density(store)
    return float(np.median(density[1][density[1] > 0])) if density is not None else float("nan")


def _density(store: Store) -> tuple[NDArray[np.uint64], NDArray[np.float64], int] | None:
    """Coarse cells with records, ascending, their records per 100 km², and their resolution."""
    observed = store.observed
    if observed is None or not (observed["n_records"] > 0).any():
        return None
    table = observed[observed["n_records"] > 0].sort_values("cell")
    coarse = table["cell"].to_numpy(np.uint64)
    resolution = int(cell_resolutions(coarse[:1])[0])
    counts = table["n_records"].to_numpy(np.float64)
    if store.resolution < resolution:
        resolution = store.resolution
        coarse, place = np.unique(cells_to_parents(coarse, resolution), return_inverse=True)
        counts = np.bincount(place, weights=counts)
    return coarse, 100.0 * counts / cell_area_km2(coarse), resolution


def open_questions(store: Store, rows: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
    """Σ_s p_s (1 - p_s) of cells, in species, float64 (n,): the variance of richness under independence."""
    chosen = np.arange(store.n_cells) if rows is None else np.asarray(rows)
    variance = (PROBABILITY_OF_CODE * (1 - PROBABILITY_OF_CODE)).astype(np.float32)
    found = np.empty(len(chosen))
    for start in range(0, len(chosen), _ROWS_AT_ONCE):
        part = np.asarray(store.codes[chosen[start : start + _ROWS_AT_ONCE]])
        found[start : start + len(part)] = variance[part].sum(axis=1, dtype=np.float64)
    return found


def effort_gap(density: NDArray[np.float64], median: float) -> NDArray[np.float64]:
    """H / (h + e) for densities e of records and their median h; 1 everywhere where no record is known."""
    if not np.isfinite(median) or median <= 0:
        return np.ones(len(density))
    return np.asarray(median / (median + np.nan_to_num(density)))


def expected_information(store: Store, rows: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
    """Expected information of cells, 0 to 100, float64 (n,); see the head of this module."""
    uncertainty = 100.0 * open_questions(store, rows) / (store.n_species / 4)
    return uncertainty * effort_gap(effort_density(store, rows), median_density(store))
