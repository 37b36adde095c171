"""Data files of a report: tables, geometry, cells and rasters, each with the numbers it was given."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import rasterio
import rasterio.shutil

from sdm_core import regions

HABITATS_HEADER = ("level", "code", "name", "area_ha", "share", "confidence", "note")
HABITATS_STATEMENT = (
    "Not available: this atlas holds no habitat predictions, so no habitat was assigned to any cell."
)
#: Pixel sizes tried for rasters, in degrees: 30, 60, … arc-seconds (about 0.9 km at the equator and up).
PIXEL_SIZES_DEG = (1 / 120, 1 / 60, 1 / 30, 1 / 12, 1 / 6, 1 / 3, 1.0)
MAX_RASTER_PIXELS = 8_000_000


def without_nan(value: Any) -> Any:
    """Copy of a JSON-like value in which NaN and infinities are None and NumPy scalars are plain."""
    if isinstance(value, Mapping):
        return {str(key): without_nan(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return [without_nan(item) for item in value.tolist()]
    if isinstance(value, (list, tuple)):
        return [without_nan(item) for item in value]
    if isinstance(value, np.generic):
        return without_nan(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is pd.NA or value is pd.NaT:
        return None
    return value


def write_indicators(path: Path, content: Mapping[str, Any]) -> None:
    """Write `indicators.json`: UTF-8, no NaN (an undefined number is null), one species per line."""
    plain = without_nan(content)
    species = plain.pop("species", [])
    head = json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False).removesuffix("\n}")
    rows = ",\n    ".join(json.dumps(row, ensure_ascii=False, allow_nan=False) for row in species)
    lines = f"\n    {rows}\n  " if species else ""
    comma = "," if plain else ""
    path.write_text(f'{head}{comma}\n  "species": [{lines}]\n}}\n', encoding="utf-8")


def write_species(path: Path, table: pd.DataFrame) -> None:
    """Write `species.csv`: every species of the atlas, UTF-8, comma, one header line, empty = unknown."""
    table.to_csv(path, index=False, quoting=csv.QUOTE_MINIMAL, lineterminator="\n")


def write_habitats(path: Path) -> None:
    """Write `habitats.csv`: the header and one line that says why there is no habitat in it."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(HABITATS_HEADER)
        writer.writerow([""] * (len(HABITATS_HEADER) - 1) + [HABITATS_STATEMENT])


