"""About: what the model card says, and nothing it does not say."""

from __future__ import annotations

import json

from tests.make_store import TITLE
from tests.pages.conftest import shown_html


def test_says_version_size_sources_and_limits_of_the_atlas(open_page, simulated_atlas):
    app = open_page("about")
    page = shown_html(app)
    assert simulated_atlas.store.version[:12] in page
    assert "Simulated occurrences" in page
    assert "Simulated: no number in it says anything about a real place." in page
    assert "do not replace a survey" in page


def test_the_citation_names_atlas_and_version(open_page, simulated_atlas):
    app = open_page("about")
    citation = next(block.value for block in app.code if "Atlas" in block.value)
    assert TITLE in citation
    assert simulated_atlas.store.version[:12] in citation


def test_an_atlas_without_cross_validation_is_said_to_have_none(open_page):
    app = open_page("about")
    assert "holds no cross-validation" in app.info[0].value


def test_scores_stand_beside_the_baselines_and_the_calibration_is_drawn(
    open_page, simulated_atlas_folder, monkeypatch
):
    path = simulated_atlas_folder / "model_card.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    common = {"block_deg": 2.0, "n_folds": 5, "n_sites": 100, "n_species": 40}
    card["validation"] = {
        "shipped": "network",
        "command": "python -m sdm_core evaluate x.toml",
        "results": [
            {"model": "shipped: network", "auc": 0.951, "average_precision": 0.42, **common},
            {"model": "longitude and latitude", "auc": 0.884, "average_precision": 0.3, **common},
        ],
    }
    bins = [(0.1, 0.12), (0.5, 0.47), (0.9, 0.88)]
    card["calibration"] = {
        "method": "isotonic",
        "ece_before": 0.05,
        "ece_after": 0.01,
        "reliability": [{"mean_probability": p, "recorded_share": r, "n": 50} for p, r in bins],
    }
    monkeypatch.setattr("sdm_core.registry.read_card", lambda folder: card)
    app = open_page("about")
    page = shown_html(app)
    assert "network (shipped)" in page
    assert "0.951" in page
    assert "0.884" in page
    chart = json.loads(app.get("plotly_chart")[0].proto.spec)
    assert chart["data"][1]["type"] == "scatter"
    assert any("sdm_core evaluate" in block.value for block in app.code)
