"""Layers of maps: the catalogue of an atlas, values, categories, and their pixels in tiles."""

from __future__ import annotations

import io
from pathlib import Path

import h3
import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image
from starlette.testclient import TestClient

from sdm_core import config, statuses
from sdm_core.api import ApiSettings, create_api
from sdm_core.api.tiles import layer_of, layers_of
from sdm_core.api.tiles.grid import fitting_resolution
from sdm_core.api.tiles.layers import paint_of
from sdm_core.colours import ramp_of, scale_for
from sdm_core.indicators import concern_layers, map_categories, map_layers, map_texts
from sdm_core.indicators.concern_layers import LAYERS_OF_LISTS
from sdm_core.intervals import cell_half_widths, probability_ends
from sdm_core.prediction import PredictionStore, decode
from tests.test_api_tiles import place_of, tile_at
from tests.trusted_atlas import ERRORS, RED_LIST, write_trusted_atlas

NAME = "with-trust"


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_trusted_atlas(tmp_path_factory.mktemp("trusted") / NAME, NAME)


@pytest.fixture(scope="module")
def store(trusted: Path) -> PredictionStore:
    return PredictionStore.open(trusted)


@pytest.fixture(scope="module")
def client(trusted: Path, _own_cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "ATLAS_DIRS", (trusted.parent,))
        yield TestClient(create_api(ApiSettings(rate=0)))


@pytest.fixture(scope="module")
def red_list(store: PredictionStore):
    return statuses.match_statuses(statuses.read_statuses(RED_LIST, "red.csv"), store.species)


def test_an_atlas_has_every_layer_but_those_of_a_red_list(store):
    names = map_layers.map_layer_names(store)
    assert {*map_texts.MAP_LAYERS, *map_texts.WIDTH_LAYERS} - set(names) == {
        *LAYERS_OF_LISTS,
        "threatened_share_width",
        "unassessed_share_width",
    }
    assert names[:3] == ("richness", "shannon", "simpson")


def test_layers_of_a_red_list_come_with_one(store, red_list):
    assert set(map_layers.map_layer_names(store, [red_list])) == {
        *map_texts.MAP_LAYERS,
        *map_texts.WIDTH_LAYERS,
    }
    given = concern_layers(store, np.arange(store.n_cells), [red_list])
    for name in LAYERS_OF_LISTS:
        np.testing.assert_array_equal(
            map_layers.map_values(store, name, [3, 1, 7], [red_list]), given[name][[3, 1, 7]]
        )


def test_the_almost_certain_status_is_never_worse_than_the_possible_one(store, red_list):
    possible = map_layers.map_values(store, "most_threatened", statuses=[red_list])
    certain = map_layers.map_values(store, "most_threatened_certain", statuses=[red_list])
    assert (certain <= possible).all()
    assert (certain < possible).any()
    assert set(possible) <= {0, 1, 3, 5}


def test_the_interval_of_a_cell_is_its_value_and_half_a_width_either_way(store, red_list):
    codes = np.asarray(store.codes)
    half = cell_half_widths(codes, ERRORS)["shannon"]
    low, high = map_layers.map_interval(store, "shannon")
    np.testing.assert_allclose((low + high) / 2, store.layer("shannon"), rtol=1e-5)
    np.testing.assert_allclose(high - low, 2 * half, rtol=1e-4)
    np.testing.assert_array_equal(map_layers.map_values(store, "shannon_width"), high - low)
    members = store.species["endemic"].fillna(False).to_numpy(bool).astype(float)
    half = cell_half_widths(codes, ERRORS, sums={"endemic": members})["endemic"]
    low, high = map_layers.map_interval(store, "endemic", [4, 9])
    np.testing.assert_allclose(high, (map_layers.map_values(store, "endemic") + half)[[4, 9]], rtol=1e-5)


@pytest.mark.parametrize("name", map_texts.INTERVALS)
def test_an_interval_holds_the_value_and_stays_where_values_can_be(store, red_list, name):
    value = map_layers.map_values(store, name, statuses=[red_list])
    low, high = map_layers.map_interval(store, name, statuses=[red_list])
    known = np.isfinite(value)
    assert known.any()
    assert (low[known] <= value[known]).all() and (value[known] <= high[known]).all()
    least, most = map_texts.INTERVALS[name]
    assert low[known].min() >= least and high[known].max() <= most
    assert (high[known] > low[known]).any()
    np.testing.assert_array_equal(np.isnan(high), ~known)


def test_the_interval_of_a_species_holds_its_probability_cell_by_cell(store):
    low, high = map_layers.species_interval(store, 3)
    p = decode(np.asarray(store.codes)[:, 3])
    likely = (p > 0) & (p < 1)
    assert likely.any() and (low[likely] < p[likely]).all() and (high[~likely & (p == 0)] == 0).all()
    table_low, table_high = probability_ends(ERRORS)
    np.testing.assert_array_equal(high, table_high[np.asarray(store.codes)[:, 3]])
    some = map_layers.species_interval(store, 3, [7, 2])
    np.testing.assert_array_equal(some, [low[[7, 2]], high[[7, 2]]])
    np.testing.assert_array_equal(low, table_low[np.asarray(store.codes)[:, 3]])


