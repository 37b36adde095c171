"""The training loop, on Lightning Fabric: one network, its loss, its schedule; resumable and repeatable.

All randomness of an epoch (order of sites, dropout, mixing, pseudo-absences) derives from the seed and the
epoch's number alone. A run that was killed and resumed therefore ends, on a CPU, in exactly the weights of
a run that was not, and training leaves the caller's random state as it was.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sdm_core.errors import TrainingError
from sdm_core.models import (
    DiscretizedGrid,
    Ensemble,
    NetworkModel,
    SiteInputs,
    SpeciesModel,
    check_no_missing,
)
from sdm_core.training.loop import METRICS_NAME, STATE_NAME, Background, NetworkTraining, Validation
from sdm_core.training.settings import Schedule, TrainingSettings, learning_rate_factor

__all__ = [
    "METRICS_NAME",
    "STATE_NAME",
    "Background",
    "Schedule",
    "TrainingSettings",
    "Validation",
    "check_training_set",
    "fit",
    "learning_rate_factor",
]


def fit(
    model: SpeciesModel,
    inputs: SiteInputs,
    presence: np.ndarray,
    settings: TrainingSettings,
    *,
    site_weights: np.ndarray | None = None,
    background: Background | None = None,
    validate: Validation | None = None,
    folder: Path | None = None,
    resume: bool = False,
    device: str = "auto",
    progress: bool = True,
) -> list[dict[str, Any]]:
    """Fit any model in place to presences (n_sites, n_species) of 0 and 1; gives one record per epoch.

    An ensemble's members are fitted one after the other, each with its own seed (`seed` + its number); a
    grid is counted. For networks, `folder` receives the state after every epoch (written aside, then
    renamed) and `metrics.jsonl`; with `resume` a run found there goes on, if it is the same run.

    `site_weights` (n_sites,) weigh sites in the loss and are scaled to mean 1. `background` is needed by
    AN-full and AN-SSDL. `validate` gets the model after every epoch. `device` is auto, cpu, cuda or mps.

    Raises `TrainingError` for an empty or one-class training set, missing covariates, a device that is not
    there, a missing background, or a loss that is no longer finite; `CheckpointMismatchError` when asked to
    resume another run.
    """
    check_training_set(model, inputs, presence)
    if isinstance(model, DiscretizedGrid):
        model.fit(inputs, presence)
        return []
    options: dict[str, Any] = {
        "site_weights": site_weights,
        "background": background,
        "validate": validate,
        "resume": resume,
        "device": device,
        "progress": progress,
    }
    if isinstance(model, Ensemble):
        history: list[dict[str, Any]] = []
        for number, member in enumerate(model.members):
            own = replace(settings, seed=settings.seed + number)
            place = None if folder is None else folder / f"member{number}"
            records = fit(member, inputs, presence, own, folder=place, **options)
            history += [{"member": number, **record} for record in records]
        return history
    if isinstance(model, NetworkModel):
        return NetworkTraining(model, inputs, presence, settings, folder, options).run()
    raise TrainingError(f"Models of kind {model.kind!r} cannot be trained.")


def check_training_set(model: SpeciesModel, inputs: SiteInputs, presence: np.ndarray) -> None:
    """Refuse, with one sentence, data that no model can learn from."""
    if len(inputs) == 0:
        raise TrainingError(
            "The training set is empty: no site is left after cleaning; check the study area."
        )
    if presence.shape != (len(inputs), len(model.species)):
        raise TrainingError(
            f"Presences of shape {presence.shape} do not fit {len(inputs)} sites and "
            f"{len(model.species)} species."
        )
    if not np.isin(presence, (0, 1)).all():
        raise TrainingError("Presences must be 0 or 1.")
    share = float(np.asarray(presence).mean())
    if share in (0.0, 1.0):
        what = "presences" if share else "absences"
        raise TrainingError(
            f"The training set holds {what} only; a model needs both, so widen the study area or add sites."
        )
    check_no_missing(inputs, model.covariates)
