"""Where things lie and how large they may be: the few values every room shares."""

from __future__ import annotations

import os
from pathlib import Path

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
#: Largest total an uploaded archive may unpack to, in bytes.
MAX_UNPACKED_BYTES = 300 * 1024 * 1024
#: Vertices above which a region is simplified (with a note) before it is used.
MAX_REGION_VERTICES = 200_000
#: Probability above which a species counts as present where no other rule is asked for.
DEFAULT_THRESHOLD = 0.5
#: Rule that turns probabilities into species sets where none is asked for (see `assemblages`).
DEFAULT_RULE = "sse"
