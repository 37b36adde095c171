"""Section 6 of a report: threatened species by the Red Lists that were added."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from sdm_core.indicators import GONE, THREAT_TEXTS, ListSummary, RegionSummary, ThreatNumbers
from sdm_core.indicators.texts import MODEL_ERRORS
from sdm_core.reports import text
from sdm_core.reports.concern_rows import Origins, list_origin, status_rows, table_of
from sdm_core.statuses import ASSESSED, CATEGORY_NAMES, THREATENED

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
NOT_A_CATEGORY = (
    "The categories are those of the lists named. None follows from the predictions: predicted area is "
    "neither an extent of occurrence nor an area of occupancy."
)


def share_text(share: float) -> str:
    """Share of threatened species in %, with one decimal everywhere it is shown."""
    return f"{text.decimal(100.0 * share, 1)}{text.UNIT_SPACE}%" if math.isfinite(share) else text.NOT_DEFINED


def share_interval(low: float, high: float) -> str:
    """Interval of a share from 0 to 1 in brackets; "" where there is none."""
    return f" ({share_text(low)}–{share_text(high)})" if math.isfinite(low) else ""


def red_lists(summary: RegionSummary) -> list[ListSummary]:
    """Added lists with Red List categories."""
    return [listed for listed in summary.status_lists if listed.official is not None]


def threatened(summary: RegionSummary, origins: Origins) -> dict[str, Any]:
    """Content of section 6; without a Red List, a sentence that says so."""
    lists = red_lists(summary)
    if not lists:
        return {"paragraphs": [NO_RED_LIST], "lists": [], "table": None}
    return {
        "paragraphs": [NOT_A_CATEGORY],
        "lists": [_red_list(summary, listed, origins) for listed in lists],
        "table": table_of(
            status_rows(summary, origins, THREATENED),
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
        "origin": origins.number(list_origin(listed)),
        "sentence": listed.sentence,
        "bar": _bar(official),
        "columns": columns,
        "rows": rows,
        "caption": f"Shares of the expected species by category, {listed.listed}",
        "facts": _threat_facts(both, listed.certainty_text),
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


def _threat_facts(both: Sequence[ThreatNumbers], certainty: str) -> list[dict[str, Any]]:
    def row(label: str, shown: Callable[[ThreatNumbers], str], note: str) -> dict[str, Any]:
        return {"label": label, "values": [shown(numbers) for numbers in both], "note": note}

    return [
        row(
            "Threatened share of the assessed",
            lambda n: f"{share_text(n.threatened_share)}{share_interval(n.share_low, n.share_high)}",
            THREAT_TEXTS["threatened_share"]
            + (f"; in brackets the {MODEL_ERRORS}" if math.isfinite(both[0].share_low) else ""),
        ),
        row(
            "The same with those not assessed",
            lambda n: f"{share_text(n.low)} to {share_text(n.high)}",
            THREAT_TEXTS["low_high"],
        ),
        row(
            "Threatened species in the region’s sets",
            lambda n: f"{text.whole(n.by_rule)}, at least {text.count_like(n.expected)} expected",
            "expected: Σ of their highest probabilities, a lower bound as for γ",
        ),
        row(
            "Most threatened status",
            lambda n: f"{n.certain or 'none'} certain; {n.possible or 'none'} possible",
            f"worst category among certain and among possible species. {certainty}",
        ),
        row("STAR-like score", lambda n: text.sensible(n.star_like), THREAT_TEXTS["star_like"]),
    ]
