"""How far to trust a region's numbers: what was observed there, and how good the model is for its species.

A first, deliberately simple measure: a grade from A to D that is the worst of its criteria, each of them one
number against limits listed in `CRITERIA`. It says how well supported the predictions are, not how right.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from sdm_core.applicability.effort import Effort, observed_effort
from sdm_core.applicability.within import Experience, experience_of
from sdm_core.indicators import RegionSummary, StoreLike
from sdm_core.indicators.summary import format_number, json_number

GRADES = "ABCD"


@dataclass(frozen=True)
class CriterionText:
    """One criterion: what it measures, from which value each grade is given, and its words.

    Attributes:
        label: short name.
        unit: unit of the value.
        limits: smallest value for A, B and C; below the last it is D.
        digits: decimals shown.
        sentence: plain-language sentence with the number in it.
        unknown: sentence where the atlas does not ship what is needed.
        source: where the limits come from.
    """

    label: str
    unit: str
    limits: tuple[float, float, float]
    digits: int
    sentence: str
    unknown: str
    source: str


CRITERIA: dict[str, CriterionText] = {
    "near_records": CriterionText(
        "Area with records within 25 km",
        "%",
        (95.0, 80.0, 50.0),
        0,
        "{value} % of the area lies within 25 km of a place with records.",
        "The atlas does not ship where records lie.",
        "Limits of this project.",
    ),
    "record_density": CriterionText(
        "Records per 100 km²",
        "records per 100 km²",
        (5.0, 1.0, 0.1),
        1,
        "There are {value} records per 100 km² in and right around the region.",
        "The atlas does not ship how many records there are.",
        "Limits of this project.",
    ),
    "recorded_species": CriterionText(
        "Predicted species recorded nearby",
        "%",
        (80.0, 60.0, 40.0),
        0,
        "{value} % of the species in the region's sets have been recorded in or near it.",
        "The atlas does not ship records of single species.",
        "Limits of this project.",
    ),
    "model_skill": CriterionText(
        "Model skill (AUC) for its species",
        "AUC",
        (0.9, 0.8, 0.7),
        2,
        "On held-out spatial blocks across the atlas the model reaches an AUC of {value} for {species}.",
        "The atlas does not ship how well the model does on held-out blocks.",
        "Excellent, good, fair and poor of Swets 1988 (doi 10.1126/science.3287615) as used for distribution "
        "models by Araújo et al. 2005 (doi 10.1111/j.1365-2486.2005.01000.x).",
    ),
    "applicability": CriterionText(
        "Area within the model's experience",
        "%",
        (95.0, 80.0, 50.0),
        0,
        "{value} % of the area has conditions like those the model has learned from.",
        "The atlas does not ship an area of applicability.",
        "Limits of this project.",
    ),
}

#: What each grade says, "–" where nothing is known.
GRADE_TEXTS: dict[str, str] = {
    "A": "well supported by records and by the model's skill",
    "B": "supported, with gaps",
    "C": "weakly supported; use for orientation only",
    "D": "hardly supported; do not rely on it without a survey",
    "–": "not known: the atlas ships nothing to judge it by",
}
METHOD = (
    "The grade is the worst of its criteria. Criteria the atlas ships nothing for are left out; with any of "
    "the four on records and skill left out the grade is B at best."
)
#: Decimals shown at most.
_MOST_DIGITS = 6
#: Criteria without which no grade is better than B.
_NEEDED_FOR_A = ("near_records", "record_density", "recorded_species", "model_skill")


@dataclass(frozen=True)
class Criterion:
    """One criterion for one region: its value, its grade, its sentence."""

    name: str
    value: float
    grade: str
    sentence: str

    @property
    def text(self) -> CriterionText:
        """Label, unit and limits."""
        return CRITERIA[self.name]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; None where the value is not known."""
        return {
            "value": json_number(self.value),
            "unit": self.text.unit,
            "grade": self.grade,
            "label": self.text.label,
            "sentence": self.sentence,
            "limits": dict(zip(GRADES, self.text.limits, strict=False)),
            "limits_source": self.text.source,
        }


@dataclass(frozen=True)
class Trust:
    """How far to trust a region's numbers.

    Attributes:
        grade: "A" to "D", or "–" where nothing is known.
        reason: the criteria that decided, in words.
        criteria: all criteria, in the order of `CRITERIA`.
        effort: what has been recorded, None where the atlas ships no records.
        experience: how much lies within the model's experience, None where the atlas does not know.
    """

    grade: str
    reason: str
    criteria: tuple[Criterion, ...]
    effort: Effort | None
    experience: Experience | None = None

    @property
    def grade_text(self) -> str:
        """What the grade says."""
        return GRADE_TEXTS[self.grade]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        effort = None
        if self.effort is not None:
            effort = {
                "n_records": self.effort.n_records,
                "n_sites": self.effort.n_sites,
                "records_per_100_km2": self.effort.records_per_100_km2,
                "n_records_around": self.effort.n_records_around,
                "far_percent": self.effort.far_percent,
                "n_species": self.effort.n_species,
            }
        return {
            "grade": self.grade,
            "grade_text": self.grade_text,
            "reason": self.reason,
            "method": METHOD,
            "criteria": {criterion.name: criterion.to_dict() for criterion in self.criteria},
            "effort": effort,
            "experience": None if self.experience is None else self.experience.to_dict(),
        }


