"""Weights of predictors, errors of held-out sites inside and outside, and the small file of a reference."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sdm_core import applicability
from sdm_core.applicability import EQUAL, ApplicabilityError, ApplicabilityReference
from sdm_core.applicability.held_out_errors import errors_by_dissimilarity, site_errors, table_lines
from sdm_core.applicability.importance import Importance, PredictorColumns, permutation_importance
from sdm_core.applicability.predictor_words import predictor_words
from sdm_core.models import SiteInputs

# Importance ------------------------------------------------------------------------------------------------


def sites(n: int = 400, seed: int = 0) -> SiteInputs:
    """Three features, the second nearly the first; two channels of patches."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(n, 3)).astype(np.float32)
    features[:, 1] = features[:, 0] + 0.01 * features[:, 1]
    lonlat = random.uniform(0, 10, (n, 2))
    return SiteInputs(lonlat, features, random.normal(size=(n, 2, 3, 3)).astype(np.float32))


def test_shuffling_two_sites_gains_the_logit_by_hand():
    # Logits 2 and -2, recorded and not: log loss log(1 + e^-2). Swapped it is log(1 + e^2), which is 2 more.
    inputs = SiteInputs(np.zeros((2, 2)), np.array([[2.0], [-2.0]], dtype=np.float32))
    presence = np.array([[1], [0]])
    found = permutation_importance(
        lambda seen: seen.features, inputs, presence, {"x": PredictorColumns((0,))}, n_permutations=40
    )
    assert found.log_loss == pytest.approx(np.log1p(np.exp(-2)))
    n_swapped = 40 * found.gain[0] / 2
    assert n_swapped == pytest.approx(round(n_swapped), abs=1e-5)
    assert 5 < n_swapped < 35


def test_a_predictor_is_as_important_as_the_model_s_use_of_it():
    inputs = sites()
    logits = 3 * inputs.features[:, [0]] + 0.3 * inputs.lonlat[:, [0]] - 1.5
    presence = (np.random.default_rng(1).random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.uint8)
    columns = {
        "strong": PredictorColumns((0,)),
        "longitude": PredictorColumns(coordinate=0),
        "unused": PredictorColumns((2,)),
        "latitude": PredictorColumns(coordinate=1),
    }

    def predict(seen: SiteInputs) -> np.ndarray:
        return 3 * seen.features[:, [0]] + 0.3 * seen.lonlat[:, [0]] - 1.5

    found = permutation_importance(predict, inputs, presence, columns)
    assert found.gain[0] > found.gain[1] > 0.05
    assert found.gain[2] == found.gain[3] == 0
    again = permutation_importance(predict, inputs, presence, columns)
    np.testing.assert_array_equal(again.gain, found.gain)
    assert found.to_dict()["predictors"][0]["name"] == "strong"


def test_a_layer_is_shuffled_with_its_neighbourhoods():
    inputs = sites()
    logits = 4 * inputs.features[:, [1]]
    presence = (logits > 0).astype(np.uint8)
    columns = {"layer alone": PredictorColumns((0,)), "with neighbourhood": PredictorColumns((0, 1))}
    found = permutation_importance(lambda seen: 4 * seen.features[:, [1]], inputs, presence, columns)
    assert found.gain[0] == 0
    assert found.gain[1] > 1


@pytest.mark.parametrize(
    "columns", [PredictorColumns((0, 2)), PredictorColumns(channels=(1,)), PredictorColumns(coordinate=1)]
)
def test_shuffling_moves_its_predictor_and_nothing_else(columns: PredictorColumns):
    inputs = sites(6)
    before = [np.array(part) for part in (inputs.lonlat, inputs.features, inputs.patches)]
    order = np.array([3, 4, 5, 0, 1, 2])
    moved = columns.shuffled(inputs, order)
    for part, old in zip((inputs.lonlat, inputs.features, inputs.patches), before, strict=True):
        np.testing.assert_array_equal(part, old)
    whole = inputs.take(order)
    for column in range(3):
        expected = whole if column in columns.features else inputs
        np.testing.assert_array_equal(moved.features[:, column], expected.features[:, column])
    for channel in range(2):
        expected = whole if channel in columns.channels else inputs
        np.testing.assert_array_equal(moved.patches[:, channel], expected.patches[:, channel])
    for number in range(2):
        expected = whole if number == columns.coordinate else inputs
        np.testing.assert_array_equal(moved.lonlat[:, number], expected.lonlat[:, number])


