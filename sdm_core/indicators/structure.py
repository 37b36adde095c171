"""How composition varies inside a region: turnover and nestedness, its most distinctive and richest cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core import diversity, regions
from sdm_core.indicators.concern_layers import concern_layers
from sdm_core.indicators.sets import StoreLike, presence_table, row_parts
from sdm_core.indicators.summary import json_number
from sdm_core.prediction import decode
from sdm_core.statuses import MatchedStatuses

#: Cells per sample of the multi-site measures at most, samples drawn, and cells looked at in all.
MAX_SAMPLE_CELLS = 50
N_SAMPLES = 50
MAX_CELLS = 2_000
N_HOTSPOTS = 3
_SEED = 20_260_101
#: Kind of hotspot → what its value is.
HOTSPOT_TEXTS: dict[str, str] = {
    "richness": "expected species, Σp",
    "distinctive": "share in the region's beta diversity (LCBD after Hellinger transformation of the "
    "probabilities) as a multiple of the mean cell's",
    "threatened_share": "Σp of VU, EN, CR ÷ Σp of species assessed LC to CR, by the first Red List added",
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
        n_compared: those compared: all, or `MAX_CELLS` drawn at random.
        hotspots: cells with the highest values, kind by kind.
    """

    multi_site: diversity.MultiSiteSample | None
    n_cells: int
    n_compared: int
    hotspots: tuple[Hotspot, ...]

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
            "hotspot_values": HOTSPOT_TEXTS,
            "hotspots": [vars(hotspot) for hotspot in self.hotspots],
        }


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
    generator = np.random.default_rng(_SEED)
    compared = selected
    if len(selected) > MAX_CELLS:
        compared = np.sort(generator.choice(selected, MAX_CELLS, replace=False))
    sample = sample_multi_site(store, compared, rule, options, min(MAX_SAMPLE_CELLS, len(compared)))
    hotspots = _highest(store, selected, "richness", np.asarray(store.layer("richness"))[selected])
    hotspots += _highest(store, compared, "distinctive", _distinctiveness(store, compared))
    if statuses:
        layers = concern_layers(store, selected, statuses)
        if "threatened_share" in layers:
            hotspots += _highest(store, selected, "threatened_share", layers["threatened_share"])
    return Structure(sample, len(selected), len(compared), tuple(hotspots))


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


def _distinctiveness(store: StoreLike, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """LCBD of each row as a multiple of the mean; NaN for cells without any species."""
    p = np.concatenate([decode(np.asarray(store.codes[part])) for part in row_parts(rows)])
    held = p.sum(axis=1) > 0
    values = np.full(len(rows), np.nan)
    if held.sum() >= 2:
        values[held] = diversity.beta_contributions(p[held]).cells * held.sum()
    return values


def _highest(
    store: StoreLike, rows: NDArray[np.int64], kind: str, values: NDArray[np.floating]
) -> list[Hotspot]:
    """The `N_HOTSPOTS` cells with the highest value; none where all are alike or not defined."""
    known = np.flatnonzero(np.isfinite(values))
    if len(known) < 2 or np.ptp(values[known]) <= 0:
        return []
    chosen = rows[known[np.argsort(-values[known], kind="stable")[:N_HOTSPOTS]]]
    names = regions.cells_to_strings(np.asarray(store.cells)[chosen])
    at = {int(row): float(value) for row, value in zip(rows, values, strict=True)}
    return [
        Hotspot(kind, str(name), float(longitude), float(latitude), at[int(row)])
        for row, name, (longitude, latitude) in zip(
            chosen, names, np.asarray(store.lonlat)[chosen], strict=True
        )
    ]
