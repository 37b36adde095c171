"""What was observed in a region beside what is predicted there: agreed, missed, unexpected, not yet found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from sdm_core.indicators import RegionSummary
from sdm_core.indicators.summary import species_records
from sdm_core.observed.accumulation import accumulation_numbers
from sdm_core.observed.matching import match_species
from sdm_core.observed.numbers import (
    BASIS_TEXTS,
    Basis,
    ObservedNumber,
    diversity_numbers,
    plot_frequencies,
    plot_richness,
    weights_of,
)
from sdm_core.observed.records import Records
from sdm_core.observed.remarks import inside_outline, remarks
from sdm_core.regions import Region

#: A species whose highest probability in any cell of the region is below this was not to be expected there.
UNEXPECTED_BELOW = 0.05
#: Points of one map at most; above it, neighbouring ones are drawn as one.
MAX_POINTS = 5_000
AGREED, MISSED, UNEXPECTED, NOT_IN_ATLAS = (
    "predicted and observed",
    "missed",
    "unexpected",
    "not in the atlas",
)
#: Columns of the table of observed species: unit ("" for none) and meaning.
OBSERVED_COLUMNS: dict[str, tuple[str, str]] = {
    "species": ("", "name in the atlas, or as recorded where the atlas does not have it"),
    "recorded_as": ("", "names in the records, joined by “; ”"),
    "status": (
        "",
        "predicted and observed; missed: observed, not in the list by the rule; unexpected: missed, and its "
        f"highest probability in the region is below {UNEXPECTED_BELOW:g}; not in the atlas",
    ),
    "n_records": ("records", "records inside the outline"),
    "n_plots": ("plots", "plots inside the outline that list it"),
    "mean_cover_percent": ("%", "mean cover over the plots with covers, 0 where it was not found"),
    "first_year": ("", "year of the first dated record"),
    "last_year": ("", "year of the last dated record"),
    "mean_probability": ("0–1", "predicted: area-weighted mean over the region's cells"),
    "max_probability": ("0–1", "predicted: highest in any cell of the region"),
    "found_by": ("", "how the name was matched with the atlas: name, GBIF key, or synonym of the atlas"),
    "suggestion": ("", "what the name might be in the atlas, where it was not found"),
    "species_id": ("", "column of the species in the atlas, -1 where it has none"),
}


@dataclass(frozen=True, eq=False)
class ObservedRegion:
    """Records of a region beside its prediction.

    Attributes:
        files: their names; options: how the report command is told to read them, as (name, value).
        n_read: records in the files, before cleaning.
        n_records: records inside the outline.
        n_outside: cleaned records outside of it.
        n_without_year: records inside that state no year.
        years: first and last year of the records inside, None without dates.
        n_plots: plots inside, n_plots_outside: those outside.
        basis: what Shannon and Simpson weigh species by (`BASIS_TEXTS`).
        species: one row per observed species, most records first: `OBSERVED_COLUMNS`.
        not_observed: species in the list by the rule without a record, most probable first: species_id,
            species, mean_probability, max_probability, expected_area_km2.
        numbers: diversity of what was observed, by name.
        warnings: what to know before reading the numbers, one sentence each.
        account: what was read and what cleaning removed, as `Records.account`.
        inside: the records inside: species_id (-1 without a match), name, longitude, latitude.
    """

    files: tuple[str, ...]
    options: tuple[tuple[str, str], ...]
    n_read: int
    n_records: int
    n_outside: int
    n_without_year: int
    years: tuple[int, int] | None
    n_plots: int
    n_plots_outside: int
    basis: Basis
    species: pd.DataFrame = field(repr=False)
    not_observed: pd.DataFrame = field(repr=False)
    numbers: dict[str, ObservedNumber] = field(repr=False)
    warnings: tuple[str, ...]
    account: pd.DataFrame = field(repr=False)
    inside: pd.DataFrame = field(repr=False)

    @property
    def basis_text(self) -> str:
        """What Shannon and Simpson were computed from, in words."""
        return BASIS_TEXTS[self.basis]

    @property
    def unmatched(self) -> pd.DataFrame:
        """The observed species that the atlas does not have, with suggestions."""
        return self.species[self.species["status"] == NOT_IN_ATLAS]

    def count(self, *statuses: str) -> int:
        """Number of observed species with one of these statuses."""
        return int(self.species["status"].isin(statuses).sum())

    @property
    def n_missed(self) -> int:
        """Observed species of the atlas that are not in the list by the rule, unexpected ones included."""
        return self.count(MISSED, UNEXPECTED)

    def points(self, species_id: int | None = None) -> pd.DataFrame:
        """Places of the records inside: longitude, latitude, n_records; of one species where asked for.

        Above `MAX_POINTS` places, those that share a square of a thousandth, hundredth … of a degree are one.
        """
        rows = self.inside if species_id is None else self.inside[self.inside["species_id"] == species_id]
        for decimals in (5, 3, 2, 1, 0):
            places = rows[["longitude", "latitude"]].round(decimals)
            counted = places.value_counts(sort=False).rename("n_records").reset_index()
            if len(counted) <= MAX_POINTS:
                break
        return counted

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: counts, numbers with definitions, species, warnings."""
        return {
            "files": list(self.files),
            "records_read": self.n_read,
            "records_inside": self.n_records,
            "records_outside": self.n_outside,
            "records_without_year": self.n_without_year,
            "years": list(self.years) if self.years else None,
            "plots_inside": self.n_plots,
            "plots_outside": self.n_plots_outside,
            "weights": {"name": self.basis, "text": self.basis_text},
            "unexpected_below": UNEXPECTED_BELOW,
            "numbers": {name: number.to_dict() for name, number in self.numbers.items()},
            "cleaning": species_records(self.account),
            "warnings": list(self.warnings),
            "species_columns": {
                name: {"unit": unit, "definition": text} for name, (unit, text) in OBSERVED_COLUMNS.items()
            },
            "species": species_records(self.species),
            "predicted_not_observed": species_records(self.not_observed),
        }


