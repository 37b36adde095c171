"""What a report says on the model's experience (in section 3) and on where to look next (section 14)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sdm_core.applicability import DEFINITION, Experience, NextPlaces
from sdm_core.applicability.predictor_words import predictor_words
from sdm_core.reports import text

#: Predictors with the largest weights that are named.
_N_NAMED = 3


def experience_facts(experience: Experience | None) -> list[dict[str, str]]:
    """Rows of section 3: share inside, most dissimilar predictor, spread of the ensemble."""
    if experience is None:
        return [_row("Area of applicability", "not shipped with this atlas")]
    settings = experience.settings
    rows = [
        _row(
            "Inside the area of applicability",
            f"{text.decimal(experience.inside_percent, 1)} % of the area",
            _how(settings),
        )
    ]
    if experience.predictor:
        where = (
            "the area, all of which lies inside" if experience.inside_percent >= 100 else "the area outside"
        )
        rows.append(
            _row(
                "What limits the model most",
                experience.predictor_text,
                "of all predictors furthest from what the training sites cover (lowest in MESS) in "
                f"{text.decimal(experience.predictor_percent, 0)} % of {where}",
            )
        )
    if experience.held_out_text:
        rows.append(_row("What held-out sites say", "", experience.held_out_text))
    if math.isfinite(experience.beyond_range_percent):
        rows.append(
            _row(
                "Beyond the range of the training sites",
                f"{text.decimal(experience.beyond_range_percent, 1)} % of the area",
                "MESS below 0 in at least one predictor (Elith et al. 2010)",
            )
        )
    if math.isfinite(experience.spread_percent):
        rows.append(
            _row(
                "Spread of the ensemble",
                f"{text.decimal(experience.spread_percent, 0)} % of expected richness",
                "standard deviation of the members’ probabilities, summed over species; members trained "
                "alike agree too much, so this is a floor",
            )
        )
    return rows


def _how(settings: dict[str, Any]) -> str:
    """How the area of applicability was drawn, in one sentence."""
    if not {"predictors", "threshold", "n_sites", "folds", "weighting"} <= set(settings):
        return "as the atlas gives it"
    names, weights = settings["predictors"], settings.get("weights") or []
    heaviest = ""
    if len(weights) == len(names) and len(set(weights)) > 1:
        order = np.argsort(-np.asarray(weights, dtype=float), kind="stable")[:_N_NAMED]
        heaviest = f", most of all {text.listed([predictor_words(names[place]) for place in order])}"
    return (
        f"dissimilarity index up to {settings['threshold']:.2f} (Meyer & Pebesma 2021), the largest of the "
        f"{text.whole(settings['n_sites'])} training sites to those of other folds ({settings['folds']}), "
        f"outliers removed; {len(names)} predictors, {settings['weighting']}{heaviest}; section 16 lists them"
    )


def next_section(found: NextPlaces | None) -> dict[str, Any] | None:
    """Content of section 14; None where the region has no cell to rank."""
    if found is None or not found.cells:
        return None
    return {
        "definition": DEFINITION,
        "cells": [
            {
                "rank": str(number),
                "cell": cell.cell,
                "place": f"{_degrees(cell.latitude, 'N', 'S')}, {_degrees(cell.longitude, 'E', 'W')}",
                "information": text.decimal(cell.information, 1),
                "open": text.decimal(cell.open_species, 1),
                "records": "–"
                if not math.isfinite(cell.records_per_100_km2)
                else text.sensible(cell.records_per_100_km2, 2)
                if cell.records_per_100_km2
                else "0",
                "inside": {True: "yes", False: "no", None: "–"}[cell.inside],
                "likely": [{"name": name, "p": text.probability(p)} for name, p in cell.likely],
            }
            for number, cell in enumerate(found.cells, start=1)
        ],
        "unrecorded": [{"name": name, "p": text.probability(p)} for name, p in found.unrecorded],
        "any_outside": any(cell.inside is False for cell in found.cells),
    }


def _degrees(value: float, positive: str, negative: str) -> str:
    return f"{abs(np.round(value, 3)):.3f}° {negative if value < 0 else positive}"


def _row(label: str, value: str, note: str = "") -> dict[str, str]:
    return {"label": label, "value": value, "note": note}
