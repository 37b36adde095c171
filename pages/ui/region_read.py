"""Step two of the Region page: five numbers, map beside species, all numbers with definitions."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from pages.ui import (
    explore_parts,
    frame,
    maps,
    numbers,
    region_finer,
    region_records,
    region_rules,
    region_statuses,
    resources,
    state,
)
from pages.ui.messages import CONCERN_LAYERS, CONTAINMENT, LAYERS, RULE_HELP, RULES, say
from sdm_core import config
from sdm_core.regions import DEFAULT_CONTAINMENT

if TYPE_CHECKING:
    from pages.ui.hexagons import MapCells
    from sdm_core.applicability import Trust
    from sdm_core.indicators import Indicator, RegionSummary
    from sdm_core.observed import ObservedRegion
    from sdm_core.regions import Region
    from sdm_core.registry import Atlas

MAP_HEIGHT = 430
_PIXELS = (580, 390)
_FLAGS = ("present", "endemic", "protected", "invasive", "status", "observed")
#: Numbers of the details, in the order of reading.
_GROUPS = (
    ("details_area", ("area_km2", "cell_area_km2")),
    ("details_alpha", ("alpha_expected", "alpha", "alpha_cell_interval", "cell_shannon", "cell_simpson")),
    ("details_gamma", ("gamma", "gamma_lower", "beta_whittaker", "beta_additive")),
    ("details_diversity", ("shannon", "simpson", "hill_0", "hill_1", "hill_2")),
)


@dataclass(frozen=True)
class Reading:
    """A region read under a rule."""

    summary: RegionSummary
    trust: Trust
    part: str


def header(region: Region) -> tuple[Atlas, int, str, dict[str, Any]]:
    """Name of the area, atlas, H3 resolution of the cells, rule, and the way back to choosing."""
    title, atlas_column, size_column, rule_column, change = st.columns(
        [2.1, 1.2, 0.85, 1.25, 0.9], vertical_alignment="bottom", gap="small"
    )
    with atlas_column:
        atlas = frame.choose_atlas()
    with size_column:
        resolution = region_finer.choose(atlas, region)
    with rule_column:
        rule, options = _choose_rule()
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


def _choose_rule() -> tuple[str, dict[str, Any]]:
    """Rule and its options; which cells are counted is chosen in the same place and kept in the view."""
    rule = state.settle_rule(config.DEFAULT_RULE)
    with st.popover(f"{say('rule_short')}: {RULES[rule]}", icon=":material/rule:", width="stretch"):
        st.radio(
            say("rule"),
            list(RULES),
            format_func=RULES.__getitem__,
            captions=[RULE_HELP[name] for name in RULES],
            key=state.fill("rule_picker", rule),
            on_change=_rule_chosen,
            help=say("rule_help"),
        )
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
    version = str(atlas.store.version)
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
    if summary.notes:
        notes = " ".join(html.escape(note) for note in summary.notes)
        st.html(f'<p class="fs-notes" data-testid="region-notes">{notes}</p>')
    return Reading(summary, trust, f"region:{region.geometry_hash}:{containment}")


def cards(atlas: Atlas, reading: Reading) -> None:
    """The answer first: five numbers."""
    from sdm_core import applicability

    summary, trust = reading.summary, reading.trust
    groups = summary.groups
    lower, gamma, shannon = summary["gamma_lower"], summary["gamma"], summary["shannon"]
    percentile = summary.percentiles.get("shannon")
    shown = [
        (
            say("card_expected"),
            f"{numbers.number(lower.value, 0 if lower.value >= 100 else 1)} "
            f"<small>({numbers.number(lower.low)}–{numbers.number(lower.high)})</small>",
            say("card_expected_under"),
            f"{lower.text.definition} {lower.text.interval}",
        ),
        (
            say("card_gamma"),
            gamma.shown,
            say("card_gamma_under", alpha=summary["alpha"].shown, beta=summary["beta_whittaker"].shown),
            f"{gamma.text.definition} {summary.rule_text}.",
        ),
        (
            say("card_shannon"),
            shannon.shown,
            say("card_shannon_under", percent=numbers.number(percentile)) if percentile is not None else "",
            shannon.text.definition,
        ),
        (
            say("card_flags"),
            f"{_count(groups, 'endemic')} <small>·</small> {_count(groups, 'protected')}",
            _flags_under(groups),
            f"{groups['endemic'].text.definition} {groups['protected'].text.definition}",
        ),
        (
            say("card_trust"),
            trust.grade,
            html.escape(trust.reason),
            f"{trust.grade_text.capitalize()}. {applicability.METHOD}",
        ),
    ]
    st.html(frame.card_row(shown, "cards"))


def _count(groups: dict[str, Any], name: str) -> str:
    """Species of a group in the list of the region; a dash where the atlas does not know."""
    group = groups.get(name)
    return "–" if group is None or group.by_rule is None else numbers.number(group.by_rule)


def _flags_under(groups: dict[str, Any]) -> str:
    """Invasive species, and how much of the list was never assessed for endemism."""
    lines = [say("card_invasive", n=_count(groups, "invasive"))]
    unassessed = groups["endemic"].unassessed_percent if "endemic" in groups else None
    if unassessed is not None and unassessed >= 0.5:
        lines.append(say("card_unassessed", percent=numbers.number(unassessed)))
    return " · ".join(lines)


@st.fragment
def map_and_table(
    atlas: Atlas, region: Region, reading: Reading, observed: ObservedRegion | None = None
) -> None:
    """The map of the region beside its species; a row of the table is shown on the map.

    With records of the user, the table says what was observed, and the map shows where.
    """
    left, right = st.columns([1, 1.15], gap="small")
    table = shown_species(reading.summary.species_table)
    if observed is not None:
        table = region_records.with_observed(table, observed)
    with right:
        search, only = st.columns([1, 2.05], vertical_alignment="center")
        text = search.text_input(
            say("search_table"),
            key="species_search",
            placeholder=say("search_table"),
            label_visibility="collapsed",
            icon=":material/search:",
            live=True,
        )
        flags = only.pills(
            say("only"),
            _FLAGS,
            selection_mode="multi",
            format_func=lambda flag: say(f"only_{flag}"),
            key="species_flags",
            label_visibility="collapsed",
        )
        found = filtered(table, text or "", tuple(flags or ()))
        if observed is not None:
            found = region_records.narrowed(found)
        selection = st.dataframe(
            found.drop(columns=["species_id", "common_genus", "on_list"]),
            hide_index=True,
            height=MAP_HEIGHT - 20,
            key="species_rows",
            on_select="rerun",
            selection_mode="single-row",
            column_config={**_columns(), **(region_records.columns() if observed is not None else {})},
        )
        st.caption(say("rows_shown", n=numbers.number(len(found)), total=numbers.number(len(table))))
    rows = selection.selection.rows if selection else []
    species_id = int(found["species_id"].iloc[rows[0]]) if rows and rows[0] < len(found) else None
    if species_id is not None and species_id < 0:  # a species the atlas does not have
        species_id = None
    with left:
        _region_map(atlas, region, reading, species_id, observed)


def _region_map(
    atlas: Atlas,
    region: Region,
    reading: Reading,
    species_id: int | None,
    observed: ObservedRegion | None,
) -> None:
    version = str(atlas.store.version)
    known = atlas.store.layer_names
    layer = st.segmented_control(
        say("map_shows"),
        [name for name in ("richness", "shannon", "simpson", "information") if name in known]
        + region_statuses.layers(reading.summary),
        default="richness",
        format_func=_layer_button,
        key="region_layer",
        label_visibility="collapsed",
        disabled=species_id is not None,
    )
    shown = "species" if species_id is not None else (layer or "richness")
    cells = resources.region_cells(
        atlas.name, version, region.geometry_hash, reading.summary.containment, region
    )
    masked = _choose_mask(atlas, reading, cells) and (
        shown in explore_parts.PREDICTIONS or shown in CONCERN_LAYERS
    )
    values, part = None, reading.part
    if shown in CONCERN_LAYERS:
        values = region_statuses.layer_values(atlas, reading, cells, shown)
        part = region_statuses.layer_part(reading, shown)
    url, scale = maps.published(atlas, shown, species_id or 0, cells, 0.0, False, part, masked, values)
    if species_id is not None:
        name = str(atlas.store.species["species"].iloc[species_id])
    else:
        name = CONCERN_LAYERS[shown][1] if shown in CONCERN_LAYERS else LAYERS[shown]
    with st.container(key="region_map_box"):
        st.pydeck_chart(
            maps.hexagon_map(
                url,
                shown,
                cells.bounds,
                outline=resources.outline(region.geometry_hash, region),
                pixels=_PIXELS,
                observed=None if observed is None else observed.points(species_id),
            ),
            height=MAP_HEIGHT,
            key="region_map",
            alt=say("map_alt", layer=name),
        )
        st.html(
            maps.legend(
                scale,
                name,
                say("legend_hexagon", area=numbers.number(cells.mean_area_km2)),
                frame.source_line(atlas),
                observed is not None,
                italic=species_id is not None,
                masked="grey" if masked else "",
            )
        )


def _layer_button(layer: str) -> str:
    """Short name of a layer of the region's map."""
    if layer in CONCERN_LAYERS:
        return CONCERN_LAYERS[layer][0]
    return say("short_information") if layer == "information" else LAYERS[layer]


