"""How composition varies inside a region: turnover, nestedness, and the cells that stand out, on a map."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from pages.ui import frame, hexagons, maps, numbers, region_lists, region_map, resources
from pages.ui.messages import say

if TYPE_CHECKING:
    from pages.ui.region_read import Reading
    from sdm_core.indicators import Structure
    from sdm_core.regions import Region
    from sdm_core.registry import Atlas

_LAYERS = ("beta_sorensen", "beta_turnover", "beta_nestedness", "lcbd_relative")
_MAP_HEIGHT = 340
_PIXELS = (560, 300)


@st.fragment
def section(atlas: Atlas, region: Region, reading: Reading) -> None:
    """Numbers, map and hotspots; worked out when asked for."""
    summary = reading.summary
    with st.expander(say("structure_title"), icon=":material/grain:", key="structure"):
        if summary.n_cells < 2:
            st.caption(say("structure_one_cell"))
            return
        st.caption(say("structure_intro"))
        if not st.toggle(say("structure_compute"), key="structure_compute"):
            return
        with st.spinner(say("structure_computing"), show_time=True):
            found = resources.structure(
                atlas.name,
                atlas.key,
                region.geometry_hash,
                summary.rule,
                tuple(summary.rule_options.items()),
                summary.containment,
                tuple(file.digest for file in region_lists.files()),
                region,
                region_lists.matched(atlas),
            )
        if said := multi_site(found):
            st.html(f'<p data-testid="multi-site">{html.escape(said)}</p>')
        with st.container(key="structure_body"):
            left, right = st.columns([1.1, 1], gap="small")
        with left:
            _map(atlas, region, reading, found)
        with right:
            _hotspots(found)


def multi_site(found: Structure) -> str:
    """Multi-site dissimilarity and its two parts in a sentence; empty where it is not defined."""
    sample = found.multi_site
    if sample is None:
        return ""
    parts = ("total", "turnover", "nestedness")
    if sample.n_samples == 1:
        shown = {name: numbers.number(getattr(sample, name), 3) for name in parts}
        return say("structure_multi_one", n_cells=numbers.number(sample.n_cells), **shown)
    shown = {
        name: f"{numbers.number(getattr(sample, name), 3)} ± "
        f"{numbers.number(getattr(sample, f'{name}_standard_deviation'), 3)}"
        for name in parts
    }
    return say("structure_multi", n_cells=sample.n_cells, n_samples=sample.n_samples, **shown)


def _map(atlas: Atlas, region: Region, reading: Reading, found: Structure) -> None:
    shown = [name for name in _LAYERS if name in found.layers]
    if not shown:
        return
    layer = (
        st.segmented_control(
            say("map_shows"),
            shown,
            default=shown[0],
            format_func=lambda name: say(f"structure_layer_{name}"),
            key="structure_layer",
            label_visibility="collapsed",
        )
        or shown[0]
    )
    version = atlas.key
    cells = resources.region_cells(
        atlas.name, version, region.geometry_hash, reading.summary.containment, region
    )
    area_ha = np.asarray(atlas.store.area_ha, dtype=np.float64)[cells.rows]
    values = hexagons.means(found.layers[layer], area_ha, cells)
    part = f"{reading.part}:{reading.summary.rule}:{reading.summary.rule_options}"
    url, scale = maps.published(atlas, layer, 0, cells, 0.0, False, part, False, values)
    name = say(f"structure_layer_{layer}")
    with st.container(key="structure_map_box"):
        st.pydeck_chart(
            maps.hexagon_map(
                url,
                layer,
                cells.bounds,
                outline=resources.outline(region.geometry_hash, region),
                pixels=_PIXELS,
            ),
            height=_MAP_HEIGHT,
            key="structure_map",
            alt=say("map_alt", layer=name),
        )
        st.html(
            maps.legend(
                scale,
                name,
                say("legend_hexagon", area=numbers.number(region_map.hexagon_area_km2(atlas, cells))),
                frame.source_line(atlas),
                show_observed=False,
                italic=False,
            )
        )


def _hotspots(found: Structure) -> None:
    """The cells with the highest values of each kind."""
    from sdm_core import regions
    from sdm_core.indicators.structure import HOTSPOT_TEXTS

    if not found.hotspots:
        return
    st.caption(say("structure_hotspots"))
    table = pd.DataFrame(
        {
            "kind": [say(f"structure_kind_{spot.kind}") for spot in found.hotspots],
            "value": [spot.value for spot in found.hotspots],
            "where": [regions.format_lonlat(spot.longitude, spot.latitude) for spot in found.hotspots],
            "cell": [spot.cell for spot in found.hotspots],
        }
    )
    st.dataframe(
        table,
        hide_index=True,
        height=33 * (len(table) + 1) + 5,
        key="structure_hotspots",
        column_config={
            "kind": st.column_config.TextColumn(say("structure_kind"), width=110),
            "value": st.column_config.NumberColumn(say("structure_value"), format="%.2f", width=75),
            "where": st.column_config.TextColumn(say("structure_place"), width=150),
            "cell": st.column_config.TextColumn(say("structure_cell"), width=150),
        },
    )
    st.html(f'<p class="fs-note">{html.escape(say("structure_kinds", **HOTSPOT_TEXTS))}</p>')