def observe_region(
    records: Records, region: Region, species: pd.DataFrame, summary: RegionSummary
) -> ObservedRegion:
    """Set a user's records inside a region beside its prediction.

    Records count where their point lies inside the outline, whatever the cells. Names are matched with the
    atlas (`match_species`); species the atlas lacks stay in the list and in the diversity of what was
    observed.

    Args:
        records: from `read_records`.
        region: the outline.
        species: species table of the atlas.
        summary: the numbers predicted for the region, under some rule.
    """
    table = records.table
    within = inside_outline(region, table["longitude"].to_numpy(), table["latitude"].to_numpy())
    inside = table[within].reset_index(drop=True)
    code, names = pd.factorize(inside["species"])
    inside = inside.assign(code=code)
    matches = match_species(_recorded(inside, names), species)
    # Names of one species of the atlas are one species.
    joined = matches["species_id"].where(matches["species_id"] >= 0, -1 - matches.index)
    one, _ = pd.factorize(joined)
    inside = inside.assign(code=one[code] if len(one) else code)
    matches = matches.assign(code=one)
    in_plots = inside[inside["plot"].notna()]
    n_species = int(one.max()) + 1 if len(one) else 0
    basis, weights, n_covered = weights_of(inside)
    covers = np.pad(weights, (0, n_species - len(weights))) if basis == "cover" else None
    listed = _species(inside, matches, summary, n_species, covers)
    present = summary.species_table[summary.species_table["present"].astype(bool)]
    missing = present[~present["species_id"].isin(listed["species_id"])]
    years = inside["year"].dropna()
    n_plots, n_plots_all = int(in_plots["plot"].nunique()), records.n_plots
    in_atlas = _first_of(matches)["species_id"].to_numpy() >= 0
    numbers = _numbers(inside, in_plots, weights, in_atlas, n_plots)
    return ObservedRegion(
        files=records.files,
        options=records.options,
        n_read=records.n_read,
        n_records=len(inside),
        n_outside=int((~within).sum()),
        n_without_year=int(inside["year"].isna().sum()),
        years=(int(years.min()), int(years.max())) if len(years) else None,
        n_plots=n_plots,
        n_plots_outside=n_plots_all - n_plots,
        basis=basis,
        species=listed,
        not_observed=missing.sort_values("mean_probability", ascending=False, kind="stable")[
            ["species_id", "species", "mean_probability", "max_probability", "expected_area_km2"]
        ].reset_index(drop=True),
        numbers=numbers,
        warnings=remarks(records, region, inside, within, basis, n_plots, n_covered, listed),
        account=records.account,
        inside=pd.DataFrame(
            {
                "species_id": matches["species_id"].to_numpy()[code] if len(matches) else [],
                "name": inside["species"],
                "longitude": inside["longitude"],
                "latitude": inside["latitude"],
            }
        ),
    )


