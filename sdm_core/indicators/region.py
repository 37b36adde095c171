"""Numbers of a region from the stored predictions of its cells."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from sdm_core import config, taxa
from sdm_core.errors import NoDataInRegionError
from sdm_core.indicators.certainty import RegionCertainty, certainty_of_region
from sdm_core.indicators.error_intervals import RegionErrors, errors_of_region
from sdm_core.indicators.lists import status_columns, summarise_lists
from sdm_core.indicators.range_size import RangeShares, range_shares
from sdm_core.indicators.region_numbers import invasive_share, range_indicators, region_indicators
from sdm_core.indicators.sets import SetCounts, StoreLike, rule_options, rule_text, set_counts
from sdm_core.indicators.summary import SPECIES_COLUMNS, RegionSummary, SpeciesGroup
from sdm_core.regions import (
    DEFAULT_CONTAINMENT,
    Region,
    Selection,
    cells_to_parents,
    check_containment,
    select_cells,
)
from sdm_core.statuses import MatchedStatuses

#: Resolution of the observed records an atlas ships per species.
OBSERVED_SPECIES_RESOLUTION = 4


def summarise_region(
    store: StoreLike,
    rows: ArrayLike,
    region: Region | None = None,
    rule: str = config.DEFAULT_RULE,
    notes: tuple[str, ...] = (),
    hectares: ArrayLike | None = None,
    containment: str = DEFAULT_CONTAINMENT,
    statuses: Sequence[MatchedStatuses] = (),
    **options: Any,
) -> RegionSummary:
    """Everything a page or a report says about a region.

    Args:
        store: predictions of an atlas.
        rows: rows of its cells inside the region, from `regions.select_cells`.
        region: the outline, for its name and area; without it the area is unknown.
        rule: how probabilities become species sets, one of `rules_of(store)`.
        notes: what the selection of cells had to say.
        hectares: area each row counts with, in the order of ascending rows, where cells are only partly
            inside; by default the whole area of each. Every mean and sum over cells weighs with it; the
            number of species of a set or a cell does not depend on how much of a cell is inside.
        containment: rule of `regions.CONTAINMENT_RULES` the rows were chosen by.
        statuses: status lists matched to the species of this atlas (`statuses.match_statuses`).
        **options: of the rule: `t` (threshold, one or per species); `k` (top_k and
            average_k); `score` (max_exp); `criterion` (species_threshold).

    Returns:
        The summary; its `to_dict()` holds the same numbers, with units and definitions.

    Raises:
        NoDataInRegionError: no rows.
        RuleError: an unknown rule or option, a value the rule does not define, or a rule that needs held-out
            surveys where the atlas has none.
        RegionError: an unknown rule of containment.
        ValueError: hectares that are not one for each of the rows, ascending and each once.
    """
    options = rule_options(rule, options)
    check_containment(containment)
    selected = np.asarray(rows, dtype=np.int64)
    if not np.all(np.diff(selected) > 0):
        if hectares is not None:
            raise ValueError("rows with an area of their own must be ascending, each once")
        selected = np.unique(selected)
    if not selected.size:
        raise NoDataInRegionError(
            f"The region holds no cell of the atlas {store.name}; choose one on the land it covers."
        )
    whole = np.asarray(store.area_ha)[selected].astype(np.float64)
    weights = whole if hectares is None else np.asarray(hectares, dtype=np.float64)
    if weights.shape != selected.shape:
        raise ValueError(f"hectares must be one for each of {len(selected)} rows; found {weights.shape}")
    in_parts = not np.array_equal(weights, whole)
    sums = store.region_sums(selected, weights) if in_parts else store.region_sums(selected)
    counts = set_counts(store, selected, rule, options)
    shares = range_shares(store, sums)
    certainty = certainty_of_region(store, selected, sums)
    errors = errors_of_region(store, selected, weights, sums)
    species = _species_table(store, selected, sums, counts, shares, statuses, certainty, errors)
    return RegionSummary(
        atlas=store.name,
        atlas_title=store.title,
        atlas_version=store.version,
        region=region.name if region is not None else "Region",
        region_source=region.source if region is not None else "",
        geometry_hash=region.geometry_hash if region is not None else "",
        resolution=store.resolution,
        n_cells=len(selected),
        n_species_atlas=store.n_species,
        rule=rule,
        rule_options=options,
        rule_text=rule_text(rule, options, store),
        containment=containment,
        indicators=region_indicators(store, selected, region, sums, counts, weights, errors)
        | range_indicators(shares, sums, errors)
        | invasive_share(flag_members(store.species)["invasive"], sums, errors),
        groups=_groups(store.species, sums, counts, errors),
        percentiles={name: _percentile(store, selected, weights, name) for name in ("richness", "shannon")},
        species_table=species,
        certainty_text=certainty.text,
        status_lists=summarise_lists(statuses, sums, counts.n_cells > 0, shares, certainty, errors),
        notes=(*(region.notes if region is not None else ()), *notes),
    )


def summarise_outline(
    store: StoreLike,
    region: Region,
    rule: str = config.DEFAULT_RULE,
    containment: str = DEFAULT_CONTAINMENT,
    statuses: Sequence[MatchedStatuses] = (),
    **options: Any,
) -> tuple[Selection, RegionSummary]:
    """The cells of an atlas that an outline holds, and everything said about them.

    Raises what `regions.select_cells` and `summarise_region` raise.
    """
    chosen = select_cells(region, store.lonlat, store.resolution, store.cells, store.area_ha, containment)
    summary = summarise_region(
        store,
        chosen.rows,
        region=region,
        rule=rule,
        notes=chosen.notes,
        hectares=chosen.hectares,
        containment=containment,
        statuses=statuses,
        **options,
    )
    return chosen, summary


def with_statuses(
    summary: RegionSummary,
    store: StoreLike,
    rows: ArrayLike,
    hectares: ArrayLike,
    statuses: Sequence[MatchedStatuses],
) -> RegionSummary:
    """A summary with other status lists, without counting the region's sets again.

    Args:
        summary: of the same region, rule and cells; it is not changed.
        store: predictions of the atlas.
        rows: of the region, ascending.
        hectares: area each row counts with.
        statuses: status lists matched to the species of this atlas; they take the place of earlier ones.
    """
    selected, weights = np.asarray(rows, dtype=np.int64), np.asarray(hectares, dtype=np.float64)
    sums = store.region_sums(selected, weights)
    errors = errors_of_region(store, selected, weights, sums)
    present = np.zeros(store.n_species, dtype=bool)
    table = summary.species_table.copy(deep=False)
    ids = table["species_id"].to_numpy(np.int64)
    present[ids] = table["present"].to_numpy(bool)
    for name, texts in status_columns(statuses, store.n_species).items():
        table[name] = np.array(texts, dtype=object)[ids]
    certainty = certainty_of_region(store, selected, sums)
    lists = summarise_lists(statuses, sums, present, range_shares(store, sums), certainty, errors)
    return dataclasses.replace(summary, species_table=table, status_lists=lists)


def _percentile(
    store: StoreLike, rows: NDArray[np.int64], hectares: NDArray[np.float64], layer: str
) -> float:
    values = np.asarray(store.layer(layer), dtype=np.float64)
    inside, weights = values[rows], hectares
    defined = np.isfinite(inside)
    if not defined.any():
        return math.nan
    mean = inside[defined] @ weights[defined] / weights[defined].sum()
    whole = getattr(store, "whole", None) or store  # finer cells of one region compare with all of the atlas
    values = np.asarray(whole.layer(layer), dtype=np.float64)
    everywhere = np.asarray(whole.area_ha).astype(np.float64)
    known = np.isfinite(values)
    lower = known & (values < mean * (1 - 1e-9))  # equal but for rounding is not lower
    return float(100.0 * everywhere[lower].sum() / everywhere[known].sum())


def flag_members(species: pd.DataFrame) -> dict[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Members of each group, and which species are assessed for it, from the flags of a species table.

    A species of which only a part is listed (a subspecies, a merged synonym) is not a member of "protected".
    The policy flags (Habitats Directive, Union concern) count as looked up when any species of the atlas has
    one, or names a list as the source of one; without that, and without the column, nobody is assessed.
    """
    n_species = len(species)

    def flagged(name: str) -> pd.Series:
        if name not in species:
            return pd.Series(pd.NA, index=species.index, dtype="boolean")
        return species[name].astype("boolean")

    def written(name: str) -> NDArray[np.bool_]:
        if name not in species:
            return np.zeros(n_species, dtype=bool)
        return (species[name].fillna("").astype(str).str.strip() != "").to_numpy(bool)

    endemic, invasive = flagged("endemic"), flagged("invasive_union_concern")
    listed, concern = written("habitats_directive"), invasive.fillna(False).to_numpy(bool)
    looked_up = bool(written("flag_source").any() or listed.any() or concern.any())
    if "habitats_directive" in species:
        listed = listed & (species["habitats_directive"] != taxa.IN_PART).to_numpy(bool)
    everyone = np.full(n_species, looked_up)
    return {
        "endemic": (endemic.fillna(False).to_numpy(bool), endemic.notna().to_numpy(bool)),
        "protected": (listed, everyone & ("habitats_directive" in species)),
        "invasive": (concern, everyone & invasive.notna().to_numpy(bool)),
    }


