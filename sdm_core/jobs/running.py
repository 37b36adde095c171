"""The process of a job: waits for its turn, does the work, writes how far it is and how it ended."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from filelock import FileLock, Timeout

from sdm_core import config
from sdm_core.errors import FlorascopeError
from sdm_core.jobs.folder import ALIVE_LOCK, GIVEN_FOLDER, STATUS_FILE, Job, JobError, JobStatus, write_json
from sdm_core.jobs.kinds import function_of
from sdm_core.jobs.submitting import all_jobs, submission_lock

logger = logging.getLogger(__name__)

#: Seconds a job has to stop by itself after it was cancelled; its process then ends without asking.
CANCEL_GRACE_S = 20.0
_POLL_S, _TURN_POLL_S = 0.2, 0.5
#: Seconds between two writes of the status, at least.
_WRITE_S = 0.2
#: Share of the work from which the time left is worth saying.
_SHARE_FOR_ESTIMATE = 0.02
_NICENESS = 5


class JobCancelledError(FlorascopeError):
    """Somebody asked the job to stop."""


class _StoppedError(BaseException):
    """The process was told to end."""


class JobContext:
    """What the function of a kind gets: where to write, how to say how far it is, whether to stop."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._job = Job(folder)
        self._status = self._job._read_status()
        self._writing = threading.Lock()
        self._written = 0.0

    def progress(self, share: float, message: str = "", seconds_left: float | None = None) -> None:
        """Say that a share (0 to 1) of the work is done, and what is being done.

        seconds_left: the caller's own estimate; without one, the time so far decides.
        """
        now = time.time()
        share = min(1.0, max(0.0, share))
        if seconds_left is None and share >= _SHARE_FOR_ESTIMATE and self._status.started:
            seconds_left = (now - self._status.started) * (1 - share) / share
        changed = bool(message) and message != self._status.message
        self._status = replace(
            self._status,
            progress=share,
            message=message or self._status.message,
            seconds_left=seconds_left,
        )
        if changed or now - self._written >= _WRITE_S:
            self._write()

    def given(self, name: str) -> bytes:
        """Content of a file that came with the request; raises `JobError` where it is not there any more."""
        try:
            return (self.folder / GIVEN_FOLDER / name).read_bytes()
        except OSError as error:
            raise JobError("The files that came with this job are gone; ask again with them.") from error

    def check_cancelled(self) -> None:
        """Raise `JobCancelledError` once somebody asked to stop."""
        if self._job.cancel_asked():
            raise JobCancelledError("The job was cancelled.")

    def _become(self, **changes: Any) -> None:
        self._status = replace(self._status, **changes)
        self._write()

    def _write(self) -> None:
        with self._writing:
            self._written = time.time()
            self._status = replace(self._status, updated=self._written)
            write_json(self.folder / STATUS_FILE, self._status.to_dict())


def run(folder: Path) -> int:
    """Do the job of a folder and return 0 when it is done, 1 when it failed or was cancelled."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, _stop)
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    try:
        alive = FileLock(folder / ALIVE_LOCK, timeout=1.0)
        alive.acquire()
    except Timeout:
        logger.error("another process does this job already")
        return 1
    context = JobContext(folder)
    try:
        if not context._status.active:
            return 1
        request = Job(folder).request()
        _wait_for_turn(context)
        threading.Thread(target=_end_when_cancelled, args=(context,), daemon=True).start()
        result = function_of(request["kind"])(request["payload"], context)
        json.dumps(result)
    except JobCancelledError:
        context._become(state="cancelled", finished=time.time(), seconds_left=None)
        return 1
    except FlorascopeError as error:
        _fail(context, str(error))
    except _StoppedError:
        _fail(context, "The process of this job was told to end before it was done; start it again.")
    except MemoryError:
        _fail(context, "The job needs more memory than there is; ask for a smaller region.")
    except Exception as error:
        logger.exception("unexpected error")
        _fail(context, f"The job stopped on an unexpected error ({type(error).__name__}); its log says more.")
    else:
        context._become(
            state="done", progress=1.0, finished=time.time(), seconds_left=0.0, result=dict(result or {})
        )
        return 0
    finally:
        shutil.rmtree(folder / GIVEN_FOLDER, ignore_errors=True)
        alive.release()
    return 1


def _fail(context: JobContext, sentence: str) -> None:
    logger.error("%s", sentence)
    context._become(state="failed", error=sentence, finished=time.time(), seconds_left=None)


def _stop(number: int, frame: FrameType | None) -> None:
    raise _StoppedError


def _wait_for_turn(context: JobContext) -> None:
    """Return once fewer than `config.MAX_JOBS` run and no older job waits; the job then counts as running."""
    while True:
        context.check_cancelled()
        with submission_lock():
            known: list[tuple[Job, JobStatus]] = list(all_jobs())
            n_running = sum(status.state == "running" for _, status in known)
            waiting = [job.id for job, status in known if status.state == "queued"]
            if n_running < config.MAX_JOBS and waiting[:1] == [context.folder.name]:
                context._become(state="running", started=time.time(), message="Starting")
                return
            ahead = n_running + waiting.index(context.folder.name)
        context.progress(0.0, f"Waiting for {ahead} other {'job' if ahead == 1 else 'jobs'}")
        time.sleep(_TURN_POLL_S)


def _end_when_cancelled(context: JobContext) -> None:
    """End the process when the work goes on long after it was cancelled."""
    asked = 0.0
    while context._status.active:
        time.sleep(_POLL_S)
        if not context._job.cancel_asked():
            continue
        asked = asked or time.monotonic()
        if time.monotonic() - asked > CANCEL_GRACE_S:
            with contextlib.suppress(FlorascopeError):
                context._become(state="cancelled", finished=time.time(), seconds_left=None)
            os._exit(1)


__all__ = ["JobCancelledError", "JobContext", "run"]
