"""What an export should hold, by other means than ours: H3's reference library, pyproj, the codes."""

from __future__ import annotations

import h3
import numpy as np
import pyproj
import rasterio
import shapely

from sdm_core import regions
from sdm_core.registry import Atlas

BEECH = "Fagus sylvatica"
VALLEY = shapely.Polygon([(0.6, 42.45), (1.5, 42.45), (1.4, 42.8), (0.7, 42.75), (0.6, 42.45)])


def probabilities(atlas: Atlas, species: str = BEECH) -> dict[str, float]:
    """H3 name → probability as the store decodes it."""
    codes = atlas.store.codes[:, atlas.store.species_id(species)].astype(float)
    return dict(zip(regions.cells_to_strings(atlas.store.cells), (codes / 255) ** 2, strict=True))


def cells_of_pixels(crs: object, x: np.ndarray, y: np.ndarray, resolution: int) -> list[str]:
    """H3 names of points on a map, by the reference library."""
    longitude, latitude = pyproj.Transformer.from_crs(crs, 4326, always_xy=True).transform(x, y)
    return [h3.latlng_to_cell(b, a, resolution) for a, b in zip(longitude, latitude, strict=True)]


def sampled(raster: rasterio.DatasetReader, count: int = 400) -> tuple[np.ndarray, list[str]]:
    """Values of random pixels, NaN for nodata, and the H3 cells of their centres."""
    random = np.random.default_rng(5)
    rows, columns = random.integers(0, raster.height, count), random.integers(0, raster.width, count)
    x, y = raster.xy(rows, columns)
    band = raster.read(1, masked=True)
    values = np.ma.filled(band.astype(float) * raster.scales[0] + raster.offsets[0], np.nan)
    return values[rows, columns], cells_of_pixels(raster.crs.to_wkt(), np.asarray(x), np.asarray(y), 6)
