"""What finer cells of a region would take, known before anything is predicted."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h3
import numpy as np
from numpy.typing import NDArray

from sdm_core import config, regions
from sdm_core.errors import FlorascopeError, NoDataInRegionError
from sdm_core.on_demand import cache

if TYPE_CHECKING:
    from sdm_core.regions import Region
    from sdm_core.registry import Atlas

#: Steps of H3 resolution below the atlas that may be asked for; each has seven times as many cells.
MAX_STEPS = 3
_FINEST = 15
#: Steps from a cell up to its tile, the piece that is predicted and cached as one: 343 cells.
TILE_STEPS = 3
_CHILDREN = 7
CELLS_PER_TILE = _CHILDREN**TILE_STEPS
#: Bytes of a cell and species in the cache: its tile, both orders of the store, the parents' totals.
_BYTES_PER_CODE = 3.5
#: Until a run on this machine has measured it: seconds before the first cell, and cells a second.
_FIRST_START_S, _FIRST_CELLS_PER_S = 10.0, 2_000.0


class FineError(FlorascopeError):
    """Finer cells cannot be predicted for what was asked."""


@dataclass(frozen=True)
class FinePlan:
    """What a request would compute.

    Attributes:
        resolution: H3 resolution of the cells.
        tiles: H3 indices of the tiles the region touches (n_tiles,), uint64, ascending.
        missing: those that are not in the cache.
        n_cells: cells the region touches, an upper bound where parts of it are sea.
        n_new_cells: cells of the missing tiles, an upper bound likewise.
        seconds: how long it will take, from earlier runs on this machine where there were any.
        n_bytes: what tiles and store take in the cache, an upper bound.
        problem: one sentence when it cannot be computed here: the model or its covariates are absent.
    """

    resolution: int
    tiles: NDArray[np.uint64]
    missing: NDArray[np.uint64]
    n_cells: int
    n_new_cells: int
    seconds: float
    n_bytes: int
    problem: str = ""


def mean_cell_km2(resolution: int) -> float:
    """Mean area of the cells of an H3 resolution."""
    return h3.average_hexagon_area(resolution, unit="km^2")


def finer_resolutions(atlas: Atlas, region: Region | None = None) -> tuple[int, ...]:
    """Resolutions finer than the atlas that can be asked for; those of a region keep the limit of cells."""
    own = atlas.store.resolution
    steps = range(own + 1, min(own + MAX_STEPS, _FINEST) + 1)
    return tuple(
        resolution
        for resolution in steps
        if region is None or region.area_km2 / mean_cell_km2(resolution) <= config.MAX_FINE_CELLS
    )


def check_resolution(atlas: Atlas, resolution: int) -> None:
    """Raise `FineError` for a resolution that is not finer than the atlas, or too much finer."""
    allowed = finer_resolutions(atlas)
    if resolution not in allowed:
        raise FineError(
            f"The resolution is {resolution}, and the cells of {atlas.title} have {atlas.store.resolution}; "
            f"expected one of {', '.join(map(str, allowed))} for finer ones."
        )


def tiles_of(atlas: Atlas, region: Region, resolution: int) -> tuple[NDArray[np.uint64], int]:
    """Tiles a region touches, uint64 ascending, and the number of its cells.

    The cells are all that touch the region, so that the tiles serve every rule of containment.
    Raises `FineError` for a resolution or a number of cells beyond the limits, `NoDataInRegionError`.
    """
    check_resolution(atlas, resolution)
    expected = region.area_km2 / mean_cell_km2(resolution)
    if expected > config.MAX_FINE_CELLS:
        raise FineError(
            f"'{region.name}' ({region.area_km2:,.0f} km²) holds about {expected:,.0f} cells of resolution "
            f"{resolution}, and at most {config.MAX_FINE_CELLS:,} are predicted at once; choose a smaller "
            "region or larger cells."
        )
    cells = regions.polygon_cells(region.geometry, resolution, "intersect")
    parents = regions.cells_to_parents(cells, resolution - TILE_STEPS)
    tiles, counts = np.unique(parents, return_counts=True)
    known = np.isin(tiles, grid_tiles(atlas, resolution))
    if not known.any():
        raise NoDataInRegionError(
            f"'{region.name}' holds no cell of {atlas.title}, so there is nothing to predict finer; choose a "
            "region on the land it covers."
        )
    return tiles[known], int(counts[known].sum())


def grid_tiles(atlas: Atlas, resolution: int) -> NDArray[np.uint64]:
    """Every tile of the finer cells of an atlas: the parents of its own cells, uint64 ascending."""
    return np.unique(regions.cells_to_parents(np.asarray(atlas.store.cells), resolution - TILE_STEPS))


def fine_plan(atlas: Atlas, region: Region, resolution: int) -> FinePlan:
    """What predicting a region at a finer resolution would take now.

    Raises `FineError` when it may not be asked for (resolution, number of cells, size of the cache),
    `NoDataInRegionError` when the atlas holds nothing there.
    """
    tiles, n_cells = tiles_of(atlas, region, resolution)
    n_bytes = int(len(tiles) * CELLS_PER_TILE * atlas.store.n_species * _BYTES_PER_CODE)
    if n_bytes > config.FINE_CACHE_BYTES:
        raise FineError(
            f"These cells would take {n_bytes / 1e9:.1f} GB, more than the "
            f"{config.FINE_CACHE_BYTES / 1e9:.1f} GB the cache of finer predictions may hold; choose a "
            "smaller region or larger cells, or raise FLORASCOPE_FINE_CACHE_BYTES."
        )
    missing = tiles[~np.isin(tiles, cache.finished_tiles(cache.fine_folder(atlas, resolution)))]
    n_new = len(missing) * CELLS_PER_TILE
    return FinePlan(
        resolution=resolution,
        tiles=tiles,
        missing=missing,
        n_cells=n_cells,
        n_new_cells=n_new,
        seconds=expected_seconds(atlas, n_new),
        n_bytes=n_bytes,
        problem=missing_inputs(atlas) if len(missing) else "",
    )


def missing_inputs(atlas: Atlas) -> str:
    """One sentence on what predicting needs and this installation lacks; empty when all is there."""
    try:
        configuration = json.loads((atlas.folder / "model.json").read_bytes())["notes"]["configuration"]
        if "pack" in configuration:
            return (
                f"The model of {atlas.title} was trained on packed images, which cover no other places than "
                "those of its surveys, so finer cells cannot be predicted."
            )
        covariates = str(configuration["covariates"]["path"])
    except (OSError, ValueError, KeyError, TypeError):
        return (
            f"{atlas.title} came without its model, so finer cells cannot be predicted; use an atlas folder "
            "that holds model.json and model.safetensors."
        )
    if not (atlas.folder / "model.safetensors").is_file():
        return (
            f"{atlas.title} came without the weights of its model, so finer cells cannot be predicted; put "
            "model.safetensors into its folder."
        )
    path = Path(covariates) if Path(covariates).is_absolute() else config.DATA_DIR / covariates
    if not path.exists():
        return (
            f"Finer cells need the covariates of the model, which do not come with the atlas: put "
            f"{covariates} into the data folder {config.DATA_DIR}, or set SDM_DATA to the folder that holds "
            "it."
        )
    return ""


# Speed ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Speed:
    """How fast finer cells were predicted on this machine."""

    start_s: float = _FIRST_START_S
    cells_per_s: float = _FIRST_CELLS_PER_S


def expected_seconds(atlas: Atlas, n_cells: int) -> float:
    """Seconds to predict some cells; 0 for none."""
    speed = known_speed(atlas)
    return speed.start_s + n_cells / speed.cells_per_s if n_cells else 0.0


def known_speed(atlas: Atlas) -> Speed:
    """Speed of the last run for an atlas, or a guess before the first."""
    try:
        raw: dict[str, Any] = json.loads(_speed_file(atlas).read_bytes())
        speed = Speed(float(raw["start_s"]), float(raw["cells_per_s"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Speed()
    return speed if speed.cells_per_s > 0 else replace(speed, cells_per_s=_FIRST_CELLS_PER_S)


def note_speed(atlas: Atlas, start_s: float, n_cells: int, seconds: float) -> None:
    """Remember how long a run took, for the next estimate."""
    if n_cells and seconds > 0:
        cache.atlas_folder(atlas).mkdir(parents=True, exist_ok=True)
        cache.write_json(_speed_file(atlas), {"start_s": start_s, "cells_per_s": n_cells / seconds})


def _speed_file(atlas: Atlas) -> Path:
    return cache.atlas_folder(atlas) / "speed.json"
