"""Cells and what a model sees of them: study area, covariates, features and patches, no model needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray

from sdm_core import regions
from sdm_core.covariates import RasterSource, open_rasters
from sdm_core.errors import NoDataInRegionError
from sdm_core.models import SiteInputs
from sdm_core.pipeline.configuration import AtlasConfig
from sdm_core.pipeline.model_folder import Patches
from sdm_core.pipeline.preparation import data_path
from sdm_core.pipeline.windows import CovariateWindows, Window
from sdm_core.prediction.tiling import StudyArea, children_of

#: Cells looked up at once, and predicted at once where they are all on land.
_CELLS_PER_STEP = 8192
#: The same for models on patches, which need more room.
_CELLS_PER_STEP_PATCHES = 1024
#: Cells that an estimate of the number of cells looks at, about.
_CELLS_TO_ESTIMATE = 200_000


@dataclass(frozen=True)
class CellInputs:
    """What a model sees of any cell, and which cells it is for.

    name: of the atlas, for messages. bounds: west, south, east, north in degrees; the covariates' own extent
    where empty. places: named places that cells must lie in; without any, a cell's centre must lie on a
    covariate cell with data. region: WKB of a polygon that cells must lie in too.
    """

    name: str
    covariates: CovariateWindows
    bounds: tuple[float, ...] = ()
    places: tuple[str, ...] = ()
    region: bytes | None = None
    patches: Patches | None = None

    @classmethod
    def of_config(cls, config: AtlasConfig) -> CellInputs:
        """Those of a configuration, without patches, before any model is trained.

        Raises `CovariateError` where its covariates are not there.
        """
        settings = config.covariates
        source = open_rasters(data_path(settings.path), layers=settings.layers or None)
        covariates = CovariateWindows(source, config.features, settings.fill_gaps_cells)
        return cls(config.name, covariates, config.prediction.bounds, config.prediction.places)

    @cached_property
    def area(self) -> StudyArea:
        """Where cells may be: the model's places and bounds, and the region asked for."""
        bounds = self.bounds or _lonlat_bounds(self.covariates.source)
        geometry: shapely.Geometry = shapely.box(*bounds)
        if self.places:
            outlines = [regions.region_from_place(name).geometry for name in self.places]
            geometry = shapely.intersection(shapely.union_all(outlines), geometry)
        if self.region is not None:
            geometry = shapely.intersection(shapely.from_wkb(self.region), geometry)
        if geometry.is_empty or not geometry.area > 0:
            raise NoDataInRegionError(
                f"The region lies outside the study area of {self.name}; choose one inside it."
            )
        return StudyArea(geometry, on_data_only=not self.places)

    def candidates(self, tile: int, resolution: int) -> tuple[NDArray[np.uint64], NDArray[np.float64]]:
        """Cells of a tile that lie in the study area, ascending, and their centres."""
        cells = children_of(np.array([tile], dtype=np.uint64), resolution)
        lonlat = regions.cells_to_lonlat(cells)
        inside = self.area.contains(lonlat)
        return cells[inside], lonlat[inside]

    @cached_property
    def _coverage(self) -> tuple[NDArray[np.bool_], float, float]:
        return self.covariates.source.coverage()

    def cells_of_tile(self, tile: int, resolution: int) -> NDArray[np.uint64]:
        """Cells of a tile that lie in the study area and have covariates, ascending."""
        cells, lonlat = self.candidates(tile, resolution)
        rows = [rows for rows, _ in self.inputs(lonlat, with_patches=False)]
        return cells[np.concatenate(rows)] if rows else cells[:0]

    def estimate(self, tiles: NDArray[np.uint64], resolution: int) -> NDArray[np.float64]:
        """About how many cells each tile holds, from where the first covariate has data seen from afar."""
        if not len(tiles):
            return np.zeros(0)
        tile_resolution = int(regions.cell_resolutions(tiles[:1])[0])
        steps = int(np.log(max(_CELLS_TO_ESTIMATE / len(tiles), 1)) / np.log(7))
        level = min(resolution, tile_resolution + max(steps, 0))
        cells = children_of(tiles, level)
        lonlat = regions.cells_to_lonlat(cells)
        there, cell_height, cell_width = self._coverage
        row, column = self.covariates.source.grid.position(lonlat[:, 0], lonlat[:, 1])
        row, column = np.nan_to_num(row / cell_height, nan=-1.0), np.nan_to_num(column / cell_width, nan=-1.0)
        on_grid = (row >= 0) & (row < there.shape[0]) & (column >= 0) & (column < there.shape[1])
        seen = np.zeros(len(cells), dtype=bool)
        seen[on_grid] = there[row[on_grid].astype(np.int64), column[on_grid].astype(np.int64)]
        seen &= self.area.contains(lonlat)
        order = np.searchsorted(tiles, regions.cells_to_parents(cells, tile_resolution))
        counts = np.bincount(order, weights=seen, minlength=len(tiles)).astype(np.float64)
        return counts * 7.0 ** (resolution - level)

    def inputs(
        self, lonlat: NDArray[np.float64], with_patches: bool = True, on_data_only: bool | None = None
    ) -> Iterator[tuple[NDArray[np.int64], SiteInputs]]:
        """Rows of places that have covariates and what the model sees of them, some at a time, in order."""
        own_only = self.area.on_data_only if on_data_only is None else on_data_only
        step = _CELLS_PER_STEP_PATCHES if self.patches else _CELLS_PER_STEP
        for start in range(0, len(lonlat), step):
            part = lonlat[start : start + step]
            rows, features, patches = [], [], []
            for window in self.covariates.windows(part[:, 0], part[:, 1]):
                keep, values = self._look_up(window, part[window.rows], own_only)
                if not len(keep):
                    continue
                rows.append(start + window.rows.start + keep)
                features.append(values)
                if self.patches and with_patches:
                    patches.append(self._cut(window, keep))
            if rows:
                chosen = np.concatenate(rows)
                yield (
                    chosen,
                    SiteInputs(
                        lonlat[chosen],
                        np.concatenate(features),
                        np.concatenate(patches) if patches else None,
                    ),
                )

    def _look_up(
        self, window: Window, lonlat: NDArray[np.float64], own_only: bool
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Places of a window that have features, and their features."""
        rows = np.arange(len(lonlat))
        if own_only:
            own = window.own_cell
            rows = np.flatnonzero((own >= 0) & window.stack.valid.ravel()[np.maximum(own, 0)])
        position = window.row[rows], window.column[rows]
        table = window.features.at(lonlat[rows, 0], lonlat[rows, 1], position)
        there = ~table.missing
        return (rows, table.values) if there.all() else (rows[there], table.values[there])

    def _cut(self, window: Window, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Patches around places of a window."""
        assert self.patches is not None
        names = self.covariates.source.names
        layers = [names.index(name) for name in self.patches.layers]
        mean, deviation = (moments[layers] for moments in self.covariates.layer_moments)
        row, column = (np.floor(part[rows]).astype(np.int64) for part in (window.row, window.column))
        stack = window.stack.select(self.patches.layers)
        return stack.patches_at(row, column, self.patches.size, mean=mean, std=deviation)


def _lonlat_bounds(source: RasterSource) -> tuple[float, float, float, float]:
    """West, south, east, north of the rasters in degrees."""
    west, south, east, north = source.grid.bounds
    if not source.grid.crs.is_geographic:
        from rasterio.warp import transform_bounds

        west, south, east, north = transform_bounds(source.grid.crs, 4326, west, south, east, north)
    if west >= east:  # across the date line
        west, east = -180.0, 180.0
    return max(west, -180.0), max(south, -90.0), min(east, 180.0), min(north, 90.0)
