"""Results that depend on a store alone, worked out once for as long as the store is in use."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

Result = TypeVar("Result")


def once_per_store(function: Callable[[Any], Result]) -> Callable[[Any], Result]:
    """`function(store)`, kept beside each store until the store is no longer used; shared by threads.

    A store never changes (with other files beside it, it is opened as another one), so its results do not
    either; whoever gets one must not change it. For an object that may change (one without a hash), the
    result is worked out anew each time.
    """
    known: WeakKeyDictionary[Any, Result] = WeakKeyDictionary()
    lock = threading.Lock()

    @functools.wraps(function)
    def remembered(store: Any) -> Result:
        if getattr(store, "__hash__", None) is None:
            return function(store)
        with lock:
            if store in known:
                return known[store]
        result = function(store)
        with lock:
            return known.setdefault(store, result)

    return remembered


class _Result:
    """A result that can be referred to weakly."""

    __slots__ = ("__weakref__", "value")

    def __init__(self, value: Any):
        self.value = value


def once_per_files(function: Callable[[Any], Result]) -> Callable[[Any], Result]:
    """As `once_per_store`, but shared by all stores that were opened from the same files (`StoreFiles.key`).

    So pages and interface, which open an atlas each, work a layer out together. Whoever asks while it is
    being worked out waits for it.
    """
    by_store: WeakKeyDictionary[Any, _Result] = WeakKeyDictionary()
    by_files: WeakValueDictionary[tuple, _Result] = WeakValueDictionary()
    making: dict[tuple, threading.Lock] = {}
    lock = threading.Lock()

    @functools.wraps(function)
    def remembered(store: Any) -> Result:
        with lock:
            found = by_store.get(store)
        if found is None:
            files = (str(store.folder), store.key)
            with lock:
                in_turn = making.setdefault(files, threading.Lock())
            with in_turn:
                with lock:
                    found = by_files.get(files)
                if found is None:
                    found = _Result(function(store))
                with lock:
                    by_files[files] = by_store[store] = found
                    making.pop(files, None)
        value: Result = found.value
        return value

    return remembered
