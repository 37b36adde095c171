"""A trained model to an atlas folder: probabilities of every cell, species, densities, card, manifest."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sdm_core import taxa
from sdm_core.errors import ConfigurationError, NoDataInRegionError
from sdm_core.evaluation import ranking_scores, write_card
from sdm_core.evaluation.splits import Split
from sdm_core.models import load_model
from sdm_core.pipeline.cards import compose_card, path_as_named
from sdm_core.pipeline.cell_inputs import CellInputs
from sdm_core.pipeline.configuration import AtlasConfig
from sdm_core.pipeline.held_out import of_training_data, put_held_out
from sdm_core.pipeline.predictor import ModelPredictor, ModelSpec
from sdm_core.pipeline.preparation import Prepared, data_path
from sdm_core.pipeline.trust import write_trust
from sdm_core.prediction import observation_densities, write_atlas
from sdm_core.prediction.tiling import tiles_of_area

logger = logging.getLogger(__name__)

#: Cells predicted between two steps of the progress bar.
_CHUNK = 8192
#: Steps from a cell to the tile whose cells are looked for together.
_STEPS_UP = 5


def study_cells(config: AtlasConfig) -> np.ndarray:
    """H3 cells of an atlas, uint64 ascending, all with features.

    Inside the configuration's places, or without places wherever the cell's centre lies on a covariate cell
    with data; in both cases within its bounds.
    Raises `NoDataInRegionError` when nothing is left.
    """
    resolution = config.prediction.resolution
    inputs = CellInputs.of_config(config)
    tiles = tiles_of_area(inputs.area, resolution, max(0, resolution - _STEPS_UP))
    cells = np.concatenate([inputs.cells_of_tile(tile, resolution) for tile in tiles.tolist()])
    if not len(cells):
        raise NoDataInRegionError(
            f"No H3 cell of resolution {resolution} has covariates in the study area of {config.name}; check "
            "its bounds and places."
        )
    return np.sort(cells)


def predict_cells(predictor: ModelPredictor, cells: np.ndarray) -> Iterator[np.ndarray]:
    """Codes (n, n_species) of consecutive cells, a chunk at a time."""
    from tqdm import tqdm

    with tqdm(total=len(cells), desc="predicting", unit="cell", disable=None) as bar:
        for start in range(0, len(cells), _CHUNK):
            part = cells[start : start + _CHUNK]
            yield predictor.predict(part)
            bar.update(len(part))


def build_atlas_from(
    prepared: Prepared,
    checkpoint_folder: Path,
    folder: Path,
    held_out: np.ndarray,
    tables: Mapping[str, Any],
    split: Split | None = None,
) -> Path:
    """Fill an atlas folder from a checkpoint and the tables of an evaluation.

    held_out: logits (n_sites, n_species) of held-out blocks; the species table ships AUC and average
    precision of every species from them. With the `split` that held them out, `held_out.parquet` keeps what
    these surveys say of every species, and the card what intervals and conformal sets keep of their promise.
    """
    config = prepared.config
    checkpoint = load_model(checkpoint_folder, prepared.species, prepared.features.names)
    predictor = ModelSpec(str(checkpoint_folder)).load()
    cells = study_cells(config)
    species = taxa.species_table(
        prepared.occurrences,
        species=prepared.species,
        gbif_names=data_path(config.species.gbif_names) if config.species.gbif_names else None,
        policy_folder=data_path(config.species.policy_folder) if config.species.policy_folder else None,
    )
    scores = ranking_scores(prepared.presence, held_out)
    species = species.assign(auc=scores.auc.round(4), average_precision=scores.average_precision.round(4))
    surveys = None if split is None else of_training_data(prepared, held_out, split)
    observed, observed_species = observation_densities(prepared.occurrences.table, prepared.species)
    card = {
        **compose_card(prepared, tables),
        "n_cells": len(cells),
        "resolution": config.prediction.resolution,
        "command": f"python -m sdm_core atlas {path_as_named(config)}",
    }
    write_atlas(
        folder,
        config.name,
        config.title,
        config.prediction.resolution,
        cells,
        predict_cells(predictor, cells),
        species,
        observed=observed,
        observed_species=observed_species,
        card=card,
        inputs={
            "weights_sha256": checkpoint.metadata["weights_sha256"],
            "features": config.features.to_dict(),
            "data_fingerprint": prepared.fingerprint,
        },
    )
    for name in ("model.safetensors", "model.json"):
        shutil.copyfile(checkpoint_folder / name, folder / name)
    written = json.loads((folder / "model_card.json").read_text(encoding="utf-8"))
    write_card(folder, written)
    if surveys is not None:
        put_held_out(folder, prepared.species, surveys)
    # and the manifest of all files
    write_trust(folder, prepared, held_out=[] if split is None else [(held_out, split)])
    return folder


def read_tables(path: Path, name: str) -> dict[str, Any]:
    """Tables of the atlas `name` written by `evaluate --json`.

    Raises `ConfigurationError` when the file holds none, or those of another atlas.
    """
    try:
        tables = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ConfigurationError(f"{path} holds no tables written by `evaluate --json` ({error}).") from error
    if tables.get("name") != name:
        raise ConfigurationError(
            f"The tables in {path} are of {tables.get('name')!r}, not of {name!r}; evaluate it first."
        )
    return tables
