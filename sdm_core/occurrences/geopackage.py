"""GeoPackages with points: records, or plots with the species and covers found in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from pyproj.exceptions import CRSError

from sdm_core.errors import MissingCRSError, OccurrenceError
from sdm_core.occurrences.guessing import with_usual_names
from sdm_core.occurrences.plain import (
    LATITUDE_COLUMNS,
    LONGITUDE_COLUMNS,
    SPECIES_COLUMNS,
    occurrences_of_table,
)
from sdm_core.occurrences.plots import COVER_COLUMNS, SITE_COLUMNS, plots_of_long_table
from sdm_core.occurrences.reading import find_column
from sdm_core.occurrences.table import Occurrences

MAGIC = b"SQLite format 3\0"


def read_geopackage(
    path: Path, *, layer: str | None = None, crs: str | None = None, **options: Any
) -> Occurrences:
    """Occurrences of the points of a GeoPackage, in whichever coordinate system they are.

    The columns of the layer are read as those of `read_csv`; the species column is found by its name, else
    by its values. A layer with plots and covers is read as `read_plots_long` reads a table, covers kept.

    Args:
        path: the GeoPackage.
        layer: name of the layer; the first with geometry and names of species when not given.
        crs: coordinate system where the file names none, or a wrong one.
        options: as `read_csv` (`species`, `years`, …), or as `read_plots_long` for plots with covers.

    Raises:
        OccurrenceError: when it is no GeoPackage, has no points or no column with names of species.
        MissingCRSError: when neither the file nor `crs` says which coordinate system it is in.
    """
    path = Path(path)
    tables = geopackage_tables(path, crs)
    if layer is not None and layer not in tables:
        raise OccurrenceError(f"{path.name} has no layer '{layer}'; it has {', '.join(tables)}.")
    for name, raw in tables.items() if layer is None else [(layer, tables[layer])]:
        table, _ = with_usual_names(raw)
        if find_column(table.columns, LONGITUDE_COLUMNS) is None:
            continue
        if "species" in options or find_column(table.columns, SPECIES_COLUMNS):
            title = f"{path.name} (layer {name})"
            if find_column(table.columns, SITE_COLUMNS) and find_column(table.columns, COVER_COLUMNS):
                return plots_of_long_table(table, title, **options).occurrences()
            return occurrences_of_table(table, title, f"GeoPackage {title}", **options)
    columns = ", ".join(f"{name}: {', '.join(map(str, raw.columns[:8]))}" for name, raw in tables.items())
    raise OccurrenceError(
        f"{path.name} has no layer of points with names of species (layers and columns: {columns}); name the "
        "column 'species'."
    )


def geopackage_tables(path: Path, crs: str | None = None) -> dict[str, pd.DataFrame]:
    """Layer name → its columns as text, those with geometry first, with `longitude` and `latitude` (WGS84).

    A polygon or line stands for a point on it. Columns of coordinates beside a geometry are left out.

    Raises: as `read_geopackage`.
    """
    import pyogrio
    from pyogrio.errors import DataLayerError, DataSourceError

    path = Path(path)
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise OccurrenceError(
                    f"{path.name} is no GeoPackage although its name says so; export it again."
                )
        layers = [(str(name), kind) for name, kind in pyogrio.list_layers(path)]
        layers.sort(key=lambda layer: layer[1] is None)
        tables = {
            name: _table(path, name, kind is not None, crs) for name, kind in layers if name != "layer_styles"
        }
    except (DataSourceError, DataLayerError, ValueError, shapely.GEOSException, OSError) as error:
        reason = re.sub(r"(/[^\s']+)+", "the file", str(error))[:120].rstrip(".")
        raise OccurrenceError(f"{path.name} cannot be read ({reason}); export it again.") from error
    if not any(kind is not None for _, kind in layers):
        raise OccurrenceError(f"{path.name} holds no layer with points; export the records with geometry.")
    return tables


def _table(path: Path, layer: str, spatial: bool, crs: str | None) -> pd.DataFrame:
    """One layer as text, with its coordinates in degrees."""
    import pyogrio

    meta, _, binary, fields = pyogrio.raw.read(path, layer=layer, read_geometry=spatial, force_2d=True)
    columns = {str(name): _text(values) for name, values in zip(meta["fields"], fields, strict=True)}
    table = pd.DataFrame(columns, index=pd.RangeIndex(len(binary)) if spatial else None)
    if not spatial:
        return table
    declared = crs or meta.get("crs")
    if not declared or "undefined" in str(declared).lower():
        raise MissingCRSError(
            f"{path.name} does not say which coordinate system its points are in; state it, for instance "
            "EPSG:4326 for degrees or EPSG:25832."
        )
    shapes = shapely.from_wkb(binary)
    is_point = shapely.get_type_id(shapes) == 0
    points = np.where(is_point, shapes, shapely.point_on_surface(shapes))
    x, y = shapely.get_x(points), shapely.get_y(points)
    try:
        x, y = Transformer.from_crs(declared, 4326, always_xy=True).transform(x, y)
    except CRSError as error:
        raise OccurrenceError(
            f"The coordinate system '{str(declared)[:40]}' of {path.name} is not known; name it as EPSG "
            "code, for instance 'EPSG:3035'."
        ) from error
    stale = [
        name
        for name in table.columns
        if find_column([name], (*LONGITUDE_COLUMNS, *LATITUDE_COLUMNS)) is not None
    ]
    table = table.drop(columns=stale)
    for name, values in (("longitude", x), ("latitude", y)):
        numbers = pd.Series(np.asarray(values, dtype=np.float64), index=table.index)
        table[name] = numbers.astype(str).where(np.isfinite(numbers), "")
    return table


def _text(values: NDArray[Any]) -> pd.Series:
    """A column as text, empty where it has nothing; whole numbers without a decimal point."""
    column = pd.Series(values)
    missing = column.isna()
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    return column.astype(str).str.strip().where(~missing, "")
