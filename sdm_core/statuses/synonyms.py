"""A user's own table of synonyms: names that a status list uses, and those they are accepted under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sdm_core.errors import StatusListError
from sdm_core.naming import is_same_taxon, plain_name
from sdm_core.occurrences.reading import find_column
from sdm_core.statuses.tables import content_of, digest_of, table_of, text_of

#: Columns a table of synonyms may have; those that GBIF's name matching writes are known too.
SYNONYM_COLUMNS = ("synonym", "verbatimScientificName", "originalName")
ACCEPTED_COLUMNS = ("accepted", "accepted_taxon", "acceptedScientificName", "species")
KEY_COLUMNS = ("accepted_gbif_key", "acceptedUsageKey", "speciesKey")
_EXPECTED = "synonym,accepted"


@dataclass(frozen=True, eq=False)
class SynonymTable:
    """A table of synonyms that was read and found right.

    Attributes:
        name: file name.
        digest: SHA-256 of its content, first 16 digits.
        pairs: a name and the name it is accepted under, as written.
        keys: GBIF key of the accepted taxon by plain name of either, where the table gives it.
    """

    name: str
    digest: str
    pairs: tuple[tuple[str, str], ...]
    keys: Mapping[str, int]

    def others(self, name: str) -> list[str]:
        """The other names of the species a name stands for: its accepted name and all synonyms of that."""
        own = plain_name(name)
        return [written for plain, written in self._groups.get(own, {}).items() if plain != own]

    @cached_property
    def _groups(self) -> Mapping[str, Mapping[str, str]]:
        """Every name of the table with the names of its species: plain → as written."""
        by_accepted: dict[str, dict[str, str]] = {}
        for name, accepted in self.pairs:
            group = by_accepted.setdefault(plain_name(accepted), {plain_name(accepted): accepted})
            group.setdefault(plain_name(name), name)
        groups: dict[str, dict[str, str]] = {}
        for group in by_accepted.values():
            for plain in group:
                groups.setdefault(plain, {}).update(group)
        return groups


def read_synonyms(source: Path | str | bytes, name: str = "") -> SynonymTable:
    """A table of synonyms from a file, or from the bytes of an upload called `name`.

    Columns are `synonym` and `accepted`, two names of one species, and where known `accepted_gbif_key`; other
    columns are left alone. The tables that GBIF's name matching writes are read as they are; of their names
    only those count that differ in genus or spelling, as GBIF also joins taxa into larger species.

    Raises:
        StatusListError: the file is absent, empty, too large, not a CSV in UTF-8 or UTF-16, lacks one of the
            two columns, holds no two names that differ, or a key that is no number.
    """
    called, content = content_of(source, name or "The table of synonyms", "table of synonyms")
    table = table_of(text_of(content, called, _EXPECTED), called, _EXPECTED)
    named = find_column(table.columns, SYNONYM_COLUMNS)
    accepted = find_column(table.columns, ACCEPTED_COLUMNS)
    for what, column in (("synonym", named), ("accepted", accepted)):
        if column is None:
            found = ", ".join(map(repr, table.columns[:12]))
            raise StatusListError(
                f"{called} has no column '{what}': found {found}; a table of synonyms has the columns "
                "synonym and accepted, a name in each."
            )
    assert named is not None
    assert accepted is not None
    by_gbif = accepted not in (*ACCEPTED_COLUMNS[:2], *map(str.title, ACCEPTED_COLUMNS[:2]))
    pairs = tuple(
        (one, other)
        for one, other in zip(table[named], table[accepted], strict=True)
        if one
        and other
        and plain_name(one) != plain_name(other)
        # GBIF names the species that a taxon is a part of, too: only what is the same plants is a synonym.
        and (not by_gbif or is_same_taxon(one, other))
    )
    if not pairs:
        raise StatusListError(
            f"{called} holds no synonym: its {len(table)} rows give no two names that differ; write a name "
            f"in the column '{named}' and the one it is accepted under in '{accepted}'."
        )
    keys: dict[str, int] = {}
    key_column = find_column(table.columns, KEY_COLUMNS)
    if key_column is not None:
        written = table[key_column].str.removesuffix(".0")
        wrong = table.index[~written.str.fullmatch(r"\d{0,12}")]
        if len(wrong):
            raise StatusListError(
                f"{called} has the {key_column} '{table[key_column][wrong[0]]}' in line {wrong[0]}; expected "
                "the number of a GBIF taxon, or nothing."
            )
        for one, other, key in zip(table[named], table[accepted], written, strict=True):
            if key:
                keys |= {plain_name(one): int(key), plain_name(other): int(key)}
    return SynonymTable(called, digest_of(content), pairs, keys)
