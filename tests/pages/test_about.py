"""About: what the model card says, and nothing it does not say."""

from __future__ import annotations

import html
import json

import streamlit as st

from sdm_core import config
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


def test_what_was_promised_stands_beside_what_was_kept(open_page, surveyed_atlas_folder, monkeypatch):
    monkeypatch.setattr(config, "ATLAS_DIRS", (surveyed_atlas_folder.parent,))
    coverage = json.loads((surveyed_atlas_folder / "model_card.json").read_text(encoding="utf-8"))["coverage"]
    page = shown_html(open_page("about"))
    table = page[page.index('data-testid="coverage-table"') :].partition("</table>")[0]
    first, *_ = coverage["table"]
    assert f'<td class="fs-num">{100 * first["kept"]:.1f} %</td>' in table
    assert table.count("<tr>") == len(coverage["table"]) + 1
    assert html.escape(coverage["sentences"][0]) in page


def test_a_card_without_coverage_and_one_of_another_shape_show_none(
    open_page, simulated_atlas_folder, monkeypatch
):
    assert "coverage-table" not in shown_html(open_page("about"))
    card = json.loads((simulated_atlas_folder / "model_card.json").read_text(encoding="utf-8"))
    for other in ("said", {"table": "none", "sentences": 3}, {"table": [{"what": "x", "kept": "much"}]}):
        monkeypatch.setattr(
            "sdm_core.registry.read_card", lambda folder, other=other: {**card, "coverage": other}
        )
        st.cache_resource.clear()
        app = open_page("about")
        assert not app.exception and "coverage-table" not in shown_html(app)
