"""EOO and AOO of a user's records: the table of section 9 and the columns of the files."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pandas as pd

from sdm_core.indicators import RegionSummary
from sdm_core.observed import RANGE_TEXT, SPECIES_RANGE_COLUMNS
from sdm_core.reports import text
from sdm_core.reports.concern_rows import N_ROWS, is_possible
from sdm_core.reports.observed import OBSERVED_FILE
from sdm_core.statuses import THREATENED

#: Species with the largest share of their range in the region that count as restricted.
N_RESTRICTED = 15
AOO_WARNING = (
    "An area of occupancy grows with every survey and is too small where coordinates are coarse (a 10 km "
    "square given by its centre). An extent of occurrence below it is set to it. With fewer than ten places "
    "both are too small."
)


def range_section(ranges: pd.DataFrame | None, summary: RegionSummary) -> dict[str, Any] | None:
    """Sentences and table of the recorded threatened and restricted species; None without records."""
    if ranges is None or ranges.empty:
        return None
    reasons = _reasons(summary)
    shown = ranges[ranges["species_id"].isin(reasons)].sort_values("eoo_km2", kind="stable")
    paragraphs = [RANGE_TEXT, AOO_WARNING]
    if shown.empty:
        paragraphs.append(
            "None of the species you recorded here is threatened by an added Red List, endemic, or among the "
            f"{N_RESTRICTED} with the largest share of their range in the region; the areas of all recorded "
            f"species are in {OBSERVED_FILE}."
        )
    rows = [
        {
            "name": row["species"],
            "why": reasons[row["species_id"]],
            "cells": [
                text.whole(row["range_records"]),
                text.whole(row["range_places"]),
                text.sensible(row["eoo_km2"]),
                text.whole(row["aoo_km2"]),
            ],
        }
        for row in shown.head(N_ROWS).to_dict("records")
    ]
    of_all = "" if len(rows) == len(shown) else f" ({len(rows)} of {len(shown)}; all in {OBSERVED_FILE})"
    return {
        "paragraphs": paragraphs,
        "caption": f"Threatened and restricted species among your records, smallest extent first{of_all}",
        "rows": rows,
    }


def with_ranges(table: pd.DataFrame, ranges: pd.DataFrame | None, by: str) -> pd.DataFrame:
    """A table of species with the columns `SPECIES_RANGE_COLUMNS`, joined by species_id or species."""
    if ranges is None:
        return table
    own = ranges[ranges[by] >= 0] if by == "species_id" else ranges
    rows = own.drop_duplicates(by).set_index(by).reindex(table[by])
    counts = ("range_records", "range_places")
    return table.assign(
        **{
            name: rows[name].astype("Int64").array if name in counts else rows[name].array
            for name in SPECIES_RANGE_COLUMNS
        }
    )


def _reasons(summary: RegionSummary) -> dict[int, str]:
    """Why a species is in the table, by species_id: category and list, endemic, or share of its range."""
    table = summary.species_table
    found: dict[int, list[str]] = {}

    def add(ids: Collection[Any], reason: str) -> None:
        for species_id in ids:
            found.setdefault(int(species_id), []).append(reason)

    for listed in summary.status_lists:
        for category in (*THREATENED, "endemic"):
            members = listed.members.loc[listed.members["category"] == category, "species_id"]
            add(members, f"{category} ({listed.listed})")
    endemic = table["endemic"].astype("boolean").fillna(False).astype(bool)
    add(table.loc[endemic, "species_id"], "endemic")
    widest = table[is_possible(table)].sort_values("range_share_percent", ascending=False, kind="stable")
    for record in widest.head(N_RESTRICTED).to_dict("records"):
        share = text.sensible(record["range_share_percent"], 2)
        add([record["species_id"]], f"{share}{text.UNIT_SPACE}% of its range in the atlas here")
    return {species_id: "; ".join(dict.fromkeys(reasons)) for species_id, reasons in found.items()}
