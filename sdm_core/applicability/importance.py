"""How much a model relies on each predictor: what its log loss gains when that predictor is shuffled.

Permutation importance after Breiman 2001, "Random forests" (doi 10.1023/A:1010933404324), for any model as in
Fisher, Rudin & Dominici 2019 (arXiv 1801.01489). The dissimilarity index of Meyer & Pebesma 2021 weighs
predictors by it, and takes those below zero as zero (CAST: `trainDI`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdm_core.evaluation import Labels, log_loss
from sdm_core.models import SiteInputs

#: How often each predictor is shuffled.
N_PERMUTATIONS = 3
#: Predictors that are columns of no covariate.
COORDINATES = ("longitude", "latitude")


@dataclass(frozen=True)
class PredictorColumns:
    """Where a model sees one predictor: all of it is shuffled at once.

    features: columns of the features (a layer, and the means and deviations of its neighbourhoods).
    channels: of the patches. coordinate: 0 for longitude, 1 for latitude.
    """

    features: tuple[int, ...] = ()
    channels: tuple[int, ...] = ()
    coordinate: int | None = None

    def shuffled(self, inputs: SiteInputs, order: NDArray[np.int64]) -> SiteInputs:
        """The sites with this predictor taken from the sites of `order` (n_sites,), all else their own."""
        lonlat, features, patches = inputs.lonlat, inputs.features, inputs.patches
        if self.coordinate is not None:
            lonlat = lonlat.copy()
            lonlat[:, self.coordinate] = inputs.lonlat[order, self.coordinate]
        if self.features:
            columns = list(self.features)
            features = features.copy()
            features[:, columns] = inputs.features[order][:, columns]
        if self.channels and patches is not None:
            patches = np.array(patches)
            for channel in self.channels:
                patches[:, channel] = np.asarray(inputs.patches)[order, channel]
        return replace(inputs, lonlat=lonlat, features=features, patches=patches)


@dataclass(frozen=True)
class Importance:
    """What the log loss gains when a predictor is shuffled among sites.

    Attributes:
        names: the predictors.
        gain: mean gain over the permutations, nats per site and species (n_predictors,).
        deviation: standard deviation of the gain between permutations, for one of them (n_predictors,).
        log_loss: of the sites as they are.
        n_sites, n_permutations: what was looked at.
    """

    names: tuple[str, ...]
    gain: NDArray[np.float64]
    deviation: NDArray[np.float64]
    log_loss: float
    n_sites: int
    n_permutations: int

    @property
    def weights(self) -> NDArray[np.float64] | None:
        """Weights with mean 1, gains below zero as zero; None where no predictor gains anything."""
        positive = np.maximum(self.gain, 0.0)
        return positive / positive.mean() if positive.any() else None

    @property
    def text(self) -> str:
        """Where the weights come from, in words."""
        if self.weights is None:
            return "all predictors weigh the same, since shuffling none of them makes the model worse"
        return (
            "predictors weighed by permutation importance, what the calibrated log loss gains when one is "
            f"shuffled with its neighbourhoods among {self.n_sites} training sites, mean of "
            f"{self.n_permutations} times"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: gains by predictor, largest first, and what they were measured on."""
        order = np.argsort(-self.gain, kind="stable")
        return {
            "log_loss": self.log_loss,
            "n_sites": self.n_sites,
            "n_permutations": self.n_permutations,
            "predictors": [
                {
                    "name": self.names[n],
                    "gain_percent": round(100.0 * float(self.gain[n]) / self.log_loss, 2),
                    "deviation_percent": round(100.0 * float(self.deviation[n]) / self.log_loss, 2),
                }
                for n in order
            ],
        }


def permutation_importance(
    predict: Callable[[SiteInputs], NDArray],
    inputs: SiteInputs,
    presence: Labels,
    columns: Mapping[str, PredictorColumns],
    *,
    n_permutations: int = N_PERMUTATIONS,
    seed: int = 0,
) -> Importance:
    """Importance of each predictor of `columns` for a model, from sites and what was recorded there.

    A predictor is shuffled with everything made of it: shuffling the layer alone would leave the model the
    means of its neighbourhoods, and all would look unimportant. Predictors that tell the same (temperatures)
    share their importance. The sites may be those the model was trained on: the question is what it relies
    on, not how good it is, though reliance on what it has learned by heart counts too.

    Args:
        predict: calibrated logits (n_sites, n_species) of sites.
        inputs: the sites; two thousand are plenty.
        presence: what was recorded there (n_sites, n_species).
        columns: by predictor, where the model sees it.
        n_permutations: two at least; all predictors are shuffled in the same orders.
        seed: of the orders.
    """
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(len(inputs)) for _ in range(n_permutations)]
    own = log_loss(presence, predict(inputs))
    gains = np.array(
        [
            [log_loss(presence, predict(places.shuffled(inputs, order))) - own for order in orders]
            for places in columns.values()
        ]
    )
    return Importance(
        tuple(columns), gains.mean(axis=1), gains.std(axis=1, ddof=1), own, len(inputs), n_permutations
    )
