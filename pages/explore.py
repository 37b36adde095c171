"""Where is it predicted? One layer on a map of hexagons, the species of a cell, and the table behind it."""

from __future__ import annotations

import streamlit as st

from pages.ui import explore_below, explore_choose, explore_map, frame, resources, state

PAGE_FIELDS = ("atlas", "layer", "species", "window")

controls, rest = st.columns([1, 4.6], gap="medium")
with frame.friendly_errors():
    with controls:
        atlas = frame.choose_atlas()
        species_place = st.container()
        window = explore_choose.choose_window(atlas)
        layer = explore_choose.choose_layer(atlas)
        with species_place:  # above, but what it shows depends on the layer
            species_id = explore_choose.choose_species(atlas)
        display = explore_choose.choose_display(atlas, layer)
        state.write_address(PAGE_FIELDS)
    with rest:
        frame.show_notices()
        cells = resources.map_cells(atlas.name, atlas.key, window)
        explore_map.map_and_cell(atlas, layer, species_id, cells, display)
        explore_below.below_map(atlas, layer, species_id, cells, PAGE_FIELDS)
