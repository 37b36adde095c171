"""Which species of an atlas the taxa of a status list are, and what the rest might be."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sdm_core.naming import (
    BY_ACCEPTED_KEY,
    BY_GIVEN_SYNONYM,
    IN_A_WIDE_SENSE,
    JOINT,
    WAYS,
    AtlasNames,
    Found,
    is_same_taxon,
)
from sdm_core.occurrences import parse_name
from sdm_core.statuses.categories import RED_LIST
from sdm_core.statuses.reading import StatusFile

IN_PART = "subspecies"
UNMATCHED_COLUMNS = ("taxon", "list", "region", "category", "reason", "suggestions")
#: Taxa without a match that get suggestions.
MAX_SUGGESTED = 500
_N_NAMED = 5


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


def match_statuses(file: StatusFile, species: pd.DataFrame) -> MatchedStatuses:
    """Match a status file with the species table of an atlas.

    A taxon is a species of the atlas when its name at species level is (authors, case and spacing apart), or
    its GBIF key, or that of its accepted name where both names differ in genus or spelling only; when the
    atlas lists its name as a synonym; last by the synonyms the file itself gives. A listed subspecies says
    nothing about the species as a whole and is not matched. Nothing is dropped: every entry is in `matched`
    or in `unmatched`.

    Args:
        file: from `read_statuses`.
        species: species table of the atlas, with `species` and, where it has them, `gbif_key` and `synonyms`.
    """
    names = AtlasNames(species)
    rows, missed = [], []
    for entry in file.entries.to_dict("records"):
        found = _find(names, entry)
        if isinstance(found, Missed):
            missed.append((entry, found))
        else:
            rows.append(
                {
                    **entry,
                    "species_id": found.number,
                    "species": names.names[found.number],
                    "way": found.way,
                }
            )
    matched = pd.DataFrame(rows, columns=[*file.entries.columns, "species_id", "species", "way"])
    matched, notes = _one_per_species(matched, file.name)
    notes = (*notes, *_perhaps_in_part(matched, file.name))
    suggestions: dict[str, str] = {}
    rest: list[list[str]] = []
    for entry, why in missed:
        taxon = str(entry["taxon"])
        if not why.suggestions and not why.final and taxon not in suggestions:
            suggestions[taxon] = JOINT.join(names.suggest(taxon)) if len(suggestions) < MAX_SUGGESTED else ""
        told = [str(entry[name]) for name in UNMATCHED_COLUMNS[:4]]
        rest.append([*told, why.reason, why.suggestions or suggestions.get(taxon, "")])
    unmatched = pd.DataFrame(rest, columns=list(UNMATCHED_COLUMNS))
    if len(suggestions) > MAX_SUGGESTED:
        notes = (*notes, f"{file.name}: names spelt alike were looked up for {MAX_SUGGESTED} taxa only.")
    return MatchedStatuses(file, len(species), matched, unmatched, (*file.notes, *notes))


class Missed(NamedTuple):
    """Why an entry is no species of the atlas, and the species it may be where that is known."""

    reason: str
    suggestions: str = ""
    #: Whether no other suggestion would help.
    final: bool = False


def _find(names: AtlasNames, entry: Mapping[Hashable, Any]) -> Found | Missed:
    """The species of an entry, or why there is none."""
    parsed = parse_name(IN_A_WIDE_SENSE.sub("", str(entry["taxon"])))
    if parsed.rank == "infraspecific":
        whole = names.find(parsed.species or "")
        return Missed(
            f"{IN_PART}: its status is not that of the whole species",
            "" if whole is None else names.names[whole.number],
            final=True,
        )
    others = [name for name in str(entry["synonyms"]).split(JOINT) if name]
    found = names.find(str(entry["taxon"]), entry["gbif_key"], entry["accepted_gbif_key"], others)
    if found is not None:
        species = names.names[found.number]
        if found.way == BY_ACCEPTED_KEY and not is_same_taxon(str(entry["taxon"]), species):
            return Missed(
                "GBIF joins it with a species of another epithet; it may be only a part of it", species
            )
        return found
    if parsed.species is None:
        return Missed(f"not a species ({parsed.rank})")
    meant = names.meant_by([str(entry["taxon"]), *others])
    if meant:
        several = sorted(names.names[number] for number in meant)
        return Missed("its synonyms are several species of the atlas", JOINT.join(several))
    return Missed("no species of the atlas has this name, key or synonym")


def _perhaps_in_part(matched: pd.DataFrame, called: str) -> tuple[str, ...]:
    """A sentence where taxa were matched through a synonym with quite another name."""
    by_other_names = matched[matched["way"] == BY_GIVEN_SYNONYM]
    pairs = [
        f"{taxon} → {species}"
        for taxon, species in zip(by_other_names["taxon"], by_other_names["species"], strict=True)
        if not is_same_taxon(taxon, species)
    ]
    if not pairs:
        return ()
    shown = dict.fromkeys(pairs)
    more = f" and {len(shown) - _N_NAMED} more" if len(shown) > _N_NAMED else ""
    return (
        f"{called}: matched as synonyms with another epithet: {', '.join([*shown][:_N_NAMED])}{more}; where "
        "such a taxon is only a part of the species, its status is not that of the whole.",
    )


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
