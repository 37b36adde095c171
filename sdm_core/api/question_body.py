"""The body of a question about a region, for the OpenAPI document; `posted.read_posted` checks it."""

from __future__ import annotations

from typing import Any

from sdm_core import statuses
from sdm_core.api.posted import MAX_LISTS, MAX_RECORD_FILES, PARTS
from sdm_core.occurrences.plots import CoverScale

_SQUARE = {
    "type": "Polygon",
    "coordinates": [[[0.4, 42.45], [1.2, 42.45], [1.2, 42.75], [0.4, 42.75], [0.4, 42.45]]],
}
_LIST = ",".join(statuses.REQUIRED_COLUMNS) + "\nAbies alba,A list of mine,VU,Aragon,Someone,2024,CC0\n"
_RECORDS = "species,longitude,latitude,year\nAbies alba,0.62,42.51,2021\n"
_FILE: dict[str, Any] = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "description": "file name, whose suffix tells the format"},
        "text": {"type": "string", "description": "content, where it is text"},
        "base64": {"type": "string", "description": "content, where it is not text"},
    },
}
_OF_A_PART: dict[str, dict[str, Any]] = {
    "region": {"type": "object", "required": ["type"]},
    "status_lists": {"type": "array", "items": _FILE, "maxItems": MAX_LISTS},
    "synonyms": _FILE,
    "records": {"type": "array", "items": _FILE, "maxItems": MAX_RECORD_FILES},
    "records_crs": {"type": "string"},
    "cover_scale": {"type": "string", "enum": list(CoverScale.__args__)},  # type: ignore[attr-defined]
    "compare_with": _FILE,
    "name_column": {"type": "string"},
    "compare_crs": {"type": "string"},
}

_PROPERTIES = {name: {**_OF_A_PART[name], "description": text} for name, text in PARTS.items()}

QUESTION_BODY: dict[str, Any] = {
    "requestBody": {
        "required": False,
        "description": "A GeoJSON Polygon, MultiPolygon, Feature or FeatureCollection in longitude, "
        "latitude; several polygons make one region, and self-crossings are repaired with a note. Or an "
        "object with the region and files of your own: status lists (CSV with the columns "
        f"{', '.join(statuses.REQUIRED_COLUMNS)}), a table of synonyms, records or plots, and outlines to "
        "compare with. All of it together may have 5 MB unless the server is set otherwise.",
        "content": {
            "application/json": {
                "schema": {
                    "oneOf": [
                        {"type": "object", "required": ["type"], "title": "GeoJSON"},
                        {
                            "type": "object",
                            "title": "Region and own files",
                            "additionalProperties": False,
                            "properties": _PROPERTIES,
                        },
                    ]
                },
                "examples": {
                    "outline": {"summary": "An outline", "value": _SQUARE},
                    "lists": {
                        "summary": "An outline, a status list and own records",
                        "value": {
                            "region": _SQUARE,
                            "status_lists": [{"name": "list.csv", "text": _LIST}],
                            "records": [{"name": "records.csv", "text": _RECORDS}],
                        },
                    },
                },
            }
        },
    }
}
