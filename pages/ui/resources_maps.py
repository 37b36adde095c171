"""Hexagons of maps, their values and intervals, what a hexagon holds: worked out once, see `resources`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from pages.ui import hexagons, routes
from pages.ui.hexagons import Bounds, MapCells
from pages.ui.numbers import number
from pages.ui.resources_atlases import atlas_of, fine_area_km2, open_atlas
from pages.ui.routes import base_path

#: Share of the area of a hexagon from which what holds for it holds for the hexagon.
_MOSTLY = 0.5


@dataclass(frozen=True)
class CellSpecies:
    """One hexagon and its most probable species."""

    n_cells: int
    area_text: str
    longitude: float
    latitude: float
    position: str
    species: list[tuple[str, float]]


@st.cache_resource(max_entries=256, show_spinner=False)
def cell(name: str, version: str, cell_name: str, n_species: int) -> CellSpecies:
    """The most probable species of a hexagon: means over its cells where it is coarser than the atlas."""
    from sdm_core import regions

    store = open_atlas(name).store
    index = regions.strings_to_cells([cell_name])
    rows = store.rows_under(int(index[0]))
    longitude, latitude = (float(degrees) for degrees in regions.cells_to_lonlat(index)[0])
    names = store.species["species"]
    top = store.cell_top(int(index[0]), n_species)
    return CellSpecies(
        n_cells=len(rows),
        area_text=number(fine_area_km2(name, version)),
        longitude=longitude,
        latitude=latitude,
        position=regions.format_lonlat(longitude, latitude),
        species=[(str(names.iloc[species_id]), p) for species_id, p in top],
    )


@st.cache_resource(max_entries=12, show_spinner="Reading the hexagons …")
def map_cells(name: str, version: str, window: Bounds | None) -> MapCells:
    """The hexagons that fill a window (or the whole atlas), as fine as `config.MAX_MAP_CELLS` allows."""
    store = open_atlas(name).store
    lonlat = np.asarray(store.lonlat)
    if window is None:
        rows = np.arange(store.n_cells)
    else:
        west, south, east, north = window
        inside = (
            (lonlat[:, 0] >= west)
            & (lonlat[:, 0] <= east)
            & (lonlat[:, 1] >= south)
            & (lonlat[:, 1] <= north)
        )
        rows = np.flatnonzero(inside)
    return hexagons.cells_of_rows(store, rows, window)


@st.cache_resource(max_entries=24, show_spinner=False)
def values_of(
    name: str, version: str, layer: str, species_id: int, part: str, _cells: MapCells
) -> NDArray[np.float64]:
    """One value per hexagon of the map `part`: area-weighted means where hexagons are coarser than cells.

    Of categories, that of most of the area.
    """
    from sdm_core.indicators.map_layers import map_categories, map_values

    cells = _cells
    store = atlas_of(name, version).store
    if layer == "species":
        values = hexagons.probability_of_code()[store.species_map(species_id)[cells.rows]]
        categories = None
    else:
        values = map_values(store, layer, cells.rows)
        categories = map_categories(store, layer)
    area_ha = np.asarray(store.area_ha, dtype=np.float64)[cells.rows]
    return hexagons.on_hexagons(values, area_ha, cells, categories)


@st.cache_resource(max_entries=24, show_spinner="Working out the intervals …")
def intervals_of(
    name: str, version: str, layer: str, species_id: int, part: str, _cells: MapCells
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Low and high end of the intervals of single cells, means over each hexagon of the map `part`."""
    from sdm_core.indicators.map_layers import map_interval, species_interval

    store = atlas_of(name, version).store
    area_ha = np.asarray(store.area_ha, dtype=np.float64)[_cells.rows]
    if layer == "species":
        low, high = species_interval(store, species_id, _cells.rows)
    else:
        low, high = map_interval(store, layer, _cells.rows)
    return hexagons.means(low, area_ha, _cells), hexagons.means(high, area_ha, _cells)


@st.cache_resource(max_entries=12, show_spinner=False)
def outside_of(name: str, version: str, part: str, _cells: MapCells) -> NDArray[np.bool_]:
    """Which hexagons of the map `part` lie mostly outside the model's experience (n_hexagons,)."""
    return ~(values_of(name, version, "applicability", -1, part, _cells) >= _MOSTLY)


@st.cache_resource(max_entries=24, show_spinner=False)
def observed_points(name: str, version: str, species_id: int | None) -> pd.DataFrame | None:
    """Observed records per coarse cell, of one species or of all: longitude, latitude, n_records."""
    from sdm_core import regions

    store = open_atlas(name).store
    table = store.observed if species_id is None else store.observed_species(species_id)
    if table is None:
        return None
    centres = regions.cells_to_lonlat(table["cell"].to_numpy(np.uint64)) if len(table) else np.zeros((0, 2))
    return pd.DataFrame(
        {"longitude": centres[:, 0], "latitude": centres[:, 1], "n_records": table["n_records"].to_numpy()}
    )


def coverage_url(name: str, version: str) -> str:
    """Address of the area an atlas covers, as coarse GeoJSON for the drawing map."""
    return routes.LAYERS.publish(
        f"coverage {name} {version}", lambda: hexagons.coverage(open_atlas(name).store), base_path()
    )


@st.cache_resource(max_entries=64, show_spinner=False)
def cell_outlines(names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Outlines of hexagons as GeoJSON features."""
    import shapely

    from sdm_core import regions

    if not names:
        return []
    polygons = regions.cell_polygons(regions.strings_to_cells(names))
    return [
        {"type": "Feature", "properties": {}, "geometry": json.loads(shapely.to_geojson(polygon))}
        for polygon in polygons
    ]


@st.cache_data(max_entries=16, show_spinner=False)
def cell_size_text(resolution: int) -> str:
    """Mean area of hexagons of a resolution, in words."""
    import h3

    km2 = h3.average_hexagon_area(resolution, unit="km^2")
    return number(km2, 0 if km2 >= 10 else 1 if km2 >= 1 else 2, "km²")
