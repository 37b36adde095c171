"""A region inside a URL, and back.

Four forms: `place:Pau, France`, `point:-0.37,43.30,10`, `cells:861f83647ffffff,…` and `poly1:…`, an outline
packed as text: zigzag varints of coordinate steps of 1e-5° (1 m) or coarser, deflated, base64url. What
comes from a link is treated as any upload: limits first, then the same cleaning.
"""

from __future__ import annotations

import base64
import binascii
import zlib

import numpy as np
import shapely

from sdm_core.errors import FlorascopeError, RegionError
from sdm_core.regions.cells import strings_to_cells
from sdm_core.regions.dateline import polygon_parts
from sdm_core.regions.geometry import clean_name
from sdm_core.regions.places import TOWN_RADIUS_KM, region_from_place
from sdm_core.regions.region import Region, region_from_cells, region_from_geometry, region_from_point

#: Longest text of a region in a link; browsers and mail programs keep URLs of 2,000 characters whole.
MAX_LINK_CHARACTERS = 1_600
#: Longest text that is decoded, and what it may inflate to.
_MAX_DECODED_CHARACTERS = 20_000
_MAX_INFLATED_BYTES = 200_000
_UNIT_DEG = 1e-5
_PREFIX = "poly1:"


def encode_region_link(region: Region, max_characters: int = MAX_LINK_CHARACTERS) -> str:
    """Text that stands for a region in a link, at most `max_characters` long (not yet percent-encoded).

    Places, circles and cells are named; other outlines are packed, and simplified until they fit: the
    tolerance is packed too, so that the region read from the link says so in a note.
    """
    if region.source.startswith(("place:", "point:", "cells:")) and len(region.source) <= max_characters:
        return region.source
    text = _pack(region.name, region.geometry, 0.0)
    west, south, east, north = region.bounds
    tolerance_deg = max(max(east - west, north - south) / 4_000, 2e-5)
    while len(text) > max_characters:
        coarse = shapely.simplify(region.geometry, tolerance_deg)
        parts = [part for part in polygon_parts(coarse) if part.area > 9 * tolerance_deg**2]
        if not parts:  # nothing but scattered specks: their common outline
            parts = polygon_parts(shapely.convex_hull(region.geometry))
            return _pack(region.name, shapely.MultiPolygon(parts), tolerance_deg)
        text = _pack(region.name, shapely.MultiPolygon(parts), tolerance_deg)
        tolerance_deg *= 1.3
    return text


def decode_region_link(text: str) -> Region:
    """The region of a text made by `encode_region_link`.

    Raises RegionError, one sentence, for anything else; text from a link is never trusted.
    """
    text = text.strip()
    if len(text) > _MAX_DECODED_CHARACTERS:
        raise RegionError(
            f"The region in the link is {len(text):,} characters long, more than "
            f"{_MAX_DECODED_CHARACTERS:,}; "
            "draw the region again."
        )
    kind, _, value = text.partition(":")
    if kind == "place":
        name, _, radius = value.partition("~")
        return region_from_place(name, _number(radius) if radius else TOWN_RADIUS_KM)
    if kind == "point":
        numbers = [_number(number) for number in value.split(",")]
        if len(numbers) != 3:
            raise RegionError(
                f"'{text[:40]}' is no circle; a link gives point:longitude,latitude,radius in km."
            )
        longitude, latitude, radius_km = numbers
        return region_from_point(longitude, latitude, radius_km)
    if kind == "cells":
        return region_from_cells(strings_to_cells(value.split(",")))
    if text.startswith(_PREFIX):
        return _unpack(text[len(_PREFIX) :])
    raise RegionError(f"The region '{text[:40]}' in the link is not known; choose the region again.")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise RegionError(f"'{text[:40]}' in the link is no number; choose the region again.") from error


