"""A cache of bounded bytes that many threads share; each value is made once at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

#: What an entry weighs beside its content.
_ENTRY_BYTES = 200


class ByteCache:
    """Values by key, the longest unused dropped first, as long as they weigh more than `max_bytes`."""

    def __init__(self, max_bytes: int):
        self.max_bytes = max_bytes
        self.n_bytes = 0
        self._values: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()
        self._making: dict[Hashable, threading.Lock] = {}

    def __len__(self) -> int:
        return len(self._values)

    def find(self, key: Hashable) -> Any | None:
        """The value of a key, None where it is not kept."""
        with self._lock:
            found = self._values.get(key)
            if found is None:
                return None
            self._values.move_to_end(key)
            return found[0]

    def get(self, key: Hashable, make: Callable[[], Any], weigh: Callable[[Any], int]) -> Any:
        """The value of a key; `make` gives it where it is not kept, and `weigh` its size in bytes.

        Who asks for a value that is being made waits for it. A value must not be None.
        """
        found = self.find(key)
        if found is not None:
            return found
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            found = self.find(key)
            if found is None:
                try:
                    found = make()
                    self._keep(key, found, weigh(found) + _ENTRY_BYTES)
                finally:
                    with self._lock:
                        self._making.pop(key, None)
        return found

    def _keep(self, key: Hashable, value: Any, size: int) -> None:
        if size > self.max_bytes:
            return
        with self._lock:
            old = self._values.pop(key, None)
            self.n_bytes += size - (old[1] if old else 0)
            self._values[key] = (value, size)
            while self.n_bytes > self.max_bytes:
                _, (_, dropped) = self._values.popitem(last=False)
                self.n_bytes -= dropped
