"""Finer cells when asked for: the model's numbers, each tile predicted once, a cache within its limit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely

from sdm_core import __main__, config, indicators, jobs, on_demand, prediction, regions, reports
from sdm_core.errors import NoDataInRegionError
from sdm_core.jobs import submitting
from sdm_core.on_demand import cache, computing, plan
from sdm_core.registry import Atlas, open_atlas
from tests import fine_cells, make_store

WAIT_S = 60.0


def box(west: float, south: float, east: float, north: float) -> regions.Region:
    return regions.region_from_geometry(shapely.box(west, south, east, north), name="Box")


VALLEY = box(0.9, 42.5, 1.1, 42.65)
NEIGHBOUR = box(1.0, 42.5, 1.25, 42.65)


@pytest.fixture(scope="module")
def model_folder(simulated_atlas_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fine_cells.with_model(simulated_atlas_folder, tmp_path_factory.mktemp("model") / make_store.NAME)


@pytest.fixture
def atlas(model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Atlas:
    """The simulated atlas with the formula as its model; nothing finer in the cache, no tile noted."""
    opened = open_atlas(model_folder)
    monkeypatch.setattr(config, "CACHE_DIR", tmp_path / "cache")
    monkeypatch.setattr(submitting, "RUNNER", fine_cells.RUNNER)
    monkeypatch.setattr(computing, "predictor_spec", fine_cells.formula_spec)
    monkeypatch.setenv(fine_cells.NOTES, str(tmp_path / "tiles"))
    return opened


@pytest.fixture
def predicted(tmp_path: Path):
    """Tiles predicted so far, in order, as often as they were."""

    def read() -> list[str]:
        path = tmp_path / "tiles"
        return path.read_text().split() if path.exists() else []

    return read


def compute(atlas: Atlas, region: regions.Region, resolution: int = 8) -> prediction.PredictionStore:
    tiles, _ = on_demand.tiles_of(atlas, region, resolution)
    return computing.compute_fine(atlas, tiles, resolution, lambda *said: None)


# What comes out -------------------------------------------------------------------------------------


def test_finer_cells_are_what_the_model_says_of_each(atlas):
    store = compute(atlas, VALLEY)
    assert store.resolution == 8
    truth = prediction.encode(make_store.simulated_probability(*np.asarray(store.lonlat).T))
    np.testing.assert_array_equal(store.codes, truth)
    inside = shapely.contains_xy(VALLEY.geometry, *np.asarray(store.lonlat).T)
    cell_km2 = regions.cell_area_km2(np.asarray(store.cells)[inside]).sum()
    assert cell_km2 == pytest.approx(VALLEY.area_km2, rel=0.01), "the whole region is covered"
    assert store.observed.equals(atlas.store.observed)


def test_the_report_of_finer_cells_says_what_they_are(atlas, tmp_path: Path):
    fine, region = computing.finer_atlas(atlas, VALLEY, 8, lambda *said: None)
    reports.build_report(fine, region, tmp_path / "report", formats=["json", "html"])
    numbers = json.loads((tmp_path / "report" / "indicators.json").read_text())
    assert numbers["atlas"]["h3_resolution"] == 8
    assert any("predicted on demand from the same covariates" in note for note in numbers["region"]["notes"])
    html = (tmp_path / "report" / "report.html").read_text()
    assert "a probability still stands for" in html


def test_percentiles_of_finer_cells_compare_with_the_whole_atlas(atlas):
    fine = on_demand.fine_atlas(atlas, compute(atlas, VALLEY)).store
    own = atlas.store
    rows = np.arange(fine.n_cells)
    shown = indicators.summarise_region(fine, rows, region=VALLEY).percentiles["richness"]
    richness, area = np.asarray(own.layer("richness"), float), np.asarray(own.area_ha, float)
    mean = np.average(np.asarray(fine.layer("richness"), float), weights=np.asarray(fine.area_ha, float))
    assert shown == pytest.approx(100 * area[richness < mean].sum() / area.sum())


def test_the_command_line_writes_a_report_of_finer_cells(atlas, tmp_path: Path, capsys):
    outline = tmp_path / "valley.geojson"
    outline.write_text(json.dumps(VALLEY.to_geojson()))
    arguments = ["report", "--model", str(atlas.folder), "--region", str(outline), "--formats", "json"]
    out = tmp_path / "report"
    assert __main__.main([*arguments, "--resolution", "8", "--out", str(out)]) == 0
    assert "Predicting part" in capsys.readouterr().err
    assert json.loads((out / "indicators.json").read_text())["atlas"]["h3_resolution"] == 8
    assert __main__.main([*arguments, "--resolution", "6", "--out", str(tmp_path / "own")]) == 0
    own = json.loads((tmp_path / "own" / "indicators.json").read_text())
    assert own["atlas"]["h3_resolution"] == 6
    assert __main__.main([*arguments, "--resolution", "5", "--out", str(tmp_path / "coarse")]) == 2
    assert "expected one of 7, 8, 9 for finer ones" in capsys.readouterr().err


# What it would take ---------------------------------------------------------------------------------


def test_a_plan_counts_what_is_missing_and_nothing_else(atlas):
    before = on_demand.fine_plan(atlas, VALLEY, 8)
    assert len(before.missing) == len(before.tiles) > 2
    assert before.n_cells == len(regions.polygon_cells(VALLEY.geometry, 8, "intersect"))
    assert before.seconds > 0
    compute(atlas, VALLEY)
    after = on_demand.fine_plan(atlas, VALLEY, 8)
    assert (len(after.missing), after.n_new_cells, after.seconds) == (0, 0, 0)
    both = on_demand.fine_plan(atlas, NEIGHBOUR, 8)
    assert 0 < len(both.missing) < len(both.tiles)


def test_the_time_of_a_run_is_the_estimate_of_the_next(atlas):
    plan.note_speed(atlas, 2.0, 1_000, 10.0)
    assert plan.expected_seconds(atlas, 500) == pytest.approx(7.0)
    (cache.atlas_folder(atlas) / "speed.json").write_text("{")
    assert plan.expected_seconds(atlas, 500) > 0


def test_what_cannot_be_asked_for_gets_one_sentence(atlas, monkeypatch):
    for resolution in (6, 5, 10):
        with pytest.raises(on_demand.FineError, match=f"The resolution is {resolution}.*one of 7, 8, 9"):
            on_demand.fine_plan(atlas, VALLEY, resolution)
    with pytest.raises(NoDataInRegionError, match="holds no cell of Simulated Pyrenees"):
        on_demand.fine_plan(atlas, box(-30, 40, -29.8, 40.2), 8)
    monkeypatch.setattr(config, "MAX_FINE_CELLS", 100)
    with pytest.raises(on_demand.FineError, match="at most 100 are predicted at once; choose a smaller"):
        on_demand.fine_plan(atlas, VALLEY, 8)
    assert on_demand.finer_resolutions(atlas, VALLEY) == (7,)
    monkeypatch.setattr(config, "FINE_CACHE_BYTES", 1_000)
    with pytest.raises(on_demand.FineError, match="GB the cache of finer predictions may hold"):
        on_demand.fine_plan(atlas, VALLEY, 7)


def test_an_atlas_without_model_weights_or_covariates_says_what_is_missing(
    atlas, simulated_atlas, tmp_path: Path, monkeypatch
):
    assert "came without its model" in on_demand.fine_plan(simulated_atlas, VALLEY, 8).problem
    folder = fine_cells.with_model(simulated_atlas.folder, tmp_path / "bare")
    (folder / "model.safetensors").unlink()
    assert "without the weights" in plan.missing_inputs(replace(atlas, folder=folder))
    (folder / "model.safetensors").touch()
    (folder / "model.json").write_text(json.dumps({"notes": {"configuration": {"pack": {"folder": "x"}}}}))
    assert "trained on packed images" in plan.missing_inputs(replace(atlas, folder=folder))
    notes = {"configuration": {"covariates": {"path": "climate/europe.tif"}}}
    (folder / "model.json").write_text(json.dumps({"notes": notes}))
    monkeypatch.setattr(config, "DATA_DIR", tmp_path / "data")
    bare = replace(atlas, folder=folder)
    problem = on_demand.fine_plan(bare, VALLEY, 8).problem
    assert "put climate/europe.tif into the data folder" in problem
    with pytest.raises(on_demand.FineError, match="set SDM_DATA"):
        on_demand.request_fine(bare, VALLEY, 8)


# Once, whoever asks ---------------------------------------------------------------------------------


def test_a_second_request_is_served_from_the_cache(atlas, predicted):
    assert on_demand.fine_store(atlas, VALLEY, 8) is None
    store = compute(atlas, VALLEY)
    n_tiles = len(predicted())
    again = on_demand.fine_store(atlas, VALLEY, 8)
    assert again.version == store.version
    inside = box(0.95, 42.52, 1.05, 42.6)
    smaller = on_demand.fine_store(atlas, inside, 8)
    assert smaller is not None, "its tiles are there, so its store is made at once"
    assert set(np.asarray(smaller.cells)) <= set(np.asarray(store.cells))
    assert len(predicted()) == n_tiles


def test_regions_that_overlap_share_their_tiles(atlas, predicted):
    compute(atlas, VALLEY)
    compute(atlas, NEIGHBOUR)
    union = np.union1d(on_demand.tiles_of(atlas, VALLEY, 8)[0], on_demand.tiles_of(atlas, NEIGHBOUR, 8)[0])
    assert sorted(predicted()) == sorted(f"{tile:x}" for tile in union)


def test_two_users_who_ask_at_the_same_time_share_one_job(atlas, predicted, monkeypatch):
    monkeypatch.setenv(fine_cells.PAUSE, "0.05")
    jobs_asked = {on_demand.request_fine(atlas, VALLEY, 8) for _ in range(3)}
    assert len(jobs_asked) == 1
    job = jobs_asked.pop()
    status = job.wait(WAIT_S)
    assert status.state == "done", status.error
    store = on_demand.fine_store(atlas, VALLEY, 8)
    assert (store.n_cells, store.version) == (status.result["n_cells"], status.result["version"])
    tiles, _ = on_demand.tiles_of(atlas, VALLEY, 8)
    assert on_demand.fine_job(atlas, tiles, 8) == job
    assert len(predicted()) == len(tiles)


def test_two_processes_with_overlapping_regions_predict_each_tile_once(atlas, predicted, monkeypatch):
    monkeypatch.setenv(fine_cells.PAUSE, "0.1")
    first, second = on_demand.request_fine(atlas, VALLEY, 8), on_demand.request_fine(atlas, NEIGHBOUR, 8)
    assert first != second
    states = [job.wait(WAIT_S) for job in (first, second)]
    assert [status.state for status in states] == ["done", "done"], [status.error for status in states]
    started, ended = states[1].started, states[0].finished
    assert started < ended, "they ran at the same time"
    assert len(predicted()) == len(set(predicted()))
    for region in (VALLEY, NEIGHBOUR):
        store = on_demand.fine_store(atlas, region, 8)
        truth = prediction.encode(make_store.simulated_probability(*np.asarray(store.lonlat).T))
        np.testing.assert_array_equal(store.codes, truth)


@pytest.mark.slow
def test_a_cancelled_request_keeps_what_it_has_and_the_next_goes_on(atlas, predicted, monkeypatch):
    monkeypatch.setenv(fine_cells.PAUSE, "0.2")
    job = on_demand.request_fine(atlas, NEIGHBOUR, 8)
    end = time.monotonic() + WAIT_S
    while len(predicted()) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    job.cancel()
    assert job.wait(WAIT_S).state == "cancelled"
    kept = len(cache.finished_tiles(cache.fine_folder(atlas, 8)))
    assert 0 < kept < len(on_demand.tiles_of(atlas, NEIGHBOUR, 8)[0])
    monkeypatch.setenv(fine_cells.PAUSE, "0")
    compute(atlas, NEIGHBOUR)
    assert len(predicted()) == len(set(predicted()))


def test_other_covariates_are_predicted_anew(atlas, predicted, monkeypatch):
    compute(atlas, VALLEY)
    n_tiles = len(predicted())
    monkeypatch.setattr(computing, "predictor_spec", lambda atlas: fine_cells.FormulaSpec("another"))
    compute(atlas, NEIGHBOUR)
    compute(atlas, VALLEY)
    assert len(predicted()) > 2 * n_tiles - 1
    group = cache.fine_folder(atlas, 8) / prediction.TILES_FOLDER
    assert prediction.TileStore.open(group).grid.inputs["formula"] == "another"


def test_a_damaged_store_is_made_again(atlas):
    store = compute(atlas, VALLEY)
    (store.folder / "store.json").write_text("{")
    assert on_demand.fine_store(atlas, VALLEY, 8) is None
    assert compute(atlas, VALLEY).n_cells == store.n_cells


def flip(path: Path, at: int = -100) -> None:
    """Change one byte of a file."""
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)


def test_a_store_of_which_a_byte_changed_is_made_again_from_its_tiles(atlas, predicted):
    before = np.array(compute(atlas, VALLEY).codes)
    n_tiles = len(predicted())
    folder = cache.hot_folder(cache.fine_folder(atlas, 8), on_demand.tiles_of(atlas, VALLEY, 8)[0])
    flip(folder / "codes.npy")
    assert on_demand.fine_store(atlas, VALLEY, 8) is None
    np.testing.assert_array_equal(on_demand.fine_store(atlas, VALLEY, 8).codes, before)
    assert len(predicted()) == n_tiles


def test_a_damaged_tile_is_predicted_again_and_only_that(atlas, predicted, caplog):
    before = np.array(compute(atlas, VALLEY).codes)
    n_tiles = len(predicted())
    folder, tiles = cache.fine_folder(atlas, 8), on_demand.tiles_of(atlas, VALLEY, 8)[0]
    cache.remove_folder(cache.hot_folder(folder, tiles))
    group = folder / prediction.TILES_FOLDER
    index = int(np.searchsorted(prediction.TileStore.open(group).grid.tiles, tiles[2]))
    flip(group / "codes" / "c" / str(index) / "0")
    np.testing.assert_array_equal(compute(atlas, VALLEY).codes, before)
    assert predicted()[n_tiles:] == [f"{tiles[2]:x}"]
    assert "predicting 1 tiles again" in caplog.text


def test_a_region_without_covariates_says_so(atlas, monkeypatch):
    monkeypatch.setattr(make_store, "WEST", 2.0)
    with pytest.raises(NoDataInRegionError, match="has no covariates in this region"):
        compute(atlas, WEST_REGION)


# The limit of the cache -----------------------------------------------------------------------------


def age(folder: Path, tiles: np.ndarray, days: float) -> None:
    """Make tiles and their store look as if they were last used some days ago."""
    then = time.time() - days * 86_400
    for tile in tiles.tolist():
        os.utime(cache.marker(folder, tile), (then, then))
    os.utime(cache.hot_folder(folder, tiles) / cache.USED_FILE, (then, then))


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


WEST_REGION, EAST_REGION = box(0.2, 42.5, 0.35, 42.6), box(1.7, 42.5, 1.85, 42.6)


def test_what_was_used_longest_ago_leaves_first(atlas, caplog):
    caplog.set_level("INFO")
    old, new = compute(atlas, WEST_REGION), compute(atlas, EAST_REGION)
    folder = cache.fine_folder(atlas, 8)
    old_tiles, new_tiles = (on_demand.tiles_of(atlas, it, 8)[0] for it in (WEST_REGION, EAST_REGION))
    assert not np.intersect1d(old_tiles, new_tiles).size
    age(folder, old_tiles, days=2)
    age(folder, new_tiles, days=1)
    freed = cache.evict(cache.used_bytes() - 1)
    assert freed > 0
    assert on_demand.fine_store(atlas, EAST_REGION, 8).version == new.version
    assert not old.folder.exists() or len(cache.finished_tiles(folder)) < len(old_tiles) + len(new_tiles)
    assert np.isin(new_tiles, cache.finished_tiles(folder)).all()
    assert "were removed to keep" in caplog.text
    cache.evict(0)
    assert len(cache.finished_tiles(folder)) == 0
    assert not list((folder / cache.HOT_FOLDER).glob("[!.]*"))


def test_reading_a_store_makes_it_the_last_to_leave(atlas):
    compute(atlas, WEST_REGION)
    new = compute(atlas, EAST_REGION)
    folder = cache.fine_folder(atlas, 8)
    for region, days in ((WEST_REGION, 3.0), (EAST_REGION, 2.0)):
        age(folder, on_demand.tiles_of(atlas, region, 8)[0], days)
    assert on_demand.fine_store(atlas, WEST_REGION, 8) is not None
    cache.evict(size(cache.hot_folder(folder, on_demand.tiles_of(atlas, WEST_REGION, 8)[0])) + 200_000)
    assert not new.folder.exists()
    assert on_demand.fine_store(atlas, WEST_REGION, 8) is not None


def test_a_request_evicts_others_but_never_what_it_works_with(atlas, monkeypatch):
    compute(atlas, WEST_REGION)
    age(cache.fine_folder(atlas, 8), on_demand.tiles_of(atlas, WEST_REGION, 8)[0], days=1)
    monkeypatch.setattr(config, "FINE_CACHE_BYTES", 1)
    assert compute(atlas, EAST_REGION).n_cells > 0
    finished = cache.finished_tiles(cache.fine_folder(atlas, 8))
    np.testing.assert_array_equal(finished, on_demand.tiles_of(atlas, EAST_REGION, 8)[0])


def test_what_another_process_works_with_stays_until_it_ends(atlas):
    compute(atlas, VALLEY)
    folder = cache.fine_folder(atlas, 8)
    tiles, _ = on_demand.tiles_of(atlas, VALLEY, 8)
    script = (
        "import sys, numpy as np; from pathlib import Path; from sdm_core.on_demand import cache\n"
        f"tiles = np.array({tiles.tolist()}, dtype=np.uint64)\n"
        f"with cache.in_use(Path({str(folder)!r}), tiles): print('in', flush=True); sys.stdin.read()"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=config.ROOT_DIR,
        env={**os.environ, "FLORASCOPE_CACHE": str(config.CACHE_DIR)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert worker.stdout.readline() == b"in\n"
    cache.evict(0)
    np.testing.assert_array_equal(cache.finished_tiles(folder), tiles)
    worker.kill()
    worker.wait()
    cache.evict(0)
    assert not len(cache.finished_tiles(folder))


@pytest.mark.slow
def test_a_page_that_reads_while_the_store_goes_gets_none_instead_of_half(atlas):
    compute(atlas, VALLEY)
    stop, failures = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            try:
                store = on_demand.fine_store(atlas, VALLEY, 8)
                if store is not None:
                    assert store.n_cells > 0
            except Exception as error:
                failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(5):
        cache.evict(0)
        compute(atlas, VALLEY)
    stop.set()
    reader.join()
    assert not failures


def test_a_job_is_kept_by_the_name_of_all_that_decides_it(atlas):
    tiles, _ = on_demand.tiles_of(atlas, VALLEY, 8)
    assert on_demand.fine_job(atlas, tiles, 8) is None
    job = on_demand.request_fine(atlas, VALLEY, 8)
    job.wait(WAIT_S)
    assert on_demand.fine_job(atlas, tiles, 7) is None
    assert on_demand.fine_job(atlas, tiles[1:], 8) is None
    assert jobs.job_of_id(job.id).request()["payload"]["resolution"] == 8
