"""What the report of one region says, in the order its template sets it.

Every number comes from `RegionSummary` or from the atlas' model card; this module chooses, orders and puts
them into words, and computes none.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from markupsafe import Markup

from sdm_core import config, regions
from sdm_core.applicability import METHOD, NextPlaces, Trust
from sdm_core.indicators import Benchmarks, RegionSummary, Structure
from sdm_core.observed import ObservedRegion
from sdm_core.reports import benchmarks, concern, next_places, observed, structure, text, wording
from sdm_core.reports import card as cards
from sdm_core.reports.drawings import FIGURE_FILES
from sdm_core.reports.figures import DrawnFigure
from sdm_core.reports.rule_table import rule_table
from sdm_core.reports.species import families, flag_sources, flagged, species_rows
from sdm_core.statuses import MatchedStatuses

#: Species in the table of section 5; the annex and `species.csv` hold more.
N_TABLE_SPECIES = 30
#: Species not in any set are still listed in the annex from this mean probability on.
LEAST_MEAN_PROBABILITY = 0.05
N_COUNTRIES = 8
_CELL_AREA_FIGURES = 2
_HECTARES_PER_KM2 = 100
#: Indicators that stand in section 2, or in sections 8 and 9.
_NOT_DIVERSITY = (
    "area_km2",
    "cell_area_km2",
    "weighted_endemism",
    "relative_endemism",
    "range_over_1_percent",
    "range_over_5_percent",
    "invasive_share",
)


@dataclass(frozen=True)
class ReportFacts:
    """Everything a report is made of.

    `chosen` cells of the store inside the region; `files` names of the files written beside the page;
    `command` what writes the same numbers again; `observed` a user's records beside the prediction;
    `statuses` status lists matched to the atlas; `next_places` where to look next;
    `benchmarks` the region beside other cells; `structure` how composition varies inside it.
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


def credit_line(facts: ReportFacts) -> str:
    """Sources below a figure: program, atlas with version, date and data."""
    sources = cards.data_sources({"data": facts.atlas.card.get("data")})
    names = [source["name"].split(" (")[0] for source in sources]
    data = f" Data: {'; '.join(names)}." if names else ""
    return (
        f"Florascope {config.CODE_VERSION}, {facts.atlas.title}, version {facts.summary.atlas_version[:12]}, "
        f"{text.long_date(facts.created)}.{data}"
    )


def top_species(summary: RegionSummary, count: int) -> list[tuple[str, float]]:
    """Name and mean probability of the species with the largest expected area."""
    table = summary.species_table.head(count)
    return list(zip(table["species"], table["mean_probability"].astype(float), strict=True))


