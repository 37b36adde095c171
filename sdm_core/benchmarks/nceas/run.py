"""The run: fit and predict group by group on several cores, write the predictions, only then score."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sdm_core import __version__
from sdm_core.benchmarks.nceas.data import Background, GroupData, Predictors, Survey, load_groups
from sdm_core.benchmarks.nceas.methods import METHODS, REFERENCE, with_members
from sdm_core.benchmarks.nceas.scoring import NotScored, paired_differences, score_groups
from sdm_core.benchmarks.output import make_folder, write_table
from sdm_core.errors import ConfigurationError, TrainingError
from sdm_core.occurrences.nceas import NCEAS_REGIONS, NCEAS_SOURCE

Say = Callable[[str], None]


@dataclass(frozen=True)
class NceasSettings:
    """What is run."""

    #: Regions, in the order of the table.
    regions: tuple[str, ...] = tuple(NCEAS_REGIONS)
    #: Names of methods; empty for all.
    methods: tuple[str, ...] = ()
    #: Seeds; the scores of a method are averaged over its seeds.
    seeds: tuple[int, ...] = (0, 1, 2)
    #: What presences are compared with.
    background: Background = "target-group"
    #: All covariates, or those of Valavi et al. 2022.
    predictors: Predictors = "all"
    #: Processes, each on one thread.
    n_jobs: int = 2

    def __post_init__(self) -> None:
        if self.n_jobs < 1:
            raise ConfigurationError(f"jobs = {self.n_jobs}; expected 1 or more.")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds) or min(self.seeds) < 0:
            raise ConfigurationError(
                f"seeds = {list(self.seeds)}; expected different whole numbers from 0 on."
            )
        if unknown := [name for name in self.regions if name not in NCEAS_REGIONS]:
            raise ConfigurationError(
                f"NCEAS has no region {unknown[0]!r}; there are {', '.join(NCEAS_REGIONS)}."
            )
        if not self.regions or len(set(self.regions)) != len(self.regions):
            raise ConfigurationError("Name each region once, and at least one.")
        with_members(self.methods)

    @property
    def wanted(self) -> tuple[str, ...]:
        """Methods of the table; without choice, all whose packages are installed."""
        return self.methods or tuple(
            name for name, method in METHODS.items() if method.available and _all_available(method.members)
        )


@dataclass(frozen=True)
class NceasResult:
    """What a run found; see `to_text` of the table module for its printed form."""

    settings: NceasSettings
    #: Method whose scores the prediction files hold.
    submitted: str
    #: One row per region, species and method.
    table: pd.DataFrame
    #: Mean AUC by method, seed and region, for methods run with several seeds.
    seeds: pd.DataFrame
    #: Paired differences to the down-sampled forest, by method and region.
    differences: pd.DataFrame
    not_scored: tuple[NotScored, ...]
    #: CPU seconds by method, over all groups and seeds, and wall seconds of the whole run.
    cpu_seconds: Mapping[str, float]
    wall_seconds: float


def run_nceas(
    data: Path, out: Path, settings: NceasSettings, submitted: str, say: Say = lambda line: None
) -> NceasResult:
    """Run the benchmark and write `out`: predictions first, then `auc.csv` and the other tables.

    Args:
        data: the NCEAS folder.
        out: folder of the results; made where there is none.
        settings: what is run.
        submitted: the method whose scores the prediction files hold; when it is not among the methods
            asked for, the last of these is taken.
        say: is told of progress.

    Raises:
        OccurrenceError: for files that are missing or not what they should be.
        ConfigurationError: for an unknown method.
        NotWritableError: for an `out` that cannot be written.
    """
    start = time.monotonic()
    methods = settings.wanted
    chosen = submitted if submitted in methods else methods[-1]
    make_folder(out / "predictions")
    groups = load_groups(data, settings.regions, settings.predictors, settings.background)
    n_species = sum(len(group.species) for group in groups)
    say(f"{len(groups)} groups, {n_species} species, methods {', '.join(methods)}")
    scores, by_seed, seconds = _predict(groups, settings, say)
    for group in groups:
        for survey in group.surveys:
            path = out / "predictions" / f"{group.region}_{survey.group}.csv"
            _write_predictions(path, group, survey, scores[group.name, chosen])
    _write_about(out / "about.json", settings, chosen, groups)
    say("predictions written; now the labels are opened")
    asked = {key: values for key, values in scores.items() if key[1] in methods}
    table, not_scored = score_groups(data, groups, asked)
    seeds = _score_seeds(data, groups, by_seed)
    differences = paired_differences(table, REFERENCE)
    write_table(out / "auc.csv", table, digits=8)
    write_table(out / "differences.csv", differences, digits=8)
    write_table(out / "seeds.csv", seeds, digits=8)
    write_table(
        out / "not_scored.csv",
        pd.DataFrame(
            [asdict(entry) for entry in not_scored], columns=["region", "group", "species", "reason"]
        ),
    )
    return NceasResult(
        settings, chosen, table, seeds, differences, tuple(not_scored), seconds, time.monotonic() - start
    )


def _predict(
    groups: Sequence[GroupData], settings: NceasSettings, say: Say
) -> tuple[dict[tuple[str, str], np.ndarray], dict[tuple[str, str], dict[int, np.ndarray]], dict[str, float]]:
    """Scores by (group, method) averaged over seeds, the same seed by seed, and CPU seconds by method."""
    every = with_members(settings.wanted)
    tasks = [
        (group, name, seed)
        for group in groups
        for name in every
        if METHODS[name].fit_predict is not None
        for seed in METHODS[name].seeds(settings.seeds)
    ]
    tasks.sort(key=lambda task: -int(task[0].counts.sum()) - len(task[0].test_siteid))  # the longest first
    parts: dict[tuple[str, str], dict[int, np.ndarray]] = {}
    seconds: dict[str, float] = dict.fromkeys(every, 0.0)
    for number, ((group, name, seed), values, used) in enumerate(_run(tasks, settings.n_jobs), start=1):
        parts.setdefault((group.name, name), {})[seed] = values
        seconds[name] += used
        say(f"[{number}/{len(tasks)}] {group.name} {name} seed {seed}: {used:.1f} s")
    scores: dict[tuple[str, str], np.ndarray] = {}
    for group in groups:
        for name in every:
            method = METHODS[name]
            if method.fit_predict is None:
                members = [scores[group.name, member] for member in method.members]
                scores[group.name, name] = method.combine(members)
            else:
                by_seed = parts[group.name, name]
                scores[group.name, name] = np.mean([by_seed[seed] for seed in sorted(by_seed)], axis=0)
    return scores, parts, seconds


def _score_seeds(
    data: Path, groups: Sequence[GroupData], by_seed: Mapping[tuple[str, str], Mapping[int, np.ndarray]]
) -> pd.DataFrame:
    """Mean AUC by method, seed and region, where there are several seeds."""
    tables = []
    for seed in sorted({seed for parts in by_seed.values() if len(parts) > 1 for seed in parts}):
        own = {key: parts[seed] for key, parts in by_seed.items() if len(parts) > 1 and seed in parts}
        tables.append(score_groups(data, groups, own)[0].assign(seed=seed))
    if not tables:
        return pd.DataFrame(columns=["method", "seed", "region", "auc"])
    table = pd.concat(tables, ignore_index=True)
    overall = table.assign(region="all")
    return (
        pd.concat([table, overall])
        .groupby(["method", "seed", "region"], sort=False)["auc"]
        .mean()
        .reset_index()
    )


_Task = tuple[GroupData, str, int]


def _run(tasks: Sequence[_Task], n_jobs: int) -> Iterator[tuple[_Task, np.ndarray, float]]:
    """Run tasks here, or in processes of one thread each; the results do not depend on which."""
    if n_jobs == 1:
        for task in tasks:
            yield (task, *_fit_predict(*task))
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n_jobs, mp_context=context) as pool:
        running: dict[Future[tuple[np.ndarray, float]], _Task] = {
            pool.submit(_fit_predict, *task): task for task in tasks
        }
        try:
            for future in as_completed(running):
                yield (running.pop(future), *future.result())
        except BrokenProcessPool as error:
            raise TrainingError(
                "A process of the benchmark was ended from outside, perhaps for want of memory; run it again "
                "with --jobs 1."
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _fit_predict(group: GroupData, name: str, seed: int) -> tuple[np.ndarray, float]:
    """Scores of one method on one group, checked, and the CPU seconds it took; one thread."""
    import torch
    from threadpoolctl import threadpool_limits

    method = METHODS[name].fit_predict
    assert method is not None
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    start = time.process_time()
    try:
        with threadpool_limits(limits=1):
            scores = np.asarray(method(group, seed), dtype=np.float64)
    finally:
        torch.set_num_threads(before)
    used = time.process_time() - start
    expected = (len(group.test_siteid), len(group.species))
    if scores.shape != expected or not np.isfinite(scores).all():
        raise TrainingError(
            f"The method {name} gave scores of shape {scores.shape} for {group.name}, or scores that are not "
            f"finite; expected {expected}."
        )
    return scores, used


def _all_available(names: Sequence[str]) -> bool:
    return all(METHODS[name].available and _all_available(METHODS[name].members) for name in names)


def _write_predictions(path: Path, group: GroupData, survey: Survey, scores: np.ndarray) -> None:
    """One row per test site, in file order: siteid and one score per species."""
    own = scores[survey.rows][:, survey.columns]
    table = pd.DataFrame(own, columns=[group.species[number] for number in survey.columns])
    table.insert(0, "siteid", list(group.test_siteid[survey.rows]))
    write_table(path, table, digits=8)


def _write_about(path: Path, settings: NceasSettings, chosen: str, groups: Iterable[GroupData]) -> None:
    """What the prediction files are, as JSON beside them."""
    about: dict[str, Any] = {
        "method": chosen,
        "method_title": METHODS[chosen].title,
        "files": "predictions/<REGION>_<group>.csv: siteid as in test_env, then one column per species; a "
        "higher score means more likely present; scores are no probabilities and are not comparable "
        "between species",
        "labels": "no label of a test site was opened before these files were written",
        "settings": asdict(settings) | {"methods": list(settings.wanted)},
        "seeds_of_method": list(METHODS[chosen].seeds(settings.seeds)),
        "members": list(METHODS[chosen].members),
        "groups": {
            group.name: {
                "surveys": [survey.group for survey in group.surveys],
                "n_species": len(group.species),
                "n_sites": len(group.sites_xy),
                "n_records": int(group.counts.sum()),
                "n_test_sites": len(group.test_siteid),
                "n_background": len(group.background_xy) if settings.background == "random" else 0,
                "features": list(group.feature_names),
            }
            for group in groups
        },
        "sites": "records of one taxonomic group that share x and y are one site; one joint model per "
        "taxonomic group",
        "source": NCEAS_SOURCE,
        "code_version": __version__,
    }
    path.write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
