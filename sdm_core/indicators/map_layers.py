"""Everything a map can show of an atlas beside single species: which layers it has, values and intervals.

One catalogue for pages, tiles, interface and exports (`map_texts`). Some layers lie in the store, some are
worked out from its codes, once for each atlas; those that need a Red List are made from the lists given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core.colours import WIDTH_SUFFIX, Categories
from sdm_core.indicators.concern_layers import (
    LAYERS_OF_LISTS,
    concern_layers,
    concern_weights,
    first_red_list,
)
from sdm_core.indicators.error_intervals import error_model_of
from sdm_core.indicators.map_categories import APPLICABILITY, STATUSES, predictor_kinds
from sdm_core.indicators.map_texts import INTERVALS, MAP_LAYERS, WIDTH_LAYERS, width_of
from sdm_core.indicators.region import flag_members
from sdm_core.intervals import ErrorModel, cell_half_widths, probability_ends
from sdm_core.prediction.once import once_per_files, once_per_store
from sdm_core.statuses import MatchedStatuses

#: Codes of an atlas at most, so that layers that follow from all of them take a few seconds.
MOST_CODES = 500_000_000
#: The same for widths of intervals, which take ten times as long.
MOST_CODES_OF_WIDTHS = 250_000_000


#: Flags of the species table that a layer needs: which group must have a member.
_NEEDED_GROUP = {
    "endemic": "endemic",
    "protected": "protected",
    "invasive": "invasive",
    "invasive_share": "invasive",
}
_FROM_CODES = (*_NEEDED_GROUP, "weighted_endemism")
#: Layer that names the predictor MESS comes from.
PREDICTOR_LAYER = "mess_variable"
_INSIDE = "applicability"


def map_layer_names(store: Any, statuses: Sequence[MatchedStatuses] = ()) -> tuple[str, ...]:
    """Names of the layers of an atlas: `MAP_LAYERS`, `WIDTH_LAYERS`, then those it was written with.

    Layers of a Red List are among them where `statuses` has one.
    """
    ours = (*MAP_LAYERS, *WIDTH_LAYERS)
    known = [name for name in ours if not missing_reason(store, name, statuses)]
    return (*known, *(name for name in store.layer_names if name not in ours))


def missing_reason(store: Any, name: str, statuses: Sequence[MatchedStatuses] = ()) -> str:
    """Why an atlas does not have a layer of ours, in one sentence; empty where it has."""
    if name in WIDTH_LAYERS:
        if reason := missing_reason(store, name.removesuffix(WIDTH_SUFFIX), statuses):
            return reason
        if _error_model(store) is None:
            return "Nobody has measured the model's errors on held-out surveys for this atlas."
        if store.n_cells * store.n_species > MOST_CODES_OF_WIDTHS:
            return _too_many(store)
        return ""
    if name in store.layer_names:
        return ""
    if name in LAYERS_OF_LISTS or name in _FROM_CODES:
        if store.n_cells * store.n_species > MOST_CODES:
            return _too_many(store)
        if name in LAYERS_OF_LISTS:
            if first_red_list(statuses) is None:
                return "It needs a Red List, and none that names species of this atlas is given."
            return ""
        return _unknown_group(store, _NEEDED_GROUP[name]) if name in _NEEDED_GROUP else ""
    if name == PREDICTOR_LAYER and _predictors(store) is not None:
        return ""
    return "The atlas was made without it."


def _too_many(store: Any) -> str:
    return (
        f"The atlas has {store.n_cells * store.n_species / 1e9:.1f} billion probabilities, too many to work "
        "this layer out while you wait; read it for a region."
    )


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
    if name in WIDTH_LAYERS:
        low, high = map_interval(store, name.removesuffix(WIDTH_SUFFIX), chosen, statuses)
        return high - low
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


def has_interval(store: Any, name: str, statuses: Sequence[MatchedStatuses] = ()) -> bool:
    """Whether every cell has an interval of a layer."""
    return name in INTERVALS and not missing_reason(store, width_of(name), statuses)


def map_interval(
    store: Any,
    name: str,
    rows: ArrayLike | None = None,
    statuses: Sequence[MatchedStatuses] = (),
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Low and high end of the 90 % interval of a layer in some cells, each (n_rows,); see `INTERVAL_MEANING`.

    Raises:
        ValueError: the atlas has no intervals of it.
    """
    if not has_interval(store, name, statuses):
        raise ValueError(
            f"no interval of {name!r} in the atlas {store.name}. "
            f"{missing_reason(store, width_of(name), statuses) if name in INTERVALS else ''}".rstrip()
        )
    values = map_values(store, name, rows, statuses)
    if name in LAYERS_OF_LISTS:
        chosen = np.arange(store.n_cells) if rows is None else np.asarray(rows, dtype=np.int64)
        weights = concern_weights(store, statuses)
        shares = {name: weights.shares[name]}
        half = cell_half_widths(np.asarray(store.codes[chosen]), _errors(store), shares=shares)[name]
    else:
        half = _half_widths(store)[name]
        half = half if rows is None else half[np.asarray(rows, dtype=np.int64)]
    least, most = (np.float32(end) for end in INTERVALS[name])
    return np.maximum(values - half, least), np.minimum(values + half, most)


def species_interval(
    store: Any, species_id: int, rows: ArrayLike | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Low and high end of the 90 % interval of a species' probability in some cells, each (n_rows,).

    Raises:
        ValueError: the atlas has no held-out surveys beside it.
    """
    if (model := error_model_of(store)) is None:
        raise ValueError(
            f"the atlas {store.name} has no held-out surveys beside it, so it knows no interval."
        )
    codes = np.asarray(store.species_map(species_id))
    low, high = probability_ends(model)
    chosen = codes if rows is None else codes[np.asarray(rows, dtype=np.int64)]
    return low[chosen], high[chosen]


@once_per_files
def _half_widths(store: Any) -> dict[str, NDArray[np.float32]]:
    """Half the width of every interval that needs no list, each (n_cells,)."""
    weights = concern_weights(store)
    return cell_half_widths(store.codes, _errors(store), weights.sums, weights.shares)


@once_per_store
def _error_model(store: Any) -> ErrorModel | None:
    """Errors of the model on held-out surveys, read once; None where the atlas does not know them."""
    return error_model_of(store)


def _errors(store: Any) -> ErrorModel:
    """The error model of an atlas that has one."""
    model = _error_model(store)
    assert model is not None, "asked for intervals without an error model"
    return model


@once_per_files
def _layers_of_codes(store: Any) -> dict[str, NDArray[np.float32]]:
    """Layers that follow from the codes alone, each (n_cells,)."""
    return concern_layers(store, np.arange(store.n_cells))


def map_categories(store: Any, name: str) -> Categories | None:
    """What the numbers of a layer stand for; None where they are amounts."""
    if name in ("most_threatened", "most_threatened_certain"):
        return STATUSES
    if name == _INSIDE:
        return APPLICABILITY
    return _predictors(store) if name == PREDICTOR_LAYER else None


@once_per_store
def _predictors(store: Any) -> Categories | None:
    """What the numbers of `mess_variable` stand for; None where the atlas was made without it."""
    layers = (store.whole or store).cell_layers
    if layers is None or PREDICTOR_LAYER not in layers.layers:
        return None
    return predictor_kinds(layers.layers[PREDICTOR_LAYER].names)
