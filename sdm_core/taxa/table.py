"""The species table of an atlas: names, families, keys, flags and synonyms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from sdm_core.errors import UnknownSpeciesError
from sdm_core.naming import JOINT, SYNONYM_SOURCE, SYNONYMS, SynonymPair, common_genera, synonym_columns
from sdm_core.occurrences import Occurrences
from sdm_core.taxa.gbif_names import read_gbif_names
from sdm_core.taxa.policy import PolicyList, policy_flags, policy_synonyms, read_policy_lists

#: Columns of a species table, in order.
SPECIES_COLUMNS = (
    "species_id",
    "species",
    "family",
    "gbif_key",
    "n_records",
    "n_cells",
    "endemic",
    "habitats_directive",
    "invasive_union_concern",
    "flag_source",
    "flag_date",
    "genus",
    "common_genus",
    SYNONYMS,
    SYNONYM_SOURCE,
)
_GBIF = "GBIF Backbone Taxonomy"


def species_table(
    occurrences: Occurrences,
    *,
    species: Sequence[str] | None = None,
    n_cells: Mapping[str, int] | None = None,
    gbif_names: Path | Sequence[Path] | None = None,
    policy_folder: Path | None = None,
) -> pd.DataFrame:
    """One row per species with the columns `SPECIES_COLUMNS`; `species_id` counts from 0 in the order given.

    - family, gbif_key (Int64, missing where no species-level key is known), endemic (boolean, missing where
      the source does not say): from the occurrences' own taxa, then `gbif_names`.
    - habitats_directive: "yes"; "in part" where only a subspecies, or a species now joined with this one, is
      listed; "" otherwise. invasive_union_concern: boolean. flag_source says which list and under which name,
      flag_date the state of that list, several joined by "; ". A blank flag without `policy_folder` means
      "not looked up".
    - synonyms, synonym_source: other names of the species joined by "; ", none of which is a species of the
      table itself, and who says so (`naming.synonym_columns`).
    - Matching: GBIF key, then name, then the accepted key and accepted name of a listed synonym (unless the
      source has the synonym as a species of its own).

    Args:
        occurrences: cleaned records.
        species: names and order of the rows; all species of the occurrences in alphabetical order by default.
        n_cells: number of cells per species, where other than the source's places (site, else coordinates).
        gbif_names: tables of GBIF matches, see `read_gbif_names`.
        policy_folder: folder with the policy lists.

    Raises:
        UnknownSpeciesError: when a name in `species` has no record.
        OccurrenceError: when a table is not what it should be.
    """
    names = list(species) if species is not None else occurrences.species
    records = occurrences.table["species"].astype(str).value_counts()
    absent = [name for name in names if name not in records.index]
    if absent:
        raise UnknownSpeciesError(
            f"'{absent[0]}' has no record in the occurrences ({len(records)} species have)."
        )
    place = [name for name in ("longitude", "latitude", "site") if name in occurrences.table.columns]
    places = occurrences.table[["species", *place]].drop_duplicates()["species"].astype(str).value_counts()

    known = _known_taxa(names, occurrences.taxa, read_gbif_names(gbif_names) if gbif_names else None)
    genus = [name.split(" ")[0] for name in names]
    table = pd.DataFrame(
        {
            "species_id": range(len(names)),
            "species": names,
            "family": known["family"].to_numpy(),
            "gbif_key": known["gbif_key"].array,
            "n_records": records.reindex(names).to_numpy(dtype="int64"),
            "n_cells": [int((n_cells if n_cells is not None else places)[name]) for name in names],
            "endemic": known["endemic"].array,
            "genus": genus,
            "common_genus": [common_genera().get(name, "") for name in genus],
        }
    )
    lists = read_policy_lists(policy_folder) if policy_folder is not None else ()
    flags = policy_flags(table, known, lists, frozenset(records.index))
    synonyms = synonym_columns(names, _synonyms(known, occurrences, lists))
    return table.assign(**flags, **synonyms)[list(SPECIES_COLUMNS)]


def _synonyms(
    known: pd.DataFrame, occurrences: Occurrences, lists: Iterable[PolicyList]
) -> list[SynonymPair]:
    """Pairs of names of one species: from the occurrences' own taxa, GBIF's matches and the policy lists."""
    pairs = [
        SynonymPair(str(name), accepted, _GBIF)
        for name, accepted in known["accepted_species"].items()
        if accepted
    ]
    if occurrences.taxa is not None and SYNONYMS in occurrences.taxa:
        source = occurrences.source.partition(" (")[0]
        for name, others in zip(occurrences.taxa["species"], occurrences.taxa[SYNONYMS], strict=True):
            pairs += [SynonymPair(name, other, source) for other in others.split(JOINT) if other]
    return [*pairs, *policy_synonyms(lists)]


def _known_taxa(names: list[str], own: pd.DataFrame | None, gbif: pd.DataFrame | None) -> pd.DataFrame:
    """Family, keys, accepted name and endemic flag of each name, "" or missing where unknown."""
    known = pd.DataFrame(index=pd.Index(names, name="species"))
    source = own.set_index("species") if own is not None else pd.DataFrame(index=known.index)
    source = source.reindex(index=names, columns=["family", "gbif_key", "endemic", "gbif_taxon_keys"])
    for column in source.columns:
        known[column] = source[column].array
    known = known.astype(
        {"gbif_key": "Int64", "endemic": "boolean", "family": object, "gbif_taxon_keys": object}
    )
    known["accepted_species"] = ""
    if gbif is not None:
        lookup = gbif.set_index("species").reindex(names)
        known["gbif_key"] = known["gbif_key"].fillna(lookup["gbif_key"].astype("Int64"))
        known["family"] = known["family"].where(known["family"].fillna("") != "", lookup["family"])
        known["accepted_species"] = lookup["accepted_species"].fillna("")
    known["family"] = known["family"].fillna("")
    known["gbif_taxon_keys"] = known["gbif_taxon_keys"].fillna("")
    return known
