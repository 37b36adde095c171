"""What a hot copy is built from: content in memory, or the tiles of a tiled store, read part by part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdm_core import regions
from sdm_core.errors import CorruptStoreError
from sdm_core.prediction import checksums
from sdm_core.prediction.content import StoreContent, quantised_hectares
from sdm_core.prediction.derive import parent_starts, pyramid_resolutions
from sdm_core.prediction.tiles import TileStore

#: Bytes of codes handled at once.
PART_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True)
class Part:
    """Consecutive rows: codes uint8 (n, n_species), and the atlas's own layers (n,) each."""

    codes: NDArray[np.uint8]
    values: Mapping[str, NDArray]


@dataclass(frozen=True, eq=False)
class HotSource:
    """Rows of a store in H3 order, and a way to read some of them.

    version: hash of what is held; origin: that of the archive or tiled store it comes from, another one
    where only some tiles are taken. cells (n_cells,) uint64 ascending. value_types: type of each layer of the
    atlas's own. parts: slices of rows, none of which cuts through a parent of the coarsest level. read: any
    rows, best those of a part. known_lonlat, known_area_ha: where they do not follow from the cells.
    """

    name: str
    title: str
    version: str
    origin: str
    resolution: int
    n_species: int
    inputs: Mapping[str, Any]
    cells: NDArray[np.uint64]
    value_types: Mapping[str, np.dtype]
    parts: list[slice]
    read: Callable[[slice], Part]
    known_lonlat: NDArray[np.float64] | None = None
    known_area_ha: NDArray[np.float64] | None = None

    def lonlat(self, rows: slice) -> NDArray[np.float64]:
        """Centres of the cells of some rows (n, 2)."""
        known = self.known_lonlat
        return regions.cells_to_lonlat(self.cells[rows]) if known is None else known[rows]

    @cached_property
    def quanta(self) -> NDArray[np.float64]:
        """Areas in quanta (n_cells,), whole numbers; see `hectare_quantum`."""
        if self.known_area_ha is not None:
            return self.known_area_ha / regions.hectare_quantum(self.resolution)
        return quantised_hectares(
            regions.cell_area_km2(self.cells), self.resolution
        ) / regions.hectare_quantum(self.resolution)


def source_of_content(content: StoreContent, version: str | None = None) -> HotSource:
    """Content in memory as a source."""
    version = version or content.version()

    def read(rows: slice) -> Part:
        return Part(content.codes[rows], {name: values[rows] for name, values in content.cell_values.items()})

    coarsest = (pyramid_resolutions(content.resolution) or [content.resolution])[-1]
    starts = parent_starts(content.cells, content.resolution, coarsest)
    return HotSource(
        name=content.name,
        title=content.title,
        version=version,
        origin=version,
        resolution=content.resolution,
        n_species=content.codes.shape[1],
        inputs=content.inputs,
        cells=content.cells,
        value_types={name: values.dtype for name, values in content.cell_values.items()},
        parts=_group(starts, max(1, PART_BYTES // max(1, content.codes.shape[1]))),
        read=read,
        known_lonlat=content.lonlat,
        known_area_ha=content.area_ha,
    )


def source_of_tiles(store: TileStore, tiles: Iterable[int] | None = None) -> HotSource:
    """Finished tiles of a tiled store (or some of them) as a source; one tile is in memory at a time.

    Raises `CorruptStoreError` when a tile is damaged, or when none of them holds a cell.
    """
    counts = store.cell_counts()
    chosen = sorted(counts if tiles is None else {int(tile) for tile in tiles})
    complete = chosen == store.grid.tiles.tolist()
    filled = [tile for tile in chosen if counts.get(tile, 0)]
    missing = [tile for tile in chosen if tile not in counts]
    if missing:
        raise CorruptStoreError(
            f"{len(missing)} of the tiles asked for have not been predicted in {store.address} (the first is "
            f"{missing[0]:x}); predict them first"
        )
    if not filled:
        raise CorruptStoreError(
            f"{store.address} holds no finished tile with cells; `python -m sdm_core tile` predicts them"
        )
    bounds = np.concatenate([[0], np.cumsum([counts[tile] for tile in filled])]).astype(np.int64)
    cells = np.concatenate([store.read_cells(tile) for tile in filled])
    if len(cells) != bounds[-1] or (cells[1:] <= cells[:-1]).any():
        raise CorruptStoreError(
            f"the cells of the tiles of {store.address} are not those of their markers; "
            f"`python -m sdm_core store verify` names the damaged tile"
        )

    def read(rows: slice) -> Part:
        first = int(np.searchsorted(bounds, rows.start, side="right")) - 1
        last = int(np.searchsorted(bounds, rows.stop, side="left"))
        read_tiles = [store.read_tile(tile) for tile in filled[first:last]]
        if not np.array_equal(
            np.concatenate([tile.cells for tile in read_tiles]), cells[bounds[first] : bounds[last]]
        ):
            raise CorruptStoreError(f"the tiles of {store.address} changed while they were read; try again")
        inside = slice(rows.start - bounds[first], rows.stop - bounds[first])
        return Part(
            np.concatenate([tile.codes for tile in read_tiles])[inside],
            {
                name: np.concatenate([tile.values[name] for tile in read_tiles])[inside]
                for name in store.grid.value_names
            },
        )

    grid = store.grid
    coarsest = (pyramid_resolutions(grid.resolution) or [grid.resolution])[-1]
    several_tiles_a_parent = grid.tile_resolution > coarsest
    starts = parent_starts(cells, grid.resolution, coarsest) if several_tiles_a_parent else bounds
    return HotSource(
        name=grid.name,
        title=grid.title,
        version=grid.version if complete else checksums.digest_json([grid.version, chosen]),
        origin=grid.version,
        resolution=grid.resolution,
        n_species=grid.n_species,
        inputs=grid.inputs,
        cells=cells,
        value_types={name: np.dtype(np.float32) for name in grid.value_names},
        parts=_group(starts, 1),
        read=read,
    )


def _group(starts: NDArray[np.int64], n_rows: int) -> list[slice]:
    """Slices between some of the starts, each of about `n_rows` rows or of one step where that is more."""
    parts: list[slice] = []
    first = int(starts[0])
    for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        if stop - first > n_rows and start > first:
            parts.append(slice(first, start))
            first = start
    parts.append(slice(first, int(starts[-1])))
    return parts
