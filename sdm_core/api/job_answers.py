"""Jobs as the interface shows them: those it starts itself, and no others."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

from sdm_core import jobs
from sdm_core.api.context import VERSION_PREFIX
from sdm_core.api.refusals import ApiError

REPORT, FINER_CELLS = "report", "fine"


def known_job(job_id: str) -> jobs.Job:
    """The job of an id; raises `ApiError` 404 where there is none that was started here."""
    try:
        job = jobs.job_of_id(job_id)
        kind = job.request().get("kind")
    except jobs.JobError as error:
        raise ApiError(404, "There is no such job, or none any more; order the work again.") from error
    if kind not in (REPORT, FINER_CELLS):
        raise ApiError(404, "There is no such job here.")
    return job


def job_content(job: jobs.Job, start: str) -> dict[str, Any]:
    """Content of `answers.JobAnswer`."""
    status = job.status()
    here = f"{start}{VERSION_PREFIX}/jobs/{job.id}"
    has_files = status.state == "done" and bool(status.result.get("archive"))
    return {
        "id": job.id,
        "state": status.state,
        "progress": round(status.progress, 3),
        "message": status.message,
        "seconds_left": status.seconds_left,
        "error": status.error,
        "notes": [str(note) for note in status.result.get("notes", ())],
        "links": {"self": here, **({"result": f"{here}/result"} if has_files else {})},
    }


def job_answer(job: jobs.Job, start: str, status: int = 202) -> Response:
    """202: the work goes on in the background, at the address in Location."""
    content = job_content(job, start)
    headers = {"Cache-Control": "no-store"}
    if status == 202:
        headers["Location"] = content["links"]["self"]
    return JSONResponse(content, status_code=status, headers=headers)
