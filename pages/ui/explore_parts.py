"""Controls, map, cell panel and table of the Explore page."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from pages.ui import downloads, frame, map_tiles, maps, numbers, resources, state
from pages.ui.messages import LAYER_UNITS, LAYERS, say
from sdm_core.errors import FlorascopeError

if TYPE_CHECKING:
    from pages.ui.resources import Bounds, MapCells
    from sdm_core.registry import Atlas

MAP_HEIGHT = 570
#: Degrees of latitude above and below a chosen cell that a close view shows.
_AROUND_DEG = 1.3
_N_PANEL_SPECIES = 15
#: Width of the legend in the lower right corner of the map.
_LEGEND_PIXELS = 250
_DEFAULT_CUTOFF_PERCENT = 2
#: Layers that are predictions, and so are greyed where the model has no experience.
PREDICTIONS = ("species", "richness", "shannon", "simpson")


@dataclass(frozen=True)
class Display:
    """How the map is drawn."""

    observed: bool
    opacity: float
    cutoff: float
    full_range: bool
    masked: bool = False


def layers_of(atlas: Atlas) -> list[str]:
    """What the colours may mean for an atlas."""
    return [layer for layer in LAYERS if layer == "species" or layer in atlas.store.layer_names]


def choose_layer(atlas: Atlas) -> str:
    """Picker of what the colours mean."""
    offered = layers_of(atlas)
    layer = state.settle_layer(offered)
    st.radio(
        say("layer"),
        offered,
        format_func=LAYERS.__getitem__,
        key=state.fill("layer_picker", layer),
        on_change=state.remember("layer_picker", "layer"),
    )
    return layer


def choose_species(atlas: Atlas) -> int:
    """Type-ahead over scientific names and English genus names; gives the species' column."""
    labels = resources.species_labels(atlas.name, atlas.store.version)
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
    places = resources.wide_places_in(atlas.name, atlas.store.version)
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
        format_func=_window_name,
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


def _limit_of_experience(atlas: Atlas) -> str:
    """The dissimilarity index above which a cell lies outside the area of applicability, in words."""
    layers = atlas.store.cell_layers
    if layers is None or "applicability" not in layers.notes:
        return ""
    return say("about_dissimilarity_limit", threshold=f"{layers.notes['applicability']['threshold']:.2f}")


def _window_name(value: str) -> str:
    if not value:
        return say("whole_atlas")
    return say("around_click") if value.startswith("at:") else value[6:]


def choose_display(atlas: Atlas, layer: str) -> Display:
    """Observed records, opacity, and what is greyed out."""
    observed = st.toggle(say("show_observed"), key="show_observed", help=say("show_observed_help"))
    masked = False
    if resources.knows_experience(atlas) and layer in PREDICTIONS:
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


@st.fragment
def map_and_cell(atlas: Atlas, layer: str, species_id: int, cells: MapCells, display: Display) -> None:
    """The map, and beside it the species of the hexagon that was clicked; a click reruns only this part."""
    url, scale = maps.published(
        atlas,
        layer,
        species_id,
        cells,
        display.cutoff,
        display.full_range,
        state.view().window,
        display.masked,
    )
    observed = None
    if display.observed:
        observed = resources.observed_points(
            atlas.name, atlas.store.version, species_id if layer == "species" else None
        )
    name = str(atlas.store.species["species"].iloc[species_id]) if layer == "species" else LAYERS[layer]
    map_column, panel = st.columns([3.3, 1.15], gap="small")
    with map_column, st.container(key="map_box"):
        chosen = _chosen_cell()
        every_cell = cells.resolution < atlas.store.resolution
        style = (
            map_tiles.style_url(atlas, layer, species_id, scale, display.opacity, display.masked)
            if every_cell
            else ""
        )
        deck = maps.hexagon_map(
            url,
            layer,
            cells.bounds,
            display.opacity,
            observed,
            chosen=chosen,
            legend_pixels=_LEGEND_PIXELS,
            base_style=style,
            mean_of=say("tooltip_mean", area=numbers.number(cells.mean_area_km2)) if every_cell else "",
        )
        st.pydeck_chart(
            deck,
            height=MAP_HEIGHT,
            on_select="rerun",
            selection_mode="single-object",
            key="explore_map",
            alt=say("map_alt", layer=name),
        )
        st.html(
            maps.legend(
                scale,
                name,
                _size_drawn(atlas, cells),
                frame.source_line(atlas),
                observed is not None,
                italic=layer == "species",
                masked=("hatched" if every_cell else "grey") if display.masked else "",
                highest=_highest(atlas, layer, cells),
            )
        )
    with panel, st.container(key="cell_panel", height=MAP_HEIGHT, border=False):
        if layer == "species":
            st.html(species_card(atlas, species_id))
        _cell_panel(atlas, chosen)
    if display.observed and observed is None:
        st.caption(say("no_observed"))


