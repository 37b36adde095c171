"""One outline read by several sessions of a server at the same time."""

from __future__ import annotations

import subprocess
import sys

from sdm_core import config

SCRIPT = """
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from sdm_core import regions
region = regions.region_from_place("Pyrenees")
corners = [[0, 42], [3, 42], [3, 45], [0, 45], [0, 42]]
box = regions.region_from_geojson({"type": "Polygon", "coordinates": [corners]})
def read(number):
    here = region if number % 2 else box
    rule = "intersect" if number % 3 else "centre"
    return here.name, regions.polygon_cells(here.geometry, 6, rule).tobytes()
with ThreadPoolExecutor(8) as pool:
    found = list(pool.map(read, range(120)))
for number in range(6):
    assert len(set(found[number::6])) == 1
print("same cells in every thread")
"""


def test_threads_that_share_an_outline_do_not_crash_and_agree():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=config.ROOT_DIR, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert "same cells in every thread" in done.stdout
