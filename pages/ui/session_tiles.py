"""Tiles of layers made from what one session holds, such as its status lists.

They are drawn like the tiles of the interface, but under addresses that only this session is told: a hash
with a secret of this process. Bounded; what was dropped is published again by the next run of a page.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from sdm_core.api.tiles import Layer, Paint, TileArtist
    from sdm_core.colours import Scale
    from sdm_core.registry import Atlas

_SECRET = secrets.token_bytes(32)
_MOST_LAYERS = 16
_CACHE_BYTES = 96 * 1024**2
_MAX_ZOOM = 20


@dataclass(frozen=True)
class _Published:
    """One layer that can be drawn."""

    store: Any
    layer: Layer
    paint: Paint


_published: OrderedDict[str, _Published] = OrderedDict()
_lock = threading.Lock()
_artist: TileArtist | None = None


def publish(
    atlas: Atlas,
    layer: str,
    values: NDArray[np.float32],
    scale: Scale,
    digests: Sequence[str],
    theme: str,
    masked: bool,
) -> str:
    """Path of the tiles of `values` (n_cells,), with {z}, {x}, {y}; `digests` name what they are made of."""
    from sdm_core.api.tiles import Layer, Paint
    from sdm_core.api.tiles.layers import CATEGORY_RAMP
    from sdm_core.colours import ramp_of

    made_of = repr((atlas.key, layer, list(digests)))
    name = _hash(made_of)
    address = _hash(f"{made_of} {scale} {theme} {masked}")
    ramp = ramp_of(layer) if scale.categories is None else CATEGORY_RAMP
    drawn = Layer(name, layer, "", None, scale.categories, given=values)
    with _lock:
        _published[address] = _Published(atlas.store, drawn, Paint(ramp, scale, theme, masked))
        _published.move_to_end(address)
        while len(_published) > _MOST_LAYERS:
            _published.popitem(last=False)
    return f"/tiles/{address}/{{z}}/{{x}}/{{y}}.png"


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), key=_SECRET, digest_size=20).hexdigest()


async def serve_tile(request: Request) -> Response:
    """One tile of a published layer."""
    place = request.path_params
    with _lock:
        found = _published.get(place["name"])
    z, x, y = place["z"], place["x"], place["y"]
    if found is None or z > _MAX_ZOOM or max(x, y) >= 2**z:
        return JSONResponse({"error": "there is no such tile; reload the page"}, status_code=404)
    png = await run_in_threadpool(_draw, found, z, x, y)
    return Response(
        png, media_type="image/png", headers={"Cache-Control": "private, max-age=3600, immutable"}
    )


def _draw(found: _Published, z: int, x: int, y: int) -> bytes:
    from sdm_core.api.tiles import TileAddress, TileArtist

    global _artist
    with _lock:
        if _artist is None:
            _artist = TileArtist(_CACHE_BYTES)
    return _artist.draw(found.store, found.layer, found.paint, TileAddress(z, x, y))
