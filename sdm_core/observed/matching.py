"""Which species of an atlas the names of a user's records are, and what the other names might be."""

from __future__ import annotations

import pandas as pd

from sdm_core.naming import AtlasNames

#: Names without a match that get suggestions: those with the most records.
MAX_SUGGESTED = 300


def match_species(recorded: pd.DataFrame, species: pd.DataFrame) -> pd.DataFrame:
    """The species of an atlas that each recorded name is.

    A name is a species of the atlas when both are spelt alike (case, blanks and the sign of hybrids apart),
    else when the record's GBIF key is that of the species, else when the atlas lists it as a synonym.
    Nothing is guessed: a name that only looks like one of the atlas is a suggestion.

    Args:
        recorded: one row per name with `species`, `gbif_key` (Int64, may be missing) and `n_records`.
        species: species table of the atlas: `species_id`, `species` and, where known, `gbif_key` and
            `synonyms`.

    Returns:
        The rows of `recorded` with `species_id` (-1 without a match), `atlas_species`, `found_by` (one of
        `naming.WAYS`, or "") and `suggestion`: names of the atlas joined by " or ", empty where none comes
        near.
    """
    names = AtlasNames(species)
    pairs = zip(recorded["species"], recorded["gbif_key"], strict=True)
    found = [names.find(name, key) for name, key in pairs]
    ids = species["species_id"].to_numpy()
    matched = recorded.assign(
        species_id=pd.array([-1 if one is None else int(ids[one.number]) for one in found], dtype="int64"),
        atlas_species=["" if one is None else names.names[one.number] for one in found],
        found_by=["" if one is None else one.way for one in found],
    )
    lost = matched[matched["species_id"] < 0].nlargest(MAX_SUGGESTED, "n_records")
    suggestions = {name: " or ".join(names.suggest(name)) for name in lost["species"]}
    return matched.assign(suggestion=[suggestions.get(name, "") for name in matched["species"]])
