"""The trust grade against counts taken another way from the simulated atlas, and its limits."""

from __future__ import annotations

import dataclasses
import json
import math
from types import SimpleNamespace

import h3
import numpy as np
import pandas as pd
import pytest

from sdm_core import applicability, indicators
from sdm_core.regions import region_from_point, select_cells
from tests import make_store


@pytest.fixture(scope="module")
def store(simulated_atlas):
    return simulated_atlas.store


@pytest.fixture(scope="module")
def rows(store):
    region = region_from_point(0.9, 42.6, 20.0, "Twenty kilometres")
    return select_cells(region, store.lonlat, store.resolution, store.cells, store.area_ha).rows


@pytest.fixture(scope="module")
def summary(store, rows):
    return indicators.summarise_region(store, rows)


def card(auc, **more):
    return {
        "validation": {
            "shipped": "fusion",
            "results": [
                {"model": "fusion", "block_deg": 2, "auc": 0.99},
                {"model": "fusion", "block_deg": 5, "auc": auc},
                {"model": "grid", "block_deg": 10, "auc": 0.5},
            ],
            **more,
        }
    }


def with_observed(store, observed):
    """The simulated store with other records."""
    return SimpleNamespace(
        cells=store.cells,
        resolution=store.resolution,
        area_ha=store.area_ha,
        species=store.species,
        observed=observed,
        observed_by_species=store.observed_by_species,
        layer_names=(),
    )


def parents_of(store, rows, resolution):
    names = [h3.int_to_str(int(cell)) for cell in store.cells[rows]]
    return [h3.cell_to_parent(name, resolution) for name in names]


def test_records_are_counted_in_the_coarse_cells_the_region_touches(store, rows):
    touched = {h3.str_to_int(name) for name in parents_of(store, rows, 5)}
    inside = store.observed[store.observed["cell"].isin(touched)]
    effort = applicability.observed_effort(store, rows)
    assert effort.n_records == inside["n_records"].sum()
    assert effort.n_sites == inside["n_sites"].sum()
    area = make_store.area_km2_of(np.array(sorted(touched), dtype=np.uint64)).sum()
    assert effort.area_km2 == pytest.approx(area, rel=1e-4)
    assert effort.records_per_100_km2 == pytest.approx(100 * effort.n_records / area, rel=1e-4)


def test_records_around_and_far_area_follow_great_circle_distances(store, rows):
    parents = parents_of(store, rows, 5)
    seen = store.observed.iloc[::6].reset_index(drop=True)
    effort = applicability.observed_effort(with_observed(store, seen), rows)
    centres = {name: h3.cell_to_latlng(name) for name in parents}
    recorded = {
        h3.int_to_str(int(cell)): int(n) for cell, n in zip(seen["cell"], seen["n_records"], strict=True)
    }

    def distance(name, others):
        here = h3.cell_to_latlng(name)
        return min(h3.great_circle_distance(here, h3.cell_to_latlng(other)) for other in others)

    around = sum(n for name, n in recorded.items() if name not in centres and distance(name, centres) <= 25)
    far = np.array([distance(name, recorded) > 25 for name in parents])
    hectares = store.area_ha[rows].astype(float)
    assert effort.n_records_around == around > 0
    assert effort.far_percent == pytest.approx(100 * hectares[far].sum() / hectares.sum())
    parts = hectares * np.linspace(0.1, 1, len(rows))  # cells partly inside the region
    effort = applicability.observed_effort(with_observed(store, seen), rows, parts)
    assert effort.far_percent == pytest.approx(100 * parts[far].sum() / parts.sum())
    assert abs(effort.far_percent - 100 * hectares[far].sum() / hectares.sum()) > 0.1


def test_region_far_from_any_record_is_all_far(store, rows):
    lisbon = pd.DataFrame(
        {"cell": np.array([h3.str_to_int(h3.latlng_to_cell(38.7, -9.1, 5))], dtype=np.uint64)}
    )
    effort = applicability.observed_effort(with_observed(store, lisbon.assign(n_records=9)), rows)
    assert effort.far_percent == 100
    assert effort.n_records == effort.n_records_around == 0
    assert effort.n_sites is None


def test_species_recorded_are_those_of_the_coarser_cells(store, rows):
    touched = {h3.str_to_int(name) for name in parents_of(store, rows, 4)}
    records = store.observed_by_species
    expected = records.loc[records["cell"].isin(touched), "species_id"].nunique()
    assert applicability.observed_effort(store, rows).n_species == expected


@pytest.mark.parametrize(
    ("name", "value", "grade"),
    [
        ("near_records", 95.0, "A"),
        ("near_records", 94.9, "B"),
        ("near_records", 50.0, "C"),
        ("near_records", 49.9, "D"),
        ("model_skill", 0.93, "A"),
        ("model_skill", 0.69, "D"),
        ("record_density", math.nan, "–"),
    ],
)
def test_grades_follow_their_limits(name, value, grade):
    assert applicability.grade_of(name, value) == grade


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("record_density", 0.058, "There are 0.06 records"),  # D, where 0.1 would be C
        ("record_density", 0.00026, "There are 0.0003 records"),
        ("record_density", 0.94, "There are 0.9 records"),
        ("record_density", 0.96, "There are 0.96 records"),
        ("near_records", 94.6, "94.6 % of the area"),
        ("near_records", 96.6, "97 % of the area"),
        ("model_skill", 0.8996, "an AUC of 0.8996"),
    ],
)
def test_values_are_not_rounded_across_a_limit(store, rows, summary, monkeypatch, name, value, shown):
    effort = applicability.Effort(1, 1, 1.0, 0, 0.0, 1)
    if name == "record_density":
        effort = dataclasses.replace(effort, n_records=1, area_km2=100 / value)
    if name == "near_records":
        effort = dataclasses.replace(effort, far_percent=100 - value)
    monkeypatch.setattr(applicability.grading, "observed_effort", lambda *_: effort)
    trust = applicability.assess_trust(store, rows, summary, card(value if name == "model_skill" else 0.95))
    criterion = {criterion.name: criterion for criterion in trust.criteria}[name]
    assert shown in criterion.sentence


