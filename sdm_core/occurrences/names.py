"""Scientific names as written in data files, brought to species level."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import pandas as pd

Rank = Literal["species", "infraspecific", "hybrid formula", "aggregate", "uncertain", "above species"]

_EPITHET = re.compile(r"^[a-zà-öø-ÿ][a-zà-öø-ÿ-]+$")
_GENUS = re.compile(r"^[A-ZÀ-ÖØ-Þ][a-zà-öø-ÿ]+(-[a-zà-öø-ÿA-Z]+)?$")
_RANK_MARKS = {
    "subsp.",
    "subsp",
    "ssp.",
    "ssp",
    "var.",
    "var",
    "f.",
    "forma",
    "subvar.",
    "nothosubsp.",
    "cv.",
}
_UNCERTAIN = {"cf.", "cf", "aff.", "aff", "?", "confer"}
_NO_EPITHET = {"sp.", "sp", "spp.", "spp", "indet.", "indet", "species", "sect.", "subg.", "ser."}
_AGGREGATE = {"agg.", "agg", "aggr.", "aggr", "gr.", "group", "coll."}
_CROSS = {"×", "x", "X"}
#: Lower-case words inside author names, never an epithet.
_AUTHOR_WORDS = {
    "ex",
    "et",
    "in",
    "de",
    "da",
    "do",
    "del",
    "della",
    "des",
    "di",
    "du",
    "la",
    "le",
    "von",
    "van",
    "der",
    "den",
    "ten",
    "non",
    "nec",
    "emend",
    "auct",
    "auctt",
    "sensu",
    "lato",
    "stricto",
    "pro",
    "nom",
    "al",
    "and",
    "fil",
}


@dataclass(frozen=True)
class ParsedName:
    """A name at species level (None where the text does not reach one) and the rank as written."""

    species: str | None
    rank: Rank


def parse_name(text: str) -> ParsedName:
    """The species behind a scientific name with or without author.

    `Chaenorhinum minus (L.) Lange subsp. minus` gives species `Chaenorhinum minus`, rank infraspecific.
    Named hybrids (`Populus ×canescens`) are species with the cross kept; hybrid formulas
    (`Quercus robur × petraea`), aggregates (`agg.`), doubtful names (`cf.`) and names of genera or families
    have no species.
    """
    text = text.replace("_", " ").replace("\xa0", " ").strip()
    tokens = re.sub(r"×(?=\S)", "× ", text).split()
    if tokens and tokens[0] in _CROSS:
        tokens = tokens[1:]
    if len(tokens) < 2:
        return ParsedName(None, "above species")
    genus = tokens[0].capitalize() if tokens[0].islower() or tokens[0].isupper() else tokens[0]
    rest = tokens[1:]
    if not _GENUS.match(genus):
        return ParsedName(None, "uncertain" if "?" in genus else "above species")
    cross = ""
    if rest[0] in _CROSS:
        cross, rest = "× ", rest[1:]
    if not rest or rest[0].lower() in _NO_EPITHET:
        return ParsedName(None, "above species")
    if any(token.lower() in _UNCERTAIN for token in rest):
        return ParsedName(None, "uncertain")
    epithet = rest[0].lower() if rest[0].isupper() and tokens[0].isupper() else rest[0]
    if not _EPITHET.match(epithet) or epithet in _AUTHOR_WORDS:
        return ParsedName(None, "above species")
    species = f"{genus} {cross}{epithet}"
    tail = rest[1:]
    if any(token in _CROSS for token in tail):
        return ParsedName(None, "hybrid formula")
    if any(token.lower() in _AGGREGATE for token in tail):
        return ParsedName(None, "aggregate")
    return ParsedName(species, "infraspecific" if _is_infraspecific(tail) else "species")


def _is_infraspecific(tail: list[str]) -> bool:
    """Whether the words after the epithet name a subspecies, variety or form."""
    for position, token in enumerate(tail):
        following = tail[position + 1] if position + 1 < len(tail) else ""
        if token in _RANK_MARKS and _EPITHET.match(following) and following not in _AUTHOR_WORDS:
            return True
    return bool(tail) and bool(_EPITHET.match(tail[0])) and tail[0] not in _AUTHOR_WORDS | _RANK_MARKS


def parse_names(names: pd.Series) -> pd.DataFrame:
    """Species (or missing) and rank of each name, same index; each distinct text is parsed once."""
    texts = names.fillna("").astype(str)
    parsed = {text: parse_name(text) for text in texts.unique()}
    species = texts.map({text: name.species for text, name in parsed.items()})
    rank = texts.map({text: name.rank for text, name in parsed.items()})
    return pd.DataFrame({"species": species, "rank": rank}, index=names.index)
