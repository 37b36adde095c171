"""What a tiled store is made of: its grid of tiles, known before any prediction, and the content of one."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sdm_core.prediction import checksums
from sdm_core.prediction.files import read_species_table, species_with_types

#: Raised whenever the meaning of a file of a tiled store changes; part of its version.
TILES_FORMAT = 1
#: Largest size of the codes of one tile, uncompressed.
MAX_TILE_BYTES = 32 * 1024 * 1024
_CHILDREN = 7


def tile_resolution_for(resolution: int, n_species: int) -> int:
    """H3 resolution of the tiles for cells at `resolution`: as coarse as codes of at most 32 MB a tile allow.

    Five steps up at most, three or more where the number of species allows, never below resolution 0.
    """
    fits = [steps for steps in range(5, -1, -1) if _CHILDREN**steps * max(n_species, 1) <= MAX_TILE_BYTES]
    return max(0, resolution - (fits[0] if fits else 0))


@dataclass(frozen=True, eq=False)
class TileGrid:
    """What a tiled store is, known before any prediction is made.

    resolution: H3 resolution of the cells; tile_resolution: coarser. tiles (n_tiles,) uint64, ascending H3
    indices. species: columns of `taxa.species_table`. inputs: all that decides a value (checksums of
    checkpoint and covariates, features, calibration, settings), as JSON. value_names: further layers of one
    float32 per cell.
    """

    name: str
    title: str
    resolution: int
    tile_resolution: int
    tiles: NDArray[np.uint64]
    species: pd.DataFrame
    inputs: Mapping[str, Any] = field(default_factory=dict)
    value_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        tiles = np.ascontiguousarray(self.tiles, dtype=np.uint64)
        if not 0 <= self.tile_resolution <= self.resolution <= 15:
            raise ValueError(f"tiles at resolution {self.tile_resolution} of cells at {self.resolution}")
        if not len(tiles) or (tiles[1:] <= tiles[:-1]).any():
            raise ValueError("tiles must be ascending, each once, and at least one")
        found = np.unique((tiles >> np.uint64(52)) & np.uint64(0xF))
        if found.tolist() != [self.tile_resolution]:
            raise ValueError(f"tiles have H3 resolutions {found.tolist()}, expected {self.tile_resolution}")
        object.__setattr__(self, "tiles", tiles)
        as_text = species_with_types(self.species).to_csv(index=False).encode()
        object.__setattr__(self, "species", read_species_table(io.BytesIO(as_text)))  # as any reader gets it
        object.__setattr__(self, "inputs", json.loads(json.dumps(dict(self.inputs), default=str)))
        object.__setattr__(self, "value_names", tuple(self.value_names))

    @property
    def n_species(self) -> int:
        """Number of species, the columns of the codes."""
        return len(self.species)

    @property
    def rows_per_tile(self) -> int:
        """Rows set aside for each tile: the children of a hexagon."""
        return _CHILDREN ** (self.resolution - self.tile_resolution)

    @cached_property
    def species_csv(self) -> bytes:
        """The species table as the bytes of `species.csv`."""
        return self.species.to_csv(index=False, lineterminator="\n").encode()

    @cached_property
    def version(self) -> str:
        """Hash of everything that decides the store: inputs, grid, species and the format of the files."""
        return checksums.digest_json(
            {
                "format": TILES_FORMAT,
                "name": self.name,
                "resolution": self.resolution,
                "tile_resolution": self.tile_resolution,
                "tiles": checksums.digest_bytes(self.tiles.astype("<u8").tobytes()),
                "species": checksums.digest_bytes(self.species_csv),
                "inputs": self.inputs,
                "value_names": list(self.value_names),
            }
        )


@dataclass(frozen=True)
class Tile:
    """Content of one tile.

    cells (n,) uint64, ascending; codes (n, n_species) uint8; values: float32 (n,) each, by name.
    """

    cells: NDArray[np.uint64]
    codes: NDArray[np.uint8]
    values: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def digest(self) -> str:
        """Checksum of the content."""
        parts = [f"{len(self.cells)} {self.codes.shape[1]}".encode(), self.cells.astype("<u8").tobytes()]
        parts.append(np.ascontiguousarray(self.codes).tobytes())
        for name in sorted(self.values):
            parts += [name.encode(), np.ascontiguousarray(self.values[name], dtype="<f4").tobytes()]
        return checksums.digest_bytes(*parts)
