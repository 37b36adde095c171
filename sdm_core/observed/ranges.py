"""Extent of occurrence and area of occupancy of the species a user recorded in a region."""

from __future__ import annotations

import pandas as pd

from sdm_core.indicators import observed_ranges
from sdm_core.observed.records import Records
from sdm_core.observed.region import ObservedRegion

#: What the numbers are of, for a page or a report.
RANGE_TEXT = (
    "Extent of occurrence (EOO) is the area of the smallest convex polygon around all records of the species "
    "in your files, inside the outline and outside; area of occupancy (AOO) counts the 2 km × 2 km squares "
    "with a record, 4 km² each. They describe these records, not the whole range of the species, and no Red "
    "List category follows from them."
)
#: Columns beside species and species_id: unit ("" for none) and meaning.
SPECIES_RANGE_COLUMNS: dict[str, tuple[str, str]] = {
    "range_records": ("records", "records of the species in the files, inside the outline and outside"),
    "range_places": ("places", "distinct places among them"),
    "eoo_km2": ("km²", "extent of occurrence of these records, never below the area of occupancy"),
    "aoo_km2": ("km²", "area of occupancy of these records, 2 km squares"),
    "range_warnings": ("", "what to know before using the two areas"),
}


def species_ranges(records: Records, observed: ObservedRegion) -> pd.DataFrame:
    """EOO and AOO of every species observed in the region, from all records of the files.

    Records outside the outline count too: the range of a species does not end with the region.

    Args:
        records: as read.
        observed: the same records in the region, which says which names are one species.

    Returns:
        One row per row of `observed.species`, in its order: species_id, species, `SPECIES_RANGE_COLUMNS`.
    """
    listed = observed.species
    row_of_name = {
        name: row for row, names in enumerate(listed["recorded_as"]) for name in str(names).split("; ")
    }
    placed = records.table[["species", "longitude", "latitude"]]
    row = placed["species"].map(row_of_name)
    known = row.notna()
    numbered = placed[known].assign(species=[f"{int(number):08d}" for number in row[known]])
    found = observed_ranges(numbered).reset_index(drop=True)
    assert len(found) == len(listed)
    return pd.DataFrame(
        {
            "species_id": listed["species_id"].to_numpy(),
            "species": listed["species"].to_numpy(object),
            "range_records": found["n_records"],
            "range_places": found["n_places"],
            "eoo_km2": found["eoo_km2"],
            "aoo_km2": found["aoo_km2"],
            "range_warnings": found["warnings"],
        }
    )
