"""A run killed at any moment and resumed ends in exactly the weights of a run that was not."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import random
import signal
import stat
from pathlib import Path

import numpy as np
import pytest

from sdm_core.errors import CheckpointMismatchError, TrainingError
from sdm_core.training import METRICS_NAME, STATE_NAME, fit
from tests import training_runs as runs

#: Processes that start with torch already imported.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.training_runs"])


def same(first: object, second: object) -> None:
    arrays, others = runs.learned(first), runs.learned(second)  # type: ignore[arg-type]
    assert arrays.keys() == others.keys()
    for name, value in arrays.items():
        np.testing.assert_array_equal(value, others[name], err_msg=name)


def told(folder: Path) -> list[tuple[float, float]]:
    """Loss and score of every epoch, to the last bit: early stopping keeps the weights of one epoch only."""
    records = [json.loads(line) for line in (folder / METRICS_NAME).read_text().splitlines()]
    assert len(records) == 6
    return [(record["loss"], record["score"]) for record in records]


@pytest.mark.parametrize("loss", ["assume_negative_full", "regularized_online_label_estimation"])
def test_kill_minus_nine_at_random_moments_changes_nothing(tmp_path: Path, loss: str) -> None:
    unbroken = runs.run_everything(tmp_path / "unbroken", loss=loss)
    moments = random.Random(5)
    n_killed, waits = 0, [moments.uniform(0.02, 0.45) for _ in range(6)]
    for wait in waits:
        process = CONTEXT.Process(target=runs.run_and_resume, args=(tmp_path / "killed", loss))
        process.start()
        process.join(wait)
        if process.is_alive():
            process.kill()
        process.join()
        n_killed += process.exitcode == -signal.SIGKILL
    assert n_killed >= 3, "the run is too short for this test"
    same(runs.run_everything(tmp_path / "killed", resume=True, loss=loss), unbroken)
    assert told(tmp_path / "killed") == told(tmp_path / "unbroken")


def test_kill_while_the_state_is_being_written_leaves_the_one_before(tmp_path: Path) -> None:
    unbroken = runs.run_everything(None)
    for after in (0, 1, 5):
        process = CONTEXT.Process(target=runs.run_and_die_while_writing, args=(tmp_path, after))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert len(list(tmp_path.glob(f".{STATE_NAME}.*"))) == 1
    same(runs.run_everything(tmp_path, resume=True), unbroken)
    assert not list(tmp_path.glob(".*")), "half-written files of killed runs stay behind"


def test_state_within_an_epoch_is_resumed_and_not_the_epoch_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sdm_core.training import loop, progress

    unbroken = runs.run_everything(tmp_path / "unbroken")
    steps, whole = [], loop.NetworkTraining._step
    restored, restore = [], progress.Position.restore

    def watched(self, *parts):  # type: ignore[no-untyped-def]
        restored.append(self.n_batches)
        restore(self, *parts)

    monkeypatch.setattr(progress.Position, "restore", watched)

    def counted(self, *parts):  # type: ignore[no-untyped-def]
        steps.append(1)
        if len(steps) == 14:
            raise KeyboardInterrupt
        return whole(self, *parts)

    monkeypatch.setattr(loop.NetworkTraining, "_step", counted)
    with pytest.raises(KeyboardInterrupt):
        runs.run_everything(tmp_path / "killed")
    same(runs.run_everything(tmp_path / "killed", resume=True), unbroken)
    assert told(tmp_path / "killed") == told(tmp_path / "unbroken")
    assert len(restored) == 1 and restored[0] >= 2
    n_resumed = len(steps) - 14
    runs.run_everything(None)
    n_whole = len(steps) - 14 - n_resumed
    assert n_resumed <= n_whole - 13 + 1, "more than the one step after the last save was taken again"


def test_full_disk_is_one_sentence_and_leaves_the_state_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sdm_core import writing

    inputs, presence = runs.simulated()
    options = {"folder": tmp_path, "device": "cpu", "progress": False}
    unbroken = runs.new_model()
    fit(unbroken, inputs, presence, runs.QUICK, device="cpu", progress=False)
    syncs, whole = [], writing.os.fsync

    def full(number: int) -> None:
        if stat.S_ISREG(os.fstat(number).st_mode):
            syncs.append(number)
        if len(syncs) == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        whole(number)

    monkeypatch.setattr(writing.os, "fsync", full)
    with pytest.raises(TrainingError, match=r"training_state\.safetensors cannot be written \(the disk"):
        fit(runs.new_model(), inputs, presence, runs.QUICK, **options)  # type: ignore[arg-type]
    assert not list(tmp_path.glob(".*")), "the half-written file still takes space"
    monkeypatch.undo()
    resumed = runs.new_model()
    fit(resumed, inputs, presence, runs.QUICK, resume=True, **options)  # type: ignore[arg-type]
    same(resumed, unbroken)


@pytest.mark.parametrize("harm", ["truncated", "one bit flipped", "empty"])
def test_damaged_state_is_refused(tmp_path: Path, harm: str) -> None:
    inputs, presence = runs.simulated()
    options = {"folder": tmp_path, "device": "cpu", "progress": False}
    fit(runs.new_model(), inputs, presence, runs.QUICK, **options)  # type: ignore[arg-type]
    content = bytearray((tmp_path / STATE_NAME).read_bytes())
    if harm == "one bit flipped":
        content[-100] ^= 4
    (tmp_path / STATE_NAME).write_bytes({"truncated": content[:-50], "empty": b""}.get(harm, content))
    with pytest.raises(
        CheckpointMismatchError, match=r"training_state\.safetensors is damaged \(.*delete it"
    ):
        fit(runs.new_model(), inputs, presence, runs.QUICK, resume=True, **options)  # type: ignore[arg-type]


def test_another_start_is_another_run(tmp_path: Path) -> None:
    inputs, presence = runs.simulated()
    options = {"folder": tmp_path, "device": "cpu", "progress": False}
    fit(runs.new_model(), inputs, presence, runs.QUICK, **options)  # type: ignore[arg-type]
    with pytest.raises(CheckpointMismatchError, match="belongs to a run with other data or settings"):
        fit(runs.new_model(seed=1), inputs, presence, runs.QUICK, resume=True, **options)  # type: ignore[arg-type]
