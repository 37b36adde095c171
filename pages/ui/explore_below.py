"""What stands below the map of the Explore page: a sentence on the layer, its table, downloads, the link."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st

from pages.ui import downloads, frame, layers, numbers, region_statuses, state
from pages.ui.explore_choose import window_name
from pages.ui.layers import Drawn
from pages.ui.messages import layer_base, layer_name, layer_unit, say

if TYPE_CHECKING:
    from pages.ui.resources import MapCells
    from sdm_core.registry import Atlas

_TABLE_HEIGHT = 320


def below_map(
    atlas: Atlas, layer: str, species_id: int, cells: MapCells, page_fields: tuple[str, ...]
) -> None:
    """One sentence on the layer and its limit; the table twin, its download and the link."""
    text, buttons = st.columns([3, 2.1], vertical_alignment="center")
    drawn = layers.drawn(atlas, layer, species_id, cells, state.view().window)
    text.html(
        f'<p class="fs-note" data-testid="layer-sentence">{sentence(atlas, drawn, species_id, cells)}</p>'
    )
    species = str(atlas.store.species["species"].iloc[species_id])
    with buttons, st.container(horizontal=True, horizontal_alignment="right"):
        show_table = st.toggle(say("table"), key="show_table")
        name = species if layer == "species" else layer
        stem = numbers.file_stem(
            atlas.name, name, window_name(state.view().window), str(atlas.store.version)[:8]
        )
        st.download_button(
            say("download_short"),
            data=lambda: map_table(drawn, cells).to_csv(index=False),
            file_name=f"{stem}.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
            key="download_map_table",
        )
        bounds = cells.bounds if state.view().window else None
        lists = region_statuses.matched(atlas) if drawn.own_list else []
        st.download_button(
            say("download_raster"),
            data=lambda: downloads.geotiff(atlas, layer, species_id, bounds, lists),
            file_name=f"{stem}.tif",
            mime="image/tiff",
            icon=":material/download:",
            on_click="ignore",
            key="download_map_raster",
            help=say("download_raster_help"),
        )
        with st.popover(say("share"), icon=":material/link:"):
            st.caption(say("share_text"))
            st.code(state.share_link(page_fields), language=None, wrap_lines=True)
    if show_table:
        _table(drawn, cells)


def sentence(atlas: Atlas, drawn: Drawn, species_id: int, cells: MapCells) -> str:
    """HTML of what a layer is and its main limit; of a width, what the interval means."""
    layer, categories = drawn.layer, drawn.categories
    base = layer_base(layer)
    key = f"about_{layer}"
    if layer.endswith("_width"):
        key = "about_width"
    said = say(
        key,
        species=f"<i>{atlas.store.species['species'].iloc[species_id]}</i>",
        n_species=numbers.number(atlas.store.n_species),
        grain=html.escape(frame.grain(atlas)),
        source=html.escape(frame.data_name(atlas)),
        limit=_limit_of_experience(atlas),
        threshold=_threshold_of_experience(atlas),
        layer=layer_name(layer),
        meaning=_meaning_of_interval(atlas, base),
        **_of_lists(atlas, layer),
    )
    if layer == "species" and drawn.intervals is not None:
        said += " " + say("species_interval")
    if cells.resolution < atlas.store.resolution:
        note = "coarse_note" if categories is None else "coarse_note_most"
        said += " " + say(note, area=numbers.number(cells.mean_area_km2))
    return said


def _threshold_of_experience(atlas: Atlas) -> str:
    """The dissimilarity index above which a cell lies outside the area of applicability; empty if unknown."""
    known = atlas.store.cell_layers
    if known is None or "applicability" not in known.notes:
        return ""
    return f"{known.notes['applicability']['threshold']:.2f}"


def _limit_of_experience(atlas: Atlas) -> str:
    """The same limit in words."""
    threshold = _threshold_of_experience(atlas)
    return say("about_dissimilarity_limit", threshold=threshold) if threshold else ""


def _meaning_of_interval(atlas: Atlas, layer: str) -> str:
    """What intervals of cells promise, and of richness what they kept on held-out surveys."""
    held_out = atlas.store.held_out
    said = say("meaning_interval")
    if layer == "richness" and held_out is not None:
        kept = (held_out.notes.get("coverage") or {}).get("intervals") or {}
        if "cell_richness" in kept:
            said += say("meaning_kept", percent=numbers.percent(float(kept["cell_richness"])))
    return said + "."


def _of_lists(atlas: Atlas, layer: str) -> dict[str, str]:
    """Which list a layer is made from, and what possible and certain mean; empty for other layers."""
    if not layers.needs_list(layer):
        return {}
    from sdm_core.indicators.certainty import certainty_of
    from sdm_core.indicators.concern_layers import red_list_title

    certainty = certainty_of(atlas.store)
    return {
        "list": html.escape(red_list_title(region_statuses.matched(atlas))),
        "possible": html.escape(certainty.possible_text),
        "certain": html.escape(certainty.certain_text),
    }


def _table(drawn: Drawn, cells: MapCells) -> None:
    """The table twin of the map."""
    table = map_table(drawn, cells)
    st.caption(say("table_caption", n=numbers.number(len(table))))
    quantity = layer_base(drawn.layer)
    is_share = quantity in ("species", "spread") or quantity.endswith("_share")
    shown = "percent" if is_share else "%.4g"
    values: dict[str, Any] = {
        column: st.column_config.NumberColumn(title, format=shown)
        for column, title in (
            ("low", say("table_low")),
            ("high", say("table_high")),
            (_column(drawn.layer), layer_unit(drawn.layer).capitalize()),
        )
        if column in table
    }
    if drawn.categories is not None:
        values = {_column(drawn.layer): layer_unit(drawn.layer).capitalize()}
    st.dataframe(
        table,
        hide_index=True,
        height=_TABLE_HEIGHT,
        key="map_table",
        column_config={
            "h3_cell": "H3 cell",
            "longitude": "Longitude, °",
            "latitude": "Latitude, °",
            **values,
        },
    )


def _column(layer: str) -> str:
    return "probability" if layer == "species" else layer


def map_table(drawn: Drawn, cells: MapCells) -> pd.DataFrame:
    """The drawn hexagons as a table, highest first: H3 cell, longitude, latitude, value, ends of intervals.

    Categories are written in words.
    """
    table = pd.DataFrame(
        {
            "h3_cell": cells.names,
            "longitude": cells.lonlat[:, 0].round(5),
            "latitude": cells.lonlat[:, 1].round(5),
        }
    )
    if drawn.intervals is not None:
        table["low"], table["high"] = drawn.intervals
    name = _column(drawn.layer)
    table[name] = drawn.values
    table = table.sort_values(name, ascending=False, kind="stable", ignore_index=True)
    if drawn.categories is not None:
        words = {value: drawn.categories.text(value) for value in np.unique(table[name].dropna())}
        table[name] = table[name].map(words).fillna("")
    return table
