"""Several areas side by side: a table to sort beside a map of all of them."""

from __future__ import annotations

import html
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from pages.ui import (
    frame,
    maps,
    numbers,
    region_choose,
    region_map,
    region_outlines,
    region_read,
    region_several,
    region_statuses,
    region_take_all,
    resources,
    state,
)
from pages.ui.messages import LAYERS, say
from pages.ui.messages_region import COMPARED
from sdm_core.regions import DEFAULT_CONTAINMENT

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from sdm_core.errors import FlorascopeError
    from sdm_core.regions import Region
    from sdm_core.registry import Atlas
    from sdm_core.reports import Comparison, RegionNumbers

#: Numbers of the session's areas by what decides them; whether reading was stopped.
_NUMBERS, _STOPPED = "compared_numbers", "compare_stopped"
_MAX_KEPT = 400
_TABLE_HEIGHT = 430
_ROW_HEIGHT = 33
#: Areas that cannot be compared, named one by one.
_MAX_SAID = 5
_PIXELS = (420, 390)


def show(region: Region | None, page_fields: tuple[str, ...]) -> None:
    """The comparison of the areas gathered; `region` is the one to go back to."""
    from sdm_core import reports

    title, atlas, rule, options = _header(region)
    containment = state.settle_containment(DEFAULT_CONTAINMENT)
    places, refused = reports.sort_out(atlas, region_several.gathered(), containment)
    title.html(
        f'<h2 class="fs-region">{say("compare_title", n=len(places))}</h2>'
        f'<div class="fs-note">{html.escape(frame.source_line(atlas))}</div>'
    )
    _refusals(refused)
    if len(places) < 2:
        st.info(say("compare_too_few", n=len(places)), icon=":material/info:")
        return
    found = _read(atlas, places, rule, options, containment)
    if found is None:
        return
    read, comparison = found
    _map_and_table(atlas, read, comparison)
    with st.container(key="compare_notes"):
        items = "".join(f"<li>{html.escape(note)}</li>" for note in comparison.notes)
        st.html(f'<p class="fs-note"><b>{say("compare_notes")}</b></p><ul class="fs-note">{items}</ul>')
    region_take_all.section(atlas, read, rule, options, containment)
    region_take_all.share(page_fields)


def _refusals(refused: Sequence[FlorascopeError]) -> None:
    """Why areas are left out: the first of them one by one."""
    if not refused:
        return
    said = [html.escape(str(error)) for error in refused[:_MAX_SAID]]
    if len(refused) > _MAX_SAID:
        said.append(say("compare_more_refused", n=len(refused) - _MAX_SAID))
    st.html(f'<p class="fs-notes" data-testid="compare-refused">{"<br>".join(said)}</p>')


def _header(region: Region | None) -> tuple[DeltaGenerator, Atlas, str, dict[str, Any]]:
    """Room for the title, atlas, rule, and the ways back."""
    with st.container(key="compare_header"):
        title, atlas_column, rule_column, change = st.columns(
            [2.4, 1.3, 1.4, 1.1], vertical_alignment="bottom", gap="small"
        )
    with atlas_column:
        atlas = frame.choose_atlas()
    with rule_column:
        rule, options = region_read.choose_rule(atlas)
    with change:
        if region is not None and st.button(
            say("compare_back"), key="compare_back", icon=":material/arrow_back:", width="stretch"
        ):
            region_several.compare(False)
            st.rerun()
        if st.button(
            say("compare_change"), key="compare_change", icon=":material/edit_location_alt:", width="stretch"
        ):
            region_several.compare(False)
            st.session_state["choosing"] = True
            st.session_state["region_mode"] = "several"
            st.rerun()
    frame.show_notices()
    return title, atlas, rule, options


def _read(
    atlas: Atlas, places: list[Region], rule: str, options: dict[str, Any], containment: str
) -> tuple[list[Region], Comparison] | None:
    """The areas that are read and their table; None while there are fewer than two.

    Reading many areas shows progress and can be stopped; what was read stays.
    """
    from sdm_core import reports

    kept: dict[tuple[Any, ...], RegionNumbers] = st.session_state.setdefault(_NUMBERS, {})
    matched, outlines = region_statuses.matched(atlas), region_outlines.kept()
    basis = (
        atlas.key,
        rule,
        repr(options),
        containment,
        outlines.digest if outlines is not None else "",
        *(file.digest for file in region_statuses.files()),
    )
    keys = [(region.geometry_hash, region.name, *basis) for region in places]
    missing = [place for place, key in enumerate(keys) if key not in kept]
    if st.session_state.get(_STOPPED) not in (None, basis):
        st.session_state.pop(_STOPPED)
    if missing and st.session_state.get(_STOPPED) is None:
        holder = st.empty()
        with holder.container():
            progress = st.progress(0.0)
            st.button(
                say("compare_cancel"),
                key="compare_cancel",
                icon=":material/close:",
                on_click=lambda: st.session_state.update({_STOPPED: basis}),
            )
        started = time.perf_counter()
        for done, place in enumerate(missing):
            said = say("compare_reading", name=frame.plain(places[place].name), done=done + 1, n=len(missing))
            progress.progress(
                done / len(missing), text=said + region_take_all.left(started, done, len(missing))
            )
            while len(kept) >= _MAX_KEPT:
                kept.pop(next(iter(kept)))
            kept[keys[place]] = reports.read_numbers(
                atlas, places[place], rule, containment, matched, outlines, **options
            )
        holder.empty()
        missing = []
    if missing:
        done = len(places) - len(missing)
        words, again = st.columns([4, 1], vertical_alignment="center")
        words.info(say("compare_stopped", done=done, n=len(places)), icon=":material/pause:")
        if again.button(say("compare_go_on"), key="compare_go_on", width="stretch"):
            st.session_state.pop(_STOPPED)
            st.rerun()
    read = [place for place, key in enumerate(keys) if key in kept]
    if len(read) < 2:
        return None
    chosen = [places[place] for place in read]
    return chosen, reports.compare(atlas.store, chosen, [kept[keys[place]] for place in read])


