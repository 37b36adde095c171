"""What an atlas folder ships: predictions, species, record densities, card, and a manifest of it all."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from sdm_core.errors import CorruptStoreError
from sdm_core.prediction.code import encode
from sdm_core.prediction.content import sorted_content
from sdm_core.prediction.exchange import COMPRESSION_LEVEL, EXCHANGE_FILE, pack
from sdm_core.prediction.tiles import TILES_FOLDER
from sdm_core.prediction.write import write_side_files
from sdm_core.writing import write_whole

CARD_FILE = "model_card.json"
MANIFEST_FILE = "MANIFEST.sha256"


def write_atlas(
    folder: Path,
    name: str,
    title: str,
    resolution: int,
    cells: ArrayLike,
    probability_chunks: Iterable[NDArray],
    species: pd.DataFrame,
    *,
    observed: pd.DataFrame | None = None,
    observed_species: pd.DataFrame | None = None,
    card: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Any] | None = None,
    cell_values: Mapping[str, ArrayLike] | None = None,
    compression_level: int = COMPRESSION_LEVEL,
) -> str:
    """Write the predictions and tables of an atlas into its folder; returns the version hash.

    probability_chunks: calibrated probabilities (n, n_species) of consecutive `cells`, or uint8 codes;
    only codes are kept in memory. inputs: checksums of checkpoint and covariates, grid and settings, all that
    decides the predictions. cell_values: own layers, such as `applicability` (1 inside, 0 outside the area
    of applicability). Other files in the folder (weights, MODEL_CARD.md) stay; call `write_manifest` again
    after adding some. Each file is written aside and renamed.
    """
    indices = np.asarray(cells, dtype=np.uint64)
    codes = np.empty((len(indices), len(species)), dtype=np.uint8)
    filled = 0
    for chunk in probability_chunks:
        values = np.asarray(chunk)
        codes[filled : filled + len(values)] = values if values.dtype == np.uint8 else encode(values)
        filled += len(values)
    if filled != len(indices):
        raise ValueError(f"{filled} rows of probabilities for {len(indices)} cells")
    content = sorted_content(
        name,
        resolution,
        indices,
        codes,
        title=title,
        cell_values=cell_values,
        inputs=inputs,
    )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=folder) as scratch:
        aside = Path(scratch)
        version = pack(content, aside / EXCHANGE_FILE, compression_level)
        write_side_files(aside, species, observed, observed_species)
        full_card = {**(card or {}), "name": name, "title": title, "store_version": version}
        text = json.dumps(full_card, indent=2, ensure_ascii=False, default=str)
        (aside / CARD_FILE).write_text(text + "\n", encoding="utf-8")
        for path in sorted(aside.iterdir()):
            path.replace(folder / path.name)
    write_manifest(folder)
    return version


def write_manifest(folder: Path) -> Path:
    """List the SHA-256 of the files of an atlas folder in `MANIFEST.sha256` (as `sha256sum -c` reads it).

    Tiles are left out: they carry their own checksums, and may be added and repaired.
    """
    lines = [
        f"{_sha256(path)}  {path.relative_to(folder).as_posix()}\n"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.name != MANIFEST_FILE
        and not path.name.startswith(".")
        and TILES_FOLDER not in path.relative_to(folder).parts
    ]
    write_whole(folder / MANIFEST_FILE, "".join(lines))
    return folder / MANIFEST_FILE


def verify_manifest(folder: Path) -> None:
    """Compare the files of an atlas folder with its manifest; raises `CorruptStoreError` naming the file."""
    for line in (folder / MANIFEST_FILE).read_text(encoding="utf-8").splitlines():
        expected, _, name = line.partition("  ")
        path = folder / name
        if not path.is_file():
            raise CorruptStoreError(f"{path} is missing; fetch the atlas folder again")
        if _sha256(path) != expected:
            raise CorruptStoreError(
                f"{path} does not have the SHA-256 of {MANIFEST_FILE}; fetch this file again"
            )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
