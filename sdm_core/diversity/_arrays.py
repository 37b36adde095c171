"""Checks and chunking shared by the indices: what is refused, and how 100,000 cells fit in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core.errors import RuleError

#: Values worked on at once, so that a chunk in double precision stays within the processor's cache.
CHUNK_VALUES = 1 << 18

Floats = NDArray[np.float64]


def species_last(values: ArrayLike, name: str) -> NDArray[np.generic]:
    """The values as a numeric array with at least the species axis.

    Raises:
        RuleError: the values are not numbers, or a single number.
    """
    array = np.asarray(values)
    if array.ndim == 0:
        raise RuleError(f"{name} is a single number ({array}), expected an array whose last axis is species.")
    if array.dtype.kind not in "biuf":
        raise RuleError(f"{name} has type {array.dtype}, expected numbers or booleans per species.")
    return array


def row_chunks(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Slices over rows that hold about `CHUNK_VALUES` values each."""
    step = max(1, CHUNK_VALUES // max(1, n_columns))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def checked_weights(chunk: NDArray[np.generic], name: str) -> Floats:
    """The chunk in double precision, after checking that it holds finite values of zero or more.

    Raises:
        RuleError: negative, NaN or infinite values.
    """
    weights = chunk.astype(np.float64)
    if weights.size == 0:
        return weights
    lowest = weights.min()
    if not lowest >= 0:
        found = "NaN" if np.isnan(lowest) else f"the value {lowest:g}"
        raise RuleError(
            f"{name} holds {found}, expected finite values of zero or more for every species; leave out the "
            "cells without a prediction first."
        )
    if not np.isfinite(weights.max()):
        raise RuleError(f"{name} holds an infinite value, expected finite values of zero or more.")
    return weights


def checked_probabilities(chunk: NDArray[np.generic], name: str) -> Floats:
    """As `checked_weights`, and none above 1.

    Raises:
        RuleError: values outside 0…1 or NaN.
    """
    probability = checked_weights(chunk, name)
    if probability.size and probability.max() > 1:
        raise RuleError(f"{name} holds the value {probability.max():g}, expected probabilities from 0 to 1.")
    return probability


def presences(values: ArrayLike, name: str) -> NDArray[np.bool_]:
    """Species sets as booleans; numbers are accepted when they are 0 and 1 only.

    Raises:
        RuleError: anything but 0 and 1, NaN included.
    """
    array = species_last(values, name)
    if array.dtype.kind == "b":
        return array.astype(np.bool_, copy=False)
    is_one = array == 1
    if not np.all(is_one | (array == 0)):
        odd = array[~(is_one | (array == 0))].flat[0]
        raise RuleError(
            f"{name} holds the value {odd}, expected species sets of 0 and 1; turn probabilities into sets "
            "with a rule of sdm_core.assemblages first."
        )
    return is_one


def per_row(
    values: ArrayLike,
    index: Callable[[Floats], NDArray[np.generic]],
    name: str,
    *,
    probabilities: bool = False,
) -> Floats:
    """Apply `index` (rows, species → rows) over the last axis, chunk by chunk, in double precision."""
    array = species_last(values, name)
    check = checked_probabilities if probabilities else checked_weights
    rows = array.reshape(int(np.prod(array.shape[:-1], dtype=np.int64)), array.shape[-1])
    out = np.empty(len(rows), dtype=np.float64)
    for part in row_chunks(*rows.shape):
        out[part] = index(check(rows[part], name))
    return out.reshape(array.shape[:-1])[()]


def relative(weights: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Weights divided in place by their sum, and which rows are empty (those are left at zero)."""
    if weights.shape[-1] == 0:
        return weights, np.ones(weights.shape[:-1], dtype=bool)
    highest = weights.max(axis=-1, keepdims=True)
    empty = highest[..., 0] == 0
    np.divide(weights, highest, out=weights, where=highest > 0)  # no overflow in the sum below
    total = weights.sum(axis=-1, keepdims=True)
    np.divide(weights, total, out=weights, where=total > 0)
    return weights, empty


def region_weights(weights: ArrayLike | None, n_cells: int) -> Floats:
    """Cell weights (areas) that sum to 1; equal ones when none are given.

    Raises:
        RuleError: the wrong number of weights, a negative or NaN one, or all zero.
    """
    if n_cells == 0:
        raise RuleError("The region holds no cell, expected at least one row of species.")
    if weights is None:
        return np.full(n_cells, 1.0 / n_cells)
    array = np.asarray(weights, dtype=np.float64)
    if array.shape != (n_cells,):
        raise RuleError(f"Cell weights have shape {array.shape}, expected one area per cell ({n_cells}).")
    if not np.all(np.isfinite(array)) or array.min() < 0 or array.sum() <= 0:
        raise RuleError("Cell weights hold negative, missing or only zero areas, expected areas above zero.")
    return array / array.sum()


def region_table(values: ArrayLike, name: str) -> NDArray[np.generic]:
    """The values as a cells × species table.

    Raises:
        RuleError: not two axes, or no cell.
    """
    array = species_last(values, name)
    if array.ndim != 2:
        raise RuleError(f"{name} has {array.ndim} axes, expected two: cells × species.")
    if array.shape[0] == 0:
        raise RuleError(f"{name} holds no cell, expected at least one row of species.")
    return array
