"""Indices against worked values, scikit-bio and the properties every one of them has."""

from __future__ import annotations

import math

import numpy as np
import pytest
import skbio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sdm_core import diversity
from sdm_core.errors import FlorascopeError, RuleError

Q = np.array([0.5, 0.3, 0.2])
P = np.array([0.9, 0.6, 0.3, 0.2, 0.05])
# species 1…6 of three sites; column 0 is a species nobody has
SITES = np.zeros((3, 7), dtype=bool)
SITES[0, [1, 2, 3, 4]] = SITES[1, [1, 2, 5]] = SITES[2, [2, 5, 6]] = True
A, B = SITES[0], SITES[1]

weights = arrays(np.float64, st.integers(1, 12), elements=st.floats(0, 1e6, allow_subnormal=False)).filter(
    lambda w: w.any()
)
tables = st.tuples(st.integers(1, 8), st.integers(1, 9)).flatmap(lambda shape: arrays(np.bool_, shape))
ONE_COMMUNITY = [
    diversity.shannon,
    diversity.simpson,
    diversity.inverse_simpson,
    diversity.pielou,
    lambda q: diversity.hill(q, 0.5),
]
PAIRS = [
    diversity.sorensen,
    diversity.sorensen_turnover,
    diversity.sorensen_nestedness,
    diversity.jaccard,
    diversity.jaccard_turnover,
    diversity.jaccard_nestedness,
]


# Worked values: recomputed independently for the project's ecology reference, to the digits given there.


def test_three_species_have_the_worked_shannon_simpson_and_hill_values():
    assert diversity.shannon(Q) == pytest.approx(1.029653, abs=5e-7)
    assert diversity.hill(Q, 1) == pytest.approx(2.800094, abs=5e-7)
    assert diversity.simpson(Q) == pytest.approx(0.62)
    assert diversity.inverse_simpson(Q) == pytest.approx(2.631579, abs=5e-7)
    assert diversity.hill(Q, 2) == pytest.approx(2.631579, abs=5e-7)
    assert diversity.hill(Q, 0) == 3


def test_two_worked_sites_split_into_turnover_and_nestedness():
    assert diversity.sorensen(A, B) == pytest.approx(0.428571, abs=5e-7)
    assert diversity.sorensen_turnover(A, B) == pytest.approx(0.333333, abs=5e-7)
    assert diversity.sorensen_nestedness(A, B) == pytest.approx(0.095238, abs=5e-7)
    assert diversity.jaccard(A, B) == pytest.approx(0.6)
    assert diversity.jaccard_turnover(A, B) == pytest.approx(0.5)
    assert diversity.jaccard_nestedness(A, B) == pytest.approx(0.1)


def test_two_worked_sites_have_gamma_5_and_both_betas():
    assert diversity.gamma(SITES[:2]) == 5
    assert diversity.alpha(SITES[:2]) == 3.5
    assert diversity.beta_whittaker(SITES[:2]) == pytest.approx(1.428571, abs=5e-7)
    assert diversity.beta_additive(SITES[:2]) == 1.5


def test_three_worked_sites_have_the_multi_site_values():
    assert diversity.multi_site_sorensen_turnover(SITES) == pytest.approx(0.5)
    assert diversity.multi_site_sorensen(SITES) == pytest.approx(0.555556, abs=5e-7)
    assert diversity.multi_site_sorensen_nestedness(SITES) == pytest.approx(0.055556, abs=5e-7)
    assert diversity.gamma(SITES) == 6
    assert diversity.alpha(SITES) == pytest.approx(3.333333, abs=5e-7)
    assert diversity.beta_whittaker(SITES) == pytest.approx(1.8)


def test_multi_site_jaccard_follows_from_a_m_and_big_m():
    # A 4, m 4, M 6 as above: 8/(4+8) and 10/(4+10)
    assert diversity.multi_site_jaccard_turnover(SITES) == pytest.approx(8 / 12)
    assert diversity.multi_site_jaccard(SITES) == pytest.approx(10 / 14)
    assert diversity.multi_site_jaccard_nestedness(SITES) == pytest.approx(10 / 14 - 8 / 12)


def test_five_probabilities_have_the_worked_mean_and_variance_of_richness():
    assert diversity.expected_richness(P) == pytest.approx(2.05)
    assert diversity.richness_variance(P) == pytest.approx(0.7475)


