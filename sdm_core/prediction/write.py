"""Writing the hot copy of a store: aside, read back, verified, then renamed into place."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from sdm_core import regions
from sdm_core.errors import CorruptStoreError
from sdm_core.prediction import checksums
from sdm_core.prediction.derive import cell_layers, parent_levels
from sdm_core.prediction.files import species_with_types, write_array
from sdm_core.prediction.store import (
    HECTARES_PER_KM2,
    STAMP_FILE,
    STORE_FILE,
    STORE_FORMAT,
    PredictionStore,
    write_stamp,
)

logger = logging.getLogger(__name__)

_SPECIES_PER_BLOCK = 64
SPECIES_FILE = "species.csv"
OBSERVED_FILE = "observed.parquet"
OBSERVED_SPECIES_FILE = "observed_species.parquet"


@dataclass(frozen=True)
class StoreContent:
    """What decides a store: everything else in it is computed from this.

    cells (n_cells,) ascending H3 indices; lonlat (n_cells, 2); area_ha (n_cells,); codes (n_cells,
    n_species) uint8; cell_values: more layers of one value per cell, such as `applicability`;
    inputs: what the predictions were made from (checksums of checkpoint and covariates, grid, settings).
    """

    name: str
    title: str
    resolution: int
    cells: NDArray[np.uint64]
    lonlat: NDArray[np.float64]
    area_ha: NDArray[np.uint32]
    codes: NDArray[np.uint8]
    cell_values: Mapping[str, NDArray] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n_cells = len(self.cells)
        if self.codes.ndim != 2 or self.codes.dtype != np.uint8 or len(self.codes) != n_cells:
            raise ValueError(
                f"codes must be uint8 (n_cells, n_species); found {self.codes.dtype} "
                f"{self.codes.shape} for {n_cells} cells"
            )
        if n_cells == 0 or (self.cells[1:] <= self.cells[:-1]).any():
            raise ValueError("cells must be ascending, each once, and at least one")
        if self.lonlat.shape != (n_cells, 2) or self.area_ha.shape != (n_cells,):
            raise ValueError("lonlat must be (n_cells, 2) and area_ha (n_cells,)")
        for name, values in self.cell_values.items():
            if values.shape != (n_cells,):
                raise ValueError(f"layer {name} must hold one value per cell; found {values.shape}")

    def digests(self) -> dict[str, str]:
        """Checksum of each array that is not computed from the others."""
        arrays: dict[str, NDArray] = {
            "cells": self.cells,
            "codes": self.codes,
            **{f"value_{name}": values for name, values in self.cell_values.items()},
        }
        return {name: digest_array(array) for name, array in arrays.items()}

    def version(self, digests: Mapping[str, str] | None = None) -> str:
        """Hash of everything that decides the store: inputs, grid, codes and the format of the files."""
        return checksums.digest_json(
            {
                "format": STORE_FORMAT,
                "name": self.name,
                "resolution": self.resolution,
                "inputs": dict(self.inputs),
                "arrays": dict(digests or self.digests()),
            }
        )


def digest_array(array: NDArray) -> str:
    """Checksum of the type, shape and values of an array."""
    contiguous = np.ascontiguousarray(array)
    head = f"{contiguous.dtype.str}{contiguous.shape}".encode()
    return checksums.digest_bytes(head, contiguous.reshape(-1).view(np.uint8).data)


def whole_hectares(area_km2: NDArray[np.float64]) -> NDArray[np.uint32]:
    """Areas in whole hectares, at least one: exact sums need integers, at 0.01 km² a cell."""
    return np.maximum(np.rint(area_km2 * HECTARES_PER_KM2), 1).astype(np.uint32)


def sorted_content(
    name: str,
    resolution: int,
    cells: ArrayLike,
    codes: NDArray[np.uint8],
    *,
    title: str | None = None,
    lonlat: ArrayLike | None = None,
    area_km2: ArrayLike | None = None,
    cell_values: Mapping[str, ArrayLike] | None = None,
    inputs: Mapping[str, Any] | None = None,
) -> StoreContent:
    """Content in H3 order, with centres and areas from `regions` where they are not given."""
    indices = np.asarray(cells, dtype=np.uint64)
    order = np.argsort(indices, kind="stable")
    if lonlat is None or area_km2 is None:
        lonlat = regions.cells_to_lonlat(indices) if lonlat is None else lonlat
        area_km2 = regions.cell_area_km2(indices) if area_km2 is None else area_km2
    in_order = bool((order[1:] > order[:-1]).all())
    return StoreContent(
        name=name,
        title=title or name,
        resolution=resolution,
        cells=indices[order],
        lonlat=np.asarray(lonlat, dtype=np.float64)[order],
        area_ha=whole_hectares(np.asarray(area_km2, dtype=np.float64))[order],
        codes=codes if in_order else codes[order],
        cell_values={key: np.asarray(values)[order] for key, values in (cell_values or {}).items()},
        inputs=dict(inputs or {}),
    )


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
        write_hot(folder, content, content.version(), side)
    return PredictionStore.open(folder)


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


def write_hot(folder: Path, content: StoreContent, version: str, side_files: list[Path]) -> None:
    """Write all files of a hot store aside, read them back, and rename the folder into place."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        levels = _write_arrays(aside, content)
        for path in side_files:
            shutil.copyfile(path, aside / path.name)
        _write_meta(aside, content, version, levels)
        if digest_array(np.load(aside / "codes.npy", mmap_mode="r")) != digest_array(content.codes):
            raise CorruptStoreError(f"{aside / 'codes.npy'} was not written as it is in memory")
        rename_into_place(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def rename_into_place(aside: Path, folder: Path) -> None:
    """Rename a finished folder to its name; an older one there is moved out of the way first."""
    try:
        aside.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        outgoing = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
        try:
            folder.rename(outgoing / "store")
            aside.rename(folder)
        except OSError:
            if not (folder / STORE_FILE).is_file():
                raise
            logger.info("%s was written by another process at the same time; using that one", folder)
        finally:
            shutil.rmtree(outgoing, ignore_errors=True)


def _write_arrays(folder: Path, content: StoreContent) -> list[int]:
    codes = content.codes
    n_cells, n_species = codes.shape
    layers = cell_layers(codes)
    arrays: dict[str, NDArray] = {
        "cells": content.cells,
        "lonlat": content.lonlat,
        "area_ha": content.area_ha,
        "codes": codes,
        "richness": layers.richness,
        "shannon": layers.shannon,
        "simpson": layers.simpson,
        "sse_cut": layers.sse_cut,
        "sse_richness": layers.sse_richness,
        **{f"value_{name}": values for name, values in content.cell_values.items()},
    }
    levels = parent_levels(codes, content.area_ha, content.cells, content.resolution)
    for level in levels:
        arrays[f"level{level.resolution}_starts"] = level.starts
        arrays[f"level{level.resolution}_squares"] = level.weighted_squares
        arrays[f"level{level.resolution}_max"] = level.max_codes
    for name, array in arrays.items():
        write_array(folder / f"{name}.npy", [array], array.shape, array.dtype)
    transposed = (
        codes[:, first : first + _SPECIES_PER_BLOCK].T for first in range(0, n_species, _SPECIES_PER_BLOCK)
    )
    write_array(folder / "species_codes.npy", transposed, (n_species, n_cells), np.uint8)
    return [level.resolution for level in levels]


def _write_meta(folder: Path, content: StoreContent, version: str, levels: list[int]) -> None:
    files = sorted(path.name for path in folder.iterdir() if path.name not in (STORE_FILE, STAMP_FILE))
    meta: dict[str, Any] = {
        "format": STORE_FORMAT,
        "name": content.name,
        "title": content.title,
        "version": version,
        "resolution": content.resolution,
        "n_cells": len(content.cells),
        "n_species": content.codes.shape[1],
        "levels": levels,
        "cell_values": sorted(content.cell_values),
        "inputs": json.loads(json.dumps(dict(content.inputs), default=str)),
        "block_bytes": checksums.BLOCK_BYTES,
        "files": {
            name: {
                "bytes": (folder / name).stat().st_size,
                "blake2b": checksums.block_digests(folder / name),
            }
            for name in files
        },
    }
    meta["digest"] = checksums.digest_json(meta)
    with (folder / STORE_FILE).open("w", encoding="utf-8") as file:
        json.dump(meta, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    write_stamp(folder, files)
