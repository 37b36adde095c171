"""What a region's page and report say: numbers with unit, definition and interval, and the species table.

`summarise_region` is the one source of the page, `indicators.json` and `species.csv`; `summarise_cell` and
`top_species` serve the map.
"""

from sdm_core.indicators.benchmark import (
    BENCHMARK_TEXTS,
    Benchmarks,
    Frame,
    Standing,
    benchmark_region,
    check_outlines,
    percentile_of,
    standing_words,
)
from sdm_core.indicators.cell import CellSummary, summarise_cell, top_species
from sdm_core.indicators.certainty import (
    Certainty,
    RegionCertainty,
    certainty_of,
    certainty_of_region,
    count_interval,
)
from sdm_core.indicators.concern_layers import CONCERN_LAYERS, concern_layers
from sdm_core.indicators.error_intervals import RegionErrors, error_model_of, errors_of_region
from sdm_core.indicators.lists import THREAT_TEXTS, ListGroup, ListSummary, ThreatNumbers
from sdm_core.indicators.observed_range import (
    CRITERION_B,
    CRITERION_B_NOTE,
    ObservedRange,
    below_threshold,
    convex_hull_km2,
    observed_range,
    observed_ranges,
    occupied_squares,
)
from sdm_core.indicators.range_size import RangeShares, range_shares, weighted_endemism
from sdm_core.indicators.region import flag_members, records_nearby, summarise_region, with_statuses
from sdm_core.indicators.sets import (
    HELD_OUT_RULES,
    RULES,
    SetCounts,
    StoreLike,
    check_rule,
    rule_options,
    rule_text,
    rules_of,
    set_counts,
)
from sdm_core.indicators.structure import Structure, region_structure
from sdm_core.indicators.summary import (
    SPECIES_COLUMNS,
    Indicator,
    RegionSummary,
    SpeciesGroup,
    format_number,
    format_percent,
    species_records,
)
from sdm_core.indicators.texts import GROUP_TEXTS, INDICATOR_TEXTS, NOTES, RULE_TEXTS, IndicatorText
from sdm_core.indicators.threat import (
    CERTAIN_FROM,
    GONE,
    POSSIBLE_FROM,
    STAR_WEIGHTS,
    most_threatened,
    star_like,
    status_shares,
    threatened_share,
    threatened_share_bounds,
    unassessed_share,
)

__all__ = [
    "BENCHMARK_TEXTS",
    "CERTAIN_FROM",
    "CONCERN_LAYERS",
    "CRITERION_B",
    "CRITERION_B_NOTE",
    "GONE",
    "GROUP_TEXTS",
    "HELD_OUT_RULES",
    "INDICATOR_TEXTS",
    "NOTES",
    "POSSIBLE_FROM",
    "RULES",
    "RULE_TEXTS",
    "SPECIES_COLUMNS",
    "STAR_WEIGHTS",
    "THREAT_TEXTS",
    "Benchmarks",
    "CellSummary",
    "Certainty",
    "Frame",
    "Indicator",
    "IndicatorText",
    "ListGroup",
    "ListSummary",
    "ObservedRange",
    "RangeShares",
    "RegionCertainty",
    "RegionErrors",
    "RegionSummary",
    "SetCounts",
    "SpeciesGroup",
    "Standing",
    "StoreLike",
    "Structure",
    "ThreatNumbers",
    "below_threshold",
    "benchmark_region",
    "certainty_of",
    "certainty_of_region",
    "check_outlines",
    "check_rule",
    "concern_layers",
    "convex_hull_km2",
    "count_interval",
    "error_model_of",
    "errors_of_region",
    "flag_members",
    "format_number",
    "format_percent",
    "most_threatened",
    "observed_range",
    "observed_ranges",
    "occupied_squares",
    "percentile_of",
    "range_shares",
    "records_nearby",
    "region_structure",
    "rule_options",
    "rule_text",
    "rules_of",
    "set_counts",
    "species_records",
    "standing_words",
    "star_like",
    "status_shares",
    "summarise_cell",
    "summarise_region",
    "threatened_share",
    "threatened_share_bounds",
    "top_species",
    "unassessed_share",
    "weighted_endemism",
    "with_statuses",
]
