"""The two atlases in `assets/`: whole, small enough, and as good as their cards say."""

from __future__ import annotations

import numpy as np
import pytest

from sdm_core import config, regions
from sdm_core.assemblages import CRITERIA
from sdm_core.indicators import HELD_OUT_RULES, error_model_of, rule_options, set_counts, summarise_region
from sdm_core.prediction import decode, verify_manifest
from sdm_core.prediction.files import HELD_OUT_FILE
from sdm_core.registry import Atlas, open_atlas

FOLDER = config.ASSETS_DIR / "atlases"
#: Held-out AUC and average precision that the atlases promise, by block side in degrees.
PROMISED = {
    "european-trees": {2.0: (0.945, 0.41), 5.0: (0.928, 0.35)},
    "iberian-flora": {1.0: (0.898, 0.425)},
}

#: Share of held-out blocks that the interval of no index falls below; 90 % is promised.
LEAST_HELD = {"european-trees": 0.85, "iberian-flora": 0.8}


@pytest.fixture(scope="module", params=sorted(PROMISED))
def atlas(request: pytest.FixtureRequest) -> Atlas:
    return open_atlas(FOLDER / request.param)


def test_files_are_those_of_the_manifest(atlas: Atlas):
    verify_manifest(FOLDER / atlas.name)


def test_atlases_weigh_at_most_forty_one_megabytes_together():
    # 40 MB of predictions and models, and what held-out surveys and training sites say of them
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) <= 41_000_000


def test_held_out_surveys_are_small_and_say_something_of_every_species(atlas: Atlas):
    path, held_out = FOLDER / atlas.name / HELD_OUT_FILE, atlas.store.held_out
    assert held_out is not None and path.stat().st_size < {128: 60_000, 3705: 250_000}[atlas.store.n_species]
    assert len(held_out.species) == atlas.store.n_species
    assert held_out.criteria == tuple(CRITERIA)
    for limits in (held_out.presence_limit, held_out.absence_limit):
        assert np.isfinite(limits).all() and (limits <= 1).all()
    assert not held_out.species["conformal_shared"].any() and (held_out.species["n_presences"] >= 50).all()
    assert (held_out.thresholds("minimum_presence") <= held_out.thresholds("p10")).all()
    assert 0.7 < held_out.notes["certain_from"] < 0.9
    assert held_out.notes["n_sites"] == atlas.card["n_sites"]
    assert error_model_of(atlas.store) is not None


def test_coverage_on_the_card_is_that_of_the_file_and_near_what_was_promised(atlas: Atlas):
    coverage = atlas.card["coverage"]
    assert coverage == atlas.store.held_out.notes["coverage"]
    kept = {row["measure"]: row["kept"] for row in coverage["table"]}
    for name in ("conformal_presences", "conformal_absences", "certain_recorded", "richness_conformal"):
        assert kept[name] == pytest.approx(0.9, abs=0.01), name
    by_block = {row["measure"]: row.get("mean_of_blocks") for row in coverage["table"]}
    assert by_block["conformal_presences"] > 0.84  # a block weighs alike however few sites it has
    assert kept["blocked_presences"] > 0.96
    assert kept["richness_independent"] < 0.8  # species are not independent
    intervals = [share for name, share in kept.items() if name.startswith("interval_")]
    assert len(intervals) == 7 and min(intervals) > LEAST_HELD[atlas.name] and max(intervals) < 0.96
    page = (FOLDER / atlas.name / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert page.count("## Coverage") == 1 and all(said in page for said in coverage["sentences"])


def test_rules_of_held_out_surveys_work_and_conformal_sets_are_the_longest(atlas: Atlas):
    rows = np.arange(0, atlas.store.n_cells, 40)
    p = atlas.store.probabilities(rows).astype(np.float64)
    held_out = atlas.store.held_out
    sizes = {
        rule: set_counts(atlas.store, rows, rule, rule_options(rule, {})).richness for rule in HELD_OUT_RULES
    }
    own = decode(atlas.store.codes[rows]) >= held_out.thresholds("prevalence")
    np.testing.assert_array_equal(sizes["species_threshold"], own.sum(axis=1))
    expected = p.sum(axis=1).mean()
    assert sizes["species_threshold"].mean() == pytest.approx(expected, rel=0.25)
    assert sizes["conformal"].mean() > 2 * expected


def test_scores_on_the_card_keep_the_promise_and_beat_every_baseline(atlas: Atlas):
    validation = atlas.card["validation"]
    for block_deg, (auc, average_precision) in PROMISED[atlas.name].items():
        rows = {row["model"]: row for row in validation["results"] if row["block_deg"] == block_deg}
        shipped = rows.pop(validation["shipped"])
        assert shipped["auc"] >= auc and shipped["average_precision"] >= average_precision
        assert len(rows) >= 4
        assert all(row["auc"] < shipped["auc"] for row in rows.values())
        assert shipped["ece_after"] < shipped["ece_before"]


def test_species_and_cells_are_what_the_card_counts(atlas: Atlas):
    store = atlas.store
    assert (store.n_species, store.n_cells) == (atlas.card["n_species"], atlas.card["n_cells"])
    assert store.species["species"].is_unique and (store.species["n_cells"] >= 50).all()


@pytest.mark.parametrize(("place", "species"), [("Pyrenees", "Fagus sylvatica"), ("Pyrenees", "Abies alba")])
def test_beech_and_fir_live_in_the_pyrenees_and_not_in_almeria(atlas: Atlas, place: str, species: str):
    store = atlas.store
    known = list(store.species["species"])
    mean = {}
    for name in (place, "Almería"):
        area = regions.region_from_place(name)
        rows = regions.select_cells(area, store.lonlat, store.resolution, store.cells, store.area_ha).rows
        mean[name] = store.probabilities(np.asarray(rows))[:, known.index(species)].mean()
    assert mean[place] > 0.3 and mean["Almería"] < 0.02
    assert summarise_region(store, rows, region=area)["gamma"].value > 0