def build_content(facts: ReportFacts, drawn: Mapping[str, DrawnFigure | None]) -> dict[str, Any]:
    """Content of the report's template (`r`), complete; numbers already in the form readers see."""
    summary, atlas = facts.summary, facts.atlas
    table = summary.species_table
    listed = table[table["present"] | (table["mean_probability"] >= LEAST_MEAN_PROBABILITY)]
    endemic_origin = cards.endemic_origin(atlas.card)
    with_flag = flagged(table[table["present"]])
    statuses = concern.status_flags(summary)
    all_rows = species_rows(listed, endemic_origin, statuses)
    return {
        "place": facts.region.name,
        "atlas_title": atlas.title,
        "created_date": text.long_date(facts.created),
        "created_iso": facts.created.isoformat(timespec="seconds"),
        "code_version": config.CODE_VERSION,
        "warning": wording.build_warning(atlas.card),
        "figures": drawn,
        "numbers": _figure_numbers(drawn),
        "cards": _cover_cards(summary, facts.trust),
        "sentences": _sentences(summary)
        + ([observed.sentence(facts.observed)] if facts.observed is not None else []),
        "provenance": (
            f"Made on {text.long_date(facts.created)} at {facts.created:%H:%M %Z} with Florascope "
            f"{config.CODE_VERSION} from the atlas “{atlas.title}”, version {summary.atlas_version}."
        ),
        "permalink": text.safe_link(facts.permalink),
        "sections": _sections(facts),
        "dials": benchmarks.dials(facts.benchmarks),
        "context": benchmarks.context_section(facts.benchmarks),
        "no_protected_areas": wording.NO_PROTECTED_AREAS,
        "structure": structure.structure_section(facts.structure),
        "no_habitats": wording.NO_HABITATS,
        "no_change": wording.NO_CHANGE,
        "annexes": wording.ANNEXES,
        "observed": (
            observed.observed_section(facts.observed, summary) if facts.observed is not None else None
        ),
        "area_facts": _area_facts(facts),
        "area_notes": [text.sentence(note) for note in summary.notes],
        "trust_paragraphs": [wording.TRUST, _grade_sentence(facts.trust), METHOD, *_flag_gaps(summary)],
        "trust_facts": _trust_facts(facts),
        "rule": summary.rule,
        "diversity_intro": (
            f"Species sets follow the rule “{summary.rule}”: {summary.rule_text}. Numbers in brackets are an "
            "interval or a range; what it means stands beside it."
        ),
        "diversity_rows": _diversity_rows(summary),
        "diversity_notes": wording.DIVERSITY_NOTES,
        "rules_beside": rule_table(facts.atlas.store, facts.chosen, summary),
        "species_intro": _species_intro(summary),
        "species_top": species_rows(table.head(N_TABLE_SPECIES), endemic_origin, statuses),
        "species_top_caption": f"The {min(N_TABLE_SPECIES, len(table))} species predicted over the largest "
        "area",
        "species_flagged": species_rows(with_flag.head(N_TABLE_SPECIES), endemic_origin, statuses),
        "species_flagged_caption": _flagged_caption(len(with_flag)),
        "species_all": all_rows,
        "families": families(all_rows),
        "species_note": wording.SPECIES_NOTE,
        "cells_heading": f"Cells (of {text.whole(summary.n_cells)})",
        "flag_sources": flag_sources(table, summary, endemic_origin) + concern.list_meanings(summary),
        "concern": concern.concern_sections(summary, endemic_origin),
        "next": next_places.next_section(facts.next_places),
        "annex_intro": (
            f"{text.counted(len(listed), 'species', 'species')} of {text.whole(summary.n_species_atlas)} "
            "in the atlas: those in the set of at least one cell, and those with a mean probability of at "
            f"least {LEAST_MEAN_PROBABILITY:g} over the region. Numbers beside a name are mean "
            "probabilities. The file species.csv holds every species with any probability, and more "
            "columns."
        ),
        "annex_caption": "Species of the region; press a heading to sort",
        "limits": wording.limits(atlas.card),
        "method_paragraphs": wording.method_paragraphs(atlas.card, summary),
        "score_tables": cards.score_tables(atlas.card),
        "score_notes": wording.score_notes(atlas.card),
        "covariates": wording.covariates(atlas.card),
        "odmap": wording.odmap(atlas.card, summary),
        "command": reproduce_command(facts),
        "snippet": reproduce_snippet(facts),
        "citation": citation(facts),
        "sources": cards.all_sources(atlas.card),
        "references": wording.REFERENCES,
        "files": [{"name": name, "text": wording.FILE_TEXTS.get(name, "")} for name in facts.files],
        "footer": (
            f"Florascope {config.CODE_VERSION} · {atlas.title}, version {summary.atlas_version} · "
            f"{text.long_date(facts.created)}"
        ),
    }


def _sections(facts: ReportFacts) -> list[dict[str, str]]:
    """Sections of the contents; that on records only where there are some."""
    sections = list(wording.SECTIONS)
    if facts.observed is not None:
        place = next(number for number, section in enumerate(sections) if section["id"] == "s5")
        sections.insert(place + 1, observed.SECTION)
    return sections


