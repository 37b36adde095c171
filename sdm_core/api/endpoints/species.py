"""Species of an atlas: search, one of them, and its cells as a table."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import urlencode

import numpy as np
import pandas as pd
from fastapi import APIRouter, Query, Request
from numpy.typing import NDArray
from starlette.responses import Response, StreamingResponse

from sdm_core import regions
from sdm_core.api import answers
from sdm_core.api.conditional import etag_of, is_known, json_answer, kept_headers, not_modified
from sdm_core.api.context import VERSION_PREFIX, ApiContext
from sdm_core.api.endpoints.tiles import AtlasName, SpeciesId, opened, start_of
from sdm_core.api.species_search import SpeciesNames
from sdm_core.api.tiles import layer_of
from sdm_core.indicators.summary import json_number
from sdm_core.prediction import PredictionStore, decode
from sdm_core.registry import Atlas

_ROWS_PER_CHUNK = 20_000
_TEXT_COLUMNS = (
    "species",
    "family",
    "common_genus",
    "habitats_directive",
    "flag_source",
    "flag_date",
    "synonyms",
)

SearchText = Annotated[
    str,
    Query(max_length=100, description="Scientific name, English genus or family, or the beginning of one."),
]
LeastProbability = Annotated[float, Query(ge=0, le=1, description="Cells below it are left out.")]


def router(context: ApiContext) -> APIRouter:
    """Addresses of species."""
    routes = APIRouter(
        prefix=VERSION_PREFIX + "/atlases/{atlas}/species", tags=["Species"], responses=answers.REFUSALS
    )

    @routes.get("", response_model=answers.SpeciesPage)
    async def search_species(
        request: Request,
        atlas: AtlasName,
        q: SearchText = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 50,
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    ) -> Response:
        """Species by any of their names, best match first; names spelt alike where none matches."""
        found = await opened(context, atlas)
        headers = kept_headers(etag_of(found.key, q, limit, offset, start_of(request)))
        if is_known(request, headers["ETag"]):
            return not_modified(headers)
        names: SpeciesNames = context.answers.get(
            ("names", found.key),
            lambda: SpeciesNames.of(found.store.species),
            lambda made: 250 * len(made.scientific),
        )
        rows = await context.region_room.do(lambda: names.search(q))
        here = f"{start_of(request)}{VERSION_PREFIX}/atlases/{found.name}/species"
        more = offset + limit < len(rows)
        following = (
            f"{here}?{urlencode({'q': q, 'limit': limit, 'offset': offset + limit})}" if more else None
        )
        content = {
            "total": len(rows),
            "offset": offset,
            "limit": limit,
            "next": following,
            "species": [species_of(found, row, here) for row in rows[offset : offset + limit]],
        }
        return json_answer(content, headers)

    @routes.get("/{species_id}", response_model=answers.SpeciesEntry)
    async def show_species(request: Request, atlas: AtlasName, species_id: SpeciesId) -> Response:
        """One species: names, flags with their source, records, and where its map is."""
        found = await opened(context, atlas)
        layer_of(found.store, f"species/{species_id}")
        here = f"{start_of(request)}{VERSION_PREFIX}/atlases/{found.name}/species"
        content = species_of(found, species_id, here)
        headers = kept_headers(etag_of(found.key, content))
        return not_modified(headers) if is_known(request, headers["ETag"]) else json_answer(content, headers)

    @routes.get("/{species_id}/cells.csv", response_class=StreamingResponse)
    async def species_cells_csv(
        request: Request, atlas: AtlasName, species_id: SpeciesId, min_probability: LeastProbability = 0.0
    ) -> Response:
        """The probability of a species in every cell as CSV: h3_cell, longitude, latitude, probability."""
        found = await opened(context, atlas)
        headers = _table_headers(found, species_id, min_probability, "csv")
        if is_known(request, headers["ETag"]):
            return not_modified(headers)
        rows, codes = await context.region_room.do(lambda: _cells(found.store, species_id, min_probability))
        return StreamingResponse(_csv(found.store, rows, codes), media_type="text/csv", headers=headers)

    @routes.get("/{species_id}/cells.parquet", response_class=Response)
    async def species_cells_parquet(
        request: Request, atlas: AtlasName, species_id: SpeciesId, min_probability: LeastProbability = 0.0
    ) -> Response:
        """The same table as Parquet, with cells as uint64."""
        found = await opened(context, atlas)
        headers = _table_headers(found, species_id, min_probability, "parquet")
        if is_known(request, headers["ETag"]):
            return not_modified(headers)
        body = await context.region_room.do(lambda: _parquet(found.store, species_id, min_probability))
        return Response(body, media_type="application/vnd.apache.parquet", headers=headers)

    return routes


def species_of(atlas: Atlas, row: int, here: str) -> dict[str, Any]:
    """Content of `answers.SpeciesEntry`; flags nobody has assessed are null."""
    table = atlas.store.species
    entry: dict[str, Any] = {"species_id": row}
    for column in table.columns:
        if column == "species_id":
            continue
        value = table[column].iloc[row]
        if pd.isna(value):
            entry[column] = None
        elif column in _TEXT_COLUMNS:
            entry[column] = str(value)
        else:
            entry[column] = value if isinstance(value, str | bool) else json_number(value)
    start = here.removesuffix("/species")
    entry["links"] = {
        "self": f"{here}/{row}",
        "cells_csv": f"{here}/{row}/cells.csv",
        "cells_parquet": f"{here}/{row}/cells.parquet",
        "tilejson": f"{start}/tiles/species/{row}.json",
        "legend": f"{start}/legends/species/{row}.json",
    }
    return entry


def _table_headers(atlas: Atlas, species_id: int, least: float, form: str) -> dict[str, str]:
    layer = layer_of(atlas.store, f"species/{species_id}")
    stem = f"{atlas.name}-{layer.title}".lower().replace(" ", "-")
    safe = "".join(letter for letter in stem if letter.isascii() and (letter.isalnum() or letter in "-_"))
    return {
        **kept_headers(etag_of(atlas.key, species_id, least, form)),
        "Content-Disposition": f'attachment; filename="{safe}.{form}"',
    }


def _cells(
    store: PredictionStore, species_id: int, least: float
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Rows where a species reaches a probability, and its codes there."""
    codes = np.asarray(store.species_map(species_id))
    rows = np.flatnonzero(decode(codes) >= least)
    return rows, codes[rows]


