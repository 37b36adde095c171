"""Speed benchmarks of diversity and rules: they compare equal answers, and say when they are not."""

from __future__ import annotations

import numpy as np
import pytest

from sdm_core import assemblages, benchmarks, diversity
from sdm_core.benchmarks import diversity_speed
from sdm_core.benchmarks.timing import UnequalResultsError


def test_shannon_is_compared_with_scikit_bio_on_the_same_cells(monkeypatch):
    (found,) = diversity_speed.shannon_index(200, 300)
    assert found.ours > 0 and found.peer > 0 and found.goal == 8
    ours = diversity.shannon
    monkeypatch.setattr(diversity, "shannon", lambda p: ours(p) + 1e-3)
    with pytest.raises(UnequalResultsError, match="Shannon index of 200 cells"):
        diversity_speed.shannon_index(200, 300)


def test_pairs_are_compared_with_scipy_pair_by_pair(monkeypatch):
    (found,) = diversity_speed.all_pairs(40, 60)
    assert found.details["n_pairs"] == 780 and found.details["ours_ns_per_pair"] > 0
    ours = diversity.all_pairs
    monkeypatch.setattr(diversity, "all_pairs", lambda sets: ours(sets[::-1]))
    with pytest.raises(UnequalResultsError, match="780 pairs of sets"):
        diversity_speed.all_pairs(40, 60)


def test_max_exp_is_timed_only_where_its_sets_are_the_best(monkeypatch):
    (found,) = diversity_speed.max_exp_sets(20, 200)
    assert found.times[0] > 0 and found.details["mean_size"] > 1
    monkeypatch.setattr(diversity_speed, "max_exp", assemblages.threshold)
    with pytest.raises(UnequalResultsError, match="does not give the best set of cell"):
        diversity_speed.max_exp_sets(20, 200)


def test_probabilities_of_the_benchmark_look_like_predictions():
    p = diversity_speed.predicted(50, 2000)
    assert p.dtype == np.float32 and p.min() > 0 and p.max() < 1
    assert p.sum(axis=1).mean() == pytest.approx(2000 / 28, rel=0.3)


def test_they_run_with_the_speed_command():
    assert {"shannon", "all-pairs", "max-exp"} <= set(benchmarks.SPEED)
