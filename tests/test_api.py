"""The programming interface: the engine's numbers, refusals in one sentence, limits that hold."""

from __future__ import annotations

import asyncio
import html
import io
import json
import re
import threading
import time
import zipfile
from pathlib import Path

import h3
import httpx2 as httpx
import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

from sdm_core import applicability, config, indicators, on_demand, regions
from sdm_core.api import ApiSettings, create_api
from sdm_core.api.caches import ByteCache
from sdm_core.api.limits import TokenBuckets, client_of
from sdm_core.api.refusals import ApiError
from sdm_core.api.species_search import SpeciesNames
from sdm_core.api.work import WorkRoom, check_in_time, share_the_cores
from sdm_core.errors import ConfigurationError, CorruptStoreError
from sdm_core.prediction import decode
from tests.make_store import NAME, SPECIES

HERE = f"/v1/atlases/{NAME}"
SQUARE = {
    "type": "Polygon",
    "coordinates": [[[0.4, 42.45], [1.2, 42.45], [1.2, 42.75], [0.4, 42.75], [0.4, 42.45]]],
}
BOW_TIE = {
    "type": "Polygon",
    "coordinates": [[[0.4, 42.4], [1.4, 42.8], [1.4, 42.4], [0.4, 42.8], [0.4, 42.4]]],
}


@pytest.fixture(autouse=True)
def _simulated_only(simulated_atlas_folder: Path, _own_cache, monkeypatch):
    monkeypatch.setattr(config, "ATLAS_DIRS", (simulated_atlas_folder.parent,))


def client_with(**settings) -> TestClient:
    """The interface with these limits, and no limit of rate unless one is given."""
    return TestClient(create_api(ApiSettings(**{"rate": 0, **settings})), raise_server_exceptions=False)


@pytest.fixture(scope="module")
def client() -> TestClient:
    return client_with()


def refused(answer: httpx.Response, status: int, words: str) -> None:
    """A refusal is one sentence, without a traceback and without a path of the server."""
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    sentence = answer.json()["error"]
    assert words in sentence
    for inside in ("Traceback", "\n", str(config.ROOT_DIR), str(config.CACHE_DIR), "site-packages"):
        assert inside not in sentence


# Reading -----------------------------------------------------------------------------------------------


def test_the_list_of_atlases_leads_to_everything_else(client, simulated_atlas):
    (entry,) = client.get("/v1/atlases").json()["atlases"]
    assert (entry["name"], entry["version"]) == (NAME, simulated_atlas.store.version)
    assert (entry["n_cells"], entry["n_species"]) == (simulated_atlas.store.n_cells, len(SPECIES))
    detail = client.get(entry["links"]["self"]).json()
    assert [layer["name"] for layer in detail["layers"]][:3] == ["richness", "shannon", "simpson"]
    assert detail["about"]["license"] == "CC0-1.0"
    for address in (
        entry["links"]["species"],
        detail["layers"][0]["tilejson"],
        detail["layers"][0]["legend"],
    ):
        assert client.get(address).status_code == 200


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("fagus sylvatica", "Fagus sylvatica"),
        ("Fagus SYL", "Fagus sylvatica"),
        ("sylvatica", "Fagus sylvatica"),
        ("beech", "Fagus sylvatica"),
        ("pinaceae", "Abies alba"),
        ("fagsu silvatica", "Fagus sylvatica"),
        ("Bech", "Fagus sylvatica"),
        ("tree of h", "Ailanthus altissima"),
    ],
)
def test_species_are_found_by_any_of_their_names_and_where_misspelt(client, text, first):
    assert client.get(f"{HERE}/species", params={"q": text}).json()["species"][0]["species"] == first


def test_species_are_found_by_a_synonym():
    table = pd.DataFrame({"species": ["Abies alba", "Poa annua"], "synonyms": ["Abies pectinata", ""]})
    names = SpeciesNames.of(table)
    assert names.search("abies PECT") == [0]
    assert names.search("poa") == [1]


def test_a_search_that_finds_nothing_is_an_empty_page(client):
    assert client.get(f"{HERE}/species", params={"q": "zzzzzz"}).json()["total"] == 0


