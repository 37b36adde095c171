"""Taxa: one row per species with its name, family, GBIF key, synonyms and the legal lists it is on.

policy       the Habitats Directive and the Union list, matched to GBIF
gbif_names   tables of GBIF's name matching
table        `species_table`, from occurrences and both
"""

from sdm_core.naming import COMMON_GENERA, common_genera
from sdm_core.taxa.gbif_names import read_gbif_names
from sdm_core.taxa.policy import IN_PART, PolicyEntry, PolicyList, read_policy_lists
from sdm_core.taxa.table import SPECIES_COLUMNS, species_table

__all__ = [
    "COMMON_GENERA",
    "IN_PART",
    "SPECIES_COLUMNS",
    "PolicyEntry",
    "PolicyList",
    "common_genera",
    "read_gbif_names",
    "read_policy_lists",
    "species_table",
]
