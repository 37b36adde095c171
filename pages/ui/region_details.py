"""Every number of a region with its interval and definition, and how far to trust them."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import streamlit as st

from pages.ui import numbers
from pages.ui.messages import say

if TYPE_CHECKING:
    from pages.ui.region_read import Reading
    from sdm_core.indicators import RegionSummary

#: Indicators of the table, in the order of reading.
_GROUPS = (
    ("details_area", ("area_km2", "cell_area_km2")),
    (
        "details_alpha",
        ("alpha_expected", "alpha_range", "alpha", "alpha_cell_interval", "cell_shannon", "cell_simpson"),
    ),
    ("details_gamma", ("gamma", "gamma_lower", "beta_whittaker", "beta_additive")),
    ("details_diversity", ("shannon", "simpson", "hill_0", "hill_1", "hill_2")),
)
_CONCERN = (
    "invasive_share",
    "weighted_endemism",
    "relative_endemism",
    "range_over_1_percent",
    "range_over_5_percent",
)
_MARKS = "abcdefghijkl"


class _Table:
    """Rows of the table as HTML; what an interval means is said once below it, under a letter."""

    def __init__(self) -> None:
        self.rows: list[str] = []
        self.meanings: list[str] = []

    def heading(self, key: str) -> None:
        self.rows.append(f'<tr><th colspan="5">{say(key)}</th></tr>')

    def add(
        self, name: str, label: str, value: str, ends: str, meaning: str, unit: str, definition: str
    ) -> None:
        mark = ""
        if ends and meaning:
            if meaning not in self.meanings:
                self.meanings.append(meaning)
            letter = _MARKS[self.meanings.index(meaning) % len(_MARKS)]
            mark = f' <sup title="{html.escape(meaning)}" data-tip tabindex="0">{letter}</sup>'
        self.rows.append(
            f"<tr><td>{html.escape(label)}</td>"
            f'<td class="fs-num" data-testid="number-{name}">{value}</td>'
            f'<td class="fs-ends-of" data-testid="range-{name}">{ends}{mark}</td>'
            f"<td>{html.escape(unit)}</td>"
            f'<td class="fs-note">{html.escape(definition)}</td></tr>'
        )

    def html(self) -> str:
        heads = ("", "details_value", "details_interval", "details_unit", "details_what")
        numeric = ("", ' class="fs-num"', "", "", "")
        head = "".join(
            f"<th{kind}>{say(key) if key else ''}</th>" for key, kind in zip(heads, numeric, strict=True)
        )
        said = "".join(
            f"<li><b>{_MARKS[place % len(_MARKS)]}</b> {html.escape(meaning)}.</li>"
            for place, meaning in enumerate(self.meanings)
        )
        below = f'<p class="fs-note"><b>{say("details_ends")}</b></p><ul class="fs-note">{said}</ul>'
        rows = f"<tr>{head}</tr>{''.join(self.rows)}"
        table = f'<div class="fs-scroll"><table class="fs-table">{rows}</table></div>'
        return table + (below if said else "")


def details(reading: Reading) -> None:
    """Every number with its interval and definition, and how far to trust them."""
    summary = reading.summary
    with st.expander(say("details"), icon=":material/calculate:", key="details"):
        table = _Table()
        for title, names in _GROUPS:
            table.heading(title)
            _indicators(table, summary, names)
        table.heading("details_concern")
        _red_lists(table, summary)
        _indicators(table, summary, _CONCERN)
        _groups(table, summary)
        st.html(
            table.html()
            + '<p class="fs-note">'
            + say(
                "details_foot",
                n=numbers.number(summary.n_cells),
                containment=summary.containment_text
                if summary.n_cells > 1
                else summary.containment_text.replace("cells", "cell", 1),
                rule=html.escape(summary.rule_text),
            )
            + "</p>"
        )
    _trust(reading)


def _indicators(table: _Table, summary: RegionSummary, names: tuple[str, ...]) -> None:
    for name in names:
        if name in summary.indicators:
            item = summary[name]
            ends = numbers.range_text(item.low, item.high, item.digits)
            words = item.text
            table.add(name, words.label, item.shown, ends, item.interval_text, words.unit, words.definition)


def _groups(table: _Table, summary: RegionSummary) -> None:
    """Endemic, protected and invasive species: number expected with interval, and by the rule."""
    from sdm_core.indicators.texts import COUNT_ERRORS

    for name, group in summary.groups.items():
        words = group.text
        if group.by_rule is None:
            table.add(name, words.label, "–", "", "", words.unit, words.unknown)
            continue
        ends = numbers.range_text(group.low, group.high)
        expected = numbers.number(group.expected, words.digits)
        table.add(name, words.label, expected, ends, COUNT_ERRORS, words.unit, words.definition)
        label = say("details_by_rule", label=words.label)
        table.add(
            f"{name}-by-rule",
            label,
            numbers.number(group.by_rule),
            "",
            "",
            words.unit,
            say("details_by_rule_text", rule=summary.rule_text),
        )


def _red_lists(table: _Table, summary: RegionSummary) -> None:
    """Threatened share and worst status of each Red List of the session."""
    from sdm_core.indicators import THREAT_TEXTS

    for number, listed in enumerate(summary.status_lists):
        official = listed.official
        if official is None:
            continue
        table.add(
            f"threatened_share-{number}",
            say("details_threatened", name=listed.listed),
            numbers.number(100 * official.threatened_share, 1),
            numbers.range_text(100 * official.share_low, 100 * official.share_high, 1),
            THREAT_TEXTS["share_low_high"],
            "%",
            f"{THREAT_TEXTS['threatened_share']}.",
        )
        none = say("status_none")
        table.add(
            f"most_threatened-{number}",
            say("details_worst", name=listed.listed),
            official.certain or none,
            f"{official.certain or none}–{official.possible or none}",
            summary.certainty_text,
            "",
            say("details_worst_text"),
        )


def _trust(reading: Reading) -> None:
    from sdm_core import applicability

    with st.expander(say("trust_title"), icon=":material/verified_user:", key="trust"):
        trust = reading.trust
        grade = say("trust_grade", grade=trust.grade, text=trust.grade_text, method=applicability.METHOD)
        lines = [html.escape(grade)]
        lines += [f"<b>{c.grade}</b> {html.escape(c.sentence)}" for c in trust.criteria]
        unlike = trust.experience
        if unlike is not None and unlike.held_out_text:
            lines.append(html.escape(unlike.held_out_text))
        if unlike is not None and unlike.predictor:
            lines.append(
                say(
                    "trust_unlike",
                    predictor=html.escape(unlike.predictor_text),
                    percent=numbers.number(unlike.predictor_percent),
                    where=say("trust_everywhere" if unlike.inside_percent >= 100 else "trust_outside"),
                )
            )
        lines += [html.escape(note) for note in (*reading.summary.limits, say("screening"))]
        items = "".join(f"<li>{line}</li>" for line in lines)
        st.html(f'<ul class="fs-note">{items}</ul>')
