"""Cross-validation on spatial blocks: one table, the shipped model and its baselines in the same rows."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sdm_core.evaluation.calibration import cross_fit, sigmoid
from sdm_core.evaluation.metrics import (
    expected_calibration_error,
    log_loss,
    ranking_scores,
    reliability_table,
    sample_f1,
)
from sdm_core.models import SiteInputs, SpeciesModel, write_aside

#: Gives a fitted model from training sites and their presences; the number is the fold.
Fitting = Callable[[SiteInputs, np.ndarray, np.ndarray, int], SpeciesModel]
#: Turns calibrated probabilities (n_sites, n_species) into species sets of the same shape.
SetRule = Callable[[np.ndarray], np.ndarray]

#: Columns of the table, what they are, and their digits.
COLUMNS: dict[str, tuple[str, int]] = {
    "auc": ("mean over species of AUC, all held-out sites pooled", 4),
    "average_precision": ("mean over species of average precision, pooled", 4),
    "auc_in_folds": ("mean over folds and species of AUC within a fold", 4),
    "average_precision_in_folds": ("mean over folds and species of average precision within a fold", 4),
    "tss": ("mean over species of the largest true skill statistic", 4),
    "sample_f1": ("mean over sites of F1 of species sets (rule: sum of calibrated probabilities)", 4),
    "ece_before": ("expected calibration error of sigmoid(logit)", 5),
    "ece_after": ("expected calibration error after calibration on the other folds", 5),
    "log_loss": ("mean cross-entropy after calibration on the other folds, nats", 5),
}


@dataclass(frozen=True)
class Result:
    """One model on one set of blocks."""

    model: str
    block_deg: float
    n_folds: int
    n_sites: int
    n_species: int
    #: Numbers under the names of `COLUMNS`.
    scores: Mapping[str, float]
    #: AUC and average precision per species, NaN where undefined.
    per_species: pd.DataFrame = field(repr=False)
    reliability: pd.DataFrame = field(repr=False)
    seconds: float = 0.0
    n_repeats: int = 1

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready row of the table, with its reliability bins."""
        return {
            "model": self.model,
            "block_deg": self.block_deg,
            "n_folds": self.n_folds,
            "n_repeats": self.n_repeats,
            "n_sites": self.n_sites,
            "n_species": self.n_species,
            **{name: round(value, COLUMNS[name][1]) for name, value in self.scores.items()},
            "reliability": self.reliability.round(5).to_dict(orient="records"),
            "seconds": round(self.seconds, 1),
        }


@dataclass(frozen=True)
class Evaluation:
    """All rows of an evaluation."""

    name: str
    results: tuple[Result, ...]

    def table(self) -> pd.DataFrame:
        """One row per block size and model."""
        rows = [
            {"block_deg": r.block_deg, "model": r.model, **r.scores, "seconds": r.seconds}
            for r in self.results
        ]
        return pd.DataFrame(rows)

    def to_text(self) -> str:
        """The table as it is printed, with the meaning of its columns."""
        table = self.table()
        shown = {
            name: table[name].map(f"{{:.{digits}f}}".format)
            for name, (_, digits) in COLUMNS.items()
            if name in table
        }
        lead = {"blocks": table["block_deg"].map("{:g}°".format), "model": table["model"]}
        text = pd.DataFrame({**lead, **shown, "s": table["seconds"].map("{:.0f}".format)})
        first = self.results[0]
        size = f"{first.n_sites} sites, {first.n_species} species"
        head = f"{self.name}: {size}, {first.n_folds}-fold spatial blocks"
        legend = [f"  {name}: {meaning}" for name, (meaning, _) in COLUMNS.items() if name in shown]
        return "\n".join([head, text.to_string(index=False), *legend])

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "name": self.name,
            "columns": {name: meaning for name, (meaning, _) in COLUMNS.items()},
            "results": [result.to_dict() for result in self.results],
        }

    def write_json(self, path: Path) -> None:
        """Write the tables, aside and then renamed."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_aside(path, (json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n").encode())


def held_out_logits(
    fit_model: Fitting, inputs: SiteInputs, presence: np.ndarray, folds: np.ndarray
) -> np.ndarray:
    """Logits (n_sites, n_species) of every site by a model that was fitted without its fold.

    `fit_model` gets the training sites, their presences, their row numbers and the fold.
    """
    logits = np.full(presence.shape, np.nan, dtype=np.float32)
    for fold in np.unique(folds):
        train = np.flatnonzero(folds != fold)
        test = np.flatnonzero(folds == fold)
        model = fit_model(inputs.take(train), presence[train], train, int(fold))
        logits[test] = model.predict_logits(inputs.take(test))
    return logits


def score(
    name: str,
    block_deg: float,
    logits: np.ndarray,
    presence: np.ndarray,
    folds: np.ndarray,
    species: Sequence[str],
    rule: SetRule,
    *,
    shrinkage: float = 10.0,
    seconds: float = 0.0,
) -> Result:
    """All scores of one model's held-out logits (n_sites, n_species)."""
    pooled = ranking_scores(presence, logits)
    within = [ranking_scores(presence[folds == fold], logits[folds == fold]) for fold in np.unique(folds)]
    calibrated = cross_fit(logits, presence, folds, shrinkage)
    probability = sigmoid(calibrated)
    scores = {
        "auc": float(np.nanmean(pooled.auc)),
        "average_precision": float(np.nanmean(pooled.average_precision)),
        "auc_in_folds": float(np.nanmean([np.nanmean(part.auc) for part in within])),
        "average_precision_in_folds": float(
            np.nanmean([np.nanmean(part.average_precision) for part in within])
        ),
        "tss": float(np.nanmean(pooled.tss)),
        "sample_f1": sample_f1(presence, rule(probability)),
        "ece_before": expected_calibration_error(presence, sigmoid(logits)),
        "ece_after": expected_calibration_error(presence, probability),
        "log_loss": log_loss(presence, calibrated),
    }
    per_species = pd.DataFrame(
        {"species": list(species), "auc": pooled.auc, "average_precision": pooled.average_precision}
    )
    return Result(
        model=name,
        block_deg=block_deg,
        n_folds=len(np.unique(folds)),
        n_sites=len(presence),
        n_species=presence.shape[1],
        scores=scores,
        per_species=per_species,
        reliability=reliability_table(presence, probability),
        seconds=seconds,
    )


def mean_of_repeats(results: Sequence[Result]) -> Result:
    """One row from repeats with different draws of folds: the mean of every score, bins of the first."""
    first = results[0]
    means = {name: float(np.mean([r.scores[name] for r in results])) for name in first.scores}
    per_species = first.per_species.copy()
    for column in ("auc", "average_precision"):
        per_species[column] = np.mean([r.per_species[column] for r in results], axis=0)
    return Result(
        first.model, first.block_deg, first.n_folds, first.n_sites, first.n_species, means,
        per_species, first.reliability, sum(r.seconds for r in results), len(results),
    )  # fmt: skip


def cross_validate(
    name: str,
    fit_model: Fitting,
    inputs: SiteInputs,
    presence: np.ndarray,
    folds: np.ndarray,
    block_deg: float,
    species: Sequence[str],
    rule: SetRule,
    shrinkage: float = 10.0,
) -> tuple[Result, np.ndarray]:
    """Scores of one model and its held-out logits."""
    started = time.perf_counter()
    logits = held_out_logits(fit_model, inputs, presence, folds)
    seconds = time.perf_counter() - started
    return (
        score(name, block_deg, logits, presence, folds, species, rule, shrinkage=shrinkage, seconds=seconds),
        logits,
    )
