"""Further values of every cell beside an archive: how far each prediction is to be trusted, a byte a value.

The file `trust.parquet` holds one uint8 column per layer, in the order of the archive's cells, and notes for
which cells it was made. So an atlas gains layers without its predictions changing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core.errors import CorruptStoreError
from sdm_core.prediction import checksums

#: Code of an unknown value.
UNKNOWN = 255
_LAST_CODE = 254
_FORMAT = 1
_KEY = b"florascope"

Scale = Literal["linear", "square", "number"]


@dataclass(frozen=True)
class CellLayer:
    """How a layer is kept in one byte a cell.

    scale: "linear", low + (high - low) c / steps; "square", low + (high - low) (c / steps)², finer near
    `low`; "number", the code itself. Values beyond the ends are kept as the ends; NaN as 255. steps: at most
    254; fewer make a smaller file. unit and text say what it is; names, what numbers stand for.
    """

    low: float = 0.0
    high: float = 1.0
    scale: Scale = "linear"
    unit: str = ""
    text: str = ""
    names: tuple[str, ...] = ()
    steps: int = _LAST_CODE

    def encode(self, values: ArrayLike) -> NDArray[np.uint8]:
        """Nearest code of each value."""
        numbers = np.asarray(values, dtype=np.float64)
        if self.scale == "number":
            codes = numbers
        else:
            share = np.clip((numbers - self.low) / (self.high - self.low), 0.0, 1.0)
            codes = np.rint((np.sqrt(share) if self.scale == "square" else share) * self.steps)
        return np.where(np.isfinite(codes) & (codes >= 0), np.nan_to_num(codes), UNKNOWN).astype(np.uint8)

    def decode(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Value of each code, NaN where unknown."""
        table = np.arange(256, dtype=np.float64)
        if self.scale != "number":
            share = np.minimum(table / self.steps, 1.0)
            table = self.low + (self.high - self.low) * (share**2 if self.scale == "square" else share)
        table[UNKNOWN] = np.nan
        return table.astype(np.float32)[codes]


@dataclass(frozen=True)
class CellLayers:
    """Layers of one value per cell, and what was noted with them.

    codes: uint8 (n_cells,) by name. notes: how they were made, JSON-ready. cells_digest: of the cells.
    """

    codes: Mapping[str, NDArray[np.uint8]]
    layers: Mapping[str, CellLayer]
    notes: Mapping[str, Any] = field(default_factory=dict)
    cells_digest: str = ""

    @property
    def quantities(self) -> tuple[str, ...]:
        """Layers whose values may be averaged: all but those that name something."""
        return tuple(name for name, layer in self.layers.items() if not layer.names)

    def values(self, name: str) -> NDArray[np.float32]:
        """One value per cell (n_cells,), NaN where unknown."""
        return self.layers[name].decode(self.codes[name])

    def to_bytes(self) -> bytes:
        """The Parquet file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        note = {
            "format": _FORMAT,
            "cells_blake2b": self.cells_digest,
            "layers": {name: asdict(layer) for name, layer in self.layers.items()},
            "notes": dict(self.notes),
        }
        table = pa.table({name: pa.array(codes) for name, codes in self.codes.items()})
        buffer = BytesIO()
        # Without Arrow's own schema, which would hold the notes a second time.
        options = {"compression": "zstd", "compression_level": 22, "store_schema": False}
        with pq.ParquetWriter(buffer, table.schema, **options) as writer:
            writer.write_table(table)
            writer.add_key_value_metadata({_KEY: json.dumps(note, ensure_ascii=False).encode()})
        return buffer.getvalue()


def cells_digest(cells: ArrayLike) -> str:
    """Hash of the cells a file of layers belongs to."""
    return checksums.digest_bytes(np.ascontiguousarray(cells, dtype="<u8").tobytes())


def cell_layers(
    cells: ArrayLike,
    values: Mapping[str, ArrayLike],
    layers: Mapping[str, CellLayer],
    notes: Mapping[str, Any] | None = None,
) -> CellLayers:
    """Layers of the ascending `cells` of an atlas from one value per cell each, encoded."""
    codes = {name: layers[name].encode(values[name]) for name in layers}
    return CellLayers(codes, dict(layers), dict(notes or {}), cells_digest(cells))


def read_cell_layers(path: Path) -> CellLayers:
    """Layers of a file; raises `CorruptStoreError` when it is not one of them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        note = json.loads((table.schema.metadata or {})[_KEY])
        if note["format"] != _FORMAT:
            raise ValueError(f"format {note['format']}")
        layers = {
            name: CellLayer(**{**entry, "names": tuple(entry["names"])})
            for name, entry in note["layers"].items()
        }
        codes = {name: table[name].to_numpy().astype(np.uint8, copy=False) for name in layers}
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise CorruptStoreError(
            f"{path} cannot be read as the trust layers of an atlas ({error}); fetch {path.name} again, or "
            "make it with `python -m sdm_core trust`"
        ) from error
    return CellLayers(codes, layers, note["notes"], note["cells_blake2b"])
