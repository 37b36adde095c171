"""A synthetic store of any size, and a store as a long Parquet table: the grounds of the speed claims."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sdm_core import regions
from sdm_core.prediction import PredictionStore, build_hot, encode
from sdm_core.prediction.checksums import digest_json
from sdm_core.prediction.derive import parent_starts, pyramid_resolutions
from sdm_core.prediction.sources import HotSource, Part
from sdm_core.prediction.write import write_side_files

SYNTHETIC_NAME = "synthetic"
_RESOLUTION = 6
#: Middle of the synthetic area.
_CENTRE_LONLAT = (15.0, 48.0)
#: How far a species' niche reaches, as a share of the area's height (smallest, largest): about three in four
#: codes are not zero, as in a trained atlas of trees; in one of a whole flora nearly all are.
_NICHE_SHARE = (0.05, 0.36)
_DEGREES_PER_ROOT_CELL = 0.033
_ROW_GROUP = 1_000_000


def synthetic_cells(n_cells: int) -> NDArray[np.uint64]:
    """About a square of real H3 cells at resolution 6 in central Europe, ascending."""
    import shapely

    half = _DEGREES_PER_ROOT_CELL * np.sqrt(n_cells) + 0.5
    longitude, latitude = _CENTRE_LONLAT
    box = shapely.box(longitude - 1.5 * half, latitude - half, longitude + 1.5 * half, latitude + half)
    cells = regions.cells_in_polygon(box, _RESOLUTION)
    lonlat = regions.cells_to_lonlat(cells)
    away = np.hypot((lonlat[:, 0] - longitude) / 1.5, lonlat[:, 1] - latitude)
    return np.sort(cells[np.argsort(away, kind="stable")[:n_cells]])


def synthetic_store(folder: Path, n_cells: int, n_species: int, seed: int = 0) -> PredictionStore:
    """Store of random Gaussian niches, labelled synthetic; no number in it says anything about a place.

    Made part by part, so that memory does not grow with its size.
    """
    generator = np.random.default_rng(seed)
    cells = synthetic_cells(n_cells)
    lonlat = regions.cells_to_lonlat(cells).astype(np.float32)
    west, south = lonlat.min(axis=0)
    east, north = lonlat.max(axis=0)
    centre = generator.uniform((west, south), (east, north), (n_species, 2)).astype(np.float32)
    width = (north - south) * generator.uniform(*_NICHE_SHARE, n_species).astype(np.float32)
    prevalence = generator.beta(1, 2, n_species).astype(np.float32)

    def read(rows: slice) -> Part:
        square = (lonlat[rows, :1] - centre[:, 0]) ** 2 + (lonlat[rows, 1:] - centre[:, 1]) ** 2
        return Part(encode(prevalence * np.exp(-square / width**2)), {})

    coarsest = pyramid_resolutions(_RESOLUTION)[-1]
    starts = parent_starts(cells, _RESOLUTION, coarsest)
    inputs = {"seed": seed, "n_cells": n_cells, "n_species": n_species}
    version = digest_json({"synthetic": inputs, "format": 2})
    source = HotSource(
        name=SYNTHETIC_NAME,
        title="Synthetic",
        version=version,
        origin=version,
        resolution=_RESOLUTION,
        n_species=n_species,
        inputs=inputs,
        cells=cells,
        value_types={},
        parts=[slice(int(start), int(stop)) for start, stop in pairwise(starts)],
        read=read,
    )
    species = pd.DataFrame(
        {
            "species_id": np.arange(n_species),
            "species": [f"Synthetica {number}" for number in range(n_species)],
            "family": "Syntheticaceae",
        }
    )
    with tempfile.TemporaryDirectory(prefix="florascope-") as scratch:
        return build_hot(folder, source, write_side_files(Path(scratch), species, None, None))


def write_long_parquet(store: PredictionStore, path: Path) -> int:
    """Store as a table cell, species, code without its zero codes, sorted by cell; returns the rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("cell", pa.uint64()), ("species", pa.int16()), ("code", pa.uint8())])
    n_rows = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        step = max(1, 4 * _ROW_GROUP // store.n_species)
        for start in range(0, store.n_cells, step):
            codes = store.codes[start : start + step]
            row, species = np.nonzero(codes)
            columns = [store.cells[start + row], species.astype(np.int16), codes[row, species]]
            writer.write_table(pa.table(columns, schema=schema), row_group_size=_ROW_GROUP)
            n_rows += len(row)
    return n_rows


def circles(
    store: PredictionStore, shares: tuple[float, ...], per_share: int, seed: int = 0
) -> list[NDArray]:
    """Cells (H3 indices) of round regions that hold given shares of the store's cells."""
    generator = np.random.default_rng(seed)
    found = []
    for share in shares:
        for middle in generator.integers(0, store.n_cells, per_share):
            longitude, latitude = store.lonlat[middle]
            scale = np.cos(np.radians(latitude))
            away = np.hypot((store.lonlat[:, 0] - longitude) * scale, store.lonlat[:, 1] - latitude)
            n_cells = max(1, round(share * store.n_cells))
            found.append(np.sort(store.cells[np.argpartition(away, n_cells - 1)[:n_cells]]))
    return found
