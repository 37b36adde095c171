"""Results that depend on a store alone, worked out once for as long as the store is in use."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

Result = TypeVar("Result")


def once_per_store(function: Callable[[Any], Result]) -> Callable[[Any], Result]:
    """`function(store)`, kept beside each store until the store is no longer used; shared by threads.

    A store never changes, so its results do not either; whoever gets one must not change it. For an object
    that may change (one without a hash), the result is worked out anew each time.
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
