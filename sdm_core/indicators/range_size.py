"""How much of each species' range a region holds, and what that says of rarity.

A species' range here is its expected area in the whole atlas, Σ cell area × p. Weighted endemism after Crisp
et al. (2001, doi 10.1046/j.1365-2699.2001.00524.x), which counts 1/range for each species of a cell; with
probabilities each species counts p/range, so that its shares add up to 1 over the atlas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core.prediction.once import once_per_store

#: Shares of a range, in %, from which a region is said to hold much of it.
RANGE_LIMITS_PERCENT: tuple[int, ...] = (1, 5)


@dataclass(frozen=True)
class RangeShares:
    """What a region holds of the ranges of all species of an atlas.

    Attributes:
        share: (n_species,) part of the species' expected area in the atlas that lies in the region, 0 to 1;
            NaN for a species without any.
        area_share: part of the area of the atlas that the region is: the share a species spread evenly has.
    """

    share: NDArray[np.float64]
    area_share: float

    @property
    def weighted_endemism(self) -> float:
        """Σ shares: as many whole ranges as the region holds in parts."""
        return float(np.nansum(self.share))

    @property
    def relative_endemism(self) -> float:
        """Mean share over species ÷ `area_share`: above 1 where the region holds more than its part."""
        known = np.isfinite(self.share)
        if not known.any() or not self.area_share > 0:
            return float("nan")
        return float(self.share[known].mean() / self.area_share)

    def n_above(self, percent: float) -> int:
        """Number of species of whose range more than so many percent lie in the region."""
        return int(np.count_nonzero(np.nan_to_num(self.share) > percent / 100))


def weighted_endemism(probability: ArrayLike, range_size: ArrayLike) -> NDArray[np.float64]:
    """Σ_s p_s / range_s, also called range-size rarity (…,).

    Args:
        probability: (…, n_species) probabilities or presences (0 and 1) of a cell, or expected areas of a
            region in the unit of `range_size`.
        range_size: (n_species,) size of each range, in cells or as an area; a species without a range (0)
            adds nothing.
    """
    p, size = np.asarray(probability, dtype=np.float64), np.asarray(range_size, dtype=np.float64)
    inverse = np.divide(1.0, size, out=np.zeros(size.shape), where=size > 0)
    return p @ inverse


def range_shares(store: Any, sums: Any) -> RangeShares:
    """Shares of a region (`sums`, its totals) in the ranges of the atlas of `store`, all of its cells.

    Finer cells of a region compare with the atlas they refine. A share above 1, which they can give, is 1.
    """
    whole = getattr(store, "whole", None) or store
    everywhere = _sums_of_all_cells(whole)
    total = np.asarray(everywhere.expected_area_km2, dtype=np.float64)
    inside = np.asarray(sums.expected_area_km2, dtype=np.float64)
    share = np.divide(inside, total, out=np.full(total.shape, np.nan), where=total > 0)
    return RangeShares(np.minimum(share, 1.0), min(1.0, sums.area_km2 / everywhere.area_km2))


@once_per_store
def _sums_of_all_cells(store: Any) -> Any:
    """Totals of every cell of an atlas."""
    return store.region_sums(np.arange(store.n_cells))
