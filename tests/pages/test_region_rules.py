"""Rules on the Region page: scores and numbers in links, and all rules side by side when asked for."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from pages.ui.messages import RULES, SCORES, say
from sdm_core import config
from sdm_core.assemblages import SCORES as ENGINE_SCORES
from tests.pages.conftest import link_of, shown_html
from tests.pages.test_region import MIDDLE, engine_summary, link_to, number


@pytest.mark.parametrize(
    ("rule", "key", "value", "options"),
    [
        ("average_k", "top_k_picker", 7, {"k": 7}),
        ("max_exp", "score_picker", "tss", {"score": "tss"}),
        ("max_exp", "score_picker", "jaccard", {"score": "jaccard"}),
    ],
)
def test_options_of_a_rule_change_gamma_and_the_link(open_page, simulated_atlas, rule, key, value, options):
    app = open_page("region", region=link_to(MIDDLE), rule=rule)
    widgets = app.number_input if key == "top_k_picker" else app.selectbox
    widgets(key=key).set_value(value).run()
    assert not app.exception
    assert (link_of(app)["rule"], link_of(app)["value"]) == (rule, str(value))
    assert number(app, "gamma") == engine_summary(simulated_atlas, rule=rule, **options)["gamma"].shown


@pytest.mark.parametrize("value", ["kappa", "nan"])
def test_a_score_or_number_of_a_link_that_means_nothing_is_the_default(open_page, simulated_atlas, value):
    app = open_page("region", region=link_to(MIDDLE), rule="max_exp", value=value)
    assert number(app, "gamma") == engine_summary(simulated_atlas, rule="max_exp")["gamma"].shown
    app = open_page("region", region=link_to(MIDDLE), rule="threshold", value=value)
    assert not app.exception


def test_every_rule_stands_beside_the_one_in_use_when_asked_for(open_page, simulated_atlas):
    app = open_page("region", region=link_to(MIDDLE), rule="threshold", value="0.3")
    assert "rules-table" not in shown_html(app)
    app.toggle(key="rules_compare").set_value(True).run()
    assert not app.exception
    page = shown_html(app)
    table = page[page.index('data-testid="rules-table"') :]
    rows = re.findall(r"<tr><td title=.*?</tr>", table)
    assert len(rows) == 8
    assert "in use" in rows[0] and "0.3" in rows[0]
    figures = re.findall(r'fs-num">([^<]*)<', rows[0])
    summary = engine_summary(simulated_atlas, rule="threshold", t=0.3)
    assert figures[0] == summary["alpha"].shown
    assert figures[2] == summary["gamma"].shown
    assert "the atlas ships none" in table


@pytest.fixture
def surveyed_only(surveyed_atlas_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the atlas with held-out surveys is installed."""
    monkeypatch.setattr(config, "ATLAS_DIRS", (surveyed_atlas_folder.parent,))


def test_rules_of_surveys_are_offered_where_the_atlas_has_them(open_page, surveyed_atlas, surveyed_only):
    app = open_page("region", region=link_to(MIDDLE))
    picker = app.radio(key="rule_picker")
    assert picker.options == list(RULES.values())
    assert say("rules_of_surveys") not in [caption.value for caption in app.caption]
    picker.set_value("species_threshold").run()
    expected = engine_summary(surveyed_atlas, rule="species_threshold")
    assert number(app, "gamma") == expected["gamma"].shown
    app.selectbox(key="criterion_picker").set_value("p10").run()
    assert not app.exception
    assert (link_of(app)["rule"], link_of(app)["value"]) == ("species_threshold", "p10")
    wider = engine_summary(surveyed_atlas, rule="species_threshold", criterion="p10")
    assert number(app, "gamma") == wider["gamma"].shown
    assert wider.value("gamma") != expected.value("gamma")
    app.toggle(key="rules_compare").set_value(True).run()
    page = shown_html(app)
    table = page[page.index('data-testid="rules-table"') :]
    rows = re.findall(r"<tr><td title=.*?</tr>", table)
    assert "a tenth of the presences missed" in rows[0] and "in use" in rows[0]
    assert sum("Threshold per species" in row for row in rows) == 4
    assert "a list to search by" in table and "the atlas ships none" not in table


def test_the_conformal_set_of_a_link_is_the_one_of_the_engine(open_page, surveyed_atlas, surveyed_only):
    app = open_page("region", region=link_to(MIDDLE), rule="conformal")
    assert app.radio(key="rule_picker").value == "conformal"
    assert number(app, "gamma") == engine_summary(surveyed_atlas, rule="conformal")["gamma"].shown


def test_a_link_to_such_a_rule_is_answered_in_one_sentence_where_the_atlas_has_no_surveys(open_page):
    app = open_page("region", region=link_to(MIDDLE), rule="conformal")
    assert app.radio(key="rule_picker").value == "sse"
    assert len(app.radio(key="rule_picker").options) == 5
    said = say("rule_needs_surveys", value=RULES["conformal"], shown=RULES["sse"])
    assert said in [*(box.value for box in app.warning), *(box.value for box in app.info)]
    assert say("rules_of_surveys") in [caption.value for caption in app.caption]


@pytest.mark.parametrize("rule", ["", "conformal"])
def test_a_damaged_file_of_surveys_is_said_in_one_sentence(
    open_page, surveyed_atlas_folder, tmp_path, monkeypatch, rule
):
    folder = tmp_path / "atlases" / surveyed_atlas_folder.name
    shutil.copytree(surveyed_atlas_folder, folder)
    (folder / "held_out.parquet").write_bytes(b"PAR1 nothing")
    monkeypatch.setattr(config, "ATLAS_DIRS", (folder.parent,))
    app = open_page("region", region=link_to(MIDDLE), rule=rule)
    said = [box.value for box in (*app.error, *app.warning, *app.info)]
    assert any("cannot be read as what held-out surveys say" in text for text in said), said


def test_scores_of_the_page_are_those_of_the_engine():
    assert tuple(SCORES) == ENGINE_SCORES


def test_the_species_table_says_what_surveys_make_certain(open_page, surveyed_atlas, surveyed_only):
    app = open_page("region", region=link_to(MIDDLE))
    expected = engine_summary(surveyed_atlas).species_table["certainty"].fillna("")
    assert app.dataframe[0].value["certainty"].tolist() == expected.tolist()
    assert {"certain", "possible"} <= set(expected)
    assert "Certain" in app.button_group(key="species_flags").options
    app.button_group(key="species_flags").set_value(["certain"]).run()
    assert set(app.dataframe[0].value["certainty"]) == {"certain"}


def test_without_surveys_nothing_is_called_certain(open_page):
    app = open_page("region", region=link_to(MIDDLE))
    assert "certainty" not in app.dataframe[0].value
    assert "Certain" not in app.button_group(key="species_flags").options
