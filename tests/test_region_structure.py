"""How composition varies inside a region: equal samples, cells that stand out."""

from __future__ import annotations

import numpy as np
import pytest

from sdm_core import diversity, regions
from sdm_core.indicators import region_structure, structure
from sdm_core.indicators.sets import presence_table
from sdm_core.prediction import decode
from sdm_core.statuses import match_statuses, read_statuses


def test_small_region_is_compared_whole(simulated_atlas):
    store, rows = simulated_atlas.store, np.arange(10, 40)
    found = region_structure(store, rows, "sse", {})
    assert found.n_compared == found.n_cells == 30
    assert found.multi_site.n_cells == 30 and found.multi_site.n_samples == 1
    sets = presence_table(store, rows, "sse", {})
    assert found.multi_site.total == pytest.approx(diversity.multi_site_sorensen(sets))
    assert found.multi_site.turnover == pytest.approx(diversity.multi_site_sorensen_turnover(sets))
    assert found.to_dict()["multi_site"]["total_standard_deviation"] is None


def test_large_region_is_sampled_and_gives_the_same_numbers_each_time(simulated_atlas, monkeypatch):
    monkeypatch.setattr(structure, "MAX_CELLS", 100)
    rows = np.arange(simulated_atlas.store.n_cells)
    found = region_structure(simulated_atlas.store, rows, "sse", {})
    assert (found.n_cells, found.n_compared) == (348, 100)
    assert found.multi_site.n_cells == 50 and found.multi_site.n_samples == 50
    assert found.multi_site.total_standard_deviation > 0
    assert found == region_structure(simulated_atlas.store, rows, "sse", {})


def test_hotspots_are_the_cells_with_the_highest_values(simulated_atlas, tmp_path):
    store, rows = simulated_atlas.store, np.arange(20, 120)
    p = decode(np.asarray(store.codes[20:120])).astype(float)
    threatened, other = np.argsort(-p.mean(axis=0))[:2]  # two that occur in most of the cells
    names = store.species["species"]
    path = tmp_path / "red.csv"
    path.write_text(
        "taxon,list,category,region,source,date,licence\n"
        f"{names[threatened]},Red List,EN,Spain,Made up,2026-01-01,CC0\n"
        f"{names[other]},Red List,LC,Spain,Made up,2026-01-01,CC0\n",
        encoding="utf-8",
    )
    matched = [match_statuses(read_statuses(path), store.species)]
    found = region_structure(store, rows, "sse", {}, matched)
    both = p[:, threatened] + p[:, other]
    share = np.divide(p[:, threatened], both, out=np.full(len(p), -1.0), where=both > 0)
    expected = {
        "richness": p.sum(axis=1),
        "distinctive": diversity.beta_contributions(p).cells * len(p),
        "threatened_share": share,
    }
    assert [hotspot.kind for hotspot in found.hotspots] == [kind for kind in expected for _ in range(3)]
    for kind, values in expected.items():
        of_kind = [hotspot for hotspot in found.hotspots if hotspot.kind == kind]
        np.testing.assert_allclose(
            [hotspot.value for hotspot in of_kind], np.sort(values)[::-1][:3], rtol=1e-5
        )
        first = regions.cells_to_strings(store.cells[20:120][[np.argmax(values)]])[0]
        if kind != "threatened_share":  # shares may tie
            assert of_kind[0].cell == first


def test_region_of_one_cell_has_no_structure(simulated_atlas):
    found = region_structure(simulated_atlas.store, [7], "sse", {})
    assert found.multi_site is None and found.hotspots == () and found.layers == {}
    assert found.to_dict()["multi_site"] is None
    assert set(found.to_dict()["cells"]) == {"definition", "n_others"}


def test_each_cell_has_its_mean_dissimilarity_from_the_others(simulated_atlas):
    store, rows = simulated_atlas.store, np.arange(10, 40)
    found = region_structure(store, rows, "sse", {})
    pairs = diversity.all_pairs(presence_table(store, rows, "sse", {}))
    apart = ~np.eye(30, dtype=bool)
    for name, table in (
        ("beta_sorensen", pairs.total),
        ("beta_turnover", pairs.turnover),
        ("beta_nestedness", pairs.nestedness),
    ):
        expected = np.nanmean(np.where(apart, table, np.nan), axis=1)
        np.testing.assert_allclose(found.layers[name], expected, atol=1e-12)
    assert found.n_others == 30
    said = found.to_dict()["cells"]
    assert said["beta_turnover"]["mean"] == pytest.approx(found.layers["beta_turnover"].mean())
    assert said["richness_hotspot"]["n_cells"] == found.layers["richness_hotspot"].sum()


def test_large_region_compares_each_cell_with_a_sample(simulated_atlas, monkeypatch):
    store = simulated_atlas.store
    rows = np.arange(store.n_cells)
    whole = region_structure(store, rows, "sse", {}).layers["beta_sorensen"]
    monkeypatch.setattr(structure, "N_OTHERS", 100)
    sampled = region_structure(store, rows, "sse", {})
    assert sampled.n_others == 100
    empty = np.isnan(whole)  # cells without a species by the rule
    assert 0 < empty.sum() < len(rows) and np.array_equal(np.isnan(sampled.layers["beta_sorensen"]), empty)
    difference = np.abs(sampled.layers["beta_sorensen"] - whole)[~empty]
    assert 0 < difference.max() < 0.1 and difference.mean() < 0.03


def test_hotspots_are_a_twentieth_of_the_area_and_at_least_one_cell():
    values, area = np.arange(40.0), np.ones(40)
    assert np.flatnonzero(structure.hotspot_mask(values, area)).tolist() == [38, 39]
    assert np.flatnonzero(structure.hotspot_mask(values[:5], area[:5])).tolist() == [4]
    assert np.flatnonzero(structure.hotspot_mask([1.0, np.nan, 3.0], [1, 1, 1])).tolist() == [2]
    area[39] = 9.0  # more than a twentieth alone, and still the one
    assert np.flatnonzero(structure.hotspot_mask(values, area)).tolist() == [39]
    assert not structure.hotspot_mask(np.ones(40), area).any()
    assert not structure.hotspot_mask([np.nan, np.nan], [1, 1]).any()
