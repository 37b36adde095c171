"""The body of a question about a region: its outline, and the lists, records and outlines a user adds.

A body is a GeoJSON object, or an object with the parts of `PARTS`. Files are texts, or Base64 where they are
not text: all is JSON, as a form could be sent by a page of any other origin, unasked.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, get_args

from sdm_core.api.json_text import read_json
from sdm_core.api.refusals import ApiError
from sdm_core.api.settings import ApiSettings
from sdm_core.occurrences.plots import CoverScale
from sdm_core.on_demand.own_files import OwnFile, OwnFiles

#: Parts of a body that is more than an outline, and what each holds.
PARTS: dict[str, str] = {
    "region": "the outline as GeoJSON; left out where the address names a place or cells",
    "status_lists": "status lists, each a file",
    "synonyms": "a table of synonyms for the taxa of the lists, a file",
    "records": "own records or plots, each a file: CSV, Darwin Core archive or GeoPackage",
    "records_crs": "coordinate system of the records where it is not degrees: EPSG:25832",
    "cover_scale": "how the records write covers: percent, braun-blanquet or presence",
    "compare_with": "named outlines to set the region against, a file: GeoJSON, KML, GeoPackage or zipped "
    "shapefile",
    "name_column": "column of compare_with that names its outlines",
    "compare_crs": "coordinate system of compare_with where it names none",
}
MAX_LISTS, MAX_RECORD_FILES = 12, 8
_MAX_NAME = 80


@dataclass(frozen=True)
class Posted:
    """What a body brings: an outline as GeoJSON (None where there is none), and a user's files."""

    region: Any = None
    own: OwnFiles = field(default_factory=OwnFiles)


def read_posted(body: bytes, settings: ApiSettings) -> Posted:
    """What a body brings; an empty one brings nothing.

    Raises:
        ApiError: 400, it is no JSON; 422, a part that is not known or not as it should be.
    """
    if not body.strip():
        return Posted()
    content = read_json(body, settings.max_json_depth)
    if not isinstance(content, Mapping) or "type" in content or not set(content) & set(PARTS):
        return Posted(content)
    unknown = sorted(set(map(str, content)) - set(PARTS))
    if unknown:
        known = ", ".join(PARTS)
        raise ApiError(422, f"The body has the part {unknown[0][:40]!r}, expected some of {known}.")
    scales = get_args(CoverScale)
    scale = _text(content, "cover_scale")
    if scale is not None and scale not in scales:
        raise ApiError(422, f"cover_scale is {scale[:40]!r}, expected one of {', '.join(scales)}.")
    own = OwnFiles(
        _files(content, "status_lists", MAX_LISTS),
        _file(content["synonyms"], "synonyms") if content.get("synonyms") is not None else None,
        _files(content, "records", MAX_RECORD_FILES),
        _file(content["compare_with"], "compare_with") if content.get("compare_with") is not None else None,
        _text(content, "records_crs"),
        scale,  # type: ignore[arg-type]
        _text(content, "name_column"),
        _text(content, "compare_crs"),
    )
    for option, part, there in (
        ("synonyms", "status_lists", own.status_lists or own.synonyms is None),
        ("records_crs", "records", own.records or own.records_crs is None),
        ("cover_scale", "records", own.records or own.cover_scale is None),
        ("name_column", "compare_with", own.compare_with or own.name_column is None),
        ("compare_crs", "compare_with", own.compare_with or own.compare_crs is None),
    ):
        if not there:
            raise ApiError(422, f"{option} goes with {part}, which the body does not have.")
    region = content.get("region")
    if isinstance(region, str) and not region.lstrip().startswith(("{", "[")):
        raise ApiError(
            422,
            f"region is the text {region[:40]!r}, expected GeoJSON; a place is named in the address, as in "
            "…/regions?place=Pyrenees.",
        )
    return Posted(region, own)


def _files(content: Mapping[str, Any], part: str, most: int) -> tuple[OwnFile, ...]:
    """The files of a part, none where it is left out."""
    given = content.get(part)
    if given is None:
        return ()
    if not isinstance(given, list):
        raise ApiError(422, f"{part} is no list, expected a list of files.")
    if len(given) > most:
        raise ApiError(422, f"{part} holds {len(given)} files, and at most {most} are taken.")
    return tuple(_file(file, f"{part}[{number}]") for number, file in enumerate(given))


def _file(given: Any, part: str) -> OwnFile:
    """A file: its name, and its content as `text` or `base64`."""
    if not isinstance(given, Mapping) or set(given) not in ({"name", "text"}, {"name", "base64"}):
        raise ApiError(422, f"{part} is no file, expected an object with name and text, or name and base64.")
    if not all(isinstance(value, str) for value in given.values()):
        raise ApiError(422, f"{part} has a name or content that is no text.")
    plain = PurePosixPath(given["name"].replace("\\", "/")).name
    name = "".join(letter for letter in plain if letter.isprintable())[-_MAX_NAME:].strip()
    name = "" if not name.strip(".") else name
    if not name:
        raise ApiError(422, f"{part} has no name; give that of the file, as in list.csv.")
    if "text" in given:
        return OwnFile(name, given["text"].encode("utf-8", "replace"))
    try:
        return OwnFile(name, base64.b64decode(given["base64"], validate=True))
    except (binascii.Error, ValueError) as error:
        raise ApiError(422, f"The content of {name} is not Base64; encode the file once more.") from error


def _text(content: Mapping[str, Any], part: str) -> str | None:
    value = content.get(part)
    if value is not None and not (isinstance(value, str) and len(value) <= _MAX_NAME):
        raise ApiError(422, f"{part} is no text of at most {_MAX_NAME} letters.")
    return value or None