def test_pages_of_species_add_up_to_all_of_them_once(client):
    address, seen = f"{HERE}/species?limit=15", []
    while address:
        page = client.get(address).json()
        assert page["total"] == len(SPECIES)
        seen += [species["species"] for species in page["species"]]
        address = page["next"]
    assert seen == [entry[0] for entry in SPECIES]


def test_flags_nobody_has_assessed_are_null(client, simulated_atlas):
    robinia = simulated_atlas.store.species_id("Robinia pseudoacacia")
    entry = client.get(f"{HERE}/species/{robinia}").json()
    assert entry["endemic"] is None
    assert entry["invasive_union_concern"] is False
    assert client.get(entry["links"]["tilejson"]).json()["name"] == "Robinia pseudoacacia"


def test_the_map_of_a_species_is_the_same_as_csv_and_parquet(client, simulated_atlas):
    store = simulated_atlas.store
    csv = pd.read_csv(io.BytesIO(client.get(f"{HERE}/species/16/cells.csv").content))
    parquet = pd.read_parquet(io.BytesIO(client.get(f"{HERE}/species/16/cells.parquet").content))
    assert csv["h3_cell"].tolist() == [f"{cell:x}" for cell in parquet["h3_cell"]]
    assert np.array_equal(parquet["h3_cell"].to_numpy(), store.cells)
    assert parquet["probability"].to_numpy() == pytest.approx(decode(store.species_map(16)))
    assert csv["probability"].to_numpy() == pytest.approx(parquet["probability"].to_numpy(), abs=5e-6)
    some = pd.read_csv(io.BytesIO(client.get(f"{HERE}/species/16/cells.csv?min_probability=0.2").content))
    assert 0 < len(some) < len(csv)
    assert len(some) == int((parquet["probability"] >= 0.2).sum())


def test_a_cell_has_its_species_with_their_probabilities(client, simulated_atlas):
    store = simulated_atlas.store
    row = store.n_cells // 2
    cell = int(store.cells[row])
    answer = client.get(f"{HERE}/cells/{cell:x}?species=3").json()
    expected = decode(store.codes[row])
    best = np.argsort(-expected, kind="stable")[:3]
    assert [entry["species_id"] for entry in answer["top"]] == best.tolist()
    assert [entry["probability"] for entry in answer["top"]] == pytest.approx(expected[best])
    latitude, longitude = h3.cell_to_latlng(f"{cell:x}")
    place = {"longitude": longitude, "latitude": latitude, "species": 3}
    assert client.get(f"{HERE}/cells", params=place).json() == answer
    parent = client.get(f"{HERE}/cells/{h3.cell_to_parent(f'{cell:x}', 5)}").json()
    assert parent["n_cells"] == 7


def test_a_region_has_the_numbers_of_the_engine(client, simulated_atlas):
    store = simulated_atlas.store
    answer = client.post(f"{HERE}/regions?species=all", json=SQUARE).json()
    region = regions.region_from_geojson(SQUARE)
    chosen = regions.select_cells(region, store.lonlat, store.resolution, store.cells, store.area_ha)
    summary = indicators.summarise_region(
        store, chosen.rows, region=region, notes=chosen.notes, hectares=chosen.hectares
    )
    expected = json.loads(json.dumps(summary.to_dict()))
    assert answer["indicators"] == expected["indicators"]
    assert answer["groups"] == expected["groups"]
    assert answer["species"] == expected["species"]
    assert answer["n_species"] == len(expected["species"])
    trust = applicability.assess_trust(store, chosen.rows, summary, simulated_atlas.card)
    assert answer["trust"] == json.loads(json.dumps(trust.to_dict()))


@pytest.mark.parametrize(("asked", "n_species"), [("none", 0), ("3", 3), ("top 4", 4), ("all", None)])
def test_as_many_species_are_listed_as_were_asked_for(client, asked, n_species):
    answer = client.post(f"{HERE}/regions", params={"species": asked}, json=SQUARE).json()
    assert len(answer["species"]) == (answer["n_species"] if n_species is None else n_species)