def test_without_held_out_surveys_no_layer_has_an_interval(simulated_atlas):
    store = simulated_atlas.store
    with pytest.raises(ValueError, match="no held-out surveys beside it"):
        map_layers.species_interval(store, 0)
    assert not map_layers.has_interval(store, "richness")
    assert "held-out surveys" in map_layers.missing_reason(store, "richness_width")
    with pytest.raises(ValueError, match=r"no interval of 'richness'.*held-out surveys"):
        map_layers.map_interval(store, "richness")
    with pytest.raises(ValueError, match="no interval of 'mess'"):
        map_layers.map_interval(store, "mess")


def test_values_of_some_cells_are_those_of_all(store):
    rows = np.array([5, 2, 40])
    for name in map_layers.map_layer_names(store):
        values = map_layers.map_values(store, name)
        assert values.shape == (store.n_cells,) and values.dtype == np.float32, name
        np.testing.assert_array_equal(map_layers.map_values(store, name, rows), values[rows])


@pytest.mark.parametrize(
    ("change", "name", "sentence"),
    [
        ({"endemic": None}, "endemic", "This atlas does not know which of its species are endemic."),
        (
            {"habitats_directive": ""},
            "protected",
            "No species of this atlas is on the Habitats Directive.",
        ),
        ({}, "threatened_share", "needs a Red List"),
    ],
)
def test_a_layer_an_atlas_lacks_has_its_reason_in_one_sentence(store, trusted, change, name, sentence):
    other = PredictionStore.open(trusted)
    other.__dict__["species"] = store.species.assign(**change)
    assert sentence in map_layers.missing_reason(other, name)
    assert name not in map_layers.map_layer_names(other)
    with pytest.raises(ValueError, match=f"unknown layer '{name}'.*{sentence[:20]}"):
        map_layers.map_values(other, name)


def test_an_atlas_too_large_to_work_a_layer_out_says_so(store, monkeypatch):
    monkeypatch.setattr(map_layers, "MOST_CODES", 10)
    assert "too many to work this layer out" in map_layers.missing_reason(store, "weighted_endemism")
    assert "weighted_endemism" not in map_layers.map_layer_names(store)


def test_an_atlas_without_trust_layers_has_none_of_them(simulated_atlas):
    names = map_layers.map_layer_names(simulated_atlas.store)
    assert not {"mess", "mess_variable", "applicability", "spread"} & set(names)
    assert map_layers.missing_reason(simulated_atlas.store, "mess") == "The atlas was made without it."
    assert map_layers.map_categories(simulated_atlas.store, "mess_variable") is None


def test_predictors_share_colours_by_kind_and_keep_their_names(store):
    kinds = map_layers.map_categories(store, "mess_variable")
    assert kinds.labels == ("temperature", "rain and snow", "terrain", "other")
    assert [kinds.labels[place] for place in kinds.places] == [
        "temperature",
        "rain and snow",
        "rain and snow",
        "terrain",
        "other",
    ]
    assert kinds.text(2.0) == "bio19"
    assert kinds.text(float("nan")) == kinds.text(9.0) == "–"


def test_the_colour_of_most_of_the_area_wins_then_its_most_common_name(store):
    kinds = map_layers.map_categories(store, "mess_variable")
    values = np.array([0.0, 1.0, 2.0, 2.0, np.nan, 3.0, np.nan, 0.0, 1.0, 2.0])
    area = np.array([2.5, 1.0, 0.9, 0.9, 50.0, 1.0, 9.0, 2.5, 1.0, 1.1])
    # temperature 2.5 against rain 2.8, of which bio19 holds 1.8; terrain, the unknown counting nothing;
    # nothing known; one cell of temperature that is larger than two of rain
    starts = np.array([0, 4, 6, 7])
    found = map_categories.most_common(values, area, starts, kinds)
    np.testing.assert_array_equal(found, [2.0, 3.0, np.nan, 0.0])


def picture(client: TestClient, layer: str, tile: tuple[int, int, int]) -> np.ndarray:
    z, x, y = tile
    answer = client.get(f"/v1/atlases/{NAME}/tiles/{layer}/{z}/{x}/{y}.png")
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))