def citation(facts: ReportFacts) -> str:
    """Citation of the report to copy."""
    address = f" {text.safe_link(facts.permalink)}" if text.safe_link(facts.permalink) else ""
    return (
        f"Florascope ({facts.created.year}). Plant diversity report: {facts.region.name}. Atlas "
        f"“{facts.atlas.title}”, version {facts.summary.atlas_version[:12]}; Florascope "
        f"{config.CODE_VERSION}; made on {text.long_date(facts.created)}; outline "
        f"{facts.summary.geometry_hash}.{address} Please cite the data sources below as well."
    )


def reproduce_command(facts: ReportFacts) -> str:
    """Command that writes the same numbers from the outline beside the report."""
    options = "".join(
        f" --{name} {value}" for name, value in facts.summary.rule_options.items() if np.ndim(value) == 0
    )
    containment = (
        ""
        if facts.summary.containment == regions.DEFAULT_CONTAINMENT
        else f" --containment {facts.summary.containment}"
    )
    files = dict.fromkeys(listed.file for listed in facts.summary.status_lists)
    statuses = "".join(f" --status {shlex.quote(name)}" for name in files)
    return (
        f"python -m sdm_core report --region area.geojson --out report-again --model {facts.atlas.name} "
        f"--rule {facts.summary.rule}{options}{containment}{statuses}"
        + (observed.command_options(facts.observed) if facts.observed is not None else "")
    )


def reproduce_snippet(facts: ReportFacts) -> str:
    """The same in Python, down to the numbers."""
    options = "".join(
        f", {name}={value!r}" for name, value in facts.summary.rule_options.items() if np.ndim(value) == 0
    )
    return "\n".join(
        [
            "from pathlib import Path",
            "from sdm_core import regions",
            "from sdm_core.indicators import summarise_region",
            "from sdm_core.registry import open_atlas",
            "",
            f'store = open_atlas("{facts.atlas.name}").store  # version {facts.summary.atlas_version}',
            'region = regions.read_region(Path("area.geojson"))',
            f'containment = "{facts.summary.containment}"',
            "grid = (store.lonlat, store.resolution, store.cells, store.area_ha)",
            "chosen = regions.select_cells(region, *grid, containment)",
            f'summary = summarise_region(store, chosen.rows, region, rule="{facts.summary.rule}"{options},',
            "    notes=chosen.notes, hectares=chosen.hectares, containment=containment)",
            'print(summary.value("alpha_expected"), summary.value("gamma"), summary.value("shannon"))',
        ]
    )


def _figure_numbers(drawn: Mapping[str, DrawnFigure | None]) -> dict[str, int]:
    """Number of each figure in reading order; figures that are missing take none."""
    present = [key for key in FIGURE_FILES if drawn.get(key) is not None]
    return {key: place + 1 for place, key in enumerate(present)}


def _cover_cards(summary: RegionSummary, trust: Trust) -> list[dict[str, str]]:
    alpha, lower, effective = summary["alpha_expected"], summary["gamma_lower"], summary["hill_1"]
    return [
        {
            "label": "species expected in a cell (α)",
            "value": text.count_like(alpha.value),
            "note": f"{text.count_like(alpha.low)}–{text.count_like(alpha.high)} between cells",
        },
        {
            "label": f"species in the region (γ), rule “{summary.rule}”",
            "value": summary["gamma"].shown,
            "note": f"at least {text.count_like(lower.value)} expected "
            f"({text.count_like(lower.low)}–{text.count_like(lower.high)}, 90 %)",
        },
        {
            "label": "Shannon index of the region (H′, nats)",
            "value": summary["shannon"].shown,
            "note": f"as {text.count_like(effective.value)} equally widespread species",
        },
        _group_card(summary),
        {"label": "trust grade (A–D)", "value": trust.grade, "note": trust.grade_text},
    ]


