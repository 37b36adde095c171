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
from sdm_core.assemblages import expected_scores, quadrature
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
    lambda p: assemblages.max_exp(p, "tss"),
    lambda p: assemblages.max_exp(p, "accuracy"),
]


def brute_force(p, score):
    """Expected score of every set of species, over every truth."""
    n = len(p)
    truths = np.array(list(itertools.product([0, 1], repeat=n)))
    chance = np.prod(np.where(truths == 1, p, 1 - p), axis=1)
    best = {}
    for members in truths if score in ("tss", "accuracy") else truths[1:]:
        hits, size, held = truths @ members, members.sum(), truths.sum(axis=1)
        if score == "f1":
            value = 2 * hits / (size + held)
        elif score == "jaccard":
            value = hits / (size + held - hits)
        elif score == "accuracy":
            value = (truths == members).mean(axis=1)
        else:
            value = hits / np.maximum(held, 1) - (size - hits) / np.maximum(n - held, 1)
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


@pytest.mark.parametrize("score", assemblages.SCORES)
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


@pytest.mark.parametrize("score", ["f1", "jaccard", "tss"])
def test_fewer_quadrature_nodes_agree_with_the_exact_number(score, monkeypatch):
    generator = np.random.default_rng(1)
    for shape in (0.05, 0.5, 3.0):
        p = generator.beta(shape, 1.0, size=(1, 700))
        fast = assemblages.expected_score(p, score)
        with monkeypatch.context() as patch:
            patch.setattr(quadrature, "n_nodes", lambda n_species, largest, expected: n_species + 1)
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
    for score in assemblages.SCORES:
        levels = assemblages.best_levels((falling / 255) ** 0.5, counts, score, 50)
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


def test_accuracy_is_best_with_the_species_more_likely_present_than_not():
    p = np.random.default_rng(13).random((20, 30))
    np.testing.assert_array_equal(assemblages.max_exp(p, "accuracy"), p > 0.5)
    assert not assemblages.max_exp([0.4, 0.3], "accuracy").any()


def test_species_that_are_absent_for_certain_lower_the_bar_of_the_true_skill_statistic():
    p = np.array([0.6, 0.3, 0.2])
    few = assemblages.max_exp(p, "tss")
    many = assemblages.max_exp(np.append(p, np.zeros(200)), "tss")
    assert few.tolist() == [True, False, False]
    assert many[:3].all() and not many[3:].any()


@pytest.mark.parametrize("score", ["f1", "jaccard"])
def test_summing_up_improbable_species_changes_no_set(score, monkeypatch):
    generator = np.random.default_rng(14)
    p = 1 / (1 + np.exp(-generator.normal(-6, 2, size=(12, 2500)))).astype(np.float32)
    p[:4] = np.minimum(p[:4], 0.02)  # cells where the best set reaches far down
    p[5] *= 1e-3
    fast = assemblages.max_exp(p, score)
    assert p.shape[1] > 2 * (64 + 8 * p[6:].sum(axis=1).max())
    monkeypatch.setattr(expected_scores, "_LEAST_HEAD", 10**6)
    np.testing.assert_array_equal(fast, assemblages.max_exp(p, score))


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


def test_marginal_limits_keep_all_labels_and_class_conditional_ones_the_presences():
    generator = np.random.default_rng(20)
    p = np.clip(generator.beta(0.3, 6.0, size=(8000, 5)), 0, 1)
    seen = generator.random(p.shape) < p
    first, second = slice(0, 4000), slice(4000, None)
    found = {}
    for kind in ("marginal", "class_conditional"):
        limits = assemblages.calibrate_conformal(p[first], seen[first], 0.1, kind=kind)
        found[kind] = assemblages.conformal_coverage(p[second], seen[second], limits)
    assert found["marginal"].labels == pytest.approx(0.9, abs=0.02)
    assert found["marginal"].presences < 0.4  # the promise is kept by absences alone
    assert found["class_conditional"].presences == pytest.approx(0.9, abs=0.02)
    assert found["class_conditional"].absences >= 0.88


def test_blocks_weigh_the_same_whatever_the_number_of_their_surveys():
    # blocks a, b, c with scores 0.1 (many), 0.4 and 0.8: half of 4 blocks is reached at the second
    p = np.concatenate([np.full(50, 0.9), [0.6], [0.2], np.zeros(60)])[:, None]
    seen = np.concatenate([np.ones(52), np.zeros(60)])[:, None]
    blocks = np.array(["a"] * 50 + ["b", "c"] + ["a"] * 20 + ["b"] * 20 + ["c"] * 20)
    plain = assemblages.calibrate_conformal(p, seen, 0.5)
    blocked = assemblages.calibrate_conformal(p, seen, 0.5, blocks=blocks)
    assert plain.presence_limit[0] == pytest.approx(0.1)
    assert blocked.presence_limit[0] == pytest.approx(0.4)


