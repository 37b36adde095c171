"""Asking for finer cells: the job that makes them, one for all who ask for the same tiles."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sdm_core import jobs
from sdm_core.on_demand import plan

if TYPE_CHECKING:
    from sdm_core.regions import Region
    from sdm_core.registry import Atlas

KIND = "fine"


def request_fine(atlas: Atlas, region: Region, resolution: int) -> jobs.Job:
    """The job that predicts a region at a finer resolution: the one under way, else a new one.

    Raises `FineError` when it may not be asked for or cannot be computed here, `NoDataInRegionError`,
    `JobError` when too many jobs wait, `CacheNotWritableError`.
    """
    wanted = plan.fine_plan(atlas, region, resolution)
    if wanted.problem:
        raise plan.FineError(wanted.problem)
    payload = {
        "atlas": str(atlas.folder),
        "resolution": resolution,
        "tiles": [f"{tile:x}" for tile in wanted.tiles.tolist()],
    }
    return jobs.submit(KIND, request_key(atlas, wanted.tiles, resolution), payload)


def fine_job(atlas: Atlas, tiles: NDArray[np.uint64], resolution: int) -> jobs.Job | None:
    """The newest job for these tiles, in whatever state; None when nobody asked for them lately."""
    return jobs.find(KIND, request_key(atlas, tiles, resolution))


def request_key(atlas: Atlas, tiles: NDArray[np.uint64], resolution: int) -> str:
    """Names everything that decides the finer cells: predictions of the atlas, resolution, tiles."""
    digest = hashlib.blake2b(tiles.astype("<u8").tobytes(), digest_size=16).hexdigest()
    return f"{atlas.name} {atlas.store.version} r{resolution} {digest}"
