"""Threatened, protected, invasive and endemic species of a region, by the atlas and the lists of a user."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from pages.ui import frame, hexagons, numbers, region_lists, resources
from pages.ui.messages import CONCERN_LAYERS, say
from pages.ui.region_lists import files, matched

if TYPE_CHECKING:
    from pages.ui.hexagons import MapCells
    from pages.ui.region_read import Reading
    from sdm_core.indicators import ListSummary, RegionSummary, SpeciesGroup
    from sdm_core.regions import Region
    from sdm_core.registry import Atlas

#: Numbers of the session's lists for the last region: never in a cache that sessions share.
_SUMMARY = "status_summary"
#: Layers of the last region read, by atlas version, region and lists.
_LAYERS = "status_layers"
_TABLE_HEIGHT = 300
#: Categories in the order of the table of species, which leaves out LC, NE and NA.
_ORDER = ("CR", "EN", "VU", "NT", "protected", "invasive", "alien", "endemic", "RE", "EW", "EX", "DD")


def with_lists(atlas: Atlas, region: Region, summary: RegionSummary) -> RegionSummary:
    """The numbers of a region with those of the session's lists; the last ones are kept in the session."""
    given = files()
    if not given:
        return summary
    from sdm_core import indicators

    key = (
        *(file.digest for file in given),
        region.geometry_hash,
        region.name,
        atlas.key,
        summary.rule,
        str(summary.rule_options),
        summary.containment,
    )
    kept = st.session_state.get(_SUMMARY)
    if kept is None or kept[0] != key:
        version = atlas.key
        chosen = resources.region_selection(
            atlas.name, version, region.geometry_hash, summary.containment, region
        )
        added = indicators.with_statuses(summary, atlas.store, chosen.rows, chosen.hectares, matched(atlas))
        kept = (key, added)
        st.session_state[_SUMMARY] = kept
    return kept[1]


def section(atlas: Atlas, reading: Reading) -> None:
    """Four cards, what each list says, and where lists are added."""
    summary = reading.summary
    with st.container(key="concern"):
        st.subheader(say("concern_title"), anchor="concern", divider=False)
        st.html(frame.card_row(_cards(summary), "concern-cards"))
        for listed in summary.status_lists:
            _list(listed)
        if summary.status_lists:
            _species(summary)
    region_lists.add(atlas)


def layers(summary: RegionSummary) -> list[str]:
    """Names of `messages.CONCERN_LAYERS` that say something about this region."""
    red = any(
        listed.official is not None and math.isfinite(listed.official.threatened_share)
        for listed in summary.status_lists
    )
    shown = {
        "endemic": summary.groups["endemic"].expected > 0,
        "weighted_endemism": math.isfinite(summary.value("relative_endemism")),
        "invasive_share": summary.value("invasive_share") > 0,
        "threatened_share": red,
    }
    return [name for name in CONCERN_LAYERS if shown[name]]


def layer_part(reading: Reading, layer: str) -> str:
    """What the values of a layer are made from: the region, and the lists where it depends on them."""
    digests = [file.digest for file in files()] if layer == "threatened_share" else []
    return ":".join([reading.part, *digests])


def layer_values(atlas: Atlas, reading: Reading, cells: MapCells, layer: str) -> NDArray[np.float64]:
    """One value per hexagon of a layer, from the predictions and the session's lists; kept in the session."""
    from sdm_core import indicators

    given = files()
    key = (atlas.key, reading.part, *(file.digest for file in given))
    kept = st.session_state.get(_LAYERS)
    if kept is None or kept[0] != key:
        kept = (key, indicators.concern_layers(atlas.store, cells.rows, matched(atlas)))
        st.session_state[_LAYERS] = kept
    area_ha = np.asarray(atlas.store.area_ha, dtype=np.float64)[cells.rows]
    return hexagons.means(kept[1][layer], area_ha, cells)


