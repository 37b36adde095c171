"""Dissimilarity of two communities and its two parts: replacement of species, and loss of species.

With a shared, b and c unique to each, m = min(b, c) and M = max(b, c) (Baselga 2010, doi
10.1111/j.1466-8238.2009.00490.x; 2012, doi 10.1111/j.1466-8238.2011.00756.x):

- Sørensen (b+c)/(2a+b+c) = turnover m/(a+m) + nestedness (M−m)/(2a+b+c) · a/(a+m)
- Jaccard (b+c)/(a+b+c) = turnover 2m/(a+2m) + nestedness (M−m)/(a+b+c) · a/(a+2m)

Sets give counts. Weights or probabilities give the abundance analogue a = Σ min(x, y), b = Σ max(x − y, 0), c
the reverse: Bray–Curtis and Ružička, with balanced variation and abundance gradient as parts (Baselga 2013,
doi 10.1111/2041-210X.12029). Probabilities are never multiplied: with a = Σ p·p a cell would differ from
itself. On 0 and 1 both forms are the same number.

Two empty communities: NaN. One empty: total 1, parts NaN (0/0, as in betapart).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sdm_core.diversity._arrays import Floats, checked_weights, row_chunks, species_last
from sdm_core.errors import RuleError


def sorensen(a: ArrayLike, b: ArrayLike) -> Floats:
    """Sørensen dissimilarity of two sets; Bray–Curtis dissimilarity of two vectors of weights.

    For two cells it equals Whittaker beta − 1. Relatives: `jaccard` = 2·s/(1+s); `multi_site_sorensen` is
    another quantity, and not the mean of pairs.

    Args:
        a: (…, n_species) sets (booleans, or 0 and 1) or weights ≥ 0, taken as they are.
        b: same number of species; the other axes broadcast against those of `a`.

    Returns:
        (…) from 0 (same) to 1 (nothing shared).

    Raises:
        RuleError: negative, NaN or infinite values, or another number of species.
    """
    shared, lesser, greater = _components(a, b)
    return _ratio(lesser + greater, 2 * shared + lesser + greater)


def sorensen_turnover(a: ArrayLike, b: ArrayLike) -> Floats:
    """Turnover part of Sørensen dissimilarity (Simpson dissimilarity): m/(a+m).

    Arguments, result and errors as for `sorensen`.
    """
    shared, lesser, _ = _components(a, b)
    return _ratio(lesser, shared + lesser)


def sorensen_nestedness(a: ArrayLike, b: ArrayLike) -> Floats:
    """Nestedness part of Sørensen dissimilarity: what loss of species alone adds.

    Arguments, result and errors as for `sorensen`.
    """
    shared, lesser, greater = _components(a, b)
    return _ratio(greater - lesser, 2 * shared + lesser + greater) * _ratio(shared, shared + lesser)


def jaccard(a: ArrayLike, b: ArrayLike) -> Floats:
    """Jaccard dissimilarity of two sets; Ružička dissimilarity of two vectors of weights.

    Arguments, result and errors as for `sorensen`.
    """
    shared, lesser, greater = _components(a, b)
    return _ratio(lesser + greater, shared + lesser + greater)


def jaccard_turnover(a: ArrayLike, b: ArrayLike) -> Floats:
    """Turnover part of Jaccard dissimilarity: 2m/(a+2m).

    Arguments, result and errors as for `sorensen`.
    """
    shared, lesser, _ = _components(a, b)
    return _ratio(2 * lesser, shared + 2 * lesser)


def jaccard_nestedness(a: ArrayLike, b: ArrayLike) -> Floats:
    """Nestedness part of Jaccard dissimilarity: what loss of species alone adds.

    Arguments, result and errors as for `sorensen`.
    """
    shared, lesser, greater = _components(a, b)
    return _ratio(greater - lesser, shared + lesser + greater) * _ratio(shared, shared + 2 * lesser)


def _ratio(top: Floats, bottom: Floats) -> Floats:
    out = np.full(np.shape(bottom), np.nan)
    return np.divide(top, bottom, out=out, where=np.asarray(bottom) > 0)[()]


def _components(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Shared amount, and the lesser and greater of the two unique amounts, for every pair."""
    first, second = species_last(a, "a"), species_last(b, "b")
    n_species = first.shape[-1]
    if second.shape[-1] != n_species:
        raise RuleError(
            f"a has {n_species} species and b {second.shape[-1]}, expected the same ones in the same order."
        )
    try:
        shape = np.broadcast_shapes(first.shape[:-1], second.shape[:-1])
    except ValueError:
        raise RuleError(
            f"a has shape {first.shape} and b {second.shape}, expected shapes that can be paired row by row."
        ) from None
    n_pairs = int(np.prod(shape, dtype=np.int64))
    order_first = np.broadcast_to(_row_numbers(first), shape).reshape(-1)
    order_second = np.broadcast_to(_row_numbers(second), shape).reshape(-1)
    rows_first, rows_second = _rows(first), _rows(second)
    both_sets = first.dtype.kind == "b" and second.dtype.kind == "b"
    shared, unique_first, unique_second = (np.empty(n_pairs) for _ in range(3))
    for part in row_chunks(n_pairs, n_species):
        x, y = rows_first[order_first[part]], rows_second[order_second[part]]
        if both_sets:
            shared[part] = np.count_nonzero(x & y, axis=-1)
            unique_first[part] = np.count_nonzero(x & ~y, axis=-1)
            unique_second[part] = np.count_nonzero(y & ~x, axis=-1)
        else:
            x_weights, y_weights = checked_weights(x, "a"), checked_weights(y, "b")
            shared[part] = np.minimum(x_weights, y_weights).sum(axis=-1)
            unique_first[part] = np.maximum(x_weights - y_weights, 0).sum(axis=-1)
            unique_second[part] = np.maximum(y_weights - x_weights, 0).sum(axis=-1)
    lesser = np.minimum(unique_first, unique_second)
    greater = np.maximum(unique_first, unique_second)
    return shared.reshape(shape), lesser.reshape(shape), greater.reshape(shape)


def _row_numbers(array: np.ndarray) -> np.ndarray:
    return np.arange(int(np.prod(array.shape[:-1], dtype=np.int64))).reshape(array.shape[:-1])


def _rows(array: np.ndarray) -> np.ndarray:
    return array.reshape(int(np.prod(array.shape[:-1], dtype=np.int64)), array.shape[-1])
