"""Charts of a report: bars, the curve of reliability, a histogram; drawn as `figures` draws maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from sdm_core.reports import cartography as carto
from sdm_core.reports.figures import FULL_WIDTH_MM, HALF_WIDTH_MM, ImageKind, add_credit, saved


def species_bars(
    names: Sequence[str],
    values: np.ndarray,
    *,
    label: str,
    credit: str,
    width_mm: float = FULL_WIDTH_MM,
    image: ImageKind = "png",
) -> bytes:
    """Horizontal bars of the species with the highest values, first at the top, names in italics."""
    with carto.drawing():
        height_mm = 21.0 + 4.6 * max(len(names), 1)
        figure = carto.new_figure(width_mm, height_mm)
        axes = figure.add_axes(
            (50.0 / width_mm, 15.5 / height_mm, 1.0 - 62.0 / width_mm, 1.0 - 17.0 / height_mm)
        )
        places = np.arange(len(names))
        colours = matplotlib.colormaps[carto.RAMPS["probability"]](np.clip(values, 0.0, 1.0))
        axes.barh(places, values, height=0.66, color=colours, edgecolor="#3a3f42", linewidth=0.3)
        for place, value in enumerate(values):
            axes.text(value + 0.008, place, f"{value:.2f}", va="center", fontsize=6.8)
        axes.set_yticks(places, list(names), fontstyle="italic")
        axes.tick_params(axis="y", length=0, colors=carto.TEXT_COLOUR)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlim(0.0, 1.0)
        axes.set_xlabel(label)
        axes.grid(axis="x", color="#e3e6e8", linewidth=0.5)
        axes.set_axisbelow(True)
        _bare(axes)
        add_credit(figure, credit)
        return saved(figure, image)


def calibration_plot(
    predicted: np.ndarray,
    observed: np.ndarray,
    counts: np.ndarray | None,
    *,
    credit: str,
    width_mm: float = HALF_WIDTH_MM,
    image: ImageKind = "png",
) -> bytes:
    """Share of held-out places where the species was recorded against the probability predicted there.

    `predicted`, `observed` one value in [0, 1] per bin; `counts` predictions per bin, or None.
    """
    with carto.drawing():
        height_mm = 78.0
        figure = carto.new_figure(width_mm, height_mm)
        axes = figure.add_axes(
            (11.0 / width_mm, 15.0 / height_mm, 1.0 - 14.0 / width_mm, 1.0 - 18.0 / height_mm)
        )
        axes.plot([0, 1], [0, 1], color=carto.MUTED_COLOUR, linewidth=0.8, linestyle="--", zorder=2)
        axes.text(0.60, 0.645, "perfect", color=carto.MUTED_COLOUR, fontsize=6.5, rotation=39, ha="center")
        axes.plot(predicted, observed, color=carto.ACCENT_COLOUR, linewidth=1.2, zorder=3)
        sizes: Any = 16.0
        if counts is not None:
            share = np.log10(np.maximum(np.asarray(counts, dtype=float), 1.0))
            sizes = 8.0 + 34.0 * share / max(float(share.max()), 1e-9)
        axes.scatter(
            predicted,
            observed,
            s=sizes,
            color=carto.ACCENT_COLOUR,
            edgecolor="white",
            linewidth=0.5,
            zorder=4,
        )
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_xlabel("predicted probability")
        axes.set_ylabel("share recorded on held-out blocks")
        axes.grid(color="#e3e6e8", linewidth=0.5)
        _bare(axes)
        add_credit(figure, credit)
        return saved(figure, image)


def value_histogram(
    values: np.ndarray,
    *,
    label: str,
    mean: float | None,
    credit: str,
    width_mm: float = HALF_WIDTH_MM,
    image: ImageKind = "png",
) -> bytes:
    """How one value is spread over the cells of a region; `mean` is marked where it is given."""
    with carto.drawing():
        height_mm = 64.0
        figure = carto.new_figure(width_mm, height_mm)
        axes = figure.add_axes(
            (14.5 / width_mm, 15.0 / height_mm, 1.0 - 17.5 / width_mm, 1.0 - 18.0 / height_mm)
        )
        known = np.asarray(values, dtype=float)
        known = known[np.isfinite(known)]
        bins = int(np.clip(np.sqrt(len(known)) * 1.5, 5, 40))
        axes.hist(known, bins=bins, color="#5a8f7b", edgecolor="white", linewidth=0.4)
        if mean is not None:
            axes.axvline(mean, color=carto.OUTLINE_COLOUR, linewidth=1.0)
            axes.annotate(
                f"mean {mean:.1f}",
                (mean, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(3, -2),
                textcoords="offset points",
                va="top",
                fontsize=6.8,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.0},
                zorder=6,
            )
        axes.set_xlabel(label)
        axes.set_ylabel("cells")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y", color="#e3e6e8", linewidth=0.5)
        axes.set_axisbelow(True)
        _bare(axes)
        add_credit(figure, credit)
        return saved(figure, image)


def _bare(axes: Axes) -> None:
    """Chart axes without the frame's upper and right sides."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
