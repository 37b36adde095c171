"""Threat, protection, invasion and endemism in every cell: values to map and to write beside the cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core.indicators import threat
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
        f"worst category of a species with p of at least {threat.POSSIBLE_FROM:g}, by the first Red List: "
        "1 LC, 2 NT, 3 VU, 4 EN, 5 CR; 0 where none is assessed",
    ),
    "most_threatened_certain": (
        "category",
        f"worst category of a species with p of at least {threat.CERTAIN_FROM:g}, numbers as before; 0 where "
        "no such species is assessed",
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
    flags = flag_members(store.species)
    whole: Any = getattr(store, "whole", None) or store
    total = whole.region_sums(np.arange(whole.n_cells))
    mean_cell_km2 = total.area_km2 / whole.n_cells
    ranges = np.asarray(total.expected_area_km2, dtype=np.float64) / mean_cell_km2
    inverse = np.divide(1.0, ranges, out=np.zeros(ranges.shape), where=ranges > 0)
    categories = first_red_list(statuses)
    columns = [flags[name][0].astype(np.float64) for name in ("endemic", "protected", "invasive")]
    columns += [inverse, np.ones(store.n_species)]
    if categories is not None:
        columns += [
            threat.category_mask(categories, names).astype(np.float64)
            for names in (THREATENED, ASSESSED, (*ASSESSED, *threat.GONE))
        ]
    sums = np.empty((len(wanted), len(columns)))
    worst = {"most_threatened": threat.POSSIBLE_FROM, "most_threatened_certain": threat.CERTAIN_FROM}
    ranks = {name: np.zeros(len(wanted)) for name in worst}
    weights, start = np.column_stack(columns), 0
    for part in row_parts(wanted):
        p = decode(np.asarray(store.codes[part])).astype(np.float64)
        stop = start + len(p)
        sums[start:stop] = p @ weights
        if categories is not None:
            for place, category in enumerate(ASSESSED, start=1):
                best = p[:, categories == category].max(axis=1, initial=0.0)
                for name, least in worst.items():
                    ranks[name][start:stop][best >= least] = place
        start = stop
    found = {
        "endemic": _where_known(sums[:, 0], flags["endemic"][1]),
        "protected": _where_known(sums[:, 1], flags["protected"][1]),
        "invasive": _where_known(sums[:, 2], flags["invasive"][1]),
        "invasive_share": _where_known(_ratio(sums[:, 2], sums[:, 4]), flags["invasive"][1]),
        "weighted_endemism": sums[:, 3],
    }
    if categories is not None:
        found["threatened_share"] = _ratio(sums[:, 5], sums[:, 6])
        found["unassessed_share"] = 1.0 - _ratio(sums[:, 7], sums[:, 4])
        found |= ranks
    return {name: values.astype(np.float32) for name, values in found.items()}


def first_red_list(statuses: Sequence[MatchedStatuses]) -> NDArray[np.object_] | None:
    """Official categories (n_species,) of the first list that has any from LC to CR."""
    for matched in statuses:
        for listed, region in matched.file.lists:
            categories = matched.categories(listed, region)
            if threat.category_mask(categories, ASSESSED).any():
                return categories
    return None


def _where_known(values: NDArray[np.float64], assessed: NDArray[np.bool_]) -> NDArray[np.float64]:
    return values if assessed.any() else np.full(values.shape, np.nan)


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
