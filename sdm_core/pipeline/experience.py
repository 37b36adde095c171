"""What a model has experience of: the predictors that decide whether a place is like its training sites.

They are the layers of the covariates themselves, each once, not the means and deviations of neighbourhoods
made of them (those repeat the same layer up to seven times), and longitude and latitude where the model
looks at them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sdm_core.applicability import ApplicabilityReference
from sdm_core.applicability.importance import COORDINATES
from sdm_core.models import SiteInputs, SpeciesModel

#: Layers of tiled predictions that say how far to trust them.
TRUST_LAYERS = ("applicability", "dissimilarity", "mess")


def predictor_names(
    model: SpeciesModel, feature_names: Sequence[str], layer_names: Sequence[str]
) -> tuple[str, ...]:
    """The layers among the features of a model, and the coordinates where the model takes them."""
    layers = set(layer_names)
    found = tuple(name for name in feature_names if name in layers)
    return (*found, *COORDINATES) if takes_coordinates(model) or not found else found


def takes_coordinates(model: SpeciesModel) -> bool:
    """Whether any part of a model looks at longitude and latitude."""
    return _names_coordinates(model.settings_dict())


def _names_coordinates(settings: object) -> bool:
    if isinstance(settings, Mapping):
        inputs = settings.get("inputs")
        if isinstance(inputs, str) and "coords" in inputs:
            return True
        return settings.get("kind") == "grid" or any(_names_coordinates(part) for part in settings.values())
    return isinstance(settings, list | tuple) and any(_names_coordinates(part) for part in settings)


def predictor_columns(
    inputs: SiteInputs, columns: Mapping[str, int], names: Sequence[str]
) -> NDArray[np.float64]:
    """Predictors of places (n, n_names): columns of the features by name, longitude and latitude."""
    table = np.empty((len(inputs), len(names)))
    for number, name in enumerate(names):
        if name in COORDINATES:
            table[:, number] = inputs.lonlat[:, COORDINATES.index(name)]
        else:
            table[:, number] = inputs.features[:, columns[name]]
    return table


def trust_values(
    reference: ApplicabilityReference, predictors: NDArray[np.float64]
) -> dict[str, NDArray[np.float32]]:
    """Layers of `TRUST_LAYERS` at places: 1 inside the area of applicability or 0, DI, MESS."""
    dissimilarity = reference.dissimilarity(predictors)
    lowest, _ = reference.mess(predictors)
    found = (reference.applies(dissimilarity), dissimilarity, lowest)
    return {name: np.asarray(v, dtype=np.float32) for name, v in zip(TRUST_LAYERS, found, strict=True)}
