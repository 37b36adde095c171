"""What every layer of a map is called, in which unit, and what it means: data for pages, tiles and files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sdm_core.colours import WIDTH_SUFFIX

Group = Literal["diversity", "concern", "trust", "interval"]


@dataclass(frozen=True)
class MapLayer:
    """What a layer is.

    title: a few words. unit: as files state it. legend: what stands beside the colours. meaning: one sentence
    with the formula. group: where pages offer it.
    """

    name: str
    title: str
    unit: str
    legend: str
    meaning: str
    group: Group


_CATALOGUE = (
    MapLayer(
        "richness",
        "Expected richness",
        "expected species",
        "species expected per cell",
        "Sum of the probabilities of all species of the atlas.",
        "diversity",
    ),
    MapLayer(
        "shannon",
        "Shannon diversity",
        "nats",
        "Shannon index H′ (nats)",
        "Shannon index of the species' shares of expected richness.",
        "diversity",
    ),
    MapLayer(
        "simpson",
        "Simpson diversity",
        "1",
        "Gini–Simpson index 1 − D",
        "One minus the sum of squared shares of expected richness.",
        "diversity",
    ),
    MapLayer(
        "sse_richness",
        "Richness by the SSE rule",
        "species",
        "species in the set of a cell",
        "Number of species in the set that the rule sse makes of the probabilities.",
        "diversity",
    ),
    MapLayer(
        "threatened_share",
        "Threatened share",
        "1",
        "threatened share of the assessed species",
        "Expected species of the categories VU, EN and CR as a share of those assessed LC to CR, by the "
        "first Red List given.",
        "concern",
    ),
    MapLayer(
        "unassessed_share",
        "Share not assessed",
        "1",
        "share of the expected species without assessment",
        "Expected species without a category, or DD, NA or NE, as a share of all, by the first Red List "
        "given.",
        "concern",
    ),
    MapLayer(
        "most_threatened",
        "Most threatened status",
        "category",
        "worst Red List category of a possible species",
        "Worst category, LC to CR, of the species that are possible in a cell, by the first Red List given.",
        "concern",
    ),
    MapLayer(
        "most_threatened_certain",
        "Most threatened status, almost certain",
        "category",
        "worst Red List category of an almost certain species",
        "Worst category, LC to CR, of the species that are almost certain in a cell, by the first Red List "
        "given; outside the model's area of applicability no species is.",
        "concern",
    ),
    MapLayer(
        "invasive",
        "Invasive species",
        "expected species",
        "invasive species of Union concern expected per cell",
        "Sum of the probabilities of invasive species of Union concern.",
        "concern",
    ),
    MapLayer(
        "invasive_share",
        "Invasive share",
        "1",
        "share of invasive species of Union concern",
        "Expected invasive species of Union concern as a share of expected richness.",
        "concern",
    ),
    MapLayer(
        "endemic",
        "Endemic species",
        "expected species",
        "endemic species expected per cell",
        "Sum of the probabilities of endemic species.",
        "concern",
    ),
    MapLayer(
        "protected",
        "Protected species",
        "expected species",
        "species of the Habitats Directive expected per cell",
        "Sum of the probabilities of species of the Habitats Directive.",
        "concern",
    ),
    MapLayer(
        "weighted_endemism",
        "Weighted endemism",
        "1",
        "weighted endemism Σ p/range (range in cells)",
        "Sum over species of probability divided by range, the range being the expected occupied area in the "
        "atlas in cells of mean area.",
        "concern",
    ),
    MapLayer(
        "applicability",
        "Area of applicability",
        "1",
        "inside or outside what the model has learned from",
        "1 inside the area of applicability, 0 outside (Meyer & Pebesma 2021).",
        "trust",
    ),
    MapLayer(
        "dissimilarity",
        "Dissimilarity index",
        "1",
        "distance to the nearest training site, in mean distances",
        "Distance to the nearest training site in the space of the predictors, by the mean distance between "
        "training sites (Meyer & Pebesma 2021).",
        "trust",
    ),
    MapLayer(
        "mess",
        "MESS",
        "%",
        "similarity to the training sites, %; below 0 beyond their range",
        "Lowest similarity of any predictor to the training sites; below 0 outside (Elith et al. 2010).",
        "trust",
    ),
    MapLayer(
        "mess_variable",
        "Most limiting predictor",
        "category",
        "predictor with the lowest similarity (MESS)",
        "The predictor that MESS comes from.",
        "trust",
    ),
    MapLayer(
        "spread",
        "Spread of the ensemble",
        "1",
        "standard deviation as a share of expected richness",
        "Standard deviation between members, summed over species, as a share of expected richness.",
        "trust",
    ),
    MapLayer(
        "effort",
        "Sampling effort",
        "records per 100 km2",
        "records per 100 km² around the cell",
        "Records within about 25 km of the cell.",
        "trust",
    ),
    MapLayer(
        "information",
        "Where to look next",
        "1",
        "expected information of a visit, 0 to 100",
        "Uncertainty of the species list times the gap in records, 0 to 100.",
        "trust",
    ),
)
MAP_LAYERS: dict[str, MapLayer] = {layer.name: layer for layer in _CATALOGUE}

#: What an interval of a cell is, in one sentence for pages and files.
INTERVAL_MEANING = (
    "The interval that should hold the true value of a cell in nine of ten cases: value ± the spread that "
    "errors of the model show on held-out surveys."
)

#: Layers of which every cell has an interval, and the least and largest value they can have.
INTERVALS: dict[str, tuple[float, float]] = {
    "richness": (0.0, np.inf),
    "shannon": (0.0, np.inf),
    "simpson": (0.0, 1.0),
    "threatened_share": (0.0, 1.0),
    "unassessed_share": (0.0, 1.0),
    "invasive": (0.0, np.inf),
    "invasive_share": (0.0, 1.0),
    "endemic": (0.0, np.inf),
    "protected": (0.0, np.inf),
    "weighted_endemism": (0.0, np.inf),
}


def width_of(name: str) -> str:
    """Name of the layer that says how wide the interval of another one is."""
    return name + WIDTH_SUFFIX


#: Layers that say how wide the interval of another one is, by name.
WIDTH_LAYERS: dict[str, MapLayer] = {
    width_of(name): MapLayer(
        width_of(name),
        f"{MAP_LAYERS[name].title}, width of the 90 % interval",
        MAP_LAYERS[name].unit,
        f"width of the 90 % interval: {MAP_LAYERS[name].legend}",
        f"High minus low end. {INTERVAL_MEANING}",
        "interval",
    )
    for name in INTERVALS
}


def map_layer(name: str) -> MapLayer:
    """What a layer is; a layer an atlas was written with beside ours is known by its name alone."""
    return (
        MAP_LAYERS.get(name)
        or WIDTH_LAYERS.get(name)
        or MapLayer(name, name, "1", name, f"The value {name} of the atlas.", "diversity")
    )