def assess_trust(
    store: StoreLike,
    rows: NDArray[np.int64],
    summary: RegionSummary,
    card: Mapping[str, Any] | None = None,
    hectares: ArrayLike | None = None,
) -> Trust:
    """Grade from A to D of how well supported a region's numbers are, with its reasons.

    Args:
        store: predictions of an atlas.
        rows: rows of its cells inside the region.
        summary: the region's numbers, from `indicators.summarise_region`.
        card: model card of the atlas, for the model's skill on held-out blocks.
        hectares: area each row counts with, in the order of ascending rows; by default its whole area.

    Returns:
        The grade, the criterion that decided it, all criteria and the effort behind them.
    """
    selected = np.unique(np.asarray(rows, dtype=np.int64))
    weights = np.asarray(store.area_ha)[selected] if hectares is None else np.asarray(hectares)
    effort = observed_effort(store, selected, weights)
    experience = experience_of(store, selected, weights)
    skill, species_words = model_skill(store.species, summary.species_table, card or {})
    values = {
        "near_records": 100.0 - effort.far_percent if effort else math.nan,
        "record_density": effort.records_per_100_km2 if effort else math.nan,
        "recorded_species": _recorded_share(summary.species_table),
        "model_skill": skill,
        "applicability": math.nan if experience is None else experience.inside_percent,
    }
    criteria = tuple(_criterion(name, value, species_words) for name, value in values.items())
    known = [criterion for criterion in criteria if criterion.grade != "–"]
    if not known:
        return Trust("–", GRADE_TEXTS["–"].capitalize() + ".", criteria, effort, experience)
    grade = max(criterion.grade for criterion in known)
    gaps = [c for c in criteria if c.name in _NEEDED_FOR_A and c.grade == "–"]
    if grade == "A" and gaps:
        return Trust("B", gaps[0].sentence, criteria, effort, experience)
    return Trust(grade, _reason(grade, known), criteria, effort, experience)


def _reason(grade: str, known: list[Criterion]) -> str:
    """What decided the grade: the sentence of the first criterion that has it, the names of the others."""
    if grade == "A":
        some = "" if len(known) == len(CRITERIA) else "that are known "
        return f"All {len(known)} criteria {some}reach A."
    first, *others = (criterion for criterion in known if criterion.grade == grade)
    labels = [c.text.label[:1].lower() + c.text.label[1:] for c in others]
    return f"{first.sentence} Also {grade}: {', '.join(labels)}." if labels else first.sentence


def grade_of(name: str, value: float) -> str:
    """Grade of one criterion's value by its limits; "–" for NaN."""
    if math.isnan(value):
        return "–"
    return GRADES[sum(value < limit for limit in CRITERIA[name].limits)]


def _criterion(name: str, value: float, species_words: str) -> Criterion:
    text = CRITERIA[name]
    sentence = (
        text.unknown
        if math.isnan(value)
        else text.sentence.format(value=_shown(name, value), species=species_words)
    )
    return Criterion(name, value, grade_of(name, value), sentence)


def _shown(name: str, value: float) -> str:
    """A value with enough decimals to stay on its side of every limit, and not to be 0 where it is not."""
    digits = CRITERIA[name].digits
    while digits < _MOST_DIGITS and (
        grade_of(name, round(value, digits)) != grade_of(name, value) or (value and not round(value, digits))
    ):
        digits += 1
    return format_number(value, digits)


def model_skill(
    species: pd.DataFrame, region_table: pd.DataFrame, card: Mapping[str, Any]
) -> tuple[float, str]:
    """AUC on held-out blocks for the species of a region, and for whom it holds, in words.

    Per species from a column `auc` of the species table, or `validation.per_species` of the card (species,
    auc), as a mean weighted by expected area over the species present by the rule; else the mean over all
    species of the shipped model at the coarsest blocks the card reports. NaN where neither is there.
    """
    auc = _auc_of_species(species, card)
    present = region_table[region_table["present"].astype(bool)]
    if auc is not None and len(present):
        scores = auc.reindex(present["species"]).to_numpy(np.float64)
        weights = present["expected_area_km2"].to_numpy(np.float64)
        known = np.isfinite(scores) & (weights > 0)
        if known.any():
            mean = float(scores[known] @ weights[known] / weights[known].sum())
            return mean, "the species of the region, weighted by their expected area"
    validation = card.get("validation")
    if isinstance(validation, Mapping):
        shipped = validation.get("shipped") or validation.get("shipped_model")
        rows = [
            row
            for row in validation.get("results") or ()
            if isinstance(row, Mapping)
            and row.get("model") == shipped
            and _number(row.get("auc")) is not None
        ]
        if rows:
            coarsest = max(rows, key=lambda row: _number(row.get("block_deg")) or 0.0)
            return float(coarsest["auc"]), "all species of the atlas on average"
    return math.nan, ""


def _auc_of_species(species: pd.DataFrame, card: Mapping[str, Any]) -> pd.Series | None:
    if "auc" in species:
        return pd.Series(species["auc"].to_numpy(np.float64), index=species["species"])
    validation = card.get("validation")
    rows = validation.get("per_species") if isinstance(validation, Mapping) else None
    if not rows:
        return None
    table = pd.DataFrame(rows)
    if not {"species", "auc"} <= set(table.columns):
        return None
    table = table.drop_duplicates("species")
    return pd.Series(pd.to_numeric(table["auc"], errors="coerce").to_numpy(), index=table["species"])


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _recorded_share(table: pd.DataFrame) -> float:
    """Of the species present by the rule, % with records nearby; NaN where records are not known."""
    present = table[table["present"].astype(bool) & table["records_nearby"].notna()]
    return float(100.0 * (present["records_nearby"] > 0).mean()) if len(present) else math.nan