def test_richness_interval_is_read_off_the_worked_distribution():
    # P(S = 0…5) = .0213 .2390 .4537 .2421 .0423 .0016; 5 % from below lies in 1, 95 % in 3
    assert diversity.richness_interval(P, 0.9).tolist() == [1, 3]
    assert diversity.richness_interval(P, 0.99).tolist() == [0, 4]


def test_a_cell_of_probabilities_does_not_differ_from_itself():
    # multiplying probabilities would give 0.364634 here
    assert diversity.sorensen(P, P) == 0
    assert diversity.jaccard(P, P) == 0


def test_threatened_example_has_the_worked_entropy():
    assert diversity.shannon([0.5, 0.3, 0.15, 0.05]) == pytest.approx(1.142120, abs=5e-7)


def test_two_cells_of_the_same_single_species_are_alike_in_every_measure():
    table = np.array([[0, 1, 0], [0, 1, 0]])
    assert [measure(table[0], table[1]) for measure in PAIRS] == [0] * 6
    assert diversity.beta_whittaker(table) == 1
    assert diversity.beta_additive(table) == 0
    assert diversity.beta_jost(table, 1) == 1
    assert diversity.multi_site_sorensen(table) == 0
    assert diversity.shannon(table).tolist() == [0, 0]


def test_weighted_endemism_adds_one_over_range():
    assert diversity.weighted_endemism([1, 0, 1], [2, 5, 4]) == pytest.approx(0.75)
    assert diversity.weighted_endemism([0.5, 1, 1], [2, 5, 0]) == pytest.approx(0.45)


# Independent programs.


def test_indices_agree_with_scikit_bio_on_random_counts():
    counts = np.random.default_rng(3).poisson(2.0, size=(40, 25))
    counts[0, 1:] = 0
    for row, h, d, inverse, j in zip(
        counts[1:],
        diversity.shannon(counts)[1:],
        diversity.simpson(counts)[1:],
        diversity.inverse_simpson(counts)[1:],
        diversity.pielou(counts)[1:],
        strict=True,
    ):
        assert h == pytest.approx(skbio.diversity.alpha.shannon(row, base=math.e))
        assert d == pytest.approx(skbio.diversity.alpha.simpson(row))
        assert inverse == pytest.approx(skbio.diversity.alpha.inv_simpson(row))
        assert j == pytest.approx(skbio.diversity.alpha.pielou_e(row))
        for order in (0, 0.5, 0.999, 1, 1.3, 2, 7.5):
            assert diversity.hill(row, order) == pytest.approx(skbio.diversity.alpha.hill(row, order=order))


def test_pair_measures_agree_with_scipy():
    from scipy.spatial.distance import braycurtis, dice
    from scipy.spatial.distance import jaccard as scipy_jaccard

    generator = np.random.default_rng(4)
    first, second = generator.random((2, 30, 12))
    sets_first, sets_second = first > 0.5, second > 0.4
    for row in range(30):
        assert diversity.sorensen(first, second)[row] == pytest.approx(braycurtis(first[row], second[row]))
        assert diversity.sorensen(sets_first, sets_second)[row] == pytest.approx(
            dice(sets_first[row], sets_second[row])
        )
        assert diversity.jaccard(sets_first, sets_second)[row] == pytest.approx(
            scipy_jaccard(sets_first[row], sets_second[row])
        )


def test_jost_beta_of_equal_cells_without_shared_species_is_their_number():
    cells = np.kron(np.eye(4), np.ones(3))
    for order in (0, 0.5, 1, 2, math.inf):
        assert diversity.alpha_jost(cells, order) == pytest.approx(3)
        assert diversity.beta_jost(cells, order) == pytest.approx(4)


def test_jost_alpha_of_order_1_is_the_weighted_mean_entropy():
    cells = np.array([[0.5, 0.5, 0.0], [0.2, 0.2, 0.6]])
    expected = math.exp(0.75 * diversity.shannon(cells[0]) + 0.25 * diversity.shannon(cells[1]))
    assert diversity.alpha_jost(cells, 1, [3, 1]) == pytest.approx(expected)


