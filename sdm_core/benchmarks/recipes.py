"""Recipes against their own first step: `python -m sdm_core benchmark recipes --data DIR --out OUT`.

Data: EU-Forest. Surveys are a few hundred cells of 1/6° drawn at random from the training blocks, with all
species recorded in them. Records are subsampled real records of the other training cells: one species at one
1-km plot, drawn evenly from the source's records; so countries with dense inventories, and common species,
are over-represented among them as they are in the source. Each seed draws other surveys and records.

Square blocks of 2° are dealt to five folds. Settings are chosen by training on the first fold and judging in
the second; neither is judged in again. Each of the other three is held out in turn, with surveys and records
drawn from the four others. So no label of a judged block has a part in training or in choosing.
"""

from __future__ import annotations

import itertools
import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from sdm_core.assemblages import sse
from sdm_core.benchmarks.output import make_folder, write_table
from sdm_core.covariates import read_stack
from sdm_core.errors import ConfigurationError
from sdm_core.evaluation import ranking_scores, species_f1
from sdm_core.evaluation.splits import block_folds
from sdm_core.features import site_table
from sdm_core.models import Ensemble, NetworkSettings, Sinr, SiteInputs, SpeciesModel
from sdm_core.occurrences import read_eu_forest
from sdm_core.training import TrainingSettings
from sdm_core.training.recipes import (
    OneStep,
    PseudoLabels,
    Recipe,
    RecipeData,
    ThreeStep,
    run_recipe,
)

Say = Callable[[str], None]
Options = Mapping[str, Any]

#: Rows of the table, and what they are.
ROWS: dict[str, str] = {
    "surveys": "first step: surveys only",
    "surveys, twice as long": "surveys only, for as many epochs as steps 1 and 3 together",
    "fold mean": "first step of pseudo-labels: mean of the models of the folds",
    "both at once": "surveys and records together, a record as a survey of one species",
    "three_step": "surveys, then records (softmax), then surveys",
    "pseudo_labels": "surveys and records with pseudo-labels",
}
#: Row → the first step it is compared with.
FIRST_STEP = {"three_step": "surveys", "pseudo_labels": "surveys", "both at once": "surveys"}
#: What may be chosen on the blocks set aside; the papers' values come first.
CHOICES: dict[str, list[Options]] = {
    "surveys": [
        {"epochs": n_epochs, "learning_rate": rate}
        for n_epochs, rate in ((30, 1e-3), (60, 1e-3), (60, 3e-3), (120, 3e-3))
    ],
    "three_step": [
        {"records": {"epochs": n_epochs, "learning_rate": rate}}
        for n_epochs, rate in itertools.product((10, 30), (3e-3, 1e-3))
    ],
    "pseudo_labels": [
        {"low": low, "high": high, "record_weight": weight}
        for (low, high), weight in itertools.product(((0.05, 0.4), (0.02, 0.6)), (1.0, 0.1))
    ],
}
MEASURES = {"auc": "AUC", "average_precision": "AP", "f1": "F1"}
_BLOCK_DEG, _N_FOLDS, _MIN_CELLS = 2.0, 5, 50
#: Fold that settings are chosen on (after training on the one before), and those that are judged in.
_CHOICE_TRAIN, _CHOICE_TEST, _JUDGED = 0, 1, (2, 3, 4)


@dataclass(frozen=True)
class RecipeBenchmark:
    """What is run."""

    seeds: tuple[int, ...] = (0, 1, 2, 3)
    #: Seeds on which settings are chosen.
    choice_seeds: tuple[int, ...] = (0, 1)
    n_surveys: int = 400
    n_records: int = 8000
    #: Species with fewer presences in the held-out cells are not judged.
    min_test_cells: int = 10
    width: int = 128
    #: Processes, each on one thread.
    n_jobs: int = 2

    def __post_init__(self) -> None:
        for name in ("n_surveys", "n_records", "n_jobs"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} = {getattr(self, name)}; expected 1 or more.")
        if any(seed < 0 for seed in self.seeds) or len(set(self.seeds)) < len(self.seeds):
            raise ConfigurationError(
                f"seeds = {list(self.seeds)}; expected different whole numbers from 0 on."
            )
        if not self.seeds or not self.choice_seeds:
            raise ConfigurationError("The benchmark of recipes needs at least one seed.")


