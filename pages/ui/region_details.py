"""Every number of a region with its definition, and how far to trust them."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import streamlit as st

from pages.ui import numbers
from pages.ui.messages import say

if TYPE_CHECKING:
    from pages.ui.region_read import Reading
    from sdm_core.indicators import Indicator

#: Numbers of the details, in the order of reading.
_GROUPS = (
    ("details_area", ("area_km2", "cell_area_km2")),
    ("details_alpha", ("alpha_expected", "alpha", "alpha_cell_interval", "cell_shannon", "cell_simpson")),
    ("details_gamma", ("gamma", "gamma_lower", "beta_whittaker", "beta_additive")),
    ("details_diversity", ("shannon", "simpson", "hill_0", "hill_1", "hill_2")),
)


def _number_row(item: Indicator) -> str:
    """Table row of one number: label, value with its range, unit, definition."""
    meaning = f" <em>Range: {html.escape(item.interval_text)}.</em>" if item.interval_text else ""
    return (
        f"<tr><td>{html.escape(item.text.label)}</td>"
        f'<td class="fs-num" data-testid="number-{item.name}">{item.shown_interval}</td>'
        f"<td>{html.escape(item.text.unit)}</td>"
        f'<td class="fs-note">{html.escape(item.text.definition)}{meaning}</td></tr>'
    )


def details(reading: Reading) -> None:
    """Every number with its definition, and how far to trust them."""
    summary = reading.summary
    with st.expander(say("details"), icon=":material/calculate:", key="details"):
        blocks = []
        for title, names in _GROUPS:
            rows = "".join(_number_row(summary[name]) for name in names if name in summary.indicators)
            blocks.append(f'<tr><th colspan="4">{say(title)}</th></tr>{rows}')
        st.html(
            f'<div class="fs-scroll"><table class="fs-table">{"".join(blocks)}</table></div>'
            f'<p class="fs-note">'
            + say(
                "details_foot",
                n=numbers.number(summary.n_cells),
                containment=summary.containment_text,
                rule=html.escape(summary.rule_text),
            )
            + "</p>"
        )
    with st.expander(say("trust_title"), icon=":material/verified_user:", key="trust"):
        from sdm_core import applicability, indicators

        trust = reading.trust
        grade = say("trust_grade", grade=trust.grade, text=trust.grade_text, method=applicability.METHOD)
        lines = [html.escape(grade)]
        lines += [f"<b>{c.grade}</b> {html.escape(c.sentence)}" for c in trust.criteria]
        if trust.experience is not None and trust.experience.predictor:
            unlike = trust.experience
            lines.append(
                say(
                    "trust_unlike",
                    predictor=html.escape(unlike.predictor_text),
                    percent=numbers.number(unlike.predictor_percent),
                    where=say("trust_everywhere" if unlike.inside_percent >= 100 else "trust_outside"),
                )
            )
        lines += [html.escape(note) for note in (*indicators.NOTES, say("screening"))]
        items = "".join(f"<li>{line}</li>" for line in lines)
        st.html(f'<ul class="fs-note">{items}</ul>')
