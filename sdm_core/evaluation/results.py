"""The table of models: one row per model and split, the shipped model and its baselines beside each other."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sdm_core.errors import TrainingError
from sdm_core.evaluation.comparison import Difference, paired_difference
from sdm_core.evaluation.metrics import by_rarity
from sdm_core.writing import write_whole

#: Columns of the table, what they are, and their digits.
COLUMNS: dict[str, tuple[str, int]] = {
    "auc": ("mean over species of AUC, all held-out sites pooled", 4),
    "average_precision": ("mean over species of average precision, pooled", 4),
    "auc_in_folds": ("mean over folds and species of AUC within a fold", 4),
    "average_precision_in_folds": ("mean over folds and species of average precision within a fold", 4),
    "precision_recall_gain": ("mean over species of the area under the precision-recall-gain curve", 4),
    "tss": ("mean over species of the largest true skill statistic", 4),
    "correlation": ("mean over species of the correlation of sigmoid(logit) with presence (COR)", 4),
    "boyce": ("mean over species of the continuous Boyce index of sigmoid(logit)", 4),
    "sample_f1": ("mean over sites of F1 of species sets (rule: sum of calibrated probabilities)", 4),
    "micro_f1": ("F1 of all pairs of site and species, same sets", 4),
    "macro_f1": ("mean over species of F1, same sets", 4),
    "set_size_error": ("mean over sites of |species in the set - species recorded|", 3),
    "set_size_bias": ("mean over sites of species in the set - species recorded", 3),
    "top_k": ("share of records among the k best species of their site, k the mean recorded per site", 4),
    "adaptive_top_k": ("share of records in sets by one threshold, of k species on average", 4),
    "ece_before": ("expected calibration error of sigmoid(logit)", 5),
    "ece_after": ("expected calibration error after calibration on the other folds", 5),
    "species_ece_after": ("mean over species of its own calibration error, after calibration", 5),
    "brier": ("mean of (probability - presence)², after calibration on the other folds", 5),
    "log_loss": ("mean cross-entropy after calibration on the other folds, nats", 5),
}
#: Columns printed, in lines that fit a terminal.
_PRINTED = (
    ("auc", "average_precision", "precision_recall_gain", "tss", "correlation", "boyce", "log_loss"),
    (
        "sample_f1", "micro_f1", "macro_f1", "set_size_error", "top_k", "adaptive_top_k", "ece_before",
        "ece_after",
    ),
)  # fmt: skip
#: Measures of a species whose paired differences are given.
_COMPARED = ("auc", "average_precision")


@dataclass(frozen=True)
class Result:
    """One model on one split."""

    model: str
    #: Side of square blocks in degrees; None for other splits.
    block_deg: float | None
    n_folds: int
    n_sites: int
    n_species: int
    #: Numbers under the names of `COLUMNS`.
    scores: Mapping[str, float]
    #: One row per species: species, n_records, then its scores, NaN where undefined.
    per_species: pd.DataFrame = field(repr=False)
    reliability: pd.DataFrame = field(repr=False)
    seconds: float = 0.0
    n_repeats: int = 1
    #: What was held out, in words.
    split: str = ""
    #: How the probabilities were calibrated, in words.
    calibration: str = ""

    def by_rarity(self) -> pd.DataFrame:
        """Mean scores of species by number of records (see `metrics.by_rarity`); empty without those."""
        if "n_records" not in self.per_species:
            return pd.DataFrame()
        scores = {
            name: self.per_species[name].to_numpy(dtype=np.float64)
            for name in self.per_species.columns
            if name not in ("species", "n_records")
        }
        return by_rarity(scores, self.per_species["n_records"].to_numpy())

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready row of the table, with its rarity classes and reliability bins; NaN becomes null."""
        return {
            "model": self.model,
            "block_deg": self.block_deg,
            "split": self.split,
            "n_folds": self.n_folds,
            "n_repeats": self.n_repeats,
            "n_sites": self.n_sites,
            "n_species": self.n_species,
            **{name: _rounded(value, COLUMNS[name][1]) for name, value in self.scores.items()},
            "calibration": self.calibration,
            "by_rarity": [
                {key: _rounded(value, 4) for key, value in row.items()}
                for row in self.by_rarity().to_dict(orient="records")
            ],
            "reliability": self.reliability.round(5).to_dict(orient="records"),
            "seconds": round(self.seconds, 1),
        }


