"""A Dask cluster whose workers and scheduler are killed while tiles are being predicted."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sdm_core import config
from sdm_core.benchmarks.faults.trial import FaultResult, Trial
from sdm_core.prediction.tiling import Progress, run_tiling

_HOST = "127.0.0.1"
_WAIT_SECONDS = 60.0


@dataclass
class LocalProcesses:
    """A scheduler and workers as processes of their own, as on a cluster; end them with `close`."""

    n_workers: int = 2
    port: int = 0
    scheduler: subprocess.Popen | None = None
    workers: list[subprocess.Popen] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Address of the scheduler."""
        return f"tcp://{_HOST}:{self.port}"

    def start(self) -> None:
        """Start what does not run."""
        self.port = self.port or _free_port()
        if self.scheduler is None or self.scheduler.poll() is not None:
            self.scheduler = _start(
                "dask_scheduler", "--host", _HOST, "--port", str(self.port), "--no-dashboard"
            )
            _wait_for(self.port)
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        while len(self.workers) < self.n_workers:
            self.workers.append(
                _start("dask_worker", self.address, "--nthreads", "1", "--no-dashboard", "--no-nanny")
            )

    def kill_worker(self) -> None:
        """Kill −9 one worker; nobody starts it again."""
        _kill(self.workers[0])

    def kill_scheduler(self) -> None:
        """Kill −9 the scheduler, and start it again with workers, as a supervisor would."""
        assert self.scheduler is not None
        _kill(self.scheduler)
        for worker in self.workers:
            _kill(worker)
        self.start()

    def close(self) -> None:
        """End all of it."""
        for process in [*self.workers, self.scheduler]:
            if process is not None and process.poll() is None:
                _kill(process)


def killed_worker(trial: Trial, n_workers: int = 2) -> FaultResult:
    """Kill a worker in the middle of a run on a cluster."""
    return _run(trial, "worker killed −9", "worker", LocalProcesses.kill_worker, n_workers)


def killed_scheduler(trial: Trial, n_workers: int = 2) -> FaultResult:
    """Kill the scheduler in the middle of a run, and start it again."""
    title = "scheduler killed −9, restarted"
    return _run(trial, title, "scheduler", LocalProcesses.kill_scheduler, n_workers)


def _run(
    trial: Trial, title: str, name: str, fault: Callable[[LocalProcesses], None], n_workers: int
) -> FaultResult:
    """One run on a cluster with a fault after a third of the tiles."""
    cluster = LocalProcesses(n_workers)
    store = trial.create(name)
    third = len(trial.grid.tiles) // 3
    done_at_fault = 0

    def on_progress(progress: Progress) -> None:
        nonlocal done_at_fault
        if not done_at_fault and progress.n_done >= third:
            done_at_fault = progress.n_done
            fault(cluster)

    try:
        cluster.start()
        progress = run_tiling(
            trial.spec, store, scheduler=cluster.address, on_progress=on_progress, wait_minutes=2.0
        )
    finally:
        cluster.close()
    store.finish()
    read, wrong, refused = trial.compare(name)
    details = (
        f"{n_workers} workers, after {done_at_fault} of {progress.n_tiles} tiles; "
        f"{progress.n_done - progress.n_computed} tiles came twice; {refused} damaged"
    )
    return FaultResult(title, int(done_at_fault > 0), read, wrong, trial.is_equal(name), details)


def _start(tool: str, *arguments: str) -> subprocess.Popen:
    """A tool of distributed as a process."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(config.ROOT_DIR)}
    return subprocess.Popen(
        [sys.executable, "-m", f"distributed.cli.{tool}", *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _kill(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    """Wait until something listens; raises `TimeoutError`."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((_HOST, port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"no scheduler listens on port {port} after {_WAIT_SECONDS:g} seconds")
