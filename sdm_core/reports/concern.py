"""Sections 6 to 9 of a report: threatened, protected, invasive and range-restricted species.

Every number comes from `RegionSummary`; every status shows the list it is from, with source and date below.
"""

from __future__ import annotations

import math
from typing import Any

from sdm_core import taxa
from sdm_core.indicators import RegionSummary, SpeciesGroup
from sdm_core.reports import text
from sdm_core.reports.concern_rows import (
    Origins,
    flag_rows,
    is_possible,
    merged,
    records_of,
    row_of,
    status_rows,
    table_of,
)
from sdm_core.reports.red_lists import HOW_TO_ADD, share_interval, threatened
from sdm_core.statuses import CATEGORY_NAMES, RED_LIST, THREATENED

N_RANGE_ROWS = 15
#: Expected numbers below this would be shown as 0.0.
_LEAST_EXPECTED = 0.05
NO_OTHER_PROTECTION = (
    "International, national and regional lists other than the EU Habitats Directive are not included; "
    + HOW_TO_ADD
)
NONE_EXPECTED = {
    "endemic": "No species that the source marks as endemic is expected in the region.",
    "protected": "No species that the EU Habitats Directive lists as a whole is expected in the region.",
    "invasive": "No invasive alien species of Union concern is expected in the region.",
}
RANGE_NOTE = (
    "A range here is the expected area of the species in the whole atlas; what lies outside the atlas is not "
    "known, so a share is an upper bound of the share in the true range, and it says nothing "
    "of numbers of plants."
)


def concern_sections(summary: RegionSummary, endemic_origin: str) -> dict[str, Any]:
    """Content of sections 6 to 9 for the template (`r.concern`)."""
    origins = Origins()
    said = {
        "threatened": threatened(summary, origins),
        "protected": _protected(summary, origins),
        "invasive": _invasive(summary, origins),
        "restricted": _restricted(summary, origins, endemic_origin),
        "presence": presence_text(summary),
    }
    return {
        **said,
        "origins": [{"number": n, "text": line} for n, line in enumerate(origins.entries, start=1)],
    }


def presence_text(summary: RegionSummary) -> str:
    """What the column “In the region” of the tables says."""
    said = text.sentence(summary.certainty_text)
    return f"{said} “In a set”: in the species set of some cell by the rule, and not certain."


def status_flags(summary: RegionSummary) -> dict[int, list[dict[str, str]]]:
    """Labels of each species with a status on an added list: text, kind, title with source and date."""
    found: dict[int, list[dict[str, str]]] = {}
    for listed in summary.status_lists:
        for entry in listed.members.to_dict("records"):
            category = str(entry["category"])
            if category in ("LC", "NE", "NA"):
                continue
            kind = {
                "protected": "protected",
                "invasive": "invasive",
                "alien": "invasive",
                "endemic": "endemic",
            }.get(category, "threatened" if category in THREATENED else "listed")
            found.setdefault(int(entry["species_id"]), []).append(
                {
                    "kind": kind,
                    "text": category,
                    "title": f"{CATEGORY_NAMES[category]}: {listed.listed} ({listed.list_region}), "
                    f"{entry['source']}, {entry['date']}",
                    "mark": category if category in RED_LIST else category[0].upper(),
                }
            )
    return found


def list_meanings(summary: RegionSummary) -> list[dict[str, str]]:
    """The added lists for the key of flags: what the codes are, sources and dates."""
    return [
        {
            "kind": "threatened" if listed.official else "listed",
            "text": listed.listed,
            "title": listed.listed,
            "meaning": f"Status list added by the user ({listed.list_region}); source: {listed.origin}; "
            f"licence: {'; '.join(listed.licences)}. {listed.n_matched} of its {listed.n_taxa} taxa "
            "are in this atlas.",
        }
        for listed in summary.status_lists
    ]


def _protected(summary: RegionSummary, origins: Origins) -> dict[str, Any]:
    table = summary.species_table
    directive = ~table["habitats_directive"].fillna("").astype(str).str.strip().isin([""])
    rows = flag_rows(
        table[directive],
        origins,
        lambda record: (
            "Habitats Directive"
            + ("" if record["habitats_directive"] == "yes" else f", {record['habitats_directive']}")
        ),
        "directive",
    )
    rows += status_rows(summary, origins, ("protected",))
    # Wholly listed species first, those listed in part after them.
    rows.sort(key=lambda row: row["statuses"][0]["text"].endswith(taxa.IN_PART))
    group = summary.groups["protected"]
    paragraphs = [_group_sentence(group)]
    paragraphs += _list_sentences(summary, "protected")
    if not _has(summary, "protected"):
        paragraphs.append(NO_OTHER_PROTECTION)
    if (table.loc[directive, "habitats_directive"] == taxa.IN_PART).any():
        paragraphs.append(
            "“In part”: only a subspecies, or a species now joined with this one, is listed; such species "
            "are in the table and not in the count."
        )
    return {
        "paragraphs": paragraphs,
        "table": table_of(merged(rows), "Legally protected species of the region"),
    }


