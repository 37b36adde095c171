"""Building the hot copy part by part: aside, with checksums taken on the way, read back, renamed into place.

Memory is bounded by the size of a part (a tile), whatever the size of the store; only the cells and their
areas (16 bytes a cell) are held whole.
"""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sdm_core.errors import CorruptStoreError
from sdm_core.prediction import checksums
from sdm_core.prediction.content import StoreContent
from sdm_core.prediction.derive import (
    cell_layers,
    parent_levels,
    parent_starts,
    pyramid_resolutions,
    smallest_type,
)
from sdm_core.prediction.files import SPECIES_FILE, array_header
from sdm_core.prediction.integrity import HOT_FORMAT, STAMP_FILE, STORE_FILE, write_stamp
from sdm_core.prediction.sources import HotSource, Part, source_of_content, source_of_tiles
from sdm_core.prediction.store import PredictionStore
from sdm_core.prediction.tiles import TileStore
from sdm_core.regions import hectare_quantum
from sdm_core.writing import flush_folder

logger = logging.getLogger(__name__)

CODES = "codes"
SPECIES_CODES = "species_codes"
#: Bytes of codes gathered before they are written by species, so that each species gets a long piece.
_TRANSPOSE_BYTES = 128 * 1024 * 1024
_LAYERS: dict[str, DTypeLike] = {
    "richness": np.float32,
    "shannon": np.float32,
    "simpson": np.float32,
    "sse_cut": np.uint16,
    "sse_richness": np.uint16,
}


