"""Species sets with a stated error rate, calibrated on held-out surveys: split conformal prediction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core.assemblages.rules import Booleans, probabilities_last
from sdm_core.errors import RuleError

#: Presences below which a species' own quantile cannot reach a 5 % error rate and it shares a pooled one.
MINIMUM_PRESENCES = 20


@dataclass(frozen=True)
class ConformalCalibration:
    """Highest nonconformity still accepted for "present" and for "absent", per species.

    Attributes:
        presence_limit: (n_species); "present" stays possible while 1 − p ≤ limit.
        absence_limit: (n_species); "absent" stays possible while p ≤ limit.
        pooled: (n_species) true where the limits come from all species together (too few presences or
            absences of its own).
        error_rate: accepted share of wrong exclusions, per class.
    """

    presence_limit: NDArray[np.float64]
    absence_limit: NDArray[np.float64]
    pooled: Booleans
    error_rate: float


def calibrate_conformal(
    probability: ArrayLike,
    presence: ArrayLike,
    error_rate: float = 0.1,
    minimum_presences: int = MINIMUM_PRESENCES,
) -> ConformalCalibration:
    """Limits of class-conditional (Mondrian) conformal sets from held-out surveys.

    Nonconformity is 1 − p of the true label; the limit is the ⌈(n+1)(1 − error_rate)⌉-th smallest of the n
    scores of a class, infinite when n is too small for it. The guarantee holds for surveys exchangeable with
    these: hold out whole spatial blocks. (Vovk 2012; for distribution models Poisot, doi 10.32942/X2CD1J.)

    Args:
        probability: (n_surveys, n_species) in 0…1, from a model that has not seen these surveys.
        presence: (n_surveys, n_species) observed 0 or 1.
        error_rate: above 0 and below 1.
        minimum_presences: presences and absences a species needs for limits of its own.

    Raises:
        RuleError: shapes that differ, NaN, values out of range, or no presence at all.
    """
    p = probabilities_last(probability).astype(np.float64)
    observed = np.asarray(presence)
    if p.ndim != 2 or p.shape != observed.shape:
        raise RuleError(
            f"probability has shape {p.shape} and presence {observed.shape}, "
            "expected one shape: surveys × species."
        )
    if np.isnan(p).any() or not np.all((observed == 0) | (observed == 1)):
        raise RuleError(
            "Calibration surveys hold NaN or a presence other than 0 and 1; leave those out first."
        )
    if not 0 < error_rate < 1:
        raise RuleError(
            f"The error rate is {error_rate:g}, expected a share above 0 and below 1 such as 0.1."
        )
    is_present = observed.astype(bool)
    if not is_present.any():
        raise RuleError("The calibration surveys hold no presence of any species; nothing can be calibrated.")
    pooled_presence = _limit(1.0 - p[is_present], error_rate)
    pooled_absence = _limit(p[~is_present], error_rate)
    n_species = p.shape[1]
    presence_limit, absence_limit = np.full(n_species, pooled_presence), np.full(n_species, pooled_absence)
    n_present = np.count_nonzero(is_present, axis=0)
    own = (n_present >= minimum_presences) & (len(p) - n_present >= minimum_presences)
    for species in np.flatnonzero(own):
        presence_limit[species] = _limit(1.0 - p[is_present[:, species], species], error_rate)
        absence_limit[species] = _limit(p[~is_present[:, species], species], error_rate)
    return ConformalCalibration(presence_limit, absence_limit, ~own, error_rate)


def _limit(scores: NDArray[np.float64], error_rate: float) -> float:
    rank = int(np.ceil((scores.size + 1) * (1.0 - error_rate) - 1e-9))
    return float(np.partition(scores, rank - 1)[rank - 1]) if rank <= scores.size else float("inf")


def conformal_set(probability: ArrayLike, calibration: ConformalCalibration) -> Booleans:
    """Possible species: those whose presence cannot be excluded at the calibrated error rate.

    An outer envelope. The count of `conformal_certain_set` to the count of this one is not an interval of the
    number of species at 1 − error_rate.

    Args:
        probability: (…, n_species) in 0…1; NaN (no prediction) is never in a set.
        calibration: from `calibrate_conformal`, for the same species.

    Returns:
        (…, n_species) booleans.

    Raises:
        RuleError: probabilities outside 0…1, or another number of species.
    """
    array = _matching(probability, calibration)
    return 1.0 - array <= calibration.presence_limit


def conformal_certain_set(probability: ArrayLike, calibration: ConformalCalibration) -> Booleans:
    """Certain species: presence is possible and absence is excluded at the calibrated error rate ({1} only).

    Arguments, result and errors as for `conformal_set`.
    """
    array = _matching(probability, calibration)
    return (1.0 - array <= calibration.presence_limit) & (array > calibration.absence_limit)


def _matching(probability: ArrayLike, calibration: ConformalCalibration) -> NDArray[np.float64]:
    array = probabilities_last(probability).astype(np.float64)
    if array.shape[-1] != calibration.presence_limit.size:
        raise RuleError(
            f"probability has {array.shape[-1]} species, the calibration "
            f"{calibration.presence_limit.size}; use the calibration of the same atlas."
        )
    return array
