"""Draws of what a region may really hold, from the errors that held-out surveys showed, for its intervals."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core.indicators.sets import StoreLike, held_out_of
from sdm_core.intervals import ErrorModel, RegionDraws, draw_region, number_interval, richness_of_a_cell
from sdm_core.prediction import encode

#: Cells that draws are made from, at most, and codes of such cells; of more cells, every second, third, … in
#: the order of the atlas, which is one of neighbourhood. The totals stay those of all cells.
MAX_DRAWN_CELLS = 4_096
MAX_DRAWN_CODES = 2**21


def error_model_of(store: StoreLike) -> ErrorModel | None:
    """How errors of an atlas hang together; None where no held-out surveys lie beside it.

    Raises `ErrorModelError` where they hold something else.
    """
    held_out = held_out_of(store)
    saved = None if held_out is None else held_out.notes.get("error_model")
    return None if saved is None else ErrorModel.from_dict(saved)


@dataclass(frozen=True, eq=False)
class RegionErrors:
    """What errors of the model may do to a region.

    Attributes:
        model: how they hang together.
        draws: areas (km²) that the region's species may really have.
        codes, weights: of the cells they were drawn from: (n, n_species) and (n,).
        best_codes: (n_species,) highest code of any cell of the region.
    """

    model: ErrorModel
    draws: RegionDraws
    codes: NDArray[np.uint8]
    weights: NDArray[np.float64]
    best_codes: NDArray[np.uint8]

    def count_interval(self, members: ArrayLike | None = None) -> tuple[float, float]:
        """Interval of the number of species (of a group) present in their best cell, chance included."""
        return number_interval(self._presences, members)

    @cached_property
    def _presences(self) -> NDArray[np.bool_]:
        """Which species are present in their best cell, draw by draw; the same for every group."""
        return self.draws.presences(self.best_codes)

    def richness_of_a_cell(self) -> tuple[float, float, float]:
        """Median and interval of the number of species in one cell drawn by area."""
        return richness_of_a_cell(self.codes, self.model, self.weights)

    def share_interval(self, part: ArrayLike, whole: ArrayLike | None = None) -> tuple[float, float]:
        """Interval of Σ area of some species ÷ Σ area of some or all; both boolean (n_species,)."""
        return self.draws.interval(lambda area: share_of(area, part, whole))


def errors_of_region(
    store: StoreLike, rows: NDArray[np.int64], hectares: ArrayLike, sums: Any
) -> RegionErrors | None:
    """Errors of the expected areas (km²) of a region; None where the atlas does not know them.

    Args:
        store: predictions of an atlas.
        rows: of the region, ascending.
        hectares: area each row counts with.
        sums: totals of these rows.
    """
    model = error_model_of(store)
    if model is None:
        return None
    most = max(1, min(MAX_DRAWN_CELLS, MAX_DRAWN_CODES // store.n_species))
    step = -(-len(rows) // most)
    chosen = rows[::step]
    codes = np.asarray(store.codes[chosen])
    weights = np.asarray(hectares, dtype=np.float64)[::step]
    totals = np.asarray(sums.expected_area_km2, dtype=np.float64)
    draws = draw_region(
        codes, weights, np.asarray(store.lonlat)[chosen], model, totals, fraction=len(chosen) / len(rows)
    )
    return RegionErrors(model, draws, codes, weights, encode(sums.max_probability))


def share_of(
    area: NDArray[np.float64], members: ArrayLike, whole: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Σ area of members ÷ Σ area of all, or of `whole` (n,), of areas (n, n_species); NaN where that is 0."""
    part = area @ np.asarray(members, dtype=np.float64)
    total = area.sum(axis=1) if whole is None else area @ np.asarray(whole, dtype=np.float64)
    return np.divide(part, total, out=np.full(len(area), np.nan), where=total > 0)
