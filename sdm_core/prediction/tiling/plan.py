"""The plan of a tiling: cells, bytes and time before the first tile, and whether the disk has room."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sdm_core.prediction import zarr_layout
from sdm_core.prediction.tile_grid import Tile, TileGrid
from sdm_core.prediction.tiling.protocol import CellPredictor

#: Bytes of the hot copy per cell and species (codes, their transposed copy, the pyramid), and per cell.
_HOT_BYTES_PER_CODE, _HOT_BYTES_PER_CELL = 3.4, 60
#: Tiles predicted for the plan.
_N_PROBES = 4
#: Share of the free space above which a person is asked first.
ASK_ABOVE = 0.8


@dataclass(frozen=True)
class Room:
    """Space on one disk: what is needed and what is free, in bytes, and the folder meant."""

    folder: Path
    needed: int
    free: int


@dataclass(frozen=True)
class TilingPlan:
    """What a tiling will take. Cells, bytes and seconds are estimates of what is still to do."""

    resolution: int
    tile_resolution: int
    n_tiles: int
    n_done: int
    n_species: int
    n_cells: float
    exchange_bytes: float
    hot_bytes: float
    cells_per_second: float
    n_workers: int
    rooms: tuple[Room, ...] = field(default=())

    @property
    def seconds(self) -> float:
        """Seconds of the prediction, with all workers as fast as this machine's one."""
        return self.n_cells / max(self.cells_per_second, 1e-9) / max(self.n_workers, 1)

    @property
    def too_large(self) -> Room | None:
        """The disk that has less space than is needed."""
        return next((room for room in self.rooms if room.needed > room.free), None)

    @property
    def tight(self) -> Room | None:
        """The disk of which more than `ASK_ABOVE` would be taken."""
        return next((room for room in self.rooms if room.needed > ASK_ABOVE * room.free), None)

    def lines(self) -> list[str]:
        """The plan in words, one fact a line."""
        todo = self.n_tiles - self.n_done
        if not todo:
            return [f"all {self.n_tiles} tiles are done already"]
        done = f", {self.n_done} of them done already" if self.n_done else ""
        lines = [
            f"{self.n_tiles} tiles (H3 resolution {self.tile_resolution}){done}",
            f"about {self.n_cells:,.0f} cells at H3 resolution {self.resolution} × {self.n_species} species "
            f"in {todo} tiles",
            f"about {in_bytes(self.exchange_bytes)} exchange copy"
            + (f", {in_bytes(self.hot_bytes)} hot copy" if self.hot_bytes else ", no hot copy"),
            f"about {in_words(self.seconds)} at {self.cells_per_second:,.0f} cells/s a worker × "
            f"{self.n_workers}",
        ]
        lines += [
            f"{in_bytes(room.needed)} of {in_bytes(room.free)} free at {room.folder}" for room in self.rooms
        ]
        return lines


def make_plan(
    predictor: CellPredictor,
    grid: TileGrid,
    done: NDArray[np.uint64],
    *,
    n_workers: int = 1,
    exchange_folder: Path | None = None,
    hot_folder: Path | None = None,
) -> tuple[TilingPlan, dict[int, float]]:
    """The plan, and about how many cells each tile still to do holds.

    A few tiles with many cells are predicted to learn the speed and how well codes compress; nothing is
    written.
    exchange_folder: where the store will lie, None where it is no folder of this machine. hot_folder: where
    the hot copy will lie, None for none.
    """
    todo = np.setdiff1d(grid.tiles, done)
    estimates = predictor.estimate(todo, grid.resolution)
    n_cells = float(estimates.sum())
    rate, bytes_per_cell = _probe(predictor, grid, _tiles_to_probe(todo, estimates))
    exchange = n_cells * bytes_per_cell
    in_all = n_cells + float(predictor.estimate(np.intersect1d(grid.tiles, done), grid.resolution).sum())
    hot = in_all * (grid.n_species * _HOT_BYTES_PER_CODE + _HOT_BYTES_PER_CELL) if hot_folder else 0.0
    places = [(exchange_folder, exchange), (hot_folder, hot)]
    plan = TilingPlan(
        grid.resolution,
        grid.tile_resolution,
        len(grid.tiles),
        len(grid.tiles) - len(todo),
        grid.n_species,
        n_cells,
        exchange,
        hot,
        rate,
        n_workers,
        rooms_of({folder: needed for folder, needed in places if folder is not None and needed}),
    )
    return plan, dict(zip(todo.tolist(), estimates.tolist(), strict=True))


def rooms_of(needed: Mapping[Path, float]) -> tuple[Room, ...]:
    """Space needed and free on each disk; folders on one disk are counted together."""
    by_disk: dict[int, Room] = {}
    for folder, size in needed.items():
        there = folder.absolute()
        while not there.exists():
            there = there.parent
        disk = there.stat().st_dev
        before = by_disk[disk].needed if disk in by_disk else 0
        by_disk[disk] = Room(there, before + int(size), shutil.disk_usage(there).free)
    return tuple(by_disk.values())


def _tiles_to_probe(tiles: NDArray[np.uint64], estimates: NDArray[np.float64]) -> list[int]:
    """A few tiles with many cells, far from each other."""
    if not len(tiles) or not estimates.max() > 0:
        return []
    full = np.flatnonzero(estimates >= estimates.max() / 2)
    chosen = np.unique(np.linspace(0, len(full) - 1, _N_PROBES).round().astype(np.int64))
    return [int(tile) for tile in tiles[full[chosen]]]


def _probe(predictor: CellPredictor, grid: TileGrid, tiles: list[int]) -> tuple[float, float]:
    """Cells a second and bytes of the exchange copy per cell, from predicting some tiles; 0 without cells."""
    from sdm_core.prediction.forward import one_thread

    if not tiles:
        return 0.0, 0.0
    with one_thread():
        predictor.tile(tiles[0], grid.resolution)  # the first time also reads and builds
        started = time.perf_counter()
        contents = [predictor.tile(tile, grid.resolution) for tile in tiles]
        seconds = time.perf_counter() - started
    n_cells = sum(len(content.cells) for content in contents)
    if not n_cells:
        return 0.0, 0.0
    return n_cells / seconds, sum(_encoded_bytes(content, grid) for content in contents) / n_cells


def _encoded_bytes(content: Tile, grid: TileGrid) -> int:
    """Bytes of the chunks of a tile."""
    rows = grid.rows_per_tile
    cells = zarr_layout.encode_chunk(content.cells, (rows,))
    return len(cells) + len(zarr_layout.encode_chunk(content.codes, (rows, grid.n_species)))


def in_bytes(size: float) -> str:
    """A size in words: 1.5 GB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def in_words(seconds: float) -> str:
    """A time in words: 2 h 5 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
