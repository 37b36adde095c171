"""Scores against scikit-learn, reference programs' numbers, and slow transcriptions of their equations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.stats import pointbiserialr, spearmanr
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    f1_score,
    roc_auc_score,
    roc_curve,
    top_k_accuracy_score,
)
from sklearn.metrics import log_loss as sklearn_log_loss

from sdm_core import losses
from sdm_core.errors import ConfigurationError, TrainingError
from sdm_core.evaluation import (
    adaptive_top_k_accuracy,
    area_under_roc,
    average_precision,
    boyce_index,
    brier_score,
    by_rarity,
    correlation,
    expected_calibration_error,
    log_loss,
    macro_f1,
    micro_f1,
    precision_recall_gain,
    ranking_scores,
    rarity_class,
    reliability_table,
    sample_f1,
    set_scores,
    set_size_error,
    sigmoid,
    species_brier_score,
    species_calibration_error,
    species_f1,
    species_log_loss,
    top_k_accuracy,
    true_skill_statistic,
    why_undefined,
)
from sdm_core.evaluation.metrics import labels

#: The example of the reference programs for precision-recall-gain curves, scores falling from left to right.
PRG_LABELS = np.array([1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 1])


def simulated(n_sites: int = 120, n_species: int = 14, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Presences and scores that know something of them; two species have one class only."""
    rng = np.random.default_rng(seed)
    presence = (rng.random((n_sites, n_species)) < rng.uniform(0.05, 0.7, n_species)).astype(np.uint8)
    presence[:, 3], presence[:, 4] = 0, 1
    return presence, rng.normal(size=presence.shape) + presence


@pytest.mark.parametrize("decimals", [None, 1, 0])
def test_auc_average_precision_and_tss_agree_with_scikit_learn_ties_included(decimals: int | None) -> None:
    rng = np.random.default_rng(1)
    presence = (rng.random((200, 150)) < rng.uniform(0.01, 0.6, 150)).astype(np.uint8)
    presence[:, 3], presence[:, 4] = 0, 1
    scores = rng.normal(size=presence.shape) + presence
    if decimals is not None:
        scores = scores.round(decimals)
    ours = ranking_scores(presence, scores)
    assert np.isnan(ours.auc[[3, 4]]).all() and np.isnan(ours.average_precision[[3, 4]]).all()
    for species in np.flatnonzero(np.isfinite(ours.auc)):
        truth, score = presence[:, species], scores[:, species]
        assert ours.auc[species] == pytest.approx(roc_auc_score(truth, score), abs=1e-12)
        assert ours.average_precision[species] == pytest.approx(
            average_precision_score(truth, score), abs=1e-12
        )
        false_rate, true_rate, _ = roc_curve(truth, score, drop_intermediate=False)
        assert ours.tss[species] == pytest.approx((true_rate - false_rate).max(), abs=1e-12)


def test_order_of_species_does_not_change_scores() -> None:
    rng = np.random.default_rng(2)
    presence, scores = rng.random((60, 9)) < 0.4, rng.normal(size=(60, 9))
    order = rng.permutation(9)
    np.testing.assert_array_equal(
        ranking_scores(presence, scores).auc[order], ranking_scores(presence[:, order], scores[:, order]).auc
    )


def test_sample_f1_agrees_with_scikit_learn_over_sites_with_records() -> None:
    rng = np.random.default_rng(3)
    presence, predicted = rng.random((50, 12)) < 0.3, rng.random((50, 12)) < 0.4
    presence[7] = False
    used = presence.any(axis=1)
    theirs = f1_score(presence[used], predicted[used], average="samples", zero_division=0)
    assert sample_f1(presence, predicted) == pytest.approx(theirs, abs=1e-12)
    assert np.isnan(sample_f1(presence[:0], predicted[:0]))


def test_calibration_error_is_the_worked_example() -> None:
    # bins of 0.5: probabilities .1 .2 .3 with one presence, .8 .9 with one presence
    probability = np.array([[0.1], [0.2], [0.3], [0.8], [0.9]])
    presence = np.array([[0], [0], [1], [1], [0]])
    expected = (3 * abs(0.2 - 1 / 3) + 2 * abs(0.85 - 0.5)) / 5
    assert expected_calibration_error(presence, probability, n_bins=2) == pytest.approx(expected)
    table = reliability_table(presence, probability, n_bins=4)
    assert table["n"].sum() == 5 and list(table["lower"]) == [0.0, 0.25, 0.75]


def test_log_loss_stays_finite_for_extreme_logits() -> None:
    assert log_loss(np.array([[1, 0]]), np.array([[-1e4, -1e4]])) == pytest.approx(5e3)