@dataclass(frozen=True)
class Forest:
    """EU-Forest as surveys and as records."""

    cells: SiteInputs
    #: Species recorded in each cell (n_cells, n_species) uint8.
    presence: np.ndarray = field(repr=False)
    cell_folds: np.ndarray = field(repr=False)
    #: Where each record is, one row per record.
    records: SiteInputs = field(repr=False)
    #: Row of the cell and column of the species of each record.
    record_cells: np.ndarray = field(repr=False)
    record_species: np.ndarray = field(repr=False)
    species: tuple[str, ...] = field(repr=False)
    covariates: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True)
class RecipeResult:
    """What a run found."""

    settings: RecipeBenchmark
    #: One row per row of the table: means, differences to the first step, standard errors.
    table: pd.DataFrame
    #: One row per model, fold, seed and species.
    per_species: pd.DataFrame
    #: One row per choice of settings: mean average precision where they are chosen.
    choices: pd.DataFrame
    wall_seconds: float


@dataclass(frozen=True)
class _Task:
    """One draw of surveys and records, and the rows trained on it."""

    folder: Path
    settings: RecipeBenchmark
    seed: int
    train_folds: tuple[int, ...]
    test_fold: int
    #: Row, its settings, and their number among the choices.
    rows: tuple[tuple[str, Options, int], ...]
    surveys: Options


def run_recipes(
    data: Path, out: Path, settings: RecipeBenchmark | None = None, say: Say = lambda line: None
) -> RecipeResult:
    """Choose settings, train every row in every held-out fold with every seed, write three CSV files.

    Raises `OccurrenceError` for missing data and `NotWritableError` for an `out` that cannot be written.
    """
    settings = settings or RecipeBenchmark()
    start = time.monotonic()
    make_folder(out)
    chosen, choices = _choose(data, settings, say)
    surveys = chosen["surveys"]
    rows = tuple((name, chosen.get(name, {}), 0) for name in ROWS if name != "fold mean")
    tasks = [
        _Task(data, settings, seed, tuple(f for f in range(_N_FOLDS) if f != fold), fold, rows, surveys)
        for fold in _JUDGED
        for seed in settings.seeds
    ]
    found = []
    for number, scores in enumerate(_run(tasks, settings.n_jobs), start=1):
        found.append(scores)
        mean = scores.groupby("model", sort=False)["average_precision"].mean()
        say(f"[{number}/{len(tasks)}] AP " + ", ".join(f"{name} {value:.4f}" for name, value in mean.items()))
    per_species = pd.concat(found, ignore_index=True)
    table = summarise(per_species)
    table["settings"] = [_described(chosen.get(name, {})) for name in table["model"]]
    for name, frame in (("recipes", table), ("per_species", per_species), ("choices", choices)):
        write_table(out / f"{name}.csv", frame)
    return RecipeResult(settings, table, per_species, choices, time.monotonic() - start)


def summarise(per_species: pd.DataFrame) -> pd.DataFrame:
    """Mean scores of each row, and differences to its first step with two standard errors.

    `…_se_species`: of the difference, averaged over folds and seeds, over species. `…_se_runs`: of the mean
    difference over species, over folds and seeds. The larger one says how sure the difference is.
    """
    rows = []
    for name in ROWS:
        own = per_species[per_species["model"] == name].set_index(["fold", "seed", "species"])
        if own.empty:
            continue
        row: dict[str, Any] = {"model": name, "first_step": FIRST_STEP.get(name, "")}
        for measure in MEASURES:
            row[measure] = own[measure].groupby("species").mean().mean()
        for first in ("surveys", "fold mean"):
            if name == first or (first == "fold mean" and name != "pseudo_labels"):
                continue
            other = per_species[per_species["model"] == first].set_index(["fold", "seed", "species"])
            for measure in MEASURES:
                difference = (own[measure] - other[measure]).dropna()
                by_species = difference.groupby("species").mean()
                by_run = difference.groupby(["fold", "seed"]).mean()
                lead = f"{measure} minus {first}"
                row[lead] = by_species.mean()
                row[f"{lead} se_species"] = by_species.std(ddof=1) / np.sqrt(len(by_species))
                row[f"{lead} se_runs"] = by_run.std(ddof=1) / np.sqrt(len(by_run))
        rows.append(row)
    return pd.DataFrame(rows)


