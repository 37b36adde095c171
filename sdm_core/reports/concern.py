"""Sections 6 to 9 of a report: threatened, protected, invasive and range-restricted species.

Every number comes from `RegionSummary`; every status shows the list it is from, with source and date below.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from sdm_core import taxa
from sdm_core.indicators import (
    CERTAIN_FROM,
    GONE,
    POSSIBLE_FROM,
    THREAT_TEXTS,
    ListSummary,
    RegionSummary,
    SpeciesGroup,
    ThreatNumbers,
)
from sdm_core.reports import text
from sdm_core.reports.species import list_origins
from sdm_core.statuses import ASSESSED, CATEGORY_NAMES, RED_LIST, THREATENED

#: Species in the tables of these sections; `species.csv` holds all.
N_ROWS = 20
N_RANGE_ROWS = 15
#: Expected numbers below this would be shown as 0.0.
_LEAST_EXPECTED = 0.05
#: Species named in a sentence.
_N_NAMED = 8
HOW_TO_ADD = (
    "add one on the Region page (“Add a status list”) or with --status FILE.csv; the format is described in "
    "assets/statuses/README.md."
)
NO_RED_LIST = (
    "No Red List was added, so nothing is said about threatened species: Red Lists may mostly not be passed "
    f"on, so {HOW_TO_ADD}"
)
NO_OTHER_PROTECTION = (
    "International, national and regional lists other than the EU Habitats Directive are not included; "
    + HOW_TO_ADD
)
PRESENCE = (
    f"“Almost certain”: probability of at least {CERTAIN_FROM:g} in some cell; “in a set”: in the species "
    f"set of some cell by the rule; “possible”: probability of at least {POSSIBLE_FROM:g} in "
    "some cell, in no set."
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
NOT_A_CATEGORY = (
    "The categories are those of the lists named. None follows from the predictions: predicted area is "
    "neither an extent of occurrence nor an area of occupancy."
)


@dataclass
class Origins:
    """Sources of statuses, numbered as they are first named."""

    entries: list[str] = field(default_factory=list)

    def number(self, origin: str) -> int:
        """Number of a source, from 1."""
        if origin not in self.entries:
            self.entries.append(origin)
        return self.entries.index(origin) + 1


def concern_sections(summary: RegionSummary, endemic_origin: str) -> dict[str, Any]:
    """Content of sections 6 to 9 for the template (`r.concern`)."""
    origins = Origins()
    said = {
        "threatened": _threatened(summary, origins),
        "protected": _protected(summary, origins),
        "invasive": _invasive(summary, origins),
        "restricted": _restricted(summary, origins, endemic_origin),
        "presence": PRESENCE,
    }
    return {
        **said,
        "origins": [{"number": n, "text": line} for n, line in enumerate(origins.entries, start=1)],
    }


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


def share_text(share: float) -> str:
    """Share of threatened species in %, with one decimal everywhere it is shown."""
    return f"{text.decimal(100.0 * share, 1)}{text.UNIT_SPACE}%" if math.isfinite(share) else text.NOT_DEFINED


def red_lists(summary: RegionSummary) -> list[ListSummary]:
    """Added lists with Red List categories."""
    return [listed for listed in summary.status_lists if listed.official is not None]


def _threatened(summary: RegionSummary, origins: Origins) -> dict[str, Any]:
    lists = red_lists(summary)
    if not lists:
        return {"paragraphs": [NO_RED_LIST], "lists": [], "table": None}
    return {
        "paragraphs": [NOT_A_CATEGORY],
        "lists": [_red_list(summary, listed, origins) for listed in lists],
        "table": _table(
            _status_rows(summary, origins, THREATENED),
            "Threatened species of the region, worst category first",
        ),
    }


def _red_list(summary: RegionSummary, listed: ListSummary, origins: Origins) -> dict[str, Any]:
    official, completed = listed.official, listed.completed
    assert official is not None
    columns = ["Official"] + (["Completed"] if completed else [])
    both = [numbers for numbers in (official, completed) if numbers is not None]
    rows = [
        {"label": f"{CATEGORY_NAMES[name]} ({name})", "values": [text.percent(n.shares[name]) for n in both]}
        for name in reversed(ASSESSED)
    ]
    rows.append(
        {
            "label": "Not assessed (no entry, DD, NA, NE)",
            "values": [text.percent(n.unassessed_percent / 100) for n in both],
        }
    )
    completed_note = (
        " “Completed” fills species without an official assessment with the predicted categories of the "
        "file; they are predictions, not assessments."
        if completed
        else " The list holds no predicted categories, so there is no completed version."
    )
    return {
        "title": f"{listed.listed} ({listed.list_region})",
        "origin": origins.number(_origin(listed)),
        "sentence": listed.sentence,
        "bar": _bar(official),
        "columns": columns,
        "rows": rows,
        "caption": f"Shares of the expected species by category, {listed.listed}",
        "facts": _threat_facts(both),
        "facts_caption": f"Threat to the expected species, {listed.listed}",
        "gone": _gone(summary, listed),
        "note": f"Shares: {THREAT_TEXTS['shares']}.{completed_note}",
    }


def _bar(numbers: ThreatNumbers) -> list[dict[str, str]]:
    """Parts of the bar of shares, worst first, with widths in %."""
    parts = [(name, 100.0 * numbers.shares[name]) for name in reversed(ASSESSED)]
    parts.append(("none", numbers.unassessed_percent))
    return [
        {
            "kind": name,
            "width": f"{share:.3f}",
            "label": ""
            if share < (18 if name == "none" else 4)
            else "not assessed"
            if name == "none"
            else name,
        }
        for name, share in parts
        if math.isfinite(share) and share > 0
    ]


def _gone(summary: RegionSummary, listed: ListSummary) -> str:
    """Species the list says are extinct and the atlas predicts nevertheless; "" where there are none."""
    table = summary.species_table
    gone = listed.members.loc[listed.members["category"].isin(GONE), "species_id"]
    names = table.loc[table["present"].astype(bool) & table["species_id"].isin(gone), "species"].tolist()
    if not names:
        return ""
    more = f" and {text.whole(len(names) - _N_NAMED)} more" if len(names) > _N_NAMED else ""
    counted = text.counted(len(names), "species", "species")
    return (
        f"In the region’s sets although the list says that they are extinct (RE, EW, EX): {counted}, "
        f"{', '.join(names[:_N_NAMED])}{more}."
    )


def _threat_facts(both: Sequence[ThreatNumbers]) -> list[dict[str, Any]]:
    def row(label: str, shown: Callable[[ThreatNumbers], str], note: str) -> dict[str, Any]:
        return {"label": label, "values": [shown(numbers) for numbers in both], "note": note}

    return [
        row(
            "Threatened share of the assessed",
            lambda n: f"{share_text(n.threatened_share)} ({share_text(n.low)}–{share_text(n.high)})",
            f"{THREAT_TEXTS['threatened_share']}; in brackets {THREAT_TEXTS['low_high']}",
        ),
        row(
            "Threatened species in the region’s sets",
            lambda n: f"{text.whole(n.by_rule)}, at least {text.count_like(n.expected)} expected",
            "expected: Σ of their highest probabilities, a lower bound as for γ",
        ),
        row(
            "Most threatened status",
            lambda n: f"{n.certain or 'none'} almost certain; {n.possible or 'none'} possible",
            f"almost certain: {THREAT_TEXTS['certain']}; possible: from {POSSIBLE_FROM:g}",
        ),
        row("STAR-like score", lambda n: text.sensible(n.star_like), THREAT_TEXTS["star_like"]),
    ]


def _protected(summary: RegionSummary, origins: Origins) -> dict[str, Any]:
    table = summary.species_table
    directive = ~table["habitats_directive"].fillna("").astype(str).str.strip().isin([""])
    rows = _flag_rows(
        table[directive],
        origins,
        lambda record: (
            "Habitats Directive"
            + ("" if record["habitats_directive"] == "yes" else f", {record['habitats_directive']}")
        ),
        "directive",
    )
    rows += _status_rows(summary, origins, ("protected",))
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
        "table": _table(_merged(rows), "Legally protected species of the region"),
    }


def _invasive(summary: RegionSummary, origins: Origins) -> dict[str, Any]:
    table = summary.species_table
    concern = table["invasive_union_concern"].astype("boolean").fillna(False).astype(bool)
    rows = _flag_rows(table[concern], origins, lambda record: "Union concern", "invasive")
    rows += _status_rows(summary, origins, ("invasive", "alien"))
    rows = _merged(rows)
    group = summary.groups["invasive"]
    paragraphs = [_group_sentence(group)]
    if summary.value("invasive_share") > 0:
        paragraphs.append(summary.sentence("invasive_share"))
    paragraphs += _list_sentences(summary, "invasive", "alien")
    if rows:
        counts = {kind: sum(row["watch"] == kind for row in rows) for kind in ("here", "predicted", "edge")}
        paragraphs.append(
            f"Of the {text.counted(len(rows), 'species', 'species')} below, {counts['here']} are in a set "
            f"and recorded nearby, {counts['predicted']} are in a set and not recorded nearby, and "
            f"{counts['edge']} are possible only: a watch list for the edge of their range."
        )
    if not _has(summary, "invasive") and not _has(summary, "alien"):
        paragraphs.append(
            f"Other alien species are not told apart, because no list of them was added; {HOW_TO_ADD}"
        )
    return {"paragraphs": paragraphs, "table": _table(rows, "Invasive and alien species of the region")}


def _restricted(summary: RegionSummary, origins: Origins, endemic_origin: str) -> dict[str, Any]:
    table = summary.species_table
    endemic = table["endemic"].astype("boolean").fillna(False).astype(bool)
    number = origins.number(f"Endemic: {endemic_origin}") if endemic.any() else 0
    rows = [_row(record, "endemic", number) for record in _records(table[endemic & _possible(table)])]
    rows += _status_rows(summary, origins, ("endemic",))
    group = summary.groups["endemic"]
    widest = table[_possible(table)].sort_values("range_share_percent", ascending=False, kind="stable")
    # The statuses of these rows stand in the other tables; here the share of the range is the point.
    widest_rows = [_row(record, "", 0) for record in _records(widest.head(N_RANGE_ROWS))]
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
        "table": _table(
            sorted(_merged(rows), key=lambda row: -row["range_value"]),
            "Endemic species, largest share of the range first",
        ),
        "widest": _table(
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
        f"in a set, {text.percent(group.share)} of the expected species."
        for listed in summary.status_lists
        for name, group in listed.groups.items()
        if name in categories
    ]


def _origin(listed: ListSummary) -> str:
    return (
        f"{listed.listed} ({listed.list_region}): {listed.origin}. Licence: {'; '.join(listed.licences)}. "
        f"File {listed.file}; {listed.n_matched} of its {listed.n_taxa} taxa are in this atlas."
    )


def _status_rows(summary: RegionSummary, origins: Origins, wanted: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of the species of added lists whose category (official, else predicted) is wanted, worst first."""
    table = summary.species_table
    possible = table[_possible(table)]
    severity = {category: -place for place, category in enumerate(RED_LIST)}
    rows = []
    for listed in summary.status_lists:
        members = listed.members
        predicted = members["category"].isin(["NE", "NA", "DD"]) & (members["completed"] != "")
        shown = members["category"].where(~predicted, members["completed"])
        chosen = shown.isin(wanted) & members["species_id"].isin(possible["species_id"])
        records = {
            int(record["species_id"]): record
            for record in _records(possible[possible["species_id"].isin(members.loc[chosen, "species_id"])])
        }
        for species_id, category, guess, date in zip(
            members.loc[chosen, "species_id"],
            shown[chosen],
            predicted[chosen],
            members.loc[chosen, "date"],
            strict=True,
        ):
            status = f"{category} (predicted)" if guess else str(category)
            row = _row(records[int(species_id)], status, origins.number(_origin(listed)), str(date))
            rows.append({**row, "severity": severity.get(str(category), 0)})
    return sorted(rows, key=lambda row: (row["severity"], -row["area_value"]))


