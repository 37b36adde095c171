"""Colours: ramps of quantities (from `sdm_core.colours`) and inks of base map, mask and records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from sdm_core.colours import Categories, ramp_colours, ramp_of


@dataclass(frozen=True)
class Inks:
    """Colours of everything that is not a prediction, as RGBA for deck.gl and as CSS."""

    sea: str
    land: tuple[int, int, int, int]
    border: tuple[int, int, int, int]
    faint: tuple[int, int, int, int]
    zero: tuple[int, int, int, int]
    observed: tuple[int, int, int, int]
    observed_rim: tuple[int, int, int, int]
    outline: tuple[int, int, int, int]
    label: tuple[int, int, int, int]
    covered: tuple[int, int, int, int]
    outside: tuple[int, int, int, int]


LIGHT = Inks(
    sea="#e9f0f2",
    land=(250, 249, 245, 255),
    border=(70, 82, 86, 120),
    faint=(222, 226, 221, 255),
    zero=(236, 237, 233, 255),
    observed=(214, 51, 108, 70),
    observed_rim=(176, 22, 78, 235),
    outline=(194, 37, 92, 255),
    label=(60, 72, 76, 255),
    covered=(196, 220, 204, 255),
    outside=(190, 190, 186, 255),
)
DARK = Inks(
    sea="#0d1417",
    land=(38, 46, 48, 255),
    border=(214, 224, 224, 90),
    faint=(62, 71, 72, 255),
    zero=(50, 59, 60, 255),
    observed=(255, 122, 168, 70),
    observed_rim=(255, 146, 184, 235),
    outline=(255, 120, 165, 255),
    label=(205, 214, 214, 255),
    covered=(38, 70, 58, 255),
    outside=(98, 104, 104, 255),
)


def is_dark() -> bool:
    """Whether the reader's theme is dark."""
    theme = st.context.theme
    return bool(theme and theme.type == "dark")


def inks() -> Inks:
    """The inks of the reader's theme."""
    return DARK if is_dark() else LIGHT


def ramp(layer: str) -> NDArray[np.uint8]:
    """256 RGB colours of a layer's ramp, uint8 (256, 3)."""
    return ramp_colours(ramp_of(layer))


def colours(
    layer: str,
    values: NDArray[np.floating],
    low: float,
    high: float,
    cutoff: float,
    ink: Inks,
    outside: NDArray[np.bool_] | None = None,
    categories: Categories | None = None,
) -> NDArray[np.uint8]:
    """RGB of each value between `low` and `high`, or of its category, uint8 (n, 3).

    NaN is grey, values below `cutoff` are faint, and zero below a cut-off has an ink of its own. What lies
    `outside` the model's experience is three quarters grey, as much as the stripes of the tiles cover.
    """
    if categories is not None:
        places = categories.places_of(values)
        found = np.array([*categories.colours, ink.outside[:3]], dtype=np.uint8)[places]
    else:
        span = high - low if high > low else 1.0
        scaled = np.nan_to_num((values - low) / span)
        found = ramp(layer)[np.clip((scaled * 255).round(), 0, 255).astype(np.uint8)]
        found[~np.isfinite(values)] = ink.outside[:3]
        if cutoff > 0:
            found[values < cutoff] = ink.faint[:3]
            found[values == 0] = ink.zero[:3]
    if outside is not None:
        grey = np.array(ink.outside[:3], dtype=np.float64)
        found[outside] = (0.25 * found[outside] + 0.75 * grey).round().astype(np.uint8)
    return found


def css(colour: tuple[int, int, int, int]) -> str:
    """A colour for a style sheet."""
    red, green, blue, alpha = colour
    return f"rgba({red},{green},{blue},{alpha / 255:.2f})"


def css_ramp(layer: str) -> str:
    """A CSS gradient of the layer's ramp, low to high."""
    stops = ramp(layer)[np.linspace(0, 255, 9).astype(int)]
    return "linear-gradient(to right," + ",".join(f"rgb({r},{g},{b})" for r, g, b in stops) + ")"
