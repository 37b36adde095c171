"""What the report of one region says, in the order its template sets it.

Every number comes from `RegionSummary` or from the atlas' model card; this module chooses, orders and puts
them into words, and computes none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sdm_core import config
from sdm_core.applicability import METHOD
from sdm_core.indicators import RegionSummary
from sdm_core.indicators.texts import MODEL_ERRORS
from sdm_core.reports import (
    again,
    area,
    benchmarks,
    concern,
    cover,
    next_places,
    observed,
    structure,
    text,
    wording,
)
from sdm_core.reports import card as cards
from sdm_core.reports.drawings import FIGURE_FILES
from sdm_core.reports.facts import ReportFacts, citation
from sdm_core.reports.figures import DrawnFigure
from sdm_core.reports.observed_ranges import range_section
from sdm_core.reports.rule_table import rule_table
from sdm_core.reports.species import families, flag_sources, flagged, species_rows

#: Species in the table of section 5; the annex and `species.csv` hold more.
N_TABLE_SPECIES = 30
#: Species not in any set are still listed in the annex from this mean probability on.
LEAST_MEAN_PROBABILITY = 0.05
#: Letters of what intervals mean.
_MARKS = "abcdefghij"
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


def build_content(facts: ReportFacts, drawn: Mapping[str, DrawnFigure | None]) -> dict[str, Any]:
    """Content of the report's template (`r`), complete; numbers already in the form readers see."""
    summary, atlas = facts.summary, facts.atlas
    table = summary.species_table
    if facts.observed is not None:
        table = observed.with_observed(table, facts.observed)
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
        "cards": cover.cover_cards(summary, facts.trust),
        "sentences": cover.sentences(summary)
        + ([observed.sentence(facts.observed)] if facts.observed is not None else []),
        "interval_sentence": cover.interval_sentence(summary),
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
        "area_facts": area.area_facts(facts),
        "area_notes": [text.sentence(note) for note in summary.notes],
        "trust_paragraphs": [
            wording.TRUST,
            area.grade_sentence(facts.trust),
            METHOD,
            *area.flag_gaps(summary),
        ],
        "trust_facts": area.trust_facts(facts),
        "rule": summary.rule,
        "diversity_intro": (
            f"Species sets follow the rule “{summary.rule}”: {summary.rule_text}. Numbers in brackets are an "
            "interval or a range; what the letter beside them means stands below the table."
        ),
        "diversity_rows": _diversity_rows(summary),
        "interval_meanings": [
            {"mark": mark, "text": meaning}
            for mark, meaning in zip(_MARKS, _interval_meanings(summary), strict=False)
        ],
        "diversity_notes": wording.diversity_notes(summary),
        "rules_beside": rule_table(facts.atlas.store, facts.chosen, summary),
        "species_intro": _species_intro(summary),
        "species_top": species_rows(table.head(N_TABLE_SPECIES), endemic_origin, statuses),
        "species_top_caption": f"The {min(N_TABLE_SPECIES, len(table))} species predicted over the largest "
        "area",
        "species_flagged": species_rows(with_flag.head(N_TABLE_SPECIES), endemic_origin, statuses),
        "species_flagged_caption": _flagged_caption(len(with_flag)),
        "species_all": all_rows,
        "has_observed": facts.observed is not None,
        "has_certainty": bool(table["certainty"].notna().any()),
        "families": families(all_rows),
        "species_note": wording.SPECIES_NOTE,
        "cells_heading": f"Cells (of {text.whole(summary.n_cells)})",
        "flag_sources": flag_sources(table, summary, endemic_origin) + concern.list_meanings(summary),
        "concern": concern.concern_sections(summary, endemic_origin),
        "ranges": range_section(facts.ranges, summary),
        "next": next_places.next_section(facts.next_places),
        "annex_intro": (
            f"{text.counted(len(listed), 'species', 'species')} of {text.whole(summary.n_species_atlas)} "
            "in the atlas: those in the set of at least one cell, and those with a mean probability of at "
            f"least {LEAST_MEAN_PROBABILITY:g} over the region. Numbers beside a name are mean "
            "probabilities. The file species.csv holds every species with any probability, and more "
            "columns."
        ),
        "annex_caption": "Species of the region; press a heading to sort",
        "limits": wording.limits(atlas.card, summary),
        "method_paragraphs": wording.method_paragraphs(atlas.card, summary),
        "score_tables": cards.score_tables(atlas.card),
        "score_notes": wording.score_notes(atlas.card),
        "covariates": wording.covariates(atlas.card),
        "odmap": wording.odmap(atlas.card, summary),
        "command": again.reproduce_command(facts),
        "snippet": again.reproduce_snippet(facts),
        "citation": citation(facts),
        "sources": cards.all_sources(atlas.card),
        "references": wording.REFERENCES,
        "files": _files(facts.files),
        "footer": (
            f"Florascope {config.CODE_VERSION} · {atlas.title}, version {summary.atlas_version} · "
            f"{text.long_date(facts.created)}"
        ),
    }


