"""Atlases, their places and their extent, opened or looked up once; see `resources`."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from pages.ui.hexagons import Bounds
from sdm_core.errors import FlorascopeError

if TYPE_CHECKING:
    from sdm_core.regions import Region
    from sdm_core.registry import Atlas

#: A town is offered where a cell of this resolution around it holds predictions.
_TOWN_RESOLUTION = 5
_MAX_TOWNS = 4_000

#: One lock per atlas, so that it is unpacked once.
_OPENING: dict[str, threading.Lock] = {}
#: When the files of each atlas were last looked at, and as what; see `_as_opened`.
_SEEN: dict[str, tuple[float, tuple]] = {}
#: Seconds for which they are taken to be as they were.
_FRESH_S = 5.0
#: Atlases with finer cells that some session reads, by key, the newest last.
_FINE: dict[str, Atlas] = {}
_MAX_FINE = 16
_HOLDING = threading.Lock()


@st.cache_data(ttl=30, max_entries=1, show_spinner=False)
def atlas_names() -> list[str]:
    """Names of the installed atlases; looked up again every half minute."""
    from sdm_core import registry

    return registry.list_atlases()


def _as_opened(atlas: Atlas) -> bool:
    """Whether an atlas is still what its files say; one written anew is opened anew."""
    from sdm_core import registry

    looked, stamp = _SEEN.get(atlas.name, (-_FRESH_S, ()))
    if time.monotonic() - looked < _FRESH_S:
        return True
    try:
        now = registry.folder_stamp(registry.atlas_folder(atlas.name))
    except (FlorascopeError, OSError):
        return False
    _SEEN[atlas.name] = (time.monotonic(), stamp)
    return now == stamp


@st.cache_resource(max_entries=4, show_spinner="Opening the atlas …", validate=_as_opened)
def open_atlas(name: str) -> Atlas:
    """An atlas with its memory-mapped store; the first time it is unpacked and checked."""
    from sdm_core import registry

    stamp = registry.folder_stamp(registry.atlas_folder(name))
    atlas = open_once(name)
    _SEEN[atlas.name] = (time.monotonic(), stamp)
    return atlas


def open_once(name: str) -> Atlas:
    """Open an atlas; who asks while it is being unpacked waits for that instead of unpacking it again."""
    from sdm_core import registry

    with _OPENING.setdefault(name, threading.Lock()):
        return registry.open_atlas(name)


def fine_atlas(atlas: Atlas, region: Region, resolution: int) -> Atlas | None:
    """The atlas with the finer cells of a region when they are predicted, else None."""
    from sdm_core import on_demand

    tiles = fine_tiles(atlas.name, atlas.key, region.geometry_hash, resolution, region)
    store = on_demand.fine_store(atlas, region, resolution, tiles)
    if store is None:
        return None
    with _HOLDING:  # what was read already stays read
        fine = on_demand.fine_atlas(atlas, store)
        known = _FINE.pop(fine.key, None)
        if known is not None and known.store.folder == store.folder:
            fine = known
        _FINE[fine.key] = fine
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
    """The atlas of a name, with the finer cells of this version (`Atlas.key`) where a session reads such."""
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
