"""Regions: what makes one, what is repaired with a note, what is refused with a sentence."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from sdm_core.errors import MissingCRSError, RegionError
from sdm_core.regions import (
    countries_of,
    country_outlines,
    geodesic_area_km2,
    region_from_cells,
    region_from_geojson,
    region_from_geometry,
    region_from_point,
)
from tests.make_regions import PYRENEES, wiggly_circle

with np.errstate(invalid="ignore"):
    WITH_NAN = shapely.Polygon([(0, 42), (1, np.nan), (2, 43)])
    WITH_INFINITY = shapely.Polygon([(0, 42), (np.inf, 42), (2, 43)])


def ring(*points: tuple[float, float]) -> dict:
    return {"type": "Polygon", "coordinates": [[list(point) for point in (*points, points[0])]]}


def test_a_geojson_polygon_keeps_its_name_area_and_bounds():
    feature = {
        "type": "Feature",
        "properties": {"name": "Valle de Hecho"},
        "geometry": json.loads(shapely.to_geojson(PYRENEES)),
    }
    region = region_from_geojson(feature)
    assert region.name == "Valle de Hecho"
    assert region.bounds == (-0.6, 42.7, -0.1, 42.95)
    assert region.notes == ()
    # 0.25° of WGS84 meridian (111.08 km/° at 42.8°) times 0.5° of parallel (81.86 km/°), by hand
    assert region.area_km2 == pytest.approx(0.25 * 111.08 * 0.5 * 81.86, rel=2e-3)


def test_the_world_has_the_area_of_the_ellipsoid():
    # surface of the WGS84 ellipsoid: 510,065,622 km² (NIMA TR8350.2)
    world = region_from_geometry(shapely.box(-180, -90, 180, 90))
    assert world.area_km2 == pytest.approx(510_065_622, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "area_km2"),
    # official land and inland-water areas (Eurostat reg_area3, FSO); outlines are 1:10 million
    [("Switzerland", 41_291), ("Austria", 83_882), ("Hungary", 93_012), ("Czechia", 78_871)],
)
def test_country_areas_agree_with_official_ones_within_half_a_percent(name, area_km2):
    assert geodesic_area_km2(country_outlines()[name]) == pytest.approx(area_km2, rel=5e-3)


def test_a_hole_is_kept():
    outer, inner = shapely.box(0, 42, 1, 43), shapely.box(0.4, 42.4, 0.6, 42.6)
    region = region_from_geometry(outer.difference(inner))
    assert not region.geometry.contains(shapely.Point(0.5, 42.5))
    assert region.area_km2 == pytest.approx(geodesic_area_km2(outer) - geodesic_area_km2(inner))


def test_outer_rings_run_counter_clockwise_and_holes_clockwise_as_rfc_7946_asks():
    clockwise = shapely.Polygon(
        [(0, 42), (0, 43), (1, 43), (1, 42)], [[(0.4, 42.4), (0.6, 42.4), (0.6, 42.6)]]
    )
    part = region_from_geometry(clockwise).geometry.geoms[0]
    assert part.exterior.is_ccw and not part.interiors[0].is_ccw


def test_height_is_dropped():
    region = region_from_geometry(shapely.Polygon([(0, 42, 900), (1, 42, 900), (1, 43, 1000)]))
    assert not region.geometry.has_z


def test_several_features_are_dissolved_into_one_region_with_a_note():
    features = [
        {
            "type": "Feature",
            "properties": {},
            "geometry": json.loads(shapely.to_geojson(shapely.box(x, 42, x + 1, 43))),
        }
        for x in (0, 0.5)
    ]
    region = region_from_geojson({"type": "FeatureCollection", "features": features})
    assert region.bounds == (0, 42, 1.5, 43)
    assert len(region.geometry.geoms) == 1
    assert region.notes == ("2 features were merged into one region.",)


def test_a_self_crossing_outline_keeps_both_lobes_and_says_so():
    region = region_from_geojson(ring((0, 42), (1, 43), (1, 42), (0, 43)))
    lobes = [
        shapely.Polygon([(0, 42), (0.5, 42.5), (0, 43)]),
        shapely.Polygon([(1, 42), (0.5, 42.5), (1, 43)]),
    ]
    assert region.geometry.equals(shapely.union_all(lobes))
    assert region.geometry.is_valid
    assert (
        "crossed itself near (0.5000, 42.5000) and was repaired: its area is now 4,565.4 km²"
        in region.notes[0]
    )


def test_a_tangle_of_crossings_is_refused_instead_of_repaired_for_minutes():
    random = np.random.default_rng(0)
    tangle = shapely.Polygon(random.uniform([0, 42], [1, 43], (1_500, 2)))
    with pytest.raises(RegionError, match=r"crosses itself .* times, so it has no inside; check the order"):
        region_from_geometry(tangle)


def test_two_million_vertices_are_simplified_in_seconds_with_a_stated_tolerance():
    circle = wiggly_circle(2_000_000)
    start = time.process_time()
    region = region_from_geometry(circle)
    assert time.process_time() - start < 8
    assert shapely.get_num_coordinates(region.geometry) <= 200_000
    assert region.area_km2 == pytest.approx(geodesic_area_km2(wiggly_circle(2_000)), rel=1e-4)
    assert "simplified from 2,000,001 to" in region.notes[0]
    assert "it moved by at most 1.1 m" in region.notes[0]


@pytest.mark.parametrize(
    ("geometry", "message"),
    [
        (
            shapely.Point(1, 42),
            r"is 1 point, which has no area; give a polygon, or a circle with a radius .*\(1, 42\)",
        ),
        (shapely.MultiPoint([(1, 42), (2, 42)]), "is 2 points, which has no area"),
        (shapely.LineString([(0, 42), (1, 42)]), "is 1 line, which has no area; close it into a polygon"),
        (shapely.Polygon(), "is empty: it has no coordinates"),
        (shapely.GeometryCollection(), "is empty: it has no coordinates"),
        (None, "is empty: it has no coordinates"),
        (shapely.Polygon([(0, 42), (1, 42), (2, 42)]), "has no area: its points lie on one line"),
        (WITH_NAN, "1 of the region's 4 coordinates are not numbers"),
        (
            shapely.Polygon([(0, 42), (np.inf, 42), (2, 43)]),
            "1 of the region's 4 coordinates are not numbers",
        ),
    ],
)
def test_what_is_no_area_is_refused_with_a_way_out(geometry, message):
    with pytest.raises(RegionError, match=message):
        region_from_geometry(geometry)


def test_points_and_lines_beside_polygons_are_left_out_with_a_note():
    mixed = shapely.GeometryCollection([PYRENEES, shapely.Point(0, 0), shapely.LineString([(0, 0), (1, 1)])])
    region = region_from_geometry(mixed)
    assert region.geometry.equals(PYRENEES)
    assert region.notes == ("1 point and 1 line left out: only polygons make a region.",)


def test_metres_without_a_crs_ask_for_one():
    with pytest.raises(
        MissingCRSError, match=r"which are not degrees, and it does not name its CRS; .*EPSG:3035"
    ):
        region_from_geometry(shapely.box(3_400_000, 2_200_000, 3_500_000, 2_300_000))


def test_latitudes_beyond_the_pole_that_fit_when_swapped_say_so():
    with pytest.raises(RegionError, match=r"reach 101°, beyond the pole, while swapped they would fit"):
        region_from_geometry(shapely.box(42, 100, 43, 101))


def test_a_legacy_geojson_crs_is_obeyed():
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3857"}}
    # Web Mercator by its formula: x = R·λ, y = R·ln tan(π/4 + φ/2), R = 6378137 m
    x = 6_378_137 * np.radians([0.0, 1.0])
    y = 6_378_137 * np.log(np.tan(np.pi / 4 + np.radians([42.0, 43.0]) / 2))
    region = region_from_geojson({**ring((x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1])), "crs": crs})
    assert region.bounds == pytest.approx((0, 42, 1, 43), abs=1e-9)


def test_degrees_under_a_metric_crs_are_refused():
    crs = {"type": "name", "properties": {"name": "EPSG:3035"}}
    with pytest.raises(MissingCRSError, match=r"CRS is ETRS89.* but its coordinates .* look like degrees"):
        region_from_geojson({**ring((0, 42), (1, 42), (1, 43)), "crs": crs})


def test_an_unknown_crs_is_refused():
    crs = {"type": "name", "properties": {"name": "EPSG:999999"}}
    with pytest.raises(RegionError, match=r"The CRS 'EPSG:999999' is not known; give one such as EPSG:4326"):
        region_from_geojson({**ring((0, 42), (1, 42), (1, 43)), "crs": crs})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not GeoJSON with a polygon"),
        ("[]", "A list is not GeoJSON with a polygon"),
        ("{}", "object without a type is not GeoJSON"),
        ('{"type": "FeatureCollection", "features": []}', "has no features; draw or export"),
        ('{"type": "FeatureCollection"}', "has no list of features"),
        ('{"type": "Topology", "objects": {}}', "is TopoJSON, which is not read here; export it as GeoJSON"),
        ('{"type": "Polygon", "coordinates": [[[0, 1], [2]]]}', "coordinates of the Polygon cannot be read"),
        ('{"type": "Polygon", "coordinates": 7}', "coordinates of the Polygon cannot be read"),
        (
            '{"type": "Polygon", "coordinates": [[["a", 1], [2, 2], [3, 3]]]}',
            "coordinates of the Polygon cannot",
        ),
        ('{"type": "Feature", "geometry": null}', "has no features"),
        ("[" * 100_000, "is not GeoJSON with a polygon"),
    ],
)
def test_what_is_no_geojson_is_refused_in_one_sentence(text, message):
    with pytest.raises(RegionError, match=message) as raised:
        region_from_geojson(text)
    assert "\n" not in str(raised.value)


CROSSING = shapely.union_all([shapely.box(170, 10, 180, 20), shapely.box(-180, 10, -170, 20)])


@pytest.mark.parametrize(
    "form",
    [
        ring((170, 10), (190, 10), (190, 20), (170, 20)),
        ring((-190, 10), (-170, 10), (-170, 20), (-190, 20)),
        ring((170, 10), (-170, 10), (-170, 20), (170, 20)),
        ring((170, 10), (180, 10), (-180, 10), (-170, 10), (-170, 20), (-180, 20), (180, 20), (170, 20)),
        json.loads(shapely.to_geojson(CROSSING)),
    ],
    ids=["to 190", "from -190", "jump", "jump at 180", "already split"],
)
def test_every_form_of_a_polygon_over_the_date_line_gives_the_same_two_halves(form):
    region = region_from_geojson(form)
    assert region.geometry.equals(CROSSING)
    assert region.area_km2 == pytest.approx(geodesic_area_km2(shapely.box(0, 10, 20, 20)))


def test_a_jump_over_the_date_line_is_told():
    region = region_from_geojson(ring((170, 10), (-170, 10), (-170, 20), (170, 20)))
    assert "was read as crossing the date line; add points along that edge" in region.notes[0]


def test_a_box_round_half_the_earth_is_not_taken_for_a_crossing():
    region = region_from_geometry(shapely.box(-110, 10, 110, 20))
    assert region.bounds == (-110, 10, 110, 20)
    assert region.notes == ()


def test_a_hole_across_the_date_line_stays_a_hole():
    outer = [[170, 0], [190, 0], [190, 20], [170, 20], [170, 0]]
    hole = [[178, 8], [182, 8], [182, 12], [178, 12], [178, 8]]
    region = region_from_geojson({"type": "Polygon", "coordinates": [outer, hole]})
    assert not region.geometry.contains(shapely.Point(-179, 10))
    assert region.geometry.contains(shapely.Point(-175, 10))


def test_a_ring_round_the_pole_covers_the_pole():
    points = [(float(longitude), 80.0) for longitude in (-150, -90, -30, 30, 90, 150)]
    region = region_from_geojson(ring(*points))
    assert region.geometry.contains(shapely.Point(10, 89.9))
    assert "runs round a pole" in region.notes[0]
    # spherical cap of 10° on the authalic sphere, 2πR²(1 − sin 80°), flattening of the ellipsoid within 1 %
    assert region.area_km2 == pytest.approx(2 * np.pi * 6371.007**2 * (1 - np.sin(np.radians(80))), rel=0.01)


@pytest.mark.parametrize(
    ("longitude", "latitude"), [(0.0, 42.8), (179.95, -17.0), (30.0, 89.8), (0.0, -90.0)]
)
def test_a_circle_has_the_area_of_a_circle_anywhere(longitude, latitude):
    circle = region_from_point(longitude, latitude, 50)
    assert circle.area_km2 == pytest.approx(np.pi * 50**2, rel=1e-3)  # a 128-sided polygon is 0.04 % smaller
    assert circle.notes == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 95, 10), r"\(0, 95\) is not on the Earth"),
        ((np.nan, 42, 10), "is not on the Earth"),
        ((0, 42, 0), "radius 0 km is out of range; give more than 0 and at most 2,000 km"),
        ((0, 42, 9_999), "radius 9999 km is out of range"),
        ((0, 42, np.nan), "radius nan km is out of range"),
    ],
)
def test_an_impossible_circle_is_refused(arguments, message):
    with pytest.raises(RegionError, match=message):
        region_from_point(*arguments)


def test_a_region_of_cells_is_their_union():
    region = region_from_cells(["86396582fffffff", "86396584fffffff"])
    assert region.source == "cells:86396582fffffff,86396584fffffff"
    assert region.geometry.is_valid


@pytest.mark.parametrize(
    ("cells", "message"),
    [([], "No cell is chosen"), (["nonsense"], "'nonsense' is no H3 cell"), ([12345], "12345 is no H3 cell")],
)
def test_what_is_no_cell_is_refused(cells, message):
    with pytest.raises(RegionError, match=message):
        region_from_cells(cells)


def test_the_geometry_hash_depends_on_the_outline_alone():
    same = shapely.Polygon([(-0.1, 42.7), (-0.1, 42.95), (-0.6, 42.95), (-0.6, 42.7)])
    assert (
        region_from_geometry(PYRENEES, "a").geometry_hash
        == region_from_geometry(same, "b", "x").geometry_hash
    )
    moved = shapely.transform(PYRENEES, lambda lonlat: lonlat + 1e-4)
    assert region_from_geometry(PYRENEES).geometry_hash != region_from_geometry(moved).geometry_hash


def test_geojson_out_and_in_again_is_the_same_region():
    region = region_from_geometry(PYRENEES, "Hecho")
    again = region_from_geojson(json.loads(json.dumps(region.to_geojson())))
    assert again.geometry_hash == region.geometry_hash
    assert again.name == "Hecho"


def test_a_name_cannot_carry_markup_or_control_characters():
    region = region_from_geometry(PYRENEES, "<script>\x00evil\n" + "x" * 200)
    assert region.name.startswith("script evil x")
    assert len(region.name) == 80


def test_countries_of_a_border_region_share_its_area():
    shares = dict(countries_of(region_from_point(0.0, 42.7, 60)))
    assert set(shares) == {"Spain", "France"}
    assert sum(shares.values()) == pytest.approx(1, abs=1e-3)


@settings(max_examples=60, derandomize=True)
@given(st.lists(st.tuples(st.integers(-400, 400), st.integers(-90, 90)), min_size=3, max_size=9))
def test_any_ring_gives_a_valid_region_on_the_map_or_a_sentence(points):
    try:
        region = region_from_geojson(ring(*points))
    except RegionError as error:
        assert "has no area" in str(error)
        return
    west, south, east, north = region.bounds
    assert region.geometry.is_valid
    assert west >= -180 and east <= 180 and south >= -90 and north <= 90
    assert 0 < region.area_km2 < 511e6
    again = region_from_geometry(region.geometry)
    assert again.geometry.symmetric_difference(region.geometry).area < 1e-6