def test_rules_and_their_options_reach_the_engine(client):
    def gamma(**options) -> float:
        answer = client.post(f"{HERE}/regions", params=options, json=SQUARE).json()
        return answer["indicators"]["gamma"]["value"]

    assert gamma(rule="threshold", t=0.9) < gamma(rule="threshold", t=0.1)


def test_by_area_weights_halves_of_a_region_add_up_to_the_whole(client):
    def area(west: float, east: float) -> float:
        ring = [[west, 42.45], [east, 42.45], [east, 42.75], [west, 42.75], [west, 42.45]]
        body = {"type": "Polygon", "coordinates": [ring]}
        answer = client.post(f"{HERE}/regions?containment=area_weighted&species=none", json=body).json()
        return answer["indicators"]["cell_area_km2"]["value"]

    assert area(0.4, 0.83) + area(0.83, 1.2) == pytest.approx(area(0.4, 1.2), rel=1e-3)


def test_a_place_and_cells_are_regions_too(client):
    by_name = client.get(f"{HERE}/regions?place=pyrenees&species=2")
    assert by_name.status_code == 200, by_name.text
    assert by_name.json()["region"]["name"] == "Pyrenees"
    cell = h3.latlng_to_cell(42.6, 1.0, 6)
    of_cell = client.get(f"{HERE}/regions", params={"cells": cell}).json()
    assert of_cell["region"]["n_cells"] == 1
    refused(client.get(f"{HERE}/regions"), 422, "Give a place, such as place=Pyrenees")
    refused(client.get(f"{HERE}/regions?place=Atlantis"), 422, "Atlantis")


def test_a_bow_tie_is_repaired_and_the_answer_says_so(client):
    answer = client.post(f"{HERE}/regions", json=BOW_TIE)
    assert answer.status_code == 200
    assert any("crossed itself" in note for note in answer.json()["region"]["notes"])


def test_an_unchanged_answer_about_a_region_is_not_sent_again(client):
    first = client.post(f"{HERE}/regions", json=SQUARE)
    tag = {"If-None-Match": first.headers["etag"]}
    again = client.post(f"{HERE}/regions", json=SQUARE, headers=tag)
    assert (again.status_code, again.content) == (304, b"")
    assert client.post(f"{HERE}/regions?species=3", json=SQUARE, headers=tag).status_code == 200
    assert client.post(f"{HERE}/regions", json=BOW_TIE, headers=tag).status_code == 200
    assert client.get("/v1/atlases", headers={"If-None-Match": "*"}).status_code == 304


# Refusals ----------------------------------------------------------------------------------------------


