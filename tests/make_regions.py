"""Makes the region files that tests upload, good and bad, from a few coordinates; nothing is stored."""

from __future__ import annotations

import io
import json
import stat
import struct
import warnings
import zipfile
from pathlib import Path

import geopandas
import numpy as np
import shapely

#: A plain polygon in the western Pyrenees, about 1,100 km².
PYRENEES = shapely.box(-0.6, 42.7, -0.1, 42.95)


def geojson(geometry: shapely.Geometry | dict, **members: object) -> bytes:
    """A FeatureCollection of one feature as bytes."""
    shape = geometry if isinstance(geometry, dict) else json.loads(shapely.to_geojson(geometry))
    feature = {"type": "Feature", "properties": {}, "geometry": shape}
    return json.dumps({"type": "FeatureCollection", "features": [feature], **members}).encode()


def geopackage(
    folder: Path, layers: dict[str, list[shapely.Geometry]], crs: str | None = "EPSG:4326"
) -> Path:
    """A GeoPackage with one layer per entry."""
    path = folder / "region.gpkg"
    for name, shapes in layers.items():
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "'crs' was not provided")
            geopandas.GeoDataFrame(geometry=shapes, crs=crs).to_file(path, layer=name, driver="GPKG")
    return path


def zip_of(members: dict[str, bytes]) -> bytes:
    """A deflated zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def shapefile_parts(
    folder: Path, shapes: list[shapely.Geometry], crs: str | None = "EPSG:4326"
) -> dict[str, bytes]:
    """The files of a shapefile by suffix."""
    frame = geopandas.GeoDataFrame({"id": range(len(shapes))}, geometry=shapes, crs=crs)
    frame.to_file(folder / "park.shp", driver="ESRI Shapefile")
    return {path.suffix: path.read_bytes() for path in folder.glob("park.*")}


def zipped_shapefile(
    folder: Path, shapes: list[shapely.Geometry], crs: str | None, leave_out: str = ""
) -> bytes:
    """A zipped shapefile in a folder of the archive, without the part named by its suffix."""
    parts = shapefile_parts(folder, shapes, crs)
    return zip_of({f"data/park{suffix}": content for suffix, content in parts.items() if suffix != leave_out})


def kml(body: str) -> bytes:
    """A KML document around some placemarks."""
    head = '<?xml version="1.0" encoding="UTF-8"?><kml xmlns="http://www.opengis.net/kml/2.2"><Document>'
    return f"{head}{body}</Document></kml>".encode()


def kml_polygon(geometry: shapely.Polygon) -> str:
    """A placemark with height, as map programs write it."""
    points = " ".join(f"{x},{y},0" for x, y in geometry.exterior.coords)
    ring = f"<LinearRing><coordinates>{points}</coordinates></LinearRing>"
    return f"<Placemark><Polygon><outerBoundaryIs>{ring}</outerBoundaryIs></Polygon></Placemark>"


def zip_with_link() -> bytes:
    """An archive whose park.shp is a symbolic link to a file outside."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("park.shp")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/hostname")
    return buffer.getvalue()


def encrypted_zip() -> bytes:
    """An archive whose only member is flagged as encrypted."""
    data = bytearray(zip_of({"park.geojson": geojson(PYRENEES)}))
    local, central = data.index(b"PK\x03\x04"), data.index(b"PK\x01\x02")
    data[local + 6] |= 1
    data[central + 8] |= 1
    return bytes(data)


def lying_zip(claimed_bytes: int) -> bytes:
    """An archive whose directory claims that its member unpacks to so many bytes."""
    data = bytearray(zip_of({"park.geojson": b" " * 2_000}))
    central = data.index(b"PK\x01\x02")
    data[central + 24 : central + 28] = struct.pack("<I", claimed_bytes)
    return bytes(data)


def wiggly_circle(n_vertices: int, seed: int = 1) -> shapely.Polygon:
    """A circle of half a degree in the Pyrenees with metre-sized noise, without self-crossings."""
    angle = np.linspace(0, 2 * np.pi, n_vertices, endpoint=False)
    radius = 0.5 + np.random.default_rng(seed).normal(0, 1e-6, n_vertices)
    return shapely.Polygon(np.column_stack([radius * np.cos(angle), 42.8 + radius * np.sin(angle)]))
