"""Red List status of an assemblage: shares per category, threatened share, most threatened status.

After the five status shares of GeoPl@ntNet (Estopinan et al. 2024, doi 10.1016/j.ecoinf.2024.102627). There a
softmax gives probabilities that sum to 1 over species; here species are independent, so dividing by Σp turns
them into shares of the expected species first. Source of the threatened share and its bounds: IUCN, which
leaves species without enough data out of the denominator and states what they could change.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core.errors import RuleError
from sdm_core.statuses import ASSESSED, CATEGORIES, THREATENED

#: Probability from which a species counts as certain where no held-out surveys say so (`certainty_of`).
CERTAIN_FROM = 0.9
#: Probability from which a species counts as possible where no held-out surveys say so.
POSSIBLE_FROM = 0.05
#: Weights of the STAR metric (Mair et al. 2021, doi 10.1038/s41559-021-01432-0).
STAR_WEIGHTS: Mapping[str, int] = MappingProxyType({"NT": 100, "VU": 200, "EN": 300, "CR": 400})
#: Species that are gone: neither threatened nor part of what a share of threatened species is a share of.
GONE: tuple[str, ...] = ("RE", "EW", "EX")
#: What adding up many cells may leave above a share of 1.
_ROUNDING = 1e-6


def category_mask(categories: ArrayLike, wanted: tuple[str, ...]) -> NDArray[np.bool_]:
    """Which species (n_species) have one of some categories."""
    return np.isin(np.asarray(categories, dtype=object).astype(str), wanted)


def _weights(
    probability: ArrayLike, categories: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.object_]]:
    """Both arrays, checked: probabilities (…, n_species) of 0 or more and one category per species."""
    p = np.asarray(probability, dtype=np.float64)
    names = np.asarray(categories, dtype=object)
    if p.ndim < 1 or names.shape != p.shape[-1:]:
        raise RuleError(
            f"There are {names.size} categories for probabilities of shape {p.shape}; expected one category "
            'per species, "" where it has none.'
        )
    unknown = sorted({str(name) for name in names} - {"", *CATEGORIES})
    if unknown:
        raise RuleError(f'The category "{unknown[0]}" is not one of {", ".join(CATEGORIES)}.')
    if not np.all(p >= 0):  # NaN is not
        raise RuleError(
            "A probability or share is negative or not a number; expected 0 to 1, or a sum of such."
        )
    return p, names


def status_shares(probability: ArrayLike, categories: ArrayLike, least: float = 0.0) -> dict[str, NDArray]:
    """Share of each Red List category in the expected species: I_c = Σ_{s in c} p_s / Σ_s p_s.

    Args:
        probability: (…, n_species) probabilities, or sums of them over a region.
        categories: (n_species,) category of each species, "" where it has none.
        least: probabilities below it count as 0 (λ of the published method; 0 keeps all).

    Returns:
        An array (…) per category of `ASSESSED`, LC first; NaN where Σp is 0. The shares sum to the assessed
        share, 1 where every species is assessed.

    Raises:
        RuleError: a number of categories other than of species, an unknown category, or a negative or missing
            probability.
    """
    p, names = _weights(probability, categories)
    p = np.where(p >= least, p, 0.0)
    total = p.sum(axis=-1)
    return {name: _ratio(p[..., category_mask(names, (name,))].sum(axis=-1), total) for name in ASSESSED}


def threatened_share(probability: ArrayLike, categories: ArrayLike) -> NDArray[np.float64]:
    """I_T = Σ p of VU, EN and CR ÷ Σ p of all species assessed LC to CR (…,); NaN where none of them is.

    Where every species is assessed it is I_VU + I_EN + I_CR. Raises as `status_shares`.
    """
    p, names = _weights(probability, categories)
    threatened = p[..., category_mask(names, THREATENED)].sum(axis=-1)
    return _ratio(threatened, p[..., category_mask(names, ASSESSED)].sum(axis=-1))


def threatened_share_bounds(
    probability: ArrayLike, categories: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The threatened share if none, and if all, of the species without assessment were threatened (…,).

    Both over all expected species but those that are gone (RE, EW, EX); NaN where there are none. Raises as
    `status_shares`.
    """
    p, names = _weights(probability, categories)
    threatened = p[..., category_mask(names, THREATENED)].sum(axis=-1)
    assessed = p[..., category_mask(names, ASSESSED)].sum(axis=-1)
    unknown = p[..., ~category_mask(names, (*ASSESSED, *GONE))].sum(axis=-1)
    return _ratio(threatened, assessed + unknown), _ratio(threatened + unknown, assessed + unknown)


def unassessed_share(probability: ArrayLike, categories: ArrayLike) -> NDArray[np.float64]:
    """Σ p of species without a category, or DD, NA or NE, ÷ Σ p of all (…,); NaN where Σp is 0.

    Raises as `status_shares`.
    """
    p, names = _weights(probability, categories)
    unknown = ~category_mask(names, (*ASSESSED, *GONE))
    return _ratio(p[..., unknown].sum(axis=-1), p.sum(axis=-1))


def most_threatened(present: ArrayLike, categories: ArrayLike) -> NDArray[np.object_]:
    """I_O, the worst category from LC to CR among the species present (…,); "" where none is assessed.

    Args:
        present: (…, n_species) boolean: a species set. The set of almost certain species gives a firm answer,
            that of all possible ones an outer bound.
        categories: (n_species,).

    Raises:
        RuleError: as `status_shares`.
    """
    given, names = np.asarray(present), np.asarray(categories, dtype=object)
    if given.dtype != bool and not np.all((given == 0) | (given == 1)):
        raise RuleError("A presence is neither 0 nor 1; turn probabilities into a set by a rule first.")
    members = given.astype(bool)
    _weights(members, names)
    rank = np.zeros(len(names), dtype=np.int64)
    for place, name in enumerate(ASSESSED, start=1):
        rank[names == name] = place
    worst = np.where(members, rank, 0).max(axis=-1, initial=0)
    return np.array(["", *ASSESSED], dtype=object)[worst]


def star_like(range_share: ArrayLike, categories: ArrayLike) -> float:
    """Σ over species of the share of their range that lies here × weight of their category (`STAR_WEIGHTS`).

    Like the STAR threat-abatement score (IUCN) in its sum, but the range is only as far as `range_share`
    knows it: with shares of an atlas it is a range within the atlas, and no threats are told apart.

    Args:
        range_share: (n_species,) share of each species' range, 0 to 1; NaN where it has none counts as 0.
        categories: (n_species,).

    Raises:
        RuleError: a share below 0 or above 1, and as `status_shares`.
    """
    share = np.nan_to_num(np.asarray(range_share, dtype=np.float64))
    share, names = _weights(share, categories)
    if share.max(initial=0.0) > 1 + _ROUNDING:
        raise RuleError(f"A share of a range is {share.max():g}, expected 0 to 1.")
    weight = np.array([STAR_WEIGHTS.get(str(name), 0) for name in names], dtype=np.float64)
    return float(share @ weight)


def _ratio(part: ArrayLike, whole: ArrayLike) -> NDArray[np.float64]:
    top, bottom = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    return np.divide(top, bottom, out=np.full(bottom.shape, np.nan), where=bottom > 0)
