"""Tiles on a Dask cluster: few tasks in flight, workers and schedulers that die are lived through.

The store is the truth: whatever the cluster forgets, a tile without its marker is asked for again, and one
with it is not. So a task may run twice, and a lost scheduler costs the tiles in flight at most.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import signal
import socket
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import distributed
from distributed.comm.addressing import parse_address, parse_host_port
from distributed.scheduler import KilledWorker

from sdm_core.errors import CorruptStoreError, FlorascopeError
from sdm_core.prediction.tiles import TileStore
from sdm_core.prediction.tiling.protocol import PredictorSpec
from sdm_core.prediction.tiling.run import TilingError
from sdm_core.prediction.tiling.work import TileResult, tile_one

logger = logging.getLogger(__name__)

#: Tasks in flight per worker: one that runs and one that waits for it.
_TASKS_PER_WORKER = 2
#: A tile whose workers died so often is taken for their murderer.
_MOST_DEATHS = 5
_POLL_SECONDS = 0.05
_CONNECT_SECONDS = 10.0
#: Parameters of glibc's `mallopt`, and the largest piece it keeps.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _KEPT_BYTES = -1, -3, 32 * 1024 * 1024
_LOST = ("cancelled", "lost")


class _SchedulerLostError(Exception):
    """The connection to the scheduler is gone."""


class ClusterRun:
    """One run on a cluster: a scheduler at an address, or workers of its own on this machine."""

    def __init__(
        self,
        spec: PredictorSpec,
        store: TileStore,
        scheduler: str | None,
        workers: int | None,
        wait_minutes: float,
    ):
        if workers is not None and workers < 1:
            raise TilingError(f"The number of workers is {workers}; give 1 or more.")
        self.spec = spec
        self.store = store
        self.scheduler = scheduler
        self.workers = workers
        self.wait_seconds = 60.0 * wait_minutes
        self.deaths: Counter[int] = Counter()
        self.last_sign = time.monotonic()

    def results(self, tiles: list[int]) -> Iterator[TileResult]:
        """Results of the tiles as they come.

        Raises `TilingError` when scheduler or workers are gone for longer than the time to wait, and for a
        tile that cannot be predicted; what the model or the store raise in a worker is raised here.
        """
        if self.scheduler is not None:
            with _quietly():
                yield from self._through_restarts(tiles)
            return
        import dask

        with (
            _quietly(),
            dask.config.set({"distributed.scheduler.allowed-failures": _MOST_DEATHS}),
            distributed.LocalCluster(
                n_workers=self.workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
                silence_logs=logging.CRITICAL,
            ) as cluster,
        ):
            yield from self._through_restarts(tiles, cluster)

    def _through_restarts(
        self, tiles: list[int], cluster: distributed.LocalCluster | None = None
    ) -> Iterator[TileResult]:
        """Results, whatever becomes of the scheduler on the way."""
        waiting = deque(tiles)
        unseen = set(tiles)
        first = True
        while unseen:
            try:
                client = self._connect(cluster, first)
                first = False
                try:
                    if cluster is not None:
                        client.register_plugin(_LeaveInterrupts())
                    for result in self._work(client, waiting):
                        if result.tile in unseen:
                            unseen.discard(result.tile)
                            yield result
                finally:
                    _close(client)
            except _SchedulerLostError:
                logger.warning("the scheduler at %s is gone; waiting for it", self.scheduler)
                waiting = deque(tile for tile in tiles if tile in unseen)

    def _connect(self, cluster: distributed.LocalCluster | None, first: bool) -> distributed.Client:
        """A client, waited for where the scheduler has been there before."""
        started = time.monotonic()
        while True:
            try:
                if self.scheduler is not None:
                    _check_listening(self.scheduler)
                return distributed.Client(
                    cluster if cluster is not None else self.scheduler,
                    timeout=_CONNECT_SECONDS,
                    set_as_default=False,
                )
            except (OSError, ValueError, TimeoutError) as error:
                if first or time.monotonic() - started > self.wait_seconds:
                    raise TilingError(_no_scheduler(self.scheduler, error)) from error
                time.sleep(1.0)

    def _work(self, client: distributed.Client, waiting: deque[int]) -> Iterator[TileResult]:
        """Keep the workers busy until nothing waits; raises `_SchedulerLostError`."""
        flying: dict[int, distributed.Future] = {}
        self.last_sign = time.monotonic()
        try:
            while waiting or flying:
                if client.status != "running":
                    raise _SchedulerLostError
                n_workers = self._n_workers(client)
                while waiting and len(flying) < max(1, n_workers * _TASKS_PER_WORKER):
                    tile = waiting.popleft()
                    flying[tile] = self._submit(client, tile)
                ended = [tile for tile, future in flying.items() if future.status != "pending"]
                for tile in ended:
                    result = self._outcome(tile, flying.pop(tile), waiting)
                    if result is not None:
                        self.last_sign = time.monotonic()
                        yield result
                if not ended:
                    self._check_patience(n_workers)
                    time.sleep(_POLL_SECONDS)
        finally:
            if client.status == "running":
                client.cancel(list(flying.values()), force=True)

    def _submit(self, client: distributed.Client, tile: int) -> distributed.Future:
        return client.submit(
            _tile_on_worker,
            self.spec,
            self.store.address,
            tuple(sorted(self.store.folder.storage_options.items())),
            self.store.version,
            tile,
            key=f"tile-{tile:x}-{self.store.version[:8]}-{time.monotonic_ns()}",
            pure=False,
        )

    def _outcome(self, tile: int, future: distributed.Future, waiting: deque[int]) -> TileResult | None:
        """What became of a task; a tile that the cluster lost waits again."""
        if future.status in _LOST:
            waiting.append(tile)
            return None
        if future.status == "finished":
            try:
                result: TileResult = future.result(timeout=_CONNECT_SECONDS)
                return result
            except (OSError, TimeoutError, distributed.CancelledError):
                waiting.append(tile)
                return None
        error = future.exception(timeout=_CONNECT_SECONDS)
        if isinstance(error, KilledWorker):
            self.deaths[tile] += 1
            if self.deaths[tile] < 2:
                waiting.append(tile)
                return None
            raise TilingError(
                f"Tile {tile:x} ended with the death of its workers {_MOST_DEATHS} times over; they may have "
                "too little memory: use fewer of them, or a coarser resolution."
            )
        if isinstance(error, FlorascopeError):
            raise error
        raise TilingError(f"Tile {tile:x} could not be predicted: {_first_line(error)}.") from error

    def _n_workers(self, client: distributed.Client) -> int:
        try:
            return len(client.nthreads())
        except (OSError, TimeoutError, distributed.CancelledError) as error:
            raise _SchedulerLostError from error

    def _check_patience(self, n_workers: int) -> None:
        """Give up when there has been no worker for too long."""
        if n_workers:
            self.last_sign = time.monotonic()
        elif time.monotonic() - self.last_sign > self.wait_seconds:
            raise TilingError(
                f"The Dask cluster at {self.scheduler or 'this machine'} has had no worker for "
                f"{self.wait_seconds / 60:g} minutes; start some with `dask worker`. The tiles that are done "
                "stay done: the same command goes on."
            )


def count_workers(scheduler: str) -> int:
    """Number of workers of a running cluster; raises `TilingError` when no scheduler answers."""
    try:
        _check_listening(scheduler)
        with (
            _quietly(),
            distributed.Client(scheduler, timeout=_CONNECT_SECONDS, set_as_default=False) as client,
        ):
            return len(client.nthreads())
    except (OSError, ValueError, TimeoutError) as error:
        raise TilingError(_no_scheduler(scheduler, error)) from error


def _check_listening(address: str) -> None:
    """Raise `OSError` or `ValueError` where nothing listens: a client that fails leaves more behind."""
    protocol, host_port = parse_address(address, strict=True) if "://" in address else ("tcp", address)
    if protocol in ("tcp", "tls"):
        host, port = parse_host_port(host_port)
        socket.create_connection((host, port), timeout=_CONNECT_SECONDS).close()


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without distributed's running commentary, which it would mix with ours."""
    theirs = [logging.getLogger(name) for name in ("distributed", "distributed.client", "tornado")]
    before = [their.level for their in theirs]
    for their in theirs:
        their.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for their, level in zip(theirs, before, strict=True):
            their.setLevel(level)


