"""Areas as short text for the address bar: `place:…`, `cells:…` or `shape:…`.

Corners are rounded to five decimals (about a metre) and written with the encoded polyline algorithm
(https://developers.google.com/maps/documentation/utilities/polylinealgorithm), here in the order
longitude, latitude and with an alphabet that survives an address. A drawn area is rounded before it is
read, so the link gives the same numbers as the drawing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdm_core.errors import RegionError

if TYPE_CHECKING:
    from sdm_core.regions import Region

#: Longest text that is put into an address.
MAX_LINK_CHARACTERS = 1_800
#: Corners are kept to this many decimals of a degree.
DECIMALS = 5
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
_INDEX = {letter: number for number, letter in enumerate(_ALPHABET)}
_BITS = 5
_MORE = 1 << _BITS

Ring = list[tuple[float, float]]


def encode_ring(ring: Ring) -> str:
    """One closed or open ring of (longitude, latitude) as text."""
    letters: list[str] = []
    last = (0, 0)
    for corner in ring:
        now = (round(corner[0] * 10**DECIMALS), round(corner[1] * 10**DECIMALS))
        for axis in (0, 1):
            step = now[axis] - last[axis]
            number = (step << 1) ^ (step >> 63)
            while number >= _MORE:
                letters.append(_ALPHABET[_MORE | (number & (_MORE - 1))])
                number >>= _BITS
            letters.append(_ALPHABET[number])
        last = now
    return "".join(letters)


def decode_ring(text: str) -> Ring:
    """The ring written by `encode_ring`; raises RegionError for text that is not one."""
    numbers: list[int] = []
    value = shift = 0
    for letter in text:
        if letter not in _INDEX:
            raise RegionError(f"the outline holds the character {letter!r}.")
        code = _INDEX[letter]
        value |= (code & (_MORE - 1)) << shift
        shift += _BITS
        if code < _MORE:
            numbers.append((value >> 1) ^ -(value & 1))
            value = shift = 0
    if shift or len(numbers) % 2 or len(numbers) < 6:
        raise RegionError("the outline is cut off.")
    longitude = latitude = 0
    ring: Ring = []
    for step_east, step_north in zip(numbers[::2], numbers[1::2], strict=True):
        longitude, latitude = longitude + step_east, latitude + step_north
        ring.append((longitude / 10**DECIMALS, latitude / 10**DECIMALS))
    return ring


def shape_text(geometry: dict[str, Any]) -> str:
    """`shape:…` of a GeoJSON Polygon or MultiPolygon; parts are separated by `!`, rings by `~`."""
    polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    return "shape:" + "!".join("~".join(encode_ring(ring) for ring in polygon) for polygon in polygons)


def shape_geometry(text: str) -> dict[str, Any]:
    """GeoJSON MultiPolygon of a `shape:…` text."""
    polygons = []
    for part in text.removeprefix("shape:").split("!"):
        rings = [decode_ring(ring) for ring in part.split("~")]
        polygons.append([[*ring, ring[0]] if ring[0] != ring[-1] else ring for ring in rings])
    return {"type": "MultiPolygon", "coordinates": polygons}


def region_of_text(text: str) -> Region:
    """The region a link describes; raises FlorascopeError with the reason when it describes none."""
    from sdm_core import regions

    kind, _, rest = text.partition(":")
    if kind == "place":
        return regions.region_from_place(rest)
    if kind == "cells":
        return regions.region_from_cells(regions.strings_to_cells(rest.split(",")))
    if kind == "shape":
        return regions.region_from_geojson(shape_geometry(text), name="Drawn area")
    raise RegionError(f"“{text[:40]}” is none of place:…, cells:… or shape:….")
