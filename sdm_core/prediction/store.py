"""The hot copy of an atlas: codes of every cell and species, memory-mapped and opened read-only."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from sdm_core.errors import CorruptStoreError, NoDataInRegionError, UnknownSpeciesError
from sdm_core.prediction import checksums
from sdm_core.prediction.code import PROBABILITY_OF_CODE, SQUARE_OF_MAX_CODE, decode
from sdm_core.prediction.derive import (
    NO_SPECIES_CUT,
    parent_cells,
    parent_starts,
    row_chunks,
    weighted_square_sums,
)
from sdm_core.prediction.files import map_array, read_species_table

logger = logging.getLogger(__name__)

#: Raised whenever the meaning of a stored file changes; part of every version hash.
STORE_FORMAT = 1
STORE_FILE = "store.json"
#: Size and time of change of each file when it was last compared with its checksums.
STAMP_FILE = "verified.json"
HECTARES_PER_KM2 = 100
_LAYERS = ("richness", "shannon", "simpson", "sse_richness")


@dataclass(frozen=True)
class RegionSums:
    """Totals of a set of cells, per species; the same numbers whichever way they were added up.

    weighted_squares (S,) int64: Σ hectares · code², exact. max_codes (S,) uint8.
    """

    n_cells: int
    hectares: int
    weighted_squares: NDArray[np.int64]
    max_codes: NDArray[np.uint8]

    @property
    def area_km2(self) -> float:
        """Area of the cells."""
        return self.hectares / HECTARES_PER_KM2

    @property
    def expected_area_km2(self) -> NDArray[np.float64]:
        """Σ area · p per species (S,), km²."""
        return self.weighted_squares / (SQUARE_OF_MAX_CODE * HECTARES_PER_KM2)

    @property
    def mean_probability(self) -> NDArray[np.float64]:
        """Area-weighted mean probability per species (S,)."""
        return self.weighted_squares / (SQUARE_OF_MAX_CODE * self.hectares)

    @property
    def max_probability(self) -> NDArray[np.float64]:
        """Largest probability per species (S,)."""
        return PROBABILITY_OF_CODE[self.max_codes]


@dataclass(frozen=True)
class _MappedLevel:
    """Totals of the parents at one resolution; one of size n is whole when n of its rows are asked for."""

    parent_of_row: NDArray[np.int32]
    sizes: NDArray[np.int64]
    weighted_squares: NDArray[np.number]
    max_codes: NDArray[np.uint8]


class PredictionStore:
    """Calibrated probabilities of every species in every cell of an atlas.

    cells (n_cells,) uint64, ascending H3 indices. lonlat (n_cells, 2) float64, degrees. area_ha
    (n_cells,) uint32, whole hectares. codes (n_cells, n_species) uint8, see `prediction.code`. A species is
    known by its column, `species_id`. Nothing is read before it is asked for.
    """

    def __init__(self, folder: Path, meta: dict[str, Any]):
        self.folder = folder
        self.meta = meta
        self.name: str = meta["name"]
        self.title: str = meta["title"]
        self.version: str = meta["version"]
        self.resolution: int = meta["resolution"]
        self.n_cells: int = meta["n_cells"]
        self.n_species: int = meta["n_species"]

    @classmethod
    def open(cls, path: Path | str) -> PredictionStore:
        """Store in a hot folder, or of an atlas folder (unpacked into the cache on first use).

        Files that changed since they were last checked are compared with their checksums again.
        Raises `CorruptStoreError` naming the file and block, `CacheNotWritableError`.
        """
        folder = Path(path)
        if (folder / STORE_FILE).is_file():
            store = cls(folder, read_meta(folder))
            store._check_changed_files()
            return store
        from sdm_core.prediction.exchange import EXCHANGE_FILE, open_unpacked

        if (folder / EXCHANGE_FILE).is_file():
            return open_unpacked(folder)
        raise CorruptStoreError(
            f"{folder} holds neither {STORE_FILE} nor {EXCHANGE_FILE}; give the folder of an atlas or of an "
            "unpacked store"
        )

    def __repr__(self) -> str:
        return (
            f"PredictionStore({self.name!r}, version {self.version}, {self.n_cells} cells at H3 resolution "
            f"{self.resolution}, {self.n_species} species)"
        )

    # Files ------------------------------------------------------------------------------------------

    def verify(self) -> None:
        """Compare every file with its checksums; raises `CorruptStoreError` naming file and block."""
        for file_name, entry in self.meta["files"].items():
            checksums.check_file(
                self.folder / file_name, entry["bytes"], entry["blake2b"], self.meta["block_bytes"]
            )
        write_stamp(self.folder, list(self.meta["files"]))

    def _check_changed_files(self) -> None:
        stamp = read_stamp(self.folder)
        changed = False
        for file_name, entry in self.meta["files"].items():
            path = self.folder / file_name
            checksums.check_size(path, entry["bytes"])
            if stamp.get(file_name) != path.stat().st_mtime_ns:
                checksums.check_file(path, entry["bytes"], entry["blake2b"], self.meta["block_bytes"])
                changed = True
        if changed:
            write_stamp(self.folder, list(self.meta["files"]))

    def _array(self, name: str) -> NDArray:
        return map_array(self.folder / f"{name}.npy")

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
    def area_ha(self) -> NDArray[np.uint32]:
        """Cell areas in whole hectares (n_cells,)."""
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
        return read_species_table(self.folder / "species.csv", self.n_species)

    def species_id(self, species: str) -> int:
        """Column of a species by scientific name, whatever the case.

        Raises `UnknownSpeciesError` naming the nearest name.
        """
        wanted = " ".join(species.replace("_", " ").split()).casefold()
        found = self._id_of_name.get(wanted)
        if found is None:
            import difflib

            near = difflib.get_close_matches(wanted, self._id_of_name, n=1, cutoff=0.5)
            hint = (
                f"did you mean {self.species['species'][self._id_of_name[near[0]]]}?"
                if near
                else ("see the species list of the atlas")
            )
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
        """Names `layer` knows: diversity layers, then what the atlas was written with."""
        return (*_LAYERS, *self.meta["cell_values"])

    def layer(self, name: str) -> NDArray:
        """One value per cell (n_cells,): richness (Σp), shannon, simpson, sse_richness, or an own layer."""
        if name not in self.layer_names:
            raise ValueError(
                f"unknown layer {name!r}; the atlas {self.name} has {', '.join(self.layer_names)}"
            )
        return self._array(name if name in _LAYERS else f"value_{name}")

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
        starts, weights = self._parents(resolution)
        valid = np.isfinite(numbers)
        weight = np.where(valid, weights, 0.0)
        total = np.add.reduceat(np.where(valid, numbers, 0.0) * weight, starts)
        with np.errstate(invalid="ignore"):
            return parent_cells(self.cells[starts], resolution), total / np.add.reduceat(weight, starts)

    def _parents(self, resolution: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        return parent_starts(self.cells, self.resolution, resolution)[:-1], self._weights

    @cached_property
    def _weights(self) -> NDArray[np.float64]:
        return self.area_ha.astype(np.float64)

    @cached_property
    def _levels(self) -> list[_MappedLevel]:
        """The pyramid, coarsest level first."""
        levels = []
        for resolution in sorted(self.meta["levels"]):
            sizes = np.diff(self._array(f"level{resolution}_starts"))
            levels.append(
                _MappedLevel(
                    parent_of_row=np.repeat(np.arange(len(sizes), dtype=np.int32), sizes),
                    sizes=sizes,
                    weighted_squares=self._array(f"level{resolution}_squares"),
                    max_codes=self._array(f"level{resolution}_max"),
                )
            )
        return levels

    def region_sums(self, rows: ArrayLike) -> RegionSums:
        """Totals over some rows, per species: whole parents from the pyramid, the rest row by row.

        Identical to `scan_sums`, because every total is a sum of integers below 2^53.
        Raises `NoDataInRegionError` when there are no rows.
        """
        wanted = self._checked_rows(rows)
        left = wanted
        squares = np.zeros(self.n_species)
        max_codes = np.zeros(self.n_species, dtype=np.uint8)
        for level in self._levels:
            if not len(left):
                break
            parents = level.parent_of_row[left]
            full = np.bincount(parents - parents[0]) == level.sizes[parents[0] : parents[-1] + 1]
            chosen = np.flatnonzero(full) + parents[0]
            for part in row_chunks(len(chosen), self.n_species):
                numbers = level.weighted_squares[chosen[part]].astype(np.float64, copy=False)
                squares += np.ones(len(numbers)) @ numbers
                np.maximum(max_codes, level.max_codes[chosen[part]].max(axis=0), out=max_codes)
            left = left[~full[parents - parents[0]]]
        self._add_rows(left, squares, max_codes)
        return RegionSums(
            len(wanted), int(self.area_ha[wanted].sum(dtype=np.int64)), squares.astype(np.int64), max_codes
        )

    def scan_sums(self, rows: ArrayLike) -> RegionSums:
        """The same totals read row by row, without the pyramid; what `region_sums` is checked against."""
        wanted = self._checked_rows(rows)
        squares = np.zeros(self.n_species)
        max_codes = np.zeros(self.n_species, dtype=np.uint8)
        self._add_rows(wanted, squares, max_codes)
        return RegionSums(
            len(wanted), int(self.area_ha[wanted].sum(dtype=np.int64)), squares.astype(np.int64), max_codes
        )

    def _add_rows(
        self, rows: NDArray[np.int64], squares: NDArray[np.float64], max_codes: NDArray[np.uint8]
    ) -> None:
        for part in row_chunks(len(rows), self.n_species):
            codes = self.codes[rows[part]]
            squares += weighted_square_sums(codes, self._weights[rows[part]])
            np.maximum(max_codes, codes.max(axis=0), out=max_codes)

    def _checked_rows(self, rows: ArrayLike) -> NDArray[np.int64]:
        wanted = np.asarray(rows, dtype=np.int64)
        if wanted.size and not (np.diff(wanted) > 0).all():
            wanted = np.unique(wanted)
        if not wanted.size:
            raise NoDataInRegionError(
                f"the region holds no cell of the atlas {self.name}; choose one on the land it covers"
            )
        if wanted[0] < 0 or wanted[-1] >= self.n_cells:
            raise IndexError(f"rows run from {wanted[0]} to {wanted[-1]}; the store has {self.n_cells} cells")
        return wanted

    # Observed records -------------------------------------------------------------------------------

    @cached_property
    def observed(self) -> pd.DataFrame | None:
        """Coarse record density: H3 cell at resolution 5, n_records, n_species, n_sites; None if unknown."""
        return self._table("observed.parquet")

    @cached_property
    def observed_by_species(self) -> pd.DataFrame | None:
        """Coarse record density of all species: species_id, H3 cell at resolution 4, n_records; or None."""
        return self._table("observed_species.parquet")

    def observed_species(self, species_id: int) -> pd.DataFrame | None:
        """Coarse record density of one species: H3 cell at resolution 4, n_records; None if unknown."""
        table = self._table("observed_species.parquet", [("species_id", "==", int(species_id))])
        return None if table is None else table.drop(columns="species_id").reset_index(drop=True)

    def _table(self, name: str, filters: list[tuple] | None = None) -> pd.DataFrame | None:
        path = self.folder / name
        if not path.is_file():
            return None
        try:
            return pd.read_parquet(path, filters=filters)
        except (OSError, ValueError) as error:
            raise CorruptStoreError(
                f"{path} cannot be read as a table ({error}); fetch {name} of the atlas {self.name} again"
            ) from error


def read_meta(folder: Path) -> dict[str, Any]:
    """Content of `store.json`; raises `CorruptStoreError` when it is not as written, or of another format."""
    path = folder / STORE_FILE
    try:
        meta: dict[str, Any] = json.loads(path.read_bytes())
        digest = meta.pop("digest")
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise CorruptStoreError(f"{path} is damaged: {error}") from error
    if digest != checksums.digest_json(meta):
        raise CorruptStoreError(f"{path} is damaged: its content does not have the checksum it carries")
    if meta["format"] != STORE_FORMAT:
        raise CorruptStoreError(
            f"{path} has store format {meta['format']}, this version reads {STORE_FORMAT}"
        )
    return meta


def read_stamp(folder: Path) -> dict[str, int]:
    """Time of change of each file when it was last checked; empty when nothing is known."""
    try:
        stamp = json.loads((folder / STAMP_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def write_stamp(folder: Path, files: list[str]) -> None:
    """Remember when the files, just checked, were last changed; a read-only folder is checked each time."""
    stamp = {name: (folder / name).stat().st_mtime_ns for name in files}
    try:
        (folder / STAMP_FILE).write_text(json.dumps(stamp), encoding="utf-8")
    except OSError as error:
        logger.info("cannot note that %s was checked (%s); it is checked again next time", folder, error)


__all__ = ["NO_SPECIES_CUT", "PredictionStore", "RegionSums", "read_meta", "write_stamp"]
