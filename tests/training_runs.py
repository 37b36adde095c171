"""Small runs that tests start in other processes: to be killed, or to share one batch among several."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy import sparse

from sdm_core.models import NetworkSettings, Sinr, SiteInputs, SpeciesModel
from sdm_core.training import Background, TrainingSettings, fit

SPECIES = tuple(f"species {letter}" for letter in "abcdef")
COVARIATES = ("temperature", "rain", "chalk")
QUICK = TrainingSettings(epochs=3, batch_size=64, learning_rate=5e-3)
#: Every feature of the loop whose state must survive a kill.
EVERYTHING = replace(
    QUICK, epochs=6, batch_size=32, mixup=0.2, label_smoothing=0.05, input_noise=0.1, weight_averaging=0.9,
    loss="assume_negative_full", accumulation=2, species_cap=60, save_every_steps=2,
    early_stopping="score", patience=6, frozen=("encoder.2.*",), frozen_epochs=2, streaming="always",
)  # fmt: skip


def simulated(n_sites: int = 240, seed: int = 0) -> tuple[SiteInputs, np.ndarray]:
    """Six species with linear responses; sites and presences (n_sites, 6) uint8."""
    rng = np.random.default_rng(seed)
    lonlat = np.column_stack([rng.uniform(-10, 30, n_sites), rng.uniform(36, 70, n_sites)])
    features = rng.normal(size=(n_sites, 3)).astype(np.float32)
    slopes = np.random.default_rng(7).normal(size=(3, len(SPECIES)))
    presence = rng.random((n_sites, len(SPECIES))) < 1 / (1 + np.exp(1 - 2 * features @ slopes))
    return SiteInputs(lonlat, features), presence.astype(np.uint8)


def new_model(dropout: float = 0.2, seed: int = 0) -> Sinr:
    return Sinr(
        NetworkSettings(width=16, n_blocks=2, dropout=dropout, head_bias=True), SPECIES, COVARIATES, seed
    )


def learned(model: SpeciesModel) -> dict[str, np.ndarray]:
    return {name: np.array(value) for name, value in model.arrays().items()}


def score_that_peaks(model: SpeciesModel) -> Mapping[str, float]:
    """A score that is neither best first nor last."""
    inputs, presence = simulated(60, seed=9)
    logits = model.predict_logits(inputs)
    return {"score": -abs(float(abs(logits).mean()) - 0.6) + 0.01 * float(presence.mean())}


def run_everything(folder: Path | None, resume: bool = False, loss: str = EVERYTHING.loss) -> Sinr:
    """A run with all features on; `regularized_online_label_estimation` trains its estimates too."""
    torch.set_num_threads(1)
    inputs, presence = simulated()
    settings = EVERYTHING
    if loss != settings.loss:
        settings = replace(settings, loss=loss, mixup=0.0, label_smoothing=0.0)
    model = new_model()
    fit(
        model, inputs, sparse.csr_matrix(presence), settings,
        site_weights=np.linspace(0.5, 1.5, len(inputs)),
        background=Background(simulated(50, seed=3)[0], np.ones(50)),
        validate=score_that_peaks, folder=folder, resume=resume, device="cpu", progress=False,
    )  # fmt: skip
    return model


def run_and_resume(folder: Path, loss: str) -> None:
    """What a killed process does."""
    run_everything(folder, resume=True, loss=loss)


def run_and_die_while_writing(folder: Path, after: int) -> None:
    """Resume, write the state `after` times, and be killed with half of the next one written."""
    from sdm_core.training import state

    whole, count = state.write_whole, 0

    def half(path: Path, content: bytes, *options: object) -> None:
        nonlocal count
        count += path.name == state.STATE_NAME
        if count <= after:
            return whole(path, content, *options)
        path.with_name(f".{path.name}.{os.getpid()}").write_bytes(content[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)

    state.write_whole = half
    run_everything(folder, resume=True)


def run_shared(folder: Path, name: str, **settings: object) -> None:
    """A run without dropout, whose result does not depend on the number of processes; writes its weights."""
    torch.set_num_threads(1)
    inputs, presence = simulated(101)
    model = new_model(dropout=0.0)
    background = Background(simulated(50, seed=3)[0], np.ones(50))
    fit(
        model, inputs, presence, replace(QUICK, batch_size=30, epochs=2, **settings),  # type: ignore[arg-type]
        background=background, validate=score_that_peaks, folder=folder / name, device="cpu", progress=False,
    )  # fmt: skip
    np.savez(folder / f"{name}-{os.environ.get('RANK', 'alone')}.npz", **learned(model))


#: Runs that several processes share: losses over sites and over pairs, a head and estimates of their own.
SHARED: dict[str, dict[str, object]] = {
    "all": {
        "loss": "assume_negative_full", "mixup": 0.2, "input_noise": 0.1, "accumulation": 2,
        "early_stopping": "score", "weight_averaging": 0.9, "streaming": "always",
        "frozen": ("encoder.2.*",), "frozen_epochs": 1,
    },
    "softmax_over_sites": {"loss": "deep_maxent"},
    "second_head": {"loss": "average_k"},
    "estimates": {"loss": "regularized_online_label_estimation"},
}  # fmt: skip

if __name__ == "__main__":
    for name, settings in SHARED.items():
        run_shared(Path(sys.argv[1]), name, **settings)
