"""Colours of values: one ramp per quantity for pages, tiles and reports, and the ends of its scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
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
    "threatened_share": "plasma",
    "unassessed_share": "plasma",
    "invasive_share": "plasma",
    "endemic": "viridis",
    "protected": "viridis",
    "invasive": "viridis",
    "spread": "magma_lifted",
    "mess": "RdYlBu",
}
#: Layers drawn from 0 to a round end, at this quantile: what lies far beyond takes the colour of the end.
_FROM_ZERO: Mapping[str, float] = {
    "effort": 0.98,
    "information": 1.0,
    "dissimilarity": 0.98,
    "spread": 0.98,
    "endemic": 1.0,
    "protected": 1.0,
    "invasive": 0.98,
    "weighted_endemism": 0.98,
    "invasive_share": 0.98,
    "threatened_share": 1.0,
    "unassessed_share": 1.0,
}
#: Ending of the name of a layer of shares, of which none is above 1.
_SHARE_SUFFIX = "_share"
#: Layers of which 0 is the middle of a ramp of two colours: quantile of the distance from 0 at its ends.
_AROUND_ZERO: Mapping[str, float] = {"mess": 0.98}
#: Ending of the name of a layer that says how wide the interval of another one is.
WIDTH_SUFFIX = "_width"
_WIDTH_RAMP, _WIDTH_QUANTILE = "magma_lifted", 0.98
#: Ramps that start at this share of the one they are named after, so that they are not black on a dark page.
_LIFTED, _LIFTED_FROM = "_lifted", 0.15
#: Ramp of a quantity that has none of its own.
OTHER_RAMP = "cividis"
#: Ramps a reader may ask for instead.
RAMP_CHOICES: tuple[str, ...] = ("viridis", "cividis", "magma", "inferno", "plasma")


@dataclass(frozen=True)
class Categories:
    """What whole numbers stand for, and their colours.

    names: of each number from 0. places: which colour each number has; several may share one. labels and
    colours (RGB): of each place.
    """

    names: tuple[str, ...]
    places: tuple[int, ...]
    labels: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]

    def places_of(self, values: NDArray[np.floating]) -> NDArray[np.int64]:
        """Place of each value, −1 where it is not known, int64, same shape."""
        table = np.array([*self.places, -1], dtype=np.int64)
        known = np.isfinite(values) & (values >= 0) & (values < len(self.places))
        return np.asarray(table[np.where(known, np.nan_to_num(values), len(self.places)).astype(np.int64)])

    def text(self, value: float) -> str:
        """What a value stands for; "–" if nothing."""
        place = int(self.places_of(np.array([value]))[0])
        return "–" if place < 0 else self.names[int(value)]

    def renamed(self, words: Callable[[str], str]) -> Categories:
        """The same with every name put into words."""
        return replace(self, names=tuple(words(name) for name in self.names))


@dataclass(frozen=True)
class Scale:
    """How values become colours: the ends of the ramp, and the value below which a cell is pale.

    categories: given where values stand for something and there is no ramp.
    """

    layer: str
    low: float
    high: float
    cutoff: float
    categories: Categories | None = None


def ramp_of(quantity: str) -> str:
    """Name of the ramp of a quantity."""
    return RAMPS.get(quantity, _WIDTH_RAMP if quantity.endswith(WIDTH_SUFFIX) else OTHER_RAMP)


def is_share(quantity: str) -> bool:
    """Whether a quantity is a share from 0 to 1, or how wide the interval of one is: written in percent."""
    return quantity.removesuffix(WIDTH_SUFFIX).endswith(_SHARE_SUFFIX)


def is_around_zero(quantity: str) -> bool:
    """Whether 0 lies in the middle of the ramp of a quantity."""
    return quantity in _AROUND_ZERO


def ends_early(quantity: str) -> bool:
    """Whether the scale of a quantity may end below its largest values, which take the colour of the end."""
    if quantity.endswith(WIDTH_SUFFIX):
        return True
    return _FROM_ZERO.get(quantity, 1.0) < 1.0 or quantity in _AROUND_ZERO


@lru_cache(maxsize=16)
def ramp_colours(ramp: str, n_colours: int = 256) -> NDArray[np.uint8]:
    """RGB colours of a ramp from low to high, uint8 (n_colours, 3)."""
    from matplotlib import colormaps

    start = _LIFTED_FROM if ramp.endswith(_LIFTED) else 0.0
    shares = np.linspace(start, 1, n_colours)
    colours = (colormaps[ramp.removesuffix(_LIFTED)](shares)[:, :3] * 255).round().astype(np.uint8)
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
    if layer in _AROUND_ZERO:
        end = float(np.quantile(np.abs(finite), _AROUND_ZERO[layer])) if finite.size else 1.0
        return Scale(layer, -nice_ceiling(end), nice_ceiling(end), cutoff)
    quantile = _WIDTH_QUANTILE if layer.endswith(WIDTH_SUFFIX) else _FROM_ZERO.get(layer)
    if quantile is not None:
        end = nice_ceiling(float(np.quantile(finite, quantile)) if finite.size else 1.0)
        return Scale(layer, 0.0, min(1.0, end) if is_share(layer) else end, cutoff)
    low, high = (float(np.quantile(finite, q)) for q in (0.01, 1.0)) if finite.size else (0.0, 1.0)
    step = 0.1 if layer == "shannon" else 0.005
    return Scale(layer, math.floor(low / step) * step, math.ceil(high / step) * step, cutoff)
