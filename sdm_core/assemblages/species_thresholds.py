"""A threshold for each species from surveys with presences and absences, steadied where presences are few."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core.assemblages.calibration_surveys import checked_surveys
from sdm_core.errors import RuleError

Criterion = Literal["tss", "f1", "prevalence", "minimum_presence", "p10"]
Floats = NDArray[np.float64]

#: What each criterion asks of a threshold, in words.
CRITERIA: dict[str, str] = {
    "tss": "the highest sensitivity + specificity − 1",
    "f1": "the highest F1 score",
    "prevalence": "as many surveys predicted present as hold the species",
    "minimum_presence": "no presence missed: the lowest probability of any presence",
    "p10": "at most a tenth of the presences missed",
}
#: Presences at which a species' own threshold and the common one weigh the same.
STRENGTH = 20.0
#: Presences a species needs to have a part in the common threshold of `minimum_presence`.
_MINIMUM_PRESENCES = 20
_LOWEST = 1e-6


@dataclass(frozen=True)
class SpeciesThresholds:
    """One threshold per species, for `assemblages.threshold`.

    Attributes:
        threshold: (n_species) after shrinking, above 0.
        own: (n_species) by the criterion on the species' own surveys; NaN without a presence.
        n_presences: (n_species) presences behind each.
        common: threshold of all species taken together, towards which the own ones shrink.
        criterion: key of `CRITERIA`.
        strength: presences at which own and common weigh the same.
    """

    threshold: Floats
    own: Floats
    n_presences: NDArray[np.int64]
    common: float
    criterion: str
    strength: float


def species_thresholds(
    probability: ArrayLike,
    presence: ArrayLike,
    criterion: Criterion = "tss",
    strength: float = STRENGTH,
) -> SpeciesThresholds:
    """Thresholds per species from surveys the model has not seen, shrunk for rare species.

    A species is present at its threshold and above, so the surveys' own probabilities are the candidates;
    where several are equally good the highest is taken. With n presences and m = `strength`, on the logit
    scale, where thresholds of common and of rare species are comparable,

        logit t = (n · logit t_own + m · logit t_common) / (n + m)

    so a species with m presences lies half way, and one without any takes the common threshold. t_common is
    the criterion applied to all species as if they were one; for `minimum_presence`, where that would be the
    worst miss of any species, it is the median of the species with 20 presences or more (of all with any,
    where no species has so many). `strength=0` does not shrink.

    The criteria: max TSS and max F1; prevalence matching (Liu et al. 2005, doi
    10.1111/j.0906-7590.2005.03957.x, predicted = observed prevalence); minimum training presence and its
    10th percentile (Pearson et al. 2007, doi 10.1111/j.1365-2699.2006.01594.x), here on held-out surveys.
    The shrinking formula is ours.

    Args:
        probability: (n_surveys, n_species) in 0…1, from a model that has not seen these surveys.
        presence: (n_surveys, n_species) observed 0 or 1.
        criterion: key of `CRITERIA`.
        strength: 0 or more presences.

    Raises:
        RuleError: shapes that differ, NaN, values out of range, no presence at all, an unknown criterion or a
            negative strength.
    """
    p, present = checked_surveys(probability, presence)
    if criterion not in CRITERIA:
        raise RuleError(f'The criterion is "{criterion}", expected one of {", ".join(CRITERIA)}.')
    if not (strength >= 0 and np.isfinite(strength)):
        raise RuleError(f"The strength is {strength:g}, expected a number of presences of 0 or more.")
    n_presences = np.count_nonzero(present, axis=0)
    own = np.full(p.shape[1], np.nan)
    for species in np.flatnonzero(n_presences):
        own[species] = _best_cut(p[:, species], present[:, species], criterion)
    if criterion == "minimum_presence":
        enough = n_presences >= min(_MINIMUM_PRESENCES, int(n_presences.max()))
        common = float(np.median(own[enough]))
    else:
        common = _best_cut(p.ravel(), present.ravel(), criterion)
    weight = n_presences / np.maximum(n_presences + strength, np.finfo(np.float64).tiny)
    mixed = weight * _logit(np.where(np.isnan(own), common, own)) + (1.0 - weight) * _logit(common)
    threshold = 1.0 / (1.0 + np.exp(-mixed))
    if strength == 0:  # exactly the own threshold, without the way through the logit
        threshold = np.where(np.isnan(own), common, own)
    return SpeciesThresholds(
        np.maximum(threshold, _LOWEST), own, n_presences, max(common, _LOWEST), criterion, float(strength)
    )


def _logit(p: ArrayLike) -> Floats:
    inside = np.clip(p, _LOWEST, 1.0 - _LOWEST)
    return np.log(inside) - np.log1p(-inside)


def _best_cut(p: Floats, present: NDArray[np.bool_], criterion: str) -> float:
    """The probability among `p` that a criterion picks; there is at least one presence."""
    if criterion in ("minimum_presence", "p10"):
        rising = np.sort(p[present])
        return float(rising[0 if criterion == "minimum_presence" else len(rising) // 10])
    falling = np.argsort(-p, kind="stable")
    values, hits = p[falling], np.cumsum(present[falling])
    last = np.flatnonzero(np.append(values[1:] != values[:-1], True))  # equal probabilities go together
    n_present = hits[-1]
    chosen, hits, cuts = last + 1, hits[last], values[last]
    if criterion == "prevalence":
        return float(cuts[np.argmin(np.abs(chosen - n_present))])
    if criterion == "f1":
        merit = 2.0 * hits / (chosen + n_present)
    else:
        merit = hits / n_present - (chosen - hits) / max(len(p) - n_present, 1)
    return float(cuts[np.argmax(merit)])
