"""What a region is, and the ways to make one that need no file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import ArrayLike
from shapely.geometry import mapping, shape

from sdm_core.errors import MissingCRSError, RegionError
from sdm_core.regions.cells import (
    cell_polygons,
    cell_resolutions,
    cells_to_strings,
    strings_to_cells,
    valid_cells,
)
from sdm_core.regions.geometry import GEOD, clean_geometry, clean_name, geodesic_area_km2

#: Largest circle around a point, in km.
MAX_RADIUS_KM = 2_000.0
_NO_GEOJSON = "is not GeoJSON with a polygon"


@dataclass(frozen=True)
class Region:
    """A polygon on the Earth that a user chose, always valid and in WGS84 longitude, latitude."""

    #: Title shown to the user.
    name: str
    #: Valid multipolygon, EPSG:4326, within ±180 and ±90, outer rings counter-clockwise.
    geometry: shapely.MultiPolygon
    #: Where the outline comes from: "drawn", a file name, "place:…", "point:…", "cells:…", "link".
    source: str = "drawn"
    #: Everything that was changed while reading it, one sentence each.
    notes: tuple[str, ...] = ()

    @cached_property
    def area_km2(self) -> float:
        """Geodesic area on the WGS84 ellipsoid in km²."""
        return geodesic_area_km2(self.geometry)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(west, south, east, north) in degrees; a region over the date line spans -180 to 180."""
        west, south, east, north = self.geometry.bounds
        return (west, south, east, north)

    @cached_property
    def geometry_hash(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the outline, rounded to 1e-7° (1 cm).

        In normal form.
        """
        rounded = shapely.transform(self.geometry, lambda lonlat: np.round(lonlat, 7) + 0.0)
        return hashlib.sha256(shapely.to_wkb(shapely.normalize(rounded))).hexdigest()[:16]

    def to_geojson(self, decimals: int = 6) -> dict[str, Any]:
        """A GeoJSON Feature (RFC 7946) with name, source, area_km2, notes and geometry_hash as properties."""
        rounded = shapely.transform(self.geometry, lambda lonlat: np.round(lonlat, decimals) + 0.0)
        shown = rounded.geoms[0] if len(rounded.geoms) == 1 else rounded
        return {
            "type": "Feature",
            "properties": {
                "name": self.name,
                "source": self.source,
                "area_km2": round(self.area_km2, 3),
                "notes": list(self.notes),
                "geometry_hash": self.geometry_hash,
            },
            "geometry": json.loads(json.dumps(mapping(shown))),
        }

    def renamed(self, name: str) -> Region:
        """The same region under another name."""
        return replace(self, name=clean_name(name, self.name))


def region_from_geometry(
    geometry: shapely.Geometry | None,
    name: str = "Region",
    source: str = "drawn",
    notes: tuple[str, ...] = (),
    declared_crs: str = "",
) -> Region:
    """A region from any shapely geometry in longitude, latitude.

    See `clean_geometry` for repairs and refusals.
    """
    cleaned, changed = clean_geometry(geometry, declared_crs)
    return Region(name=clean_name(name), geometry=cleaned, source=source, notes=(*notes, *changed))


def region_from_geojson(obj: Mapping[str, Any] | str, name: str = "Region", source: str = "drawn") -> Region:
    """A region from GeoJSON: a Geometry, Feature or FeatureCollection as a dict or as text.

    Several polygons are dissolved into one region, with a note. A legacy "crs" member is obeyed; without
    one the coordinates are longitude, latitude as RFC 7946 says. Raises RegionError, or MissingCRSError
    when the numbers are no degrees.
    """
    if isinstance(obj, str):
        try:
            obj = json.loads(obj)
        except (ValueError, RecursionError) as error:
            raise RegionError(
                f"The text {_NO_GEOJSON}: {_first_line(error)}; export the file again."
            ) from error
    return region_from_features(obj, name, source)


def region_from_features(obj: Any, name: str, source: str, crs: str | None = None) -> Region:
    """`region_from_geojson` for parsed JSON, with the CRS to use instead of the one it names."""
    try:
        geometries, properties = geometries_of(obj)
    except RecursionError as error:
        raise RegionError(f"'{name}' {_NO_GEOJSON}: it is nested too deep; export it again.") from error
    if not geometries:
        raise RegionError(f"'{name}' {_NO_GEOJSON}: it has no features; draw or export the polygon again.")
    notes: list[str] = []
    declared = crs or crs_of(obj)
    if declared:
        geometries = reproject(geometries, declared)
    if len(geometries) > 1:
        notes.append(f"{len(geometries)} features were merged into one region.")
    elif name == "Region" and isinstance(properties.get("name"), str):
        name = properties["name"]
    whole = geometries[0] if len(geometries) == 1 else shapely.GeometryCollection(geometries)
    return region_from_geometry(whole, name, source, tuple(notes), declared_crs=declared or "")


def reproject(geometries: list[shapely.Geometry], crs: Any) -> list[shapely.Geometry]:
    """Geometries in WGS84 longitude, latitude from any CRS that pyproj knows.

    RegionError for one it does not.
    """
    import pyproj
    from pyproj.exceptions import CRSError

    try:
        source = pyproj.CRS.from_user_input(crs)
        if source.is_geographic and source.to_epsg() in (4326, None) and "84" in source.name:
            return geometries
        transformer = pyproj.Transformer.from_crs(source, "EPSG:4326", always_xy=True)
    except CRSError as error:
        raise RegionError(
            f"The CRS '{str(crs)[:60]}' is not known; give one such as EPSG:4326, EPSG:3035 or EPSG:25830."
        ) from error

    def to_lonlat(xy: Any) -> Any:
        longitude, latitude = transformer.transform(xy[:, 0], xy[:, 1])
        return np.column_stack([longitude, latitude])

    flat = [shapely.force_2d(geometry) for geometry in geometries]
    _refuse_degrees_as_metres(source, flat)
    moved = [shapely.transform(geometry, to_lonlat) for geometry in flat]
    before = shapely.get_coordinates(flat)
    if np.isfinite(before).all() and not np.isfinite(shapely.get_coordinates(moved)).all():
        raise RegionError(
            f"Coordinates up to ({before[:, 0].max():.6g}, {before[:, 1].max():.6g}) have no place in "
            f"{source.name}, "
            "the CRS the file names; export it as WGS84 (EPSG:4326)."
        )
    return moved


def _refuse_degrees_as_metres(source: Any, geometries: list[shapely.Geometry]) -> None:
    coordinates = shapely.get_coordinates(geometries)
    if not source.is_projected or not len(coordinates) or not np.isfinite(coordinates).all():
        return
    if np.abs(coordinates[:, 0]).max() <= 180 and np.abs(coordinates[:, 1]).max() <= 90:
        x, y = coordinates[0]
        raise MissingCRSError(
            f"The region's CRS is {source.name}, in {source.axis_info[0].unit_name}s, but its coordinates "
            "such as "
            f"({x:.6g}, {y:.6g}) look like degrees; export it again or state its true CRS, for instance "
            "EPSG:4326."
        )


def crs_of(obj: Any) -> str | None:
    """Name in the legacy "crs" member of GeoJSON 2008, None where there is none."""
    crs = obj.get("crs") if isinstance(obj, Mapping) else None
    properties = crs.get("properties") if isinstance(crs, Mapping) else None
    declared = properties.get("name") if isinstance(properties, Mapping) else None
    if not isinstance(declared, str) or declared.upper().endswith(("CRS84", "OGC:1.3:CRS84")):
        return None
    return declared


def geometries_of(obj: Any) -> tuple[list[shapely.Geometry], Mapping[str, Any]]:
    """Geometries of a GeoJSON object and the properties of its first feature."""
    if not isinstance(obj, Mapping):
        thing = "An empty entry" if obj is None else f"A {type(obj).__name__}"
        raise RegionError(f"{thing} {_NO_GEOJSON}; a Feature, FeatureCollection or Polygon is expected.")
    kind = obj.get("type")
    if kind == "FeatureCollection":
        features = obj.get("features")
        if not isinstance(features, list):
            raise RegionError(
                f"The FeatureCollection {_NO_GEOJSON}: it has no list of features; export it again."
            )
        found: list[shapely.Geometry] = []
        properties: Mapping[str, Any] = {}
        for feature in features:
            geometries, own = geometries_of(feature)
            properties = properties or own
            found += geometries
        return found, properties
    if kind == "Feature":
        about = obj.get("properties")
        geometry = obj.get("geometry")
        found = geometries_of(geometry)[0] if geometry is not None else []
        return found, about if isinstance(about, Mapping) else {}
    if kind == "Topology":
        raise RegionError("The file is TopoJSON, which is not read here; export it as GeoJSON.")
    if not isinstance(kind, str) or ("coordinates" not in obj and "geometries" not in obj):
        named = "An object without a type" if kind is None else f"The object of type {str(kind)[:40]!r}"
        raise RegionError(f"{named} {_NO_GEOJSON}; a Feature, FeatureCollection or Polygon is expected.")
    try:
        with np.errstate(invalid="ignore"):  # NaN is looked for, and told, later
            return [shape(dict(obj))], {}
    except (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        RecursionError,
        shapely.GEOSException,
    ) as error:
        if any(word in json.dumps(obj.get("coordinates")) for word in ("NaN", "Infinity")):
            raise RegionError(
                "Some of the region's coordinates are not numbers; "
                "export the polygon again without empty vertices."
            ) from error
        raise RegionError(
            f"The coordinates of the {kind[:40]} cannot be read ({_first_line(error)}); export the polygon "
            "again."
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120].rstrip(".")


def region_from_point(
    longitude: float, latitude: float, radius_km: float = 10.0, name: str | None = None
) -> Region:
    """A geodesic circle (128 points) around a point; radius in km, above 0 and at most 2,000."""
    if not (
        np.isfinite(longitude) and np.isfinite(latitude) and abs(latitude) <= 90 and abs(longitude) <= 360
    ):
        raise RegionError(
            f"The point ({longitude}, {latitude}) is not on the Earth; give longitude within ±180 and "
            "latitude within ±90."
        )
    if not 0 < radius_km <= MAX_RADIUS_KM:
        raise RegionError(
            f"The radius {radius_km:g} km is out of range; give more than 0 and at most {MAX_RADIUS_KM:,.0f} "
            "km."
        )
    azimuths = np.linspace(360.0, 0.0, 129)
    size = np.full(azimuths.shape, 1.0)
    lon, lat, _ = GEOD.fwd(longitude * size, latitude * size, azimuths, radius_km * 1000 * size)
    from sdm_core.regions.dateline import split_at_date_line

    ring = np.column_stack([lon, lat])
    ring[-1] = ring[0]
    circle, _ = split_at_date_line(shapely.Polygon(ring), longest_edge_deg=180.0)
    title = name or f"{radius_km:g} km around {format_lonlat(longitude, latitude)}"
    return region_from_geometry(circle, title, source=f"point:{longitude:.5f},{latitude:.5f},{radius_km:g}")


def region_from_cells(cells: ArrayLike | list[str], name: str | None = None) -> Region:
    """The union of H3 cells (uint64, or their hexadecimal names).

    Cells of several resolutions may be mixed.
    """
    listed = np.atleast_1d(np.asarray(cells))
    if listed.size == 0:
        raise RegionError("No cell is chosen; click at least one cell on the map.")
    numbers = (
        strings_to_cells(listed.tolist())
        if listed.dtype.kind in "UO" and isinstance(listed[0], str)
        else None
    )
    if numbers is None:
        numbers = listed.astype(np.uint64)
        valid = valid_cells(numbers)
        if not valid.all():
            raise RegionError(
                f"{int(numbers[int(np.argmin(valid))])} is no H3 cell; choose cells on the map."
            )
    numbers = np.unique(numbers)
    outlines = shapely.transform(cell_polygons(numbers), lambda lonlat: np.round(lonlat, 9))
    resolutions = sorted({int(resolution) for resolution in cell_resolutions(numbers)})
    names = cells_to_strings(numbers)
    title = name or (
        f"Cell {names[0]}" if len(names) == 1 else f"{len(names):,} cells of resolution {resolutions[0]}"
    )
    return region_from_geometry(shapely.union_all(outlines), title, source="cells:" + ",".join(names))


def format_lonlat(longitude: float, latitude: float) -> str:
    """A position for reading, such as '42.80° N, 0.37° W' (the order people write it in)."""
    north_south, east_west = "N" if latitude >= 0 else "S", "E" if longitude >= 0 else "W"
    return f"{abs(latitude):.2f}° {north_south}, {abs(longitude):.2f}° {east_west}"