def _cards(summary: RegionSummary) -> list[tuple[str, str, str, str]]:
    """Label, value, what stands under it and what it means."""
    from sdm_core.indicators import THREAT_TEXTS
    from sdm_core.indicators.texts import COUNT_ERRORS

    red = next((listed for listed in summary.status_lists if listed.official), None)
    value, under, interval, ends = "–", say("card_threatened_none"), "", ""
    if red is not None and red.official is not None:
        official = red.official
        value = f"{_percent(official.threatened_share)}"
        interval = numbers.range_text(100 * official.share_low, 100 * official.share_high, 1)
        ends = numbers.range_text(100 * official.low, 100 * official.high, 1)
        under = say(
            "card_threatened_under",
            unassessed=numbers.number(
                official.unassessed_percent, 1 if 99 < official.unassessed_percent < 100 else 0
            ),
            name=html.escape(red.listed),
        )
        under += f"<br>{say('card_threatened_ends', ends=ends)}" if ends else ""
    threat_tip = frame.tip(f"{THREAT_TEXTS['threatened_share']}.", THREAT_TEXTS["share_low_high"])
    protected, invasive = summary.groups["protected"], summary.groups["invasive"]
    relative, share = summary["relative_endemism"], summary["invasive_share"]
    none = invasive.by_rule == 0 and not invasive.expected > 0
    endemism = f"{summary['weighted_endemism'].text.definition} {relative.text.definition}"
    return [
        (
            say("card_threatened"),
            value + frame.range_line(text=say("range_90", ends=interval) if interval else ""),
            under,
            threat_tip,
        ),
        (
            say("card_protected"),
            _count(protected.by_rule) + _expected(protected),
            _under(summary, protected.by_rule, say("card_protected_under"), "protected"),
            frame.tip(protected.text.definition, COUNT_ERRORS if math.isfinite(protected.low) else ""),
        ),
        (
            say("card_alien"),
            _count(invasive.by_rule) + (frame.range_line() if none else _expected(invasive)),
            _under(
                summary,
                invasive.by_rule,
                say("card_alien_none") if none else say("card_alien_under", share=share.shown_interval),
                "invasive",
                "alien",
            ),
            frame.tip(f"{invasive.text.definition} {share.text.definition}", share.interval_text),
        ),
        (
            say("card_endemism"),
            (f"{relative.shown}\u00a0×" if math.isfinite(relative.value) else "–")
            + frame.range_line(relative.low, relative.high, relative.digits),
            say("card_endemism_under", n=summary["range_over_5_percent"].shown),
            frame.tip(endemism, relative.interval_text),
        ),
    ]


def _expected(group: SpeciesGroup) -> str:
    """The small line of a count: how many are expected, as an interval."""
    ends = numbers.range_text(group.low, group.high)
    return frame.range_line(text=say("card_ranges", ranges=ends) if ends else "")


def _count(by_rule: int | None) -> str:
    return "–" if by_rule is None else numbers.number(by_rule)


def _under(summary: RegionSummary, by_rule: int | None, known: str, *categories: str) -> str:
    """What stands under a count: where it is from, and what the session's lists add to it."""
    lines = [known if by_rule is not None else say("card_unknown_under")]
    n_listed = sum(
        group.by_rule
        for listed in summary.status_lists
        for name, group in listed.groups.items()
        if name in categories
    )
    if any(name in categories for listed in summary.status_lists for name in listed.groups):
        lines.append(say("card_from_lists", n=numbers.number(n_listed)))
    return " · ".join(lines)


def _percent(share: float) -> str:
    return f"{numbers.number(100 * share, 1)}\u00a0%" if math.isfinite(share) else "–"


