"""Threat, protection, invasion and endemism in every cell: values to map and to write beside the cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core.indicators import threat
from sdm_core.indicators.certainty import applicable, certainty_of
from sdm_core.indicators.region import flag_members
from sdm_core.indicators.sets import StoreLike, row_parts
from sdm_core.prediction import decode
from sdm_core.statuses import ASSESSED, THREATENED, MatchedStatuses

#: Name of a layer → unit and meaning.
CONCERN_LAYERS: dict[str, tuple[str, str]] = {
    "endemic": ("expected species", "Σp of endemic species; NaN where the atlas does not know them"),
    "protected": ("expected species", "Σp of species of the Habitats Directive; NaN where not looked up"),
    "invasive": ("expected species", "Σp of invasive species of Union concern; NaN where not looked up"),
    "invasive_share": ("1", "Σp of invasive species of Union concern ÷ Σp of all; NaN where not looked up"),
    "weighted_endemism": (
        "mean cells",
        "Σ p/range, the range in cells of mean area: Σ cell area × p in the atlas ÷ mean cell area",
    ),
    "threatened_share": ("1", "Σp of VU, EN, CR ÷ Σp of species assessed LC to CR, by the first Red List"),
    "unassessed_share": ("1", "Σp of species without assessment ÷ Σp of all, by the first Red List"),
    "most_threatened": (
        "category",
        "worst category of a species that is possible there (`certainty_of`), by the first Red List: 1 LC, "
        "2 NT, 3 VU, 4 EN, 5 CR; 0 where none is assessed",
    ),
    "most_threatened_certain": (
        "category",
        "worst category of a species that is certain there, numbers as before; 0 where no such species is "
        "assessed, and outside the area of applicability, where nothing is certain",
    ),
}
#: Layers that a Red List is needed for.
LAYERS_OF_LISTS: tuple[str, ...] = (
    "threatened_share",
    "unassessed_share",
    "most_threatened",
    "most_threatened_certain",
)


def concern_layers(
    store: StoreLike, rows: ArrayLike, statuses: Sequence[MatchedStatuses] = ()
) -> dict[str, NDArray[np.float32]]:
    """Layers of `CONCERN_LAYERS` (n_rows,) for some cells; those of a Red List only where one is given.

    Args:
        store: predictions of an atlas.
        rows: rows of the cells.
        statuses: status lists matched to the species of this atlas; the first Red List among them counts.

    The mean of `weighted_endemism` over all cells of the atlas, weighted by area, is the number of species
    with a range ÷ the number of cells.
    """
    wanted = np.asarray(rows, dtype=np.int64)
    weights = concern_weights(store, statuses)
    categories = first_red_list(statuses)
    columns = [*weights.sums.values(), *(side for share in weights.shares.values() for side in share)]
    table, sums = np.column_stack(columns), np.empty((len(wanted), len(columns)))
    certainty = certainty_of(store)
    worst = {
        "most_threatened": certainty.possible_code,
        "most_threatened_certain": certainty.certain_code,
    }
    ranks = {name: np.zeros(len(wanted)) for name in worst}
    start = 0
    for part in row_parts(wanted):
        codes = np.asarray(store.codes[part])
        stop = start + len(codes)
        sums[start:stop] = decode(codes).astype(np.float64) @ table
        if categories is not None:
            for place, category in enumerate(ASSESSED, start=1):
                members = np.flatnonzero(categories == category)
                for name, cuts in worst.items():
                    there = (codes[:, members] >= cuts[members]).any(axis=1)
                    ranks[name][start:stop][there] = place
        start = stop
    found = {name: sums[:, place] for place, name in enumerate(weights.sums)}
    for place, name in enumerate(weights.shares):
        part_of, whole = (sums[:, len(weights.sums) + 2 * place + side] for side in (0, 1))
        found[name] = _ratio(part_of, whole)
    for name in weights.unknown:
        found[name] = np.full(len(wanted), np.nan)
    if categories is not None:
        if (inside := applicable(store, wanted)) is not None:
            ranks["most_threatened_certain"][~inside] = 0.0
        found |= ranks
    return {name: found[name].astype(np.float32) for name in CONCERN_LAYERS if name in found}


@dataclass(frozen=True)
class ConcernWeights:
    """What every species adds to a layer.

    sums: name → weights (n_species,) of Σ_s w_s p_s. shares: name → a and b (n_species,) of
    Σ a_s p_s ÷ Σ b_s p_s. unknown: layers of a group that no species was looked up for.
    """

    sums: dict[str, NDArray[np.float64]]
    shares: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
    unknown: tuple[str, ...]


def concern_weights(store: StoreLike, statuses: Sequence[MatchedStatuses] = ()) -> ConcernWeights:
    """What every species adds to layers that are sums or shares; those of a Red List where one is given."""
    flags = flag_members(store.species)
    whole: Any = getattr(store, "whole", None) or store
    total = whole.region_sums(np.arange(whole.n_cells))
    mean_cell_km2 = total.area_km2 / whole.n_cells
    ranges = np.asarray(total.expected_area_km2, dtype=np.float64) / mean_cell_km2
    inverse = np.divide(1.0, ranges, out=np.zeros(ranges.shape), where=ranges > 0)
    members = {name: flags[name][0].astype(np.float64) for name in ("endemic", "protected", "invasive")}
    everyone = np.ones(store.n_species)
    shares = {"invasive_share": (members["invasive"], everyone)}
    if (categories := first_red_list(statuses)) is not None:
        threatened, assessed, settled = (
            threat.category_mask(categories, names).astype(np.float64)
            for names in (THREATENED, ASSESSED, (*ASSESSED, *threat.GONE))
        )
        shares["threatened_share"] = (threatened, assessed)
        shares["unassessed_share"] = (1.0 - settled, everyone)
    unknown = [name for name in members if not flags[name][1].any()]
    return ConcernWeights(
        {**members, "weighted_endemism": inverse},
        shares,
        (*unknown, *(["invasive_share"] if "invasive" in unknown else [])),
    )


def first_red_list(statuses: Sequence[MatchedStatuses]) -> NDArray[np.object_] | None:
    """Official categories (n_species,) of the first list that has any from LC to CR."""
    return next((categories for _, categories in _red_lists(statuses)), None)


def red_list_title(statuses: Sequence[MatchedStatuses]) -> str:
    """Name and region of that list; empty where there is none."""
    return next((title for title, _ in _red_lists(statuses)), "")


def _red_lists(statuses: Sequence[MatchedStatuses]) -> Iterator[tuple[str, NDArray[np.object_]]]:
    for matched in statuses:
        for listed, region in matched.file.lists:
            categories = matched.categories(listed, region)
            if threat.category_mask(categories, ASSESSED).any():
                yield f"{listed} ({region})" if region else listed, categories


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
