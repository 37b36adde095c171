"""What a report is made of, and the lines that say where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from sdm_core import config, regions
from sdm_core.applicability import NextPlaces, Trust
from sdm_core.indicators import Benchmarks, RegionSummary, Structure
from sdm_core.observed import ObservedRegion
from sdm_core.reports import card as cards
from sdm_core.reports import text
from sdm_core.statuses import MatchedStatuses


@dataclass(frozen=True)
class ReportFacts:
    """Everything a report is made of.

    `chosen` cells of the store inside the region; `files` names of the files written beside the page;
    `command` what writes the same numbers again; `observed` a user's records beside the prediction;
    `statuses` status lists matched to the atlas; `next_places` where to look next;
    `benchmarks` the region beside other cells; `structure` how composition varies inside it; `ranges` EOO and
    AOO of the user's records (`observed.species_ranges`).
    """

    atlas: Any
    region: regions.Region
    chosen: regions.Selection
    summary: RegionSummary
    trust: Trust
    benchmarks: Benchmarks
    structure: Structure
    created: datetime
    permalink: str
    files: Sequence[str]
    observed: ObservedRegion | None = None
    statuses: Sequence[MatchedStatuses] = ()
    next_places: NextPlaces | None = None
    ranges: pd.DataFrame | None = None


def credit_line(facts: ReportFacts) -> str:
    """Sources below a figure: program, atlas with version, date and data."""
    sources = cards.data_sources({"data": facts.atlas.card.get("data")})
    names = [source["name"].split(" (")[0] for source in sources]
    data = f" Data: {'; '.join(names)}." if names else ""
    return (
        f"Florascope {config.CODE_VERSION}, {facts.atlas.title}, version {facts.summary.atlas_version[:12]}, "
        f"{text.long_date(facts.created)}.{data}"
    )


def citation(facts: ReportFacts) -> str:
    """Citation of the report to copy."""
    address = f" {text.safe_link(facts.permalink)}" if text.safe_link(facts.permalink) else ""
    return (
        f"Florascope ({facts.created.year}). Plant diversity report: {facts.region.name}. Atlas "
        f"“{facts.atlas.title}”, version {facts.summary.atlas_version[:12]}; Florascope "
        f"{config.CODE_VERSION}; made on {text.long_date(facts.created)}; outline "
        f"{facts.summary.geometry_hash}.{address} Please cite the data sources below as well."
    )


def top_species(summary: RegionSummary, count: int) -> list[tuple[str, float]]:
    """Name and mean probability of the species with the largest expected area."""
    table = summary.species_table.head(count)
    return list(zip(table["species"], table["mean_probability"].astype(float), strict=True))
