"""An atlas folder of tiles: what lies beside the predictions, and how tiles are predicted anew."""

from __future__ import annotations

import datetime
import json
import logging
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from sdm_core import config as paths
from sdm_core import regions, taxa
from sdm_core.applicability import REFERENCE_FILE
from sdm_core.errors import (
    CheckpointMismatchError,
    ConfigurationError,
    CovariateError,
    OccurrenceError,
    StoreMismatchError,
    UnknownSpeciesError,
)
from sdm_core.models.checkpoint import METADATA_NAME, WEIGHTS_NAME
from sdm_core.pipeline.configuration import AtlasConfig, load_config
from sdm_core.pipeline.model_folder import read_metadata
from sdm_core.pipeline.predictor import REGION_FILE, ModelPredictor, ModelSpec
from sdm_core.pipeline.preparation import data_path, read_occurrences
from sdm_core.prediction import CARD_FILE, TILES_FOLDER, TileStore, observation_densities
from sdm_core.prediction.files import HELD_OUT_FILE, OBSERVED_FILE, OBSERVED_SPECIES_FILE, SPECIES_FILE
from sdm_core.prediction.objects import ObjectFolder
from sdm_core.prediction.tiling import predictor_of, run_tiling
from sdm_core.prediction.write import write_side_files
from sdm_core.registry import atlas_folder, list_atlases

logger = logging.getLogger(__name__)

_OBSERVED = (OBSERVED_FILE, OBSERVED_SPECIES_FILE)
_CONFIG_SUFFIX = ".toml"
#: How the sentence about the size of cells begins, on the card of a tiled atlas.
_FINER = "Cells are of"


@dataclass(frozen=True)
class ModelSource:
    """Where a model lies, and what is known of its species beside it."""

    folder: Path
    #: Species table, where it is not that of the folder.
    species: pd.DataFrame | None = None
    #: Files by name: record densities, and what held-out surveys say.
    beside: Mapping[str, bytes] = field(default_factory=dict)


def find_model(text: str, checkpoint: Path | None = None) -> ModelSource:
    """The model a user means: an atlas by name or folder, a checkpoint folder, or a configuration's model.

    A configuration also gives the species table and the densities of records, where its occurrences are
    there; nothing else of them is read. `checkpoint` is the folder of a configuration's model, by default
    where `train` puts it.
    Raises `ConfigurationError` for a configuration that cannot be read, `CheckpointMismatchError` when
    nothing of that name holds a model.
    """
    if text.endswith(_CONFIG_SUFFIX):
        config = load_config(Path(text))
        folder = checkpoint or paths.CACHE_DIR / "models" / config.name
        return _source_of_config(config, folder)
    if checkpoint is not None:
        raise ConfigurationError("--checkpoint goes with a CONFIG.toml; give the folder as --model instead.")
    folder = Path(text)
    if text in list_atlases():
        folder = atlas_folder(text)
    elif not (text and (folder / METADATA_NAME).is_file()):
        raise CheckpointMismatchError(
            f"No model is called {text!r}, and no folder of that name holds {METADATA_NAME}; give an atlas "
            f"({', '.join(list_atlases()) or 'none is installed'}), the folder of a checkpoint, or a "
            "CONFIG.toml whose model is trained."
        )
    known = (*_OBSERVED, HELD_OUT_FILE)
    found = {name: (folder / name).read_bytes() for name in known if (folder / name).is_file()}
    return ModelSource(folder, None, found)


