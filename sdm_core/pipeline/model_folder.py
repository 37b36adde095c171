"""What a checkpoint or atlas folder notes of its model: covariates, features, patches."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdm_core import config as paths
from sdm_core.covariates import RasterSource, open_rasters
from sdm_core.errors import CheckpointMismatchError, CovariateError
from sdm_core.models import Ensemble, SpeciesModel
from sdm_core.models.checkpoint import METADATA_NAME
from sdm_core.pipeline.data import matching
from sdm_core.pipeline.preparation import data_path


@dataclass(frozen=True)
class Patches:
    """Layers and side of the patches that a model takes."""

    layers: tuple[str, ...]
    size: int


def read_metadata(folder: Path) -> dict[str, Any]:
    """What lies beside a model's weights; raises `CheckpointMismatchError` where nothing does."""
    path = folder / METADATA_NAME
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointMismatchError(
            f"There is no model at {folder}: {METADATA_NAME} is missing; give a checkpoint or an atlas "
            "folder, or train the model first."
        ) from error
    except ValueError as error:
        raise CheckpointMismatchError(f"{path} is damaged: it is not JSON; copy it again.") from error
    if not isinstance(metadata, dict):
        raise CheckpointMismatchError(f"{path} is damaged: it describes no model; copy it again.")
    return metadata


def read_notes(folder: Path) -> Mapping[str, Any]:
    """What was noted with a model; raises `CheckpointMismatchError` where it cannot be predicted from."""
    notes = read_metadata(folder).get("notes")
    if isinstance(notes, dict) and isinstance(notes.get("configuration"), dict):
        if "pack" in notes["configuration"]:
            raise CheckpointMismatchError(
                f"The model at {folder} was trained on a pack, which has no rasters to predict every cell "
                "from."
            )
        if isinstance(notes.get("feature_specification"), dict) and "covariates" in notes["configuration"]:
            return notes
    raise CheckpointMismatchError(
        f"{folder / METADATA_NAME} does not note which covariates and features its model takes; train it "
        "with `python -m sdm_core train CONFIG.toml`."
    )


def open_covariates(folder: Path, settings: Mapping[str, Any]) -> RasterSource:
    """The rasters a model was trained on."""
    path = data_path(str(settings["path"]))
    if not path.exists():
        raise CovariateError(
            f"The covariates of the model at {folder} are not at {path}; set SDM_DATA to the data folder "
            f"that holds {settings['path']} (now {paths.DATA_DIR})."
        )
    return open_rasters(path, layers=tuple(settings.get("layers") or ()) or None)


def patches_of(
    configuration: Mapping[str, Any], model: SpeciesModel, names: tuple[str, ...]
) -> Patches | None:
    """Layers and size of the patches of the first member that takes any."""
    for member in configuration.get("members") or ():
        if not member.get("patches"):
            continue
        layers: list[str] = []
        for patterns in member["patches"].values():
            found = matching(tuple(patterns), names, f"patches of model {member.get('name')!r}")
            layers += [names[number] for number in found if names[number] not in layers]
        size = _patch_size(model)
        assert size is not None
        return Patches(tuple(layers), size)
    return None


def _patch_size(model: SpeciesModel) -> int | None:
    """Side of the patches of the first network that takes any."""
    if isinstance(model, Ensemble):
        sizes = (_patch_size(member) for member in model.members)
        return next((size for size in sizes if size is not None), None)
    size = getattr(getattr(model, "settings", None), "patch_size", None)
    return None if size is None else int(size)
