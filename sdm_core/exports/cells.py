"""Cells of an atlas as GeoParquet 1.1: one row per H3 cell, written piece by piece."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from numpy.typing import ArrayLike, NDArray

from sdm_core import regions
from sdm_core.errors import ExportError
from sdm_core.exports.layers import Layer
from sdm_core.exports.metadata import atlas_tags
from sdm_core.exports.rasters import cells_of
from sdm_core.registry import Atlas
from sdm_core.writing import written_aside

GEOPARQUET_VERSION = "1.1.0"
GEOMETRIES = ("hexagon", "centre")
#: Key of the file's own description in its metadata, a JSON object.
METADATA_KEY = "florascope"
_MOST_ROWS = 65_536
_LEAST_ROWS = 1024
#: Bytes of values held at once.
_GROUP_BYTES = 64 * 1024**2
_BBOX = ("xmin", "ymin", "xmax", "ymax")
#: Column names of a table of cells that no layer may take.
_FIXED_COLUMNS = ("cell", "cell_id", "longitude", "latitude", "area_km2", "bbox", "geometry")

Geometry = Literal["hexagon", "centre"]


def write_cells_geoparquet(
    path: Path,
    atlas: Atlas,
    layers: Sequence[Layer],
    region: regions.Region | None = None,
    geometry: str = "hexagon",
) -> int:
    """Write cells of an atlas with layers as columns; returns the number of cells.

    Columns: cell (H3 name), cell_id (the same as uint64), longitude and latitude of the centre in degrees,
    area_km2, one float32 column per layer (a species under its scientific name), bbox, geometry in EPSG:4326.
    Only the cells whose centre lies in `region` when it is given. geometry: "hexagon" or "centre".

    Raises `ExportError`, `NoDataInRegionError`.
    """
    rows, cells, lonlat = cells_of(atlas, region)
    area_ha = np.asarray(atlas.store.area_ha) if rows is None else np.asarray(atlas.store.area_ha)[rows]

    def column(layer: Layer) -> Callable[[slice], NDArray[Any]]:
        values = layer.values  # read in pieces, so that many species need no more memory than one piece
        return lambda piece: values(
            atlas.store, np.arange(piece.start, piece.stop) if rows is None else rows[piece]
        )

    columns = {layer.species or layer.name: column(layer) for layer in layers}
    write_cells(path, cells, lonlat, area_ha, columns, geometry=geometry, description=atlas_tags(atlas))
    return len(cells)


def write_cells(
    path: Path,
    cells: NDArray[np.uint64],
    lonlat: NDArray[np.float64],
    area_ha: ArrayLike,
    columns: Mapping[str, ArrayLike | Callable[[slice], NDArray[Any]]],
    *,
    geometry: str = "hexagon",
    description: Mapping[str, str] | None = None,
) -> None:
    """Write a table of cells as GeoParquet, see `write_cells_geoparquet`.

    columns: name → values (n_cells,), or a function from a slice of rows to their values. description: goes
    into the file's metadata as JSON under `florascope`.
    """
    if geometry not in GEOMETRIES:
        raise ExportError(f"The geometry is {geometry!r}, expected {' or '.join(GEOMETRIES)}.")
    clash = [name for name in columns if name in _FIXED_COLUMNS]
    if clash:
        raise ExportError(f"A layer cannot be called {clash[0]!r}, which is a column of every cell table.")
    hectares = np.asarray(area_ha)
    step = max(_LEAST_ROWS, min(_MOST_ROWS, _GROUP_BYTES // (4 * max(len(columns), 1))))
    kinds: set[str] = set()
    box = np.array([np.inf, np.inf, -np.inf, -np.inf])
    with written_aside(path, ExportError) as aside:
        writer = None
        try:
            for start in range(0, len(cells), step):
                piece = slice(start, min(start + step, len(cells)))
                shapes = (
                    regions.cell_polygons(cells[piece])
                    if geometry == "hexagon"
                    else shapely.points(lonlat[piece])
                )
                bounds = shapely.bounds(shapes)  # (rows, 4)
                kinds.update(shape.geom_type for shape in np.atleast_1d(shapes)[_one_per_kind(shapes)])
                box = np.concatenate(
                    [
                        np.minimum(box[:2], bounds[:, :2].min(axis=0)),
                        np.maximum(box[2:], bounds[:, 2:].max(axis=0)),
                    ]
                )
                table = _table(cells[piece], lonlat[piece], hectares[piece], columns, piece, bounds, shapes)
                if writer is None:
                    writer = pq.ParquetWriter(aside, table.schema, compression="zstd")
                writer.write_table(table, row_group_size=step)
            if writer is None:
                raise ExportError(f"{path} would hold no cell; choose a region with cells of the atlas.")
            writer.add_key_value_metadata(_metadata(kinds, box, description))
        finally:
            if writer is not None:
                writer.close()


def _one_per_kind(shapes: NDArray[np.object_]) -> NDArray[np.int64]:
    """A row of each geometry type."""
    _, first = np.unique(shapely.get_type_id(shapes), return_index=True)
    return first


def _table(
    cells: NDArray[np.uint64],
    lonlat: NDArray[np.float64],
    hectares: NDArray[Any],
    columns: Mapping[str, ArrayLike | Callable[[slice], NDArray[Any]]],
    piece: slice,
    bounds: NDArray[np.float64],
    shapes: NDArray[np.object_],
) -> pa.Table:
    """Rows of one piece with their types."""
    values = {
        name: source(piece) if callable(source) else np.asarray(source)[piece]
        for name, source in columns.items()
    }
    return pa.table(
        {
            "cell": pa.array(regions.cells_to_strings(cells), pa.string()),
            "cell_id": pa.array(cells, pa.uint64()),
            "longitude": pa.array(lonlat[:, 0], pa.float64()),
            "latitude": pa.array(lonlat[:, 1], pa.float64()),
            "area_km2": pa.array(hectares.astype(np.float64) / 100.0, pa.float64()),
            **{name: pa.array(array) for name, array in values.items()},
            "bbox": pa.StructArray.from_arrays(
                [pa.array(bounds[:, side]) for side in range(4)], names=list(_BBOX)
            ),
            "geometry": pa.array(shapely.to_wkb(shapes), pa.binary()),
        }
    )


def _metadata(
    kinds: set[str], box: NDArray[np.float64], description: Mapping[str, str] | None
) -> dict[str, str]:
    """Metadata of GeoParquet, with the bounding boxes named so that readers skip what they do not need."""
    import pyproj

    geo = {
        "version": GEOPARQUET_VERSION,
        "primary_column": "geometry",
        "columns": {
            "geometry": {
                "encoding": "WKB",
                "geometry_types": sorted(kinds),
                "crs": pyproj.CRS.from_epsg(4326).to_json_dict(),
                "bbox": [float(side) for side in box],
                "covering": {"bbox": {side: ["bbox", side] for side in _BBOX}},
            }
        },
    }
    own = {METADATA_KEY: json.dumps(dict(description), ensure_ascii=False)} if description else {}
    return {"geo": json.dumps(geo), **own}
