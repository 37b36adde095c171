"""GeoTIFF exports: what GDAL reads out of them is what the store holds, in any coordinate system."""

from __future__ import annotations

import dataclasses
import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import h3
import numpy as np
import pyproj
import pytest
import rasterio
import rio_cogeo
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from matplotlib import colormaps

from sdm_core import config, exports, regions
from sdm_core.errors import ExportError, NoDataInRegionError, UnknownSpeciesError
from sdm_core.exports import PixelSpec, grid, layers, pixels, rasters
from sdm_core.registry import Atlas, open_atlas
from sdm_core.writing import written_aside
from tests.exported import BEECH, VALLEY, cells_of_pixels, probabilities, sampled

#: Code, and pixels smaller than a tenth of a cell in its unit; the last one turns the map by its own centre.
SYSTEMS = (
    ("EPSG:4326", 1 / 240),
    ("EPSG:3035", 500.0),
    ("EPSG:32631", 400.0),
    ("EPSG:3857", 600.0),
    ("+proj=lcc +lat_1=42 +lat_2=43 +lat_0=42.5 +lon_0=1 +units=m +ellps=GRS80", 500.0),
)
SHIFT = rasterio.Affine(1, 0, 5, 0, -1, 5)


@pytest.fixture
def beech(simulated_atlas: Atlas) -> layers.Layer:
    return exports.choose_layers(simulated_atlas.store, (), [BEECH])[0]


# GeoTIFF ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("crs", "size"), SYSTEMS)
def test_pixels_of_any_coordinate_system_hold_the_probability_of_their_cell(
    simulated_atlas, beech, tmp_path, crs, size
):
    path = exports.write_cog(tmp_path / "beech.tif", simulated_atlas, beech, PixelSpec(crs, size))
    known = probabilities(simulated_atlas)
    with rasterio.open(path) as raster:
        assert raster.crs == rasterio.crs.CRS.from_user_input(crs)
        values, names = sampled(raster)
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
    shown = np.array(list(probabilities(simulated_atlas).values()))
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
            values, names = sampled(raster)
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
        values, names = sampled(raster)
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
    names = cells_of_pixels("ESRI:54009", x[found], y[found], 0)
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


# Refusals ---------------------------------------------------------------------------------------------


def test_a_file_that_failed_leaves_the_earlier_one_and_no_leftovers(
    simulated_atlas, beech, tmp_path, monkeypatch
):
    path = exports.write_cog(tmp_path / "a.tif", simulated_atlas, beech, PixelSpec("EPSG:4326", 0.1))
    before = path.read_bytes()

    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rasters.rasterio.shutil, "copy", full)
    with pytest.raises(ExportError, match=r"a\.tif cannot be written \(the disk is full\)"):
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


@pytest.mark.parametrize("share", [0.05, 0.4, 0.7, 0.95])
def test_a_disk_that_fills_up_gets_one_sentence(simulated_atlas, tmp_path, monkeypatch, share):
    """Files may grow to a share of the finished one: GDAL fails in another way each time."""
    (layer,) = exports.choose_layers(simulated_atlas.store, ["richness"])
    spec = PixelSpec("EPSG:3035", 200, dtype="float32")
    size = exports.write_cog(tmp_path / "whole.tif", simulated_atlas, layer, spec).stat().st_size
    write = rasters.write_band

    def with_little_room(*values):
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(share * size), limits[1]))
        try:
            write(*values)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    monkeypatch.setattr(rasters, "write_band", with_little_room)
    with pytest.raises(ExportError, match=r"a\.tif cannot be written|did not come back from the disk"):
        exports.write_cog(tmp_path / "a.tif", simulated_atlas, layer, spec)
    assert [path.name for path in tmp_path.iterdir()] == ["whole.tif"]


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
        pytest.raises(ExportError, match=r"cannot be written \(it is a folder\)"),
        written_aside(tmp_path / "a.tif", ExportError),
    ):
        pass


@pytest.mark.slow
def test_europe_at_one_kilometre_is_written_in_little_memory_and_holds_the_atlas(tmp_path):
    """19.6 million pixels; the pixels alone would take 470 MB as coordinates, cells and rows."""
    asked = ["export", "--model", "european-trees", "--what", "cog", "--out", str(tmp_path / "maps")]
    asked += ["--layers", "richness", "--species", BEECH, "--crs", "EPSG:3035", "--pixel", "1000"]
    code = (
        "import sys; from pathlib import Path; from sdm_core.__main__ import main; "
        "status = main(sys.argv[1:]); lines = Path('/proc/self/status').read_text().splitlines(); "
        "print(next(line.split()[1] for line in lines if line.startswith('VmHWM'))); sys.exit(status)"
    )
    if not Path("/proc/self/status").is_file():
        pytest.skip("this system does not tell the peak memory of one program")
    ran = subprocess.run([sys.executable, "-c", code, *asked], capture_output=True, text=True, check=True)
    assert int(ran.stdout.split()[-1]) < 700_000  # kB, libraries and the mapped atlas included
    atlas = open_atlas("european-trees")
    for layer in exports.choose_layers(atlas.store, ["richness"], [BEECH]):
        path = tmp_path / "maps" / f"{layer.name}.tif"
        assert rio_cogeo.cog_validate(path, strict=True, quiet=True) == (True, [], [])
        known = dict(zip(regions.cells_to_strings(atlas.store.cells), layer.values(atlas.store), strict=True))
        with rasterio.open(path) as raster:
            assert raster.width * raster.height > 19e6
            values, names = sampled(raster, 20_000)
            step = raster.scales[0]
        expected = np.array([known.get(name, np.nan) for name in names])
        assert np.array_equal(np.isfinite(values), np.isfinite(expected))
        assert np.nanmax(np.abs(values - expected)) <= step / 2 + 1e-6
