"""The summary of a region: one object that the page, the JSON and the CSV all read their numbers from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sdm_core.indicators.texts import (
    COUNT_ERRORS,
    GROUP_TEXTS,
    INDICATOR_TEXTS,
    MODEL_ERRORS,
    NOTES,
    WITH_ERRORS,
    WITHOUT_ERRORS,
    IndicatorText,
)
from sdm_core.regions import CONTAINMENT_RULES, DEFAULT_CONTAINMENT

if TYPE_CHECKING:
    from sdm_core.indicators.lists import ListSummary

#: Raised whenever a key of `RegionSummary.to_dict` changes its name or meaning.
SUMMARY_FORMAT = 2

#: Columns of the species table: unit ("" for none) and meaning; the CSV has these columns in this order.
SPECIES_COLUMNS: dict[str, tuple[str, str]] = {
    "species_id": ("", "column of the species in the atlas"),
    "species": ("", "scientific name"),
    "family": ("", "family"),
    "common_genus": ("", "English name of the genus, where known"),
    "mean_probability": ("0–1", "area-weighted mean probability over the region's cells"),
    "max_probability": ("0–1", "highest probability in any cell of the region"),
    "expected_area_km2": ("km²", "Σ cell area × probability"),
    "area_share_percent": ("%", "expected area as a share of the area of the cells"),
    "area_share_low_percent": ("%", f"lower end of its interval: {MODEL_ERRORS}; empty where not known"),
    "area_share_high_percent": ("%", "upper end of the same interval"),
    "present": ("", "in the species set of at least one cell, by the rule"),
    "certainty": (
        "",
        "certain or possible in the best cell of the region, by surveys the model has not seen (what that "
        "means for this atlas is said beside the table); empty for species that are neither, missing for all "
        "where the atlas has no such surveys",
    ),
    "n_cells_present": ("cells", "number of cells whose set holds the species, by the rule"),
    "records_nearby": (
        "records",
        "observed records in the H3 resolution-4 cells (about 1,800 km² each) that the region touches; empty "
        "where the atlas does not ship them",
    ),
    "endemic": ("", "endemic to the area of the source; empty where not assessed"),
    "habitats_directive": (
        "",
        "listed in the EU Habitats Directive: its annexes, yes, or in part (a subspecies)",
    ),
    "invasive_union_concern": ("", "on the EU list of invasive alien species of Union concern"),
    "flag_source": ("", "source of the flags"),
    "flag_date": ("", "date of the source of the flags"),
    "range_share_percent": (
        "%",
        "share of the species' expected area in the whole atlas that lies in the region; its range outside "
        "the atlas is not known",
    ),
    "statuses": (
        "",
        "status on each list that was added, with list and region, joined by semicolons",
    ),
    "status_source": ("", "sources of these statuses, in the same order"),
    "status_date": ("", "dates of these statuses, in the same order"),
    "gbif_key": ("", "key of the species in the GBIF backbone"),
}


@dataclass(frozen=True)
class Indicator:
    """One number with its words.

    Attributes:
        name: key in `INDICATOR_TEXTS`.
        value: the number; NaN where the indicator is not defined here.
        low: lower end of the interval or range its text describes; NaN where it has none.
        high: upper end.
        meaning: what low and high mean where that depends on what is known; otherwise its text says it.
    """

    name: str
    value: float
    low: float = math.nan
    high: float = math.nan
    meaning: str = ""

    @property
    def interval_text(self) -> str:
        """What low and high mean; "" where there are none."""
        return "" if math.isnan(self.low) else self.meaning or self.text.interval

    @property
    def text(self) -> IndicatorText:
        """Label, unit, definition and sentence."""
        return INDICATOR_TEXTS[self.name]

    @property
    def digits(self) -> int:
        """Decimals shown: those of its text, or as many as an interval from errors bears (two figures)."""
        width = self.high - self.low
        if not self.meaning or not self.text.digits or not math.isfinite(width) or width <= 0:
            return self.text.digits
        return min(max(0, 1 - math.floor(math.log10(width))), self.text.digits + 2)

    @property
    def shown(self) -> str:
        """The value as pages and reports print it, without unit."""
        return format_number(self.value, self.digits)

    @property
    def shown_interval(self) -> str:
        """Value and interval, as in 42.1 (35.0–51.3); the value alone where there is no interval."""
        if math.isnan(self.low):
            return self.shown
        digits = self.digits
        return f"{self.shown} ({format_number(self.low, digits)}–{format_number(self.high, digits)})"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: value, unit, interval with its meaning, label and definition."""
        entry: dict[str, Any] = {
            "value": json_number(self.value),
            "unit": self.text.unit,
            "label": self.text.label,
            "definition": self.text.definition,
        }
        if self.interval_text:
            entry |= {
                "low": json_number(self.low),
                "high": json_number(self.high),
                "low_high_meaning": self.interval_text,
            }
        return entry


