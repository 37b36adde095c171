"""Numbers an open server gives follow the files beside the predictions, not the predictions alone."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from sdm_core import config, registry
from sdm_core.api import ApiSettings, create_api, shelf
from sdm_core.prediction import PredictionStore
from sdm_core.prediction.files import HELD_OUT_FILE
from sdm_core.prediction.held_out import HeldOutSurveys
from tests.make_store import add_held_out_surveys, write_simulated_atlas
from tests.trusted_atlas import add_trust_layers

NAME = "rewritten"
SQUARE = {
    "type": "Polygon",
    "coordinates": [[[0.4, 42.45], [1.2, 42.45], [1.2, 42.75], [0.4, 42.75], [0.4, 42.45]]],
}


@pytest.fixture
def folder(tmp_path: Path, _own_cache: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An atlas of its own with held-out surveys."""
    monkeypatch.setattr(config, "ATLAS_DIRS", (tmp_path,))
    return add_held_out_surveys(write_simulated_atlas(tmp_path / NAME, NAME))


def make_stricter(folder: Path) -> None:
    """Write surveys that leave nothing certain beside an atlas; its predictions stay."""
    store = PredictionStore.open(folder)
    found = store.held_out
    assert found is not None
    surveys = HeldOutSurveys(found.species, {**found.notes, "certain_from": None})
    (folder / HELD_OUT_FILE).write_bytes(surveys.to_bytes(store.species["species"]))


def test_an_open_server_gives_new_numbers_and_another_etag_once_surveys_are_written_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shelf, "_FRESH_S", 0.0)
    client = TestClient(create_api(ApiSettings(rate=0)))
    addresses = f"/v1/atlases/{NAME}/regions?species=all", f"/v1/atlases/{NAME}/tiles/richness/7/64/46.png"

    def ask(etags: tuple[str, str] = ("", "")) -> list:
        tags = [{"If-None-Match": etag} for etag in etags]
        return [
            client.post(addresses[0], json=SQUARE, headers=tags[0]),
            client.get(addresses[1], headers=tags[1]),
        ]

    before = ask()
    etags = tuple(answer.headers["etag"] for answer in before)
    assert "certain" in {entry["certainty"] for entry in before[0].json()["species"]}
    assert [answer.status_code for answer in ask(etags)] == [304, 304]
    make_stricter(folder)
    after = ask(etags)
    assert [answer.status_code for answer in after] == [200, 200]
    assert {entry["certainty"] for entry in after[0].json()["species"]} == {"possible", ""}
    assert after[0].json()["atlas"]["version"] == before[0].json()["atlas"]["version"]
    again = ask(tuple(answer.headers["etag"] for answer in after))
    assert [answer.status_code for answer in again] == [304, 304]


def test_the_key_follows_every_file_that_numbers_come_from_and_no_other(folder: Path, tmp_path: Path):
    keys = [registry.open_atlas(NAME).key]
    os.utime(folder / HELD_OUT_FILE)  # written anew as it was
    (folder / "NOTES.txt").write_text("of no number")
    assert registry.open_atlas(NAME).key == keys[0]
    make_stricter(folder)
    keys.append(registry.open_atlas(NAME).key)
    add_trust_layers(folder)
    keys.append(registry.open_atlas(NAME).key)
    card = folder / "model_card.json"
    card.write_text(card.read_text().replace('"name"', '"added": 1, "name"', 1))
    keys.append(registry.open_atlas(NAME).key)
    assert len(set(keys)) == 4
    shutil.copytree(folder, tmp_path / "copy" / NAME)
    assert registry.open_atlas(tmp_path / "copy" / NAME).key == keys[-1]


def test_pages_open_an_atlas_anew_once_surveys_are_written_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    from pages.ui import resources, resources_atlases
    from sdm_core.regions import region_from_geojson

    monkeypatch.setattr(resources_atlases, "_FRESH_S", 0.0)
    resources.open_atlas.clear()
    region = region_from_geojson(SQUARE)

    def certain() -> int:
        key = resources.open_atlas(NAME).key
        summary = resources.region_summary(
            NAME, key, region.geometry_hash, "Square", "sse", (), "centre", region
        )
        return int(np.count_nonzero(summary.species_table["certainty"] == "certain"))

    first = resources.open_atlas(NAME)
    assert resources.open_atlas(NAME) is first
    assert certain() > 0
    make_stricter(folder)
    assert certain() == 0
    assert resources.open_atlas(NAME).store.version == first.store.version


def test_a_file_that_is_being_written_beside_an_atlas_changes_nothing(folder: Path):
    before = registry.folder_stamp(folder), registry.open_atlas(folder).key
    (folder / ".held_out.parquet.1-abc.parquet").write_bytes(b"half a file")
    assert (registry.folder_stamp(folder), registry.open_atlas(folder).key) == before
