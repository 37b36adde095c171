"""H3 cells against the reference library h3-py, and the choice of an atlas' rows."""

from __future__ import annotations

import h3
import numpy as np
import pyproj
import pytest
import shapely

from sdm_core.errors import NoDataInRegionError, RegionError
from sdm_core.regions import (
    cell_area_km2,
    cell_polygons,
    cells_in_polygon,
    cells_to_lonlat,
    cells_to_parents,
    cells_to_strings,
    geodesic_area_km2,
    lonlat_to_cells,
    region_from_cells,
    region_from_geometry,
    region_from_place,
    region_from_point,
    select_cells,
    strings_to_cells,
)

GEOD = pyproj.Geod(ellps="WGS84")

#: Random points over the sphere, then the poles and both sides of the date line.
_RANDOM = np.random.default_rng(20)
LONGITUDE = np.r_[_RANDOM.uniform(-180, 180, 500), 0, 37, 180, -180, 179.9999, -179.9999, 190]
LATITUDE = np.r_[np.degrees(np.arcsin(_RANDOM.uniform(-1, 1, 500))), 90, -90, 10, 10, 0, 0, 5]


@pytest.mark.parametrize("resolution", [0, 3, 6, 9, 15])
def test_points_fall_into_the_cells_of_h3_py(resolution):
    expected = [h3.latlng_to_cell(lat, lon, resolution) for lon, lat in zip(LONGITUDE, LATITUDE, strict=True)]
    assert cells_to_strings(lonlat_to_cells(LONGITUDE, LATITUDE, resolution)) == expected


@pytest.mark.parametrize("resolution", [2, 6, 10])
def test_centres_and_parents_agree_with_h3_py(resolution):
    cells = lonlat_to_cells(LONGITUDE, LATITUDE, resolution)
    names = cells_to_strings(cells)
    centres = np.array([h3.cell_to_latlng(name)[::-1] for name in names])
    np.testing.assert_allclose(cells_to_lonlat(cells), centres, atol=1e-9)
    for parent in range(resolution + 1):
        assert cells_to_strings(cells_to_parents(cells, parent)) == [
            h3.cell_to_parent(n, parent) for n in names
        ]


def test_a_parent_finer_than_the_cell_is_refused():
    with pytest.raises(RegionError, match="cell of resolution 4 has no parent at resolution 6"):
        cells_to_parents(lonlat_to_cells(0.0, 42.0, 4), 6)


def test_the_cells_of_a_polygon_are_those_of_h3_py_sorted():
    polygon = shapely.Polygon(
        [(-1, 42), (2, 42.3), (1.5, 43.4), (0.3, 42.9)], [[(0.9, 42.6), (1.2, 42.6), (1, 42.8)]]
    )
    expected = set(h3.geo_to_cells(polygon, 6))
    found = cells_in_polygon(polygon, 6)
    assert set(cells_to_strings(found)) == expected
    assert (np.diff(found.astype(np.int64)) > 0).all()


def test_cell_outlines_stay_on_the_map_and_add_up_at_the_pole_and_the_date_line():
    cells = lonlat_to_cells(LONGITUDE, LATITUDE, 4)
    outlines = cell_polygons(cells)
    bounds = shapely.total_bounds(outlines)
    assert bounds[0] >= -180 and bounds[2] <= 180 and bounds[1] >= -90 and bounds[3] <= 90
    geodesic = np.array([geodesic_area_km2(outline) for outline in outlines])
    # the polar cells' edges, straight on the longitude-latitude plane, are no great circles
    away = np.abs(LATITUDE) < 89
    np.testing.assert_allclose(geodesic[away], cell_area_km2(cells)[away], rtol=0.002)
    polar = outlines[np.abs(LATITUDE) == 90]
    assert polar[0].bounds[3] == 90 and polar[1].bounds[1] == -90


def test_the_area_of_a_country_is_that_of_its_cells():
    country = region_from_place("Switzerland")
    cells = cells_in_polygon(country.geometry, 8)
    assert cell_area_km2(cells).sum() == pytest.approx(country.area_km2, rel=0.0005)


@pytest.mark.parametrize(
    ("resolution", "tolerance"),
    [(0, 2e-4), (1, 4e-5), (2, 2e-5), (3, 5e-6), (4, 5e-6), (5, 1e-6), (7, 1e-6), (9, 1e-6)],
)
def test_areas_are_those_of_geodesic_polygons_on_the_ellipsoid(resolution, tolerance):
    pentagons = strings_to_cells(h3.get_pentagons(resolution))
    cells = np.unique(np.r_[lonlat_to_cells(LONGITUDE, LATITUDE, resolution), pentagons])
    geodesic = [
        abs(GEOD.polygon_area_perimeter(*np.array(h3.cell_to_boundary(name))[:, ::-1].T)[0]) / 1e6
        for name in cells_to_strings(cells)
    ]
    np.testing.assert_allclose(cell_area_km2(cells), geodesic, rtol=tolerance)


def test_all_cells_of_the_earth_have_the_area_of_the_ellipsoid():
    earth_km2 = 510_065_621.724  # GeographicLib, WGS84
    for resolution in (0, 1, 2):
        cells = strings_to_cells(
            [name for base in h3.get_res0_cells() for name in h3.cell_to_children(base, resolution)]
        )
        assert cell_area_km2(cells).sum() == pytest.approx(earth_km2, rel=1e-9)


