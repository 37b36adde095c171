"""Several areas to compare: gathered from places, files and areas read before; kept for the session."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from pages.ui import frame, numbers, resources, state
from pages.ui.messages import say
from sdm_core import config
from sdm_core.errors import FlorascopeError, MissingCRSError

if TYPE_CHECKING:
    from sdm_core.regions import Region, SeveralRegions
    from sdm_core.registry import Atlas

UPLOAD_TYPES = ["geojson", "json", "gpkg", "kml", "kmz", "zip"]
#: Natural regions and countries most people know, for examples.
_FAMILIAR_PLACES = ("Pyrenees", "Sierra Nevada", "Alps", "Slovenia", "Andorra")
#: Areas of the session by the hash of their outline, and whether they are being compared.
_GATHERED, _COMPARING, _READ, _ROUND = "several", "comparing", "several_read", "several_round"
#: Link already followed; between the areas of one; kinds of areas that need no outline in it; its length.
_FOLLOWED, _JOINT = "compare_followed", "|"
_NAMED = ("place:", "point:", "cells:")
_MAX_LINK = 1_500
_LIST_HEIGHT = 420
_ROW_HEIGHT = 33
#: Areas offered together as an example.
_MAX_EXAMPLES = 4
#: Files whose areas are kept while the user chooses.
_MAX_READ = 4


def familiar_places(atlas: Atlas) -> list[str]:
    """Places most people know that an atlas covers."""
    covered = resources.wide_places_in(atlas.name, atlas.key)
    return [name for name in _FAMILIAR_PLACES if name in covered]


def gathered() -> list[Region]:
    """The areas to compare, in the order they were added."""
    return list(_kept().values())


def _kept() -> dict[str, Region]:
    return st.session_state.setdefault(_GATHERED, {})


def comparing() -> bool:
    """Whether the page shows the comparison; never with nothing to compare."""
    return bool(st.session_state.get(_COMPARING)) and bool(_kept())


def compare(on: bool = True) -> None:
    """Go to the comparison, or away from it."""
    st.session_state[_COMPARING] = on
    if on:
        st.session_state["choosing"] = False


def add(places: Sequence[Region]) -> list[str]:
    """Add areas; gives a sentence on those that were not, as they are there already or there are too many.

    An area with the name of another one gets a number.
    """
    from sdm_core.reports import MAX_REGIONS

    kept, said = _kept(), []
    n_known, n_over = 0, 0
    for region in places:
        if region.geometry_hash in kept:
            n_known += 1
        elif len(kept) >= MAX_REGIONS:
            n_over += 1
        else:
            taken = {other.name for other in kept.values()}
            name, number = region.name, 1
            while name in taken:
                number += 1
                name = f"{region.name} ({number})"
            kept[region.geometry_hash] = region if name == region.name else region.renamed(name)
    if n_known:
        said.append(say("several_known", n=n_known))
    if n_over:
        said.append(say("several_over", n=n_over, most=MAX_REGIONS))
    return said


def follow_link() -> None:
    """Gather the areas of a link to a comparison, once; what cannot be read gets a sentence."""
    text = state.view().compare
    if not text or text == st.session_state.get(_FOLLOWED):
        return
    st.session_state[_FOLLOWED] = text
    places = []
    for part in text.split(_JOINT):
        try:
            places.append(resources.region_of_link(part))
        except FlorascopeError as error:
            state.notice(say("unreadable_region", reason=str(error)))
    if places:
        _kept().clear()
        add(places)
        compare()


def write_link() -> None:
    """Put the areas compared into the view, where all have a name a link can carry."""
    from sdm_core import regions

    text = ""
    if comparing() and all(region.source.startswith(_NAMED) for region in gathered()):
        text = _JOINT.join(regions.encode_region_link(region) for region in gathered())
    text = text if len(text) <= _MAX_LINK else ""
    if text != state.view().compare:
        state.change(compare=text)
    st.session_state[_FOLLOWED] = text


def beside_steps(region: Region | None) -> None:
    """Beside the step line: add the area on the page to the comparison, and the way to it."""
    n_kept = len(_kept())
    if region is not None:
        known = region.geometry_hash in _kept()
        if st.button(
            say("several_added" if known else "several_add"),
            key="compare_add",
            icon=":material/check:" if known else ":material/add:",
            disabled=known,
            type="tertiary",
            help=say("several_add_help"),
        ):
            for sentence in add([region]):
                st.toast(sentence, icon=":material/info:")
            st.rerun()
    if n_kept and st.button(
        say("several_go", n=n_kept), key="compare_go", icon=":material/table_chart:", type="tertiary"
    ):
        if n_kept > 1:
            compare()
        else:
            st.session_state["choosing"] = True
            st.session_state["region_mode"] = "several"
        st.rerun()


def controls(atlas: Atlas) -> None:
    """Places and files to add."""
    chosen = st.multiselect(
        say("several_places"),
        resources.places_in(atlas.name, atlas.key),
        key=f"several_places_{_round()}",
        placeholder=say("place_placeholder"),
    )
    if chosen and st.button(
        say("several_add_places", n=len(chosen)), key="several_add_places", width="stretch"
    ):
        _added([resources.place(name) for name in chosen])
    files = st.file_uploader(
        say("several_files"),
        type=UPLOAD_TYPES,
        accept_multiple_files=True,
        key=f"several_files_{_round()}",
        max_upload_size=config.MAX_UPLOAD_BYTES // 2**20,
    )
    st.caption(say("several_hint"))
    for place, file in enumerate(files or ()):
        _file(file.getvalue(), file.name, file.file_id, place)


def _round() -> int:
    """Number of the widgets in use: a new one empties them once what they held is added."""
    return st.session_state.setdefault(_ROUND, 0)


def _added(places: Sequence[Region]) -> None:
    said = add(places)
    st.session_state["several_said"] = said
    st.session_state[_ROUND] += 1
    st.rerun()


def _file(data: bytes, name: str, file_id: str, place: int) -> None:
    """What a file holds, which of its columns names the areas, and the button that adds them."""
    crs = st.session_state.get(f"several_crs_{file_id}", "").strip() or None
    try:
        try:
            found = read_file(data, name, file_id, crs, st.session_state.get(f"several_column_{file_id}"))
        except MissingCRSError:
            st.text_input(say("upload_crs"), key=f"several_crs_{file_id}", placeholder="EPSG:4326")
            raise
    except FlorascopeError as error:
        st.error(str(error), icon=":material/error:")
        return
    if len(found.columns) > 1:
        st.selectbox(
            say("several_column", name=frame.plain(name)),
            found.columns,
            index=found.columns.index(found.column),
            key=f"several_column_{file_id}",
            help=say("several_column_help"),
        )
    examples = frame.plain(", ".join(region.name for region in found.regions[:3]))
    st.caption(say("several_found", n=len(found.regions), name=frame.plain(name), examples=examples))
    for note in found.notes:
        st.html(f'<p class="fs-notes" data-testid="several-note">{html.escape(note)}</p>')
    if st.button(
        say("several_add_file", n=len(found.regions)),
        key=f"several_add_file_{place}",
        icon=":material/add:",
        type="primary",
        width="stretch",
    ):
        _added(found.regions)


def read_file(
    data: bytes, name: str, file_id: str, crs: str | None, column: str | None = None
) -> SeveralRegions:
    """The areas of an uploaded file; the last few read are kept. Raises FlorascopeError."""
    from sdm_core import regions

    kept = st.session_state.setdefault(_READ, {})
    key = (file_id, column, crs)
    if key not in kept:
        while len(kept) >= _MAX_READ:
            kept.pop(next(iter(kept)))
        with st.spinner(say("several_reading", name=frame.plain(name))):
            kept[key] = regions.read_regions(data, name, crs=crs, name_column=column)
    return kept[key]


def listing(atlas: Atlas) -> None:
    """The areas gathered so far, how to remove some, and the way to their comparison."""
    for sentence in st.session_state.pop("several_said", []):
        st.info(sentence, icon=":material/info:")
    places = gathered()
    if not places:
        _empty(atlas)
        return
    st.caption(say("several_list", n=len(places)) if len(places) > 1 else say("several_list_one"))
    table = pd.DataFrame(
        {
            "name": [region.name for region in places],
            "area": [numbers.area(region.area_km2) for region in places],
            "source": [_origin(region) for region in places],
        }
    )
    selection = st.dataframe(
        table,
        hide_index=True,
        height=min(_LIST_HEIGHT, _ROW_HEIGHT * (len(places) + 1) + 5),
        key=f"several_list_{_round()}",
        on_select="rerun",
        selection_mode="multi-row",
        column_config={
            "name": st.column_config.TextColumn(say("several_area"), width=260),
            "area": st.column_config.TextColumn(say("several_size"), width=110),
            "source": st.column_config.TextColumn(say("several_from"), width=200),
        },
    )
    rows = selection.selection.rows if selection else []
    with st.container(horizontal=True):
        if st.button(
            say("several_compare", n=len(places)) if len(places) > 1 else say("several_one_more"),
            key="several_compare",
            type="primary",
            icon=":material/table_chart:",
            disabled=len(places) < 2,
        ):
            compare()
            st.rerun()
        label = say("several_remove", n=len(rows)) if rows else say("several_clear")
        if st.button(label, key="several_remove", icon=":material/delete:"):
            for region in [places[row] for row in rows if row < len(places)] if rows else places:
                _kept().pop(region.geometry_hash, None)
            st.session_state[_ROUND] += 1
            st.rerun()


def _origin(region: Region) -> str:
    kind, _, _ = region.source.partition(":")
    named = {"place": "place", "cells": "cells", "point": "circle", "link": "link", "drawn": "drawn"}
    return say(f"several_from_{named[kind]}") if kind in named else region.source


def _empty(atlas: Atlas) -> None:
    """What to do first, and an example that works."""
    st.html(f'<p class="fs-note" data-testid="several-empty">{html.escape(say("several_empty"))}</p>')
    names = familiar_places(atlas)[:_MAX_EXAMPLES]
    if len(names) > 1 and st.button(f"{', '.join(names)} ▸", key="several_example", type="primary"):
        add([resources.place(name) for name in names])
        compare()
        st.rerun()
