"""Small multiples: several maps of one region side by side, each with a letter, under one legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from sdm_core.reports import cartography as carto
from sdm_core.reports.figures import (
    FULL_WIDTH_MM,
    Basemap,
    ImageKind,
    add_credit,
    saved,
    share_of_height,
)

_GAP_MM, _EDGE_MM, _TITLE_MM = 2.5, 0.6, 5.0
#: Cells drawn one by one under those that are marked; above it the outline stands for them.
_MOST_DRAWN = 4_000
#: Width over height of one map.
_ASPECT = (0.8, 2.2)
HOTSPOT_COLOUR = "#b3261e"
CELLS_COLOUR = "#dfe7e2"


@dataclass(frozen=True)
class Panel:
    """One map: hexagons in longitude, latitude with a value each (n,), or booleans for those to be marked."""

    title: str
    polygons: np.ndarray
    values: np.ndarray


def panel_maps(
    panels: Sequence[Panel],
    outline: Any,
    basemap: Basemap,
    *,
    label: str,
    ramp: str,
    credit: str,
    marked_label: str = "",
    unmarked_label: str = "cells of the region",
    image: ImageKind = "png",
) -> bytes:
    """Maps of a region in one row, at the same scale.

    Those of numbers share one ramp from 0 to their highest value, named by `label` (quantity and
    unit); on those of booleans the true cells are marked, named by `marked_label`. `credit` is the line of
    sources at the foot.
    """
    with carto.drawing():
        corners = [shapely.box(*shapely.total_bounds(panel.polygons)) for panel in panels]
        frame = carto.frame_around(shapely.union_all([outline, *corners]), aspect_range=_ASPECT)
        n_columns = max(len(panels), 2)  # a single map is not blown up to the whole width
        map_width = (FULL_WIDTH_MM - 2 * _EDGE_MM - _GAP_MM * (n_columns - 1)) / n_columns
        map_height = map_width / frame.aspect
        foot = 17.5
        height = map_height + _TITLE_MM + foot + _EDGE_MM
        figure = carto.new_figure(FULL_WIDTH_MM, height)
        local = basemap.within(frame)
        numbers = [panel.values for panel in panels if panel.values.dtype != bool]
        norm = _from_zero(np.concatenate(numbers)) if numbers else None
        drawn = None
        for place, panel in enumerate(panels):
            left = _EDGE_MM + place * (map_width + _GAP_MM)
            axes = figure.add_axes(
                (left / FULL_WIDTH_MM, foot / height, map_width / FULL_WIDTH_MM, map_height / height)
            )
            carto.draw_frame(axes, frame, local.land, local.borders)
            if panel.values.dtype == bool:
                _draw_marked(axes, frame, panel, outline)
            else:
                drawn = carto.draw_cells(axes, frame, panel.polygons, panel.values, ramp=ramp, norm=norm)
            carto.draw_outline(axes, frame, outline, width=0.8)
            carto.draw_scale_bar(axes, frame)
            if place == 0:
                carto.draw_north_arrow(axes)
            figure.text(
                left / FULL_WIDTH_MM,
                1.0 - share_of_height(figure, _TITLE_MM - 1.4),
                f"{chr(ord('a') + place)}  {panel.title}",
                fontsize=7.5,
                fontweight="bold",
                va="bottom",
            )
        _legend(figure, drawn, label, marked_label, unmarked_label)
        add_credit(figure, credit)
        return saved(figure, image)


def _from_zero(values: np.ndarray) -> Normalize:
    known = values[np.isfinite(values)]
    highest = float(known.max()) if known.size else 0.0
    return Normalize(0.0, highest if highest > 0 else 1.0, clip=True)


def _draw_marked(axes: Axes, frame: carto.Frame, panel: Panel, outline: Any) -> None:
    if len(panel.polygons) <= _MOST_DRAWN:
        carto.draw_plain_cells(axes, frame, panel.polygons, colour=CELLS_COLOUR, order=3.5)
    else:
        carto.draw_polygons(axes, frame, outline, face=CELLS_COLOUR, edge="none", width=0.0, order=3.5)
    if panel.values.any():
        marked = panel.polygons[panel.values]
        carto.draw_plain_cells(axes, frame, marked, colour=HOTSPOT_COLOUR, order=4.0)


def _legend(figure: Figure, drawn: Any, label: str, marked_label: str, unmarked_label: str) -> None:
    """Colour bar at the left, swatches at the right."""
    left = 3.0 / FULL_WIDTH_MM
    if drawn is not None:
        bar = figure.add_axes((left, share_of_height(figure, 10.2), 0.42, share_of_height(figure, 2.4)))
        colours = figure.colorbar(drawn, cax=bar, orientation="horizontal")
        colours.outline.set_linewidth(0.4)
        bar.xaxis.set_major_locator(MaxNLocator(6))
        bar.tick_params(labelsize=6.5, length=2, pad=1.5)
        figure.text(left, share_of_height(figure, 13.3), label, fontsize=7.2, va="bottom")
    swatches = [Patch(facecolor=carto.LAND_COLOUR, edgecolor=carto.BORDER_COLOUR, label="no prediction")]
    if marked_label:
        swatches = [
            Patch(facecolor=HOTSPOT_COLOUR, edgecolor=HOTSPOT_COLOUR, label=marked_label),
            Patch(facecolor=CELLS_COLOUR, edgecolor=carto.BORDER_COLOUR, label=unmarked_label),
        ]
    figure.legend(
        handles=swatches,
        loc="lower right",
        bbox_to_anchor=(0.99, share_of_height(figure, 8.5)),
        frameon=False,
        fontsize=6.5,
        handlelength=1.4,
        borderaxespad=0.0,
        borderpad=0.1,
        labelspacing=0.4,
    )
