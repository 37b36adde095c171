"""Rules that need nothing but the probabilities and a number: thresholds and the best k."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core import config
from sdm_core.errors import RuleError

Ties = Literal["include", "first"]
Booleans = NDArray[np.bool_]

#: Values sorted at once.
_CHUNK_VALUES = 1 << 21


def probabilities_last(probability: ArrayLike) -> NDArray[np.floating]:
    """The probabilities as floats with the species axis last; NaN is let through as "no prediction".

    Raises:
        RuleError: a single number, something other than numbers, or values outside 0…1.
    """
    array = np.asarray(probability)
    if array.ndim == 0:
        raise RuleError(f"probability is a single number ({array}), expected an array with species last.")
    if array.dtype.kind not in "biuf":
        raise RuleError(f"probability has type {array.dtype}, expected numbers from 0 to 1.")
    if array.dtype.kind != "f":
        array = array.astype(np.float64)
    if array.size and (np.nanmin(array, initial=0.0) < 0 or np.nanmax(array, initial=0.0) > 1):
        found = np.nanmin(array) if np.nanmin(array) < 0 else np.nanmax(array)
        raise RuleError(f"probability holds the value {found:g}, expected probabilities from 0 to 1.")
    return array


def threshold(probability: ArrayLike, t: ArrayLike = config.DEFAULT_THRESHOLD) -> Booleans:
    """Species whose probability is at least t.

    Args:
        probability: (…, n_species) in 0…1; NaN and 0 are never present.
        t: one threshold, or (n_species) one per species; above 0, at most 1 (above 1: never present).

    Returns:
        (…, n_species) booleans.

    Raises:
        RuleError: probabilities outside 0…1, a threshold of 0 or less or NaN, or a wrong number of them.
    """
    array = probabilities_last(probability)
    limits = np.asarray(t, dtype=np.float64)
    if limits.ndim > 1 or (limits.ndim == 1 and limits.shape != array.shape[-1:]):
        raise RuleError(
            f"The thresholds have shape {limits.shape}, expected one number or one for each of "
            f"{array.shape[-1]} species."
        )
    if not np.all(limits > 0):
        raise RuleError(f"The threshold is {np.min(limits):g}, expected a probability above 0.")
    return array >= limits.astype(array.dtype)


def top_k(probability: ArrayLike, k: ArrayLike, ties: Ties = "include") -> Booleans:
    """The k most probable species of each cell.

    Args:
        probability: (…, n_species) in 0…1; NaN and 0 are never present, so a set may hold fewer than k.
        k: number of species, one for all cells or (…) one per cell.
        ties: "include" takes every species tied with the k-th, "first" exactly k, lower index first.

    Returns:
        (…, n_species) booleans.

    Raises:
        RuleError: probabilities outside 0…1, k negative or not whole, k for other cells, or unknown `ties`.
    """
    array = probabilities_last(probability)
    sizes = np.asarray(k)
    if sizes.dtype.kind not in "iuf" or np.any(sizes != np.rint(sizes)) or np.any(sizes < 0):
        raise RuleError(f"k is {k!r}, expected a whole number of species, 0 or more.")
    try:
        sizes = np.broadcast_to(sizes, array.shape[:-1]).astype(np.int64)
    except ValueError:
        raise RuleError(
            f"k has shape {sizes.shape}, expected one number or one for each cell {array.shape[:-1]}."
        ) from None
    return _best(array, sizes, ties)


def sse(probability: ArrayLike, ties: Ties = "include") -> Booleans:
    """Site-specific set: as many species as expected, k = round(Σ p), the most probable first.

    The "set size expectation" rule of arXiv 2602.11771; the same as the probability-ranking rule of SESAM
    (D'Amen et al. 2015, doi 10.1111/ele.12396; ecospat). Halves round to the even number, as in R and Python.

    Args:
        probability: (…, n_species) calibrated, in 0…1; NaN and 0 are never present.
        ties: as in `top_k`.

    Returns:
        (…, n_species) booleans.

    Raises:
        RuleError: probabilities outside 0…1, or unknown `ties`.
    """
    array = probabilities_last(probability)
    sizes = np.rint(np.nansum(array, axis=-1, dtype=np.float64)).astype(np.int64)
    return _best(array, np.asarray(sizes), ties)


def _best(array: NDArray[np.floating], sizes: NDArray[np.int64], ties: Ties) -> Booleans:
    if ties not in ("include", "first"):
        raise RuleError(f'ties is "{ties}", expected "include" or "first".')
    n_species = array.shape[-1]
    rows = array.reshape(-1, n_species) if array.size else array.reshape(0, n_species)
    wanted = np.minimum(sizes.reshape(-1), n_species)
    out = np.zeros(rows.shape, dtype=bool)
    step = max(1, _CHUNK_VALUES // max(1, n_species))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        values = np.nan_to_num(rows[part], nan=0.0)
        k = wanted[part]
        if ties == "include":
            ordered = np.sort(values, axis=-1)
            place = np.clip(n_species - k, 0, n_species - 1)
            cut = np.take_along_axis(ordered, place[:, None], axis=-1)
            out[part] = (values >= cut) & (k > 0)[:, None]
        else:
            rank = np.empty(values.shape, dtype=np.int64)
            order = np.argsort(-values, axis=-1, kind="stable")
            np.put_along_axis(rank, order, np.arange(n_species)[None, :], axis=-1)
            out[part] = rank < k[:, None]
        out[part] &= values > 0
    return out.reshape(array.shape)


def average_k_threshold(probability: ArrayLike, k: float) -> float:
    """The one threshold λ at which a cell holds k species on average: the (n_cells·k)-th highest value.

    Cells of NaN only do not count as cells. Where fewer than n_cells·k values are above 0 it is the smallest
    of those; where none is, or k is 0, it is infinite (no species anywhere).

    Args:
        probability: (…, n_species) in 0…1, of all cells the mean is to be taken over.
        k: mean number of species per cell, 0 or more, not necessarily whole.

    Raises:
        RuleError: probabilities outside 0…1, or k negative or NaN.
    """
    array = probabilities_last(probability)
    if not (k >= 0 and np.isfinite(k)):
        raise RuleError(f"k is {k}, expected a mean number of species per cell, 0 or more.")
    n_cells = int(np.count_nonzero(~np.all(np.isnan(array), axis=-1)))
    values = array[array > 0]
    n_wanted = min(int(np.rint(n_cells * k)), values.size)
    if n_wanted == 0:
        return float("inf")
    return float(np.partition(values, values.size - n_wanted)[values.size - n_wanted])


def average_k(probability: ArrayLike, k: float) -> Booleans:
    """Species at or above the one threshold that gives k species per cell on average.

    Set sizes adapt to the cell, the mean is fixed (average-K classification, Garcin et al., "A two-head
    loss function for deep Average-K classification": the decision rule, not the loss). Depends on all
    cells given: use `average_k_threshold` with `threshold` to carry λ elsewhere.

    Args:
        probability: (…, n_species) in 0…1; NaN and 0 are never present.
        k: mean number of species per cell, 0 or more.

    Returns:
        (…, n_species) booleans; ties at λ are all in, so the mean is k or a little more.

    Raises:
        RuleError: probabilities outside 0…1, or k negative or NaN.
    """
    array = probabilities_last(probability)
    return array >= np.asarray(average_k_threshold(array, k)).astype(array.dtype)