def _files(names: Sequence[str]) -> list[dict[str, str]]:
    """Files with what they hold; the figures, two of each, in one line."""
    figures = [name for name in names if name.startswith("figures/")]
    rows = [{"name": name, "text": wording.FILE_TEXTS.get(name, "")} for name in names if name not in figures]
    if figures:
        stems = list(dict.fromkeys(name.removeprefix("figures/").rpartition(".")[0] for name in figures))
        said = (
            f"the {text.counted(len(stems), 'figure')} with legend, scale and sources, as lines and at 300 "
            f"dpi: {', '.join(stems)}"
        )
        rows.insert(-1, {"name": "figures/*.svg, *.png", "text": said})
    return rows


def _sections(facts: ReportFacts) -> list[dict[str, str]]:
    """Sections of the contents; that on records only where there are some."""
    sections = list(wording.SECTIONS)
    if facts.observed is not None:
        place = next(number for number, section in enumerate(sections) if section["id"] == "s5")
        sections.insert(place + 1, observed.SECTION)
    return sections


def _figure_numbers(drawn: Mapping[str, DrawnFigure | None]) -> dict[str, int]:
    """Number of each figure in reading order; figures that are missing take none."""
    present = [key for key in FIGURE_FILES if drawn.get(key) is not None]
    return {key: place + 1 for place, key in enumerate(present)}


def _diversity_rows(summary: RegionSummary) -> list[dict[str, str]]:
    """Rows of section 4; what an interval means stands below the table, once for all that share it."""
    meanings = _interval_meanings(summary)
    rows = []
    for name, indicator in summary.indicators.items():
        if name in _NOT_DIVERSITY:
            continue
        words, meaning = indicator.text, indicator.text.definition
        if indicator.interval_text:
            meaning = f"{meaning} In brackets: {_MARKS[meanings.index(indicator.interval_text)]}."
        unit = f" ({words.unit})" if words.unit and words.unit not in words.label else ""
        rows.append({"label": words.label + unit, "value": indicator.shown_interval, "meaning": meaning})
    return rows


def _interval_meanings(summary: RegionSummary) -> list[str]:
    """What the intervals of section 4 mean, each once, in the order of the rows."""
    shown = (indicator for name, indicator in summary.indicators.items() if name not in _NOT_DIVERSITY)
    return list(dict.fromkeys(indicator.interval_text for indicator in shown if indicator.interval_text))


def _species_intro(summary: RegionSummary) -> str:
    table = summary.species_table
    surveyed = bool(table["certainty"].notna().any())
    interval = f", in brackets the {MODEL_ERRORS}" if table["area_share_low_percent"].notna().any() else ""
    return (
        f"{summary.sentence('gamma')} “Mean p” is the area-weighted mean of the calibrated probability over "
        f"the region’s cells, which is also the share of its area the species is expected in{interval}; "
        "“highest p” is that of its best cell; the expected area is Σ cell area × p; “cells” says in how "
        "many cells the species belongs to the set; “records nearby” counts records in the coarse cells "
        "(about 1,800 km² each) that the region touches."
        + (f" {text.sentence(summary.certainty_text)}" if surveyed else "")
    )


def _flagged_caption(count: int) -> str:
    shown = min(count, N_TABLE_SPECIES)
    of_all = "" if shown == count else f"; {text.whole(count)} in all, the others in the annex"
    return f"Species of the region’s sets that carry a flag, largest area first{of_all}"
