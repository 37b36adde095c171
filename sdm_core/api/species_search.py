"""Finding species of an atlas by any of their names, as people type them."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import pandas as pd

from sdm_core.naming import SYNONYMS
from sdm_core.regions.places import plain_text

#: Share of letters a misspelt name must have in common with the right one.
_LIKENESS = 0.75
_MAX_LIKE = 20


@dataclass(frozen=True)
class SpeciesNames:
    """Names of the species of an atlas, plain (lower case, no accents), row by row."""

    scientific: list[str]
    common: list[str]
    family: list[str]
    synonyms: list[str]

    @classmethod
    def of(cls, species: pd.DataFrame) -> SpeciesNames:
        """From a species table."""

        def plain(column: str) -> list[str]:
            if column not in species:
                return [""] * len(species)
            return [plain_text(str(text)) for text in species[column].fillna("")]

        return cls(plain("species"), plain("common_genus"), plain("family"), plain(SYNONYMS))

    def search(self, text: str) -> list[int]:
        """Ids of species that match a text, best first.

        In this order: the scientific name, its beginning; the beginning of a later word of it, or of the
        English name of the genus, or a synonym; the beginning of the family; any part of a name; and where
        nothing of all that is found, names that are spelt alike. An empty text matches all, in the order of
        the atlas.
        """
        wanted = plain_text(text)
        if not wanted:
            return list(range(len(self.scientific)))
        ranked = [
            (rank, name, row)
            for row, name in enumerate(self.scientific)
            if (rank := self._rank(row, wanted)) is not None
        ]
        return [row for _, _, row in sorted(ranked)] or self._alike(wanted)

    def _rank(self, row: int, wanted: str) -> int | None:
        name, common, family = self.scientific[row], self.common[row], self.family[row]
        if name == wanted:
            return 0
        if name.startswith(wanted):
            return 1
        if f" {wanted}" in name or common.startswith(wanted) or f" {wanted}" in common:
            return 2
        if wanted in self.synonyms[row]:
            return 2
        if family.startswith(wanted):
            return 3
        if wanted in name or wanted in common:
            return 4
        return None

    def _alike(self, wanted: str) -> list[int]:
        """Rows whose name, genus or English name is spelt like a text, likest first."""
        found: dict[int, float] = {}
        for names in (self.scientific, [name.split(" ")[0] for name in self.scientific], self.common):
            rows_of: dict[str, list[int]] = {}
            for row, name in enumerate(names):
                if name:
                    rows_of.setdefault(name, []).append(row)
            for name in difflib.get_close_matches(wanted, rows_of, _MAX_LIKE, _LIKENESS):
                likeness = difflib.SequenceMatcher(None, wanted, name).ratio()
                for row in rows_of[name]:
                    found[row] = max(found.get(row, 0.0), likeness)
        return sorted(found, key=lambda row: (-found[row], self.scientific[row]))
