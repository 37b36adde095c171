"""Files of a store: arrays written in pieces, tables with fixed column types."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import DTypeLike, NDArray

from sdm_core.errors import CorruptStoreError

#: Column types of a species table (see `taxa.species_table`); columns that are absent stay absent.
SPECIES_DTYPES: dict[str, str] = {
    "species_id": "int64",
    "species": "string",
    "genus": "string",
    "family": "string",
    "common_genus": "string",
    "gbif_key": "Int64",
    "n_records": "Int64",
    "n_cells": "Int64",
    "endemic": "boolean",
    "habitats_directive": "string",
    "invasive_union_concern": "boolean",
    "flag_source": "string",
    "flag_date": "string",
}
_TEXT_WITHOUT_GAPS = ("genus", "family", "common_genus", "habitats_directive", "flag_source", "flag_date")


def write_array(path: Path, pieces: Iterable[NDArray], shape: tuple[int, ...], dtype: DTypeLike) -> None:
    """Write a `.npy` file piece by piece, in C order, with plain writes.

    Plain writes fail with an error on a full disk, where writing through a memory map ends the process.
    """
    with path.open("wb") as file:
        header = {
            "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
            "fortran_order": False,
            "shape": shape,
        }
        np.lib.format.write_array_header_1_0(file, header)
        for piece in pieces:
            file.write(np.ascontiguousarray(piece, dtype=dtype).data)


def map_array(path: Path) -> NDArray:
    """Read-only memory map of a `.npy` file as a plain array."""
    return np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)


def species_with_types(table: pd.DataFrame) -> pd.DataFrame:
    """Species table with the column types of `SPECIES_DTYPES`, in the order of `species_id`."""
    types = {column: dtype for column, dtype in SPECIES_DTYPES.items() if column in table.columns}
    typed = table.astype(types).reset_index(drop=True)
    for column in _TEXT_WITHOUT_GAPS:
        if column in typed.columns:
            typed[column] = typed[column].fillna("")
    if not np.array_equal(typed["species_id"].to_numpy(), np.arange(len(typed))):
        raise CorruptStoreError(
            "the species table does not count species_id from 0 upwards; it must list the species in the "
            "order of the columns of the codes"
        )
    return typed


def read_species_table(path: Path | BytesIO, n_species: int | None = None) -> pd.DataFrame:
    """Species table of a store or an atlas folder.

    Raises `CorruptStoreError` when the file cannot be read or lists another number of species than expected.
    """
    try:
        raw = pd.read_csv(path, dtype=dict(SPECIES_DTYPES), keep_default_na=False, na_values=[""])
        table = species_with_types(raw)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptStoreError(
            f"{path if isinstance(path, Path) else 'species.csv'} cannot be read as a species table "
            f"({error}); fetch the atlas folder again"
        ) from error
    if n_species is not None and len(table) != n_species:
        raise CorruptStoreError(
            f"{path} lists {len(table)} species, but the predictions hold {n_species}; fetch the atlas "
            "folder again"
        )
    return table
