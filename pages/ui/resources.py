"""Everything the pages load or compute more than once: the only place with Streamlit's caches, all bounded.

resources_atlases   atlases, their places and extent
resources_maps      hexagons, values and intervals of maps
here                what is asked of a region, and the names of both others

Each key holds what decides the result (atlas name and version, layer, resolution, window, rule); what is
cached is shared between sessions and never changed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import streamlit as st

from pages.ui import hexagons
from pages.ui.hexagons import Bounds, MapCells
from pages.ui.resources_atlases import (
    atlas_bounds,
    atlas_names,
    atlas_of,
    atlas_title,
    fine_area_km2,
    fine_atlas,
    fine_tiles,
    knows_experience,
    open_atlas,
    open_once,
    padded,
    place,
    place_names,
    places_in,
    species_labels,
    view_around,
    wide_places_in,
)
from pages.ui.resources_maps import (
    CellSpecies,
    cell,
    cell_outlines,
    cell_size_text,
    coverage_url,
    intervals_of,
    map_cells,
    observed_points,
    outside_of,
    values_of,
)

if TYPE_CHECKING:
    from sdm_core.applicability import Trust
    from sdm_core.indicators import Benchmarks, RegionSummary, Structure
    from sdm_core.indicators.rules_compared import RuleComparison
    from sdm_core.regions import Outlines, Region, Selection
    from sdm_core.statuses import MatchedStatuses


@st.cache_resource(max_entries=12, show_spinner=False)
def region_cells(name: str, version: str, region_hash: str, containment: str, _region: Region) -> MapCells:
    """The hexagons of a region, as fine as `config.MAX_MAP_CELLS` allows."""
    rows = region_selection(name, version, region_hash, containment, _region).rows
    return hexagons.cells_of_rows(atlas_of(name, version).store, rows, padded(_region.bounds, 0.04))


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


__all__ = [
    "Bounds",
    "CellSpecies",
    "MapCells",
    "atlas_bounds",
    "atlas_names",
    "atlas_of",
    "atlas_title",
    "benchmarks",
    "cell",
    "cell_outlines",
    "cell_size_text",
    "coverage_url",
    "fine_area_km2",
    "fine_atlas",
    "fine_tiles",
    "intervals_of",
    "knows_experience",
    "map_cells",
    "observed_points",
    "open_atlas",
    "open_once",
    "outline",
    "outside_of",
    "padded",
    "place",
    "place_names",
    "places_in",
    "region_cells",
    "region_of_link",
    "region_selection",
    "region_summary",
    "rules_compared",
    "species_labels",
    "structure",
    "trust",
    "values_of",
    "view_around",
    "wide_places_in",
]