def test_all_criteria_of_the_worst_grade_are_the_reason(store, rows, summary, monkeypatch):
    poor = applicability.Effort(0, 1, 1000.0, 0, 90.0, 1)
    monkeypatch.setattr(applicability.grading, "observed_effort", lambda *_: poor)
    table = summary.species_table.assign(records_nearby=1)
    trust = applicability.assess_trust(
        store, rows, dataclasses.replace(summary, species_table=table), card(0.95)
    )
    assert trust.grade == "D"
    assert trust.reason == (
        "10 % of the area lies within 25 km of a place with records. Also D: records per 100 km²."
    )


def test_grade_is_the_worst_of_its_criteria_with_that_one_as_reason(store, rows, summary):
    good = applicability.assess_trust(store, rows, summary, card(0.95))
    poor = applicability.assess_trust(store, rows, summary, card(0.65))
    known = [criterion.grade for criterion in good.criteria if criterion.grade != "–"]
    assert good.grade == max(known)
    assert poor.grade == "D"
    assert poor.reason == (
        "On held-out spatial blocks across the atlas the model reaches an AUC of 0.65 for all species of the "
        "atlas on average."
    )
    assert poor.grade_text == "hardly supported; do not rely on it without a survey"


def test_skill_is_that_of_the_regions_species_where_the_card_has_them(store, summary):
    present = summary.species_table[summary.species_table["present"]]
    scores = [{"species": name, "auc": 0.7 + 0.01 * i} for i, name in enumerate(store.species["species"])]
    value, words = applicability.model_skill(
        store.species, summary.species_table, card(0.9, per_species=scores)
    )
    auc = {row["species"]: row["auc"] for row in scores}
    assert value == pytest.approx(
        np.average([auc[name] for name in present["species"]], weights=present["expected_area_km2"])
    )
    assert words == "the species of the region, weighted by their expected area"


def test_skill_falls_back_to_the_shipped_model_at_its_coarsest_blocks(store, summary):
    assert applicability.model_skill(store.species, summary.species_table, card(0.83))[0] == 0.83


def test_unknown_skill_keeps_the_best_grade_away(store, rows, summary):
    table = summary.species_table.assign(records_nearby=1)
    sure = dataclasses.replace(summary, species_table=table)
    plenty = with_observed(store, store.observed.assign(n_records=1000))
    best = applicability.assess_trust(plenty, rows, sure, card(0.95))
    assert (best.grade, best.reason) == ("A", "All 4 criteria that are known reach A.")
    unsure = applicability.assess_trust(plenty, rows, sure)
    assert unsure.grade == "B"
    assert unsure.reason == "The atlas does not ship how well the model does on held-out blocks."


def test_atlas_that_ships_nothing_has_no_grade(store, rows, summary):
    bare = with_observed(store, None)
    unknown = dataclasses.replace(summary, species_table=summary.species_table.assign(records_nearby=pd.NA))
    trust = applicability.assess_trust(bare, rows, unknown)
    assert trust.grade == "–"
    assert trust.effort is None
    assert trust.reason == "Not known: the atlas ships nothing to judge it by."
    assert all(criterion.sentence == criterion.text.unknown for criterion in trust.criteria)


def test_area_of_applicability_is_a_criterion_where_the_atlas_has_it(store, rows, summary):
    inside = np.zeros(store.n_cells)
    inside[rows[: len(rows) // 2]] = 1
    masked = with_observed(store, store.observed)
    masked.layer_names = ("applicability",)
    masked.layer = lambda name: inside
    trust = applicability.assess_trust(masked, rows, summary, card(0.95))
    criterion = trust.criteria[-1]
    hectares = store.area_ha[rows].astype(float)
    assert criterion.name == "applicability"
    assert criterion.value == pytest.approx(100 * (hectares @ inside[rows]) / hectares.sum())
    parts = hectares * np.linspace(0.1, 1, len(rows))  # cells partly inside the region
    weighed = applicability.assess_trust(masked, rows, summary, card(0.95), parts)
    found = {criterion.name: criterion.value for criterion in weighed.criteria}
    assert found["applicability"] == pytest.approx(100 * (parts @ inside[rows]) / parts.sum())
    far = applicability.observed_effort(masked, rows, parts).far_percent
    assert found["near_records"] == pytest.approx(100 - far)


def test_dictionary_is_strict_json_with_the_limits_beside_each_criterion(store, rows, summary):
    content = applicability.assess_trust(store, rows, summary, card(0.95)).to_dict()
    json.dumps(content, allow_nan=False)
    assert content["criteria"]["model_skill"]["limits"] == {"A": 0.9, "B": 0.8, "C": 0.7}
    assert content["criteria"]["applicability"]["value"] is None
    assert set(content["criteria"]) == set(applicability.CRITERIA)
