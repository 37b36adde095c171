"""Where things lie and how large they may be: the few values every room shares."""

from __future__ import annotations

import os
from pathlib import Path


def _whole_number(name: str, default: int) -> int:
    """A whole number from the environment; the program ends with one sentence where it is none."""
    text = os.environ.get(name, "").strip()
    if text and not text.isdecimal():
        raise SystemExit(f"The environment variable {name} is {text!r}; give a whole number, or unset it.")
    return int(text) if text else default


#: Version of the code, written on every model card, store and report.
CODE_VERSION = "0.1.0"

ROOT_DIR = Path(__file__).resolve().parent.parent
ASSETS_DIR = ROOT_DIR / "assets"
#: Generated files; `FLORASCOPE_CACHE` moves them, for instance off a read-only installation.
CACHE_DIR = Path(os.environ.get("FLORASCOPE_CACHE", ROOT_DIR / "cache"))
#: Training data, never part of the project; `SDM_DATA` points to it.
DATA_DIR = Path(os.environ.get("SDM_DATA", ROOT_DIR.parent / "shared" / "data"))
#: Folders searched for atlases, first hit wins; `FLORASCOPE_ATLASES` adds one in front.
ATLAS_DIRS: tuple[Path, ...] = tuple(
    Path(folder) for folder in (os.environ.get("FLORASCOPE_ATLASES"), ASSETS_DIR / "atlases") if folder
)

#: Hexagons drawn at once in the browser; above it a map shows a coarser H3 resolution.
MAX_MAP_CELLS = 20_000
#: Largest region file a user may upload, in bytes.
MAX_UPLOAD_BYTES = 50 * 1024 * 1024
#: Largest file of a user's records, in bytes: about a million rows.
MAX_RECORDS_BYTES = 150 * 1024 * 1024
#: Largest total an uploaded archive may unpack to, in bytes.
MAX_UNPACKED_BYTES = 300 * 1024 * 1024
#: Vertices above which a region is simplified (with a note) before it is used.
MAX_REGION_VERTICES = 200_000
#: Probability above which a species counts as present where no other rule is asked for.
DEFAULT_THRESHOLD = 0.5
#: Rule that turns probabilities into species sets where none is asked for (see `assemblages`).
DEFAULT_RULE = "sse"
#: Jobs that run at once (a job is a process of its own); more wait in a queue.
MAX_JOBS = _whole_number("FLORASCOPE_MAX_JOBS", 2)
#: Jobs that may wait before new ones are refused.
MAX_WAITING_JOBS = 50
#: Finished jobs kept, with their files, for who asked for them.
MAX_KEPT_JOBS = 100
#: Cells of a region that may be predicted finer than its atlas in one request.
MAX_FINE_CELLS = 250_000
#: Bytes that finer predictions may take in the cache; what was not used for longest goes first.
FINE_CACHE_BYTES = _whole_number("FLORASCOPE_FINE_CACHE_BYTES", 5 * 1024**3)
#: Pixels of one exported grid at most: Europe at about 160 m.
MAX_EXPORT_PIXELS = 1_000_000_000