def _choose_mask(atlas: Atlas, reading: Reading, cells: MapCells) -> bool:
    """Whether to grey what lies outside the model's experience; asked only where anything does."""
    if not resources.knows_experience(atlas):
        return False
    outside = resources.outside_of(atlas.name, str(atlas.store.version), reading.part, cells)
    if not outside.any():
        return False
    return st.toggle(
        say("mask_share", percent=numbers.percent(float(outside.mean()))),
        value=True,
        key="mask_region",
        help=say("mask_help"),
    )


def shown_species(table: pd.DataFrame) -> pd.DataFrame:
    """The species table as the page shows it: flags in words, columns in the order of reading."""
    own_flags = [
        " · ".join(explore_parts.species_flags(*values))
        for values in zip(
            table["endemic"], table["habitats_directive"], table["invasive_union_concern"], strict=True
        )
    ]
    own_sources = [
        explore_parts.flag_origin(source, date) if flag else ""
        for flag, source, date in zip(own_flags, table["flag_source"], table["flag_date"], strict=True)
    ]
    added_sources = [
        explore_parts.flag_origin(source, date)
        for source, date in zip(table["status_source"], table["status_date"], strict=True)
    ]
    flags = [_joined(*texts) for texts in zip(own_flags, table["statuses"], strict=True)]
    sources = [_joined(*texts) for texts in zip(own_sources, added_sources, strict=True)]
    return pd.DataFrame(
        {
            "species_id": table["species_id"],
            "species": table["species"],
            "common_genus": table["common_genus"].fillna(""),
            "family": table["family"],
            "mean_probability": table["mean_probability"],
            "expected_area_km2": table["expected_area_km2"],
            "present": table["present"],
            "records_nearby": table["records_nearby"],
            "flags": flags,
            "max_probability": table["max_probability"],
            "flag_source": sources,
            "on_list": table["statuses"] != "",
        }
    )


