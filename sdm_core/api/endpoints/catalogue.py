"""The published rasters with their STAC catalogue, as static files that GDAL reads in parts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from starlette.responses import FileResponse, RedirectResponse, Response

from sdm_core.api import answers
from sdm_core.api.conditional import etag_of, is_known, kept_headers, not_modified
from sdm_core.api.context import VERSION_PREFIX, ApiContext
from sdm_core.api.refusals import ApiError

ROOT_FILE = "catalog.json"
#: What is served, by suffix; nothing else that may lie in the folder is.
_MEDIA_TYPES = {
    ".json": "application/json",
    ".geojson": "application/geo+json",
    ".tif": "image/tiff; application=geotiff; profile=cloud-optimized",
    ".png": "image/png",
}
FilePath = Annotated[str, InPath(max_length=300)]


def router(context: ApiContext) -> APIRouter:
    """Addresses of the catalogue."""
    routes = APIRouter(prefix=VERSION_PREFIX + "/stac", tags=["Catalogue of rasters (STAC)"])

    @routes.get("", include_in_schema=False)
    @routes.get("/", include_in_schema=False)
    async def to_root(request: Request) -> Response:
        here = "" if request.url.path.endswith("/") else "stac/"
        return RedirectResponse(f"{here}{ROOT_FILE}", status_code=307)

    @routes.get("/{path:path}", response_class=FileResponse, responses=answers.REFUSALS)
    async def serve_file(request: Request, path: FilePath) -> Response:
        """A file of the catalogue: start at `catalog.json`; links in it are relative. Ranges are served."""
        file = await context.region_room.do(lambda: _file_of(path))
        facts = file.stat()
        headers = kept_headers(etag_of(path, facts.st_size, facts.st_mtime_ns), seconds=300)
        if is_known(request, headers["ETag"]):
            return not_modified(headers)
        # a raster is packed already, and whoever reads it in parts needs its true length
        headers["Content-Encoding"] = "identity"
        return FileResponse(file, media_type=_MEDIA_TYPES[file.suffix], headers=headers, stat_result=facts)

    return routes


def _file_of(path: str) -> Path:
    """The published file of a path; raises `ApiError` where there is none."""
    from sdm_core.exports import published_folder

    root = published_folder().resolve()
    parts = path.split("/")
    is_plain = all(
        part and not part.startswith(".") and "\\" not in part and "\0" not in part for part in parts
    )
    if is_plain:
        file = root.joinpath(*parts).resolve()
        if file.is_relative_to(root) and file.suffix in _MEDIA_TYPES and file.is_file():
            return file
    if path == ROOT_FILE:
        raise ApiError(
            404,
            "No raster is published on this server yet; whoever runs it can, with "
            "`python -m sdm_core export --model NAME --what catalogue`.",
        )
    raise ApiError(404, f"The catalogue has no such file; start at {ROOT_FILE}.")
