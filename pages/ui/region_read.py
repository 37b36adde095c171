"""Step two of the Region page: what is read, by which rule, and the five numbers that answer first."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from pages.ui import (
    frame,
    numbers,
    region_finer,
    region_rules,
    region_statuses,
    resources,
    state,
)
from pages.ui.messages import CONTAINMENT, RULE_HELP, RULES, say
from sdm_core import config
from sdm_core.regions import DEFAULT_CONTAINMENT

if TYPE_CHECKING:
    from sdm_core.applicability import Trust
    from sdm_core.indicators import RegionSummary
    from sdm_core.regions import Region
    from sdm_core.registry import Atlas


@dataclass(frozen=True)
class Reading:
    """A region read under a rule."""

    summary: RegionSummary
    trust: Trust
    part: str


def header(region: Region) -> tuple[Atlas, int, str, dict[str, Any]]:
    """Name of the area, atlas, H3 resolution of the cells, rule, and the way back to choosing."""
    with st.container(key="region_header"):
        title, atlas_column, size_column, rule_column, change = st.columns(
            [2.1, 1.2, 0.85, 1.25, 0.9], vertical_alignment="bottom", gap="small"
        )
    with atlas_column:
        atlas = frame.choose_atlas()
    with size_column:
        resolution = region_finer.choose(atlas, region)
    with rule_column:
        rule, options = choose_rule(atlas)
    with change:
        if st.button(
            say("change_area"), key="change_area", icon=":material/edit_location_alt:", width="stretch"
        ):
            st.session_state["choosing"] = True
            st.rerun()
    title.html(
        f'<h2 class="fs-region">{html.escape(region.name)}</h2>'
        f'<div class="fs-note">{numbers.area(region.area_km2)} · '
        f"{html.escape(frame.source_line(atlas))}</div>"
    )
    frame.show_notices()
    return atlas, resolution, rule, options


def choose_rule(atlas: Atlas) -> tuple[str, dict[str, Any]]:
    """Rule and its options; which cells are counted is chosen in the same place and kept in the view."""
    offered = region_rules.offered(atlas)
    rule = state.settle_rule(config.DEFAULT_RULE, offered)
    with st.popover(f"{say('rule_short')}: {RULES[rule]}", icon=":material/rule:", width="stretch"):
        st.radio(
            say("rule"),
            offered,
            format_func=RULES.__getitem__,
            captions=[RULE_HELP[name] for name in offered],
            key=state.fill("rule_picker", rule),
            on_change=_rule_chosen,
            help=say("rule_help"),
        )
        if len(offered) < len(RULES):
            st.caption(say("rules_of_surveys"))
        options = region_rules.options_of(rule)
        st.selectbox(
            say("containment"),
            list(CONTAINMENT),
            format_func=CONTAINMENT.__getitem__,
            key=state.fill("containment_picker", state.settle_containment(DEFAULT_CONTAINMENT)),
            on_change=state.remember(
                "containment_picker",
                "containment",
                lambda chosen: "" if chosen == DEFAULT_CONTAINMENT else str(chosen),
            ),
            help=say("containment_help"),
        )
    return rule, options


def _rule_chosen() -> None:
    state.notices().clear()
    state.change(rule=st.session_state["rule_picker"], value="")


def read(atlas: Atlas, region: Region, rule: str, options: dict[str, Any]) -> Reading:
    """All numbers of the region; a wait shows what is being done."""
    version = atlas.key
    containment = state.settle_containment(DEFAULT_CONTAINMENT)
    with st.spinner(say("reading", name=region.name), show_time=True):
        summary = resources.region_summary(
            atlas.name,
            version,
            region.geometry_hash,
            region.name,
            rule,
            tuple(options.items()),
            containment,
            region,
        )
        trust = resources.trust(
            atlas.name,
            version,
            region.geometry_hash,
            rule,
            tuple(options.items()),
            containment,
            region,
            summary,
        )
    summary = region_statuses.with_lists(atlas, region, summary)
    said = list(summary.notes)
    if not summary["gamma"].value:
        said.append(say("nothing_by_rule", rule=summary.rule_text))
    if said:
        notes = " ".join(html.escape(note) for note in said)
        st.html(f'<p class="fs-notes" data-testid="region-notes">{notes}</p>')
    return Reading(summary, trust, f"region:{region.geometry_hash}:{containment}")


def cards(atlas: Atlas, reading: Reading) -> None:
    """The answer first: five numbers."""
    from sdm_core import applicability
    from sdm_core.indicators.texts import COUNT_ERRORS

    summary, trust = reading.summary, reading.trust
    groups = summary.groups
    lower, gamma, shannon = summary["gamma_lower"], summary["gamma"], summary["shannon"]
    alpha, known = summary["alpha_expected"], groups["endemic"].by_rule is not None
    percentile = summary.percentiles.get("shannon")
    shown = [
        (
            say("card_expected"),
            numbers.number(lower.value, 0 if lower.value >= 100 else 1)
            + frame.range_line(lower.low, lower.high, 0 if lower.low >= 10 else 1),
            say("card_expected_under", alpha=alpha.shown_interval),
            frame.tip(lower.text.definition, lower.interval_text),
        ),
        (
            say("card_gamma"),
            gamma.shown + frame.range_line(),
            say("card_gamma_under", alpha=summary["alpha"].shown, beta=summary["beta_whittaker"].shown),
            f"{gamma.text.definition} {summary.rule_text}.",
        ),
        (
            say("card_shannon"),
            shannon.shown + frame.range_line(shannon.low, shannon.high, shannon.digits),
            say("card_shannon_under", percent=numbers.number(percentile)) if percentile is not None else "",
            frame.tip(shannon.text.definition, shannon.interval_text),
        ),
        (
            say("card_flags" if known else "card_protected_only"),
            (f"{_count(groups, 'endemic')} <small>·</small> " if known else "")
            + _count(groups, "protected")
            + frame.range_line(text=_expected_ranges(groups)),
            _flags_under(groups),
            frame.tip(
                f"{groups['endemic'].text.definition} {groups['protected'].text.definition}",
                COUNT_ERRORS if math.isfinite(groups["endemic"].low) else "",
            ),
        ),
        (
            say("card_trust"),
            trust.grade + frame.range_line(text=html.escape(trust.grade_text)),
            html.escape(trust.reason),
            f"{trust.grade_text.capitalize()}. {applicability.METHOD}",
        ),
    ]
    st.html(frame.card_row(shown, "cards"))


def _count(groups: dict[str, Any], name: str) -> str:
    """Species of a group in the list of the region; a dash where the atlas does not know."""
    group = groups.get(name)
    return "–" if group is None or group.by_rule is None else numbers.number(group.by_rule)


def _expected_ranges(groups: dict[str, Any]) -> str:
    """Intervals of the numbers of endemic and protected species expected, side by side."""
    shown = [name for name in ("endemic", "protected") if groups[name].by_rule is not None]
    ends = [numbers.range_text(groups[name].low, groups[name].high) for name in shown]
    return say("card_ranges", ranges=" · ".join(end or "–" for end in ends)) if any(ends) else ""


def _flags_under(groups: dict[str, Any]) -> str:
    """Invasive species, and how much of the list was never assessed for endemism."""
    lines = [say("card_invasive", n=_count(groups, "invasive"))]
    unassessed = groups["endemic"].unassessed_percent
    if groups["endemic"].by_rule is None:
        lines.append(say("card_endemic_unknown"))
    elif unassessed >= 0.5:
        lines.append(say("card_unassessed", percent=numbers.number(unassessed)))
    return " · ".join(lines)