@st.fragment
def _map_and_table(atlas: Atlas, places: list[Region], comparison: Comparison) -> None:
    """The outlines on the map beside the table; a row leads to its area."""
    with st.container(key="compare_body"):
        left, right = st.columns([1, 1.9], gap="small")
    with right:
        with_ends, hint, download = st.columns([1.1, 2, 0.9], vertical_alignment="center")
        ends = with_ends.toggle(
            say("compare_intervals"), key="compare_intervals", help=say("compare_intervals_help")
        )
        hint.caption(say("compare_hint"))
        download.download_button(
            say("compare_csv"),
            data=comparison.to_csv(),
            file_name=f"{region_take_all.stem(atlas, places)}.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
            key="compare_csv",
            width="stretch",
        )
        table, config_of = table_of(comparison, ends)
        selection = st.dataframe(
            table,
            hide_index=True,
            height=min(_TABLE_HEIGHT, _ROW_HEIGHT * (len(table) + 1) + 5),
            key="compare_rows",
            on_select="rerun",
            selection_mode="single-row",
            column_config=config_of,
        )
        rows = selection.selection.rows if selection else []
        chosen = places[rows[0]] if rows and rows[0] < len(places) else None
        if chosen is not None and st.button(
            say("compare_read", name=frame.plain(chosen.name)),
            key="compare_read",
            icon=":material/arrow_forward:",
        ):
            region_several.compare(False)
            region_choose.take(chosen)
            st.rerun()
    with left:
        _map(atlas, places, chosen)


def _map(atlas: Atlas, places: Sequence[Region], chosen: Region | None) -> None:
    """Richness of the land the areas lie in, with their outlines; the chosen one alone once there is one."""
    shown = [chosen] if chosen is not None else list(places)
    west, south, east, north = zip(*(region.bounds for region in shown), strict=True)
    bounds = resources.padded((min(west), min(south), max(east), max(north)), 0.08)
    version = atlas.key
    cells = resources.map_cells(atlas.name, version, tuple(round(edge, 3) for edge in bounds))
    part = "compare:" + ",".join(f"{edge:.3f}" for edge in bounds)
    url, scale = maps.published(atlas, "richness", 0, cells, 0.0, False, part)
    outlines = [resources.outline(region.geometry_hash, region) for region in shown]
    with st.container(key="region_map_box"):
        st.pydeck_chart(
            maps.hexagon_map(
                url,
                "richness",
                bounds,
                outline={"type": "FeatureCollection", "features": outlines},
                pixels=_PIXELS,
            ),
            height=_TABLE_HEIGHT - 40,
            key="compare_map",
            alt=say("map_alt", layer=LAYERS["richness"]),
        )
        st.html(
            maps.legend(
                scale,
                LAYERS["richness"],
                say("legend_hexagon", area=numbers.number(region_map.hexagon_area_km2(atlas, cells))),
                frame.source_line(atlas),
                show_observed=False,
                italic=False,
            )
        )


def table_of(comparison: Comparison, with_ends: bool = False) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The table as the page shows it, and how its columns are written; `with_ends` for those of intervals."""
    config_of = st.column_config
    values: dict[str, list[Any]] = {
        "region": [row["region"] for row in comparison.rows],
        "trust_grade": [row["trust_grade"] for row in comparison.rows],
    }
    shown: dict[str, Any] = {
        "region": config_of.TextColumn(say("compare_area"), width=170, pinned=True),
        "trust_grade": config_of.TextColumn(say("compare_grade"), width=55),
    }
    ends = comparison.intervals() if with_ends else {}
    for column in comparison.columns:
        if column.key not in COMPARED:
            continue
        label = f"{column.label}, {column.unit}" if column.unit else column.label
        values[column.key] = [row[column.key] for row in comparison.rows]
        shown[column.key] = config_of.NumberColumn(
            COMPARED[column.key], format=f"%.{column.digits}f", width=_width(COMPARED[column.key]), help=label
        )
        for key, title in zip(ends.get(column.key, ()), ("compare_low", "compare_high"), strict=False):
            values[key] = [row.get(key) for row in comparison.rows]
            shown[key] = config_of.NumberColumn(
                say(title), format=f"%.{column.digits}f", width=65, help=f"{label}: {say(title)}"
            )
    table = pd.DataFrame(values)
    for key in table.columns[2:]:
        table[key] = pd.to_numeric(table[key])
    return table, shown


def _width(heading: str) -> int:
    """Pixels a column needs for its heading."""
    return max(60, 28 + 8 * len(heading))
