"""What a shipped model relies on, and whether its area of applicability tells good predictions from bad."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from sdm_core.applicability import ApplicabilityReference
from sdm_core.applicability.held_out_errors import errors_by_dissimilarity, site_errors
from sdm_core.applicability.importance import (
    COORDINATES,
    Importance,
    PredictorColumns,
    permutation_importance,
)
from sdm_core.assemblages import sse
from sdm_core.evaluation import Split, cross_fit, sigmoid
from sdm_core.pipeline.experience import predictor_columns, predictor_names
from sdm_core.pipeline.fitting import shipped_view
from sdm_core.pipeline.predictor import ModelPredictor
from sdm_core.pipeline.preparation import Prepared
from sdm_core.pipeline.splits import block_side

#: Training sites on which predictors are shuffled, and held-out sites whose errors are compared, at most.
N_SITES, N_HELD_OUT = 2000, 20_000
#: Side of the blocks that are drawn for intervals, where the split has no squares of its own, degrees.
_BLOCK_DEG = 2.0


def importance_of(prepared: Prepared, predictor: ModelPredictor, seed: int = 0) -> Importance:
    """Permutation importance of the predictors of a shipped model, on a part of its training sites.

    The models of the folds are not kept, so the sites are those the model learned from: what is measured is
    how much it relies on a predictor, which is what the dissimilarity index needs, not how much the
    predictor helps in new places.
    """
    rows = np.arange(prepared.n_sites)
    if len(rows) > N_SITES:
        rows = np.sort(np.random.default_rng(seed).choice(len(rows), N_SITES, replace=False))
    model, calibration = predictor.checkpoint.model, predictor.calibration
    return permutation_importance(
        lambda inputs: calibration.calibrated_logits(model.predict_logits(inputs)),
        shipped_view(prepared, prepared.inputs.take(rows)),
        prepared.presence[rows],
        columns_of_predictors(prepared, predictor),
        seed=seed,
    )


def columns_of_predictors(prepared: Prepared, predictor: ModelPredictor) -> dict[str, PredictorColumns]:
    """Where the model sees each predictor: the layer, its neighbourhoods, its channel of the patches."""
    features, layers = prepared.features.names, prepared.stack.names
    patches = predictor.cells.patches
    found = {}
    for name in predictor_names(predictor.checkpoint.model, features, layers):
        if name in COORDINATES:
            found[name] = PredictorColumns(coordinate=COORDINATES.index(name))
            continue
        made_of = re.compile(rf"{re.escape(name)}(_(mean|std)\d+)?")
        found[name] = PredictorColumns(
            tuple(
                n for n, f in enumerate(features) if made_of.fullmatch(f) and (f == name or f not in layers)
            ),
            tuple(n for n, layer in enumerate(patches.layers) if layer == name) if patches else (),
        )
    return found


def held_out_check(
    prepared: Prepared, reference: ApplicabilityReference, logits: np.ndarray, split: Split, seed: int = 0
) -> dict[str, Any]:
    """Errors of held-out predictions inside and outside the area of applicability, JSON-ready.

    The dissimilarity index of a held-out site is that to the sites of the other folds, of which the model
    that predicted it was made; each fold is calibrated by the others. Sets are as large as expected.

    Args:
        prepared: the training sites.
        reference: predictors, weights and threshold.
        logits: of held-out sites (n_sites, n_species), not calibrated; NaN where never tested.
        split: what was held out.
        seed: of the part that is taken of more than `N_HELD_OUT` sites.
    """
    settings = prepared.config.evaluation
    rows = split.tested
    if len(rows) > N_HELD_OUT:
        rows = np.sort(np.random.default_rng(seed).choice(rows, N_HELD_OUT, replace=False))
    calibrated = cross_fit(logits, prepared.presence, split.folds, settings.shrinkage, settings.calibration)[
        rows
    ]
    columns = {name: number for number, name in enumerate(prepared.features.names)}
    values = predictor_columns(prepared.inputs, columns, reference.names)
    index = reference.dissimilarity(values[rows], values, split.folds[rows], split.folds)
    known = np.isfinite(index)
    errors = site_errors(prepared.presence[rows], calibrated, sse(sigmoid(calibrated)))
    side = block_side(settings.all_splits[0]) or _BLOCK_DEG
    blocks = np.floor(prepared.lonlat[rows] / side)
    found = errors_by_dissimilarity(
        index[known], reference.threshold, errors.take(known), blocks[known], seed
    )
    return {"split": split.name, **found}
