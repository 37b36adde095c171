"""Files made for a download hold what the store holds."""

from __future__ import annotations

import numpy as np
import rasterio
import rio_cogeo

from pages.ui import downloads
from sdm_core import regions


def _read(content: bytes, tmp_path):
    path = tmp_path / "map.tif"
    path.write_bytes(content)
    assert rio_cogeo.cog_validate(path, strict=True, quiet=True)[0]
    with rasterio.open(path) as raster:
        values = raster.read(1, masked=True).astype(float) * raster.scales[0] + raster.offsets[0]
        return values, raster.bounds, raster.transform, raster.scales[0]


def test_the_raster_of_a_species_holds_its_probabilities(simulated_atlas, tmp_path):
    store = simulated_atlas.store
    species_id = store.species_id("Fagus sylvatica")
    values, bounds, transform, step = _read(
        downloads.geotiff(simulated_atlas, "species", species_id, None), tmp_path
    )
    rows, columns = rasterio.transform.rowcol(transform, *store.lonlat.T)
    expected = (store.species_map(species_id).astype(float) / 255) ** 2
    assert np.abs(values[rows, columns] - expected).max() <= step / 2 + 1e-12
    assert bounds.left < store.lonlat[:, 0].min() and bounds.top > store.lonlat[:, 1].max()


def test_the_raster_of_a_window_reaches_no_further(simulated_atlas, tmp_path):
    window = (0.5, 42.4, 1.0, 42.7)
    values, bounds, transform, _ = _read(downloads.geotiff(simulated_atlas, "richness", 0, window), tmp_path)
    assert np.allclose(bounds, window, atol=1 / 100)
    longitude, latitude = rasterio.transform.xy(transform, [3, 20], [5, 40])
    store = simulated_atlas.store
    rows = store.rows_of(regions.lonlat_to_cells(longitude, latitude, store.resolution))
    assert np.abs(values[[3, 20], [5, 40]] - store.layer("richness")[rows]).max() < 0.03
