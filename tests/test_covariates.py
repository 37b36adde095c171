"""Covariate stacks: reading, units, sampling against independent programs, neighbourhoods, patches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from scipy.interpolate import RegularGridInterpolator
from scipy.ndimage import generic_filter, map_coordinates

from sdm_core.covariates import CovariateStack, layer_name, read_stack, unit_of
from sdm_core.errors import CovariateError, MissingCRSError
from tests.original_data import european_predictors

WGS84 = CRS.from_epsg(4326)


def make_stack(values: np.ndarray, west=0.0, north=50.0, cell=0.5, names=None, crs=WGS84) -> CovariateStack:
    values = np.asarray(values, dtype=np.float32)
    names = names or tuple(f"layer{i}" for i in range(len(values)))
    return CovariateStack(values, names, ("",) * len(values), crs, Affine(cell, 0, west, 0, -cell, north))


def simulated(n_layers=2, height=12, width=15, holes=True, seed=1, **options) -> CovariateStack:
    """Smooth simulated layers, one stretch of sea."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n_layers, height, width)).cumsum(axis=1).cumsum(axis=2)
    if holes:
        values[:, 2:5, 3:7] = np.nan
        values[:, 0, 0] = np.nan
    return make_stack(values, **options)


def write_tif(
    path: Path, values: np.ndarray, crs="EPSG:4326", west=0.0, cell=0.5, descriptions=(), **options
) -> Path:
    values = np.asarray(values)
    profile = {
        "driver": "GTiff",
        "count": len(values),
        "height": values.shape[1],
        "width": values.shape[2],
        "dtype": values.dtype.name,
        "crs": crs,
        "transform": Affine(cell, 0, west, 0, -cell, 50.0),
    } | options
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(values)
        for band, text in enumerate(descriptions, start=1):
            raster.set_band_description(band, text)
    return path


def write_asc(path: Path, rows: str, corner=0) -> Path:
    header = f"ncols 3\nnrows 2\nxllcorner {corner}\nyllcorner 40\ncellsize 1\nNODATA_value -9999\n"
    path.write_text(header + rows)
    return path


# -- reading ----------------------------------------------------------------------------------------------


def test_multi_band_geotiff_keeps_band_names_and_turns_nodata_into_nan(tmp_path):
    values = np.array([[[1, 2], [3, -9999]], [[5, 6], [7, 8]]], dtype=np.int16)
    path = write_tif(tmp_path / "climate.tif", values, nodata=-9999, descriptions=("bio1", "BIO_12"))
    stack = read_stack(path)
    assert stack.names == ("bio1", "bio12")
    assert stack.units == ("°C", "mm")
    assert stack.values.dtype == np.float32
    assert np.isnan(stack.values[0, 1, 1])
    assert stack.values[1].tolist() == [[5, 6], [7, 8]]


def test_stored_scale_and_offset_are_applied(tmp_path):
    path = write_tif(
        tmp_path / "scaled.tif", np.array([[[100, 200], [-9999, 0]]], dtype=np.int16), nodata=-9999
    )
    with rasterio.open(path, "r+") as raster:
        raster.scales, raster.offsets = (0.1,), (-5.0,)
    np.testing.assert_allclose(read_stack(path).values[0], [[5, 15], [np.nan, -5]], rtol=1e-6)


def test_folder_is_read_in_natural_order_of_names(tmp_path):
    for number in (10, 2, 1):
        write_tif(tmp_path / f"wc2.1_10m_bio_{number}.tif", np.full((1, 2, 2), number, np.float32))
    stack = read_stack(tmp_path)
    assert stack.names == ("bio1", "bio2", "bio10")
    assert stack.values[:, 0, 0].tolist() == [1, 2, 10]


