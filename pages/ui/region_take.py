"""Step three of the Region page: the report in the formats asked for, and the link."""

from __future__ import annotations

import datetime
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from pages.ui import region_outlines, region_records, region_statuses, state
from pages.ui.messages import say

if TYPE_CHECKING:
    from pages.ui.region_read import Reading
    from sdm_core.regions import Region
    from sdm_core.registry import Atlas

#: Formats of a report, in the order of the list, with what each is for.
FORMATS: dict[str, str] = {
    "pdf": "PDF, to print",
    "html": "HTML, opens offline",
    "csv": "CSV, species table",
    "json": "JSON, all numbers",
    "geojson": "GeoJSON, the outline",
    "geoparquet": "GeoParquet, the cells",
    "geotiff": "GeoTIFF, the maps",
    "methods": "Methods, ODMAP table and script",
    "figures": "Figures, SVG and PNG",
}
#: Files offered on their own, with the words on their buttons; the rest is in the ZIP.
_SINGLE = {
    "report.pdf": "PDF report",
    "report.html": "HTML report",
    "species.csv": "Species (CSV)",
    "indicators.json": "Numbers (JSON)",
}
_MIME = {
    ".pdf": "application/pdf",
    ".html": "text/html",
    ".csv": "text/csv",
    ".json": "application/json",
    ".zip": "application/zip",
}


def take_away(atlas: Atlas, region: Region, reading: Reading, page_fields: tuple[str, ...]) -> None:
    """One button and a list of formats; then the files, whose names carry place, atlas and date."""
    st.subheader(say("take_title"), anchor="take", divider=False)
    with st.container(key="take_row"):
        choice, action, share = st.columns([3.2, 1.2, 0.9], vertical_alignment="bottom")
    with choice:
        formats = choose_formats("report_formats")
    summary = reading.summary
    key = what_decides(atlas, [region], summary.rule, summary.rule_options, summary.containment, formats)
    with action:
        asked = st.button(
            say("prepare"),
            key="prepare_report",
            type="primary",
            icon=":material/description:",
            disabled=not formats,
            width="stretch",
        )
    with share, st.popover(say("share"), icon=":material/link:", width="stretch"):
        st.caption(say("share_text"))
        st.code(state.share_link(page_fields), language=None, wrap_lines=True)
    if asked:
        with st.spinner(say("preparing"), show_time=True):
            started = time.perf_counter()
            files = build(atlas, region, reading, formats)
            st.session_state["report"] = (key, files, time.perf_counter() - started)
    kept = st.session_state.get("report")
    if kept and kept[0] == key:
        _downloads(atlas, region, kept[1], kept[2])


def choose_formats(key: str) -> list[str]:
    """Formats of a report, all but those that take long by default."""
    return st.pills(
        say("formats"),
        list(FORMATS),
        selection_mode="multi",
        default=[name for name in FORMATS if name != "figures"],
        format_func=lambda name: FORMATS[name].split(",")[0],
        key=key,
        help="  \n".join(FORMATS.values()),
    )


def what_decides(
    atlas: Atlas,
    places: Sequence[Region],
    rule: str,
    options: Mapping[str, Any],
    containment: str,
    formats: Sequence[str],
) -> tuple[Any, ...]:
    """All that decides what a report holds: another value of it, and a report made before is out of date."""
    records, outlines = region_records.kept(), region_outlines.kept()
    return (
        tuple((region.geometry_hash, region.name) for region in places),
        atlas.key,
        rule,
        repr(options),
        containment,
        tuple(file.digest for file in region_statuses.files()),
        records.fingerprint if records is not None else "",
        outlines.digest if outlines is not None else "",
        tuple(formats),
    )


def build(atlas: Atlas, region: Region, reading: Reading, formats: list[str]) -> dict[str, bytes]:
    """The files of a report by their names, and `report.zip` with all of them; raises FlorascopeError."""
    from sdm_core import reports
    from sdm_core.reports.folder import zip_folder

    summary = reading.summary
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="florascope-") as folder:
        out = Path(folder) / "report"
        reports.build_report(
            atlas,
            region,
            out,
            rule=summary.rule,
            formats=formats,
            containment=summary.containment,
            records=region_records.kept(),
            statuses=region_statuses.files(),
            outlines=region_outlines.kept(),
            permalink=state.share_link(),
            on_note=notes.append,
            **summary.rule_options,
        )
        archive = zip_folder(out, Path(folder) / "report.zip")
        files = {path.name: path.read_bytes() for path in sorted(out.iterdir()) if path.is_file()}
        for note in notes:
            st.warning(note, icon=":material/info:")
        files["report.zip"] = archive.read_bytes()
    return files


def file_name(atlas: Atlas, region: Region, name: str) -> str:
    """Name of a downloaded file: place, atlas, date, and what it is."""
    from sdm_core import reports

    stem = reports.report_stem(atlas, region, datetime.datetime.now(datetime.UTC))
    path = Path(name)
    part = "" if path.stem == "report" else f"_{path.stem}"
    return f"{stem}{part}{path.suffix}"


def _downloads(atlas: Atlas, region: Region, files: dict[str, bytes], seconds: float) -> None:
    st.caption(say("ready", seconds=f"{seconds:.1f}"))
    with st.container(horizontal=True):
        _button(atlas, region, files, "report.zip", say("download_zip"), "primary")
        for name, label in _SINGLE.items():
            if name in files:
                _button(atlas, region, files, name, label, "secondary")


def _button(atlas: Atlas, region: Region, files: dict[str, bytes], name: str, label: str, kind: str) -> None:
    st.download_button(
        label,
        data=files[name],
        file_name=file_name(atlas, region, name),
        mime=_MIME.get(Path(name).suffix, "application/octet-stream"),
        type=kind,
        icon=":material/download:",
        on_click="ignore",
        key=f"download_{name}",
    )
