"""Named outlines of a user's file to compare a region with: biogeographic regions, ecoregions, provinces."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from sdm_core.errors import RegionError
from sdm_core.regions.archives import MAIN_SUFFIXES, read_archive
from sdm_core.regions.dateline import polygon_parts
from sdm_core.regions.gdal import read_layer
from sdm_core.regions.geometry import clean_name
from sdm_core.regions.kml import kml_placemarks
from sdm_core.regions.prepared import prepared_copy
from sdm_core.regions.reading import SHAPEFILE_PARTS, bytes_of
from sdm_core.regions.region import crs_of, geometries_of, reproject

#: A column of one of these names holds the names of outlines, where none is chosen.
NAME_COLUMNS = ("name", "title", "label", "region", "name_en", "short_name")
#: Columns named in a message.
_N_LISTED = 12
Feature = tuple[Mapping[str, Any], list[shapely.Geometry]]


@dataclass(frozen=True)
class Outlines:
    """Named polygons of one file, in WGS84.

    Attributes:
        source: name of the file.
        column: its column the names are from.
        names: of the outlines, each once, in the order of the file.
        geometries: polygons of each, in longitude, latitude.
        crs: coordinate system that was stated in place of the file's; "" where none was.
        notes: what was left out or chosen, one sentence each.
        digest: hash of the file and the column, for caches.
    """

    source: str
    column: str
    names: tuple[str, ...]
    geometries: tuple[shapely.MultiPolygon, ...] = field(repr=False)
    crs: str = ""
    notes: tuple[str, ...] = ()
    digest: str = ""

    def chosen(self, places: Sequence[int]) -> Outlines:
        """Only some of the outlines, by their places."""
        return replace(
            self,
            names=tuple(self.names[place] for place in places),
            geometries=tuple(self.geometries[place] for place in places),
        )

    def holding(self, lonlat: ArrayLike) -> list[NDArray[np.bool_]]:
        """Which points (n, 2) lie in each outline, one mask per name."""
        points = np.asarray(lonlat, dtype=np.float64)
        return [
            shapely.contains_xy(prepared_copy(shape), points[:, 0], points[:, 1]) for shape in self.geometries
        ]


def read_outlines(
    source: Path | str | bytes | BinaryIO,
    filename: str | None = None,
    name_column: str | None = None,
    crs: str | None = None,
    layer: str | None = None,
) -> Outlines:
    """The named outlines of a vector file; features of one name belong together.

    Args:
        source: path, bytes of an upload or an open binary file: GeoJSON, GeoPackage, KML, KMZ or zipped
            shapefile.
        filename: tells an upload's format by its suffix.
        name_column: column (property, attribute) with the names; by default the only column with text, or one
            called as in `NAME_COLUMNS`.
        crs: used instead of what the file says.
        layer: one of several in a GeoPackage or archive.

    Raises:
        RegionError: a file that cannot be read, no or no such column of names, no polygon, or coordinates off
            the globe; MissingCRSError and UnsafeArchiveError likewise.
    """
    data, title = bytes_of(source, filename)
    features, declared, notes = features_of(data, title, PurePosixPath(title).suffix.lower(), crs, layer)
    column = _name_column(features, title, name_column)
    grouped: dict[str, list[shapely.Geometry]] = {}
    n_unnamed = 0
    for attributes, shapes in features:
        polygons = [part for shape in shapes for part in polygon_parts(_valid(shapely.force_2d(shape)))]
        value = attributes.get(column)
        named = "" if value is None or value != value else str(value).strip()
        if polygons and named:
            grouped.setdefault(clean_name(named), []).extend(polygons)
        elif polygons:
            n_unnamed += 1
    if not grouped:
        raise RegionError(
            f"'{title}' holds no polygon with a name in the column '{column}'; give a file of polygons, or "
            "another column of names."
        )
    if n_unnamed:
        counted = "1 polygon" if n_unnamed == 1 else f"{n_unnamed} polygons"
        notes = [*notes, f"{counted} of '{title}' without a name in the column '{column}' left out."]
    outlines = [_in_degrees(polygons, declared, title) for polygons in grouped.values()]
    key = hashlib.sha256(data)
    key.update(repr((column, crs, layer)).encode())
    return Outlines(
        title, column, tuple(grouped), tuple(outlines), crs or "", tuple(notes), key.hexdigest()[:16]
    )


def name_columns(
    source: Path | str | bytes | BinaryIO,
    filename: str | None = None,
    crs: str | None = None,
    layer: str | None = None,
) -> tuple[str, ...]:
    """Columns of a vector file that may name its outlines: those with text, else all; raises RegionError."""
    data, title = bytes_of(source, filename)
    features, _, _ = features_of(data, title, PurePosixPath(title).suffix.lower(), crs, layer)
    columns, texts = _columns(features)
    return tuple(texts or columns)


def features_of(
    data: bytes, title: str, suffix: str, crs: str | None, layer: str | None
) -> tuple[list[Feature], str, list[str]]:
    """Attributes and geometries (none, one or more) of every feature of a file, their CRS, and notes.

    `data` is the content and `title` the clean name (`reading.bytes_of`), `suffix` tells the format; the
    other arguments, and errors, are those of `read_outlines`.
    """
    if suffix in (".zip", ".kmz"):
        return _from_archive(data, title, crs, layer)
    if suffix == ".kml":
        return [*kml_placemarks(data, title)], "EPSG:4326", []
    if suffix == ".gpkg" and data.startswith(b"SQLite format 3\0"):
        return _from_gdal({"region.gpkg": data}, title, crs, layer)
    if suffix in (".geojson", ".json"):
        return _from_geojson(data, title, crs)
    raise RegionError(
        f"'{title}' is no file of outlines that is read here; give GeoJSON, GeoPackage, KML, KMZ or a zipped "
        "shapefile."
    )


def _from_geojson(data: bytes, title: str, crs: str | None) -> tuple[list[Feature], str, list[str]]:
    try:
        parsed = json.loads(data.decode("utf-8-sig"))
        features = parsed["features"] if parsed["type"] == "FeatureCollection" else [parsed]
        found = []
        for feature in features:
            shapes, _ = geometries_of(feature)
            found.append((feature.get("properties") or {}, shapes))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RegionError(f"'{title}' is not GeoJSON with features; export the file again.") from error
    return found, crs or crs_of(parsed) or "EPSG:4326", []


def _from_archive(
    data: bytes, title: str, crs: str | None, layer: str | None
) -> tuple[list[Feature], str, list[str]]:
    members = read_archive(data, title)
    mains = [name for name in members if PurePosixPath(name).suffix.lower() in MAIN_SUFFIXES]
    mains.sort(key=lambda name: (MAIN_SUFFIXES.index(PurePosixPath(name).suffix.lower()), name))
    asked = [name for name in mains if layer and layer in (name, PurePosixPath(name).stem)]
    main = (asked or mains)[0]
    path = PurePosixPath(main)
    if path.suffix.lower() != ".shp":
        found = features_of(members[main], title, path.suffix.lower(), crs, None if asked else layer)
    else:
        parts = {
            f"region{PurePosixPath(name).suffix.lower()}": content
            for name, content in members.items()
            if PurePosixPath(name).with_suffix("") == path.with_suffix("")
            and PurePosixPath(name).suffix.lower() in SHAPEFILE_PARTS
        }
        found = _from_gdal(parts, title, crs, None)
    if len(mains) == 1 or asked:
        return found
    features, declared, notes = found
    return features, declared, [f"The archive holds {len(mains)} files; '{path.name}' was read.", *notes]


def _from_gdal(
    files: dict[str, bytes], title: str, crs: str | None, layer: str | None
) -> tuple[list[Feature], str, list[str]]:
    found = read_layer(files, title, crs, layer, with_columns=True)
    features: list[Feature] = [
        ({name: values[place] for name, values in found.columns.items()}, [] if shape.is_empty else [shape])
        for place, shape in enumerate(found.geometries)
    ]
    return features, found.crs, found.notes


def _columns(features: Sequence[Feature]) -> tuple[list[str], list[str]]:
    """All columns, and those whose text tells outlines apart: where none does, those that hold any text."""
    columns = list(dict.fromkeys(name for attributes, _ in features for name in attributes))
    texts = [name for name in columns if any(isinstance(said.get(name), str) for said, _ in features)]
    telling = [name for name in texts if len({str(said.get(name)) for said, _ in features}) > 1]
    return columns, telling or texts


def _name_column(features: Sequence[Feature], title: str, wanted: str | None) -> str:
    columns, texts = _columns(features)
    listed = ", ".join(f"'{name}'" for name in columns[:_N_LISTED])
    if wanted is not None:
        matching = [name for name in columns if name == wanted]
        matching += [name for name in columns if name.lower() == wanted.lower()]
        if matching:
            return matching[0]
        has = f"it has {listed}" if columns else "its polygons have no names or other columns at all"
        raise RegionError(f"'{title}' has no column '{clean_name(wanted)}'; {has}.")
    named = [name for word in NAME_COLUMNS for name in texts if name.lower() == word]
    if named or len(texts) == 1:
        return (named or texts)[0]
    if not texts:
        raise RegionError(
            f"The outlines of '{title}' have no column of names"
            + (f", only {listed}; choose one of them" if columns else "; add one that says what each is")
            + "."
        )
    raise RegionError(
        f"'{title}' has several columns that may name its outlines: {listed}; say which one holds the names "
        "(--name-column on the command line)."
    )


def _in_degrees(polygons: list[shapely.Geometry], crs: str, title: str) -> shapely.MultiPolygon:
    """Polygons as one valid multipolygon in longitude, latitude."""
    whole = reproject([shapely.MultiPolygon(polygons)], crs)[0]
    coordinates = shapely.get_coordinates(whole)
    if not (np.isfinite(coordinates).all() and (np.abs(coordinates) <= [360.0, 90.0]).all()):
        x, y = coordinates[np.argmax(np.abs(np.nan_to_num(coordinates)).sum(axis=1))]
        raise RegionError(
            f"'{title}' holds coordinates such as ({x:.6g}, {y:.6g}), which are no degrees in {crs[:40]}; "
            "state the CRS of the file, for instance EPSG:3035."
        )
    return shapely.MultiPolygon(polygon_parts(_valid(whole)))


def _valid(geometry: shapely.Geometry) -> shapely.Geometry:
    if geometry.is_valid:
        return geometry
    return shapely.make_valid(geometry, method="structure", keep_collapsed=False)
