"""Section 5a of a report: a user's own records of the region beside its prediction.

Every number comes from `ObservedRegion` and `RegionSummary`; nothing is computed here.
"""

from __future__ import annotations

import shlex
from typing import Any

import pandas as pd

from sdm_core.indicators import RegionSummary
from sdm_core.observed import AGREED, MISSED, NOT_IN_ATLAS, UNEXPECTED, UNEXPECTED_BELOW, ObservedRegion
from sdm_core.reports import text

#: Species in each table of the section; `observed.csv` holds all.
N_ROWS = 20
SECTION = {"id": "s5a", "number": "5a", "title": "Your records beside the prediction"}
OBSERVED_FILE = "observed.csv"
FILE_TEXT = (
    "every species of your records inside the region, and every predicted one that they lack; names from the "
    "files, so a text that a spreadsheet would take for a formula starts with an apostrophe"
)


def observed_section(observed: ObservedRegion, summary: RegionSummary) -> dict[str, Any]:
    """Content of the section: paragraphs, facts, numbers, tables of species, warnings."""
    seen = observed.species
    missed = seen[seen["status"].isin([MISSED, UNEXPECTED])]
    tables = [
        _seen_table("Observed, and not in the predicted list", missed, with_status=True),
        _seen_table("Predicted and observed", seen[seen["status"] == AGREED], with_status=False),
        _not_seen_table(observed.not_observed),
        _unmatched_table(seen[seen["status"] == NOT_IN_ATLAS]),
    ]
    return {
        "intro": sentence(observed),
        "rule": (
            f"“Missed” is a species that was observed and is in no cell’s set by the rule “{summary.rule}”; "
            f"“unexpected” is a missed one whose probability is below {UNEXPECTED_BELOW:g} in every cell of "
            "the region: look at the record again, or doubt the model here. Records count where their point "
            "lies inside the outline."
        ),
        "warnings": list(observed.warnings),
        "facts": _facts(observed),
        "numbers": [
            {
                "label": number.label,
                "observed": number.shown,
                "in_atlas": number.shown_in_atlas if number.predicted else "",
                "predicted": summary[number.predicted].shown if number.predicted else "",
                "meaning": number.definition,
            }
            for number in observed.numbers.values()
        ],
        "notes": _notes(observed),
        "tables": [table for table in tables if table["rows"]],
        "cleaning": [
            {
                "label": f"{step['file']}: {step['rule']}",
                "value": (
                    text.whole(step["left"])
                    if step["rule"] == "records read"
                    else f"{text.whole(step['removed'])} removed."
                ),
                "note": step["note"],
            }
            for step in observed.account.to_dict("records")
        ],
    }


def _notes(observed: ObservedRegion) -> list[str]:
    """What the brackets of the numbers mean, and what the indices weigh."""
    measures: dict[str, list[str]] = {}
    for number in observed.numbers.values():
        if number.interval:
            measures.setdefault(number.interval, []).append(number.label)
    brackets = "; ".join(f"{meaning} ({text.listed(labels)})" for meaning, labels in measures.items())
    return [
        *([f"In brackets: {brackets}."] if brackets else []),
        f"The observed indices weigh {observed.basis_text}. The predicted ones weigh each species by its "
        "predicted area, which is not abundance; compare them with the observed ones of the atlas’ species "
        "only.",
    ]


def sentence(observed: ObservedRegion) -> str:
    """What the records say about the prediction, in one sentence or two."""
    if not observed.n_records:
        return "No record of your files lies inside the region."
    n_agreed, n_more = observed.count(AGREED), len(observed.not_observed)
    n_known = observed.count(AGREED) + observed.n_missed
    years = " to ".join(dict.fromkeys(map(str, observed.years or ())))
    said = (
        f"Your records hold {text.counted(len(observed.species), 'species', 'species')} inside the region"
        f"{f' ({years})' if years else ''}; {text.whole(n_known)} of them "
        f"{'is' if n_known == 1 else 'are'} in the atlas."
    )
    if not n_known:
        return said
    return (
        f"{said} {text.whole(n_agreed)} of {text.whole(n_known)} {'is' if n_agreed == 1 else 'are'} in the "
        f"predicted list, {text.whole(observed.n_missed)} {'is' if observed.n_missed == 1 else 'are'} not; "
        f"{text.whole(n_more)} more {'is' if n_more == 1 else 'are'} predicted and not in your records."
    )


