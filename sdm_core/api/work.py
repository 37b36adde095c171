"""Work of requests in threads: only so many at once, only so many waiting, and never longer than a limit."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import threadpoolctl

from sdm_core.api.refusals import ApiError

Result = TypeVar("Result")
_RETRY_S = 5
#: Seconds a thread may keep the interpreter while another waits: with Python's own 5 ms, each of the many
#: short steps of an answer waits so long beside other answers.
_TURN_S = 0.0005


_deadline = threading.local()


def check_in_time() -> None:
    """Stop work whose client has been told that it took too long; to be asked between steps of long work.

    Raises:
        ApiError: 503, the time of the work in this thread is over. Outside of a `WorkRoom` it never is.
    """
    if time.monotonic() > getattr(_deadline, "end", float("inf")):
        raise ApiError(503, "The answer took too long and was given up.", {"Retry-After": str(_RETRY_S)})


def _within(end: float, work: Callable[[], Result]) -> Result:
    """Do a piece of work in this thread, with the moment its time is over."""
    _deadline.end = end
    try:
        return work()
    finally:
        del _deadline.end


def share_the_cores() -> None:
    """Let the threads of this process take short turns, and no matrix product threads of its own.

    Answers run in threads beside each other, so that more threads inside each would only take turns.
    """
    sys.setswitchinterval(_TURN_S)
    threadpoolctl.threadpool_limits(limits=1, user_api="blas")


class WorkRoom:
    """`slots` threads for one kind of work, with a bounded queue in front of them.

    A thread cannot be ended: work that outlasts its time keeps its slot until it next asks
    `check_in_time`, so that late work never adds up, while its client is told to come back.
    """

    def __init__(self, name: str, slots: int, waiting: int, seconds: float):
        self.seconds = seconds
        self._capacity = slots + waiting
        self._present = 0
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(slots, thread_name_prefix=name)

    @property
    def present(self) -> int:
        """Pieces of work running or waiting."""
        return self._present

    async def do(self, work: Callable[[], Result]) -> Result:
        """What `work` returns.

        Raises:
            ApiError: 503, the queue is full, or the answer took too long.
        """
        with self._lock:
            if self._present >= self._capacity:
                raise ApiError(
                    503,
                    "The server is busy with the requests of others; try again in a few seconds.",
                    {"Retry-After": str(_RETRY_S)},
                )
            self._present += 1
        try:
            future = self._pool.submit(_within, time.monotonic() + self.seconds, work)
        except RuntimeError:
            self._leave()
            raise
        future.add_done_callback(self._leave)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self.seconds)
        except TimeoutError as error:
            if future.done() and not future.cancelled():  # the work itself raised it
                raise
            raise ApiError(
                503,
                f"The answer was not ready after {self.seconds:g} s; ask for a smaller or simpler region, "
                "or try again later.",
                {"Retry-After": str(_RETRY_S)},
            ) from error

    def _leave(self, _future: Future | None = None) -> None:
        with self._lock:
            self._present -= 1
