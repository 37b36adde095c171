"""What the jobs of this room do, in their own process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sdm_core.jobs import JobContext

#: Folder of the report inside a job's folder, and the archive of it beside.
REPORT_FOLDER, REPORT_ARCHIVE = "report", "report.zip"


def write_report(payload: Mapping[str, Any], job: JobContext) -> dict[str, Any]:
    """Write the report of a region into the job's folder, and a ZIP of it.

    payload: `atlas` (name or folder), `region` (GeoJSON feature), `name` of the region; where they differ
    from the default `formats`, `rule`, `options` of the rule, `containment`, `permalink`; `resolution` for
    finer cells, which are predicted first where they are not in the cache; and what `OwnFiles.to_payload`
    says of a user's own files, which came with the request.
    Returns the names of the files inside `REPORT_FOLDER`, the notes, and `archive`.
    """
    from sdm_core import regions, registry, reports
    from sdm_core.on_demand.computing import finer_atlas
    from sdm_core.on_demand.own_files import OwnFiles
    from sdm_core.reports.folder import zip_folder

    notes: list[str] = []
    job.progress(0.0, "Opening the atlas")
    atlas = registry.open_atlas(payload["atlas"])
    region = regions.region_from_geojson(payload["region"]).renamed(payload["name"])
    own = OwnFiles.of_payload(payload, job.given).read()
    job.check_cancelled()
    if "resolution" in payload and payload["resolution"] != atlas.store.resolution:
        atlas, region = finer_atlas(
            atlas,
            region,
            payload["resolution"],
            lambda share, message, left: job.progress(0.8 * share, message, left),
            job.check_cancelled,
        )
    job.progress(0.85, "Writing the report")
    out = job.folder / REPORT_FOLDER
    chosen = {
        name: payload[name] for name in ("rule", "containment", "permalink", "formats") if name in payload
    }
    paths = reports.build_report(
        atlas,
        region,
        out,
        on_note=notes.append,
        on_selection=notes.append,
        statuses=own.statuses,
        records=own.records,
        outlines=own.outlines,
        **chosen,
        **payload.get("options", {}),
    )
    job.check_cancelled()
    job.progress(0.95, "Packing the files")
    zip_folder(out, job.folder / REPORT_ARCHIVE)
    return {
        "files": [path.relative_to(out).as_posix() for path in paths],
        "archive": REPORT_ARCHIVE,
        "stem": reports.report_stem(atlas, region, _now()),
        "notes": notes,
    }


def predict_fine(payload: Mapping[str, Any], job: JobContext) -> dict[str, Any]:
    """Predict the tiles of a request (`requests.request_fine`) and make the store of them."""
    import numpy as np

    from sdm_core import registry
    from sdm_core.on_demand.computing import compute_fine

    atlas = registry.open_atlas(payload["atlas"])
    tiles = np.array([int(name, 16) for name in payload["tiles"]], dtype=np.uint64)
    store = compute_fine(atlas, tiles, payload["resolution"], job.progress, job.check_cancelled)
    return {"n_cells": store.n_cells, "version": store.version}


def _now() -> Any:
    import datetime

    return datetime.datetime.now(datetime.UTC)
