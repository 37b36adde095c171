"""Rows of the tables of sections 6 to 9: species with their statuses, each with the number of its source."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from sdm_core.indicators import CERTAIN_FROM, POSSIBLE_FROM, ListSummary, RegionSummary
from sdm_core.indicators.certainty import CERTAIN
from sdm_core.reports import text
from sdm_core.reports.species import list_origins
from sdm_core.statuses import RED_LIST

#: Species in the tables of these sections; `species.csv` holds all.
N_ROWS = 20


@dataclass
class Origins:
    """Sources of statuses, numbered as they are first named."""

    entries: list[str] = field(default_factory=list)

    def number(self, origin: str) -> int:
        """Number of a source, from 1."""
        if origin not in self.entries:
            self.entries.append(origin)
        return self.entries.index(origin) + 1


def list_origin(listed: ListSummary) -> str:
    """An added list with its source, date, licence and file."""
    return (
        f"{listed.listed} ({listed.list_region}): {listed.origin}. Licence: {'; '.join(listed.licences)}. "
        f"File {listed.file}; {listed.n_matched} of its {listed.n_taxa} taxa are in this atlas."
    )


def status_rows(summary: RegionSummary, origins: Origins, wanted: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of the species of added lists whose category (official, else predicted) is wanted, worst first."""
    table = summary.species_table
    possible = table[is_possible(table)]
    severity = {category: -place for place, category in enumerate(RED_LIST)}
    rows = []
    for listed in summary.status_lists:
        members = listed.members
        predicted = members["category"].isin(["NE", "NA", "DD"]) & (members["completed"] != "")
        shown = members["category"].where(~predicted, members["completed"])
        chosen = shown.isin(wanted) & members["species_id"].isin(possible["species_id"])
        records = {
            int(record["species_id"]): record
            for record in records_of(possible[possible["species_id"].isin(members.loc[chosen, "species_id"])])
        }
        for species_id, category, guess, date in zip(
            members.loc[chosen, "species_id"],
            shown[chosen],
            predicted[chosen],
            members.loc[chosen, "date"],
            strict=True,
        ):
            status = f"{category} (predicted)" if guess else str(category)
            row = row_of(records[int(species_id)], status, origins.number(list_origin(listed)), str(date))
            rows.append({**row, "severity": severity.get(str(category), 0)})
    return sorted(rows, key=lambda row: (row["severity"], -row["area_value"]))


def flag_rows(
    table: pd.DataFrame, origins: Origins, status: Callable[[Mapping[str, Any]], str], words: str
) -> list[dict[str, Any]]:
    """Rows of species with a flag of the atlas, largest area first; `words` picks the list of the flag."""
    rows = []
    for record in records_of(table[is_possible(table)]):
        origin = _flag_origin(record["flag_source"] or "", record["flag_date"] or "", words)
        rows.append(row_of(record, status(record), origins.number(f"Flags of the atlas: {origin}")))
    return rows


@functools.lru_cache(maxsize=1024)
def _flag_origin(source: str, date: str, words: str) -> str:
    """Lists behind the flag of one species with their dates."""
    return "; ".join(list_origins(pd.DataFrame({"flag_source": [source], "flag_date": [date]}), words))


def is_possible(table: pd.DataFrame) -> pd.Series:
    """Species in a set of some cell, or possible: by held-out surveys, else by a fixed probability."""
    surveyed = table["certainty"].notna()
    by_surveys = table["certainty"].fillna("").astype(str) != ""
    possible = by_surveys.where(surveyed, table["max_probability"] >= POSSIBLE_FROM)
    return table["present"].astype(bool) | possible.astype(bool)


def records_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a species table with None where nothing is known."""
    plain = table.astype(object).where(table.notna(), None)
    return [{str(key): value for key, value in record.items()} for record in plain.to_dict("records")]


def row_of(record: Mapping[str, Any], status: str, origin: int, date: str = "") -> dict[str, Any]:
    """One species with a status ("" for none), the number of its source, and what is predicted of it."""
    best, present = float(record["max_probability"]), bool(record["present"])
    seen = (record["records_nearby"] or 0) > 0
    share = record["range_share_percent"]
    return {
        "name": record["species"],
        "statuses": [{"text": status, "origin": origin, "date": date}] if status else [],
        "presence": _presence(record, best, present),
        "watch": ("here" if seen else "predicted") if present else "edge",
        "mean": text.probability(record["mean_probability"]),
        "highest": text.probability(best),
        "area": text.sensible(record["expected_area_km2"]),
        "range": f"{text.sensible(share, 2)}{text.UNIT_SPACE}%" if share is not None else text.NOT_DEFINED,
        "records": text.whole(record["records_nearby"]),
        "area_value": float(record["expected_area_km2"]),
        "range_value": float(share or 0.0),
    }


def _presence(record: Mapping[str, Any], best: float, present: bool) -> str:
    """By held-out surveys where the atlas has them, else by the probability; and whether in a set."""
    certainty = record.get("certainty")
    certain = best >= CERTAIN_FROM if certainty is None else certainty == CERTAIN
    return "certain" if certain else "in a set" if present else "possible"


def merged(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per species with all its statuses."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["name"] in found:
            found[row["name"]]["statuses"] = found[row["name"]]["statuses"] + row["statuses"]
        else:
            found[row["name"]] = dict(row)
    return list(found.values())


def table_of(rows: Sequence[dict[str, Any]], caption: str, limit: bool = True) -> dict[str, Any] | None:
    """A table of at most `N_ROWS` species for the template; None without any."""
    if not rows:
        return None
    of_species = merged(rows)
    shown = of_species[:N_ROWS] if limit else of_species
    more = (
        ""
        if len(shown) == len(of_species)
        else f"; {text.whole(len(of_species))} in all, the others in species.csv"
    )
    return {"rows": shown, "caption": caption + more, "statuses": any(row["statuses"] for row in shown)}
