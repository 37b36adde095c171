"""Data files of a report: tables and geometry, each with the numbers it was given (rasters: `exports`)."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sdm_core import regions

HABITATS_HEADER = ("level", "code", "name", "area_ha", "share", "confidence", "note")
HABITATS_STATEMENT = (
    "Not available: this atlas holds no habitat predictions, so no habitat was assigned to any cell."
)


def without_nan(value: Any) -> Any:
    """Copy of a JSON-like value in which NaN and infinities are None and NumPy scalars are plain."""
    if isinstance(value, Mapping):
        return {str(key): without_nan(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return [without_nan(item) for item in value.tolist()]
    if isinstance(value, (list, tuple)):
        return [without_nan(item) for item in value]
    if isinstance(value, np.generic):
        return without_nan(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is pd.NA or value is pd.NaT:
        return None
    return value


def write_indicators(path: Path, content: Mapping[str, Any]) -> None:
    """Write `indicators.json`: UTF-8, no NaN (an undefined number is null), one species per line."""
    plain = without_nan(content)
    species = plain.pop("species", [])
    head = json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False).removesuffix("\n}")
    rows = ",\n    ".join(json.dumps(row, ensure_ascii=False, allow_nan=False) for row in species)
    lines = f"\n    {rows}\n  " if species else ""
    comma = "," if plain else ""
    path.write_text(f'{head}{comma}\n  "species": [{lines}]\n}}\n', encoding="utf-8")


#: A spreadsheet takes a cell that starts so for a formula, and runs it.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def without_formulas(table: pd.DataFrame) -> pd.DataFrame:
    """The table with an apostrophe before every text that a spreadsheet would run; numbers stay numbers."""
    texts = [name for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])]

    def plain(value: Any) -> Any:
        return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value

    return table.assign(**{name: table[name].map(plain) for name in texts})


def write_observed(path: Path, table: pd.DataFrame) -> None:
    """Write `observed.csv`, as `species.csv`; names that a user's file brought are not run as formulas."""
    without_formulas(table).to_csv(path, index=False, quoting=csv.QUOTE_MINIMAL, lineterminator="\n")


def write_species(path: Path, table: pd.DataFrame) -> None:
    """Write `species.csv`: every species of the atlas, UTF-8, comma, one header line, empty = unknown."""
    table.to_csv(path, index=False, quoting=csv.QUOTE_MINIMAL, lineterminator="\n")


def write_habitats(path: Path) -> None:
    """Write `habitats.csv`: the header and one line that says why there is no habitat in it."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(HABITATS_HEADER)
        writer.writerow([""] * (len(HABITATS_HEADER) - 1) + [HABITATS_STATEMENT])


def write_area(path: Path, region: regions.Region, properties: Mapping[str, Any]) -> None:
    """Write `area.geojson`: one GeoJSON feature (RFC 7946) with the region's outline and `properties`.

    Coordinates are kept to 1e-7° (1 cm), so that reading the file back gives the same `geometry_hash`.
    """
    feature = region.to_geojson(decimals=7)
    feature["properties"] = {**feature["properties"], **without_nan(properties)}
    path.write_text(json.dumps(feature, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