def test_ascii_grids_without_crs_are_refused_with_the_way_out(tmp_path):
    path = write_asc(tmp_path / "bio1.asc", "1 2 3\n4 -9999 6\n")
    with pytest.raises(MissingCRSError, match=r"bio1\.asc does not say .* crs='EPSG:4326'"):
        read_stack(path)
    with pytest.raises(MissingCRSError, match="'EPSG:none' is not known"):
        read_stack(path, crs="EPSG:none")


def test_ascii_grids_are_read_with_a_given_crs(tmp_path):
    one = write_asc(tmp_path / "slope.asc", "1 2 3\n4 -9999 6\n")
    two = write_asc(tmp_path / "aspect.asc", "1 2 3\n4 5 6\n")
    stack = read_stack([one, two], crs="EPSG:4326")
    assert stack.names == ("slope", "aspect")
    assert stack.bounds == (0, 40, 3, 42)
    assert np.isnan(stack.values[0, 1, 1]) and stack.values[1, 1, 1] == 5


def test_a_prj_file_beside_an_ascii_grid_gives_its_crs(tmp_path):
    path = write_asc(tmp_path / "slope.asc", "1 2 3\n4 5 6\n")
    path.with_suffix(".prj").write_text(WGS84.to_wkt(version="WKT1_ESRI"))
    assert read_stack(tmp_path).crs.is_geographic


def test_layers_of_the_same_name_are_told_apart_by_file(tmp_path):
    for year in ("1990", "2020"):
        write_tif(tmp_path / f"forest{year}.tif", np.zeros((1, 2, 2), np.float32), descriptions=("share",))
    assert read_stack(tmp_path).names == ("forest1990_share", "forest2020_share")


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        ({"west": 1.0}, "the upper left corners are 0, 50 and 1, 50"),
        ({"cell": 0.25}, "the cell sizes are 0.5 × 0.5 and 0.25 × 0.25"),
        ({"crs": "EPSG:3035"}, "the coordinate systems are EPSG:4326 and EPSG:3035"),
    ],
)
def test_files_on_different_grids_are_named_with_what_differs(tmp_path, options, difference):
    one = write_tif(tmp_path / "one.tif", np.zeros((1, 2, 2), np.float32))
    two = write_tif(tmp_path / "two.tif", np.zeros((1, 2, 2), np.float32), **options)
    with pytest.raises(CovariateError, match=rf"one\.tif and two\.tif do not share one grid: {difference}"):
        read_stack([one, two])


def test_files_of_different_size_are_named(tmp_path):
    one = write_tif(tmp_path / "one.tif", np.zeros((1, 2, 2), np.float32))
    two = write_tif(tmp_path / "two.tif", np.zeros((1, 3, 2), np.float32))
    with pytest.raises(CovariateError, match="the sizes are 2 × 2 and 2 × 3 cells"):
        read_stack([one, two])


def test_missing_unreadable_and_empty_inputs_get_one_sentence(tmp_path):
    with pytest.raises(CovariateError, match=r"There is no covariate file at .*absent\.tif"):
        read_stack(tmp_path / "absent.tif")
    (tmp_path / "text.tif").write_text("not a raster")
    with pytest.raises(CovariateError, match=r"text\.tif cannot be read as a raster"):
        read_stack(tmp_path / "text.tif")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CovariateError, match="holds no raster"):
        read_stack(tmp_path / "empty")
    with pytest.raises(CovariateError, match="No covariate file was given"):
        read_stack([])


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_unplaced_raster_is_refused(tmp_path):
    path = tmp_path / "photo.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=2, width=2, dtype="uint8", crs="EPSG:4326"
    ) as raster:
        raster.write(np.zeros((1, 2, 2), np.uint8))
    with pytest.raises(CovariateError, match="does not say where its cells lie"):
        read_stack(path)


