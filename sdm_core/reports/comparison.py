"""Several regions at once: a report for each in its own folder, and one table that sets them side by side."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdm_core import config, regions
from sdm_core.errors import NoDataInRegionError, ReportError
from sdm_core.indicators import Benchmarks, RegionSummary, rule_options
from sdm_core.indicators.structure import MAX_SAMPLE_CELLS, sample_multi_site
from sdm_core.reports import concern, content, folder, render, text
from sdm_core.reports.build import DEFAULT_FORMATS, build_report

COMPARISON_FILES = ("comparison.csv", "comparison.html")
SAME_SIZE = (
    "γ, Whittaker beta and the number of protected or endemic species rise with the area: compare them "
    "between regions of like size only."
)


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
    Column("richness_percentile_atlas", "Richness: percentile in the atlas", "", 0),
    Column("distinctiveness_percentile_countries", "Distinctiveness: percentile in its countries", "", 0),
    Column("distinctiveness_percentile_atlas", "Distinctiveness: percentile in the atlas", "", 0),
)


def build_comparison(
    atlas: Any,
    places: Sequence[regions.Region],
    out: Path,
    *,
    rule: str = config.DEFAULT_RULE,
    formats: Sequence[str] = DEFAULT_FORMATS,
    containment: str = regions.DEFAULT_CONTAINMENT,
    on_note: Callable[[str], None] | None = None,
    on_selection: Callable[[str], None] | None = None,
    **options: Any,
) -> list[Path]:
    """Write a report for each region into a folder of its own, then `comparison.csv` and `comparison.html`.

    Multi-site dissimilarity rises with the number of cells, so it is measured on random samples of the same
    number of cells in every region; it is left out, with a sentence, where a region has fewer than two.

    Args:
        atlas: an opened atlas.
        places: two regions or more.
        out: folder of the folders.
        rule: how probabilities become species sets.
        formats: of each report.
        containment: which cells belong to a region.
        on_note: as `build_report`; each sentence begins with the name of its region.
        on_selection: likewise.
        **options: of the rule, and `statuses`, `records`, `created` of `build_report`.

    Raises:
        ReportError: fewer than two regions, one given twice, or what `build_report` raises.
        NoDataInRegionError: a region holds no cell of the atlas; nothing is written then.
    """
    _check(atlas, places, containment)
    of_rule = {name: value for name, value in options.items() if name in ("t", "k", "score")}
    rule_options(rule, of_rule)
    names = _folder_names(places)
    written: list[Path] = []
    told: list[content.ReportFacts] = []
    for region, name in zip(places, names, strict=True):
        written += build_report(
            atlas,
            region,
            out / name,
            rule,
            formats,
            containment=containment,
            on_note=_named(on_note, region.name),
            on_selection=_named(on_selection, region.name),
            on_facts=told.append,
            **options,
        )
    sampled = min(MAX_SAMPLE_CELLS, *(len(facts.chosen.rows) for facts in told))
    rows = [_row(facts, name, sampled) for facts, name in zip(told, names, strict=True)]
    shown = [column for column in COLUMNS if any(_is_known(row[column.key]) for row in rows)]
    with folder.staged_folder(out, COMPARISON_FILES) as fresh:
        _write_csv(fresh / "comparison.csv", rows, shown)
        page = _page(told, rows, shown, sampled, "html" in formats)
        (fresh / "comparison.html").write_text(render.render_comparison(page), encoding="utf-8")
    return [*written, *(out / name for name in (*COMPARISON_FILES, folder.MANIFEST_NAME))]


def _check(atlas: Any, places: Sequence[regions.Region], containment: str) -> None:
    if len(places) < 2:
        raise ReportError(f"A comparison needs two regions or more; found {len(places)}.")
    seen: dict[str, str] = {}
    for region in places:
        if region.geometry_hash in seen:
            raise ReportError(
                f"The regions “{seen[region.geometry_hash]}” and “{region.name}” have the same outline; give "
                "each region once."
            )
        seen[region.geometry_hash] = region.name
        store = atlas.store
        try:
            chosen = regions.select_cells(
                region, store.lonlat, store.resolution, store.cells, store.area_ha, containment
            )
        except NoDataInRegionError as error:
            raise NoDataInRegionError(f"“{region.name}”: {error}") from error
        if not len(chosen.rows):
            raise NoDataInRegionError(
                f"“{region.name}” holds no cell of the atlas {store.name}; choose regions on the land it "
                "covers."
            )


def _folder_names(places: Sequence[regions.Region]) -> list[str]:
    """A folder name of each region; those of the same name are numbered."""
    names: list[str] = []
    for region in places:
        stem, count = text.file_stem(region.name), 1
        name = stem
        while name in names:
            count += 1
            name = f"{stem}-{count}"
        names.append(name)
    return names


def _named(say: Callable[[str], None] | None, name: str) -> Callable[[str], None] | None:
    if say is None:
        return None
    heard = say  # the type checker loses that it is not None inside the inner function
    return lambda sentence: heard(f"{name}: {sentence}")


def _row(facts: content.ReportFacts, name: str, sampled: int) -> dict[str, Any]:
    summary = facts.summary
    row: dict[str, Any] = {
        "region": summary.region,
        "folder": name,
        "trust_grade": facts.trust.grade,
        "n_cells": summary.n_cells,
        **{column.key: summary.value(column.key) for column in COLUMNS if column.key in summary.indicators},
        **{name: group.by_rule for name, group in summary.groups.items()},
        **_threat(summary),
        **_percentiles(facts.benchmarks),
        **_multi_site(facts, sampled),
    }
    return {**{column.key: math.nan for column in COLUMNS}, **row}


def _threat(summary: RegionSummary) -> dict[str, float]:
    """Share of the first Red List with official categories."""
    for listed in concern.red_lists(summary):
        if listed.official is not None:
            return {
                "threatened_share_percent": 100.0 * listed.official.threatened_share,
                "unassessed_percent": listed.official.unassessed_percent,
            }
    return {}


def _percentiles(found: Benchmarks) -> dict[str, float]:
    names = {"richness": "richness", "weighted_endemism": "distinctiveness"}
    return {
        f"{names[standing.measure]}_percentile_{standing.against}": standing.percentile
        for standing in found.standings
        if standing.measure in names
    }


def _multi_site(facts: content.ReportFacts, sampled: int) -> dict[str, float]:
    summary = facts.summary
    found = sample_multi_site(
        facts.atlas.store, facts.chosen.rows, summary.rule, summary.rule_options, sampled
    )
    if found is None:
        return {}
    return {
        "multi_site_sorensen": found.total,
        "multi_site_turnover": found.turnover,
        "multi_site_nestedness": found.nestedness,
        "multi_site_cells": sampled,
    }


def _is_known(value: Any) -> bool:
    return value is not None and math.isfinite(value)


def _write_csv(path: Path, rows: Sequence[dict[str, Any]], shown: Sequence[Column]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["region", "folder", "trust_grade", *(column.key for column in shown)])
        for row in rows:
            values = [row[column.key] if _is_known(row[column.key]) else "" for column in shown]
            writer.writerow([row["region"], row["folder"], row["trust_grade"], *values])


def _page(
    told: Sequence[content.ReportFacts],
    rows: Sequence[dict[str, Any]],
    shown: Sequence[Column],
    sampled: int,
    with_pages: bool,
) -> dict[str, Any]:
    first = told[0]
    return {
        "title": f"{text.counted(len(rows), 'region')} compared",
        "atlas_title": first.atlas.title,
        "created_date": text.long_date(first.created),
        "regions": [
            {"name": row["region"], "link": f"{row['folder']}/report.html" if with_pages else ""}
            for row in rows
        ],
        "rows": [
            {"label": "Trust grade (A–D)", "values": [row["trust_grade"] for row in rows]},
            *(
                {
                    "label": f"{column.label}, {column.unit}" if column.unit else column.label,
                    "values": [_shown(row[column.key], column.digits) for row in rows],
                }
                for column in shown
            ),
        ],
        "notes": [
            f"Species sets follow the rule “{first.summary.rule}”: {first.summary.rule_text}. Cells counted: "
            f"{first.summary.containment_text}.",
            SAME_SIZE,
            _multi_site_note(sampled),
            *first.benchmarks.notes,
        ],
        "footer": content.credit_line(first),
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


def _shown(value: Any, digits: int) -> str:
    return text.decimal(value, digits) if _is_known(value) else text.NOT_DEFINED