def test_weights_have_mean_one_and_losses_of_a_shuffled_predictor_count_as_none():
    found = Importance(("a", "b", "c"), np.array([0.3, -0.1, 0.1]), np.zeros(3), 1.0, 10, 3)
    np.testing.assert_allclose(found.weights, [2.25, 0.0, 0.75])
    none = Importance(("a", "b"), np.array([0.0, -0.1]), np.zeros(2), 1.0, 10, 3)
    assert none.weights is None
    assert "shuffling none of them" in none.text


# Weighted dissimilarity ------------------------------------------------------------------------------------


def test_weights_change_the_dissimilarity_as_its_formula_says():
    # Scaled already (mean 0, sd 1 in both). Weighed by 3 and 4, sites are √52, √73 and 5 apart; the place
    # (1, 2) lies 1 and 1 from the third site, hence 5 from it, and 8 from the second.
    training = [[-1.0, -1.0], [1.0, 0.0], [0.0, 1.0]]
    found = ApplicabilityReference.fit(training, ("x", "y"), weights=(3.0, 4.0))
    mean = (52**0.5 + 73**0.5 + 5) / 3
    assert found.mean_distance == pytest.approx(mean)
    np.testing.assert_allclose(found.dissimilarity([[1.0, 2.0]]), 5 / mean)
    equal = ApplicabilityReference.fit(training, ("x", "y"))
    np.testing.assert_allclose(equal.dissimilarity([[1.0, 2.0]]), 2**0.5 / ((2 * 5**0.5 + 2**0.5) / 3))
    # training index of each site without folds: nearest other site over the mean; the largest is √52
    assert found.threshold == pytest.approx(52**0.5 / mean)


@given(st.floats(0.01, 100))
def test_only_the_proportions_of_weights_matter(factor: float):
    random = np.random.default_rng(0)
    training, places = random.normal(size=(30, 3)), random.normal(size=(9, 3))
    weights = np.array([2.0, 1.0, 0.5])
    one = ApplicabilityReference.fit(training, ("a", "b", "c"), weights=weights)
    other = ApplicabilityReference.fit(training, ("a", "b", "c"), weights=factor * weights)
    np.testing.assert_allclose(other.dissimilarity(places), one.dissimilarity(places), rtol=1e-6)
    assert other.threshold == pytest.approx(one.threshold)


def test_a_predictor_of_no_weight_is_as_if_it_were_not_there():
    random = np.random.default_rng(0)
    training, places = random.normal(size=(30, 2)), random.normal(size=(9, 2))
    folds = np.arange(30) % 3
    one = ApplicabilityReference.fit(training, ("a", "b"), folds, weights=(1.0, -0.2))
    alone = ApplicabilityReference.fit(training[:, :1], ("a",), folds)
    assert one.names == ("a",)
    np.testing.assert_allclose(one.dissimilarity(places[:, :1]), alone.dissimilarity(places[:, :1]))
    assert one.threshold == alone.threshold


def test_dissimilarity_to_other_folds_leaves_out_the_own_fold():
    training = np.array([[0.0], [0.1], [5.0]])
    reference = ApplicabilityReference.fit(training, ("x",))
    folds = np.array([0, 0, 1])
    found = reference.dissimilarity(training, training, folds, folds)
    scale = reference.deviation[0] * reference.mean_distance
    np.testing.assert_allclose(found, np.array([5.0, 4.9, 4.9]) / scale)


# The small file --------------------------------------------------------------------------------------------


