"""Codes as differences from what neighbouring cells foretell, the form in which an atlas ships.

Maps of probabilities are smooth, so most codes follow from those around them. Cells are taken from coarse to
fine: first the centres of the coarsest H3 parents, then level by level, digit by digit, the cells between
them, each foretold from its `N_NEIGHBOURS` nearest cells already known by fixed weights (least squares over
the atlas, in whole 4096ths). What is stored is code − foretold code, modulo 256: lossless, exact in
integers, and about half the size of plain differences along the H3 order after zstd.

The idea is the lifting scheme (Sweldens 1996, Appl. Comput. Harmon. Anal. 3:186–200) on the aperture-7
hierarchy of H3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdm_core.prediction.derive import row_chunks

#: Known cells a code is foretold from.
N_NEIGHBOURS = 12
#: Weights are whole multiples of 1 / this; sums stay below 2^24, so float32 holds them exactly.
WEIGHT_SCALE = 4096
_LEVELS = 3
_SAMPLE_CELLS = 1000
_SAMPLE_SPECIES = 200
#: Relative gaps of squared distances tried as the largest of a tie (H3 is symmetric about its faces, so ties
#: are real); the first that no gap comes near is taken, so that no machine's rounding decides an order.
TIES = (1e-9, 3e-10, 3e-9, 1e-8, 3e-8, 1e-7, 3e-7)
_TIE_MARGIN = 2.0
_CANDIDATES = N_NEIGHBOURS + 2


@dataclass(frozen=True)
class Step:
    """Cells foretold together: their rows and, nearest first, the known rows they are foretold from."""

    rows: NDArray[np.int64]
    neighbours: NDArray[np.int64]


class TiedNeighboursError(ValueError):
    """Two neighbours lie so equally near that another machine might order them the other way round."""


def choose_steps(
    cells: NDArray[np.uint64], lonlat: NDArray[np.float64], resolution: int
) -> tuple[list[Step], float]:
    """Steps, and the tie that makes them the same on every machine; raises `TiedNeighboursError`."""
    for tie in TIES:
        try:
            return steps(cells, lonlat, resolution, tie, check=True), tie
        except TiedNeighboursError:
            continue
    raise TiedNeighboursError("no tie keeps all neighbours in a certain order")


def steps(
    cells: NDArray[np.uint64],
    lonlat: NDArray[np.float64],
    resolution: int,
    tie: float,
    check: bool = False,
) -> list[Step]:
    """The order in which codes are foretold; the first step has no neighbours and is stored as it is.

    tie: relative gap of squared distances up to which neighbours are equally near and ordered by row.
    Raises `TiedNeighboursError` where asked to check and a gap is close to the tie.
    """
    from scipy.spatial import cKDTree

    longitude, latitude = np.radians(lonlat).T
    points = np.column_stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)]
    )
    found: list[Step] = []
    known = np.zeros(len(cells), dtype=bool)
    for rows in _groups(cells, resolution):
        n_known = np.count_nonzero(known)
        if n_known <= N_NEIGHBOURS:
            found.append(Step(rows, np.zeros((len(rows), 0), dtype=np.int64)))
        else:
            candidates = np.flatnonzero(known)
            n_nearest = min(_CANDIDATES, n_known)
            distance, nearest = cKDTree(points[candidates]).query(points[rows], n_nearest, workers=-1)
            found.append(Step(rows, _nearest_first(distance**2, candidates[nearest], tie, check)))
        known[rows] = True
    return found


def _nearest_first(
    square: NDArray[np.float64], neighbours: NDArray[np.int64], tie: float, check: bool
) -> NDArray[np.int64]:
    """The `N_NEIGHBOURS` nearest, equally near ones by row; `square` is ascending along the last axis."""
    gap = np.diff(square, axis=1) / square[:, 1:]
    if check and ((gap > tie / _TIE_MARGIN) & (gap < tie * _TIE_MARGIN)).any():
        raise TiedNeighboursError("two neighbours are almost, but not quite, equally near")
    rank = np.zeros(neighbours.shape, dtype=np.int64)
    np.cumsum(gap > tie, axis=1, out=rank[:, 1:])
    order = np.argsort(rank * (neighbours.max() + 1) + neighbours, axis=1)
    return np.take_along_axis(neighbours, order[:, :N_NEIGHBOURS], axis=1)


def _groups(cells: NDArray[np.uint64], resolution: int) -> Iterator[NDArray[np.int64]]:
    """Rows from coarse to fine: centres of the coarsest parents, then digits 1 to 6 of each level."""
    levels = range(max(1, resolution - _LEVELS + 1), resolution + 1)
    digits = {level: cells >> np.uint64(3 * (15 - level)) & np.uint64(7) for level in levels}
    centre_below = np.ones(len(cells), dtype=bool)
    is_centre = {}
    for level in reversed(levels):
        is_centre[level] = centre_below.copy()
        centre_below &= digits[level] == 0
    yield np.flatnonzero(centre_below)
    for level in levels:
        for digit in range(1, 7):
            rows = np.flatnonzero(is_centre[level] & (digits[level] == digit))
            if len(rows):
                yield rows


def fit_weights(codes: NDArray[np.uint8], plan: list[Step], seed: int = 0) -> list[list[int]]:
    """Weights of each step in whole `WEIGHT_SCALE`ths: least squares over a sample of cells and species."""
    generator = np.random.default_rng(seed)
    n_species = codes.shape[1]
    species = np.sort(generator.choice(n_species, min(n_species, _SAMPLE_SPECIES), replace=False))
    weights: list[list[int]] = []
    for step in plan:
        if not step.neighbours.shape[1]:
            weights.append([])
            continue
        sample = generator.choice(len(step.rows), min(len(step.rows), _SAMPLE_CELLS), replace=False)
        known = codes[step.neighbours[sample]][:, :, species].astype(np.float64)
        matrix = known.transpose(0, 2, 1).reshape(-1, N_NEIGHBOURS)
        target = codes[step.rows[sample]][:, species].astype(np.float64).ravel()
        gram = matrix.T @ matrix + np.eye(N_NEIGHBOURS)
        solution = np.linalg.solve(gram, matrix.T @ target + 1.0 / N_NEIGHBOURS)
        limited = np.clip(np.rint(solution * WEIGHT_SCALE), -WEIGHT_SCALE, WEIGHT_SCALE)
        weights.append([int(weight) for weight in limited])
    return weights


def forward(codes: NDArray[np.uint8], plan: list[Step], weights: list[list[int]]) -> NDArray[np.uint8]:
    """Differences from the foretold codes (n_cells, n_species), rows in the order of the steps."""
    differences = np.empty_like(codes)
    start = 0
    for step, step_weights in zip(plan, weights, strict=True):
        for part in row_chunks(len(step.rows), codes.shape[1]):
            foretold = _foretell(codes, step.neighbours[part], step_weights)
            target = slice(start + part.start, start + part.stop)
            differences[target] = codes[step.rows[part]] - foretold
        start += len(step.rows)
    return differences


def inverse(differences: NDArray[np.uint8], plan: list[Step], weights: list[list[int]]) -> NDArray[np.uint8]:
    """Codes (n_cells, n_species) in H3 order, from differences in the order of the steps."""
    codes = np.empty_like(differences)
    start = 0
    for step, step_weights in zip(plan, weights, strict=True):
        for part in row_chunks(len(step.rows), codes.shape[1]):
            foretold = _foretell(codes, step.neighbours[part], step_weights)
            codes[step.rows[part]] = differences[start + part.start : start + part.stop] + foretold
        start += len(step.rows)
    return codes


def _foretell(
    codes: NDArray[np.uint8], neighbours: NDArray[np.int64], weights: list[int]
) -> NDArray[np.uint8]:
    """Weighted sums of known codes, rounded and kept within 0…255 (n, n_species); 0 without neighbours."""
    total = np.full((len(neighbours), codes.shape[1]), WEIGHT_SCALE / 2, dtype=np.float32)
    if not weights:
        return np.zeros(total.shape, dtype=np.uint8)
    for place, weight in enumerate(weights):
        total += codes[neighbours[:, place]] * np.float32(weight)
    total *= np.float32(1 / WEIGHT_SCALE)
    np.clip(total, 0, 255, out=total)
    return total.astype(np.uint8)
