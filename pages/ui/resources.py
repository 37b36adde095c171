"""Everything the pages load or compute more than once: the only place with Streamlit's caches, all bounded.

Each key holds what decides the result (atlas name and version, layer, resolution, window, rule); what is
cached is shared between sessions and never changed.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from pages.ui import hexagons, routes
from pages.ui.hexagons import Bounds, MapCells
from pages.ui.numbers import number
from pages.ui.routes import base_path
from sdm_core.errors import FlorascopeError

if TYPE_CHECKING:
    from sdm_core.applicability import Trust
    from sdm_core.indicators import Benchmarks, RegionSummary, Structure
    from sdm_core.indicators.rules_compared import RuleComparison
    from sdm_core.regions import Outlines, Region, Selection
    from sdm_core.registry import Atlas
    from sdm_core.statuses import MatchedStatuses

#: A town is offered where a cell of this resolution around it holds predictions.
_TOWN_RESOLUTION = 5
_MAX_TOWNS = 4_000
#: Share of the area of a hexagon from which what holds for it holds for the hexagon.
_MOSTLY = 0.5

#: One lock per atlas, so that it is unpacked once.
_OPENING: dict[str, threading.Lock] = {}
#: Atlases with finer cells that some session reads, by version, the newest last.
_FINE: dict[str, Atlas] = {}
_MAX_FINE = 16
_HOLDING = threading.Lock()


@st.cache_data(ttl=30, max_entries=1, show_spinner=False)
def atlas_names() -> list[str]:
    """Names of the installed atlases; looked up again every half minute."""
    from sdm_core import registry

    return registry.list_atlases()


@st.cache_resource(max_entries=4, show_spinner="Opening the atlas …")
def open_atlas(name: str) -> Atlas:
    """An atlas with its memory-mapped store; the first time it is unpacked and checked."""
    return open_once(name)


def open_once(name: str) -> Atlas:
    """Open an atlas; who asks while it is being unpacked waits for that instead of unpacking it again."""
    from sdm_core import registry

    with _OPENING.setdefault(name, threading.Lock()):
        return registry.open_atlas(name)


def fine_atlas(atlas: Atlas, region: Region, resolution: int) -> Atlas | None:
    """The atlas with the finer cells of a region when they are predicted, else None."""
    from sdm_core import on_demand

    tiles = fine_tiles(atlas.name, str(atlas.store.version), region.geometry_hash, resolution, region)
    store = on_demand.fine_store(atlas, region, resolution, tiles)
    if store is None:
        return None
    with _HOLDING:  # what was read already stays read
        fine = _FINE.pop(store.version, None)
        if fine is None or fine.store.folder != store.folder:
            fine = on_demand.fine_atlas(atlas, store)
        _FINE[store.version] = fine
        while len(_FINE) > _MAX_FINE:
            _FINE.pop(next(iter(_FINE)))
    return fine


@st.cache_resource(max_entries=32, show_spinner=False)
def fine_tiles(
    name: str, version: str, region_hash: str, resolution: int, _region: Region
) -> NDArray[np.uint64]:
    """Tiles of finer cells that a region touches; raises FlorascopeError where it may not have them."""
    from sdm_core import on_demand

    return on_demand.tiles_of(open_atlas(name), _region, resolution)[0]


def atlas_of(name: str, version: str) -> Atlas:
    """The atlas of a name, with the finer cells of this version where a session reads such."""
    return _FINE.get(version) or open_atlas(name)


@st.cache_data(ttl=300, max_entries=8, show_spinner=False)
def atlas_title(name: str) -> str:
    """The title of an atlas for pickers, from its card: no store is opened for it."""
    from sdm_core import registry

    try:
        return str(registry.read_card(registry.atlas_folder(name)).get("title") or name)
    except FlorascopeError:
        return name


@st.cache_resource(max_entries=4, show_spinner=False)
def species_labels(name: str, version: str) -> dict[str, str]:
    """Scientific name → what the picker shows and searches: the name, the English genus, the family."""
    table = open_atlas(name).store.species
    genus = table["common_genus"].fillna("") if "common_genus" in table else [""] * len(table)
    return {
        species: f"{species} · {common}" if common else str(species)
        for species, common in zip(table["species"], genus, strict=True)
    }


@st.cache_resource(max_entries=1, show_spinner=False)
def place_names() -> list[str]:
    """Names of places and countries a region can be chosen by."""
    from sdm_core import regions

    return regions.place_names()


@st.cache_resource(max_entries=256, show_spinner=False)
def place(name: str) -> Region:
    """The region of a place name."""
    from sdm_core import regions

    return regions.region_from_place(name)


@st.cache_resource(max_entries=8, show_spinner=False)
def wide_places_in(name: str, version: str) -> list[str]:
    """Natural regions and countries with predictions in an atlas, most of them inside it."""
    from sdm_core import regions

    west, south, east, north = atlas_bounds(name, version)
    lonlat = np.asarray(open_atlas(name).store.lonlat)
    outlines = regions.country_outlines()
    found = []
    for title in place_names():
        kind = regions.find_place(title).kind
        if kind == "town":
            break
        box = outlines[title].bounds if kind == "country" else place(title).bounds
        inside = west <= (box[0] + box[2]) / 2 <= east and south <= (box[1] + box[3]) / 2 <= north
        if inside and ((lonlat >= box[:2]) & (lonlat <= box[2:])).all(axis=1).any():
            found.append(title)
    return found


@st.cache_resource(max_entries=8, show_spinner=False)
def places_in(name: str, version: str) -> list[str]:
    """Natural regions, countries and the larger towns of an atlas, for the search of an area."""
    from sdm_core import regions

    towns = [place for place in map(regions.find_place, place_names()) if place.kind == "town"]
    longitude = np.array([town.longitude for town in towns])
    latitude = np.array([town.latitude for town in towns])
    covered = np.unique(regions.cells_to_parents(open_atlas(name).store.cells, _TOWN_RESOLUTION))
    inside = np.isin(regions.lonlat_to_cells(longitude, latitude, _TOWN_RESOLUTION), covered)
    larger = [town.name for town, here in zip(towns, inside, strict=True) if here][:_MAX_TOWNS]
    return wide_places_in(name, version) + larger


@st.cache_resource(max_entries=8, show_spinner=False)
def atlas_bounds(name: str, version: str) -> Bounds:
    """West, south, east and north of an atlas."""
    lonlat = np.asarray(open_atlas(name).store.lonlat)
    (west, south), (east, north) = lonlat.min(axis=0), lonlat.max(axis=0)
    return float(west), float(south), float(east), float(north)


@st.cache_resource(max_entries=8, show_spinner=False)
def fine_area_km2(name: str, version: str) -> float:
    """Mean area of the finest cells of an atlas."""
    return float(np.asarray(open_atlas(name).store.area_ha, dtype=np.float64).mean() / 100)


def knows_experience(atlas: Atlas) -> bool:
    """Whether an atlas knows where its model has experience."""
    return "applicability" in atlas.store.layer_names


def padded(bounds: Bounds, share: float = 0.06) -> Bounds:
    """Bounds with a margin on every side."""
    west, south, east, north = bounds
    east_west, north_south = share * (east - west), share * (north - south)
    return west - east_west, south - north_south, east + east_west, north + north_south


def view_around(bounds: Bounds, aspect: float = 1.38) -> Bounds:
    """Bounds with a margin, widened or heightened to the shape of the map, so that cells fill it."""
    west, south, east, north = padded(bounds)
    parallel = max(0.2, float(np.cos(np.radians((south + north) / 2))))
    width, height = (east - west) * parallel, north - south
    more_width = max(0.0, aspect * height - width) / parallel / 2
    more_height = max(0.0, width / aspect - height) / 2
    return west - more_width, south - more_height, east + more_width, north + more_height


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


@st.cache_resource(max_entries=12, show_spinner=False)
def region_cells(name: str, version: str, region_hash: str, containment: str, _region: Region) -> MapCells:
    """The hexagons of a region, as fine as `config.MAX_MAP_CELLS` allows."""
    rows = region_selection(name, version, region_hash, containment, _region).rows
    return hexagons.cells_of_rows(atlas_of(name, version).store, rows, padded(_region.bounds, 0.04))


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
    name: str, version: str, layer: str, part: str, _cells: MapCells
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Low and high end of the intervals of single cells, means over each hexagon of the map `part`."""
    from sdm_core.indicators.map_layers import map_interval

    store = atlas_of(name, version).store
    area_ha = np.asarray(store.area_ha, dtype=np.float64)[_cells.rows]
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


