"""The interface as one ASGI application."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse

from sdm_core import config
from sdm_core.api import home, refusals
from sdm_core.api.context import ApiContext
from sdm_core.api.endpoints import atlases, catalogue, regions, reports, species, tiles
from sdm_core.api.limits import Gate
from sdm_core.api.settings import ApiSettings
from sdm_core.api.work import share_the_cores

_DESCRIPTION = """Predicted distributions of plant species, and the diversity of any region.

Atlases hold one calibrated probability per species and H3 cell. Coordinates are longitude, latitude in
degrees (WGS84). Every refusal is `{"error": "one sentence"}`. Answers carry an ETag; send it back in
If-None-Match to learn cheaply that nothing has changed. What the numbers must not be used for stands in each
atlas under `about`.
"""


def create_api(settings: ApiSettings | None = None) -> FastAPI:
    """The application with its own caches and threads; `settings` come from the environment by default.

    Raises:
        ConfigurationError: a setting in the environment is not a number, or too small.
    """
    settings = settings or ApiSettings.from_environment()
    share_the_cores()
    context = ApiContext.of(settings)
    api = FastAPI(
        title="Florascope",
        summary="Plant species distributions and regional biodiversity",
        description=_DESCRIPTION,
        version=config.CODE_VERSION,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        middleware=[Middleware(Gate, settings=settings)],
        redirect_slashes=False,
    )
    api.state.context = context
    refusals.install(api)

    @api.get("/", include_in_schema=False)
    async def start(request: Request) -> HTMLResponse:
        return HTMLResponse(home.page(api.openapi(), context.shelf.names()))

    for subject in (atlases, species, regions, reports, tiles, catalogue):
        api.include_router(subject.router(context))
    return api


__all__ = ["create_api"]
