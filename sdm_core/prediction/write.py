"""Writing a hot store from content in memory, and the tables beside the predictions."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from sdm_core.prediction.content import sorted_content
from sdm_core.prediction.files import OBSERVED_FILE, OBSERVED_SPECIES_FILE, SPECIES_FILE, species_with_types
from sdm_core.prediction.hot import build_hot
from sdm_core.prediction.store import PredictionStore


def write_store(
    folder: Path,
    name: str,
    resolution: int,
    cells: ArrayLike,
    codes: NDArray[np.uint8],
    species: pd.DataFrame,
    *,
    title: str | None = None,
    lonlat: ArrayLike | None = None,
    area_km2: ArrayLike | None = None,
    cell_values: Mapping[str, ArrayLike] | None = None,
    inputs: Mapping[str, Any] | None = None,
    observed: pd.DataFrame | None = None,
    observed_species: pd.DataFrame | None = None,
) -> PredictionStore:
    """Write a hot store at `folder` (replacing one that lies there) and open it.

    codes (n_cells, n_species) uint8 in the order of `cells`, which need not be sorted; `species` has one row
    per column. Raises `OSError` where the folder cannot be written.
    """
    content = sorted_content(
        name,
        resolution,
        cells,
        codes,
        title=title,
        lonlat=lonlat,
        area_km2=area_km2,
        cell_values=cell_values,
        inputs=inputs,
    )
    with tempfile.TemporaryDirectory(prefix="florascope-") as scratch:
        side = write_side_files(Path(scratch), species, observed, observed_species)
        return build_hot(folder, content, side)


def write_side_files(
    folder: Path,
    species: pd.DataFrame,
    observed: pd.DataFrame | None,
    observed_species: pd.DataFrame | None,
) -> list[Path]:
    """Species table as CSV and record densities as Parquet; returns the paths written.

    observed: cell (H3 resolution 5), n_records, n_species, n_sites. observed_species: species_id, cell
    (H3 resolution 4), n_records. Densities only: no original record leaves the data it came with.
    """
    paths = [folder / SPECIES_FILE]
    species_with_types(species).to_csv(paths[0], index=False)
    if observed is not None:
        paths.append(folder / OBSERVED_FILE)
        _write_parquet(observed.sort_values("cell"), paths[-1])
    if observed_species is not None:
        paths.append(folder / OBSERVED_SPECIES_FILE)
        _write_parquet(observed_species.sort_values(["species_id", "cell"]), paths[-1])
    return paths


def _write_parquet(table: pd.DataFrame, path: Path) -> None:
    small = table.reset_index(drop=True)
    for column in small.columns:
        small[column] = small[column].astype(np.uint64 if column == "cell" else np.int32)
    small.to_parquet(path, index=False, compression="zstd")
