"""What held-out surveys say of an atlas' predictions, beside it: limits and thresholds of every species.

The file `held_out.parquet` has one row per species, in the order of the atlas, and notes on the surveys as
JSON. All of it comes from surveys that the model had not seen, so an atlas without such surveys has no file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sdm_core.errors import CorruptStoreError
from sdm_core.prediction import checksums

#: Columns of the table beside the thresholds, with the type each is kept in.
_COLUMNS: dict[str, str] = {
    "n_presences": "int32",
    "presence_limit": "float32",
    "absence_limit": "float32",
    "conformal_shared": "bool",
}
_THRESHOLD = "threshold_"
_NOTES = ("n_sites", "split", "error_rate", "conformal", "common_thresholds", "richness_half_width")
_FORMAT = 1
_KEY = b"florascope"
#: Decimals kept: well below the smallest probability that the code of one byte tells from 0 (1.5e-5).
_DECIMALS = 6


@dataclass(frozen=True, eq=False)
class HeldOutSurveys:
    """Per species what held-out surveys say of its predictions, and notes on these surveys.

    Attributes:
        species: one row per species of the atlas, in its order. n_presences: in the surveys.
            threshold_tss and so on, one column per criterion of `assemblages.CRITERIA`: probability from
            which the species counts as present, shrunk for rare species. presence_limit, absence_limit: the
            highest nonconformity still accepted for "present" (1 − p) and for "absent" (p).
            conformal_shared: the limits are shared with species about as rare.
        notes: n_sites, split (what was held out, in words), block_deg, error_rate, conformal (error_rate and
            kind), common_thresholds by criterion, richness_half_width (conformal, species of one site),
            coverage (what was kept of these promises), error_model (of intervals); JSON-ready.
    """

    species: pd.DataFrame
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def criteria(self) -> tuple[str, ...]:
        """Criteria the surveys give thresholds by."""
        return tuple(
            name.removeprefix(_THRESHOLD) for name in self.species.columns if name.startswith(_THRESHOLD)
        )

    @property
    def error_rate(self) -> float:
        """Share of wrong exclusions that the conformal limits accept."""
        return float(self.notes["error_rate"])

    def thresholds(self, criterion: str) -> NDArray[np.float64]:
        """Threshold of each species (n_species,), a probability above 0, by a criterion of `criteria`."""
        return self.species[_THRESHOLD + criterion].to_numpy(np.float64)

    @property
    def presence_limit(self) -> NDArray[np.float64]:
        """Presence stays possible while 1 − p is at most this (n_species,); infinite where it always is."""
        return self.species["presence_limit"].to_numpy(np.float64)

    @property
    def absence_limit(self) -> NDArray[np.float64]:
        """Absence stays possible while p is at most this (n_species,)."""
        return self.species["absence_limit"].to_numpy(np.float64)

    def to_bytes(self, names: Iterable[str]) -> bytes:
        """The Parquet file, for the species of these names in their order.

        Limits are rounded up, so that no rounding excludes what they let through; a file that is read and
            written again stays as it is.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {
            name: pa.array(_rounded(self.species[name].to_numpy(), up=name.endswith("_limit")))
            for name in self.species.columns
        }
        note = {"format": _FORMAT, "species_blake2b": names_digest(names), "notes": dict(self.notes)}
        table = pa.table(columns).replace_schema_metadata({_KEY: json.dumps(note, ensure_ascii=False)})
        buffer = BytesIO()
        pq.write_table(table, buffer, compression="zstd", compression_level=22, write_statistics=False)
        return buffer.getvalue()


def _rounded(values: NDArray, up: bool) -> NDArray:
    """Floats as float32 of few decimals; other types as they are kept."""
    if values.dtype.kind != "f":
        return values if values.dtype == bool else values.astype(np.int32)
    numbers = values.astype(np.float64) * 10.0**_DECIMALS
    # a tenth of a step is above the error of a float32 below 1
    return ((np.ceil(numbers - 0.1) if up else np.maximum(np.rint(numbers), 1.0)) / 10.0**_DECIMALS).astype(
        "f4"
    )


def names_digest(names: Iterable[str]) -> str:
    """Hash of the species, in order, that a file of held-out surveys belongs to."""
    return checksums.digest_json([str(name) for name in names])


def read_held_out(path: Path, names: Iterable[str] | None = None) -> HeldOutSurveys:
    """Held-out surveys of a file; `names` are the species it has to be about, in order.

    Raises `CorruptStoreError` when it is not such a file, or about other species.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    way_out = f"fetch {path.name} again, or make it with `python -m sdm_core coverage`"
    try:
        table = pq.read_table(path)
        note = json.loads((table.schema.metadata or {})[_KEY])
        if note["format"] != _FORMAT:
            raise ValueError(f"format {note['format']}")
        found = HeldOutSurveys(table.to_pandas(), note["notes"])
        _check(found)
        digest = note["species_blake2b"]
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise CorruptStoreError(
            f"{path} cannot be read as what held-out surveys say of an atlas ({error}); {way_out}"
        ) from error
    if names is not None and digest != names_digest(names):
        raise CorruptStoreError(
            f"{path} is about {len(found.species)} species that are not those of the atlas, or not in their "
            f"order; {way_out}"
        )
    return found


def _check(found: HeldOutSurveys) -> None:
    """Raise `ValueError` or `KeyError` where a column or a note is missing or cannot be."""
    for name in _NOTES:
        found.notes[name]
    for name, kind in _COLUMNS.items():
        if found.species[name].dtype != np.dtype(kind):
            raise ValueError(f"column {name} has type {found.species[name].dtype}, expected {kind}")
    if not found.criteria:
        raise ValueError("it has no threshold")
    for criterion in found.criteria:
        if not np.all(found.thresholds(criterion) > 0):
            raise ValueError(f"a threshold by {criterion} is not above 0")
    if not (np.all(found.presence_limit >= 0) and np.all(found.absence_limit >= 0)):
        raise ValueError("a limit is negative or missing")
    if not 0 < found.error_rate < 1:
        raise ValueError(f"error rate {found.error_rate}")
