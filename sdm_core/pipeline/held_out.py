"""What held-out surveys say of an atlas, for the file beside it: thresholds, limits, widths, coverage."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd

from sdm_core import assemblages, intervals
from sdm_core.assemblages.species_thresholds import Criterion
from sdm_core.errors import CheckpointMismatchError, ConfigurationError
from sdm_core.evaluation import CalibrationMethod, Labels, cross_fit, sigmoid
from sdm_core.evaluation.card import CARD_JSON, add_coverage
from sdm_core.evaluation.splits import Split
from sdm_core.intervals.latent import ErrorModelError
from sdm_core.pipeline.configuration import SplitConfig
from sdm_core.pipeline.coverage import ERROR_RATE, coverage_on_held_out, measurable, with_intervals
from sdm_core.pipeline.data import TrainingData
from sdm_core.pipeline.fitting import calibration_logits
from sdm_core.pipeline.model_folder import read_metadata
from sdm_core.pipeline.preparation import Prepared
from sdm_core.prediction import write_manifest
from sdm_core.prediction.files import HELD_OUT_FILE, SPECIES_FILE, read_species_table
from sdm_core.prediction.held_out import HeldOutSurveys, read_held_out
from sdm_core.writing import write_whole

logger = logging.getLogger(__name__)

#: Side in degrees of the blocks that coverage is averaged over where sites were not held out in squares.
_BLOCK_DEG = 2.0


def held_out_surveys(
    logits: np.ndarray,
    presence: Labels,
    split: Split,
    lonlat: np.ndarray,
    *,
    block_deg: float = _BLOCK_DEG,
    shrinkage: float = 10.0,
    calibration: CalibrationMethod = "platt",
) -> HeldOutSurveys | None:
    """Thresholds, conformal limits and widths of every species from held-out logits, and their coverage.

    Probabilities are calibrated fold by fold on the other folds (`evaluation.cross_fit`), so that none has
    seen its own site; limits and thresholds then come from all tested sites together. What they keep is
    measured on folds that had no part in them (`coverage_on_held_out`).

    Args:
        logits: (n_sites, n_species) by models that had not seen the site; NaN where never tested.
        presence: (n_sites, n_species) 1 recorded, 0 not.
        split: what was held out.
        lonlat: (n_sites, 2) degrees.
        block_deg: side of the squares that are taken as blocks.
        shrinkage: of the calibration.
        calibration: its method.

    Returns:
        None with fewer than three folds, unknown labels or no presence, where nothing can be promised.
    """
    labels = presence.toarray() if hasattr(presence, "toarray") else np.asarray(presence)
    known = labels[split.tested] > 0
    if not measurable(labels, split) or not known.any():
        return None
    crossed = cross_fit(logits, labels, split.folds, shrinkage, calibration)
    p = sigmoid(crossed[split.tested])
    cuts = {name: assemblages.species_thresholds(p, known, name) for name in get_args(Criterion)}
    limits = assemblages.calibrate_conformal(p, known, ERROR_RATE, groups=assemblages.rarity_groups(known))
    species = pd.DataFrame(
        {
            "n_presences": np.count_nonzero(known, axis=0).astype(np.int32),
            **{f"threshold_{name}": found.threshold.astype(np.float32) for name, found in cuts.items()},
            "presence_limit": limits.presence_limit.astype(np.float32),
            "absence_limit": limits.absence_limit.astype(np.float32),
            "conformal_shared": limits.pooled,
        }
    )
    coverage = coverage_on_held_out(logits, labels, split, shrinkage, calibration, lonlat, block_deg)
    if coverage is not None:
        held = intervals.coverage_on_blocks(
            p, known, lonlat[split.tested], split.folds[split.tested], block_deg
        )
        coverage = with_intervals(coverage, held)
    certain_from = assemblages.calibrate_certain(p, known, ERROR_RATE)
    width = assemblages.calibrate_richness(p, known, ERROR_RATE)
    notes: dict[str, Any] = {
        "n_sites": len(p),
        "split": split.name,
        "block_deg": block_deg,
        "error_rate": ERROR_RATE,
        "conformal": {"error_rate": limits.error_rate, "kind": limits.kind},
        "certain_from": certain_from if math.isfinite(certain_from) else None,
        "common_thresholds": {name: round(found.common, 6) for name, found in cuts.items()},
        "richness_half_width": width if math.isfinite(width) else None,
        "error_model": _error_model(p, known, lonlat[split.tested], block_deg),
        "coverage": coverage,
    }
    return HeldOutSurveys(species, notes)


def _error_model(p: np.ndarray, known: np.ndarray, lonlat: np.ndarray, block_deg: float) -> Any:
    """How errors hang together on held-out sites, JSON-ready; None where there are too few sites to tell."""
    try:
        return intervals.fit_error_model(p, known, lonlat, block_deg).to_dict()
    except ErrorModelError as error:
        logger.warning("intervals of indicators rest on independent species: %s", error)
        return None


def of_training_data(data: TrainingData, logits: np.ndarray, split: Split) -> HeldOutSurveys | None:
    """`held_out_surveys` with the settings of a configuration."""
    settings = data.config.evaluation
    return held_out_surveys(
        logits,
        data.presence,
        split,
        data.lonlat,
        block_deg=_side_of_blocks(settings.all_splits[0]),
        shrinkage=settings.shrinkage,
        calibration=settings.calibration,
    )


def _side_of_blocks(split: SplitConfig) -> float:
    return split.side_deg if split.kind == "square" else _BLOCK_DEG


def write_held_out(folder: Path, prepared: Prepared, device: str = "auto") -> HeldOutSurveys:
    """Write `held_out.parquet` into an atlas folder, its coverage on the card, and the manifest anew.

    prepared: the data its model was trained on. The first split is cross-validated where its held-out logits
    are not in the cache. Nothing else in the folder, and nothing else on the card, changes.
    Raises `CheckpointMismatchError` when these are not the sites or species of the model,
    `ConfigurationError` when nothing can be promised of them.
    """
    _check_same(folder, prepared)
    logits, split = calibration_logits(prepared, device)
    found = of_training_data(prepared, logits, split)
    if found is None:
        raise ConfigurationError(
            f"{prepared.config.path or prepared.config.name} holds sites out in {split.n_folds} folds "
            f"({split.name}), and coverage is measured on three or more with presences and without unknown "
            "labels; raise n_folds."
        )
    return put_held_out(folder, prepared.species, found)


def put_held_out(folder: Path, species: tuple[str, ...], found: HeldOutSurveys) -> HeldOutSurveys:
    """Put the file, the section of the card and the manifest into an atlas folder; gives what was written."""
    write_whole(folder / HELD_OUT_FILE, found.to_bytes(species))
    if (folder / CARD_JSON).is_file():
        add_coverage(folder, found.notes["coverage"])
    write_manifest(folder)
    return read_held_out(folder / HELD_OUT_FILE, species)


def _check_same(folder: Path, prepared: Prepared) -> None:
    """Refuse data that an atlas was not made of."""
    notes = read_metadata(folder).get("notes") or {}
    named = prepared.config.path or prepared.config.name
    if notes.get("data_fingerprint") != prepared.fingerprint:
        raise CheckpointMismatchError(
            f"The model at {folder} was trained on other sites or covariates than those of {named}; train it "
            "again or give the data it was made of."
        )
    table = read_species_table(folder / SPECIES_FILE)
    if list(table["species"]) != list(prepared.species):
        raise CheckpointMismatchError(
            f"The atlas at {folder} has {len(table)} species, not the {len(prepared.species)} of {named} in "
            "their order; give the configuration it was made of."
        )