@dataclass(frozen=True)
class Evaluation:
    """All rows of an evaluation; the first model is the one the others are compared with."""

    name: str
    results: tuple[Result, ...]

    def table(self) -> pd.DataFrame:
        """One row per split and model."""
        rows = [
            {"block_deg": r.block_deg, "split": r.split, "model": r.model, **r.scores, "seconds": r.seconds}
            for r in self.results
        ]
        return pd.DataFrame(rows)

    def differences(self) -> list[tuple[Result, Result, str, Difference]]:
        """How much better the first model of each split is than each other, paired over species.

        Gives (first, other, measure, difference) for AUC and average precision; pairs of models that share
        fewer than two scored species are left out.
        """
        found = []
        firsts: dict[tuple[float | None, str], Result] = {}
        for other in self.results:
            first = firsts.setdefault((other.block_deg, other.split), other)
            if first is other:
                continue
            for measure in _COMPARED:
                a, b = (result.per_species[measure].to_numpy(dtype=np.float64) for result in (first, other))
                if a.shape == b.shape and np.isfinite(a - b).sum() >= 2:
                    found.append((first, other, measure, paired_difference(a, b, n_draws=2000)))
        return found

    def to_text(self) -> str:
        """The table as it is printed, with differences and the meaning of its columns."""
        table = self.table()
        lead = {"blocks": [_shown_split(r) for r in self.results], "model": table["model"]}
        first = self.results[0]
        size = f"{first.n_sites} sites, {first.n_species} species"
        kind = "spatial blocks" if first.block_deg is not None else "split"
        lines = [f"{self.name}: {size}, {first.n_folds}-fold {kind}"]
        for names in _PRINTED:
            shown = {
                name: table[name].map(f"{{:.{COLUMNS[name][1]}f}}".format) for name in names if name in table
            }
            last = {"s": table["seconds"].map("{:.0f}".format)} if names is _PRINTED[0] else {}
            lines.append(pd.DataFrame({**lead, **shown, **last}).to_string(index=False))
        for here, other, measure, difference in self.differences():
            lines.append(f"  {measure}, {_shown_split(here)}: {here.model} minus {other.model} {difference}")
        printed = [name for names in _PRINTED for name in names if name in table]
        lines += [f"  {name}: {COLUMNS[name][0]}" for name in printed]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "name": self.name,
            "columns": {name: meaning for name, (meaning, _) in COLUMNS.items()},
            "results": [result.to_dict() for result in self.results],
            "differences": [
                {
                    "block_deg": here.block_deg,
                    "split": here.split,
                    "model": here.model,
                    "minus": other.model,
                    "measure": measure,
                    **difference.to_dict(),
                }
                for here, other, measure, difference in self.differences()
            ],
        }

    def write_json(self, path: Path) -> None:
        """Write the tables, aside and then renamed; raises `NotWritableError`."""
        write_whole(path, (json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n").encode())


def mean_of_repeats(results: Sequence[Result]) -> Result:
    """One row from repeats with different draws of folds: the mean of every score, bins of the first.

    Raises `TrainingError` for no results.
    """
    if not results:
        raise TrainingError("There are no results to take the mean of; give one or more.")
    first = results[0]
    means = {name: float(np.mean([r.scores[name] for r in results])) for name in first.scores}
    per_species = first.per_species.copy()
    for column in per_species.columns:
        if column not in ("species", "n_records"):
            per_species[column] = np.mean([r.per_species[column] for r in results], axis=0)
    return replace(
        first,
        scores=means,
        per_species=per_species,
        seconds=sum(r.seconds for r in results),
        n_repeats=len(results),
    )


def _shown_split(result: Result) -> str:
    """A split as the table shows it."""
    return result.split if result.block_deg is None else f"{result.block_deg:g}°"


def _rounded(value: Any, digits: int) -> Any:
    """A number to so many digits, None where it is undefined; anything else as it is."""
    if isinstance(value, (int, str)):
        return value
    return None if value is None or math.isnan(value) else round(float(value), digits)
