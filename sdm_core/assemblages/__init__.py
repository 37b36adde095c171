"""From probabilities to species sets: one function per rule.

Every rule takes probabilities `(…, n_species)` and returns booleans of the same shape.

- `threshold`  present where the probability reaches t (one t, or one per species: `species_thresholds`)
- `top_k`      the k most probable species of each cell
- `average_k`  one threshold for all cells, such that a cell holds k species on average
- `sse`        as many species as expected, k = round(Σ p), the most probable first
- `max_exp`    the set with the highest expected F1, Jaccard, TSS or accuracy
- `conformal_set`, `conformal_certain_set`  species that cannot be excluded, and those that cannot be missed
  (`calibrate_conformal`; `conformal_coverage` measures what they keep of it; `calibrate_certain` says from
  which probability most species called present were recorded)

The same for all: NaN (no prediction) and probability 0 are never in a set. Species tied at the cut of
`top_k`, `average_k`, `sse` and `max_exp` are all in it, so the order of species never decides and a set can
hold a few more than k; `ties="first"` keeps exactly k, the lower species index first.
"""

from sdm_core.assemblages.conformal import (
    ConformalCalibration,
    ConformalCoverage,
    calibrate_certain,
    calibrate_conformal,
    calibrate_richness,
    conformal_certain_set,
    conformal_coverage,
    conformal_set,
    rarity_groups,
)
from sdm_core.assemblages.expected_scores import SCORES, best_levels, expected_score, max_exp
from sdm_core.assemblages.richness_distribution import poisson_binomial, poisson_binomial_interval
from sdm_core.assemblages.rules import average_k, average_k_threshold, sse, threshold, top_k
from sdm_core.assemblages.species_thresholds import CRITERIA, SpeciesThresholds, species_thresholds

__all__ = [
    "CRITERIA",
    "SCORES",
    "ConformalCalibration",
    "ConformalCoverage",
    "SpeciesThresholds",
    "average_k",
    "average_k_threshold",
    "best_levels",
    "calibrate_certain",
    "calibrate_conformal",
    "calibrate_richness",
    "conformal_certain_set",
    "conformal_coverage",
    "conformal_set",
    "expected_score",
    "max_exp",
    "poisson_binomial",
    "poisson_binomial_interval",
    "rarity_groups",
    "species_thresholds",
    "sse",
    "threshold",
    "top_k",
]