@st.cache_resource(max_entries=16, show_spinner=False)
def region_selection(
    name: str, version: str, region_hash: str, containment: str, _region: Region
) -> Selection:
    """Cells of the atlas that count for a region, with their areas and notes on how they were chosen."""
    from sdm_core import regions

    store = atlas_of(name, version).store
    return regions.select_cells(
        _region, store.lonlat, store.resolution, store.cells, store.area_ha, containment
    )


@st.cache_resource(max_entries=16, show_spinner=False)
def region_summary(
    name: str,
    version: str,
    region_hash: str,
    title: str,
    rule: str,
    options: tuple[tuple[str, float], ...],
    containment: str,
    _region: Region,
) -> RegionSummary:
    """Every number of the Region page, computed once per region and rule."""
    from sdm_core import indicators

    chosen = region_selection(name, version, region_hash, containment, _region)
    store = atlas_of(name, version).store
    return indicators.summarise_region(
        store,
        chosen.rows,
        region=_region,
        rule=rule,
        notes=chosen.notes,
        hectares=chosen.hectares,
        containment=containment,
        **dict(options),
    )


@st.cache_resource(max_entries=16, show_spinner=False)
def rules_compared(
    name: str,
    version: str,
    region_hash: str,
    rule: str,
    options: tuple[tuple[str, Any], ...],
    containment: str,
    _region: Region,
) -> RuleComparison:
    """What every rule makes of the cells of a region."""
    from sdm_core.indicators.rules_compared import compare_rules

    chosen = region_selection(name, version, region_hash, containment, _region)
    return compare_rules(atlas_of(name, version).store, chosen.rows, chosen.hectares, rule, **dict(options))


