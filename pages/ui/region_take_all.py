"""The reports of all areas compared, in one ZIP with the comparison."""

from __future__ import annotations

import datetime
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from pages.ui import frame, numbers, region_outlines, region_records, region_statuses, state
from pages.ui.messages import say
from pages.ui.region_take import choose_formats, what_decides

if TYPE_CHECKING:
    from sdm_core.regions import Region
    from sdm_core.registry import Atlas

#: Reports one click writes; more are for the command line.
MAX_REPORTS = 20
#: The last ZIP of the session.
_ZIP = "compared_zip"


def stem(atlas: Atlas, places: Sequence[Region]) -> str:
    """Start of the name of a file about these areas: how many, atlas and date."""
    today = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    return numbers.file_stem(say("compare_title", n=len(places)), atlas.name, today)


def left(started: float, done: int, total: int) -> str:
    """Time left, once it can be told."""
    spent = time.perf_counter() - started
    if not done or spent < 2:
        return ""
    return " · " + say("compare_left", time=numbers.duration(spent / done * (total - done)))


def section(atlas: Atlas, places: list[Region], rule: str, options: dict[str, Any], containment: str) -> None:
    """A report of each area and the comparison, in one ZIP."""
    st.subheader(say("compare_reports"), anchor="take", divider=False)
    if len(places) > MAX_REPORTS:
        st.info(say("compare_too_many", most=MAX_REPORTS, n=len(places)), icon=":material/terminal:")
        return
    st.caption(say("compare_reports_hint"))
    with st.container(key="take_all_row"):
        choice, action = st.columns([3.2, 1.3], vertical_alignment="bottom")
    with choice:
        formats = choose_formats("compare_formats")
    key = what_decides(atlas, places, rule, options, containment, formats)
    with action:
        asked = st.button(
            say("compare_prepare", n=len(places)),
            key="compare_prepare",
            type="primary",
            icon=":material/description:",
            disabled=not formats,
            width="stretch",
        )
    if asked:
        started = time.perf_counter()
        made = build(atlas, places, rule, options, containment, formats)
        st.session_state[_ZIP] = (key, made, time.perf_counter() - started)
    kept = st.session_state.get(_ZIP)
    if kept and kept[0] == key:
        st.caption(say("ready", seconds=f"{kept[2]:.1f}"))
        st.download_button(
            say("compare_zip"),
            data=kept[1],
            file_name=f"{stem(atlas, places)}.zip",
            mime="application/zip",
            type="primary",
            icon=":material/download:",
            on_click="ignore",
            key="compare_zip",
        )


def share(page_fields: tuple[str, ...]) -> None:
    """The link that opens this comparison again, or why there is none."""
    with st.popover(say("share"), icon=":material/link:"):
        if state.view().compare:
            st.caption(say("compare_share"))
            st.code(state.share_link(page_fields), language=None, wrap_lines=True)
        else:
            st.caption(say("compare_no_link"))


def build(
    atlas: Atlas,
    places: Sequence[Region],
    rule: str,
    options: dict[str, Any],
    containment: str,
    formats: Sequence[str],
) -> bytes:
    """The ZIP of all reports and the comparison, with progress and a way to stop; raises FlorascopeError."""
    from sdm_core import reports

    holder = st.empty()
    with holder.container():
        progress = st.progress(0.0)
        st.button(say("compare_cancel"), key="compare_report_cancel", icon=":material/close:")
    started = time.perf_counter()
    notes: list[str] = []

    def told(done: int, name: str) -> None:
        said = say("compare_writing", name=frame.plain(name), done=done + 1, n=len(places))
        progress.progress(done / len(places), text=said + left(started, done, len(places)))

    with tempfile.TemporaryDirectory(prefix="florascope-") as folder:
        out = Path(folder) / "comparison"
        reports.build_comparison(
            atlas,
            places,
            out,
            rule=rule,
            formats=formats,
            containment=containment,
            on_note=notes.append,
            on_progress=told,
            records=region_records.kept(),
            statuses=region_statuses.files(),
            outlines=region_outlines.kept(),
            **options,
        )
        archive = reports.zip_folder(out, Path(folder) / "reports.zip")
        body = archive.read_bytes()
    holder.empty()
    for note in dict.fromkeys(notes):
        st.warning(note, icon=":material/info:")
    return body
