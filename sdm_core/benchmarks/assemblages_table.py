"""Every rule from probabilities to species sets, on held-out surveys: `benchmark assemblages --out DIR`.

Data: vegetation plots of the Eastern Alps (lists of vascular plants, mosses and lichens; bioclimate at 1/6°
and coordinates) and EU-Forest (trees per cell of 1/6°; 31 European predictors). A small SINR network predicts
each of five folds of square blocks without having seen it. Then, fold by fold, everything that has to be
learned from surveys is learned on the held-out predictions of the four other folds: the calibration (for
those four again by the three others), thresholds, the K of top-K and average-K, conformal limits. No survey
is judged by anything fitted to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sdm_core import assemblages
from sdm_core.assemblages.conformal import MINIMUM_PRESENCES
from sdm_core.assemblages.expected_scores import Score
from sdm_core.assemblages.richness_distribution import poisson_binomial_interval
from sdm_core.assemblages.species_thresholds import Criterion
from sdm_core.benchmarks.output import make_folder, write_table
from sdm_core.benchmarks.recipes import load as load_forest
from sdm_core.covariates import read_stack
from sdm_core.errors import ConfigurationError
from sdm_core.evaluation import cross_fit, fit_calibration, held_out_logits, set_scores, sigmoid
from sdm_core.evaluation.splits import block_folds, block_of
from sdm_core.models import NetworkSettings, Sinr, SiteInputs
from sdm_core.occurrences import read_plots_long
from sdm_core.training import TrainingSettings, fit

Say = Callable[[str], None]
Floats = NDArray[np.float64]

DATA_SETS = ("alps", "eu_forest")
_N_FOLDS = 5
_BLOCK_DEG = {"alps": 0.5, "eu_forest": 2.0}
_ERROR_RATE = 0.1


@dataclass(frozen=True)
class AssemblageBenchmark:
    """What is run: data sets, seed, the network's size, and how often a species must have been found."""

    data_sets: tuple[str, ...] = DATA_SETS
    seed: int = 0
    width: int = 128
    epochs: int = 25
    min_surveys: int = 10

    def __post_init__(self) -> None:
        unknown = sorted(set(self.data_sets) - set(DATA_SETS))
        if unknown or not self.data_sets:
            raise ConfigurationError(
                f"The data sets are {list(self.data_sets)}; expected some of {', '.join(DATA_SETS)}."
            )
        for name in ("width", "epochs", "min_surveys"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} = {getattr(self, name)}; expected 1 or more.")


@dataclass(frozen=True)
class SurveyData:
    """Surveys with names, their covariates, and the block and fold of each."""

    name: str
    inputs: SiteInputs
    presence: np.ndarray = field(repr=False)
    species: tuple[str, ...] = field(repr=False)
    covariates: tuple[str, ...] = field(repr=False)
    folds: np.ndarray = field(repr=False)
    blocks: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class AssemblageResult:
    """Two tables: scores of the rules, and what conformal sets and intervals kept of their promise."""

    settings: AssemblageBenchmark
    rules: pd.DataFrame
    coverage: pd.DataFrame
    wall_seconds: float


def run_assemblages(
    data: Path, out: Path, settings: AssemblageBenchmark | None = None, say: Say = lambda line: None
) -> AssemblageResult:
    """Predict, apply every rule, and write `rules.csv` and `coverage.csv`.

    Raises `OccurrenceError` for missing data and `NotWritableError` for an `out` that cannot be written.
    """
    settings = settings or AssemblageBenchmark()
    start = time.monotonic()
    make_folder(out)
    rules, coverage = [], []
    for name in settings.data_sets:
        surveys = load_surveys(data, name, settings.min_surveys)
        n_blocks = len(np.unique(surveys.blocks))
        say(
            f"{name}: {len(surveys.inputs)} surveys, {len(surveys.species)} species, {n_blocks} blocks; "
            f"{surveys.presence.sum(axis=1).mean():.1f} species a survey"
        )
        logits = predict_held_out(surveys, settings)
        say(f"{name}: predicted after {time.monotonic() - start:.0f} s")
        found, kept = judge(surveys, logits)
        rules.append(found.assign(data=name))
        coverage.append(kept.assign(data=name))
        write_table(out / "rules.csv", pd.concat(rules))
        write_table(out / "coverage.csv", pd.concat(coverage))
    return AssemblageResult(
        settings,
        pd.concat(rules, ignore_index=True),
        pd.concat(coverage, ignore_index=True),
        time.monotonic() - start,
    )


