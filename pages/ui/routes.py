"""What this server answers beside the pages: files they need, so that no page needs the internet; `/api`."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache

import streamlit as st
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from pages.ui import session_tiles
from sdm_core import config
from sdm_core.errors import ConfigurationError

logger = logging.getLogger(__name__)

#: Every address of ours starts with one of these, so none can collide with Streamlit's.
PREFIX = "/florascope"
API_PREFIX = "/api"
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


def base_path() -> str:
    """The path the server lives under, empty by default."""
    path = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{path}" if path else ""


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


class PublishedLayers:
    """Map layers the browser fetches by address, so that a click does not send all hexagons again.

    Bounded; a layer that was dropped is published again by the next run of a page that shows it.
    """

    def __init__(self, max_layers: int = 24, kind: str = "layer"):
        self._bodies: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()
        self._max_layers = max_layers
        self._kind = kind

    def publish(self, key: str, make: Callable[[], bytes], base_path: str = "") -> str:
        """Address of the layer of this key; `make` gives its JSON where it is not there yet."""
        name = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
        with self._lock:
            known = name in self._bodies
        body = None if known else make()
        with self._lock:
            if body is not None:
                self._bodies[name] = body
            if name in self._bodies:
                self._bodies.move_to_end(name)
            while len(self._bodies) > self._max_layers:
                self._bodies.popitem(last=False)
        return f"{base_path}{PREFIX}/{self._kind}/{name}.json"

    def body(self, name: str) -> bytes | None:
        """JSON of a published layer; None when there is none of this name."""
        with self._lock:
            return self._bodies.get(name)


LAYERS = PublishedLayers()
#: Styles of maps drawn from tiles: small, and apart so that layers do not push them out.
STYLES = PublishedLayers(max_layers=400, kind="style")


def serve_layer(request: Request) -> Response:
    """One published map layer; its address changes with its content, so the browser may keep it."""
    return _published(LAYERS, request.path_params["name"])


def serve_style(request: Request) -> Response:
    """One published map style."""
    return _published(STYLES, request.path_params["name"])


def _published(published: PublishedLayers, name: str) -> Response:
    body = published.body(name)
    if body is None:
        return JSONResponse({"error": "this layer is no longer kept; reload the page"}, status_code=404)
    return Response(
        body, media_type="application/json", headers={"Cache-Control": "private, max-age=3600, immutable"}
    )


class Interface:
    """The programming interface and map tiles (`sdm_core.api`), built when it is first asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._api: ASGIApp | None = None

    def build(self) -> ASGIApp:
        """The interface; raises `ConfigurationError` where its settings in the environment are wrong."""
        with self._lock:
            if self._api is None:
                from sdm_core.api import create_api

                self._api = create_api()
            return self._api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on."""
        try:
            api = self._api or await run_in_threadpool(self.build)
        except ConfigurationError:
            logger.exception("the programming interface cannot start")
            refused = JSONResponse(
                {"error": "The interface is not set up right; its log says why."}, status_code=503
            )
            await refused(scope, receive, send)
            return
        await api(scope, receive, send)


INTERFACE = Interface()


def to_interface(_request: Request) -> Response:
    """The start page of the interface has a slash at its end, so that its links are relative to it."""
    return RedirectResponse("api/", status_code=308)


def routes_under(base_path: str = "") -> list[BaseRoute]:
    """All addresses of ours below the path the server lives under ("" or "/florascope-test")."""
    ours = f"{base_path}{PREFIX}"
    routes: list[BaseRoute] = [
        Route(f"{base_path}{API_PREFIX}", to_interface),
        Mount(f"{base_path}{API_PREFIX}", INTERFACE),
        Route(f"{ours}/health", serve_health),
        Route(f"{ours}/basemap/{{layer}}.geojson", serve_basemap),
        Route(f"{ours}/layer/{{name}}.json", serve_layer),
        Route(f"{ours}/style/{{name}}.json", serve_style),
        Route(f"{ours}/tiles/{{name}}/{{z:int}}/{{x:int}}/{{y:int}}.png", session_tiles.serve_tile),
    ]
    if LEAFLET_DIR.is_dir():
        routes.append(Mount(f"{ours}/leaflet", StaticFiles(directory=LEAFLET_DIR)))
    return routes


def served_routes(base_path: str) -> list[BaseRoute]:
    """Addresses below the base path, and without it for a proxy that takes it off."""
    return [*routes_under(base_path), *routes_under()] if base_path else routes_under()