def test_temperatures_in_tenths_are_recognised(tmp_path):
    path = write_tif(tmp_path / "old.tif", np.full((2, 2, 2), 200, np.int16), descriptions=("bio1", "bio4"))
    assert read_stack(path).units == ("°C × 10", "°C × 1000")
    # A cold country: 3.9 °C at most, told by its seasons.
    cold = np.stack([np.full((2, 2), 39), np.full((2, 2), 8900)]).astype(np.int16)
    path = write_tif(tmp_path / "cold.tif", cold, descriptions=("bio1", "bio4"))
    assert read_stack(path).units == ("°C × 10", "°C × 1000")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("wc2.1_10m_bio_12", "bio12"),
        ("BIO01", "bio1"),
        ("bio19", "bio19"),
        ("bio20", "bio20"),
        ("wc2.1_30s_elev", "elev"),
        ("wc2.1_5m_tmin_07", "tmin_07"),
        ("biomass", "biomass"),
    ],
)
def test_layer_names_are_short(text, name):
    assert layer_name(text) == name


def test_units_of_well_known_layers():
    assert unit_of("bio5") == "°C" and unit_of("bio15") == "%" and unit_of("tmin_07") == "°C"
    assert unit_of("anything") == ""


def test_select_and_join_keep_order_and_refuse_strangers():
    stack = simulated(3)
    assert stack.select(["layer2", "layer0"]).names == ("layer2", "layer0")
    np.testing.assert_array_equal(stack.select(["layer2"]).values[0], stack.values[2])
    with pytest.raises(CovariateError, match="no layer 'bio99'"):
        stack.select(["bio99"])
    with pytest.raises(CovariateError, match="Two layers are named 'layer0'"):
        stack.joined(stack)
    with pytest.raises(CovariateError, match="do not share one grid: the sizes"):
        stack.joined(simulated(1, height=5))


def test_stack_refuses_names_that_do_not_fit():
    with pytest.raises(CovariateError, match="2 layers but 1 names"):
        CovariateStack(np.zeros((2, 2, 2), np.float32), ("a",), ("", ""), WGS84, Affine.identity())
    with pytest.raises(CovariateError, match=r"shape \(2, 2\)"):
        CovariateStack(np.zeros((2, 2), np.float32), ("a", "b"), ("", ""), WGS84, Affine.identity())


# -- sampling ---------------------------------------------------------------------------------------------


def inner_places(stack: CovariateStack, n: int, seed=0, margin=0.0) -> tuple[np.ndarray, np.ndarray]:
    west, south, east, north = stack.bounds
    rng = np.random.default_rng(seed)
    return rng.uniform(west + margin, east - margin, n), rng.uniform(south + margin, north - margin, n)


def test_nearest_equals_rasterio_sample(tmp_path):
    stack = simulated()
    path = write_tif(tmp_path / "r.tif", stack.values, nodata=np.nan)
    longitude, latitude = inner_places(stack, 500)
    with rasterio.open(path) as raster:
        expected = np.array(list(raster.sample(zip(longitude, latitude, strict=True))))
    np.testing.assert_array_equal(read_stack(path).sample(longitude, latitude, "nearest"), expected)


def test_bilinear_equals_scipy_where_all_neighbours_have_data():
    stack = simulated(holes=False)
    longitude, latitude = inner_places(stack, 500, margin=0.25)
    rows, columns = (50 - latitude) / 0.5 - 0.5, longitude / 0.5 - 0.5
    expected = np.stack([map_coordinates(v.astype(float), [rows, columns], order=1) for v in stack.values], 1)
    np.testing.assert_allclose(stack.sample(longitude, latitude), expected, rtol=1e-4, atol=1e-4)
    grid = (np.arange(12), np.arange(15))
    again = RegularGridInterpolator(grid, stack.values[0].astype(float))(np.column_stack([rows, columns]))
    np.testing.assert_allclose(stack.sample(longitude, latitude)[:, 0], again, rtol=1e-4, atol=1e-4)


