"""Work in the background, with progress, time left and a way to cancel.

A job is a process of its own and a folder, `cache/jobs/<id>/`:

    request.json   what was asked: kind, key, payload
    status.json    state, progress, message, time left, result or error in one sentence; replaced at once
    alive.lock     locked by the process for as long as it lives: a killed one is noticed at once
    cancel         exists once somebody asked to stop
    log.txt        what the process logged
    …              files the job made

It goes on when the page is reloaded or the server stops, and any process reads its state from the folder.
The same work asked for twice while it runs is one job (`submit`), and at most `config.MAX_JOBS` run at once.
A kind of job is a function `(payload, job: JobContext) -> result`; `kinds.KINDS` names where each lives, so
that this room imports none of them.
"""

from sdm_core.jobs.folder import ACTIVE, Job, JobError, JobState, JobStatus, job_of_id
from sdm_core.jobs.running import JobCancelledError, JobContext
from sdm_core.jobs.submitting import find, submit

__all__ = [
    "ACTIVE",
    "Job",
    "JobCancelledError",
    "JobContext",
    "JobError",
    "JobState",
    "JobStatus",
    "find",
    "job_of_id",
    "submit",
]
