"""Which species of an atlas the names of a user's records are, and what the other names might be."""

from __future__ import annotations

import difflib

import pandas as pd

from sdm_core.occurrences import parse_name

#: How a name was found, the surest first; "" where it was not.
BY_NAME, BY_KEY = "name", "GBIF key"
#: Names without a match that get suggestions: those with the most records.
MAX_SUGGESTED = 300
_N_SUGGESTIONS = 2
_LEAST_LIKENESS = 0.85


def match_species(recorded: pd.DataFrame, species: pd.DataFrame) -> pd.DataFrame:
    """The species of an atlas that each recorded name is.

    A name is a species of the atlas when both are spelt alike (case, blanks and the sign of hybrids apart),
    else when the record's GBIF key is that of the species: so a synonym with its accepted key is found.
    Nothing is guessed: a name that only looks like one of the atlas is a suggestion.

    Args:
        recorded: one row per name with `species`, `gbif_key` (Int64, may be missing) and `n_records`.
        species: species table of the atlas: `species_id`, `species` and, where known, `gbif_key`.

    Returns:
        The rows of `recorded` with `species_id` (-1 without a match), `atlas_species`, `found_by` and
        `suggestion`: names of the atlas joined by " or ", empty where none comes near.
    """
    names = species["species"].astype(str).tolist()
    by_name = {_plain(name): number for number, name in reversed(list(enumerate(names)))}
    found = recorded["species"].map(_plain).map(by_name).astype("Int64")
    way = found.notna().map({True: BY_NAME, False: ""})
    if "gbif_key" in species:
        keyed = species["gbif_key"].dropna().drop_duplicates()
        row_of_key = dict(zip(keyed, species.index.get_indexer(keyed.index), strict=True))
        synonym = recorded["gbif_key"].map(row_of_key).astype("Int64")
        way = way.where(found.notna() | synonym.isna(), BY_KEY)
        found = found.fillna(synonym)
    row = found.fillna(-1).astype("int64")
    matched = recorded.assign(
        species_id=[int(species["species_id"].iloc[number]) if number >= 0 else -1 for number in row],
        atlas_species=[names[number] if number >= 0 else "" for number in row],
        found_by=way,
    )
    lost = matched[matched["species_id"] < 0].nlargest(MAX_SUGGESTED, "n_records")
    suggest = _Suggestions(names)
    suggestions = {name: suggest(name) for name in lost["species"]}
    return matched.assign(suggestion=[suggestions.get(name, "") for name in matched["species"]])


class _Suggestions:
    """Names of an atlas that are spelt nearly like another."""

    def __init__(self, names: list[str]) -> None:
        self.by_genus: dict[str, list[str]] = {}
        for name in names:
            self.by_genus.setdefault(name.partition(" ")[0], []).append(name)
        self.genera = list(self.by_genus)

    def __call__(self, name: str) -> str:
        genera = difflib.get_close_matches(name.partition(" ")[0], self.genera, 3, _LEAST_LIKENESS)
        near = [other for found in genera for other in self.by_genus[found]]
        return " or ".join(difflib.get_close_matches(name, near, _N_SUGGESTIONS, _LEAST_LIKENESS))


def _plain(name: str) -> str:
    """A name at species level for comparison: case, blanks and the sign of hybrids apart."""
    at_species_level = parse_name(name).species or name
    return " ".join(at_species_level.lower().replace("×", " ").split())
