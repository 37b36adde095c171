"""From a configuration to a trained model, its tables, and a whole atlas."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sdm_core import config as paths
from sdm_core.errors import CheckpointMismatchError, ConfigurationError
from sdm_core.evaluation import Evaluation, fit_calibration, write_card
from sdm_core.models import load_model, save_model
from sdm_core.pipeline.atlas import build_atlas_from, read_tables, study_cells
from sdm_core.pipeline.cards import compose_card
from sdm_core.pipeline.configuration import (
    AtlasConfig,
    EvaluationConfig,
    ModelConfig,
    OccurrencesConfig,
    PackConfig,
    PredictionConfig,
    SourceConfig,
    load_config,
    load_run,
)
from sdm_core.pipeline.data import TrainingData
from sdm_core.pipeline.fitting import (
    calibration_logits,
    evaluate_models,
    fit_models,
    shipped_name,
    shipped_view,
)
from sdm_core.pipeline.packs import PreparedPack, prepare_pack
from sdm_core.pipeline.preparation import Prepared, prepare, read_occurrences
from sdm_core.training import is_first_process
from sdm_core.writing import check_writable

__all__ = [
    "AtlasConfig",
    "EvaluationConfig",
    "ModelConfig",
    "OccurrencesConfig",
    "PackConfig",
    "PredictionConfig",
    "Prepared",
    "PreparedPack",
    "SourceConfig",
    "TrainingData",
    "build_atlas",
    "evaluate",
    "load_config",
    "load_run",
    "prepare",
    "prepare_pack",
    "prepare_run",
    "read_occurrences",
    "train",
]

logger = logging.getLogger(__name__)


def prepare_run(config: AtlasConfig | PackConfig) -> TrainingData:
    """What a configuration trains on; raises as `prepare` and `prepare_pack`."""
    return prepare_pack(config) if isinstance(config, PackConfig) else prepare(config)


def train(
    config: AtlasConfig | PackConfig,
    *,
    out: Path | None = None,
    resume: bool = False,
    device: str = "auto",
    prepared: TrainingData | None = None,
) -> Path:
    """Train the shipped model on all sites and calibrate it on held-out blocks; gives its folder.

    The folder (by default `cache/models/NAME`) holds `model.safetensors` and `model.json`, the calibration
    among the weights. With `resume`, a run that was stopped goes on and a finished one is kept. Started by
    torchrun, the processes share every batch of every network, and the first of them writes.
    Raises subclasses of `FlorascopeError` for data or settings that cannot be trained on.
    """
    check_writable(out or paths.CACHE_DIR / "models" / config.name)
    data = prepared or prepare_run(config)
    folder = out or paths.CACHE_DIR / "models" / config.name
    if resume and _is_finished(folder, config, data):
        return folder
    logits, split = calibration_logits(data, device)
    settings = config.evaluation
    calibration = fit_calibration(
        logits[split.tested], data.presence[split.tested], settings.shrinkage, settings.calibration
    )
    model = fit_models(
        config.members,
        data,
        shipped_view(data, data.inputs),
        data.presence,
        np.arange(data.n_sites),
        folder=folder / "runs",
        resume=resume,
        device=device,
    )
    notes = {
        "configuration": config.to_dict(),
        "data_fingerprint": data.fingerprint,
        "feature_specification": config.features.to_dict() if isinstance(config, AtlasConfig) else None,
        "calibration": (
            f"{settings.calibration.replace('_', ' ').capitalize()} on held-out {split.name}, drawn to a "
            f"common map with strength {settings.shrinkage:g}"
        ),
    }
    if not is_first_process():
        return folder
    return save_model(model, folder, calibration.arrays(), notes, config.weights_precision)


def evaluate(
    config: AtlasConfig | PackConfig,
    only: Sequence[str] | None = None,
    blocks_deg: Sequence[float] | None = None,
    device: str = "auto",
    card: Path | None = None,
) -> Evaluation:
    """Cross-validation tables of the shipped model and the baselines.

    `card` is a folder that receives the model card of the run, the baselines beside the model.
    `only` keeps the models of these names ("shipped" for the shipped one), `blocks_deg` these block sizes.
    Held-out logits are kept in the cache, so parts may be made side by side and the whole table after them.
    Raises `ConfigurationError` naming a model or block size that is not in the configuration.
    """
    sides = [split.side_deg for split in config.evaluation.all_splits if split.kind == "square"]
    absent = [block for block in blocks_deg or () if block not in sides]
    if absent:
        raise ConfigurationError(
            f"{config.name} has no blocks of {absent[0]:g}°; there are "
            f"{', '.join(f'{side:g}°' for side in sides) or 'none'}."
        )
    if blocks_deg:
        settings = replace(config.evaluation, blocks_deg=tuple(blocks_deg), splits=())
        config = replace(config, evaluation=settings)
    names = {"shipped": shipped_name(config), **{b.name: b.name for b in config.baselines}}
    unknown = [name for name in only or () if name not in names and name not in names.values()]
    if unknown:
        raise ConfigurationError(
            f"No model is called {unknown[0]!r} in {config.name}; there are {', '.join(names)}."
        )
    chosen = None if only is None else [names.get(name, name) for name in only]
    if card is not None:
        check_writable(card)
    data = prepare_run(config)
    evaluation = evaluate_models(data, chosen, device)
    if card is not None and is_first_process():
        write_card(card, compose_card(data, evaluation.to_dict()))
    return evaluation


def build_atlas(
    config: AtlasConfig,
    *,
    out: Path | None = None,
    evaluation: Path | None = None,
    device: str = "auto",
) -> Path:
    """Build a whole atlas folder: model, predictions of every cell, species, record density, card, manifest.

    `evaluation` is a file written by `evaluate`; without one the tables are made (or taken from the cache).
    A model that is already trained on exactly this data and configuration is used as it is.
    """
    tables = None if evaluation is None else read_tables(evaluation, config.name)
    data = prepare(config)
    study_cells(config)  # says what is wrong with its places or bounds before the hours of training
    checkpoint = train(config, resume=True, device=device, prepared=data)
    if tables is None:
        tables = evaluate_models(data, None, device).to_dict()
    folder = out or paths.ASSETS_DIR / "atlases" / config.name
    held_out, split = calibration_logits(data, device)
    return build_atlas_from(data, checkpoint, folder, held_out, tables, split)


def _is_finished(folder: Path, config: AtlasConfig | PackConfig, data: TrainingData) -> bool:
    """Whether the folder holds the model of exactly this configuration and data."""
    import json

    try:
        notes = load_model(folder, data.species, data.covariate_names).metadata["notes"]
    except CheckpointMismatchError:
        return False
    wanted = json.loads(json.dumps(config.to_dict(), default=list))
    finished = notes.get("configuration") == wanted and notes.get("data_fingerprint") == data.fingerprint
    if finished:
        logger.info("%s holds this model already", folder)
    return finished
