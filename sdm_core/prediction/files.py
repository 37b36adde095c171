"""Files of a store: memory-mapped arrays, tables with fixed column types."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sdm_core.errors import CorruptStoreError

SPECIES_FILE = "species.csv"
OBSERVED_FILE = "observed.parquet"
OBSERVED_SPECIES_FILE = "observed_species.parquet"
#: Further values of every cell: see `cell_layers`.
TRUST_FILE = "trust.parquet"
#: What held-out surveys say of the predictions: see `held_out`.
HELD_OUT_FILE = "held_out.parquet"

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
    "synonyms": "string",
    "synonym_source": "string",
}
_TEXT_WITHOUT_GAPS = (
    "genus",
    "family",
    "common_genus",
    "habitats_directive",
    "flag_source",
    "flag_date",
    "synonyms",
    "synonym_source",
)


def array_header(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    """First bytes of a `.npy` file in C order."""
    header = BytesIO()
    np.lib.format.write_array_header_1_0(
        header,
        {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape},
    )
    return header.getvalue()


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


def read_species_table(
    path: Path | BytesIO, n_species: int | None = None, name: str = SPECIES_FILE
) -> pd.DataFrame:
    """Species table of a store or an atlas folder; `name` is what errors call bytes by.

    Raises `CorruptStoreError` when the file cannot be read or lists another number of species than expected.
    """
    named = path if isinstance(path, Path) else name
    try:
        raw = pd.read_csv(path, dtype=dict(SPECIES_DTYPES), keep_default_na=False, na_values=[""])
        table = species_with_types(raw)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptStoreError(
            f"{named} cannot be read as a species table ({error}); fetch the atlas folder again"
        ) from error
    if n_species is not None and len(table) != n_species:
        raise CorruptStoreError(
            f"{named} lists {len(table)} species, but the predictions hold {n_species}; fetch the atlas "
            "folder again"
        )
    return table