def _group_card(summary: RegionSummary) -> dict[str, str]:
    """Threat where a Red List was added, else endemics where known, else the rank in the atlas."""
    for listed in concern.red_lists(summary):
        numbers = listed.official
        if numbers is not None and np.isfinite(numbers.threatened_share):
            return {
                "label": f"of assessed species threatened, {listed.listed}",
                "value": concern.share_text(numbers.threatened_share),
                "note": f"{concern.share_text(numbers.low)}–{concern.share_text(numbers.high)}, as "
                f"{text.percent(numbers.unassessed_percent / 100)} are not assessed",
            }
    endemic = summary.groups.get("endemic")
    if endemic is not None and endemic.unassessed_percent < 100.0:
        return {
            "label": f"endemic species, rule “{summary.rule}”",
            "value": text.whole(endemic.by_rule),
            "note": f"{text.sensible(endemic.unassessed_percent, 2)} % of species not assessed",
        }
    return {
        "label": "of the atlas’ area is poorer in species",
        "value": f"{text.sensible(summary.percentiles['richness'], 2)}{text.UNIT_SPACE}%",
        "note": "than the region’s mean cell",
    }


def _grade_sentence(trust: Trust) -> str:
    return f"Grade {trust.grade}: {trust.grade_text}. What decided: {trust.reason}"


def _sentences(summary: RegionSummary) -> list[str]:
    area = summary.value("area_km2")
    cells = f"{text.counted(summary.n_cells, 'cell')} that cover" + ("s" if summary.n_cells == 1 else "")
    said: list[str] = [
        (f"The region covers {text.area(area)}. " if np.isfinite(area) else "")
        + f"The atlas describes it with {cells} {text.area(summary.value('cell_area_km2'))}.",
        f"{summary.sentence('alpha_expected')} {_percentile_sentence(summary)}"
        if summary.n_cells > 1
        else f"This cell is expected to hold {summary['alpha_expected'].shown} species. "
        f"{_percentile_sentence(summary)}",
        f"{summary.sentence('gamma')} {summary.sentence('gamma_lower')}",
        summary.sentence("beta_whittaker"),
    ]
    widest = [Markup("<i>{}</i>").format(name) for name, _ in top_species(summary, 3)]
    if widest:
        verb = "is" if len(widest) == 1 else "are"
        said.append(Markup(f"The most widespread of them {verb} {text.listed(widest)}."))
    said.extend(_group_sentences(summary))
    said.extend(listed.sentence for listed in concern.red_lists(summary)[:2])
    return [sentence for sentence in said if sentence]


def _percentile_sentence(summary: RegionSummary) -> str:
    share = summary.percentiles.get("richness", np.nan)
    if not np.isfinite(share):
        return ""
    return f"That is more than in {text.sensible(share, 2)} % of the area of the atlas."


def _group_sentences(summary: RegionSummary) -> list[str]:
    said = []
    for name, words in wording.GROUP_SENTENCES.items():
        group = summary.groups.get(name)
        if group is None or not (group.by_rule or group.expected >= 0.5):
            continue
        said.append(
            words.format(
                by_rule=text.whole(group.by_rule),
                verb="is" if group.by_rule == 1 else "are",
                expected=text.decimal(group.expected, 1),
            )
        )
    return said


def _flag_gaps(summary: RegionSummary) -> list[str]:
    """What the atlas does not know about flags, so that a missing label is not read as "no"."""
    gaps = [
        words
        for name, words in wording.GROUP_GAPS.items()
        if summary.groups[name].unassessed_percent >= 100.0
    ]
    table = summary.species_table
    if not (table["habitats_directive"].fillna("").astype(str) != "").any() and not bool(
        table["invasive_union_concern"].fillna(False).astype(bool).any()
    ):
        gaps.append(wording.NO_LEGAL_FLAGS)
    return gaps


