"""Region files as users upload them: GeoJSON, GeoPackage, KML, KMZ and zipped shapefiles."""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import shapely

from sdm_core import config
from sdm_core.errors import RegionError
from sdm_core.regions.archives import MAIN_SUFFIXES, read_archive
from sdm_core.regions.gdal import crs_title, read_layer
from sdm_core.regions.geometry import clean_name
from sdm_core.regions.kml import kml_geometries
from sdm_core.regions.region import Region, region_from_features, region_from_geometry, reproject

#: Suffixes a region file may have, for file choosers.
REGION_SUFFIXES = (".geojson", ".json", ".gpkg", ".kml", ".kmz", ".zip")
#: Files that make one shapefile.
SHAPEFILE_PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg")


def read_region(
    source: Path | str | bytes | BinaryIO,
    filename: str | None = None,
    crs: str | None = None,
    layer: str | None = None,
) -> Region:
    """The region in a file: all its polygons dissolved into one, in WGS84, with notes on every change.

    Parameters: a path, the bytes of an upload or an open binary file; `filename` tells an upload's format
    by its suffix; `crs` (for instance "EPSG:3035") is used instead of what the file says; `layer` chooses
    one of several in a GeoPackage or archive. Nothing of an upload reaches the disk but a GeoPackage or
    shapefile under a fixed name in a temporary folder. Raises RegionError, MissingCRSError or
    UnsafeArchiveError.
    """
    data, title = bytes_of(source, filename)
    suffix = PurePosixPath(title).suffix.lower()
    if suffix in (".zip", ".kmz"):
        return _from_archive(data, title, crs, layer)
    return _from_one_file(data, title, suffix, crs, layer)


def bytes_of(source: Path | str | bytes | BinaryIO, filename: str | None) -> tuple[bytes, str]:
    """Content and clean name of a file or an upload; raises RegionError for one too large or empty."""
    limit = config.MAX_UPLOAD_BYTES
    if isinstance(source, Path | str):
        path = Path(source)
        title = _title(filename or path.name)
        try:
            size = path.stat().st_size
            data = path.read_bytes() if size <= limit else b""
        except OSError as error:
            reason = error.strerror or str(error)
            raise RegionError(
                f"The region file '{path}' cannot be read ({reason}); check its path."
            ) from error
    elif isinstance(source, bytes | bytearray | memoryview):
        title, size, data = _title(filename or "region.geojson"), len(source), bytes(source)
    else:
        title = _title(filename or str(getattr(source, "name", "region.geojson")))
        size = getattr(source, "size", 0)
        data = source.read(limit + 1) if not isinstance(size, int) or size <= limit else b""
        size = max(size if isinstance(size, int) else 0, len(data))
    if size > limit:
        raise RegionError(
            f"'{title}' is {size / 1024**2:,.0f} MB, more than the {limit / 1024**2:,.0f} MB a region file "
            "may have; "
            "simplify the polygon or keep only the one you need."
        )
    if not data:
        raise RegionError(f"'{title}' is empty (0 bytes); export the polygon again.")
    return data, title


def _title(filename: str) -> str:
    return clean_name(re.split(r"[\\/]", filename)[-1], "region")


def _from_one_file(data: bytes, title: str, suffix: str, crs: str | None, layer: str | None) -> Region:
    if suffix in (".geojson", ".json"):
        return _from_geojson(data, title, crs)
    if suffix == ".kml":
        return _from_kml(data, title)
    if suffix == ".gpkg":
        if not data.startswith(b"SQLite format 3\0"):
            raise RegionError(f"'{title}' is no GeoPackage although its name says so; export it again.")
        return _from_gdal({"region.gpkg": data}, title, crs, layer)
    if suffix in (".shp", ".shx", ".dbf", ".prj"):
        raise RegionError(
            f"'{title}' is one part of a shapefile; zip its .shp, .shx, .dbf and .prj and give the zip."
        )
    found = f"the suffix '{suffix}', which is not read" if suffix else "no suffix to tell its format by"
    raise RegionError(f"'{title}' has {found}; give {', '.join(REGION_SUFFIXES)} (a shapefile as .zip).")


def _from_geojson(data: bytes, title: str, crs: str | None) -> Region:
    try:
        parsed = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise RegionError(f"'{title}' is not text in UTF-8; export it again as GeoJSON.") from error
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else str(error)[:100]
        raise RegionError(
            f"'{title}' is not GeoJSON with a polygon ({reason}); export the file again."
        ) from error
    return region_from_features(parsed, PurePosixPath(title).stem, source=title, crs=crs)


def _from_kml(data: bytes, title: str) -> Region:
    geometries = kml_geometries(data, title)
    if not geometries:
        raise RegionError(
            f"'{title}' holds no polygon; a KML with a network link only points to one, save that one."
        )
    return _merged(geometries, title, [], "EPSG:4326")


def _merged(geometries: list[shapely.Geometry], title: str, notes: list[str], declared_crs: str) -> Region:
    if len(geometries) > 1:
        notes = [*notes, f"{len(geometries)} features were merged into one region."]
    whole = geometries[0] if len(geometries) == 1 else shapely.GeometryCollection(geometries)
    return region_from_geometry(whole, PurePosixPath(title).stem, title, tuple(notes), declared_crs)


def _from_archive(data: bytes, title: str, crs: str | None, layer: str | None) -> Region:
    members = read_archive(data, title)
    mains = [name for name in members if PurePosixPath(name).suffix.lower() in MAIN_SUFFIXES]
    mains.sort(key=lambda name: (MAIN_SUFFIXES.index(PurePosixPath(name).suffix.lower()), name))
    asked = [name for name in mains if layer and layer in (name, PurePosixPath(name).stem)]
    main = (asked or mains)[0]
    suffix = PurePosixPath(main).suffix.lower()
    if suffix == ".shp":
        region = _from_shapefile(members, main, title, crs)
    else:
        region = _from_one_file(members[main], title, suffix, crs, None if asked else layer)
    if len(mains) == 1 or asked:
        return region
    others = ", ".join(f"'{PurePosixPath(name).name}'" for name in mains[1:6])
    note = f"The archive holds {len(mains)} files; '{PurePosixPath(main).name}' was read, not {others}."
    return Region(region.name, region.geometry, region.source, (note, *region.notes))


def _from_shapefile(members: dict[str, bytes], main: str, title: str, crs: str | None) -> Region:
    stem = main[: -len(".shp")].lower()
    parts = {
        f"region{PurePosixPath(name).suffix.lower()}": content
        for name, content in members.items()
        if name[: -len(PurePosixPath(name).suffix)].lower() == stem
        and PurePosixPath(name).suffix.lower() in SHAPEFILE_PARTS
    }
    if not members[main].startswith(b"\x00\x00\x27\x0a"):
        raise RegionError(
            f"'{PurePosixPath(main).name}' in '{title}' is no shapefile; export and zip it again."
        )
    return _from_gdal(parts, title, crs, None)


def _from_gdal(files: dict[str, bytes], title: str, crs: str | None, layer: str | None) -> Region:
    found = read_layer(files, title, crs, layer)
    moved = reproject([shape for shape in found.geometries if not shape.is_empty], found.crs)
    return _merged(moved, title, found.notes, crs_title(found.crs))
