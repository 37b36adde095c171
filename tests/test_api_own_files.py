"""Status lists, own records and outlines through the interface: same numbers as the engine, same refusals."""

from __future__ import annotations

import base64
import io
import json
import time
import zipfile
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from sdm_core import config, indicators, regions, statuses
from sdm_core.api import ApiSettings, create_api
from sdm_core.jobs import folder as job_folder
from sdm_core.on_demand.own_files import OwnFile, OwnFiles
from tests.test_api import HERE, SQUARE, no_processes, refused  # noqa: F401 - a fixture among them
from tests.test_threat import LIST

RECORDS = "species,longitude,latitude,year\nAbies alba,0.62,42.51,2021\nOld fir,0.63,42.52,\n"
SYNONYMS = "synonym,accepted\nNowhere seen,Betula pendula\n"


@pytest.fixture(autouse=True)
def _simulated_only(simulated_atlas_folder: Path, _own_cache, monkeypatch):
    monkeypatch.setattr(config, "ATLAS_DIRS", (simulated_atlas_folder.parent,))


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(create_api(ApiSettings(rate=0)), raise_server_exceptions=False)


def file(text: str, name: str = "list.csv") -> dict[str, str]:
    return {"name": name, "text": text}


def asked(**parts) -> dict:
    return {"region": SQUARE, **parts}


def test_status_lists_of_the_body_have_the_numbers_of_the_engine(client, simulated_atlas):
    answer = client.post(f"{HERE}/regions", json=asked(status_lists=[file(LIST)])).json()
    store = simulated_atlas.store
    region = regions.region_from_geojson(SQUARE)
    rows = regions.select_cells(region, store.lonlat, store.resolution, store.cells, store.area_ha).rows
    matched = statuses.match_statuses(statuses.read_statuses(LIST.encode(), "list.csv"), store.species)
    expected = indicators.summarise_region(store, rows, region, statuses=[matched]).to_dict()
    assert answer["status_lists"] == json.loads(json.dumps(expected["status_lists"]))
    (found,) = answer["matching"]
    assert (found["n_entries"], found["n_unmatched"]) == (8, 1)
    assert found["unmatched"][0]["taxon"] == "Nowhere seen"
    assert "observed" not in answer or answer["observed"] is None


def test_synonyms_of_the_body_reach_their_species(client):
    answer = client.post(
        f"{HERE}/regions", json=asked(status_lists=[file(LIST)], synonyms=file(SYNONYMS, "synonyms.csv"))
    ).json()
    (found,) = answer["matching"]
    assert found["n_unmatched"] == 0
    assert found["ways"]["synonym given with the list"] == 1


def test_records_of_the_body_stand_beside_the_prediction_and_are_kept_nowhere(client):
    answer = client.post(f"{HERE}/regions", json=asked(records=[file(RECORDS, "records.csv")]))
    observed = answer.json()["observed"]
    assert (observed["records_inside"], observed["files"]) == (2, ["records.csv"])
    assert {row["species"] for row in observed["species"]} == {"Abies alba", "Old fir"}
    assert answer.headers["cache-control"] == "private"
    kept = client.app.state.context.answers
    assert not any(b"Old fir" in value for value, _ in kept._values.values())
    assert not [
        path for path in config.CACHE_DIR.rglob("*") if path.is_file() and b"Old fir" in path.read_bytes()
    ]


def test_an_archive_comes_in_base64(client):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("records.csv", RECORDS)
    sent = {"name": "records.zip", "base64": base64.b64encode(packed.getvalue()).decode()}
    answer = client.post(f"{HERE}/regions", json=asked(records=[sent]))
    assert answer.json()["observed"]["records_inside"] == 2


def test_outlines_of_the_body_are_compared_with(client):
    outlines = {
        "type": "FeatureCollection",
        "features": [{"type": "Feature", "properties": {"name": "Our county"}, "geometry": SQUARE}],
    }
    answer = client.post(
        f"{HERE}/regions", json=asked(compare_with=file(json.dumps(outlines), "counties.geojson"))
    )
    assert "Our county" in json.dumps(answer.json()["benchmarks"])


def test_a_place_in_the_address_goes_with_lists_in_the_body(client):
    answer = client.post(f"{HERE}/regions?place=Pyrenees&species=none", json={"status_lists": [file(LIST)]})
    assert answer.status_code == 200
    assert answer.json()["region"]["name"] == "Pyrenees"


def test_the_same_files_are_the_same_answer_and_others_another(client):
    tag = client.post(f"{HERE}/regions", json=asked(status_lists=[file(LIST)])).headers["etag"]
    same = client.post(
        f"{HERE}/regions", json=asked(status_lists=[file(LIST)]), headers={"If-None-Match": tag}
    )
    assert same.status_code == 304
    for other in (file(LIST, "other.csv"), file(LIST.replace("VU", "EN"))):
        answer = client.post(f"{HERE}/regions", json=asked(status_lists=[other]))
        assert answer.headers["etag"] != tag
    assert client.post(f"{HERE}/regions", json=SQUARE).headers["etag"] != tag


NOT_A_FILE = "is no file, expected an object with name and text, or name and base64"


