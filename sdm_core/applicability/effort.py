"""Sampling effort: how much has been recorded in and around a region, and around every cell."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sdm_core.indicators import StoreLike
from sdm_core.prediction.once import once_per_store
from sdm_core.regions import (
    EARTH_RADIUS_KM,
    cell_area_km2,
    cell_resolutions,
    cells_to_lonlat,
    cells_to_parents,
    unit_vectors,
)

#: Distance within which records speak for a place, km.
NEARBY_KM = 25.0


@dataclass(frozen=True)
class Effort:
    """What has been recorded in and around a region; all of it unknown where the atlas ships no records.

    Attributes:
        n_records: records in the coarse cells (H3 resolution 5, about 250 km²) the region touches.
        n_sites: sites in them, None where not known.
        area_km2: area of those coarse cells.
        n_records_around: records in further coarse cells within 25 km of the region's.
        far_percent: share of the region's area farther than 25 km from any coarse cell with records.
        n_species: species recorded in the coarser cells (resolution 4, about 1,800 km²) the region touches.
    """

    n_records: int
    n_sites: int | None
    area_km2: float
    n_records_around: int
    far_percent: float
    n_species: int | None

    @property
    def records_per_100_km2(self) -> float:
        """Density of records in the coarse cells the region touches."""
        return 100.0 * self.n_records / self.area_km2


@dataclass(frozen=True)
class _RecordedPlaces:
    """Coarse cells with records: their numbers, and search trees over the centres of all and of those > 0."""

    cells: NDArray[np.uint64]
    n_records: NDArray[np.int64]
    all: cKDTree
    with_records: cKDTree


@once_per_store
def _recorded_places(store: Any) -> _RecordedPlaces:
    observed = store.observed
    cells = observed["cell"].to_numpy(np.uint64)
    n_records = observed["n_records"].to_numpy(np.int64)
    points = unit_vectors(cells_to_lonlat(cells))
    return _RecordedPlaces(cells, n_records, cKDTree(points), cKDTree(points[n_records > 0]))


def observed_effort(
    store: StoreLike, rows: NDArray[np.int64], hectares: NDArray | None = None
) -> Effort | None:
    """What has been recorded in and around the cells; None where the atlas ships no records.

    Distances are between centres of coarse cells, so "within 25 km" is right to about ten kilometres.

    Args:
        store: predictions of an atlas, with `observed` (coarse cell, n_records, n_sites).
        rows: rows of its cells inside the region, ascending.
        hectares: area each row counts with; by default its whole area.
    """
    observed = store.observed
    if observed is None or not len(observed):
        return None
    places = _recorded_places(store)
    recorded, n_records = places.cells, places.n_records
    resolution = int(cell_resolutions(recorded[:1])[0])
    parents, parent_of = np.unique(
        cells_to_parents(np.asarray(store.cells)[rows], min(resolution, store.resolution)),
        return_inverse=True,
    )
    inside = np.isin(recorded, parents)
    region_points = unit_vectors(cells_to_lonlat(parents))
    # chord of an arc of 25 km on the unit sphere
    reach = 2 * math.sin(NEARBY_KM / EARTH_RADIUS_KM / 2)
    far = np.isinf(places.with_records.query(region_points, distance_upper_bound=reach)[0])
    near = places.all.query_ball_point(region_points, reach, return_sorted=False)
    around = np.zeros(len(recorded), dtype=bool)
    around[np.concatenate(near).astype(np.int64)] = True
    around &= ~inside
    weights = np.asarray(store.area_ha)[rows] if hectares is None else hectares
    species_seen = None
    by_species = getattr(store, "observed_by_species", None)
    if by_species is not None and len(by_species):
        cells = by_species["cell"].to_numpy(np.uint64)
        coarser = np.unique(cells_to_parents(parents, int(cell_resolutions(cells[:1])[0])))
        species_seen = int(by_species.loc[np.isin(cells, coarser), "species_id"].nunique())
    return Effort(
        n_records=int(n_records[inside].sum()),
        n_sites=int(observed.loc[inside, "n_sites"].sum()) if "n_sites" in observed else None,
        area_km2=float(cell_area_km2(parents).sum()),
        n_records_around=int(n_records[around].sum()),
        far_percent=float(100.0 * weights[far[parent_of]].sum() / weights.sum()),
        n_species=species_seen,
    )
