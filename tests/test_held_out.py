"""What held-out surveys say of an atlas: the file, the rules and sets it gives, and where it travels."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from sdm_core import assemblages, config, indicators
from sdm_core.__main__ import main
from sdm_core.api import ApiSettings, create_api
from sdm_core.assemblages import ConformalCalibration
from sdm_core.errors import CorruptStoreError, RuleError
from sdm_core.evaluation.card import add_coverage
from sdm_core.evaluation.splits import Split
from sdm_core.indicators.rules_compared import compare_rules
from sdm_core.pipeline.held_out import held_out_surveys
from sdm_core.prediction import PredictionStore, decode, verify_manifest
from sdm_core.prediction.files import HELD_OUT_FILE
from sdm_core.prediction.held_out import HeldOutSurveys, read_held_out
from sdm_core.regions import region_from_geojson, select_cells
from sdm_core.registry import Atlas

SPECIES = ("Abies alba", "Buxus sempervirens", "Cornus mas")
NOTES = {
    "n_sites": 50,
    "split": "square blocks of 1°, 5 folds",
    "error_rate": 0.1,
    "conformal": {"error_rate": 0.1, "kind": "class_conditional"},
    "certain_from": 0.6,
    "common_thresholds": {"tss": 0.2},
    "richness_half_width": 1.5,
}


def surveys(**columns: list) -> HeldOutSurveys:
    """Three species by hand."""
    table = {
        "n_presences": np.array([30, 25, 4], dtype=np.int32),
        "threshold_tss": np.array([0.25, 0.5, 1e-6], dtype=np.float32),
        "presence_limit": np.array([0.5, 0.9, np.inf], dtype=np.float32),
        "absence_limit": np.array([0.4, 0.7, 0.05], dtype=np.float32),
        "conformal_shared": np.array([False, False, True]),
        **columns,
    }
    return HeldOutSurveys(pd.DataFrame(table), NOTES)


class TinyStore:
    """Three species in a few cells, with the surveys above."""

    name, n_species = "tiny", 3

    def __init__(self, codes: np.ndarray, held_out: HeldOutSurveys | None):
        self.codes, self.held_out, self.n_cells = codes, held_out, len(codes)


# The file ---------------------------------------------------------------------------------------------------


def test_what_is_written_is_read_again_and_limits_let_through_no_less(tmp_path: Path):
    path = tmp_path / HELD_OUT_FILE
    given = surveys(presence_limit=np.array([0.1234567, 0.9, np.inf], dtype=np.float32))
    path.write_bytes(given.to_bytes(SPECIES))
    found = read_held_out(path, SPECIES)
    assert found.notes == NOTES
    assert found.criteria == ("tss",)
    assert found.error_rate == 0.1
    np.testing.assert_allclose(found.presence_limit, [0.123457, 0.9, np.inf], atol=1e-7)
    assert np.all(found.presence_limit >= given.presence_limit - 1e-7)
    np.testing.assert_allclose(found.thresholds("tss"), [0.25, 0.5, 1e-6], rtol=1e-5)
    assert list(found.species["conformal_shared"]) == [False, False, True]
    np.testing.assert_array_equal(found.species["n_presences"], [30, 25, 4])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (b"PAR1 nothing", "cannot be read as what held-out surveys say"),
        ({"presence_limit": np.array([0.5, np.nan, 1], dtype=np.float32)}, "a limit is negative or missing"),
        ({"threshold_tss": np.array([-0.5, np.nan, 1], dtype=np.float64)}, "threshold by tss is not above 0"),
        ({"conformal_shared": np.array([1, 0, 1])}, "column conformal_shared has type int32, expected bool"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_way_out(tmp_path: Path, change, words):
    path = tmp_path / HELD_OUT_FILE
    path.write_bytes(change if isinstance(change, bytes) else surveys(**change).to_bytes(SPECIES))
    with pytest.raises(CorruptStoreError, match=words) as caught:
        read_held_out(path, SPECIES)
    assert "python -m sdm_core coverage" in str(caught.value)


def test_a_note_that_is_missing_and_a_plain_table_are_refused(tmp_path: Path):
    path = tmp_path / HELD_OUT_FILE
    notes = {key: value for key, value in NOTES.items() if key != "split"}
    path.write_bytes(dataclasses.replace(surveys(), notes=notes).to_bytes(SPECIES))
    with pytest.raises(CorruptStoreError, match="'split'"):
        read_held_out(path)
    surveys().species.to_parquet(path)
    with pytest.raises(CorruptStoreError, match="florascope"):
        read_held_out(path)


def test_a_file_about_other_species_is_refused_not_left_out(surveyed_atlas_folder: Path, tmp_path: Path):
    folder = tmp_path / "other"
    shutil.copytree(surveyed_atlas_folder, folder)
    (folder / HELD_OUT_FILE).write_bytes(surveys().to_bytes(SPECIES))
    store = PredictionStore.open(folder)
    with pytest.raises(CorruptStoreError, match="about 3 species that are not those of the atlas"):
        store.held_out  # noqa: B018
    (folder / HELD_OUT_FILE).unlink()
    assert PredictionStore.open(folder).held_out is None


def test_the_file_lies_in_hot_copies_and_in_the_manifest(surveyed_atlas: Atlas, surveyed_atlas_folder: Path):
    verify_manifest(surveyed_atlas_folder)
    assert HELD_OUT_FILE in (surveyed_atlas_folder / "MANIFEST.sha256").read_text(encoding="utf-8")
    assert HELD_OUT_FILE in surveyed_atlas.store.meta["files"]
    assert len(surveyed_atlas.store.held_out.species) == surveyed_atlas.store.n_species


def test_the_file_travels_to_tiles_and_back(
    surveyed_atlas: Atlas, surveyed_atlas_folder: Path, tmp_path: Path
):
    for source, target in ((surveyed_atlas_folder, "tiles"), (tmp_path / "tiles", "archive")):
        assert main(["store", "convert", "--model", str(source), "--to", str(tmp_path / target)]) == 0
        store = PredictionStore.open(tmp_path / target)
        pd.testing.assert_frame_equal(store.held_out.species, surveyed_atlas.store.held_out.species)


def test_finer_cells_have_the_surveys_of_their_atlas(surveyed_atlas: Atlas):
    store = surveyed_atlas.store
    finer = PredictionStore(store.folder, dict(store.meta))
    finer.whole = store
    assert finer.held_out is store.held_out


# What it is made of -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray, Split, np.ndarray]:
    random = np.random.default_rng(5)
    logits = random.normal(-1.5, 2, (600, 12)).astype(np.float32)
    logits[:, 0] -= 6  # a species of a handful of presences
    presence = (random.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.uint8)
    return logits, presence, Split("four folds", np.arange(600) % 4), random.uniform(0, 10, (600, 2))


def test_thresholds_limits_and_widths_are_those_of_the_assemblages(drawn):
    from sdm_core.evaluation import cross_fit, sigmoid

    logits, presence, split, _ = drawn
    found = held_out_surveys(*drawn)
    p, seen = sigmoid(cross_fit(logits, presence, split.folds)), presence > 0
    for criterion in assemblages.CRITERIA:
        expected = assemblages.species_thresholds(p, seen, criterion)
        np.testing.assert_allclose(found.thresholds(criterion), expected.threshold, rtol=1e-6)
        assert found.notes["common_thresholds"][criterion] == pytest.approx(expected.common, abs=1e-6)
    limits = assemblages.calibrate_conformal(p, seen, 0.1, groups=assemblages.rarity_groups(seen))
    np.testing.assert_allclose(found.presence_limit, limits.presence_limit, rtol=1e-6)
    np.testing.assert_allclose(found.absence_limit, limits.absence_limit, rtol=1e-6)
    assert found.notes["richness_half_width"] == assemblages.calibrate_richness(p, seen, 0.1)
    assert found.notes["certain_from"] == assemblages.calibrate_certain(p, seen, 0.1)
    assert found.species["conformal_shared"].tolist() == [True] + [False] * 11
    assert found.notes["n_sites"] == 600 and found.notes["split"] == "four folds"
    json.dumps(found.notes, allow_nan=False)


def test_where_nothing_can_be_promised_there_are_no_surveys(drawn):
    logits, presence, _, lonlat = drawn
    assert held_out_surveys(logits, presence, Split("two", np.arange(600) % 2), lonlat) is None
    assert held_out_surveys(logits, np.zeros_like(presence), drawn[2], lonlat) is None


def test_species_called_present_above_the_least_probability_are_right_as_promised():
    # (absences + 1) / (pairs + 1): 20 presences above one absence give 2/22, nine and one give 2/11
    p = np.array([[0.9] * 20 + [0.8] + [0.7] * 9 + [0.1] * 30])
    seen = np.array([[1] * 20 + [0] + [1] * 9 + [0] * 30])
    assert assemblages.calibrate_certain(p, seen, 0.1) == 0.7
    assert assemblages.calibrate_certain(p, seen, 0.04) == float("inf")
    with pytest.raises(RuleError, match="error rate is 1"):
        assemblages.calibrate_certain(p, seen, 1)


def test_rare_species_share_limits_with_those_about_as_rare():
    presence = np.zeros((64, 6), dtype=int)
    for species, n in enumerate((0, 1, 3, 19, 20, 60)):
        presence[:n, species] = 1
    assert assemblages.rarity_groups(presence).tolist() == [0, 0, 1, 4, -1, -1]


# Rules and sets ---------------------------------------------------------------------------------------------


#: Limits that a stored probability meets exactly: 1 − p of code 255 is 0, its p is 1.
MET = {
    "presence_limit": np.array([0.0, 0.9, np.inf], dtype=np.float32),
    "absence_limit": np.array([0.4, 1.0, 0.05], dtype=np.float32),
}


@given(st.lists(st.lists(st.integers(0, 255) | st.just(255), min_size=3, max_size=3), min_size=1, max_size=6))
@example([[255, 255, 255], [254, 254, 254], [0, 0, 0]])
@settings(max_examples=40)
def test_sets_of_stored_codes_are_the_rules_applied_to_decoded_probabilities(rows):
    codes = np.array(rows, dtype=np.uint8)
    held_out = surveys(**MET)
    store, p = TinyStore(codes, held_out), decode(codes)
    every = np.arange(len(codes))
    limits = ConformalCalibration(
        held_out.presence_limit, held_out.absence_limit, np.zeros(3, dtype=bool), 0.1
    )
    possible = assemblages.conformal_set(p, limits) & (p > 0)
    own = assemblages.threshold(p, held_out.thresholds("tss"))
    for rule, options, expected in (
        ("conformal", {}, possible),
        ("species_threshold", {"criterion": "tss"}, own),
    ):
        counts = indicators.set_counts(store, every, rule, options)
        np.testing.assert_array_equal(counts.richness, expected.sum(axis=1))
        np.testing.assert_array_equal(counts.n_cells, expected.sum(axis=0))
    found = indicators.certainty_of(store)
    np.testing.assert_array_equal(found.possible(p), possible)
    certain = assemblages.conformal_certain_set(p, limits) & (p >= 0.6)
    np.testing.assert_array_equal(found.certain(p), certain)
    np.testing.assert_array_equal(codes >= found.possible_code, possible)
    np.testing.assert_array_equal(codes >= found.certain_code, certain)


def test_without_a_probability_that_is_right_often_enough_no_species_is_certain():
    notes = {**NOTES, "certain_from": None}
    store = TinyStore(np.full((1, 3), 255, dtype=np.uint8), dataclasses.replace(surveys(), notes=notes))
    found = indicators.certainty_of(store)
    assert not found.certain(np.ones(3)).any() and found.possible(np.ones(3)).all()
    assert "Certain: never, as no probability" in found.text


def test_without_surveys_two_probabilities_stand_in_and_the_text_says_so():
    found = indicators.certainty_of(TinyStore(np.zeros((1, 3), dtype=np.uint8), None))
    assert found.source == "probability"
    p = np.array([0.01, 0.06, 0.95])
    assert found.possible(p).tolist() == [False, True, True]
    assert found.certain(p).tolist() == [False, False, True]
    assert "0.9" in found.certain_text and "no held-out surveys" in found.possible_text
    assert "does not know where its model applies, so every cell counts" in found.certain_text


@pytest.mark.parametrize("rule", indicators.HELD_OUT_RULES)
def test_rules_of_surveys_are_refused_in_one_sentence_where_there_are_none(simulated_atlas: Atlas, rule):
    store = simulated_atlas.store
    assert rule not in indicators.rules_of(store)
    with pytest.raises(RuleError, match=r'rule ".*" needs surveys that the model has not seen.*held_out'):
        indicators.summarise_region(store, np.arange(5), rule=rule)
    with pytest.raises(RuleError, match="needs surveys"):
        indicators.check_rule(store, rule)


def test_criteria_that_do_not_exist_or_that_the_file_lacks_are_named():
    with pytest.raises(RuleError, match='criterion is "kappa", expected one of tss, f1'):
        indicators.rule_options("species_threshold", {"criterion": "kappa"})
    with pytest.raises(RuleError, match='"conformal" has no option "criterion"'):
        indicators.rule_options("conformal", {"criterion": "tss"})
    store = TinyStore(np.zeros((1, 3), dtype=np.uint8), surveys())
    with pytest.raises(RuleError, match="give no thresholds by 'f1', only by tss"):
        indicators.set_counts(store, np.arange(1), "species_threshold", {"criterion": "f1"})


def test_rules_are_said_in_words_with_what_they_promise(surveyed_atlas: Atlas):
    said = indicators.rule_text("species_threshold", {"criterion": "f1"})
    assert "by held-out surveys: the highest F1 score" in said
    assert "keep 90 % of the presences" in indicators.rule_text("conformal", {}, surveyed_atlas.store)
    assert "%" not in indicators.rule_text("conformal", {})


def test_all_rules_stand_side_by_side_with_the_numbers_of_their_summaries(surveyed_atlas: Atlas):
    store, rows = surveyed_atlas.store, np.arange(40, 80)
    found = compare_rules(store, rows)
    assert {effect.rule for effect in found.effects} == set(indicators.RULES)
    for effect in found.effects:
        summary = indicators.summarise_region(store, rows, rule=effect.rule, **effect.options)
        assert (effect.gamma, effect.text) == (summary.value("gamma"), summary.rule_text)
    assert found.effects[-1].rule == "conformal"
    assert found.effects[-1].gamma == max(effect.gamma for effect in found.effects)
    assert "a list to search by" in found.note and "ships none" not in found.note


def test_the_species_table_says_what_is_certain_and_what_possible(
    surveyed_atlas: Atlas, simulated_atlas: Atlas
):
    rows = np.arange(surveyed_atlas.store.n_cells)
    summary = indicators.summarise_region(surveyed_atlas.store, rows)
    table = summary.species_table
    held_out = surveyed_atlas.store.held_out
    best = table["max_probability"].to_numpy()
    ids = table["species_id"].to_numpy()
    possible = 1 - best <= held_out.presence_limit[ids]
    certain = possible & (best > held_out.absence_limit[ids]) & (best >= held_out.notes["certain_from"])
    assert 0 < certain.sum() < possible.sum() < len(table)
    np.testing.assert_array_equal(table["certainty"] == "certain", certain)
    np.testing.assert_array_equal(table["certainty"] == "possible", possible & ~certain)
    assert summary.to_dict()["certainty"] == summary.certainty_text
    assert "keep 90 % of the presences" in summary.certainty_text
    bare = indicators.summarise_region(simulated_atlas.store, rows)
    assert bare.species_table["certainty"].isna().all()
    assert "no held-out surveys" in bare.certainty_text


def test_the_count_of_one_cell_has_the_conformal_width(surveyed_atlas: Atlas, simulated_atlas: Atlas):
    width = surveyed_atlas.store.held_out.notes["richness_half_width"]
    assert indicators.count_interval(surveyed_atlas.store, 20.0) == (20.0 - width, 20.0 + width)
    assert indicators.count_interval(surveyed_atlas.store, 0.5)[0] == 0.0
    assert indicators.count_interval(simulated_atlas.store, 20.0) is None
    one = indicators.summarise_region(surveyed_atlas.store, [150])["alpha_cell_interval"]
    expected = float(surveyed_atlas.store.layer("richness")[150])
    assert (one.value, one.high) == (expected, expected + width)
    assert "conformal" in one.interval_text
    several = indicators.summarise_region(surveyed_atlas.store, [150, 151])["alpha_cell_interval"]
    assert "conformal" not in several.interval_text


SQUARE = {
    "type": "Polygon",
    "coordinates": [[[0.4, 42.45], [1.2, 42.45], [1.2, 42.75], [0.4, 42.75], [0.4, 42.45]]],
}


@pytest.mark.parametrize(
    ("rule", "options"),
    [("conformal", {}), ("species_threshold", {}), ("species_threshold", {"criterion": "p10"})],
)
def test_the_interface_reads_a_region_by_these_rules(surveyed_atlas: Atlas, monkeypatch, rule, options):
    monkeypatch.setattr(config, "ATLAS_DIRS", (surveyed_atlas.folder.parent,))
    client = TestClient(create_api(ApiSettings(rate=0)))
    address = f"/v1/atlases/{surveyed_atlas.name}/regions"
    answer = client.post(address, params={"rule": rule, "species": "all", **options}, json=SQUARE).json()
    region = region_from_geojson(SQUARE)
    store = surveyed_atlas.store
    rows = select_cells(region, store.lonlat, store.resolution, store.cells, store.area_ha).rows
    summary = indicators.summarise_region(store, rows, rule=rule, **options)
    assert answer["indicators"]["gamma"]["value"] == summary.value("gamma")
    assert answer["rule"]["text"] == summary.rule_text
    assert answer["certainty"] == summary.certainty_text
    assert [entry["certainty"] for entry in answer["species"]] == summary.species_table["certainty"].tolist()


def test_the_interface_refuses_them_in_one_sentence_where_the_atlas_has_no_surveys(
    simulated_atlas: Atlas, monkeypatch
):
    monkeypatch.setattr(config, "ATLAS_DIRS", (simulated_atlas.folder.parent,))
    client = TestClient(create_api(ApiSettings(rate=0)))
    answer = client.post(f"/v1/atlases/{simulated_atlas.name}/regions?rule=conformal", json=SQUARE)
    assert answer.status_code == 422
    assert "needs surveys that the model has not seen" in answer.json()["error"]


def test_the_report_command_takes_them_too(
    surveyed_atlas_folder: Path, simulated_atlas_folder: Path, tmp_path, capsys
):
    (tmp_path / "square.geojson").write_text(json.dumps(SQUARE))
    command = ["report", "--region", str(tmp_path / "square.geojson"), "--formats", "json,csv"]
    command += ["--rule", "species_threshold", "--criterion", "f1", "--out", str(tmp_path / "report")]
    assert main([*command, "--model", str(surveyed_atlas_folder)]) == 0
    written = json.loads((tmp_path / "report" / "indicators.json").read_text(encoding="utf-8"))
    assert written["rule"]["options"] == {"criterion": "f1"}
    assert "the highest F1 score" in written["rule"]["text"]
    table = pd.read_csv(tmp_path / "report" / "species.csv", keep_default_na=False)
    assert {"certain", "possible"} <= set(table["certainty"])
    assert main([*command, "--model", str(simulated_atlas_folder)]) == 2
    assert 'The rule "species_threshold" needs surveys' in capsys.readouterr().err


# The card ---------------------------------------------------------------------------------------------------

COVERAGE = {
    "split": "some blocks",
    "table": [{"what": "presences", "promised": 0.9, "kept": 0.873, "blocks": 4, "sites": 1200}],
    "sentences": ["It kept 87.3%."],
}


def test_only_the_coverage_of_a_card_changes_and_a_second_time_nothing(tmp_path: Path):
    shipped = config.ASSETS_DIR / "atlases" / "european-trees"
    for name in ("model_card.json", "MODEL_CARD.md"):
        shutil.copyfile(shipped / name, tmp_path / name)
    add_coverage(tmp_path, None)
    bare = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    add_coverage(tmp_path, COVERAGE)
    page = (tmp_path / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "| presences | 90.0 % | 87.3 % | – | 4 | 1,200 |" in page
    assert "- It kept 87.3%." in page
    card = json.loads((tmp_path / "model_card.json").read_text(encoding="utf-8"))
    assert card.pop("coverage") == COVERAGE
    assert card == json.loads(bare["model_card.json"])
    start, end = page.index("## Coverage"), page.index("## Limits")
    assert page[:start] + page[end:] == bare["MODEL_CARD.md"]
    add_coverage(tmp_path, COVERAGE)
    assert (tmp_path / "MODEL_CARD.md").read_text(encoding="utf-8") == page
    add_coverage(tmp_path, None)
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == bare
