"""Checkpoints: weights in safetensors, everything else in JSON beside them; no code is ever loaded.

`model.json` holds the format, the code version that wrote it, the kind and settings of the model, species,
covariates, the SHA-256 of the weights, and free `notes`; `model.safetensors` holds the arrays.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sdm_core.config import CODE_VERSION
from sdm_core.errors import CheckpointMismatchError, ConfigurationError
from sdm_core.models.base import SpeciesModel
from sdm_core.models.baselines import DiscretizedGrid
from sdm_core.models.companions import CoOccurrence
from sdm_core.models.deep_maxent import DeepMaxent
from sdm_core.models.ensemble import Ensemble, FoldEnsemble
from sdm_core.models.fusion import FusionResNet
from sdm_core.models.kernel import KernelRidge
from sdm_core.models.maxent import Maxent
from sdm_core.models.multimodal import Multimodal
from sdm_core.models.network_models import Logistic, Sinr
from sdm_core.models.random_forest import DownSampledForest
from sdm_core.models.sinr_geo_prior import GeoPriorSinr
from sdm_core.writing import write_whole

#: Raised whenever a checkpoint of an older version could be read wrongly.
CHECKPOINT_FORMAT = 1
WEIGHTS_NAME = "model.safetensors"
METADATA_NAME = "model.json"

#: Types of what the metadata hold.
_METADATA_TYPES: dict[str, type] = {
    "kind": str,
    "settings": dict,
    "species": list,
    "covariates": list,
    "notes": dict,
}

_KINDS: dict[str, type[SpeciesModel]] = {
    model.kind: model
    for model in (
        Sinr,
        GeoPriorSinr,
        Logistic,
        FusionResNet,
        Multimodal,
        CoOccurrence,
        DeepMaxent,
        KernelRidge,
        DiscretizedGrid,
        DownSampledForest,
        Maxent,
        Ensemble,
        FoldEnsemble,
    )
}


def model_class(kind: str) -> type[SpeciesModel]:
    """The class of a kind of model, as named in checkpoints and configurations."""
    if kind not in _KINDS:
        raise CheckpointMismatchError(
            f"The checkpoint holds a model of kind {kind!r}; this version knows {', '.join(sorted(_KINDS))}."
        )
    return _KINDS[kind]


def model_kinds() -> tuple[str, ...]:
    """Names of the kinds a configuration can ask for."""
    return tuple(kind for kind, model in _KINDS.items() if model.settings_class is not None)


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint: the model, what else was saved with it, and its description."""

    model: SpeciesModel
    #: Arrays saved beside the weights, for instance the calibration.
    extras: Mapping[str, np.ndarray] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


def save_model(
    model: SpeciesModel,
    folder: Path,
    extras: Mapping[str, np.ndarray] | None = None,
    notes: Mapping[str, Any] | None = None,
    precision: Literal["float32", "float16"] = "float32",
) -> Path:
    """Write `model.safetensors` and `model.json` into `folder`, each aside and then renamed.

    `precision="float16"` halves the file; logits then move by less than 0.1 %, and calibration should be
    fitted on, or is unharmed by, the rounded weights. Returns the folder. Raises `NotWritableError`.
    """
    from safetensors.numpy import save

    arrays = {f"model.{name}": value for name, value in model.arrays().items()}
    arrays |= {f"extra.{name}": np.asarray(value) for name, value in (extras or {}).items()}
    packed = {
        name: np.ascontiguousarray(
            value.astype(np.float16)
            if precision == "float16" and name.startswith("model.") and _is_weight(name, value)
            else value
        )
        for name, value in arrays.items()
    }
    blob = save(packed)
    metadata = {
        "format": CHECKPOINT_FORMAT,
        "code_version": CODE_VERSION,
        "kind": model.kind,
        "settings": model.settings_dict(),
        "species": list(model.species),
        "covariates": list(model.covariates),
        "weights_sha256": hashlib.sha256(blob).hexdigest(),
        "notes": dict(notes or {}),
    }
    write_whole(folder / WEIGHTS_NAME, blob)
    write_whole(folder / METADATA_NAME, json.dumps(metadata, indent=1, ensure_ascii=False).encode())
    return folder


