"""Several models as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np

from sdm_core.errors import CheckpointMismatchError, ConfigurationError
from sdm_core.models.base import SiteInputs, SpeciesModel

Combination = Literal["mean_logit", "mean_probability"]


class Ensemble(SpeciesModel):
    """Mean of its members, on the scale of logits or of probabilities.

    `weights` (one per member, summing to 1) default to equal shares. The mean probability is handed on as
    its logit, so that calibration sees one kind of number.
    """

    kind = "ensemble"

    def __init__(
        self,
        members: Sequence[SpeciesModel],
        combination: Combination = "mean_logit",
        weights: Sequence[float] | None = None,
    ) -> None:
        if not members:
            raise ConfigurationError("An ensemble needs at least one member.")
        if combination not in ("mean_logit", "mean_probability"):
            raise ConfigurationError(
                f"combination = {combination!r}; expected mean_logit or mean_probability."
            )
        super().__init__(members[0].species, members[0].covariates)
        if any(m.species != self.species or m.covariates != self.covariates for m in members):
            raise ConfigurationError("The members of an ensemble must share their species and covariates.")
        shares = np.ones(len(members)) if weights is None else np.asarray(weights, dtype=np.float64)
        if len(shares) != len(members) or (shares < 0).any() or shares.sum() <= 0:
            raise ConfigurationError(f"An ensemble of {len(members)} members cannot have weights {weights}.")
        self.members = list(members)
        self.combination = combination
        self.weights = shares / shares.sum()

    def predict_logits(self, inputs: SiteInputs, batch_size: int = 4096) -> np.ndarray:
        """Combined logits (n_sites, n_species) float32."""
        return combine_logits(
            (member.predict_logits(inputs, batch_size) for member in self.members),
            self.combination,
            self.weights,
        )

    def settings_dict(self) -> dict[str, Any]:
        """How members are combined, and each member's kind and settings."""
        return {
            "combination": self.combination,
            "weights": self.weights.tolist(),
            "members": [{"kind": m.kind, "settings": m.settings_dict()} for m in self.members],
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """Members' arrays, each name led by the member's number."""
        return {
            f"member{number}.{name}": value
            for number, member in enumerate(self.members)
            for name, value in member.arrays().items()
        }

    @classmethod
    def from_parts(
        cls,
        settings: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray],
        species: Sequence[str],
        covariates: Sequence[str],
    ) -> Self:
        """Rebuild every member."""
        from sdm_core.models.checkpoint import model_class

        try:
            members = []
            for number, part in enumerate(settings["members"]):
                lead = f"member{number}."
                own = {k.removeprefix(lead): v for k, v in arrays.items() if k.startswith(lead)}
                members.append(
                    model_class(part["kind"]).from_parts(part["settings"], own, species, covariates)
                )
            return cls(members, settings["combination"], settings["weights"])
        except KeyError as error:
            raise CheckpointMismatchError(
                f"The ensemble's checkpoint has no {error}; train it again."
            ) from error


def combine_logits(
    members: Any, combination: Combination, weights: Sequence[float] | np.ndarray
) -> np.ndarray:
    """Weighted mean of the members' logits (each (n_sites, n_species)), one member in memory at a time.

    `mean_probability` averages sigmoid(logit) and returns the logit of the mean.
    """
    total: np.ndarray | None = None
    for logits, weight in zip(members, weights, strict=True):
        part = logits if combination == "mean_logit" else _sigmoid(logits)
        total = weight * part if total is None else total + weight * part
    assert total is not None
    if combination == "mean_probability":
        clipped = np.clip(total, 1e-7, 1 - 1e-7)
        total = np.log(clipped / (1 - clipped))
    return np.asarray(total, dtype=np.float32)


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * logits))
