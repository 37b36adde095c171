"""How composition varies inside a region: turnover and nestedness, its most distinctive and richest cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core import diversity, regions
from sdm_core.indicators.concern_layers import concern_layers
from sdm_core.indicators.sets import StoreLike, presence_parts, presence_table, row_parts
from sdm_core.indicators.summary import json_number
from sdm_core.prediction import decode
from sdm_core.statuses import MatchedStatuses

#: Cells per sample of the multi-site measures at most, samples drawn, and cells they are drawn from at most.
MAX_SAMPLE_CELLS = 50
N_SAMPLES = 50
MAX_CELLS = 2_000
#: Cells each cell is compared with at most, for the map of dissimilarity.
N_OTHERS = 500
N_HOTSPOTS = 3
#: Hotspots on the maps: the cells with the highest values, up to this share of the area.
HOTSPOT_SHARE = 0.05
_SEED = 20_260_101
#: Kind of hotspot → what its value is.
HOTSPOT_TEXTS: dict[str, str] = {
    "richness": "expected species, Σp",
    "distinctive": "share in the region's beta diversity (LCBD after Hellinger transformation of the "
    "probabilities) as a multiple of the mean cell's",
    "threatened_share": "Σp of VU, EN, CR ÷ Σp of species assessed LC to CR, by the first Red List added",
}
#: Layer of the cells of a region → unit and meaning; "" where there is no unit.
STRUCTURE_LAYERS: dict[str, tuple[str, str]] = {
    "beta_sorensen": (
        "1",
        "mean over other cells of the region of the pairwise Sørensen dissimilarity of the sets, "
        "(b + c)/(2a + b + c): 0 where all hold the same species, 1 where none shares any",
    ),
    "beta_turnover": (
        "1",
        "its part by turnover, min(b, c)/(a + min(b, c)): species in the place of others (Baselga 2010)",
    ),
    "beta_nestedness": (
        "1",
        "its part by nestedness, the rest: one cell holds a part of what the other holds",
    ),
    "lcbd_relative": ("mean cells", HOTSPOT_TEXTS["distinctive"]),
    "richness_hotspot": (
        "",
        "true in the cells with the most expected species, up to 5 % of the area of the region's cells, at "
        "least one cell",
    ),
    "threat_hotspot": ("", "the same by the threatened share; only where a Red List was added"),
}


@dataclass(frozen=True)
class Hotspot:
    """One of the cells with the highest value of a kind in `HOTSPOT_TEXTS`."""

    kind: str
    cell: str
    longitude: float
    latitude: float
    value: float


@dataclass(frozen=True)
class Structure:
    """Composition inside a region.

    Attributes:
        multi_site: Sørensen dissimilarity with turnover and nestedness over random samples of cells of equal
            size; None for a region of one cell.
        n_cells: cells of the region.
        n_compared: those the samples are drawn from: all, or `MAX_CELLS` drawn at random.
        n_others: cells that each was compared with for `layers`, itself left out: all, or `N_OTHERS` drawn at
            random.
        hotspots: cells with the highest values, kind by kind.
        layers: values (n_cells,) of the region's cells by name, those of `STRUCTURE_LAYERS` that are defined;
            numbers are NaN in cells without species.
    """

    multi_site: diversity.MultiSiteSample | None
    n_cells: int
    n_compared: int
    n_others: int
    hotspots: tuple[Hotspot, ...]
    layers: dict[str, NDArray[Any]] = field(default_factory=dict, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, definitions beside the numbers."""
        sample = self.multi_site
        return {
            "definition": "multi-site Sørensen dissimilarity of the sets (Baselga 2010), mean and standard "
            "deviation over random samples of sample_cells cells; values rise with that number",
            "multi_site": None
            if sample is None
            else {
                "sample_cells": sample.n_cells,
                "n_samples": sample.n_samples,
                **{
                    f"{name}{end}": json_number(getattr(sample, f"{name}{end}"))
                    for name in ("total", "turnover", "nestedness")
                    for end in ("", "_standard_deviation")
                },
            },
            "n_cells": self.n_cells,
            "n_compared": self.n_compared,
            "cells": {
                "definition": "mean, lowest and highest value of the region's cells; each cell is compared "
                "with n_others cells, itself left out",
                "n_others": self.n_others,
                **{name: self._spread(name) for name in self.layers},
            },
            "hotspot_values": HOTSPOT_TEXTS,
            "hotspots": [vars(hotspot) for hotspot in self.hotspots],
        }

    def _spread(self, name: str) -> dict[str, Any]:
        values, (unit, meaning) = self.layers[name], STRUCTURE_LAYERS[name]
        if values.dtype == bool:
            return {"n_cells": int(values.sum()), "definition": meaning}
        known = values[np.isfinite(values)]
        numbers = (known.mean(), known.min(), known.max()) if known.size else (np.nan,) * 3
        named = dict(zip(("mean", "low", "high"), (json_number(float(x)) for x in numbers), strict=True))
        return {**named, "unit": unit, "definition": meaning}


