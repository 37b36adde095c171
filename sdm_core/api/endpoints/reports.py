"""Reports of a region, written in the background, and the jobs that write them."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field
from starlette.responses import FileResponse, Response

from sdm_core import jobs
from sdm_core.api import answers
from sdm_core.api.context import VERSION_PREFIX, ApiContext
from sdm_core.api.endpoints.regions import Options, Place
from sdm_core.api.endpoints.tiles import AtlasName, opened, start_of
from sdm_core.api.finer import check_finer
from sdm_core.api.job_answers import REPORT, job_answer, known_job
from sdm_core.api.posted import read_posted
from sdm_core.api.question_body import QUESTION_BODY
from sdm_core.api.refusals import ApiError
from sdm_core.api.region_answers import Question, region_of, select
from sdm_core.indicators import check_outlines
from sdm_core.on_demand.own_files import OwnFiles
from sdm_core.regions import Region
from sdm_core.registry import Atlas

JobId = Annotated[str, Path(max_length=64)]


class ReportOptions(Options, Place):
    """What the report is about and how the region is read."""

    formats: str = Field(
        "",
        max_length=100,
        description="Some of html, pdf, csv, json, geojson, geoparquet, geotiff, methods, figures with "
        "commas; all but figures by default.",
    )


def router(context: ApiContext) -> APIRouter:
    """Addresses of reports and jobs."""
    routes = APIRouter(prefix=VERSION_PREFIX, tags=["Reports"])

    @routes.post(
        "/atlases/{atlas}/reports",
        response_model=answers.JobAnswer,
        status_code=202,
        responses=answers.BODY_REFUSALS,
        openapi_extra=QUESTION_BODY,
    )
    async def order_report(
        request: Request, atlas: AtlasName, options: Annotated[ReportOptions, Query()]
    ) -> Response:
        """Start writing the report of a posted region, or of a place or cells; answers with the job.

        The same report asked for again, while it is written or kept, is the same job. Status lists, own
        records and outlines in the body are those of the command `report`; they lie beside the job until it
        is done.
        """
        question = Question(options.containment, options.rule, options.of_rule)
        formats = _formats(options.formats)
        body = await request.body()
        found = await opened(context, atlas)

        def work() -> Response:
            posted = read_posted(body, context.settings)
            region = region_of(
                posted, context.settings, options.name, options.place, options.radius_km, options.cells
            )
            job = _submitted(found, region, question, formats, options.resolution, posted.own)
            return job_answer(job, start_of(request))

        return await context.region_room.do(work)

    @routes.get("/jobs/{job_id}", response_model=answers.JobAnswer, responses=answers.REFUSALS)
    async def show_job(request: Request, job_id: JobId) -> Response:
        """How far a job is."""
        return await context.region_room.do(
            lambda: job_answer(known_job(job_id), start_of(request), status=200)
        )

    @routes.delete("/jobs/{job_id}", response_model=answers.JobAnswer, responses=answers.REFUSALS)
    async def cancel_job(request: Request, job_id: JobId) -> Response:
        """Ask a job to stop; it does at its next step."""

        def work() -> Response:
            job = known_job(job_id)
            job.cancel()
            return job_answer(job, start_of(request), status=200)

        return await context.region_room.do(work)

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
        """The files a finished report job has made, as one ZIP archive."""
        return await context.region_room.do(lambda: _archive(known_job(job_id)))

    return routes


def _formats(text: str) -> tuple[str, ...]:
    """The formats asked for, in the order of `reports.FORMATS`; empty for all."""
    from sdm_core.reports import FORMATS

    wanted = {word.strip().lower() for word in text.split(",") if word.strip()}
    unknown = sorted(wanted - set(FORMATS))
    if unknown:
        raise ApiError(422, f"The format is {unknown[0][:20]!r}, expected some of {', '.join(FORMATS)}.")
    return tuple(name for name in FORMATS if name in wanted)


def _submitted(
    atlas: Atlas,
    region: Region,
    question: Question,
    formats: tuple[str, ...],
    resolution: int | None,
    own: OwnFiles,
) -> jobs.Job:
    """The job of this report: a kept one that is done or under way, else a new one."""
    data = own.read()  # what cannot be read is refused now, not by the job
    if data.outlines is not None:
        check_outlines(data.outlines, atlas.store)
    finer = resolution if resolution is not None and resolution != atlas.store.resolution else None
    if finer is not None:  # what cannot be written is refused now, not by the job
        check_finer(atlas, region, finer)
    else:
        select(atlas.store, region, question.containment)
    payload = {
        "atlas": atlas.name,
        "region": region.to_geojson(decimals=9),
        "name": region.name,
        "containment": question.containment,
        "rule": question.rule,
        "options": dict(question.options),
        **({"formats": list(formats)} if formats else {}),
        **({"resolution": finer} if finer is not None else {}),
        **own.to_payload(),
    }
    decides = [atlas.key, region.geometry_hash, region.notes, payload, *([own.key] if own else [])]
    digest = hashlib.blake2b(json.dumps(decides, sort_keys=True).encode(), digest_size=16).hexdigest()
    kept = jobs.find(REPORT, f"api {digest}")
    if kept is not None and kept.status().state == "done":
        return kept
    try:
        return jobs.submit(
            REPORT, f"api {digest}", payload, {name: file.content for name, file in own.files.items()}
        )
    except jobs.JobError as error:
        raise ApiError(503, str(error), {"Retry-After": "60"}) from error


def _archive(job: jobs.Job) -> Response:
    """The files of a finished job as a download."""
    status = job.status()
    if status.state != "done":
        why = status.error or "look at its state, and come back when it is done."
        raise ApiError(409, f"The job is {status.state}: {why}")
    name = str(status.result.get("archive", ""))
    if not name:
        raise ApiError(404, "This job makes no files; ask about its region again.")
    if not (job.folder / name).is_file():
        raise ApiError(404, "The files of this job are no longer kept; order the report again.")
    stem = str(status.result.get("stem") or "report")
    return FileResponse(job.folder / name, media_type="application/zip", filename=f"{stem}.zip")
