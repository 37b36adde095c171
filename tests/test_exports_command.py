"""`python -m sdm_core export`: each kind of file, and one sentence on bad input."""

from __future__ import annotations

import pytest
import shapely
import xarray as xr

from sdm_core import config, exports
from sdm_core.__main__ import main
from tests.exported import BEECH, VALLEY


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
