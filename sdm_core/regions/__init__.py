"""Polygons, places and the H3 cells inside them.

geometry, dateline   any polygon to a valid one in WGS84, with a note for every change
region               `Region` and the ways to make one without a file
reading, gdal, kml, archives   uploaded files: GeoJSON, GPKG, KML, zipped shapefile; unsafe ones refused
outlines             named polygons of a file, to compare a region with
several              each feature of a file as a region
cells                H3 cells as uint64 arrays (latitude-first order is known here only)
areas                areas of cells on the ellipsoid
fill, overlap        cells inside a polygon; how much of each lies inside
selection            which rows of an atlas lie in a region, by a rule of containment
basemap, places      shipped outlines of land and countries; named places and type-ahead search
links                a region inside a URL
"""

from sdm_core.regions.areas import cell_area_km2, hectare_quantum
from sdm_core.regions.basemap import (
    BASEMAP_CREDIT,
    basemap_countries,
    basemap_land,
    countries_of,
    country_outlines,
    land_geometry,
    land_share,
)
from sdm_core.regions.cells import (
    cell_polygons,
    cell_resolutions,
    cells_to_lonlat,
    cells_to_parents,
    cells_to_strings,
    lonlat_to_cells,
    strings_to_cells,
    valid_cells,
)
from sdm_core.regions.fill import cells_in_polygon
from sdm_core.regions.geometry import geodesic_area_km2
from sdm_core.regions.links import decode_region_link, encode_region_link
from sdm_core.regions.outlines import Outlines, name_columns, read_outlines
from sdm_core.regions.overlap import polygon_shares
from sdm_core.regions.places import (
    PLACES_CREDIT,
    Place,
    find_place,
    place_names,
    region_from_place,
    search_places,
)
from sdm_core.regions.reading import REGION_SUFFIXES, read_region
from sdm_core.regions.region import (
    Region,
    format_lonlat,
    region_from_cells,
    region_from_geojson,
    region_from_geometry,
    region_from_point,
)
from sdm_core.regions.selection import (
    CONTAINMENT_RULES,
    DEFAULT_CONTAINMENT,
    Selection,
    check_containment,
    polygon_cells,
    select_cells,
)
from sdm_core.regions.several import SeveralRegions, read_regions
from sdm_core.regions.sphere import EARTH_RADIUS_KM, unit_vectors

__all__ = [
    "BASEMAP_CREDIT",
    "CONTAINMENT_RULES",
    "DEFAULT_CONTAINMENT",
    "EARTH_RADIUS_KM",
    "PLACES_CREDIT",
    "REGION_SUFFIXES",
    "Outlines",
    "Place",
    "Region",
    "Selection",
    "SeveralRegions",
    "basemap_countries",
    "basemap_land",
    "cell_area_km2",
    "cell_polygons",
    "cell_resolutions",
    "cells_in_polygon",
    "cells_to_lonlat",
    "cells_to_parents",
    "cells_to_strings",
    "check_containment",
    "countries_of",
    "country_outlines",
    "decode_region_link",
    "encode_region_link",
    "find_place",
    "format_lonlat",
    "geodesic_area_km2",
    "hectare_quantum",
    "land_geometry",
    "land_share",
    "lonlat_to_cells",
    "name_columns",
    "place_names",
    "polygon_cells",
    "polygon_shares",
    "read_outlines",
    "read_region",
    "read_regions",
    "region_from_cells",
    "region_from_geojson",
    "region_from_geometry",
    "region_from_place",
    "region_from_point",
    "search_places",
    "select_cells",
    "strings_to_cells",
    "unit_vectors",
    "valid_cells",
]
