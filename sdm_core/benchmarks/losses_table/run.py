"""The run: choose options on blocks set aside, train with every seed, judge in the held-out blocks."""

from __future__ import annotations

import math
import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from sdm_core.benchmarks.losses_table.data import DATA_SETS, LossData, Part, load
from sdm_core.benchmarks.losses_table.entries import ENTRIES, Entry, Options
from sdm_core.benchmarks.output import make_folder, write_table
from sdm_core.errors import ConfigurationError, TrainingError
from sdm_core.evaluation import average_precision
from sdm_core.losses import LOSSES
from sdm_core.models import DiscretizedGrid, GridSettings, Sinr, SpeciesModel
from sdm_core.training import TrainingSettings, fit

#: Key of the baseline all others are compared with.
BASELINE = "grid"
Say = Callable[[str], None]


@dataclass(frozen=True)
class TableSettings:
    """What is run."""

    data_sets: tuple[str, ...] = tuple(DATA_SETS)
    #: Keys of rows; empty for all whose loss is known.
    entries: tuple[str, ...] = ()
    #: Seeds of weights, order and noise; average precision is averaged over them. The blocks stay.
    seeds: tuple[int, ...] = (0, 1)
    #: Steps of every training, rounded up to whole passes over the sites; the same for every loss. Losses
    #: that give a presence no more weight than an absence (AN, AN-LS, focal, class-balanced, ROLE) learn
    #: slowest where species are many: on iNaturalist AN still rises fourfold from 300 to 1,200 steps.
    steps: int = 600
    #: Steps where options are chosen.
    choice_steps: int = 100
    batch_size: int = 512
    learning_rate: float = 5e-3
    width: int = 128
    n_blocks: int = 2
    #: Processes, each on one thread.
    n_jobs: int = 2

    def __post_init__(self) -> None:
        for name, value in (("jobs", self.n_jobs), ("steps", self.steps)):
            if value < 1:
                raise ConfigurationError(f"{name} = {value}; expected 1 or more.")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds) or min(self.seeds) < 0:
            raise ConfigurationError(
                f"seeds = {list(self.seeds)}; expected different whole numbers from 0 on."
            )
        if unknown := [name for name in self.data_sets if name not in DATA_SETS]:
            raise ConfigurationError(
                f"There is no data set {unknown[0]!r}; there are {', '.join(DATA_SETS)}."
            )
        if unknown := [name for name in self.entries if name not in ENTRIES]:
            raise ConfigurationError(f"There is no row {unknown[0]!r}; there are {', '.join(ENTRIES)}.")

    @property
    def wanted(self) -> tuple[str, ...]:
        """Keys of the rows, the baseline first."""
        asked = self.entries or tuple(ENTRIES)
        known = (key for key in asked if key != BASELINE and ENTRIES[key].loss in LOSSES)
        return (BASELINE, *known)


@dataclass(frozen=True)
class TableResult:
    """What a run found."""

    settings: TableSettings
    #: One row per data set and loss: options, MAP, its standard error, and the difference to the grid.
    table: pd.DataFrame
    #: One row per data set, loss, seed and species: average precision.
    per_species: pd.DataFrame
    #: One row per data set, loss and choice of options: MAP where options are chosen.
    choices: pd.DataFrame
    #: Data set → numbers of training sites, test cells and judged species.
    sizes: dict[str, tuple[int, int, int]]
    wall_seconds: float


@dataclass(frozen=True)
class _Task:
    """One training."""

    data: str
    folder: Path
    key: str
    options: Options
    seed: int
    #: Whether it is one of those that choose options.
    chooses: bool
    settings: TableSettings


