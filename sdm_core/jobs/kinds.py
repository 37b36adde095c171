"""Kinds of jobs and the functions that do them, by name: this room imports none before it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sdm_core.jobs.folder import JobError

if TYPE_CHECKING:
    from sdm_core.jobs.running import JobContext

KindFunction = Callable[[Mapping[str, Any], "JobContext"], Mapping[str, Any] | None]

#: Kind → "module:function"; the function takes the payload and a `JobContext` and returns its result.
KINDS: dict[str, str] = {
    "report": "sdm_core.on_demand.job_kinds:write_report",
    "fine": "sdm_core.on_demand.job_kinds:predict_fine",
}


def check_kind(kind: str) -> None:
    """Raise `JobError` where no kind of job has this name."""
    if kind not in KINDS:
        raise JobError(f"The kind of job is {kind!r}, expected one of {', '.join(KINDS)}.")


def function_of(kind: str) -> KindFunction:
    """The function that does a kind of job; raises `JobError` for an unknown kind."""
    check_kind(kind)
    module, _, function = KINDS[kind].partition(":")
    return getattr(importlib.import_module(module), function)
