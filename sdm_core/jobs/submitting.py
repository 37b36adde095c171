"""Starting jobs: one per key at a time, in processes that outlive whoever asked."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from sdm_core import config
from sdm_core.errors import CacheNotWritableError
from sdm_core.jobs.folder import (
    ALIVE_LOCK,
    CACHE_WAY_OUT,
    GIVEN_FOLDER,
    LOG_FILE,
    REQUEST_FILE,
    STATUS_FILE,
    Job,
    JobError,
    JobStatus,
    jobs_folder,
    write_json,
)
from sdm_core.jobs.kinds import check_kind
from sdm_core.writing import reason_of, write_whole

logger = logging.getLogger(__name__)

#: What a job's folder is given to; it imports nothing before its turn.
RUNNER: tuple[str, ...] = (sys.executable, "-m", "sdm_core.jobs", "run")
_LOCK_TIMEOUT_S = 30.0


def submit(kind: str, key: str, payload: Mapping[str, Any], files: Mapping[str, bytes] | None = None) -> Job:
    """A job that does this work: the one under way for the same kind and key, else a new one.

    key: names everything that decides the result. payload: JSON values for the kind's function. files:
    contents the function finds under these names (`JobContext.given`), and that are removed when it ends.
    Raises `JobError` for an unknown kind or when too many jobs wait, `CacheNotWritableError`.
    """
    check_kind(kind)
    with submission_lock():
        found = find(kind, key)
        if found is not None and found.status().active:
            return found
        n_waiting = sum(status.state == "queued" for _, status in all_jobs())
        if n_waiting >= config.MAX_WAITING_JOBS:
            raise JobError(f"{n_waiting} jobs are waiting already; try again when some of them are done.")
        _prune()
        job = Job(jobs_folder() / secrets.token_hex(16))
        try:
            job.folder.mkdir()
        except OSError as error:
            raise _not_writable(error) from error
        write_json(
            job.folder / STATUS_FILE, JobStatus("queued", message="Waiting", created=time.time()).to_dict()
        )
        for name, content in (files or {}).items():
            write_whole(job.folder / GIVEN_FOLDER / name, content, CacheNotWritableError, CACHE_WAY_OUT)
        write_json(job.folder / REQUEST_FILE, {"kind": kind, "key": key, "payload": dict(payload)})
        write_json(_key_file(kind, key), {"id": job.id})
        _start(job)
    return job


def find(kind: str, key: str) -> Job | None:
    """The newest job of this kind and key, in whatever state; None when there is none."""
    try:
        name = json.loads(_key_file(kind, key).read_bytes())["id"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    job = Job(jobs_folder() / str(name))
    return job if (job.folder / REQUEST_FILE).is_file() else None


def all_jobs() -> Iterator[tuple[Job, JobStatus]]:
    """Every job there is with its status, oldest first."""
    found = []
    for path in jobs_folder().glob(f"*/{REQUEST_FILE}"):
        job = Job(path.parent)
        try:
            found.append((job, job.status()))
        except JobError as error:
            logger.warning("%s", error)
    yield from sorted(found, key=lambda pair: (pair[1].created, pair[0].id))


def submission_lock() -> FileLock:
    """Held while a job is added, or takes its turn. Raises `CacheNotWritableError`."""
    try:
        (jobs_folder() / "keys").mkdir(parents=True, exist_ok=True)
        return FileLock(jobs_folder() / "submit.lock", timeout=_LOCK_TIMEOUT_S)
    except OSError as error:
        raise _not_writable(error) from error


def _not_writable(error: OSError) -> CacheNotWritableError:
    return CacheNotWritableError(f"{jobs_folder()} cannot be written ({reason_of(error)}); {CACHE_WAY_OUT}.")


def _key_file(kind: str, key: str) -> Path:
    digest = hashlib.blake2b(f"{kind}\n{key}".encode(), digest_size=16).hexdigest()
    return jobs_folder() / "keys" / f"{digest}.json"


def _start(job: Job) -> None:
    """Start the process of a job, in a session of its own so that it outlives this one."""
    with (job.folder / LOG_FILE).open("ab") as log:
        process = subprocess.Popen(
            [*RUNNER, str(job.folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=config.ROOT_DIR,
            env={**os.environ, **_settings()},
            start_new_session=True,
        )
    threading.Thread(target=_collect, args=(process, job), name=f"job {job.id}", daemon=True).start()


def _collect(process: subprocess.Popen, job: Job) -> None:
    """Take the exit status, or the ended process stays in the table of this one.

    One that ended before it could take its lock leaves one that nobody holds, and so counts as dead.
    """
    process.wait()
    with contextlib.suppress(OSError):
        (job.folder / ALIVE_LOCK).touch()


def _settings() -> dict[str, str]:
    """Settings of this process as the environment gives them to the job."""
    settings = {
        "FLORASCOPE_CACHE": str(config.CACHE_DIR),
        "FLORASCOPE_MAX_JOBS": str(config.MAX_JOBS),
        "FLORASCOPE_FINE_CACHE_BYTES": str(config.FINE_CACHE_BYTES),
        "SDM_DATA": str(config.DATA_DIR),
    }
    if config.ATLAS_DIRS:
        settings["FLORASCOPE_ATLASES"] = str(config.ATLAS_DIRS[0])
    return settings


def _prune() -> None:
    """Remove the folders of finished jobs, the oldest first, until `config.MAX_KEPT_JOBS` are left."""
    over = [job for job, status in all_jobs() if not status.active]
    for job in over[: max(0, len(over) - config.MAX_KEPT_JOBS + 1)]:
        logger.info("removing the finished job %s", job.id)
        shutil.rmtree(job.folder, ignore_errors=True)
    for entry in (jobs_folder() / "keys").glob("[!.]*.json"):
        if not any(name in entry.read_text(encoding="utf-8") for name in _ids()):
            entry.unlink(missing_ok=True)


def _ids() -> list[str]:
    return [path.parent.name for path in jobs_folder().glob(f"*/{REQUEST_FILE}")]


__all__ = ["all_jobs", "find", "submission_lock", "submit"]