def load_surveys(data: Path, name: str, min_surveys: int) -> SurveyData:
    """Surveys of a data set with the species found in `min_surveys` or more."""
    side = _BLOCK_DEG[name]
    if name == "eu_forest":
        forest = load_forest(data)
        lonlat, features, presence = forest.cells.lonlat, forest.cells.features, forest.presence
        species, covariates = np.array(forest.species), forest.covariates
    else:
        folder = data / "releves_eastern_alps"
        plots = read_plots_long(folder / "species_cover.csv", sites=folder / "plots.csv")
        stack = read_stack(data / "worldclim_10m_europe" / "wc2.1_10m_bio_europe.tif")
        cell = stack.cell_index(plots.lonlat[:, 0], plots.lonlat[:, 1])
        values = stack.values.reshape(len(stack.names), -1).T
        known = (cell >= 0) & np.isfinite(values[np.maximum(cell, 0)]).all(axis=1)
        lonlat, features = plots.lonlat[known], values[cell[known]].astype(np.float32)
        presence, species = plots.presence[np.flatnonzero(known)].toarray(), np.array(plots.species)
        covariates = tuple(stack.names)
    kept = presence.sum(axis=0, dtype=np.int64) >= min_surveys
    blocks = np.unique(block_of(lonlat, side), axis=0, return_inverse=True)[1].ravel()
    return SurveyData(
        name,
        SiteInputs(lonlat, np.ascontiguousarray(features)),
        np.ascontiguousarray(presence[:, kept]),
        tuple(species[kept]),
        covariates,
        block_folds(lonlat, side, _N_FOLDS, seed=0, assignment="balanced"),
        blocks,
    )


def predict_held_out(surveys: SurveyData, settings: AssemblageBenchmark) -> np.ndarray:
    """Logits (n_surveys, n_species) of each fold by a network that has not seen it."""
    network = NetworkSettings(
        inputs="env+coords", width=settings.width, n_blocks=2, dropout=0.3, head_bias=True
    )
    training = TrainingSettings(epochs=settings.epochs, batch_size=128, seed=settings.seed)

    def fit_model(inputs: SiteInputs, presence: np.ndarray, rows: np.ndarray, fold: int) -> Sinr:
        model = Sinr(network, surveys.species, surveys.covariates, seed=settings.seed)
        fit(model, inputs, presence, training, device="cpu", progress=False)
        return model

    return held_out_logits(fit_model, surveys.inputs, surveys.presence, surveys.folds)


