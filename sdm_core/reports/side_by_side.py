"""Several regions side by side: which can be compared, and one row of numbers for each."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from sdm_core import config, regions
from sdm_core.applicability import Trust, assess_trust
from sdm_core.errors import FlorascopeError, NoDataInRegionError, ReportError
from sdm_core.indicators import Benchmarks, RegionSummary, benchmark_region, summarise_outline
from sdm_core.indicators.structure import MAX_SAMPLE_CELLS, sample_multi_site
from sdm_core.reports import red_lists, text
from sdm_core.statuses import MatchedStatuses

#: Regions one comparison may have.
MAX_REGIONS = 200
SAME_SIZE = (
    "γ, Whittaker beta and the number of protected or endemic species rise with the area: compare them "
    "between regions of like size only."
)
#: Share of the smaller of two outlines from which their overlap is said.
_LEAST_OVERLAP = 0.01
_N_LISTED = 5
#: Numbers whose low and high are the poorest and richest cell, and no interval of the number.
_BETWEEN_CELLS = ("alpha",)


@dataclass(frozen=True)
class Column:
    """One number of the table: key in the CSV, label and unit on the page, decimals there."""

    key: str
    label: str
    unit: str = ""
    digits: int = 1


COLUMNS: tuple[Column, ...] = (
    Column("area_km2", "Area of the outline", "km²", 0),
    Column("n_cells", "Cells", "", 0),
    Column("cell_area_km2", "Area of the cells", "km²", 0),
    Column("alpha_expected", "Expected species of a cell (α)"),
    Column("alpha", "Species of a cell by the rule (α)"),
    Column("gamma", "Species of the region by the rule (γ)", "", 0),
    Column("gamma_lower", "Species expected in the region, at least"),
    Column("beta_whittaker", "Whittaker beta (γ/α)", "", 2),
    Column("multi_site_sorensen", "Multi-site Sørensen dissimilarity", "", 3),
    Column("multi_site_turnover", "of it turnover", "", 3),
    Column("multi_site_nestedness", "of it nestedness", "", 3),
    Column("multi_site_cells", "cells per sample of the multi-site values", "", 0),
    Column("shannon", "Shannon index of the region (H′)", "nats", 2),
    Column("simpson", "Simpson index of the region (1 − D)", "", 4),
    Column("hill_1", "Hill number of order 1"),
    Column("weighted_endemism", "Weighted endemism", "ranges", 2),
    Column("endemic", "Endemic species by the rule", "", 0),
    Column("protected", "Species of the Habitats Directive by the rule", "", 0),
    Column("invasive", "Invasive species of Union concern by the rule", "", 0),
    Column("threatened_share_percent", "Threatened share of assessed species", "%", 1),
    Column("unassessed_percent", "Not assessed", "%", 1),
    Column("richness_percentile_countries", "Richness: percentile in its countries", "", 0),
    Column("richness_percentile_outlines", "Richness: percentile in your outlines", "", 0),
    Column("richness_percentile_atlas", "Richness: percentile in the atlas", "", 0),
    Column("distinctiveness_percentile_countries", "Distinctiveness: percentile in its countries", "", 0),
    Column("distinctiveness_percentile_outlines", "Distinctiveness: percentile in your outlines", "", 0),
    Column("distinctiveness_percentile_atlas", "Distinctiveness: percentile in the atlas", "", 0),
)


@dataclass(frozen=True, eq=False)
class RegionNumbers:
    """What a comparison needs of one region.

    Attributes:
        values: of `COLUMNS`, with `<key>_low` and `<key>_high` where there is an interval; and `region`,
            `trust_grade`.
        rows: rows of its cells in the store.
        rule: name of the rule the numbers follow.
        rule_options: complete options of the rule.
        rule_text: what it does, in words.
        containment_text: which cells are counted, in words.
        benchmark_notes: what the percentiles could not be set against.
    """

    values: dict[str, Any]
    rows: NDArray[np.int64]
    rule: str
    rule_options: dict[str, Any]
    rule_text: str
    containment_text: str
    benchmark_notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Regions side by side.

    Attributes:
        rows: values of each region by key; NaN where a number is not defined there.
        columns: those of `COLUMNS` that any region has.
        notes: what to know before comparing, one sentence each.
        benchmark_notes: what the percentiles could not be set against.
    """

    rows: tuple[dict[str, Any], ...]
    columns: tuple[Column, ...]
    notes: tuple[str, ...]
    benchmark_notes: tuple[str, ...] = ()

    def intervals(self) -> dict[str, tuple[str, str]]:
        """Column → keys of the lower and upper end of its interval, for columns that have one."""
        ends = {column.key: (f"{column.key}_low", f"{column.key}_high") for column in self.columns}
        return {
            key: pair for key, pair in ends.items() if any(is_known(row.get(pair[0])) for row in self.rows)
        }

    def to_csv(self, more: Sequence[str] = ()) -> str:
        """The table as CSV: `region`, the columns named in `more`, `trust_grade`, then the numbers.

        The ends of an interval follow its number; what is not defined is empty.
        """
        ends = self.intervals()
        keys = [key for column in self.columns for key in (column.key, *ends.get(column.key, ()))]
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["region", *more, "trust_grade", *keys])
        for row in self.rows:
            numbers = [row[key] if is_known(row.get(key)) else "" for key in keys]
            writer.writerow([row["region"], *(row[key] for key in more), row["trust_grade"], *numbers])
        return stream.getvalue()