def test_blocked_calibration_keeps_its_promise_in_new_blocks_where_the_plain_one_does_not():
    generator = np.random.default_rng(21)
    n_blocks = 400
    # a few blocks are well surveyed, and the model is good there
    sizes = np.where(np.arange(n_blocks) % 20 == 0, 200, 4)
    block_of = np.repeat(np.arange(n_blocks), sizes)
    good = sizes[block_of] == 200
    p = np.where(good, 0.9, generator.random(len(block_of)))[:, None]
    seen = np.ones_like(p, dtype=bool)
    seen[generator.random(len(p)) < 0.1] = False
    train = block_of % 2 == 1
    train |= (block_of % 40) == 0
    missed = {}
    for name, blocks in (("plain", None), ("blocked", block_of[train])):
        limits = assemblages.calibrate_conformal(p[train], seen[train], 0.1, blocks=blocks)
        kept = assemblages.conformal_set(p[~train], limits)[:, 0]
        test_blocks = block_of[~train]
        present = seen[~train, 0]
        shares = [kept[present & (test_blocks == b)].mean() for b in np.unique(test_blocks[present])]
        missed[name] = 1 - np.mean(shares)
    assert missed["blocked"] == pytest.approx(0.1, abs=0.04)
    assert missed["plain"] > 0.25


def test_species_in_too_few_blocks_share_the_pooled_limits():
    generator = np.random.default_rng(22)
    p = generator.random((400, 2))
    seen = generator.random(p.shape) < p
    blocks = np.arange(400) // 10
    seen[blocks >= 5, 1] = False  # many presences, in five blocks
    limits = assemblages.calibrate_conformal(p, seen, 0.1, blocks=blocks)
    assert limits.pooled.tolist() == [False, True]
    assert np.isfinite(limits.presence_limit).all()


def test_rare_species_take_the_limits_of_their_group_before_those_of_all():
    generator = np.random.default_rng(23)
    p = generator.random((500, 6))
    seen = generator.random(p.shape) < p
    seen[:, [1, 4]] = False
    seen[:4, [1, 4]] = True  # too few presences of their own
    seen[:, 5] = False
    seen[:2, 5] = True  # and a group with too few
    groups = ["a", "a", "a", "b", "b", "c"]
    limits = assemblages.calibrate_conformal(p, seen, 0.1, groups=groups)
    whole = assemblages.calibrate_conformal(p, seen, 0.1)
    assert limits.pooled.tolist() == [False, True, False, False, True, True]
    alone = assemblages.calibrate_conformal(p[:, :3], seen[:, :3], 0.1)
    assert limits.presence_limit[1] == alone.presence_limit[1] != limits.presence_limit[4]
    assert limits.presence_limit[5] == whole.presence_limit[5]
    assert limits.presence_limit[0] == whole.presence_limit[0]


def test_richness_interval_holds_the_promised_share_of_surveys_though_species_go_together():
    generator = np.random.default_rng(24)
    p = generator.random((3000, 40)) * 0.5
    lucky = np.repeat(generator.random((3000, 1)), 40, axis=1)  # all species of a survey share their luck
    seen = lucky < p
    width = assemblages.calibrate_richness(p[:1500], seen[:1500], 0.2)
    inside = np.abs(seen[1500:].sum(axis=1) - p[1500:].sum(axis=1)) <= width
    assert inside.mean() == pytest.approx(0.8, abs=0.03)
    assert assemblages.calibrate_richness(p[:3], seen[:3] | True, 0.1) == math.inf


SURVEYS = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05])
SEEN = np.array([1, 1, 0, 1, 0, 1, 0, 0, 0, 0])


