"""Reading a status list: a CSV file with one row per taxon and list, checked whole before anything is used.

The format is described in `assets/statuses/README.md`; an empty file to start from lies beside it.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from sdm_core.errors import StatusListError
from sdm_core.naming import JOINT, plain_name
from sdm_core.statuses.categories import CATEGORIES, RED_LIST, parse_category
from sdm_core.statuses.synonyms import SynonymTable
from sdm_core.statuses.tables import content_of, digest_of, table_of, text_of

#: Columns every status list has, and what each holds.
REQUIRED_COLUMNS: dict[str, str] = {
    "taxon": "scientific name, with or without author",
    "list": "name of the list, as it should stand beside the status",
    "category": "Red List category (CR, EN, VU, NT, LC, DD, RE, EW, EX, NA, NE), or protected, invasive, "
    "alien or endemic",
    "region": "what the list is about: Europe, Spain, Bavaria",
    "source": "who published it, best as a citation",
    "date": "year, month (2021-06) or day (2021-06-30) of the list",
    "licence": "terms under which you may use it",
}
#: Columns a list may have beside them.
OPTIONAL_COLUMNS: dict[str, str] = {
    "completed": "predicted or expert category for a taxon that is not assessed officially",
    "gbif_key": "key of the taxon in the GBIF backbone",
    "accepted_gbif_key": "key of the accepted taxon, where gbif_key is that of a synonym",
    "synonyms": "other names of the taxon, joined by “; ”",
    "note": "free text",
}
_DATE = re.compile(r"^\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?$")


@dataclass(frozen=True, eq=False)
class StatusFile:
    """One status file that was read and found right.

    Attributes:
        name: file name.
        digest: SHA-256 of its content, first 16 digits.
        entries: one row per taxon, list and region: all columns of the format as text, "" where empty, with
            categories in their short form; gbif_key and accepted_gbif_key as Int64.
        notes: what was set aside or read in another way, one sentence each.
        synonyms: file name of the table of synonyms that was added, "" without one.
    """

    name: str
    digest: str
    entries: pd.DataFrame
    notes: tuple[str, ...]
    synonyms: str = ""

    @property
    def lists(self) -> list[tuple[str, str]]:
        """Name and region of each list in the file, in the order of the file."""
        pairs = self.entries[["list", "region"]].drop_duplicates()
        return [(str(name), str(region)) for name, region in pairs.itertuples(index=False)]


def read_statuses(
    source: Path | str | bytes, name: str = "", synonyms: SynonymTable | None = None
) -> StatusFile:
    """A status list from a file, or from the bytes of an upload called `name`.

    synonyms: a table of synonyms (`read_synonyms`); what it says of the taxa is added to what the file says.

    Raises:
        StatusListError: the file is absent, empty, too large, not a CSV in UTF-8 or UTF-16, lacks a column or
            has one of another name, leaves a cell empty that must not be, holds a category or date that is
            none, or gives one taxon two categories in the same list.
    """
    called, content = content_of(source, name or "The status list", "status list")
    table = table_of(text_of(content, called, _header()), called, _header())
    table.columns = table.columns.str.lower()
    _check_columns(table, called)
    entries = _entries(table, called)
    entries, notes = _without_repeats(entries, called)
    file = StatusFile(called, digest_of(content), entries, notes)
    return file if synonyms is None else with_synonyms(file, synonyms)


def with_synonyms(file: StatusFile, table: SynonymTable) -> StatusFile:
    """A status file whose taxa know the other names and keys that a table of synonyms gives them."""
    entries = file.entries.copy()
    taxa = entries["taxon"]
    entries["synonyms"] = [
        JOINT.join(dict.fromkeys([*filter(None, own.split(JOINT)), *table.others(taxon)]))
        for own, taxon in zip(entries["synonyms"], taxa, strict=True)
    ]
    keys = pd.array([table.keys.get(plain_name(taxon)) for taxon in taxa], dtype="Int64")
    entries["accepted_gbif_key"] = entries["accepted_gbif_key"].fillna(pd.Series(keys, index=entries.index))
    digest = digest_of(f"{file.digest} {table.digest}".encode())
    return replace(file, digest=digest, entries=entries, synonyms=table.name)


def _check_columns(table: pd.DataFrame, called: str) -> None:
    known = {**REQUIRED_COLUMNS, **OPTIONAL_COLUMNS}
    repeated = sorted(set(table.columns[table.columns.duplicated()]))
    if repeated:
        raise StatusListError(f"{called} has the column '{repeated[0]}' twice; keep one of them.")
    unknown = [column for column in table.columns if column not in known]
    absent = [column for column in REQUIRED_COLUMNS if column not in table.columns]
    if absent:
        found = ", ".join(map(repr, table.columns[:12]))
        near = difflib.get_close_matches(absent[0], unknown, n=1, cutoff=0.6)
        hint = f" (is it '{near[0]}'?)" if near else ""
        raise StatusListError(
            f"{called} has no column '{absent[0]}'{hint}: found {found}, expected {_header()}; rename or add "
            "it."
        )
    if unknown:
        near = difflib.get_close_matches(unknown[0], list(OPTIONAL_COLUMNS), n=1, cutoff=0.6)
        hint = f"rename it to '{near[0]}'" if near else "take it out, or put its text in a column 'note'"
        raise StatusListError(
            f"{called} has the column '{unknown[0]}', which the format does not know; {hint} (known beside "
            f"{_header()}: {', '.join(OPTIONAL_COLUMNS)})."
        )


def _entries(table: pd.DataFrame, called: str) -> pd.DataFrame:
    entries = table.copy()
    for column in OPTIONAL_COLUMNS:
        if column not in entries:
            entries[column] = ""
    entries = entries[[*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS]]
    for column in REQUIRED_COLUMNS:
        empty = entries.index[entries[column] == ""]
        if len(empty):
            way_out = (
                "write NE where the taxon is not evaluated"
                if column == "category"
                else "write “unknown” if you cannot tell"
                if column == "licence"
                else f"it holds the {REQUIRED_COLUMNS[column]}"
            )
            raise StatusListError(f"{called} leaves '{column}' empty in line {empty[0]}; {way_out}.")
    for column in ("category", "completed"):
        entries[column] = _categories(entries[column], column, called)
    dates = entries["date"].str.fullmatch(_DATE)
    if not dates.all():
        line = entries.index[~dates][0]
        raise StatusListError(
            f"{called} has the date '{entries['date'][line]}' in line {line}; expected a year (2021), a "
            "month (2021-06) or a day (2021-06-30)."
        )
    for column in ("gbif_key", "accepted_gbif_key"):
        keys = entries[column].str.removesuffix(".0")
        wrong = entries.index[~keys.str.fullmatch(r"\d{0,12}")]
        if len(wrong):
            raise StatusListError(
                f"{called} has the {column} '{entries[column][wrong[0]]}' in line {wrong[0]}; expected the "
                "number of a GBIF taxon, or nothing."
            )
        entries[column] = pd.to_numeric(keys.where(keys != "")).astype("Int64")
    return entries


def _categories(texts: pd.Series, column: str, called: str) -> pd.Series:
    """Short forms of categories, "" where a completed one is empty."""
    known = {text: parse_category(text) if text else "" for text in texts.unique()}
    for line, text in texts.items():
        category = known[text]
        if category is None or (column == "completed" and category and category not in RED_LIST):
            allowed = CATEGORIES if column == "category" else RED_LIST
            near = difflib.get_close_matches(text.lower(), [word.lower() for word in allowed], n=1)
            hint = f" (did you mean '{near[0]}'?)" if near else ""
            raise StatusListError(
                f"{called} has the {column} '{text}' in line {line}{hint}; expected one of "
                f"{', '.join(allowed)}."
            )
    return texts.map(known)


def _without_repeats(entries: pd.DataFrame, called: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Each taxon once per list and region; the same row twice is one, two categories are refused."""
    keys = [" ".join(text.lower().split()) for text in entries["taxon"]]
    frame = entries.assign(_key=keys)
    group = ["_key", "list", "region"]
    said = frame.groupby(group, sort=False)[["category", "completed"]].nunique()
    clash = said.index[(said > 1).any(axis=1)]
    if len(clash):
        key, listed, region = clash[0]
        same = frame[(frame["_key"] == key) & (frame["list"] == listed) & (frame["region"] == region)]
        column = "category" if same["category"].nunique() > 1 else "completed"
        values = [value or "nothing" for value in same[column].unique()]
        lines = " and ".join(str(line) for line in same.index[:2])
        raise StatusListError(
            f"{called} gives {same['taxon'].iloc[0]} two categories in the list “{listed}” ({region}): "
            f"{values[0]} and {values[1]}, in lines {lines}; keep the one that holds."
        )
    once = frame.drop_duplicates(group).drop(columns="_key")
    n_repeated = len(frame) - len(once)
    notes = (
        (
            f"{called}: {n_repeated} rows repeat an earlier one and were counted once."
            if n_repeated > 1
            else f"{called}: 1 row repeats an earlier one and was counted once.",
        )
        if n_repeated
        else ()
    )
    return once, notes


def _header() -> str:
    """The columns a list needs, as its first line."""
    return ",".join(REQUIRED_COLUMNS)