@given(arrays.arrays(np.float32, st.integers(1, 700), elements=st.floats(-1000, 1000, width=32)))
def test_levels_keep_the_ends_and_no_value_moves_far(column: np.ndarray):
    levels = applicability.levels_of(column)
    assert len(levels) <= 256
    assert (levels[0], levels[-1]) == (column.min(), column.max())
    assert (np.diff(levels) > 0).all()
    codes, table = applicability.to_levels(column[:, None])
    kept = applicability.from_levels(codes, table)[:, 0]
    # half of one of the 127 even steps
    half = (float(column.max()) - float(column.min())) / 127 / 2
    assert np.abs(kept.astype(float) - column).max() <= half * 1.001 + 1e-4
    codes, table = applicability.to_levels(kept[:, None])
    np.testing.assert_array_equal(applicability.from_levels(codes, table)[:, 0], kept)


def test_up_to_256_different_values_are_kept_exactly():
    column = np.repeat(np.random.default_rng(0).normal(size=256), 3).astype(np.float32)
    codes, table = applicability.to_levels(column[:, None])
    np.testing.assert_array_equal(applicability.from_levels(codes, table)[:, 0], column)


def test_levels_keep_shares_below_a_value_of_skewed_predictors():
    column = np.random.default_rng(0).lognormal(0, 2, 5000)
    kept = applicability.from_levels(*applicability.to_levels(column[:, None]))[:, 0]
    places = np.quantile(column, np.linspace(0, 1, 50))
    exact = applicability.mess_by_variable(places[:, None], column[:, None])
    found = applicability.mess_by_variable(places[:, None], kept[:, None])
    # 128 steps of rank: at most one of them off, twice as MESS counts
    assert np.abs(found - exact).max() < 2 * 100 / 127 + 0.1


def test_the_file_is_small_and_its_error_is_measured(tmp_path: Path):
    random = np.random.default_rng(0)
    training, places = random.normal(size=(3000, 12)), random.normal(size=(500, 12))
    reference = ApplicabilityReference.fit(training, tuple("abcdefghijkl"), np.arange(3000) % 5)
    path = reference.save(tmp_path / "applicability.npz")
    assert path.stat().st_size < reference.sites.nbytes / 2.9
    read = ApplicabilityReference.load(path)
    error = np.abs(read.dissimilarity(places) - reference.dissimilarity(places)).max()
    assert reference.rounding_error(places) == pytest.approx(error)
    assert 0 < error < 0.02
    assert (read.mess(training)[0] >= 0).all()


def test_references_of_the_first_format_can_be_read_and_those_of_a_later_one_not(tmp_path: Path):
    reference = ApplicabilityReference.fit(np.random.default_rng(0).normal(size=(9, 2)), ("a", "b"))
    path = tmp_path / "applicability.npz"

    def write(form: int) -> None:
        buffer = BytesIO()
        np.savez_compressed(
            buffer,
            format=np.array(form),
            names=np.array(reference.names),
            mean=reference.mean,
            deviation=reference.deviation,
            weights=reference.weights,
            sites=reference.sites.astype(np.float16),
            limits=np.array([reference.mean_distance, reference.threshold]),
            words=np.array([reference.folds, reference.weighting]),
        )
        path.write_bytes(buffer.getvalue())

    write(1)
    np.testing.assert_allclose(ApplicabilityReference.load(path).sites, reference.sites, rtol=1e-3)
    write(3)
    with pytest.raises(ApplicabilityError, match="has format 3, this version reads up to 2"):
        ApplicabilityReference.load(path)
    write(2)  # without levels
    with pytest.raises(ApplicabilityError, match="cannot be read as the reference"):
        ApplicabilityReference.load(path)


# Errors inside and outside ---------------------------------------------------------------------------------