def _pack(name: str, geometry: shapely.Geometry, tolerance_deg: float) -> str:
    """Payload: tolerance in 1e-5°, name, number of polygons, per polygon its rings, per ring its steps.

    A step is counted in a sixth of the tolerance, so that a coarse outline needs no fine numbers.
    """
    title = name.encode()[:80]
    tolerance_units = round(tolerance_deg / _UNIT_DEG)
    unit_deg = _UNIT_DEG * max(1, tolerance_units // 6)
    payload = bytearray(_varints([tolerance_units, len(title)]) + title)
    parts = shapely.get_parts(geometry)
    payload += _varints([len(parts)])
    for part in parts:
        rings = [part.exterior, *part.interiors]
        payload += _varints([len(rings)])
        for ring in rings:
            units = np.round(shapely.get_coordinates(ring)[:-1] / unit_deg).astype(np.int64)
            steps = np.diff(units, axis=0, prepend=0).ravel()
            payload += _varints([len(units), *np.where(steps < 0, -2 * steps - 1, 2 * steps).tolist()])
    packed = zlib.compress(bytes(payload), 9)
    return _PREFIX + base64.urlsafe_b64encode(packed).decode().rstrip("=")


def _unpack(text: str) -> Region:
    try:
        inflater = zlib.decompressobj()
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        payload = inflater.decompress(packed, _MAX_INFLATED_BYTES)
        if not inflater.eof:
            raise ValueError("it is cut short or too long")
        reader = _Reader(payload)
        tolerance_units = reader.number()
        unit_deg = _UNIT_DEG * max(1, tolerance_units // 6)
        name = clean_name(reader.text(reader.number()), "Region from a link")
        polygons = []
        for _ in range(reader.number()):
            exterior, *holes = [reader.ring(unit_deg) for _ in range(reader.number())]
            polygons.append(shapely.Polygon(exterior, holes))
        notes = ["Read from a link."]
        if tolerance_units:
            notes = [
                f"Read from a link, in which the outline was simplified by up to "
                f"{tolerance_units * _UNIT_DEG * 111.32:,.2g} km; islands smaller than that may be missing."
            ]
        return region_from_geometry(shapely.MultiPolygon(polygons), name, "link", tuple(notes))
    except (
        ValueError,
        IndexError,
        OverflowError,
        binascii.Error,
        zlib.error,
        shapely.GEOSException,
    ) as error:
        raise RegionError(
            "The region in the link is damaged; ask for the link again or draw the region."
        ) from error
    except FlorascopeError as error:
        raise RegionError(f"The region in the link is not usable: {error}") from error


def _varints(numbers: list[int]) -> bytes:
    """Whole numbers from 0 up as 7-bit groups, lowest first, the high bit set on all but the last."""
    packed = bytearray()
    for number in numbers:
        while number > 0x7F:
            packed.append(number & 0x7F | 0x80)
            number >>= 7
        packed.append(number)
    return bytes(packed)


class _Reader:
    """Reads what `_pack` wrote; IndexError or ValueError when the bytes end early or count too much."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._at = 0

    def number(self) -> int:
        number = shift = 0
        while True:
            byte = self._payload[self._at]
            self._at += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
            if shift > 35:
                raise ValueError("a number is too long")
        if number > 2**32:
            raise ValueError("a number is too large")
        return number

    def text(self, length: int) -> str:
        start, self._at = self._at, self._at + length
        if self._at > len(self._payload):
            raise ValueError("the text ends early")
        return self._payload[start : self._at].decode(errors="ignore")

    def ring(self, unit_deg: float) -> np.ndarray:
        n_points = self.number()
        if 2 * n_points > len(self._payload):
            raise ValueError("a ring is longer than its data")
        coded = np.array([self.number() for _ in range(2 * n_points)], dtype=np.int64).reshape(n_points, 2)
        steps = np.where(coded & 1, -((coded + 1) >> 1), coded >> 1)
        return np.cumsum(steps, axis=0) * unit_deg