@pytest.mark.parametrize(
    "name",
    [
        "invasive",
        "invasive_share",
        "endemic",
        "protected",
        "weighted_endemism",
        "dissimilarity",
        "mess",
        "spread",
        "effort",
        "information",
        "richness_width",
        "invasive_share_width",
        "applicability",
        "mess_variable",
    ],
)
def test_every_pixel_of_a_layer_has_the_colour_of_its_value(client, store, name):
    values, categories = map_layers.map_values(store, name), map_layers.map_categories(store, name)
    scale = scale_for(name, values.astype(float), 0.0, True)
    tile = tile_at(1.1, 42.6, 8)
    shown = picture(client, name, tile)
    row_of = {int(cell): row for row, cell in enumerate(store.cells)}
    colours = set()
    for row, column in np.random.default_rng(8).integers(0, 256, (150, 2)):
        longitude, latitude = place_of(*tile, column, row)
        at = row_of.get(h3.str_to_int(h3.latlng_to_cell(latitude, longitude, store.resolution)))
        if at is None:
            assert shown[row, column, 3] == 0
            continue
        if categories is not None:
            wanted = categories.colours[categories.places[int(values[at])]]
            assert tuple(shown[row, column, :3]) == wanted
        else:
            share = np.clip((values[at] - scale.low) / (scale.high - scale.low), 0, 1)
            ramp = ramp_of(name)
            if ramp == "magma_lifted":  # the darkest 15 % are left out
                ramp, share = "magma", 0.15 + 0.85 * share
            wanted = np.array(colormaps[ramp](float(share))[:3]) * 255
            assert np.abs(shown[row, column, :3] - wanted).max() < 7  # half of one of 252 steps
        colours.add(tuple(shown[row, column]))
    assert len(colours) >= (2 if categories is not None else 5)


@pytest.mark.parametrize("name", ["applicability", "mess_variable"])
def test_zoomed_out_a_pixel_of_categories_has_that_of_most_of_its_area(client, store, name):
    tile = tile_at(1.1, 42.6, 3)
    resolution = fitting_resolution(3, 256, store.resolution)
    assert resolution < store.resolution
    categories, values = map_layers.map_categories(store, name), map_layers.map_values(store, name)
    parents = [h3.cell_to_parent(h3.int_to_str(int(cell)), resolution) for cell in store.cells]
    shown = picture(client, name, tile)
    found = set()
    for row, column in np.argwhere(shown[..., 3] > 0):
        longitude, latitude = place_of(*tile, column, row)
        parent = h3.latlng_to_cell(latitude, longitude, resolution)
        area = np.zeros(len(categories.labels))
        for at in (number for number, above in enumerate(parents) if above == parent):
            area[categories.places[int(values[at])]] += store.area_ha[at]
        best = int(area.argmax())
        assert tuple(shown[row, column, :3]) == categories.colours[best]
        found.add(best)
    assert len(found) > 1


def test_the_catalogue_names_what_numbers_stand_for(client):
    layers = {entry["name"]: entry for entry in client.get(f"/v1/atlases/{NAME}").json()["layers"]}
    assert layers["mess_variable"]["categories"] == [
        "mean temperature of the year (bio1)",
        "precipitation of the year (bio12)",
        "precipitation of the coldest quarter (bio19)",
        "slope",
        "mystery",
    ]
    assert layers["mess"]["categories"] == []
    assert layers["mess"]["group"] == "trust"
    assert layers["endemic"]["unit"] == "endemic species expected per cell"
    assert layers["endemic"]["meaning"] == "Sum of the probabilities of endemic species."
    assert "threatened_share" not in layers


def test_a_layer_that_needs_a_list_is_not_drawn_from_the_server(client):
    answer = client.get(f"/v1/atlases/{NAME}/tiles/threatened_share/3/4/2.png")
    assert answer.status_code == 422
    assert "has no layer 'threatened_share'" in answer.json()["error"]


def test_the_legend_of_categories_has_a_colour_for_each_number(client, store):
    legend = client.get(f"/v1/atlases/{NAME}/legends/mess_variable.json").json()
    assert legend["ramp"] == "categories"
    labels = [stop["label"] for stop in legend["stops"]]
    assert labels[1:3] == [
        "precipitation of the year (bio12)",
        "precipitation of the coldest quarter (bio19)",
    ]
    assert legend["stops"][1]["colour"] == legend["stops"][2]["colour"] == "#0072b2"
    drawn = client.get(f"/v1/atlases/{NAME}/legends/mess_variable.svg").text
    assert drawn.count("rain and snow<") == 1
    assert ">terrain<" in drawn and ">no prediction<" in drawn


def test_the_legend_of_mess_has_zero_in_the_middle_of_two_colours(client):
    legend = client.get(f"/v1/atlases/{NAME}/legends/mess.json").json()
    assert legend["min"] == -legend["max"]
    assert legend["stops"][2]["value"] == 0
    assert legend["stops"][0]["label"].startswith("−")


def test_shares_never_end_above_the_whole_and_read_in_percent(client, store):
    assert scale_for("unassessed_share", np.array([0.2, 0.97]), 0.0, True).high == 1.0
    labels = [
        stop["label"]
        for stop in client.get(f"/v1/atlases/{NAME}/legends/invasive_share.json").json()["stops"]
    ]
    assert all(label.endswith("\u202f%") for label in labels)


def test_categories_keep_their_colours_whatever_look_is_asked_for(store):
    layer = layer_of(store, "applicability")
    paint = paint_of(layer, layer.default_scale(store), ramp="magma", low=5, high=6)
    assert paint.palette()[4:6, :3].tolist() == [list(colour) for colour in layer.categories.colours]
    assert paint.inks_of_values(np.array([0.0, 1.0, np.nan])).tolist() == [4, 5, 3]
    assert {entry.name for entry in layers_of(store)} == set(map_layers.map_layer_names(store))
