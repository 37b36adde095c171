"""How far the predictions of a model are to be trusted, cell by cell: the files beside an atlas.

`applicability.npz` holds what the model has seen (it judges any cell without the occurrences), and
`trust.parquet` one byte per cell and layer for the cells of the atlas.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sdm_core import config as paths
from sdm_core.applicability import (
    EQUAL,
    REFERENCE_FILE,
    ApplicabilityReference,
    ensemble_spread,
)
from sdm_core.applicability.importance import Importance
from sdm_core.errors import CheckpointMismatchError, ConfigurationError
from sdm_core.evaluation import Calibration, Split
from sdm_core.models import Ensemble, SiteInputs, SpeciesModel
from sdm_core.pipeline.configuration import AtlasConfig, load_config
from sdm_core.pipeline.experience import predictor_columns, predictor_names, trust_values
from sdm_core.pipeline.model_folder import read_metadata
from sdm_core.pipeline.predictor import ModelPredictor, ModelSpec
from sdm_core.pipeline.preparation import Prepared
from sdm_core.pipeline.reliance import held_out_check, importance_of
from sdm_core.pipeline.splits import make_split
from sdm_core.pipeline.tables import parse_table
from sdm_core.prediction import PredictionStore, write_manifest
from sdm_core.prediction.cell_layers import CellLayer, CellLayers, cell_layers
from sdm_core.prediction.files import TRUST_FILE
from sdm_core.writing import write_whole

logger = logging.getLogger(__name__)

#: How predictors may weigh in the dissimilarity index.
Weights = Literal["equal", "importance"]
#: Cells on which the error of the small file is measured.
_ROUNDING_CELLS = 5000
#: MESS below it is kept as it.
_LOWEST_MESS = -100.0
#: Steps that values are kept in, as coarse as a map can bear: the file ships with its atlas.
_DI_STEPS, _MESS_STEPS, _SPREAD_STEPS = 32, 50, 16


def write_trust(
    folder: Path,
    prepared: Prepared,
    predictor: ModelPredictor | None = None,
    held_out: Sequence[tuple[np.ndarray, Split]] = (),
    weights: Weights = "equal",
) -> Path:
    """Write `applicability.npz` and `trust.parquet` into an atlas folder, and its manifest anew.

    By default all predictors weigh the same. Meyer & Pebesma 2021 weigh them by importance; for the atlas of
    European trees that told good predictions from bad less well where whole countries were held out (rank
    correlation of the index with log loss 0.15 against 0.18, with F1 -0.28 against -0.31), and no better on
    blocks. The notes hold the same comparison for any atlas whose held-out predictions are given.

    Args:
        folder: the atlas.
        prepared: the training sites of its model.
        predictor: the model, by default that of the folder.
        held_out: logits of held-out sites and what was held out, of one split or several; with them the
            notes say how wrong predictions are inside and outside the area of applicability, with equal
            weights and with weights by importance. The last is the one that pages and reports tell.
        weights: "equal", or "importance" of the predictors for the model.

    Raises `ApplicabilityError` where there are too few sites.
    """
    judge = predictor or ModelSpec(str(folder)).load()
    importance = importance_of(prepared, judge)
    references: dict[Weights, ApplicabilityReference] = {
        "equal": training_reference(prepared, judge),
        "importance": training_reference(prepared, judge, importance),
    }
    references[weights].save(folder / REFERENCE_FILE)
    checks = [
        {"weights": name, **held_out_check(prepared, reference, logits, split)}
        for logits, split in held_out
        for name, reference in references.items()
    ]
    notes = {"weights": weights, "importance": importance.to_dict(), "held_out": checks}
    layers = atlas_layers(PredictionStore.open(folder), judge, references[weights], notes)
    write_whole(folder / TRUST_FILE, layers.to_bytes())
    write_manifest(folder)
    return folder / TRUST_FILE


def training_reference(
    prepared: Prepared, predictor: ModelPredictor, importance: Importance | None = None
) -> ApplicabilityReference:
    """What the model of a predictor has seen: its training sites, kept apart by the folds that judged it.

    With the importance of its predictors they are weighed by it, else all weigh the same.
    Raises `CheckpointMismatchError` when these are not the sites it was trained on.
    """
    if predictor.notes.get("data_fingerprint") != prepared.fingerprint:
        raise CheckpointMismatchError(
            f"The model at {predictor.spec.folder} was trained on other sites or covariates than those of "
            f"{prepared.config.path or prepared.config.name}; train it again or give the data it was made of."
        )
    settings = prepared.config.evaluation
    split = make_split(settings.all_splits[0], settings, prepared.lonlat, settings.seeds[0])
    columns = {name: number for number, name in enumerate(prepared.features.names)}
    names = predictor_names(predictor.checkpoint.model, prepared.features.names, prepared.stack.names)
    return ApplicabilityReference.fit(
        predictor_columns(prepared.inputs, columns, names),
        names,
        split.folds,
        weights=None if importance is None else importance.weights,
        folds_text=split.name,
        weighting=EQUAL if importance is None else importance.text,
    )


def atlas_layers(
    store: PredictionStore,
    predictor: ModelPredictor,
    reference: ApplicabilityReference,
    notes: Mapping[str, Any] | None = None,
) -> CellLayers:
    """Layers of every cell of an atlas, as `trust.parquet` holds them, by the reference as its file has it.

    notes: kept with the layers; what held-out sites say of the reference also goes into its settings.
    """
    rounded = reference.rounded()
    found = _values_of_cells(store, predictor, rounded)
    known = {name: values for name, values in found.items() if np.isfinite(values).any()}
    settings = {**rounded.settings, "rounding_error": _rounding_error(store, predictor, reference)}
    for check in (notes or {}).get("held_out", ()):
        if check["weights"] == (notes or {})["weights"]:
            settings["held_out"] = {name: check[name] for name in ("split", "inside", "outside")}
    return cell_layers(
        np.asarray(store.cells),
        known,
        {name: _layer(name, values, rounded) for name, values in known.items()},
        {**(notes or {}), "applicability": settings},
    )


def _rounding_error(
    store: PredictionStore, predictor: ModelPredictor, reference: ApplicabilityReference
) -> float:
    """Largest error of the dissimilarity index that the small file brings, over a part of the cells."""
    columns = {name: number for number, name in enumerate(predictor.covariates.feature_names)}
    lonlat = np.asarray(store.lonlat)
    if len(lonlat) > _ROUNDING_CELLS:
        lonlat = lonlat[np.random.default_rng(0).choice(len(lonlat), _ROUNDING_CELLS, replace=False)]
    parts = [
        predictor_columns(inputs, columns, reference.names)
        for _, inputs in predictor.cells.inputs(lonlat, on_data_only=False)
    ]
    return reference.rounding_error(np.concatenate(parts)) if parts else 0.0


def _values_of_cells(
    store: PredictionStore, predictor: ModelPredictor, reference: ApplicabilityReference
) -> dict[str, NDArray[np.float64]]:
    """Applicability, DI, MESS, its variable and the ensemble's spread of every cell; NaN where unknown."""
    from tqdm import tqdm

    columns = {name: number for number, name in enumerate(predictor.covariates.feature_names)}
    lonlat = np.asarray(store.lonlat)
    names = ("applicability", "dissimilarity", "mess", "mess_variable", "spread")
    found = {name: np.full(store.n_cells, np.nan) for name in names}
    with tqdm(total=store.n_cells, desc="trust", unit="cell", disable=None) as bar:
        for rows, inputs in predictor.cells.inputs(lonlat, on_data_only=False):
            predictors = predictor_columns(inputs, columns, reference.names)
            for name, values in trust_values(reference, predictors).items():
                found[name][rows] = values
            found["mess_variable"][rows] = reference.mess(predictors)[1]
            if (
                spread := member_spread(predictor.checkpoint.model, predictor.calibration, inputs)
            ) is not None:
                found["spread"][rows] = spread
            bar.update(len(rows))
    found["mess"] = _sign_kept(found["mess"])
    return found


