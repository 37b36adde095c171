"""Platt scaling per species, shrunk to a common map: logits to probabilities that can be taken at their word.

p = sigmoid(a_s · logit + b_s). Slopes and intercepts of species with few records are held near the map
fitted to all species at once, so that fifty records do not decide a slope alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sdm_core.errors import CheckpointMismatchError, TrainingError

#: Slopes are kept positive, so that calibration never reverses a ranking.
MINIMUM_SLOPE = 0.05
_CHUNK = 256
_N_NEWTON_STEPS = 25


@dataclass(frozen=True)
class Calibration:
    """Slope and intercept of each species, float64 (n_species,)."""

    slope: np.ndarray
    intercept: np.ndarray

    def __post_init__(self) -> None:
        assert self.slope.shape == self.intercept.shape and self.slope.ndim == 1

    def calibrated_logits(self, logits: np.ndarray) -> np.ndarray:
        """Logits of calibrated probabilities (n_sites, n_species), float32."""
        return (logits * self.slope + self.intercept).astype(np.float32)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated probabilities (n_sites, n_species), float32 in 0 to 1."""
        return sigmoid(self.calibrated_logits(logits)).astype(np.float32)

    def arrays(self) -> dict[str, np.ndarray]:
        """Arrays to save beside a model's weights."""
        return {"calibration.slope": self.slope, "calibration.intercept": self.intercept}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Calibration:
        """The calibration saved beside a model's weights; raises `CheckpointMismatchError` without one."""
        try:
            return cls(arrays["calibration.slope"], arrays["calibration.intercept"])
        except KeyError as error:
            raise CheckpointMismatchError(
                f"The checkpoint has no {error}: its scores are not calibrated; train the model again."
            ) from error


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * np.asarray(logits)))


def fit_calibration(logits: np.ndarray, presence: np.ndarray, shrinkage: float = 10.0) -> Calibration:
    """Calibration from logits of sites the model had not seen, (n_sites, n_species).

    Maximises, per species, the Bernoulli likelihood minus shrinkage/2 · [ (a - a0)² + (b - b0)² ], with
    (a0, b0) the unpenalised map of all species together. The penalty weighs as much as `shrinkage` units of
    Fisher information: nothing for a species recorded everywhere, nearly all for one recorded fifty times.

    Source: Platt 1999; the common map as prior is ours.
    Raises `TrainingError` for shapes that differ or a shrinkage below 0.
    """
    if logits.shape != presence.shape or logits.ndim != 2:
        raise TrainingError(f"Logits of shape {logits.shape} do not fit presences of shape {presence.shape}.")
    if not shrinkage >= 0:
        raise TrainingError(f"shrinkage = {shrinkage}; expected 0 or more.")
    slope, intercept = _fit_common(logits, presence)
    slopes, intercepts = np.empty(logits.shape[1]), np.empty(logits.shape[1])
    for start in range(0, logits.shape[1], _CHUNK):
        part = slice(start, start + _CHUNK)
        slopes[part], intercepts[part] = _newton(
            logits[:, part], presence[:, part], slope, intercept, shrinkage
        )
    return Calibration(slopes, intercepts)


def cross_fit(
    logits: np.ndarray, presence: np.ndarray, folds: np.ndarray, shrinkage: float = 10.0
) -> np.ndarray:
    """Calibrated logits (n_sites, n_species) of held-out logits, each fold by a map of the other folds.

    What calibration does for sites it has not seen, so that its error can be reported without optimism.
    """
    calibrated = np.empty(logits.shape, dtype=np.float32)
    for fold in np.unique(folds):
        held_out = folds == fold
        fitted = fit_calibration(logits[~held_out], presence[~held_out], shrinkage)
        calibrated[held_out] = fitted.calibrated_logits(logits[held_out])
    return calibrated


def _fit_common(logits: np.ndarray, presence: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of all species as one."""
    slope, intercept = 1.0, 0.0
    n_total = logits.size
    for _ in range(_N_NEWTON_STEPS):
        gradient, hessian = np.zeros(2), np.zeros((2, 2))
        for start in range(0, logits.shape[1], _CHUNK):
            part = slice(start, start + _CHUNK)
            g, h = _derivatives(logits[:, part], presence[:, part], np.array(slope), np.array(intercept))
            gradient += g.sum(axis=1)
            hessian += h.sum(axis=2)
        hessian[0, 0] += 1e-9 * n_total
        hessian[1, 1] += 1e-9 * n_total
        step = np.clip(np.linalg.solve(hessian, gradient), -1.0, 1.0)
        slope, intercept = max(slope + step[0], MINIMUM_SLOPE), intercept + step[1]
        if np.abs(step).max() < 1e-6:
            break
    return float(slope), float(intercept)


def _newton(
    logits: np.ndarray, presence: np.ndarray, slope: float, intercept: float, shrinkage: float
) -> tuple[np.ndarray, np.ndarray]:
    """Penalised slopes and intercepts of one chunk of species, all at once."""
    n_species = logits.shape[1]
    slopes, intercepts = np.full(n_species, slope), np.full(n_species, intercept)
    penalty = max(shrinkage, 1e-6)
    for _ in range(_N_NEWTON_STEPS):
        gradient, hessian = _derivatives(logits, presence, slopes, intercepts)
        gradient[0] -= penalty * (slopes - slope)
        gradient[1] -= penalty * (intercepts - intercept)
        hessian[0, 0] += penalty
        hessian[1, 1] += penalty
        determinant = hessian[0, 0] * hessian[1, 1] - hessian[0, 1] ** 2
        step_slope = (hessian[1, 1] * gradient[0] - hessian[0, 1] * gradient[1]) / determinant
        step_intercept = (hessian[0, 0] * gradient[1] - hessian[0, 1] * gradient[0]) / determinant
        step_slope, step_intercept = np.clip(step_slope, -1, 1), np.clip(step_intercept, -1, 1)
        slopes = np.maximum(slopes + step_slope, MINIMUM_SLOPE)
        intercepts = intercepts + step_intercept
        if max(np.abs(step_slope).max(), np.abs(step_intercept).max()) < 1e-6:
            break
    return slopes, intercepts


def _derivatives(
    logits: np.ndarray, presence: np.ndarray, slope: np.ndarray, intercept: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient (2, n_species) and information (2, 2, n_species) of the log-likelihood."""
    x = logits.astype(np.float64)
    probability = sigmoid(x * slope + intercept)
    residual = presence - probability
    weight = probability * (1.0 - probability)
    gradient = np.stack([(residual * x).sum(axis=0), residual.sum(axis=0)])
    cross = (weight * x).sum(axis=0)
    information = np.array([[(weight * x * x).sum(axis=0), cross], [cross, weight.sum(axis=0)]])
    return gradient, information
