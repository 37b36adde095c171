"""Land and country outlines shipped with the project, and what they say about a region.

Outlines are Natural Earth's (public domain), derived by `assets/scripts/derive_basemap.py` from the npm
package world-atlas. Borders are drawn as they are held on the ground, which is no statement about claims.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow.parquet
import shapely
from numpy.typing import NDArray

from sdm_core import config
from sdm_core.errors import RegionError
from sdm_core.regions.geometry import geodesic_area_km2
from sdm_core.regions.region import Region

BASEMAP_CREDIT = "Natural Earth (public domain)"


def _read_geojson(name: str) -> dict[str, Any]:
    path = config.ASSETS_DIR / "basemap" / name
    try:
        collection: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RegionError(
            f"The basemap file {path.name} is missing or damaged; restore the assets folder."
        ) from error
    return collection


@lru_cache(maxsize=1)
def basemap_land() -> dict[str, Any]:
    """Land of the world as a GeoJSON FeatureCollection: about 1 km fine in Europe, 30 km elsewhere.

    Do not change it.
    """
    return _read_geojson("land.geojson")


@lru_cache(maxsize=1)
def basemap_countries() -> dict[str, Any]:
    """Countries of Europe and around as GeoJSON, property `name`, about 1 km fine in Europe.

    Do not change it.
    """
    return _read_geojson("countries.geojson")


@lru_cache(maxsize=1)
def land_geometry() -> shapely.Geometry:
    """Land of the world as one shapely geometry."""
    return shapely.from_geojson(json.dumps(basemap_land()["features"][0]["geometry"]))


@lru_cache(maxsize=1)
def country_outlines() -> dict[str, shapely.Geometry]:
    """Outlines of countries within 32° W to 62° E, 24° N to 82° N by name, about 300 m fine."""
    path = config.ASSETS_DIR / "places" / "countries.parquet"
    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise RegionError(
            f"The country file {path.name} is missing or damaged; restore the assets folder."
        ) from error
    outlines = shapely.from_wkb(table["geometry"].to_numpy())
    return dict(zip(table["name"].to_pylist(), outlines, strict=True))


@lru_cache(maxsize=1)
def country_shares_in_europe() -> dict[str, float]:
    """Share of each country's area that its outline in `country_outlines` holds, 0 to 1."""
    table = pyarrow.parquet.read_table(config.ASSETS_DIR / "places" / "countries.parquet")
    return dict(zip(table["name"].to_pylist(), table["share_in_europe"].to_pylist(), strict=True))


@lru_cache(maxsize=1)
def _country_parts() -> tuple[shapely.STRtree, NDArray[np.object_], NDArray[np.int64], list[str]]:
    """Tree of single country polygons, those polygons, and the country each belongs to."""
    names = list(country_outlines())
    parts, owners = shapely.get_parts(list(country_outlines().values()), return_index=True)
    return shapely.STRtree(parts), parts, owners, names


def _country_pieces(geometry: shapely.Geometry) -> dict[str, list[shapely.Geometry]]:
    tree, parts, owners, names = _country_parts()
    pieces: dict[str, list[shapely.Geometry]] = {}
    for position in tree.query(geometry, predicate="intersects"):
        piece = shapely.intersection(parts[position], geometry)
        pieces.setdefault(names[int(owners[position])], []).append(piece)
    return pieces


def countries_of(region: Region) -> list[tuple[str, float]]:
    """Countries a region lies in, each with its share of the region's area (0 to 1), largest first.

    The shares add up to less than 1 where the region reaches the sea; shares under 0.1 % are left out.
    """
    found = [
        (name, sum(geodesic_area_km2(piece) for piece in pieces) / region.area_km2)
        for name, pieces in _country_pieces(region.geometry).items()
    ]
    return sorted(
        ((name, min(share, 1.0)) for name, share in found if share >= 0.001), key=lambda item: -item[1]
    )


def land_share(geometry: shapely.Geometry) -> float:
    """Share of a polygon's area (on the longitude-latitude plane) that is land, 0 to 1."""
    in_countries = sum(piece.area for pieces in _country_pieces(geometry).values() for piece in pieces)
    land = shapely.intersection(land_geometry(), geometry).area
    return min(1.0, max(in_countries, land) / geometry.area)


def cut_at_coast(geometry: shapely.Geometry) -> shapely.Geometry:
    """The part of a polygon on land, or the polygon itself where under 1 % of it is sea."""
    pieces = [piece for pieces in _country_pieces(geometry).values() for piece in pieces]
    land = shapely.union_all(pieces)
    return land if 0 < land.area < 0.99 * geometry.area else geometry


def islands_at(longitude: float, latitude: float) -> shapely.Polygon:
    """The coast of the island at a point; raises RegionError when no land lies there."""
    tree, parts, _, _ = _country_parts()
    hits = tree.query(shapely.Point(longitude, latitude), predicate="intersects")
    if not len(hits):
        raise RegionError(
            f"No island lies at longitude {longitude}, latitude {latitude}; move the point onto land."
        )
    return shapely.Polygon(parts[hits[0]].exterior)
