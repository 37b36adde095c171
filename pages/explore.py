"""Where is it predicted? One layer on a map of hexagons, the species of a cell, and the table behind it."""

from __future__ import annotations

import streamlit as st

from pages.ui import explore_parts as parts
from pages.ui import frame, resources, state

PAGE_FIELDS = ("atlas", "layer", "species", "window")

controls, rest = st.columns([1, 4.6], gap="medium")
with frame.friendly_errors():
    with controls:
        atlas = frame.choose_atlas()
        layer = parts.choose_layer(atlas)
        species_id = parts.choose_species(atlas)
        window = parts.choose_window(atlas)
        display = parts.choose_display(atlas, layer)
        state.write_address(PAGE_FIELDS)
    with rest:
        frame.show_notices()
        cells = resources.map_cells(atlas.name, atlas.store.version, window)
        parts.map_and_cell(atlas, layer, species_id, cells, display)
        parts.below_map(atlas, layer, species_id, cells, PAGE_FIELDS)