def test_entropy_in_one_pass_is_that_of_the_definition_with_zeros_and_extreme_weights():
    generator = np.random.default_rng(12)
    for precision, error in ((np.float32, 3e-6), (np.float64, 1e-12)):
        values = generator.random((300, 50)).astype(precision) ** 8
        values[::3, 10:] = 0  # from some row on zeros are expected, before it they are not
        share = values.astype(np.float64) / values.sum(axis=1, dtype=np.float64)[:, None]
        expected = -(share * np.log(np.where(share > 0, share, 1))).sum(axis=1)
        np.testing.assert_allclose(diversity.shannon(values), expected, atol=error)
        np.testing.assert_allclose(diversity.shannon(values[1:3]), expected[1:3], atol=error)
    least, most = np.finfo(np.float64).tiny, np.finfo(np.float64).max
    assert diversity.shannon([least, least, 0]) == pytest.approx(math.log(2))
    assert diversity.shannon([most, most, 0]) == pytest.approx(math.log(2))
    assert diversity.shannon(np.array([3, 3, 0], np.uint8)) == pytest.approx(math.log(2))


# What is empty, and what is refused.


def test_empty_community_has_no_index_but_a_richness_of_zero():
    for index in ONE_COMMUNITY:
        assert math.isnan(index(np.zeros(4)))
        assert math.isnan(index(np.zeros(0)))
    assert all(math.isnan(diversity.hill(np.zeros(4), order)) for order in (0, 1, 2, math.inf))
    assert diversity.expected_richness(np.zeros(4)) == 0
    assert diversity.richness(np.zeros(4)) == 0


def test_evenness_of_a_single_species_is_not_defined():
    assert math.isnan(diversity.pielou([0, 3.0]))


def test_one_empty_site_is_fully_different_and_two_empty_ones_are_not_compared():
    empty = np.zeros(7, dtype=bool)
    assert diversity.sorensen(A, empty) == diversity.jaccard(A, empty) == 1
    assert math.isnan(diversity.sorensen_turnover(A, empty))
    assert all(math.isnan(measure(empty, empty)) for measure in PAIRS)


def test_region_without_species_has_gamma_zero_and_no_beta():
    nothing = np.zeros((3, 4), dtype=bool)
    assert diversity.gamma(nothing) == 0
    assert math.isnan(diversity.beta_whittaker(nothing))
    assert math.isnan(diversity.multi_site_sorensen(nothing))
    assert math.isnan(diversity.beta_jost(nothing, 1))


def test_one_cell_has_beta_1_and_no_multi_site_value():
    assert diversity.beta_whittaker(SITES[:1]) == 1
    assert math.isnan(diversity.multi_site_sorensen(SITES[:1]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: diversity.shannon([0.5, -0.1]),
            r"q holds the value -0\.1, expected finite values of zero or",
        ),
        (lambda: diversity.shannon([0.5, math.nan]), r"q holds NaN, expected finite values of zero or more"),
        (lambda: diversity.simpson([0.5, math.inf]), r"q holds an infinite value"),
        (lambda: diversity.hill(Q, -1), r"order of a Hill number is -1, expected 0 or more"),
        (lambda: diversity.hill(Q, math.nan), r"order of a Hill number is nan"),
        (lambda: diversity.shannon(0.5), r"q is a single number \(0\.5\), expected an array"),
        (lambda: diversity.shannon(["a"]), r"q has type <U1, expected numbers"),
        (
            lambda: diversity.expected_richness([1.2]),
            r"probability holds the value 1\.2, expected probabilities",
        ),
        (
            lambda: diversity.richness([0.5, 1]),
            r"presence holds the value 0\.5, expected species sets of 0 and 1",
        ),
        (lambda: diversity.gamma([[0.5, 1]]), r"turn probabilities into sets with a rule of sdm_core.assemb"),
        (lambda: diversity.gamma([0, 1]), r"presence has 1 axes, expected two: cells × species"),
        (lambda: diversity.gamma(np.zeros((0, 3))), r"presence holds no cell"),
        (lambda: diversity.gamma(SITES, minimum_cells=0), r"minimum_cells is 0, expected 1 or more"),
        (lambda: diversity.gamma(SITES, minimum_area=5), r"minimum_area is 5 but no cell areas are given"),
        (
            lambda: diversity.alpha(SITES, [1, 2]),
            r"Cell weights have shape \(2,\), expected one area per cell",
        ),
        (
            lambda: diversity.alpha(SITES, [1, 2, -1]),
            r"Cell weights hold negative, missing or only zero areas",
        ),
        (lambda: diversity.sorensen([1, 0], [1]), r"a has 2 species and b 1, expected the same ones"),
        (lambda: diversity.sorensen(SITES, SITES[:2]), r"expected shapes that can be paired row by row"),
        (
            lambda: diversity.beta_jost(P[None].repeat(2, 0), 2, [1, 2]),
            r"Jost's beta of order 2 is not defined",
        ),
        (
            lambda: diversity.richness_interval(P, 1.0),
            r"interval level is 1, expected a share above 0 and below 1",
        ),
        (
            lambda: diversity.weighted_endemism([1, 0], [2]),
            r"range_size has shape \(1,\), expected one range",
        ),
        (
            lambda: diversity.weighted_endemism([1, 0], [2, -1]),
            r"range_size holds a negative or missing range",
        ),
        (
            lambda: diversity.multi_site_sample(SITES, np.random.default_rng(0), n_cells=9),
            r"n_cells is 9, expected between 2 and the region's 3 cells",
        ),
        (
            lambda: diversity.multi_site_sample(SITES, np.random.default_rng(0), n_cells=2, n_samples=0),
            r"n_samples is 0, expected 1 or more",
        ),
    ],
)
def test_what_is_not_defined_is_refused_in_one_sentence(call, message):
    with pytest.raises(RuleError, match=message) as refusal:
        call()
    assert isinstance(refusal.value, FlorascopeError)