def ring_text(vertex: str) -> bytes:
    return b'{"type":"Polygon","coordinates":[[[0,42],[1,42],%s,[0,42]]]}' % vertex.encode()


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "The body is empty"),
        (b"{", 400, "not JSON at line 1"),
        (b"\xff\xfe{}", 400, "not JSON in UTF-8"),
        (b"[1, 2]", 422, "a Feature, FeatureCollection or Polygon is expected"),
        (b'{"type":"Topology"}', 422, "TopoJSON"),
        (ring_text("[NaN,43]"), 400, "holds NaN"),
        (ring_text("[1e999,43]"), 400, "too large to be a coordinate"),
        (ring_text("[" + "9" * 5000 + ",43]"), 400, "too large to be a coordinate"),
        (ring_text("[1e15,43]"), 422, "are not degrees"),
        (ring_text('["a",43]'), 422, "cannot be read"),
        (b"[" * 100_000, 400, "nested 100000 levels deep"),
        (b'{"a":' * 50 + b"1" + b"}" * 50, 400, "nested 50 levels deep"),
        (b'{"type":"Polygon","coordinates":[]}', 422, "empty"),
        (b'{"type":"Point","coordinates":[1,42]}', 422, "which has no area"),
        (b'{"type":"Polygon","coordinates":[[[100,0],[101,0],[101,1],[100,0]]]}', 404, "lies outside"),
    ],
)
def test_a_body_that_is_no_region_is_refused_in_one_sentence(client, body, status, words):
    answer = client.post(f"{HERE}/regions", content=body, headers={"Content-Type": "application/json"})
    refused(answer, status, words)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/v1/atlases/mars", 404, "No atlas is called 'mars'; there are: simulated-pyrenees"),
        ("/v1/atlases/..%2f..%2fetc", 404, ""),
        ("/v1/atlases/%2e%2e/species", 404, ""),
        (f"{HERE}/species/40", 404, "has no species 40"),
        (f"{HERE}/species/-1", 422, "'species_id'"),
        (f"{HERE}/species?limit=0", 422, "'limit'"),
        (f"{HERE}/species?q={'a' * 101}", 422, "'q'"),
        (f"{HERE}/cells/zzz", 422, "is no H3 cell"),
        (f"{HERE}/cells/891f83647ffffff", 422, ""),
        (f"{HERE}/cells?longitude=400&latitude=0", 422, "'longitude'"),
        (f"{HERE}/cells?longitude=nan&latitude=0", 422, "'longitude'"),
        (f"{HERE}/cells?longitude=100&latitude=0", 404, "is not in the atlas"),
        ("/v1/jobs/..%2f..%2fetc%2fpasswd", 404, ""),
        ("/v1/jobs/" + "0" * 32, 404, "no such job"),
        ("/v1/stac/catalog.json", 404, "No raster is published"),
        ("/nothing", 404, "nothing at this address"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused_in_one_sentence(client, path, status, words):
    refused(client.get(path), status, words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"containment": "near"}, "expected one of centre, intersect, area_weighted"),
        ({"rule": "magic"}, "expected one of sse, threshold"),
        ({"rule": "sse", "t": 0.5}, 'has no option "t"'),
        ({"rule": "threshold", "t": 7}, "expected a probability above 0"),
        ({"rule": "threshold", "t": "nan"}, ""),
        ({"rule": "top_k"}, "needs a number of species k"),
        ({"species": "many"}, "expected all, none, or a number"),
        ({"species": "-3"}, "expected all, none, or a number"),
    ],
)
def test_an_option_that_is_not_known_is_refused_in_one_sentence(client, options, words):
    refused(client.post(f"{HERE}/regions", params=options, json=SQUARE), 422, words)


def test_a_body_that_is_not_sent_as_json_is_refused(client):
    answer = client.post(f"{HERE}/regions", content=b"{}", headers={"Content-Type": "text/plain"})
    refused(answer, 415, "send JSON")
    refused(client.put(f"{HERE}/regions", json={}), 405, "does not take that method")


def test_damage_in_the_store_is_logged_and_told_without_paths(client, monkeypatch, caplog):
    def damaged(*_args, **_options):
        raise CorruptStoreError(f"{config.CACHE_DIR}/codes.npy is damaged: block 3")

    monkeypatch.setattr(indicators, "summarise_cell", damaged)
    answer = client.get(f"{HERE}/cells?longitude=1.03&latitude=42.63")
    refused(answer, 503, "cannot read its predictions")
    assert "block 3" in caplog.text


def test_what_nobody_foresaw_is_logged_and_told_in_one_sentence(client, monkeypatch, caplog):
    monkeypatch.setattr(indicators, "summarise_cell", lambda *_args, **_options: 1 / 0)
    refused(client.get(f"{HERE}/cells?longitude=1.04&latitude=42.64"), 500, "has been logged")
    assert "ZeroDivisionError" in caplog.text


# Limits ------------------------------------------------------------------------------------------------


def test_ten_thousand_tiny_polygons_are_one_region(client):
    tiny = [
        [[[x, y], [x + 1e-3, y], [x + 1e-3, y + 1e-3], [x, y]]]
        for x in np.linspace(0.4, 1.4, 100).tolist()
        for y in np.linspace(42.4, 42.8, 100).tolist()
    ]
    body = {"type": "MultiPolygon", "coordinates": tiny}
    answer = client.post(f"{HERE}/regions?species=none", json=body)
    assert answer.status_code == 200, answer.text
    few = client_with(max_rings=9_999)
    refused(few.post(f"{HERE}/regions", json=body), 413, "has 10,000 outlines and holes")


