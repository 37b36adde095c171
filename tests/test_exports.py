"""Exports: what other programs read out of the files is what the store holds, in any coordinate system."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path

import duckdb
import geopandas as gpd
import h3
import numpy as np
import pyarrow.parquet as pq
import pyproj
import pytest
import rasterio
import rio_cogeo
import shapely
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from matplotlib import colormaps

from sdm_core import config, exports, regions
from sdm_core.__main__ import main
from sdm_core.errors import ExportError, NoDataInRegionError, UnknownSpeciesError
from sdm_core.exports import PixelSpec, cells, grid, grids, layers, pixels, rasters, writing
from sdm_core.registry import Atlas

#: Code, and pixels smaller than a tenth of a cell in its unit; the last one turns the map by its own centre.
SYSTEMS = (
    ("EPSG:4326", 1 / 240),
    ("EPSG:3035", 500.0),
    ("EPSG:32631", 400.0),
    ("EPSG:3857", 600.0),
    ("+proj=lcc +lat_1=42 +lat_2=43 +lat_0=42.5 +lon_0=1 +units=m +ellps=GRS80", 500.0),
)
SHIFT = rasterio.Affine(1, 0, 5, 0, -1, 5)
BEECH = "Fagus sylvatica"
VALLEY = shapely.Polygon([(0.6, 42.45), (1.5, 42.45), (1.4, 42.8), (0.7, 42.75), (0.6, 42.45)])


@pytest.fixture
def beech(simulated_atlas: Atlas) -> layers.Layer:
    return exports.choose_layers(simulated_atlas.store, (), [BEECH])[0]


def _probabilities(atlas: Atlas, species: str = BEECH) -> dict[str, float]:
    """H3 name → probability as the store decodes it."""
    codes = atlas.store.codes[:, atlas.store.species_id(species)].astype(float)
    return dict(zip(regions.cells_to_strings(atlas.store.cells), (codes / 255) ** 2, strict=True))


def _cells_of_pixels(crs: object, x: np.ndarray, y: np.ndarray, resolution: int) -> list[str]:
    """H3 names of points on a map, by the reference library."""
    longitude, latitude = pyproj.Transformer.from_crs(crs, 4326, always_xy=True).transform(x, y)
    return [h3.latlng_to_cell(b, a, resolution) for a, b in zip(longitude, latitude, strict=True)]


def _sampled(raster: rasterio.DatasetReader, count: int = 400) -> tuple[np.ndarray, list[str]]:
    """Values of random pixels, NaN for nodata, and the H3 cells of their centres."""
    random = np.random.default_rng(5)
    rows, columns = random.integers(0, raster.height, count), random.integers(0, raster.width, count)
    x, y = raster.xy(rows, columns)
    band = raster.read(1, masked=True)
    values = np.ma.filled(band.astype(float) * raster.scales[0] + raster.offsets[0], np.nan)
    return values[rows, columns], _cells_of_pixels(raster.crs.to_wkt(), np.asarray(x), np.asarray(y), 6)


# GeoTIFF ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("crs", "size"), SYSTEMS)
def test_pixels_of_any_coordinate_system_hold_the_probability_of_their_cell(
    simulated_atlas, beech, tmp_path, crs, size
):
    path = exports.write_cog(tmp_path / "beech.tif", simulated_atlas, beech, PixelSpec(crs, size))
    known = _probabilities(simulated_atlas)
    with rasterio.open(path) as raster:
        assert raster.crs == rasterio.crs.CRS.from_user_input(crs)
        values, names = _sampled(raster)
    expected = np.array([known.get(name, np.nan) for name in names])
    assert 0.2 < np.isfinite(expected).mean() < 0.98
    assert np.array_equal(np.isfinite(values), np.isfinite(expected))
    assert np.nanmax(np.abs(values - expected)) <= 0.0025 + 1e-12


@pytest.mark.parametrize(("crs", "size"), SYSTEMS)
def test_every_cell_is_on_the_map_and_its_centre_shows_its_value(simulated_atlas, beech, tmp_path, crs, size):
    spec = PixelSpec(crs, size, dtype="float32")
    path = exports.write_cog(tmp_path / "beech.tif", simulated_atlas, beech, spec)
    store = simulated_atlas.store
    x, y = pyproj.Transformer.from_crs(4326, crs, always_xy=True).transform(*store.lonlat.T)
    with rasterio.open(path) as raster:
        found = np.array([value[0] for value in raster.sample(zip(x, y, strict=True))])
        assert np.isnan(raster.nodata) and raster.dtypes == ("float32",) and raster.scales == (1.0,)
        assert raster.colorinterp[0].name == "gray"
    exact = ((store.codes[:, beech.species_id].astype(float) / 255) ** 2).astype(np.float32)
    assert np.array_equal(found, exact)


@pytest.mark.parametrize("dtype", exports.DTYPES)
@pytest.mark.parametrize("name", ["richness", BEECH])
def test_files_are_valid_cloud_optimised_geotiffs_without_a_warning(simulated_atlas, tmp_path, dtype, name):
    chosen = ([name], ()) if name == "richness" else ((), [name])
    (layer,) = exports.choose_layers(simulated_atlas.store, *chosen)
    spec = PixelSpec("EPSG:3035", 150, dtype=dtype)
    path = exports.write_cog(tmp_path / "a.tif", simulated_atlas, layer, spec)
    assert rio_cogeo.cog_validate(path, strict=True, quiet=True) == (True, [], [])
    with rasterio.open(path) as raster:
        assert min(raster.shape) > 256 and max(raster.shape) > 512
        assert raster.overviews(1)
        assert raster.block_shapes == [(512, 512)]
        assert raster.compression.name == "deflate"
    assert [item.name for item in tmp_path.iterdir()] == ["a.tif"]


def test_bytes_have_the_colours_of_the_probability_ramp_and_clear_nodata(simulated_atlas, beech, tmp_path):
    path = exports.write_cog(tmp_path / "beech.tif", simulated_atlas, beech, PixelSpec("EPSG:3035", 1000))
    with rasterio.open(path) as raster:
        assert raster.nodata == 255 and raster.scales == (0.005,) and raster.offsets == (0.0,)
        colours = raster.colormap(1)
        assert raster.read(1)[raster.read(1) != 255].max() <= 200
    viridis = [tuple(round(255 * part) for part in colormaps["viridis"](share)[:3]) for share in (0.0, 1.0)]
    assert [colours[byte][:3] for byte in (0, 200)] == viridis
    assert colours[255] == (0, 0, 0, 0) and colours[0][3] == 255


def test_the_file_says_what_it_is_where_it_comes_from_and_how_to_cite_it(simulated_atlas, beech, tmp_path):
    path = exports.write_cog(tmp_path / "beech.tif", simulated_atlas, beech, PixelSpec("EPSG:3035", 1000))
    with rasterio.open(path) as raster:
        tags = raster.tags()
        assert raster.descriptions == ("Probability of Fagus sylvatica",)
        assert raster.units == ("probability",)
    assert tags["ATLAS_VERSION"] == simulated_atlas.store.version
    assert tags["ATLAS"] == "simulated-pyrenees" and tags["SPECIES"] == BEECH
    assert tags["TITLE"] == "Probability of Fagus sylvatica: Simulated Pyrenees"
    assert tags["H3_RESOLUTION"] == "6" and tags["DATE"] == "2026-01-01"
    assert tags["LICENCE"] == "CC0-1.0; Simulated occurrences: CC0-1.0"
    assert tags["SOFTWARE"] == f"Florascope {config.CODE_VERSION}"
    assert simulated_atlas.store.version[:12] in tags["CITATION"] and "(2026)" in tags["CITATION"]
    assert "hexagon of H3 resolution 6" in tags["GRAIN"]
    assert "Simulated from a formula" in tags["MEANING"]


@pytest.mark.skipif(shutil.which("gdalinfo") is None, reason="the GDAL command line is not installed")
def test_the_gdal_command_line_reads_grid_numbers_and_colours(simulated_atlas, beech, tmp_path):
    path = exports.write_cog(tmp_path / "beech.tif", simulated_atlas, beech, PixelSpec("EPSG:3035", 500))
    said = json.loads(
        subprocess.run(["gdalinfo", "-json", "-mm", path], capture_output=True, check=True).stdout
    )
    band = said["bands"][0]
    assert said["metadata"]["IMAGE_STRUCTURE"]["LAYOUT"] == "COG"
    assert said["geoTransform"][1] == 500 and said["geoTransform"][0] % 500 == 0
    assert 'ID["EPSG",3035]' in said["coordinateSystem"]["wkt"]
    assert (band["noDataValue"], band["scale"], band["offset"]) == (255, 0.005, 0)
    assert band["colorInterpretation"] == "Palette" and band["unit"] == "probability"
    shown = np.array(list(_probabilities(simulated_atlas).values()))
    assert (band["computedMin"], band["computedMax"]) == (
        round(200 * shown.min()),
        round(200 * shown.max()),
    )


def test_layers_are_written_on_one_grid_with_a_stated_step(simulated_atlas, tmp_path):
    store = simulated_atlas.store
    chosen = exports.choose_layers(store, ["richness", "shannon", "sse_richness"])
    files = {tmp_path / f"{layer.name}.tif": layer for layer in chosen}
    assert list(exports.write_cogs(files, simulated_atlas, PixelSpec("EPSG:3035", 500))) == list(files)
    shapes = set()
    for path, layer in files.items():
        with rasterio.open(path) as raster:
            shapes.add((raster.shape, raster.transform))
            step = raster.scales[0]
            values, names = _sampled(raster)
        known = dict(zip(regions.cells_to_strings(store.cells), layer.values(store), strict=True))
        expected = np.array([known.get(name, np.nan) for name in names])
        assert np.nanmax(np.abs(values - expected)) <= step / 2 + 1e-9
        assert step == {"richness": 0.05, "shannon": 0.02, "sse_richness": 1.0}[layer.name]
    assert len(shapes) == 1


def test_a_region_shows_its_cells_and_nothing_else(simulated_atlas, beech, tmp_path):
    region = regions.region_from_geometry(VALLEY, "Valley")
    path = exports.write_cog(
        tmp_path / "beech.tif", simulated_atlas, beech, PixelSpec("EPSG:3035", 500), region
    )
    with rasterio.open(path) as raster:
        values, names = _sampled(raster)
    for value, name in zip(values, names, strict=True):
        latitude, longitude = h3.cell_to_latlng(name)
        assert np.isfinite(value) == VALLEY.contains(shapely.Point(longitude, latitude))


def test_bounds_are_widened_to_whole_pixels(simulated_atlas, beech, tmp_path):
    spec = PixelSpec("EPSG:3035", 1000, (3_600_200, 2_200_900, 3_620_000, 2_212_345))
    path = exports.write_cog(tmp_path / "beech.tif", simulated_atlas, beech, spec)
    with rasterio.open(path) as raster:
        assert raster.bounds == (3_600_000, 2_200_000, 3_620_000, 2_213_000)


def test_how_the_work_is_cut_up_does_not_change_the_file(simulated_atlas, beech, tmp_path, monkeypatch):
    spec = PixelSpec("EPSG:3035", 1000)
    whole = exports.write_cog(tmp_path / "whole.tif", simulated_atlas, beech, spec)
    monkeypatch.setattr(pixels, "_PIXELS_AT_ONCE", 900)
    monkeypatch.setattr(grid, "BLOCK", 64)
    pieces = exports.write_cog(tmp_path / "pieces.tif", simulated_atlas, beech, spec)
    with rasterio.open(whole) as one, rasterio.open(pieces) as other:
        assert np.array_equal(one.read(1), other.read(1))


# Grids ------------------------------------------------------------------------------------------------


def test_pixels_sit_on_multiples_of_their_size(simulated_atlas):
    store = simulated_atlas.store
    for crs, size in SYSTEMS:
        made = exports.make_grid(store.cells, store.lonlat, PixelSpec(crs, size))
        assert made.transform.c == made.first_column * size and made.transform.f == made.first_row * size
    a = exports.make_grid(store.cells[:50], store.lonlat[:50], PixelSpec("EPSG:4326", 1 / 120))
    b = exports.make_grid(store.cells, store.lonlat, PixelSpec("EPSG:4326", 1 / 120))
    assert np.isin(np.round(a.x * 240).astype(int), np.round(b.x * 240).astype(int)).all()


@pytest.mark.parametrize("outermost", [grid._SAMPLE_CELLS, 25])
def test_the_grid_holds_every_hexagon_whole(simulated_atlas, monkeypatch, outermost):
    monkeypatch.setattr(grid, "_SAMPLE_CELLS", outermost)
    store = simulated_atlas.store
    corners = shapely.get_coordinates(regions.cell_polygons(store.cells))
    for crs, size in SYSTEMS:
        x, y = pyproj.Transformer.from_crs(4326, crs, always_xy=True).transform(*corners.T)
        west, south, east, north = exports.make_grid(store.cells, store.lonlat, PixelSpec(crs, size)).bounds
        assert west <= x.min() < west + size and east - size < x.max() <= east
        assert south <= y.min() < south + size and north - size < y.max() <= north


def test_the_default_size_is_a_round_number_near_a_sixth_of_a_cell(simulated_atlas):
    store = simulated_atlas.store
    width_m = 2 * np.sqrt(36.1e6 / (2 * np.sqrt(3)))  # across the flats of a hexagon of 36.1 km²
    metres = exports.make_grid(store.cells, store.lonlat, PixelSpec("EPSG:3035")).pixel
    degrees = exports.make_grid(store.cells, store.lonlat).pixel
    assert metres == 1000.0 and degrees == 1 / 120
    few = exports.make_grid(store.cells, store.lonlat, PixelSpec("EPSG:3035", most_pixels=4000))
    assert few.n_pixels <= 4000 and few.pixel == 2500.0
    assert 0.7 < metres / (width_m / 6) < 1.5


def test_pixels_beyond_the_edge_of_a_world_map_hold_no_cell():
    cells_ = np.sort(np.array([h3.str_to_int(cell) for cell in h3.get_res0_cells()], dtype=np.uint64))
    world = exports.make_grid(
        cells_,
        regions.cells_to_lonlat(cells_),
        PixelSpec("ESRI:54009", 250_000.0, (-18.5e6, -9.5e6, 18.5e6, 9.5e6)),
    )
    rows = exports.rows_of_pixels(world, cells_, 0, slice(0, world.height))
    assert (rows[0] == -1).all() and (rows[:, 0] == -1).all()
    assert set(np.unique(rows)) == set(range(-1, 122))
    x, y = np.meshgrid(world.x, world.y)
    found = rows >= 0
    names = _cells_of_pixels("ESRI:54009", x[found], y[found], 0)
    assert regions.cells_to_strings(cells_[rows[found]]) == names


# Bytes ------------------------------------------------------------------------------------------------


@given(
    hnp.arrays(
        np.float32,
        st.integers(1, 30),
        elements=st.one_of(st.floats(-1e4, 1e4, width=32), st.just(float("nan"))),
    )
)
def test_packed_bytes_are_half_a_step_away_at_most(values):
    packed = exports.pack(values, "uint8", probability=False)
    finite = np.isfinite(values)
    assert np.array_equal(packed.data == 255, ~finite)
    assert packed.data[finite].max(initial=0) <= 250
    back = packed.data[finite].astype(float) * packed.scale + packed.offset
    assert np.all(np.abs(back - values[finite]) <= packed.largest_error * (1 + 1e-6) + 1e-9)


@given(hnp.arrays(np.float32, st.integers(1, 30), elements=st.integers(0, 249)))
def test_counts_up_to_249_stay_exact(values):
    packed = exports.pack(values, "uint8", probability=False)
    assert packed.scale == 1.0
    assert np.array_equal(packed.data, values)


def test_every_code_of_a_probability_is_its_nearest_multiple_of_0_005():
    exact = (np.arange(256) / 255) ** 2
    packed = exports.pack(exact.astype(np.float32), "uint8", probability=True)
    assert packed.data.max() == 200 and packed.data.min() == 0
    assert np.abs(packed.data * 0.005 - exact).max() <= 0.0025 + 1e-9


def test_species_whose_names_look_alike_in_a_file_name_get_two_names():
    a = layers.Layer("carex-x", "", "", "", "viridis", "Carex x", 3)
    b = dataclasses.replace(a, species="Carex × x", species_id=7)
    assert [layer.name for layer in layers._with_own_names([a, b])] == ["carex-x", "carex-x-7"]
    assert exports.slug("Aÿ × Bé (L.) ssp. c") == "ay-be-l-ssp-c"


# GeoParquet -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("geometry", exports.GEOMETRIES)
def test_cells_come_back_from_geoparquet_as_the_store_holds_them(simulated_atlas, tmp_path, geometry):
    store = simulated_atlas.store
    chosen = exports.choose_layers(store, ["richness"], [BEECH, "Abies alba"])
    path = tmp_path / "cells.parquet"
    assert exports.write_cells_geoparquet(path, simulated_atlas, chosen, geometry=geometry) == store.n_cells
    table = gpd.read_parquet(path)
    assert table.crs.to_epsg() == 4326
    assert np.array_equal(table["cell_id"], store.cells)
    assert [h3.str_to_int(name) for name in table["cell"]] == store.cells.tolist()
    assert np.array_equal(table["richness"], store.layer("richness"))
    for species in (BEECH, "Abies alba"):
        codes = store.codes[:, store.species_id(species)].astype(float)
        assert table[species].to_numpy() == pytest.approx((codes / 255) ** 2, abs=1e-7)
        assert table[species].dtype == np.float32
    assert np.array_equal(table["area_km2"], store.area_ha / 100)
    if geometry == "centre":
        assert np.array_equal(shapely.get_coordinates(table.geometry), store.lonlat)
    else:
        outline = h3.cell_to_boundary(table["cell"][3])
        expected = shapely.Polygon([(longitude, latitude) for latitude, longitude in outline])
        assert table.geometry[3].symmetric_difference(expected).area < 1e-9
    boxes = shapely.box(*shapely.bounds(table.geometry.to_numpy()).T)
    near = gpd.read_parquet(path, bbox=VALLEY.bounds)
    assert len(near) == shapely.intersects(boxes, shapely.box(*VALLEY.bounds)).sum() > 10


def test_duckdb_reads_the_same_table_of_cells(simulated_atlas, tmp_path):
    store = simulated_atlas.store
    path = tmp_path / "cells.parquet"
    exports.write_cells_geoparquet(path, simulated_atlas, exports.choose_layers(store, ["richness"], [BEECH]))
    (row,) = duckdb.sql(
        f'select count(*), sum(area_km2), max("{BEECH}"), min(cell_id), sum(richness) from "{path}"'
    ).fetchall()
    assert row[0] == store.n_cells and row[3] == store.cells[0]
    assert row[1] == pytest.approx(store.area_ha.sum() / 100)
    assert row[2] == pytest.approx(max(_probabilities(simulated_atlas).values()))
    assert row[4] == pytest.approx(float(store.layer("richness").sum(dtype=float)), rel=1e-6)


def test_geoparquet_is_written_in_row_groups_and_says_what_it_is(simulated_atlas, tmp_path, monkeypatch):
    store = simulated_atlas.store
    chosen = exports.choose_layers(store, (), "all")
    exports.write_cells_geoparquet(tmp_path / "one.parquet", simulated_atlas, chosen)
    monkeypatch.setattr(cells, "_MOST_ROWS", 50)
    monkeypatch.setattr(cells, "_LEAST_ROWS", 1)
    exports.write_cells_geoparquet(tmp_path / "many.parquet", simulated_atlas, chosen)
    file = pq.ParquetFile(tmp_path / "many.parquet")
    assert file.num_row_groups == -(-store.n_cells // 50)
    assert file.read().equals(pq.read_table(tmp_path / "one.parquet"))
    geo = json.loads(file.metadata.metadata[b"geo"])
    assert geo["version"] == "1.1.0" and geo["columns"]["geometry"]["geometry_types"] == ["Polygon"]
    assert geo["columns"]["geometry"]["covering"]["bbox"] == {
        side: ["bbox", side] for side in ("xmin", "ymin", "xmax", "ymax")
    }
    bbox = pq.read_table(tmp_path / "many.parquet")["bbox"].combine_chunks().flatten()
    assert np.array_equal(np.transpose(bbox), shapely.bounds(regions.cell_polygons(store.cells)))
    assert geo["columns"]["geometry"]["bbox"] == pytest.approx(
        shapely.total_bounds(regions.cell_polygons(store.cells))
    )
    own = json.loads(file.metadata.metadata[b"florascope"])
    assert own["ATLAS_VERSION"] == store.version


def test_cells_of_a_region_carry_their_own_values(simulated_atlas, tmp_path):
    store = simulated_atlas.store
    region = regions.region_from_geometry(VALLEY, "Valley")
    layer = exports.choose_layers(store, (), [BEECH])
    count = exports.write_cells_geoparquet(tmp_path / "a.parquet", simulated_atlas, layer, region)
    table = gpd.read_parquet(tmp_path / "a.parquet")
    inside = shapely.contains_xy(VALLEY, store.lonlat)
    assert count == len(table) == inside.sum() < store.n_cells
    known = _probabilities(simulated_atlas)
    assert table[BEECH].to_numpy() == pytest.approx([known[name] for name in table["cell"]], abs=1e-7)


def test_no_layer_may_take_the_name_of_a_fixed_column(simulated_atlas, tmp_path):
    store = simulated_atlas.store
    with pytest.raises(ExportError, match="cannot be called 'cell'"):
        exports.write_cells(
            tmp_path / "a.parquet", store.cells, store.lonlat, store.area_ha, {"cell": store.area_ha}
        )


# NetCDF and Zarr --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def netcdf(simulated_atlas, tmp_path_factory) -> Path:
    chosen = exports.choose_layers(simulated_atlas.store, ["richness"], [BEECH, "Abies alba"])
    path = tmp_path_factory.mktemp("netcdf") / "trees.nc"
    return exports.write_netcdf(path, simulated_atlas, chosen, PixelSpec("EPSG:3035", 500))


def test_xarray_reads_the_probabilities_of_the_store_out_of_netcdf(simulated_atlas, netcdf):
    with xr.open_dataset(netcdf) as data:
        assert data["species_name"].values.tolist() == [BEECH, "Abies alba"]
        assert data["probability"].dims == ("species", "y", "x")
        assert data.attrs["Conventions"] == "CF-1.8"
        assert data.attrs["atlas_version"] == simulated_atlas.store.version
        assert data["x"].attrs["standard_name"] == "projection_x_coordinate"
        assert pyproj.CRS.from_cf(data["crs"].attrs).to_epsg() == 3035
        assert data["richness"].dims == ("y", "x")
        random = np.random.default_rng(2)
        rows, columns = random.integers(0, data.sizes["y"], 300), random.integers(0, data.sizes["x"], 300)
        names = _cells_of_pixels(3035, data["x"].values[columns], data["y"].values[rows], 6)
        for place, species in enumerate((BEECH, "Abies alba")):
            known = _probabilities(simulated_atlas, species)
            expected = np.array([known.get(name, np.nan) for name in names])
            values = data["probability"].values[place, rows, columns]
            assert np.array_equal(np.isnan(values), np.isnan(expected))
            assert np.nanmax(np.abs(values - expected)) <= 0.0025 + 1e-9
    with xr.open_dataset(netcdf, mask_and_scale=False) as raw:
        assert raw["probability"].dtype == np.uint8
        assert raw["probability"].attrs["scale_factor"] == 0.005
        assert raw["probability"].encoding["zlib"] and raw["probability"].attrs["_FillValue"] == 255


def test_gdal_reads_the_same_grid_out_of_netcdf(netcdf):
    with (
        xr.open_dataset(netcdf, mask_and_scale=False) as raw,
        rasterio.open(f"netcdf:{netcdf}:probability") as raster,
    ):
        assert raster.count == 2 and raster.crs.to_epsg() == 3035 and raster.nodata == 255
        assert raster.transform.a == 500 and raster.transform.e == -500
        assert np.array_equal(raster.read(), raw["probability"].values)
        assert raster.transform.c + 250 == raw["x"].values[0]
        assert raster.transform.f - 250 == raw["y"].values[0]


def test_gdal_finds_pixels_of_netcdf_in_degrees_where_they_are(simulated_atlas, beech, tmp_path):
    spec = PixelSpec("EPSG:4326", 1 / 120)
    exports.write_netcdf(tmp_path / "a.nc", simulated_atlas, [beech], spec)
    exports.write_cog(tmp_path / "a.tif", simulated_atlas, beech, spec)
    with (
        rasterio.open(f"netcdf:{tmp_path / 'a.nc'}:probability") as one,
        rasterio.open(tmp_path / "a.tif") as other,
    ):
        assert one.transform.almost_equals(other.transform, 1e-9)
        assert one.crs == other.crs
        assert np.array_equal(one.read(1), other.read(1))


@pytest.mark.parametrize("dtype", exports.DTYPES)
@pytest.mark.parametrize("where", ["local", "memory"])
@pytest.mark.filterwarnings("error")
def test_zarr_at_any_address_holds_what_netcdf_holds(simulated_atlas, tmp_path, dtype, where):
    chosen = exports.choose_layers(simulated_atlas.store, ["shannon"], [BEECH])
    spec = PixelSpec("EPSG:4326", 1 / 60, dtype=dtype)
    address = str(tmp_path / "a.zarr") if where == "local" else f"memory://exports/{dtype}.zarr"
    exports.write_netcdf(tmp_path / "a.nc", simulated_atlas, chosen, spec)
    assert exports.write_zarr_grid(address, simulated_atlas, chosen, spec) == address
    with xr.open_dataset(tmp_path / "a.nc") as one, xr.open_zarr(address) as other:
        for name in ("probability", "shannon", "x", "y", "species"):
            assert np.array_equal(one[name].values, other[name].values, equal_nan=True), name
        assert other["species_name"].values.tolist() == [BEECH]
        assert other.attrs["complete"] is True and other["y"].attrs["units"] == "degrees_north"
    with pytest.raises(ExportError, match="Something lies at"):
        exports.write_zarr_grid(address, simulated_atlas, chosen, spec)


def test_a_zarr_grid_that_failed_leaves_nothing_behind(simulated_atlas, beech, tmp_path, monkeypatch):
    def failing(*_args):
        raise OSError(28, "No space left on device")
        yield

    monkeypatch.setattr(grids, "_blocks", failing)
    with pytest.raises(ExportError, match="No space left on device"):
        exports.write_zarr_grid(tmp_path / "a.zarr", simulated_atlas, [beech], PixelSpec("EPSG:4326", 0.1))
    assert list(tmp_path.iterdir()) == []


# Refusals ---------------------------------------------------------------------------------------------


def test_a_file_that_failed_leaves_the_earlier_one_and_no_leftovers(
    simulated_atlas, beech, tmp_path, monkeypatch
):
    path = exports.write_cog(tmp_path / "a.tif", simulated_atlas, beech, PixelSpec("EPSG:4326", 0.1))
    before = path.read_bytes()

    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rasters.rasterio.shutil, "copy", full)
    with pytest.raises(ExportError, match=r"a\.tif cannot be written \(No space left on device\)"):
        exports.write_cog(path, simulated_atlas, beech, PixelSpec("EPSG:4326", 0.05))
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["a.tif"]


def test_a_file_that_does_not_come_back_as_written_is_refused(simulated_atlas, beech, tmp_path, monkeypatch):
    def other(_source, target, **_options):
        with rasterio.open(
            target, "w", driver="GTiff", width=900, height=900, count=1, dtype="uint8", transform=SHIFT
        ) as raster:
            raster.write(np.zeros((1, 900, 900), np.uint8))

    monkeypatch.setattr(rasters.rasterio.shutil, "copy", other)
    with pytest.raises(ExportError, match="did not come back from the disk as it was written"):
        exports.write_cog(tmp_path / "a.tif", simulated_atlas, beech, PixelSpec("EPSG:4326", 0.1))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (("EPSG:99999",), "'EPSG:99999' is not known; give one such as EPSG:3035"),
        (("EPSG:4978",), "is not one of a flat map or of degrees"),
        (("EPSG:3035", 0.0), "pixel size is 0, expected a number above 0"),
        (("EPSG:3035", float("nan")), "pixel size is nan, expected"),
        (("EPSG:3035", 0.001), "above the limit of 1,000,000,000; choose larger pixels"),
        (("EPSG:3035", 1000, (5, 5, 1, 9)), "The bounds are 5, 5, 1, 9; expected west, south, east, north"),
        (("EPSG:3035", 1000, None, "int16"), "The data type is 'int16', expected uint8 or float32"),
        (
            ("+proj=gnom +lat_0=-60 +lon_0=180",),
            "A map in the coordinate system given does not reach 348 of 348 cells",
        ),
    ],
)
def test_grids_that_cannot_be_are_refused_in_one_sentence(simulated_atlas, beech, tmp_path, spec, words):
    with pytest.raises(ExportError) as error:
        exports.write_cog(tmp_path / "a.tif", simulated_atlas, beech, PixelSpec(*spec))
    assert words in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_is_noticed_before_anything_is_written(
    simulated_atlas, beech, tmp_path, monkeypatch
):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(pixels.shutil, "disk_usage", lambda _path: usage._replace(free=1000))
    with pytest.raises(ExportError, match=r"pixels need up to .* of disk .* and 0\.0 GB are free"):
        exports.write_cog(tmp_path / "a.tif", simulated_atlas, beech)
    assert list(tmp_path.iterdir()) == []


def test_a_region_outside_the_atlas_is_refused(simulated_atlas, beech, tmp_path):
    region = regions.region_from_geometry(shapely.box(20, 60, 21, 61), "Far")
    with pytest.raises(NoDataInRegionError):
        exports.write_cog(tmp_path / "a.tif", simulated_atlas, beech, region=region)


def test_unknown_layers_and_species_are_named_with_the_nearest(simulated_atlas):
    with pytest.raises(ExportError, match="no layer 'richnes'; did you mean richness"):
        exports.choose_layers(simulated_atlas.store, ["richnes"])
    with pytest.raises(UnknownSpeciesError, match="did you mean Fagus sylvatica"):
        exports.choose_layers(simulated_atlas.store, (), ["Fagus silvatica"])
    with pytest.raises(ExportError, match="Nothing to export was named; name layers"):
        exports.choose_layers(simulated_atlas.store)


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path):
    (tmp_path / "a.tif").mkdir()
    with (
        pytest.raises(ExportError, match="is a folder; give the name of a file"),
        writing.written_aside(tmp_path / "a.tif"),
    ):
        pass


# Command line -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "out", "files"),
    [
        (["--what", "cog", "--crs", "EPSG:3035", "--pixel", "2000"], "a.tif", {"a.tif"}),
        (
            ["--what", "cog", "--layers", "richness,shannon", "--species", BEECH],
            "maps",
            {"richness.tif", "shannon.tif", "fagus-sylvatica.tif"},
        ),
        (["--what", "geoparquet", "--species", "all", "--geometry", "centre"], "a.parquet", {"a.parquet"}),
        (["--what", "netcdf", "--species", BEECH, "--dtype", "float32"], "a.nc", {"a.nc"}),
        (["--what", "catalogue", "--layers", "richness"], "cat", {"catalog.json", "richness.tif"}),
    ],
)
def test_the_command_writes_each_kind_and_names_it(
    simulated_atlas_folder, tmp_path, capsys, options, out, files
):
    asked = ["export", "--model", str(simulated_atlas_folder), *options, "--out", str(tmp_path / out)]
    assert main(asked) == 0
    written = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert files <= written
    assert str(tmp_path / out) in capsys.readouterr().out


def test_the_catalogue_goes_to_the_folder_that_is_served(simulated_atlas_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(config, "CACHE_DIR", tmp_path)
    assert main(["export", "--model", str(simulated_atlas_folder), "--what", "catalogue"]) == 0
    assert (exports.published_folder() / "catalog.json").is_file()


def test_the_command_writes_zarr_of_a_region_that_xarray_opens(simulated_atlas_folder, tmp_path):
    region = tmp_path / "valley.geojson"
    region.write_text(shapely.to_geojson(VALLEY))
    out = tmp_path / "a.zarr"
    model = str(simulated_atlas_folder)
    assert (
        main(["export", "--model", model, "--what", "zarr", "--region", str(region), "--out", str(out)]) == 0
    )
    with xr.open_zarr(out) as data:
        assert float(data["richness"].max()) > 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--what", "geotif", "--out", "a.tif"], "--what is 'geotif', expected one of cog, geoparquet"),
        (["--what", "cog", "--out", ""], "--out is empty"),
        (["--what", "netcdf"], "--what netcdf needs --out"),
        (
            ["--what", "cog", "--out", "a.png"],
            "end in .tif or .tiff; name one that does, or a folder",
        ),
        (["--what", "netcdf", "--out", "a.tif"], "netcdf files end in .nc"),
        (["--what", "cog", "--out", "a.tif", "--species", "all"], "one file each; give a folder"),
        (["--what", "cog", "--out", "a.tif", "--species", "Fagus silvatica"], "did you mean Fagus sylvatica"),
        (["--what", "cog", "--out", "a.tif", "--layers", "rich"], "did you mean richness"),
        (["--what", "cog", "--out", "a.tif", "--crs", "EPSG:0"], "'EPSG:0' is not known"),
        (["--what", "cog", "--out", "a.tif", "--pixel", "-5"], "pixel size is -5, expected"),
        (["--what", "cog", "--out", "a.tif", "--dtype", "int8"], "data type is 'int8'"),
        (["--what", "cog", "--out", "a.tif", "--region", "place:Pyrennees"], "did you mean Pyrenees"),
        (
            ["--what", "geoparquet", "--out", "a.parquet", "--pixel", "5"],
            "--pixel says nothing for",
        ),
        (["--what", "geoparquet", "--out", "a.parquet", "--geometry", "box"], "geometry is 'box', expected"),
        (["--what", "cog", "--out", "a.tif", "--geometry", "centre"], "--geometry says nothing for cog"),
        (["--what", "zarr", "--out", "nowhere://a.zarr"], "The address nowhere://a.zarr cannot be used"),
    ],
)
def test_bad_input_gets_one_sentence(simulated_atlas_folder, tmp_path, monkeypatch, capsys, options, words):
    monkeypatch.chdir(tmp_path)
    assert main(["export", "--model", str(simulated_atlas_folder), *options]) == 2
    said = capsys.readouterr()
    assert words in said.err and said.err.count("\n") == 1 and said.out == ""
    assert list(tmp_path.iterdir()) == []
