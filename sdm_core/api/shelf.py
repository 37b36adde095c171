"""The atlases of a server, opened once and looked at again when their files change."""

from __future__ import annotations

import threading
import time

from sdm_core import registry
from sdm_core.api.refusals import ApiError
from sdm_core.registry import Atlas

#: Seconds for which the list of atlases, and that their files are as they were, is taken for true.
_FRESH_S = 10.0


class AtlasShelf:
    """Atlases by name, memory-mapped; an atlas installed anew is opened anew."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opening: dict[str, threading.Lock] = {}
        self._open: dict[str, tuple[tuple, float, Atlas]] = {}
        self._names: tuple[float, list[str]] = (-_FRESH_S, [])

    def names(self) -> list[str]:
        """Names of the installed atlases."""
        now = time.monotonic()
        listed_at, names = self._names
        if now - listed_at >= _FRESH_S:
            names = registry.list_atlases()
            self._names = (now, names)
        return names

    def at_hand(self, name: str) -> Atlas | None:
        """An atlas that is open and was looked at a moment ago; None where it must be found first."""
        known = self._open.get(name)
        if known is not None and time.monotonic() - known[1] < _FRESH_S:
            return known[2]
        return None

    def find(self, name: str) -> Atlas:
        """An atlas by name; paths are no names.

        Raises:
            ApiError: 404, none has this name.
            CorruptStoreError, CacheNotWritableError: it cannot be opened.
        """
        known_well = self.at_hand(name)
        if known_well is not None:
            return known_well
        if name not in self.names():
            there = ", ".join(self.names()) or "none at all"
            raise ApiError(404, f"No atlas is called {name[:60]!r}; there are: {there}.")
        with self._lock:
            opening = self._opening.setdefault(name, threading.Lock())
        with opening:
            stamp = registry.folder_stamp(registry.atlas_folder(name))
            known = self._open.get(name)
            atlas = known[2] if known is not None and known[0] == stamp else registry.open_atlas(name)
            self._open[name] = (stamp, time.monotonic(), atlas)
        return atlas
