"""Kinds of jobs for tests, and the process that knows them beside the real ones."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sdm_core.errors import RegionError
from sdm_core.jobs import JobContext, kinds
from sdm_core.jobs.__main__ import main

KINDS = {name: f"tests.job_kinds:{name}" for name in ("count", "refuse", "stumble", "deaf", "unspeakable")}
#: In place of `submitting.RUNNER`.
RUNNER = (sys.executable, "-m", "tests.job_kinds", "run")


def count(payload: Mapping[str, Any], job: JobContext) -> dict[str, Any]:
    """Count to `n` with a pause after each, noting every start in the file `starts`."""
    if "starts" in payload:
        with Path(payload["starts"]).open("a", encoding="utf-8") as file:
            file.write(f"{job.folder.name}\n")
    for number in range(payload["n"]):
        job.check_cancelled()
        job.progress(number / payload["n"], f"Counted to {number}")
        time.sleep(payload.get("pause_s", 0.0))
    return {"counted": payload["n"]}


def refuse(payload: Mapping[str, Any], job: JobContext) -> None:
    """Fail with a sentence."""
    raise RegionError("The region is a line; draw an area.")


def stumble(payload: Mapping[str, Any], job: JobContext) -> None:
    """Fail without one."""
    raise ZeroDivisionError


def deaf(payload: Mapping[str, Any], job: JobContext) -> None:
    """Never look whether it was cancelled."""
    job.progress(0.5, "Deaf")
    time.sleep(60)


def unspeakable(payload: Mapping[str, Any], job: JobContext) -> dict[str, Any]:
    """Return what JSON cannot hold."""
    return {"value": object()}


if __name__ == "__main__":
    kinds.KINDS.update(KINDS)
    sys.exit(main(sys.argv[1:]))
