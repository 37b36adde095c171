"""Figures of section 11: how unlike the others each cell is, which stand out, and the hotspots."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdm_core import regions
from sdm_core.indicators import Structure
from sdm_core.indicators.structure import HOTSPOT_SHARE
from sdm_core.reports import figures, text
from sdm_core.reports.drawn_cells import cells_to_draw
from sdm_core.reports.panels import Panel, panel_maps

#: Hexagons of one small map at most; above it they are means of coarser cells.
MAX_PANEL_CELLS = 4_000
_HOTSPOTS = f"hotspots: highest values, up to {100 * HOTSPOT_SHARE:.0f} % of the area"
_PARTS = {
    "beta_sorensen": "Dissimilarity",
    "beta_turnover": "of it turnover",
    "beta_nestedness": "of it nestedness",
}


def structure_figures(
    store: Any,
    region: regions.Region,
    rows: NDArray[np.int64],
    found: Structure,
    base: figures.Basemap,
    credit: str,
    kind: figures.ImageKind,
) -> dict[str, figures.DrawnFigure | None]:
    """`dissimilarity` and `hotspots`; None where the region has no such values."""
    return {
        "dissimilarity": _dissimilarity(store, region, rows, found, base, credit, kind),
        "hotspots": _hotspots(store, region, rows, found, base, credit, kind),
    }


def _dissimilarity(
    store: Any,
    region: regions.Region,
    rows: NDArray[np.int64],
    found: Structure,
    base: figures.Basemap,
    credit: str,
    kind: figures.ImageKind,
) -> figures.DrawnFigure | None:
    if "beta_sorensen" not in found.layers:
        return None
    drawn = [_panel(store, rows, title, found.layers[name]) for name, title in _PARTS.items()]
    image = panel_maps(
        [panel for panel, _ in drawn],
        region.geometry,
        base,
        label="mean Sørensen dissimilarity from other cells (0 to 1)",
        ramp="viridis",
        credit=credit,
        image=kind,
    )
    total = found.layers["beta_sorensen"]
    span = f"from {text.decimal(np.nanmin(total))} to {text.decimal(np.nanmax(total))}"
    return figures.DrawnFigure(
        "dissimilarity",
        image,
        alt=f"Three maps of {region.name}: mean Sørensen dissimilarity of each cell from others ({span}), "
        "its part by turnover and its part by nestedness.",
        caption="How unlike the others each cell is: mean pairwise Sørensen dissimilarity of the sets (a), "
        f"{span}, its part by turnover (b) and by nestedness (c), in one scale; b and c add up to a."
        f"{_coarser(store, drawn[0][1])}",
        width_mm=figures.FULL_WIDTH_MM,
    )


def _hotspots(
    store: Any,
    region: regions.Region,
    rows: NDArray[np.int64],
    found: Structure,
    base: figures.Basemap,
    credit: str,
    kind: figures.ImageKind,
) -> figures.DrawnFigure | None:
    marked = {
        name: title
        for name, title in (
            ("richness_hotspot", "Hotspots of richness"),
            ("threat_hotspot", "Hotspots of threat"),
        )
        if name in found.layers and found.layers[name].any()
    }
    panels, resolution = [], store.resolution
    if "lcbd_relative" in found.layers:
        panel, resolution = _panel(store, rows, "Distinctiveness (LCBD)", found.layers["lcbd_relative"])
        panels.append(panel)
    polygons = regions.cell_polygons(np.asarray(store.cells)[rows])
    panels += [Panel(title, polygons, found.layers[name]) for name, title in marked.items()]
    if not panels:
        return None
    image = panel_maps(
        panels,
        region.geometry,
        base,
        label="share in beta diversity, as a multiple of the mean cell’s",
        ramp="plasma",
        credit=credit,
        marked_label=_HOTSPOTS if marked else "",
        unmarked_label="the other cells",
        image=kind,
    )
    said = {
        "Distinctiveness (LCBD)": "how much each cell adds to the beta diversity of the region",
        "Hotspots of richness": "the cells with the most expected species",
        "Hotspots of threat": "those with the highest threatened share",
    }
    parts = [f"{said[panel.title]} ({chr(ord('a') + place)})" for place, panel in enumerate(panels)]
    return figures.DrawnFigure(
        "hotspots",
        image,
        alt=f"Maps of {region.name}: {', '.join(panel.title for panel in panels)}.",
        caption=f"Cells that stand out: {text.listed(parts)}.{_coarser(store, resolution)}",
        width_mm=figures.FULL_WIDTH_MM,
    )


def _panel(store: Any, rows: NDArray[np.int64], title: str, values: NDArray[Any]) -> tuple[Panel, int]:
    """A map of the values (n_rows,), and the resolution of its cells."""
    everywhere = np.full(store.n_cells, np.nan)
    everywhere[rows] = values
    cells, shown, resolution = cells_to_draw(store, rows, everywhere, MAX_PANEL_CELLS)
    return Panel(title, regions.cell_polygons(cells), np.asarray(shown, dtype=np.float64)), resolution


def _coarser(store: Any, resolution: int) -> str:
    if resolution == store.resolution:
        return ""
    return f" Numbers are drawn as area-weighted means of coarser cells (H3 resolution {resolution})."
