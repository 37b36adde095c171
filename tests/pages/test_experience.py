"""What lies outside the model's experience is greyed by default; effort and where to look next are layers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pages.ui import maps, palette, routes
from pages.ui.messages import say
from sdm_core import config
from sdm_core.colours import scale_for
from sdm_core.prediction import PredictionStore
from sdm_core.prediction.cell_layers import CellLayer, cell_layers
from sdm_core.prediction.files import TRUST_FILE
from tests.make_store import write_simulated_atlas
from tests.pages.conftest import shown_html

NAME = "half-known"


@pytest.fixture(scope="module")
def half_known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated atlas of which the western half lies outside the model's experience."""
    folder = write_simulated_atlas(tmp_path_factory.mktemp("atlases") / NAME, NAME)
    store = PredictionStore.open(folder)
    inside = (store.lonlat[:, 0] > np.median(store.lonlat[:, 0])).astype(float)
    values = {"applicability": inside, "dissimilarity": 0.6 - 0.5 * inside}
    layers = {"applicability": CellLayer(scale="number"), "dissimilarity": CellLayer()}
    values["mess_variable"], layers["mess_variable"] = (
        1 - inside,
        CellLayer(scale="number", names=("rain", "bio5")),
    )
    notes = {"applicability": {"threshold": 0.345}}
    (folder / TRUST_FILE).write_bytes(cell_layers(store.cells, values, layers, notes).to_bytes())
    return folder


@pytest.fixture
def store(half_known: Path, _simulated_only: None, monkeypatch: pytest.MonkeyPatch) -> PredictionStore:
    monkeypatch.setattr(config, "ATLAS_DIRS", (half_known.parent,))
    return PredictionStore.open(half_known)


def hexagons(app, which: int = 0):
    deck = json.loads(app.get("deck_gl_json_chart")[which].proto.json)
    address = next(layer for layer in deck["layers"] if layer["id"] == "cells")["data"]
    return json.loads(routes.LAYERS.body(address.rpartition("/")[2].removesuffix(".json")))


def outside_names(store) -> set[str]:
    return {f"{int(cell):x}" for cell in store.cells[store.layer("applicability") == 0]}


def warned(rows) -> set[str]:
    return {row["h"] for row in rows if say("tooltip_outside").split()[0] in row["o"]}


def test_explore_greys_what_the_model_does_not_know_until_asked_not_to(open_page, store):
    app = open_page(layer="richness")
    masked = hexagons(app)
    assert warned(masked) == outside_names(store)
    assert say("legend_outside") in shown_html(app)
    app.toggle(key="mask_outside").set_value(False).run()
    plain = hexagons(app)
    assert not warned(plain)
    assert say("legend_outside") not in shown_html(app)
    changed = {a["h"] for a, b in zip(masked, plain, strict=True) if a["c"] != b["c"]}
    assert changed == outside_names(store)
    assert [a["v"] for a in masked] == [b["v"] for b in plain]


def test_explore_offers_effort_and_where_to_look_next_unmasked(open_page, store):
    app = open_page(layer="information")
    assert not any(toggle.key == "mask_outside" for toggle in app.toggle)
    values = np.array([float(row["v"].replace("\u202f", "")) for row in hexagons(app)])
    np.testing.assert_allclose(values, store.layer("information"), atol=0.51)
    assert "expected information of a visit" in shown_html(app)
    app.radio(key="layer_picker").set_value("effort").run()
    assert "records per 100 km² around a cell" in shown_html(app)
    app.radio(key="layer_picker").set_value("dissimilarity").run()
    assert "above 0.34 the model has no experience" in shown_html(app)


def test_an_atlas_that_does_not_know_its_experience_offers_no_mask(open_page):
    app = open_page(layer="dissimilarity")
    sentence = "“Unlike the training sites” is not on the map of this atlas: The atlas was made without it."
    assert sentence in app.warning[0].value
    assert not any(toggle.key == "mask_outside" for toggle in app.toggle)


def test_the_region_map_greys_it_too_until_asked_not_to(open_page, store):
    west = store.lonlat[store.layer("applicability") == 0].mean(axis=0)
    app = open_page("region", atlas=NAME, region=f"point:{west[0]:.2f},{west[1]:.2f},15")
    assert warned(hexagons(app)) <= outside_names(store)
    assert warned(hexagons(app))
    assert app.toggle(key="mask_region").value is True
    words = "The predictor most unlike the training sites is highest temperature of the warmest month (bio5)"
    assert words in shown_html(app)
    app.toggle(key="mask_region").set_value(False).run()
    assert not warned(hexagons(app))


def test_greyed_hexagons_keep_a_quarter_of_their_colour():
    values, outside = np.array([0.2, 0.9]), np.array([False, True])
    plain = palette.colours("species", values, 0.0, 1.0, 0.0, palette.LIGHT)
    masked = palette.colours("species", values, 0.0, 1.0, 0.0, palette.LIGHT, outside)
    np.testing.assert_array_equal(masked[0], plain[0])
    expected = 0.25 * plain[1] + 0.75 * np.array(palette.LIGHT.outside[:3])
    np.testing.assert_allclose(masked[1], expected, atol=0.5)


def test_a_ramp_that_ends_below_the_highest_value_says_so():
    values = np.r_[np.linspace(0, 10, 99), 500.0]
    scale = scale_for("effort", values, 0.0, False)
    assert (scale.low, scale.high) == (0.0, 10.0)
    assert "≥\u202f10" in maps.legend(scale, "Effort", "", "", False, False, highest=500.0)
    assert "≥" not in maps.legend(scale, "Effort", "", "", False, False, highest=10.0)
