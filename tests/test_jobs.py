"""Jobs: one process each, seen, cancelled and survived from anywhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from sdm_core import config, jobs
from sdm_core.errors import CacheNotWritableError
from sdm_core.jobs import folder as job_folder
from sdm_core.jobs import kinds, running, submitting
from tests import job_kinds

WAIT_S = 60.0


@pytest.fixture(autouse=True)
def _job_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its own for each test, and the kinds of `tests/job_kinds.py`."""
    monkeypatch.setattr(config, "CACHE_DIR", tmp_path / "cache")
    monkeypatch.setattr(submitting, "RUNNER", job_kinds.RUNNER)
    for name, target in job_kinds.KINDS.items():
        monkeypatch.setitem(kinds.KINDS, name, target)


def until(check: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + WAIT_S
    while not check():
        assert time.monotonic() < end, "it never came to be so"
        time.sleep(0.02)


def pid_of(job: jobs.Job) -> int:
    """Process of a job, from its command line."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if str(job.folder).encode() in words:
            return int(entry.name)
    raise AssertionError(f"no process does job {job.id}")


def test_a_job_runs_in_its_own_process_and_gives_its_result():
    job = jobs.submit("count", "to five", {"n": 5})
    status = job.wait(WAIT_S)
    assert (status.state, status.progress, status.result) == ("done", 1.0, {"counted": 5})
    assert status.created <= status.started <= status.finished
    assert jobs.job_of_id(job.id) == job
    assert jobs.find("count", "to five") == job


def test_progress_has_a_message_and_the_time_left():
    job = jobs.submit("count", "slowly", {"n": 200, "pause_s": 0.05})
    until(lambda: (job.status().seconds_left or 0) > 0)
    status = job.status()
    assert status.state == "running"
    assert status.message.startswith("Counted to ")
    assert 0 < status.progress < 1
    assert status.seconds_left < 60
    assert 1 <= status.seconds_left_now <= status.seconds_left
    later = replace(status, updated=status.updated - 1000)
    assert later.seconds_left_now == 1, "it counts down between two words of the job, never below a second"
    job.cancel()
    job.wait(WAIT_S)


def test_a_cancelled_job_stops_at_its_next_step():
    job = jobs.submit("count", "for ever", {"n": 10_000, "pause_s": 0.02})
    until(lambda: job.status().state == "running")
    job.cancel()
    assert job.wait(WAIT_S).state == "cancelled"
    assert not job_folder.is_locked(job.folder / job_folder.ALIVE_LOCK)


def test_a_job_that_does_not_listen_is_ended_after_a_grace_time(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(running, "CANCEL_GRACE_S", 0.5)
    script = tmp_path / "short_grace.py"
    script.write_text(
        "import sys\nfrom sdm_core.jobs import kinds, running\nfrom tests.job_kinds import KINDS, main\n"
        "kinds.KINDS.update(KINDS)\nrunning.CANCEL_GRACE_S = 0.5\nsys.exit(main(sys.argv[1:]))\n"
    )
    monkeypatch.setattr(submitting, "RUNNER", (sys.executable, str(script), "run"))
    monkeypatch.setenv("PYTHONPATH", str(config.ROOT_DIR))
    job = jobs.submit("deaf", "", {})
    until(lambda: job.status().message == "Deaf")
    job.cancel()
    assert job.wait(WAIT_S).state == "cancelled"


def test_a_refusal_keeps_its_sentence_and_a_stumble_gets_one():
    refused = jobs.submit("refuse", "", {}).wait(WAIT_S)
    assert (refused.state, refused.error) == ("failed", "The region is a line; draw an area.")
    job = jobs.submit("stumble", "", {})
    stumbled = job.wait(WAIT_S)
    assert stumbled.state == "failed"
    assert "unexpected error (ZeroDivisionError)" in stumbled.error
    assert "Traceback" in (job.folder / job_folder.LOG_FILE).read_text()
    assert jobs.submit("unspeakable", "", {}).wait(WAIT_S).state == "failed"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the process in /proc")
def test_a_killed_process_is_reported_as_failed_with_a_sentence():
    job = jobs.submit("count", "killed", {"n": 10_000, "pause_s": 0.02})
    until(lambda: job.status().progress > 0)
    os.kill(pid_of(job), signal.SIGKILL)
    until(lambda: not job.status().active)
    status = job.status()
    assert status.state == "failed"
    assert "ended without a word" in status.error
    assert jobs.submit("count", "killed", {"n": 1}) != job, "a dead job is not waited for"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the process in /proc")
def test_a_process_told_to_end_says_so():
    job = jobs.submit("count", "ended", {"n": 10_000, "pause_s": 0.02})
    until(lambda: job.status().progress > 0)
    os.kill(pid_of(job), signal.SIGTERM)
    assert "told to end" in job.wait(WAIT_S).error


def test_a_process_that_never_starts_is_reported_at_once(monkeypatch):
    monkeypatch.setattr(submitting, "RUNNER", (sys.executable, "-c", "import sys; sys.exit(3)"))
    status = jobs.submit("count", "nothing", {"n": 1}).wait(WAIT_S)
    assert status.state == "failed"
    assert "ended without a word" in status.error


def test_the_same_work_asked_for_while_it_runs_is_one_job(tmp_path: Path):
    starts = tmp_path / "starts"
    work = {"n": 10_000, "pause_s": 0.02, "starts": str(starts)}
    with ThreadPoolExecutor(8) as pool:
        asked = set(pool.map(lambda _: jobs.submit("count", "shared", work), range(8)))
    assert len(asked) == 1
    job = asked.pop()
    until(starts.exists)
    assert jobs.submit("count", "other", {"n": 1}) != job
    job.cancel()
    job.wait(WAIT_S)
    assert starts.read_text().splitlines() == [job.id]


def test_two_processes_that_ask_for_the_same_work_get_one_job(tmp_path: Path):
    script = (
        "import sys; from sdm_core import jobs\n"
        "from sdm_core.jobs import kinds, submitting; from tests import job_kinds\n"
        "kinds.KINDS.update(job_kinds.KINDS); submitting.RUNNER = job_kinds.RUNNER\n"
        f"work = {{'n': 10000, 'pause_s': 0.02, 'starts': {str(tmp_path / 'starts')!r}}}\n"
        "print(jobs.submit('count', 'shared', work).id)"
    )
    environment = {**os.environ, "FLORASCOPE_CACHE": str(config.CACHE_DIR)}
    asking = [
        subprocess.Popen(
            [sys.executable, "-c", script], cwd=config.ROOT_DIR, env=environment, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    ids = {process.communicate(timeout=WAIT_S)[0].decode().strip() for process in asking}
    assert len(ids) == 1
    job = jobs.job_of_id(ids.pop())
    until((tmp_path / "starts").exists)
    assert job.status().state == "running", "it goes on though both who asked have ended"
    job.cancel()
    assert job.wait(WAIT_S).state == "cancelled"
    assert (tmp_path / "starts").read_text().splitlines() == [job.id]


def test_no_more_than_the_limit_run_at_once_and_the_rest_keep_their_order(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(config, "MAX_JOBS", 1)
    starts = tmp_path / "starts"
    asked = [
        jobs.submit("count", str(number), {"n": 5, "pause_s": 0.05, "starts": str(starts)})
        for number in range(3)
    ]
    seen = 0
    while any(job.status().active for job in asked):
        seen = max(seen, sum(job.status().state == "running" for job in asked))
        time.sleep(0.02)
    assert seen == 1
    assert starts.read_text().splitlines() == [job.id for job in asked]


def test_a_job_lets_an_older_one_go_first():
    older = submitting.jobs_folder() / ("0" * 32)
    older.mkdir(parents=True)
    waiting = jobs.JobStatus("queued", created=time.time() - 5)
    (older / job_folder.STATUS_FILE).write_text(json.dumps(waiting.to_dict()))
    (older / job_folder.REQUEST_FILE).write_text("{}")
    with FileLock(older / job_folder.ALIVE_LOCK):
        job = jobs.submit("count", "younger", {"n": 1})
        until(lambda: job.status().message == "Waiting for 1 other job")
        assert job.status().state == "queued"
    assert job.wait(WAIT_S).state == "done", "the older one has died, so nothing is waited for"


def test_a_waiting_job_can_be_cancelled_and_says_what_it_waits_for(monkeypatch):
    monkeypatch.setattr(config, "MAX_JOBS", 1)
    first = jobs.submit("count", "first", {"n": 10_000, "pause_s": 0.02})
    second = jobs.submit("count", "second", {"n": 1})
    until(lambda: second.status().message == "Waiting for 1 other job")
    second.cancel()
    assert second.wait(WAIT_S).state == "cancelled"
    first.cancel()
    first.wait(WAIT_S)


def test_too_many_waiting_jobs_are_refused(monkeypatch):
    monkeypatch.setattr(config, "MAX_WAITING_JOBS", 0)
    with pytest.raises(jobs.JobError, match="0 jobs are waiting already; try again"):
        jobs.submit("count", "one too many", {"n": 1})


def test_finished_jobs_are_kept_up_to_a_number_and_running_ones_always(monkeypatch):
    monkeypatch.setattr(config, "MAX_KEPT_JOBS", 1)
    running_job = jobs.submit("count", "long", {"n": 10_000, "pause_s": 0.02})
    first = jobs.submit("count", "1", {"n": 1})
    first.wait(WAIT_S)
    second = jobs.submit("count", "2", {"n": 1})
    second.wait(WAIT_S)
    assert not first.folder.exists()
    assert jobs.find("count", "1") is None
    assert running_job.status().active
    with pytest.raises(jobs.JobError, match="no job of this id"):
        jobs.job_of_id(first.id)
    running_job.cancel()
    running_job.wait(WAIT_S)


@pytest.mark.parametrize("name", ["../../etc", "", "0" * 31, "z" * 32, "f" * 32])
def test_an_id_that_is_none_gets_one_sentence(name: str):
    with pytest.raises(jobs.JobError, match="There is no job of this id"):
        jobs.job_of_id(name)


def test_an_unknown_kind_is_refused():
    with pytest.raises(jobs.JobError, match="'bake', expected one of report, fine"):
        jobs.submit("bake", "", {})


def test_every_real_kind_names_a_function():
    for kind in ("report", "fine"):
        assert callable(kinds.function_of(kind))


def test_a_status_is_never_half_written(tmp_path: Path):
    path = tmp_path / "status.json"
    with ThreadPoolExecutor(2) as pool:
        writing = pool.submit(
            lambda: [job_folder.write_json(path, {"text": "x" * 100_000, "n": n}) for n in range(100)]
        )
        until(path.exists)
        while not writing.done():
            assert len(json.loads(path.read_bytes())["text"]) == 100_000
    assert [entry.name for entry in tmp_path.iterdir()] == ["status.json"]


def test_a_cache_that_cannot_be_written_gets_one_sentence(tmp_path: Path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(config, "CACHE_DIR", tmp_path / "file")
    with pytest.raises(CacheNotWritableError, match="set FLORASCOPE_CACHE"):
        jobs.submit("count", "", {"n": 1})


def test_a_report_is_written_in_the_background(simulated_atlas_folder: Path):
    outline = {"type": "Polygon", "coordinates": [[[0.4, 42.45], [1.2, 42.45], [1.2, 42.75], [0.4, 42.45]]]}
    payload = {
        "atlas": str(simulated_atlas_folder),
        "region": {"type": "Feature", "properties": {}, "geometry": outline},
        "name": "Val d'Aran",
        "formats": ["csv", "json"],
        "rule": "threshold",
        "options": {"t": 0.3},
    }
    job = jobs.submit("report", "a report", payload)
    status = job.wait(WAIT_S)
    assert status.state == "done", status.error
    numbers = json.loads((job.folder / "report" / "indicators.json").read_text())
    assert numbers["rule"]["options"] == {"t": 0.3}
    assert numbers["region"]["name"] == "Val d'Aran"
    with zipfile.ZipFile(job.folder / status.result["archive"]) as archive:
        assert set(archive.namelist()) == set(status.result["files"])
    assert status.result["stem"].startswith("val-d-aran")
