"""What a map says about one cell, or about many at once, when it is pointed at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from sdm_core.errors import NoDataInRegionError, RuleError
from sdm_core.indicators.sets import StoreLike, row_parts
from sdm_core.indicators.summary import json_number, species_records
from sdm_core.prediction import decode
from sdm_core.regions import cells_to_strings


@dataclass(frozen=True)
class CellSummary:
    """One cell of the map, which may be a parent of several cells of the atlas.

    Attributes:
        cell: H3 index as text.
        n_cells: cells of the atlas in it; all values are their area-weighted means.
        area_km2: their area.
        expected_richness: Σp, expected number of species.
        shannon: −Σ q ln q with q = p/Σp, nats; NaN where no species has any probability.
        simpson: 1 − Σ q²; NaN likewise.
        top: the most probable species: species_id, species, family, common_genus, probability.
    """

    cell: str
    n_cells: int
    area_km2: float
    expected_richness: float
    shannon: float
    simpson: float
    top: pd.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "cell": self.cell,
            "n_cells": self.n_cells,
            "area_km2": self.area_km2,
            "expected_richness": self.expected_richness,
            "shannon": json_number(self.shannon),
            "simpson": json_number(self.simpson),
            "top": species_records(self.top),
        }


def summarise_cell(store: StoreLike, cell: int, n_species: int = 10) -> CellSummary:
    """Values and most probable species of a cell, or of a parent cell of any coarser resolution.

    Args:
        store: predictions of an atlas.
        cell: H3 index.
        n_species: how many species to name; those without any probability are left out.

    Raises:
        NoDataInRegionError: the atlas has no cell there.
    """
    rows = store.rows_under(cell)
    name = cells_to_strings(np.array([cell], dtype=np.uint64))[0]
    if not len(rows):
        raise NoDataInRegionError(
            f"The cell {name} is not in the atlas {store.name}; choose one on the land it covers."
        )
    sums = store.region_sums(rows)
    mean = np.asarray(sums.mean_probability, dtype=np.float64)
    best = np.argsort(-mean, kind="stable")[:n_species]
    best = best[mean[best] > 0]
    top = store.species.iloc[best].reindex(columns=["species", "family", "common_genus"])
    top.insert(0, "species_id", best)
    top["probability"] = mean[best]
    weights = np.asarray(store.area_ha)[rows].astype(np.float64)

    def mean_of(layer: str) -> float:
        values = np.asarray(store.layer(layer))[rows].astype(np.float64)
        known = np.isfinite(values)
        return float(values[known] @ weights[known] / weights[known].sum()) if known.any() else float("nan")

    return CellSummary(
        cell=name,
        n_cells=len(rows),
        area_km2=float(sums.area_km2),
        expected_richness=mean_of("richness"),
        shannon=mean_of("shannon"),
        simpson=mean_of("simpson"),
        top=top.reset_index(drop=True),
    )


def top_species(
    store: StoreLike, rows: ArrayLike, n_species: int = 5
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The most probable species of many cells at once, for hover texts.

    Args:
        store: predictions of an atlas.
        rows: rows of the store, any order.
        n_species: how many per cell.

    Returns:
        species ids (n_rows, n_species) and probabilities of the same shape, most probable first; ties by id.
        A probability of 0 means that the cell has fewer species.

    Raises:
        RuleError: fewer than one species asked for.
    """
    if n_species < 1:
        raise RuleError(f"n_species is {n_species}, expected 1 or more.")
    wanted = np.asarray(rows, dtype=np.int64)
    n = min(n_species, store.n_species)
    ids = np.empty((len(wanted), n), dtype=np.int64)
    best = np.empty((len(wanted), n), dtype=np.uint8)
    start = 0
    for part in row_parts(wanted):
        # one integer that sorts by code, then by falling id
        keys = np.asarray(store.codes[part]).astype(np.int32) * store.n_species
        keys += np.arange(store.n_species - 1, -1, -1, dtype=np.int32)
        place = store.n_species - n
        top = -np.sort(-np.partition(keys, place, axis=1)[:, place:], axis=1)
        stop = start + len(top)
        ids[start:stop] = store.n_species - 1 - top % store.n_species
        best[start:stop] = top // store.n_species
        start = stop
    return ids, decode(best).astype(np.float64)
