"""How benchmarks write their tables, and what they say of a folder that cannot be written."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from sdm_core.writing import check_writable, write_whole

_WAY_OUT = "choose another folder with --out"


def make_folder(folder: Path) -> None:
    """Make a folder and write into it, or say why not, before hours are spent. Raises `NotWritableError`."""
    check_writable(folder, _WAY_OUT)


def write_table(path: Path, table: pd.DataFrame, digits: int = 6) -> None:
    """Write a table as CSV, whole or not at all. Raises `NotWritableError`."""
    write_whole(path, table.to_csv(index=False, float_format=f"%.{digits}g"), way_out=_WAY_OUT)