def test_a_body_that_announces_too_much_is_refused_before_it_is_read():
    small = client_with(max_body_bytes=1000)
    refused(small.post(f"{HERE}/regions", json={"pad": "x" * 2000}), 413, "larger than 0.001 MB")


def test_a_body_without_a_length_is_refused_as_soon_as_it_is_too_large():
    api = create_api(ApiSettings(rate=0, max_body_bytes=100_000))
    read = 0

    async def stream():
        nonlocal read
        for _ in range(1000):
            read += 10_000
            yield b"[" * 10_000

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(api)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as asking:
            headers = {"Content-Type": "application/json"}
            return await asking.post(f"{HERE}/regions", content=stream(), headers=headers)

    refused(asyncio.run(ask()), 413, "larger than 0.1 MB")
    assert read <= 520_000  # a little more is taken and dropped, so that the client reads the answer


def test_a_body_that_takes_too_long_to_arrive_is_refused():
    api = create_api(ApiSettings(rate=0, max_seconds=1))
    sent = []

    async def never() -> dict:
        await asyncio.sleep(30)
        return {"type": "http.disconnect"}

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": f"{HERE}/regions",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json"), (b"host", b"test")],
        "client": ("127.0.0.1", 1),
        "server": ("test", 80),
        "scheme": "http",
        "root_path": "",
    }
    started = time.monotonic()
    asyncio.run(api(scope, never, send))
    assert time.monotonic() - started < 5
    assert sent[0]["status"] == 408
    assert "took too long" in json.loads(sent[1]["body"])["error"]


def test_a_client_that_comes_too_often_is_told_when_to_come_again():
    hurried = client_with(rate=1, burst=6)
    answers = [hurried.get("/v1/atlases") for _ in range(5)]
    assert [answer.status_code for answer in answers[:3]] == [200, 200, 200]
    refused(answers[-1], 429, "Too many requests")
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 3


def test_points_come_back_with_time_and_each_client_has_its_own():
    now = [0.0]
    buckets = TokenBuckets(rate=2, burst=4, clock=lambda: now[0])
    assert [buckets.wait_s("a", 2) for _ in range(3)] == [0, 0, 1]
    assert buckets.wait_s("b", 4) == 0
    now[0] = 1.0
    assert [buckets.wait_s("a", 2) for _ in range(2)] == [0, 1]
    now[0] = 100.0
    assert buckets.wait_s("a", 99) == 0  # dearer than the burst: the whole burst is its price
    assert TokenBuckets(rate=0, burst=1).wait_s("a", 1000) == 0


@pytest.mark.parametrize(
    ("peer", "told", "proxies", "client"),
    [
        ("9.9.9.9", "1.1.1.1", 0, "9.9.9.9"),
        ("9.9.9.9", "6.6.6.6, 1.1.1.1", 1, "1.1.1.1"),
        ("9.9.9.9", "6.6.6.6, 1.1.1.1", 2, "6.6.6.6"),
        ("9.9.9.9", "", 1, "9.9.9.9"),
        ("2001:db8:1:2:3:4:5:6", "", 0, "2001:db8:1:2::/64"),
    ],
)
def test_who_asks_is_the_connection_unless_proxies_are_trusted(peer, told, proxies, client):
    headers = [(b"x-forwarded-for", told.encode())] if told else []
    assert client_of({"type": "http", "client": (peer, 1), "headers": headers}, proxies) == client


def test_answers_beside_each_other_share_the_cores():
    import sys

    import threadpoolctl

    before = sys.getswitchinterval()
    try:
        with threadpoolctl.threadpool_limits(limits=2, user_api="blas"):
            share_the_cores()
            pools = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
            assert pools and all(pool["num_threads"] == 1 for pool in pools)
            assert sys.getswitchinterval() < 0.001
    finally:
        sys.setswitchinterval(before)


