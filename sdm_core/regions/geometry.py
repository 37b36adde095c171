"""Any geometry to one valid multipolygon in WGS84, with a note for everything that was changed."""

from __future__ import annotations

import itertools
import re
import unicodedata

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from sdm_core import config
from sdm_core.errors import MissingCRSError, RegionError
from sdm_core.regions.dateline import polygon_parts, split_at_date_line

GEOD = pyproj.Geod(ellps="WGS84")

#: Self-crossings above which an outline is refused: repairing it would take long and mean nothing.
MAX_SELF_CROSSINGS = 20_000
#: Edges longer than this are cut before an area is taken, so that an edge stays the straight line on the
#: longitude-latitude plane that every map and GeoJSON file means; the second value holds beyond 75° of
#: latitude, where such lines bend most.
_AREA_SEGMENT_DEG = (0.1, 0.01)
_POLAR_DEG = 75.0


def clean_name(name: str | None, fallback: str = "Region") -> str:
    """A name fit for a title: no control characters or angle brackets, at most 80 characters."""
    text = unicodedata.normalize("NFC", name or "")
    text = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in text)
    text = re.sub(r"\s+", " ", re.sub(r"[<>]", "", text)).strip()
    return text[:80].strip() or fallback


def geodesic_area_km2(geometry: shapely.Geometry) -> float:
    """Area on the WGS84 ellipsoid in km² (Karney 2013, GeographicLib through pyproj).

    Edges straight in lon/lat.
    """
    west, _, east, _ = geometry.bounds
    parts = polygon_parts(geometry)
    if east - west > 90.0:  # a geodesic polygon cannot tell one side of a ring round the Earth from the other
        quarters = [shapely.box(start, -90.0, start + 90.0, 90.0) for start in (-180.0, -90.0, 0.0, 90.0)]
        parts = [
            part for quarter in quarters for part in polygon_parts(shapely.intersection(geometry, quarter))
        ]
    return sum(_polygon_area_m2(part) for part in parts) / 1e6


def _polygon_area_m2(polygon: shapely.Polygon) -> float:
    return _ring_area_m2(polygon.exterior) - sum(_ring_area_m2(hole) for hole in polygon.interiors)


def _ring_area_m2(ring: shapely.LinearRing) -> float:
    dense = _densify(shapely.get_coordinates(ring))
    area_m2, _ = GEOD.polygon_area_perimeter(dense[:, 0], dense[:, 1])
    return abs(float(area_m2))


