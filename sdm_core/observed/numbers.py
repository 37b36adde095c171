"""Diversity of what was observed in a region, and from which weights it was computed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sdm_core import diversity
from sdm_core.indicators.summary import format_number, json_number

#: What the weights of Shannon and Simpson are.
Basis = Literal["cover", "plot frequency", "records", ""]
BASIS_TEXTS: dict[str, str] = {
    "cover": "each species by its mean cover over the plots with covers, as a share of all",
    "plot frequency": "each species by the number of plots it was found in, as a share of all",
    "records": "each species by its number of records, as a share of all; this follows where and what people "
    "record, not what grows there",
    "": "nothing: there is no record in the region",
}


@dataclass(frozen=True)
class ObservedNumber:
    """One number of the observed data, beside what is predicted.

    Attributes:
        name: key.
        label: what it is called.
        value: the number; NaN where it is not defined.
        definition: what it says, in a sentence.
        digits: decimals shown.
        in_atlas: the same number of the observed species that the atlas has, to set beside the prediction;
            NaN where nothing is predicted that compares.
        low: lower end of what `interval` describes; NaN without one.
        high: upper end.
        interval: what low and high are.
        predicted: name of the indicator of the region to set beside it, "" where none compares.
    """

    name: str
    label: str
    value: float
    definition: str
    digits: int = 0
    in_atlas: float = math.nan
    low: float = math.nan
    high: float = math.nan
    interval: str = ""
    predicted: str = ""

    @property
    def shown_in_atlas(self) -> str:
        """The number of the species of the atlas, as pages and reports print it."""
        return format_number(self.in_atlas, self.digits)

    @property
    def shown(self) -> str:
        """Value with its interval, as pages and reports print it."""
        text = format_number(self.value, self.digits)
        if math.isnan(self.low):
            return text
        return f"{text} ({format_number(self.low, self.digits)}–{format_number(self.high, self.digits)})"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: value, label, definition, interval with its meaning."""
        entry: dict[str, Any] = {
            "value": json_number(self.value),
            "label": self.label,
            "definition": self.definition,
        }
        if self.predicted:
            entry |= {"species_of_the_atlas": json_number(self.in_atlas), "predicted": self.predicted}
        if self.interval:
            entry |= {
                "low": json_number(self.low),
                "high": json_number(self.high),
                "low_high_meaning": self.interval,
            }
        return entry


def weights_of(inside: pd.DataFrame) -> tuple[Basis, NDArray[np.float64], int]:
    """What the records of a region weigh their species by: basis, weights (n_species,), number of plots.

    inside: records with `code` (number of the species, 0…), `plot` and `cover` in percent. Covers are taken
    where any plot states them, over the plots that do; then frequencies in plots; then records. A find
    without a cover in a plot with covers weighs nothing.
    """
    if inside.empty:
        return "", np.zeros(0), 0
    n_species = int(inside["code"].max()) + 1
    in_plots = inside[inside["plot"].notna()]
    covered = in_plots[in_plots["cover"].notna()]
    if len(covered):
        n_plots = int(covered["plot"].nunique())
        total = np.bincount(covered["code"], weights=covered["cover"], minlength=n_species)
        return "cover", total / n_plots, n_plots
    if len(in_plots):
        return "plot frequency", plot_frequencies(in_plots, n_species), int(in_plots["plot"].nunique())
    return "records", np.bincount(inside["code"], minlength=n_species).astype(np.float64), 0


def plot_frequencies(in_plots: pd.DataFrame, n_species: int) -> NDArray[np.float64]:
    """Number of plots each species was found in (n_species,)."""
    pairs = in_plots[["code", "plot"]].drop_duplicates()
    return np.bincount(pairs["code"], minlength=n_species).astype(np.float64)


#: Name, label, index, definition and decimals of the diversity of the weights.
_INDICES: tuple[tuple[str, str, Callable[[NDArray[np.float64]], Any], str, int], ...] = (
    ("shannon", "Shannon index H′", diversity.shannon, "H′ = −Σ q ln q, in nats.", 2),
    ("simpson", "Gini–Simpson index", diversity.simpson, "1 − Σ q².", 3),
    (
        "hill_1",
        "Hill number of order 1",
        lambda q: diversity.hill(q, 1),
        "exp(H′): number of equally common species with the same Shannon index.",
        1,
    ),
    (
        "hill_2",
        "Hill number of order 2",
        lambda q: diversity.hill(q, 2),
        "1/Σ q²: number of equally common species with the same Simpson index.",
        1,
    ),
)


def diversity_numbers(weights: NDArray[np.float64], in_atlas: NDArray[np.bool_]) -> list[ObservedNumber]:
    """Shannon, Simpson and Hill numbers of the weights, of all species and of those of the atlas."""
    return [
        ObservedNumber(
            name,
            label,
            _index_of(index, weights),
            definition,
            digits,
            _index_of(index, weights[in_atlas]),
            predicted=name,
        )
        for name, label, index, definition, digits in _INDICES
    ]


def _index_of(index: Callable[[NDArray[np.float64]], Any], weights: NDArray[np.float64]) -> float:
    """An index of weights; NaN where no species has any."""
    return float(index(weights)) if weights.sum() > 0 else math.nan


def plot_richness(in_plots: pd.DataFrame) -> ObservedNumber | None:
    """Mean number of species of a plot with its range; None without plots."""
    if in_plots.empty:
        return None
    counts = in_plots.groupby("plot", observed=True)["code"].nunique().to_numpy()
    return ObservedNumber(
        "plot_richness",
        "Species of a plot, mean",
        float(counts.mean()),
        "Number of species per plot. A plot is far smaller than a cell of the atlas, so this is not to be "
        "compared with the α of cells.",
        1,
        low=float(counts.min()),
        high=float(counts.max()),
        interval="poorest and richest plot",
    )
