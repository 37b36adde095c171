"""What tiling needs of a model: something small that travels to other processes and loads a predictor."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sdm_core.prediction.tile_grid import Tile

#: Predictors kept by one process.
_KEPT = 2


class CellPredictor(Protocol):
    """A model with its covariates."""

    @property
    def species(self) -> tuple[str, ...]:
        """Names of the columns of the codes."""

    def tile(self, tile: int, resolution: int) -> Tile:
        """Cells of a tile that lie in the study area and have covariates, with their codes."""

    def check(self, inputs: Mapping[str, Any]) -> None:
        """Raise `StoreMismatchError` where a store's inputs are not those of this predictor."""

    def estimate(self, tiles: NDArray[np.uint64], resolution: int) -> NDArray[np.float64]:
        """About how many cells each tile holds, (n_tiles,), without predicting any."""


@runtime_checkable
class PredictorSpec(Protocol):
    """Which model; small, hashable, can be pickled."""

    def __hash__(self) -> int: ...

    def load(self) -> CellPredictor:
        """The predictor, ready to work; raises subclasses of `FlorascopeError`."""


@lru_cache(maxsize=_KEPT)
def predictor_of(spec: PredictorSpec) -> CellPredictor:
    """The predictor of a specification, loaded once per process."""
    return spec.load()
