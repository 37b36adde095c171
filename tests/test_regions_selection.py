"""Cells of a polygon by each rule of containment, against brute force, h3-py and geodesic areas."""

from __future__ import annotations

import itertools
import time

import h3
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from sdm_core.errors import NoDataInRegionError, RegionError
from sdm_core.regions import (
    CONTAINMENT_RULES,
    Region,
    cell_area_km2,
    cell_polygons,
    cells_in_polygon,
    cells_to_lonlat,
    cells_to_strings,
    geodesic_area_km2,
    hectare_quantum,
    land_geometry,
    lonlat_to_cells,
    polygon_cells,
    polygon_shares,
    region_from_cells,
    region_from_geometry,
    region_from_place,
    region_from_point,
    select_cells,
    strings_to_cells,
)

RESOLUTION = 6


def earth(resolution):
    """All cells of a resolution, sorted, and their centres."""
    names = (child for base in h3.get_res0_cells() for child in h3.cell_to_children(base, resolution))
    cells = np.sort(strings_to_cells(names))
    return cells, cells_to_lonlat(cells)


EARTH = {resolution: earth(resolution) for resolution in (0, 1, 2, 3)}
#: Everything that has gone wrong in polygon fills: holes, poles, date line, slivers, islands, combs.
SHAPES = {
    "hole": shapely.Point(10, 50).buffer(9).difference(shapely.Point(11, 50).buffer(4)),
    "date line": region_from_geometry(shapely.box(165, -25, 195, 10)).geometry,
    "north pole": region_from_geometry(shapely.Polygon([(x, 71) for x in range(-180, 180, 10)])).geometry,
    "south pole": region_from_point(40, -88, 1500).geometry,
    "pole inside a hole": region_from_geometry(
        shapely.Polygon([(x, 60) for x in range(-180, 180, 10)], [[(x, 75) for x in range(-180, 180, 10)]])
    ).geometry,
    "sliver": shapely.LineString([(-60, -40), (20, 30), (60, 35)]).buffer(0.05),
    "islands": shapely.union_all([shapely.Point(x, x / 2).buffer(1 + x % 5) for x in range(-80, 80, 7)]),
    "comb": shapely.union_all(
        [shapely.box(0, 0, 60, 2), *(shapely.box(x, 0, x + 0.7, 40) for x in range(0, 60, 3))]
    ),
    "half the Earth": shapely.box(-180, -90, 0, 90),
    "land": land_geometry(),
}
shapes = pytest.mark.parametrize("name", SHAPES)


@st.composite
def polygons(draw):
    """Stars of any size at any place, cut at ±180 and ±90."""
    longitude, latitude = draw(st.floats(-179, 179)), draw(st.floats(-89, 89))
    shares_of_size = draw(st.lists(st.floats(0.05, 1), min_size=3, max_size=24))
    radii = 10 ** draw(st.floats(-1, 1.6)) * np.array(shares_of_size)
    angles = np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    ring = np.column_stack([longitude + radii * np.cos(angles), latitude + radii * np.sin(angles)])
    return shapely.intersection(shapely.make_valid(shapely.Polygon(ring)), shapely.box(-180, -90, 180, 90))


def brute_force(geometry, resolution):
    cells, lonlat = EARTH[resolution]
    return cells[shapely.contains_xy(geometry, lonlat[:, 0], lonlat[:, 1])]


@pytest.mark.parametrize("resolution", [0, 1, 3])
@shapes
def test_cells_in_a_polygon_are_those_of_all_cells_of_the_earth_whose_centre_lies_inside(name, resolution):
    found = cells_in_polygon(SHAPES[name], resolution)
    np.testing.assert_array_equal(found, brute_force(SHAPES[name], resolution))


@settings(max_examples=60)
@given(geometry=polygons(), resolution=st.integers(0, 3))
def test_cells_in_any_polygon_are_those_whose_centre_lies_inside(geometry, resolution):
    np.testing.assert_array_equal(cells_in_polygon(geometry, resolution), brute_force(geometry, resolution))


@pytest.mark.parametrize(("place", "resolution"), [("Spain", 6), ("Crete", 8), ("Norway", 5), ("Bern", 7)])
def test_cells_in_a_place_are_those_of_h3_py(place, resolution):
    geometry = region_from_place(place).geometry
    assert set(cells_to_strings(cells_in_polygon(geometry, resolution))) == set(
        h3.geo_to_cells(geometry, resolution)
    )


def test_an_empty_polygon_holds_no_cell_and_a_resolution_out_of_range_is_refused():
    assert len(cells_in_polygon(shapely.Polygon(), 5)) == 0
    with pytest.raises(RegionError, match="H3 resolution 16 does not exist"):
        cells_in_polygon(SHAPES["hole"], 16)


