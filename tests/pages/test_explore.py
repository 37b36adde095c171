"""Explore: the right hexagons and values, a link that restores them, and sentences for bad links."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pages.ui import palette, resources, routes
from sdm_core import config
from sdm_core.prediction import LARGEST_CODE_ERROR
from tests.make_store import SPECIES, lonlat_of, simulated_cells, simulated_probability
from tests.pages.conftest import link_of, shown_html

NAMES = [entry[0] for entry in SPECIES]


def deck(app):
    return json.loads(app.get("deck_gl_json_chart")[0].proto.json)


def layer(app, name):
    return next(layer for layer in deck(app)["layers"] if layer["id"] == name)


def hexagons(app):
    """Rows the browser would fetch for the map."""
    address = layer(app, "cells")["data"]
    return json.loads(routes.LAYERS.body(address.rpartition("/")[2].removesuffix(".json")))


def expected(species: str) -> np.ndarray:
    lonlat = lonlat_of(simulated_cells())
    return simulated_probability(lonlat[:, 0], lonlat[:, 1])[:, NAMES.index(species)]


def test_opens_on_a_familiar_species_with_its_map_and_legend(open_page):
    app = open_page()
    assert app.selectbox(key="species_picker").value == "Fagus sylvatica"
    assert app.button_group(key="group_picker").value == "species"
    assert len(hexagons(app)) == len(simulated_cells())
    assert "<i>Fagus sylvatica</i>" in shown_html(app)
    assert "probability of presence" in shown_html(app)
    assert "no prediction" in shown_html(app)


def test_hexagons_carry_the_stored_probability_of_the_species(open_page):
    app = open_page(species="Abies alba")
    shown = {row["h"]: row["v"] for row in hexagons(app)}
    cells = simulated_cells()
    best = int(np.argmax(expected("Abies alba")))
    percent = float(shown[f"{int(cells[best]):x}"].removesuffix("\u202f%"))
    assert percent / 100 == pytest.approx(expected("Abies alba")[best], abs=LARGEST_CODE_ERROR + 0.005)


def test_tooltips_name_the_five_most_probable_species_of_the_cell(open_page):
    app = open_page()
    lonlat = lonlat_of(simulated_cells())
    codes = np.floor(np.sqrt(simulated_probability(lonlat[:, 0], lonlat[:, 1])) * 255 + 0.5)
    best = np.sort(codes[0])[::-1][:5]
    row = next(row for row in hexagons(app) if row["h"] == f"{int(simulated_cells()[0]):x}")
    named = [row[f"s{rank}"] for rank in range(5)]
    assert [codes[0][NAMES.index(name)] for name in named] == best.tolist()


def test_choosing_a_species_puts_it_on_the_map_and_in_the_address(open_page):
    app = open_page(layer="richness")
    app.selectbox(key="species_picker").set_value("Quercus ilex").run()
    assert link_of(app)["species"] == "Quercus ilex"
    assert link_of(app)["layer"] == "species"
    assert "<i>Quercus ilex</i>" in shown_html(app)


@pytest.mark.parametrize(
    ("name", "words"), [("richness", "species expected per cell"), ("shannon", "nats"), ("simpson", "1 − D")]
)
def test_diversity_layers_have_their_name_and_unit_in_the_legend(open_page, name, words):
    app = open_page()
    app.button_group(key="group_picker").set_value("diversity").run()
    app.radio(key="layer_picker").set_value(name).run()
    assert link_of(app)["layer"] == name
    assert words in shown_html(app)


def test_a_link_restores_atlas_layer_species_and_part(open_page):
    link = {
        "atlas": "simulated-pyrenees",
        "layer": "species",
        "species": "Taxus baccata",
        "window": "at:0.800,42.600",
    }
    app = open_page(**link)
    assert link_of(app) == link
    assert app.selectbox(key="species_picker").value == "Taxus baccata"
    assert not app.warning


@pytest.mark.parametrize(
    ("link", "sentence"),
    [
        ({"species": "Rosa nowhere"}, "“Rosa nowhere”, which is not a species of this atlas"),
        ({"atlas": "mars"}, "“mars”, which is not installed"),
        ({"layer": "height"}, "“height”, which does not exist"),
        ({"window": "place:Atlantis"}, "“Atlantis”, which is not a known place"),
        ({"window": "at:north,pole"}, "“north,pole”, which is not a known place"),
    ],
)
def test_an_unknown_value_in_a_link_gets_one_sentence_and_a_default(open_page, link, sentence):
    app = open_page(**link)
    assert [warning.value for warning in app.warning if sentence in warning.value]
    assert len(hexagons(app)) == len(simulated_cells())


def test_a_warning_about_a_link_goes_away_with_the_next_choice(open_page):
    app = open_page(species="Rosa nowhere")
    app.selectbox(key="species_picker").set_value("Abies alba").run()
    assert not app.warning


def test_the_table_twin_holds_every_hexagon_highest_first(open_page):
    app = open_page(species="Fagus sylvatica")
    app.toggle(key="show_table").set_value(True).run()
    table = app.dataframe[0].value
    assert len(table) == len(simulated_cells())
    assert table["probability"].is_monotonic_decreasing
    assert table["probability"].iloc[0] == pytest.approx(
        expected("Fagus sylvatica").max(), abs=LARGEST_CODE_ERROR
    )


def test_cells_below_the_cutoff_are_grey_and_the_legend_says_so(open_page):
    app = open_page(species="Fagus sylvatica")
    app.slider(key="cutoff").set_value(50).run()
    low = [row for row in hexagons(app) if float(row["v"].strip("<\u202f%")) < 49]
    faint, zero = palette.LIGHT.faint[:3], palette.LIGHT.zero[:3]
    assert {tuple(row["c"]) for row in low} == {faint, zero}
    assert {row["v"] for row in low if tuple(row["c"]) == zero} == {"0\u202f%"}
    assert "below 50\u202f%" in shown_html(app)


def test_a_small_atlas_is_drawn_as_hexagons_without_a_map_style(open_page):
    app = open_page()
    assert "/florascope/" not in deck(app)["mapStyle"]
    assert {"land", "cells", "countries"} <= {entry["id"] for entry in deck(app)["layers"]}


def style_of(app):
    """The map style the browser would fetch."""
    address = deck(app)["mapStyle"]
    return json.loads(routes.STYLES.body(address.rpartition("/")[2].removesuffix(".json")))


def test_above_the_limit_of_hexagons_every_cell_is_drawn_as_tiles_in_the_colours_of_the_legend(
    open_page, monkeypatch, simulated_atlas
):
    monkeypatch.setattr(config, "MAX_MAP_CELLS", 50)
    app = open_page(species="Fagus sylvatica")
    assert len(hexagons(app)) < 50  # what the pointer reads
    assert layer(app, "cells")["_subLayerProps"]["hexagon-cell-hifi"]["getFillColor"][3] == 1
    assert not {"land", "countries"} & {entry["id"] for entry in deck(app)["layers"]}
    style = style_of(app)
    assert [entry["type"] for entry in style["layers"]] == ["background", "fill", "raster", "line"]
    (tiles,) = style["sources"][style["layers"][2]["source"]]["tiles"]
    species_id = NAMES.index("Fagus sylvatica")
    assert f"/api/v1/atlases/simulated-pyrenees/tiles/species/{species_id}/{{z}}/{{x}}/{{y}}.png?" in tiles
    look = dict(part.split("=") for part in tiles.partition("?")[2].split("&"))
    assert (look["min"], look["cutoff"], look["v"]) == ("0", "0.02", simulated_atlas.key)
    assert f"{float(look['max']) * 100:g}\u202f%" in shown_html(app)
    assert "cell ≈" in shown_html(app)
    assert "The map shows every cell" in shown_html(app)


def test_the_layer_before_fades_below_the_new_one_and_a_rerun_changes_nothing(open_page, monkeypatch):
    monkeypatch.setattr(config, "MAX_MAP_CELLS", 50)
    app = open_page(species="Fagus sylvatica")
    first = style_of(app)["layers"][2]
    app.button_group(key="group_picker").set_value("diversity").run()
    before, shown = style_of(app)["layers"][2:4]
    assert (before["id"], before["paint"]["raster-opacity"]) == (first["id"], 0)
    assert shown["paint"]["raster-opacity"] == 0.9
    address = deck(app)["mapStyle"]
    app.run()
    assert deck(app)["mapStyle"] == address


def test_observed_records_are_circles_in_another_ink(open_page):
    app = open_page(species="Fagus sylvatica")
    assert "observed" not in [layer["id"] for layer in deck(app)["layers"]]
    app.toggle(key="show_observed").set_value(True).run()
    circles = layer(app, "observed")
    assert circles["@@type"] == "ScatterplotLayer"
    assert tuple(circles["getLineColor"][:3]) not in {tuple(row["c"]) for row in hexagons(app)}
    assert "records observed" in shown_html(app)


def test_opacity_changes_the_layer_without_sending_the_hexagons_again(open_page):
    app = open_page()
    before = layer(app, "cells")
    app.slider(key="opacity").set_value(50).run()
    after = layer(app, "cells")
    assert (before["opacity"], after["opacity"]) == (0.9, 0.5)
    assert before["data"] == after["data"]


def test_a_clicked_cell_lists_its_most_probable_species(simulated_atlas):
    cells = simulated_cells()
    row = int(np.argmax(expected("Fagus sylvatica")))
    name = simulated_atlas.name
    found = resources.cell(name, simulated_atlas.store.version, f"{int(cells[row]):x}", 3)
    lonlat = lonlat_of(cells[row : row + 1])
    probability = simulated_probability(lonlat[:, 0], lonlat[:, 1])[0]
    assert found.n_cells == 1
    assert found.species[0][0] == NAMES[int(np.argmax(probability))]
    assert found.species[0][1] == pytest.approx(probability.max(), abs=LARGEST_CODE_ERROR)


def test_a_coarse_map_shows_area_weighted_means(simulated_atlas, monkeypatch):
    monkeypatch.setattr("sdm_core.config.MAX_MAP_CELLS", 20)
    name, version = simulated_atlas.name, simulated_atlas.store.version
    coarse = resources.map_cells(name, version, None)
    assert coarse.resolution < simulated_atlas.store.resolution
    assert len(coarse.names) <= 20
    values = resources.values_of(name, version, "richness", -1, "coarse", coarse)
    parents, means = simulated_atlas.store.aggregate(
        simulated_atlas.store.layer("richness"), coarse.resolution
    )
    assert [int(cell) for cell in coarse.cells] == [int(cell) for cell in parents]
    np.testing.assert_allclose(values, means, rtol=1e-6)


def test_without_an_atlas_the_page_says_where_to_put_one(open_page, monkeypatch, tmp_path):
    monkeypatch.setattr("sdm_core.config.ATLAS_DIRS", (tmp_path / "none",))
    app = open_page()
    assert app.subheader[0].value == "No atlas is installed yet"
    assert str(tmp_path / "none") in app.info[0].value


def test_a_damaged_atlas_is_named_and_another_can_be_chosen(
    open_page, simulated_atlas_folder, tmp_path, monkeypatch
):
    import shutil

    for name in ("a-damaged", simulated_atlas_folder.name):
        shutil.copytree(simulated_atlas_folder, tmp_path / name)
    (tmp_path / "a-damaged" / "predictions.zarr.zip").write_bytes(b"no longer a zip file")
    monkeypatch.setattr("sdm_core.config.ATLAS_DIRS", (tmp_path,))
    app = open_page()
    assert "predictions.zarr.zip" in app.error[0].value
    app.selectbox(key="atlas_picker").set_value(simulated_atlas_folder.name).run()
    assert not app.error
    assert len(hexagons(app)) == len(simulated_cells())
