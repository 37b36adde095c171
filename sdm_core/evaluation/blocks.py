"""Spatial blocks: held-out squares, so that a test site never has its neighbour in the training set."""

from __future__ import annotations

from typing import Literal

import numpy as np

from sdm_core.errors import ConfigurationError

FoldAssignment = Literal["random", "balanced"]


def block_of(lonlat: np.ndarray, block_deg: float) -> np.ndarray:
    """Column and row of the square block each site lies in, (n_sites, 2) int64: floor(degrees / block)."""
    if not block_deg > 0:
        raise ConfigurationError(
            f"block_deg = {block_deg}; expected the side of a block in degrees, above 0."
        )
    return np.floor(np.asarray(lonlat, dtype=np.float64) / block_deg).astype(np.int64)


def block_folds(
    lonlat: np.ndarray,
    block_deg: float,
    n_folds: int = 5,
    seed: int = 0,
    assignment: FoldAssignment = "random",
) -> np.ndarray:
    """Fold of each site, (n_sites,) int64 from 0 to n_folds - 1; the sites of a block share theirs.

    `random` deals shuffled blocks out in turn, as many blocks to each fold; `balanced` gives each block,
    the largest first, to the fold with the fewest sites so far.
    Raises `ConfigurationError` where there are fewer blocks than folds.
    """
    blocks, index, sizes = np.unique(
        block_of(lonlat, block_deg), axis=0, return_inverse=True, return_counts=True
    )
    index = index.ravel()
    if n_folds < 2 or len(blocks) < n_folds:
        raise ConfigurationError(
            f"{len(blocks)} blocks of {block_deg:g}° cannot make {n_folds} folds; use smaller blocks."
        )
    rng = np.random.default_rng(seed)
    if assignment == "random":
        return rng.permutation(len(blocks))[index] % n_folds
    if assignment != "balanced":
        raise ConfigurationError(f"assignment = {assignment!r}; expected random or balanced.")
    shuffled = rng.permutation(len(blocks))
    order = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    fold_of_block = np.empty(len(blocks), dtype=np.int64)
    filled = np.zeros(n_folds, dtype=np.int64)
    for block in order:
        fold = int(np.argmin(filled))
        fold_of_block[block] = fold
        filled[fold] += sizes[block]
    return fold_of_block[index]