def test_bilinear_renormalises_over_valid_neighbours():
    # Four centres at (0.25, 49.75), (0.75, 49.75), (0.25, 49.25), (0.75, 49.25).
    stack = make_stack([[[10.0, np.nan], [30.0, 40.0]]])
    middle = stack.sample([0.5], [49.5])[0, 0]
    assert middle == pytest.approx((10 + 30 + 40) / 3)
    towards = stack.sample([0.375], [49.625])[0, 0]  # weights 9/16, (3/16 lost), 3/16, 1/16
    assert towards == pytest.approx((9 * 10 + 3 * 30 + 1 * 40) / 13)


def test_bilinear_is_nan_only_where_all_neighbours_are():
    stack = make_stack([np.pad(np.full((2, 2), np.nan), ((0, 0), (0, 2)), constant_values=5.0)])
    assert np.isnan(stack.sample([0.5], [49.5])[0, 0])
    assert stack.sample([1.0], [49.5])[0, 0] == 5


def test_each_layer_has_its_own_nodata():
    stack = make_stack([[[np.nan, np.nan]], [[1.0, 3.0]]])
    np.testing.assert_allclose(stack.sample([0.5], [49.75]), [[np.nan, 2.0]])


@pytest.mark.parametrize("method", ["bilinear", "nearest"])
def test_places_outside_the_grid_and_without_coordinates_are_nan(method):
    stack = simulated(holes=False)
    values = stack.sample([-0.01, 7.51, 3.0, np.nan], [45.0, 45.0, 50.01, 45.0], method)
    assert np.isnan(values).all()
    assert np.isfinite(stack.sample([0.01, 7.49], [45.0, 45.0], method)).all()


@settings(max_examples=40)
@given(st.integers(0, 11), st.integers(0, 14), st.integers(0, 1000))
def test_bilinear_at_cell_centres_equals_cell_values(row, column, seed):
    stack = simulated(seed=seed)
    longitude, latitude = stack.cell_lonlat(np.array([row * 15 + column]))
    value = stack.sample(longitude, latitude)[0]
    np.testing.assert_allclose(value, stack.values[:, row, column], rtol=1e-5, atol=1e-5)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.floats(-1, 9), st.floats(43, 51)), min_size=1, max_size=20))
def test_sampling_leaves_its_inputs_unchanged_and_does_not_depend_on_company(places):
    stack = simulated()
    before = stack.values.copy()
    longitude, latitude = np.array(places).T.copy()
    kept = longitude.copy(), latitude.copy()
    together = stack.sample(longitude, latitude)
    np.testing.assert_array_equal(together[:1], stack.sample(longitude[:1], latitude[:1]))
    np.testing.assert_array_equal(longitude, kept[0])
    np.testing.assert_array_equal(latitude, kept[1])
    np.testing.assert_array_equal(stack.values, before)


def test_bilinear_stays_between_the_smallest_and_largest_value():
    stack = simulated()
    values = stack.sample(*inner_places(stack, 2000))
    assert np.nanmin(values) >= np.nanmin(stack.values) - 1e-4
    assert np.nanmax(values) <= np.nanmax(stack.values) + 1e-4


def test_projected_stack_is_sampled_by_longitude_and_latitude():
    # Easting as value on EPSG:3035: the false origin 4,321,000 m, 3,210,000 m is 10° E, 52° N.
    easting = np.broadcast_to(np.arange(4_316_500, 4_326_000, 1000.0), (10, 10))
    stack = CovariateStack(
        easting[None], ("x",), ("m",), CRS.from_epsg(3035), Affine(1000, 0, 4_316_000, 0, -1000, 3_215_000)
    )
    assert stack.sample([10.0], [52.0])[0, 0] == pytest.approx(4_321_000, abs=1)
    cells = stack.cell_index(np.array([10.0]), np.array([52.0]))
    longitude, latitude = stack.cell_lonlat(cells)
    assert stack.cell_index(longitude, latitude).tolist() == cells.tolist()
    assert np.hypot(longitude - 10, latitude - 52)[0] < 0.01


