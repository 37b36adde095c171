"""Controls of the Explore page: which layer or species, which part of the atlas, and how it is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from pages.ui import layers, resources, state
from pages.ui.layers import Offer
from pages.ui.messages import GROUPS, LAYERS, layer_base, say

if TYPE_CHECKING:
    from pages.ui.resources import Bounds
    from sdm_core.registry import Atlas

#: Degrees of latitude above and below a chosen cell that a close view shows.
_AROUND_DEG = 1.3
_DEFAULT_CUTOFF_PERCENT = 2
#: Layer of each group that was shown last, in this session.
_LAST = "last_layers"


@dataclass(frozen=True)
class Display:
    """How the map is drawn."""

    observed: bool
    opacity: float
    cutoff: float
    full_range: bool
    masked: bool = False


def choose_layer(atlas: Atlas) -> str:
    """Picker of what the colours mean: a group, a layer of it, its value or its interval."""
    offered = layers.offer(atlas)
    layer = _settled(offered)
    group = offered.group_of(layer)
    st.session_state.setdefault(_LAST, {})[group] = layer
    st.segmented_control(
        say("layer_group"),
        list(offered.groups),
        format_func=lambda name: GROUPS[name][0],
        required=True,
        key=state.fill("group_picker", group),
        on_change=_group_chosen,
        args=(offered,),
        help=say("layer_help"),
        width="stretch",
    )
    if group != "species":
        with st.container(key="layer_choice"):
            _choose_within(offered, group, layer)
    return layer


def _choose_within(offered: Offer, group: str, layer: str) -> None:
    """Picker of a layer of a group, and of its value or interval; where to get what the group lacks."""
    st.radio(
        say("layer"),
        offered.groups[group],
        format_func=LAYERS.__getitem__,
        key=state.fill("layer_picker", layer_base(layer)),
        on_change=_layer_chosen,
        args=(offered,),
        label_visibility="collapsed",
    )
    _choose_view(offered, layer)
    if group == "concern" and "threatened_share" not in offered.groups[group]:
        st.caption(say("needs_list"))
        st.page_link("region.py", label=say("to_region"), icon=":material/playlist_add:")


def _settled(offered: Offer) -> str:
    """The layer of the view where the atlas has it; otherwise another one, with the reason."""
    wanted = layer_base(state.view().layer)
    if reason := offered.missing.get(wanted):
        shown = LAYERS["species"]
        state.notice(say("layer_missing", layer=LAYERS[wanted], reason=reason, shown=shown))
        state.change(layer="species")
    elif state.view().layer not in offered.layers and wanted in offered.layers:
        state.change(layer=wanted)  # an interval that this atlas does not have
    return state.settle_layer(offered.layers)


def _choose_view(offered: Offer, layer: str) -> None:
    """Picker of the second view of a layer, where it has one."""
    base = layer_base(layer)
    if base not in offered.second:
        return
    first, second = ("possible", "certain") if base == "most_threatened" else ("value", "width")
    st.segmented_control(
        say("layer_view"),
        [base, offered.second[base]],
        format_func=lambda name: say(f"view_{first if name == base else second}"),
        required=True,
        key=state.fill("view_picker", layer),
        on_change=state.remember("view_picker", "layer"),
        label_visibility="collapsed",
        width="stretch",
    )


def _group_chosen(offered: Offer) -> None:
    """Show the layer of the group that was shown last, or its first."""
    group = st.session_state["group_picker"]
    if group:
        last = st.session_state.get(_LAST, {}).get(group)
        state.notices().clear()
        state.change(layer=last if last in offered.layers else offered.groups[group][0])


def _layer_chosen(offered: Offer) -> None:
    """Show a layer in the view, value or interval, that was chosen before."""
    chosen, before = st.session_state["layer_picker"], state.view().layer
    if chosen:
        in_second = before != layer_base(before) and not before.endswith("_certain")
        second = offered.second.get(chosen, chosen)
        keep = in_second and chosen != "most_threatened"
        state.notices().clear()
        state.change(layer=second if keep else chosen)


def choose_species(atlas: Atlas) -> int:
    """Type-ahead over scientific names and English genus names; gives the species' column."""
    labels = resources.species_labels(atlas.name, atlas.key)
    names = list(labels)
    species = state.settle_choice("species", names, default_species(atlas), "unknown_species", str)
    on_map = species if state.view().layer == "species" else None
    st.selectbox(
        say("find_species"),
        names,
        index=None,
        format_func=labels.__getitem__,
        key=state.fill("species_picker", on_map),
        on_change=_species_chosen,
        help=say("find_species_help"),
        placeholder=say("species_placeholder"),
    )
    return atlas.store.species_id(species)