def test_each_ranking_score_alone_is_the_one_of_all_together() -> None:
    presence, scores = simulated()
    together = ranking_scores(presence, scores)
    np.testing.assert_array_equal(area_under_roc(scores, presence), together.auc)
    np.testing.assert_array_equal(average_precision(scores, presence), together.average_precision)
    np.testing.assert_array_equal(true_skill_statistic(scores, presence), together.tss)
    np.testing.assert_array_equal(precision_recall_gain(scores, presence), together.precision_recall_gain)


def prg_area(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the precision-recall-gain curve, point by point as Flach & Kull write it."""
    n_present, n_absent = int(labels.sum()), int((1 - labels).sum())
    points = [(0.0, 0.0)]
    for value in np.unique(scores)[::-1]:
        taken = scores >= value
        points.append((float(labels[taken].sum()), float((1 - labels[taken]).sum())))
    start = n_present**2 / (n_present + n_absent)
    area = 0.0
    for (tp0, fp0), (tp1, fp1) in itertools.pairwise(points):
        if tp1 <= start:
            continue
        if tp0 < start:
            fp0, tp0 = fp0 + (fp1 - fp0) * (start - tp0) / (tp1 - tp0), start
        odds = n_present / n_absent
        gains = [
            (1 - odds * (n_present - tp) / tp, 1 - odds * fp / tp) for tp, fp in ((tp0, fp0), (tp1, fp1))
        ]
        area += (gains[1][0] - gains[0][0]) * (gains[0][1] + gains[1][1]) / 2
    return area


@pytest.mark.parametrize("decimals", [None, 1, 0])
def test_precision_recall_gain_is_the_area_of_the_curve_point_by_point(decimals: int | None) -> None:
    presence, scores = simulated(150, 30, seed=6)
    scores = scores if decimals is None else scores.round(decimals)
    areas = precision_recall_gain(scores, presence)
    assert np.isnan(areas[[3, 4]]).all()
    for species in np.flatnonzero(np.isfinite(areas)):
        assert areas[species] == pytest.approx(prg_area(presence[:, species], scores[:, species]), abs=1e-12)


def test_precision_recall_gain_is_the_number_of_the_reference_program() -> None:
    # calc_auprg(create_prg_curve(labels, scores)) of pyprg 0.1.1b7, with and without ties
    falling = np.arange(25, 0, -1.0)[:, None]
    assert precision_recall_gain(falling, PRG_LABELS[:, None])[0] == pytest.approx(0.43246210357423226)
    tied = (falling // 4).astype(float)
    assert precision_recall_gain(tied, PRG_LABELS[:, None])[0] == pytest.approx(0.4115103860474231)
    assert precision_recall_gain(-falling, PRG_LABELS[:, None])[0] == pytest.approx(-0.18973263204032428)


def test_precision_recall_gain_of_a_perfect_model_is_one_and_of_a_constant_one_zero() -> None:
    presence = (np.arange(50) < 7)[:, None]
    assert precision_recall_gain(presence.astype(float), presence)[0] == pytest.approx(1.0)
    assert precision_recall_gain(np.zeros((50, 1)), presence)[0] == pytest.approx(0.0, abs=1e-12)


def test_correlation_is_the_point_biserial_of_scipy() -> None:
    presence, scores = simulated()
    ours = correlation(scores.astype(np.float32), presence)
    assert np.isnan(ours[[3, 4]]).all()
    for species in np.flatnonzero(np.isfinite(ours)):
        theirs = pointbiserialr(presence[:, species], scores[:, species].astype(np.float32)).statistic
        assert ours[species] == pytest.approx(theirs, abs=1e-6)


def test_correlation_of_one_score_everywhere_is_undefined() -> None:
    presence = np.array([[1], [0], [1]])
    assert np.isnan(correlation(np.full((3, 1), 0.1), presence)).all()
    assert correlation(np.array([[1.0], [0.0], [1.0]]), presence)[0] == pytest.approx(1.0)


def ecospat_boyce(fit: np.ndarray, obs: np.ndarray, trick: bool) -> float:
    """`ecospat.boyce(fit, obs)` line by line; `trick` moves the last window a unit up as it does."""
    low, high = min(fit.min(), obs.min()), max(fit.max(), obs.max())
    width = (fit.max() - fit.min()) / 10
    moving = low + (high - width - low) / 100 * np.arange(101)
    ends = moving + width
    if trick:
        moving[100] += 1
        ends[100] += 1
    else:
        ends[100] = high
    ratios = []
    for start, end in zip(moving, ends, strict=True):
        expected = np.mean((fit >= start) & (fit <= end))
        observed = np.mean((obs >= start) & (obs <= end))
        ratios.append(round(observed / expected, 10) if expected > 0 else np.nan)
    ratio = np.array(ratios)
    kept = ~np.isnan(ratio)
    ratio, moving = ratio[kept], moving[kept]
    distinct = ratio != np.append(ratio[1:], 1.0)
    return float(spearmanr(ratio[distinct], moving[distinct]).statistic)


def test_boyce_index_is_ecospats_but_for_its_last_window() -> None:
    rng = np.random.default_rng(8)
    truth = rng.beta(1.0, 3.0, (2500, 6))
    presence = rng.random(truth.shape) < truth * np.linspace(0.1, 0.9, 6)
    ours = boyce_index(truth, presence)
    for species in range(6):
        fit, obs = truth[:, species], truth[presence[:, species], species]
        assert ours[species] == pytest.approx(ecospat_boyce(fit, obs, trick=False), abs=1e-9)
        assert ours[species] == pytest.approx(ecospat_boyce(fit, obs, trick=True), abs=0.03)


def test_boyce_index_is_high_for_a_model_that_is_right_low_for_one_reversed_and_free_of_prevalence() -> None:
    rng = np.random.default_rng(9)
    truth = rng.random((20000, 1))
    many, few = rng.random(truth.shape) < 0.6 * truth, rng.random(truth.shape) < 0.1 * truth
    assert boyce_index(truth, many)[0] > 0.98 and boyce_index(truth, few)[0] > 0.95
    assert boyce_index(1 - truth, many)[0] < -0.98


def test_boyce_index_compares_with_the_background_it_is_given() -> None:
    rng = np.random.default_rng(10)
    area = rng.random((4000, 1))
    visited = rng.random((500, 1)) ** 0.5  # presences where the score is high
    presence = np.ones((500, 1), dtype=np.uint8)
    assert boyce_index(visited, presence, area)[0] > 0.95
    assert np.isnan(boyce_index(visited, np.zeros((500, 1)), area)[0])
    assert np.isnan(boyce_index(np.ones((5, 1)), np.ones((5, 1)))[0])
    with pytest.raises(TrainingError, match=r"Background scores of shape \(4000, 2\) do not fit 1 species"):
        boyce_index(visited, presence, np.tile(area, 2))


def test_log_loss_and_brier_agree_with_scikit_learn() -> None:
    presence, logits = simulated()
    probability = sigmoid(logits)
    assert log_loss(presence, logits) == pytest.approx(
        sklearn_log_loss(presence.ravel(), probability.ravel()), abs=1e-9
    )
    assert brier_score(presence, probability) == pytest.approx(
        brier_score_loss(presence.ravel(), probability.ravel()), abs=1e-12
    )
    np.testing.assert_allclose(species_log_loss(presence, logits).mean(), log_loss(presence, logits))
    np.testing.assert_allclose(species_brier_score(presence, probability).mean(),
                               brier_score(presence, probability))  # fmt: skip


def test_calibration_error_of_a_species_is_that_of_its_column() -> None:
    presence, logits = simulated()
    each = species_calibration_error(presence, sigmoid(logits))
    for species in range(presence.shape[1]):
        column = expected_calibration_error(presence[:, [species]], sigmoid(logits[:, [species]]))
        assert each[species] == pytest.approx(column, abs=1e-12)


def test_micro_and_macro_f1_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    presence, predicted = rng.random((50, 12)) < 0.3, rng.random((50, 12)) < 0.4
    assert micro_f1(presence, predicted) == pytest.approx(f1_score(presence, predicted, average="micro"))
    assert macro_f1(presence, predicted) == pytest.approx(f1_score(presence, predicted, average="macro"))
    np.testing.assert_allclose(species_f1(presence, predicted), f1_score(presence, predicted, average=None))


def test_macro_f1_leaves_out_species_neither_recorded_nor_predicted() -> None:
    presence, predicted = np.array([[1, 0, 0], [1, 0, 0]]), np.array([[1, 0, 1], [1, 0, 0]])
    assert macro_f1(presence, predicted) == pytest.approx(0.5)
    assert np.isnan(macro_f1(np.zeros((2, 2)), np.zeros((2, 2))))
    assert np.isnan(micro_f1(np.zeros((2, 2)), np.zeros((2, 2))))


def test_set_scores_are_their_functions_and_the_size_error_has_a_sign_beside_it() -> None:
    presence, predicted = np.array([[1, 1, 0], [0, 0, 1]]), np.array([[1, 0, 0], [1, 1, 1]])
    scores = set_scores(presence, predicted)
    assert (scores.size_error, scores.size_bias) == (1.5, 0.5)
    assert set_size_error(presence, predicted) == 1.5
    assert scores.sample_f1 == sample_f1(presence, predicted)
    assert scores.micro_f1 == micro_f1(presence, predicted)
    assert scores.macro_f1 == macro_f1(presence, predicted)


@pytest.mark.parametrize("k", [1, 3, 7])
def test_top_k_accuracy_of_single_records_is_scikit_learns(k: int) -> None:
    rng = np.random.default_rng(11)
    species = rng.integers(0, 8, 200)
    scores = rng.normal(size=(200, 8)) + 2 * np.eye(8)[species]
    theirs = top_k_accuracy_score(species, scores, k=k, labels=np.arange(8))
    presence = np.eye(8, dtype=np.uint8)[species]
    for mean_over in ("records", "sites"):
        assert top_k_accuracy(scores, presence, k, mean_over) == pytest.approx(theirs)  # type: ignore[arg-type]
    by_species = [top_k_accuracy(scores[species == s], presence[species == s], k) for s in range(8)]
    assert top_k_accuracy(scores, presence, k, "species") == pytest.approx(np.mean(by_species))


def test_top_k_ties_are_worth_their_expectation() -> None:
    presence = np.array([[1, 0, 0, 0]])
    assert top_k_accuracy(np.zeros((1, 4)), presence, 1) == pytest.approx(0.25)
    assert top_k_accuracy(np.array([[1.0, 1.0, 1.0, 2.0]]), presence, 2) == pytest.approx(1 / 3)
    assert top_k_accuracy(np.zeros((1, 4)), presence, 4) == top_k_accuracy(np.zeros((1, 4)), presence, 9) == 1
    assert adaptive_top_k_accuracy(np.zeros((1, 4)), presence, 1) == pytest.approx(0.25)


def test_adaptive_sets_give_more_species_to_ambiguous_sites() -> None:
    # two plain sites, one ambiguous between three species: 5 places over 3 sites
    scores = np.array([[0.97, 0.01, 0.01, 0.01], [0.01, 0.97, 0.01, 0.01], [0.02, 0.32, 0.33, 0.33]])
    presence = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]])
    assert top_k_accuracy(scores, presence, 1) == pytest.approx(2 / 3)
    assert adaptive_top_k_accuracy(scores, presence, 5 / 3) == pytest.approx(1.0)
    assert adaptive_top_k_accuracy(scores, presence, 4) == pytest.approx(1.0)


def test_unknown_entries_count_in_no_score() -> None:
    presence, scores = simulated()
    rng = np.random.default_rng(12)
    unknown = rng.random(presence.shape) < 0.3
    marked = np.where(unknown, 255, presence).astype(np.uint8)
    probability = sigmoid(scores)
    for species in range(presence.shape[1]):
        rows = ~unknown[:, species]
        column = presence[rows][:, [species]]
        for measure in (area_under_roc, average_precision, precision_recall_gain, correlation, boyce_index):
            whole = measure(probability, marked)[species]
            np.testing.assert_allclose(whole, measure(probability[rows][:, [species]], column)[0], atol=1e-12)
        for error in (species_brier_score, species_calibration_error):
            np.testing.assert_allclose(error(marked, probability)[species],
                                       error(column, probability[rows][:, [species]])[0])  # fmt: skip
    kept = ~unknown
    np.testing.assert_allclose(
        log_loss(marked, scores), log_loss(presence[kept][:, None], scores[kept][:, None])
    )
    assert reliability_table(marked, probability)["n"].sum() == kept.sum()
    chosen = scores > 0
    assert sample_f1(marked, chosen) == sample_f1(np.where(unknown, 0, presence), chosen & kept)


def test_the_mark_of_unknown_entries_is_that_of_the_losses() -> None:
    assert labels.UNKNOWN == losses.UNKNOWN


def test_sparse_labels_give_the_scores_of_dense_ones() -> None:
    presence, scores = simulated()
    rows, chosen = sparse.csr_matrix(presence), scores > 0
    for measure in (area_under_roc, average_precision, precision_recall_gain, correlation, boyce_index):
        np.testing.assert_array_equal(measure(scores, rows), measure(scores, presence))
    assert log_loss(rows, scores) == log_loss(presence, scores)
    assert set_scores(rows, chosen) == set_scores(presence, chosen)
    assert top_k_accuracy(scores, rows, 3) == top_k_accuracy(scores, presence, 3)


def test_a_species_with_one_class_has_a_stated_reason() -> None:
    presence = np.array([[0, 1, 1, 255], [0, 1, 0, 255]], dtype=np.uint8)
    assert list(why_undefined(presence)) == [
        "recorded at no site", "recorded at every site", "", "known at no site",
    ]  # fmt: skip
    np.testing.assert_array_equal(
        np.isnan(area_under_roc(np.zeros((2, 4)), presence)), [True, True, False, True]
    )


def test_scores_of_no_sites_are_undefined() -> None:
    nothing = np.zeros((0, 2))
    assert np.isnan(area_under_roc(nothing, nothing)).all() and np.isnan(correlation(nothing, nothing)).all()
    assert np.isnan(log_loss(nothing, nothing)) and np.isnan(brier_score(nothing, nothing))
    assert np.isnan(top_k_accuracy(nothing, nothing, 1)) and np.isnan(set_size_error(nothing, nothing))
    assert np.isnan(expected_calibration_error(nothing, nothing))


def test_extreme_scores_are_ranked_like_any_other() -> None:
    presence = np.array([[1], [0], [1], [0]])
    scores = np.array([[1e30], [-1e30], [1e-30], [0.0]], dtype=np.float32)
    assert area_under_roc(scores, presence)[0] == 1.0 and average_precision(scores, presence)[0] == 1.0
    assert precision_recall_gain(scores, presence)[0] == pytest.approx(1.0)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.integers(-4, 4)), min_size=2, max_size=40))
def test_ranking_scores_do_not_see_the_scale_of_scores(rows: list[tuple[bool, int]]) -> None:
    presence = np.array([[row[0]] for row in rows])
    scores = np.array([[float(row[1])] for row in rows])
    here, there = ranking_scores(presence, scores), ranking_scores(presence, np.exp(scores))
    for name in ("auc", "average_precision", "tss", "precision_recall_gain"):
        np.testing.assert_array_equal(getattr(here, name), getattr(there, name))
    if np.isfinite(here.auc[0]):
        assert here.auc[0] + ranking_scores(presence, -scores).auc[0] == pytest.approx(1.0)
        assert presence.mean() ** 2 <= here.average_precision[0] <= 1


def test_species_fall_into_classes_by_their_training_records() -> None:
    records = np.array([0, 1, 9, 10, 49, 50, 199, 200, 999, 1000, 10**6])
    np.testing.assert_array_equal(rarity_class(records), [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5])
    scores = {"auc": np.array([0.5, 0.7, np.nan]), "tss": np.array([0.1, 0.2, 0.3])}
    table = by_rarity(scores, np.array([12, 40, 5000]))
    assert list(table["rarity"]) == ["10 to 49", "1,000 and more"]
    assert list(table["n_species"]) == [2, 1] and list(table["n_scored"]) == [2, 0]
    assert table["auc"][0] == pytest.approx(0.6) and np.isnan(table["auc"][1]) and table["tss"][1] == 0.3
    with pytest.raises(ConfigurationError, match=r"start at \[0, 5, 5\] records"):
        rarity_class(records, (("a", 0), ("b", 5), ("c", 5)))
    with pytest.raises(TrainingError, match="fewer than 0 training records"):
        rarity_class(np.array([-1]))


def test_scores_that_do_not_fit_are_refused() -> None:
    presence, scores = np.zeros((2, 3)), np.zeros((2, 3))
    for measure in (area_under_roc, correlation, boyce_index):
        with pytest.raises(
            TrainingError, match=r"Presences of shape \(2, 3\) do not fit scores of shape \(2, 2\)"
        ):
            measure(np.zeros((2, 2)), presence)
        with pytest.raises(TrainingError, match="Scores must be finite"):
            measure(np.full((2, 3), np.inf), presence)
    with pytest.raises(TrainingError, match="do not fit probabilities of shape"):
        reliability_table(presence, np.zeros((2, 2)))
    with pytest.raises(TrainingError, match="do not fit species sets of shape"):
        sample_f1(presence, np.zeros((3, 3)))
    with pytest.raises(TrainingError, match="k = 0; expected the number of species"):
        top_k_accuracy(scores, presence, 0)
    with pytest.raises(
        TrainingError, match="k = 4; expected the mean number of species in a set, above 0 and at most 3"
    ):
        adaptive_top_k_accuracy(scores, presence, 4)
    with pytest.raises(TrainingError, match="mean_over = 'families'; expected records, species or sites"):
        top_k_accuracy(scores, presence, 1, "families")  # type: ignore[arg-type]