@st.cache_resource(max_entries=32, show_spinner=False)
def region_of_link(text: str) -> Region:
    """The region a link describes; raises FlorascopeError where it describes none."""
    from sdm_core import regions

    return regions.decode_region_link(text)


@st.cache_resource(max_entries=32, show_spinner=False)
def outline(region_hash: str, _region: Region) -> dict[str, Any]:
    """Outline of a region as GeoJSON, simplified to what a screen can show."""
    import shapely

    west, south, east, north = _region.bounds
    simple = shapely.simplify(_region.geometry, max(east - west, north - south) / 2_000)
    return {"type": "Feature", "properties": {}, "geometry": json.loads(shapely.to_geojson(simple))}


@st.cache_resource(max_entries=32, show_spinner=False)
def trust(
    name: str,
    version: str,
    region_hash: str,
    rule: str,
    options: tuple[tuple[str, float], ...],
    containment: str,
    _region: Region,
    _summary: RegionSummary,
) -> Trust:
    """How far to trust the numbers of a region, by the same grade as its report."""
    from sdm_core import applicability

    atlas = atlas_of(name, version)
    chosen = region_selection(name, version, region_hash, containment, _region)
    return applicability.assess_trust(atlas.store, chosen.rows, _summary, atlas.card, chosen.hectares)


@st.cache_resource(max_entries=16, show_spinner=False)
def benchmarks(
    name: str,
    version: str,
    region_hash: str,
    containment: str,
    lists: tuple[str, ...],
    outlines_digest: str,
    _region: Region,
    _matched: list[MatchedStatuses],
    _outlines: Outlines | None,
) -> Benchmarks:
    """Where a region stands among other cells; `lists` are the digests of the status lists."""
    from sdm_core import indicators

    chosen = region_selection(name, version, region_hash, containment, _region)
    store = atlas_of(name, version).store
    return indicators.benchmark_region(store, chosen.rows, chosen.hectares, _region, _matched, _outlines)


@st.cache_resource(max_entries=16, show_spinner=False)
def structure(
    name: str,
    version: str,
    region_hash: str,
    rule: str,
    options: tuple[tuple[str, Any], ...],
    containment: str,
    lists: tuple[str, ...],
    _region: Region,
    _matched: list[MatchedStatuses],
) -> Structure:
    """How composition varies inside a region; `lists` are the digests of the status lists."""
    from sdm_core import indicators

    chosen = region_selection(name, version, region_hash, containment, _region)
    store = atlas_of(name, version).store
    return indicators.region_structure(store, chosen.rows, rule, dict(options), _matched)


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
