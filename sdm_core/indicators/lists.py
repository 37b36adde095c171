"""What a status list says about a region: one summary per list and region of the list."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sdm_core.indicators import threat
from sdm_core.indicators.certainty import RegionCertainty
from sdm_core.indicators.error_intervals import RegionErrors
from sdm_core.indicators.range_size import RangeShares
from sdm_core.indicators.summary import format_number, format_percent, interval_words, json_number
from sdm_core.indicators.texts import MODEL_ERRORS
from sdm_core.statuses import ASSESSED, OTHER, RED_LIST, THREATENED, MatchedStatuses

#: Meaning of the numbers of a Red List, for pages, reports and JSON.
THREAT_TEXTS: dict[str, str] = {
    "shares": "I_c: Σp of the species of the category ÷ Σp of all species of the atlas, both area-weighted "
    "over the region",
    "threatened_share": "I_T: Σp of VU, EN and CR ÷ Σp of all species assessed LC to CR",
    "share_low_high": f"the threatened share, or the share of a group, in between: {MODEL_ERRORS}",
    "low_high": "the share if none, and if all, of the species without an assessment were threatened; not an "
    "interval of the probabilities",
    "unassessed_percent": "Σp of species without a category, or DD, NA or NE, as a share of Σp of all",
    "certain": "worst category among the species that are certain in some cell of the region; cells outside "
    "the area of applicability, where that is known, make no species certain",
    "possible": "worst category among the species that are possible in some cell of the region",
    "by_rule": "worst category in the species sets of the region's cells",
    "star_like": "Σ over species of the share of their range that lies in the region × weight (NT 100, "
    "VU 200, EN 300, CR 400); the range is only that within the atlas, so it is like STAR, not STAR",
}


@dataclass(frozen=True)
class ThreatNumbers:
    """Numbers of one Red List over a region, official or completed.

    Attributes:
        shares: share of each category LC … CR in the expected species, 0 to 1; NaN without any species.
        threatened_share: of the assessed species, 0 to 1; NaN where none is assessed.
        low: the share if none of the species without assessment were threatened.
        high: if all were.
        unassessed_percent: part of the expected species without an assessment.
        share_low, share_high: 90 % interval of the threatened share from errors of the model; NaN where they
            are not known.
        expected: Σ over threatened species of their highest probability: expected number, lower bound.
        by_rule: threatened species present in some cell by the rule.
        certain: worst category among certain species (see `certainty_of_region`); "" where none is.
        possible: worst category among possible ones.
        worst_by_rule: worst category in the sets of the rule.
        star_like: Σ range share × weight.
    """

    shares: dict[str, float]
    threatened_share: float
    low: float
    high: float
    unassessed_percent: float
    expected: float
    by_rule: int
    certain: str
    possible: str
    worst_by_rule: str
    star_like: float
    share_low: float = math.nan
    share_high: float = math.nan

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        plain: dict[str, Any] = {
            name: json_number(value) if isinstance(value, float) else value
            for name, value in vars(self).items()
            if name != "shares"
        }
        return {"shares": {name: json_number(share) for name, share in self.shares.items()}, **plain}


@dataclass(frozen=True)
class ListGroup:
    """Species of one category of a list that is no Red List: protected, invasive, alien or endemic.

    expected: Σ of their highest probabilities. share: Σp of them ÷ Σp of all species, 0 to 1. by_rule: those
    present in some cell by the rule. share_low, share_high: 90 % interval of the share from errors of the
    model; NaN where they are not known.
    """

    expected: float
    share: float
    by_rule: int
    share_low: float = math.nan
    share_high: float = math.nan

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {name: json_number(value) for name, value in vars(self).items()}


@dataclass(frozen=True, eq=False)
class ListSummary:
    """One list of a status file over a region.

    Attributes:
        listed: name of the list.
        list_region: what the list is about.
        file: name of the file it came from.
        sources: publishers it names, each once; dates and licences likewise.
        n_taxa: taxa on the list.
        n_matched: those that are species of the atlas.
        official: numbers from official categories; None for a list without Red List categories.
        completed: the same with predicted categories filled in; None where the list gives none.
        groups: numbers of the categories that are no Red List ones, by category.
        members: matched entries: species_id, species, taxon, category, completed, source, date, way, note.
        certainty_text: which species count as certain and as possible, for the most threatened status.
    """

    listed: str
    list_region: str
    file: str
    sources: tuple[str, ...]
    dates: tuple[str, ...]
    licences: tuple[str, ...]
    n_taxa: int
    n_matched: int
    official: ThreatNumbers | None
    completed: ThreatNumbers | None
    groups: dict[str, ListGroup]
    members: pd.DataFrame
    certainty_text: str = ""

    @property
    def origin(self) -> str:
        """Source and date in one phrase."""
        return f"{'; '.join(self.sources)}, {', '.join(self.dates)}"

    @property
    def sentence(self) -> str:
        """Plain-language sentence of the list's main numbers."""
        if self.official is None:
            said = [f"{group.by_rule} {name}" for name, group in self.groups.items()]
            return f"By “{self.listed}” ({self.list_region}), species present by the rule: {', '.join(said)}."
        share, unassessed = self.official.threatened_share, self.official.unassessed_percent
        if math.isnan(share):
            return f"No species expected here is assessed LC to CR in “{self.listed}” ({self.list_region})."
        return (
            f"{format_number(100 * share, 1)} %"
            f"{interval_words(100 * self.official.share_low, 100 * self.official.share_high, 1)} of the "
            f"expected species that “{self.listed}” "
            f"({self.list_region}) assesses are threatened; {format_percent(unassessed)} % of all expected "
            "species are not assessed there."
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, definitions beside the numbers."""
        return {
            "list": self.listed,
            "region": self.list_region,
            "file": self.file,
            "sources": list(self.sources),
            "dates": list(self.dates),
            "licences": list(self.licences),
            "n_taxa": self.n_taxa,
            "n_matched": self.n_matched,
            "official": self.official.to_dict() if self.official else None,
            "completed": self.completed.to_dict() if self.completed else None,
            "groups": {name: group.to_dict() for name, group in self.groups.items()},
            "definitions": dict(THREAT_TEXTS),
            "certainty": self.certainty_text,
        }


def summarise_lists(
    statuses: Sequence[MatchedStatuses],
    sums: Any,
    present: NDArray[np.bool_],
    shares: RangeShares,
    certainty: RegionCertainty,
    errors: RegionErrors | None = None,
) -> tuple[ListSummary, ...]:
    """One summary per list of each file, in the order given.

    Args:
        statuses: files matched to the atlas.
        sums: totals of the region, as `prediction.RegionSums`.
        present: (n_species,) in some cell of the region by the rule.
        shares: of the ranges of the atlas.
        certainty: which species are certain and which possible there (`certainty_of_region`).
        errors: of the model in the region, for intervals; None where not known.
    """
    found = []
    for matched in statuses:
        entries = matched.file.entries
        for listed, list_region in matched.file.lists:
            own = entries[(entries["list"] == listed) & (entries["region"] == list_region)]
            here = matched.matched
            here = here[(here["list"] == listed) & (here["region"] == list_region)]
            categories = matched.categories(listed, list_region)
            n_unmatched = int(
                ((matched.unmatched["list"] == listed) & (matched.unmatched["region"] == list_region)).sum()
            )
            red = bool(own["category"].isin(RED_LIST).any())
            filled = red and bool((own["completed"] != "").any())
            found.append(
                ListSummary(
                    listed=listed,
                    list_region=list_region,
                    file=matched.file.name,
                    sources=tuple(dict.fromkeys(own["source"])),
                    dates=tuple(sorted(set(own["date"]))),
                    licences=tuple(dict.fromkeys(own["licence"])),
                    n_taxa=len(own),
                    n_matched=len(own) - n_unmatched,
                    official=_threat(categories, sums, present, shares, certainty, errors) if red else None,
                    completed=_threat(
                        matched.categories(listed, list_region, completed=True),
                        sums,
                        present,
                        shares,
                        certainty,
                        errors,
                    )
                    if filled
                    else None,
                    groups={
                        name: _group(categories == name, sums, present, errors)
                        for name in OTHER
                        if (own["category"] == name).any()
                    },
                    members=here.reset_index(drop=True),
                    certainty_text=certainty.text,
                )
            )
    return tuple(found)


def _threat(
    categories: NDArray[np.object_],
    sums: Any,
    present: NDArray[np.bool_],
    shares: RangeShares,
    certainty: RegionCertainty,
    errors: RegionErrors | None,
) -> ThreatNumbers:
    total = sums.group_area_km2(np.ones(len(categories), dtype=bool))
    area = {name: sums.group_area_km2(threat.category_mask(categories, (name,))) for name in ASSESSED}
    gone = sums.group_area_km2(threat.category_mask(categories, threat.GONE))
    # The same formulas as for a cell, on the exact totals of the groups.
    parts = np.array([*area.values(), max(0.0, total - gone - sum(area.values()))])
    names = np.array([*ASSESSED, ""], dtype=object)
    low, high = threat.threatened_share_bounds(parts, names)
    best = np.asarray(sums.max_probability, dtype=np.float64)
    threatened = threat.category_mask(categories, THREATENED)
    unknown = ~threat.category_mask(categories, (*ASSESSED, *threat.GONE))
    error_low, error_high = (
        (math.nan, math.nan)
        if errors is None
        else errors.share_interval(threatened, threat.category_mask(categories, ASSESSED))
    )
    return ThreatNumbers(
        shares={name: area[name] / total if total else math.nan for name in ASSESSED},
        threatened_share=float(threat.threatened_share(parts, names)),
        low=float(low),
        high=float(high),
        unassessed_percent=100.0 * sums.group_area_km2(unknown) / total if total else math.nan,
        expected=float(best[threatened].sum()),
        by_rule=int(np.count_nonzero(present & threatened)),
        certain=str(threat.most_threatened(certainty.certain, categories)),
        possible=str(threat.most_threatened(certainty.possible, categories)),
        worst_by_rule=str(threat.most_threatened(present, categories)),
        star_like=threat.star_like(shares.share, categories),
        share_low=error_low,
        share_high=error_high,
    )


def _group(
    members: NDArray[np.bool_], sums: Any, present: NDArray[np.bool_], errors: RegionErrors | None
) -> ListGroup:
    total = sums.group_area_km2(np.ones(len(members), dtype=bool))
    best = np.asarray(sums.max_probability, dtype=np.float64)
    low, high = (math.nan, math.nan) if errors is None else errors.share_interval(members)
    return ListGroup(
        expected=float(best[members].sum()),
        share=sums.group_area_km2(members) / total if total else math.nan,
        by_rule=int(np.count_nonzero(present & members)),
        share_low=low,
        share_high=high,
    )


def status_columns(statuses: Sequence[MatchedStatuses], n_species: int) -> dict[str, list[str]]:
    """Columns of a species table: statuses with their lists, sources and dates, several joined by "; ".

    A status reads "VU (Red List of X, Y)", a predicted one "VU predicted (…)"; sources and dates stand in the
    same order.
    """
    columns = {name: [""] * n_species for name in ("statuses", "status_source", "status_date")}
    for matched in statuses:
        for entry in matched.matched.to_dict("records"):
            row = int(entry["species_id"])
            said = str(entry["category"])
            if entry["completed"] and said in ("NE", "NA", "DD"):
                said = f"{said}, {entry['completed']} predicted"
            name = f"{said} ({entry['list']}, {entry['region']})"
            for column, value in (
                ("statuses", name),
                ("status_source", str(entry["source"])),
                ("status_date", str(entry["date"])),
            ):
                columns[column][row] += ("; " if columns[column][row] else "") + value
    return columns