@pytest.mark.parametrize(
    ("parts", "status", "words"),
    [
        ({"status_lists": [file("species,status\nAbies alba,VU\n")]}, 422, "list.csv has no column 'taxon'"),
        ({"status_lists": [file("")]}, 422, "list.csv is empty"),
        ({"status_lists": [file(LIST)] * 13}, 422, "status_lists holds 13 files, and at most 12 are taken"),
        ({"status_lists": file(LIST)}, 422, "status_lists is no list"),
        ({"status_lists": ["taxon"]}, 422, f"status_lists[0] {NOT_A_FILE}"),
        ({"status_lists": [{"name": "a.csv"}]}, 422, f"status_lists[0] {NOT_A_FILE}"),
        ({"status_lists": [{"name": 3, "text": "x"}]}, 422, "has a name or content that is no text"),
        ({"status_lists": [file(LIST, "../")]}, 422, "status_lists[0] has no name"),
        ({"synonyms": file(SYNONYMS)}, 422, "synonyms goes with status_lists, which the body does not have"),
        ({"records": [file("a,b\n1,2\n", "r.csv")]}, 422, "'r.csv' has no column for the species"),
        ({"records": [{"name": "r.zip", "base64": "%%%"}]}, 422, "The content of r.zip is not Base64"),
        ({"records": [{"name": "r.zip", "base64": "UEsDBAAA"}]}, 422, "'r.zip' cannot be unpacked"),
        ({"records": [file(RECORDS)], "records_crs": "EPSG:1"}, 422, "EPSG:1"),
        ({"records": [file(RECORDS)], "records_crs": 4326}, 422, "records_crs is no text"),
        ({"records": [file(RECORDS)], "cover_scale": "feet"}, 422, "cover_scale is 'feet', expected one of"),
        ({"compare_crs": "EPSG:3035"}, 422, "compare_crs goes with compare_with"),
        ({"cover_scale": "percent"}, 422, "cover_scale goes with records"),
        ({"compare_with": file("{}", "x.geojson")}, 422, "x.geojson"),
        ({"red_list": [file(LIST)]}, 422, "The body has the part 'red_list', expected some of region,"),
        ({"region": None, "status_lists": [file(LIST)]}, 400, "The body has no region; send one as GeoJSON"),
        ({"region": {"status": 1}}, 422, "GeoJSON"),
        ({"region": "place:Pyrenees"}, 422, "a place is named in the address"),
    ],
)
def test_a_body_that_is_not_as_it_should_be_is_refused_in_one_sentence(client, parts, status, words):
    for subject in ("regions", "reports"):
        refused(client.post(f"{HERE}/{subject}", json=asked(**parts)), status, words)


def test_files_that_are_too_large_together_are_refused():
    small = TestClient(create_api(ApiSettings(rate=0, max_body_bytes=10_000)), raise_server_exceptions=False)
    answer = small.post(f"{HERE}/regions", json=asked(status_lists=[file(LIST + " " * 20_000)]))
    refused(answer, 413, "The request is larger than 0.01 MB")


def test_files_of_an_ordered_report_decide_which_job_it_is(client, no_processes):  # noqa: F811
    body = asked(status_lists=[file(LIST)], records=[file(RECORDS, "records.csv")])
    first = client.post(f"{HERE}/reports?formats=json", json=body).json()["id"]
    assert client.post(f"{HERE}/reports?formats=json", json=body).json()["id"] == first
    other = asked(status_lists=[file(LIST)])
    assert client.post(f"{HERE}/reports?formats=json", json=other).json()["id"] != first
    given = job_folder.jobs_folder() / first / job_folder.GIVEN_FOLDER
    assert sorted(path.name for path in given.iterdir()) == ["records-0", "status_lists-0"]
    assert "Old fir" not in (given.parent / job_folder.REQUEST_FILE).read_text()


def test_files_come_back_from_the_request_of_a_job_as_they_went():
    one, two = OwnFile("a.csv", b"a"), OwnFile("b.csv", b"b")
    sent = OwnFiles((one, two), one, (two,), one, "EPSG:25832", "percent", "name", "EPSG:3035")
    kept = {name: found.content for name, found in sent.files.items()}
    assert OwnFiles.of_payload(json.loads(json.dumps(sent.to_payload())), kept.__getitem__) == sent
    assert OwnFiles().to_payload() == {}


@pytest.mark.slow
def test_an_ordered_report_has_the_lists_and_records_and_keeps_none_of_them(client):
    body = asked(
        status_lists=[file(LIST)],
        synonyms=file(SYNONYMS, "synonyms.csv"),
        records=[file(RECORDS, "records.csv")],
    )
    job = client.post(f"{HERE}/reports?formats=csv,json", json=body).json()
    end = time.monotonic() + 60
    while job["state"] in ("queued", "running") and time.monotonic() < end:
        time.sleep(0.2)
        job = client.get(job["links"]["self"]).json()
    assert job["state"] == "done", job
    answer = client.get(job["links"]["result"])
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        names = {Path(name).name: name for name in archive.namelist()}
        numbers = json.loads(archive.read(names["indicators.json"]))
        assert "observed.csv" in names
    assert [listed["list"] for listed in numbers["status_lists"]] == ["Red List", "Law"]
    assert numbers["observed"]["records_inside"] == 2
    assert not (job_folder.jobs_folder() / job["id"] / job_folder.GIVEN_FOLDER).exists()
