"""The arrays of a pack on disk: appended block by block, noted, continued, rewritten."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sdm_core.errors import PackError
from sdm_core.features.packs.sources import PatchSource
from sdm_core.writing import write_whole

#: Bytes written between two notes of progress.
BLOCK_BYTES = 32_000_000


@dataclass
class Progress:
    """What is written of one modality, and what was found on the way.

    Attributes:
        rows: rows in the file so far.
        missing: rows without values → why.
        max_rounding_error: greatest change of a value by the type of the file.
        n_nan: values without data in rows that have some.
        sha256: of the whole file, once it is finished.
        dtype: type of the file.
    """

    dtype: np.dtype[Any]
    rows: int = 0
    missing: dict[int, str] = field(default_factory=dict)
    max_rounding_error: float = 0.0
    n_nan: int = 0
    sha256: str = ""

    def note(self, path: Path) -> None:
        """Write it down, so that packing can go on from here."""
        content = {
            "dtype": str(self.dtype),
            "rows": self.rows,
            "missing": self.missing,
            "max_rounding_error": self.max_rounding_error,
            "n_nan": self.n_nan,
        }
        write_whole(path, json.dumps(content), error=None, lasting=False)

    @classmethod
    def noted(cls, path: Path, dtype: np.dtype[Any]) -> Progress | None:
        """What `note` wrote, None when it is not there or for another type."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            content["missing"] = {int(row): reason for row, reason in content["missing"].items()}
            same = content.pop("dtype") == str(dtype)
            return cls(dtype, **content) if same else None
        except (OSError, ValueError, KeyError, TypeError):
            return None


def write_modality(partial: Path, source: PatchSource, target: np.dtype[Any]) -> Progress:
    """Append the rows of a source to `<name>.npy`, from where it was stopped.

    Rows without values are NaN where the type has it; otherwise they hold zeros for now, and the caller has
    to drop or rewrite them (`Progress.missing` says which).
    """
    path, notes = partial / f"{source.name}.npy", partial / f"{source.name}.progress.json"
    header = _header((len(source), *source.shape), target)
    row_bytes = int(np.prod(source.shape, dtype=np.int64)) * target.itemsize
    progress = Progress.noted(notes, target)
    if (
        progress is None
        or not path.is_file()
        or path.stat().st_size < len(header) + progress.rows * row_bytes
    ):
        progress = Progress(target)
    step = max(1, BLOCK_BYTES // max(row_bytes, 1))
    digest = hashlib.sha256()
    with path.open("r+b" if progress.rows else "w+b") as file:
        if progress.rows:
            file.truncate(len(header) + progress.rows * row_bytes)
            while piece := file.read(BLOCK_BYTES):
                digest.update(piece)
        else:
            file.write(header)
            digest.update(header)
        for start in range(progress.rows, len(source), step):
            stop = min(start + step, len(source))
            values, broken = source.read(start, stop)
            content = _stored(values, [row - start for row in broken], source.name, progress).tobytes()
            file.write(content)
            file.flush()
            digest.update(content)
            progress.missing.update(broken)
            progress.rows = stop
            progress.note(notes)
    progress.sha256 = digest.hexdigest()
    return progress


def _stored(values: np.ndarray, empty: list[int], name: str, progress: Progress) -> np.ndarray:
    """A block in the type of the file, NaN in empty rows where the type has it; counts errors and NaN."""
    target = progress.dtype
    with np.errstate(over="ignore"):
        block = values.astype(target)
    if target.kind != "f":
        return block
    block[empty] = np.nan
    known = np.isfinite(values) if values.dtype.kind == "f" else np.ones(values.shape, dtype=bool)
    known[empty] = False
    if not np.isfinite(block[known]).all():
        raise PackError(
            f"'{name}' has values that {target} cannot hold (beyond ±65,504); store it as float32."
        )
    full = np.ones(len(values), dtype=bool)
    full[empty] = False
    progress.n_nan += int((~known[full]).sum())
    if not np.can_cast(values.dtype, target, "safe"):
        error = np.abs(block.astype(np.float64) - values)[known].max(initial=0.0)
        progress.max_rounding_error = max(progress.max_rounding_error, float(error))
    return block


def with_nan(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The smallest float type that holds all values of `dtype` and NaN."""
    if dtype.kind == "f":
        return dtype
    return np.dtype(np.float16 if dtype.itemsize == 1 else np.float32 if dtype.itemsize == 2 else np.float64)


def rewrite(path: Path, rows: np.ndarray, dtype: np.dtype[Any], empty: set[int]) -> str:
    """Copy some rows of a file into a new one of another type, which takes its place; its checksum."""
    # Its notes no longer describe the file: packing that is stopped from here on begins this modality anew.
    path.with_suffix(".progress.json").unlink(missing_ok=True)
    old = np.load(path, mmap_mode="r", allow_pickle=False)
    fresh = path.with_suffix(".rewritten")
    header = _header((len(rows), *old.shape[1:]), dtype)
    digest = hashlib.sha256(header)
    step = max(1, BLOCK_BYTES // max(int(old[:1].nbytes), 1))
    with fresh.open("wb") as file:
        file.write(header)
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            block = old[part].astype(dtype)
            hit = [place for place, row in enumerate(part.tolist()) if row in empty]
            if hit:
                block[hit] = np.nan
            content = block.tobytes()
            file.write(content)
            digest.update(content)
    del old
    fresh.replace(path)
    return digest.hexdigest()


def _header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """The beginning of a .npy file."""
    buffer = io.BytesIO()
    description = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, description)
    return buffer.getvalue()