def _joined(*texts: str) -> str:
    """Texts that are not empty in one line."""
    return " · ".join(text for text in texts if text)


def filtered(table: pd.DataFrame, text: str, flags: tuple[str, ...]) -> pd.DataFrame:
    """Rows whose name, English genus or family holds the text, and that have every flag asked for."""
    keep = pd.Series(True, index=table.index)
    if wanted := text.strip().casefold():
        hay = table["species"].str.casefold() + " " + table["common_genus"].str.casefold() + " "
        keep &= (hay + table["family"].fillna("").str.casefold()).str.contains(wanted, regex=False)
    for flag in flags:
        if flag == "present":
            keep &= table["present"].astype(bool)
        elif flag == "status":
            keep &= table["on_list"].eq(True)
        elif flag == "observed":
            keep &= table["records_nearby"].fillna(0) > 0
        else:
            label = {"endemic": "flag_endemic", "protected": "flag_habitats", "invasive": "flag_invasive"}[
                flag
            ]
            keep &= table["flags"].str.contains(say(label), regex=False)
    return table[keep].reset_index(drop=True)


def _columns() -> dict[str, Any]:
    config_of = st.column_config
    return {
        "species": config_of.TextColumn("Species", width=175, pinned=True),
        "family": config_of.TextColumn("Family", width=95),
        "mean_probability": config_of.ProgressColumn(
            "Mean", format="percent", min_value=0, max_value=1, width=80, help=say("column_mean")
        ),
        "expected_area_km2": config_of.NumberColumn("km²", format="%.0f", width=60, help=say("column_area")),
        "present": config_of.CheckboxColumn("In list", width=52, help=say("column_present")),
        "records_nearby": config_of.NumberColumn(
            "Records", format="%d", width=66, help=say("column_records")
        ),
        "flags": config_of.TextColumn("Flags", width=150, help=say("column_flags")),
        "max_probability": config_of.NumberColumn(
            "Best cell", format="percent", width=75, help=say("column_max")
        ),
        "flag_source": config_of.TextColumn("Source of flags"),
    }


def _number_row(item: Indicator) -> str:
    """Table row of one number: label, value with its range, unit, definition."""
    meaning = f" <em>Range: {html.escape(item.text.interval)}.</em>" if item.text.interval else ""
    return (
        f"<tr><td>{html.escape(item.text.label)}</td>"
        f'<td class="fs-num" data-testid="number-{item.name}">{item.shown_interval}</td>'
        f"<td>{html.escape(item.text.unit)}</td>"
        f'<td class="fs-note">{html.escape(item.text.definition)}{meaning}</td></tr>'
    )


def details(atlas: Atlas, reading: Reading) -> None:
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
