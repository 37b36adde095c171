"""Rules from probabilities to sets, against worked values and brute force over all sets."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sdm_core import assemblages
from sdm_core.assemblages import expected_scores
from sdm_core.errors import RuleError

P = np.array([0.9, 0.6, 0.3, 0.2, 0.05])

probabilities = arrays(np.float64, st.integers(1, 7), elements=st.floats(0, 1, allow_subnormal=False))
rules = [
    lambda p: assemblages.threshold(p, 0.3),
    lambda p: assemblages.top_k(p, 2),
    lambda p: assemblages.average_k(p, 1.5),
    assemblages.sse,
    assemblages.max_exp,
    lambda p: assemblages.max_exp(p, "jaccard"),
]


def brute_force(p, score):
    """Expected score of every set of species, over every truth."""
    n = len(p)
    truths = np.array(list(itertools.product([0, 1], repeat=n)))
    chance = np.prod(np.where(truths == 1, p, 1 - p), axis=1)
    best = {}
    for members in truths[1:]:
        hits, size, held = truths @ members, members.sum(), truths.sum(axis=1)
        value = 2 * hits / (size + held) if score == "f1" else hits / (size + held - hits)
        best[tuple(members)] = float(chance @ value)
    return best


def test_worked_probabilities_have_the_worked_distribution_of_richness():
    expected = [0.0213, 0.2390, 0.4537, 0.2421, 0.0423, 0.0016]
    np.testing.assert_allclose(assemblages.poisson_binomial(P), expected, atol=5e-5)


def test_worked_probabilities_have_the_worked_expected_f1_of_each_top_k():
    np.testing.assert_allclose(
        assemblages.expected_score(P), [0.6125, 0.7275, 0.6883, 0.6352, 0.5597], atol=5e-5
    )


def test_worked_probabilities_give_two_species_by_max_exp_and_by_sse():
    assert assemblages.max_exp(P).tolist() == [True, True, False, False, False]
    assert assemblages.sse(P).tolist() == [True, True, False, False, False]


@pytest.mark.parametrize("score", ["f1", "jaccard"])
def test_max_exp_is_the_best_of_all_sets_by_brute_force(score):
    generator = np.random.default_rng(0)
    for n in (1, 2, 4, 6, 8):
        p = generator.beta(0.5, 1.0, size=n)
        values = brute_force(p, score)
        chosen = tuple(assemblages.max_exp(p, score).astype(int))
        assert values[chosen] == pytest.approx(max(values.values()), abs=1e-12)
        ordered = np.argsort(-p)
        for k, value in enumerate(assemblages.expected_score(p, score), start=1):
            members = np.zeros(n, dtype=int)
            members[ordered[:k]] = 1
            assert value == pytest.approx(values[tuple(members)], abs=1e-12)


@pytest.mark.parametrize("score", ["f1", "jaccard"])
def test_fewer_quadrature_nodes_agree_with_the_exact_number(score, monkeypatch):
    generator = np.random.default_rng(1)
    for shape in (0.05, 0.5, 3.0):
        p = generator.beta(shape, 1.0, size=(1, 700))
        fast = assemblages.expected_score(p, score)
        with monkeypatch.context() as patch:
            patch.setattr(expected_scores, "_n_nodes", lambda n_species, largest, expected: n_species + 1)
            np.testing.assert_allclose(fast, assemblages.expected_score(p, score), atol=1e-9)


def test_max_exp_of_many_species_looks_at_every_size_that_could_win():
    generator = np.random.default_rng(2)
    p = generator.beta(0.1, 1.0, size=(5, 300))
    for row in p:
        best = int(np.argmax(assemblages.expected_score(row))) + 1
        assert assemblages.max_exp(row).sum() == best


def test_max_exp_takes_species_of_equal_probability_together():
    assert assemblages.max_exp([0.9, 0.5, 0.5]).tolist() == [True, True, True]
    assert assemblages.max_exp([0.9, *[0.1] * 10]).sum() == 1


def test_distribution_of_richness_agrees_with_simulated_cells():
    generator = np.random.default_rng(3)
    p = generator.random(20)
    drawn = (generator.random((200_000, 20)) < p).sum(axis=1)
    observed = np.bincount(drawn, minlength=21) / 200_000
    np.testing.assert_allclose(assemblages.poisson_binomial(p), observed, atol=4e-3)


def test_distribution_of_equal_probabilities_is_binomial():
    from scipy.stats import binom

    np.testing.assert_allclose(
        assemblages.poisson_binomial(np.full((2, 300), 0.03))[1],
        binom.pmf(np.arange(301), 300, 0.03),
        atol=1e-13,
    )


def test_one_cell_and_a_table_of_cells_have_the_same_distribution():
    p = np.rint(np.random.default_rng(11).random((2, 60)) * 8) / 8  # many species of equal probability
    np.testing.assert_allclose(
        assemblages.poisson_binomial(p), [assemblages.poisson_binomial(row) for row in p], atol=1e-14
    )


def test_best_levels_of_shared_codes_are_the_sets_of_max_exp():
    generator = np.random.default_rng(12)
    codes = generator.integers(0, 40, size=(30, 50))
    codes[3] = 0
    p = (codes / 255) ** 0.5
    falling = np.arange(39, 0, -1)
    counts = np.array([[np.count_nonzero(row == code) for code in falling] for row in codes])
    for score in ("f1", "jaccard"):
        levels = assemblages.best_levels((falling / 255) ** 0.5, counts, score)
        assert levels[3] == -1
        cuts = np.where(levels >= 0, falling[levels], 999)
        np.testing.assert_array_equal(codes >= cuts[:, None], assemblages.max_exp(p, score))


def test_threshold_includes_its_value_and_takes_one_per_species():
    assert assemblages.threshold(P, 0.3).tolist() == [True, True, True, False, False]
    assert assemblages.threshold(P).tolist() == [True, True, False, False, False]
    assert assemblages.threshold(P, [0.95, 0.5, 0.5, 0.1, 0.05]).tolist() == [False, True, False, True, True]


def test_top_k_keeps_exactly_k_distinct_probabilities_and_takes_one_k_per_cell():
    table = np.stack([P, P[::-1]])
    assert assemblages.top_k(table, 3).sum(axis=1).tolist() == [3, 3]
    assert assemblages.top_k(table, [1, 4]).sum(axis=1).tolist() == [1, 4]
    assert assemblages.top_k(P, 0).sum() == 0
    assert assemblages.top_k(P, 99).sum() == 5


def test_ties_are_all_in_unless_exactly_k_is_asked_for():
    tied = [0.5, 0.2, 0.5, 0.5]
    assert assemblages.top_k(tied, 2).tolist() == [True, False, True, True]
    assert assemblages.top_k(tied, 2, ties="first").tolist() == [True, False, True, False]
    assert assemblages.sse(tied).sum() == 3  # Σp 1.7 → 2
    assert assemblages.sse(tied, ties="first").sum() == 2


def test_sse_keeps_as_many_species_as_expected():
    p = np.random.default_rng(4).beta(0.2, 1.0, size=(50, 80))
    np.testing.assert_array_equal(assemblages.sse(p).sum(axis=1), np.rint(p.sum(axis=1)))


def test_average_k_has_the_asked_mean_with_sizes_that_follow_the_cell():
    p = np.random.default_rng(5).random((40, 30)) * np.linspace(0.1, 1, 40)[:, None]
    chosen = assemblages.average_k(p, 6.5)
    assert chosen.sum(axis=1).mean() == pytest.approx(6.5)
    assert chosen.sum(axis=1).min() < 3 < 10 < chosen.sum(axis=1).max()
    limit = assemblages.average_k_threshold(p, 6.5)
    np.testing.assert_array_equal(chosen, assemblages.threshold(p, limit))


def test_average_k_without_any_probability_holds_no_species():
    assert assemblages.average_k_threshold(np.zeros((3, 4)), 2) == math.inf
    assert not assemblages.average_k(np.zeros((3, 4)), 2).any()


def test_nan_and_zero_are_in_no_set():
    p = np.array([[np.nan, 0.9, 0.0, 0.4], [np.nan] * 4, [0.0] * 4])
    for rule in [*rules, lambda values: assemblages.top_k(values, 4, ties="first")]:
        chosen = rule(p)
        assert chosen.dtype == bool
        assert not chosen[:, [0, 2]].any()
        assert not chosen[1:].any()
        assert chosen[0, 1]


def test_max_exp_gives_a_cell_of_small_probabilities_its_best_species():
    assert assemblages.max_exp([0.01, 0.004]).tolist() == [True, False]


def test_rules_accept_single_precision_and_leading_axes_and_change_nothing():
    p = np.random.default_rng(6).random((2, 3, 9)).astype(np.float32)
    before = p.copy()
    for rule in rules:
        assert rule(p).shape == p.shape
    np.testing.assert_array_equal(p, before)


@settings(max_examples=60)
@given(probabilities, st.randoms(use_true_random=False))
def test_order_of_species_never_decides(p, random):
    order = list(range(len(p)))
    random.shuffle(order)
    for rule in rules:
        np.testing.assert_array_equal(rule(p)[order], rule(p[order]))


@settings(max_examples=60)
@given(probabilities)
def test_a_set_never_leaves_out_a_more_probable_species(p):
    for rule in rules:
        chosen = rule(p)
        if chosen.any() and not chosen.all():
            assert p[chosen].min() > p[~chosen].max()


@given(probabilities)
def test_distribution_of_richness_has_its_mean_and_variance(p):
    distribution = assemblages.poisson_binomial(p)
    counts = np.arange(len(p) + 1)
    assert distribution.sum() == pytest.approx(1)
    assert distribution @ counts == pytest.approx(p.sum(), abs=1e-12)
    assert distribution @ (counts - p.sum()) ** 2 == pytest.approx((p * (1 - p)).sum(), abs=1e-12)


def test_conformal_limit_is_the_ranked_score_of_the_presences():
    # 9 presences at p 0.1 … 0.9: the ⌈10·0.8⌉ = 8th smallest 1 − p is 0.8; 10 absences at 0: limit 0
    p = np.concatenate([np.arange(1, 10) / 10, np.zeros(10)])[:, None]
    seen = np.concatenate([np.ones(9), np.zeros(10)])[:, None]
    limits = assemblages.calibrate_conformal(p, seen, error_rate=0.2, minimum_presences=5)
    assert limits.presence_limit[0] == pytest.approx(0.8)
    assert limits.absence_limit[0] == 0
    assert not limits.pooled[0]
    assert assemblages.conformal_set([[0.25], [0.15]], limits)[:, 0].tolist() == [True, False]


def test_conformal_sets_miss_no_more_presences_than_the_error_rate_says():
    generator = np.random.default_rng(8)
    p = generator.beta(0.5, 1.0, size=(6000, 4))
    seen = generator.random(p.shape) < p
    limits = assemblages.calibrate_conformal(p[:3000], seen[:3000], error_rate=0.1)
    possible = assemblages.conformal_set(p[3000:], limits)
    certain = assemblages.conformal_certain_set(p[3000:], limits)
    assert possible[seen[3000:]].mean() == pytest.approx(0.9, abs=0.02)
    assert certain[~seen[3000:]].mean() <= 0.12
    assert not (certain & ~possible).any()


def test_species_with_few_presences_share_the_pooled_limits():
    generator = np.random.default_rng(9)
    p = generator.random((200, 2))
    seen = generator.random(p.shape) < p
    seen[:, 1] = False
    seen[:3, 1] = True
    limits = assemblages.calibrate_conformal(p, seen)
    assert limits.pooled.tolist() == [False, True]


def test_too_few_presences_in_all_exclude_nothing():
    limits = assemblages.calibrate_conformal([[0.9], [0.1]], [[1], [0]], error_rate=0.1)
    assert assemblages.conformal_set([[0.0001]], limits).all()
    assert not assemblages.conformal_set([[math.nan]], limits).any()
    assert not assemblages.conformal_certain_set([[0.9999]], limits).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: assemblages.threshold([1.2]),
            r"probability holds the value 1\.2, expected probabilities from 0",
        ),
        (lambda: assemblages.sse([-0.1, 0.5]), r"probability holds the value -0\.1, expected probabilities"),
        (lambda: assemblages.sse(0.4), r"probability is a single number \(0\.4\)"),
        (lambda: assemblages.sse(["x"]), r"probability has type <U1, expected numbers from 0 to 1"),
        (lambda: assemblages.threshold(P, 0), r"The threshold is 0, expected a probability above 0"),
        (lambda: assemblages.threshold(P, math.nan), r"The threshold is nan"),
        (
            lambda: assemblages.threshold(P, [0.1, 0.2]),
            r"thresholds have shape \(2,\), expected one number or one",
        ),
        (lambda: assemblages.top_k(P, 1.5), r"k is 1\.5, expected a whole number of species"),
        (lambda: assemblages.top_k(P, -1), r"k is -1, expected a whole number of species"),
        (
            lambda: assemblages.top_k(P[None], [1, 2]),
            r"k has shape \(2,\), expected one number or one for each cell",
        ),
        (lambda: assemblages.top_k(P, 2, ties="random"), r'ties is "random", expected "include" or "first"'),
        (lambda: assemblages.average_k(P[None], -2), r"k is -2, expected a mean number of species per cell"),
        (lambda: assemblages.max_exp(P, "tss"), r'The score is "tss", expected "f1" or "jaccard"'),
        (
            lambda: assemblages.poisson_binomial([0.5, 1.5]),
            r"probability holds NaN or a value outside 0 to 1",
        ),
        (lambda: assemblages.poisson_binomial(0.5), r"probability is a single number"),
        (
            lambda: assemblages.calibrate_conformal([[0.5]], [[1, 0]]),
            r"probability has shape \(1, 1\) and presence \(1, 2\)",
        ),
        (
            lambda: assemblages.calibrate_conformal([[0.5]], [[2]]),
            r"hold NaN or a presence other than 0 and 1",
        ),
        (lambda: assemblages.calibrate_conformal([[0.5]], [[0]]), r"hold no presence of any species"),
        (
            lambda: assemblages.calibrate_conformal([[0.5]], [[1]], 1.0),
            r"error rate is 1, expected a share above 0",
        ),
        (
            lambda: assemblages.conformal_set(P, assemblages.calibrate_conformal([[0.5]], [[1]])),
            r"probability has 5 species, the calibration 1",
        ),
    ],
)
def test_what_is_not_defined_is_refused_in_one_sentence(call, message):
    with pytest.raises(RuleError, match=message):
        call()