class _LeaveInterrupts(distributed.WorkerPlugin):
    """A worker that does not mind Ctrl-C: the process that started it does, and ends it."""

    def setup(self, worker: Any) -> None:
        """Ignore SIGINT from now on."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _no_scheduler(scheduler: str | None, error: object) -> str:
    return (
        f"No Dask scheduler answers at {scheduler} ({_first_line(error)}); start one with `dask scheduler`, "
        "or leave --scheduler out."
    )


def _tile_on_worker(
    spec: PredictorSpec, address: str, options: tuple[tuple[str, Any], ...], version: str, tile: int
) -> TileResult:
    """`tile_one` in a worker, with the store opened once per process."""
    store = _store_of(address, options)
    _keep_memory()
    if store.version != version:
        _store_of.cache_clear()
        store = _store_of(address, options)
        if store.version != version:
            raise CorruptStoreError(
                f"{address} is another store on the worker than where the run began; give an address that is "
                "the same for all, such as a shared folder or s3://bucket/atlas."
            )
    return tile_one(spec, store, tile)


@lru_cache(maxsize=1)
def _keep_memory() -> None:
    """Let the process keep memory it will need again at once.

    Dask tells its workers (MALLOC_TRIM_THRESHOLD_) to hand every freed piece back to the system, which then
    clears it again for the next: for arrays of some megabytes that takes longer than to fill them. Only glibc
    has this; elsewhere nothing happens.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, 8 * _KEPT_BYTES)
    except (OSError, AttributeError):
        logger.info("the C library has no mallopt")


@lru_cache(maxsize=4)
def _store_of(address: str, options: tuple[tuple[str, Any], ...]) -> TileStore:
    settings: Mapping[str, Any] = dict(options)
    return TileStore.open(address, settings)


def _close(client: distributed.Client) -> None:
    """Close a client, whatever has become of its scheduler."""
    try:
        client.close(timeout=2.0)
    except (OSError, TimeoutError, RuntimeError) as error:
        logger.info("the client did not close cleanly: %s", error)


def _first_line(error: object) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".") or type(error).__name__