def test_errors_of_sites_worked_by_hand():
    logits = np.log(
        np.array([[0.8, 0.4, 0.5], [0.1, 0.6, 0.5]]) / np.array([[0.2, 0.6, 0.5], [0.9, 0.4, 0.5]])
    )
    presence = np.array([[1, 0, 255], [0, 0, 1]], dtype=np.uint8)
    predicted = np.array([[True, True, True], [False, True, True]])
    found = site_errors(presence, logits, predicted)
    expected = [-(np.log(0.8) + np.log(0.6)) / 2, -(np.log(0.9) + np.log(0.4) + np.log(0.5)) / 3]
    np.testing.assert_allclose(found.log_loss, expected)
    np.testing.assert_allclose(found.surplus, [1.2 - 1, 1.2 - 1])
    np.testing.assert_allclose(found.f1, [2 / 3, 2 / 3])  # 1 of 2 predicted and 1 recorded
    # shares (1 + ½) / 3, ½ / 3 and, of one site, (1 + ½) / 2
    np.testing.assert_allclose(
        found.frequency_log_loss,
        [-(np.log(0.5) + np.log(5 / 6)) / 2, -(np.log(0.5) + np.log(5 / 6) + np.log(0.75)) / 3],
    )


def simulated_errors(slope: float):
    """Errors that grow with dissimilarity by `slope`, in 40 blocks that err alike."""
    random = np.random.default_rng(2)
    index, blocks = random.uniform(0, 1, 2000), random.integers(0, 40, 2000)
    noise = random.normal(0, 0.02, 40)[blocks] + random.normal(0, 0.1, 2000)
    presence = random.random((2000, 4)) < 0.5
    errors = site_errors(presence.astype(np.uint8), np.zeros((2000, 4)), presence)
    return (
        index,
        blocks,
        type(errors)(1 + slope * index + noise, np.full(2000, 2.0), 0.8 - slope * index / 2, errors.surplus),
    )


@pytest.mark.parametrize("slope", [0.0, 0.4])
def test_errors_that_grow_with_dissimilarity_are_found_and_others_not(slope: float):
    index, blocks, errors = simulated_errors(slope)
    found = errors_by_dissimilarity(index, 0.75, errors, blocks)
    gap = found["outside_minus_inside"]["log_loss"]
    # means of the index are 0.375 inside and 0.875 outside
    assert gap["mean"] == pytest.approx(0.5 * slope, abs=0.02)
    assert gap["low"] < gap["mean"] < gap["high"]
    assert (gap["low"] > 0) == (slope > 0)
    assert found["inside"]["n_sites"] + found["outside"]["n_sites"] == 2000
    assert [row["n_sites"] for row in found["classes"]] == [400] * 5
    assert found["inside"]["skill"] == pytest.approx(1 - found["inside"]["log_loss"] / 2)
    if slope:
        assert found["rank_correlation"]["log_loss"] > 0.5
        assert found["rank_correlation"]["f1"] == pytest.approx(-1.0)
        losses = [row["log_loss"] for row in found["classes"]]
        assert losses == sorted(losses)
    else:
        assert found["rank_correlation"]["f1"] is None  # all alike
        assert abs(found["rank_correlation"]["log_loss"]) < 0.1


def test_without_sites_outside_there_is_no_difference_to_tell():
    index, blocks, errors = simulated_errors(0.4)
    found = errors_by_dissimilarity(index, 2.0, errors, blocks)
    assert found["outside"] == {
        "n_sites": 0, "dissimilarity_up_to": None, "log_loss": None, "skill": None, "f1": None,
        "surplus": None,
    }  # fmt: skip
    assert found["outside_minus_inside"]["f1"] == {"mean": None, "low": None, "high": None}
    lines = table_lines({EQUAL: found})
    assert lines[3].split() == ["outside", "0", "–", "–", "–", "–", "–"]
    assert lines[-1] == "  outside minus inside, F1: – (90 % interval – to –)"


# Words -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bio12", "precipitation of the year (bio12)"),
        ("sun_rad_range", "yearly range of solar radiation (sun_rad_range)"),
        ("ndvi_average", "mean greenness of the vegetation (ndvi_average)"),
        ("diversidad_topo", "diversity of topography (diversidad_topo)"),
        ("human_footprint", "human footprint"),
        ("soil_ph", "soil ph"),
        ("bio20", "bio20"),
        ("", ""),
    ],
)
def test_predictors_have_words(name: str, words: str):
    assert predictor_words(name) == words
