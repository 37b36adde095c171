"""Explore offers every layer of an atlas by group, with its interval, and maps of a session's Red List."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import h3
import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from pages.ui import explore_map, layers, maps, numbers, resources, routes, session_tiles
from pages.ui.messages import EXPLORE, GROUPS, LAYERS, layer_unit
from sdm_core import config, statuses
from sdm_core.colours import Scale, scale_for
from sdm_core.indicators import map_categories, map_layers
from sdm_core.prediction import PredictionStore
from tests.pages.conftest import link_of, shown_html
from tests.test_api_tiles import place_of, tile_at
from tests.trusted_atlas import RED_LIST, write_trusted_atlas

NAME = "with-trust"


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_trusted_atlas(tmp_path_factory.mktemp("trusted") / NAME, NAME)


@pytest.fixture
def store(trusted: Path, _simulated_only: None, monkeypatch: pytest.MonkeyPatch) -> PredictionStore:
    monkeypatch.setattr(config, "ATLAS_DIRS", (trusted.parent,))
    return PredictionStore.open(trusted)


@pytest.fixture
def red_list() -> statuses.StatusFile:
    return statuses.read_statuses(RED_LIST, "red.csv")


def hexagons(app) -> dict[str, dict]:
    deck = json.loads(app.get("deck_gl_json_chart")[0].proto.json)
    address = next(layer for layer in deck["layers"] if layer["id"] == "cells")["data"]
    rows = json.loads(routes.LAYERS.body(address.rpartition("/")[2].removesuffix(".json")))
    return {row["h"]: row for row in rows}


def names_of(store) -> list[str]:
    return [f"{int(cell):x}" for cell in store.cells]


def with_list(app, red_list):
    app.session_state["status_files"] = {red_list.digest: red_list}
    return app.run()


def test_every_layer_of_the_atlas_is_offered_in_its_group(open_page, store):
    app = open_page()
    found = []
    for group in app.button_group(key="group_picker").options:
        name = next(key for key, (title, _) in GROUPS.items() if title == group)
        app.button_group(key="group_picker").set_value(name).run()
        if name != "species":
            found += app.radio(key="layer_picker").options
    wanted = set(map_layers.map_layer_names(store)) & set(LAYERS)
    assert set(found) == {LAYERS[name] for name in wanted}
    assert len(found) == len(set(found)) == len(wanted)


def test_without_a_red_list_a_sentence_says_where_to_add_one(open_page, store):
    app = open_page(layer="endemic")
    assert LAYERS["threatened_share"] not in app.radio(key="layer_picker").options
    assert [caption.value for caption in app.caption if caption.value == EXPLORE["needs_list"]]
    assert app.get("page_link")[0].proto.page == "region"


def test_a_link_to_a_layer_that_needs_a_list_says_so_and_shows_species(open_page, store):
    app = open_page(layer="threatened_share")
    assert "“Threatened share” is not on the map of this atlas: It needs a Red List" in app.warning[0].value
    assert link_of(app)["layer"] == "species"


def test_the_tooltip_of_a_cell_says_its_value_and_its_interval(open_page, store):
    app = open_page(layer="richness")
    shown, row = hexagons(app), 7
    low, high = (float(ends[row]) for ends in map_layers.map_interval(store, "richness"))
    of_cell = shown[names_of(store)[row]]
    assert of_cell["v"] == numbers.layer_value("richness", float(store.layer("richness")[row]))
    ends = numbers.layer_ends("richness", low, high)
    assert of_cell["i"] == f"90 % interval {ends[0]}–{ends[1]}"


def test_the_interval_is_a_view_of_its_own_with_its_meaning(open_page, store):
    app = open_page(layer="shannon")
    assert app.button_group(key="view_picker").options == ["Value", "90 % interval"]
    app.button_group(key="view_picker").set_value("shannon_width").run()
    assert link_of(app)["layer"] == "shannon_width"
    width = map_layers.map_values(store, "shannon_width")
    shown = hexagons(app)
    assert [shown[name]["v"] for name in names_of(store)] == [
        numbers.layer_value("shannon", float(value)) for value in width
    ]
    row = shown[names_of(store)[0]]
    assert row["i"].startswith(f"value {float(store.layer('shannon')[0]):.2f} (")
    html = shown_html(app)
    assert "width of the 90 % interval, Shannon index" in html
    assert "should hold the true value in nine of ten cells" in html


def test_the_interval_stays_in_view_when_the_layer_changes_and_a_group_keeps_its_last(open_page, store):
    app = open_page(layer="richness_width")
    app.radio(key="layer_picker").set_value("simpson").run()
    assert link_of(app)["layer"] == "simpson_width"
    app.button_group(key="group_picker").set_value("trust").run()
    assert link_of(app)["layer"] == "applicability"
    assert not [widget for widget in app.get("button_group") if widget.key == "view_picker"]
    app.button_group(key="group_picker").set_value("diversity").run()
    assert link_of(app)["layer"] == "simpson_width"


def test_an_atlas_without_intervals_shows_the_value_of_a_linked_interval(open_page):
    app = open_page(layer="richness_width")
    assert link_of(app)["layer"] == "richness"
    assert not [widget for widget in app.get("button_group") if widget.key == "view_picker"]


def test_categories_are_words_in_tooltip_table_and_legend(open_page, store):
    app = open_page(layer="mess_variable")
    shown = hexagons(app)
    assert shown[names_of(store)[2]]["v"] == "precipitation of the coldest quarter (bio19)"
    assert tuple(shown[names_of(store)[2]]["c"]) == (0, 114, 178)
    assert "rain and snow" in shown_html(app)
    app.toggle(key="show_table").set_value(True).run()
    assert "slope" in set(app.dataframe[0].value["mess_variable"])


def test_the_legend_of_mess_runs_as_far_below_zero_as_above(open_page, store):
    html = shown_html(open_page(layer="mess"))
    high = scale_for("mess", store.layer("mess").astype(float), 0.0, False).high
    assert f"<span>−{high:g}</span><span>0</span><span>{high:g}</span>" in html
    assert "below 0<" not in html  # no swatch of a cut-off


def test_a_red_list_of_the_session_becomes_a_map_with_its_interval(open_page, store, red_list):
    app = with_list(open_page(layer="endemic"), red_list)
    app.radio(key="layer_picker").set_value("threatened_share").run()
    matched = statuses.match_statuses(red_list, store.species)
    share = map_layers.map_values(store, "threatened_share", statuses=[matched])
    shown = hexagons(app)
    assert [shown[name]["v"] for name in names_of(store)] == [
        numbers.percent(float(value)) for value in share
    ]
    assert shown[names_of(store)[0]]["i"].startswith("90 % interval ")
    assert "List: Red List (Here)." in shown_html(app)
    app.toggle(key="show_table").set_value(True).run()
    table = app.dataframe[0].value.set_index("h3_cell").loc[names_of(store)]
    np.testing.assert_allclose(table["threatened_share"], share, rtol=1e-6)


def test_the_status_of_possible_and_of_almost_certain_species_are_two_views(open_page, store, red_list):
    app = with_list(open_page(layer="endemic"), red_list)
    app.radio(key="layer_picker").set_value("most_threatened").run()
    assert app.button_group(key="view_picker").options == ["Possible", "Almost certain"]
    app.button_group(key="view_picker").set_value("most_threatened_certain").run()
    matched = statuses.match_statuses(red_list, store.species)
    ranks = map_layers.map_values(store, "most_threatened_certain", statuses=[matched])
    shown = hexagons(app)
    assert [shown[name]["v"] for name in names_of(store)] == [
        map_categories.STATUSES.names[int(rank)] for rank in ranks
    ]
    assert "worst category of an almost certain species" in shown_html(app)


def tile_addresses(app) -> str:
    deck = json.loads(app.get("deck_gl_json_chart")[0].proto.json)
    name = deck["mapStyle"].rpartition("/")[2].removesuffix(".json")
    style = json.loads(routes.STYLES.body(name))
    shown = style["layers"][-2]["source"]
    return style["sources"][shown]["tiles"][0]


def test_a_red_list_is_drawn_as_tiles_that_only_its_session_is_told_of(
    open_page, store, red_list, monkeypatch
):
    monkeypatch.setattr(config, "MAX_MAP_CELLS", 50)
    app = with_list(open_page(layer="endemic"), red_list)
    app.radio(key="layer_picker").set_value("threatened_share").run()
    app.toggle(key="mask_outside").set_value(False).run()
    pattern = tile_addresses(app)
    assert pattern.startswith("/florascope/tiles/")
    z, x, y = tile_at(1.1, 42.6, 8)
    client = TestClient(Starlette(routes=routes.routes_under("")))
    answer = client.get(pattern.format(z=z, x=x, y=y))
    assert answer.headers["cache-control"].startswith("private")
    picture = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))
    matched = statuses.match_statuses(red_list, store.species)
    share = map_layers.map_values(store, "threatened_share", statuses=[matched])
    row_of = {name: row for row, name in enumerate(names_of(store))}
    seen = set()
    for row, column in np.random.default_rng(3).integers(0, 256, (200, 2)):
        longitude, latitude = place_of(z, x, y, column, row)
        at = row_of.get(h3.latlng_to_cell(latitude, longitude, store.resolution))
        assert (picture[row, column, 3] > 0) == (at is not None)
        if at is not None:
            value = float(share[at])
            wanted = (190, 190, 186) if math.isnan(value) else np.array(colormaps["plasma"](value)[:3]) * 255
            assert np.abs(picture[row, column, :3] - np.array(wanted)).max() < 7
            seen.add(tuple(picture[row, column]))
    assert len(seen) > 3
    assert client.get(f"/florascope/tiles/{'0' * 40}/{z}/{x}/{y}.png").status_code == 404
    assert client.get(pattern.format(z=3, x=9, y=0)).status_code == 404


def test_tiles_of_sessions_are_bounded_and_their_names_need_the_secret(simulated_atlas):
    values = np.zeros(simulated_atlas.store.n_cells, dtype=np.float32)

    def path(number: int) -> str:
        scale = Scale("threatened_share", 0.0, 1.0 + number, 0.0)
        return session_tiles.publish(simulated_atlas, "a", values, scale, ["b"], "light", False)

    first = path(0)
    assert path(0) == first
    assert len({path(number) for number in range(40)}) == 40
    assert len(session_tiles._published) <= 16
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session_tiles, "_SECRET", b"another")
        assert path(0) != first


def test_a_clicked_hexagon_says_the_value_of_the_layer_and_its_interval(store):
    atlas = resources.open_atlas(NAME)
    cells = resources.map_cells(NAME, str(atlas.store.version), None)
    drawn = layers.drawn(atlas, "richness", -1, cells, "")
    scale = Scale("richness", 0.0, 20.0, 0.0)
    said = explore_map.cell_value(cells.names[3], drawn, scale, cells, False)
    value = maps.value_text(scale, float(drawn.values[3]))
    assert f"<b>{value}</b> {layer_unit('richness')}<br>90 % interval " in said
    assert explore_map.cell_value("86000", drawn, scale, cells, False) == ""


@pytest.mark.parametrize(
    ("layer", "low", "high", "text"),
    [
        ("richness", 0.0013, 5.84, ("0", "5.8")),
        ("richness", 3.2, 45.2, ("3", "45")),
        ("shannon", 1.2, 3.456, ("1.20", "3.46")),
        ("invasive_share", 0.02, 0.43, ("2", "43\u202f%")),
        ("weighted_endemism", 0.00012, 0.0031, ("0.0001", "0.0031")),
    ],
)
def test_both_ends_of_an_interval_have_the_same_decimals(layer, low, high, text):
    assert numbers.layer_ends(layer, low, high) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(42.4, "42"), (3.42, "3.4"), (3.0, "3"), (0.254, "0.25"), (0.00311, "0.0031"), (0.0, "0")],
)
def test_expected_numbers_have_sensible_digits(value, text):
    assert numbers.amount(value) == text
