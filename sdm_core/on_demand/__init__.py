"""Predictions finer than an atlas, made when somebody asks for them, and reports written in the background.

A page or the command line asks in three steps, none of which loads a model:

    plan = fine_plan(atlas, region, 8)           what it would take; a sentence where it cannot be done here
    job = request_fine(atlas, region, 8)         predicts the tiles that nobody asked for before
    store = fine_store(atlas, region, 8)         None until it is done; then read like any other store

Tiles are pieces of 343 cells. Regions that overlap share them, who asks at the same time shares the job, and
two jobs that need the same tile predict it once. `cache` keeps all of it below `config.FINE_CACHE_BYTES`.
"""

from sdm_core.on_demand.plan import (
    FineError,
    FinePlan,
    check_resolution,
    fine_plan,
    finer_resolutions,
    mean_cell_km2,
    tiles_of,
)
from sdm_core.on_demand.reading import fine_atlas, fine_note, fine_store, with_fine_note
from sdm_core.on_demand.requests import fine_job, request_fine

__all__ = [
    "FineError",
    "FinePlan",
    "check_resolution",
    "fine_atlas",
    "fine_job",
    "fine_note",
    "fine_plan",
    "fine_store",
    "finer_resolutions",
    "mean_cell_km2",
    "request_fine",
    "tiles_of",
    "with_fine_note",
]
