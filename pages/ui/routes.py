"""Files the browser asks this server for, so that no page needs the internet: Leaflet and the base map."""

from __future__ import annotations

import json
from functools import lru_cache

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from sdm_core import config

#: Every address of ours starts with it, so none can collide with Streamlit's.
PREFIX = "/florascope"
LEAFLET_DIR = config.ASSETS_DIR / "vendor" / "leaflet" / "node_modules"
LEAFLET_FILES = {
    "leaflet.js": "leaflet/dist/leaflet.js",
    "leaflet.css": "leaflet/dist/leaflet.css",
    "draw.js": "leaflet-draw/dist/leaflet.draw.js",
    "draw.css": "leaflet-draw/dist/leaflet.draw.css",
}
LEAFLET_CDN = {
    "leaflet.js": "https://cdn.jsdelivr.net/npm/leaflet@1.9.4/dist/leaflet.js",
    "leaflet.css": "https://cdn.jsdelivr.net/npm/leaflet@1.9.4/dist/leaflet.css",
    "draw.js": "https://cdn.jsdelivr.net/npm/leaflet-draw@1.0.4/dist/leaflet.draw.js",
    "draw.css": "https://cdn.jsdelivr.net/npm/leaflet-draw@1.0.4/dist/leaflet.draw.css",
}
BASEMAP_LAYERS = ("land", "countries")


def leaflet_is_local() -> bool:
    """Whether `make` has put its own copies of Leaflet in place."""
    return all((LEAFLET_DIR / path).is_file() for path in LEAFLET_FILES.values())


def leaflet_url(name: str, base_path: str = "") -> str:
    """Address of one Leaflet file: our copy where it is installed, its CDN otherwise."""
    if leaflet_is_local():
        return f"{base_path}{PREFIX}/leaflet/{LEAFLET_FILES[name]}"
    return LEAFLET_CDN[name]


def basemap_url(layer: str, base_path: str = "") -> str:
    """Address of a base-map layer (`land` or `countries`) as GeoJSON."""
    return f"{base_path}{PREFIX}/basemap/{layer}.geojson"


@lru_cache(maxsize=len(BASEMAP_LAYERS))
def _basemap_body(layer: str) -> bytes:
    from sdm_core import regions

    collection = regions.basemap_land() if layer == "land" else regions.basemap_countries()
    return json.dumps(collection, separators=(",", ":")).encode()


def serve_basemap(request: Request) -> Response:
    """One base-map layer, cached by the browser for a day."""
    layer = request.path_params["layer"]
    if layer not in BASEMAP_LAYERS:
        return JSONResponse({"error": f"no base-map layer named {layer!r}"}, status_code=404)
    return Response(
        _basemap_body(layer),
        media_type="application/geo+json",
        headers={"Cache-Control": "public, max-age=86400"},
    )


def serve_health(_request: Request) -> Response:
    """A line for whoever watches the server: the app answers, and with which version."""
    return JSONResponse({"status": "ok", "version": config.CODE_VERSION})


ROUTES: list[BaseRoute] = [
    Route(f"{PREFIX}/health", serve_health),
    Route(f"{PREFIX}/basemap/{{layer}}.geojson", serve_basemap),
]
if LEAFLET_DIR.is_dir():
    ROUTES.append(Mount(f"{PREFIX}/leaflet", StaticFiles(directory=LEAFLET_DIR)))
