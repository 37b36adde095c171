"""What decides a store, held in memory: cells in H3 order, their areas, the codes, layers of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core import regions
from sdm_core.prediction import checksums
from sdm_core.regions import hectare_quantum

#: Raised whenever the meaning of an archive changes; part of the version hash of what is held in one.
ARCHIVE_FORMAT = 1
HECTARES_PER_KM2 = 100


@dataclass(frozen=True)
class StoreContent:
    """What decides a store: everything else in it is computed from this.

    cells (n_cells,) ascending H3 indices; lonlat (n_cells, 2); area_ha (n_cells,) float64, multiples of
    `hectare_quantum`; codes (n_cells, n_species) uint8; cell_values: more layers of one value per cell, such
    as `applicability`; inputs: what the predictions were made from (checksums of checkpoint and covariates,
    grid, settings).
    """

    name: str
    title: str
    resolution: int
    cells: NDArray[np.uint64]
    lonlat: NDArray[np.float64]
    area_ha: NDArray[np.float64]
    codes: NDArray[np.uint8]
    cell_values: Mapping[str, NDArray] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n_cells = len(self.cells)
        if self.codes.ndim != 2 or self.codes.dtype != np.uint8 or len(self.codes) != n_cells:
            raise ValueError(
                f"codes must be uint8 (n_cells, n_species); found {self.codes.dtype} "
                f"{self.codes.shape} for {n_cells} cells"
            )
        if n_cells == 0 or (self.cells[1:] <= self.cells[:-1]).any():
            raise ValueError("cells must be ascending, each once, and at least one")
        if self.lonlat.shape != (n_cells, 2) or self.area_ha.shape != (n_cells,):
            raise ValueError("lonlat must be (n_cells, 2) and area_ha (n_cells,)")
        for name, values in self.cell_values.items():
            if values.shape != (n_cells,):
                raise ValueError(f"layer {name} must hold one value per cell; found {values.shape}")

    def digests(self) -> dict[str, str]:
        """Checksum of each array that is not computed from the others."""
        arrays: dict[str, NDArray] = {
            "cells": self.cells,
            "codes": self.codes,
            **{f"value_{name}": values for name, values in self.cell_values.items()},
        }
        return {name: digest_array(array) for name, array in arrays.items()}

    def version(self, digests: Mapping[str, str] | None = None) -> str:
        """Hash of everything that decides the store: inputs, grid, codes and the format of the files."""
        return checksums.digest_json(
            {
                "format": ARCHIVE_FORMAT,
                "name": self.name,
                "resolution": self.resolution,
                "inputs": dict(self.inputs),
                "arrays": dict(digests or self.digests()),
            }
        )


def digest_array(array: NDArray) -> str:
    """Checksum of the type, shape and values of an array."""
    contiguous = np.ascontiguousarray(array)
    head = f"{contiguous.dtype.str}{contiguous.shape}".encode()
    return checksums.digest_bytes(head, contiguous.reshape(-1).view(np.uint8).data)


def quantised_hectares(area_km2: ArrayLike, resolution: int) -> NDArray[np.float64]:
    """Areas in hectares (n,), rounded to multiples of `hectare_quantum`, at least one quantum."""
    quantum = hectare_quantum(resolution)
    hectares = np.asarray(area_km2, dtype=np.float64) * HECTARES_PER_KM2
    return np.maximum(np.rint(hectares / quantum), 1.0) * quantum


def sorted_content(
    name: str,
    resolution: int,
    cells: ArrayLike,
    codes: NDArray[np.uint8],
    *,
    title: str | None = None,
    lonlat: ArrayLike | None = None,
    area_km2: ArrayLike | None = None,
    cell_values: Mapping[str, ArrayLike] | None = None,
    inputs: Mapping[str, Any] | None = None,
) -> StoreContent:
    """Content in H3 order, with centres and areas from `regions` where they are not given."""
    indices = np.asarray(cells, dtype=np.uint64)
    order = np.argsort(indices, kind="stable")
    if lonlat is None or area_km2 is None:
        lonlat = regions.cells_to_lonlat(indices) if lonlat is None else lonlat
        area_km2 = regions.cell_area_km2(indices) if area_km2 is None else area_km2
    in_order = bool((order[1:] > order[:-1]).all())
    return StoreContent(
        name=name,
        title=title or name,
        resolution=resolution,
        cells=indices[order],
        lonlat=np.asarray(lonlat, dtype=np.float64)[order],
        area_ha=quantised_hectares(area_km2, resolution)[order],
        codes=codes if in_order else codes[order],
        cell_values={key: np.asarray(values)[order] for key, values in (cell_values or {}).items()},
        inputs=dict(inputs or {}),
    )