def build_hot(
    folder: Path,
    source: HotSource | TileStore | StoreContent,
    side_files: Iterable[Path] = (),
    *,
    tiles: Iterable[int] | None = None,
) -> PredictionStore:
    """Write a hot store at `folder`, replacing one that lies there, and open it.

    source: content in memory, or a tiled store, of which `tiles` may name some (default: all finished ones).
    side_files: `species.csv` and record densities to copy in; the species table of a tiled store by default.
    Raises `OSError` where the folder cannot be written, `CorruptStoreError` for a damaged tile.
    """
    if isinstance(source, StoreContent):
        rows = source_of_content(source)
    else:
        rows = source_of_tiles(source, tiles) if isinstance(source, TileStore) else source
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        entries = write_arrays(aside, rows)
        for path in side_files:
            shutil.copyfile(path, aside / path.name)
        if isinstance(source, TileStore) and not (aside / SPECIES_FILE).exists():
            (aside / SPECIES_FILE).write_bytes(source.grid.species_csv)
        _write_meta(aside, rows, entries)
        rename_into_place(aside, folder)
        flush_folder(folder.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return PredictionStore.open(folder)


def write_arrays(folder: Path, source: HotSource, only: set[str] | None = None) -> dict[str, Any]:
    """Write the arrays of a store (or `only` those of these names) and read them back.

    Returns size and checksums of each file. Raises `CorruptStoreError` when a file is not as it was written.
    """
    n_cells, n_species = len(source.cells), source.n_species
    starts = {
        resolution: parent_starts(source.cells, source.resolution, resolution)
        for resolution in pyramid_resolutions(source.resolution)
    }
    shapes: dict[str, tuple[tuple[int, ...], DTypeLike]] = {
        "cells": ((n_cells,), np.uint64),
        "lonlat": ((n_cells, 2), np.float64),
        "area_ha": ((n_cells,), np.float64),
        CODES: ((n_cells, n_species), np.uint8),
        **{name: ((n_cells,), dtype) for name, dtype in _LAYERS.items()},
        **{f"value_{name}": ((n_cells,), dtype) for name, dtype in source.value_types.items()},
    }
    for resolution, rows in starts.items():
        heaviest = float(np.add.reduceat(source.quanta, rows[:-1]).max())
        shapes[f"level{resolution}_starts"] = (rows.shape, np.int64)
        shapes[f"level{resolution}_squares"] = ((len(rows) - 1, n_species), smallest_type(heaviest))
        shapes[f"level{resolution}_max"] = ((len(rows) - 1, n_species), np.uint8)
    chosen = {name: layout for name, layout in shapes.items() if only is None or name in only}
    with_species_codes = only is None or SPECIES_CODES in only
    n_bytes = sum(math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in chosen.values())
    _check_room(folder, n_bytes + n_cells * n_species * with_species_codes)
    writers = {
        name: ArrayWriter(folder / f"{name}.npy", shape, dtype) for name, (shape, dtype) in chosen.items()
    }
    by_species = SpeciesWriter(folder / f"{SPECIES_CODES}.npy", n_species, n_cells)
    transposed = by_species if with_species_codes else None
    try:
        for resolution, rows in starts.items():
            if (name := f"level{resolution}_starts") in writers:
                writers[name].append(rows)
        for rows_of_part in source.parts:
            _write_part(writers, transposed, source, rows_of_part, source.read(rows_of_part))
        entries = {writer.path.name: writer.close() for writer in writers.values()}
        if transposed is not None:
            entries[transposed.path.name] = transposed.close()
    finally:
        for writer in writers.values():
            writer.file.close()
        by_species.abandon()
    for file_name, entry in entries.items():
        checksums.check_file(folder / file_name, entry["bytes"], entry["blake2b"], checksums.BLOCK_BYTES)
    return entries


def _check_room(folder: Path, n_bytes: int) -> None:
    """Raise `OSError` before anything is written where the disk has less room than the files need."""
    free = shutil.disk_usage(folder).free
    if free < n_bytes:
        raise OSError(
            errno.ENOSPC, f"{n_bytes / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB free", str(folder)
        )


def _write_part(
    writers: dict[str, ArrayWriter],
    transposed: SpeciesWriter | None,
    source: HotSource,
    rows: slice,
    part: Part,
) -> None:
    quanta = source.quanta[rows]
    arrays: dict[str, NDArray] = {
        "cells": source.cells[rows],
        "area_ha": quanta * hectare_quantum(source.resolution),
        CODES: part.codes,
        **{f"value_{name}": values for name, values in part.values.items()},
    }
    if "lonlat" in writers:
        arrays["lonlat"] = source.lonlat(rows)
    if any(name in writers for name in _LAYERS):
        layers = cell_layers(part.codes)
        arrays |= {name: getattr(layers, name) for name in _LAYERS}
    if any(name.startswith("level") for name in writers):
        for level in parent_levels(part.codes, quanta, source.cells[rows], source.resolution):
            arrays[f"level{level.resolution}_squares"] = level.weighted_squares
            arrays[f"level{level.resolution}_max"] = level.max_codes
    for name, array in arrays.items():
        if name in writers:
            writers[name].append(array)
    if transposed is not None:
        transposed.append(part.codes)


class ArrayWriter:
    """A `.npy` file written row after row with plain writes, its checksums taken on the way.

    Plain writes fail with an error on a full disk, where writing through a memory map ends the process.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: DTypeLike):
        self.path = path
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.file = path.open("wb")
        self._n_rows = 0
        self._digests: list[str] = []
        self._digest = checksums.new_digest()
        self._in_block = 0
        self._n_bytes = 0
        self._write(memoryview(array_header(shape, self.dtype)))

    def append(self, values: NDArray) -> None:
        """Write the next rows."""
        if values.shape[1:] != self.shape[1:]:
            raise ValueError(f"{self.path.name}: rows of shape {values.shape[1:]}, expected {self.shape[1:]}")
        contiguous = np.ascontiguousarray(values, dtype=self.dtype)
        self._write(contiguous.reshape(-1).view(np.uint8).data)
        self._n_rows += len(values)

    def _write(self, content: memoryview) -> None:
        self.file.write(content)
        self._n_bytes += len(content)
        while len(content):
            piece = content[: checksums.BLOCK_BYTES - self._in_block]
            self._digest.update(piece)
            self._in_block += len(piece)
            content = content[len(piece) :]
            if self._in_block == checksums.BLOCK_BYTES:
                self._end_block()

    def _end_block(self) -> None:
        self._digests.append(self._digest.hexdigest())
        self._digest = checksums.new_digest()
        self._in_block = 0

    def close(self) -> dict[str, Any]:
        """Flush the file to the disk; returns its size and the checksum of each block."""
        if self._n_rows != self.shape[0]:
            raise ValueError(f"{self.path.name}: {self._n_rows} rows were written, expected {self.shape[0]}")
        if self._in_block:
            self._end_block()
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        return {"bytes": self._n_bytes, "blake2b": self._digests}


class SpeciesWriter:
    """The codes species by species (n_species, n_cells), written from rows of cells.

    Rows are gathered until each species gets a long piece; then every piece goes to its place in the file.
    """

    def __init__(self, path: Path, n_species: int, n_cells: int):
        self.path = path
        self._shape = (n_species, n_cells)
        self._header = array_header(self._shape, np.dtype(np.uint8))
        self._sums = np.zeros(n_species, dtype=np.int64)
        width = max(1, min(n_cells, _TRANSPOSE_BYTES // max(1, n_species)))
        self._gathered = np.empty((n_species, width), dtype=np.uint8)
        self._n_gathered = 0
        self._n_written = 0
        self._handle: int | None = None

    def append(self, codes: NDArray[np.uint8]) -> None:
        """Take the next rows of cells (n, n_species)."""
        self._sums += codes.sum(axis=0, dtype=np.int64)
        while len(codes):
            room = self._gathered.shape[1] - self._n_gathered
            taken = codes[:room]
            self._gathered[:, self._n_gathered : self._n_gathered + len(taken)] = taken.T
            self._n_gathered += len(taken)
            codes = codes[room:]
            if self._n_gathered == self._gathered.shape[1]:
                self._write_gathered()

    def _write_gathered(self) -> None:
        if self._handle is None:
            self._handle = os.open(
                self.path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
            )
            _write_at(self._handle, self._header, 0)
        for species_id, codes in enumerate(self._gathered[:, : self._n_gathered]):
            place = len(self._header) + species_id * self._shape[1] + self._n_written
            _write_at(self._handle, codes.data, place)
        self._n_written += self._n_gathered
        self._n_gathered = 0

    def close(self) -> dict[str, Any]:
        """Flush the file, read it back and compare the sum of each species' codes; size and checksums.

        Raises `CorruptStoreError` when a species does not have the codes it was given.
        """
        if self._n_gathered:
            self._write_gathered()
        assert self._handle is not None
        os.fsync(self._handle)
        self.abandon()
        found = np.load(self.path, mmap_mode="r")
        sums = np.array([codes.sum(dtype=np.int64) for codes in found], dtype=np.int64)
        if self._n_written != self._shape[1] or not np.array_equal(sums, self._sums):
            raise CorruptStoreError(f"{self.path} was not written as the codes are by cell")
        return {
            "bytes": self.path.stat().st_size,
            "blake2b": checksums.block_digests(self.path, checksums.BLOCK_BYTES),
        }

    def abandon(self) -> None:
        """Close the file."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _write_at(handle: int, content: bytes | memoryview, place: int) -> None:
    view = memoryview(content)
    while len(view):
        if hasattr(os, "pwrite"):
            written = os.pwrite(handle, view, place)
        else:  # Windows
            os.lseek(handle, place, os.SEEK_SET)
            written = os.write(handle, view)
        view, place = view[written:], place + written


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


def _write_meta(folder: Path, source: HotSource, entries: dict[str, Any]) -> None:
    for path in folder.iterdir():
        if path.name not in entries and path.name not in (STORE_FILE, STAMP_FILE):
            entries[path.name] = {
                "bytes": path.stat().st_size,
                "blake2b": checksums.block_digests(path, checksums.BLOCK_BYTES),
            }
    meta: dict[str, Any] = {
        "format": HOT_FORMAT,
        "name": source.name,
        "title": source.title,
        "version": source.version,
        "origin": source.origin,
        "resolution": source.resolution,
        "n_cells": len(source.cells),
        "n_species": source.n_species,
        "levels": pyramid_resolutions(source.resolution),
        "cell_values": sorted(source.value_types),
        "inputs": json.loads(json.dumps(dict(source.inputs), default=str)),
        "block_bytes": checksums.BLOCK_BYTES,
        "files": {name: entries[name] for name in sorted(entries)},
    }
    meta["digest"] = checksums.digest_json(meta)
    with (folder / STORE_FILE).open("w", encoding="utf-8") as file:
        json.dump(meta, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    write_stamp(folder, list(entries))
    flush_folder(folder)
