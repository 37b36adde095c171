"""Several areas in a browser: a file of parks becomes a sortable table beside a map, and a file again."""

from __future__ import annotations

import csv
import json
import re

from tests.browser.test_florascope import atlas_with, open_page, wait_for_map, wait_for_run

PARKS = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {"name": name},
            "geometry": {
                "type": "Polygon",
                "coordinates": [
                    [[west, 42.45], [west + 0.4, 42.45], [west + 0.4, 42.7], [west, 42.7], [west, 42.45]]
                ],
            },
        }
        for name, west in (("Lower valley", 0.4), ("Upper valley", 0.9))
    ],
}


def test_a_file_of_parks_is_compared_on_a_map_and_in_a_table_to_take_away(page, server, atlases, tmp_path):
    open_page(page, server, "/region", atlas=atlas_with(atlases, False))
    page.get_by_text("Several, to compare").click()
    wait_for_run(page)
    page.locator("[data-testid=stFileUploader] input[type=file]").set_input_files(
        {"name": "parks.geojson", "mimeType": "application/geo+json", "buffer": json.dumps(PARKS).encode()}
    )
    page.get_by_role("button", name="Add these 2 areas").click()
    page.get_by_role("button", name="Compare 2 areas").click()
    page.get_by_role("heading", name="2 areas compared").wait_for()
    wait_for_map(page)
    with page.expect_download() as download:
        page.get_by_role("button", name=re.compile("Table")).click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert path.suffix == ".csv" and "2-areas-compared" in path.name
    with path.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["region"] for row in rows] == ["Lower valley", "Upper valley"]
    assert all(float(row["gamma"]) > 0 for row in rows)
