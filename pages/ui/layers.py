"""Which layers an atlas and the session's status lists give, and their values on the hexagons of a map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from pages.ui import hexagons, region_statuses, resources
from pages.ui.messages import GROUPS, layer_base, layer_name, say

if TYPE_CHECKING:
    from pages.ui.hexagons import MapCells
    from sdm_core.colours import Categories
    from sdm_core.registry import Atlas

#: Layers of the session's lists that were drawn last: never in a cache that sessions share.
_KEPT = "list_layers"
_MOST_KEPT = 6
_CERTAIN = "most_threatened_certain"
_TRUST = GROUPS["trust"][1]


def is_prediction(layer: str) -> bool:
    """Whether a layer comes from predictions, and so is doubtful where the model has no experience."""
    return layer not in _TRUST


@dataclass(frozen=True)
class Offer:
    """What can be on the map of an atlas: layers by group, and the second view of those that have one."""

    groups: dict[str, tuple[str, ...]]
    second: dict[str, str]
    missing: dict[str, str]

    @property
    def layers(self) -> list[str]:
        """Every layer that a link may name."""
        return [*(layer for group in self.groups.values() for layer in group), *self.second.values()]

    def group_of(self, layer: str) -> str:
        """The group of a layer or of a second view."""
        return next(name for name, layers in self.groups.items() if layer_base(layer) in layers)


def offer(atlas: Atlas) -> Offer:
    """The layers of an atlas with the lists of this session."""
    from sdm_core.indicators.map_layers import has_interval, missing_reason
    from sdm_core.indicators.map_texts import width_of

    store, lists = atlas.store, region_statuses.matched(atlas)
    missing = {
        layer: reason
        for _, layers in GROUPS.values()
        for layer in layers
        if layer != "species" and (reason := missing_reason(store, layer, lists))
    }
    groups = {
        name: tuple(layer for layer in layers if layer not in missing) for name, (_, layers) in GROUPS.items()
    }
    second = {
        layer: _CERTAIN if layer == "most_threatened" else width_of(layer)
        for layers in groups.values()
        for layer in layers
        if layer == "most_threatened" or has_interval(store, layer, lists)
    }
    return Offer({name: layers for name, layers in groups.items() if layers}, second, missing)


@dataclass(frozen=True)
class Drawn:
    """Values of a layer on the hexagons of a map.

    values (n_hexagons,). categories: what numbers stand for. part: names what hexagons and values are made
    from. intervals: low and high end, means over cells, where cells have them. base: values of the layer
    whose width this is. own_list: whether they come from lists of this session.
    """

    layer: str
    values: NDArray[np.float64]
    categories: Categories | None
    part: str
    intervals: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    base: NDArray[np.float64] | None = None
    own_list: bool = False


def needs_list(layer: str) -> bool:
    """Whether a layer is made from status lists."""
    from sdm_core.indicators.concern_layers import LAYERS_OF_LISTS

    return layer_base(layer) in LAYERS_OF_LISTS


def drawn(atlas: Atlas, layer: str, species_id: int, cells: MapCells, part: str) -> Drawn:
    """A layer on the hexagons `cells`, which `part` names."""
    from sdm_core.indicators.error_intervals import error_model_of
    from sdm_core.indicators.map_layers import PREDICTOR_LAYER, has_interval, map_categories

    version = atlas.key
    if layer == "species":
        values = resources.values_of(atlas.name, version, layer, species_id, part, cells)
        intervals = None
        if error_model_of(atlas.store) is not None:
            intervals = resources.intervals_of(atlas.name, version, layer, species_id, part, cells)
        return Drawn(layer, values, None, part, intervals)
    if needs_list(layer):
        return _drawn_of_lists(atlas, layer, cells, part)
    base = layer_base(layer)
    values = resources.values_of(atlas.name, version, layer, -1, part, cells)
    intervals = None
    if has_interval(atlas.store, base):
        intervals = resources.intervals_of(atlas.name, version, base, -1, part, cells)
    categories = map_categories(atlas.store, layer)
    if categories is not None and layer == PREDICTOR_LAYER:
        from sdm_core.applicability.predictor_words import predictor_words

        categories = categories.renamed(predictor_words)
    of_base = None if base == layer else resources.values_of(atlas.name, version, base, -1, part, cells)
    return Drawn(layer, values, categories, part, intervals, of_base)


def _drawn_of_lists(atlas: Atlas, layer: str, cells: MapCells, part: str) -> Drawn:
    from sdm_core.indicators.map_layers import map_categories

    kept = fine_values(atlas, layer)
    categories = map_categories(atlas.store, layer)
    area_ha = np.asarray(atlas.store.area_ha, dtype=np.float64)[cells.rows]

    def on_hexagons(name: str) -> NDArray[np.float64]:
        return hexagons.on_hexagons(kept[name][cells.rows], area_ha, cells, categories)

    base = layer_base(layer)
    is_width = layer not in (base, _CERTAIN)
    return Drawn(
        layer,
        on_hexagons(layer),
        categories,
        ":".join([part, *digests()]),
        (on_hexagons("low"), on_hexagons("high")) if "low" in kept else None,
        on_hexagons(base) if is_width else None,
        own_list=True,
    )


def digests() -> list[str]:
    """Digests of the status lists of this session, in their order."""
    return [file.digest for file in region_statuses.files()]


def fine_values(atlas: Atlas, layer: str) -> dict[str, NDArray[np.float32]]:
    """Values of a layer of the session's lists in every cell: itself, its base, ends of intervals."""
    from sdm_core.indicators.map_layers import has_interval, map_interval, map_values
    from sdm_core.indicators.map_texts import width_of

    key = (atlas.key, layer, *digests())
    kept: dict[tuple[str, ...], dict[str, NDArray[np.float32]]] = st.session_state.setdefault(_KEPT, {})
    found = kept.pop(key, None)
    if found is None:
        lists, base = region_statuses.matched(atlas), layer_base(layer)
        with st.spinner(say("working_out", layer=layer_name(layer))):
            found = {base: map_values(atlas.store, base, statuses=lists)}
            if has_interval(atlas.store, base, lists):
                found["low"], found["high"] = map_interval(atlas.store, base, statuses=lists)
            if layer == width_of(base):
                found[layer] = found["high"] - found["low"]
            elif layer != base:
                found[layer] = map_values(atlas.store, layer, statuses=lists)
    kept[key] = found
    while len(kept) > _MOST_KEPT:
        kept.pop(next(iter(kept)))
    return found
