"""Held-out surveys that thresholds and conformal sets are fitted on: checked once, for all of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core.assemblages.rules import Booleans, probabilities_last
from sdm_core.errors import RuleError


def checked_surveys(probability: ArrayLike, presence: ArrayLike) -> tuple[NDArray[np.float64], Booleans]:
    """Probabilities and presences (n_surveys, n_species) of held-out surveys.

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
    is_present = observed.astype(bool)
    if not is_present.any():
        raise RuleError("The calibration surveys hold no presence of any species; nothing can be calibrated.")
    return p, is_present
