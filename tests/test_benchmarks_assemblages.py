"""The benchmark of rules: on surveys drawn from known probabilities it must find what theory says."""

from __future__ import annotations

import numpy as np
import pytest

from sdm_core.benchmarks.assemblages_table import (
    AssemblageBenchmark,
    AssemblageResult,
    SurveyData,
    judge,
    load_surveys,
    run_assemblages,
    to_text,
)
from sdm_core.errors import ConfigurationError, NotWritableError
from sdm_core.models import SiteInputs


@pytest.fixture(scope="module")
def drawn():
    """Surveys drawn from the probabilities the model gives, so calibration and independence are true."""
    generator = np.random.default_rng(0)
    logits = generator.normal(-2.0, 2.0, size=(1500, 40)).astype(np.float32)
    presence = (generator.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.uint8)
    lonlat = np.column_stack([np.arange(1500) % 50 * 0.5, np.arange(1500) // 50 * 0.5])
    surveys = SurveyData(
        "alps",
        SiteInputs(lonlat, np.zeros((1500, 1), np.float32)),
        presence,
        tuple(f"species {number}" for number in range(40)),
        ("one",),
        np.arange(1500) % 5,
        np.arange(1500) // 5,
    )
    return judge(surveys, logits)


def test_the_rules_are_best_at_what_they_are_made_for(drawn):
    rules = drawn[0].set_index("rule")
    assert rules["sample_f1"].idxmax() in ("MaxExp, f1", "MaxExp, jaccard", "one threshold, best F1")
    assert rules.loc["MaxExp, f1", "sample_f1"] > rules.loc["threshold 0.5", "sample_f1"]
    assert rules.loc["MaxExp, f1", "sample_f1"] > rules.loc["top-K", "sample_f1"]
    assert abs(rules.loc["SSE", "richness_bias"]) < 0.15
    assert abs(rules.loc["average-K", "richness_bias"]) < 0.15
    assert abs(rules.loc["expected richness Σp", "richness_bias"]) < 0.15
    assert rules.loc["per species, minimum_presence", "mean_size"] > rules.loc["SSE", "mean_size"]


def test_coverage_is_as_promised_where_surveys_are_exchangeable(drawn):
    kept = drawn[1].set_index("what")
    assert kept.loc["sets, class-conditional", "presences"] == pytest.approx(0.9, abs=0.02)
    assert kept.loc["sets, marginal", "labels"] == pytest.approx(0.9, abs=0.02)
    assert kept.loc["sets, marginal", "presences"] < kept.loc["sets, class-conditional", "presences"]
    assert kept.loc["richness, conformal", "labels"] == pytest.approx(0.9, abs=0.03)
    assert kept.loc["richness, Poisson-binomial", "labels"] == pytest.approx(0.93, abs=0.04)  # discrete


def test_the_table_is_printed_with_what_is_not_defined_left_out(drawn):
    result = AssemblageResult(
        AssemblageBenchmark(("alps",)), drawn[0].assign(data="alps"), drawn[1].assign(data="alps"), 1.0
    )
    text = to_text(result)
    assert "MaxExp, tss" in text and "pooled, by block" in text and "nan" not in text


def test_settings_that_mean_nothing_are_refused(tmp_path):
    with pytest.raises(
        ConfigurationError, match=r"data sets are \['moon'\]; expected some of alps, eu_forest"
    ):
        AssemblageBenchmark(("moon",))
    with pytest.raises(ConfigurationError, match="epochs = 0; expected 1 or more"):
        AssemblageBenchmark(epochs=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(NotWritableError, match="Nothing can be written"):
        run_assemblages(tmp_path, tmp_path / "file")


@pytest.mark.slow
def test_original_plots_of_the_alps_are_predicted_and_judged(data_dir, tmp_path):
    surveys = load_surveys(data_dir, "alps", 10)
    assert 1900 < len(surveys.inputs) <= 1964 and len(surveys.species) > 700
    found = run_assemblages(data_dir, tmp_path / "out", AssemblageBenchmark(("alps",), epochs=10))
    rules = found.rules.set_index("rule")
    assert rules.loc["MaxExp, f1", "sample_f1"] > rules.loc["threshold 0.5", "sample_f1"] + 0.05
    kept = found.coverage.set_index("what")
    assert kept.loc["sets, pooled by rarity", "presences"] > kept.loc["sets, marginal", "presences"] + 0.5
    assert (tmp_path / "out" / "rules.csv").exists() and (tmp_path / "out" / "coverage.csv").exists()
