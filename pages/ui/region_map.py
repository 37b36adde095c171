"""The map of a region: one of its layers or one species, masked where the model has no experience."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.ui import frame, layers, maps, numbers, region_statuses, resources
from pages.ui.messages import CONCERN_LAYERS, LAYERS, say

if TYPE_CHECKING:
    from pages.ui.hexagons import MapCells
    from pages.ui.region_read import Reading
    from sdm_core.observed import ObservedRegion
    from sdm_core.regions import Region
    from sdm_core.registry import Atlas

MAP_HEIGHT = 430
_PIXELS = (580, 390)


def show(
    atlas: Atlas,
    region: Region,
    reading: Reading,
    species_id: int | None,
    observed: ObservedRegion | None,
) -> None:
    """Draw the map and its legend; `species_id` for the map of one species."""
    version = atlas.key
    known = atlas.store.layer_names
    layer = st.segmented_control(
        say("map_shows"),
        [name for name in ("richness", "shannon", "simpson", "information") if name in known]
        + region_statuses.layers(reading.summary),
        default="richness",
        format_func=_layer_button,
        key="region_layer",
        label_visibility="collapsed",
        disabled=species_id is not None,
    )
    shown = "species" if species_id is not None else (layer or "richness")
    cells = resources.region_cells(
        atlas.name, version, region.geometry_hash, reading.summary.containment, region
    )
    masked = _choose_mask(atlas, reading, cells) and layers.is_prediction(shown)
    values, part = None, reading.part
    if shown in CONCERN_LAYERS:
        values = region_statuses.layer_values(atlas, reading, cells, shown)
        part = region_statuses.layer_part(reading, shown)
    url, scale = maps.published(atlas, shown, species_id or 0, cells, 0.0, False, part, masked, values)
    if species_id is not None:
        name = str(atlas.store.species["species"].iloc[species_id])
    else:
        name = CONCERN_LAYERS[shown][1] if shown in CONCERN_LAYERS else LAYERS[shown]
    with st.container(key="region_map_box"):
        st.pydeck_chart(
            maps.hexagon_map(
                url,
                shown,
                cells.bounds,
                outline=resources.outline(region.geometry_hash, region),
                pixels=_PIXELS,
                observed=None if observed is None else observed.points(species_id),
            ),
            height=MAP_HEIGHT,
            key="region_map",
            alt=say("map_alt", layer=name),
        )
        st.html(
            maps.legend(
                scale,
                name,
                say("legend_hexagon", area=numbers.number(hexagon_area_km2(atlas, cells))),
                frame.source_line(atlas),
                observed is not None,
                italic=species_id is not None,
                masked="grey" if masked else "",
            )
        )


def hexagon_area_km2(atlas: Atlas, cells: MapCells) -> float:
    """Mean area of the hexagons of a map: for the cells of an atlas the same on every map and page."""
    if cells.resolution != resources.open_atlas(atlas.name).store.resolution:
        return cells.mean_area_km2
    return resources.fine_area_km2(atlas.name, atlas.key)


def _layer_button(layer: str) -> str:
    """Short name of a layer of the region's map."""
    if layer in CONCERN_LAYERS:
        return CONCERN_LAYERS[layer][0]
    return say("short_information") if layer == "information" else LAYERS[layer]


def _choose_mask(atlas: Atlas, reading: Reading, cells: MapCells) -> bool:
    """Whether to grey what lies outside the model's experience; asked only where anything does."""
    if not resources.knows_experience(atlas):
        return False
    outside = resources.outside_of(atlas.name, atlas.key, reading.part, cells)
    if not outside.any():
        return False
    return st.toggle(
        say("mask_share", percent=numbers.percent(float(outside.mean()))),
        value=True,
        key="mask_region",
        help=say("mask_help"),
    )