@pytest.mark.parametrize("resolution", [2, 5])
@shapes
def test_shares_add_up_to_the_geodesic_area(name, resolution):
    geometry = SHAPES[name]
    if resolution == 5 and geodesic_area_km2(geometry) > 2e7:
        geometry = shapely.intersection(geometry, shapely.box(-20, 30, 40, 80))
    cells, shares = polygon_shares(geometry, resolution)
    assert (np.diff(cells.astype(np.int64)) > 0).all() and ((shares > 0) & (shares <= 1)).all()
    assert cell_area_km2(cells) @ shares == pytest.approx(geodesic_area_km2(geometry), rel=3e-4)


@settings(max_examples=40)
@given(geometry=polygons(), resolution=st.integers(2, 5))
def test_shares_of_any_polygon_add_up_to_its_geodesic_area(geometry, resolution):
    if geodesic_area_km2(geometry) > 5e6:
        resolution = 2
    cells, shares = polygon_shares(geometry, resolution)
    assert cell_area_km2(cells) @ shares == pytest.approx(geodesic_area_km2(geometry), rel=1e-3)


@pytest.mark.parametrize("place", ["Pyrenees", "Switzerland", "Crete", "Spain"])
def test_hectares_of_a_place_add_up_to_its_area_within_some_parts_in_a_million(place):
    cells, shares = polygon_shares(region_from_place(place).geometry, RESOLUTION)
    assert cell_area_km2(cells) @ shares == pytest.approx(region_from_place(place).area_km2, rel=5e-6)


def test_cells_that_share_a_point_with_a_polygon_are_all_found():
    geometry = SHAPES["islands"]
    cells = EARTH[2][0]
    outlines = cell_polygons(cells)
    overlap = shapely.area(shapely.intersection(outlines, geometry)) / shapely.area(outlines)
    found = polygon_cells(geometry, 2, "intersect")
    assert set(cells[overlap > 1e-3]) <= set(found)
    assert not set(cells[overlap == 0]) & set(found)
    np.testing.assert_array_equal(polygon_cells(geometry, 2, "area_weighted"), found)
    np.testing.assert_array_equal(polygon_cells(geometry, 2), cells_in_polygon(geometry, 2))


def atlas_of(geometry, resolution=RESOLUTION):
    """What `select_cells` wants of an atlas that covers a polygon with some cells to spare."""
    cells = polygon_cells(shapely.buffer(geometry, 0.2), resolution, "intersect")
    quantum = hectare_quantum(resolution)
    hectares = np.rint(cell_area_km2(cells) * 100 / quantum) * quantum
    return cells_to_lonlat(cells), resolution, cells, hectares


@pytest.fixture(scope="module")
def atlas():
    return atlas_of(shapely.box(-2, 41.5, 2, 43.5))


def test_neighbouring_regions_share_out_the_hectares_of_the_cells_between_them(atlas):
    whole = region_from_geometry(shapely.box(-1.5, 41.8, 1.5, 43.2))
    borders = [-1.5, -0.7, 0.123, 0.13, 1.5]
    parts = [
        region_from_geometry(shapely.box(west, 41.8, east, 43.2))
        for west, east in itertools.pairwise(borders)
    ]
    selected = select_cells(whole, *atlas, "area_weighted")
    summed = np.zeros(len(atlas[2]))
    for part in parts:
        own = select_cells(part, *atlas, "area_weighted")
        summed[own.rows] += own.hectares
    expected = np.zeros(len(atlas[2]))
    expected[selected.rows] = selected.hectares
    assert np.abs(summed - expected).max() <= 2  # parts and whole are each rounded by half a hectare
    assert summed.sum() / 100 == pytest.approx(whole.area_km2, rel=1e-4)


def test_area_weighted_hectares_are_the_area_of_the_region_and_whole_cells_keep_theirs(atlas):
    region = region_from_geometry(shapely.Point(0, 42.5).buffer(0.6))
    selected = select_cells(region, *atlas, "area_weighted")
    assert selected.rule == "area_weighted" and selected.notes == ()
    assert selected.rows.dtype == np.int64 and (np.diff(selected.rows) > 0).all()
    assert selected.hectares.dtype == np.float64
    assert selected.hectares.sum() / 100 == pytest.approx(region.area_km2, rel=1e-4)
    inside = shapely.contains(region.geometry, cell_polygons(atlas[2][selected.rows]))
    np.testing.assert_array_equal(selected.hectares[inside], atlas[3][selected.rows][inside])
    assert (selected.hectares[~inside] < atlas[3][selected.rows][~inside]).all()


def test_the_centre_rule_chooses_among_the_cells_that_intersect_and_counts_whole_cells(atlas):
    region = region_from_geometry(shapely.Point(0, 42.5).buffer(0.6))
    centre, touching = select_cells(region, *atlas), select_cells(region, *atlas, "intersect")
    np.testing.assert_array_equal(atlas[2][centre.rows], cells_in_polygon(region.geometry, RESOLUTION))
    np.testing.assert_array_equal(
        atlas[2][touching.rows], polygon_cells(region.geometry, RESOLUTION, "intersect")
    )
    assert set(centre.rows) < set(touching.rows)
    for selected in (centre, touching):
        np.testing.assert_array_equal(selected.hectares, atlas[3][selected.rows])
        assert selected.hectares.dtype == np.float64