def command_options(observed: ObservedRegion) -> str:
    """The options of the report command that read the same records."""
    files = "".join(f" --records {shlex.quote(name)}" for name in observed.files)
    return files + "".join(f" --{name} {shlex.quote(value)}" for name, value in observed.options)


def observed_table(observed: ObservedRegion) -> pd.DataFrame:
    """Rows of `observed.csv`: the observed species, then those predicted and not observed."""
    missing = observed.not_observed.assign(status="predicted, not observed", n_records=0)
    return pd.concat(
        [observed.species, missing[missing.columns.drop("expected_area_km2")]], ignore_index=True
    )


def with_observed(species: pd.DataFrame, observed: ObservedRegion) -> pd.DataFrame:
    """The species table with what was observed: observed_status, observed_records, observed_last_year."""
    known = observed.species[observed.species["species_id"] >= 0].set_index("species_id")
    rows = known.reindex(species["species_id"])
    return species.assign(
        observed_status=rows["status"].fillna("").to_numpy(object),
        observed_records=rows["n_records"].fillna(0).to_numpy(int),
        observed_last_year=rows["last_year"].array,
    )


def _facts(observed: ObservedRegion) -> list[dict[str, str]]:
    """What was read."""
    plots = f"{text.whole(observed.n_plots)} inside"
    if observed.n_plots_outside:
        plots += f", {text.whole(observed.n_plots_outside)} outside"
    rows = [
        ("Files", ", ".join(observed.files), ""),
        ("Records inside the outline", text.whole(observed.n_records), ""),
        ("Records outside", text.whole(observed.n_outside), "not counted"),
        ("Records inside without a year", text.whole(observed.n_without_year), ""),
        ("Plots", plots if observed.n_plots + observed.n_plots_outside else "none", ""),
    ]
    return [{"label": label, "value": value, "note": note} for label, value, note in rows]


def _seen_table(caption: str, table: pd.DataFrame, with_status: bool) -> dict[str, Any]:
    shown = table.head(N_ROWS)
    return {
        "caption": caption + _of_all(len(shown), len(table)),
        "columns": [
            "Records",
            "Plots",
            "Last year",
            "Mean p",
            "Highest p",
            *(["Status"] if with_status else []),
        ],
        "rows": [
            {
                "name": row["species"],
                "cells": [
                    text.whole(row["n_records"]),
                    text.whole(row["n_plots"]) if row["n_plots"] else text.NOT_DEFINED,
                    text.NOT_DEFINED if pd.isna(row["last_year"]) else str(row["last_year"]),
                    text.probability(row["mean_probability"]),
                    text.probability(row["max_probability"]),
                    *([row["status"]] if with_status else []),
                ],
            }
            for row in shown.to_dict("records")
        ],
    }


def _not_seen_table(table: pd.DataFrame) -> dict[str, Any]:
    shown = table.head(N_ROWS)
    return {
        "caption": "Predicted and not in your records, most probable first" + _of_all(len(shown), len(table)),
        "columns": ["Mean p", "Highest p", "Expected area, km²"],
        "rows": [
            {
                "name": row["species"],
                "cells": [
                    text.probability(row["mean_probability"]),
                    text.probability(row["max_probability"]),
                    text.sensible(row["expected_area_km2"]),
                ],
            }
            for row in shown.to_dict("records")
        ],
    }


def _unmatched_table(table: pd.DataFrame) -> dict[str, Any]:
    """Names the atlas does not have: those with a suggestion first, as they can be mended."""
    order = table.assign(near=table["suggestion"] != "")
    shown = order.sort_values(["near", "n_records"], ascending=False, kind="stable").head(N_ROWS)
    hints = bool(order["near"].any())
    return {
        "caption": "Observed, and not in the atlas under this name" + _of_all(len(shown), len(table)),
        "columns": ["Records", *(["Meant, perhaps"] if hints else [])],
        "rows": [
            {
                "name": row["species"],
                "cells": [
                    text.whole(row["n_records"]),
                    *([row["suggestion"] or text.NOT_DEFINED] if hints else []),
                ],
            }
            for row in shown.to_dict("records")
        ],
    }


def _of_all(shown: int, count: int) -> str:
    return "" if shown == count else f" ({text.whole(shown)} of {text.whole(count)}; all in {OBSERVED_FILE})"
