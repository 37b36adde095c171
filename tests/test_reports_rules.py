"""The table of rules in the report says what the engine says."""

from __future__ import annotations

import numpy as np
import pytest

from sdm_core import indicators
from sdm_core.indicators.rules_compared import compare_rules
from sdm_core.regions import region_from_point, select_cells
from sdm_core.reports.rule_table import rule_table
from sdm_core.reports.wording import score_notes


@pytest.fixture(scope="module")
def chosen(simulated_atlas):
    store = simulated_atlas.store
    region = region_from_point(0.9, 42.6, 20.0, "Twenty kilometres")
    return select_cells(region, store.lonlat, store.resolution, store.cells, store.area_ha)


def test_rows_are_those_of_the_engine_and_the_rule_of_the_report_comes_first(simulated_atlas, chosen):
    store = simulated_atlas.store
    summary = indicators.summarise_region(store, chosen.rows, rule="max_exp", score="jaccard")
    table = rule_table(store, chosen, summary)
    effects = compare_rules(store, chosen.rows, chosen.hectares, "max_exp", score="jaccard").effects
    assert table["rows"][0]["label"] == "Best expected Jaccard (MaxExp)"
    assert table["rows"][0]["gamma"] == summary["gamma"].shown
    assert [row["gamma"] for row in table["rows"]] == [str(effect.gamma) for effect in effects]
    assert "Threshold 0.5" in [row["label"] for row in table["rows"]]
    assert "the atlas ships none" in table["note"]


def test_thresholds_of_each_species_are_named_and_not_printed(simulated_atlas, chosen):
    store = simulated_atlas.store
    limits = np.full(store.n_species, 0.3)
    summary = indicators.summarise_region(store, chosen.rows, rule="threshold", t=limits)
    assert rule_table(store, chosen, summary)["rows"][0]["label"] == "Threshold of each species"


def test_coverage_on_the_card_is_said_in_the_methods_and_its_absence_is_not():
    row = {"model": "one", "split": "blocks", "auc": 0.9}
    card = {"validation": {"results": [row], "shipped": "one"}}
    said = ["Conformal sets kept 89.9% of the presences."]
    with_coverage = score_notes({**card, "coverage": {"sentences": said}})
    assert with_coverage[-1] == said[0]
    assert not any("onformal" in note for note in score_notes(card))
