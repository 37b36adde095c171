"""How much of a region lies within a model's experience, and what is unlike it elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdm_core.applicability.predictor_words import predictor_words
from sdm_core.indicators.summary import format_number, json_number
from sdm_core.prediction.points import APPLICABILITY_LAYER


@dataclass(frozen=True)
class Experience:
    """A region against what the model has learned from; shares are of its area.

    Attributes:
        inside_percent: inside the area of applicability.
        beyond_range_percent: where a predictor lies outside the range of the training sites (MESS below 0);
            NaN where not known.
        predictor: the one most often most dissimilar: where the model does not apply, or in the whole region
            where it applies everywhere; "" where not known.
        predictor_percent: share of that area where it is.
        spread_percent: mean spread of the ensemble's members in percent of expected richness; NaN where not
            known.
        settings: threshold, predictors, weights, sites and folds, as `ApplicabilityReference.settings`.
    """

    inside_percent: float
    beyond_range_percent: float
    predictor: str
    predictor_percent: float
    spread_percent: float
    settings: dict[str, Any]

    @property
    def predictor_text(self) -> str:
        """The predictor in words: its name, and what the name stands for."""
        return predictor_words(self.predictor)

    @property
    def held_out_text(self) -> str:
        """How wrong predictions were inside and outside at sites the model had not seen; "" if unknown."""
        found = self.settings.get("held_out")
        if not found or None in (found["inside"]["f1"], found["outside"]["f1"]):
            return ""
        inside, outside = found["inside"], found["outside"]
        return (
            f"At held-out sites of the whole atlas ({found['split']}), predicted sets of species reach an F1 "
            f"of {inside['f1']:.2f} inside the area of applicability and {outside['f1']:.2f} outside; the "
            f"log loss is {inside['log_loss']:.3f} inside and {outside['log_loss']:.3f} outside "
            f"({format_number(outside['n_sites'], 0)} of "
            f"{format_number(inside['n_sites'] + outside['n_sites'], 0)} sites)."
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; None where not known."""
        return {
            "inside_percent": json_number(self.inside_percent),
            "beyond_range_percent": json_number(self.beyond_range_percent),
            "most_dissimilar_predictor": self.predictor or None,
            "most_dissimilar_text": self.predictor_text or None,
            "most_dissimilar_percent": json_number(self.predictor_percent),
            "spread_percent": json_number(self.spread_percent),
            "area_of_applicability": self.settings or None,
        }


def experience_of(store: Any, rows: NDArray[np.int64], hectares: NDArray) -> Experience | None:
    """What an atlas knows of a model's experience in a region; None where it knows nothing.

    rows: of the region's cells, ascending; hectares: area each counts with.
    """
    if APPLICABILITY_LAYER not in getattr(store, "layer_names", ()):
        return None
    weights = np.asarray(hectares, dtype=np.float64)
    inside = np.nan_to_num(np.asarray(store.layer(APPLICABILITY_LAYER))[rows].astype(np.float64)) > 0
    beyond = spread = float("nan")
    if "mess" in store.layer_names:
        beyond = 100.0 * float(weights @ (np.asarray(store.layer("mess"))[rows] < 0)) / float(weights.sum())
    if "spread" in store.layer_names:
        spread = 100.0 * _mean(np.asarray(store.layer("spread"))[rows], weights)
    layers = getattr(store, "cell_layers", None)
    if layers is None and getattr(store, "whole", None) is not None:
        layers = store.whole.cell_layers
    predictor, share = "", float("nan")
    if layers is not None and "mess_variable" in layers.layers:
        there = inside if inside.all() else ~inside
        numbers = store.value_beside("mess_variable")[rows[there]]
        predictor, share = _most_area(numbers, weights[there], layers.layers["mess_variable"].names)
    return Experience(
        100.0 * float(weights @ inside) / float(weights.sum()),
        beyond,
        predictor,
        share,
        spread,
        {} if layers is None else dict(layers.notes.get("applicability", {})),
    )


def _mean(values: NDArray, weights: NDArray[np.float64]) -> float:
    known = np.isfinite(values)
    return float(values[known] @ weights[known] / weights[known].sum()) if known.any() else float("nan")


def _most_area(numbers: NDArray, weights: NDArray[np.float64], names: tuple[str, ...]) -> tuple[str, float]:
    """Name that stands for most of the area, and its share in percent."""
    known = np.isfinite(numbers)
    if not known.any():
        return "", float("nan")
    area = np.bincount(numbers[known].astype(np.int64), weights[known], len(names))
    return names[int(area.argmax())], 100.0 * float(area.max() / area.sum())