def _highest(atlas: Atlas, layer: str, cells: MapCells) -> float | None:
    """Highest value drawn of a layer whose ramp may end below it."""
    if layer not in ("effort", "dissimilarity"):
        return None
    version = str(atlas.store.version)
    values = resources.values_of(atlas.name, version, layer, -1, state.view().window, cells)
    return float(np.nanmax(values)) if len(values) else None


def _size_drawn(atlas: Atlas, cells: MapCells) -> str:
    """How wide the cells or hexagons on the map are, in words."""
    if cells.resolution < atlas.store.resolution:
        area = numbers.number(resources.fine_area_km2(atlas.name, atlas.store.version))
        return say("legend_cell", area=area)
    return say("legend_hexagon", area=numbers.number(cells.mean_area_km2))


def _chosen_cell() -> str:
    """H3 name of the hexagon that was clicked last on this page; empty before the first click."""
    selection = st.session_state.get("explore_map", {}).get("selection", {})
    objects = selection.get("objects", {}).get("cells", [])
    return str(objects[0]["h"]) if objects else ""


def _cell_panel(atlas: Atlas, cell_name: str) -> None:
    """The most probable species of one hexagon."""
    st.html(f'<div class="fs-panel-title">{say("cell_title")}</div>')
    if not cell_name:
        st.html(f'<p class="fs-note">{say("click_hint")}</p>')
        return
    try:
        cell = resources.cell(atlas.name, atlas.store.version, cell_name, _N_PANEL_SPECIES)
    except FlorascopeError as error:
        st.html(f'<p class="fs-note">{html.escape(str(error))}</p>')
        return
    what = say("cell_single" if cell.n_cells == 1 else "cell_mean", n=cell.n_cells, area=cell.area_text)
    st.html(f'<p class="fs-note">{what}<br>{cell.position}</p>')
    if cell.n_cells > 1 and st.button(
        say("zoom_here"), icon=":material/zoom_in:", key="zoom_here", width="stretch"
    ):
        state.change(window=f"at:{cell.longitude:.3f},{cell.latitude:.3f}")
        st.rerun()
    st.html(species_list(cell.species))


def species_card(atlas: Atlas, species_id: int) -> str:
    """HTML of what the atlas knows about a species: names, family, records, flags with their source."""
    row = atlas.store.species.iloc[species_id]
    lines = [
        f"{html.escape(str(row[key]))}"
        for key in ("common_genus", "family")
        if key in row and row[key] == row[key]
    ]
    origin = flag_origin(row.get("flag_source"), row.get("flag_date"))
    flags = "".join(
        f'<span class="fs-flag" title="{html.escape(origin)}">{html.escape(label)}</span>'
        for label in species_flags(
            row.get("endemic"), row.get("habitats_directive"), row.get("invasive_union_concern")
        )
    )
    counts = []
    if "n_records" in row and row["n_records"] != row.get("n_cells"):
        counts.append(f"{numbers.number(float(row['n_records']))} records")
    if "n_cells" in row:
        counts.append(f"{numbers.number(float(row['n_cells']))} sites with the species")
    return (
        f'<div class="fs-panel-title"><i>{html.escape(str(row["species"]))}</i></div>'
        f'<p class="fs-note">{" · ".join(line for line in lines if line)}'
        f"<br>{say('learned_from', counts=' at '.join(counts))}</p>{flags}"
    )


