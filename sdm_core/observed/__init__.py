"""Observed data: a user's own records and plots in a region, set beside what is predicted there.

`read_records` reads the files, `observe_region` clips them to an outline, matches names with an atlas and
compares. Records are never written anywhere: not into a store, not into the cache.
"""

from sdm_core.observed.matching import match_species
from sdm_core.observed.ranges import RANGE_TEXT, SPECIES_RANGE_COLUMNS, species_ranges
from sdm_core.observed.records import Records, read_records
from sdm_core.observed.region import (
    AGREED,
    MISSED,
    NOT_IN_ATLAS,
    OBSERVED_COLUMNS,
    UNEXPECTED,
    UNEXPECTED_BELOW,
    ObservedRegion,
    observe_region,
)
from sdm_core.observed.uploads import RECORD_SUFFIXES

__all__ = [
    "AGREED",
    "MISSED",
    "NOT_IN_ATLAS",
    "OBSERVED_COLUMNS",
    "RANGE_TEXT",
    "RECORD_SUFFIXES",
    "SPECIES_RANGE_COLUMNS",
    "UNEXPECTED",
    "UNEXPECTED_BELOW",
    "ObservedRegion",
    "Records",
    "match_species",
    "observe_region",
    "read_records",
    "species_ranges",
]
