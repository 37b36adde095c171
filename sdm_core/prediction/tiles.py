"""The exchange copy of a large atlas: a Zarr v3 group with one chunk per tile, at any address.

A tile is all cells of one coarser H3 cell. Tiles are written one by one, by as many processes as there are,
in any order and as often as one likes: first the chunks, then a small marker with the checksum of them all.
A tile with a marker is finished; a partial store is a normal one. Any Zarr v3 reader opens the group:

- `tiles` (n_tiles,) uint64: H3 index of each tile, ascending;
- `cells` (n_tiles · rows_per_tile,) uint64: cells of the tile, ascending, then 0 where there is none;
- `codes` (n_tiles · rows_per_tile, n_species) uint8, see `prediction.code`;
- `value_<name>` float32, further values of each cell; NaN where there is none;
- `species.csv`, `done/<tile>.json` (blake2b and number of cells), and once a build is complete
  `finished.json`, the same markers in one file, for addresses without listing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdm_core.errors import CorruptStoreError, StoreMismatchError
from sdm_core.prediction import checksums, zarr_layout
from sdm_core.prediction.derive import parent_cells
from sdm_core.prediction.objects import ObjectFolder
from sdm_core.prediction.tile_grid import Tile, TileGrid, tile_resolution_for
from sdm_core.prediction.tile_group import GROUP_FILE, chunk_layouts, group_files, read_grid

logger = logging.getLogger(__name__)

#: Name of the group inside an atlas folder.
TILES_FOLDER = "predictions.zarr"
_FINISHED_FILE = "finished.json"


class MissingTileError(CorruptStoreError):
    """A tile of a tiled store has not been predicted yet, or is none of its tiles."""


class TileStore:
    """A tiled store at an address; can be pickled, and used by many processes at once."""

    def __init__(self, folder: ObjectFolder, grid: TileGrid):
        self.folder = folder
        self.grid = grid

    def __repr__(self) -> str:
        return f"TileStore({self.address!r}, version {self.version}, {len(self.grid.tiles)} tiles)"

    @property
    def address(self) -> str:
        """Folder or address of the Zarr group."""
        return self.folder.address

    @property
    def version(self) -> str:
        """Hash of everything that decides the store (see `TileGrid.version`)."""
        return self.grid.version

    # Making and opening -----------------------------------------------------------------------------

    @classmethod
    def create(
        cls, address: str | Path, grid: TileGrid, storage_options: Mapping[str, Any] | None = None
    ) -> TileStore:
        """Make a tiled store at the address of its Zarr group, or open the one of the same version there.

        Raises `StoreMismatchError` when other predictions lie there, `NotWritableError`, `CorruptStoreError`.
        """
        folder = ObjectFolder(address, storage_options)
        if folder.get(GROUP_FILE) is not None:
            found = cls(folder, read_grid(folder))
            if found.version != grid.version:
                raise StoreMismatchError(
                    f"{folder.address} holds predictions of {found.grid.name} with version {found.version}, "
                    f"but version {grid.version} is to be written; remove it, or give another place"
                )
            return found
        for name, content in group_files(grid).items():
            folder.put(name, content)
        return cls(folder, grid)

    @classmethod
    def open(cls, address: str | Path, storage_options: Mapping[str, Any] | None = None) -> TileStore:
        """Open a tiled store by the address of its Zarr group, or of the atlas folder that holds it.

        Raises `CorruptStoreError` when there is none, or when its description is damaged.
        """
        folder = ObjectFolder(address, storage_options)
        for candidate in (folder, folder.below(TILES_FOLDER)):
            try:
                if candidate.get(GROUP_FILE) is not None:
                    return cls(candidate, read_grid(candidate))
            except OSError as error:
                raise CorruptStoreError(
                    f"{folder.address} cannot be read ({error}); check the address"
                ) from error
        raise CorruptStoreError(
            f"{folder.address} holds no tiled predictions; give the address of a {TILES_FOLDER} group or of "
            "the atlas folder around it"
        )

    # One tile ---------------------------------------------------------------------------------------

    def write_tile(self, tile: int, content: Tile) -> str:
        """Write a tile: its chunks, then its marker; returns the checksum of the content.

        Each file appears whole or not at all. Writing the same again changes nothing, and repairs a damaged
        chunk. Raises `NotWritableError`; `ValueError` for content that is none of this tile.
        """
        index = self._index(tile)
        self._check_content(tile, content)
        digest = content.digest()
        marker = json.dumps({"blake2b": digest, "n_cells": len(content.cells)}).encode()
        name = _marker_name(tile)
        before = self.folder.get(name)
        if before is not None and before != marker:
            self.folder.remove(_FINISHED_FILE)
            self.folder.remove(name)  # no marker while the chunks change
        arrays: dict[str, NDArray] = {"cells": content.cells, "codes": content.codes}
        arrays |= {f"value_{key}": np.asarray(content.values[key]) for key in self.grid.value_names}
        for key, (chunk, dtype, _) in chunk_layouts(self.grid).items():
            place = zarr_layout.chunk_name(key, index, len(chunk))
            if len(content.cells):
                self.folder.put(place, zarr_layout.encode_chunk(arrays[key].astype(dtype, copy=False), chunk))
            else:
                self.folder.remove(place)
        if before != marker:
            self.folder.put(name, marker)
        return digest

    def read_tile(self, tile: int) -> Tile:
        """Content of a tile, compared with its checksums.

        Raises `CorruptStoreError` naming the tile, `MissingTileError` where it has not been predicted.
        """
        index = self._index(tile)
        marker = self._markers([tile]).get(int(tile))
        if marker is None:
            raise MissingTileError(f"tile {int(tile):x} of {self.address} has not been predicted yet")
        try:
            digest, n_cells = str(marker["blake2b"]), int(marker["n_cells"])
        except (KeyError, ValueError, TypeError) as error:
            raise self._damaged(tile, f"its marker reads {marker}") from error
        arrays = {key: self._read_chunk(tile, index, key, n_cells) for key in chunk_layouts(self.grid)}
        values = {name: arrays[f"value_{name}"] for name in self.grid.value_names}
        read = Tile(arrays["cells"], arrays["codes"], values)
        if read.digest() != digest:
            raise self._damaged(tile, "its content does not have the checksum of its marker")
        return read

    def read_cells(self, tile: int) -> NDArray[np.uint64]:
        """Cells of a finished tile, ascending, compared with the checksum of their chunk alone."""
        cells = self._read_chunk(tile, self._index(tile), "cells", self.grid.rows_per_tile)
        return cells[cells > 0]

    def _read_chunk(self, tile: int, index: int, key: str, n_cells: int) -> NDArray:
        chunk, dtype, _ = chunk_layouts(self.grid)[key]
        if n_cells == 0:
            return np.zeros((0, *chunk[1:]), dtype=dtype)
        name = zarr_layout.chunk_name(key, index, len(chunk))
        try:
            content = self.folder.get(name)
        except OSError as error:
            raise CorruptStoreError(
                f"tile {int(tile):x} of {self.address} cannot be read ({error})"
            ) from error
        if content is None:
            raise self._damaged(tile, f"{name} is missing")
        try:
            return zarr_layout.decode_chunk(content, chunk, dtype)[:n_cells]
        except zarr_layout.ChunkError as error:
            raise self._damaged(tile, f"{name} {error}") from error

    def remove_tile(self, tile: int) -> None:
        """Take a tile out, marker first; one that is not there is no error."""
        index = self._index(tile)
        self.folder.remove(_FINISHED_FILE)
        self.folder.remove(_marker_name(tile))
        for key, (chunk, _, _) in chunk_layouts(self.grid).items():
            self.folder.remove(zarr_layout.chunk_name(key, index, len(chunk)))

    def _index(self, tile: int) -> int:
        index = int(np.searchsorted(self.grid.tiles, np.uint64(tile)))
        if index == len(self.grid.tiles) or int(self.grid.tiles[index]) != int(tile):
            raise MissingTileError(f"{int(tile):x} is no tile of {self.address}")
        return index

    def _check_content(self, tile: int, content: Tile) -> None:
        n_cells = len(content.cells)
        if content.codes.dtype != np.uint8 or content.codes.shape != (n_cells, self.grid.n_species):
            raise ValueError(
                f"codes of a tile must be uint8 ({n_cells}, {self.grid.n_species}); found "
                f"{content.codes.dtype} {content.codes.shape}"
            )
        cells = np.asarray(content.cells, dtype=np.uint64)
        resolutions = (cells >> np.uint64(52)) & np.uint64(0xF)
        inside = parent_cells(cells, self.grid.tile_resolution) == np.uint64(tile)
        if (cells[1:] <= cells[:-1]).any() or not (inside & (resolutions == self.grid.resolution)).all():
            raise ValueError(
                f"cells of tile {int(tile):x} must be ascending children of it at resolution "
                f"{self.grid.resolution}"
            )
        if set(content.values) != set(self.grid.value_names) or any(
            np.shape(values) != (n_cells,) for values in content.values.values()
        ):
            raise ValueError(
                f"values of a tile must be {', '.join(self.grid.value_names) or 'none'}, one per cell; found "
                f"{ {name: np.shape(values) for name, values in content.values.items()} }"
            )

    def _damaged(self, tile: int, reason: str) -> CorruptStoreError:
        return CorruptStoreError(
            f"tile {int(tile):x} of {self.address} is damaged: {reason}; "
            f"`python -m sdm_core store heal --model PATH` repairs it"
        )

    # All tiles --------------------------------------------------------------------------------------

    def finished(self) -> NDArray[np.uint64]:
        """Tiles that have been predicted, ascending: one listing, or `finished.json` where there is none."""
        if self.folder.read_only:
            return np.array(sorted(self._finished_file), dtype=np.uint64)
        found = [_tile_of_marker(name) for name in self.folder.names("done")]
        tiles = np.array([tile for tile in found if tile is not None], dtype=np.uint64)
        return np.intersect1d(tiles, self.grid.tiles)

    def digests(self) -> dict[int, str]:
        """Checksum of the content of each finished tile, as its marker says; damaged markers are left out."""
        markers = self._markers(self.finished().tolist())
        return {tile: str(marker["blake2b"]) for tile, marker in markers.items() if "blake2b" in marker}

    def cell_counts(self) -> dict[int, int]:
        """Number of cells of each finished tile, ascending by tile; raises `CorruptStoreError`."""
        counts = {}
        for tile, marker in sorted(self._markers(self.finished().tolist()).items()):
            if not isinstance(marker.get("n_cells"), int):
                raise self._damaged(tile, f"its marker reads {marker}")
            counts[tile] = marker["n_cells"]
        return counts

    def damaged(self, tiles: Iterable[int] | None = None) -> NDArray[np.uint64]:
        """Finished tiles (or those of `tiles`) whose content does not have its checksums; reads them all."""
        wrong = []
        for tile in self.finished().tolist() if tiles is None else tiles:
            try:
                self.read_tile(tile)
            except MissingTileError:
                continue
            except CorruptStoreError as error:
                logger.warning("%s", error)
                wrong.append(int(tile))
        return np.array(sorted(wrong), dtype=np.uint64)

    def finish(self) -> None:
        """Note all finished tiles in one file, which readers without listing (HTTP) go by.

        Writing other content to a tile, or taking one out, removes the note; call this again afterwards.
        """
        self.folder.remove(_FINISHED_FILE)
        markers = self._markers(self.finished().tolist())
        content = {"version": self.version, "tiles": {f"{tile:x}": markers[tile] for tile in sorted(markers)}}
        content["digest"] = checksums.digest_json(content)
        self.folder.put(_FINISHED_FILE, json.dumps(content).encode())

    def _markers(self, tiles: list[int]) -> dict[int, dict[str, Any]]:
        """Markers of some tiles; an unreadable one is an empty one, tiles without one are left out."""
        if self.folder.read_only:
            return {
                int(tile): self._finished_file[int(tile)]
                for tile in tiles
                if int(tile) in self._finished_file
            }
        if len(tiles) > 1 and self.folder.path is None and self.is_noted():
            noted = self._read_finished_file()  # one object in place of one for each tile
            if noted.keys() >= {int(tile) for tile in tiles}:
                return {int(tile): noted[int(tile)] for tile in tiles}
        names = {_marker_name(tile): int(tile) for tile in tiles}
        markers: dict[int, dict[str, Any]] = {}
        for name, content in self.folder.get_many(list(names)).items():
            try:
                marker = json.loads(content)
            except ValueError:
                marker = None
            markers[names[name]] = marker if isinstance(marker, dict) else {}
        return markers

    def is_noted(self) -> bool:
        """Whether `finish` has been called, and no tile has changed since."""
        return self.folder.get(_FINISHED_FILE) is not None

    @cached_property
    def _finished_file(self) -> dict[int, dict[str, Any]]:
        return self._read_finished_file()

    def _read_finished_file(self) -> dict[int, dict[str, Any]]:
        content = self.folder.get(_FINISHED_FILE)
        if content is None:
            raise CorruptStoreError(
                f"{self.address}/{_FINISHED_FILE} is missing, and this address has no listing of its tiles; "
                "it is written when a build is complete"
            )
        try:
            listed: dict[str, Any] = json.loads(content)
            digest = listed.pop("digest")
            if digest != checksums.digest_json(listed) or listed["version"] != self.version:
                raise ValueError("it does not have its checksum")
            return {int(name, 16): marker for name, marker in listed["tiles"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CorruptStoreError(
                f"{self.address}/{_FINISHED_FILE} is damaged ({error}); fetch it again or write it anew"
            ) from error

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "grid": self.grid}


def _marker_name(tile: int) -> str:
    return f"done/{int(tile):x}.json"


def _tile_of_marker(name: str) -> int | None:
    stem, _, suffix = name.partition(".")
    try:
        return int(stem, 16) if suffix == "json" else None
    except ValueError:
        return None


__all__ = ["TILES_FOLDER", "MissingTileError", "Tile", "TileGrid", "TileStore", "tile_resolution_for"]