def write_area(path: Path, region: regions.Region, properties: Mapping[str, Any]) -> None:
    """Write `area.geojson`: one GeoJSON feature (RFC 7946) with the region's outline and `properties`.

    Coordinates are kept to 1e-7° (1 cm), so that reading the file back gives the same `geometry_hash`.
    """
    feature = region.to_geojson(decimals=7)
    feature["properties"] = {**feature["properties"], **without_nan(properties)}
    path.write_text(json.dumps(feature, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def cells_table(
    cells: np.ndarray, lonlat: np.ndarray, area_ha: np.ndarray, layers: Mapping[str, np.ndarray]
) -> gpd.GeoDataFrame:
    """One row per H3 cell: index, centre, area in km² and one column per layer; hexagons in EPSG:4326."""
    return gpd.GeoDataFrame(
        {
            "cell": regions.cells_to_strings(cells),
            "longitude": lonlat[:, 0],
            "latitude": lonlat[:, 1],
            "area_km2": np.asarray(area_ha, dtype=float) / 100.0,
            **{name: np.asarray(values) for name, values in layers.items()},
        },
        geometry=list(regions.cell_polygons(cells)),
        crs="EPSG:4326",
    )


def write_cells(path: Path, table: gpd.GeoDataFrame) -> None:
    """Write `cells.geoparquet` (GeoParquet 1.1)."""
    table.to_parquet(path, index=False, compression="zstd")


def pixel_size_deg(cells: np.ndarray, lonlat: np.ndarray, resolution: int) -> float:
    """Smallest of `PIXEL_SIZES_DEG` near a sixth of a cell's width or wider that fits the limit."""
    edge_km = math.sqrt(float(np.mean(regions.cell_area_km2(cells[:100]))) / 2.598)
    wanted = edge_km * 1.7 / 111.2 / 6.0
    west, south = lonlat.min(axis=0)
    east, north = lonlat.max(axis=0)
    for size in PIXEL_SIZES_DEG:
        if size >= 0.75 * wanted and ((east - west) / size + 8) * ((north - south) / size + 8) <= (
            MAX_RASTER_PIXELS
        ):
            return size
    return PIXEL_SIZES_DEG[-1]


def write_rasters(
    folder: Path,
    cells: np.ndarray,
    lonlat: np.ndarray,
    resolution: int,
    layers: Mapping[str, tuple[np.ndarray, str]],
    tags: Mapping[str, str],
) -> list[Path]:
    """Write one cloud-optimised GeoTIFF per layer: each pixel holds the value of the H3 cell of its centre.

    `cells` sorted uint64 with `lonlat` centres; `layers` name → (values per cell, unit). EPSG:4326,
    float32, NaN where a pixel's centre lies in none of the cells; pixels are aligned to whole degrees.
    """
    size = pixel_size_deg(cells, lonlat, resolution)
    margin = 1.5 * math.sqrt(float(np.max(regions.cell_area_km2(cells)))) / 111.2
    stretch = 1.0 / max(math.cos(math.radians(min(float(np.abs(lonlat[:, 1]).max()) + margin, 89.0))), 0.02)
    first_column = math.floor((lonlat[:, 0].min() - margin * stretch) / size)
    last_column = math.ceil((lonlat[:, 0].max() + margin * stretch) / size)
    first_row = math.ceil(min(lonlat[:, 1].max() + margin, 90.0) / size)
    last_row = math.floor(max(lonlat[:, 1].min() - margin, -90.0) / size)
    width, height = last_column - first_column, first_row - last_row
    longitude = (first_column + np.arange(width) + 0.5) * size
    latitude = (first_row - np.arange(height) - 0.5) * size
    rows = _rows_of_pixels(cells, longitude, latitude, resolution)
    transform = rasterio.Affine(size, 0.0, first_column * size, 0.0, -size, first_row * size)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, (values, unit) in layers.items():
        grid = np.full(rows.shape, np.nan, dtype=np.float32)
        inside = rows >= 0
        grid[inside] = np.asarray(values, dtype=np.float32)[rows[inside]]
        path = folder / f"{name}.tif"
        _write_raster(path, grid, transform, name, unit, tags)
        written.append(path)
    return written


def _rows_of_pixels(
    cells: np.ndarray, longitude: np.ndarray, latitude: np.ndarray, resolution: int
) -> np.ndarray:
    """Row in `cells` of every pixel centre (height, width); -1 outside."""
    grid_longitude, grid_latitude = np.meshgrid(longitude, latitude)  # (height, width)
    pixel_cells = np.asarray(
        regions.lonlat_to_cells(grid_longitude.ravel(), grid_latitude.ravel(), resolution), dtype=np.uint64
    )
    places = np.minimum(np.searchsorted(cells, pixel_cells), len(cells) - 1)
    return np.where(cells[places] == pixel_cells, places, -1).reshape(grid_longitude.shape)


def _write_raster(
    path: Path, grid: np.ndarray, transform: Any, name: str, unit: str, tags: Mapping[str, str]
) -> None:
    profile = {
        "height": grid.shape[0],
        "width": grid.shape[1],
        "count": 1,
        "dtype": "float32",
        "crs": "EPSG:4326",
        "transform": transform,
        "nodata": float("nan"),
    }
    # The COG driver copies a finished raster, so the bands are described in memory first.
    with rasterio.MemoryFile() as memory:
        with memory.open(driver="GTiff", **profile) as plain:
            plain.write(grid, 1)
            plain.set_band_description(1, name)
            plain.set_band_unit(1, unit)
            plain.update_tags(**tags)
        with memory.open() as plain:
            rasterio.shutil.copy(
                plain, path, driver="COG", compress="DEFLATE", predictor="YES", overview_resampling="average"
            )
