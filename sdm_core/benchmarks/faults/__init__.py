"""Faults: power cuts, dead workers and schedulers, full disks, rivals and flipped bytes, done on purpose.

Each fault is done to the tiling of a small simulated study; what is there afterwards is compared, tile by
tile and in the end byte by byte, with a run that nothing disturbed.

study      the study and its model
trial      the undisturbed run and how others compare with it
kills      kill −9 while tiling and while building the hot copy
cluster    a Dask worker and a Dask scheduler killed
disk       a full disk, a flipped byte, two processes on one store
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sdm_core.benchmarks.faults.cluster import killed_scheduler, killed_worker
from sdm_core.benchmarks.faults.disk import flipped_bytes, full_disk, two_processes
from sdm_core.benchmarks.faults.kills import kill_hot, kill_tiling
from sdm_core.benchmarks.faults.trial import FaultResult, Trial
from sdm_core.errors import ConfigurationError

FAULTS = ("kills", "hot", "worker", "scheduler", "disk", "rivals", "flips")


def run_faults(
    folder: Path, *, n_kills: int = 50, n_flips: int = 20, seed: int = 0, only: str | None = None
) -> Iterator[FaultResult]:
    """Do every fault, or one of `FAULTS`, giving each result as it is there; `folder` is filled.

    Raises `ConfigurationError` for an unknown fault or a count below 1.
    """
    if only is not None and only not in FAULTS:
        raise ConfigurationError(f"no fault is called {only!r}; there are {', '.join(FAULTS)}.")
    if n_kills < 1 or n_flips < 1:
        raise ConfigurationError(f"{n_kills} kills and {n_flips} flips; expected 1 or more of each.")
    trial = Trial.prepare(folder)
    rng = np.random.default_rng(seed)
    done = {
        "kills": lambda: kill_tiling(trial, n_kills, rng),
        "hot": lambda: kill_hot(trial, max(1, n_kills // 5), rng),
        "worker": lambda: killed_worker(trial),
        "scheduler": lambda: killed_scheduler(trial),
        "disk": lambda: full_disk(trial),
        "rivals": lambda: two_processes(trial, 3),
        "flips": lambda: flipped_bytes(trial, n_flips, rng),
    }
    for name in FAULTS if only is None else (only,):
        yield done[name]()


__all__ = ["FAULTS", "FaultResult", "Trial", "run_faults"]
