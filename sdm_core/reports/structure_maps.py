"""Figures of section 11: how unlike the others each cell is, which stand out, and the hotspots."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True, eq=False)
class _Sheet:
    """What every map of a region is drawn from."""

    store: Any
    region: regions.Region
    rows: NDArray[np.int64]
    found: Structure
    base: figures.Basemap
    credit: str
    kind: figures.ImageKind

    def panel(self, title: str, layer: str) -> tuple[Panel, int]:
        """A map of a layer of the region's cells, and the resolution of the cells on it."""
        everywhere = np.full(self.store.n_cells, np.nan)
        everywhere[self.rows] = self.found.layers[layer]
        cells, shown, resolution = cells_to_draw(self.store, self.rows, everywhere, MAX_PANEL_CELLS)
        return Panel(title, regions.cell_polygons(cells), np.asarray(shown, dtype=np.float64)), resolution

    def coarser(self, resolution: int) -> str:
        """A sentence where cells on the map are coarser than those of the atlas."""
        if resolution == self.store.resolution:
            return ""
        return f" Numbers are drawn as area-weighted means of coarser cells (H3 resolution {resolution})."


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
    sheet = _Sheet(store, region, rows, found, base, credit, kind)
    return {
        "dissimilarity": _dissimilarity(sheet),
        "hotspots": _hotspots(sheet),
    }


def _dissimilarity(sheet: _Sheet) -> figures.DrawnFigure | None:
    if "beta_sorensen" not in sheet.found.layers:
        return None
    drawn = [sheet.panel(title, name) for name, title in _PARTS.items()]
    image = panel_maps(
        [panel for panel, _ in drawn],
        sheet.region.geometry,
        sheet.base,
        label="mean Sørensen dissimilarity from other cells (0 to 1)",
        ramp="viridis",
        credit=sheet.credit,
        image=sheet.kind,
    )
    total = sheet.found.layers["beta_sorensen"]
    span = f"from {text.decimal(np.nanmin(total))} to {text.decimal(np.nanmax(total))}"
    return figures.DrawnFigure(
        "dissimilarity",
        image,
        alt=f"Three maps of {sheet.region.name}: mean Sørensen dissimilarity of each cell from others "
        f"({span}), its part by turnover and its part by nestedness.",
        caption="How unlike the others each cell is: mean pairwise Sørensen dissimilarity of the sets (a), "
        f"{span}, its part by turnover (b) and by nestedness (c), in one scale; b and c add up to a."
        f"{sheet.coarser(drawn[0][1])}",
        width_mm=figures.FULL_WIDTH_MM,
    )


def _hotspots(sheet: _Sheet) -> figures.DrawnFigure | None:
    marked = {
        name: title
        for name, title in (
            ("richness_hotspot", "Hotspots of richness"),
            ("threat_hotspot", "Hotspots of threat"),
        )
        if name in sheet.found.layers and sheet.found.layers[name].any()
    }
    panels, resolution = [], sheet.store.resolution
    if "lcbd_relative" in sheet.found.layers:
        panel, resolution = sheet.panel("Distinctiveness (LCBD)", "lcbd_relative")
        panels.append(panel)
    polygons = regions.cell_polygons(np.asarray(sheet.store.cells)[sheet.rows])
    panels += [Panel(title, polygons, sheet.found.layers[name]) for name, title in marked.items()]
    if not panels:
        return None
    image = panel_maps(
        panels,
        sheet.region.geometry,
        sheet.base,
        label="share in beta diversity, as a multiple of the mean cell’s",
        ramp="plasma",
        credit=sheet.credit,
        marked_label=_HOTSPOTS if marked else "",
        unmarked_label="the other cells",
        image=sheet.kind,
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
        alt=f"Maps of {sheet.region.name}: {', '.join(panel.title for panel in panels)}.",
        caption=f"Cells that stand out: {text.listed(parts)}.{sheet.coarser(resolution)}",
        width_mm=figures.FULL_WIDTH_MM,
    )
