"""Which species of a region are certain, and where the model does not apply: none."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from sdm_core import indicators, statuses
from sdm_core.indicators.concern_layers import concern_layers
from sdm_core.prediction import PredictionStore, decode
from tests.make_store import add_held_out_surveys, write_simulated_atlas
from tests.trusted_atlas import add_trust_layers


@pytest.fixture(scope="module")
def surveyed_folder(tmp_path_factory: pytest.TempPathFactory, _own_cache: None) -> Path:
    """An atlas with held-out surveys that does not know where its model applies."""
    folder = tmp_path_factory.mktemp("certainty") / "known-east"
    return add_held_out_surveys(write_simulated_atlas(folder, folder.name))


@pytest.fixture(scope="module")
def unaware_store(surveyed_folder: Path) -> PredictionStore:
    return PredictionStore.open(surveyed_folder)


@pytest.fixture(scope="module")
def trusted_store(surveyed_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> PredictionStore:
    """The same atlas with layers of trust: its east is inside the area of applicability."""
    folder = tmp_path_factory.mktemp("trusted") / surveyed_folder.name
    shutil.copytree(surveyed_folder, folder)
    return PredictionStore.open(add_trust_layers(folder))


def test_only_cells_inside_the_area_of_applicability_make_a_species_certain(
    trusted_store: PredictionStore, unaware_store: PredictionStore
):
    store = trusted_store
    inside = np.asarray(store.layer("applicability")) > 0
    everywhere = np.arange(store.n_cells)
    summary = indicators.summarise_region(store, everywhere)
    table = summary.species_table
    limits = indicators.certainty_of(store)
    certain = limits.certain(decode(np.asarray(store.codes)[inside].max(axis=0)))[table["species_id"]]
    possible = limits.possible(table["max_probability"])
    np.testing.assert_array_equal(table["certainty"] == "certain", certain)
    np.testing.assert_array_equal(table["certainty"] == "possible", possible & ~certain)
    unaware = indicators.summarise_region(unaware_store, everywhere)
    assert certain.sum() < (unaware.species_table["certainty"] == "certain").sum()
    assert "in some cell inside the area of applicability of the model" in summary.certainty_text
    assert (
        f"Of the {store.n_cells:,} cells of this region {inside.sum():,} lie inside" in summary.certainty_text
    )
    assert "does not know where its model applies, so every cell counts" in unaware.certainty_text


def test_a_region_outside_the_area_of_applicability_holds_possible_species_only(
    trusted_store: PredictionStore,
):
    outside = np.flatnonzero(~(np.asarray(trusted_store.layer("applicability")) > 0))
    summary = indicators.summarise_region(trusted_store, outside)
    assert set(summary.species_table["certainty"]) == {"possible", ""}
    assert summary.certainty_text.endswith(
        f"the {len(outside):,} cells of this region none lies inside that area."
    )
    rows = np.flatnonzero(np.asarray(trusted_store.layer("applicability")) > 0)
    assert "cells of this region" not in indicators.summarise_region(trusted_store, rows).certainty_text


def test_status_lists_and_their_map_are_certain_inside_the_area_only(trusted_store: PredictionStore):
    store = trusted_store
    inside = np.asarray(store.layer("applicability")) > 0
    everywhere, names = np.arange(store.n_cells), store.species["species"]
    rows = "".join(f"{name},Red List,CR,East,made up,2026,CC0\n" for name in names)
    file = statuses.read_statuses(
        ("taxon,list,category,region,source,date,licence\n" + rows).encode(), "a.csv"
    )
    matched = [statuses.match_statuses(file, store.species)]
    for chosen, worst in ((everywhere[inside], "CR"), (everywhere[~inside], ""), (everywhere, "CR")):
        summary = indicators.summarise_region(store, chosen, statuses=matched)
        (listed,) = summary.status_lists
        assert (listed.official.certain, listed.official.possible) == (worst, "CR")
        assert listed.certainty_text == summary.certainty_text
        again = indicators.with_statuses(summary, store, chosen, np.asarray(store.area_ha)[chosen], matched)
        assert again.status_lists[0].official == listed.official
    layers = concern_layers(store, everywhere, matched)
    assert layers["most_threatened_certain"][inside].max() == 5
    assert not layers["most_threatened_certain"][~inside].any()
    assert layers["most_threatened"][~inside].max() == 5


def test_with_an_area_but_no_surveys_the_table_says_certain_by_probabilities_inside(
    trusted_store: PredictionStore, monkeypatch
):
    monkeypatch.setattr("sdm_core.indicators.certainty.held_out_of", lambda _: None)
    everywhere = np.arange(trusted_store.n_cells)
    table = indicators.summarise_region(trusted_store, everywhere).species_table
    inside = np.asarray(trusted_store.layer("applicability")) > 0
    best = decode(np.asarray(trusted_store.codes)[inside].max(axis=0))[table["species_id"]]
    np.testing.assert_array_equal(table["certainty"] == "certain", best >= 0.9)
