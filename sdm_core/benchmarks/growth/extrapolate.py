"""From what was measured to Europe at any grid: cells, bytes, hours, workers; every assumption has a name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sdm_core.errors import ConfigurationError

#: H3 cells whose centre lies on the land of Europe at resolution 7, and their mean area in km².
EUROPE_CELLS_RES7 = 1_955_774
EUROPE_LAND_KM2 = 10_100_000.0
#: Children of a cell, one resolution finer.
APERTURE = 7
PIXEL_KM2 = 0.05**2
#: Bytes per parent and species in the pyramid: the sum in 8, the maximum in 1.
_PYRAMID_BYTES = 9.0


@dataclass(frozen=True)
class Assumptions:
    """What the extrapolation rests on and did not measure.

    gpu_operations: sustained operations a second of one GPU, 32-bit inputs in bf16 (a tenth of the peak of a
    data-centre GPU of 2023). gpu_output_bytes: codes a second from the GPU through compression to the disk
    of one machine. worker_efficiency: share of the rate of one core that remains per core when many work.
    """

    gpu_operations: float = 1e14
    gpu_output_bytes: float = 5e8
    worker_efficiency: float = 0.8


@dataclass(frozen=True)
class Tiled:
    """A tiling that was run: what a byte of codes weighs when compressed, and what one core gave."""

    name: str
    n_cells: int
    n_species: int
    exchange_bytes: int
    cells_per_second: float

    @property
    def compressed_share(self) -> float:
        """Bytes on disk per byte of codes."""
        return self.exchange_bytes / (self.n_cells * self.n_species)


def read_tiled(folder: Path, cells_per_second: float) -> Tiled:
    """Size of a folder that `tile` wrote, with the rate of one core that `benchmark tiling` printed for it.

    Raises `CorruptStoreError` when the folder holds no tiles, `ConfigurationError` for a rate that is none.
    """
    from sdm_core.prediction.tiles import TILES_FOLDER, TileStore

    if not cells_per_second > 0:
        raise ConfigurationError(f"The rate is {cells_per_second:g} cells a second; it must be above 0.")
    store = TileStore.open(folder)
    n_bytes = sum(path.stat().st_size for path in (folder / TILES_FOLDER).rglob("*") if path.is_file())
    return Tiled(
        store.grid.title,
        sum(store.cell_counts().values()),
        store.grid.n_species,
        n_bytes,
        cells_per_second,
    )


@dataclass(frozen=True)
class Estimate:
    """Cost of one grid for one number of species and one kind of network."""

    grid: str
    n_cells: float
    n_species: int
    network: str
    exchange_bytes: float
    hot_bytes: float
    core_hours: float
    gpu_hours: float
    writing_hours: float

    def workers_for(self, hours: float, efficiency: float) -> float:
        """One-core workers that end within so many hours."""
        return self.core_hours / (hours * efficiency)


def cells_at(resolution: int) -> float:
    """Cells of Europe's land at an H3 resolution: seven times as many with every step."""
    return EUROPE_CELLS_RES7 * float(APERTURE) ** (resolution - 7)


def pixels_50m() -> float:
    """Squares of 50 m on the same land."""
    return EUROPE_LAND_KM2 / PIXEL_KM2


def hot_bytes(n_cells: float, n_species: int) -> float:
    """Codes by cell, codes by species, and the pyramid of four levels (1/7 + 1/49 + 1/343 + 1/2401)."""
    parents = sum(n_cells / APERTURE**level for level in (1, 2, 3, 4))
    return n_cells * n_species * 2.0 + parents * n_species * _PYRAMID_BYTES


def estimate(
    grid: str,
    n_cells: float,
    n_species: int,
    network: str,
    operations_per_cell: float,
    core_cells_per_second: float,
    compressed_share: float,
    assumptions: Assumptions,
) -> Estimate:
    """Cost of one grid: bytes from the layout, hours from rates; GPU-hours are NaN where operations are."""
    codes = n_cells * n_species
    return Estimate(
        grid=grid,
        n_cells=n_cells,
        n_species=n_species,
        network=network,
        exchange_bytes=codes * compressed_share,
        hot_bytes=hot_bytes(n_cells, n_species),
        core_hours=n_cells / core_cells_per_second / 3600,
        gpu_hours=n_cells * operations_per_cell / assumptions.gpu_operations / 3600,
        writing_hours=codes / assumptions.gpu_output_bytes / 3600,
    )


def grids() -> Sequence[tuple[str, float]]:
    """The grids of the page: name and cells of each."""
    return (
        ("H3 resolution 7 (5.2 km²)", cells_at(7)),
        ("H3 resolution 8 (0.74 km²)", cells_at(8)),
        ("H3 resolution 9 (0.105 km²)", cells_at(9)),
        ("squares of 50 m", pixels_50m()),
    )
