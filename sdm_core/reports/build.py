"""A region's whole report, from the atlas to the files."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sdm_core import config, regions
from sdm_core.applicability import assess_trust, next_places
from sdm_core.errors import ReportError
from sdm_core.indicators import (
    benchmark_region,
    region_structure,
    rule_options,
    summarise_outline,
)
from sdm_core.observed import Records, observe_region, species_ranges
from sdm_core.reports import card as cards
from sdm_core.reports import content, cover, drawings, figures, folder, render, text
from sdm_core.reports.data import RASTERS, write_data
from sdm_core.reports.facts import ReportFacts, credit_line, top_species
from sdm_core.reports.observed import OBSERVED_FILE
from sdm_core.statuses import StatusFile, match_statuses

logger = logging.getLogger(__name__)

#: Sentences the first page has room for beside a map of the usual height.
_MOST_SENTENCES = 5
#: Kinds of image in which each figure is written.
_IMAGES: tuple[figures.ImageKind, ...] = ("svg", "png")
#: Formats of a report and the files each may write; a figure that this atlas lacks has no file.
FORMAT_FILES: dict[str, tuple[str, ...]] = {
    "html": ("report.html",),
    "pdf": ("report.pdf",),
    "csv": ("species.csv", "habitats.csv"),
    "json": ("indicators.json",),
    "geojson": ("area.geojson",),
    "geoparquet": ("cells.geoparquet",),
    "geotiff": tuple(f"maps/{name}.tif" for name in RASTERS),
    "methods": ("odmap.csv", "reproduce.py"),
    "figures": tuple(f"figures/{name}.{kind}" for name in drawings.FIGURE_FILES.values() for kind in _IMAGES),
}
FORMATS: tuple[str, ...] = tuple(FORMAT_FILES)
#: Formats written unless others are asked for: figures as files take about as long as the rest.
DEFAULT_FORMATS: tuple[str, ...] = tuple(name for name in FORMATS if name != "figures")


def build_report(
    atlas: Any,
    region: regions.Region,
    out: Path,
    rule: str = config.DEFAULT_RULE,
    formats: Sequence[str] = DEFAULT_FORMATS,
    *,
    containment: str = regions.DEFAULT_CONTAINMENT,
    statuses: Sequence[StatusFile] = (),
    records: Records | None = None,
    outlines: regions.Outlines | None = None,
    permalink: str = "",
    created: datetime | None = None,
    on_note: Callable[[str], None] | None = None,
    on_selection: Callable[[str], None] | None = None,
    on_facts: Callable[[ReportFacts], None] | None = None,
    **options: Any,
) -> list[Path]:
    """Write the report of a region into the folder `out` and name its files.

    Every file is written aside and renamed in once all are done, the manifest last; on any error the folder
    stays as it was. The same numbers stand in every format: all come from one `RegionSummary`.

    Args:
        atlas: an opened atlas (`registry.open_atlas`).
        region: the outline.
        out: folder of the report, made when it is missing; files of an earlier report in it are replaced,
            those edited since are kept under another name.
        rule: how probabilities become species sets, one of `indicators.RULES`.
        formats: some of `FORMATS`; all but the figures as files unless said otherwise.
        containment: which cells belong to the region, one of `regions.CONTAINMENT_RULES`.
        statuses: status lists (`statuses.read_statuses`), for the sections on threatened, protected,
            invasive and endemic species.
        records: own records and plots (`observed.read_records`), for the section on what was observed, the
            columns `observed_…` of `species.csv`, extent of occurrence and area of occupancy, and
            `observed.csv`.
        outlines: named outlines (`regions.read_outlines`) of which those that hold most of the region are
            compared with.
        permalink: web address that opens this region again, shown in the report.
        created: moment shown in the report; now in UTC by default.
        on_note: is told in one sentence what could not be made (a PDF without its libraries).
        on_selection: is told in one sentence each what was done to the outline, how its cells were chosen,
            which taxa of a status list are not in the atlas, which outlines it is compared with, and what to
            know of the records.
        on_facts: is given what the report is made of, once it is written.
        **options: of the rule, as `summarise_region` takes them.

    Returns:
        Paths of all files written, `MANIFEST.sha256` last.

    Raises:
        RuleError: an unknown rule or option.
        RegionError: an unknown rule of containment.
        NoDataInRegionError: the region holds no cell of the atlas.
        ReportError: an unknown format, a folder that cannot be written, a full disk, or a PDF as the only
            format when its libraries are missing.
    """
    wanted = _checked_formats(formats)
    rule_options(rule, options)
    regions.check_containment(containment)
    store = atlas.store
    matched = [match_statuses(file, store.species) for file in statuses]
    chosen, summary = summarise_outline(store, region, rule, containment, matched, **options)
    moment = (created or datetime.now(UTC)).replace(microsecond=0)
    trust = assess_trust(store, chosen.rows, summary, atlas.card, chosen.hectares)
    found = None if records is None else observe_region(records, region, atlas.species, summary)
    ranges = None if records is None or found is None else species_ranges(records, found)
    places = next_places(store, chosen.rows, summary.species_table)
    stands = benchmark_region(store, chosen.rows, chosen.hectares, region, matched, outlines)
    inside = region_structure(store, chosen.rows, rule, summary.rule_options, matched)
    facts = ReportFacts(
        atlas,
        region,
        chosen,
        summary,
        trust,
        stands,
        inside,
        moment,
        permalink,
        (),
        found,
        matched,
        places,
        ranges,
    )
    with folder.staged_folder(out, _all_files()) as fresh:
        write_data(fresh, wanted, facts)
        _write_pages(fresh, wanted, facts, on_note)
        written = _written(fresh)
    if on_facts is not None:
        on_facts(facts)
    if on_selection is not None:
        lists = (said for one in matched for said in one.sentences())
        # the first note of the benchmarks is on the outlines, where there are any
        drawn_up = () if outlines is None else (*outlines.notes, *stands.notes[:1])
        warnings = () if found is None else found.warnings
        for note in (*summary.notes, *lists, *drawn_up, *warnings):
            on_selection(note)
    return [out / name for name in (*written, folder.MANIFEST_NAME)]


def report_stem(atlas: Any, region: regions.Region, created: datetime) -> str:
    """Start of a file name for a download: place, atlas and date."""
    return text.file_stem(region.name, atlas.name, f"{created:%Y-%m-%d}")


def _all_files() -> list[str]:
    """Every file a report may have, in the order they are listed."""
    names = [name for group in FORMAT_FILES.values() for name in group]
    names.insert(names.index("habitats.csv"), OBSERVED_FILE)
    return names


def _checked_formats(formats: Sequence[str]) -> tuple[str, ...]:
    wanted = tuple(dict.fromkeys(word.strip().lower() for word in formats))
    unknown = [word for word in wanted if word not in FORMAT_FILES]
    if unknown:
        raise ReportError(f'The report format is "{unknown[0]}", expected some of {", ".join(FORMATS)}.')
    if not wanted:
        raise ReportError(f"No report format was asked for; choose some of {', '.join(FORMATS)}.")
    return wanted


def _write_pages(
    fresh: Path,
    wanted: Sequence[str],
    facts: ReportFacts,
    on_note: Callable[[str], None] | None,
) -> None:
    """HTML and PDF, from the same content, and the figures as files."""
    if not {"html", "pdf", "figures"} & set(wanted):
        return
    drawn = _drawn(facts, "png")
    if "figures" in wanted:
        _write_figures(fresh, drawn, _drawn(facts, "svg"))
    if "html" not in wanted and "pdf" not in wanted:
        return
    there = {*_written(fresh), *(f"report.{kind}" for kind in ("html", "pdf") if kind in wanted)}
    listed = [name for name in _all_files() if name in there] + [folder.MANIFEST_NAME]
    said = content.build_content(dataclasses.replace(facts, files=listed), drawn)
    if "pdf" in wanted:
        try:
            render.render_pdf(said, fresh / "report.pdf")
        except ReportError as error:
            if set(wanted) == {"pdf"}:
                raise
            logger.warning("%s", error)
            if on_note is not None:
                on_note(str(error))
            said["files"] = [entry for entry in said["files"] if entry["name"] != "report.pdf"]
    if "html" in wanted:
        (fresh / "report.html").write_text(render.render_html(said), encoding="utf-8")


def _written(fresh: Path) -> list[str]:
    """Names of the files in a folder, relative to it, in order."""
    return sorted(path.relative_to(fresh).as_posix() for path in fresh.rglob("*") if path.is_file())


def _says_much(facts: ReportFacts) -> bool:
    """Whether the first page needs more room for words than for its map."""
    lines = len(cover.sentences(facts.summary))
    lines += 2 * (facts.observed is not None) + 2 * (facts.benchmarks.frame is not None)
    return lines > _MOST_SENTENCES or bool(facts.statuses)


def _drawn(facts: ReportFacts, kind: figures.ImageKind) -> dict[str, figures.DrawnFigure | None]:
    return drawings.draw_all(
        facts.atlas.store,
        facts.region,
        facts.chosen.rows,
        credit=credit_line(facts),
        mean_richness=facts.summary.value("alpha_expected"),
        top_species=top_species(facts.summary, drawings.N_BARS),
        calibration=cards.calibration(facts.atlas.card),
        structure=facts.structure,
        low_cover=_says_much(facts),
        kind=kind,
    )


def _write_figures(fresh: Path, *drawings_by_kind: dict[str, figures.DrawnFigure | None]) -> None:
    """Every figure as a file with legend, scale and sources, once for each kind of image."""
    (fresh / "figures").mkdir()
    for drawn in drawings_by_kind:
        for key, figure in drawn.items():
            if figure is not None:
                kind = "svg" if figure.image[:5] == b"<?xml" else "png"
                (fresh / "figures" / f"{drawings.FIGURE_FILES[key]}.{kind}").write_bytes(figure.image)


__all__ = ["DEFAULT_FORMATS", "FORMATS", "FORMAT_FILES", "build_report", "report_stem"]
