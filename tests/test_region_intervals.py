"""Intervals of a region's numbers: from errors on held-out surveys, or only from probabilities without."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from sdm_core import indicators, intervals
from sdm_core.indicators import error_intervals
from sdm_core.indicators.texts import COUNT_ERRORS, EVENNESS, MODEL_ERRORS
from sdm_core.registry import open_atlas
from sdm_core.statuses import MatchedStatuses, match_statuses, read_statuses

FROM_ERRORS = (
    "alpha_expected", "shannon", "simpson", "hill_1", "hill_2", "weighted_endemism", "relative_endemism",
    "invasive_share", "gamma_lower", "alpha_cell_interval",
)  # fmt: skip


@pytest.fixture(scope="module")
def store(surveyed_atlas_folder):
    return open_atlas(surveyed_atlas_folder).store


@pytest.fixture(scope="module")
def rows(store) -> np.ndarray:
    return np.arange(20, 120)


@pytest.fixture(scope="module")
def lists(store) -> tuple[MatchedStatuses, ...]:
    names = list(store.species["species"])
    table = pd.DataFrame(
        {
            "taxon": names[:6],
            "list": "Made-up list",
            "category": ["CR", "VU", "LC", "LC", "NT", "EN"],
            "region": "Nowhere",
            "source": "made up for a test",
            "date": "2026",
            "licence": "CC0",
        }
    )
    return (match_statuses(read_statuses(table.to_csv(index=False).encode(), "list.csv"), store.species),)


@pytest.fixture(scope="module")
def summary(store, rows, lists):
    return indicators.summarise_region(store, rows, statuses=lists)


@pytest.mark.parametrize("name", FROM_ERRORS)
def test_every_indicator_has_an_interval_from_errors_and_says_what_it_means(summary, name):
    found = summary[name]
    assert math.isfinite(found.low) and found.low < found.high
    assert found.interval_text in (MODEL_ERRORS, EVENNESS, COUNT_ERRORS)
    entry = summary.to_dict()["indicators"][name]
    assert (entry["low"], entry["high"], entry["low_high_meaning"]) == (
        found.low,
        found.high,
        found.interval_text,
    )


@pytest.mark.parametrize("name", ["alpha_expected", "weighted_endemism", "invasive_share"])
def test_values_that_errors_do_not_shift_lie_inside_their_interval(summary, name):
    assert summary[name].low < summary.value(name) < summary[name].high


def test_intervals_are_those_of_the_draws(store, rows, summary):
    sums = store.region_sums(rows)
    draws = intervals.draw_region(
        np.asarray(store.codes[rows]),
        np.asarray(store.area_ha)[rows],
        np.asarray(store.lonlat)[rows],
        indicators.error_model_of(store),
        sums.expected_area_km2,
    )
    low, high = np.quantile(draws.area.sum(axis=1) / sums.area_km2, [0.05, 0.95])
    assert (summary["alpha_expected"].low, summary["alpha_expected"].high) == pytest.approx((low, high))
    table = summary.species_table.set_index("species_id")
    np.testing.assert_allclose(
        table["area_share_low_percent"], 100 * draws.low[table.index] / sums.area_km2, rtol=1e-6
    )
    assert (table["area_share_low_percent"] < table["area_share_percent"]).all()
    assert (table["area_share_percent"] < table["area_share_high_percent"]).all()


def test_a_red_list_has_an_interval_beside_the_bounds_of_what_is_not_assessed(summary, store, rows):
    numbers = summary.status_lists[0].official
    assert numbers.share_low < numbers.threatened_share < numbers.share_high
    assert numbers.low < numbers.threatened_share < numbers.high
    assert (numbers.share_low, numbers.share_high) != (numbers.low, numbers.high)
    assert "90 % interval" in summary.status_lists[0].sentence
    assert summary.status_lists[0].to_dict()["official"]["share_low"] == numbers.share_low


def test_other_status_lists_leave_the_same_intervals(summary, store, rows, lists):
    bare = indicators.summarise_region(store, rows)
    hectares = np.asarray(store.area_ha)[rows]
    again = indicators.with_statuses(bare, store, rows, hectares, lists)
    assert again.status_lists[0].official == summary.status_lists[0].official


def test_groups_of_species_have_an_interval_of_their_number(summary):
    group = summary.groups["endemic"]
    assert 0 <= group.low <= group.high
    assert float(group.low).is_integer() and float(group.high).is_integer()
    assert "90 % interval" in group.sentence
    assert summary.to_dict()["groups"]["endemic"]["high"] == group.high


def test_without_held_out_surveys_only_counts_have_an_interval(store, rows, monkeypatch):
    monkeypatch.setattr(error_intervals, "held_out_of", lambda _: None)
    found = indicators.summarise_region(store, rows)
    for name in FROM_ERRORS[:-2]:
        assert math.isnan(found[name].low) and not found[name].interval_text
        assert "nan" not in found.sentence(name) and "interval" not in found.sentence(name)
    assert "independent" in found["gamma_lower"].interval_text
    assert math.isnan(found.groups["endemic"].low)
    assert found.species_table["area_share_low_percent"].isna().all()


def test_a_region_of_one_cell_has_intervals(store):
    found = indicators.summarise_region(store, [40])
    assert found["alpha_expected"].low < found.value("alpha_expected") < found["alpha_expected"].high
    assert found["shannon"].low < found["shannon"].high


def test_many_cells_are_sampled_and_keep_their_totals(store, monkeypatch):
    everywhere = np.arange(store.n_cells)
    monkeypatch.setattr(error_intervals, "MAX_DRAWN_CELLS", 100)
    hectares = np.asarray(store.area_ha)
    found = indicators.errors_of_region(store, everywhere, hectares, store.region_sums(everywhere))
    assert len(found.codes) <= 100
    total = store.region_sums(everywhere).expected_area_km2.sum()
    low, high = found.draws.interval(lambda area: area.sum(axis=1))
    assert low < total < high and found.draws.area.sum(axis=1).mean() == pytest.approx(total, rel=0.02)
