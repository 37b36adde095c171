"""The ODMAP table of a report as a file: Overview, Data, Model, Assessment, Prediction.

After Zurell et al. (2020, doi 10.1111/ecog.04960). The atlas' model card answers; what it does not say is
called not stated, never guessed.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sdm_core import config
from sdm_core.applicability.predictor_words import predictor_words
from sdm_core.indicators import RegionSummary
from sdm_core.reports import card as cards
from sdm_core.reports import text

MISSING = "not stated on the model card"
HEADER = ("section", "subsection", "element", "value")


def odmap_rows(
    card: Mapping[str, Any],
    summary: RegionSummary,
    credit: str,
    extent: str = MISSING,
    extrapolation: str = MISSING,
) -> list[tuple[str, str, str, str]]:
    """Section, subsection, element and value of every line, in the order of the protocol.

    `credit` is the citation of the report the table belongs to, `extent` the bounding box of the atlas,
    `extrapolation` how much of the region lies inside the area of applicability.
    """
    validation, calibration = card.get("validation"), card.get("calibration")
    overview = [
        ("Authorship", "Study title", f"{summary.atlas_title}: plant diversity of {summary.region}"),
        ("Authorship", "Citation", credit),
        ("Model objective", "Objective", "mapping and interpolation, for screening"),
        ("Model objective", "Target output", "probability that a species is recorded in a place"),
        ("Focal taxon", "Taxon", f"{summary.n_species_atlas} plant species"),
        ("Location", "Location", _said(card, "summary")),
        ("Scale of analysis", "Spatial extent", extent),
        ("Scale of analysis", "Spatial resolution", f"H3 resolution {summary.resolution}"),
        ("Scale of analysis", "Grain of a record", _said(card, "grain")),
        ("Biodiversity data", "Observation type", _said(card, "observation_type")),
        ("Biodiversity data", "Period of the records", cards.years(card)),
        ("Predictors", "Predictors", _predictors(card)),
        ("Hypotheses", "Hypotheses", _said(card, "hypotheses")),
        ("Assumptions", "Assumptions", _said(card, "assumptions")),
        ("Algorithms", "Modelling technique", _said(card, "model", "architecture")),
        ("Software", "Software", f"Florascope {config.CODE_VERSION}"),
        ("Software", "Atlas", f"{summary.atlas}, version {summary.atlas_version}, {_said(card, 'date')}"),
        ("Software", "Command", _said(card, "command")),
    ]
    data = [
        ("Biodiversity data", "Sources", _sources(card.get("data"))),
        ("Biodiversity data", "Sites", _said(card, "n_sites")),
        ("Biodiversity data", "Records", _said(card, "n_records")),
        ("Biodiversity data", "Cleaning", _steps(card.get("cleaning"))),
        ("Biodiversity data", "Absence or background data", _said(card, "background", "absences")),
        ("Biodiversity data", "Errors and biases", _said(card, "biases")),
        ("Data partitioning", "Training data", _training(card)),
        ("Data partitioning", "Validation data", _blocks(card)),
        ("Predictor variables", "Sources", _sources(card.get("covariates"))),
    ]
    model = [
        ("Variable pre-selection", "Variable pre-selection", _said(card, "variable_selection")),
        ("Multicollinearity", "Multicollinearity", _said(card, "multicollinearity")),
        ("Model settings", "Features", _said(card, "features")),
        ("Model settings", "Members", _steps(card.get("members"))),
        ("Non-independence", "Spatial autocorrelation", _blocks(card)),
        ("Threshold selection", "Rule", f"{summary.rule}: {summary.rule_text}"),
    ]
    assessment = [
        ("Performance statistics", f"{fact} ({note})" if note else fact, value)
        for fact, value, note in cards.quality_facts(card)
    ]
    assessment += [
        ("Performance statistics", "Command", _said(_mapping(validation), "command")),
        ("Plausibility check", "Calibration", _said(_mapping(calibration), "method")),
    ]
    prediction = [
        ("Prediction output", "Unit", "calibrated probability per cell, 0 to 1"),
        ("Prediction output", "Cells of the region", str(summary.n_cells)),
        ("Prediction output", "Which cells", summary.containment_text),
        ("Uncertainty quantification", "Intervals", summary.limits[-1]),
        ("Uncertainty quantification", "Certain and possible species", summary.certainty_text or MISSING),
        ("Uncertainty quantification", "Extrapolation", extrapolation),
        *(("Limits", "Limit", said) for said in cards.statements(card, "limits", "limitations")),
    ]
    parts = {
        "Overview": overview,
        "Data": data,
        "Model": model,
        "Assessment": assessment,
        "Prediction": prediction,
    }
    return [(section, *row) for section, rows in parts.items() for row in rows]


def write_odmap(path: Path, rows: list[tuple[str, str, str, str]]) -> None:
    """Write `odmap.csv`: UTF-8, comma, one header line."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(rows)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _said(card: Mapping[str, Any], *names: str) -> str:
    value = cards.first(card, *names)
    return str(value) if isinstance(value, (str, int, float)) else MISSING


def _sources(entries: Any) -> str:
    sources = [
        f"{source['name']}: {source['citation']} Licence: {source['licence']}".replace(":  ", ": ")
        for source in cards.data_sources({"data": entries})
    ]
    return " | ".join(sources) or MISSING


def _predictors(card: Mapping[str, Any]) -> str:
    """Every predictor in words with its name."""
    return "; ".join(predictor_words(str(name)) for name in card.get("covariate_names") or ()) or MISSING


def _steps(entries: Any) -> str:
    """Steps or members of the card, each as its own words or its named values."""
    said = [
        "; ".join(
            str(value) if name == "name" else f"{name} {value}"
            for name, value in entry.items()
            if isinstance(value, (str, int, float)) and value != ""
        )
        for entry in cards.as_mappings(entries)
    ]
    return " | ".join(word for word in said if word) or MISSING


def _training(card: Mapping[str, Any]) -> str:
    sites = card.get("n_sites")
    if not text.is_number(sites):
        return MISSING
    return f"all {sites} sites for the shipped model; the others of each fold for its validation"


def _blocks(card: Mapping[str, Any]) -> str:
    sizes = sorted({row["block_deg"] for row in cards.results(card) if text.is_number(row.get("block_deg"))})
    if not sizes:
        return MISSING
    return f"spatial blocks of {text.listed([f'{size:g}°' for size in sizes])}, held out in turn"
