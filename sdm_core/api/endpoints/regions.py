"""Numbers of a region: posted as GeoJSON, or by the name of a place or its cells."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from sdm_core import config, jobs, regions
from sdm_core.api import answers
from sdm_core.api.conditional import etag_of, is_known, json_answer, json_body, kept_headers, not_modified
from sdm_core.api.context import VERSION_PREFIX, ApiContext
from sdm_core.api.endpoints.tiles import AtlasName, opened, start_of
from sdm_core.api.finer import finer_cells
from sdm_core.api.job_answers import job_answer
from sdm_core.api.posted import Posted, read_posted
from sdm_core.api.question_body import QUESTION_BODY
from sdm_core.api.region_answers import Question, answer_region, number_of_species, region_of

_CONTAINMENT = "Which cells count: " + "; ".join(
    f"{name}: {text}" for name, text in regions.CONTAINMENT_RULES.items()
)


class Options(BaseModel):
    """How a region is read."""

    name: str = Field("", max_length=80, description="Title of the region.")
    containment: str = Field(regions.DEFAULT_CONTAINMENT, max_length=20, description=_CONTAINMENT)
    rule: str = Field(
        config.DEFAULT_RULE,
        max_length=20,
        description="From probabilities to species sets: sse, threshold, top_k, average_k or max_exp; with "
        "held-out surveys beside the atlas also species_threshold or conformal (all not excluded).",
    )
    t: float | None = Field(None, description="Threshold of the rule threshold.")
    k: float | None = Field(None, description="Species per cell, for top_k and average_k.")
    score: str | None = Field(
        None, max_length=20, description="What max_exp maximises: f1, jaccard, tss or accuracy."
    )
    criterion: str | None = Field(
        None,
        max_length=20,
        description="What species_threshold chooses by: tss, f1, prevalence (the default), minimum_presence "
        "or p10.",
    )
    resolution: int | None = Field(
        None,
        ge=0,
        le=15,
        description="H3 resolution finer than the atlas: cells predicted on demand, where the server has the "
        "model and its covariates.",
    )

    @property
    def of_rule(self) -> dict[str, Any]:
        """Options of the rule that are given."""
        given = {"t": self.t, "k": self.k, "score": self.score, "criterion": self.criterion}
        return {name: value for name, value in given.items() if value is not None}


class RegionOptions(Options):
    """How a region is read, and what is told of it."""

    species: str = Field("20", max_length=20, description="Species to list: all, none, or a number of them.")

    def question(self) -> Question:
        """What is asked; raises `ApiError` or `RuleError` where it cannot be answered."""
        return Question(self.containment, self.rule, self.of_rule, number_of_species(self.species))


class Place(BaseModel):
    """A region that needs no outline."""

    place: str | None = Field(None, max_length=100, description="Natural region, country or town: Pyrenees.")
    radius_km: float | None = Field(None, gt=0, le=2000, description="Radius of the circle around a town.")
    cells: str | None = Field(None, max_length=20_000, description="H3 cells with commas between them.")


_POST_ANSWERS: dict[int | str, dict[str, Any]] = {
    202: {"model": answers.JobAnswer, "description": "Finer cells are being predicted; ask again later."},
    **answers.BODY_REFUSALS,
}


class PlaceQuestion(RegionOptions, Place):
    """A place and what is asked about it."""


def router(context: ApiContext) -> APIRouter:
    """Addresses of regions."""
    routes = APIRouter(prefix=VERSION_PREFIX + "/atlases/{atlas}/regions", tags=["Regions"])

    @routes.post(
        "", response_model=answers.RegionAnswer, responses=_POST_ANSWERS, openapi_extra=QUESTION_BODY
    )
    async def ask_about_region(
        request: Request, atlas: AtlasName, options: Annotated[PlaceQuestion, Query()]
    ) -> Response:
        """Indicators, species and trust grade of a region drawn by the client.

        The body may also bring status lists, own records and outlines to compare with: their numbers are
        added to the answer as `status_lists`, `matching`, `observed` and `benchmarks`. Records are read for
        this answer only and kept nowhere.

        With a finer `resolution` the first answer is 202 and the job that predicts those cells; ask again
        once it is done.
        """
        return await answered(request, atlas, options, await request.body(), may_start=True)

    @routes.get("", response_model=answers.RegionAnswer, responses=answers.REFUSALS)
    async def ask_about_place(
        request: Request, atlas: AtlasName, options: Annotated[PlaceQuestion, Query()]
    ) -> Response:
        """The same for a named place, or for cells."""
        return await answered(request, atlas, options, None, may_start=False)

    async def answered(
        request: Request, atlas_name: str, options: PlaceQuestion, body: bytes | None, may_start: bool
    ) -> Response:
        question = options.question()
        atlas = await opened(context, atlas_name)

        def work() -> Response:
            posted = None if body is None else read_posted(body, context.settings)
            region = region_of(
                posted, context.settings, options.name, options.place, options.radius_km, options.cells
            )
            used = atlas
            if options.resolution is not None and options.resolution != atlas.store.resolution:
                finer = finer_cells(atlas, region, options.resolution, may_start)
                if isinstance(finer, jobs.Job):
                    return job_answer(finer, start_of(request))
                used, region = finer
            own = Posted().own if posted is None else posted.own
            etag = etag_of(used.key, region.geometry_hash, region.name, region.notes, question.key, own.key)
            headers = kept_headers(etag)
            if own:
                headers["Cache-Control"] = "private"
            if is_known(request, etag):
                return not_modified(headers)

            def answer() -> bytes:
                return json_body(answer_region(used, region, question, own.read() if own else None))

            if own.records:  # what was seen where is a user's own
                return json_answer(answer(), headers)
            kept: bytes = context.answers.get(("region", etag), answer, len)
            return json_answer(kept, headers)

        return await context.region_room.do(work)

    return routes