def _groups(
    species: pd.DataFrame, sums: Any, counts: SetCounts, errors: RegionErrors | None
) -> dict[str, SpeciesGroup]:
    present = counts.n_cells > 0
    n_present = int(np.count_nonzero(present))
    best, mean = np.asarray(sums.max_probability), np.asarray(sums.mean_probability)
    groups = {}
    for name, (member, assessed) in flag_members(species).items():
        known = bool(assessed.any())
        unknown_percent = 100.0 * np.count_nonzero(present & ~assessed) / n_present if n_present else math.nan
        low, high = errors.count_interval(member) if errors is not None and known else (math.nan, math.nan)
        groups[name] = SpeciesGroup(
            name,
            expected=float(best[member].sum()) if known else math.nan,
            expected_per_cell=float(mean[member].sum()) if known else math.nan,
            by_rule=int(np.count_nonzero(present & member)) if known else None,
            unassessed_percent=float(unknown_percent) if known else 100.0,
            low=low,
            high=high,
        )
    return groups


def _species_table(
    store: StoreLike,
    rows: NDArray[np.int64],
    sums: Any,
    counts: SetCounts,
    shares: RangeShares,
    statuses: Sequence[MatchedStatuses],
    certainty: RegionCertainty,
    errors: RegionErrors | None,
) -> pd.DataFrame:
    """One row per species with any probability in the region, widest expected area first."""
    table = store.species.copy(deep=False)
    area = np.asarray(sums.expected_area_km2, dtype=np.float64)
    mean = np.asarray(sums.mean_probability, dtype=np.float64)
    table["species_id"] = np.arange(store.n_species)
    table["mean_probability"] = mean
    table["max_probability"] = np.asarray(sums.max_probability, dtype=np.float64)
    table["expected_area_km2"] = area
    table["area_share_percent"] = 100.0 * mean
    for name, end in (("area_share_low_percent", "low"), ("area_share_high_percent", "high")):
        table[name] = np.nan if errors is None else 100.0 * getattr(errors.draws, end) / float(sums.area_km2)
    table["present"] = counts.n_cells > 0
    if certainty.says_more:
        table["certainty"] = certainty.words
    table["n_cells_present"] = counts.n_cells
    table["range_share_percent"] = 100.0 * shares.share
    for name, texts in status_columns(statuses, store.n_species).items():
        table[name] = texts
    records = records_nearby(store, rows)
    table["records_nearby"] = pd.array(
        records if records is not None else [pd.NA] * store.n_species, dtype="Int64"
    )
    for name in SPECIES_COLUMNS:
        if name not in table:
            table[name] = pd.NA
    order = np.argsort(-area, kind="stable")
    order = order[table["max_probability"].to_numpy()[order] > 0]
    return table[list(SPECIES_COLUMNS)].iloc[order].reset_index(drop=True)


def records_nearby(store: StoreLike, rows: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Observed records per species (n_species) in the coarse cells the region touches; None if unknown."""
    observed = getattr(store, "observed_by_species", None)
    if observed is None:
        return None
    resolution = min(OBSERVED_SPECIES_RESOLUTION, store.resolution)
    parents = np.unique(cells_to_parents(np.asarray(store.cells)[rows], resolution))
    cells = observed["cell"].to_numpy(np.uint64)
    place = np.minimum(np.searchsorted(parents, cells), len(parents) - 1)
    inside = parents[place] == cells
    return np.bincount(
        observed["species_id"].to_numpy(np.int64)[inside],
        weights=observed["n_records"].to_numpy(np.float64)[inside],
        minlength=store.n_species,
    ).astype(np.int64)
