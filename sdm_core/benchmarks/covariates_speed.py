"""Speed of reading covariates at points: windows by array index against `rasterio.sample`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
from scipy.ndimage import gaussian_filter

from sdm_core.benchmarks.timing import Comparison, compare
from sdm_core.covariates import CovariateStack, RasterSource, open_rasters

_GOAL, _DECODING_GOAL = 100.0, 10.0
_CACHE_BYTES = 1024**3
_NODATA = -9999.0
#: Upper left corner in degrees, and cells of 30 arc-seconds, as climate layers have.
_WEST, _NORTH, _CELL_DEG = -10.0, 60.0, 1 / 120
_BLOCK = 256


def covariate_sampling(
    n_points: int = 20_000, n_layers: int = 8, size: int = 2400, n_windows: int = 4, rounds: int = 2
) -> list[Comparison]:
    """Values of all layers at the points of one tile of an atlas, the nearest cell of each.

    The raster is synthetic: smooth float32 layers with holes, compressed, in blocks, as such files come. The
    peer is `sample` of an open rasterio dataset, which reads point by point out of GDAL's block cache, large
    enough for all windows and filled before the clock starts. Ours takes values by array index, first from
    windows that are read already, the same footing; then opening the file and decoding the window each time.
    """
    with tempfile.TemporaryDirectory(prefix="florascope-benchmark-") as scratch:
        path = Path(scratch) / "layers.tif"
        write_layers(path, n_layers, size)
        source = open_rasters(path)
        cases = _tiles_of_points(n_points, size, n_windows)
        windows = {id(points): read_around(source, points) for points in cases}
        with rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES), rasterio.open(path) as raster:

            def against_peer(ours: Callable[[np.ndarray], np.ndarray], how: str, goal: float) -> Comparison:
                result = compare(
                    f"covariates by array windows against rasterio.sample, {how}",
                    cases,
                    ours,
                    lambda points: np.stack(list(raster.sample(points))),
                    _same_values,
                    goal=goal,
                    equal="the same float32 values, no data where there is none",
                    rounds=rounds,
                    details={"n_points": n_points, "n_layers": n_layers, "raster_cells": size**2},
                )
                result.details.update(
                    ours_points_per_s=round(1000 * n_points / result.ours),
                    peer_points_per_s=round(1000 * n_points / result.peer),
                )
                return result

            return [
                against_peer(
                    lambda points: windows[id(points)].sample(points[:, 0], points[:, 1], "nearest"),
                    "read",
                    _GOAL,
                ),
                against_peer(
                    lambda points: read_around(source, points).sample(points[:, 0], points[:, 1], "nearest"),
                    "decoded each time for ours, once for the peer",
                    _DECODING_GOAL,
                ),
            ]


def read_around(source: RasterSource, points: np.ndarray) -> CovariateStack:
    """The smallest window of a raster that holds points (n, 2)."""
    row, column = source.grid.position(points[:, 0], points[:, 1])
    top, left = int(np.floor(row.min())), int(np.floor(column.min()))
    height, width = int(np.floor(row.max())) - top + 1, int(np.floor(column.max())) - left + 1
    return source.read_window(top, left, height, width)


def _tiles_of_points(n_points: int, size: int, n_tiles: int) -> list[np.ndarray]:
    """Random points (n_points, 2) in squares an eighth as wide as the raster, as dense as cells of a tile."""
    generator = np.random.default_rng(0)
    width = size * _CELL_DEG
    corners = generator.uniform(0, width * 7 / 8, (n_tiles, 2))
    return [
        np.array([_WEST, _NORTH - width]) + corner + generator.uniform(0, width / 8, (n_points, 2))
        for corner in corners
    ]


def write_layers(path: Path, n_layers: int, size: int) -> None:
    """Write smooth random layers with holes as a compressed GeoTIFF in blocks."""
    generator = np.random.default_rng(1)
    profile = {
        "driver": "GTiff",
        "width": size,
        "height": size,
        "count": n_layers,
        "dtype": "float32",
        "crs": "EPSG:4326",
        "transform": rasterio.Affine(_CELL_DEG, 0, _WEST, 0, -_CELL_DEG, _NORTH),
        "nodata": _NODATA,
        "tiled": True,
        "blockxsize": _BLOCK,
        "blockysize": _BLOCK,
        "compress": "deflate",
    }
    coarse = -(-size // 16)
    with rasterio.open(path, "w", **profile) as raster:
        for band in range(1, n_layers + 1):
            smooth = gaussian_filter(generator.normal(size=(coarse, coarse)), 3)
            layer = np.kron(smooth, np.ones((16, 16)))[:size, :size].astype(np.float32)
            layer += generator.integers(0, 50, layer.shape).astype(np.float32)
            layer[: size // 10, : size // 3] = _NODATA
            raster.write(layer, band)
            raster.set_band_description(band, f"layer_{band}")


def _same_values(ours: np.ndarray, peer: np.ndarray) -> bool:
    return np.array_equal(ours, np.where(peer == _NODATA, np.float32(np.nan), peer), equal_nan=True)
