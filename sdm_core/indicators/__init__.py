"""What a region's page and report say: numbers with unit, definition and interval, and the species table.

`summarise_region` is the one source of the page, `indicators.json` and `species.csv`; `summarise_cell` and
`top_species` serve the map.
"""

from sdm_core.indicators.cell import CellSummary, summarise_cell, top_species
from sdm_core.indicators.region import flag_members, records_nearby, summarise_region
from sdm_core.indicators.sets import RULES, SetCounts, StoreLike, rule_options, rule_text, set_counts
from sdm_core.indicators.summary import (
    SPECIES_COLUMNS,
    Indicator,
    RegionSummary,
    SpeciesGroup,
    format_number,
    species_records,
)
from sdm_core.indicators.texts import GROUP_TEXTS, INDICATOR_TEXTS, NOTES, RULE_TEXTS, IndicatorText

__all__ = [
    "GROUP_TEXTS",
    "INDICATOR_TEXTS",
    "NOTES",
    "RULES",
    "RULE_TEXTS",
    "SPECIES_COLUMNS",
    "CellSummary",
    "Indicator",
    "IndicatorText",
    "RegionSummary",
    "SetCounts",
    "SpeciesGroup",
    "StoreLike",
    "flag_members",
    "format_number",
    "records_nearby",
    "rule_options",
    "rule_text",
    "set_counts",
    "species_records",
    "summarise_cell",
    "summarise_region",
    "top_species",
]
