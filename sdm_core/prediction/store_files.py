"""Files of a hot store: which are as written, which are to be compared with their checksums when touched."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sdm_core.errors import CorruptStoreError
from sdm_core.prediction import checksums
from sdm_core.prediction.files import map_array
from sdm_core.prediction.integrity import GuardedFile, guarded, write_stamp

#: Endings of the tables that may lie beside the arrays.
_TABLES = (".csv", ".parquet")


class StoreFiles:
    """A folder of arrays and tables with their sizes and checksums, as `store.json` lists them.

    Nothing is read before it is asked for, and nothing that may have changed is used before it is compared
    with its checksum (see `integrity`).
    """

    def __init__(self, folder: Path, meta: dict[str, Any]):
        self.folder = folder
        self.meta = meta
        self.name: str = meta["name"]
        self._guards: dict[str, GuardedFile] = {}

    @cached_property
    def key(self) -> str:
        """Hash of the predictions and of all that lies beside them: what anything kept of a store is kept by.

        `version` alone is of the predictions: it stays when held-out surveys or layers of trust are written
        anew. Finer cells share what lies beside their atlas.
        """
        beside = {}
        for path in sorted(self.folder.glob("[!.]*")):
            entry = self.meta["files"].get(path.name)
            if path.suffix in _TABLES:
                facts = path.stat()
                beside[path.name] = entry["blake2b"] if entry else [facts.st_size, facts.st_mtime_ns]
        whole = getattr(self, "whole", None)
        parts = [self.name, self.meta["version"], self.meta["n_cells"], beside, whole and whole.key]
        return checksums.digest_json(parts)

    def verify(self) -> None:
        """Compare every file with its checksums; raises `CorruptStoreError` naming file and block."""
        for file_name, entry in self.meta["files"].items():
            checksums.check_file(
                self.folder / file_name, entry["bytes"], entry["blake2b"], self.meta["block_bytes"]
            )
        write_stamp(self.folder, list(self.meta["files"]))

    def damage(self) -> dict[str, list[int]]:
        """Damaged blocks of each damaged file; every byte of the store is read."""
        found = {name: self.damaged_blocks(name) for name in self.meta["files"]}
        return {name: blocks for name, blocks in found.items() if blocks}

    def damaged_blocks(self, file_name: str) -> list[int]:
        """Numbers of the blocks of one file that do not have their checksums."""
        entry, size = self.meta["files"][file_name], self.meta["block_bytes"]
        return checksums.damaged_blocks(self.folder / file_name, entry, size)

    def _guard_changed_files(self, repair: Callable[[Self], None] | None, stamp: dict[str, int]) -> None:
        """Have every file that changed since it was last checked compared when it is touched."""
        for file_name, entry in self.meta["files"].items():
            path = self.folder / file_name
            checksums.check_size(path, entry["bytes"])
            if stamp.get(file_name) != path.stat().st_mtime_ns:
                mend = None if repair is None else lambda _name: repair(self)
                self._guards[file_name] = GuardedFile(path, entry, self.meta["block_bytes"], mend)

    def _array(self, name: str) -> NDArray:
        path = self.folder / f"{name}.npy"
        guard = self._guards.get(path.name)
        if guard is None:
            return map_array(path)
        guard.check_blocks(np.zeros(1, dtype=np.int64))  # the header, before it is believed
        return guarded(map_array(path), guard)

    def _checked_path(self, name: str) -> Path:
        """Path of a table that is read whole, compared with its checksum where it may have changed."""
        if name in self._guards:
            self._guards[name].check_all()
        return self.folder / name

    def _table(self, name: str, filters: list[tuple] | None = None) -> pd.DataFrame | None:
        """A table beside the arrays, or None without its file."""
        path = self.folder / name
        if not path.is_file():
            return None
        self._checked_path(name)
        try:
            return pd.read_parquet(path, filters=filters)
        except (OSError, ValueError) as error:
            raise CorruptStoreError(
                f"{path} cannot be read as a table ({error}); fetch {name} of the atlas {self.name} again"
            ) from error
