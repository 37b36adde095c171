"""Sections 2 and 3 of a report: the area, and what stands behind its numbers."""

from __future__ import annotations

import numpy as np

from sdm_core import regions
from sdm_core.applicability import Trust
from sdm_core.indicators import RegionSummary
from sdm_core.reports import card as cards
from sdm_core.reports import next_places, text, wording
from sdm_core.reports.facts import ReportFacts

N_COUNTRIES = 8
_CELL_AREA_FIGURES = 2
_HECTARES_PER_KM2 = 100


def area_facts(facts: ReportFacts) -> list[dict[str, str]]:
    """Rows of section 2: outline, cells and how they were chosen, countries, extent."""
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


def trust_facts(facts: ReportFacts) -> list[dict[str, str]]:
    """Rows of section 3: records nearby, quality of the model, criteria of the grade, experience."""
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


def grade_sentence(trust: Trust) -> str:
    """The grade, what it means and what decided."""
    return f"Grade {trust.grade}: {trust.grade_text}. What decided: {trust.reason}"


def flag_gaps(summary: RegionSummary) -> list[str]:
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


def _row(label: str, value: str, note: str = "") -> dict[str, str]:
    return {"label": label, "value": value, "note": note}
