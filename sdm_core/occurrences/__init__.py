"""Occurrences: what was seen where, read from its original files, cleaned, with a count for every rule."""

from sdm_core.occurrences.afliber import read_afliber
from sdm_core.occurrences.eu_forest import EUROPE_BOUNDS, read_eu_forest
from sdm_core.occurrences.names import ParsedName, parse_name, parse_names
from sdm_core.occurrences.plain import read_csv
from sdm_core.occurrences.table import CleaningStep, Occurrences

__all__ = [
    "EUROPE_BOUNDS",
    "CleaningStep",
    "Occurrences",
    "ParsedName",
    "parse_name",
    "parse_names",
    "read_afliber",
    "read_csv",
    "read_eu_forest",
]