def _source_of_config(config: AtlasConfig, folder: Path) -> ModelSource:
    """Model, species and record densities of a configuration."""
    species = [str(name) for name in read_metadata(folder).get("species") or ()]
    try:
        occurrences = read_occurrences(config.occurrences, config.path)
        table = taxa.species_table(
            occurrences,
            species=species,
            gbif_names=data_path(config.species.gbif_names) if config.species.gbif_names else None,
            policy_folder=data_path(config.species.policy_folder) if config.species.policy_folder else None,
        )
    except (OccurrenceError, UnknownSpeciesError) as error:
        logger.warning("the species table holds names alone: %s", error)
        return ModelSource(folder)
    with tempfile.TemporaryDirectory(prefix="florascope-") as scratch:
        files = write_side_files(Path(scratch), table, *observation_densities(occurrences.table, species))
        observed = {path.name: path.read_bytes() for path in files if path.name in _OBSERVED}
    return ModelSource(folder, table, observed)


def write_beside(
    place: ObjectFolder, source: ModelSource, predictor: ModelPredictor, store: TileStore, command: str
) -> None:
    """Write what an atlas folder holds beside its tiles: model, region, species, record densities, card.

    Raises `NotWritableError`.
    """
    for name in (WEIGHTS_NAME, METADATA_NAME):
        place.put(name, (source.folder / name).read_bytes())
    if predictor.reference is not None:
        place.put(REFERENCE_FILE, (source.folder / REFERENCE_FILE).read_bytes())
    if predictor.spec.region is not None:
        place.put(REGION_FILE, predictor.spec.region)
    for name, content in source.beside.items():
        place.put(name, content)
        store.folder.put(name, content)
    place.put(SPECIES_FILE, store.grid.species_csv)
    card = _card(source, predictor, store, command)
    text = json.dumps(card, indent=2, ensure_ascii=False, default=str) + "\n"
    place.put(CARD_FILE, text.encode())


def _card(source: ModelSource, predictor: ModelPredictor, store: TileStore, command: str) -> dict[str, Any]:
    """The card of the model these tiles come from, with what tiling adds to it."""
    path = source.folder / CARD_FILE
    card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if not card:
        configuration = predictor.notes["configuration"]
        card = {
            "summary": configuration.get("summary") or "Not said in the configuration.",
            "draft": True,
            "grain": configuration.get("grain", ""),
            "data": list(configuration.get("sources") or ()),
            "covariates": list(configuration.get("covariate_sources") or ()),
            "model": configuration.get("description", ""),
            "limits": [
                *(configuration.get("limits") or ()),
                "This folder carries no evaluation of its model.",
            ],
        }
    grid, counts = store.grid, store.cell_counts()
    grain = card.get("grain") or "the grain of its training sites"
    area_km2 = float(regions.cell_area_km2(grid.tiles).mean()) / grid.rows_per_tile
    limits = [text for text in card.get("limits") or () if not text.startswith(_FINER)]
    return {
        **card,
        "name": grid.name,
        "title": grid.title,
        "n_species": grid.n_species,
        "n_cells": sum(counts.values()),
        "resolution": grid.resolution,
        "store_version": store.version,
        "command": command,
        "limits": [
            *limits,
            f"{_FINER} H3 resolution {grid.resolution} (about {area_km2:.2g} km²), but the model was trained "
            f"and evaluated on {grain}. How good it is at this cell size has not been evaluated.",
        ],
        "tiling": {
            "source": predictor.name,
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "code_version": paths.CODE_VERSION,
            "tile_resolution": grid.tile_resolution,
            "n_tiles": len(counts),
            "inputs": grid.inputs,
        },
    }


def recomputation(folder: Path) -> Callable[[list[int]], None]:
    """What predicts tiles of an atlas folder anew, from the model beside them; for healing.

    Tiles of other inputs than those of the model and covariates at hand are left as they are, with a warning.
    Raises, when it is called, what `run_tiling` raises.
    """

    def recompute(tiles: list[int]) -> None:
        spec, store = ModelSpec.of_folder(folder), TileStore.open(folder / TILES_FOLDER)
        try:
            predictor_of(spec).check(store.grid.inputs)
        except (StoreMismatchError, CheckpointMismatchError, CovariateError) as error:
            logger.warning("%d tiles cannot be predicted again: %s", len(tiles), error)
            return
        run_tiling(spec, store, tiles=tiles)

    return recompute