def check_number(n_regions: int) -> None:
    """Raises ReportError where there are too few or too many regions for one comparison."""
    if n_regions < 2:
        raise ReportError(f"A comparison needs two regions or more; found {n_regions}.")
    if n_regions > MAX_REGIONS:
        raise ReportError(
            f"A comparison takes up to {MAX_REGIONS} regions; found {n_regions:,}: compare fewer at a time."
        )


def sort_out(
    atlas: Any, places: Sequence[regions.Region], containment: str = regions.DEFAULT_CONTAINMENT
) -> tuple[list[regions.Region], list[FlorascopeError]]:
    """The regions that can be compared, in their order, and why each of the others cannot.

    Left out are an outline given twice (ReportError) and regions without any cell of the atlas
    (NoDataInRegionError).
    """
    store = atlas.store
    kept: list[regions.Region] = []
    refused: list[FlorascopeError] = []
    seen: dict[str, str] = {}
    for region in places:
        if region.geometry_hash in seen:
            refused.append(
                ReportError(
                    f"The regions “{seen[region.geometry_hash]}” and “{region.name}” have the same outline; "
                    "give each region once."
                )
            )
            continue
        try:
            chosen = regions.select_cells(
                region, store.lonlat, store.resolution, store.cells, store.area_ha, containment
            )
        except NoDataInRegionError as error:
            named = region.name in str(error)
            refused.append(error if named else NoDataInRegionError(f"“{region.name}”: {error}"))
            continue
        if not len(chosen.rows):
            refused.append(
                NoDataInRegionError(
                    f"“{region.name}” holds no cell of the atlas {store.name}; choose regions on the land it "
                    "covers."
                )
            )
            continue
        seen[region.geometry_hash] = region.name
        kept.append(region)
    return kept, refused


def read_numbers(
    atlas: Any,
    region: regions.Region,
    rule: str = config.DEFAULT_RULE,
    containment: str = regions.DEFAULT_CONTAINMENT,
    matched: Sequence[MatchedStatuses] = (),
    outlines: regions.Outlines | None = None,
    **options: Any,
) -> RegionNumbers:
    """The numbers of one region for a comparison, as its report would give them.

    Raises what `summarise_region` and `select_cells` raise.
    """
    store = atlas.store
    chosen, summary = summarise_outline(store, region, rule, containment, matched, **options)
    trust = assess_trust(store, chosen.rows, summary, atlas.card, chosen.hectares)
    stands = benchmark_region(store, chosen.rows, chosen.hectares, region, matched, outlines)
    return numbers_of(chosen.rows, summary, trust, stands)


def numbers_of(
    rows: NDArray[np.int64], summary: RegionSummary, trust: Trust, stands: Benchmarks
) -> RegionNumbers:
    """The row of a comparison from what a report is made of; without multi-site values."""
    values: dict[str, Any] = {
        "region": summary.region,
        "trust_grade": trust.grade,
        "n_cells": summary.n_cells,
        **_indicators(summary),
        **_groups(summary),
        **_threat(summary),
        **_percentiles(stands),
    }
    return RegionNumbers(
        {**{column.key: math.nan for column in COLUMNS}, **values},
        rows,
        summary.rule,
        summary.rule_options,
        summary.rule_text,
        summary.containment_text,
        _named(stands, summary.region),
    )


