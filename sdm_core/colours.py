"""Colours of values: one ramp per quantity for pages, tiles and reports, and the ends of its scale."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

#: The same ramp for the same quantity everywhere; all are perceptually even and colour-blind safe.
RAMPS: Mapping[str, str] = {
    "species": "viridis",
    "probability": "viridis",
    "richness": "viridis",
    "sse_richness": "viridis",
    "shannon": "cividis",
    "simpson": "cividis",
    "records": "cividis",
    "information": "plasma",
    "threatened_share": "inferno",
    "invasive_share": "inferno",
}
#: Layers drawn from 0 to a round end, at this quantile: what lies far beyond takes the colour of the end.
_FROM_ZERO: Mapping[str, float] = {
    "effort": 0.98,
    "information": 1.0,
    "dissimilarity": 0.98,
    "endemic": 1.0,
    "weighted_endemism": 0.98,
    "invasive_share": 0.98,
    "threatened_share": 1.0,
}
#: Ramp of a quantity that has none of its own.
OTHER_RAMP = "cividis"
#: Ramps a reader may ask for instead.
RAMP_CHOICES: tuple[str, ...] = ("viridis", "cividis", "magma", "inferno", "plasma")


@dataclass(frozen=True)
class Scale:
    """How values become colours: the ends of the ramp, and the value below which a cell is pale."""

    layer: str
    low: float
    high: float
    cutoff: float


def ramp_of(quantity: str) -> str:
    """Name of the ramp of a quantity."""
    return RAMPS.get(quantity, OTHER_RAMP)


@lru_cache(maxsize=16)
def ramp_colours(ramp: str, n_colours: int = 256) -> NDArray[np.uint8]:
    """RGB colours of a ramp from low to high, uint8 (n_colours, 3)."""
    from matplotlib import colormaps

    colours = (colormaps[ramp](np.linspace(0, 1, n_colours))[:, :3] * 255).round().astype(np.uint8)
    colours.setflags(write=False)
    return colours


def nice_ceiling(value: float) -> float:
    """The next of 1, 1.5, 2, 3, 4, 5, 7.5 × 10ⁿ at or above a positive value."""
    if not math.isfinite(value) or value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 1.5, 2, 3, 4, 5, 7.5, 10) if step * power >= value * (1 - 1e-9))


def scale_for(layer: str, values: NDArray[np.floating], cutoff: float, full_range: bool) -> Scale:
    """Ends of the ramp for these values: rounded outwards, so that the legend reads easily."""
    finite = values[np.isfinite(values)]
    top = float(finite.max()) if finite.size else 1.0
    if layer == "species":
        return Scale(layer, 0.0, 1.0 if full_range else min(1.0, nice_ceiling(top)), cutoff)
    if layer in ("richness", "sse_richness"):
        return Scale(layer, 0.0, nice_ceiling(top), cutoff)
    if layer in _FROM_ZERO:
        end = float(np.quantile(finite, _FROM_ZERO[layer])) if finite.size else 1.0
        return Scale(layer, 0.0, nice_ceiling(end), cutoff)
    low, high = (float(np.quantile(finite, q)) for q in (0.01, 1.0)) if finite.size else (0.0, 1.0)
    step = 0.1 if layer == "shannon" else 0.005
    return Scale(layer, math.floor(low / step) * step, math.ceil(high / step) * step, cutoff)
