"""Names of species: which species of an atlas a name means, by key and synonym too, and what it may mean.

`AtlasNames` finds names in a species table, and `synonym_columns` makes the two columns of synonyms that such
a table may have. Nothing is guessed: a name that is only spelt alike is a suggestion.
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import NamedTuple

import pandas as pd

from sdm_core.config import ASSETS_DIR
from sdm_core.occurrences import parse_name

#: Ways a name reaches a species, the surest first.
WAYS = BY_NAME, BY_KEY, BY_ACCEPTED_KEY, BY_SYNONYM, BY_GIVEN_SYNONYM = (
    "name",
    "GBIF key",
    "GBIF key of the accepted name",
    "synonym of the atlas",
    "synonym given with the list",
)
#: Columns of a species table with other names of a species, joined by `JOINT`, and where they are from.
SYNONYMS, SYNONYM_SOURCE = "synonyms", "synonym_source"
COMMON_GENERA = ASSETS_DIR / "taxonomy" / "common_genera.csv"
JOINT = "; "
_N_SUGGESTIONS = 3
_LEAST_LIKENESS, _LEAST_LIKENESS_OF_EPITHETS = 0.8, 0.75
#: Epithets of one genus that are this much alike are spellings of one.
_SAME_EPITHET = 0.9
_GENDER = re.compile(r"(rum|ra|er|us|um|is|os|on|ae|a|e)$")
#: How a name says that it is meant widely or narrowly.
IN_A_WIDE_SENSE = re.compile(r"\s+s\.\s?(l|str)\.?$")


class SynonymPair(NamedTuple):
    """Two names of one species, and who says so."""

    name: str
    accepted: str
    source: str


class Found(NamedTuple):
    """A species of an atlas: its place in the table, and how it was found (one of `WAYS`)."""

    number: int
    way: str


@lru_cache(maxsize=1)
def common_genera() -> Mapping[str, str]:
    """English name of each genus in `assets/taxonomy/common_genera.csv`."""
    with COMMON_GENERA.open(encoding="utf-8", newline="") as file:
        return MappingProxyType({row["genus"]: row["english"] for row in csv.DictReader(file)})


def plain_name(name: str) -> str:
    """A name at species level for comparison: authors, case, spacing and the sign of hybrids apart."""
    at_species_level = parse_name(IN_A_WIDE_SENSE.sub("", name)).species or name
    return " ".join(at_species_level.lower().replace("×", " ").split())


class AtlasNames:
    """Finds the species of an atlas by name, GBIF key and synonym, and names that look alike.

    species: species table with `species` and, where it has them, `gbif_key` and `synonyms`.
    """

    def __init__(self, species: pd.DataFrame) -> None:
        self.names = species["species"].astype(str).tolist()
        self._by_name: dict[str, int] = {}
        for number, name in enumerate(self.names):
            self._by_name.setdefault(plain_name(name), number)
        self._by_key: dict[int, int] = {}
        if "gbif_key" in species:
            for number, key in enumerate(species["gbif_key"]):
                if pd.notna(key):
                    self._by_key.setdefault(int(key), number)
        self._by_synonym: dict[str, set[int]] = {}
        if SYNONYMS in species:
            for number, text in enumerate(species[SYNONYMS].fillna("")):
                for synonym in filter(None, str(text).split(JOINT)):
                    self._by_synonym.setdefault(plain_name(synonym), set()).add(number)

    def find(
        self, name: str, key: object = None, accepted_key: object = None, others: Sequence[str] = ()
    ) -> Found | None:
        """The species a name means; None where it is none, or where its synonyms are several.

        others: further names of the same species, where who gives the name gives them too.
        """
        plain = plain_name(name)
        if plain in self._by_name:
            return Found(self._by_name[plain], BY_NAME)
        for given, way in ((key, BY_KEY), (accepted_key, BY_ACCEPTED_KEY)):
            if given is not None and pd.notna(given) and int(given) in self._by_key:  # type: ignore[call-overload]
                return Found(self._by_key[int(given)], way)  # type: ignore[call-overload]
        meant = self._by_synonym.get(plain, set())
        if len(meant) == 1:
            return Found(next(iter(meant)), BY_SYNONYM)
        meant = self.meant_by(others)
        return Found(next(iter(meant)), BY_GIVEN_SYNONYM) if len(meant) == 1 else None

    def meant_by(self, names: Iterable[str]) -> set[int]:
        """All species that some names are, or are synonyms of."""
        meant: set[int] = set()
        for plain in map(plain_name, names):
            meant |= {self._by_name[plain]} if plain in self._by_name else self._by_synonym.get(plain, set())
        return meant

    def suggest(self, name: str) -> list[str]:
        """Names of the atlas that were possibly meant.

        Those spelt alike; else, for a genus that is none of the well-known ones, the one species with the
        same epithet in another genus: a species that was moved keeps its epithet, but where several share
        "alpina", or the genus is as good as Calluna, that says nothing.
        """
        wanted = parse_name(name).species or name
        near = dict.fromkeys(like for trait in _traits(wanted) for like in self._alike.get(trait, ()))
        candidates = [like for like in near if _are_alike(wanted.split(), like.split())]
        spelt = difflib.get_close_matches(wanted, candidates, _N_SUGGESTIONS, _LEAST_LIKENESS)
        if spelt or " " not in wanted:
            return spelt
        if wanted.partition(" ")[0] in common_genera() or wanted.partition(" ")[0] in self._genera:
            return []
        moved = self._alike.get(_epithet_trait(wanted), [])
        return list(moved) if len(moved) == 1 else []

    @cached_property
    def _genera(self) -> frozenset[str]:
        return frozenset(name.partition(" ")[0] for name in self.names)

    @cached_property
    def _alike(self) -> Mapping[str, list[str]]:
        """Names by what two spellings of one name share."""
        alike: dict[str, list[str]] = {}
        for name in self.names:
            for trait in _traits(name):
                alike.setdefault(trait, []).append(name)
        return alike


def _traits(name: str) -> Iterable[str]:
    """What two names that may mean the same species share at least one of: genus start, epithet, ends."""
    words = plain_name(name).split()
    if not words:
        return ()
    first, last = words[0], words[-1]
    return dict.fromkeys(
        [f"genus {first[:4]}", _epithet_trait(name), f"ends {first[-3:]} {last[:3]}", f"starts {last[:5]}"]
    )


def _epithet_trait(name: str) -> str:
    """Epithet without its gender ending: a species moved to another genus keeps it."""
    words = plain_name(name).split()
    return "epithet " + (_GENDER.sub("", words[-1]) if words else "")


def is_same_taxon(name: str, other: str) -> bool:
    """Whether two names accepted for each other differ in genus, ending or spelling only.

    Such names stand for the same plants. Names with different epithets may not: the one may be only a part
    of the other (Anacamptis urvilleana, of Malta, is within A. pyramidalis for GBIF), and a status of the
    part is not one of the whole.
    """
    one, another = plain_name(name).split(), plain_name(other).split()
    if not one or not another:
        return False
    if _GENDER.sub("", one[-1]) == _GENDER.sub("", another[-1]):
        return True
    alike = _likeness(one[-1].replace("-", ""), another[-1].replace("-", ""))
    return one[0] == another[0] and alike >= _SAME_EPITHET


def _are_alike(words: Sequence[str], others: Sequence[str]) -> bool:
    """Whether both genus and epithet of two names are alike: a long genus makes up for no epithet."""
    if _likeness(words[0], others[0]) < _LEAST_LIKENESS:
        return False
    same_stem = _GENDER.sub("", words[-1]) == _GENDER.sub("", others[-1])
    return same_stem or _likeness(words[-1], others[-1]) >= _LEAST_LIKENESS_OF_EPITHETS


def _likeness(text: str, other: str) -> float:
    """How alike two words are, 0 to 1 (difflib's ratio)."""
    return difflib.SequenceMatcher(None, text, other).ratio()


def synonym_columns(names: Sequence[str], pairs: Iterable[SynonymPair]) -> pd.DataFrame:
    """Columns `synonyms` and `synonym_source` of a species table with these names, "" where there is none.

    A pair counts in both directions, as an atlas may use either name. Left out are pairs that may not be the
    same plants (`is_same_taxon`), names that are a species of the atlas themselves, and those that would be a
    synonym of more than one.
    """
    place = {plain_name(name): number for number, name in reversed(list(enumerate(names)))}
    found: dict[str, dict[int, tuple[str, list[str]]]] = {}
    for pair in pairs:
        if not is_same_taxon(pair.name, pair.accepted):
            continue
        for here, there in ((pair.name, pair.accepted), (pair.accepted, pair.name)):
            own, other = plain_name(here), plain_name(there)
            if own in place and other and other not in place:
                _, sources = found.setdefault(other, {}).setdefault(place[own], (there, []))
                if pair.source not in sources:
                    sources.append(pair.source)
    synonyms: list[list[str]] = [[] for _ in names]
    told: list[list[str]] = [[] for _ in names]
    for meant in found.values():
        if len(meant) == 1:
            ((number, (written, sources)),) = meant.items()
            synonyms[number].append(written)
            told[number] += [source for source in sources if source not in told[number]]
    return pd.DataFrame(
        {
            SYNONYMS: [JOINT.join(sorted(given)) for given in synonyms],
            SYNONYM_SOURCE: [JOINT.join(sorted(sources)) for sources in told],
        }
    )
