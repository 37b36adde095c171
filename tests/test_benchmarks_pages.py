"""Page timings are summed up rightly, printed without a peer, and refuse a page that shows something else."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from sdm_core import __main__, benchmarks, regions
from sdm_core.benchmarks import browser, page_checks, pages
from sdm_core.registry import Atlas

KEYS = {"name", "ours", "peer", "unit", "ratio", "goal", "equal"}


def test_a_timing_gives_median_and_p95_and_no_peer():
    entry = benchmarks.Timing("click", [100.0, 300.0, 200.0], 1000.0, "right").to_dict()
    assert set(entry) >= KEYS
    assert (entry["ours"], entry["ours_p95"], entry["runs"]) == (200.0, 290.0, 3)
    assert entry["peer"] is None
    assert entry["ratio"] is None


def test_speed_command_prints_and_writes_timings_without_a_peer(monkeypatch, tmp_path: Path, capsys):
    found = [
        benchmarks.Timing("click", [100.0], 1000.0, "right"),
        benchmarks.Timing("start", [5.0], None, "ok"),
    ]
    monkeypatch.setattr(benchmarks, "SPEED", {"pages": lambda: found})
    out = tmp_path / "speed.json"
    assert __main__.main(["benchmark", "speed", "--json", str(out)]) == 0
    assert [entry["goal"] for entry in json.loads(out.read_text())] == [1000.0, None]
    printed = capsys.readouterr().out
    assert "click: 100 ms wall, median of 1 (p95 100), goal 1000; right" in printed
    assert "no goal set" in printed


@pytest.mark.parametrize(
    ("text", "number"), [("42\u202f%", 42), ("3.1\u202f%", 3.1), ("<\u202f0.1\u202f%", 0.05)]
)
def test_percentages_are_read_as_pages_print_them(text, number):
    assert page_checks.printed_percent(text) == pytest.approx(number)


def test_a_map_of_another_species_is_refused(simulated_atlas: Atlas):
    store = simulated_atlas.store
    codes = store.species_map(store.species_id("Fagus sylvatica")).astype(float)
    percent = 100 * (codes / 255) ** 2
    names = regions.cells_to_strings(store.cells)
    rows = [{"h": h, "v": f"{p:.3f} %"} for h, p in zip(names, percent, strict=True)]
    page_checks.check_hexagons(rows, simulated_atlas, "Fagus sylvatica")
    with pytest.raises(benchmarks.UnequalResultsError, match="the map of Abies alba says"):
        page_checks.check_hexagons(rows, simulated_atlas, "Abies alba")


def test_missing_playwright_is_said_in_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "playwright.sync_api", None)
    with pytest.raises(browser.PageTimingError, match="pip install playwright"), browser.chromium():
        pass


def test_missing_chromium_is_said_in_one_sentence(monkeypatch):
    monkeypatch.setenv("CHROMIUM", "/nowhere/chromium")
    with pytest.raises(browser.PageTimingError, match="CHROMIUM is /nowhere/chromium"):
        browser.chromium_path()


@pytest.mark.slow
@pytest.mark.browser
def test_every_page_is_timed_on_the_simulated_atlas(simulated_atlas_folder: Path):
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if browser.chromium_path() is None:
        pytest.skip("no Chromium on the search path; set CHROMIUM to its path")
    found = list(pages.page_timings(simulated_atlas_folder.parent, repetitions=2, cold_starts=1, n_places=1))
    assert len(found) == 6
    assert all(min(timing.times) > 0 for timing in found)
