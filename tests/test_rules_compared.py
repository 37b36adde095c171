"""Every rule on the same cells, against the summary of each rule alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sdm_core import assemblages, indicators
from sdm_core.errors import NoDataInRegionError, RuleError
from sdm_core.indicators import rules_compared
from sdm_core.indicators.rules_compared import compare_rules
from sdm_core.prediction import decode
from sdm_core.regions import region_from_point, select_cells


@pytest.fixture(scope="module")
def store(simulated_atlas):
    return simulated_atlas.store


@pytest.fixture(scope="module")
def chosen(store):
    region = region_from_point(0.9, 42.6, 20.0, "Twenty kilometres")
    grid = (store.lonlat, store.resolution, store.cells, store.area_ha)
    return select_cells(region, *grid, "area_weighted")


@pytest.mark.parametrize("score", assemblages.SCORES)
def test_sets_of_stored_codes_are_those_of_the_decoded_probabilities(store, chosen, score):
    expected = assemblages.max_exp(decode(store.codes[chosen.rows]), score)
    counts = indicators.set_counts(store, chosen.rows, "max_exp", {"score": score})
    np.testing.assert_array_equal(counts.richness, expected.sum(axis=1))
    np.testing.assert_array_equal(counts.n_cells, expected.sum(axis=0))


def test_each_rule_gives_the_numbers_of_its_own_summary(store, chosen):
    found = compare_rules(store, chosen.rows, chosen.hectares, "threshold", t=0.3)
    assert [effect.chosen for effect in found.effects] == [True] + [False] * (len(found.effects) - 1)
    assert {effect.rule for effect in found.effects} == set(indicators.rules_of(store))
    for effect in found.effects:
        summary = indicators.summarise_region(
            store, chosen.rows, rule=effect.rule, hectares=chosen.hectares, **effect.options
        )
        assert effect.alpha == pytest.approx(summary.value("alpha"))
        assert effect.gamma == summary.value("gamma")
        assert effect.beta == pytest.approx(summary.value("beta_whittaker"))
        assert (effect.fewest, effect.most) == (summary["alpha"].low, summary["alpha"].high)
        assert found.expected == pytest.approx(summary.value("alpha_expected"), rel=1e-3)


def test_a_rule_with_its_usual_options_stands_in_the_table_once(store, chosen):
    found = compare_rules(store, chosen.rows, chosen.hectares)
    named = [(effect.rule, str(effect.options)) for effect in found.effects]
    assert named[0][0] == "sse"
    assert len(set(named)) == len(named) == 7


def test_large_regions_are_compared_on_cells_taken_evenly_and_the_note_says_so(store, monkeypatch):
    monkeypatch.setattr(rules_compared, "COMPARED_CELLS", 50)
    rows = np.arange(store.n_cells)
    found = compare_rules(store, rows)
    assert found.n_cells == 50
    assert found.n_region_cells == store.n_cells
    assert f"50 of the region's {store.n_cells} cells, taken evenly" in found.note
    whole = indicators.summarise_region(store, rows)
    assert found.effects[0].alpha == pytest.approx(whole.value("alpha"), rel=0.05)
    assert found.effects[0].gamma <= whole.value("gamma")


def test_one_cell_without_species_has_no_beta(store):
    bare = int(np.argmin(np.asarray(store.layer("richness"))))
    found = compare_rules(store, [bare], rule="threshold", t=0.999)
    assert found.note.startswith("The one cell of the region.")
    assert found.effects[0].alpha == found.effects[0].gamma == 0
    assert math.isnan(found.effects[0].beta)


def test_no_cell_and_unknown_rules_are_refused_in_one_sentence(store):
    with pytest.raises(NoDataInRegionError, match="holds no cell of the atlas"):
        compare_rules(store, [])
    with pytest.raises(RuleError, match='rule is "best", expected one of'):
        compare_rules(store, [0], rule="best")


@pytest.mark.parametrize(("score", "words"), [("f1", "expected F1 score"), ("tss", "true skill statistic")])
def test_the_score_of_max_exp_is_said_in_words(score, words):
    assert words in indicators.rule_text("max_exp", {"score": score})