def test_work_is_bounded_in_number_and_time():
    room = WorkRoom("test", slots=1, waiting=1, seconds=0.2)
    gate = threading.Event()

    async def go() -> None:
        slow = asyncio.create_task(room.do(lambda: gate.wait(5)))
        waiting = asyncio.create_task(room.do(lambda: 1))
        await asyncio.sleep(0.05)
        with pytest.raises(ApiError, match="busy with the requests of others") as busy:
            await room.do(lambda: 2)
        assert (busy.value.status, "Retry-After" in busy.value.headers) == (503, True)
        for task in (slow, waiting):
            with pytest.raises(ApiError, match=r"not ready after 0\.2 s"):
                await task
        assert room.present == 1  # the late work keeps its slot
        gate.set()
        await asyncio.sleep(0.05)
        assert room.present == 0
        assert await room.do(lambda: 3) == 3

    asyncio.run(go())


def test_late_work_stops_at_its_next_step_and_frees_its_slot():
    steps: list[int] = []

    def work() -> None:
        for step in range(200):
            check_in_time()
            steps.append(step)
            time.sleep(0.02)

    room = WorkRoom("test", slots=1, waiting=0, seconds=0.1)
    with pytest.raises(ApiError, match="not ready after"):
        asyncio.run(room.do(work))
    end = time.monotonic() + 5
    while room.present and time.monotonic() < end:
        time.sleep(0.01)
    assert 0 < len(steps) < 20
    assert asyncio.run(room.do(lambda: check_in_time() or "next")) == "next"


def test_an_error_of_the_work_itself_is_no_late_answer():
    room = WorkRoom("test", slots=1, waiting=0, seconds=5)

    def fail():
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        asyncio.run(room.do(fail))