def member_spread(
    model: SpeciesModel, calibration: Calibration, inputs: SiteInputs
) -> NDArray[np.float64] | None:
    """Spread of the members of an ensemble of logits, each calibrated as the ensemble is; None for others."""
    if not isinstance(model, Ensemble) or model.combination != "mean_logit" or len(model.members) < 2:
        return None
    return ensemble_spread(
        calibration.probabilities(member.predict_logits(inputs)) for member in model.members
    )


def _sign_kept(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values so that rounding to steps does not make a negative one zero."""
    step = (100.0 - _LOWEST_MESS) / _MESS_STEPS
    return np.where(values < 0, np.minimum(values, -step), values)


def _layer(name: str, values: NDArray[np.float64], reference: ApplicabilityReference) -> CellLayer:
    """How a layer is kept, with its unit and what it says."""
    top = float(np.nanmax(values)) or 1.0
    return {
        "applicability": CellLayer(
            scale="number",
            unit="1 or 0",
            text="1 inside the area of applicability of the model, 0 outside.",
        ),
        "dissimilarity": CellLayer(
            high=top,
            scale="square",
            steps=_DI_STEPS,
            unit="mean training distances",
            text="Dissimilarity index (Meyer & Pebesma 2021): distance to the nearest training site in the "
            "space of the predictors, by the mean distance between sites; outside above "
            f"{reference.threshold:.3f}.",
        ),
        "mess": CellLayer(
            low=_LOWEST_MESS,
            high=100.0,
            steps=_MESS_STEPS,
            unit="%",
            text="MESS (Elith et al. 2010): below 0, a predictor lies outside the range of the sites.",
        ),
        "mess_variable": CellLayer(
            scale="number", text="The predictor MESS comes from.", names=reference.names
        ),
        "spread": CellLayer(
            high=top,
            scale="square",
            steps=_SPREAD_STEPS,
            unit="share of expected richness",
            text="Standard deviation of the probabilities of the ensemble's members, summed over species, by "
            "their sum.",
        ),
    }[name]


def noted_configuration(folder: Path) -> AtlasConfig:
    """The configuration a model was trained by: the shipped one of its name, else from its own notes.

    Raises `ConfigurationError` where the notes make none; a CONFIG.toml is needed then.
    """
    notes: Mapping[str, Any] = read_metadata(folder).get("notes") or {}
    table = _without_gaps(json.loads(json.dumps(notes.get("configuration") or {})))
    shipped = paths.ASSETS_DIR / "configs" / f"{table.get('name')}.toml"
    if shipped.is_file():
        return load_config(shipped)
    if "occurrences" not in table:
        raise ConfigurationError(
            f"The model at {folder} does not note which occurrences it was trained on; give its CONFIG.toml "
            "with --config."
        )
    config: AtlasConfig = parse_table(AtlasConfig, table, f"the notes of {folder}")
    return config


def _without_gaps(value: Any) -> Any:
    """A table without keys that are not set."""
    if isinstance(value, dict):
        return {key: _without_gaps(part) for key, part in value.items() if part is not None}
    return [_without_gaps(part) for part in value] if isinstance(value, list) else value
