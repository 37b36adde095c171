"""Standardising features by the training sites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sdm_core.errors import CheckpointMismatchError, CovariateError

#: Rows scaled at once.
_ROWS = 128


@dataclass(frozen=True)
class Scaler:
    """Mean and standard deviation of each feature over the training sites.

    Attributes:
        names: one per feature.
        mean: float64 (n_features,).
        std: float64 (n_features,), 1 for features that do not vary.
    """

    names: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def fit(cls, values: np.ndarray, names: Sequence[str]) -> Scaler:
        """Mean and deviation of `values` (n_sites, n_features), which must be the training sites only.

        Raises:
            CovariateError: for no sites, missing values, or names that do not fit.
        """
        values = np.asarray(values)
        if values.ndim != 2 or values.shape[1] != len(names):
            raise CovariateError(f"Scaling {len(names)} features was given values of shape {values.shape}.")
        if len(values) == 0:
            raise CovariateError("Scaling needs at least one training site; there is none.")
        bad = ~np.isfinite(values)
        if bad.any():
            column = int(np.argmax(bad.any(axis=0)))
            raise CovariateError(
                f"Feature '{names[column]}' has no value at {int(bad[:, column].sum())} of {len(values)} "
                "training sites; leave those sites out or fill them by a named rule before scaling."
            )
        mean = values.mean(axis=0, dtype=np.float64)
        std = values.std(axis=0, dtype=np.float64)
        constant = std <= 1e-7 * np.maximum(1.0, np.abs(mean))
        return cls(tuple(names), mean, np.where(constant, 1.0, std))

    def apply(self, values: np.ndarray) -> np.ndarray:
        """(values - mean) / std as float32; NaN stays NaN."""
        values = np.asarray(values)
        if values.shape[-1] != len(self.names):
            raise CovariateError(
                f"The scaling knows {len(self.names)} features but the values have {values.shape[-1]}; "
                "give them the features they were trained with, in order."
            )
        scaled = np.empty(values.shape, dtype=np.float32)
        if values.ndim != 2:
            scaled[...] = (values - self.mean) / self.std
            return scaled
        # A few rows at a time, so that the numbers of twice the size stay in the processor's cache.
        room = np.empty((min(_ROWS, len(values)), values.shape[1]))
        for start in range(0, len(values), _ROWS):
            part = values[start : start + _ROWS]
            wide = np.subtract(part, self.mean, out=room[: len(part)])
            scaled[start : start + _ROWS] = np.divide(wide, self.std, out=wide)
        return scaled

    def undo(self, scaled: np.ndarray) -> np.ndarray:
        """Values in their own units from scaled ones, float32."""
        return (np.asarray(scaled) * self.std + self.mean).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, read back by `from_dict` without loss."""
        return {"names": list(self.names), "mean": self.mean.tolist(), "std": self.std.tolist()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Scaler:
        """The scaler written by `to_dict`.

        Raises:
            CheckpointMismatchError: when a part is missing or the lengths differ.
        """
        try:
            names, mean, std = data["names"], data["mean"], data["std"]
        except KeyError as error:
            raise CheckpointMismatchError(
                f"The saved scaling has no {error}; it needs names, mean and std, so save the model again."
            ) from error
        if not len(names) == len(mean) == len(std):
            raise CheckpointMismatchError(
                f"The saved scaling has {len(names)} names, {len(mean)} means and {len(std)} deviations; "
                "they must be as many, so save the model again."
            )
        return cls(tuple(names), np.asarray(mean, dtype=np.float64), np.asarray(std, dtype=np.float64))