def area_segment_deg(largest_latitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Longest edge (n,) in degrees that an area is taken with, up to so high a latitude, north or south."""
    usual, polar = _AREA_SEGMENT_DEG
    return np.where(largest_latitude > _POLAR_DEG, polar, usual)


def _densify(coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points of a ring, first to last (n, 2), with long edges cut evenly."""
    steps = np.diff(coordinates, axis=0)
    latitude = np.abs(coordinates[:, 1])
    longest = area_segment_deg(np.maximum(latitude[:-1], latitude[1:]))
    pieces = np.maximum(1, np.ceil(np.hypot(steps[:, 0], steps[:, 1]) / longest).astype(np.int64))
    edge = np.repeat(np.arange(len(steps)), pieces)
    within = np.arange(len(edge)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    dense: NDArray[np.float64] = coordinates[edge] + steps[edge] * (within / pieces[edge])[:, None]
    return dense


def clean_geometry(
    geometry: shapely.Geometry | None, declared_crs: str = ""
) -> tuple[shapely.MultiPolygon, list[str]]:
    """One valid multipolygon within ±180 and ±90, counter-clockwise outside, and notes on what was changed.

    Parameters: any shapely geometry in longitude, latitude; `declared_crs` names what the source claimed,
    for the message when the numbers are no degrees. In order: height is dropped; points and lines are left
    out (noted) or, alone, refused; coordinates are checked; outlines above `config.MAX_REGION_VERTICES` are
    simplified; rings over the date line or a pole are cut; self-crossings are repaired; all parts are
    dissolved into one region. Raises RegionError or MissingCRSError, each saying what was found and the way
    out.
    """
    if geometry is None or geometry.is_empty:
        raise RegionError("The region is empty: it has no coordinates; draw or export the polygon again.")
    flat = shapely.force_2d(geometry)
    polygons, notes = _polygons_only(flat)
    _check_coordinates(shapely.get_coordinates(polygons), declared_crs)
    _refuse_tangles(polygons)
    polygons, simplified = _within_vertex_limit(polygons)
    if simplified:
        _refuse_tangles(polygons)
    notes += simplified
    pieces: list[shapely.Polygon] = []
    for polygon in polygons:
        cut, date_line_notes = split_at_date_line(polygon)
        notes += [note for note in date_line_notes if note not in notes]
        if not date_line_notes:
            pieces.append(cut)
            continue
        # short edges, so that none looks like a jump when the region is read again
        pieces += [shapely.segmentize(part, 100.0) for part in polygon_parts(cut)]
    pieces, repaired = _repair(pieces)
    notes += repaired
    merged = pieces[0] if len(pieces) == 1 else shapely.union_all(pieces)
    parts = polygon_parts(merged)
    if not parts:
        raise RegionError(
            "The region has no area: its points lie on one line; draw it as a polygon with an inside."
        )
    return shapely.orient_polygons(shapely.MultiPolygon(parts)), notes


def _flatten(geometry: shapely.Geometry) -> list[shapely.Geometry]:
    if shapely.get_num_geometries(geometry) == 1 and not hasattr(geometry, "geoms"):
        return [geometry]
    flat: list[shapely.Geometry] = []
    for part in shapely.get_parts(geometry):
        flat += _flatten(part) if hasattr(part, "geoms") else [part]
    return flat


def _polygons_only(geometry: shapely.Geometry) -> tuple[list[shapely.Polygon], list[str]]:
    parts = [part for part in _flatten(geometry) if not part.is_empty]
    polygons = [part for part in parts if isinstance(part, shapely.Polygon)]
    n_points = sum(isinstance(part, shapely.Point) for part in parts)
    n_lines = len(parts) - len(polygons) - n_points
    if not parts:
        raise RegionError("The region is empty: it has no coordinates; draw or export the polygon again.")
    others = " and ".join(
        f"{count} {word}{'s' if count > 1 else ''}"
        for count, word in ((n_points, "point"), (n_lines, "line"))
        if count
    )
    if polygons:
        return polygons, [f"{others} left out: only polygons make a region."] if others else []
    if n_points:
        where = shapely.get_coordinates(parts)[0]
        raise RegionError(
            f"The region is {others}, which has no area; give a polygon, or a circle with a radius around "
            "the point "
            f"({where[0]:.4g}, {where[1]:.4g})."
        )
    raise RegionError(f"The region is {others}, which has no area; close it into a polygon and try again.")


def _check_coordinates(coordinates: NDArray[np.float64], declared_crs: str) -> None:
    finite = np.isfinite(coordinates).all(axis=1)
    if not finite.all():
        raise RegionError(
            f"{int((~finite).sum())} of the region's {len(coordinates)} coordinates are not numbers; "
            "export the polygon again without empty vertices."
        )
    west, south = coordinates.min(axis=0)
    east, north = coordinates.max(axis=0)
    if south >= -90.000001 and north <= 90.000001 and west >= -540 and east <= 540:
        return
    if west >= -90 and east <= 90 and south >= -180 and north <= 180:
        raise RegionError(
            f"The region's latitudes reach {max(north, -south):.4g}°, beyond the pole, while swapped they "
            "would fit; "
            "give longitude first, then latitude."
        )
    claim = f"although its CRS says {declared_crs}" if declared_crs else "and it does not name its CRS"
    raise MissingCRSError(
        f"The region's coordinates run from ({west:.6g}, {south:.6g}) to ({east:.6g}, {north:.6g}), which "
        "are not "
        f"degrees, {claim}; export it as WGS84 (EPSG:4326) or state its CRS, for instance EPSG:3035."
    )


def _within_vertex_limit(polygons: list[shapely.Polygon]) -> tuple[list[shapely.Polygon], list[str]]:
    """Polygons simplified (Douglas-Peucker, growing tolerance) until the vertex limit holds, and how far.

    Rings are simplified as lines: on polygons GEOS would also repair each result, which can take minutes.
    """
    n_before = int(shapely.get_num_coordinates(polygons).sum())
    if n_before <= config.MAX_REGION_VERTICES:
        return polygons, []
    bounds = shapely.total_bounds(polygons)
    tolerance_deg, summed_deg = float(max(bounds[2] - bounds[0], bounds[3] - bounds[1])) * 2e-6, 0.0
    rings, owners = shapely.get_rings(polygons, return_index=True)
    while int(shapely.get_num_coordinates(rings).sum()) > config.MAX_REGION_VERTICES:
        smaller = shapely.simplify(rings, tolerance_deg, preserve_topology=False)
        kept = shapely.get_num_coordinates(smaller) >= 4
        if not kept.any():
            raise RegionError(
                f"The region's {n_before:,} vertices in {len(polygons):,} parts cannot be brought under "
                f"{config.MAX_REGION_VERTICES:,}; merge or simplify them before uploading."
            )
        rings, owners = smaller[kept], owners[kept]
        summed_deg += tolerance_deg
        tolerance_deg *= 4
    order = np.flatnonzero(np.diff(owners, prepend=-1, append=-2))
    simplified = [
        shapely.Polygon(rings[start], list(rings[start + 1 : end]))
        for start, end in itertools.pairwise(order)
    ]
    n_after = int(shapely.get_num_coordinates(simplified).sum())
    return simplified, [
        f"The outline was simplified from {n_before:,} to {n_after:,} vertices; "
        f"it moved by at most {summed_deg * 111_320:,.1f} m."
    ]


def _estimated_crossings(polygon: shapely.Polygon) -> float:
    """About how often an outline crosses itself, from 200 of its edges against 5,000 others."""
    edges: list[NDArray[np.float64]] = []
    for ring in [polygon.exterior, *polygon.interiors]:
        coordinates = shapely.get_coordinates(ring)
        edges.append(np.stack([coordinates[:-1], coordinates[1:]], axis=1))
    ends = np.concatenate(edges)
    some = shapely.linestrings(ends[:: max(1, len(ends) // 200)])
    others = shapely.linestrings(ends[1 :: max(1, len(ends) // 5_000)])
    n_crossed = shapely.STRtree(others).query(some, predicate="crosses").shape[1]
    return n_crossed / (len(some) * len(others)) * len(ends) ** 2 / 2


def _refuse_tangles(polygons: list[shapely.Polygon]) -> None:
    for polygon in polygons:
        crossings = _estimated_crossings(polygon) if shapely.get_num_coordinates(polygon) > 500 else 0.0
        if crossings > MAX_SELF_CROSSINGS:
            often = f"about {crossings:,.0f}" if crossings < 1e6 else "more than a million"
            raise RegionError(
                f"The outline crosses itself {often} times, so it has no inside; "
                "check the order of its points and export it again."
            )


def _repair(polygons: list[shapely.Polygon]) -> tuple[list[shapely.Polygon], list[str]]:
    valid = shapely.is_valid(polygons)
    if valid.all():
        return polygons, []
    good = [polygon for polygon, is_good in zip(polygons, valid, strict=True) if is_good]
    broken = [polygon for polygon, is_good in zip(polygons, valid, strict=True) if not is_good]
    before_km2 = after_km2 = 0.0
    repaired: list[shapely.Polygon] = []
    for polygon in broken:
        fixed = polygon_parts(shapely.make_valid(polygon, method="structure", keep_collapsed=False))
        before_km2 += max(_polygon_area_m2(polygon), 0.0) / 1e6
        after_km2 += sum(geodesic_area_km2(part) for part in fixed)
        repaired += fixed
    reason = shapely.is_valid_reason(broken[0])
    if not good and not repaired:
        raise RegionError(
            "The region has no area: its points lie on one line; draw it as a polygon with an inside."
        )
    crossed = (
        "crossed itself"
        if reason.startswith("Self-intersection") or "Ring Self" in reason
        else "was not valid"
    )
    where = re.search(r"\[([-\d.e+]+) ([-\d.e+]+)\]", reason)
    place = f" near ({float(where[1]):.4f}, {float(where[2]):.4f})" if where else ""
    return good + repaired, [
        f"The outline {crossed}{place} and was repaired: its area is now {after_km2:,.1f} km² "
        f"(as drawn, counting crossed parts against each other, {before_km2:,.1f} km²)."
    ]