def compare(store: Any, places: Sequence[regions.Region], numbers: Sequence[RegionNumbers]) -> Comparison:
    """The table of regions that were read, with multi-site dissimilarity at an equal number of cells.

    Args:
        store: predictions they were read from.
        places: the regions, for what is said on overlapping outlines.
        numbers: of the same regions, read by one rule.
    """
    sampled = min((MAX_SAMPLE_CELLS, *(len(one.rows) for one in numbers)))
    rows = tuple({**one.values, **_multi_site(store, one, sampled)} for one in numbers)
    shown = tuple(column for column in COLUMNS if any(is_known(row[column.key]) for row in rows))
    first = numbers[0]
    notes = (
        f"Species sets follow the rule “{first.rule}”: {first.rule_text}. Cells counted: "
        f"{first.containment_text}.",
        SAME_SIZE,
        _multi_site_note(sampled),
        *overlap_notes(places),
    )
    of_benchmarks = dict.fromkeys(note for one in numbers for note in one.benchmark_notes)
    return Comparison(rows, shown, notes, tuple(of_benchmarks))


def _named(stands: Benchmarks, region: str) -> tuple[str, ...]:
    """What is said of the standings, with the name of the region where it is about its outlines."""
    frame = stands.frame
    if frame is None:
        return stands.notes
    return tuple(
        frame.sentence_of(f"“{region}”") if note == frame.sentence else note for note in stands.notes
    )


def overlap_notes(places: Sequence[regions.Region]) -> list[str]:
    """A sentence on outlines that overlap, so that their numbers are not those of different places."""
    shapes = [region.geometry for region in places]
    tree = shapely.STRtree(shapes)
    found = []
    for one, other in zip(*tree.query(shapes, predicate="intersects"), strict=True):
        if one < other:
            smaller = min(shapes[one].area, shapes[other].area)
            share = shapely.intersection(shapes[one], shapes[other]).area / smaller
            if share >= _LEAST_OVERLAP:
                found.append((share, places[one].name, places[other].name))
    if not found:
        return []
    found.sort(key=lambda pair: -pair[0])
    named = [f"“{a}” and “{b}” ({100 * share:.0f} % of the smaller)" for share, a, b in found[:_N_LISTED]]
    more = len(found) - len(named)
    rest = f" and {text.counted(more, 'more pair')}" if more else ""
    return [f"Outlines overlap, so these regions share cells: {', '.join(named)}{rest}."]


def _indicators(summary: RegionSummary) -> dict[str, float]:
    found: dict[str, float] = {}
    for column in COLUMNS:
        if (indicator := summary.indicators.get(column.key)) is not None:
            low = math.nan if column.key in _BETWEEN_CELLS else indicator.low
            found |= _with_ends(column.key, indicator.value, low, indicator.high)
    return found


def _groups(summary: RegionSummary) -> dict[str, Any]:
    return {name: group.by_rule for name, group in summary.groups.items()}


def _with_ends(key: str, value: float, low: float, high: float) -> dict[str, float]:
    """A number, with the ends of its interval where it has one."""
    ends = {f"{key}_low": low, f"{key}_high": high} if is_known(low) else {}
    return {key: value, **ends}


def _threat(summary: RegionSummary) -> dict[str, float]:
    """Share of the first Red List with official categories."""
    for listed in red_lists.red_lists(summary):
        if listed.official is not None:
            official = listed.official
            share = _with_ends(
                "threatened_share_percent",
                100.0 * official.threatened_share,
                100.0 * official.low,
                100.0 * official.high,
            )
            return {**share, "unassessed_percent": official.unassessed_percent}
    return {}


def _percentiles(found: Benchmarks) -> dict[str, float]:
    names = {"richness": "richness", "weighted_endemism": "distinctiveness"}
    return {
        f"{names[standing.measure]}_percentile_{standing.against}": standing.percentile
        for standing in found.standings
        if standing.measure in names
    }


def _multi_site(store: Any, one: RegionNumbers, sampled: int) -> dict[str, float]:
    found = sample_multi_site(store, one.rows, one.rule, one.rule_options, sampled)
    if found is None:
        return {}
    return {
        "multi_site_sorensen": found.total,
        "multi_site_turnover": found.turnover,
        "multi_site_nestedness": found.nestedness,
        "multi_site_cells": sampled,
    }


def _multi_site_note(sampled: int) -> str:
    if sampled < 2:
        return (
            "Multi-site dissimilarity is left out: it can be compared only at the same number of cells, and "
            "one of the regions has a single cell."
        )
    return (
        "Multi-site dissimilarity rises with the number of cells, so it is the mean over random samples of "
        f"{sampled} cells in every region; turnover and nestedness after Baselga add up to it."
    )


def is_known(value: Any) -> bool:
    """Whether a cell of the table holds a number."""
    return value is not None and math.isfinite(value)
