"""A small model on simulated covariates, for runs that are killed and healed: no data, seconds to make."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin

from sdm_core.features import FeatureSpec
from sdm_core.models import save_model
from sdm_core.models.network_models import NetworkSettings, Sinr

N_SPECIES = 24
_WEST, _NORTH = 5.0, 48.0
_HEIGHT, _WIDTH = 90, 120
_STEP_DEG = 1 / 12
_MODEL, _RASTER = "model", "covariates.tif"


def write_study(
    folder: Path,
    *,
    n_species: int = N_SPECIES,
    width: int = 64,
    features: FeatureSpec | None = None,
    fill_gaps_cells: float = 0.0,
    seed: int = 0,
) -> Path:
    """Write simulated rasters and a network with random weights on them; gives the checkpoint's folder.

    Three layers of 90 × 120 cells of 1/12°, with a sea and lakes without data. `width` is the network's:
    what a cell costs grows with it. features: by default the layers, their means and deviations nearby, and
    land shares.
    """
    folder.mkdir(parents=True, exist_ok=True)
    raster = folder / _RASTER
    _write_raster(raster, np.random.default_rng(seed))
    spec = features or FeatureSpec(mean_radii=(1, 4), std_radii=(2,), land_share_radii=(3,))
    from sdm_core.covariates import read_stack
    from sdm_core.features import build_features

    stack = read_stack(raster)
    names = build_features(spec, stack).names
    species = tuple(f"Planta species{number:03d}" for number in range(n_species))
    settings = NetworkSettings(
        encoding="fourier",
        bounds=(_WEST, _NORTH - _HEIGHT * _STEP_DEG, _WEST + _WIDTH * _STEP_DEG, _NORTH),
        frequencies=(1.0, 2.0),
        width=width,
        n_blocks=2,
        head_bias=True,
    )
    model = Sinr(settings, species, names, seed)
    rng = np.random.default_rng(seed + 1)
    extras = {
        "calibration.slope": rng.uniform(0.5, 2.0, n_species),
        "calibration.intercept": rng.normal(-2.0, 1.0, n_species),
    }
    notes = {
        "configuration": {
            "name": "simulated-study",
            "title": "Simulated study",
            "covariates": {"path": str(raster), "layers": [], "fill_gaps_cells": fill_gaps_cells},
            "members": [{"name": "SINR", "kind": "sinr", "patches": {}}],
            "prediction": {"resolution": 5, "bounds": [], "places": []},
        },
        "feature_specification": spec.to_dict(),
    }
    return save_model(model, folder / _MODEL, extras, notes)


def _write_raster(path: Path, rng: np.random.Generator) -> None:
    """Three smooth layers with gaps."""
    from scipy.ndimage import gaussian_filter

    layers = [gaussian_filter(rng.normal(size=(_HEIGHT, _WIDTH)), 3.0) for _ in range(3)]
    values = np.stack([5.0 * layers[0] + 10.0, 800.0 * layers[1] + 900.0, layers[2]]).astype(np.float32)
    sea = gaussian_filter(rng.normal(size=(_HEIGHT, _WIDTH)), 6.0)
    values[:, sea < np.quantile(sea, 0.2)] = -9999.0
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=_WIDTH,
        height=_HEIGHT,
        count=3,
        dtype="float32",
        crs="EPSG:4326",
        transform=from_origin(_WEST, _NORTH, _STEP_DEG, _STEP_DEG),
        nodata=-9999.0,
        tiled=True,
        blockxsize=32,
        blockysize=32,
    ) as file:
        file.write(values)
        file.descriptions = ("temperature", "rain", "slope")