def _list(listed: ListSummary) -> None:
    """One list: bar of categories, sentence, completed share, source and date."""
    from sdm_core.indicators import THREAT_TEXTS

    title = html.escape(say("status_list_title", name=listed.listed, region=listed.list_region))
    lines = [html.escape(listed.sentence)]
    bar = ""
    if listed.official is not None:
        official = listed.official
        parts = [(name, 100 * share) for name, share in reversed(official.shares.items())]
        parts.append(("none", official.unassessed_percent))
        shown = [(name, share) for name, share in parts if math.isfinite(share) and share > 0]
        words = ", ".join(
            f"{say('status_not_assessed') if name == 'none' else name} {numbers.number(share, 1)} %"
            for name, share in shown
        )
        spans = "".join(
            f'<span class="fs-cat-{name}" style="width:{share:.2f}%">{_bar_label(name, share)}</span>'
            for name, share in shown
        )
        said = html.escape(say("status_bar", shares=words))
        bar = f'<div class="fs-status" role="img" aria-label="{said}">{spans}</div>'
        bar += f'<p class="fs-note">{said}</p>'
        if listed.completed is not None:
            share = numbers.number(100 * listed.completed.threatened_share, 1)
            lines.append(html.escape(say("status_completed", share=share)).capitalize() + ".")
        none = say("status_none")
        meaning = html.escape(listed.certainty_text)
        worst = say("status_worst", certain=official.certain or none, possible=official.possible or none)
        lines.append(f'<span data-tip title="{meaning}" tabindex="0">{worst}</span>')
        tip = html.escape(THREAT_TEXTS["star_like"])
        score = say("status_star", star=numbers.number(official.star_like))
        lines.append(f'<span data-tip title="{tip}" tabindex="0">{score}</span>')
    origin = html.escape(f"{listed.origin}. {'; '.join(listed.licences)}.")
    st.html(
        f'<div class="fs-status-list" data-testid="status-list"><h4 class="fs-status-title">{title}</h4>{bar}'
        f'<p>{" ".join(lines)}</p><p class="fs-note">{origin}</p></div>'
    )


def _bar_label(name: str, share: float) -> str:
    if name == "none":
        return say("status_not_assessed") if share >= 14 else ""
    return name if share >= 4 else ""


def _species(summary: RegionSummary) -> None:
    """Table of the region's species with a status, worst first, every status with list, source and date."""
    table = status_rows(summary)
    if table.empty:
        return
    st.caption(say("status_species"))
    st.dataframe(
        table,
        hide_index=True,
        height=min(_TABLE_HEIGHT, 33 * (len(table) + 1) + 5),
        key="status_species",
        column_config={
            "species": st.column_config.TextColumn("Species", width=180),
            "category": st.column_config.TextColumn("Status", width=120),
            "mean_probability": st.column_config.ProgressColumn(
                "Mean", min_value=0, max_value=1, format="percent", width=90, help=say("column_mean")
            ),
            "max_probability": st.column_config.NumberColumn(
                "Best cell", format="percent", width=75, help=say("column_max")
            ),
            "range_share_percent": st.column_config.NumberColumn(
                "Range here",
                format="%.1f %%",
                width=85,
                help=summary["weighted_endemism"].text.definition,
            ),
            "present": st.column_config.CheckboxColumn("In list", width=60, help=say("column_present")),
            "list": st.column_config.TextColumn("List", width=190),
            "date": st.column_config.TextColumn("Date", width=75),
            "source": st.column_config.TextColumn("Source", width=260),
        },
    )


def status_rows(summary: RegionSummary) -> pd.DataFrame:
    """One row per species of the region and list it is on; least concern and not evaluated left out."""
    severity = {category: place for place, category in enumerate(_ORDER)}
    rows: list[dict[str, Any]] = []
    for listed in summary.status_lists:
        for entry in listed.members.to_dict("records"):
            category, predicted = str(entry["category"]), str(entry["completed"])
            worst = predicted if category in ("NE", "NA", "DD") and predicted else category
            if worst not in severity:
                continue
            rows.append(
                {
                    "species_id": int(entry["species_id"]),
                    "category": category if worst == category else f"{category}, {worst} predicted",
                    "list": f"{listed.listed} ({listed.list_region})",
                    "date": entry["date"],
                    "source": entry["source"],
                    "severity": severity[worst],
                }
            )
    named = pd.DataFrame(rows, columns=["species_id", "category", "list", "date", "source", "severity"])
    here = summary.species_table[
        ["species_id", "species", "mean_probability", "max_probability", "range_share_percent", "present"]
    ]
    merged = named.merge(here, on="species_id").sort_values(
        ["severity", "mean_probability"], ascending=[True, False], kind="stable"
    )
    columns = ["species", "category", "mean_probability", "max_probability", "range_share_percent", "present"]
    return merged[[*columns, "list", "date", "source"]].reset_index(drop=True)
