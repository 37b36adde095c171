"""Derive the offline basemap and the country outlines from the npm package `world-atlas` (Natural Earth).

    python assets/scripts/derive_basemap.py [--package FOLDER]

Without --package, `npm pack world-atlas@2.0.2` fetches the package into a temporary folder. Writes
  assets/basemap/land.geojson        land of the world, fine in Europe, coarse elsewhere
  assets/basemap/countries.geojson   borders of the countries of Europe and its surroundings
  assets/places/countries.parquet    finer outlines of the same countries, for choosing a region
The topology's arcs are simplified (Douglas-Peucker) before polygons are put together, so neighbours keep one
common border and no gap opens between them. Natural Earth is in the public domain.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import geopandas
import numpy as np
import shapely

ASSETS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ASSETS.parent))

from sdm_core.regions.dateline import split_at_date_line  # noqa: E402

PACKAGE = "world-atlas@2.0.2"
#: Europe, North Africa, the Near East and the Atlantic islands: west, south, east, north.
EUROPE = (-32.0, 24.0, 62.0, 82.0)
#: Share of a country that must lie in EUROPE for it to be offered as a place.
MIN_SHARE_IN_EUROPE = 0.22

FULL_NAMES = {
    "Bosnia and Herz.": "Bosnia and Herzegovina",
    "Macedonia": "North Macedonia",
    "Faeroe Is.": "Faroe Islands",
    "N. Cyprus": "Northern Cyprus",
    "Cyprus U.N. Buffer Zone": "Cyprus buffer zone",
    "Vatican": "Vatican City",
    "W. Sahara": "Western Sahara",
}


def decode_arcs(topology: dict) -> list[np.ndarray]:
    """Arcs in degrees: quantised deltas summed, then scaled (TopoJSON specification 2.1.1 and 2.1.4)."""
    scale, translate = np.array(topology["transform"]["scale"]), np.array(topology["transform"]["translate"])
    return [np.cumsum(np.array(arc), axis=0) * scale + translate for arc in topology["arcs"]]


def simplify_arcs(
    arcs: list[np.ndarray], near_deg: float, far_deg: float, smallest_deg: float
) -> list[np.ndarray]:
    """Each arc simplified on its own, its ends kept; closed arcs (islands) keep a triangle or are emptied."""
    europe = shapely.box(*EUROPE)
    simplified = []
    for arc in arcs:
        line = shapely.LineString(arc)
        near = line.intersects(europe)
        tolerance = near_deg if near else far_deg
        west, south, east, north = line.bounds
        closed = np.array_equal(arc[0], arc[-1])
        if closed and max(east - west, north - south) < (smallest_deg if near else 10 * far_deg):
            simplified.append(np.empty((0, 2)))
            continue
        kept = shapely.get_coordinates(shapely.simplify(line, tolerance, preserve_topology=False))
        if closed and len(kept) < 4:
            kept = shapely.get_coordinates(shapely.simplify(line, tolerance / 8, preserve_topology=False))
        simplified.append(kept if not closed or len(kept) >= 4 else np.empty((0, 2)))
    return simplified


def ring_of(indices: list[int], arcs: list[np.ndarray]) -> np.ndarray:
    """A ring from arc numbers; ~i is arc i backwards, and each arc starts where the last ended."""
    pieces = [arcs[index] if index >= 0 else arcs[~index][::-1] for index in indices]
    pieces = [piece for piece in pieces if len(piece)]
    if not pieces:
        return np.empty((0, 2))
    return np.vstack([pieces[0], *(piece[1:] for piece in pieces[1:])])


def assemble(geometry: dict, arcs: list[np.ndarray], smallest_deg: float) -> shapely.Geometry:
    """A valid polygon or multipolygon of one TopoJSON geometry."""
    polygons = geometry["arcs"] if geometry["type"] == "MultiPolygon" else [geometry["arcs"]]
    parts = []
    for rings in polygons:
        exterior, *holes = [ring_of(ring, arcs) for ring in rings]
        if len(exterior) < 4:
            continue
        part = shapely.Polygon(exterior, [hole for hole in holes if len(hole) >= 4])
        cut, _ = split_at_date_line(part)  # world-atlas joins what Natural Earth cuts at 180°
        fixed = shapely.make_valid(cut, method="structure", keep_collapsed=False)
        parts += [piece for piece in shapely.get_parts(fixed) if piece.area > smallest_deg**2 / 4]
    return multipolygon(shapely.union_all([piece for piece in parts if isinstance(piece, shapely.Polygon)]))


def multipolygon(geometry: shapely.Geometry) -> shapely.MultiPolygon:
    """The polygons of a geometry, valid."""
    valid = shapely.make_valid(geometry, method="structure", keep_collapsed=False)
    return shapely.MultiPolygon(
        [part for part in shapely.get_parts(valid) if isinstance(part, shapely.Polygon)]
    )


def round_to(geometry: shapely.Geometry, decimals: int) -> shapely.MultiPolygon:
    """A geometry with rounded coordinates, still valid."""
    rounded = shapely.transform(geometry, lambda lonlat: np.round(lonlat, decimals) + 0.0)
    repaired = shapely.set_precision(multipolygon(rounded), 10.0**-decimals)
    return shapely.transform(multipolygon(repaired), lambda lonlat: np.round(lonlat, decimals) + 0.0)


def feature_collection(rows: list[tuple[str, shapely.Geometry]], decimals: int) -> str:
    """Compact GeoJSON text with coordinates rounded."""
    features = []
    for name, geometry in rows:
        rounded = round_to(geometry, decimals)
        features.append(
            {
                "type": "Feature",
                "properties": {"name": name},
                "geometry": json.loads(shapely.to_geojson(rounded)),
            }
        )
    collection = {"type": "FeatureCollection", "features": features}
    return json.dumps(collection, ensure_ascii=False, separators=(",", ":"))


def in_europe(geometry: shapely.Geometry) -> tuple[shapely.Geometry, float]:
    """The part of a country within EUROPE and its share of the whole country (on the cosine-weighted plane).

    The part of a country within EUROPE and its share of the whole country (on the cosine-weighted plane).
    """
    inside = shapely.intersection(geometry, shapely.box(*EUROPE))
    polygons = [part for part in shapely.get_parts(inside) if isinstance(part, shapely.Polygon)]
    inside = shapely.MultiPolygon(polygons)

    def equal_area(shape: shapely.Geometry) -> float:
        return shapely.transform(
            shape, lambda xy: np.column_stack([np.radians(xy[:, 0]), np.sin(np.radians(xy[:, 1]))])
        ).area

    return inside, equal_area(inside) / max(equal_area(geometry), 1e-12)


def countries_of(
    topology: dict, arcs: list[np.ndarray], smallest_deg: float, whole: bool
) -> list[tuple[str, shapely.Geometry, float]]:
    """(full name, outline whole or within Europe, share of the country in Europe) of each country offered."""
    found = []
    for geometry in topology["objects"]["countries"]["geometries"]:
        if "arcs" not in geometry:
            continue
        outline = assemble(geometry, arcs, smallest_deg)
        inside, share = in_europe(outline)
        name = geometry["properties"]["name"]
        if share >= MIN_SHARE_IN_EUROPE and not inside.is_empty:
            found.append((FULL_NAMES.get(name, name), outline if whole else inside, share))
    return sorted(found)


def fetch_package(folder: Path) -> Path:
    """The unpacked npm package."""
    subprocess.run(["npm", "pack", PACKAGE], cwd=folder, check=True, capture_output=True)
    with tarfile.open(next(folder.glob("world-atlas-*.tgz"))) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"


def main() -> None:
    """Write the three files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--package", type=Path, help="folder of the unpacked npm package world-atlas")
    package = parser.parse_args().package
    with tempfile.TemporaryDirectory() as temporary:
        package = package or fetch_package(Path(temporary))
        medium = json.loads((package / "countries-50m.json").read_text())
        fine = json.loads((package / "countries-10m.json").read_text())

    arcs = simplify_arcs(decode_arcs(medium), near_deg=0.02, far_deg=0.3, smallest_deg=0.08)
    land = assemble(medium["objects"]["land"]["geometries"][0], arcs, smallest_deg=0.02)
    (ASSETS / "basemap" / "land.geojson").write_text(feature_collection([("Land", land)], decimals=2))
    rows = [(name, shape) for name, shape, _ in countries_of(medium, arcs, smallest_deg=0.02, whole=True)]
    (ASSETS / "basemap" / "countries.geojson").write_text(feature_collection(rows, decimals=2))

    arcs = simplify_arcs(decode_arcs(fine), near_deg=0.004, far_deg=0.3, smallest_deg=0.01)
    outlines = countries_of(fine, arcs, smallest_deg=0.002, whole=False)
    frame = geopandas.GeoDataFrame(
        {"name": [row[0] for row in outlines], "share_in_europe": [round(row[2], 4) for row in outlines]},
        geometry=[round_to(row[1], decimals=4) for row in outlines],
        crs="EPSG:4326",
    )
    frame.to_parquet(ASSETS / "places" / "countries.parquet", compression="zstd", index=False)


if __name__ == "__main__":
    main()