@dataclass(frozen=True)
class SpeciesGroup:
    """Numbers of the species of one flag (endemic, protected, invasive) in a region.

    Where no species of the atlas has been assessed for the flag, the numbers are NaN and None, never 0.

    Attributes:
        name: key in `GROUP_TEXTS`.
        expected: Σ of the members' highest probabilities: expected in the region, lower bound.
        expected_per_cell: Σ of the members' area-weighted mean probabilities.
        by_rule: members present in at least one cell by the rule.
        unassessed_percent: of the species present in the region by the rule, share without an assessment; NaN
            where no species is present.
        low, high: 90 % interval of the number of members present in their best cell; NaN where unknown.
    """

    name: str
    expected: float
    expected_per_cell: float
    by_rule: int | None
    unassessed_percent: float
    low: float = math.nan
    high: float = math.nan

    @property
    def text(self) -> IndicatorText:
        """Label, unit, definition and sentence."""
        return GROUP_TEXTS[self.name]

    @property
    def sentence(self) -> str:
        """Plain-language sentence with the numbers in it, or that nothing is known."""
        if self.by_rule is None:
            return self.text.unknown
        return self.text.sentence.format(
            value=format_number(self.expected, self.text.digits),
            interval=interval_words(self.low, self.high, 0),
            unassessed=f"; {format_percent(self.unassessed_percent)} % of its species have not been assessed"
            if self.unassessed_percent > 0
            else "",
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "expected": json_number(self.expected),
            "low": json_number(self.low),
            "high": json_number(self.high),
            "low_high_meaning": COUNT_ERRORS,
            "expected_per_cell": json_number(self.expected_per_cell),
            "by_rule": self.by_rule,
            "unassessed_percent": json_number(self.unassessed_percent),
            "unit": self.text.unit,
            "label": self.text.label,
            "definition": self.text.definition,
        }


