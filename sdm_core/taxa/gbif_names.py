"""GBIF keys, families and accepted names of names, from tables of GBIF's name matching."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from sdm_core.occurrences import parse_name
from sdm_core.occurrences.reading import read_table, require_column


def read_gbif_names(paths: Path | Sequence[Path]) -> pd.DataFrame:
    """GBIF keys of names: columns species, gbif_key, family, accepted_species; earlier files win.

    Reads tables of GBIF name matches (originalName, key, rank, matchType, family, species) and species lists
    with GBIF columns (GBIF_species_id, GBIF_species_name, GBIF_family_name). Only keys of species are taken.

    Raises:
        OccurrenceError: when a file is absent or has other columns.
    """
    files = [Path(paths)] if isinstance(paths, (str, Path)) else [Path(path) for path in paths]
    parts = [_gbif_names_of(file) for file in files]
    return pd.concat(parts, ignore_index=True).drop_duplicates("species")


def _gbif_names_of(file: Path) -> pd.DataFrame:
    """The names of one file."""
    table = read_table(file)
    if "GBIF_species_id" in table.columns and "GBIF_species_name" in table.columns:
        family = table["GBIF_family_name"] if "GBIF_family_name" in table.columns else ""
        keys = table["GBIF_species_id"]
        names, accepted = table["GBIF_species_name"], table["GBIF_species_name"]
    else:
        for column in ("originalName", "key", "rank", "matchType", "family", "species"):
            require_column(table, [column], "GBIF matches of names", file.name)
        # Where only the genus was matched, the key is that of the genus: the family holds, the key does not.
        exact = (table["rank"] == "SPECIES") & table["matchType"].isin(["EXACT", "FUZZY"])
        family, keys = table["family"], table["key"].where(exact)
        names, accepted = table["originalName"], table["species"].where(exact, "")
    return pd.DataFrame(
        {
            "species": [parse_name(name).species or name for name in names],
            "gbif_key": pd.to_numeric(keys, errors="coerce").astype("Int64"),
            "family": family,
            "accepted_species": accepted,
        }
    )