def test_a_value_is_made_once_however_many_ask_and_old_ones_are_dropped():
    cache = ByteCache(1000)
    calls = []

    def make() -> str:
        calls.append(1)
        time.sleep(0.05)
        return "made"

    threads = [threading.Thread(target=cache.get, args=("key", make, len)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    for number in range(10):
        cache.get(number, lambda: "x" * 100, len)
    assert cache.n_bytes <= 1000
    assert cache.find("key") is None
    assert cache.get("large", lambda: "x" * 2000, len) == "x" * 2000
    assert cache.find("large") is None


def test_settings_come_from_the_environment_and_wrong_ones_are_named():
    given = ApiSettings.from_environment({"FLORASCOPE_API_RATE": "5.5", "FLORASCOPE_API_MAX_BODY_BYTES": "9"})
    assert (given.rate, given.max_body_bytes) == (5.5, 9)
    with pytest.raises(ConfigurationError, match="FLORASCOPE_API_TRUSTED_PROXIES is 'yes', expected a whole"):
        ApiSettings.from_environment({"FLORASCOPE_API_TRUSTED_PROXIES": "yes"})
    with pytest.raises(ConfigurationError, match="FLORASCOPE_API_MAX_SECONDS is 0"):
        ApiSettings.from_environment({"FLORASCOPE_API_MAX_SECONDS": "0"})


# Around ------------------------------------------------------------------------------------------------


def test_the_document_describes_every_address_and_its_refusals(client):
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.")
    for path, methods in document["paths"].items():
        assert path.startswith("/v1/")
        for operation in methods.values():
            assert operation["description"].strip(), path
            assert "404" in operation["responses"], path
    query = document["paths"]["/v1/atlases/{atlas}/regions"]["post"]
    examples = query["requestBody"]["content"]["application/json"]["examples"]
    for example in examples.values():
        answer = client.post(f"{HERE}/regions", json=example["value"])
        assert answer.status_code == 200, answer.text
    assert {"400", "413", "415", "429", "503"} <= set(query["responses"])


def test_the_start_page_lists_every_address_and_asks_nothing_of_other_servers(client):
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    for path in client.get("/openapi.json").json()["paths"]:
        assert path in page.text
    for outside in ("<script", "http://", "https://", "`"):
        assert outside not in page.text
    links = re.findall(r"<dt>.*?href='([^']+)'", page.text)
    assert len(links) >= 4
    for link in links:
        assert client.get(f"/{html.unescape(link)}").status_code == 200, link
    refused(client.get("/docs"), 404, "nothing at this address")


def test_pages_of_other_origins_may_read_but_not_order(client):
    assert client.get("/v1/atlases").headers["access-control-allow-origin"] == "*"
    ordered = client.post(f"{HERE}/reports?place=Pyrenees", headers={"Origin": "https://elsewhere.test"})
    refused(ordered, 415, "send JSON")
    asked = client.options(f"{HERE}/reports", headers={"Access-Control-Request-Method": "POST"})
    assert "access-control-allow-origin" not in asked.headers


@pytest.fixture
def no_processes(monkeypatch, tmp_path):
    """Jobs are written down, where no other test sees them, but not started."""
    from sdm_core.jobs import submitting

    monkeypatch.setattr(config, "CACHE_DIR", tmp_path)
    monkeypatch.setattr(submitting, "_start", lambda job: None)


def test_the_same_report_ordered_twice_is_one_job(client, no_processes):
    first = client.post(f"{HERE}/reports?formats=csv,json", json=SQUARE)
    assert first.status_code == 202
    job = first.json()
    assert job["state"] == "queued"
    assert first.headers["location"] == job["links"]["self"]
    assert client.post(f"{HERE}/reports?formats=json,csv", json=SQUARE).json()["id"] == job["id"]
    assert client.post(f"{HERE}/reports?formats=csv", json=SQUARE).json()["id"] != job["id"]
    assert client.get(job["links"]["self"]).json()["state"] == "queued"
    refused(client.get(f"/v1/jobs/{job['id']}/result"), 409, "The job is queued")
    assert client.delete(job["links"]["self"]).status_code == 200


def test_a_report_that_cannot_be_written_is_refused_at_once(client, no_processes):
    away = {"type": "Polygon", "coordinates": [[[100, 0], [101, 0], [101, 1], [100, 0]]]}
    refused(client.post(f"{HERE}/reports", json=away), 404, "lies outside the atlas")
    refused(client.post(f"{HERE}/reports?formats=docx", json=SQUARE), 422, "The format is 'docx'")


def test_finer_cells_that_cannot_be_predicted_here_are_refused_without_paths(client, caplog):
    # the simulated atlas comes without a model
    answer = client.post(f"{HERE}/regions?resolution=7", json=SQUARE)
    refused(answer, 422, "lacks what predicting finer cells of Simulated Pyrenees needs")
    assert "came without its model" in caplog.text
    refused(client.post(f"{HERE}/regions?resolution=12", json=SQUARE), 422, "expected one of 7, 8, 9")
    refused(client.post(f"{HERE}/reports?resolution=7", json=SQUARE), 422, "lacks what predicting")


def test_finer_cells_start_a_job_by_post_only_and_are_answered_once_they_are_there(
    client, simulated_atlas, no_processes, monkeypatch
):
    from sdm_core.on_demand import plan

    monkeypatch.setattr(plan, "missing_inputs", lambda atlas: "")
    refused(client.get(f"{HERE}/regions?place=Pyrenees&resolution=7"), 409, "POST the same question")
    started = client.post(f"{HERE}/regions?resolution=7", json=SQUARE)
    assert (started.status_code, started.json()["state"]) == (202, "queued")
    again = client.post(f"{HERE}/regions?resolution=7", json=SQUARE)
    assert again.json()["id"] == started.json()["id"]
    assert client.get(started.headers["location"]).json()["links"].keys() == {"self"}
    monkeypatch.setattr(on_demand, "fine_store", lambda atlas, region, resolution: simulated_atlas.store)
    answer = client.post(f"{HERE}/regions?resolution=7", json=SQUARE)
    assert answer.status_code == 200
    assert any("predicted on demand" in note for note in answer.json()["region"]["notes"])


def test_an_ordered_report_is_written_and_fetched(client):
    job = client.post(f"{HERE}/reports?formats=csv,json&name=Our+square", json=SQUARE).json()
    end = time.monotonic() + 60
    while job["state"] in ("queued", "running") and time.monotonic() < end:
        time.sleep(0.2)
        job = client.get(job["links"]["self"]).json()
    assert job["state"] == "done", job
    answer = client.get(job["links"]["result"])
    assert "our-square" in answer.headers["content-disposition"].lower()
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert {"species.csv", "indicators.json"} <= {Path(name).name for name in archive.namelist()}
