"""The state of a run on disk: one safetensors file with a checksum, written aside and then renamed.

Whatever moment a run is killed at, the folder holds the state before or the state after, never half of one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from sdm_core.errors import CheckpointMismatchError, TrainingError
from sdm_core.models import NetworkModel, SiteInputs
from sdm_core.models.lazy import is_on_disk
from sdm_core.training.joining import JoinedArray
from sdm_core.training.settings import TrainingSettings
from sdm_core.writing import write_whole

STATE_NAME = "training_state.safetensors"
METRICS_NAME = "metrics.jsonl"
#: Sites, evenly spaced, by which a memory-mapped array is recognised.
_N_HASHED_SITES = 256


def save_state(folder: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, Any]) -> None:
    """Write tensors and JSON-ready notes as the folder's state.

    Raises `TrainingError` where it cannot be written; the state before it is then still whole.
    """
    from safetensors.torch import save

    kept = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    text = json.dumps(notes, sort_keys=True)
    blob = save(kept, metadata={"notes": text, "sha256": _checksum(kept, text)})
    _write(folder / STATE_NAME, blob, "the state of the last save is whole, and --resume goes on from it")


def load_state(folder: Path, fingerprint: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Tensors and notes of the folder's state, or None where there is none.

    Raises `CheckpointMismatchError` for a damaged file, and for the state of a run with another fingerprint.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / STATE_NAME
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointMismatchError(
            f"{path} is damaged ({error}); delete it and train from the start."
        ) from error
    text = metadata.get("notes", "")
    if metadata.get("sha256") != _checksum(tensors, text):
        raise CheckpointMismatchError(
            f"{path} is damaged (its content does not have its checksum); delete it and train from the start."
        )
    notes = json.loads(text)
    if notes.get("fingerprint") != fingerprint:
        raise CheckpointMismatchError(
            f"{path} belongs to a run with other data or settings; delete it, or resume that run."
        )
    return tensors, notes


def write_metrics(folder: Path, history: list[dict[str, Any]]) -> None:
    """Write all epochs so far, one JSON object per line."""
    lines = "".join(json.dumps(record) + "\n" for record in history)
    _write(folder / METRICS_NAME, lines.encode(), "the training state is whole, and --resume goes on from it")


def remove_leftovers(folder: Path) -> None:
    """Remove what killed runs left half written beside the state."""
    for name in (STATE_NAME, METRICS_NAME):
        for path in folder.glob(f".{name}.*"):
            path.unlink(missing_ok=True)


def run_fingerprint(
    model: NetworkModel,
    inputs: SiteInputs,
    labels: np.ndarray | sparse.csr_matrix,
    site_weights: np.ndarray | None,
    background: tuple[SiteInputs, np.ndarray] | None,
    settings: TrainingSettings,
) -> str:
    """Hash of everything that decides the result of a run, the weights it starts from among it.

    Memory-mapped arrays enter with their shape and evenly spaced sites, as reading them whole may take
    longer than an epoch.
    """
    digest = hashlib.sha256()
    described = [model.kind, model.settings_dict(), model.species, model.covariates, settings.deciding()]
    digest.update(json.dumps(described, sort_keys=True, default=str).encode())
    for name, value in sorted(model.arrays().items()):
        _update(digest, name, value)
    for lead, places in (("site", inputs), ("background", background[0] if background else None)):
        if places is None:
            continue
        parts = {name: getattr(places, name) for name in ("lonlat", "features", "patches")}
        parts |= {name: getattr(places, name) for name in ("day_of_year", "observers", "companions")}
        for name, part in (parts | dict(sorted(places.modalities.items()))).items():
            if part is not None:
                _update(digest, f"{lead} {name}", part)
    if background is not None:
        _update(digest, "area", background[1])
    if sparse.issparse(labels):
        for name in ("indptr", "indices", "data"):
            _update(digest, f"labels {name}", getattr(sparse.csr_matrix(labels), name))
    else:
        _update(digest, "labels", labels)
    if site_weights is not None:
        _update(digest, "weights", np.asarray(site_weights))
    return digest.hexdigest()


def _update(digest: Any, name: str, array: np.ndarray) -> None:
    """Add an array to the hash, with its name, type and shape."""
    if isinstance(array, JoinedArray):
        for part in array.parts:
            _update(digest, name, part)
        return
    digest.update(f"{name} {array.dtype} {array.shape}".encode())
    if is_on_disk(array) and len(array) > _N_HASHED_SITES:
        array = array[np.linspace(0, len(array) - 1, _N_HASHED_SITES).astype(np.int64)]
    digest.update(np.ascontiguousarray(array).tobytes())


def _checksum(tensors: Mapping[str, Tensor], text: str) -> str:
    """SHA-256 of tensors with their names, types and shapes, and of the notes."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _write(path: Path, content: bytes, comfort: str) -> None:
    """Write a file aside and rename it, or say in one sentence why not."""
    write_whole(path, content, TrainingError, f"free some space there or choose another folder: {comfort}")
