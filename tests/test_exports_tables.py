"""Exports of cells and grids: geopandas, duckdb, xarray and GDAL read what the store holds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import geopandas as gpd
import h3
import numpy as np
import pyarrow.parquet as pq
import pyproj
import pytest
import rasterio
import shapely
import xarray as xr

from sdm_core import exports, regions
from sdm_core.__main__ import main
from sdm_core.errors import ExportError
from sdm_core.exports import PixelSpec, cells, grids, layers
from sdm_core.registry import Atlas
from tests.exported import BEECH, VALLEY, cells_of_pixels, probabilities


@pytest.fixture
def beech(simulated_atlas: Atlas) -> layers.Layer:
    return exports.choose_layers(simulated_atlas.store, (), [BEECH])[0]


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
    assert row[2] == pytest.approx(max(probabilities(simulated_atlas).values()))
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
    known = probabilities(simulated_atlas)
    assert table[BEECH].to_numpy() == pytest.approx([known[name] for name in table["cell"]], abs=1e-7)


def test_no_layer_may_take_the_name_of_a_fixed_column(simulated_atlas, tmp_path):
    store = simulated_atlas.store
    with pytest.raises(ExportError, match="cannot be called 'cell'"):
        exports.write_cells(
            tmp_path / "a.parquet", store.cells, store.lonlat, store.area_ha, {"cell": store.area_ha}
        )


@pytest.mark.slow
def test_two_million_cells_are_written_as_geoparquet_in_little_memory(tmp_path):
    code = """
import resource, sys
from pathlib import Path
import numpy as np
from sdm_core import exports, regions
from sdm_core.__main__ import main
points = np.random.default_rng(1).uniform((-10, 35), (30, 60), (2_000_000, 2))
cells = np.unique(regions.lonlat_to_cells(*points.T, 8))
lonlat, area = regions.cells_to_lonlat(cells), regions.cell_area_km2(cells) * 100
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
columns = {f"s{i}": lambda piece: np.zeros(piece.stop - piece.start, np.float32) for i in range(20)}
exports.write_cells(Path(sys.argv[1]), cells, lonlat, area, columns)
print(len(cells), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    path = tmp_path / "cells.parquet"
    ran = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    count, grown_kb = map(int, ran.stdout.split())
    assert count > 1_800_000 and grown_kb < 400_000
    assert pq.ParquetFile(path).metadata.num_rows == count


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
        names = cells_of_pixels(3035, data["x"].values[columns], data["y"].values[rows], 6)
        for place, species in enumerate((BEECH, "Abies alba")):
            known = probabilities(simulated_atlas, species)
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


@pytest.mark.slow
@pytest.mark.usefixtures("s3_server")
def test_zarr_is_written_into_a_bucket_by_the_command(simulated_atlas_folder, simulated_atlas):
    import s3fs

    s3fs.S3FileSystem().mkdir("exports")
    address = "s3://exports/a.zarr"
    asked = ["--what", "zarr", "--out", address, "--species", BEECH, "--crs", "EPSG:3035"]
    assert main(["export", "--model", str(simulated_atlas_folder), *asked]) == 0
    with xr.open_zarr(address) as data:
        assert data.attrs["complete"] is True
        values = data["probability"].values
    known = list(probabilities(simulated_atlas).values())
    assert np.nanmax(values) == pytest.approx(max(known), abs=0.0025 + 1e-9)
    assert main(["export", "--model", str(simulated_atlas_folder), *asked]) == 2


def test_a_zarr_grid_that_failed_leaves_nothing_behind(simulated_atlas, beech, tmp_path, monkeypatch):
    def failing(*_args):
        raise OSError(28, "No space left on device")
        yield

    monkeypatch.setattr(grids, "_blocks", failing)
    with pytest.raises(ExportError, match="No space left on device"):
        exports.write_zarr_grid(tmp_path / "a.zarr", simulated_atlas, [beech], PixelSpec("EPSG:4326", 0.1))
    assert list(tmp_path.iterdir()) == []
