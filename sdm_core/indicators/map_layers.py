"""Everything a map can show of an atlas beside single species: what each layer is, and its values.

One catalogue for pages, tiles, interface and exports. Some layers lie in the store, some are worked out from
its codes, once for each atlas; those that need a Red List are made from the lists that are given.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core.colours import Categories
from sdm_core.indicators.concern_layers import LAYERS_OF_LISTS, concern_layers, first_red_list
from sdm_core.indicators.region import flag_members
from sdm_core.prediction.once import once_per_store
from sdm_core.statuses import ASSESSED, MatchedStatuses

Group = Literal["diversity", "concern", "trust"]

#: Codes of an atlas at most, so that layers that follow from all of them take a few seconds.
MOST_CODES = 500_000_000


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
        "given.",
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

#: Flags of the species table that a layer needs: which group must have a member.
_NEEDED_GROUP = {
    "endemic": "endemic",
    "protected": "protected",
    "invasive": "invasive",
    "invasive_share": "invasive",
}
_FROM_CODES = (*_NEEDED_GROUP, "weighted_endemism")
_MESS_VARIABLE, _INSIDE = "mess_variable", "applicability"

#: Colours of the Red List: from blue to red, which people with any colour vision tell apart.
STATUS_COLOURS: dict[str, tuple[int, int, int]] = {
    "": (196, 200, 200),
    "LC": (58, 127, 184),
    "NT": (156, 203, 224),
    "VU": (246, 220, 110),
    "EN": (240, 145, 58),
    "CR": (176, 28, 44),
}
#: Kinds of predictors, the pattern of their names, and a colour of Okabe and Ito's (2008) for each.
_PREDICTOR_KINDS: tuple[tuple[str, str, tuple[int, int, int]], ...] = (
    ("temperature", r"bio_?0?([1-9]|1[01])$|temp|tas|frost|gdd", (213, 94, 0)),
    ("rain and snow", r"bio_?1[2-9]$|rain|precip|^pr$|snow", (0, 114, 178)),
    ("sunshine", r"sun|rad|solar|srad", (240, 228, 66)),
    ("terrain", r"topo|slope|elev|alt|aspect|dem|tpi|tri|rough", (148, 112, 82)),
    ("vegetation and cover", r"ndvi|evi|landcover|veg|forest|tree|corine|clc", (0, 158, 115)),
    ("soil", r"soil|clay|sand|silt|ph|carbon|nitrogen", (204, 121, 167)),
    ("people", r"human|footprint|pop|night|road", (80, 80, 80)),
    ("position", r"^lon|^lat|^x$|^y$", (86, 180, 233)),
)
_OTHER_KIND = ("other", (170, 170, 170))


def map_layer(name: str) -> MapLayer:
    """What a layer is; a layer an atlas was written with beside ours is known by its name alone."""
    return MAP_LAYERS.get(name) or MapLayer(
        name, name, "1", name, f"The value {name} of the atlas.", "diversity"
    )


def map_layer_names(store: Any, statuses: Sequence[MatchedStatuses] = ()) -> tuple[str, ...]:
    """Names of the layers of an atlas: those we know in the order of `MAP_LAYERS`, then its own.

    Layers of a Red List are among them where `statuses` has one.
    """
    known = [name for name in MAP_LAYERS if not missing_reason(store, name, statuses)]
    return (*known, *(name for name in store.layer_names if name not in MAP_LAYERS))


def missing_reason(store: Any, name: str, statuses: Sequence[MatchedStatuses] = ()) -> str:
    """Why an atlas does not have a layer of `MAP_LAYERS`, in one sentence; empty where it has."""
    if name in store.layer_names:
        return ""
    if name in LAYERS_OF_LISTS or name in _FROM_CODES:
        if store.n_cells * store.n_species > MOST_CODES:
            return (
                f"The atlas has {store.n_cells * store.n_species / 1e9:.1f} billion probabilities, too many "
                "to work this layer out while you wait; read it for a region."
            )
        if name in LAYERS_OF_LISTS:
            if first_red_list(statuses) is None:
                return "It needs a Red List, and none that names species of this atlas is given."
            return ""
        return _unknown_group(store, _NEEDED_GROUP[name]) if name in _NEEDED_GROUP else ""
    if name == _MESS_VARIABLE and _predictors(store) is not None:
        return ""
    return "The atlas was made without it."


def _unknown_group(store: Any, group: str) -> str:
    """Why no species of a group is known; empty where one is."""
    some, looked_up = _known_groups(store)[group]
    if some:
        return ""
    words = {
        "endemic": "endemic",
        "protected": "on the Habitats Directive",
        "invasive": "invasive of Union concern",
    }
    if looked_up:
        return f"No species of this atlas is {words[group]}."
    return f"This atlas does not know which of its species are {words[group]}."


@once_per_store
def _known_groups(store: Any) -> dict[str, tuple[bool, bool]]:
    """Whether any species of an atlas is in a group, and whether any was looked up for it."""
    return {
        name: (bool(members.any()), bool(assessed.any()))
        for name, (members, assessed) in flag_members(store.species).items()
    }


def map_values(
    store: Any,
    name: str,
    rows: ArrayLike | None = None,
    statuses: Sequence[MatchedStatuses] = (),
) -> NDArray[np.float32]:
    """Value of a layer in some cells (n_rows,), in all without `rows`; NaN where it is not known.

    Raises:
        ValueError: the atlas has no such layer.
    """
    chosen = None if rows is None else np.asarray(rows, dtype=np.int64)
    if name not in store.layer_names and (reason := missing_reason(store, name, statuses)):
        raise ValueError(f"unknown layer {name!r} of the atlas {store.name}. {reason}")
    if name in LAYERS_OF_LISTS:
        wanted = np.arange(store.n_cells) if chosen is None else chosen
        return concern_layers(store, wanted, statuses)[name]
    if name in store.layer_names:
        values = store.layer(name)
    elif name in _FROM_CODES:
        values = _layers_of_codes(store)[name]
    else:
        values = store.value_beside(name)
    return np.asarray(values if chosen is None else values[chosen], dtype=np.float32)


@once_per_store
def _layers_of_codes(store: Any) -> dict[str, NDArray[np.float32]]:
    """Layers that follow from the codes alone, each (n_cells,)."""
    return concern_layers(store, np.arange(store.n_cells))


def map_categories(store: Any, name: str) -> Categories | None:
    """What the numbers of a layer stand for; None where they are amounts."""
    if name in ("most_threatened", "most_threatened_certain"):
        return _STATUSES
    if name == _INSIDE:
        return _APPLICABILITY
    return _predictors(store) if name == _MESS_VARIABLE else None


@once_per_store
def _predictors(store: Any) -> Categories | None:
    """What the numbers of `mess_variable` stand for; None where the atlas was made without it."""
    layers = (store.whole or store).cell_layers
    if layers is None or _MESS_VARIABLE not in layers.layers:
        return None
    return predictor_kinds(layers.layers[_MESS_VARIABLE].names)


_STATUSES = Categories(
    names=("none assessed", *ASSESSED),
    places=tuple(range(len(ASSESSED) + 1)),
    labels=("none assessed", *ASSESSED),
    colours=tuple(STATUS_COLOURS[name] for name in ("", *ASSESSED)),
)
_APPLICABILITY = Categories(
    names=("outside", "inside"),
    places=(0, 1),
    labels=("outside", "inside"),
    colours=((217, 144, 76), (54, 130, 148)),
)


def predictor_kinds(names: Sequence[str]) -> Categories:
    """Predictors sorted into kinds, so that their colours can be told apart."""
    found = [_kind_of(name) for name in names]
    labels = [label for label, *_ in (*_PREDICTOR_KINDS, _OTHER_KIND) if label in found]
    colours = {label: colour for label, _, colour in _PREDICTOR_KINDS} | dict([_OTHER_KIND])
    return Categories(
        names=tuple(names),
        places=tuple(labels.index(label) for label in found),
        labels=tuple(labels),
        colours=tuple(colours[label] for label in labels),
    )


def _kind_of(predictor: str) -> str:
    for label, pattern, _ in _PREDICTOR_KINDS:
        if re.search(pattern, predictor.lower()):
            return label
    return _OTHER_KIND[0]


def most_common(
    values: NDArray[np.floating], area: NDArray[np.float64], starts: NDArray[np.int64], categories: Categories
) -> NDArray[np.float64]:
    """Value that holds most of the area of each group of rows: first the place, then the number within it.

    values and area (n_rows,); starts: first row of each group, ascending. Groups without any known value are
    NaN; equal areas go to the lower number.
    """
    places = categories.places_of(values)
    best = _largest(places, area, starts, len(categories.labels))
    of_row = np.repeat(best, np.diff(np.r_[starts, len(values)]))
    numbers = np.where((places == of_row) & (places >= 0), np.nan_to_num(values), -1).astype(np.int64)
    found = _largest(numbers, area, starts, len(categories.names)).astype(np.float64)
    return np.where(best < 0, np.nan, found)


def _largest(
    numbers: NDArray[np.int64], area: NDArray[np.float64], starts: NDArray[np.int64], n_numbers: int
) -> NDArray[np.int64]:
    """Number with the largest area in each group, −1 where all are negative."""
    largest = np.zeros(len(starts))
    found = np.full(len(starts), -1, dtype=np.int64)
    for number in range(n_numbers):
        total = np.add.reduceat(np.where(numbers == number, area, 0.0), starts)
        better = total > largest
        largest[better], found[better] = total[better], number
    return found
