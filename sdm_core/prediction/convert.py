"""From archive to tiles and back, without changing a code.

The archive's own facts (inputs, version, types of its layers) travel in the `inputs` of the tiled store, so
that the way back gives the same archive version.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sdm_core import regions
from sdm_core.errors import CorruptStoreError
from sdm_core.prediction.content import StoreContent, quantised_hectares
from sdm_core.prediction.derive import parent_cells
from sdm_core.prediction.exchange import COMPRESSION_LEVEL, pack, unpack
from sdm_core.prediction.sources import source_of_tiles
from sdm_core.prediction.tiles import Tile, TileGrid, TileStore, tile_resolution_for

_ARCHIVE = "archive"


def tiles_of_content(
    content: StoreContent,
    species: pd.DataFrame,
    address: str | Path,
    storage_options: Mapping[str, Any] | None = None,
    tile_resolution: int | None = None,
) -> TileStore:
    """Write content as a tiled store at the address of its Zarr group, read it back, and finish it.

    Raises `CorruptStoreError` when a code read back is not the one written, `StoreMismatchError` when other
    predictions lie there, `ValueError` for a layer that float32 cannot hold.
    """
    for name, layer in content.cell_values.items():
        if not np.array_equal(layer.astype(np.float32).astype(layer.dtype), layer, equal_nan=True):
            raise ValueError(f"layer {name} ({layer.dtype}) has values that float32 cannot hold")
    own = content.inputs.get(_ARCHIVE)
    facts = {
        "version": content.version(),
        "inputs": dict(content.inputs),
        "value_types": {name: layer.dtype.str for name, layer in content.cell_values.items()},
    }
    level = (
        tile_resolution_for(content.resolution, len(species)) if tile_resolution is None else tile_resolution
    )
    parents = parent_cells(content.cells, level)
    grid = TileGrid(
        name=content.name,
        title=content.title,
        resolution=content.resolution,
        tile_resolution=level,
        tiles=np.unique(parents),
        species=species,
        inputs=content.inputs if own else {_ARCHIVE: facts},
        value_names=tuple(sorted(content.cell_values)),
    )
    store = TileStore.create(address, grid, storage_options)
    bounds = [*np.searchsorted(parents, grid.tiles, side="left").tolist(), len(parents)]
    for tile, start, stop in zip(grid.tiles.tolist(), bounds[:-1], bounds[1:], strict=True):
        rows = slice(start, stop)
        values: dict[str, NDArray[np.float32]] = {
            name: layer[rows].astype(np.float32) for name, layer in content.cell_values.items()
        }
        store.write_tile(tile, Tile(content.cells[rows], content.codes[rows], values))
        if not np.array_equal(store.read_tile(tile).codes, content.codes[rows]):
            raise CorruptStoreError(f"tile {tile:x} of {store.address} was not written as its codes are")
    store.finish()
    return store


def content_of_tiles(store: TileStore) -> StoreContent:
    """All finished tiles as content in memory, as an archive wants it."""
    source = source_of_tiles(store)
    parts = [source.read(rows) for rows in source.parts]
    facts = store.grid.inputs.get(_ARCHIVE, {})
    types = facts.get("value_types", {})
    return StoreContent(
        name=source.name,
        title=source.title,
        resolution=source.resolution,
        cells=source.cells,
        lonlat=regions.cells_to_lonlat(source.cells),
        area_ha=quantised_hectares(regions.cell_area_km2(source.cells), source.resolution),
        codes=np.concatenate([part.codes for part in parts]),
        cell_values={
            name: np.concatenate([part.values[name] for part in parts]).astype(types.get(name, "<f4"))
            for name in source.value_types
        },
        inputs=facts.get("inputs", store.grid.inputs),
    )


def archive_of_tiles(store: TileStore, path: Path, compression_level: int = COMPRESSION_LEVEL) -> str:
    """Write a tiled store as an archive, read it back, and return the archive's version.

    Raises `CorruptStoreError` when a code read back is not that of the tiles.
    """
    content = content_of_tiles(store)
    version = pack(content, path, compression_level)
    if not np.array_equal(unpack(path).codes, content.codes):
        raise CorruptStoreError(f"{path} was not written as the codes of {store.address} are")
    return version
