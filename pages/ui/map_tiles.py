"""The base of a map that shows every cell of a large atlas: our own tiles between land and borders.

The browser cannot draw a quarter of a million hexagons, but it draws tiles of any number of cells. The style
(MapLibre style specification, version 8) is published like any other map layer; its addresses must be whole,
because the browser loads tiles and outlines in a worker.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from pages.ui import palette, session_tiles
from pages.ui.routes import API_PREFIX, PREFIX, STYLES, base_path, basemap_url

if TYPE_CHECKING:
    from sdm_core.colours import Scale
    from sdm_core.registry import Atlas

#: Zoom beyond which tiles are only enlarged: a cell of resolution 6 is then some 30 pixels wide.
_FINEST_ZOOM = 10
_TILE_PIXELS = 256
#: Milliseconds in which a tile appears, and in which the layer before goes, after a wait for the new one.
_APPEARING_MS = 80
_FADING = {"duration": 250, "delay": 450}
_SHOWN = "map_tiles_shown"


def origin() -> str:
    """Scheme and host of this server as the browser knows it; empty outside a browser."""
    address = urlsplit(st.context.url or "")
    return f"{address.scheme}://{address.netloc}" if address.netloc else ""


def tiles_url(atlas: Atlas, layer: str, species_id: int, scale: Scale, masked: bool = False) -> str:
    """Address pattern of the tiles of a layer in the colours of the page, masked or not."""
    name = f"species/{species_id}" if layer == "species" else layer
    ends = {"min": f"{scale.low:g}", "max": f"{scale.high:g}", "cutoff": f"{scale.cutoff:g}"}
    look = {
        **({} if scale.categories is not None else ends),
        "theme": "dark" if palette.is_dark() else "light",
        **({"mask": "true"} if masked else {}),
        "v": atlas.key,
    }
    tiles = f"{API_PREFIX}/v1/atlases/{atlas.name}/tiles/{name}/{{z}}/{{x}}/{{y}}.png"
    return f"{origin()}{base_path()}{tiles}?{urlencode(look)}"


def own_tiles_url(
    atlas: Atlas,
    layer: str,
    values: NDArray[np.float32],
    scale: Scale,
    digests: Sequence[str],
    masked: bool = False,
) -> str:
    """Address pattern of the tiles of a layer made from the lists of this session."""
    theme = "dark" if palette.is_dark() else "light"
    path = session_tiles.publish(atlas, layer, values, scale, digests, theme, masked)
    return f"{origin()}{base_path()}{PREFIX}{path}"


def style_url(tiles: str, opacity: float) -> str:
    """Address of a map style: sea, land, the tiles at an address pattern, borders.

    The layer shown before stays below and fades once the new one is there, so that the map never goes blank.
    """
    ink = palette.inks()
    root = f"{origin()}{base_path()}"
    shown, before = _remember(tiles)
    drawn = [(before, 0.0), (shown, round(opacity, 2))] if before else [(shown, round(opacity, 2))]
    style = {
        "version": 8,
        "sources": {
            "land": {"type": "geojson", "data": basemap_url("land", root)},
            "countries": {"type": "geojson", "data": basemap_url("countries", root)},
            **{
                _name(tiles): {
                    "type": "raster",
                    "tiles": [tiles],
                    "tileSize": _TILE_PIXELS,
                    "maxzoom": _FINEST_ZOOM,
                }
                for tiles, _ in drawn
            },
        },
        "layers": [
            {"id": "sea", "type": "background", "paint": {"background-color": ink.sea}},
            {"id": "land", "type": "fill", "source": "land", "paint": {"fill-color": palette.css(ink.land)}},
            *(
                {
                    "id": _name(tiles),
                    "type": "raster",
                    "source": _name(tiles),
                    "paint": {
                        "raster-opacity": share,
                        "raster-opacity-transition": _FADING,
                        "raster-fade-duration": _APPEARING_MS,
                        "raster-resampling": "nearest",
                    },
                }
                for tiles, share in drawn
            ),
            {
                "id": "countries",
                "type": "line",
                "source": "countries",
                "paint": {"line-color": palette.css(ink.border), "line-width": 0.9},
            },
        ],
    }
    body = json.dumps(style, separators=(",", ":"))
    return STYLES.publish(f"style {body}", body.encode, root)


def _remember(tiles: str) -> tuple[str, str]:
    """The tiles to show and those shown before them in this session; empty where there were none."""
    shown, before = st.session_state.get(_SHOWN, ("", ""))
    if tiles != shown:
        shown, before = tiles, shown
        st.session_state[_SHOWN] = (shown, before)
    return shown, before


def _name(tiles: str) -> str:
    """Name of the source and layer of some tiles in a style."""
    return f"cells-{hashlib.blake2b(tiles.encode(), digest_size=6).hexdigest()}"