def region_structure(
    store: StoreLike,
    rows: ArrayLike,
    rule: str,
    options: dict[str, Any],
    statuses: Sequence[MatchedStatuses] = (),
) -> Structure:
    """Turnover, nestedness and hotspots of a region; the same region gives the same numbers each time.

    Args:
        store: predictions of an atlas.
        rows: rows of the region's cells, ascending.
        rule: how probabilities become species sets, for turnover and nestedness.
        options: complete options of the rule.
        statuses: status lists matched to the atlas; the first Red List among them gives hotspots of threat.
    """
    selected = np.asarray(rows, dtype=np.int64)
    compared = _drawn(selected, MAX_CELLS)
    others = _drawn(selected, N_OTHERS)
    sample = sample_multi_site(store, compared, rule, options, min(MAX_SAMPLE_CELLS, len(compared)))
    richness = np.asarray(store.layer("richness"))[selected]
    layers = _dissimilarity(store, selected, others, rule, options)
    layers["lcbd_relative"] = _distinctiveness(store, selected)
    hotspots = _highest(store, selected, "richness", richness)
    hotspots += _highest(store, selected, "distinctive", layers["lcbd_relative"])
    hectares = np.asarray(store.area_ha)[selected].astype(np.float64)
    layers["richness_hotspot"] = hotspot_mask(richness, hectares)
    if statuses:
        concern = concern_layers(store, selected, statuses)
        if "threatened_share" in concern:
            hotspots += _highest(store, selected, "threatened_share", concern["threatened_share"])
            layers["threat_hotspot"] = hotspot_mask(concern["threatened_share"], hectares)
    defined = {name: values for name, values in layers.items() if values.dtype == bool or _any_known(values)}
    return Structure(
        sample, len(selected), len(compared), len(others), tuple(hotspots), defined if sample else {}
    )


def sample_multi_site(
    store: StoreLike, rows: NDArray[np.int64], rule: str, options: dict[str, Any], n_cells: int
) -> diversity.MultiSiteSample | None:
    """Multi-site dissimilarity over samples of `n_cells`, from at most `MAX_CELLS` rows; None below two."""
    if n_cells < 2:
        return None
    generator = np.random.default_rng(_SEED)
    if len(rows) > MAX_CELLS:
        rows = np.sort(generator.choice(rows, MAX_CELLS, replace=False))
    table = presence_table(store, rows, rule, options)
    n_samples = 1 if len(rows) == n_cells else N_SAMPLES
    return diversity.multi_site_sample(table, generator, n_cells, n_samples)


def hotspot_mask(values: ArrayLike, hectares: ArrayLike) -> NDArray[np.bool_]:
    """Cells (n,) with the highest values, up to `HOTSPOT_SHARE` of the area, at least one.

    None where all values are alike or not defined (NaN).
    """
    numbers, area = np.asarray(values, dtype=np.float64), np.asarray(hectares, dtype=np.float64)
    chosen = np.zeros(len(numbers), dtype=bool)
    known = np.flatnonzero(np.isfinite(numbers))
    if len(known) < 2 or np.ptp(numbers[known]) <= 0:
        return chosen
    order = known[np.argsort(-numbers[known], kind="stable")]
    n_chosen = np.searchsorted(np.cumsum(area[order]), HOTSPOT_SHARE * area.sum() * (1 + 1e-9), side="right")
    chosen[order[: max(1, int(n_chosen))]] = True
    return chosen


def _drawn(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """The rows, or as many of them drawn at random, ascending."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(_SEED).choice(rows, most, replace=False))


def _dissimilarity(
    store: StoreLike,
    rows: NDArray[np.int64],
    others: NDArray[np.int64],
    rule: str,
    options: dict[str, Any],
) -> dict[str, NDArray[Any]]:
    """Mean dissimilarity of each row from the others, with its two parts."""
    place = np.full(len(rows), -1)
    place[np.searchsorted(rows, others)] = np.arange(len(others))

    def sets() -> Iterator[NDArray[np.bool_]]:
        return (found for _, found in presence_parts(store, rows, rule, options))

    means = diversity.mean_dissimilarity(sets, presence_table(store, others, rule, options), place)
    return {
        "beta_sorensen": means.total,
        "beta_turnover": means.turnover,
        "beta_nestedness": means.nestedness,
    }


def _distinctiveness(store: StoreLike, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """LCBD of each row as a multiple of the mean; NaN for cells without any species."""
    held = np.asarray(store.layer("richness"))[rows] > 0
    values = np.full(len(rows), np.nan)
    if held.sum() >= 2:
        filled = rows[held]
        shares = diversity.beta_contributions_in_parts(
            lambda: (decode(np.asarray(store.codes[part])) for part in row_parts(filled))
        )
        values[held] = shares.cells * held.sum()
    return values


def _any_known(values: NDArray[np.floating]) -> bool:
    return bool(np.isfinite(values).any())


def _highest(
    store: StoreLike, rows: NDArray[np.int64], kind: str, values: NDArray[np.floating]
) -> list[Hotspot]:
    """The `N_HOTSPOTS` cells with the highest value; none where all are alike or not defined."""
    known = np.flatnonzero(np.isfinite(values))
    if len(known) < 2 or np.ptp(values[known]) <= 0:
        return []
    chosen = known[np.argsort(-values[known], kind="stable")[:N_HOTSPOTS]]
    names = regions.cells_to_strings(np.asarray(store.cells)[rows[chosen]])
    return [
        Hotspot(kind, str(name), float(longitude), float(latitude), float(values[place]))
        for place, name, (longitude, latitude) in zip(
            chosen, names, np.asarray(store.lonlat)[rows[chosen]], strict=True
        )
    ]
