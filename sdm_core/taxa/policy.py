"""Legal species lists matched to GBIF, and which species of a table they flag."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sdm_core.errors import OccurrenceError
from sdm_core.naming import SynonymPair
from sdm_core.occurrences import parse_name

#: Value of `habitats_directive` where only a subspecies or a merged synonym is listed.
IN_PART = "in part"
_GBIF = "GBIF Backbone Taxonomy"


@dataclass(frozen=True)
class PolicyList:
    """A legal species list matched to GBIF.

    Attributes:
        key: "habitats_directive" or "invasive_union_concern".
        title: what the flag text calls it.
        date: state of the list.
        entries: one `PolicyEntry` per listed plant.
    """

    key: str
    title: str
    date: str
    entries: tuple[PolicyEntry, ...]


@dataclass(frozen=True)
class PolicyEntry:
    """One listed taxon: the name as listed, and what GBIF makes of it (None where it found nothing)."""

    listed: str
    species: str | None
    genus: str
    rank: str
    gbif_key: int | None
    accepted_key: int | None
    accepted_species: str | None


#: (file name pattern, key, title, date) of the lists looked for in a folder. The annex (II, IV or V) is not
#: in the Habitats Directive file, so its flag says no more than "yes". The list of Union concern holds 88
#: taxa, the state since Implementing Regulation (EU) 2022/1203.
_LISTS = (
    ("habitats_directive*.csv", "habitats_directive", "Habitats Directive (Art. 17 checklist)"),
    ("IAS_list_union_concern*.csv", "invasive_union_concern", "Union list of invasive alien species"),
)
_UNION_LIST_DATES = {37: "2016", 49: "2017", 66: "2019", 88: "2022"}


def read_policy_lists(folder: Path) -> tuple[PolicyList, ...]:
    """The Habitats Directive checklist and the Union list of invasive alien species, plants only.

    The date is the year in the file name; the Union list has none there, and its length tells which of its
    updates (2016: 37 taxa, 2017: 49, 2019: 66, 2022: 88) it is.

    Raises:
        OccurrenceError: when a list is missing or is not matched to GBIF.
    """
    folder = Path(folder)
    lists = []
    for pattern, key, title in _LISTS:
        files = sorted(folder.glob(pattern))
        if not files:
            raise OccurrenceError(f"{folder} holds no {pattern}; the species flags need that list.")
        table = pd.read_csv(files[0], dtype=str, keep_default_na=False, encoding_errors="replace")
        needed = [
            "verbatimScientificName",
            "key",
            "rank",
            "kingdom",
            "matchType",
            "species",
            "acceptedUsageKey",
        ]
        absent = [column for column in needed if column not in table.columns]
        if absent:
            raise OccurrenceError(
                f"{files[0].name} has no column '{absent[0]}'; a list matched to GBIF was expected."
            )
        year = re.search(r"(19|20)\d\d", files[0].stem)
        date = year.group() if year else _UNION_LIST_DATES.get(len(table), "undated")
        # Names GBIF did not find have no kingdom; they are matched by name alone.
        plants = table[table["kingdom"].isin(["Plantae", ""])]
        entries = tuple(_entry(row) for row in plants.to_dict("records"))
        lists.append(PolicyList(key, title, date, entries))
    return tuple(lists)


def _entry(row: Mapping[Hashable, str]) -> PolicyEntry:
    """One row of a policy file."""
    listed = re.sub(r"\s+", " ", row["verbatimScientificName"]).strip()
    plain = re.sub(r"\s*(s\.\s?l\.|s\.\s?str\.)$", "", listed)
    parsed = parse_name(plain)
    matched = row["matchType"] in ("EXACT", "FUZZY") and row["rank"] not in ("GENUS", "FAMILY")
    rank = "infraspecific" if parsed.rank == "infraspecific" else "species"
    if re.search(r"\bspp?\.?$", listed):
        rank = "genus"
    return PolicyEntry(
        listed=listed,
        species=parsed.species,
        genus=listed.split(" ")[0],
        rank=rank,
        gbif_key=_integer(row["key"]) if matched else None,
        accepted_key=_integer(row["acceptedUsageKey"]) if matched else None,
        accepted_species=row["species"] or None if matched else None,
    )


def _integer(text: str) -> int | None:
    return int(text) if text.strip().isdigit() else None


def policy_flags(
    table: pd.DataFrame, known: pd.DataFrame, lists: Iterable[PolicyList], source_species: frozenset[str]
) -> dict[str, list]:
    """The flag columns of a species table."""
    n = len(table)
    directive, invasive = [""] * n, [False] * n
    sources: list[list[str]] = [[] for _ in range(n)]
    dates: list[list[str]] = [[] for _ in range(n)]
    for policy in lists:
        index = _PolicyIndex(policy, source_species)
        for row, (name, key, taxon_keys, accepted) in enumerate(
            zip(
                table["species"],
                known["gbif_key"],
                known["gbif_taxon_keys"],
                known["accepted_species"],
                strict=True,
            )
        ):
            keys = {int(part) for part in taxon_keys.split()} | ({int(key)} if pd.notna(key) else set())
            found = index.find(name, None if pd.isna(key) else int(key), keys, accepted)
            if found is None:
                continue
            whole, listed = found
            if policy.key == "habitats_directive":
                directive[row] = "yes" if whole else IN_PART
            else:
                invasive[row] = True
            sources[row].append(policy.title + (f", listed as {listed}" if listed != name else ""))
            dates[row].append(policy.date)
    return {
        "habitats_directive": directive,
        "invasive_union_concern": invasive,
        "flag_source": ["; ".join(texts) for texts in sources],
        "flag_date": ["; ".join(texts) for texts in dates],
    }


class _PolicyIndex:
    """Looks a species up in a policy list."""

    def __init__(self, policy: PolicyList, source_species: frozenset[str]) -> None:
        self.source_species = source_species
        species = [entry for entry in policy.entries if entry.rank == "species"]
        self.by_key = {entry.gbif_key: entry for entry in species if entry.gbif_key is not None}
        self.by_name = {entry.species: entry for entry in species if entry.species is not None}
        self.by_accepted_key = {
            entry.accepted_key: entry for entry in species if entry.accepted_key is not None
        }
        self.by_accepted_name = {entry.accepted_species: entry for entry in species if entry.accepted_species}
        self.by_genus = {entry.genus: entry for entry in policy.entries if entry.rank == "genus"}
        lower = [entry for entry in policy.entries if entry.rank == "infraspecific"]
        self.lower_keys = {entry.gbif_key: entry for entry in lower if entry.gbif_key is not None}
        self.lower_names: dict[str, list[PolicyEntry]] = {}
        for entry in lower:
            for name in {entry.species, entry.accepted_species} - {None}:
                self.lower_names.setdefault(str(name), []).append(entry)

    def find(
        self, name: str, key: int | None, taxon_keys: set[int], accepted: str
    ) -> tuple[bool, str] | None:
        """Whether the whole species is listed, and the listed name; None when it is not on the list."""
        entry = self.by_key.get(key) if key is not None else None
        entry = entry or self.by_name.get(name)
        if entry is not None:
            return True, entry.species or entry.listed
        synonym = self.by_accepted_key.get(key) if key is not None else None
        synonym = synonym or self.by_accepted_name.get(name)
        if synonym is None and accepted and accepted != name:
            synonym = self.by_name.get(accepted) or self.by_accepted_name.get(accepted)
        # Where the source keeps the listed species apart from this one, the flag is that species' alone.
        if synonym is not None and synonym.species not in self.source_species:
            listed = synonym.species or synonym.listed
            return _stem(listed) == _stem(name), listed
        if name.split(" ")[0] in self.by_genus:
            return True, self.by_genus[name.split(" ")[0]].listed
        # Every taxon the source has of this species is a listed subspecies: the species, here, is listed.
        if taxon_keys and taxon_keys <= set(self.lower_keys):
            return True, ", ".join(sorted(self.lower_keys[taxon].listed for taxon in taxon_keys))
        lower = self.lower_names.get(name, []) or [
            self.lower_keys[k] for k in taxon_keys if k in self.lower_keys
        ]
        if lower:
            # A listed subspecies that has become a species of its own under the same epithet is all of it.
            risen = any(
                part.accepted_species == name != part.species and _stem(part.listed) == _stem(name)
                for part in lower
            )
            return risen, ", ".join(sorted({part.listed for part in lower}))
        return None


def _stem(name: str) -> str:
    """Epithet without its gender ending: a name moved to another genus keeps it, a name joined does not."""
    epithet = name.split(" ")[-1].lower()
    return re.sub(r"(rum|ra|er|us|um|is|os|on|ae|a|e)$", "", epithet)


def policy_synonyms(lists: Iterable[PolicyList]) -> list[SynonymPair]:
    """Listed species that GBIF takes for another, with that name."""
    return [
        SynonymPair(entry.species, entry.accepted_species, _GBIF)
        for policy in lists
        for entry in policy.entries
        if entry.rank == "species" and entry.species and entry.accepted_species
    ]
