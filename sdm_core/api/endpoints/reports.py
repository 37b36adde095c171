"""Reports of a region, written in the background, and the jobs that write them."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field
from starlette.responses import FileResponse, JSONResponse, Response

from sdm_core import jobs
from sdm_core.api import answers
from sdm_core.api.context import VERSION_PREFIX, ApiContext
from sdm_core.api.endpoints.regions import GEOJSON_BODY, Options, Place
from sdm_core.api.endpoints.tiles import AtlasName, opened, start_of
from sdm_core.api.refusals import ApiError
from sdm_core.api.region_answers import Question, region_of_body, region_of_query, select
from sdm_core.regions import Region
from sdm_core.registry import Atlas

_KIND = "report"
#: Jobs only ever belong to this kind here; those of the pages stay theirs.
_FILE_STEM = "report"
JobId = Annotated[str, Path(max_length=64)]


class ReportOptions(Options, Place):
    """What the report is about and how the region is read."""

    formats: str = Field(
        "",
        max_length=100,
        description="Some of html, pdf, csv, json, geojson, geoparquet, geotiff with commas; all by default.",
    )


def router(context: ApiContext) -> APIRouter:
    """Addresses of reports and jobs."""
    routes = APIRouter(prefix=VERSION_PREFIX, tags=["Reports"])

    @routes.post(
        "/atlases/{atlas}/reports",
        response_model=answers.JobAnswer,
        status_code=202,
        responses=answers.BODY_REFUSALS,
        openapi_extra={"requestBody": {**GEOJSON_BODY["requestBody"], "required": False}},
    )
    async def order_report(
        request: Request, atlas: AtlasName, options: Annotated[ReportOptions, Query()]
    ) -> Response:
        """Start writing the report of a posted region, or of a place or cells; answers with the job.

        The same report asked for again, while it is written or kept, is the same job.
        """
        question = Question(options.containment, options.rule, options.of_rule)
        body = await request.body()
        found = await opened(context, atlas)

        def work() -> tuple[jobs.Job, jobs.JobStatus]:
            if body.strip():
                region = region_of_body(body, context.settings, options.name)
            else:
                region = region_of_query(options.place, options.radius_km, options.cells, options.name)
            job = _submitted(found, region, question, _formats(options.formats))
            return job, job.status()

        job, status = await context.region_room.do(work)
        content = _job(job, status, start_of(request))
        return JSONResponse(content, status_code=202, headers={"Location": content["links"]["self"]})

    @routes.get("/jobs/{job_id}", response_model=answers.JobAnswer, responses=answers.REFUSALS)
    async def show_job(request: Request, job_id: JobId) -> Response:
        """How far a job is."""

        def work() -> dict[str, Any]:
            job = _known(job_id)
            return _job(job, job.status(), start_of(request))

        return JSONResponse(await context.region_room.do(work), headers={"Cache-Control": "no-store"})

    @routes.delete("/jobs/{job_id}", response_model=answers.JobAnswer, responses=answers.REFUSALS)
    async def cancel_job(request: Request, job_id: JobId) -> Response:
        """Ask a job to stop; it does at its next step."""

        def work() -> dict[str, Any]:
            job = _known(job_id)
            job.cancel()
            return _job(job, job.status(), start_of(request))

        return JSONResponse(await context.region_room.do(work), headers={"Cache-Control": "no-store"})

    @routes.get(
        "/jobs/{job_id}/result",
        response_class=FileResponse,
        responses={
            200: {"content": {"application/zip": {}}, "description": "All files of the report, zipped."},
            409: {"model": answers.Refusal, "description": "The job is not done."},
            **answers.REFUSALS,
        },
    )
    async def fetch_result(job_id: JobId) -> Response:
        """The files a finished job has made, as one ZIP archive."""
        job, status = await context.region_room.do(lambda: (known := _known(job_id), known.status()))
        if status.state != "done":
            why = status.error or "look at its state, and come back when it is done."
            raise ApiError(409, f"The job is {status.state}: {why}")
        archive = job.folder / str(status.result.get("archive", ""))
        if not archive.is_file():
            raise ApiError(404, "The files of this job are no longer kept; order the report again.")
        stem = str(status.result.get("stem") or _FILE_STEM)
        return FileResponse(archive, media_type="application/zip", filename=f"{stem}.zip")

    return routes


def _formats(text: str) -> tuple[str, ...]:
    """The formats asked for, in the order of `reports.FORMATS`; empty for all."""
    from sdm_core.reports import FORMATS

    wanted = {word.strip().lower() for word in text.split(",") if word.strip()}
    unknown = sorted(wanted - set(FORMATS))
    if unknown:
        raise ApiError(422, f"The format is {unknown[0][:20]!r}, expected some of {', '.join(FORMATS)}.")
    return tuple(name for name in FORMATS if name in wanted)


def _submitted(atlas: Atlas, region: Region, question: Question, formats: tuple[str, ...]) -> jobs.Job:
    """The job of this report: a kept one that is done or under way, else a new one."""
    # a region without cells is refused now, not by the job
    select(atlas.store, region, question.containment)
    payload = {
        "atlas": atlas.name,
        "region": region.to_geojson(decimals=9),
        "name": region.name,
        "containment": question.containment,
        "rule": question.rule,
        "options": dict(question.options),
        **({"formats": list(formats)} if formats else {}),
    }
    decides = [atlas.store.version, region.geometry_hash, region.notes, payload]
    key = hashlib.blake2b(json.dumps(decides, sort_keys=True).encode(), digest_size=16).hexdigest()
    kept = jobs.find(_KIND, f"api {key}")
    if kept is not None and kept.status().state == "done":
        return kept
    try:
        return jobs.submit(_KIND, f"api {key}", payload)
    except jobs.JobError as error:
        raise ApiError(503, str(error), {"Retry-After": "60"}) from error


def _known(job_id: str) -> jobs.Job:
    try:
        job = jobs.job_of_id(job_id)
        request = job.request()
    except jobs.JobError as error:
        raise ApiError(404, "There is no such job, or none any more; order the report again.") from error
    if request.get("kind") != _KIND:
        raise ApiError(404, "There is no such report job.")
    return job


def _job(job: jobs.Job, status: jobs.JobStatus, start: str) -> dict[str, Any]:
    here = f"{start}{VERSION_PREFIX}/jobs/{job.id}"
    return {
        "id": job.id,
        "state": status.state,
        "progress": round(status.progress, 3),
        "message": status.message,
        "seconds_left": status.seconds_left,
        "error": status.error,
        "notes": [str(note) for note in status.result.get("notes", ())],
        "links": {"self": here, **({"result": f"{here}/result"} if status.state == "done" else {})},
    }
