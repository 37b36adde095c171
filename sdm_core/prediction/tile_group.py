"""The description of a tiled store as a Zarr v3 group: what is written before any tile, and read back."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np

from sdm_core.errors import CorruptStoreError
from sdm_core.prediction import zarr_layout
from sdm_core.prediction.files import SPECIES_FILE, read_species_table
from sdm_core.prediction.objects import ObjectFolder
from sdm_core.prediction.tile_grid import TILES_FORMAT, TileGrid

#: File that says what a Zarr group or array is.
GROUP_FILE = "zarr.json"
_ATTRIBUTE = "florascope"
_CODES_TEXT = "probability = (code / 255) ** 2"


def chunk_layouts(grid: TileGrid) -> dict[str, tuple[tuple[int, ...], np.dtype, tuple[str, ...]]]:
    """Chunk shape, type and dimensions of each array with one chunk per tile."""
    rows = grid.rows_per_tile
    return {
        "cells": ((rows,), np.dtype(np.uint64), ("row",)),
        "codes": ((rows, grid.n_species), np.dtype(np.uint8), ("row", "species")),
        **{f"value_{name}": ((rows,), np.dtype(np.float32), ("row",)) for name in grid.value_names},
    }


def group_files(grid: TileGrid) -> dict[str, bytes]:
    """Files of a tiled store without any tile; the one that makes it a store comes last."""
    n_tiles = len(grid.tiles)
    arrays = {"tiles": zarr_layout.array_metadata((n_tiles,), (n_tiles,), np.dtype(np.uint64), ("tile",))}
    for name, (chunk, dtype, dimensions) in chunk_layouts(grid).items():
        shape = (n_tiles * chunk[0], *chunk[1:])
        arrays[name] = zarr_layout.array_metadata(shape, chunk, dtype, dimensions)
    attributes = {
        "format": TILES_FORMAT,
        "name": grid.name,
        "title": grid.title,
        "version": grid.version,
        "resolution": grid.resolution,
        "tile_resolution": grid.tile_resolution,
        "inputs": grid.inputs,
        "value_names": list(grid.value_names),
        "code": _CODES_TEXT,
    }
    group = zarr_layout.group_metadata({_ATTRIBUTE: attributes}, arrays)
    return {
        **{f"{name}/{GROUP_FILE}": zarr_layout.to_json(metadata) for name, metadata in arrays.items()},
        zarr_layout.chunk_name("tiles", 0, 1): zarr_layout.encode_chunk(grid.tiles, grid.tiles.shape),
        SPECIES_FILE: grid.species_csv,
        GROUP_FILE: zarr_layout.to_json(group),
    }


def read_grid(folder: ObjectFolder) -> TileGrid:
    """Grid of a tiled store; raises `CorruptStoreError` when its description is not what was written."""
    try:
        attributes: dict[str, Any] = json.loads(folder.get(GROUP_FILE) or b"")["attributes"][_ATTRIBUTE]
        layout = attributes["format"]
        grid = None if layout != TILES_FORMAT else _grid_of(folder, attributes)
    except (ValueError, KeyError, TypeError, zarr_layout.ChunkError, CorruptStoreError) as error:
        raise CorruptStoreError(
            f"{folder.address} is damaged: its description cannot be read ({error}); make it anew"
        ) from error
    if grid is None:
        raise CorruptStoreError(
            f"{folder.address} has format {layout} of tiled predictions, this version reads {TILES_FORMAT}"
        )
    if grid.version != attributes["version"]:
        raise CorruptStoreError(
            f"{folder.address} is damaged: its grid, inputs or species do not have the version it carries "
            f"({attributes['version']}); make it anew"
        )
    return grid


def _grid_of(folder: ObjectFolder, attributes: dict[str, Any]) -> TileGrid:
    metadata = json.loads(folder.get(f"tiles/{GROUP_FILE}") or b"")
    chunk = folder.get(zarr_layout.chunk_name("tiles", 0, 1)) or b""
    return TileGrid(
        name=attributes["name"],
        title=attributes["title"],
        resolution=attributes["resolution"],
        tile_resolution=attributes["tile_resolution"],
        tiles=zarr_layout.decode_chunk(chunk, metadata["shape"], np.dtype(np.uint64)),
        species=read_species_table(io.BytesIO(folder.get(SPECIES_FILE) or b"")),
        inputs=attributes["inputs"],
        value_names=tuple(attributes["value_names"]),
    )
