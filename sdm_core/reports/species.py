"""Rows of the species tables of a report, with their flags as small labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd

from sdm_core import taxa
from sdm_core.indicators import RegionSummary
from sdm_core.reports import text

#: Letters beside a species in the compact list of the printed annex.
MARKS = {"endemic": "E", "protected": "H", "invasive": "U"}


def species_rows(
    table: pd.DataFrame,
    endemic_origin: str,
    statuses: Mapping[int, Sequence[dict[str, str]]] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """One dictionary per species: shown texts, values to sort by, and flags.

    `endemic_origin` says who calls a species endemic, as in "AFLIBER v1, atlas of 2026-11-20"; `statuses`
    holds labels from added lists by species_id (`concern.status_flags`).
    """
    plain = table.astype(object).where(table.notna(), None)
    records: list[dict[Any, Any]] = plain.to_dict("records")
    return [_row(record, endemic_origin, statuses.get(record["species_id"], ())) for record in records]


def families(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows by family, both in alphabetical order: the checklist of the printed annex."""
    grouped: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: str(row["name"])):
        grouped.setdefault(row["family"], []).append(row)
    names = sorted(grouped, key=lambda name: (name == text.NOT_DEFINED, name))
    return [
        {"name": "Family not stated" if name == text.NOT_DEFINED else name, "species": grouped[name]}
        for name in names
    ]


def flagged(table: pd.DataFrame) -> pd.DataFrame:
    """Species of the table that carry any flag, in its order."""
    members = _members(table)
    return table[members["endemic"] | members["protected"] | members["invasive"]]


def _members(table: pd.DataFrame) -> dict[str, Any]:
    return {
        "endemic": table["endemic"].astype("boolean").fillna(False).astype(bool),
        "protected": ~table["habitats_directive"].fillna("").astype(str).str.strip().isin(["", taxa.IN_PART]),
        "invasive": table["invasive_union_concern"].astype("boolean").fillna(False).astype(bool),
    }


def _row(record: dict[str, Any], endemic_origin: str, statuses: Sequence[dict[str, str]]) -> dict[str, Any]:
    flags = [*species_flags(record, endemic_origin), *statuses]
    return {
        "name": record["species"],
        "family": record["family"] or text.NOT_DEFINED,
        "mean": text.probability(record["mean_probability"]),
        "mean_interval": _interval(record),
        "certainty": _certainty(record),
        "highest": text.probability(record["max_probability"]),
        "area": text.sensible(record["expected_area_km2"]),
        "cells": text.whole(record["n_cells_present"]),
        "records": text.whole(record["records_nearby"]),
        "mean_value": f"{record['mean_probability']:.6g}",
        "highest_value": f"{record['max_probability']:.6g}",
        "area_value": f"{record['expected_area_km2']:.6g}",
        "cells_value": str(record["n_cells_present"]),
        "records_value": "-1" if record["records_nearby"] is None else str(record["records_nearby"]),
        "observed": _observed(record),
        "flags": flags,
        "marks": " ".join(flag.get("mark") or MARKS[flag["kind"]] for flag in flags),
    }


def _interval(record: dict[str, Any]) -> str:
    """Interval of the share of the area in brackets; "" where it is not known."""
    low, high = record.get("area_share_low_percent"), record.get("area_share_high_percent")
    if low is None or high is None:
        return ""
    return f"({text.probability(low / 100)}–{text.probability(high / 100)})"


def _observed(record: dict[str, Any]) -> str:
    """Own records inside the outline and the year of the last; a dash for none."""
    count, year = record.get("observed_records") or 0, record.get("observed_last_year")
    if not count:
        return text.NOT_DEFINED
    return text.whole(count) if year is None else f"{text.whole(count)} ({int(year)})"


def _certainty(record: dict[str, Any]) -> str:
    """Certain or possible; a dash for neither, and where the atlas has no held-out surveys."""
    return record.get("certainty") or text.NOT_DEFINED


def species_flags(record: dict[str, Any], endemic_origin: str) -> list[dict[str, str]]:
    """Labels of one species: what is shown, its kind, and a title with source and date."""
    origin = source_and_date(record.get("flag_source"), record.get("flag_date"))
    flags = []
    if record.get("endemic") is True:
        flags.append({"kind": "endemic", "text": "endemic", "title": f"Endemic ({endemic_origin})"})
    annexes = str(record.get("habitats_directive") or "").strip()
    if annexes:
        shown = "Habitats Directive" + ("" if annexes.lower() == "yes" else f", {annexes}")
        flags.append({"kind": "protected", "text": shown, "title": f"EU Habitats Directive ({origin})"})
    if record.get("invasive_union_concern") is True:
        flags.append(
            {
                "kind": "invasive",
                "text": "Union concern",
                "title": f"Invasive alien species of Union concern ({origin})",
            }
        )
    return flags


def source_and_date(source: Any, date: Any) -> str:
    """Source and date of a flag in one phrase, honest where the atlas does not say."""
    words = str(source or "").strip() or "source not stated"
    day = str(date or "").strip()
    return f"{words}, {day}" if day else f"{words}, no date given"


def flag_sources(table: pd.DataFrame, summary: RegionSummary, endemic_origin: str) -> list[dict[str, str]]:
    """The flags used in a table with their meaning, sources and dates, in print as on screen."""
    labels = {"endemic": "endemic", "protected": "Habitats Directive", "invasive": "Union concern"}
    found = []
    for kind, member in _members(table).items():
        if not member.any():
            continue
        origins = [endemic_origin] if kind == "endemic" else list_origins(table[member], _LIST_WORDS[kind])
        found.append(
            {
                "kind": kind,
                "text": labels[kind],
                "title": labels[kind],
                "meaning": f"{summary.groups[kind].text.definition} Source: {'; '.join(origins)}. "
                f"In the printed annex: {MARKS[kind]}.",
            }
        )
    return found


def list_origins(table: pd.DataFrame, words: str) -> list[str]:
    """Lists behind the flags of some species with their dates, each once.

    A species on two lists holds both, joined by "; ", with dates in the same order, and may say under which
    other name it is listed; `words` picks the list (all of them where none has the words).
    """
    pairs = set()
    for source, date in table[["flag_source", "flag_date"]].fillna("").astype(str).itertuples(index=False):
        sources, dates = source.split("; "), date.split("; ")
        if len(dates) != len(sources):
            sources, dates = [source], [date]
        pairs |= {
            (words_of_list.split(", listed as ")[0], day)
            for words_of_list, day in zip(sources, dates, strict=True)
        }
    chosen = {pair for pair in pairs if words.lower() in pair[0].lower()} or pairs
    return sorted(source_and_date(*pair) for pair in chosen)


_LIST_WORDS = {"protected": "directive", "invasive": "invasive"}
