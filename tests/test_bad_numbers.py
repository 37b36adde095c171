"""Numbers that mean nothing, given to the functions that compute with them: one sentence, never a result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sdm_core import assemblages, diversity
from sdm_core.applicability.dissimilarity import mean_distance, nearest_distances, training_dissimilarity
from sdm_core.applicability.mess import mess
from sdm_core.applicability.spread import ensemble_spread
from sdm_core.errors import ApplicabilityError, FlorascopeError, RuleError
from sdm_core.indicators import threat

NAN = np.nan
CATEGORIES = np.array(["VU", "LC", "", "CR", "NE"])
SITES = np.random.default_rng(0).normal(size=(30, 3))
#: Functions of probabilities (…, n_species).
OF_PROBABILITIES: dict[str, Callable[[Any], Any]] = {
    "threshold": assemblages.threshold,
    "top_k": lambda p: assemblages.top_k(p, 2),
    "average_k": lambda p: assemblages.average_k(p, 2),
    "sse": assemblages.sse,
    "max_exp": assemblages.max_exp,
    "expected_score": assemblages.expected_score,
    "poisson_binomial": assemblages.poisson_binomial,
    "expected_richness": diversity.expected_richness,
    "richness_variance": diversity.richness_variance,
    "richness_interval": diversity.richness_interval,
    "gamma_lower": diversity.gamma_lower,
}
#: Functions of weights, such as counts, covers or probabilities.
OF_WEIGHTS: dict[str, Callable[[Any], Any]] = {
    "shannon": diversity.shannon,
    "simpson": diversity.simpson,
    "inverse_simpson": diversity.inverse_simpson,
    "pielou": diversity.pielou,
    "hill": lambda q: diversity.hill(q, 1),
    "alpha_jost": lambda q: diversity.alpha_jost(q, 1),
    "gamma_jost": lambda q: diversity.gamma_jost(q, 1),
    "sorensen": lambda q: diversity.sorensen(q, q),
    "jaccard_turnover": lambda q: diversity.jaccard_turnover(q, q),
}
OF_STATUSES = {
    "status_shares": threat.status_shares,
    "threatened_share": threat.threatened_share,
    "threatened_share_bounds": threat.threatened_share_bounds,
    "unassessed_share": threat.unassessed_share,
}


@pytest.mark.parametrize("name", OF_PROBABILITIES)
@pytest.mark.parametrize("wrong", [[[0.5, -0.1]], [[0.5, 1.2]], [[0.5, np.inf]], 0.5, [["a", "b"]], None])
def test_what_is_no_probability_is_refused(name: str, wrong: Any):
    with pytest.raises(RuleError) as refusal:
        OF_PROBABILITIES[name](np.array(wrong))
    assert str(refusal.value).count("\n") == 0


@pytest.mark.parametrize("name", OF_WEIGHTS)
@pytest.mark.parametrize("wrong", [[[3.0, -1.0]], [[0.5, NAN]], [[0.5, np.inf]], 0.5, [["a", "b"]], None])
def test_what_is_no_weight_is_refused(name: str, wrong: Any):
    with pytest.raises(RuleError):
        OF_WEIGHTS[name](np.array(wrong))


@pytest.mark.parametrize("name", OF_STATUSES)
@pytest.mark.parametrize("wrong", [[0.1, NAN, 0, 0, 0], [0.1, -0.2, 0, 0, 0], [0.1, 0.2]])
def test_shares_of_statuses_refuse_what_is_no_probability_of_every_species(name: str, wrong: list[float]):
    with pytest.raises(RuleError):
        OF_STATUSES[name](np.array(wrong), CATEGORIES)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: assemblages.poisson_binomial(np.array([["a"]])), "probability has type <U1"),
        (lambda: assemblages.rarity_groups([[0.5, NAN]]), "a value other than 0 and 1"),
        (lambda: threat.most_threatened([0.4, NAN, 0, 0, 0], CATEGORIES), "turn probabilities into a set"),
        (lambda: threat.star_like([-0.1, 0, 0, 0, 0], CATEGORIES), "share is negative"),
        (lambda: threat.star_like([2, 0, 0, 0, 0], CATEGORIES), "A share of a range is 2"),
        (lambda: threat.star_like([0.1], CATEGORIES), "There are 5 categories"),
        (lambda: threat.threatened_share([0.1], ["XX"]), 'category "XX" is not one of'),
        (lambda: diversity.observed_sample([3, -1]), "counts holds the value -1"),
        (lambda: diversity.observed_sample([1.5, 2]), "counts holds the value 1.5, expected whole"),
        (lambda: diversity.observed_sample([1, np.inf]), "counts holds the value inf"),
        (lambda: diversity.observed_sample([1, NAN]), "counts holds the value nan"),
        (lambda: diversity.observed_sample([0, 0]), "nothing to rarefy"),
        (lambda: diversity.observed_sample([3, 1], 2), "found in 3 plots"),
        (
            lambda: diversity.rarefaction_curve(diversity.observed_sample([3]), sizes=[NAN], n_bootstrap=0),
            "sizes holds NaN",
        ),
        (lambda: diversity.alpha([[True]], [-1]), "negative, missing or only zero areas"),
        (lambda: diversity.alpha([[True]], [0]), "negative, missing or only zero areas"),
        (lambda: nearest_distances(SITES, SITES[:0]), "training holds 0 sites, expected 1 or more"),
        (lambda: nearest_distances(SITES[:, :2], SITES), "values has 2 variables, but the training sites 3"),
        (lambda: nearest_distances(SITES[0], SITES), "values has shape \\(3,\\)"),
        (lambda: nearest_distances([["a"]], [["b"]]), "something other than numbers"),
        (lambda: mean_distance(SITES[:1]), "training holds 1 site, expected 2 or more"),
        (lambda: training_dissimilarity(np.where(SITES > 2, NAN, SITES)), "no number for a variable of site"),
        (lambda: mess(np.where(SITES > 2, np.inf, SITES), SITES), "values holds an infinite value"),
        (lambda: mess(SITES, np.where(SITES > 2, NAN, SITES)), "reference has no number"),
        (lambda: ensemble_spread([]), "The ensemble has 0 members"),
        (lambda: ensemble_spread([SITES, SITES[:1]]), "shape \\(30, 3\\) and \\(1, 3\\)"),
    ],
)
def test_a_value_that_means_nothing_is_named(call: Callable[[], Any], words: str):
    with pytest.raises(FlorascopeError, match=words) as refusal:
        call()
    assert isinstance(refusal.value, RuleError | ApplicabilityError)