def _csv(store: PredictionStore, rows: NDArray[np.int64], codes: NDArray[np.uint8]) -> Iterator[str]:
    """Lines of a CSV file, in chunks."""
    yield "h3_cell,longitude,latitude,probability\n"
    of_code = [f"{p:.5f}" for p in decode(np.arange(256, dtype=np.uint8)).tolist()]
    for first in range(0, len(rows), _ROWS_PER_CHUNK):
        part = rows[first : first + _ROWS_PER_CHUNK]
        names = regions.cells_to_strings(store.cells[part])
        lonlat = np.asarray(store.lonlat[part]).tolist()
        yield "".join(
            f"{name},{longitude:.5f},{latitude:.5f},{of_code[code]}\n"
            for name, (longitude, latitude), code in zip(
                names, lonlat, codes[first : first + _ROWS_PER_CHUNK].tolist(), strict=True
            )
        )


def _parquet(store: PredictionStore, species_id: int, least: float) -> bytes:
    rows, codes = _cells(store, species_id, least)
    lonlat = np.asarray(store.lonlat[rows])
    table = pd.DataFrame(
        {
            "h3_cell": np.asarray(store.cells[rows]),
            "longitude": lonlat[:, 0],
            "latitude": lonlat[:, 1],
            "probability": decode(codes, np.float32),
        }
    )
    body = io.BytesIO()
    table.to_parquet(body, index=False, compression="zstd")
    return body.getvalue()
