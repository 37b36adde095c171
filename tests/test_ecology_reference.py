"""The project's table of reference values, each recomputed independently, to the digits given there."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sdm_core import assemblages, diversity

A, B, C = {1, 2, 3, 4}, {1, 2, 5}, {2, 5, 6}
P = np.array([0.9, 0.6, 0.3, 0.2, 0.05])


def sets(*sites):
    table = np.zeros((len(sites), 7), dtype=bool)
    for row, site in enumerate(sites):
        table[row, sorted(site)] = True
    return table


def near(value, digits=6):
    return pytest.approx(value, abs=0.5 * 10.0**-digits)


def test_one_community_of_three_species():
    q = [0.5, 0.3, 0.2]
    assert diversity.shannon(q) == near(1.029653)
    assert diversity.hill(q, 1) == near(2.800094)
    assert diversity.simpson(q) == near(0.62)
    assert diversity.inverse_simpson(q) == diversity.hill(q, 2) == near(2.631579)


def test_two_sites():
    a, b = sets(A, B)
    assert diversity.sorensen(a, b) == near(0.428571)
    assert diversity.sorensen_turnover(a, b) == near(0.333333)
    assert diversity.sorensen_nestedness(a, b) == near(0.095238)
    assert diversity.jaccard(a, b) == near(0.6)
    assert diversity.jaccard_turnover(a, b) == near(0.5)
    assert diversity.jaccard_nestedness(a, b) == near(0.1)
    both = sets(A, B)
    assert diversity.gamma(both) == 5
    assert diversity.alpha(both) == near(3.5)
    assert diversity.beta_whittaker(both) == near(1.428571)
    assert diversity.beta_additive(both) == near(1.5)
    pairs = diversity.all_pairs(both), diversity.all_pairs(both, "jaccard")
    assert [table.total[0, 1] for table in pairs] == [near(0.428571), near(0.6)]
    assert [table.turnover[0, 1] for table in pairs] == [near(0.333333), near(0.5)]
    assert [table.nestedness[0, 1] for table in pairs] == [near(0.095238), near(0.1)]


def test_three_sites():
    table = sets(A, B, C)
    # A 4, m 4 and M 6 give 4/8, 10/18 and their difference
    assert diversity.multi_site_sorensen_turnover(table) == near(0.5)
    assert diversity.multi_site_sorensen(table) == near(0.555556)
    assert diversity.multi_site_sorensen_nestedness(table) == near(0.055556)
    assert diversity.gamma(table) == 6
    assert diversity.alpha(table) == near(3.333333)
    assert diversity.beta_whittaker(table) == near(1.8)


def test_five_probabilities():
    assert diversity.expected_richness(P) == near(2.05)
    assert diversity.richness_variance(P) == near(0.7475)
    distribution = assemblages.poisson_binomial(P)
    assert distribution.tolist() == [near(p, 4) for p in (0.0213, 0.2390, 0.4537, 0.2421, 0.0423, 0.0016)]
    scores = assemblages.expected_score(P)
    assert scores.tolist() == [near(score, 4) for score in (0.6125, 0.7275, 0.6883, 0.6352, 0.5597)]
    assert assemblages.max_exp(P).sum() == assemblages.sse(P).sum() == 2


def test_a_cell_of_probabilities_with_itself():
    product = 2 * (P * (1 - P)).sum() / (2 * (P * P).sum() + 2 * (P * (1 - P)).sum())
    assert product == near(0.364634)  # what must never come out
    assert diversity.sorensen(P, P) == diversity.all_pairs([P, P]).total[0, 1] == 0


def test_entropy_of_the_threatened_example():
    assert diversity.shannon([0.5, 0.3, 0.15, 0.05]) == near(1.142120)


def test_two_cells_of_the_same_single_species():
    table = sets({3}, {3})
    for measure in (diversity.sorensen, diversity.sorensen_turnover, diversity.sorensen_nestedness):
        assert measure(table[0], table[1]) == 0
    assert diversity.multi_site_sorensen(table) == 0
    assert (diversity.beta_whittaker(table), diversity.beta_additive(table)) == (1, 0)
    assert [diversity.beta_jost(table, order) for order in (0, 1, 2, math.inf)] == [1, 1, 1, 1]
    assert diversity.shannon(table).tolist() == [0, 0]
    assert diversity.beta_contributions(table).total == 0


def test_probability_of_a_region_is_never_the_product_over_its_cells():
    for n_cells, wrong in ((1_000, 0.095), (10_000, 0.632), (100_000, 0.99995)):
        assert 1 - (1 - 1e-4) ** n_cells == pytest.approx(wrong, abs=5e-4)
        assert diversity.gamma_lower(np.full((n_cells, 2), 1e-4)) == pytest.approx(2e-4)


def test_empty_cells_and_regions_give_no_number_rather_than_zero():
    nothing = np.zeros((2, 4), dtype=bool)
    undefined = (
        diversity.shannon(nothing[0]),
        diversity.simpson(nothing[0]),
        diversity.hill(nothing[0], 0),
        diversity.sorensen(nothing[0], nothing[1]),
        diversity.beta_whittaker(nothing),
        diversity.multi_site_sorensen(nothing),
        diversity.beta_jost(nothing, 1),
    )
    assert all(math.isnan(value) for value in undefined)
    assert diversity.gamma(nothing) == 0