def to_text(result: RecipeResult) -> str:
    """The table as it is printed."""
    s, table = result.settings, result.table
    n_species = result.per_species["species"].nunique()
    lines = [
        f"EU-Forest: {s.n_surveys} cells as surveys, {s.n_records} subsampled real records; {len(_JUDGED)} "
        f"held-out folds of 2° blocks × {len(s.seeds)} seeds, {n_species} species; "
        f"{result.wall_seconds:.0f} s",
        f"{'':<24}" + "".join(f"{title:>8}" for title in MEASURES.values()),
    ]
    for row in table.to_dict("records"):
        lines.append(f"{row['model']:<24}" + "".join(f"{row[measure]:8.4f}" for measure in MEASURES))
    lines += ["", "Difference to the first step (± standard error over species, over runs):"]
    for row in table.to_dict("records"):
        for first in ("surveys", "fold mean"):
            if np.isnan(row.get(f"auc minus {first}", np.nan)):
                continue
            parts = [
                f"{title} {row[f'{measure} minus {first}']:+.4f} "
                f"(±{row[f'{measure} minus {first} se_species']:.4f}, "
                f"±{row[f'{measure} minus {first} se_runs']:.4f})"
                for measure, title in MEASURES.items()
            ]
            lines.append(f"{row['model']:<24} minus {first}: " + "; ".join(parts))
    lines.append("")
    lines += [f"{name}: {meaning}" for name, meaning in ROWS.items()]
    lines += [
        f"{row['model']} was given {row['settings']}" for row in table.to_dict("records") if row["settings"]
    ]
    lines.append(
        f"Scores: means over species with {s.min_test_cells} or more presences in the held-out cells; F1 of "
        "each species in sets of as many species as the probabilities add up to. Settings were chosen by AP "
        "in blocks that are not judged in."
    )
    return "\n".join(lines)


def load(data: Path) -> Forest:
    """EU-Forest on the 31 predictors; species recorded in 50 cells or more."""
    occurrences = read_eu_forest(data / "eu_forest" / "EUForestspecies.zip")
    stack = read_stack(data / "europe_predictors_20km" / "europe_current_31vars.tif")
    sites = site_table(occurrences, stack, by="cell", min_sites=_MIN_CELLS)
    known = occurrences.table["species"].isin(sites.species)
    longitude = occurrences.table["longitude"].to_numpy(float)
    latitude = occurrences.table["latitude"].to_numpy(float)
    cell = stack.cell_index(longitude, latitude)
    row = np.searchsorted(sites.cell, cell).clip(max=sites.n_sites - 1)
    kept = known.to_numpy() & (sites.cell[row] == cell)
    values = stack.values.reshape(len(stack.names), -1).T
    species = pd.Index(sites.species).get_indexer(occurrences.table["species"][kept])
    lonlat = np.column_stack([longitude, latitude])[kept]
    features = np.ascontiguousarray(values[sites.cell], dtype=np.float32)
    return Forest(
        SiteInputs(sites.lonlat, features),
        sites.presence,
        block_folds(sites.lonlat, _BLOCK_DEG, _N_FOLDS, seed=0, assignment="balanced"),
        SiteInputs(lonlat, features[row[kept]]),
        row[kept],
        species,
        sites.species,
        tuple(stack.names),
    )