def load_model(
    folder: Path,
    species: Sequence[str] | None = None,
    covariates: Sequence[str] | None = None,
) -> Checkpoint:
    """The model saved in `folder`, on the CPU, ready to predict.

    `species` and `covariates`, where given, must be the ones the model was trained for, in the same order.
    Raises `CheckpointMismatchError` for a missing, damaged or truncated file, another format, other species
    or other covariates.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    metadata = _read_metadata(folder / METADATA_NAME)
    weights_path = folder / WEIGHTS_NAME
    try:
        blob = weights_path.read_bytes()
    except OSError as error:
        raise CheckpointMismatchError(
            f"The checkpoint {folder} has no readable {WEIGHTS_NAME}; train the model again or copy the file."
        ) from error
    if hashlib.sha256(blob).hexdigest() != metadata.get("weights_sha256"):
        raise CheckpointMismatchError(
            f"{weights_path} is damaged or incomplete: its {len(blob)} bytes do not have the checksum in "
            f"{METADATA_NAME}; copy it again or train the model again."
        )
    try:
        arrays = load(blob)
    except SafetensorError as error:
        raise CheckpointMismatchError(f"{weights_path} is no safetensors file ({error}).") from error
    _check_names("species", metadata["species"], species)
    _check_names("covariates", metadata["covariates"], covariates)
    own = {k.removeprefix("model."): v for k, v in arrays.items() if k.startswith("model.")}
    extras = {k.removeprefix("extra."): v for k, v in arrays.items() if k.startswith("extra.")}
    try:
        model = model_class(metadata["kind"]).from_parts(
            metadata["settings"], own, metadata["species"], metadata["covariates"]
        )
    except (TypeError, ConfigurationError) as error:  # settings of another type, or out of range
        raise CheckpointMismatchError(
            f"{folder / METADATA_NAME} is damaged: its settings are none of a {metadata['kind']} ({error}); "
            "copy it again or train the model again."
        ) from error
    return Checkpoint(model, extras, metadata)


def _is_weight(name: str, value: np.ndarray) -> bool:
    """Whether an array may be halved: large float weights, never scalings or normalisation statistics."""
    return value.dtype == np.float32 and value.ndim >= 2


def _read_metadata(path: Path) -> dict[str, Any]:
    """The JSON beside the weights, checked for its format."""
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointMismatchError(
            f"There is no checkpoint at {path.parent}: {path.name} is missing."
        ) from error
    except (ValueError, RecursionError) as error:
        raise CheckpointMismatchError(
            f"{path} is damaged or incomplete: it is not JSON; copy it again or train the model again."
        ) from error
    found = metadata.get("format") if isinstance(metadata, dict) else None
    if found != CHECKPOINT_FORMAT:
        written_by = metadata.get("code_version", "unknown") if isinstance(metadata, dict) else "unknown"
        raise CheckpointMismatchError(
            f"{path} has checkpoint format {found} (written by Florascope {written_by}), but version "
            f"{CODE_VERSION} reads format {CHECKPOINT_FORMAT}; use that version or train the model again."
        )
    missing = {"kind", "settings", "species", "covariates", "weights_sha256"} - set(metadata)
    if missing:
        raise CheckpointMismatchError(f"{path} lacks {', '.join(sorted(missing))}; train the model again.")
    metadata.setdefault("notes", {})
    wrong = [name for name, kind in _METADATA_TYPES.items() if not isinstance(metadata[name], kind)]
    if wrong:
        raise CheckpointMismatchError(
            f"{path} is damaged: its entry {wrong[0]!r} is no {_METADATA_TYPES[wrong[0]].__name__}; copy it "
            "again or train the model again."
        )
    return metadata


def _check_names(what: str, saved: Sequence[str], wanted: Sequence[str] | None) -> None:
    """Compare the names of columns, and say where they first part."""
    if wanted is None or list(wanted) == list(saved):
        return
    if len(wanted) != len(saved):
        raise CheckpointMismatchError(
            f"The checkpoint was trained for {len(saved)} {what}, not {len(wanted)}; "
            f"use data with the same {what} or train the model again."
        )
    number = next(i for i, (a, b) in enumerate(zip(saved, wanted, strict=True)) if a != b)
    raise CheckpointMismatchError(
        f"The checkpoint's {what} differ: number {number + 1} is {saved[number]!r} there and "
        f"{wanted[number]!r} here; use data with the same {what} in the same order or train the model again."
    )
