"""The simulated atlas with layers of trust and held-out surveys beside it, and a Red List for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from sdm_core.intervals import ErrorModel
from sdm_core.prediction import PredictionStore
from sdm_core.prediction.cell_layers import CellLayer, cell_layers
from sdm_core.prediction.files import HELD_OUT_FILE, TRUST_FILE
from sdm_core.prediction.held_out import HeldOutSurveys
from tests.make_store import write_simulated_atlas

PREDICTORS = ("bio1", "bio12", "bio19", "slope", "mystery")
ERRORS = ErrorModel((0.1, 1.0), (0.4, 0.2), (0.1, 0.05), 0.12, 100, 20)
RED_LIST = b"""taxon,list,category,region,source,date,licence,completed
Taxus baccata,Red List,CR,Here,Invented,2020,CC0,
Abies alba,Red List,VU,Here,Invented,2020,CC0,
Fagus sylvatica,Red List,LC,Here,Invented,2020,CC0,
"""


def write_trusted_atlas(folder: Path, name: str) -> Path:
    """Write the atlas into a folder; gives the folder."""
    folder = add_trust_layers(write_simulated_atlas(folder, name))
    store = PredictionStore.open(folder)
    (folder / HELD_OUT_FILE).write_bytes(_held_out(store.n_species).to_bytes(store.species["species"]))
    return folder


def add_trust_layers(folder: Path) -> Path:
    """Write layers of trust beside an atlas: its east lies inside the area of applicability."""
    store = PredictionStore.open(folder)
    east = store.lonlat[:, 0] - np.median(store.lonlat[:, 0])
    values = {
        "applicability": (east > 0).astype(float),
        "dissimilarity": 0.4 - 0.2 * east,
        "mess": np.clip(60 * east, -100, 40),
        "spread": 0.1 + 0.05 * np.abs(east),
        "mess_variable": np.arange(store.n_cells) % len(PREDICTORS),
    }
    layers = {
        "applicability": CellLayer(scale="number"),
        "dissimilarity": CellLayer(),
        "mess": CellLayer(-100.0, 100.0),
        "spread": CellLayer(),
        "mess_variable": CellLayer(scale="number", names=PREDICTORS),
    }
    (folder / TRUST_FILE).write_bytes(cell_layers(store.cells, values, layers).to_bytes())
    return folder


def _held_out(n_species: int) -> HeldOutSurveys:
    """Surveys that give the error model of `ERRORS` and nothing of note otherwise."""
    table = pd.DataFrame(
        {
            "n_presences": np.full(n_species, 30, dtype=np.int32),
            "threshold_tss": np.full(n_species, 0.4, dtype=np.float32),
            "presence_limit": np.full(n_species, 0.9, dtype=np.float32),
            "absence_limit": np.full(n_species, 0.5, dtype=np.float32),
            "conformal_shared": np.zeros(n_species, dtype=bool),
        }
    )
    notes = {
        "n_sites": 100,
        "split": "square blocks",
        "error_rate": 0.1,
        "conformal": {"error_rate": 0.1, "kind": "per class"},
        "common_thresholds": {"tss": 0.4},
        "richness_half_width": 3.0,
        "error_model": ERRORS.to_dict(),
    }
    return HeldOutSurveys(table, notes)