def _species_chosen() -> None:
    """Show a species as soon as it is chosen, whatever layer was on the map."""
    if species := st.session_state["species_picker"]:
        state.notices().clear()
        state.change(species=species, layer="species")


def default_species(atlas: Atlas) -> str:
    """A species most readers know, where the atlas has it; otherwise the one with most records."""
    table = atlas.store.species
    for familiar in ("Fagus sylvatica", "Quercus ilex", "Quercus rotundifolia"):
        if (table["species"] == familiar).any():
            return familiar
    order = (
        table["n_records"].astype(float).fillna(0) if "n_records" in table else pd.Series(0.0, table.index)
    )
    return str(table["species"].loc[order.idxmax()])


def choose_window(atlas: Atlas) -> Bounds | None:
    """Picker of the part drawn in fine cells; None is the whole atlas."""
    places = resources.wide_places_in(atlas.name, atlas.key)
    value = state.view().window
    options = ["", *(f"place:{name}" for name in places)]
    if value.startswith("at:"):
        options.insert(1, value)
    if value not in options:
        state.notice(say("unknown_place", value=value.partition(":")[2] or value))
        value = state.change(window="").window
    st.selectbox(
        say("window"),
        options,
        format_func=window_name,
        key=state.fill("window_picker", value),
        on_change=state.remember("window_picker", "window"),
        help=say("window_help"),
    )
    if value.startswith("place:"):
        return resources.view_around(resources.place(value[6:]).bounds)
    if value.startswith("at:"):
        try:
            longitude, latitude = (float(part) for part in value[3:].split(","))
        except ValueError:
            state.notice(say("unknown_place", value=value[3:]))
            state.change(window="")
            return None
        return resources.view_around((longitude, latitude - _AROUND_DEG, longitude, latitude + _AROUND_DEG))
    return None


def window_name(value: str) -> str:
    """What a part of the atlas is called."""
    if not value:
        return say("whole_atlas")
    return say("around_click") if value.startswith("at:") else value[6:]


def choose_display(atlas: Atlas, layer: str) -> Display:
    """Observed records, opacity, and what is greyed out."""
    observed = st.toggle(say("show_observed"), key="show_observed", help=say("show_observed_help"))
    masked = False
    if resources.knows_experience(atlas) and layers.is_prediction(layer):
        masked = st.toggle(say("mask"), value=True, key="mask_outside", help=say("mask_help"))
    with st.popover(say("display"), icon=":material/tune:", width="stretch"):
        opacity = st.slider(say("opacity"), 20, 100, 90, 5, format="%d %%", key="opacity") / 100
        cutoff, full_range = 0.0, False
        if layer == "species":
            cutoff = (
                st.slider(
                    say("cutoff"),
                    0,
                    60,
                    _DEFAULT_CUTOFF_PERCENT,
                    1,
                    format="%d %%",
                    key="cutoff",
                    help=say("cutoff_help"),
                )
                / 100
            )
            full_range = st.toggle(say("full_scale"), key="full_scale", help=say("full_scale_help"))
    return Display(observed, opacity, cutoff, full_range, masked)
