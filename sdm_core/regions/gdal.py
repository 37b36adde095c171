"""Layers of GeoPackages and shapefiles, whose content was checked to be one, through GDAL."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from sdm_core.errors import MissingCRSError, RegionError


@dataclass(frozen=True)
class Layer:
    """One layer of a file.

    Attributes:
        geometries: one per feature, in the file's coordinates; an empty one where it has none.
        columns: values of each attribute, one per feature; empty unless asked for.
        crs: CRS stated by the caller or the file.
        notes: on a choice between several layers.
    """

    geometries: list[shapely.Geometry]
    columns: dict[str, list[Any]]
    crs: str
    notes: list[str]


def read_layer(
    files: dict[str, bytes], title: str, crs: str | None, layer: str | None, with_columns: bool = False
) -> Layer:
    """The chosen or first layer with polygons of `region.gpkg`, or of `region.shp` and its side files.

    Raises RegionError, or MissingCRSError where neither `crs` nor the file names one.
    """
    import pyogrio
    from pyogrio.errors import DataLayerError, DataSourceError

    main = "region.shp" if "region.shp" in files else "region.gpkg"
    with tempfile.TemporaryDirectory(prefix="florascope-") as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        path = Path(folder) / main
        pyogrio.set_gdal_config_options({"SHAPE_RESTORE_SHX": "YES"})
        try:
            chosen, notes = _choose_layer(pyogrio.list_layers(path), title, layer)
            wanted: list[str] | None = None if with_columns else []
            meta, _, binary, values = pyogrio.raw.read(path, layer=chosen, columns=wanted, force_2d=True)
            read = shapely.from_wkb(binary)
        except (DataSourceError, DataLayerError, ValueError, shapely.GEOSException) as error:
            reason = re.sub(re.escape(folder) + r"\S*", "the file", str(error))[:120].rstrip(".")
            raise RegionError(f"'{title}' cannot be read ({reason}); export it again.") from error
        finally:
            pyogrio.set_gdal_config_options({"SHAPE_RESTORE_SHX": None})
    geometries = [shapely.Point() if shape is None else shape for shape in read]
    if all(shape.is_empty for shape in geometries):
        raise RegionError(f"'{title}' holds no polygon: its layer is empty; export the polygon again.")
    declared = crs or _known_crs(meta.get("crs"))
    if declared is None:
        raise MissingCRSError(_missing_crs(geometries, title))
    names = [str(name) for name in meta["fields"]] if with_columns else []
    columns = {name: list(column) for name, column in zip(names, values or (), strict=False)}
    return Layer(geometries, columns, declared, notes)


def _choose_layer(layers: Any, title: str, wanted: str | None) -> tuple[str, list[str]]:
    """The layer to read from rows of (name, geometry type), and a note when there was a choice."""
    names = [str(name) for name, _ in layers]
    if wanted is not None and wanted not in names and len(names) > 1:
        raise RegionError(f"'{title}' has no layer '{wanted[:60]}'; it has {', '.join(names[:10])}.")
    if wanted in names:
        return str(wanted), []
    spatial = [str(name) for name, kind in layers if kind is not None]
    polygons = [str(name) for name, kind in layers if kind is not None and "Polygon" in str(kind)]
    usable = polygons or spatial
    if not usable:
        raise RegionError(f"'{title}' holds no layer with geometry; export the polygon again.")
    others = [name for name in usable if name != usable[0]]
    if not others:
        return usable[0], []
    listed = ", ".join(others[:5])
    return usable[0], [f"The file has {len(usable)} layers; '{usable[0]}' was read, not {listed}."]


def _known_crs(crs: Any) -> str | None:
    """The CRS a file names, None for none and for GeoPackage's two placeholders of "undefined"."""
    return None if not crs or "undefined" in str(crs).lower() else str(crs)


def crs_title(crs: str) -> str:
    """A short name of a CRS that may be given as WKT."""
    quoted = re.search(r'"([^"]{1,60})"', crs)
    return crs if len(crs) <= 40 else quoted[1] if quoted else crs[:40]


def _missing_crs(geometries: list[shapely.Geometry], title: str) -> str:
    coordinates = shapely.get_coordinates(geometries)
    west, south = np.nanmin(coordinates, axis=0)
    east, north = np.nanmax(coordinates, axis=0)
    degrees = west >= -180 and east <= 180 and south >= -90 and north <= 90
    looks = (
        "which look like degrees: state EPSG:4326 if they are WGS84"
        if degrees
        else "which are not degrees: state its CRS, for instance EPSG:3035 or EPSG:25830"
    )
    return (
        f"'{title}' does not say which coordinate system it is in (a shapefile needs its .prj); "
        f"its coordinates run from ({west:.6g}, {south:.6g}) to ({east:.6g}, {north:.6g}), {looks}."
    )
