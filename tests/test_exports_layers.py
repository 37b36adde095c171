"""Exports of indicators, intervals, layers of trust and of a Red List: values, units, meaning, colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import xarray as xr

from sdm_core import exports, statuses
from sdm_core.__main__ import main
from sdm_core.colours import ramp_colours
from sdm_core.errors import ExportError
from sdm_core.exports.grid import make_grid
from sdm_core.exports.rasters import export_key
from sdm_core.indicators import map_layers
from sdm_core.registry import open_atlas
from tests.trusted_atlas import RED_LIST, write_trusted_atlas

NAME = "with-trust"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, _own_cache) -> Path:
    return write_trusted_atlas(tmp_path_factory.mktemp("trusted") / NAME, NAME)


@pytest.fixture(scope="module")
def atlas(folder: Path):
    return open_atlas(str(folder))


@pytest.fixture
def red_list(tmp_path: Path) -> Path:
    path = tmp_path / "red.csv"
    path.write_bytes(RED_LIST)
    return path


def values_at_centres(path: Path, atlas) -> np.ndarray:
    """Stored numbers of the pixels under cell centres, decoded."""
    with rasterio.open(path) as raster:
        found = np.array([sample[0] for sample in raster.sample(np.asarray(atlas.store.lonlat))])
        return found * raster.scales[0] + raster.offsets[0]


@pytest.mark.parametrize("name", ["endemic", "richness_width", "mess", "mess_variable", "applicability"])
def test_a_raster_of_a_layer_holds_its_values_to_half_a_step(atlas, tmp_path, name):
    layer = exports.layer_of(atlas.store, name)
    path = exports.write_cog(tmp_path / "a.tif", atlas, layer)
    with rasterio.open(path) as raster:
        step = raster.scales[0]
        assert raster.units[0] == layer.unit
        assert layer.meaning in raster.tags()["MEANING"]
    wanted = map_layers.map_values(atlas.store, name)
    if layer.categories is not None:
        assert step == 1
    np.testing.assert_allclose(values_at_centres(path, atlas), wanted, atol=step / 2 + 1e-4)


def test_a_raster_of_categories_has_their_colours_and_no_others(atlas, tmp_path):
    layer = exports.layer_of(atlas.store, "mess_variable")
    with rasterio.open(exports.write_cog(tmp_path / "a.tif", atlas, layer)) as raster:
        table = raster.colormap(1)
    assert {table[byte][:3] for byte in range(5, 255)} == {(0, 0, 0)}
    assert [table[byte][:3] for byte in range(5)] == [
        layer.categories.colours[place] for place in layer.categories.places
    ]
    assert layer.meaning.endswith("0 bio1, 1 bio12, 2 bio19, 3 slope, 4 mystery.")


def test_a_raster_of_mess_has_zero_in_the_middle_of_its_colours(atlas, tmp_path):
    layer = exports.layer_of(atlas.store, "mess")
    with rasterio.open(exports.write_cog(tmp_path / "a.tif", atlas, layer)) as raster:
        table, scale, offset = raster.colormap(1), raster.scales[0], raster.offsets[0]
    values = map_layers.map_values(atlas.store, "mess")
    furthest = np.abs(values).max()
    assert furthest > values.max() + 5 * scale  # so that 0 would lie elsewhere on a ramp between the ends
    for value in (-furthest, 0.0, values.max()):
        byte = int(np.rint((value - offset) / scale))
        wanted = ramp_colours("RdYlBu")[round(255 * (byte * scale + offset + furthest) / (2 * furthest))]
        assert np.abs(np.array(table[byte][:3]) - wanted.astype(int)).max() <= 4


def test_netcdf_names_what_the_numbers_of_categories_stand_for(atlas, tmp_path):
    layers = exports.choose_layers(atlas.store, ["mess_variable", "shannon_width", "protected"])
    exports.write_netcdf(tmp_path / "a.nc", atlas, layers)
    with xr.open_dataset(tmp_path / "a.nc", mask_and_scale=False) as data:
        said = data["mess_variable"].attrs
        assert said["flag_meanings"] == "bio1 bio12 bio19 slope mystery"
        assert list(said["flag_values"]) == [0, 1, 2, 3, 4]
        assert said["units"] == "1"
        assert data["shannon_width"].attrs["unit_name"] == "nats"
        assert "nine of ten" in data["shannon_width"].attrs["comment"]
        assert data["protected"].attrs["unit_name"] == "expected species"


def test_all_layers_of_an_atlas_can_be_asked_for_at_once(atlas):
    names = [layer.name for layer in exports.choose_layers(atlas.store, ["all"])]
    assert names == list(map_layers.map_layer_names(atlas.store))


def test_the_command_writes_layers_of_a_red_list(folder, atlas, tmp_path, red_list):
    out = tmp_path / "cells.parquet"
    asked = ["export", "--model", str(folder), "--what", "geoparquet", "--out", str(out)]
    layers = "threatened_share,most_threatened,threatened_share_width"
    assert main([*asked, "--status", str(red_list), "--layers", layers]) == 0
    table = pq.read_table(out).to_pandas()
    matched = statuses.match_statuses(statuses.read_statuses(red_list), atlas.store.species)
    for name in layers.split(","):
        wanted = map_layers.map_values(atlas.store, name, statuses=[matched])
        np.testing.assert_array_equal(table[name], wanted)


def test_a_layer_of_a_red_list_names_the_list_and_a_new_list_makes_a_new_file(atlas, red_list):
    def key_with(content: bytes) -> tuple[str, str]:
        file = statuses.read_statuses(content, "red.csv")
        matched = statuses.match_statuses(file, atlas.store.species)
        layer = exports.layer_of(atlas.store, "threatened_share", [matched])
        grid = make_grid(atlas.store.cells, atlas.store.lonlat, exports.PixelSpec())
        return layer.meaning, export_key(atlas, layer, grid, "uint8", atlas.store.cells)

    meaning, key = key_with(RED_LIST)
    assert meaning.endswith("List: Red List (Here).")
    assert key_with(RED_LIST)[1] == key
    assert key_with(RED_LIST.replace(b"LC", b"EN"))[1] != key


def test_a_layer_the_atlas_lacks_is_refused_with_its_reason(atlas, simulated_atlas):
    with pytest.raises(ExportError, match=r"no layer 'threatened_share': It needs a Red List"):
        exports.layer_of(atlas.store, "threatened_share")
    with pytest.raises(ExportError, match=r"no layer 'mess': The atlas was made without it"):
        exports.layer_of(simulated_atlas.store, "mess")
    with pytest.raises(ExportError, match=r"no layer 'endemc'; did you mean endemic"):
        exports.layer_of(atlas.store, "endemc")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--what", "catalogue", "--status", "LIST"], "served to everybody"),
        (["--what", "cog", "--out", "a.tif", "--synonyms", "LIST"], "--synonyms goes with --status"),
        (["--what", "cog", "--out", "a.tif", "--status", "none.csv"], "none.csv"),
    ],
)
def test_status_options_that_cannot_be_are_refused_in_one_sentence(folder, red_list, capsys, options, words):
    asked = [str(red_list) if option == "LIST" else option for option in options]
    assert main(["export", "--model", str(folder), *asked]) == 2
    assert words in capsys.readouterr().err