def run_losses(data: Path, out: Path, settings: TableSettings, say: Say = lambda line: None) -> TableResult:
    """Run the table and write `losses.csv`, `per_species.csv` and `choices.csv` into `out`.

    Options of a loss are chosen where it has several: by MAP in a second set of held-out blocks, after
    training on the rest without the first; the blocks of the table play no part in that. Then every row is
    trained on all but the held-out blocks, with each seed.

    Raises `OccurrenceError` for missing data and `NotWritableError` for an `out` that cannot be written.
    """
    start = time.monotonic()
    make_folder(out)
    parts: list[tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]] = []
    sizes: dict[str, tuple[int, int, int]] = {}
    with _pool(settings.n_jobs) as pool:
        for name in settings.data_sets:
            loaded = _load(name, data, settings)
            sizes[name] = (
                len(loaded.final.train.inputs), len(loaded.final.test.inputs), int(loaded.final.judged.sum())
            )  # fmt: skip
            choices, chosen = _choose(loaded, data, settings, pool, say)
            per_species, seconds = _judge(loaded, data, settings, chosen, pool, say)
            table = summarise(per_species, settings.wanted)
            table["options"] = [_described(chosen[key]) for key in table["loss"]]
            table["cpu_seconds"] = [seconds[key] for key in table["loss"]]
            parts.append((table, per_species, choices))
            # After each data set, so that a later failure loses nothing.
            table, per_species, choices = (
                pd.concat(frames, ignore_index=True) for frames in zip(*parts, strict=True)
            )
            for file, frame in (("losses", table), ("per_species", per_species), ("choices", choices)):
                write_table(out / f"{file}.csv", frame)
    return TableResult(settings, table, per_species, choices, sizes, time.monotonic() - start)


