"""Mean dissimilarity of each cell from the others, by hand and against the pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sdm_core import diversity
from sdm_core.errors import RuleError


def _sets(*members: set[int], n: int = 6) -> np.ndarray:
    return np.array([[species in held for species in range(1, n + 1)] for held in members])


def _means(sets, others, own=None, parts=1):
    return diversity.mean_dissimilarity(
        lambda: iter(np.array_split(sets, min(parts, len(sets)))), others, own
    )


def test_reference_pair_is_met():
    # A = {1,2,3,4}, B = {1,2,5}: Sørensen 0.428571 = turnover 0.333333 + nestedness 0.095238
    both = _sets({1, 2, 3, 4}, {1, 2, 5})
    found = _means(both, both, [0, 1])
    np.testing.assert_allclose(found.total, 0.428571, atol=1e-6)
    np.testing.assert_allclose(found.turnover, 0.333333, atol=1e-6)
    np.testing.assert_allclose(found.nestedness, 0.095238, atol=1e-6)


def test_cell_is_not_compared_with_itself():
    three = _sets({1, 2, 3, 4}, {1, 2, 5}, {2, 5, 6})
    found = _means(three, three, [0, 1, 2])
    pairs = diversity.all_pairs(three)
    np.testing.assert_allclose(found.total, pairs.total.sum(axis=1) / 2)
    with_itself = _means(three, three)
    np.testing.assert_allclose(with_itself.total, pairs.total.sum(axis=1) / 3)


def test_empty_cells_have_no_value_and_count_for_nobody():
    sets = _sets({1, 2}, set(), {1, 3})
    found = _means(sets, sets, [0, 1, 2])
    assert np.isnan(found.total[1]) and np.isnan(found.turnover[1])
    assert found.total[0] == found.total[2] == 0.5
    alone = _means(_sets({1}), _sets({1}), [0])
    assert np.isnan(alone.total).all()


def test_wrong_input_is_told():
    with pytest.raises(RuleError, match="have 2 species and those compared with 6"):
        _means(np.ones((1, 2), dtype=bool), _sets({1}))
    with pytest.raises(RuleError, match="sets of 0 and 1"):
        _means(np.array([[0.4, 0.2]]), np.ones((1, 2)))


@given(hnp.arrays(bool, st.tuples(st.integers(2, 9), st.integers(1, 7))), st.integers(1, 3))
def test_parts_do_not_matter_and_values_lie_between_0_and_1(sets, parts):
    own = np.arange(len(sets))
    found, again = _means(sets, sets, own), _means(sets, sets, own, parts)
    np.testing.assert_allclose(found.total, again.total)
    known = np.isfinite(found.total)
    for values in (found.total, found.turnover, found.nestedness):
        assert np.all((values[known] > -1e-12) & (values[known] < 1 + 1e-12))
    order = np.random.default_rng(1).permutation(sets.shape[1])
    np.testing.assert_allclose(_means(sets[:, order], sets[:, order], own).total, found.total)