# Properties.


@given(weights, st.randoms(use_true_random=False))
def test_order_of_species_does_not_matter(q, random):
    shuffled = list(q)
    random.shuffle(shuffled)
    for index in ONE_COMMUNITY:
        assert index(shuffled) == pytest.approx(float(index(q)), nan_ok=True)


@given(weights, st.integers(0, 5))
def test_absent_species_change_nothing(q, n_absent):
    longer = np.concatenate([q, np.zeros(n_absent)])
    for index in ONE_COMMUNITY:
        assert index(longer) == pytest.approx(float(index(q)), nan_ok=True)


@given(weights, st.floats(1e-3, 1e3))
def test_weights_need_not_sum_to_one(q, scale):
    for index in ONE_COMMUNITY:
        assert index(q * scale) == pytest.approx(float(index(q)), nan_ok=True, abs=1e-9)


@given(weights, st.floats(0, 20), st.floats(0, 20))
def test_hill_numbers_lie_between_1_and_richness_and_never_rise_with_order(q, first, second):
    low, high = sorted((first, second))
    numbers = diversity.hill(q, low), diversity.hill(q, high)
    assert 1 <= numbers[1] <= numbers[0] * (1 + 1e-9) <= np.count_nonzero(q) * (1 + 2e-9)


@given(weights, st.sampled_from([1, 0.5, 1.5]))
def test_hill_numbers_are_continuous_where_the_formula_changes(q, order):
    near = [diversity.hill(q, order + step) for step in (-1e-7, 0, 1e-7)]
    assert near == pytest.approx([near[1]] * 3, rel=1e-5)


@given(tables, st.integers(0, 7), st.integers(0, 7))
def test_pair_measures_are_symmetric_bounded_and_add_up(table, i, j):
    a, b = table[i % len(table)], table[j % len(table)]
    values = [measure(a, b) for measure in PAIRS]
    np.testing.assert_array_equal(values, [measure(b, a) for measure in PAIRS])
    if not math.isnan(values[1]):
        assert all(-1e-12 <= value <= 1 + 1e-12 for value in values)
        assert values[0] == pytest.approx(values[1] + values[2])
        assert values[3] == pytest.approx(values[4] + values[5])
        assert values[3] == pytest.approx(2 * values[0] / (1 + values[0]))


@given(arrays(np.float64, (2, 6), elements=st.floats(0, 1)))
def test_abundance_form_and_set_form_are_the_same_on_0_and_1(values):
    sets = values > 0.5
    for measure in PAIRS:
        assert measure(sets[0], sets[1]) == pytest.approx(
            float(measure(sets[0].astype(float), sets[1].astype(float))), nan_ok=True
        )