@dataclass(frozen=True)
class RegionSummary:
    """Everything a page or a report says about a region.

    Attributes:
        atlas: name of the atlas.
        atlas_title: its title.
        atlas_version: hash of its predictions.
        region: name of the region.
        region_source: where its outline comes from.
        geometry_hash: hash of the outline, "" without one.
        resolution: H3 resolution of the cells.
        n_cells: number of cells.
        n_species_atlas: number of species the atlas predicts.
        rule: name of the rule that made the sets.
        rule_options: its options.
        rule_text: what it does, in words.
        indicators: every number by name, see `INDICATOR_TEXTS`.
        groups: endemic, protected and invasive species.
        percentiles: share of the atlas' area, in %, whose cells have a lower value than the region's mean,
            for "richness" (expected) and "shannon".
        species_table: one row per species with any probability, widest expected area first; see
            `SPECIES_COLUMNS`.
        notes: what was done to the outline or the selection of cells.
        containment: rule of `regions.CONTAINMENT_RULES` by which cells belong to the region.
        status_lists: numbers of each status list that was added.
        certainty_text: what makes a species certain or possible in this atlas.
    """

    atlas: str
    atlas_title: str
    atlas_version: str
    region: str
    region_source: str
    geometry_hash: str
    resolution: int
    n_cells: int
    n_species_atlas: int
    rule: str
    rule_options: dict[str, Any]
    rule_text: str
    indicators: dict[str, Indicator]
    groups: dict[str, SpeciesGroup]
    percentiles: dict[str, float]
    species_table: pd.DataFrame
    notes: tuple[str, ...] = ()
    containment: str = DEFAULT_CONTAINMENT
    status_lists: tuple[ListSummary, ...] = ()
    certainty_text: str = ""

    @property
    def limits(self) -> tuple[str, ...]:
        """Statements that belong beside the numbers; on intervals, the one that holds for this atlas."""
        known = any(indicator.meaning for indicator in self.indicators.values())
        return (*NOTES, WITH_ERRORS if known else WITHOUT_ERRORS)

    @property
    def containment_text(self) -> str:
        """Which cells are counted, and with how much of their area, in words."""
        return CONTAINMENT_RULES[self.containment]

    def __getitem__(self, name: str) -> Indicator:
        """One indicator by name."""
        return self.indicators[name]

    def value(self, name: str) -> float:
        """Value of one indicator by name."""
        return self.indicators[name].value

    def sentence(self, name: str) -> str:
        """Plain-language sentence of an indicator, or of a group of species."""
        if name in self.groups:
            return self.groups[name].sentence
        indicator = self.indicators[name]
        return indicator.text.sentence.format(
            value=indicator.shown,
            low=format_number(indicator.low, indicator.digits),
            high=format_number(indicator.high, indicator.digits),
            interval=interval_words(indicator.low, indicator.high, indicator.digits),
            n_cells=format_number(self.n_cells, 0),
            n_species=format_number(self.n_species_atlas, 0),
            region=self.region,
            atlas=self.atlas_title,
            rule=self.rule,
        )

    def to_dict(self) -> dict[str, Any]:
        """The whole summary, JSON-ready: units and definitions beside the numbers, None where undefined."""
        return {
            "format": SUMMARY_FORMAT,
            "atlas": {
                "name": self.atlas,
                "title": self.atlas_title,
                "version": self.atlas_version,
                "n_species": self.n_species_atlas,
                "h3_resolution": self.resolution,
            },
            "region": {
                "name": self.region,
                "source": self.region_source,
                "geometry_hash": self.geometry_hash,
                "n_cells": self.n_cells,
                "notes": list(self.notes),
            },
            "rule": {
                "name": self.rule,
                "options": {key: _json_option(option) for key, option in self.rule_options.items()},
                "text": self.rule_text,
            },
            "containment": {"name": self.containment, "text": self.containment_text},
            "indicators": {name: indicator.to_dict() for name, indicator in self.indicators.items()},
            "groups": {name: group.to_dict() for name, group in self.groups.items()},
            "status_lists": [found.to_dict() for found in self.status_lists],
            "percentiles": {
                "definition": "share of the area of the atlas, in %, whose cells have a lower value than the "
                "region's mean",
                **{name: json_number(percentile) for name, percentile in self.percentiles.items()},
            },
            "species_columns": {
                name: {"unit": unit, "definition": definition}
                for name, (unit, definition) in SPECIES_COLUMNS.items()
            },
            "certainty": self.certainty_text,
            "species": species_records(self.species_table),
            "limits": list(self.limits),
        }


def species_records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table as JSON-ready dictionaries; what is missing is None."""
    plain = {}
    for name in table.columns:
        column = table[name]
        missing = column.isna().to_numpy()
        values = column.tolist()
        plain[name] = [None if absent else value for value, absent in zip(values, missing, strict=True)]
    return [dict(zip(plain, row, strict=True)) for row in zip(*plain.values(), strict=True)]


def interval_words(low: float, high: float, digits: int) -> str:
    """Interval in brackets after a value in a sentence; "" where there is none."""
    if math.isnan(low):
        return ""
    return f" (90 % interval {format_number(low, digits)} to {format_number(high, digits)})"


def format_number(value: float, digits: int) -> str:
    """A number with fixed decimals and thin spaces between thousands; "–" where it is not defined."""
    if not math.isfinite(value):
        return "–"
    return f"{value:,.{digits}f}".replace(",", "\u202f")


def format_percent(value: float) -> str:
    """A share in %, whole, without the sign; with a decimal where it would else read 0 or 100 and is not."""
    if 0 < value < 0.5 or 99.5 <= value < 100:
        return format_number(min(max(value, 0.1), 99.9), 1)
    return format_number(value, 0)


def json_number(value: float) -> float | int | None:
    """A plain number for JSON; None where it is not defined."""
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain


def _json_option(option: Any) -> Any:
    return np.asarray(option).tolist() if np.ndim(option) else option