def species_flags(endemic: object, habitats_directive: object, invasive: object) -> list[str]:
    """Labels of a species' biogeographic and legal flags."""
    flags = []
    if endemic is True or (not pd.isna(endemic) and bool(endemic)):
        flags.append(say("flag_endemic"))
    if isinstance(habitats_directive, str) and habitats_directive.strip():
        annexes = habitats_directive.strip()
        flags.append(f"{say('flag_habitats')} {annexes}" if annexes != "yes" else say("flag_habitats"))
    if not pd.isna(invasive) and bool(invasive):
        flags.append(say("flag_invasive"))
    return flags


def flag_origin(source: object, date: object) -> str:
    """Source and date of flags as one label; empty where the table has none."""
    return ", ".join(str(part) for part in (source, date) if isinstance(part, str) and part)


def species_list(species: list[tuple[str, float]]) -> str:
    """HTML list of species with a bar for each probability."""
    lines = [
        f"<i>{html.escape(name)}</i><span class='fs-value'>{numbers.percent(p)}</span>"
        f"<div class='fs-bar'><span style='width:{100 * p:.1f}%'></span></div>"
        for name, p in species
    ]
    return f'<div class="fs-list">{"".join(lines)}</div>'


def below_map(
    atlas: Atlas, layer: str, species_id: int, cells: MapCells, page_fields: tuple[str, ...]
) -> None:
    """One sentence on the layer and its limit; the table twin, its download and the link."""
    text, buttons = st.columns([3, 2.1], vertical_alignment="center")
    values = resources.values_of(
        atlas.name,
        str(atlas.store.version),
        layer,
        species_id if layer == "species" else -1,
        state.view().window,
        cells,
    )
    species = str(atlas.store.species["species"].iloc[species_id])
    sentence = say(
        f"about_{layer}",
        species=f"<i>{species}</i>",
        n_species=numbers.number(atlas.store.n_species),
        grain=html.escape(frame.grain(atlas)),
        source=html.escape(frame.data_name(atlas)),
        limit=_limit_of_experience(atlas),
    )
    if cells.resolution < atlas.store.resolution:
        sentence += " " + say("coarse_note", area=numbers.number(cells.mean_area_km2))
    text.html(f'<p class="fs-note" data-testid="layer-sentence">{sentence}</p>')
    with buttons, st.container(horizontal=True, horizontal_alignment="right"):
        show_table = st.toggle(say("table"), key="show_table")
        name = species if layer == "species" else layer
        stem = numbers.file_stem(
            atlas.name, name, _window_name(state.view().window), str(atlas.store.version)[:8]
        )
        st.download_button(
            say("download_short"),
            data=lambda: map_table(layer, values, cells).to_csv(index=False),
            file_name=f"{stem}.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
            key="download_map_table",
        )
        bounds = cells.bounds if state.view().window else None
        st.download_button(
            say("download_raster"),
            data=lambda: downloads.geotiff(atlas, layer, species_id, bounds),
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
        table = map_table(layer, values, cells)
        st.caption(say("table_caption", n=numbers.number(len(table))))
        column = table.columns[-1]
        st.dataframe(
            table,
            hide_index=True,
            height=320,
            key="map_table",
            column_config={
                "h3_cell": "H3 cell",
                "longitude": "Longitude, °",
                "latitude": "Latitude, °",
                column: st.column_config.NumberColumn(
                    LAYER_UNITS[layer].capitalize(), format="percent" if layer == "species" else "%.3f"
                ),
            },
        )


def map_table(layer: str, values: NDArray[np.float64], cells: MapCells) -> pd.DataFrame:
    """The drawn hexagons as a table, highest first: H3 cell, longitude, latitude, value."""
    table = pd.DataFrame(
        {
            "h3_cell": cells.names,
            "longitude": cells.lonlat[:, 0].round(5),
            "latitude": cells.lonlat[:, 1].round(5),
            "probability" if layer == "species" else layer: values,
        }
    )
    return table.sort_values(table.columns[-1], ascending=False, kind="stable", ignore_index=True)
