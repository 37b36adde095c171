"""The load benchmark on a running interface: it counts what it saw, and notices what is not refused."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from sdm_core import config
from sdm_core.__main__ import main
from sdm_core.api import ApiSettings, create_api
from sdm_core.benchmarks import load
from tests.serving import serve


@pytest.fixture
def address(simulated_atlas_folder: Path, _own_cache, monkeypatch) -> Iterator[str]:
    monkeypatch.setattr(config, "ATLAS_DIRS", (simulated_atlas_folder.parent,))
    yield from serve(Starlette(routes=[Mount("/api", create_api(ApiSettings(rate=0)))]))


def test_clients_are_answered_and_every_abuse_is_refused(address, tmp_path, capsys):
    out = tmp_path / "load.json"
    given = ["benchmark", "load", "--url", address, "--clients", "6", "--seconds", "1", "--json", str(out)]
    assert main(given) == 0
    results = json.loads(out.read_text())
    assert {kind["kind"] for kind in results["kinds"]} == {"region", "tile"}
    assert all(kind["n"] > 0 and kind["median_ms"] <= kind["p95_ms"] for kind in results["kinds"])
    assert results["statuses"] == {"200": sum(kind["n"] for kind in results["kinds"])}
    assert results["failures"] == {}
    printed = capsys.readouterr().out
    assert "6 clients for" in printed
    assert "413 as expected" in printed
    assert "NOT one of" not in printed


def test_what_is_let_through_is_noticed(address):
    kept = load.Abuse("NaN in a vertex", (400,), 200, 0.1, "")
    assert not kept.as_expected
    assert "200 NOT one of (400,)" in kept.line()
    assert not load.Abuse("x", (500,), 500, 0.1, "Traceback (most recent call last)").as_expected
    assert not load.Abuse("x", (404,), 404, 0.1, "").as_expected
    assert load.Abuse("x", (404,), 404, 0.1, "There is none.").as_expected


def test_hurried_requests_are_counted_by_status(simulated_atlas_folder, _own_cache, monkeypatch):
    monkeypatch.setattr(config, "ATLAS_DIRS", (simulated_atlas_folder.parent,))
    app = Starlette(routes=[Mount("/api", create_api(ApiSettings(rate=1, burst=10)))])
    for address in serve(app):
        statuses = load.hurry(address, 20)
    assert statuses[429] >= 10
    assert statuses[200] >= 5


def test_an_address_that_is_no_interface_is_told_in_one_sentence(capsys):
    assert main(["benchmark", "load", "--url", "http://127.0.0.1:9"]) == 2
    assert "does not answer as Florascope's interface does" in capsys.readouterr().err
    for address in serve(
        Starlette(routes=[Route("/api/v1/atlases", lambda _: JSONResponse({"atlases": []}))])
    ):
        with pytest.raises(load.LoadError, match="has no atlas"):
            load.targets_of(address)
    assert main(["benchmark", "load", "--clients", "0"]) == 2
    assert "--clients is 0, expected 1 to 1000" in capsys.readouterr().err


def test_memory_of_this_process_is_read():
    memory = load.Memory.of(os.getpid())
    if not Path("/proc/self/status").exists():
        pytest.skip("this system has no /proc")
    assert 10 < memory.own_mb < memory.resident_mb