def _flag_rows(
    table: pd.DataFrame, origins: Origins, status: Callable[[Mapping[str, Any]], str], words: str
) -> list[dict[str, Any]]:
    """Rows of species with a flag of the atlas, largest area first; `words` picks the list of the flag."""
    rows = []
    for record in _records(table[_possible(table)]):
        origin = _flag_origin(record["flag_source"] or "", record["flag_date"] or "", words)
        rows.append(_row(record, status(record), origins.number(f"Flags of the atlas: {origin}")))
    return rows


@functools.lru_cache(maxsize=1024)
def _flag_origin(source: str, date: str, words: str) -> str:
    """Lists behind the flag of one species with their dates."""
    return "; ".join(list_origins(pd.DataFrame({"flag_source": [source], "flag_date": [date]}), words))


def _possible(table: pd.DataFrame) -> pd.Series:
    return table["present"].astype(bool) | (table["max_probability"] >= POSSIBLE_FROM)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    plain = table.astype(object).where(table.notna(), None)
    return [{str(key): value for key, value in record.items()} for record in plain.to_dict("records")]


def _row(record: Mapping[str, Any], status: str, origin: int, date: str = "") -> dict[str, Any]:
    best, present = float(record["max_probability"]), bool(record["present"])
    seen = (record["records_nearby"] or 0) > 0
    share = record["range_share_percent"]
    return {
        "name": record["species"],
        "statuses": [{"text": status, "origin": origin, "date": date}] if status else [],
        "presence": "almost certain" if best >= CERTAIN_FROM else "in a set" if present else "possible",
        "watch": ("here" if seen else "predicted") if present else "edge",
        "mean": text.probability(record["mean_probability"]),
        "highest": text.probability(best),
        "area": text.sensible(record["expected_area_km2"]),
        "range": f"{text.sensible(share, 2)}{text.UNIT_SPACE}%" if share is not None else text.NOT_DEFINED,
        "records": text.whole(record["records_nearby"]),
        "area_value": float(record["expected_area_km2"]),
        "range_value": float(share or 0.0),
    }


def _merged(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per species with all its statuses."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["name"] in found:
            found[row["name"]]["statuses"] = found[row["name"]]["statuses"] + row["statuses"]
        else:
            found[row["name"]] = dict(row)
    return list(found.values())


def _table(rows: Sequence[dict[str, Any]], caption: str, limit: bool = True) -> dict[str, Any] | None:
    if not rows:
        return None
    merged = _merged(rows)
    shown = merged[:N_ROWS] if limit else merged
    more = (
        "" if len(shown) == len(merged) else f"; {text.whole(len(merged))} in all, the others in species.csv"
    )
    return {"rows": shown, "caption": caption + more, "statuses": any(row["statuses"] for row in shown)}
