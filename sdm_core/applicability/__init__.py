"""How far to trust predictions: area of applicability, MESS, sampling effort, grades, where to look next.

What needs a model stands apart, so that pages need no torch: `importance` (how much a model relies on each
predictor) and `held_out_errors` (whether errors are larger outside the area of applicability).
"""

from sdm_core.applicability.dissimilarity import (
    mean_distance,
    nearest_distances,
    outlier_removed_maximum,
    training_dissimilarity,
)
from sdm_core.applicability.effort import (
    NEARBY_KM,
    Effort,
    observed_effort,
)
from sdm_core.applicability.grading import (
    CRITERIA,
    GRADE_TEXTS,
    GRADES,
    METHOD,
    Criterion,
    CriterionText,
    Trust,
    assess_trust,
    grade_of,
    model_skill,
)
from sdm_core.applicability.levels import from_levels, levels_of, to_levels
from sdm_core.applicability.mess import mess, mess_by_variable
from sdm_core.applicability.next_places import NextCell, NextPlaces, next_places
from sdm_core.applicability.reference import (
    EQUAL,
    REFERENCE_FILE,
    ApplicabilityError,
    ApplicabilityReference,
)
from sdm_core.applicability.spread import ensemble_spread
from sdm_core.applicability.within import Experience, experience_of
from sdm_core.prediction.information import (
    DEFINITION,
    effort_density,
    effort_gap,
    expected_information,
    median_density,
    open_questions,
)

__all__ = [
    "CRITERIA",
    "DEFINITION",
    "EQUAL",
    "GRADES",
    "GRADE_TEXTS",
    "METHOD",
    "NEARBY_KM",
    "REFERENCE_FILE",
    "ApplicabilityError",
    "ApplicabilityReference",
    "Criterion",
    "CriterionText",
    "Effort",
    "Experience",
    "NextCell",
    "NextPlaces",
    "Trust",
    "assess_trust",
    "effort_density",
    "effort_gap",
    "ensemble_spread",
    "expected_information",
    "experience_of",
    "from_levels",
    "grade_of",
    "levels_of",
    "mean_distance",
    "median_density",
    "mess",
    "mess_by_variable",
    "model_skill",
    "nearest_distances",
    "next_places",
    "observed_effort",
    "open_questions",
    "outlier_removed_maximum",
    "to_levels",
    "training_dissimilarity",
]
