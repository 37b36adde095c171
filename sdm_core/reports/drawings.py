"""The figures of one region's report: which maps and charts there are, with their words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdm_core import regions
from sdm_core.errors import RegionError
from sdm_core.indicators import Structure
from sdm_core.reports import cartography as carto
from sdm_core.reports import charts, drawn_cells, figures, structure_maps, text
from sdm_core.reports.card import Calibration

#: Hexagons drawn at most on the cover and on a map of half the width; above it a map shows means of coarser
#: cells and says so.
MAX_COVER_CELLS = 18_000
MAX_DRAWN_CELLS = 7_000
#: Width over height of maps of the whole width, low enough to leave the first page to the answer.
COVER_ASPECT = (2.05, 2.5)
#: The same where the first page has more to say: own records, a Red List, outlines to compare with.
LOW_COVER_ASPECT = (3.25, 3.8)
#: The same for maps of half the width.
HALF_ASPECT = (1.05, 2.2)
#: Species shown as bars.
N_BARS = 15
OBSERVED_RESOLUTION = 5
#: Name of each figure's file, by its place in the report, in reading order.
FIGURE_FILES: Mapping[str, str] = {
    "cover": "richness",
    "location": "location",
    "effort": "records",
    "calibration": "calibration",
    "shannon": "shannon",
    "histogram": "richness-histogram",
    "species": "species",
    "dissimilarity": "dissimilarity",
    "hotspots": "hotspots",
    "next": "where-to-look-next",
}


def basemap() -> figures.Basemap:
    """Land and borders shipped with the project; an empty base map where its files are missing."""
    try:
        land = regions.land_geometry()
        borders = np.asarray(list(regions.country_outlines().values()))
    except RegionError:
        return figures.Basemap()
    return figures.Basemap(land, borders)


def draw_all(
    store: Any,
    region: regions.Region,
    rows: NDArray[np.int64],
    *,
    credit: str,
    mean_richness: float | None,
    top_species: Sequence[tuple[str, float]],
    calibration: Calibration | None,
    structure: Structure,
    low_cover: bool = False,
    kind: figures.ImageKind = "png",
) -> dict[str, figures.DrawnFigure | None]:
    """Every figure of the report by its place in it; None where the atlas lacks what it would show.

    `rows` of the store that belong to the region; `mean_richness` and `top_species` (name, mean
    probability) come from the indicators of the region, so that figures and tables agree; `structure` of the
    region (`indicators.region_structure`); `low_cover` leaves more of the first page to words; `kind` of
    image.
    """
    base = basemap()
    land_credit = f"{credit} Land: {regions.BASEMAP_CREDIT}." if base.land is not None else credit
    drawn: dict[str, figures.DrawnFigure | None] = {}
    richness = np.asarray(store.layer("richness"), dtype=float)
    shannon = np.asarray(store.layer("shannon"), dtype=float)
    drawn["cover"] = _layer_figure(
        store,
        region,
        rows,
        richness,
        base,
        land_credit,
        key="cover",
        width_mm=figures.FULL_WIDTH_MM,
        aspect=LOW_COVER_ASPECT if low_cover else COVER_ASPECT,
        kind=kind,
    )
    drawn["shannon"] = _layer_figure(
        store,
        region,
        rows,
        shannon,
        base,
        land_credit,
        key="shannon",
        width_mm=figures.HALF_WIDTH_MM,
        aspect=HALF_ASPECT,
        kind=kind,
    )
    drawn["location"] = _location_figure(store, region, base, land_credit, kind)
    drawn["effort"] = _effort_figure(store, region, rows, base, land_credit, kind)
    drawn["histogram"] = _histogram_figure(richness[rows], mean_richness, credit, kind)
    drawn["species"] = _bars_figure(top_species, credit, kind)
    drawn |= structure_maps.structure_figures(store, region, rows, structure, base, land_credit, kind)
    drawn["next"] = None
    if "information" in store.layer_names:
        drawn["next"] = _layer_figure(
            store,
            region,
            rows,
            np.asarray(store.layer("information"), dtype=float),
            base,
            land_credit,
            key="next",
            width_mm=figures.FULL_WIDTH_MM,
            aspect=COVER_ASPECT,
            kind=kind,
        )
    drawn["calibration"] = _calibration_figure(calibration, credit, kind)
    return drawn


_LAYERS: Mapping[str, tuple[str, str, str]] = {
    "cover": (
        "richness",
        "expected species per cell (sum of probabilities)",
        "Expected number of species in each cell: the sum of the calibrated probabilities of all species",
    ),
    "next": (
        "information",
        "expected information of a visit (0 to 100)",
        "Expected information of a visit to each cell: uncertainty of its list times the gap in records",
    ),
    "shannon": (
        "shannon",
        "Shannon index of a cell (nats)",
        "Shannon index of each cell, from the shares of the probabilities of its species; natural logarithm",
    ),
}


def _layer_figure(
    store: Any,
    region: regions.Region,
    rows: NDArray[np.int64],
    values: np.ndarray,
    base: figures.Basemap,
    credit: str,
    *,
    key: str,
    width_mm: float,
    aspect: tuple[float, float],
    kind: figures.ImageKind,
) -> figures.DrawnFigure:
    quantity, label, meaning = _LAYERS[key]
    most = MAX_COVER_CELLS if key == "cover" else MAX_DRAWN_CELLS
    cells, shown, resolution = drawn_cells.cells_to_draw(store, rows, values, most)
    image = figures.cell_map(
        regions.cell_polygons(cells),
        shown,
        region.geometry,
        base,
        label=label,
        ramp=carto.RAMPS[quantity],
        credit=credit,
        width_mm=width_mm,
        aspect_range=aspect,
        image=kind,
    )
    known = shown[np.isfinite(shown)]
    span = (
        f"from {text.sensible(float(known.min()))} to {text.sensible(float(known.max()))}"
        if len(known)
        else "without values"
    )
    coarser = (
        ""
        if resolution == store.resolution
        else f" Drawn as area-weighted means of coarser cells (H3 resolution {resolution})."
    )
    return figures.DrawnFigure(
        key,
        image,
        alt=f"Map of {region.name}: {label}, {span}.",
        caption=f"{meaning}, {span}.{coarser}",
        width_mm=width_mm,
    )


def _location_figure(
    store: Any, region: regions.Region, base: figures.Basemap, credit: str, kind: figures.ImageKind
) -> figures.DrawnFigure:
    longitude, latitude = store.lonlat[:, 0], store.lonlat[:, 1]
    bounds = (
        float(longitude.min()),
        float(latitude.min()),
        float(longitude.max()),
        float(latitude.max()),
    )
    image = figures.location_map(region.geometry, base, atlas_bounds=bounds, credit=credit, image=kind)
    return figures.DrawnFigure(
        "location",
        image,
        alt=f"Map that shows where {region.name} lies, with the extent of the atlas.",
        caption="Where the region lies. Lambert azimuthal equal-area projection centred on the region, as "
        "for every map of this report.",
        width_mm=figures.HALF_WIDTH_MM,
    )


def _effort_figure(
    store: Any,
    region: regions.Region,
    rows: NDArray[np.int64],
    base: figures.Basemap,
    credit: str,
    kind: figures.ImageKind,
) -> figures.DrawnFigure | None:
    observed = store.observed
    if observed is None or store.resolution < OBSERVED_RESOLUTION:
        return None
    parents = np.unique(regions.cells_to_parents(np.asarray(store.cells)[rows], OBSERVED_RESOLUTION))
    records = observed.set_index("cell")["n_records"].reindex(parents).to_numpy(dtype=float)
    records = np.where(records > 0, records, np.nan)
    shown_cells, shown = parents, records
    if len(parents) > MAX_DRAWN_CELLS:
        coarse = regions.cells_to_parents(parents, OBSERVED_RESOLUTION - 1)
        shown_cells, place = np.unique(coarse, return_inverse=True)
        totals = np.bincount(place, weights=np.nan_to_num(records))
        shown = np.where(totals > 0, totals, np.nan)
    image = figures.cell_map(
        regions.cell_polygons(shown_cells),
        shown,
        region.geometry,
        base,
        label="records per cell",
        ramp=carto.RAMPS["records"],
        credit=credit,
        width_mm=figures.HALF_WIDTH_MM,
        logarithmic=True,
        empty_label="no records",
        image=kind,
        aspect_range=HALF_ASPECT,
    )
    empty = int(np.isnan(shown).sum())
    return figures.DrawnFigure(
        "effort",
        image,
        alt=f"Map of {region.name}: records the model was trained on, per coarse cell; "
        f"{empty} of {len(shown)} cells have none.",
        caption=f"Records the model was trained on, per coarse cell (about 250 km²) that touches the region; "
        f"logarithmic colours. {_empty_sentence(empty, len(shown))}",
        width_mm=figures.HALF_WIDTH_MM,
    )


def _empty_sentence(n_empty: int, n_cells: int) -> str:
    if n_empty == 0:
        return f"All {text.whole(n_cells)} cells have some."
    verb = "has" if n_empty == 1 else "have"
    return (
        f"{text.whole(n_empty)} of {text.counted(n_cells, 'cell')} {verb} none: there the prediction rests "
        "on other places."
    )


def _histogram_figure(
    values: np.ndarray, mean: float | None, credit: str, kind: figures.ImageKind
) -> figures.DrawnFigure:
    image = charts.value_histogram(
        values,
        label="expected species per cell",
        mean=mean,
        credit=credit,
        width_mm=figures.HALF_WIDTH_MM,
        image=kind,
    )
    return figures.DrawnFigure(
        "histogram",
        image,
        alt=f"Histogram of the expected species per cell over {text.counted(len(values), 'cell')}.",
        caption="How the expected number of species is spread over the cells of the region; the line is the "
        "area-weighted mean.",
        width_mm=figures.HALF_WIDTH_MM,
    )


def _bars_figure(
    top: Sequence[tuple[str, float]], credit: str, kind: figures.ImageKind
) -> figures.DrawnFigure | None:
    if not top:
        return None
    shown = list(top)[:N_BARS]
    image = charts.species_bars(
        [name for name, _ in shown],
        np.asarray([value for _, value in shown], dtype=float),
        label="mean probability over the region (area-weighted)",
        credit=credit,
        image=kind,
    )
    return figures.DrawnFigure(
        "species",
        image,
        alt=f"Bars of the mean probability of {len(shown)} species, highest {shown[0][0]} "
        f"with {text.probability(shown[0][1])}.",
        caption=f"The {text.counted(len(shown), 'species', 'species')} with the highest mean probability "
        "over the region.",
        width_mm=figures.FULL_WIDTH_MM,
    )


def _calibration_figure(
    calibration: Calibration | None, credit: str, kind: figures.ImageKind
) -> figures.DrawnFigure | None:
    if calibration is None:
        return None
    image = charts.calibration_plot(
        calibration.predicted, calibration.observed, calibration.counts, credit=credit, image=kind
    )
    return figures.DrawnFigure(
        "calibration",
        image,
        alt="Reliability curve: share of held-out places with a record against the predicted probability, "
        f"in {len(calibration.predicted)} bins.",
        caption="Reliability of the probabilities over the whole atlas, on spatial blocks held out of "
        "training. On the dashed line, species predicted with 0.3 were recorded in 30 % of places.",
        width_mm=figures.HALF_WIDTH_MM,
    )
