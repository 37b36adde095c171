"""The map of the Explore page, its legend, and beside it the hexagon that was clicked."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from pages.ui import frame, layers, map_tiles, maps, numbers, resources, species_text, state
from pages.ui.explore_choose import Display
from pages.ui.layers import Drawn
from pages.ui.messages import layer_name, layer_unit, say
from sdm_core.colours import Scale, ends_early
from sdm_core.errors import FlorascopeError

if TYPE_CHECKING:
    from pages.ui.resources import MapCells
    from sdm_core.registry import Atlas

MAP_HEIGHT = 570
_N_PANEL_SPECIES = 15
#: Width of the legend in the lower right corner of the map.
_LEGEND_PIXELS = 250


@st.fragment
def map_and_cell(atlas: Atlas, layer: str, species_id: int, cells: MapCells, display: Display) -> None:
    """The map, and beside it the species of the hexagon that was clicked; a click reruns only this part."""
    drawn = layers.drawn(atlas, layer, species_id, cells, state.view().window)
    coarse = cells.resolution < atlas.store.resolution
    url, scale = maps.published(
        atlas,
        layer,
        species_id,
        cells,
        display.cutoff,
        display.full_range,
        drawn.part,
        display.masked,
        drawn.values,
        drawn.categories,
        None if drawn.intervals is None else lambda scale: interval_lines(drawn, scale, coarse),
    )
    observed = None
    if display.observed:
        observed = resources.observed_points(
            atlas.name, atlas.key, species_id if layer == "species" else None
        )
    name = str(atlas.store.species["species"].iloc[species_id]) if layer == "species" else layer_name(layer)
    map_column, panel = st.columns([3.3, 1.15], gap="small")
    with map_column, st.container(key="map_box"):
        chosen = _chosen_cell()
        _draw(atlas, drawn, species_id, cells, display, (url, scale), (name, chosen), observed)
    with panel, st.container(key="cell_panel", height=MAP_HEIGHT, border=False):
        if layer == "species":
            st.html(species_text.species_card(atlas, species_id))
        _cell_panel(atlas, chosen, drawn, scale, cells)
    if display.observed and observed is None:
        st.caption(say("no_observed"))


def _draw(
    atlas: Atlas,
    drawn: Drawn,
    species_id: int,
    cells: MapCells,
    display: Display,
    published: tuple[str, Scale],
    named: tuple[str, str],
    observed: pd.DataFrame | None,
) -> None:
    """The map and its legend; `published` is what `maps.published` gave, `named` layer and chosen cell."""
    (url, scale), (name, chosen), layer = published, named, drawn.layer
    every_cell = cells.resolution < atlas.store.resolution
    style = ""
    if every_cell:
        tiles = (
            map_tiles.own_tiles_url(
                atlas,
                layer,
                layers.fine_values(atlas, layer)[layer],
                scale,
                layers.digests(),
                display.masked,
            )
            if drawn.own_list
            else map_tiles.tiles_url(atlas, layer, species_id, scale, display.masked)
        )
        style = map_tiles.style_url(tiles, display.opacity)
    area = numbers.number(cells.mean_area_km2)
    deck = maps.hexagon_map(
        url,
        layer,
        cells.bounds,
        display.opacity,
        observed,
        chosen=chosen,
        legend_pixels=_LEGEND_PIXELS,
        base_style=style,
        mean_of=say("tooltip_mean" if drawn.categories is None else "tooltip_most", area=area)
        if every_cell
        else "",
    )
    st.pydeck_chart(
        deck,
        height=MAP_HEIGHT,
        on_select="rerun",
        selection_mode="single-object",
        key="explore_map",
        alt=say("map_alt", layer=name),
    )
    low, high = _extremes(drawn)
    st.html(
        maps.legend(
            scale,
            name,
            _size_drawn(atlas, cells),
            frame.source_line(atlas),
            observed is not None,
            italic=layer == "species",
            masked=("hatched" if every_cell else "grey") if display.masked else "",
            highest=high,
            lowest=low,
            undefined=bool(np.isnan(drawn.values).any()),
        )
    )


def interval_lines(drawn: Drawn, scale: Scale, coarse: bool) -> list[str]:
    """Text below the value of each hexagon: the interval, and in a map of widths the value itself.

    Without the ends of an interval the line is empty. coarse: hexagons hold several cells, so that ends are
    means.
    """
    assert drawn.intervals is not None, "asked for intervals of a layer without any"
    key = "tooltip_interval_mean" if coarse else "tooltip_interval"
    of_base = [None] * len(drawn.values) if drawn.base is None else drawn.base.tolist()
    lines = []
    for low, high, base in zip(*(ends.tolist() for ends in drawn.intervals), of_base, strict=True):
        if not np.isfinite(high):
            lines.append("")
            continue
        ends = dict(zip(("low", "high"), numbers.layer_ends(scale.layer, low, high), strict=True))
        if base is None:
            lines.append(say(key, **ends))
        else:
            lines.append(say("tooltip_value", value=numbers.layer_value(scale.layer, base), **ends))
    return lines


def _extremes(drawn: Drawn) -> tuple[float | None, float | None]:
    """Lowest and highest value drawn of a layer whose ramp may end before them."""
    known = drawn.values[np.isfinite(drawn.values)]
    if drawn.categories is not None or not ends_early(drawn.layer) or not len(known):
        return None, None
    return float(known.min()), float(known.max())


def _size_drawn(atlas: Atlas, cells: MapCells) -> str:
    """How wide the cells or hexagons on the map are, in words."""
    own = numbers.number(resources.fine_area_km2(atlas.name, atlas.key))
    every_cell = cells.resolution < atlas.store.resolution
    return say("legend_cell" if every_cell else "legend_hexagon", area=own)


def _chosen_cell() -> str:
    """H3 name of the hexagon that was clicked last on this page; empty before the first click."""
    selection = st.session_state.get("explore_map", {}).get("selection", {})
    objects = selection.get("objects", {}).get("cells", [])
    return str(objects[0]["h"]) if objects else ""


def _cell_panel(atlas: Atlas, cell_name: str, drawn: Drawn, scale: Scale, cells: MapCells) -> None:
    """One hexagon: value of the layer with its interval, and its most probable species."""
    st.html(f'<div class="fs-panel-title">{say("cell_title")}</div>')
    if not cell_name:
        st.html(f'<p class="fs-note">{say("click_hint")}</p>')
        return
    try:
        cell = resources.cell(atlas.name, atlas.key, cell_name, _N_PANEL_SPECIES)
    except FlorascopeError as error:
        st.html(f'<p class="fs-note">{html.escape(str(error))}</p>')
        return
    what = say("cell_single" if cell.n_cells == 1 else "cell_mean", n=cell.n_cells, area=cell.area_text)
    value = cell_value(cell_name, drawn, scale, cells, cells.resolution < atlas.store.resolution)
    st.html(f'{value}<p class="fs-note">{what}<br>{cell.position}</p>')
    if cell.n_cells > 1 and st.button(
        say("zoom_here"), icon=":material/zoom_in:", key="zoom_here", width="stretch"
    ):
        state.change(window=f"at:{cell.longitude:.3f},{cell.latitude:.3f}")
        st.rerun()
    st.html(species_text.species_list(cell.species))


def cell_value(cell_name: str, drawn: Drawn, scale: Scale, cells: MapCells, coarse: bool) -> str:
    """HTML of the value of one hexagon with its interval; empty where the map does not have the hexagon."""
    if cell_name not in cells.names:
        return ""
    row = cells.names.index(cell_name)
    text = say(
        "cell_value",
        value=html.escape(maps.value_text(scale, float(drawn.values[row]))),
        unit=html.escape(layer_unit(drawn.layer)),
    )
    if drawn.intervals is not None:
        text += f"<br>{html.escape(interval_lines(_only(drawn, row), scale, coarse)[0])}"
    return f'<p class="fs-value-line" data-testid="cell-value">{text}</p>'


def _only(drawn: Drawn, row: int) -> Drawn:
    """The same layer for one hexagon."""
    import dataclasses

    assert drawn.intervals is not None
    low, high = drawn.intervals
    one = slice(row, row + 1)
    base = None if drawn.base is None else drawn.base[one]
    return dataclasses.replace(drawn, values=drawn.values[one], intervals=(low[one], high[one]), base=base)