def judge(surveys: SurveyData, logits: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores of every rule over all surveys, and coverage of conformal sets and richness intervals."""
    presence = surveys.presence.astype(bool)
    sets: dict[str, np.ndarray] = {}
    kept: dict[str, list[dict[str, float]]] = {}
    expected = np.zeros(len(presence))
    for fold in range(_N_FOLDS):
        test, others = np.flatnonzero(surveys.folds == fold), np.flatnonzero(surveys.folds != fold)
        calibration = fit_calibration(logits[others], surveys.presence[others])
        crossed = cross_fit(logits[others], surveys.presence[others], surveys.folds[others])
        seen = sigmoid(crossed).astype(np.float64)
        p = sigmoid(calibration.calibrated_logits(logits[test])).astype(np.float64)
        expected[test] = p.sum(axis=1)
        for name, chosen in _apply_rules(p, seen, presence[others]):
            sets.setdefault(name, np.zeros(presence.shape, dtype=bool))[test] = chosen
        for name, numbers in _coverage(p, presence[test], seen, presence[others], surveys.blocks[others]):
            kept.setdefault(name, []).append({**numbers, "n_surveys": float(len(test))})
    rules = []
    for name, chosen in sets.items():
        scores = set_scores(surveys.presence, chosen)
        rules.append(
            {
                "rule": name,
                "sample_f1": scores.sample_f1,
                "macro_f1": scores.macro_f1,
                "size_error": scores.size_error,
                "richness_bias": scores.size_bias,
                "mean_size": float(chosen.sum(axis=1).mean()),
                "empty_percent": 100.0 * float((~chosen.any(axis=1)).mean()),
            }
        )
    number = presence.sum(axis=1)
    rules.append(
        {
            "rule": "expected richness Σp",
            "size_error": float(np.abs(expected - number).mean()),
            "richness_bias": float((expected - number).mean()),
            "mean_size": float(expected.mean()),
        }
    )
    rows = [_mean_over_folds(name, folds) for name, folds in kept.items()]
    return pd.DataFrame(rules), pd.DataFrame(rows)


def _apply_rules(p: Floats, seen: Floats, present: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Sets of the tested surveys by every rule; `seen` and `present` are those it may learn from."""
    yield "SSE", assemblages.sse(p)
    yield "threshold 0.5", assemblages.threshold(p, 0.5)
    common = assemblages.species_thresholds(seen, present, "f1")
    yield "one threshold, best F1", assemblages.threshold(p, common.common)
    for criterion in get_args(Criterion):
        found = assemblages.species_thresholds(seen, present, criterion)
        yield f"per species, {criterion}", assemblages.threshold(p, found.threshold)
    own = assemblages.species_thresholds(seen, present, "f1", strength=0)
    yield "per species, f1, not shrunk", assemblages.threshold(p, own.threshold)
    size = float(present.sum(axis=1).mean())
    yield "top-K", assemblages.top_k(p, int(np.rint(size)))
    yield "average-K", assemblages.threshold(p, assemblages.average_k_threshold(seen, size))
    for score in get_args(Score):
        yield f"MaxExp, {score}", assemblages.max_exp(p, score)


def _coverage(
    p: Floats, truth: np.ndarray, seen: Floats, present: np.ndarray, blocks: np.ndarray
) -> Iterator[tuple[str, dict[str, float]]]:
    n_present = present.sum(axis=0)
    rare = n_present < MINIMUM_PRESENCES
    # species too rare for limits of their own, in classes of doubling numbers of presences
    classes = np.where(rare, np.floor(np.log2(np.maximum(n_present, 1))), -1.0)
    kinds: tuple[tuple[str, dict[str, Any]], ...] = (
        ("marginal", {"kind": "marginal"}),
        ("class-conditional", {}),
        ("pooled by rarity", {"groups": classes}),
        ("pooled, by block", {"groups": classes, "blocks": blocks}),
    )
    for name, options in kinds:
        limits = assemblages.calibrate_conformal(seen, present, _ERROR_RATE, **options)
        found = assemblages.conformal_coverage(p, truth, limits)
        of_rare = truth & rare
        held = assemblages.conformal_set(p, limits)[of_rare]
        yield (
            f"sets, {name}",
            {
                "presences": found.presences,
                "presences_of_rare": float(held.mean()) if held.size else float("nan"),
                "absences": found.absences,
                "labels": found.labels,
                "possible": found.possible,
                "certain": found.certain,
                "observed": found.observed,
                "pooled_percent": 100.0 * float(limits.pooled.mean()),
            },
        )
    number = truth.sum(axis=1)
    for name, by in (("conformal", None), ("conformal, by block", blocks)):
        width = assemblages.calibrate_richness(seen, present, _ERROR_RATE, by)
        inside = np.abs(number - p.sum(axis=1)) <= width
        yield f"richness, {name}", {"labels": float(inside.mean()), "width": 2.0 * width}
    interval = poisson_binomial_interval(p, 1.0 - _ERROR_RATE)
    inside = (number >= interval[:, 0]) & (number <= interval[:, 1])
    width = float((interval[:, 1] - interval[:, 0]).mean())
    yield "richness, Poisson-binomial", {"labels": float(inside.mean()), "width": width}


def _mean_over_folds(name: str, folds: Sequence[dict[str, float]]) -> dict[str, float | str]:
    """Means weighted by the number of surveys of each fold."""
    weights = np.array([fold["n_surveys"] for fold in folds])
    row: dict[str, float | str] = {"what": name}
    for key in folds[0]:
        if key != "n_surveys":
            values = np.array([fold[key] for fold in folds])
            known = np.isfinite(values)
            row[key] = float(values[known] @ weights[known] / weights[known].sum()) if known.any() else np.nan
    labels = [fold["presences"] if "presences" in fold else fold["labels"] for fold in folds]
    row["lowest_fold"] = float(np.min(labels))
    return row


def to_text(result: AssemblageResult) -> str:
    """The tables as they are printed."""
    lines = []
    for name in result.settings.data_sets:
        lines += [f"{name}, held-out square blocks of {_BLOCK_DEG[name]:g}°, {_N_FOLDS} folds", ""]
        lines.append(
            f"{'rule':<30}{'F1':>8}{'macro F1':>10}{'size err':>10}{'bias':>8}{'size':>8}{'empty %':>9}"
        )
        for row in result.rules[result.rules["data"] == name].to_dict("records"):
            lines.append(
                f"{row['rule']:<30}{row['sample_f1']:8.4f}{row['macro_f1']:10.4f}{row['size_error']:10.2f}"
                f"{row['richness_bias']:8.2f}{row['mean_size']:8.2f}{row['empty_percent']:9.1f}"
            )
        lines += ["", f"coverage, promised {1 - _ERROR_RATE:.0%}"]
        lines.append(
            f"{'':<34}{'presences':>10}{'of rare':>9}{'absences':>10}{'all':>7}{'worst fold':>12}"
            f"{'possible':>10}{'certain':>9}{'observed':>10}{'width':>7}"
        )
        for row in result.coverage[result.coverage["data"] == name].to_dict("records"):
            lines.append(
                f"{row['what']:<34}{row['presences']:10.3f}{row['presences_of_rare']:9.3f}"
                f"{row['absences']:10.3f}{row['labels']:7.3f}{row['lowest_fold']:12.3f}{row['possible']:10.1f}"
                f"{row['certain']:9.1f}{row['observed']:10.1f}{row['width']:7.1f}"
            )
        lines.append("")
    lines.append(
        "F1: mean over surveys; macro F1: mean over species; size err: mean |predicted − recorded| species; "
        f"bias: mean of predicted − recorded. {result.wall_seconds:.0f} s."
    )
    return "\n".join(lines).replace("nan", "  –")
