"""Cells finer than the atlas: those that are predicted already, or the job that predicts them."""

from __future__ import annotations

import logging

from sdm_core import jobs, on_demand
from sdm_core.api.refusals import ApiError
from sdm_core.regions import Region
from sdm_core.registry import Atlas

logger = logging.getLogger(__name__)


def finer_cells(
    atlas: Atlas, region: Region, resolution: int, may_start: bool
) -> tuple[Atlas, Region] | jobs.Job:
    """The atlas with finer cells in a region, and the region with the note they owe; or the job at work.

    Raises:
        ApiError: 409, they are not predicted and `may_start` is False; 422, they cannot be predicted here;
            503, too many jobs wait.
        FineError: the resolution or the region is beyond the limits.
    """
    store = on_demand.fine_store(atlas, region, resolution)
    if store is not None:
        return on_demand.fine_atlas(atlas, store), on_demand.with_fine_note(atlas, region, resolution)
    check_finer(atlas, region, resolution)
    if not may_start:
        raise ApiError(
            409, "These cells are not predicted yet; POST the same question to have that done, and ask again."
        )
    try:
        return on_demand.request_fine(atlas, region, resolution)
    except jobs.JobError as error:
        raise ApiError(503, str(error), {"Retry-After": "60"}) from error


def check_finer(atlas: Atlas, region: Region, resolution: int) -> None:
    """Refuse finer cells that cannot be predicted on this server.

    Raises:
        ApiError: 422, the model or its covariates are not here; the log says which.
        FineError, NoDataInRegionError: the resolution or the region is beyond the limits.
    """
    plan = on_demand.fine_plan(atlas, region, resolution)
    if plan.problem:
        logger.warning("finer cells of %s were asked for: %s", atlas.name, plan.problem)
        raise ApiError(
            422,
            f"This server lacks what predicting finer cells of {atlas.title} needs (the model and its "
            "covariates); ask for the resolution of the atlas.",
        )
