"""What intervals and conformal sets keep of their promise, measured on blocks that no part of it has seen."""

from __future__ import annotations

from typing import Any

import numpy as np

from sdm_core import assemblages
from sdm_core.assemblages.conformal import MINIMUM_PRESENCES
from sdm_core.evaluation import CalibrationMethod, Labels, cross_fit, fit_calibration, sigmoid
from sdm_core.evaluation.splits import Split
from sdm_core.losses import UNKNOWN

#: Accepted share of wrong exclusions.
ERROR_RATE = 0.1
#: Folds needed: one to test, and two to calibrate on each other.
_LEAST_FOLDS = 3


def coverage_on_held_out(
    logits: np.ndarray,
    presence: Labels,
    split: Split,
    shrinkage: float = 10.0,
    calibration: CalibrationMethod = "platt",
) -> dict[str, Any] | None:
    """Coverage of conformal sets and of intervals of the number of species, for the model card.

    Fold by fold, the calibration and all limits come from the other folds (their own calibration from each
    other), so nothing is judged on what it was fitted to. Species too rare for limits of their own share
    those of species about as rare.

    Args:
        logits: (n_sites, n_species) by models that had not seen the site; NaN where never tested.
        presence: (n_sites, n_species) 1 recorded, 0 not.
        split: what was held out.
        shrinkage: of the calibration, as everywhere for this atlas.
        calibration: its method.

    Returns:
        Shares, and `sentences` with them in words; None with fewer than three folds or unknown labels, where
        it cannot be measured.
    """
    labels = presence.toarray() if hasattr(presence, "toarray") else np.asarray(presence)
    folds = [fold for fold in np.unique(split.folds) if fold >= 0]
    if len(folds) < _LEAST_FOLDS or np.any(labels == UNKNOWN):
        return None
    totals: dict[str, float] = dict.fromkeys(
        ("present", "kept", "labels", "held", "sites", "conformal", "independent"), 0.0
    )
    widths: list[float] = []
    for fold in folds:
        test = np.flatnonzero(split.folds == fold)
        others = np.flatnonzero((split.folds >= 0) & (split.folds != fold))
        fitted = fit_calibration(logits[others], labels[others], shrinkage, calibration)
        crossed = cross_fit(logits[others], labels[others], split.folds[others], shrinkage, calibration)
        p, seen = sigmoid(fitted.calibrated_logits(logits[test])), sigmoid(crossed)
        truth, known = labels[test] > 0, labels[others] > 0
        n_present = known.sum(axis=0)
        rarity = np.where(n_present < MINIMUM_PRESENCES, np.log2(np.maximum(n_present, 1)) // 1, -1)
        limits = assemblages.calibrate_conformal(seen, known, ERROR_RATE, groups=rarity)
        possible = assemblages.conformal_set(p, limits)
        kept = np.where(truth, possible, p <= limits.absence_limit)
        width = assemblages.calibrate_richness(seen, known, ERROR_RATE)
        number, expected = truth.sum(axis=1), p.sum(axis=1, dtype=np.float64)
        widths.append(width)
        spread = 1.6448536 * np.sqrt((p * (1.0 - p)).sum(axis=1, dtype=np.float64))
        totals["present"] += truth.sum()
        totals["kept"] += (possible & truth).sum()
        totals["labels"] += truth.size
        totals["held"] += kept.sum()
        totals["sites"] += len(test)
        totals["conformal"] += (np.abs(number - expected) <= width).sum()
        totals["independent"] += (np.abs(number - expected) <= spread + 0.5).sum()
    found = {
        "promised": 1.0 - ERROR_RATE,
        "conformal_presences": totals["kept"] / totals["present"] if totals["present"] else float("nan"),
        "conformal_labels": totals["held"] / totals["labels"],
        "richness_conformal": totals["conformal"] / totals["sites"],
        "richness_conformal_half_width": float(np.mean(widths)),
        "richness_independent": totals["independent"] / totals["sites"],
        "split": split.name,
    }
    return {**found, "sentences": _sentences(found)}


def _sentences(found: dict[str, Any]) -> list[str]:
    return [
        f"Conformal sets that promise to keep {found['promised']:.0%} of the presences kept "
        f"{found['conformal_presences']:.1%} of them on held-out blocks ({found['split']}).",
        f"An interval that takes species as independent and promises {found['promised']:.0%} held the number "
        f"of species of {found['richness_independent']:.1%} of the held-out sites; one calibrated on other "
        f"blocks, ± {found['richness_conformal_half_width']:.1f} species, that of "
        f"{found['richness_conformal']:.1%}.",
    ]
