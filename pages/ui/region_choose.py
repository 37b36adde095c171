"""Step one of the Region page: an area drawn, named, uploaded, or clicked together from hexagons."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import streamlit as st

from pages.ui import draw_map, frame, region_several, resources, state
from pages.ui.messages import say
from sdm_core import config
from sdm_core.errors import FlorascopeError, MissingCRSError

if TYPE_CHECKING:
    from sdm_core.regions import Region
    from sdm_core.registry import Atlas

MODES = ("draw", "place", "upload", "cells", "several")
#: Finer steps of hexagons a user may click together: resolutions below the atlas's own.
_CELL_SIZES = 3
_MAX_KEPT = 12


def current_region() -> Region | None:
    """The region of the view; None when none is chosen, or when the link does not describe one."""
    text = state.view().region
    if not text:
        return None
    if text in _kept():
        return _kept()[text]
    try:
        return resources.region_of_link(text)
    except FlorascopeError as error:
        state.notice(say("unreadable_region", reason=str(error)))
        state.change(region="")
        return None


def _kept() -> dict[str, Region]:
    """Regions chosen in this session by their text in the address, exact where a link may simplify."""
    return st.session_state.setdefault("regions", {})


def take(region: Region) -> None:
    """Make this the region of the view, and go on to reading it."""
    from sdm_core import regions

    text = regions.encode_region_link(region)
    while len(_kept()) >= _MAX_KEPT:
        _kept().pop(next(iter(_kept())))
    _kept()[text] = region
    state.notices().clear()
    state.change(region=text)
    st.session_state["choosing"] = False


def step_line(now: int) -> None:
    """The three steps, with the present one marked."""
    steps = []
    for number, key in enumerate(("step_choose", "step_read", "step_take"), start=1):
        mark = "fs-now" if number == now or (now == 2 and number == 3) else "fs-done" if number < now else ""
        steps.append(f'<span class="fs-step {mark}"><b>{number}</b>{say(key)}</span>')
    st.html(f'<div class="fs-steps">{"<span class=fs-arrow>→</span>".join(steps)}</div>')


def choose(region: Region | None) -> None:
    """The ways to an area on the left, the map on the right."""
    controls, rest = st.columns([1, 3.4], gap="medium")
    with controls:
        atlas = frame.choose_atlas()
        mode = st.radio(
            say("way"),
            MODES,
            format_func=lambda mode: say(f"mode_{mode}"),
            key="region_mode",
        )
    with rest:
        frame.show_notices()
    version = atlas.key
    bounds = resources.atlas_bounds(atlas.name, version)
    coverage = resources.coverage_url(atlas.name, version)
    with controls, frame.friendly_errors(stop=False):
        if mode == "place":
            _choose_place(atlas)
        elif mode == "upload":
            _upload()
        elif mode == "cells":
            resolution = _choose_cell_size(atlas)
        elif mode == "several":
            region_several.controls(atlas)
        else:
            st.caption(say("draw_hint"))
        _empty_state(atlas, region, mode)
    if mode == "several":
        with rest:
            region_several.listing(atlas)
        return
    with rest, st.container(key="draw_box"):
        if mode == "cells":
            _click_cells(bounds, coverage, resolution)
        else:
            _draw(bounds, coverage)


@st.fragment
def _draw(bounds: resources.Bounds, coverage: str) -> None:
    """The drawing map; a closed outline becomes the region, rounded as its link rounds it."""
    geometry = draw_map.drawn_polygon(bounds, coverage, key="draw_map")
    if not geometry:
        return
    if geometry == st.session_state.get("last_drawn"):
        return
    st.session_state["last_drawn"] = geometry
    with frame.friendly_errors(stop=False):
        take(drawn_region(geometry))
        st.rerun()


def drawn_region(geometry: dict[str, Any]) -> Region:
    """The region of a drawn outline, its corners rounded to a metre as in its link."""
    from sdm_core import regions

    rings = [[[round(x, 5), round(y, 5)] for x, y, *_ in ring] for ring in geometry["coordinates"]]
    return regions.region_from_geojson({"type": "Polygon", "coordinates": rings}, name=say("drawn_area"))


def _choose_place(atlas: Atlas) -> None:
    name = st.selectbox(
        say("place_label"),
        resources.places_in(atlas.name, atlas.key),
        index=None,
        key="place_picker",
        placeholder=say("place_placeholder"),
    )
    if name:
        take(resources.place(name))
        st.rerun()


def _upload() -> None:
    """A file becomes a region; a refusal is one sentence, and the file can be replaced at once."""
    file = st.file_uploader(
        say("upload_label"),
        type=region_several.UPLOAD_TYPES,
        key="region_file",
        max_upload_size=config.MAX_UPLOAD_BYTES // 2**20,
    )
    st.caption(say("upload_hint"))
    if file is None or file.file_id == st.session_state.get("last_file"):
        return
    from sdm_core import regions

    crs = None
    if st.session_state.get("file_without_crs") == file.file_id:
        crs = st.text_input(say("upload_crs"), key="upload_crs", placeholder="EPSG:4326").strip() or None
    try:
        region = regions.read_region(file.getvalue(), file.name, crs=crs)
    except MissingCRSError:
        if st.session_state.get("file_without_crs") == file.file_id:
            raise
        st.session_state["file_without_crs"] = file.file_id
        st.rerun()
    if (chosen := _part_of(file.getvalue(), file.name, file.file_id, crs, region)) is None:
        return
    st.session_state["last_file"] = file.file_id
    take(chosen)
    st.rerun()


def _part_of(data: bytes, name: str, file_id: str, crs: str | None, whole: Region) -> Region | None:
    """The region to read from a file: the only area it holds, or the one chosen; None until one is.

    A file of several areas can be read as one, area by area, or taken to the comparison.
    """
    try:
        found = region_several.read_file(data, name, file_id, crs)
    except FlorascopeError:  # its areas make a region together, if not one by one
        return whole
    if len(found.regions) < 2:
        return whole
    parts = [whole, *found.regions]
    place = st.selectbox(
        say("upload_several", n=len(found.regions), name=frame.plain(name)),
        range(len(parts)),
        format_func=lambda place: parts[place].name if place else say("upload_together"),
        key=f"upload_part_{file_id}",
    )
    if st.button(say("upload_read"), key="upload_read", type="primary", width="stretch"):
        return parts[place]
    if st.button(
        say("upload_compare", n=len(found.regions)),
        key="upload_compare",
        icon=":material/table_chart:",
        width="stretch",
    ):
        for sentence in region_several.add(found.regions):
            st.toast(sentence, icon=":material/info:")
        region_several.compare()
        st.rerun()
    for note in found.notes:
        st.html(f'<p class="fs-notes" data-testid="upload-note">{html.escape(note)}</p>')
    return None


def _choose_cell_size(atlas: Atlas) -> int:
    finest = atlas.store.resolution
    sizes = list(range(finest, max(0, finest - _CELL_SIZES), -1))
    return st.select_slider(
        say("cell_size"),
        sizes,
        format_func=lambda resolution: resources.cell_size_text(resolution),
        key="cell_size",
    )


@st.fragment
def _click_cells(bounds: resources.Bounds, coverage: str, resolution: int) -> None:
    """A map on which a click adds or removes a hexagon; only this part runs again."""
    chosen: list[str] = st.session_state.setdefault("clicked_cells", [])
    outlines = resources.cell_outlines(tuple(chosen))
    point = draw_map.clicked_point(bounds, coverage, outlines, key="cells_map")
    if point and (point, resolution) != st.session_state.get("last_click"):
        st.session_state["last_click"] = (point, resolution)
        toggle_cell(chosen, point, resolution)
        st.rerun(scope="fragment")
    left, middle, right = st.columns([2, 1, 1], vertical_alignment="center")
    left.caption(say("cells_chosen", n=len(chosen)) if chosen else say("cells_none"))
    if middle.button(say("clear_cells"), key="clear_cells", disabled=not chosen, width="stretch"):
        chosen.clear()
        st.rerun(scope="fragment")
    if right.button(
        say("read_cells"), key="read_cells", type="primary", disabled=not chosen, width="stretch"
    ):
        from sdm_core import regions

        take(regions.region_from_cells(list(chosen)))
        st.rerun()


def toggle_cell(chosen: list[str], point: tuple[float, float], resolution: int) -> None:
    """Add the hexagon at a point to the chosen ones, or remove it where it is one of them."""
    from sdm_core import regions

    name = regions.cells_to_strings(regions.lonlat_to_cells([point[0]], [point[1]], resolution))[0]
    if name in chosen:
        chosen.remove(name)
    else:
        chosen.append(name)


def _empty_state(atlas: Atlas, region: Region | None, mode: str) -> None:
    """What to do first: an example that works, or the way back to the area chosen before."""
    if region is not None:
        if st.button(
            say("keep_area", name=region.name), key="keep_area", icon=":material/arrow_back:", width="stretch"
        ):
            st.session_state["choosing"] = False
            st.rerun()
        return
    if mode == "several":
        return
    region = example(atlas)
    st.html(f'<p class="fs-note" data-testid="empty-state">{html.escape(say("region_empty"))}</p>')
    if st.button(f"{region.name} ▸", key="try_example", type="primary", width="stretch"):
        take(region)
        st.rerun()


def example(atlas: Atlas) -> Region:
    """An area that works with this atlas: a place most people know, or the middle of the atlas."""
    version = atlas.key
    places = resources.wide_places_in(atlas.name, version)
    if names := [*region_several.familiar_places(atlas), *places[:1]]:
        return resources.place(names[0])
    west, south, east, north = resources.padded(resources.atlas_bounds(atlas.name, version), -0.3)
    from sdm_core import regions

    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return regions.region_from_geojson(
        {"type": "Polygon", "coordinates": [ring]}, name=say("middle_of_atlas")
    )