@given(tables)
def test_gamma_lies_between_the_richest_cell_and_all_species(table):
    assert table.sum(axis=1).max() <= diversity.gamma(table) <= table.shape[1]
    assert diversity.gamma_lower(table) == diversity.gamma(table)
    if table.any():
        assert 1 <= diversity.beta_whittaker(table) <= len(table) + 1e-9


@given(arrays(np.bool_, (2, 6)).filter(lambda table: table.any()))
def test_whittaker_beta_of_two_cells_is_one_plus_sorensen(table):
    assert diversity.beta_whittaker(table) - 1 == pytest.approx(float(diversity.sorensen(*table)))


@given(tables)
def test_multi_site_value_of_two_cells_is_the_pair_value(table):
    pair = table[:2]
    if len(pair) == 2 and pair.any(axis=1).all():
        assert diversity.multi_site_sorensen(pair) == pytest.approx(float(diversity.sorensen(*pair)))
        assert diversity.multi_site_jaccard_turnover(pair) == pytest.approx(
            float(diversity.jaccard_turnover(*pair))
        )


def test_gamma_is_never_the_product_over_cells():
    probability = np.full((10_000, 3), 1e-4)
    # 1 − Π(1 − p) would say 0.632 for each species
    assert diversity.gamma_lower(probability) == pytest.approx(3e-4)


def test_minimum_rules_drop_species_present_in_too_few_cells_or_on_too_little_land():
    assert diversity.gamma(SITES, minimum_cells=2) == 3  # species 1, 2 and 5
    assert diversity.gamma(SITES, weights=[10, 20, 5], minimum_area=25) == 3
    assert diversity.gamma(SITES, weights=[10, 20, 5], minimum_area=30) == 2


def test_alpha_weights_cells_by_area():
    assert diversity.alpha(SITES, [2, 1, 1]) == pytest.approx(3.5)


def test_pairs_broadcast_to_a_table_of_all_pairs():
    table = diversity.sorensen(SITES[:, None], SITES[None])
    assert table.shape == (3, 3)
    assert np.diag(table).tolist() == [0, 0, 0]
    assert table[0, 1] == diversity.sorensen(A, B)


def test_samples_of_all_cells_reproduce_the_multi_site_value():
    sample = diversity.multi_site_sample(SITES, np.random.default_rng(0), n_cells=3, n_samples=4)
    assert sample.total == pytest.approx(5 / 9)
    assert sample.turnover + sample.nestedness == pytest.approx(sample.total)
    assert sample.total_standard_deviation == pytest.approx(0, abs=1e-12)


def test_samples_are_decided_by_the_generator():
    table = np.random.default_rng(1).random((30, 20)) < 0.3
    first, second = (
        diversity.multi_site_sample(table, np.random.default_rng(7), n_cells=5, n_samples=6) for _ in range(2)
    )
    assert first == second
    assert first.total_standard_deviation > 0


@settings(max_examples=10)
@given(st.integers(1, 5))
def test_chunks_of_any_size_give_the_same_numbers(exponent):
    from sdm_core.diversity import _arrays

    values = np.random.default_rng(2).random((37, 11))
    whole = diversity.shannon(values), diversity.sorensen(values[1:], values[:-1]), diversity.alpha(values)
    usual = _arrays.CHUNK_VALUES
    try:
        _arrays.CHUNK_VALUES = 4**exponent
        chunked = (
            diversity.shannon(values),
            diversity.sorensen(values[1:], values[:-1]),
            diversity.alpha(values),
        )
    finally:
        _arrays.CHUNK_VALUES = usual
    np.testing.assert_allclose(whole[0], chunked[0], rtol=1e-13)
    np.testing.assert_array_equal(whole[1], chunked[1])
    assert whole[2] == pytest.approx(chunked[2])


def test_inputs_are_unchanged_and_any_leading_shape_is_kept():
    values = np.random.default_rng(5).random((2, 3, 4))
    before = values.copy()
    assert diversity.shannon(values).shape == (2, 3)
    assert diversity.hill(values, 1.2).shape == (2, 3)
    diversity.sorensen(values, values[:, :1])
    np.testing.assert_array_equal(values, before)
