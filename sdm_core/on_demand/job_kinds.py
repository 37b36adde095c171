"""What the jobs of this room do, in their own process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sdm_core.jobs import JobContext

#: Folder of the report inside a job's folder, and the archive of it beside.
REPORT_FOLDER, REPORT_ARCHIVE = "report", "report.zip"


def write_report(payload: Mapping[str, Any], job: JobContext) -> dict[str, Any]:
    """Write the report of a region into the job's folder, and a ZIP of it.

    payload: `atlas` (name or folder), `region` (GeoJSON feature), `name` of the region, and where they differ
    from the default `formats`, `rule`, `options` of the rule, `containment` and `permalink`.
    Returns the names of the files inside `REPORT_FOLDER`, the notes, and `archive`.
    """
    from sdm_core import regions, registry, reports
    from sdm_core.reports.folder import zip_folder

    notes: list[str] = []
    job.progress(0.0, "Opening the atlas")
    atlas = registry.open_atlas(payload["atlas"])
    region = regions.region_from_geojson(payload["region"]).renamed(payload["name"])
    job.check_cancelled()
    job.progress(0.1, "Writing the report")
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


def _now() -> Any:
    import datetime

    return datetime.datetime.now(datetime.UTC)