def draw(
    forest: Forest, folds: Sequence[int], n_surveys: int, n_records: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the cells that are surveyed, and of the records from other cells of these folds."""
    rng = np.random.default_rng([seed, 11])
    is_in = np.isin(forest.cell_folds, folds)
    surveyed = np.sort(rng.choice(np.flatnonzero(is_in), n_surveys, replace=False))
    is_in[surveyed] = False
    records = np.flatnonzero(is_in[forest.record_cells])
    return surveyed, np.sort(rng.choice(records, n_records, replace=False))


def _choose(data: Path, settings: RecipeBenchmark, say: Say) -> tuple[dict[str, Options], pd.DataFrame]:
    """The settings of each row with the best average precision in the blocks set aside for that."""
    chosen: dict[str, Options] = {}
    rows: list[dict[str, Any]] = []
    for names in (("surveys",), ("three_step", "pseudo_labels")):
        tasks = [
            _Task(
                data, settings, seed, (_CHOICE_TRAIN,), _CHOICE_TEST, ((name, options, number),),
                chosen.get("surveys", {}),
            )
            for name in names
            for number, options in enumerate(CHOICES[name])
            for seed in settings.choice_seeds
        ]  # fmt: skip
        found = pd.concat(_run(tasks, settings.n_jobs), ignore_index=True)
        for name in names:
            own = found[found["model"] == name]
            means = own.groupby("choice")["average_precision"].mean()
            best = int(means.to_numpy().argmax())
            chosen[name] = CHOICES[name][best]
            for options, mean in zip(CHOICES[name], means, strict=True):
                rows.append({"model": name, "settings": _described(options), "average_precision": mean})
            say(f"{name}: {_described(chosen[name])} (AP {means[best]:.4f}, {means.min():.4f} at worst)")
    return chosen, pd.DataFrame(rows)


def _run(tasks: Sequence[_Task], n_jobs: int) -> Iterator[pd.DataFrame]:
    """Run tasks here, or in processes of one thread each, in the order they end."""
    if n_jobs == 1:
        yield from map(_train_and_judge, tasks)
        return
    with ProcessPoolExecutor(n_jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from (
            future.result() for future in as_completed([pool.submit(_train_and_judge, t) for t in tasks])
        )


@lru_cache(maxsize=1)
def _loaded(data: Path) -> Forest:
    return load(data)


def _train_and_judge(task: _Task) -> pd.DataFrame:
    """Scores of every row of a task, one line per species."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        forest = _loaded(task.folder)
        s = task.settings
        surveyed, drawn = draw(forest, task.train_folds, s.n_surveys, s.n_records, task.seed)
        recorded = sparse.csr_matrix(
            (np.ones(len(drawn), np.uint8), (np.arange(len(drawn)), forest.record_species[drawn])),
            shape=(len(drawn), len(forest.species)),
        )
        data = RecipeData(
            forest.cells.take(surveyed), forest.presence[surveyed], forest.records.take(drawn), recorded
        )
        test = np.flatnonzero(forest.cell_folds == task.test_fold)
        inputs, presence = forest.cells.take(test), forest.presence[test]
        found = []
        for name, options, number in task.rows:
            for row, model in _trained(name, options, task, forest, data):
                scores = _judge(model, inputs, presence, forest.species, s.min_test_cells)
                found.append(scores.assign(model=row, choice=number, fold=task.test_fold, seed=task.seed))
    finally:
        torch.set_num_threads(before)
    return pd.concat(found, ignore_index=True)


def _trained(
    name: str, options: Options, task: _Task, forest: Forest, data: RecipeData
) -> list[tuple[str, SpeciesModel]]:
    """The model of a row; with pseudo-labels also the mean of their folds' models."""
    base = TrainingSettings(
        batch_size=64, weight_decay=1e-2, seed=task.seed, **(options if name == "surveys" else task.surveys)
    )
    network = NetworkSettings(
        inputs="env", width=task.settings.width, n_blocks=2, dropout=0.2, head_bias=True
    )
    model = Sinr(network, forest.species, forest.covariates, seed=task.seed)
    # Records outnumber surveys twenty times: with them, batches are larger and epochs fewer.
    with_records: dict[str, Any] = {"batch_size": 256, "epochs": max(base.epochs // 3, 10)}
    recipe: Recipe = OneStep()
    if name == "surveys, twice as long":
        base = replace(base, epochs=2 * base.epochs)
    elif name == "both at once":
        recipe, base = OneStep(data="both"), replace(base, **with_records)
    elif name == "three_step":
        recipe = ThreeStep(records={"batch_size": 256, **options["records"]})
    elif name == "pseudo_labels":
        recipe = PseudoLabels(**options, retrain=with_records)
    members: list[SpeciesModel] = []
    run_recipe(recipe, model, data, base, device="cpu", progress=False, fold_models=members)
    found: list[tuple[str, SpeciesModel]] = [(name, model)]
    if members:
        found.append(("fold mean", Ensemble(members, "mean_probability")))
    return found


def _judge(
    model: SpeciesModel, inputs: SiteInputs, presence: np.ndarray, species: Sequence[str], min_cells: int
) -> pd.DataFrame:
    """AUC, average precision and F1 of each species with enough presences."""
    logits = model.predict_logits(inputs)
    scores = ranking_scores(presence, logits)
    sets = sse(0.5 * (1 + np.tanh(0.5 * logits.astype(np.float64))))
    judged = presence.sum(axis=0, dtype=np.int64) >= min_cells
    table = pd.DataFrame(
        {
            "species": species,
            "auc": scores.auc,
            "average_precision": scores.average_precision,
            "f1": species_f1(presence, np.asarray(sets)),
        }
    )
    return table[judged]


def _described(options: Options) -> str:
    """Settings as they are printed."""
    return " ".join(
        f"{name}({_described(value)})" if isinstance(value, Mapping) else f"{name}={value:g}"
        for name, value in options.items()
    )
