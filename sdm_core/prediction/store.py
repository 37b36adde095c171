"""The hot copy of an atlas: codes of every cell and species, memory-mapped and opened read-only."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from sdm_core.errors import NoDataInRegionError, UnknownSpeciesError
from sdm_core.prediction.cell_layers import CellLayers, cells_digest, read_cell_layers
from sdm_core.prediction.code import SQUARE_OF_MAX_CODE, decode
from sdm_core.prediction.content import HECTARES_PER_KM2
from sdm_core.prediction.derive import parent_cells, parent_starts
from sdm_core.prediction.files import (
    HELD_OUT_FILE,
    OBSERVED_FILE,
    OBSERVED_SPECIES_FILE,
    SPECIES_FILE,
    TRUST_FILE,
    read_species_table,
)
from sdm_core.prediction.held_out import HeldOutSurveys, read_held_out
from sdm_core.prediction.information import effort_density, expected_information
from sdm_core.prediction.integrity import STORE_FILE, read_meta, read_stamp
from sdm_core.prediction.store_files import StoreFiles
from sdm_core.prediction.sums import PyramidLevel, RegionSums, Totals, add_rows, checked_rows
from sdm_core.regions import cells_to_parents, hectare_quantum

logger = logging.getLogger(__name__)

_LAYERS = ("richness", "shannon", "simpson", "sse_richness")
#: Layers worked out when they are asked for: records per 100 km², and what a visit is worth (0 to 100).
DERIVED_LAYERS: dict[str, Callable[[Any], NDArray]] = {
    "effort": effort_density,
    "information": expected_information,
}
#: Codes of an atlas at most, so that they take about a second.
_MOST_CODES_TO_DERIVE = 500_000_000


class PredictionStore(StoreFiles):
    """Calibrated probabilities of every species in every cell of an atlas.

    cells (n_cells,) uint64, ascending H3 indices. lonlat (n_cells, 2) float64, degrees. area_ha
    (n_cells,) float64, hectares, multiples of `regions.hectare_quantum`. codes (n_cells, n_species) uint8,
    see `prediction.code`. A species is known by its column, `species_id`. Nothing is read before it is asked
    for, and nothing that may have changed is used before it is compared with its checksum (see `integrity`).
    """

    def __init__(self, folder: Path, meta: dict[str, Any]):
        super().__init__(folder, meta)
        self.title: str = meta["title"]
        self.version: str = meta["version"]
        self.resolution: int = meta["resolution"]
        self.n_cells: int = meta["n_cells"]
        self.n_species: int = meta["n_species"]
        #: The atlas of which this holds finer cells of some regions; None for an atlas itself.
        self.whole: PredictionStore | None = None
        self._derived_values: dict[str, NDArray[np.float32]] = {}

    @classmethod
    def open(
        cls,
        path: Path | str,
        repair: Callable[[PredictionStore], None] | None = None,
        trust_stamp: bool = True,
    ) -> PredictionStore:
        """Store in a hot folder, or of an atlas folder or address (built in the cache on first use).

        An atlas folder holds `predictions.zarr.zip` or `predictions.zarr`; the latter may lie at an address
        such as s3://bucket/atlas. Opening looks at sizes and times only: see `integrity`. repair: puts a
        store right of which a block is found damaged later. trust_stamp: False has every block compared.
        Raises `CorruptStoreError` naming the file, `CacheNotWritableError`.
        """
        if "://" not in str(path) and (Path(path) / STORE_FILE).is_file():
            folder = Path(path)
            store = cls(folder, read_meta(folder))
            store._guard_changed_files(repair, read_stamp(folder) if trust_stamp else {})
            return store
        from sdm_core.prediction.opening import open_cached

        return open_cached(path)

    def __repr__(self) -> str:
        return (
            f"PredictionStore({self.name!r}, version {self.version}, {self.n_cells} cells at H3 resolution "
            f"{self.resolution}, {self.n_species} species)"
        )

    # Cells and species ------------------------------------------------------------------------------

    @cached_property
    def cells(self) -> NDArray[np.uint64]:
        """H3 index of each cell, ascending (n_cells,)."""
        return self._array("cells")

    @cached_property
    def lonlat(self) -> NDArray[np.float64]:
        """Longitude and latitude of cell centres (n_cells, 2), degrees."""
        return self._array("lonlat")

    @cached_property
    def area_ha(self) -> NDArray[np.float64]:
        """Cell areas on the ellipsoid in hectares (n_cells,), multiples of `regions.hectare_quantum`."""
        return self._array("area_ha")

    @cached_property
    def codes(self) -> NDArray[np.uint8]:
        """Codes (n_cells, n_species); `prediction.decode` turns them into probabilities."""
        return self._array("codes")

    @cached_property
    def species_codes(self) -> NDArray[np.uint8]:
        """The same codes, one species after the other (n_species, n_cells)."""
        return self._array("species_codes")

    @cached_property
    def species(self) -> pd.DataFrame:
        """Species table, one row per column of the codes (columns of `taxa.species_table`)."""
        return read_species_table(self._checked_path(SPECIES_FILE), self.n_species)

    def species_id(self, species: str) -> int:
        """Column of a species by scientific name, whatever the case.

        Raises `UnknownSpeciesError` naming what the atlas calls a synonym, or names spelt alike.
        """
        wanted = " ".join(species.replace("_", " ").split()).casefold()
        found = self._id_of_name.get(wanted)
        if found is None:
            from sdm_core.naming import AtlasNames

            names = AtlasNames(self.species)
            meant = names.find(species)
            near = [names.names[meant.number]] if meant is not None else names.suggest(species)
            hint = f"did you mean {near[0]}?" if near else "see the species list of the atlas"
            raise UnknownSpeciesError(f"the atlas {self.name} has no species {species!r}; {hint}")
        return found

    @cached_property
    def _id_of_name(self) -> dict[str, int]:
        return {str(name).casefold(): row for row, name in enumerate(self.species["species"])}

    def rows_of(self, cells: ArrayLike) -> NDArray[np.int64]:
        """Row of each H3 cell, −1 for cells the store does not hold."""
        wanted = np.asarray(cells, dtype=np.uint64)
        rows = np.searchsorted(self.cells, wanted)
        rows[rows == self.n_cells] = 0
        return np.where(self.cells[rows] == wanted, rows, -1).astype(np.int64)

    def rows_under(self, cell: int) -> NDArray[np.int64]:
        """Rows of the cells inside a parent cell of any coarser resolution (or of the cell itself)."""
        resolution = int(cell) >> 52 & 0xF
        if resolution > self.resolution:
            return np.zeros(0, dtype=np.int64)
        field = int(cell) & ~(0xF << 52) | self.resolution << 52
        unused = (1 << 3 * (15 - resolution)) - 1
        bounds = np.array([field & ~unused, field | unused], dtype=np.uint64)
        first = np.searchsorted(self.cells, bounds[0], side="left")
        last = np.searchsorted(self.cells, bounds[1], side="right")
        return np.arange(first, last, dtype=np.int64)

    # Queries ----------------------------------------------------------------------------------------

    def species_map(self, species_id: int) -> NDArray[np.uint8]:
        """Codes of one species in every cell (n_cells,), contiguous."""
        if not 0 <= species_id < self.n_species:
            raise UnknownSpeciesError(
                f"species {species_id} is not in the atlas {self.name}, which holds 0 to {self.n_species - 1}"
            )
        return self.species_codes[species_id]

    def probabilities(self, rows: ArrayLike) -> NDArray[np.float32]:
        """Probabilities of some rows (n_rows, n_species), float32."""
        return decode(self.codes[np.asarray(rows, dtype=np.int64)], np.float32)

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Names `layer` knows: diversity layers, what the atlas was written with, what lies beside it."""
        own = self.meta["cell_values"]
        beside = self._layers_beside
        quantities = () if beside is None else beside.quantities
        return (*_LAYERS, *own, *(name for name in quantities if name not in own), *self._derived)

    @property
    def _derived(self) -> tuple[str, ...]:
        """Layers worked out from codes and records when they are asked for."""
        if self.observed is None or self.n_cells * self.n_species > _MOST_CODES_TO_DERIVE:
            return ()
        return tuple(name for name in DERIVED_LAYERS if name not in self.meta["cell_values"])

    @property
    def _layers_beside(self) -> CellLayers | None:
        """Layers beside the archive, or beside that of the atlas of which this holds finer cells."""
        return self.cell_layers if self.whole is None else self.whole.cell_layers

    @cached_property
    def cell_layers(self) -> CellLayers | None:
        """The layers of `trust.parquet`; None without the file, or where it was made for other cells."""
        if not (self.folder / TRUST_FILE).is_file():
            return None
        layers = read_cell_layers(self._checked_path(TRUST_FILE))
        if layers.cells_digest != cells_digest(np.asarray(self.cells)):
            logger.warning(
                "%s of the atlas %s was made for other cells and is not used", TRUST_FILE, self.name
            )
            return None
        return layers

    @cached_property
    def held_out(self) -> HeldOutSurveys | None:
        """What held-out surveys say of the predictions; None without `held_out.parquet`.

        Finer cells have that of their atlas. Raises `CorruptStoreError` when the file is damaged or about
        other species.
        """
        if self.whole is not None:
            return self.whole.held_out
        if not (self.folder / HELD_OUT_FILE).is_file():
            return None
        return read_held_out(self._checked_path(HELD_OUT_FILE), self.species["species"])

    def layer(self, name: str) -> NDArray:
        """One value per cell (n_cells,): richness (Σp), shannon, simpson, sse_richness, or an own layer."""
        if name not in self.layer_names:
            raise ValueError(
                f"unknown layer {name!r}; the atlas {self.name} has {', '.join(self.layer_names)}"
            )
        if name in _LAYERS or name in self.meta["cell_values"]:
            return self._array(name if name in _LAYERS else f"value_{name}")
        if name in self._derived:
            if name not in self._derived_values:
                self._derived_values[name] = DERIVED_LAYERS[name](self).astype(np.float32)
            return self._derived_values[name]
        return self.value_beside(name)

    def value_beside(self, name: str) -> NDArray[np.float32]:
        """One value per cell (n_cells,) of a layer beside the archive; finer cells have that of their parent.

        Raises `ValueError` for an unknown layer.
        """
        layers, whole = self._layers_beside, self.whole or self
        if layers is None or name not in layers.layers:
            raise ValueError(f"the atlas {self.name} has no layer {name!r} beside it")
        values = layers.values(name)
        if whole is self:
            return values
        rows = whole.rows_of(cells_to_parents(np.asarray(self.cells), whole.resolution))
        return np.where(rows >= 0, values[rows], np.float32(np.nan))

    @cached_property
    def sse_cut(self) -> NDArray[np.uint16]:
        """Smallest code in the SSE assemblage of each cell (n_cells,); 256 where it is empty."""
        return self._array("sse_cut")

    @cached_property
    def sse_richness(self) -> NDArray[np.uint16]:
        """Number of species in the SSE assemblage of each cell (n_cells,)."""
        return self._array("sse_richness")

    def cell_top(self, cell: int, k: int = 5) -> list[tuple[int, float]]:
        """The k most probable species of a cell and their probabilities, most probable first.

        A parent cell gives area-weighted means over its children. Raises `NoDataInRegionError`.
        """
        rows = self.rows_under(cell)
        if not len(rows):
            raise NoDataInRegionError(f"cell {int(cell):x} is not in the atlas {self.name}")
        mean = self.region_sums(rows).mean_probability
        best = np.argsort(-mean, kind="stable")[:k]
        return [(int(species_id), float(mean[species_id])) for species_id in best]

    def aggregate(self, values: ArrayLike, resolution: int) -> tuple[NDArray[np.uint64], NDArray[np.float64]]:
        """Area-weighted means of one value per cell over parents at a coarser resolution.

        Returns parent cells (ascending) and means; NaN values are left out, parents of nothing but NaN
        are NaN.
        """
        numbers = np.asarray(values, dtype=np.float64)
        if resolution == self.resolution:
            return self.cells, numbers
        starts = parent_starts(self.cells, self.resolution, resolution)[:-1]
        valid = np.isfinite(numbers)
        weight = np.where(valid, self.area_ha, 0.0)
        total = np.add.reduceat(np.where(valid, numbers, 0.0) * weight, starts)
        with np.errstate(invalid="ignore"):
            return parent_cells(self.cells[starts], resolution), total / np.add.reduceat(weight, starts)

    def species_map_at(
        self, species_id: int, resolution: int
    ) -> tuple[NDArray[np.uint64], NDArray[np.float64]]:
        """Parents at a coarser resolution (ascending) and the area-weighted mean probability of a species.

        Exact: each mean is one division of sums of whole numbers. From the copy by species, one row of it.
        """
        squares = self.species_map(species_id).astype(np.float64) ** 2
        starts = parent_starts(self.cells, self.resolution, resolution)[:-1]
        total = np.add.reduceat(squares * self.area_ha, starts)
        hectares = np.add.reduceat(np.asarray(self.area_ha), starts)
        return parent_cells(self.cells[starts], resolution), total / (SQUARE_OF_MAX_CODE * hectares)

    @cached_property
    def _quanta(self) -> NDArray[np.float64]:
        """Areas as whole numbers (n_cells,); the areas themselves where the quantum is a hectare."""
        quantum = hectare_quantum(self.resolution)
        return self.area_ha if quantum == 1.0 else self.area_ha / quantum

    @cached_property
    def _levels(self) -> list[PyramidLevel]:
        """The pyramid, coarsest level first."""
        return [
            PyramidLevel(
                self._array(f"level{resolution}_starts"),
                self._array(f"level{resolution}_squares"),
                self._array(f"level{resolution}_max"),
            )
            for resolution in sorted(self.meta["levels"])
        ]

    def region_sums(self, rows: ArrayLike, hectares: ArrayLike | None = None) -> RegionSums:
        """Totals over some rows, per species: whole parents from the pyramid, the rest row by row.

        hectares: for cells partly in a region, the area inside of each row, multiples of the quantum from 0
        to `area_ha`, in the order of `rows`; where it is less than `area_ha` the cell counts with it.
        Identical to `scan_sums`, because every total is a sum of integers below 2^53.
        Raises `NoDataInRegionError` when there are no rows or none of their area, `ValueError` for `hectares`
        that do not fit.
        """
        wanted, quanta = self._checked_rows(rows, hectares)
        totals = Totals(self.n_species)
        partial = np.zeros(len(wanted), dtype=bool) if hectares is None else quanta < self._quanta[wanted]
        add_rows(totals, wanted[~partial], self.codes, self._quanta, self._levels)
        totals.add_cells(self.codes, wanted[partial], quanta[partial])
        return self._sums(totals, wanted, quanta)

    def scan_sums(self, rows: ArrayLike, hectares: ArrayLike | None = None) -> RegionSums:
        """The same totals read row by row, without the pyramid; what `region_sums` is checked against."""
        wanted, quanta = self._checked_rows(rows, hectares)
        totals = Totals(self.n_species)
        totals.add_cells(self.codes, wanted, quanta)
        return self._sums(totals, wanted, quanta)

    def _sums(self, totals: Totals, rows: NDArray[np.int64], quanta: NDArray[np.float64]) -> RegionSums:
        quantum = hectare_quantum(self.resolution)
        return RegionSums(
            len(rows), float(quanta.sum()) * quantum, totals.squares * quantum, totals.max_codes
        )

    def _checked_rows(
        self, rows: ArrayLike, hectares: ArrayLike | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        return checked_rows(rows, hectares, self._quanta, hectare_quantum(self.resolution), self.name)

    # Observed records -------------------------------------------------------------------------------

    @cached_property
    def observed(self) -> pd.DataFrame | None:
        """Coarse record density: H3 cell at resolution 5, n_records, n_species, n_sites; None if unknown."""
        return self._table(OBSERVED_FILE)

    @cached_property
    def observed_by_species(self) -> pd.DataFrame | None:
        """Coarse record density of all species: species_id, H3 cell at resolution 4, n_records; or None."""
        return self._table(OBSERVED_SPECIES_FILE)

    def observed_species(self, species_id: int) -> pd.DataFrame | None:
        """Coarse record density of one species: H3 cell at resolution 4, n_records; None if unknown."""
        table = self._table(OBSERVED_SPECIES_FILE, [("species_id", "==", int(species_id))])
        return None if table is None else table.drop(columns="species_id").reset_index(drop=True)


__all__ = ["HECTARES_PER_KM2", "PredictionStore", "RegionSums"]
