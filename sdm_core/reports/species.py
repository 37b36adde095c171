"""Rows of the species tables of a report, with their flags as small labels."""

from __future__ import annotations

from typing import Any

import pandas as pd

from sdm_core.indicators import RegionSummary
from sdm_core.reports import text

#: Letters beside a species in the compact list of the printed annex.
MARKS = {"endemic": "E", "protected": "H", "invasive": "U"}


def species_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """One dictionary per species: shown texts, values to sort by, and flags."""
    plain = table.astype(object).where(table.notna(), None)
    records: list[dict[Any, Any]] = plain.to_dict("records")
    return [_row(record) for record in records]


def _row(record: dict[str, Any]) -> dict[str, Any]:
    flags = species_flags(record)
    return {
        "name": record["species"],
        "family": record["family"] or text.NOT_DEFINED,
        "mean": text.probability(record["mean_probability"]),
        "highest": text.probability(record["max_probability"]),
        "area": text.sensible(record["expected_area_km2"]),
        "cells": text.whole(record["n_cells_present"]),
        "records": text.whole(record["records_nearby"]),
        "mean_value": f"{record['mean_probability']:.6g}",
        "highest_value": f"{record['max_probability']:.6g}",
        "area_value": f"{record['expected_area_km2']:.6g}",
        "cells_value": str(record["n_cells_present"]),
        "records_value": "-1" if record["records_nearby"] is None else str(record["records_nearby"]),
        "flags": flags,
        "marks": "".join(MARKS[flag["kind"]] for flag in flags),
    }


def species_flags(record: dict[str, Any]) -> list[dict[str, str]]:
    """Labels of one species: what is shown, its kind, and a title with source and date."""
    origin = source_and_date(record.get("flag_source"), record.get("flag_date"))
    flags = []
    if record.get("endemic") is True:
        flags.append({"kind": "endemic", "text": "endemic", "title": f"Endemic ({origin})"})
    annexes = str(record.get("habitats_directive") or "").strip()
    if annexes:
        shown = "Habitats Directive" + ("" if annexes.lower() == "yes" else f" {annexes}")
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


def flag_sources(table: pd.DataFrame, summary: RegionSummary) -> list[dict[str, str]]:
    """The flags used in a table with their meaning, sources and dates, in print as on screen."""
    members = {
        "endemic": table["endemic"].astype("boolean").fillna(False).astype(bool),
        "protected": table["habitats_directive"].fillna("").astype(str).str.strip() != "",
        "invasive": table["invasive_union_concern"].astype("boolean").fillna(False).astype(bool),
    }
    labels = {"endemic": "endemic", "protected": "Habitats Directive", "invasive": "Union concern"}
    found = []
    for kind, member in members.items():
        if not member.any():
            continue
        pairs = table.loc[member, ["flag_source", "flag_date"]].fillna("").astype(str).drop_duplicates()
        origins = sorted({source_and_date(*pair) for pair in pairs.itertuples(index=False)})
        found.append(
            {
                "kind": kind,
                "text": labels[kind],
                "title": labels[kind],
                "meaning": f"{summary.groups[kind].text.definition} Source: {'; '.join(origins)}. In the "
                "printed "
                f"annex: {MARKS[kind]}.",
            }
        )
    return found
