"""Choosing the rule on the Region page, and what every rule would make of the same area."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any

import streamlit as st

from pages.ui import numbers, resources, state
from pages.ui.messages import CRITERIA, RULES, SCORES, say
from sdm_core import config

if TYPE_CHECKING:
    from pages.ui.region_read import Reading
    from sdm_core.indicators.rules_compared import RuleEffect
    from sdm_core.regions import Region
    from sdm_core.registry import Atlas

_DEFAULT_K = 20
_DEFAULT_SCORE = "f1"
_DEFAULT_CRITERION = "prevalence"


def offered(atlas: Atlas) -> list[str]:
    """Rules an atlas can be read with."""
    from sdm_core.indicators import rules_of

    known = rules_of(atlas.store)
    return [name for name in RULES if name in known]


def options_of(rule: str) -> dict[str, Any]:
    """The number or the score a rule needs, from its widget; none for rules without one."""
    value = _number_in_link()
    if rule == "threshold":
        t = min(0.99, max(0.01, value if value is not None else config.DEFAULT_THRESHOLD))
        st.slider(
            say("threshold"),
            0.01,
            0.99,
            key=state.fill("threshold_picker", t),
            on_change=state.remember("threshold_picker", "value", lambda v: f"{v:g}"),
        )
        return {"t": t}
    if rule in ("top_k", "average_k"):
        k = int(max(1, value if value is not None else _DEFAULT_K))
        st.number_input(
            say(rule),
            1,
            5000,
            key=state.fill("top_k_picker", k),
            on_change=state.remember("top_k_picker", "value"),
        )
        return {"k": k}
    if rule == "max_exp":
        score = state.view().value if state.view().value in SCORES else _DEFAULT_SCORE
        st.selectbox(
            say("score"),
            list(SCORES),
            format_func=SCORES.__getitem__,
            key=state.fill("score_picker", score),
            on_change=state.remember("score_picker", "value"),
        )
        return {} if score == _DEFAULT_SCORE else {"score": score}
    if rule == "species_threshold":
        criterion = state.view().value if state.view().value in CRITERIA else _DEFAULT_CRITERION
        st.selectbox(
            say("criterion"),
            list(CRITERIA),
            format_func=CRITERIA.__getitem__,
            key=state.fill("criterion_picker", criterion),
            on_change=state.remember("criterion_picker", "value"),
        )
        return {} if criterion == _DEFAULT_CRITERION else {"criterion": criterion}
    return {}


def _number_in_link() -> float | None:
    try:
        value = float(state.view().value)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


@st.fragment
def side_by_side(atlas: Atlas, region: Region, reading: Reading) -> None:
    """Every rule on the area shown; worked out when asked for."""
    summary = reading.summary
    with st.expander(say("rules_title"), icon=":material/compare_arrows:", key="rules_beside"):
        st.caption(say("rules_intro"))
        if not st.toggle(say("rules_compare"), key="rules_compare"):
            return
        with st.spinner(say("rules_computing"), show_time=True):
            found = resources.rules_compared(
                atlas.name,
                atlas.key,
                region.geometry_hash,
                summary.rule,
                tuple(summary.rule_options.items()),
                summary.containment,
                region,
            )
        rows = "".join(_row(effect) for effect in found.effects)
        titles = (say("rules_alpha"), say("rules_range"), say("rules_gamma"), say("rules_beta"))
        heads = "".join(f'<th class="fs-num">{title}</th>' for title in titles)
        st.html(
            f'<div class="fs-scroll"><table class="fs-table" data-testid="rules-table">'
            f"<tr><th>{say('rules_rule')}</th>{heads}</tr>{rows}</table></div>"
            f'<p class="fs-note">{say("rules_expected", n=numbers.number(found.expected, 1))} '
            f"{html.escape(found.note)}</p>"
        )


def _row(effect: RuleEffect) -> str:
    name = RULES[effect.rule]
    if effect.rule == "max_exp":
        name = say("rules_max_exp", score=SCORES[effect.options["score"]])
    if effect.rule == "species_threshold":
        name = say("rules_species_threshold", criterion=CRITERIA[effect.options["criterion"]])
    value = effect.options.get("t", effect.options.get("k"))
    if value is not None:
        name = f"{name}, {value:g}"
    shown = f"<b>{html.escape(name)}</b> · {say('rules_chosen')}" if effect.chosen else html.escape(name)
    beta = "–" if math.isnan(effect.beta) else numbers.number(effect.beta, 2)
    between = f"{numbers.number(effect.fewest)}–{numbers.number(effect.most)}"
    figures = (numbers.number(effect.alpha, 1), between, numbers.number(effect.gamma), beta)
    return (
        f'<tr><td title="{html.escape(effect.text)}">{shown}</td>'
        + "".join(f'<td class="fs-num">{figure}</td>' for figure in figures)
        + "</tr>"
    )