@pytest.mark.parametrize("rule", CONTAINMENT_RULES)
def test_clicked_cells_come_back_as_themselves_by_every_rule(atlas, rule):
    selected = select_cells(region_from_cells(atlas[2][100:130]), *atlas, rule)
    np.testing.assert_array_equal(selected.rows, np.arange(100, 130))
    np.testing.assert_array_equal(selected.hectares, atlas[3][100:130])


def test_a_sliver_without_a_centre_has_its_true_area_where_parts_are_counted(atlas):
    region = region_from_geometry(shapely.box(-1, 42.4321, 1, 42.4341))
    selected = select_cells(region, *atlas, "area_weighted")
    assert len(selected.rows) > 20
    assert selected.hectares.sum() / 100 == pytest.approx(region.area_km2, rel=0.01)
    touching = select_cells(region, *atlas, "intersect").rows
    assert set(select_cells(region, *atlas).rows) < set(selected.rows) <= set(touching)
    assert len(touching) < len(selected.rows) + 5  # those with less than half a hectare inside


def test_a_region_inside_one_cell_counts_with_its_own_area(atlas):
    lonlat, _, _, hectares = atlas
    region = region_from_point(*lonlat[200], 1.0)
    selected = select_cells(region, *atlas, "area_weighted")
    assert selected.rows.tolist() == [200] and abs(selected.hectares[0] - region.area_km2 * 100) <= 0.5
    assert select_cells(region, *atlas, "intersect").hectares.tolist() == [hectares[200]]


def test_a_garden_counts_with_one_hectare_and_says_so(atlas):
    region = region_from_point(*atlas[0][200], 0.01)
    selected = select_cells(region, *atlas, "area_weighted")
    assert selected.rows.tolist() == [200] and selected.hectares.tolist() == [1]
    assert (
        "(0.0314 ha) holds less than 0.5 ha of any cell, so 1 ha of the cell it lies in" in selected.notes[0]
    )
    assert select_cells(region, *atlas, "intersect").rows.tolist() == [200]


def test_fine_cells_count_in_parts_of_a_hectare():
    region = region_from_point(0, 42.5, 0.3)
    fine = atlas_of(region.geometry, 10)
    selected = select_cells(region, *fine, "area_weighted")
    assert hectare_quantum(10) == 1 / 128 and hectare_quantum(6) == 1
    np.testing.assert_array_equal(selected.hectares * 128, np.rint(selected.hectares * 128))
    assert selected.hectares.sum() / 100 == pytest.approx(region.area_km2, rel=2e-3)


@pytest.mark.parametrize("name", ["date line", "north pole", "south pole"])
def test_hectares_are_right_over_the_date_line_and_the_poles(name):
    cells, lonlat = EARTH[3]
    region = Region(name, SHAPES[name])
    hectares = np.rint(cell_area_km2(cells) * 100).astype(np.uint32)
    selected = select_cells(region, lonlat, 3, cells, hectares, "area_weighted")
    assert selected.hectares.sum() / 100 == pytest.approx(region.area_km2, rel=5e-5)


def test_an_unknown_rule_is_named_with_those_there_are(atlas):
    region = region_from_point(0, 42.5, 10)
    with pytest.raises(
        RegionError, match='containment rule is "touch", expected one of centre, intersect, area_weighted'
    ):
        select_cells(region, *atlas, "touch")
    with pytest.raises(RegionError, match='containment rule is ""'):
        polygon_cells(region.geometry, 6, "")


@pytest.mark.parametrize("rule", CONTAINMENT_RULES)
def test_a_region_outside_the_atlas_is_told_so_by_every_rule(atlas, rule):
    with pytest.raises(NoDataInRegionError, match=r"'Iceland' .* lies outside the atlas"):
        select_cells(region_from_place("Iceland"), *atlas, rule)
    with pytest.raises(NoDataInRegionError, match="The atlas holds no cells"):
        nothing = np.zeros(0, dtype=np.uint64)
        select_cells(region_from_place("Iceland"), np.zeros((0, 2)), 6, nothing, nothing, rule)


def test_a_country_of_a_hundred_thousand_cells_is_weighted_in_well_under_a_second():
    region = region_from_place("Spain")
    whole = atlas_of(region.geometry, 7)
    start = time.process_time()
    selected = select_cells(region, *whole, "area_weighted")
    assert time.process_time() - start < 1.0
    assert len(selected.rows) > 95_000


def test_points_anywhere_lie_in_a_cell_that_their_polygon_meets():
    random = np.random.default_rng(5)
    for _ in range(20):
        longitude, latitude = random.uniform(-170, 170), random.uniform(-80, 80)
        around = shapely.Point(longitude, latitude).buffer(random.uniform(0.001, 0.2))
        cell = lonlat_to_cells(longitude, latitude, 5)
        assert np.isin(cell, polygon_cells(around, 5, "intersect")).all()
