"""Numbers of a region from the stored predictions of its cells."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from sdm_core import config, diversity, taxa
from sdm_core.errors import NoDataInRegionError
from sdm_core.indicators.certainty import certainty_of
from sdm_core.indicators.lists import status_columns, summarise_lists
from sdm_core.indicators.range_size import RANGE_LIMITS_PERCENT, RangeShares, range_shares
from sdm_core.indicators.sets import SetCounts, StoreLike, rule_options, rule_text, set_counts
from sdm_core.indicators.summary import SPECIES_COLUMNS, Indicator, RegionSummary, SpeciesGroup
from sdm_core.regions import DEFAULT_CONTAINMENT, Region, cells_to_parents, check_containment
from sdm_core.statuses import MatchedStatuses

HECTARES_PER_KM2 = 100
#: Share of the distribution inside every interval.
INTERVAL_LEVEL = 0.9
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
    certainty = certainty_of(store)
    species = _species_table(store, selected, sums, counts, shares, statuses)
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
        indicators=_indicators(store, selected, region, sums, counts, weights)
        | _range_indicators(shares)
        | _invasive_share(store.species, sums),
        groups=_groups(store.species, sums, counts),
        percentiles={name: _percentile(store, selected, weights, name) for name in ("richness", "shannon")},
        species_table=species,
        certainty_text=certainty.text,
        status_lists=summarise_lists(statuses, sums, counts.n_cells > 0, shares, certainty),
        notes=(*(region.notes if region is not None else ()), *notes),
    )


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
    sums = store.region_sums(np.asarray(rows, dtype=np.int64), np.asarray(hectares, dtype=np.float64))
    present = np.zeros(store.n_species, dtype=bool)
    table = summary.species_table.copy(deep=False)
    ids = table["species_id"].to_numpy(np.int64)
    present[ids] = table["present"].to_numpy(bool)
    for name, texts in status_columns(statuses, store.n_species).items():
        table[name] = np.array(texts, dtype=object)[ids]
    lists = summarise_lists(statuses, sums, present, range_shares(store, sums), certainty_of(store))
    return dataclasses.replace(summary, species_table=table, status_lists=lists)


def _indicators(
    store: StoreLike,
    rows: NDArray[np.int64],
    region: Region | None,
    sums: Any,
    counts: SetCounts,
    hectares: NDArray[np.float64],
) -> dict[str, Indicator]:
    expected_richness = np.asarray(store.layer("richness"))[rows].astype(np.float64)
    simpson = np.asarray(store.layer("simpson"))[rows].astype(np.float64)
    shannon = np.asarray(store.layer("shannon"))[rows].astype(np.float64)
    alpha = float(hectares @ counts.richness / hectares.sum())
    gamma = int(np.count_nonzero(counts.n_cells))
    best = np.asarray(sums.max_probability, dtype=np.float64)
    possible = best[best > 0]
    lower, upper = diversity.richness_interval(possible, INTERVAL_LEVEL)
    q = np.asarray(sums.expected_area_km2, dtype=np.float64)
    found = [
        Indicator("area_km2", region.area_km2 if region is not None else math.nan),
        Indicator("cell_area_km2", float(hectares.sum() / HECTARES_PER_KM2)),
        # Σ mean probability, so that it is exactly the sum of the species table
        Indicator(
            "alpha_expected",
            float(np.sum(sums.mean_probability)),
            float(expected_richness.min()),
            float(expected_richness.max()),
        ),
        _random_cell(expected_richness, simpson, hectares),
        Indicator("alpha", alpha, float(counts.richness.min()), float(counts.richness.max())),
        Indicator("gamma", gamma),
        Indicator("gamma_lower", float(best.sum()), float(lower), float(upper)),
        Indicator("beta_whittaker", max(1.0, gamma / alpha) if alpha > 0 else math.nan),
        Indicator("beta_additive", max(0.0, gamma - alpha)),
        Indicator("shannon", float(diversity.shannon(q))),
        Indicator("simpson", float(diversity.simpson(q))),
        *(Indicator(f"hill_{order}", float(diversity.hill(q, order))) for order in (0, 1, 2)),
        _mean_over_cells("cell_shannon", shannon, hectares),
        _mean_over_cells("cell_simpson", simpson, hectares),
    ]
    return {indicator.name: indicator for indicator in found}


def _range_indicators(shares: RangeShares) -> dict[str, Indicator]:
    found = [
        Indicator("weighted_endemism", shares.weighted_endemism),
        Indicator("relative_endemism", shares.relative_endemism),
        *(
            Indicator(f"range_over_{percent}_percent", shares.n_above(percent))
            for percent in RANGE_LIMITS_PERCENT
        ),
    ]
    return {indicator.name: indicator for indicator in found}


def _invasive_share(species: pd.DataFrame, sums: Any) -> dict[str, Indicator]:
    """Share of invasive species of Union concern in the expected species; NaN where not looked up."""
    members, assessed = flag_members(species)["invasive"]
    area = np.asarray(sums.expected_area_km2, dtype=np.float64)
    known = assessed.any() and area.sum() > 0
    value = 100.0 * float(area[members].sum() / area.sum()) if known else math.nan
    return {"invasive_share": Indicator("invasive_share", value)}


def _mean_over_cells(name: str, values: NDArray[np.float64], weights: NDArray[np.float64]) -> Indicator:
    """Area-weighted mean and range over the cells where the index is defined (those with any species)."""
    defined = np.isfinite(values)
    if not defined.any():
        return Indicator(name, math.nan)
    values, weights = values[defined], weights[defined]
    return Indicator(name, float(values @ weights / weights.sum()), float(values.min()), float(values.max()))


def _random_cell(
    expected: NDArray[np.float64], simpson: NDArray[np.float64], weights: NDArray[np.float64]
) -> Indicator:
    """Median, 5 % and 95 % of the number of species in one cell drawn by area.

    Each cell's Poisson-binomial number has mean μ = Σp and variance Σp(1 − p) = μ − μ²(1 − Simpson); it is
    taken as normal with continuity correction, and the cells are mixed by area.
    """
    squares = np.where(expected > 0, np.nan_to_num(1.0 - simpson) * expected**2, 0.0)
    deviation = np.sqrt(np.maximum(expected - squares, 1e-12))
    share = weights / weights.sum()
    tail = (1.0 - INTERVAL_LEVEL) / 2.0

    def smallest_count_reaching(level: float) -> float:
        low, high = 0, int(np.ceil((expected + 6 * deviation).max())) + 1
        while low < high:
            middle = (low + high) // 2
            if share @ ndtr((middle + 0.5 - expected) / deviation) >= level:
                high = middle
            else:
                low = middle + 1
        return float(low)

    return Indicator(
        "alpha_cell_interval", *(smallest_count_reaching(level) for level in (0.5, tail, 1.0 - tail))
    )


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


def _groups(species: pd.DataFrame, sums: Any, counts: SetCounts) -> dict[str, SpeciesGroup]:
    present = counts.n_cells > 0
    n_present = int(np.count_nonzero(present))
    best, mean = np.asarray(sums.max_probability), np.asarray(sums.mean_probability)
    groups = {}
    for name, (member, assessed) in flag_members(species).items():
        known = bool(assessed.any())
        unknown_percent = 100.0 * np.count_nonzero(present & ~assessed) / n_present if n_present else math.nan
        groups[name] = SpeciesGroup(
            name,
            expected=float(best[member].sum()) if known else math.nan,
            expected_per_cell=float(mean[member].sum()) if known else math.nan,
            by_rule=int(np.count_nonzero(present & member)) if known else None,
            unassessed_percent=float(unknown_percent) if known else 100.0,
        )
    return groups


def _species_table(
    store: StoreLike,
    rows: NDArray[np.int64],
    sums: Any,
    counts: SetCounts,
    shares: RangeShares,
    statuses: Sequence[MatchedStatuses],
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
    table["present"] = counts.n_cells > 0
    certainty = certainty_of(store)
    if certainty.source == "conformal":
        table["certainty"] = certainty.words(sums.max_probability)
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