def test_global_stack_joins_at_the_date_line():
    values = np.zeros((1, 180, 360), np.float32)
    values[0, :, 0], values[0, :, 359] = 10, 20
    stack = make_stack(values, west=-180, north=90, cell=1.0)
    assert stack.wraps
    np.testing.assert_allclose(stack.sample([180.0, -180.0, 179.75], [0.0, 0.0, 0.0])[:, 0], [15, 15, 17.5])
    np.testing.assert_array_equal(stack.sample([190.3], [1.0]), stack.sample([-169.7], [1.0]))
    assert stack.cell_index(np.array([180.0, -180.0]), np.array([0.5, 0.5])).tolist() == [89 * 360] * 2
    assert stack.neighbourhood_mean(1).values[0, 90, 0] == pytest.approx(10)
    assert stack.patches([-179.5], [0.5], 3, mean=[0], std=[1])[0, 0, 1].tolist() == [20, 10, 0]


def test_cell_index_numbers_cells_row_by_row_and_is_minus_one_outside():
    stack = simulated()
    index = stack.cell_index(np.array([0.1, 0.6, 0.1, -0.1, 7.4]), np.array([49.9, 49.9, 49.4, 49.9, 44.1]))
    assert index.tolist() == [0, 1, 15, -1, 12 * 15 - 1]


def test_sampling_refuses_unknown_methods_and_unequal_lengths():
    with pytest.raises(CovariateError, match="method 'cubic' is not known; use 'bilinear' or 'nearest'"):
        simulated().sample([1], [45], "cubic")
    with pytest.raises(CovariateError, match="2 longitudes and 1 latitudes"):
        simulated().sample([1, 2], [45])


# -- neighbourhoods ---------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(st.floats(-1e4, 1e4, width=32), st.integers(1, 6))
def test_neighbourhood_of_a_constant_has_that_mean_and_no_deviation(constant, radius):
    values = np.full((1, 12, 15), constant)
    values[0, 4:6, 4:9] = np.nan
    stack = make_stack(values)
    mean = stack.neighbourhood_mean(radius).values
    np.testing.assert_allclose(mean[np.isfinite(mean)], constant, rtol=1e-6, atol=1e-6)
    deviation = stack.neighbourhood_std(radius).values
    np.testing.assert_allclose(deviation[np.isfinite(deviation)], 0, atol=1e-3)


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:Degrees of freedom")
@pytest.mark.parametrize("radius", [1, 3])
def test_neighbourhood_mean_and_deviation_equal_a_plain_loop(radius):
    stack = simulated()
    layer = stack.values[0].astype(float)
    for function, derived in ((np.nanmean, stack.neighbourhood_mean), (np.nanstd, stack.neighbourhood_std)):
        expected = generic_filter(layer, function, size=2 * radius + 1, mode="constant", cval=np.nan)
        np.testing.assert_allclose(derived(radius).values[0], expected, rtol=1e-4, atol=1e-4)


def test_neighbourhood_layers_are_named_after_radius():
    assert simulated().neighbourhood_mean(2).names == ("layer0_mean2", "layer1_mean2")
    assert simulated().smoothed(1.5).names == ("layer0_smooth1.5", "layer1_smooth1.5")


def test_smoothing_keeps_a_constant_and_a_straight_slope():
    slope = np.broadcast_to(np.arange(60.0), (40, 60))
    stack = make_stack(np.stack([np.full((40, 60), 7.0), slope]))
    smooth = stack.smoothed(2).values
    np.testing.assert_allclose(smooth[0], 7, rtol=1e-5)
    np.testing.assert_allclose(smooth[1, 20, 10:50], slope[20, 10:50], rtol=1e-5)


def test_land_share_counts_cells_with_data():
    stack = make_stack([[[1.0, np.nan, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, np.nan]]])
    assert stack.valid_share(1)[1, 1] == pytest.approx(7 / 9)
    assert stack.valid_share(1)[0, 0] == pytest.approx(3 / 9)


