"""The atlases there are, and each of them opened: predictions, species, model card."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from sdm_core import config
from sdm_core.errors import CorruptStoreError, UnknownAtlasError
from sdm_core.prediction import CARD_FILE, EXCHANGE_FILE, TILES_FOLDER, PredictionStore, checksums
from sdm_core.prediction.opening import AtlasFolder
from sdm_core.writing import write_whole


@dataclass(frozen=True)
class Atlas:
    """One atlas: its predictions, its model card (`model_card.json`) and the folder it ships in."""

    name: str
    title: str
    store: PredictionStore
    card: dict[str, Any]
    folder: Path

    @cached_property
    def key(self) -> str:
        """Hash of all that decides a number said of the atlas: predictions, what lies beside them, the card.

        Answers and whatever else is worked out from an atlas are kept by it, never by `store.version`.
        """
        return checksums.digest_json([self.store.key, self.card])

    @property
    def species(self) -> pd.DataFrame:
        """Species table; row i describes column i of the codes."""
        return self.store.species


def list_atlases(folders: tuple[Path, ...] | None = None) -> list[str]:
    """Names of the atlases in `config.ATLAS_DIRS`, in the order of the folders, then of the alphabet."""
    names = [
        folder.name
        for parent in (config.ATLAS_DIRS if folders is None else folders)
        if parent.is_dir()
        for folder in sorted(parent.iterdir())
        if holds_atlas(folder)
    ]
    return list(dict.fromkeys(names))


def holds_atlas(folder: Path) -> bool:
    """Whether a folder holds predictions: an archive or tiles."""
    return (folder / EXCHANGE_FILE).is_file() or (folder / TILES_FOLDER / "zarr.json").is_file()


def atlas_folder(name_or_path: str | Path) -> Path:
    """Folder of an atlas by name, or the folder given as a path.

    Raises `UnknownAtlasError` naming the nearest name.
    """
    text = str(name_or_path)
    if "/" not in text and "\\" not in text:
        for parent in config.ATLAS_DIRS:
            if text and holds_atlas(parent / text):
                return parent / text
    path = Path(name_or_path)
    if text and holds_atlas(path):
        return path
    names = list_atlases()
    near = difflib.get_close_matches(text.casefold(), names, n=1, cutoff=0.4)
    if near:
        hint = f"did you mean {near[0]}?"
    elif names:
        hint = f"there are {', '.join(names)}."
    else:
        hint = f"no atlas lies in {', '.join(map(str, config.ATLAS_DIRS))}."
    raise UnknownAtlasError(
        f"no atlas is called {text!r}, and no folder of that name holds {EXCHANGE_FILE} or {TILES_FOLDER}; "
        f"{hint}"
    )


def atlas_address(name_or_address: str | Path) -> str | Path:
    """An address (s3://bucket/atlas) as it is, else the folder of an atlas; raises `UnknownAtlasError`."""
    return name_or_address if "://" in str(name_or_address) else atlas_folder(name_or_address)


def folder_stamp(folder: Path) -> tuple:
    """Names, sizes and times of the files in an atlas folder: another stamp, and it is to be opened anew."""
    stamps = []
    for path in sorted(folder.glob("[!.]*")):  # what is being written aside is hidden, and may be gone
        facts = path.stat()
        stamps.append((path.name, facts.st_size, facts.st_mtime_ns))
    return (str(folder), *stamps)


def open_atlas(name_or_path: str | Path) -> Atlas:
    """Open an atlas by name, by the path of its folder, or by an address such as s3://bucket/atlas.

    The first time unpacks its predictions into the cache; of an address also its model and model card.
    Raises `UnknownAtlasError`, `CorruptStoreError`, `CacheNotWritableError`.
    """
    if "://" in str(name_or_path):
        store = PredictionStore.open(str(name_or_path))
        folder = companions_in_cache(str(name_or_path), store)
        return Atlas(name=store.name, title=store.title, store=store, card=read_card(folder), folder=folder)
    folder = atlas_folder(name_or_path)
    card = read_card(folder)
    store = PredictionStore.open(folder)
    return Atlas(name=store.name, title=store.title, store=store, card=card, folder=folder)


def companions_in_cache(address: str, store: PredictionStore) -> Path:
    """Folder beside the hot copy with the files an address holds beside its predictions, fetched once."""
    folder = store.folder.parent.parent / "addresses" / store.folder.name
    if not (folder / CARD_FILE).is_file():
        files = AtlasFolder.at(address).companions()
        for name in sorted(files, key=lambda name: name == CARD_FILE):  # the card last: with it all are there
            write_whole(folder / name, files[name])
    return folder


def read_card(folder: Path) -> dict[str, Any]:
    """Model card of an atlas folder; raises `CorruptStoreError` when it cannot be read."""
    path = folder / CARD_FILE
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CorruptStoreError(
            f"{path} cannot be read as a model card ({error}); fetch the atlas again"
        ) from error
    if not isinstance(card, dict):
        raise CorruptStoreError(f"{path} cannot be read as a model card; fetch the atlas folder again")
    return card
