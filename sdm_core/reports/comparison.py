"""Several regions at once: a report for each in its own folder, and one table that sets them side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sdm_core import config, regions
from sdm_core.indicators import rule_options
from sdm_core.reports import folder, render, text
from sdm_core.reports.build import DEFAULT_FORMATS, build_report
from sdm_core.reports.facts import ReportFacts, credit_line
from sdm_core.reports.side_by_side import (
    Column,
    Comparison,
    RegionNumbers,
    check_number,
    compare,
    is_known,
    numbers_of,
    sort_out,
)

COMPARISON_FILES = ("comparison.csv", "comparison.html")


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
    on_progress: Callable[[int, str], None] | None = None,
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
        on_progress: is given the number of reports written and the name of the next region.
        **options: of the rule, and `statuses`, `records`, `outlines`, `created` of `build_report`.

    Raises:
        ReportError: fewer than two regions, more than `MAX_REGIONS`, one given twice, or what `build_report`
            raises.
        NoDataInRegionError: a region holds no cell of the atlas; nothing is written then.
    """
    check_number(len(places))
    _, refused = sort_out(atlas, places, containment)
    if refused:
        raise refused[0]
    of_rule = {name: value for name, value in options.items() if name in ("t", "k", "score")}
    rule_options(rule, of_rule)
    names = _folder_names(places)
    written: list[Path] = []
    first: list[ReportFacts] = []
    numbers: list[RegionNumbers] = []

    def note_numbers(facts: ReportFacts) -> None:
        first.extend([facts] if not first else [])
        numbers.append(numbers_of(facts.chosen.rows, facts.summary, facts.trust, facts.benchmarks))

    for place, (region, name) in enumerate(zip(places, names, strict=True)):
        if on_progress is not None:
            on_progress(place, region.name)
        written += build_report(
            atlas,
            region,
            out / name,
            rule,
            formats,
            containment=containment,
            on_note=_named(on_note, region.name),
            on_selection=_named(on_selection, region.name),
            on_facts=note_numbers,
            **options,
        )
    found = compare(atlas.store, places, numbers)
    for row, name in zip(found.rows, names, strict=True):
        row["folder"] = name
    with folder.staged_folder(out, COMPARISON_FILES) as fresh:
        (fresh / "comparison.csv").write_text(found.to_csv(("folder",)), encoding="utf-8", newline="")
        page = _page(first[0], found, "html" in formats)
        (fresh / "comparison.html").write_text(render.render_comparison(page), encoding="utf-8")
    return [*written, *(out / name for name in (*COMPARISON_FILES, folder.MANIFEST_NAME))]


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


def _page(first: ReportFacts, found: Comparison, with_pages: bool) -> dict[str, Any]:
    rows, ends = found.rows, found.intervals()
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
                    "values": [_shown(row, column, ends.get(column.key)) for row in rows],
                }
                for column in found.columns
            ),
        ],
        "notes": [*found.notes, *found.benchmark_notes],
        "footer": credit_line(first),
    }


def _shown(row: dict[str, Any], column: Column, ends: tuple[str, str] | None) -> str:
    """A number with its interval, as in 42.1 (35.0–51.3)."""
    if not is_known(row[column.key]):
        return text.NOT_DEFINED
    value = text.decimal(row[column.key], column.digits)
    if ends is None or not is_known(row.get(ends[0])):
        return value
    low, high = (text.decimal(row[end], column.digits) for end in ends)
    return f"{value} ({low}–{high})"
