"""Which species of an atlas the taxa of a status list are, and what the rest might be."""

from __future__ import annotations

import difflib
import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sdm_core.occurrences import parse_name
from sdm_core.statuses.categories import RED_LIST
from sdm_core.statuses.reading import StatusFile

#: Ways an entry reaches a species, the surest first.
WAYS: tuple[str, ...] = ("name", "GBIF key", "GBIF key of the accepted name", "GBIF name table")
IN_PART = "subspecies"
UNMATCHED_COLUMNS = ("taxon", "list", "region", "category", "reason", "suggestions")
_N_SUGGESTIONS = 3
_CUTOFF = 0.8


@dataclass(frozen=True, eq=False)
class MatchedStatuses:
    """The entries of a status file beside the species of an atlas.

    Attributes:
        file: the file as read.
        n_species: number of species in the atlas.
        matched: entries with `species_id`, `species` (name in the atlas) and `way` (one of `WAYS`), one per
            species, list and region.
        unmatched: entries of no species of the atlas, with why not and what was possibly meant:
            `UNMATCHED_COLUMNS`; suggestions are names of the atlas joined by "; ".
        notes: what to know about the matching, one sentence each.
    """

    file: StatusFile
    n_species: int
    matched: pd.DataFrame
    unmatched: pd.DataFrame
    notes: tuple[str, ...]

    def sentences(self, n_named: int = 5) -> list[str]:
        """What was matched, which taxa were not and what they may be, for a terminal or a page."""
        n_taxa = len(self.file.entries)
        n_found = n_taxa - len(self.unmatched)
        said = [f"{self.file.name}: {n_found} of {n_taxa} entries are species of this atlas."]
        if len(self.unmatched):
            named = [
                f"{taxon} (perhaps {suggestions.split('; ')[0]})" if suggestions else str(taxon)
                for taxon, suggestions in zip(
                    self.unmatched["taxon"][:n_named], self.unmatched["suggestions"][:n_named], strict=True
                )
            ]
            more = len(self.unmatched) - len(named)
            rest = f" and {more} more" if more else ""
            said.append(f"{self.file.name}: not in this atlas: {', '.join(named)}{rest}.")
        return [*said, *self.notes]

    def categories(self, listed: str, region: str, completed: bool = False) -> NDArray[np.object_]:
        """Category of every species (n_species) on one list of the file, "" where it has none.

        With `completed`, species without an official assessment (NE, or not applicable) take the predicted
        category where the list gives one.
        """
        found = np.full(self.n_species, "", dtype=object)
        rows = self.matched[(self.matched["list"] == listed) & (self.matched["region"] == region)]
        values = rows["category"]
        if completed:
            open_to = rows["category"].isin(["NE", "NA", "DD"]) & (rows["completed"] != "")
            values = values.where(~open_to, rows["completed"])
        found[rows["species_id"].to_numpy(np.int64)] = values.to_numpy(object)
        return found


def match_statuses(
    file: StatusFile, species: pd.DataFrame, gbif_names: pd.DataFrame | None = None
) -> MatchedStatuses:
    """Match a status file with the species table of an atlas.

    A taxon is a species of the atlas when its name at species level is (authors, case and spacing apart), or
    its GBIF key, or that of its accepted name; a synonym that has a key is found through it. A listed
    subspecies says nothing about the species as a whole and is not matched. Nothing is dropped: every entry
    is in `matched` or in `unmatched`.

    Args:
        file: from `read_statuses`.
        species: species table of the atlas, with `species` and, where it has them, `gbif_key`.
        gbif_names: names with their GBIF keys (`taxa.read_gbif_names`), for lists that hold none.
    """
    index = _SpeciesIndex(species, gbif_names)
    rows, missed = [], []
    for entry in file.entries.to_dict("records"):
        found = index.find(entry)
        if isinstance(found, str):
            missed.append({**{name: entry[name] for name in UNMATCHED_COLUMNS[:4]}, "reason": found})
        else:
            species_id, way = found
            rows.append({**entry, "species_id": species_id, "species": index.names[species_id], "way": way})
    matched = pd.DataFrame(rows, columns=[*file.entries.columns, "species_id", "species", "way"])
    matched, notes = _one_per_species(matched, file.name)
    suggestions: dict[str, str] = {}
    for missing in missed:
        taxon = str(missing["taxon"])
        if taxon not in suggestions:
            suggestions[taxon] = "; ".join(index.suggest(taxon))
        missing["suggestions"] = suggestions[taxon]
    unmatched = pd.DataFrame(missed, columns=list(UNMATCHED_COLUMNS))
    return MatchedStatuses(file, len(species), matched, unmatched, (*file.notes, *notes))


