"""Two contestants timed fairly: one process, one thread, CPU time, taking turns, and the same answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from sdm_core.errors import FlorascopeError

Case = TypeVar("Case")
_MILLISECONDS = 1000.0


class UnequalResultsError(FlorascopeError):
    """Two contestants of a benchmark did not give the same numbers, so their times say nothing."""


@dataclass(frozen=True)
class Comparison:
    """One speed claim: CPU times of ours and a peer on the same cases, and how their answers compared.

    ours, peer: median milliseconds; ratio: peer / ours; goal: the ratio claimed; equal: how the answers were
    found to be the same.
    """

    name: str
    ours: float
    peer: float
    goal: float
    equal: str
    details: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Entry of the file `benchmark speed --json` writes."""
        return {
            "name": self.name,
            "ours": round(self.ours, 6),
            "peer": round(self.peer, 6),
            "unit": "ms CPU, median",
            "ratio": round(self.peer / max(self.ours, 1e-6), 2),
            "goal": self.goal,
            "equal": self.equal,
            **self.details,
        }


@dataclass(frozen=True)
class Timing:
    """Wall times of one thing a user waits for, in milliseconds; there is no peer.

    goal: longest accepted median in milliseconds, None where none is set; equal: how the answers were found
    to be right.
    """

    name: str
    times: Sequence[float]
    goal: float | None
    equal: str
    details: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Entry of the file `benchmark speed --json` writes: the keys of a comparison, without a peer."""
        return {
            "name": self.name,
            "ours": round(float(np.median(self.times)), 1),
            "peer": None,
            "unit": "ms wall, median",
            "ratio": None,
            "goal": self.goal,
            "equal": self.equal,
            "ours_p95": round(float(np.percentile(self.times, 95)), 1),
            "runs": len(self.times),
            **self.details,
        }


def compare(
    name: str,
    cases: Sequence[Case],
    ours: Callable[[Case], Any],
    peer: Callable[[Case], Any],
    same: Callable[[Any, Any], bool],
    *,
    goal: float,
    equal: str,
    rounds: int = 3,
    details: dict[str, Any] | None = None,
) -> Comparison:
    """Time both on every case, turn by turn, after one untimed turn in which their answers are compared.

    Raises `UnequalResultsError` when any answer differs.
    """
    from threadpoolctl import threadpool_limits

    times: dict[str, list[float]] = {"ours": [], "peer": []}
    with threadpool_limits(limits=1):
        for number, case in enumerate(cases):
            if not same(ours(case), peer(case)):
                raise UnequalResultsError(f"{name}: the contestants differ on case {number}")
        for turn in range(rounds):
            for case in cases:
                contestants = [("ours", ours), ("peer", peer)]
                for who, function in contestants if turn % 2 == 0 else reversed(contestants):
                    start = time.process_time()
                    function(case)
                    times[who].append((time.process_time() - start) * _MILLISECONDS)
    median = {who: float(np.median(values)) for who, values in times.items()}
    spread = {f"{who}_p95": round(float(np.percentile(values, 95)), 4) for who, values in times.items()}
    return Comparison(
        name,
        median["ours"],
        median["peer"],
        goal,
        equal,
        {**spread, "runs": len(times["ours"]), **(details or {})},
    )