def _invasive(summary: RegionSummary, origins: Origins) -> dict[str, Any]:
    table = summary.species_table
    concern = table["invasive_union_concern"].astype("boolean").fillna(False).astype(bool)
    rows = flag_rows(table[concern], origins, lambda record: "Union concern", "invasive")
    rows += status_rows(summary, origins, ("invasive", "alien"))
    rows = merged(rows)
    group = summary.groups["invasive"]
    paragraphs = [_group_sentence(group)]
    if summary.value("invasive_share") > 0:
        paragraphs.append(summary.sentence("invasive_share"))
    paragraphs += _list_sentences(summary, "invasive", "alien")
    if rows:
        counts = {kind: sum(row["watch"] == kind for row in rows) for kind in ("here", "predicted", "edge")}
        kinds = {
            "here": "in a set and recorded nearby",
            "predicted": "in a set and not recorded nearby",
            "edge": "possible only, a watch list for the edge of their range",
        }
        parts = [f"{text.whole(counts[kind])} {words}" for kind, words in kinds.items() if counts[kind]]
        paragraphs.append(f"Of the species in the table below: {'; '.join(parts)}.")
    if not _has(summary, "invasive") and not _has(summary, "alien"):
        paragraphs.append(
            f"Other alien species are not told apart, because no list of them was added; {HOW_TO_ADD}"
        )
    return {"paragraphs": paragraphs, "table": table_of(rows, "Invasive and alien species of the region")}


def _restricted(summary: RegionSummary, origins: Origins, endemic_origin: str) -> dict[str, Any]:
    table = summary.species_table
    endemic = table["endemic"].astype("boolean").fillna(False).astype(bool)
    number = origins.number(f"Endemic: {endemic_origin}") if endemic.any() else 0
    rows = [row_of(record, "endemic", number) for record in records_of(table[endemic & is_possible(table)])]
    rows += status_rows(summary, origins, ("endemic",))
    group = summary.groups["endemic"]
    widest = table[is_possible(table)].sort_values("range_share_percent", ascending=False, kind="stable")
    # The statuses of these rows stand in the other tables; here the share of the range is the point.
    widest_rows = [row_of(record, "", 0) for record in records_of(widest.head(N_RANGE_ROWS))]
    area = text.percent(_area_share(summary))
    return {
        "paragraphs": [
            _group_sentence(group),
            f"{summary.sentence('weighted_endemism')} {summary.sentence('relative_endemism')}",
            f"{summary.sentence('range_over_1_percent')} For "
            f"{text.whole(summary.value('range_over_5_percent'))} of them it is more than 5 %. "
            f"A species spread evenly over the atlas would have {area} of its range here.",
            RANGE_NOTE,
            *_list_sentences(summary, "endemic"),
        ],
        "table": table_of(
            sorted(merged(rows), key=lambda row: -row["range_value"]),
            "Endemic species, largest share of the range first",
        ),
        "widest": table_of(
            widest_rows,
            "Species with the largest share of their range in the atlas inside the region",
            limit=False,
        ),
    }


def _area_share(summary: RegionSummary) -> float:
    """Share of the atlas' area in the region, from Σ shares = S · ratio · area share."""
    ratio, n = summary.value("relative_endemism"), summary.n_species_atlas
    return summary.value("weighted_endemism") / (n * ratio) if ratio > 0 else math.nan


def _group_sentence(group: SpeciesGroup) -> str:
    """What the flags of the atlas say of the region's species."""
    by_rule, sentence = group.by_rule, group.sentence
    if by_rule == 0 and group.expected < _LEAST_EXPECTED:
        return NONE_EXPECTED[group.name]
    return (
        sentence
        if by_rule is None
        else f"{sentence} By the rule, {text.whole(by_rule)} of them are in a set."
    )


def _has(summary: RegionSummary, category: str) -> bool:
    return any(category in listed.groups for listed in summary.status_lists)


def _list_sentences(summary: RegionSummary, *categories: str) -> list[str]:
    """What each added list with one of the categories says."""
    words = {"protected": "protected", "invasive": "invasive", "alien": "alien", "endemic": "endemic"}
    return [
        f"By “{listed.listed}” ({listed.list_region}), {text.whole(group.by_rule)} {words[name]} species are "
        f"in a set, {text.percent(group.share)}{share_interval(group.share_low, group.share_high)} of the "
        "expected species."
        for listed in summary.status_lists
        for name, group in listed.groups.items()
        if name in categories
    ]
