"""Polygons of a KML file.

Read without GDAL so that all folders count and no document can reach other files.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import shapely

from sdm_core.errors import RegionError


def kml_geometries(data: bytes, filename: str) -> list[shapely.Geometry]:
    """All polygons, lines and points of a KML 2.x document, in longitude, latitude (KML is always WGS84).

    Raises RegionError for text that is no KML, and for one with a DOCTYPE (entities could grow without
    bound).
    """
    return _geometries(_root(data, filename), filename)


def kml_placemarks(data: bytes, filename: str) -> list[tuple[dict[str, str], list[shapely.Geometry]]]:
    """Attributes (its name and extended data) and geometries of every placemark of a KML document.

    Raises as `kml_geometries`.
    """
    found = []
    for place in _root(data, filename).iter():
        if _local(place.tag) != "Placemark":
            continue
        titles = [(child.text or "").strip() for child in place if _local(child.tag) == "name"]
        said = {"name": titles[0]} if titles else {}
        for element in place.iter():
            kind, key = _local(element.tag), element.get("name")
            if key and kind in ("Data", "SimpleData"):
                said[key] = "".join(element.itertext()).strip()
        found.append((said, _geometries(place, filename)))
    return found


def _root(data: bytes, filename: str) -> ElementTree.Element:
    if b"<!DOCTYPE" in data.replace(b"\0", b""):  # without the zero bytes of UTF-16
        raise RegionError(f"'{filename}' has a DOCTYPE, which KML never needs; export it again as plain KML.")
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise RegionError(f"'{filename}' is not KML ({error}); export it again.") from error
    if _local(root.tag) != "kml":
        raise RegionError(
            f"'{filename}' is XML but not KML (its root is <{_local(root.tag)[:40]}>); export it as KML."
        )
    return root


def _geometries(parent: ElementTree.Element, filename: str) -> list[shapely.Geometry]:
    found: list[shapely.Geometry] = []
    for element in parent.iter():
        kind = _local(element.tag)
        if kind == "Polygon":
            found.append(_polygon(element, filename))
        elif kind in ("LineString", "Point"):
            coordinates = _coordinates(element, filename)
            if len(coordinates):
                line = kind == "LineString" and len(coordinates) > 1
                found.append(shapely.LineString(coordinates) if line else shapely.Point(coordinates[0]))
    return found


def _local(tag: object) -> str:
    return str(tag).rsplit("}", 1)[-1]


def _polygon(element: ElementTree.Element, filename: str) -> shapely.Polygon:
    rings: dict[str, list[np.ndarray]] = {"outerBoundaryIs": [], "innerBoundaryIs": []}
    for child in element:
        if _local(child.tag) in rings:
            for ring in child:
                rings[_local(child.tag)].append(_coordinates(ring, filename))
    outer = [ring for ring in rings["outerBoundaryIs"] if len(ring)]
    if not outer:
        return shapely.Polygon()
    try:
        return shapely.Polygon(outer[0], [ring for ring in rings["innerBoundaryIs"] if len(ring) >= 3])
    except ValueError as error:
        raise RegionError(
            f"'{filename}' holds a polygon of {len(outer[0])} points; a polygon needs at least three, draw "
            "it again."
        ) from error


def _coordinates(element: ElementTree.Element, filename: str) -> np.ndarray:
    """Points (n, 2) of the first <coordinates> below an element; height is dropped."""
    text = next((child.text or "" for child in element.iter() if _local(child.tag) == "coordinates"), "")
    try:
        points = [[float(number) for number in point.split(",")[:2]] for point in text.split()]
        return np.array(points, dtype=np.float64).reshape(len(points), 2) if points else np.empty((0, 2))
    except ValueError as error:
        raise RegionError(
            f"'{filename}' has coordinates that are not 'longitude,latitude'; export it again."
        ) from error
