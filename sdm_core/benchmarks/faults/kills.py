"""Power cuts: the tiling process is killed at random moments, and what is there is read after each."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sdm_core.benchmarks.faults.trial import FaultResult, Trial, start_process
from sdm_core.errors import FlorascopeError
from sdm_core.prediction import PredictionStore
from sdm_core.prediction.integrity import STORE_FILE


def kill_tiling(trial: Trial, n_kills: int, rng: np.random.Generator) -> FaultResult:
    """Kill −9 at random moments of tiling, compare every tile after each, go on, and compare the whole."""
    name, compared, wrong, refused, n_whole, kills = "killed", 0, 0, 0, 0, 0
    equal = True
    while kills < n_kills:
        if _killed(lambda: _finish(trial, name), float(rng.uniform(0.0, trial.seconds / 4))):
            kills += 1
            read, bad, damaged = trial.compare(name)
            compared, wrong, refused = compared + read, wrong + bad, refused + damaged
            continue
        n_whole += 1
        equal &= trial.is_equal(name)
        shutil.rmtree(trial.folder / name)
    trial.finish(name)
    equal &= trial.is_equal(name)
    details = f"{n_whole + 1} whole runs out of the pieces, {refused} tiles found damaged"
    return FaultResult("kill −9 while tiling", kills, compared, wrong, equal, details)


def kill_hot(trial: Trial, n_kills: int, rng: np.random.Generator) -> FaultResult:
    """Kill −9 at random moments of building the hot copy; what can be opened must be whole."""
    name, n_species = "hot-killed", trial.grid.n_species
    reference = trial.hot("hot")
    started = time.perf_counter()
    trial.hot(name)
    seconds = time.perf_counter() - started
    shutil.rmtree(trial.folder / name)
    kills, compared, wrong = 0, 0, 0
    while kills < n_kills:
        killed = _killed(lambda: _build(trial, name), float(rng.uniform(0.0, seconds)))
        kills += killed
        if (trial.folder / name / STORE_FILE).exists():
            compared += 1
            wrong += not _same(trial.folder / name, reference)
        if not killed:
            shutil.rmtree(trial.folder / name)
    trial.hot(name)
    equal = _same(trial.folder / name, reference)
    details = f"{reference.n_cells} cells × {n_species} species, opened where it was there"
    return FaultResult("kill −9 while building the hot copy", kills, compared, wrong, equal, details)


def _same(folder: Path, reference: PredictionStore) -> bool:
    """Whether a hot store opens, verifies and holds the codes of another."""
    try:
        store = PredictionStore.open(folder)
        store.verify()
    except FlorascopeError:
        return False
    return bool(np.array_equal(store.codes, reference.codes) and np.array_equal(store.cells, reference.cells))


def _finish(trial: Trial, name: str) -> int:
    trial.finish(name)
    return 0


def _build(trial: Trial, name: str) -> int:
    trial.hot(name)
    return 0


def _killed(work: Callable[[], int], seconds: float) -> bool:
    """Do some work in another process and kill it after a time; False when it had ended before."""
    child = start_process(work)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    if os.WEXITSTATUS(status):
        raise RuntimeError(f"the process that was to be killed ended with status {os.WEXITSTATUS(status)}")
    return False
