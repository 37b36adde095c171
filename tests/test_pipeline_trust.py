"""Trust of a small simulated atlas: what its model relies on, what lies inside, and the files that say so."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from sdm_core import config as paths
from sdm_core import pipeline
from sdm_core.__main__ import main
from sdm_core.applicability import EQUAL, REFERENCE_FILE, ApplicabilityReference
from sdm_core.pipeline.configuration import AtlasConfig, load_config
from sdm_core.pipeline.predictor import ModelSpec
from sdm_core.pipeline.reliance import columns_of_predictors, importance_of
from sdm_core.pipeline.trust import training_reference
from sdm_core.prediction import PredictionStore, verify_manifest
from tests.test_pipeline import CONFIG, study  # noqa: F401  study is a fixture

#: Without baselines, one network that does not see where a place lies, on one split.
LEAN = (
    re.sub(r"\[\[baselines\]\].*(?=\[evaluation\])", "", CONFIG, flags=re.DOTALL)
    .replace("[1.0, 2.0]", "[2.0]")
    .replace("n_seeds = 2", "n_seeds = 1")
    .replace("width = 16", 'inputs = "env"\nwidth = 16')
)
_BUILT: dict[Path, Path] = {}


@pytest.fixture
def config(study: Path, monkeypatch: pytest.MonkeyPatch) -> AtlasConfig:  # noqa: F811
    """The lean configuration, on the simulated data."""
    monkeypatch.setattr(paths, "DATA_DIR", study)
    monkeypatch.setattr(paths, "CACHE_DIR", study / "cache")
    (study / "lean.toml").write_text(LEAN)
    return load_config(study / "lean.toml")


@pytest.fixture
def folder(config: AtlasConfig, study: Path) -> Path:  # noqa: F811
    """The atlas, built once for the tests of this file."""
    if study not in _BUILT:
        _BUILT[study] = pipeline.build_atlas(config, out=study / "atlas", device="cpu")
    return _BUILT[study]


def test_the_predictor_that_species_follow_weighs_most(config: AtlasConfig, folder: Path):
    prepared, judge = pipeline.prepare(config), ModelSpec(str(folder)).load()
    columns = columns_of_predictors(prepared, judge)
    names = prepared.features.names
    seen = {name: {names[column] for column in places.features} for name, places in columns.items()}
    assert seen["temperature"] == {"temperature", "temperature_mean1"}
    assert {"temperature", "rain"} <= set(columns)
    found = importance_of(prepared, judge)
    gain = dict(zip(found.names, found.gain, strict=True))
    assert gain["temperature"] > 10 * abs(gain["rain"])
    reference = training_reference(prepared, judge, found)
    weights = dict(zip(reference.names, reference.weights, strict=True))
    assert max(weights, key=weights.get) == "temperature"
    assert weights["temperature"] == pytest.approx(found.weights[found.names.index("temperature")])


def test_an_atlas_notes_its_importances_and_errors_inside_and_outside(folder: Path):
    store = PredictionStore.open(folder)
    notes = store.cell_layers.notes
    assert notes["importance"]["predictors"][0]["name"] == "temperature"
    assert notes["weights"] == "equal"
    assert [check["weights"] for check in notes["held_out"]] == ["equal", "importance"]
    check, weighed = notes["held_out"]
    assert weighed["threshold"] != check["threshold"]
    settings = notes["applicability"]
    assert check["threshold"] == pytest.approx(settings["threshold"])
    assert settings["held_out"]["inside"] == check["inside"]
    assert check["inside"]["n_sites"] + check["outside"]["n_sites"] == settings["n_sites"]
    # same folds as those of the limit, which is the index of one of the sites
    assert check["inside"]["dissimilarity_up_to"] == pytest.approx(check["threshold"])
    assert check["inside"]["skill"] > 0.1
    # by construction few training sites lie beyond the whisker
    assert check["outside"]["n_sites"] < 0.2 * check["n_sites"]
    reference = ApplicabilityReference.load(folder / REFERENCE_FILE)
    assert reference.digest == reference.rounded().digest
    assert 0 <= settings["rounding_error"] < 0.05


def test_the_trust_command_prints_both_tables_and_writes_the_same_again(
    config: AtlasConfig,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
):
    before = {name: (folder / name).read_bytes() for name in ("trust.parquet", REFERENCE_FILE)}
    command = ["trust", "--model", str(folder), "--config", str(config.path)]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert {name: (folder / name).read_bytes() for name in before} == before
    verify_manifest(folder)
    assert re.search(r"temperature +\d+\.\d\d ± \d+\.\d\d", printed)
    assert printed.count("inside the area of applicability  ") == 2
    assert "all predictors weigh the same" in printed
    equal = ApplicabilityReference.load(folder / REFERENCE_FILE)
    assert equal.weighting == EQUAL
    assert np.ptp(equal.weights) == 0
    assert main([*command, "--weights", "importance"]) == 0
    printed = capsys.readouterr().out
    assert "predictors weighed by permutation importance" in printed
    weighed = ApplicabilityReference.load(folder / REFERENCE_FILE)
    assert np.ptp(weighed.weights) > 0
    notes = PredictionStore.open(folder).cell_layers.notes
    assert notes["applicability"]["threshold"] == pytest.approx(weighed.threshold)
    assert notes["applicability"]["held_out"]["inside"] == notes["held_out"][1]["inside"]
    assert main(command) == 0


def test_without_held_out_predictions_in_the_cache_the_command_says_so(
    config: AtlasConfig,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr("sdm_core.config.CACHE_DIR", tmp_path)
    command = ["trust", "--model", str(folder), "--config", str(config.path)]
    assert main(command) == 0
    assert "the cache holds no held-out predictions of this model" in capsys.readouterr().out
    notes = PredictionStore.open(folder).cell_layers.notes
    assert notes["held_out"] == []
    assert "held_out" not in notes["applicability"]
    assert main([*command, "--fit-held-out", "--countries"]) == 0
    printed = capsys.readouterr().out
    assert "square blocks of 2°, 5 folds, equal weights; rank correlation" in printed
    assert "one country at a time" in printed
    notes = PredictionStore.open(folder).cell_layers.notes
    assert notes["applicability"]["held_out"]["split"].startswith("one country at a time")