@pytest.mark.parametrize("radius", [-1, 1.5])
def test_neighbourhood_radius_must_be_whole(radius):
    with pytest.raises(CovariateError, match="whole number of cells"):
        simulated().neighbourhood_mean(radius)
    with pytest.raises(CovariateError, match="above 0"):
        simulated().smoothed(0)


# -- patches ----------------------------------------------------------------------------------------------


def test_patch_is_the_window_around_the_cell():
    stack = simulated(holes=False)
    longitude, latitude = stack.cell_lonlat(np.array([5 * 15 + 7]))
    patch = stack.patches(longitude, latitude, 5, mean=[0, 0], std=[1, 1])
    assert patch.shape == (1, 2, 5, 5) and patch.dtype == np.float32
    np.testing.assert_array_equal(patch[0], stack.values[:, 3:8, 5:10])


def test_many_patches_are_the_same_as_one_by_one(monkeypatch):
    monkeypatch.setattr("sdm_core.covariates.stack._CHUNK", 3)
    stack = simulated()
    longitude, latitude = inner_places(stack, 40)
    together = stack.patches(longitude, latitude, 3, mask=True)
    alone = [stack.patches([x], [y], 3, mask=True)[0] for x, y in zip(longitude, latitude, strict=True)]
    np.testing.assert_array_equal(together, alone)


def test_patches_are_standardised_and_fill_gaps_with_the_mean():
    stack = simulated()
    longitude, latitude = stack.cell_lonlat(np.arange(12 * 15))
    patches = stack.patches(longitude, latitude, 1, mask=True)[:, :, 0, 0]
    known = stack.valid.ravel()
    assert (patches[~known] == 0).all()
    np.testing.assert_allclose(patches[known, :2].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(patches[known, :2].std(axis=0), 1, atol=1e-5)
    np.testing.assert_array_equal(patches[:, 2], known)


def test_patch_beyond_the_edge_is_without_data():
    stack = simulated(holes=False)
    patch = stack.patches([0.1], [49.9], 3, mask=True)[0]
    assert patch[2].tolist() == [[0, 0, 0], [0, 1, 1], [0, 1, 1]]
    assert stack.patches([np.nan], [45.0], 3, mask=True)[0, 2].sum() == 0


def test_patches_refuse_sizes_and_scalings_that_do_not_fit():
    with pytest.raises(CovariateError, match="patch size is 0"):
        simulated().patches([1], [45], 0)
    with pytest.raises(CovariateError, match="2 layers needs as many means and deviations, not 1 and 2"):
        simulated().patches([1], [45], 3, mean=[0], std=[1, 1])


# -- the original files -----------------------------------------------------------------------------------


def test_european_predictors_are_31_layers_in_stated_units(data_dir):
    stack = european_predictors(data_dir)
    assert (stack.n_layers, stack.height, stack.width) == (31, 228, 330)
    assert dict(zip(stack.names, stack.units, strict=True))["bio1"] == "°C × 10"
    assert int(stack.valid.sum()) == 40_716
    # Berlin: about 9 °C a year, 550 to 600 mm (Deutscher Wetterdienst, 1961-1990: 8.9 °C, 579 mm).
    berlin = stack.select(["bio1", "bio12"]).sample([13.4], [52.5])[0]
    assert berlin[0] / 10 == pytest.approx(8.9, abs=1) and berlin[1] == pytest.approx(579, abs=60)


def test_worldclim_layers_agree_with_the_crop_of_europe(data_dir):
    world = read_stack(data_dir / "worldclim_10m_global_two_layers")
    europe = read_stack(data_dir / "worldclim_10m_europe", layers=["bio1", "bio12"])
    assert world.names == europe.names and world.units == europe.units == ("°C", "mm")
    assert world.wraps and not europe.wraps
    rng = np.random.default_rng(0)
    longitude, latitude = rng.uniform(-20, 40, 2000), rng.uniform(36, 70, 2000)
    np.testing.assert_allclose(
        world.sample(longitude, latitude), europe.sample(longitude, latitude), atol=0.011, rtol=1e-5
    )
