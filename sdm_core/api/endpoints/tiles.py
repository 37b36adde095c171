"""Map tiles, TileJSON and legends."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from sdm_core.api import answers
from sdm_core.api.conditional import etag_of, is_known, json_answer, kept_headers, not_modified
from sdm_core.api.context import VERSION_PREFIX, ApiContext
from sdm_core.api.legends import legend, legend_svg
from sdm_core.api.refusals import ApiError
from sdm_core.api.tiles import MAX_ZOOM, TILE_PIXELS, Layer, Paint, TileAddress, layer_of
from sdm_core.api.tiles.draw import empty_png
from sdm_core.api.tiles.grid import fitting_resolution
from sdm_core.api.tiles.layers import Theme, paint_of
from sdm_core.registry import Atlas

#: Raised when the same address would show other pixels, so that browsers ask again.
_DRAWING = 2
#: Beyond the zoom at which a pixel is as wide as a cell, so many more are worth fetching.
_USEFUL_ZOOMS = 6

Zoom = Annotated[int, Path(ge=0, le=MAX_ZOOM, description="Zoom.")]
Column = Annotated[int, Path(ge=0, description="Column, from the west.")]
Row = Annotated[int, Path(ge=0, description="Row, from the north.")]
SpeciesId = Annotated[int, Path(ge=0, le=10**9, description="Column of the species in the atlas.")]
LayerName = Annotated[str, Path(max_length=60, examples=["richness"])]
AtlasName = Annotated[str, Path(max_length=100, examples=["european-trees"])]
_PNG: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/png": {}}, "description": "The tile; transparent where nothing is predicted."},
    304: {"description": "The tile you hold is still right."},
    **answers.REFUSALS,
}


class Look(BaseModel):
    """How a layer is coloured."""

    cmap: str | None = Field(None, max_length=40, description="viridis, cividis, magma, inferno or plasma.")
    min: float | None = Field(None, description="Value of the first colour.")
    max: float | None = Field(None, description="Value of the last colour.")
    cutoff: float | None = Field(None, ge=0, description="Values below it are pale; 0 for none.")
    theme: Theme = Field("light", description="Ground the tile lies on: decides the pale ink.")
    mask: bool = Field(
        False, description="Hatch cells outside the model's area of applicability, where the atlas knows it."
    )
    v: str | None = Field(
        None, max_length=64, description="Version of the atlas: lets the tile be kept for good."
    )

    def query(self, version: str) -> str:
        """The parameters that are set, for an address."""
        from urllib.parse import urlencode

        given = self.model_dump(exclude_defaults=True, exclude={"v"})
        return urlencode({**given, "v": version})


LookQuery = Annotated[Look, Query()]


def router(context: ApiContext) -> APIRouter:
    """Addresses of tiles and legends."""
    routes = APIRouter(prefix=VERSION_PREFIX + "/atlases/{atlas}", tags=["Map tiles"])

    def painted(atlas: Atlas, name: str, look: Look) -> tuple[Layer, Paint]:
        layer = layer_of(atlas.store, name)
        default = context.artist.default_scale(atlas.store, layer)
        paint = paint_of(
            layer, default, look.cmap, look.min, look.max, look.cutoff, look.theme, mask=look.mask
        )
        return layer, paint

    async def tile(
        request: Request, atlas_name: str, name: str, address: TileAddress, look: Look
    ) -> Response:
        if max(address.x, address.y) >= 2**address.z:
            raise ApiError(
                404, f"Zoom {address.z} has columns and rows 0 to {2**address.z - 1}; there is no such tile."
            )
        atlas = await opened(context, atlas_name)
        layer, paint = painted(atlas, name, look)
        etag = etag_of(_DRAWING, atlas.key, layer.name, paint, address)
        headers = kept_headers(etag, for_ever=look.v == atlas.key)
        if is_known(request, etag):
            return not_modified(headers)
        if not context.artist.reaches(atlas.store, address):
            return Response(empty_png(address.pixels), media_type="image/png", headers=headers)
        png = await context.tile_room.do(lambda: context.artist.draw(atlas.store, layer, paint, address))
        return Response(png, media_type="image/png", headers=headers)

    @routes.get("/tiles/species/{species_id}/{z}/{x}/{y}@2x.png", responses=_PNG, response_class=Response)
    async def species_tile_2x(
        request: Request, atlas: AtlasName, species_id: SpeciesId, z: Zoom, x: Column, y: Row, look: LookQuery
    ) -> Response:
        """Tile of 512 pixels with the probability of one species."""
        address = TileAddress(z, x, y, 2 * TILE_PIXELS)
        return await tile(request, atlas, f"species/{species_id}", address, look)

    @routes.get("/tiles/species/{species_id}/{z}/{x}/{y}.png", responses=_PNG, response_class=Response)
    async def species_tile(
        request: Request, atlas: AtlasName, species_id: SpeciesId, z: Zoom, x: Column, y: Row, look: LookQuery
    ) -> Response:
        """Tile of 256 pixels with the probability of one species."""
        return await tile(request, atlas, f"species/{species_id}", TileAddress(z, x, y, TILE_PIXELS), look)

    @routes.get(
        "/tiles/species/{species_id}.json", response_model=answers.TileJson, responses=answers.REFUSALS
    )
    async def species_tilejson(
        request: Request, atlas: AtlasName, species_id: SpeciesId, look: LookQuery
    ) -> Response:
        """TileJSON of the map of one species."""
        return await tilejson(request, atlas, f"species/{species_id}", look)

    @routes.get("/tiles/{layer}/{z}/{x}/{y}@2x.png", responses=_PNG, response_class=Response)
    async def layer_tile_2x(
        request: Request, atlas: AtlasName, layer: LayerName, z: Zoom, x: Column, y: Row, look: LookQuery
    ) -> Response:
        """Tile of 512 pixels with a layer of the atlas, such as richness."""
        return await tile(request, atlas, layer, TileAddress(z, x, y, 2 * TILE_PIXELS), look)

    @routes.get("/tiles/{layer}/{z}/{x}/{y}.png", responses=_PNG, response_class=Response)
    async def layer_tile(
        request: Request, atlas: AtlasName, layer: LayerName, z: Zoom, x: Column, y: Row, look: LookQuery
    ) -> Response:
        """Tile of 256 pixels with a layer of the atlas, such as richness."""
        return await tile(request, atlas, layer, TileAddress(z, x, y, TILE_PIXELS), look)

    @routes.get("/tiles/{layer}.json", response_model=answers.TileJson, responses=answers.REFUSALS)
    async def layer_tilejson(
        request: Request, atlas: AtlasName, layer: LayerName, look: LookQuery
    ) -> Response:
        """TileJSON of a layer of the atlas."""
        return await tilejson(request, atlas, layer, look)

    async def tilejson(request: Request, atlas_name: str, name: str, look: Look) -> Response:
        atlas = await opened(context, atlas_name)
        layer, _ = painted(atlas, name, look)
        store = atlas.store
        west, south, east, north = context.artist.bounds(store)
        here = start_of(request) + f"{VERSION_PREFIX}/atlases/{atlas.name}"
        query = look.query(atlas.key)
        every_cell = next(z for z in range(MAX_ZOOM) if fitting_resolution(z, 256, 15) >= store.resolution)
        content = {
            "tilejson": "3.0.0",
            "name": layer.title,
            "description": f"{layer.title}: {layer.unit}. {layer.meaning} {atlas.title}.".replace("  ", " "),
            "version": "1.0.0",
            "attribution": str(atlas.card.get("attribution") or atlas.title),
            "scheme": "xyz",
            "tiles": [f"{here}/tiles/{layer.name}/{{z}}/{{x}}/{{y}}.png?{query}"],
            "minzoom": 0,
            "maxzoom": min(MAX_ZOOM, every_cell + _USEFUL_ZOOMS),
            "bounds": [west, max(-85.0, south), east, min(85.0, north)],
            "center": [(west + east) / 2, (south + north) / 2, every_cell],
            "legend": f"{here}/legends/{layer.name}.json?{query}",
        }
        headers = kept_headers(etag_of(content))
        if is_known(request, headers["ETag"]):
            return not_modified(headers)
        return json_answer(content, headers)

    @routes.get(
        "/legends/species/{species_id}.json", response_model=answers.LegendAnswer, responses=answers.REFUSALS
    )
    async def species_legend(
        request: Request, atlas: AtlasName, species_id: SpeciesId, look: LookQuery
    ) -> Response:
        """Legend of the map of one species."""
        return await described(request, atlas, f"species/{species_id}", look, "json")

    @routes.get("/legends/species/{species_id}.svg", response_class=Response, responses=answers.REFUSALS)
    async def species_legend_svg(
        request: Request, atlas: AtlasName, species_id: SpeciesId, look: LookQuery
    ) -> Response:
        """Legend of the map of one species as a picture."""
        return await described(request, atlas, f"species/{species_id}", look, "svg")

    @routes.get("/legends/{layer}.json", response_model=answers.LegendAnswer, responses=answers.REFUSALS)
    async def layer_legend(request: Request, atlas: AtlasName, layer: LayerName, look: LookQuery) -> Response:
        """Legend of a layer of the atlas."""
        return await described(request, atlas, layer, look, "json")

    @routes.get("/legends/{layer}.svg", response_class=Response, responses=answers.REFUSALS)
    async def layer_legend_svg(
        request: Request, atlas: AtlasName, layer: LayerName, look: LookQuery
    ) -> Response:
        """Legend of a layer of the atlas as a picture."""
        return await described(request, atlas, layer, look, "svg")

    async def described(request: Request, atlas_name: str, name: str, look: Look, form: str) -> Response:
        atlas = await opened(context, atlas_name)
        layer, paint = painted(atlas, name, look)
        headers = kept_headers(
            etag_of(_DRAWING, atlas.key, layer.name, paint, form),
            for_ever=look.v == atlas.key,
        )
        if is_known(request, headers["ETag"]):
            return not_modified(headers)
        if form == "svg":
            return Response(legend_svg(layer, paint), media_type="image/svg+xml", headers=headers)
        return json_answer(legend(layer, paint), headers)

    return routes


async def opened(context: ApiContext, name: str) -> Atlas:
    """An atlas by name, opened off the event loop where it is not open yet."""
    known = context.shelf.at_hand(name)
    return known if known is not None else await context.region_room.do(lambda: context.shelf.find(name))


def start_of(request: Request) -> str:
    """Address of the start of the interface, where it is mounted, without a slash at its end."""
    return f"{request.url.scheme}://{request.url.netloc}{request.scope.get('root_path', '')}".rstrip("/")
