"""Pseudo-labels: what models of the surveys are sure of at the sites of presence-only records."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import sparse

from sdm_core.errors import TrainingError
from sdm_core.losses import UNKNOWN
from sdm_core.models import SiteInputs, SpeciesModel
from sdm_core.training.data import LabelArray
from sdm_core.training.distributed import is_first_process
from sdm_core.writing import write_whole

#: Records predicted at once.
_CHUNK = 8192


def pseudo_labels(probabilities: np.ndarray, recorded: np.ndarray, low: float, high: float) -> np.ndarray:
    """Labels (n, n_species) uint8 of 0, 1 and `losses.UNKNOWN` from probabilities and recorded species.

    y = 1 where s > T⁺, ∅ where T⁻ ≤ s ≤ T⁺, 0 where s < T⁻ (equation 1), and 1 where recorded (equation 2).
    The equation leaves s = T⁻ and s = T⁺ open; here they are unknown.
    Source: Chen et al. 2024 (GeoLifeCLEF 2024), section 4.2.
    """
    if probabilities.shape != recorded.shape:
        raise TrainingError(
            f"Probabilities of shape {probabilities.shape} do not fit records of shape {recorded.shape}."
        )
    labels = np.full(probabilities.shape, UNKNOWN, dtype=np.uint8)
    labels[probabilities < low] = 0
    labels[(probabilities > high) | (recorded > 0)] = 1
    return labels


def label_records(
    models: Sequence[SpeciesModel],
    inputs: SiteInputs,
    recorded: LabelArray,
    low: float,
    high: float,
    folder: Path | None = None,
) -> sparse.csr_matrix:
    """Pseudo-labels of all records by the mean of the models' probabilities, csr of 1 and UNKNOWN.

    A chunk of records is in memory at a time. With `folder` the result is kept there under the hash of what
    decides it, so that a killed recipe does not predict again.
    """
    path = (
        None if folder is None else folder / f"pseudo-labels-{_key(models, inputs, recorded, low, high)}.npz"
    )
    if path is not None and path.is_file():
        return sparse.csr_matrix(sparse.load_npz(path))
    chunks = []
    for start in range(0, len(inputs), _CHUNK):
        rows = slice(start, start + _CHUNK)
        places = inputs.take(rows)
        total = np.zeros((len(places), recorded.shape[1]))
        for model in models:
            total += 0.5 * (1.0 + np.tanh(0.5 * model.predict_logits(places).astype(np.float64)))
        known = sparse.csr_matrix(recorded[rows]).toarray()
        chunks.append(sparse.csr_matrix(pseudo_labels(total / len(models), known, low, high)))
    labels = sparse.csr_matrix(sparse.vstack(chunks, format="csr"))
    if path is not None and is_first_process():
        content = io.BytesIO()
        sparse.save_npz(content, labels)
        write_whole(path, content.getvalue(), TrainingError, "free some space there and resume")
    return labels


def _key(
    models: Sequence[SpeciesModel], inputs: SiteInputs, recorded: LabelArray, low: float, high: float
) -> str:
    """Hash of the models' weights, the records and the thresholds."""
    digest = hashlib.sha256(f"{low} {high} {recorded.shape}".encode())
    for model in models:
        for name, value in sorted(model.arrays().items()):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(value).tobytes())
    matrix = sparse.csr_matrix(recorded)
    for part in (inputs.lonlat, inputs.features, matrix.indptr, matrix.indices):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()[:20]
