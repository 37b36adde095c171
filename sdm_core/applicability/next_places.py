"""Where to look next: cells whose flora is most uncertain and least recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdm_core.indicators import StoreLike
from sdm_core.prediction.information import (
    DEFINITION,
    effort_density,
    expected_information,
    open_questions,
)
from sdm_core.prediction.points import APPLICABILITY_LAYER
from sdm_core.regions import cell_resolutions, cells_to_parents, cells_to_strings


@dataclass(frozen=True)
class NextCell:
    """One cell worth a visit.

    cell: H3 name. information: 0 to 100. open_species: Σ p (1 - p), in species. records_per_100_km2: around
    it, NaN where not known. inside: whether the model applies there, None where not known. likely: species
    never recorded in the coarse cell around it, the most probable first, with their probabilities.
    """

    cell: str
    longitude: float
    latitude: float
    information: float
    open_species: float
    records_per_100_km2: float
    inside: bool | None
    likely: tuple[tuple[str, float], ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "cell": self.cell,
            "longitude": round(self.longitude, 5),
            "latitude": round(self.latitude, 5),
            "information": round(self.information, 4),
            "open_species": round(self.open_species, 4),
            "records_per_100_km2": _or_none(self.records_per_100_km2),
            "inside_area_of_applicability": self.inside,
            "likely_unrecorded": [{"species": name, "probability": round(p, 4)} for name, p in self.likely],
        }


@dataclass(frozen=True)
class NextPlaces:
    """Where to look in a region, and for what; cells and species the most promising first.

    unrecorded: species predicted in the region and never recorded in or near it, with the probability of
    their best cell.
    """

    cells: tuple[NextCell, ...]
    unrecorded: tuple[tuple[str, float], ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "definition": DEFINITION,
            "cells": [cell.to_dict() for cell in self.cells],
            "unrecorded": [{"species": name, "probability": round(p, 4)} for name, p in self.unrecorded],
        }


def next_places(
    store: StoreLike,
    rows: NDArray[np.int64],
    species_table: Any = None,
    n_cells: int = 10,
    n_species: int = 15,
    n_likely: int = 4,
) -> NextPlaces:
    """The cells of a region with the highest expected information, and likely unrecorded species.

    species_table: of `RegionSummary`, for the species of the whole region. A coarse cell (as records are
    counted) is named at most once, by its best cell, so that the list does not name ten neighbours.
    """
    chosen = np.asarray(rows, dtype=np.int64)
    information = expected_information(store, chosen)
    best = _best_of_each_neighbourhood(store, chosen, information)[:n_cells]
    picked = chosen[best]
    density, questions = effort_density(store, picked), open_questions(store, picked)
    inside = _inside(store, picked)
    likely = _likely(store, picked, n_likely)
    names = cells_to_strings(np.asarray(store.cells)[picked])
    cells = tuple(
        NextCell(
            names[number],
            float(store.lonlat[row, 0]),
            float(store.lonlat[row, 1]),
            float(information[best[number]]),
            float(questions[number]),
            float(density[number]),
            None if inside is None else bool(inside[number]),
            likely[number],
        )
        for number, row in enumerate(picked.tolist())
    )
    return NextPlaces(cells, _unrecorded(species_table, n_species))


def _best_of_each_neighbourhood(
    store: StoreLike, rows: NDArray[np.int64], information: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Places in `rows`, highest information first, one of each coarse cell."""
    order = np.argsort(-information, kind="stable")
    parents = cells_to_parents(np.asarray(store.cells)[rows[order]], min(5, store.resolution))
    _, first = np.unique(parents, return_index=True)
    return np.asarray(order[np.sort(first)])


def _likely(store: StoreLike, rows: NDArray[np.int64], n_species: int) -> list[tuple[tuple[str, float], ...]]:
    """Of each cell, the most probable species without a record in the coarse cell around it."""
    by_species = getattr(store, "observed_by_species", None)
    names = store.species["species"].astype(str).to_numpy()
    if by_species is None or not len(by_species) or not len(rows):
        return [() for _ in rows]
    recorded = by_species["cell"].to_numpy(np.uint64)
    parents = cells_to_parents(np.asarray(store.cells)[rows], int(cell_resolutions(recorded[:1])[0]))
    found = []
    for row, parent in zip(rows, parents, strict=True):
        p = np.array(store.probabilities(np.array([row]))[0], dtype=np.float64)
        p[by_species.loc[recorded == parent, "species_id"].to_numpy(np.int64)] = -1.0
        order = np.argsort(-p, kind="stable")[:n_species]
        found.append(tuple((str(names[column]), float(p[column])) for column in order if p[column] > 0))
    return found


def _unrecorded(table: Any, n_species: int) -> tuple[tuple[str, float], ...]:
    """Species of a region's sets without records in or near it, by the probability of their best cell."""
    if table is None or "records_nearby" not in table:
        return ()
    absent = table[table["present"].astype(bool) & (table["records_nearby"] == 0)]
    top = absent.sort_values("max_probability", ascending=False, kind="stable").head(n_species)
    return tuple(
        (str(name), float(p)) for name, p in zip(top["species"], top["max_probability"], strict=True)
    )


def _inside(store: StoreLike, rows: NDArray[np.int64]) -> NDArray[np.bool_] | None:
    if APPLICABILITY_LAYER not in getattr(store, "layer_names", ()):
        return None
    return np.asarray(store.layer(APPLICABILITY_LAYER)[rows]) > 0


def _or_none(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None
