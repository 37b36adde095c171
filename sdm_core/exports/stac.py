"""Entries of a static catalogue after STAC 1.1.0: plain JSON with relative addresses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sdm_core import config
from sdm_core.exports.grid import Grid
from sdm_core.exports.layers import Layer, Packed
from sdm_core.exports.metadata import (
    atlas_date,
    citation,
    doi_of,
    grain_sentence,
    licence,
    meaning,
    sources,
)
from sdm_core.registry import Atlas

STAC_VERSION = "1.1.0"
CATALOGUE_ID = "florascope"
_SCHEMAS = "https://stac-extensions.github.io"
EXTENSIONS = (
    f"{_SCHEMAS}/projection/v2.0.0/schema.json",
    f"{_SCHEMAS}/raster/v2.0.0/schema.json",
    f"{_SCHEMAS}/scientific/v1.0.0/schema.json",
)
COG_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
_JSON, _GEOJSON = "application/json", "application/geo+json"

Bounds = tuple[float, float, float, float]


def catalogue(atlases: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The root: one link per (name, title) of an atlas."""
    return {
        "type": "Catalog",
        "stac_version": STAC_VERSION,
        "id": CATALOGUE_ID,
        "title": "Florascope atlases",
        "description": "Predicted distributions of plant species and maps of plant diversity, one collection "
        "per atlas, as cloud-optimised GeoTIFF.",
        "links": [
            _link("root", "./catalog.json", _JSON),
            *(_link("child", f"./{name}/collection.json", _JSON, title) for name, title in atlases),
        ],
    }


def collection(atlas: Atlas, bbox: Bounds, moment: str, items: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """One atlas: extent, licence, who made it and from what, and a link per (id, title) of an item."""
    summary = str(atlas.card.get("summary") or atlas.title)
    publications = [
        {"citation": entry["citation"], **({"doi": doi} if (doi := doi_of(entry["citation"])) else {})}
        for entry in sources(atlas.card)
        if entry["citation"]
    ]
    return {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "stac_extensions": [EXTENSIONS[2]],
        "id": atlas.name,
        "title": atlas.title,
        "description": f"{summary} {grain_sentence(atlas)}",
        "keywords": ["plants", "species distribution", "biodiversity", "H3"],
        "license": "other",
        "providers": _providers(atlas),
        "extent": {
            "spatial": {"bbox": [list(bbox)]},
            "temporal": {"interval": [[moment, moment]]},
        },
        "summaries": {"florascope:atlas_version": [atlas.store.version]},
        "sci:citation": citation(atlas),
        **({"sci:publications": publications} if publications else {}),
        "florascope:licence": licence(atlas),
        "florascope:h3_resolution": atlas.store.resolution,
        "links": [
            _link("root", "../catalog.json", _JSON),
            _link("parent", "../catalog.json", _JSON),
            *(
                _link("license", entry["url"], "text/html", f"{entry['name']}: {entry['licence']}")
                for entry in sources(atlas.card)
                if entry["url"] and entry["licence"]
            ),
            *(_link("item", f"./{name}/{name}.json", _GEOJSON, title) for name, title in items),
        ],
    }


def item(
    atlas: Atlas, layer: Layer, grid: Grid, packed: Packed, bbox: Bounds, moment: str, key: str
) -> dict[str, Any]:
    """One layer: where, when, on which grid, and how its numbers are read. moment: RFC 3339, UTC."""
    west, south, east, north = bbox
    epsg = grid.name if grid.name.startswith("EPSG:") else None
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": list(EXTENSIONS),
        "id": layer.name,
        "collection": atlas.name,
        "bbox": list(bbox),
        "geometry": {
            "type": "Polygon",
            "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
        },
        "properties": {
            "datetime": moment,
            "title": layer.title,
            "description": f"{meaning(atlas, layer)} {grain_sentence(atlas)}",
            "license": "other",
            "providers": _providers(atlas),
            "proj:code": epsg,
            **({} if epsg else {"proj:wkt2": grid.crs.to_wkt()}),
            "proj:shape": [grid.height, grid.width],
            "proj:transform": list(grid.transform)[:6],
            "proj:bbox": list(grid.bounds),
            "sci:citation": citation(atlas),
            "florascope:atlas_version": atlas.store.version,
            "florascope:export_key": key,
            "florascope:software": f"Florascope {config.CODE_VERSION}",
            "florascope:licence": licence(atlas),
            **({"florascope:species": layer.species} if layer.species else {}),
        },
        "assets": {
            "data": {
                "href": f"./{layer.name}.tif",
                "type": COG_TYPE,
                "title": layer.title,
                "roles": ["data"],
                "bands": [
                    {
                        "name": layer.name,
                        "description": layer.meaning,
                        "data_type": packed.dtype,
                        "nodata": "nan" if math.isnan(packed.nodata) else int(packed.nodata),
                        "unit": layer.unit,
                        "raster:scale": packed.scale,
                        "raster:offset": packed.offset,
                        "raster:sampling": "area",
                    }
                ],
            }
        },
        "links": [
            _link("root", "../../catalog.json", _JSON),
            _link("parent", "../collection.json", _JSON),
            _link("collection", "../collection.json", _JSON),
        ],
    }


def moment_of(atlas: Atlas, fallback: str) -> str:
    """The day of the atlas as RFC 3339; the fallback where its card states none."""
    day = atlas_date(atlas.card)
    return f"{day}T00:00:00Z" if day else fallback


def _link(rel: str, href: str, media_type: str, title: str = "") -> dict[str, str]:
    return {"rel": rel, "href": href, "type": media_type, **({"title": title} if title else {})}


def _providers(atlas: Atlas) -> list[dict[str, Any]]:
    made_from = [
        {
            "name": entry["name"],
            "roles": ["producer"],
            **({"description": entry["citation"]} if entry["citation"] else {}),
            **({"url": entry["url"]} if entry["url"] else {}),
        }
        for entry in sources(atlas.card)
        if entry["name"]
    ]
    return [*made_from, {"name": "Florascope", "roles": ["processor"]}]
