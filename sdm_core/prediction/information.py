"""Where records are thin and species lists uncertain: layers that follow from codes and record densities.

Expected information of a cell = uncertainty × gap, from 0 to 100:

* uncertainty = Σ_s p_s (1 - p_s) / (n_species / 4), in percent: the variance of the number of species if they
  were independent, as a share of the largest it could be. It is what a full list of the cell would settle.
* gap = h / (h + e), where e is the density of records within about 25 km (records per 100 km²) and h its
  median over the atlas' coarse cells with records: 1 without records, 1/2 at h.

How easily a place is reached is not known to an atlas, and is left to the reader.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sdm_core.prediction.code import PROBABILITY_OF_CODE
from sdm_core.regions import (
    EARTH_RADIUS_KM,
    cell_area_km2,
    cell_resolutions,
    cells_to_lonlat,
    cells_to_parents,
    unit_vectors,
)

#: Distance within which records count as effort around a cell, km: its coarse cell and the ring around it.
AROUND_KM = 25.0
#: Rows of codes read at once.
_ROWS_AT_ONCE = 4096
DEFINITION = (
    "Expected information of a cell is its uncertainty times its gap in records. Uncertainty is Σ p (1 − p) "
    "over the species, in percent of the largest it could be: what a full species list of the cell would "
    "settle. The gap is h / (h + e), where e is the density of records within about 25 km and h its median "
    "over the coarse cells of the atlas that have records: 1 without records, 1/2 at the median."
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
    """Records per 100 km² around each cell, float64 (n,); NaN where the atlas ships none.

    Records are counted in coarse cells (H3 resolution 5, about 250 km², or the cells themselves where they
    are coarser). "Around" are those whose centre lies within 25 km of that of the cell's own, on land: about
    seven. One alone would mislead: of records that stand for squares of 10 km, it holds one to four squares
    by chance.
    """
    cells = np.asarray(store.cells) if rows is None else np.asarray(store.cells)[rows]
    density = _density(store)
    if density is None:
        return np.full(len(cells), np.nan)
    parents = cells_to_parents(cells, density.resolution)
    return np.asarray(density.per_100_km2[np.searchsorted(density.cells, parents)])


def median_density(store: Store) -> float:
    """Median of the records per 100 km² around the coarse cells that have records; NaN without."""
    density = _density(store)
    return float("nan") if density is None else float(np.median(density.per_100_km2[density.has_records]))


@dataclass(frozen=True)
class _Density:
    """Coarse cells, ascending, the records around them, and whether they have some themselves."""

    resolution: int
    cells: NDArray[np.uint64]
    per_100_km2: NDArray[np.float64]
    has_records: NDArray[np.bool_]


def _density(store: Store) -> _Density | None:
    observed = store.observed
    if observed is None or not (observed["n_records"] > 0).any():
        return None
    recorded = observed["cell"].to_numpy(np.uint64)
    resolution = min(int(cell_resolutions(recorded[:1])[0]), store.resolution)
    recorded = cells_to_parents(recorded, resolution)
    cells = np.union1d(cells_to_parents(np.asarray(store.cells), resolution), recorded)
    numbers = observed["n_records"].to_numpy(np.float64)
    counts = np.bincount(np.searchsorted(cells, recorded), numbers, len(cells)).astype(np.float64)
    points = unit_vectors(cells_to_lonlat(cells))
    chord = 2 * math.sin(AROUND_KM / EARTH_RADIUS_KM / 2)
    one, other = cKDTree(points).query_pairs(chord, output_type="ndarray").T

    def with_neighbours(values: NDArray[np.float64]) -> NDArray[np.float64]:
        total = values + np.bincount(one, values[other], len(cells))
        return np.asarray(total + np.bincount(other, values[one], len(cells)))

    density = 100.0 * with_neighbours(counts) / with_neighbours(cell_area_km2(cells))
    return _Density(resolution, cells, density, counts > 0)


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