def _first_of(matches: pd.DataFrame) -> pd.DataFrame:
    """One row per species, in the order of their numbers, of names matched with the atlas."""
    return matches.drop_duplicates("code").sort_values("code")


def _recorded(inside: pd.DataFrame, names: pd.Index) -> pd.DataFrame:
    """One row per name as recorded: its records and its GBIF key."""
    counts = np.bincount(inside["code"], minlength=len(names))
    keys = inside.dropna(subset=["gbif_key"]).drop_duplicates("code").set_index("code")["gbif_key"]
    return pd.DataFrame(
        {
            "species": pd.Series(names, dtype=object),
            "gbif_key": keys.reindex(range(len(names))).astype("Int64").array,
            "n_records": counts,
        }
    )


def _species(
    inside: pd.DataFrame,
    matches: pd.DataFrame,
    summary: RegionSummary,
    n_species: int,
    covers: np.ndarray | None,
) -> pd.DataFrame:
    """The observed species with their predictions, most records first."""
    first = _first_of(matches)
    recorded_as = matches.groupby("code")["species"].agg("; ".join)
    predicted = summary.species_table.drop_duplicates("species_id").set_index("species_id")
    predicted = predicted.reindex(first["species_id"])
    in_atlas = first["species_id"].to_numpy() >= 0
    mean, highest = (
        np.where(in_atlas, predicted[name].fillna(0.0).to_numpy(float), np.nan)
        for name in ("mean_probability", "max_probability")
    )
    present = predicted["present"].fillna(False).to_numpy(bool)
    status = np.select(
        [~in_atlas, present, highest < UNEXPECTED_BELOW], [NOT_IN_ATLAS, AGREED, UNEXPECTED], MISSED
    )
    years = inside.groupby("code")["year"].agg(["min", "max"]).reindex(range(n_species))
    in_plots = inside[inside["plot"].notna()]
    table = pd.DataFrame(
        {
            "species": np.where(in_atlas, first["atlas_species"], first["species"]),
            "recorded_as": recorded_as.reindex(range(n_species)).to_numpy(object),
            "status": status,
            "n_records": np.bincount(inside["code"], minlength=n_species),
            "n_plots": plot_frequencies(in_plots, n_species).astype(np.int64),
            "mean_cover_percent": np.full(n_species, np.nan) if covers is None else covers,
            "first_year": years["min"].astype("Int64").array,
            "last_year": years["max"].astype("Int64").array,
            "mean_probability": mean,
            "max_probability": highest,
            "found_by": first["found_by"].to_numpy(object),
            "suggestion": first["suggestion"].to_numpy(object),
            "species_id": first["species_id"].to_numpy(np.int64),
        }
    )
    assert list(table.columns) == list(OBSERVED_COLUMNS)
    return table.sort_values(["n_records", "species"], ascending=[False, True]).reset_index(drop=True)


def _numbers(
    inside: pd.DataFrame,
    in_plots: pd.DataFrame,
    weights: np.ndarray,
    in_atlas: np.ndarray,
    n_plots: int,
) -> dict[str, ObservedNumber]:
    """Richness, how complete it is, and diversity of what was observed."""
    found = [
        ObservedNumber(
            "species",
            "Number of species",
            len(in_atlas),
            "Observed: all species with a record inside the outline; predicted: the list by the rule.",
            in_atlas=float(in_atlas.sum()),
            predicted="gamma",
        )
    ]
    if len(inside):
        if n_plots:
            counts = plot_frequencies(in_plots, len(in_atlas)).astype(np.int64)
        else:
            counts = np.bincount(inside["code"], minlength=len(in_atlas))
        found += accumulation_numbers(counts, n_plots)
    mean = plot_richness(in_plots)
    found += [mean] if mean is not None else []
    weighed = np.zeros(len(in_atlas))
    weighed[: len(weights)] = weights
    found += diversity_numbers(weighed, in_atlas)
    return {number.name: number for number in found}
