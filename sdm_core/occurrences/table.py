"""The one table every source is read into, and the account of what cleaning took out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from sdm_core.errors import OccurrenceError

#: Columns every occurrence table has; sources add date, year, site, country and others.
REQUIRED_COLUMNS = ("species", "longitude", "latitude")


@dataclass(frozen=True)
class CleaningStep:
    """One cleaning rule and what it did.

    Attributes:
        rule: what the rule is about, in a few words.
        removed: number of records it took out (0 for rules that correct or merge).
        note: one sentence that says what was done and why.
    """

    rule: str
    removed: int
    note: str = ""


def account(n_left: int, steps: Sequence[CleaningStep], source: str) -> pd.DataFrame:
    """What each rule removed on the way to `n_left` records: columns rule, removed, left, note."""
    left = n_left + sum(step.removed for step in steps)
    rows = [{"rule": "records read", "removed": 0, "left": left, "note": source}]
    for step in steps:
        left -= step.removed
        rows.append({"rule": step.rule, "removed": step.removed, "left": left, "note": step.note})
    return pd.DataFrame(rows, columns=["rule", "removed", "left", "note"])


@dataclass(frozen=True)
class Occurrences:
    """Cleaned occurrence records of one source.

    Attributes:
        table: one row per record with `species` (categorical), `longitude`, `latitude` (degrees, WGS84) and,
            where the source has them, `date`, `year`, `site`, `country`, …
        steps: what cleaning did, in order.
        source: data set and citation, in words.
        taxa: one row per species with what the source knows about names (`species`, `family`, `gbif_key`,
            `endemic`, `gbif_taxon_keys`), or None.
    """

    table: pd.DataFrame
    steps: tuple[CleaningStep, ...] = ()
    source: str = ""
    taxa: pd.DataFrame | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        missing = [name for name in REQUIRED_COLUMNS if name not in self.table.columns]
        if missing:
            raise OccurrenceError(
                f"The occurrence table has no column {', '.join(missing)}; it needs species, longitude and "
                f"latitude (found: {', '.join(map(str, self.table.columns))})."
            )

    @property
    def n_records(self) -> int:
        """Number of records left after cleaning."""
        return len(self.table)

    @property
    def n_species(self) -> int:
        """Number of species with at least one record."""
        return int(self.table["species"].nunique())

    @property
    def species(self) -> list[str]:
        """Names of the species with records, in alphabetical order."""
        return sorted(map(str, self.table["species"].unique()))

    def report(self) -> pd.DataFrame:
        """What each rule removed: columns rule, removed, left, note; the first row is what was read."""
        return account(self.n_records, self.steps, self.source)

    def filtered(self, keep: np.ndarray, rule: str, note: str = "") -> Occurrences:
        """The records where `keep` (boolean, one per record) is true, with the rule added to the account.

        Raises:
            OccurrenceError: when `keep` has another length, or nothing is left.
        """
        keep = np.asarray(keep, dtype=bool)
        if keep.shape != (self.n_records,):
            raise OccurrenceError(
                f"The rule '{rule}' was given {keep.size} yes/no values for {self.n_records} records."
            )
        if self.n_records and not keep.any():
            raise OccurrenceError(
                f"No occurrence is left after the rule '{rule}' (it removed all {self.n_records}); loosen "
                "that rule or check the file."
            )
        table = self.table.loc[keep].reset_index(drop=True)
        table["species"] = table["species"].astype("category").cat.remove_unused_categories()
        step = CleaningStep(rule, int((~keep).sum()), note)
        return replace(self, table=table, steps=(*self.steps, step))

    def thinned(self, cells: np.ndarray | None = None, spacing_deg: float = 1 / 6) -> Occurrences:
        """One record per species and grid cell: the first one met, in the order of the table.

        Args:
            cells: grid cell of each record (any integers; negative = outside the grid, such records are
                removed), for instance `CovariateStack.cell_index`; without it, cells are the squares
                floor(longitude / spacing), floor(latitude / spacing).
            spacing_deg: side of those squares in degrees.
        """
        if cells is None:
            if not spacing_deg > 0:
                raise OccurrenceError(f"The thinning spacing is {spacing_deg} degrees; it must be above 0.")
            column = np.floor(self.table["longitude"].to_numpy() / spacing_deg).astype(np.int64)
            row = np.floor(self.table["latitude"].to_numpy() / spacing_deg).astype(np.int64)
            cells = (row - row.min(initial=0)) * 10_000_000 + column - column.min(initial=0)
            grid = f"{spacing_deg:g}-degree square"
        else:
            grid = "grid cell"
        cells = np.asarray(cells)
        if cells.shape != (self.n_records,):
            raise OccurrenceError(f"Thinning was given {cells.size} cells for {self.n_records} records.")
        pairs = pd.DataFrame({"species": self.table["species"], "cell": cells})
        keep = ~pairs.duplicated().to_numpy() & (cells >= 0)
        return self.filtered(keep, "thinning", f"One record per species and {grid} is kept: the first.")

    def capped(self, limit: int, generator: np.random.Generator) -> Occurrences:
        """At most `limit` records of each species, drawn at random without replacement.

        Source: Cole et al. 2023 (SINR), which trains with 10, 100, 1000 and all records per species.
        """
        if int(limit) != limit or limit < 1:
            raise OccurrenceError(
                f"The cap is {limit} records per species; it must be a whole number above 0."
            )
        shuffled = self.table["species"].reset_index(drop=True).iloc[generator.permutation(self.n_records)]
        rank = shuffled.groupby(shuffled, observed=True).cumcount()
        keep = np.zeros(self.n_records, dtype=bool)
        keep[rank.index[rank < limit].to_numpy()] = True
        return self.filtered(keep, "cap per species", f"At most {limit} records of each species are kept.")


class Cleaner:
    """Applies cleaning rules to a raw table one after the other and keeps the count of each."""

    def __init__(self, table: pd.DataFrame, source: str, name: str) -> None:
        self.table = table
        self.source = source
        self.name = name
        self.steps: list[CleaningStep] = []
        if table.empty:
            raise OccurrenceError(f"{name} holds no records.")

    def remove(self, drop: pd.Series | np.ndarray, rule: str, note: str, way_out: str = "") -> None:
        """Take out the records where `drop` is true.

        Raises `OccurrenceError` when nothing is left; `way_out` says what to do then.
        """
        drop = np.asarray(drop, dtype=bool)
        n_before = len(self.table)
        self.table = self.table.loc[~drop]
        self.steps.append(CleaningStep(rule, int(drop.sum()), note))
        if self.table.empty:
            raise OccurrenceError(
                f"No record of {self.name} is left after the rule '{rule}', which took out the last "
                f"{n_before} (“{note.rstrip('.')}”); {way_out or 'check the columns of the file'}."
            )

    def note(self, rule: str, note: str) -> None:
        """Record a rule that corrected or merged records without removing any."""
        self.steps.append(CleaningStep(rule, 0, note))

    def finish(self, columns: Sequence[str], taxa: pd.DataFrame | None = None) -> Occurrences:
        """The cleaned records as Occurrences, species as a sorted categorical."""
        table = self.table.loc[:, list(columns)].reset_index(drop=True)
        species = table["species"].astype("category").cat.remove_unused_categories()
        table["species"] = species.cat.reorder_categories(sorted(species.cat.categories))
        return Occurrences(table, tuple(self.steps), self.source, taxa)