@pytest.mark.parametrize(
    ("criterion", "expected"),
    [
        # cuts 0.9 … 0.05: TSS 1/4, 2/4, 2/4−1/6, 3/4−1/6, 3/4−2/6, 1−2/6 (best), …
        ("tss", 0.4),
        # F1 2·hits/(chosen + 4): 2/5, 4/6, 4/7, 6/8, 6/9, 8/10 (best), …
        ("f1", 0.4),
        ("prevalence", 0.6),  # 4 of 10 hold it, and 4 lie at 0.6 or above
        ("minimum_presence", 0.4),
        ("p10", 0.4),  # a tenth of four presences is none
    ],
)
def test_threshold_of_a_species_follows_its_criterion(criterion, expected):
    found = assemblages.species_thresholds(SURVEYS[:, None], SEEN[:, None], criterion, strength=0)
    assert found.threshold[0] == pytest.approx(expected)
    assert found.own[0] == pytest.approx(expected)


def test_tenth_percentile_leaves_out_a_tenth_of_the_presences():
    p = np.arange(1, 31)[:, None] / 31
    found = assemblages.species_thresholds(p, np.ones((30, 1)), "p10", strength=0)
    assert found.threshold[0] == pytest.approx(4 / 31)  # 3 of 30 lie below


def test_thresholds_of_rare_species_move_towards_the_common_one_on_the_logit_scale():
    generator = np.random.default_rng(30)
    p = generator.random((400, 3))
    seen = generator.random(p.shape) < p
    seen[:, 1:] = False
    seen[5, 1] = True
    found = assemblages.species_thresholds(p, seen, "tss", strength=9.0)

    def logit(value):
        return math.log(value / (1 - value))

    n = seen[:, 0].sum()
    expected = (n * logit(found.own[0]) + 9 * logit(found.common)) / (n + 9)
    assert logit(found.threshold[0]) == pytest.approx(expected)
    expected = (1 * logit(found.own[1]) + 9 * logit(found.common)) / 10
    assert logit(found.threshold[1]) == pytest.approx(expected)
    assert found.threshold[2] == pytest.approx(found.common)
    assert math.isnan(found.own[2])
    assert found.n_presences.tolist() == [n, 1, 0]


def test_common_threshold_is_that_of_all_species_as_one_but_no_single_miss_decides_it():
    p = np.stack([SURVEYS, SURVEYS[::-1]], axis=1)
    seen = np.stack([SEEN, np.roll(SEEN, 1)], axis=1)
    pooled = assemblages.species_thresholds(p.reshape(-1, 1), seen.reshape(-1, 1), "f1", strength=0)
    assert assemblages.species_thresholds(p, seen, "f1").common == pooled.threshold[0]
    lowest = assemblages.species_thresholds(p, seen, "minimum_presence")
    assert lowest.common == pytest.approx(np.median(lowest.own))


def test_thresholds_that_fit_rare_species_too_closely_are_steadied_by_shrinking():
    generator = np.random.default_rng(31)
    p = generator.beta(0.6, 3.0, size=(4000, 60))
    seen = generator.random(p.shape) < p
    few = slice(0, 60)  # presences of a few surveys only
    found = {
        strength: assemblages.species_thresholds(p[few], seen[few], "f1", strength=strength).threshold
        for strength in (0.0, 20.0)
    }
    best = assemblages.species_thresholds(p[60:], seen[60:], "f1", strength=0).threshold
    error = {strength: np.abs(t - best).mean() for strength, t in found.items()}
    assert error[20.0] < 0.6 * error[0.0]


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
        (
            lambda: assemblages.max_exp(P, "auc"),
            r'The score is "auc", expected one of f1, jaccard, tss, accuracy',
        ),
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
            lambda: assemblages.calibrate_conformal([[0.5]], [[1]], kind="some"),
            r'kind is "some", expected "class_conditional" or "marginal"',
        ),
        (
            lambda: assemblages.calibrate_conformal([[0.5]], [[1]], groups=["a", "b"]),
            r"groups has shape \(2,\), expected one label for each species \(1\)",
        ),
        (
            lambda: assemblages.calibrate_conformal([[0.5]], [[1]], blocks=[1, 2]),
            r"blocks has shape \(2,\), expected one label for each survey \(1\)",
        ),
        (lambda: assemblages.calibrate_richness([[0.5]], [[1]], 0), r"error rate is 0, expected a share"),
        (
            lambda: assemblages.species_thresholds([[0.5]], [[1]], "kappa"),
            r'criterion is "kappa", expected one of tss, f1, prevalence, minimum_presence, p10',
        ),
        (
            lambda: assemblages.species_thresholds([[0.5]], [[1]], strength=-1),
            r"strength is -1, expected a number of presences of 0 or more",
        ),
        (
            lambda: assemblages.species_thresholds([[math.nan]], [[1]]),
            r"Calibration surveys hold NaN",
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