def _area_facts(facts: ReportFacts) -> list[dict[str, str]]:
    summary, region = facts.summary, facts.region
    west, south, east, north = region.bounds
    found = regions.countries_of(region)
    held = [f"{name} ({text.percent(share)})" for name, share in found[:N_COUNTRIES]]
    if len(found) > N_COUNTRIES:
        held.append(f"{len(found) - N_COUNTRIES} more")
    mean_cell = float(np.mean(facts.atlas.store.area_ha[facts.chosen.rows])) / _HECTARES_PER_KM2
    return [
        _row("Name", region.name),
        _row("Area of the outline", text.area(region.area_km2), "geodesic, WGS84"),
        _row(
            "Cells of the atlas",
            f"{text.counted(summary.n_cells, 'cell')}, {text.area(summary.value('cell_area_km2'))}",
            f"H3 resolution {summary.resolution}, about {text.sensible(mean_cell, _CELL_AREA_FIGURES)} km² "
            "each",
        ),
        _row(
            "How cells were chosen",
            summary.containment_text,
            "an outline too small to hold a centre takes the cell it overlaps most"
            if summary.containment == regions.DEFAULT_CONTAINMENT
            else "",
        ),
        _row("Countries", text.listed(held) if held else "none on the shipped map"),
        _row(
            "Extent",
            f"{_degrees(west, 'E', 'W')} to {_degrees(east, 'E', 'W')}, "
            f"{_degrees(south, 'N', 'S')} to {_degrees(north, 'N', 'S')}",
        ),
        _row("Source of the outline", region.source or "not stated"),
        _row("Hash of the outline", region.geometry_hash, "SHA-256, first 16 digits"),
    ]


def _degrees(value: float, positive: str, negative: str) -> str:
    return f"{abs(value):.3f}°{text.NARROW_SPACE}{negative if value < 0 else positive}"


def _trust_facts(facts: ReportFacts) -> list[dict[str, str]]:
    table = facts.summary.species_table
    rows = []
    nearby = table["records_nearby"].dropna()
    if len(nearby):
        rows.append(
            _row(
                "Records nearby",
                f"{text.whole(int(nearby.sum()))} of {text.whole(int((nearby > 0).sum()))} species",
                "observed in the coarse cells (about 1,800 km² each) that the region touches",
            )
        )
        present = table.loc[table["present"] & table["records_nearby"].notna(), "records_nearby"]
        if len(present):
            seen = int((present > 0).sum())
            rows.append(
                _row(
                    "Predicted and recorded nearby",
                    f"{text.whole(seen)} of {text.whole(len(present))} species in the region’s sets",
                    "the others are predicted from the conditions alone" if seen < len(present) else "",
                )
            )
    else:
        rows.append(_row("Records nearby", "not shipped with this atlas"))
    rows.extend(_row(*fact) for fact in cards.quality_facts(facts.atlas.card))
    rows.append(_row("Years of the records", cards.years(facts.atlas.card)))
    for criterion in facts.trust.criteria:
        rows.append(_row(criterion.text.label, f"grade {criterion.grade}", criterion.sentence))
    rows.extend(next_places.experience_facts(facts.trust.experience))
    return rows


def _diversity_rows(summary: RegionSummary) -> list[dict[str, str]]:
    rows = []
    for name, indicator in summary.indicators.items():
        if name in _NOT_DIVERSITY:
            continue
        words = indicator.text
        meaning = words.definition
        if words.interval and np.isfinite(indicator.low):
            meaning = f"{meaning} In brackets: {words.interval}."
        unit = f" ({words.unit})" if words.unit and words.unit not in words.label else ""
        rows.append({"label": words.label + unit, "value": indicator.shown_interval, "meaning": meaning})
    return rows


def _species_intro(summary: RegionSummary) -> str:
    return (
        f"{summary.sentence('gamma')} “Mean p” is the area-weighted mean of the calibrated probability "
        "over the region’s cells, “highest p” that of its best cell; the expected area is Σ cell area × p; "
        "“cells” says in how many cells the species belongs to the set; “records nearby” counts records in "
        "the coarse cells (about 1,800 km² each) that the region touches."
    )


def _flagged_caption(count: int) -> str:
    shown = min(count, N_TABLE_SPECIES)
    of_all = "" if shown == count else f"; {text.whole(count)} in all, the others in the annex"
    return f"Species of the region’s sets that carry a flag, largest area first{of_all}"


def _row(label: str, value: str, note: str = "") -> dict[str, str]:
    return {"label": label, "value": value, "note": note}
