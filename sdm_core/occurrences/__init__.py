"""Occurrences: what was seen where, read from its original files, cleaned, with a count for every rule."""

from sdm_core.occurrences.afliber import read_afliber
from sdm_core.occurrences.cubes import eea_cells_to_lonlat, read_cube
from sdm_core.occurrences.darwin_core import open_darwin_core, read_checklist, read_darwin_core
from sdm_core.occurrences.eu_forest import EUROPE_BOUNDS, read_eu_forest
from sdm_core.occurrences.geolifeclef import (
    PatchFiles,
    find_patch_files,
    read_geolifeclef,
    read_geolifeclef_surveys,
    read_patch,
    read_site_values,
    read_time_series,
)
from sdm_core.occurrences.geopackage import geopackage_tables, read_geopackage
from sdm_core.occurrences.names import ParsedName, parse_name, parse_names
from sdm_core.occurrences.nceas import read_nceas
from sdm_core.occurrences.plain import read_csv
from sdm_core.occurrences.plots import BRAUN_BLANQUET, read_plots_long, read_plots_wide
from sdm_core.occurrences.recognition import FORMATS, read_occurrences, recognise
from sdm_core.occurrences.sinr_format import read_sinr
from sdm_core.occurrences.surveys import Surveys
from sdm_core.occurrences.table import CleaningStep, Occurrences

__all__ = [
    "BRAUN_BLANQUET",
    "EUROPE_BOUNDS",
    "FORMATS",
    "CleaningStep",
    "Occurrences",
    "ParsedName",
    "PatchFiles",
    "Surveys",
    "eea_cells_to_lonlat",
    "find_patch_files",
    "geopackage_tables",
    "open_darwin_core",
    "parse_name",
    "parse_names",
    "read_afliber",
    "read_checklist",
    "read_csv",
    "read_cube",
    "read_darwin_core",
    "read_eu_forest",
    "read_geolifeclef",
    "read_geolifeclef_surveys",
    "read_geopackage",
    "read_nceas",
    "read_occurrences",
    "read_patch",
    "read_plots_long",
    "read_plots_wide",
    "read_sinr",
    "read_site_values",
    "read_time_series",
    "recognise",
]
