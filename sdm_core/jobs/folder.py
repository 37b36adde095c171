"""The folder of a job, read and cancelled from any process."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from sdm_core import config
from sdm_core.errors import CacheNotWritableError, FlorascopeError
from sdm_core.writing import write_whole

JobState = Literal["queued", "running", "done", "failed", "cancelled"]
#: States of a job that is not over.
ACTIVE: tuple[JobState, ...] = ("queued", "running")

REQUEST_FILE, STATUS_FILE, CANCEL_FILE = "request.json", "status.json", "cancel"
ALIVE_LOCK, LOG_FILE = "alive.lock", "log.txt"
#: Files that came with the request; gone once the job is over.
GIVEN_FOLDER = "given"
#: Seconds a new process has to take its lock before it counts as never started.
STARTUP_S = 60.0
#: What a user can do about a cache that cannot be written.
CACHE_WAY_OUT = "free some space, or set FLORASCOPE_CACHE to a folder that can"
_ID = re.compile(r"[0-9a-f]{32}")


class JobError(FlorascopeError):
    """A job cannot be started, or there is none of this name."""


@dataclass(frozen=True)
class JobStatus:
    """How far a job is. Times are seconds since 1970."""

    state: JobState
    #: Share of the work done, 0 to 1.
    progress: float = 0.0
    #: What is being done, in words for the person who waits.
    message: str = ""
    #: Time left when this was written (`updated`); None while nobody can tell.
    seconds_left: float | None = None
    updated: float = 0.0
    created: float = 0.0
    started: float | None = None
    finished: float | None = None
    #: One sentence on why it failed.
    error: str = ""
    #: What the kind's function returned.
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        """Whether it waits or runs."""
        return self.state in ACTIVE

    @property
    def seconds_left_now(self) -> float | None:
        """Time left by now, never less than a second; None while nobody can tell."""
        if self.seconds_left is None or not self.active:
            return None
        return max(1.0, self.seconds_left - (time.time() - self.updated))

    def to_dict(self) -> dict[str, Any]:
        """As JSON writes it."""
        return asdict(self)


def jobs_folder() -> Path:
    """Folder that holds one folder per job."""
    return config.CACHE_DIR / "jobs"


def job_of_id(job_id: str) -> Job:
    """The job of an id; raises `JobError` when there is none, or none any more."""
    folder = jobs_folder() / job_id
    if not _ID.fullmatch(job_id) or not (folder / REQUEST_FILE).is_file():
        raise JobError("There is no job of this id; old ones are removed, so ask for the work again.")
    return Job(folder)


class Job:
    """One job by its folder. Two objects of one folder are the same job."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.id = folder.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and other.folder == self.folder

    def __hash__(self) -> int:
        return hash(self.folder)

    def __repr__(self) -> str:
        return f"Job({self.id})"

    def request(self) -> dict[str, Any]:
        """What was asked: kind, key, payload. Raises `JobError` where it cannot be read."""
        try:
            request: dict[str, Any] = json.loads((self.folder / REQUEST_FILE).read_bytes())
        except (OSError, ValueError) as error:
            raise JobError(f"The request of job {self.id} cannot be read ({error}); ask again.") from error
        return request

    def status(self) -> JobStatus:
        """How far it is now. A job whose process is gone is reported as failed, or cancelled if asked to be.

        Raises `JobError` when its folder was removed.
        """
        known = self._read_status()
        if known.state not in ACTIVE or self._is_alive(known):
            return known
        known = self._read_status()  # it may have finished between the two looks
        return known if known.state not in ACTIVE else self._ended_early(known)

    def cancel(self) -> None:
        """Ask it to stop; it does at its next step, and its status then says so."""
        if self._read_status().state in ACTIVE:
            (self.folder / CANCEL_FILE).touch()

    def cancel_asked(self) -> bool:
        """Whether somebody asked it to stop."""
        return (self.folder / CANCEL_FILE).exists()

    def wait(self, timeout_s: float, poll_s: float = 0.1) -> JobStatus:
        """Its status once it is over, or the present one when that takes longer than `timeout_s`."""
        end = time.monotonic() + timeout_s
        while (status := self.status()).active and time.monotonic() < end:
            time.sleep(poll_s)
        return status

    def _read_status(self) -> JobStatus:
        try:
            raw: dict[str, Any] = json.loads((self.folder / STATUS_FILE).read_bytes())
            known = {entry.name for entry in fields(JobStatus)}
            return JobStatus(**{name: value for name, value in raw.items() if name in known})
        except (OSError, ValueError, TypeError) as error:
            raise JobError(f"The status of job {self.id} cannot be read ({error}); ask again.") from error

    def _is_alive(self, status: JobStatus) -> bool:
        lock = self.folder / ALIVE_LOCK
        if lock.exists() and is_locked(lock):
            return True
        return status.state == "queued" and not self._has_lived() and time.time() - status.created < STARTUP_S

    def _has_lived(self) -> bool:
        return (self.folder / ALIVE_LOCK).exists()

    def _ended_early(self, status: JobStatus) -> JobStatus:
        if self.cancel_asked():
            return replace(status, state="cancelled", seconds_left=None)
        sentence = (
            f"The process of this job ended without a word at {status.progress:.0%} (killed, or out of "
            "memory); start it again."
            if self._has_lived()
            else f"The process of this job did not start within {STARTUP_S:.0f} s; start it again."
        )
        return replace(status, state="failed", error=sentence, seconds_left=None)


def is_locked(lock: Path) -> bool:
    """Whether any process holds the lock of this file."""
    try:
        with FileLock(lock, timeout=0):
            return False
    except (Timeout, OSError):
        return True


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replace a JSON file at once: a reader sees the old or the new one, never half.

    Raises `CacheNotWritableError`.
    """
    write_whole(path, json.dumps(content), CacheNotWritableError, CACHE_WAY_OUT, lasting=False)


__all__ = ["ACTIVE", "Job", "JobError", "JobState", "JobStatus", "is_locked", "job_of_id", "jobs_folder"]
