"""A full disk, a flipped byte, and two processes on one store."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from sdm_core.benchmarks.faults.trial import FaultResult, Trial, start_process
from sdm_core.errors import FlorascopeError, NotWritableError
from sdm_core.prediction import TileStore
from sdm_core.prediction.tiling import run_tiling

_REFUSED = 3
_BLOCK_BYTES = 4096


def full_disk(trial: Trial) -> FaultResult:
    """Tile onto a disk that fills up, compare what is there, and go on once there is room.

    A small disk in memory is mounted where that is allowed; elsewhere the size of a file is limited.
    """
    name = "full"
    place = trial.folder / name
    place.mkdir()
    files = [path for path in trial.address("undisturbed").rglob("*") if path.is_file()]
    size = sum(-(-path.stat().st_size // _BLOCK_BYTES) * _BLOCK_BYTES for path in files) // 2
    with _small_disk(place, size) as mounted:
        sentence = _tile_until_full(trial, name, limit=not mounted)
        read, wrong, refused = trial.compare(name)
        n_before = len(TileStore.open(trial.address(name)).finished()) if _is_there(trial, name) else 0
        if mounted:
            shutil.copytree(place, trial.folder / "room")
    if mounted:  # more room: the same files on a larger disk
        shutil.rmtree(place)
        (trial.folder / "room").rename(place)
    trial.finish(name)
    how = f"disk of {size / 1e6:.1f} MB" if mounted else "limited file size"
    details = f"{how}: {n_before} tiles, then “{sentence}”; {refused} tiles damaged; resumed"
    return FaultResult("disk full", 1, read, wrong + (not sentence), trial.is_equal(name), details)


def flipped_bytes(trial: Trial, n_flips: int, rng: np.random.Generator) -> FaultResult:
    """Change one byte of a random file of a random tile; it must be found, refused and predicted again."""
    name = "flipped"
    trial.finish(name)
    store = TileStore.open(trial.address(name))
    markers = {tile: f"done/{tile:x}.json" for tile in store.finished().tolist()}
    compared, wrong, found = 0, 0, 0
    for _ in range(n_flips):
        files = [
            path
            for path in sorted(trial.address(name).rglob("*"))
            if path.is_file() and (path.parent.name == "done" or "/c/" in path.as_posix())
            and "tiles/" not in path.relative_to(trial.address(name)).as_posix()
        ]  # fmt: skip
        path = files[int(rng.integers(len(files)))]
        content = bytearray(path.read_bytes())
        content[int(rng.integers(len(content)))] ^= int(rng.integers(1, 256))
        path.write_bytes(bytes(content))
        read, bad, refused = trial.compare(name)
        compared, wrong, found = compared + read, wrong + bad, found + (refused == 1)
        trial.finish(name)
    equal = trial.is_equal(name)
    details = f"{found} of {n_flips} found in {len(markers)} tiles and predicted again"
    return FaultResult("flipped byte", n_flips, compared, wrong + (n_flips - found), equal, details)


def two_processes(trial: Trial, n_runs: int) -> FaultResult:
    """Let two processes tile one store at the same time; each tile must be predicted once."""
    compared, wrong, equal, twice = 0, 0, True, 0
    n_tiles = len(trial.grid.tiles)
    for run in range(n_runs):
        name = f"shared{run}"
        trial.create(name)
        reader, writer = os.pipe()
        children = [start_process(partial(_count_computed, trial, name, writer)) for _ in range(2)]
        statuses = [os.WEXITSTATUS(os.waitpid(child, 0)[1]) for child in children]
        os.close(writer)
        with os.fdopen(reader) as answers:
            computed = [int(line) for line in answers]
        twice += abs(sum(computed) - n_tiles)
        wrong += sum(status != 0 for status in statuses)
        trial.create(name).finish()
        read, bad, refused = trial.compare(name)
        compared, wrong = compared + read, wrong + bad + refused
        equal &= trial.is_equal(name)
    details = (
        f"{n_tiles} tiles shared {computed[0]} to {computed[1]} in the last run, {twice} predicted twice"
    )
    return FaultResult("two processes, one store", n_runs, compared, wrong + twice, equal, details)


def _count_computed(trial: Trial, name: str, writer: int) -> int:
    store = TileStore.open(trial.address(name))
    progress = run_tiling(trial.spec, store)
    os.write(writer, f"{progress.n_computed}\n".encode())
    return 0


def _is_there(trial: Trial, name: str) -> bool:
    return (trial.address(name) / "zarr.json").exists()


def _tile_until_full(trial: Trial, name: str, limit: bool) -> str:
    """The sentence with which tiling ends on the full disk, "" when it did not end so."""
    reader, writer = os.pipe()

    def work() -> int:
        if limit:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            largest = max(path.stat().st_size for path in trial.address("undisturbed").rglob("c/*/*"))
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest - 1, resource.RLIM_INFINITY))
        try:
            run_tiling(trial.spec, trial.create(name))
        except NotWritableError as error:
            os.write(writer, str(error).replace("\n", " ").encode())
            return _REFUSED
        except FlorascopeError:
            return 1
        return 0

    child = start_process(work)
    _, status = os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        sentence = answer.read()
    return sentence if os.WEXITSTATUS(status) == _REFUSED else ""


@contextlib.contextmanager
def _small_disk(place: Path, size: int) -> Iterator[bool]:
    """A disk of so many bytes at a folder, where this user may mount one."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "florascope", str(place)]
    try:
        mounted = (
            os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0
        )
    except OSError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(place)], check=True, capture_output=True)