def summarise(per_species: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """MAP and its difference to the baseline, each with its standard error over species.

    A species' average precision is its mean over seeds first. Columns: data, loss, n_species, map, map_se,
    difference, difference_se (of the mean paired difference), n_better, and map_by_seed_spread, the standard
    deviation of MAP over seeds (0 for one seed).
    """
    rows = []
    for data, own in per_species.groupby("data", sort=False):
        means = own.pivot_table(index="species", columns="loss", values="average_precision", sort=False)
        for key in keys:
            values = means[key].to_numpy()
            difference = values - means[BASELINE].to_numpy()
            by_seed = own[own["loss"] == key].groupby("seed")["average_precision"].mean()
            rows.append(
                {
                    "data": data,
                    "loss": key,
                    "n_species": len(values),
                    "map": values.mean(),
                    "map_se": _standard_error(values),
                    "difference": difference.mean(),
                    "difference_se": _standard_error(difference),
                    "n_better": int((difference > 0).sum()),
                    "map_by_seed_spread": float(by_seed.std(ddof=1)) if len(by_seed) > 1 else 0.0,
                }
            )
    return pd.DataFrame(rows)


def _standard_error(values: np.ndarray) -> float:
    """Standard deviation over √n."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")


def _choose(
    data: LossData, folder: Path, settings: TableSettings, pool: ProcessPoolExecutor | None, say: Say
) -> tuple[pd.DataFrame, dict[str, Options]]:
    """MAP of every choice of options, and the best of each row; the earlier choice where two are equal."""
    choices = {key: ENTRIES[key].choices(data) for key in settings.wanted}
    tasks = [
        _Task(data.name, folder, key, options, settings.seeds[0], True, settings)
        for key, several in choices.items()
        for options in several
        if len(several) > 1
    ]
    scores = {key: [0.0] * len(several) for key, several in choices.items()}
    for number, (task, precision, used) in enumerate(_run(tasks, pool), start=1):
        score = float(np.mean(precision[data.choice.judged]))
        scores[task.key][choices[task.key].index(task.options)] = score
        say(
            f"[{number}/{len(tasks)}] choosing {data.name} {task.key} {_described(task.options)}: "
            f"{score:.4f}, {used:.1f} s"
        )
    table = pd.DataFrame(
        [
            (data.name, key, _described(options), score)
            for key, several in choices.items()
            for options, score in zip(several, scores[key], strict=True)
            if len(several) > 1
        ],
        columns=["data", "loss", "options", "map"],
    )
    return table, {key: several[int(np.argmax(scores[key]))] for key, several in choices.items()}


def _judge(
    data: LossData,
    folder: Path,
    settings: TableSettings,
    chosen: Mapping[str, Options],
    pool: ProcessPoolExecutor | None,
    say: Say,
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Average precision by loss, seed and species in the held-out blocks, and CPU seconds by loss."""
    tasks = [
        _Task(data.name, folder, key, options, seed, False, settings)
        for key, options in chosen.items()
        for seed in (settings.seeds if key != BASELINE else settings.seeds[:1])
    ]
    judged = np.flatnonzero(data.final.judged)
    species = [data.species[column] for column in judged]
    seconds = dict.fromkeys(chosen, 0.0)
    found: dict[tuple[str, int], pd.DataFrame] = {}
    for number, (task, precision, used) in enumerate(_run(tasks, pool), start=1):
        columns = {"data": data.name, "loss": task.key, "seed": task.seed, "species": species}
        found[task.key, task.seed] = pd.DataFrame(columns | {"average_precision": precision[judged]})
        seconds[task.key] += used
        say(
            f"[{number}/{len(tasks)}] {data.name} {task.key} seed {task.seed}: "
            f"MAP {np.mean(precision[judged]):.4f}, {used:.1f} s"
        )
    return pd.concat([found[task.key, task.seed] for task in tasks], ignore_index=True), seconds


@contextmanager
def _pool(n_jobs: int) -> Iterator[ProcessPoolExecutor | None]:
    """Processes of one thread each; None for one job, which runs here. The results do not depend on which."""
    if n_jobs == 1:
        yield None
        return
    with ProcessPoolExecutor(n_jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _run(
    tasks: Sequence[_Task], pool: ProcessPoolExecutor | None
) -> Iterator[tuple[_Task, np.ndarray, float]]:
    """Each task with its result, as it is there."""
    if pool is None:
        for task in tasks:
            yield (task, *_train_and_judge(task))
        return
    running = {pool.submit(_train_and_judge, task): task for task in tasks}
    try:
        for future in as_completed(running):
            yield (running.pop(future), *future.result())
    except BrokenProcessPool as error:
        raise TrainingError(
            "A process of the benchmark was ended from outside, perhaps for want of memory; run it again "
            "with --jobs 1."
        ) from error


def _train_and_judge(task: _Task) -> tuple[np.ndarray, float]:
    """Average precision (n_species,) of one training, and the CPU seconds it took; one thread."""
    import torch
    from threadpoolctl import threadpool_limits

    data = _load(task.data, task.folder, task.settings)
    part = data.choice if task.chooses else data.final
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    start = time.process_time()
    try:
        with threadpool_limits(limits=1):
            model = _fitted(task, data, part)
            scores = model.predict_logits(part.test.inputs)
    finally:
        torch.set_num_threads(before)
    if ENTRIES[task.key].over_species:
        scores = torch.log_softmax(torch.from_numpy(scores), dim=1).numpy()
    used = time.process_time() - start
    return average_precision(scores, part.test.labels), used


def _fitted(task: _Task, data: LossData, part: Part) -> SpeciesModel:
    """The grid, or SINR trained with the loss."""
    entry: Entry = ENTRIES[task.key]
    settings = task.settings
    if not entry.loss:
        grid = DiscretizedGrid(GridSettings(**task.options), data.species, data.covariates)
        grid.fit(part.train.inputs, part.train.labels)
        return grid
    steps = settings.choice_steps if task.chooses else settings.steps
    training = TrainingSettings(
        epochs=math.ceil(steps / math.ceil(len(part.train.inputs) / settings.batch_size)),
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        weight_decay=0.0,
        loss=entry.loss,
        loss_options=dict(task.options),
        seed=task.seed,
    )
    model = Sinr(data.network, data.species, data.covariates, seed=task.seed)
    fit(
        model, part.train.inputs, part.train.labels, training,
        background=data.background, device="cpu", progress=False,
    )  # fmt: skip
    return model


@lru_cache(maxsize=3)
def _cached(name: str, data: Path, width: int, n_blocks: int) -> LossData:
    return load(name, data, width, n_blocks)


def _load(name: str, data: Path, settings: TableSettings) -> LossData:
    """A data set, read once per process."""
    return _cached(name, data, settings.width, settings.n_blocks)


def _described(options: Options) -> str:
    """Options as they are printed."""
    numbers = {k: f"{v:g}" if isinstance(v, int | float) else str(v) for k, v in options.items()}
    return " ".join(f"{name}={value.replace(' ', '')}" for name, value in numbers.items())