def test_names_and_numbers_of_cells_convert_both_ways():
    cells = lonlat_to_cells(LONGITUDE, LATITUDE, 7)
    np.testing.assert_array_equal(strings_to_cells(cells_to_strings(cells)), cells)


@pytest.mark.parametrize("name", ["", "zz", "861f83647fffffe", "-1", "0", "f" * 16])
def test_a_name_that_is_no_cell_is_refused(name):
    with pytest.raises(RegionError, match="is no H3 cell; a cell is 15 hexadecimal digits"):
        strings_to_cells([name])


def test_a_point_that_is_no_place_is_refused():
    with pytest.raises(RegionError, match=r"1 of 2 points have no place on the Earth .*latitude 95"):
        lonlat_to_cells([0, 1], [42, 95], 6)
    with pytest.raises(RegionError, match="H3 resolution 16 does not exist"):
        lonlat_to_cells([0], [42], 16)


@pytest.fixture(scope="module")
def atlas():
    """Cells of resolution 6 on the land of four countries, as an atlas would hold them."""
    land = [cells_in_polygon(region_from_place(name).geometry, 6) for name in ("France", "Spain", "Portugal")]
    cells = np.unique(np.concatenate([*land, cells_in_polygon(region_from_place("Andorra").geometry, 6)]))
    return cells, cells_to_lonlat(cells)


def choose(atlas, region):
    cells, lonlat = atlas
    chosen = select_cells(region, lonlat, 6, cells, cell_area_km2(cells) * 100)
    return chosen.rows, chosen.notes


def test_rows_are_the_cells_whose_centre_lies_inside(atlas):
    region = region_from_place("Pyrenees")
    rows, notes = choose(atlas, region)
    np.testing.assert_array_equal(atlas[0][rows], cells_in_polygon(region.geometry, 6))
    assert rows.dtype == np.int64 and (np.diff(rows) > 0).all()
    assert notes == ()


def test_regions_side_by_side_share_no_cell_and_lose_none(atlas):
    left, _ = choose(atlas, region_from_geometry(shapely.box(-1, 42, 0.123456, 43)))
    right, _ = choose(atlas, region_from_geometry(shapely.box(0.123456, 42, 1, 43)))
    both, _ = choose(atlas, region_from_geometry(shapely.box(-1, 42, 1, 43)))
    np.testing.assert_array_equal(np.sort(np.r_[left, right]), both)


def test_clicked_cells_come_back_as_themselves(atlas):
    cells, _ = atlas
    rows, _ = choose(atlas, region_from_cells(cells[100:180]))
    np.testing.assert_array_equal(rows, np.arange(100, 180))


def test_a_tiny_polygon_takes_the_cell_it_lies_in_and_names_it(atlas):
    cells, lonlat = atlas
    edge = shapely.get_coordinates(cell_polygons(cells[5000:5001]))[0]
    near_edge = edge + 0.02 * (lonlat[5000] - edge)
    rows, notes = choose(atlas, region_from_point(*near_edge, 0.05))
    assert rows.tolist() == [5000]
    assert (
        "holds no cell centre, so the cell it lies in is used: " + cells_to_strings(cells[5000:5001])[0]
        in notes[0]
    )


def test_a_region_partly_in_the_sea_says_how_much_is_covered(atlas):
    _, notes = choose(atlas, region_from_geometry(shapely.box(-3, 44, 0, 46)))
    assert (
        "Predictions cover" in notes[0] and "the rest is sea, inland water or outside the atlas" in notes[0]
    )


def test_a_region_in_the_sea_says_so(atlas):
    with pytest.raises(
        NoDataInRegionError, match=r"near 45.50° N, 6.50° W\) lies in the sea, where no plants"
    ):
        choose(atlas, region_from_geometry(shapely.box(-8, 44.5, -5, 46.5), "Biscay"))


def test_a_region_outside_the_atlas_is_told_its_bounds(atlas):
    with pytest.raises(
        NoDataInRegionError, match=r"'Iceland' .* lies outside the atlas, which covers .* choose a"
    ):
        choose(atlas, region_from_place("Iceland"))


def test_a_region_that_would_fit_with_latitude_and_longitude_swapped_is_told_so(atlas):
    with pytest.raises(
        NoDataInRegionError, match="latitude and longitude look swapped: give longitude first"
    ):
        choose(atlas, region_from_geometry(shapely.box(42, -2, 43, -1)))


def test_a_region_on_land_without_predictions_is_told_so(atlas):
    with pytest.raises(NoDataInRegionError, match="lies on land without predictions"):
        choose(atlas, region_from_place("Rif"))


def test_a_region_over_the_date_line_selects_on_both_sides():
    region = region_from_geometry(shapely.box(175, -20, 185, -15))
    cells = np.sort(lonlat_to_cells([176, 179.5, -179.5, -176, 0, 170], [-17] * 6, 6))
    chosen = select_cells(region, cells_to_lonlat(cells), 6, cells, np.full(6, 3600))
    assert len(chosen.rows) == 4


def test_selecting_changes_nothing_it_was_given(atlas):
    cells, lonlat = atlas[0].copy(), atlas[1].copy()
    choose((cells, lonlat), region_from_place("Massif Central"))
    np.testing.assert_array_equal(cells, atlas[0])
    np.testing.assert_array_equal(lonlat, atlas[1])
