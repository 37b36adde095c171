"""Atlases and the cells in them."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from sdm_core import indicators, regions
from sdm_core.api import answers
from sdm_core.api.conditional import etag_of, is_known, json_answer, kept_headers, not_modified
from sdm_core.api.context import VERSION_PREFIX, ApiContext
from sdm_core.api.endpoints.tiles import AtlasName, opened, start_of
from sdm_core.api.refusals import ApiError
from sdm_core.api.tiles import layers_of
from sdm_core.registry import Atlas

#: What the answer about an atlas takes from its model card.
_FROM_CARD = (
    "summary",
    "date",
    "region",
    "grain",
    "license",
    "citation",
    "limits",
    "data",
    "covariate_names",
)
#: Seconds the list of atlases may be kept: one may be installed any time.
_LIST_KEPT_S = 60

CellName = Annotated[str, Path(max_length=20, description="H3 index.", examples=["861f83647ffffff"])]
NumberOfSpecies = Annotated[
    int, Query(ge=0, le=500, description="How many of the most probable species to name.")
]


def router(context: ApiContext) -> APIRouter:
    """Addresses of atlases and cells."""
    routes = APIRouter(prefix=VERSION_PREFIX, responses=answers.REFUSALS)

    @routes.get("/atlases", response_model=answers.AtlasList, tags=["Atlases"])
    async def list_atlases(request: Request) -> Response:
        """The installed atlases."""
        start = start_of(request)
        found = [await opened(context, name) for name in context.shelf.names()]
        content = {"atlases": [entry_of(context, atlas, start) for atlas in found]}
        headers = kept_headers(etag_of(content), seconds=_LIST_KEPT_S)
        return not_modified(headers) if is_known(request, headers["ETag"]) else json_answer(content, headers)

    @routes.get("/atlases/{atlas}", response_model=answers.AtlasDetail, tags=["Atlases"])
    async def show_atlas(request: Request, atlas: AtlasName) -> Response:
        """One atlas: its layers, and what its model card says in short."""
        found = await opened(context, atlas)
        start = start_of(request)
        here = f"{start}{VERSION_PREFIX}/atlases/{found.name}"
        content = {
            **entry_of(context, found, start),
            "layers": [
                {
                    "name": layer.name,
                    "title": layer.title,
                    "unit": layer.unit,
                    "meaning": layer.meaning,
                    "group": layer.group,
                    "categories": list(layer.categories.names) if layer.categories else [],
                    "tilejson": f"{here}/tiles/{layer.name}.json",
                    "legend": f"{here}/legends/{layer.name}.json",
                }
                for layer in layers_of(found.store)
            ],
            "species_layer": "species/{species_id}",
            "about": {name: found.card[name] for name in _FROM_CARD if name in found.card},
        }
        headers = kept_headers(etag_of(content), seconds=_LIST_KEPT_S)
        return not_modified(headers) if is_known(request, headers["ETag"]) else json_answer(content, headers)

    @routes.get("/atlases/{atlas}/cells/{cell}", response_model=answers.CellAnswer, tags=["Cells"])
    async def show_cell(
        request: Request, atlas: AtlasName, cell: CellName, species: NumberOfSpecies = 10
    ) -> Response:
        """One H3 cell of the atlas' resolution or a coarser one: diversity and most probable species."""
        return await described(request, atlas, int(regions.strings_to_cells([cell])[0]), species)

    @routes.get("/atlases/{atlas}/cells", response_model=answers.CellAnswer, tags=["Cells"])
    async def show_cell_at(
        request: Request,
        atlas: AtlasName,
        longitude: Annotated[float, Query(ge=-180, le=180, description="Degrees east.", examples=[0.4])],
        latitude: Annotated[float, Query(ge=-90, le=90, description="Degrees north.", examples=[42.8])],
        species: NumberOfSpecies = 10,
    ) -> Response:
        """The cell that holds a place."""
        found = await opened(context, atlas)
        cell = regions.lonlat_to_cells([longitude], [latitude], found.store.resolution)
        return await described(request, atlas, int(cell[0]), species)

    async def described(request: Request, atlas_name: str, cell: int, n_species: int) -> Response:
        atlas = await opened(context, atlas_name)
        headers = kept_headers(etag_of(atlas.key, cell, n_species))
        if is_known(request, headers["ETag"]):
            return not_modified(headers)
        content = await context.region_room.do(lambda: _cell(atlas, cell, n_species))
        return json_answer(content, headers)

    return routes


def entry_of(context: ApiContext, atlas: Atlas, start: str) -> dict[str, Any]:
    """Content of `answers.AtlasEntry`."""
    store = atlas.store
    here = f"{start}{VERSION_PREFIX}/atlases/{atlas.name}"
    return {
        "name": atlas.name,
        "title": atlas.title,
        "version": store.version,
        "resolution": store.resolution,
        "n_cells": store.n_cells,
        "n_species": store.n_species,
        "bounds": [round(degrees, 5) for degrees in context.artist.bounds(store)],
        "links": {
            "self": here,
            "species": f"{here}/species",
            "cells": f"{here}/cells",
            "regions": f"{here}/regions",
            "reports": f"{here}/reports",
        },
    }


def _cell(atlas: Atlas, cell: int, n_species: int) -> dict[str, Any]:
    store = atlas.store
    index = np.array([cell], dtype=np.uint64)
    resolution = int(regions.cell_resolutions(index)[0])
    if resolution > store.resolution:
        raise ApiError(
            404,
            f"The cell is of resolution {resolution}, finer than the atlas {atlas.name} "
            f"({store.resolution}); ask for its parent.",
        )
    longitude, latitude = (float(degrees) for degrees in regions.cells_to_lonlat(index)[0])
    summary = indicators.summarise_cell(store, cell, max(1, n_species)).to_dict()
    if n_species == 0:
        summary["top"] = []
    return {
        "atlas": atlas.name,
        "atlas_version": store.version,
        **summary,
        "resolution": resolution,
        "longitude": round(longitude, 6),
        "latitude": round(latitude, 6),
    }