class _SpeciesIndex:
    """Finds species of an atlas by name and key, and names that look alike."""

    def __init__(self, species: pd.DataFrame, gbif_names: pd.DataFrame | None) -> None:
        self.names = species["species"].astype(str).tolist()
        self.by_name: dict[str, int] = {}
        for number, name in enumerate(self.names):
            self.by_name.setdefault(_plain(parse_name(name).species or name), number)
        self.by_key: dict[int, int] = {}
        if "gbif_key" in species:
            for number, key in enumerate(species["gbif_key"]):
                if pd.notna(key):
                    self.by_key.setdefault(int(key), number)
        self.key_of_name: dict[str, int] = {}
        if gbif_names is not None:
            known = gbif_names.dropna(subset=["gbif_key"])
            self.key_of_name = {
                _plain(name): int(key) for name, key in zip(known["species"], known["gbif_key"], strict=True)
            }
        self._alike: dict[str, list[str]] = {}
        for name in self.names:
            for trait in _traits(name):
                self._alike.setdefault(trait, []).append(name)

    def find(self, entry: Mapping[Hashable, Any]) -> tuple[int, str] | str:
        """Column of the species and how it was found; or why it was not."""
        parsed = parse_name(re.sub(r"\s+s\.\s?(l|str)\.?$", "", str(entry["taxon"])))
        if parsed.rank != "infraspecific":
            key, accepted = entry["gbif_key"], entry["accepted_gbif_key"]
            name = _plain(parsed.species or str(entry["taxon"]))
            if name in self.by_name:
                return self.by_name[name], WAYS[0]
            if pd.notna(key) and int(key) in self.by_key:
                return self.by_key[int(key)], WAYS[1]
            if pd.notna(accepted) and int(accepted) in self.by_key:
                return self.by_key[int(accepted)], WAYS[2]
            if self.key_of_name.get(name) in self.by_key:
                return self.by_key[self.key_of_name[name]], WAYS[3]
        if parsed.rank == "infraspecific":
            return f"{IN_PART}: its status is not that of the whole species"
        if parsed.species is None:
            return f"not a species ({parsed.rank})"
        return "no species of the atlas has this name or key"

    def suggest(self, taxon: str) -> list[str]:
        """Names of the atlas that were possibly meant: spelt alike, or the same epithet in another genus."""
        name = parse_name(taxon).species or taxon
        candidates = list(
            dict.fromkeys(like for trait in _traits(name) for like in self._alike.get(trait, ()))
        )
        spelt = difflib.get_close_matches(name, candidates, _N_SUGGESTIONS, _CUTOFF)
        if spelt:
            return spelt
        same_epithet = self._alike.get(_epithet_trait(name), []) if " " in name else []
        return same_epithet[:_N_SUGGESTIONS]


def _plain(name: str) -> str:
    """A name for comparison: case, spacing and the sign of hybrids apart."""
    return " ".join(name.lower().replace("×", " ").split())


def _traits(name: str) -> Iterable[str]:
    """What two names that may mean the same species share at least one of: genus start, epithet, ends."""
    words = _plain(name).split()
    if not words:
        return ()
    first, last = words[0], words[-1]
    return dict.fromkeys(
        [f"genus {first[:4]}", _epithet_trait(name), f"ends {first[-3:]} {last[:3]}", f"starts {last[:5]}"]
    )


def _epithet_trait(name: str) -> str:
    """Epithet without its gender ending: a species moved to another genus keeps it."""
    epithet = _plain(name).split()[-1] if name.strip() else ""
    return "epithet " + re.sub(r"(rum|ra|er|us|um|is|os|on|ae|a|e)$", "", epithet)


def _one_per_species(matched: pd.DataFrame, called: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """One entry per species, list and region: of two taxa that are one species here, the surer match.

    Where both were found in the same way and differ, the worse category stands, and a note says so.
    """
    if matched.empty:
        return matched, ()
    severity = {category: place for place, category in enumerate(RED_LIST)}
    order = pd.DataFrame(
        {
            "species_id": matched["species_id"],
            "way": matched["way"].map({way: place for place, way in enumerate(WAYS)}),
            "worse": [-severity.get(category, 0) for category in matched["category"]],
        }
    )
    matched = matched.loc[order.sort_values(["species_id", "way", "worse"], kind="stable").index]
    group = ["species_id", "list", "region"]
    kept = matched.drop_duplicates(group)
    notes = []
    for (_, listed, _region), entries in matched[matched.duplicated(group, keep=False)].groupby(
        group, sort=False
    ):
        taken = entries.iloc[0]
        others = ", ".join(
            f"{taxon} ({category})"
            for taxon, category in zip(entries["taxon"][1:], entries["category"][1:], strict=True)
        )
        notes.append(
            f"{called}: {taken['species']} takes {taken['category']} of {taken['taxon']} in “{listed}”; the "
            f"same species to the atlas: {others}."
        )
    return kept.reset_index(drop=True), tuple(notes)
