"""Sections of the About page; every number comes from the model card of the atlas."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import streamlit as st

from pages.ui import frame, numbers, palette
from pages.ui.messages import say
from sdm_core import config

if TYPE_CHECKING:
    from sdm_core.registry import Atlas
    from sdm_core.reports.card import Coverage

_STEPS = ("records", "climate", "model", "store", "answers")


def how_it_works() -> None:
    """From records to answers, in five steps."""
    st.header(say("about_title"), anchor="how", divider=False)
    st.html(f'<p class="fs-lead">{say("about_lead")}</p>')
    steps = "".join(f"<li><b>{say(f'about_{step}_title')}</b> {say(f'about_{step}')}</li>" for step in _STEPS)
    st.html(f'<ol class="fs-how">{steps}</ol>')


def limits(atlas: Atlas) -> None:
    """What the maps must not be used for: the card's own limits, and what holds for every atlas."""
    from sdm_core.reports import card

    st.header(say("limits_link"), anchor="limits", divider=False)
    lines = [
        *card.statements(atlas.card, "limits"),
        say("limit_survey"),
        say("limit_abundance", grain=html.escape(frame.grain(atlas))),
        say("limit_gamma"),
    ]
    st.html(_list(lines))


def quality(atlas: Atlas) -> None:
    """Cross-validation beside the baselines, and how well the probabilities keep their word."""
    from sdm_core.reports import card

    st.header(say("quality_title"), anchor="quality", divider=False)
    tables = card.score_tables(atlas.card)
    if not tables:
        st.info(say("no_validation", atlas=atlas.title), icon=":material/info:")
    for table in tables:
        head = "".join(
            f'<th class="{"fs-num" if column else ""}">{html.escape(name)}</th>'
            for column, name in enumerate(table["columns"])
        )
        rows = "".join(
            f'<tr class="{"fs-shipped" if row["shipped"] else ""}">'
            + "".join(
                f'<td class="{"fs-num" if column else ""}">{html.escape(str(cell))}</td>'
                for column, cell in enumerate(row["cells"])
            )
            + "</tr>"
            for row in table["rows"]
        )
        st.html(
            '<div class="fs-scroll"><table class="fs-table fs-scores">'
            f"<caption>{html.escape(table['caption'])}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        )
    if tables:
        st.html(f'<p class="fs-note">{say("quality_note")}</p>')
    validation = atlas.card.get("validation")
    if isinstance(validation, dict) and validation.get("command"):
        st.caption(say("regenerate"))
        st.code(str(validation["command"]), language="bash")
    points = card.calibration(atlas.card)
    if points is not None:
        _calibration_plot(points)
    kept = card.coverage(atlas.card)
    if kept is not None:
        _coverage(kept)


def _coverage(kept: Coverage) -> None:
    """What intervals and sets promise, and what they kept on held-out blocks."""
    st.subheader(say("coverage_title"), anchor="coverage", divider=False)
    heads = [say(f"coverage_{name}") for name in ("what", "promised", "kept", "mean_of_blocks")]
    head = "".join(f'<th class="{"fs-num" if n else ""}">{title}</th>' for n, title in enumerate(heads))
    rows = "".join(
        "<tr>"
        + "".join(
            f'<td class="{"fs-num" if n else ""}">{html.escape(cell)}</td>'
            for n, cell in enumerate(row.values())
        )
        + "</tr>"
        for row in kept.rows
    )
    if rows:
        st.html(
            f'<div class="fs-scroll"><table class="fs-table" data-testid="coverage-table">'
            f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        )
    st.html(f'<p class="fs-note">{say("coverage_note")}</p>{_list(list(kept.sentences))}')


def _calibration_plot(points: Any) -> None:
    """Recorded share against predicted probability on held-out blocks, with the diagonal."""
    import plotly.graph_objects as go

    ink = palette.css(palette.inks().label)
    accent = "#7fd1b0" if palette.is_dark() else "#1f6f54"
    sizes = 9 if points.counts is None else 6 + 14 * (points.counts / points.counts.max()) ** 0.25
    figure = go.Figure(
        [
            go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": ink, "dash": "dot", "width": 1}),
            go.Scatter(
                x=points.predicted,
                y=points.observed,
                mode="lines+markers",
                line={"color": accent, "width": 2},
                marker={"size": sizes, "color": accent},
                customdata=points.counts,
                hovertemplate="predicted %{x:.1%}<br>recorded %{y:.1%}<extra></extra>",
            ),
        ]
    )
    figure.update_layout(
        height=360,
        margin={"l": 10, "r": 10, "t": 36, "b": 10},
        showlegend=False,
        title={"text": say("calibration_title"), "font": {"size": 14}},
        xaxis={"title": say("calibration_x"), "tickformat": ".0%", "range": [0, 1]},
        yaxis={"title": say("calibration_y"), "tickformat": ".0%", "range": [0, 1]},
    )
    left, right = st.columns([1.4, 1], vertical_alignment="center")
    left.plotly_chart(figure, key="calibration", config={"displayModeBar": False})
    right.html(f'<p class="fs-note">{say("calibration_note")}</p>')


def facts(atlas: Atlas) -> None:
    """The atlas in a few lines."""
    card, store = atlas.card, atlas.store
    lines = [
        (say("fact_species"), numbers.number(store.n_species)),
        (say("fact_cells"), numbers.number(store.n_cells)),
        (say("fact_resolution"), str(store.resolution)),
        (say("fact_version"), str(store.version)[:12]),
        (say("fact_date"), str(card.get("date", "–"))[:10]),
        (say("fact_code"), str(card.get("code_version", config.CODE_VERSION))),
    ]
    if card.get("n_sites"):
        lines.insert(2, (say("fact_sites"), numbers.number(float(card["n_sites"]))))
    rows = "".join(f'<tr><td>{label}</td><td class="fs-num">{value}</td></tr>' for label, value in lines)
    summary = html.escape(str(card.get("summary", "")))
    st.html(f'<p class="fs-note">{summary}</p><table class="fs-table">{rows}</table>')
    if path := next(
        (atlas.folder / name for name in ("MODEL_CARD.md",) if (atlas.folder / name).is_file()), None
    ):
        st.download_button(
            say("download_card"),
            data=path.read_bytes(),
            file_name=f"{atlas.name}-model-card.md",
            mime="text/markdown",
            icon=":material/download:",
            on_click="ignore",
            key="download_card",
        )


def how_to_cite(atlas: Atlas) -> None:
    """A citation to copy: the program, the atlas and its version."""
    st.subheader(say("cite_title"), anchor="cite", divider=False)
    date = str(atlas.card.get("date", ""))[:10]
    st.code(
        say(
            "cite",
            year=date[:4] or "2026",
            atlas=atlas.title,
            version=str(atlas.store.version)[:12],
            code=config.CODE_VERSION,
        ),
        language=None,
        wrap_lines=True,
    )
    st.caption(say("cite_data"))


def licences(atlas: Atlas) -> None:
    """Sources of the atlas and of the maps, each with its licence."""
    from sdm_core import regions
    from sdm_core.reports import card

    st.header(say("licences_title"), anchor="licences", divider=False)
    lines = []
    for source in card.all_sources(atlas.card):
        name = html.escape(source["name"])
        if source["link"]:
            name = f'<a href="{html.escape(source["link"])}" target="_blank" rel="noopener">{name}</a>'
        lines.append(
            f"<b>{name}</b>. {html.escape(source['citation'])} <em>{html.escape(source['licence'])}</em>"
        )
    lines.append(html.escape(regions.PLACES_CREDIT))
    st.html(_list(lines, escape=False))


def _list(lines: list[str], escape: bool = True) -> str:
    items = "".join(f"<li>{html.escape(line) if escape else line}</li>" for line in lines)
    return f'<ul class="fs-how">{items}</ul>'
