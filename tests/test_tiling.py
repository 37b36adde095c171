"""Tiling: windows give what whole rasters give; tiles resume, heal, and are the same whoever makes them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.transform import from_origin

from sdm_core import config, regions
from sdm_core.benchmarks.faults.study import write_study
from sdm_core.covariates import open_rasters, read_stack
from sdm_core.errors import (
    CheckpointMismatchError,
    ConfigurationError,
    CovariateError,
    NoDataInRegionError,
    StoreMismatchError,
)
from sdm_core.features import FeatureSpec, build_features
from sdm_core.models import Ensemble, SiteInputs, load_model
from sdm_core.pipeline import windows as windows_module
from sdm_core.pipeline.predictor import ModelPredictor, ModelSpec
from sdm_core.pipeline.preparation import fill_gaps
from sdm_core.pipeline.windows import CovariateWindows
from sdm_core.prediction import PredictionStore, TileStore
from sdm_core.prediction.inference import predict_codes
from sdm_core.prediction.tiling import (
    Progress,
    TilingError,
    missing_tiles,
    predictor_of,
    run_tiling,
    tile_one,
    tiles_of_area,
)
from sdm_core.prediction.tiling.plan import Room, TilingPlan, in_bytes, in_words, make_plan

REGION = shapely.box(8.0, 43.0, 10.0, 44.5)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of a small network on simulated rasters with a coast."""
    return write_study(tmp_path_factory.mktemp("study"), n_species=6, width=16)


@pytest.fixture
def spec(model: Path) -> ModelSpec:
    """Two degrees by one and a half of it."""
    return ModelSpec(str(model), bytes(shapely.to_wkb(REGION)), "cpu")


def _store(spec: ModelSpec, folder: Path, resolution: int = 5, tile_resolution: int = 3) -> TileStore:
    predictor = predictor_of(spec)
    assert isinstance(predictor, ModelPredictor)
    return TileStore.create(folder, predictor.grid(resolution, tile_resolution=tile_resolution))


def _chunks(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".locks" not in path.parts
    }


# Windows ------------------------------------------------------------------------------------------------

SPECS = {
    "neighbourhoods": FeatureSpec(mean_radii=(1, 4), std_radii=(2,), land_share_radii=(3,)),
    "smoothing": FeatureSpec(smooth_sigmas=(1.5,)),
    "nearest": FeatureSpec(mean_radii=(1,), missing="nearest", max_gap_cells=3.0),
    "cells": FeatureSpec(mean_radii=(2,), method="nearest"),
}


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("fill", [0.0, 2.0])
def test_windows_give_the_features_of_the_whole_raster(model: Path, monkeypatch, name: str, fill: float):
    monkeypatch.setattr(windows_module, "WINDOW_BYTES", 400_000)  # many windows
    raster = model.parent / "covariates.tif"
    spec = replace(SPECS[name], missing="mark") if name == "nearest" else SPECS[name]
    source = open_rasters(raster)
    whole = fill_gaps(read_stack(raster), fill)
    cells = regions.cells_in_polygon(shapely.box(4.5, 40.0, 15.5, 48.5), 5)  # beyond every edge
    lonlat = regions.cells_to_lonlat(cells)
    expected = build_features(replace(spec, missing="mark"), whole).at(lonlat[:, 0], lonlat[:, 1])
    found = np.full_like(expected.values, np.nan)
    n_windows = 0
    for window in CovariateWindows(source, spec, fill, whole=False).windows(lonlat[:, 0], lonlat[:, 1]):
        part = lonlat[window.rows]
        table = window.features.at(part[:, 0], part[:, 1], (window.row, window.column))
        found[window.rows] = table.values
        n_windows += 1
    assert n_windows > 10
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected.values))
    # Running sums start at another cell: the last digits of a deviation may differ, nothing else.
    np.testing.assert_allclose(found, expected.values, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("whole", [True, False])
def test_tiles_have_the_codes_of_today_s_path_over_the_whole_raster(model: Path, whole: bool, monkeypatch):
    monkeypatch.setattr(windows_module, "WINDOW_BYTES", 600_000)
    predictor = ModelSpec(str(model), None, "cpu", whole).load()
    checkpoint = load_model(model)
    stack = read_stack(model.parent / "covariates.tif")
    features = build_features(predictor.covariates.spec, stack)
    slope, intercept = checkpoint.extras["calibration.slope"], checkpoint.extras["calibration.intercept"]
    n_cells = 0
    for tile in predictor.grid(5).tiles.tolist():
        content = predictor.tile(tile, 5)
        if not len(content.cells):
            continue
        lonlat = regions.cells_to_lonlat(content.cells)
        logits = checkpoint.model.predict_logits(
            SiteInputs(lonlat, features.at(lonlat[:, 0], lonlat[:, 1]).values)
        )
        expected = 255 * np.sqrt(1 / (1 + np.exp(-(logits * slope + intercept))))
        assert np.abs(content.codes - expected).max() < 0.501  # rounded, up to ties
        n_cells += len(content.cells)
    inside = regions.cells_in_polygon(shapely.box(*stack.bounds), 5)
    lonlat = regions.cells_to_lonlat(inside)
    assert n_cells == stack.valid.ravel()[stack.cell_index(lonlat[:, 0], lonlat[:, 1])].sum()


def test_a_window_across_the_date_line_is_that_of_the_whole_globe(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(windows_module, "WINDOW_BYTES", 40_000)
    rng = np.random.default_rng(0)
    path = tmp_path / "globe.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=180, height=90, count=1, dtype="float32", crs="EPSG:4326",
        transform=from_origin(-180, 90, 2, 2),
    ) as file:  # fmt: skip
        file.write(rng.normal(size=(1, 90, 180)).astype(np.float32))
    spec = FeatureSpec(mean_radii=(2,))
    longitude = np.concatenate([np.linspace(-180, -172, 40), np.linspace(172, 180, 40)])
    latitude = np.tile(np.linspace(-10, 10, 40), 2)
    expected = build_features(spec, read_stack(path)).at(longitude, latitude).values
    made = CovariateWindows(open_rasters(path), spec, whole=False)
    found = np.full_like(expected, np.nan)
    widths = []
    for window in made.windows(longitude, latitude):
        table = window.features.at(longitude[window.rows], latitude[window.rows], (window.row, window.column))
        found[window.rows] = table.values
        widths.append(window.stack.width)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert max(widths) < 40  # not once around the Earth


def test_window_beyond_the_raster_is_refused(model: Path):
    source = open_rasters(model.parent / "covariates.tif", layers=["slope", "rain"])
    assert source.names == ("slope", "rain")
    np.testing.assert_array_equal(
        source.read_window(10, 20, 5, 7).values,
        read_stack(model.parent / "covariates.tif", layers=["slope", "rain"]).values[:, 10:15, 20:27],
    )
    with pytest.raises(CovariateError, match="holds nothing of a raster of 90 × 120 cells"):
        source.read_window(200, 0, 5, 5)
    with pytest.raises(CovariateError, match="no layer 'height'"):
        open_rasters(model.parent / "covariates.tif", layers=["height"])


def test_moments_of_layers_read_in_strips_are_those_of_the_whole(model: Path, monkeypatch):
    monkeypatch.setattr(windows_module, "WINDOW_BYTES", 60_000)
    source = open_rasters(model.parent / "covariates.tif")
    strips = CovariateWindows(source, SPECS["cells"], 2.0, whole=False).layer_moments
    whole = fill_gaps(read_stack(model.parent / "covariates.tif"), 2.0)
    np.testing.assert_allclose(strips[0], whole.layer_means, rtol=1e-6)
    np.testing.assert_allclose(strips[1], whole.layer_stds, rtol=1e-6)


# Tiles --------------------------------------------------------------------------------------------------


def test_tiles_of_an_area_hold_every_cell_whose_centre_lies_in_it(spec: ModelSpec):
    area = predictor_of(spec).cells.area
    cells = regions.cells_in_polygon(REGION, 6)
    for tile_resolution in (1, 3, 4):
        tiles = tiles_of_area(area, 6, tile_resolution)
        assert np.isin(regions.cells_to_parents(cells, tile_resolution), tiles).all()


def test_tiling_resumes_and_gives_the_same_bytes(spec: ModelSpec, tmp_path: Path):
    store = _store(spec, tmp_path / "one")
    first = run_tiling(spec, store)
    assert first.n_done == first.n_computed == len(store.grid.tiles)
    assert first.n_cells == sum(store.cell_counts().values()) > 50
    other = _store(spec, tmp_path / "two")
    half = store.grid.tiles[::2].tolist()
    assert run_tiling(spec, other, tiles=half).n_computed == len(half)
    rest = run_tiling(spec, other)
    assert (rest.n_done_before, rest.n_computed) == (len(half), len(store.grid.tiles) - len(half))
    assert _chunks(tmp_path / "one") == _chunks(tmp_path / "two")
    assert run_tiling(spec, other).n_computed == 0


def test_a_damaged_tile_is_predicted_again(spec: ModelSpec, tmp_path: Path):
    store = _store(spec, tmp_path / "tiles")
    run_tiling(spec, store)
    before = _chunks(tmp_path / "tiles")
    files = [path for path in (tmp_path / "tiles" / "codes" / "c").rglob("*") if path.is_file()]
    chunk = max(files, key=lambda path: path.stat().st_size)
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 1
    chunk.write_bytes(bytes(content))
    assert len(missing_tiles(store, store.grid.tiles)) == 1
    assert run_tiling(spec, store).n_computed == 1
    assert _chunks(tmp_path / "tiles") == before


def test_a_tile_that_is_there_is_not_predicted_again(spec: ModelSpec, tmp_path: Path):
    store = _store(spec, tmp_path / "tiles")
    tile = int(store.grid.tiles[len(store.grid.tiles) // 2])
    first = tile_one(spec, store, tile)
    again = tile_one(spec, store, tile)
    assert first.computed and not again.computed
    assert first.n_cells == again.n_cells


def test_tiles_of_another_model_are_refused(spec: ModelSpec, tmp_path: Path):
    store = _store(spec, tmp_path / "tiles")
    other = write_study(tmp_path / "other", n_species=6, width=16, seed=5)
    with pytest.raises(StoreMismatchError, match="another weights_sha256"):
        tile_one(replace(spec, folder=str(other)), store, int(store.grid.tiles[0]))


def test_predictions_of_cells_are_those_of_their_tile(spec: ModelSpec):
    predictor = predictor_of(spec)
    assert isinstance(predictor, ModelPredictor)
    tiles = [predictor.tile(int(tile), 5) for tile in predictor.grid(5, tile_resolution=2).tiles]
    content = max(tiles, key=lambda part: len(part.cells))
    assert len(content.cells) > 50
    np.testing.assert_array_equal(predictor.predict(content.cells), content.codes)
    parent = int(regions.cells_to_parents(content.cells[:1], 2)[0])
    np.testing.assert_array_equal(predictor.cells_of_tile(parent, 5), content.cells)
    with pytest.raises(CovariateError, match="1 of 1 cells have no covariates"):
        predictor.predict(regions.lonlat_to_cells([100.0], [0.0], 5))


def test_estimate_is_near_the_number_of_cells(spec: ModelSpec):
    predictor = predictor_of(replace(spec, region=None))
    grid = predictor.grid(6)
    n_cells = sum(len(predictor.cells_of_tile(tile, 6)) for tile in grid.tiles.tolist())
    assert predictor.estimate(grid.tiles, 6).sum() == pytest.approx(n_cells, rel=0.03)


def test_tiles_of_european_trees_are_those_it_ships(data_dir: Path, monkeypatch):
    assert (data_dir / "europe_predictors_20km").is_dir()
    folder = config.ASSETS_DIR / "atlases" / "european-trees"
    shipped = PredictionStore.open(folder)
    monkeypatch.setattr(windows_module, "WINDOW_BYTES", 64_000_000)
    whole, parts = (ModelSpec(str(folder), None, "cpu", reads).load() for reads in (True, False))
    n_different, n_codes = 0, 0
    parents = regions.cells_to_parents(shipped.cells, 2)
    west, east, north = (
        int(part)
        for part in (
            shipped.lonlat[:, 0].argmin(),
            shipped.lonlat[:, 0].argmax(),
            shipped.lonlat[:, 1].argmax(),
        )
    )
    for tile in {int(parents[row]) for row in (west, east, north)} | {0x821847FFFFFFFFF}:  # edges, a coast
        one, two = whole.tile(tile, 6), parts.tile(tile, 6)
        rows = np.flatnonzero(parents == np.uint64(tile))
        np.testing.assert_array_equal(shipped.cells[rows], one.cells)
        np.testing.assert_array_equal(one.cells, two.cells)
        # The shipped codes were rounded from another order of sums: ties fall to either side.
        apart = np.abs(one.codes.astype(int) - shipped.codes[rows])
        assert apart.max() <= 1
        assert (apart > 0).mean() < 1e-3
        n_different += int((one.codes != two.codes).sum())
        n_codes += one.codes.size
    assert n_codes > 100_000
    assert n_different <= 2  # windows move the last digits of running sums, a code in ten million


# Errors -------------------------------------------------------------------------------------------------


def test_a_model_without_covariates_says_where_they_should_be(model: Path, tmp_path: Path):
    moved = tmp_path / "moved"
    moved.mkdir()
    metadata = json.loads((model / "model.json").read_text())
    metadata["notes"]["configuration"]["covariates"]["path"] = "absent/covariates.tif"
    (moved / "model.json").write_text(json.dumps(metadata))
    (moved / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes())
    with pytest.raises(CovariateError, match="set SDM_DATA to the data folder that holds absent"):
        ModelSpec(str(moved)).load()


@pytest.mark.parametrize(
    ("notes", "message"),
    [
        ({"configuration": {"pack": "x", "name": "y"}}, "trained on a pack"),
        ({}, "does not note which covariates"),
    ],
)
def test_a_model_that_cannot_be_tiled_says_why(model: Path, tmp_path: Path, notes: dict, message: str):
    metadata = json.loads((model / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**metadata, "notes": notes}))
    (tmp_path / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes())
    with pytest.raises(CheckpointMismatchError, match=message):
        ModelSpec(str(tmp_path)).load()


def test_a_region_outside_the_study_area_is_refused(spec: ModelSpec):
    far = replace(spec, region=bytes(shapely.to_wkb(shapely.box(100, 0, 101, 1))))
    with pytest.raises(NoDataInRegionError, match="outside the study area of simulated-study"):
        _ = far.load().cells.area


def test_no_scheduler_is_one_sentence(spec: ModelSpec, tmp_path: Path):
    store = _store(spec, tmp_path / "tiles")
    with pytest.raises(TilingError, match=r"No Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        run_tiling(spec, store, scheduler="tcp://127.0.0.1:9")
    with pytest.raises(TilingError, match="number of workers is 0"):
        run_tiling(spec, store, workers=0)


# Plan ---------------------------------------------------------------------------------------------------


def test_plan_counts_what_is_left_and_compares_it_with_the_disk(spec: ModelSpec, tmp_path: Path):
    predictor = predictor_of(spec)
    grid = predictor.grid(5, tile_resolution=3)
    whole, expected = make_plan(
        predictor, grid, grid.tiles[:0], exchange_folder=tmp_path / "a" / "b", hot_folder=tmp_path
    )
    assert whole.n_cells == pytest.approx(sum(expected.values()))
    assert (whole.n_done, whole.n_tiles) == (0, len(grid.tiles))
    assert whole.cells_per_second > 0 and whole.exchange_bytes > 0 and whole.hot_bytes > whole.exchange_bytes
    assert len(whole.rooms) == 1  # one disk, both copies
    assert whole.rooms[0].needed == pytest.approx(whole.exchange_bytes + whole.hot_bytes, abs=2)
    assert whole.too_large is None and whole.tight is None
    part, _ = make_plan(predictor, grid, grid.tiles[::2], n_workers=2)
    assert part.n_done == len(grid.tiles[::2])
    assert part.n_cells < whole.n_cells


def test_plan_tells_a_full_disk_from_a_nearly_full_one():
    plan = TilingPlan(7, 2, 1, 0, 1, 1.0, 1.0, 0.0, 1.0, 1, (Room(Path("x"), 90, 100),))
    assert plan.tight is not None and plan.too_large is None
    full = replace(plan, rooms=(Room(Path("x"), 101, 100),))
    assert full.too_large is not None


def test_sizes_and_times_in_words():
    assert [in_bytes(size) for size in (12, 1500, 2.5e6, 2e10)] == ["12 bytes", "1.5 kB", "2.5 MB", "20.0 GB"]
    assert [in_words(seconds) for seconds in (12, 600, 7500)] == ["12 s", "10 min", "2 h 5 min"]


def test_time_left_is_told_by_the_tiles_after_the_first():
    progress = Progress(10, 0, expected_cells=100.0)
    assert progress.seconds_left is None
    progress.first, progress.n_done, progress.n_cells = (progress.started - 10.0, 10), 3, 30
    assert progress.seconds_left == pytest.approx(10 * 70 / 20, rel=0.01)


# Ensembles ----------------------------------------------------------------------------------------------


def test_codes_of_an_ensemble_are_those_of_its_mean_logits(model: Path):
    rng = np.random.default_rng(0)
    one, two = (load_model(model).model for _ in range(2))
    with_other_weights = two.network.head.weight
    with_other_weights.data.mul_(-0.5)
    ensemble = Ensemble([one, Ensemble([two, one])], "mean_logit", [1.0, 3.0])
    features = rng.normal(size=(50, len(one.covariates))).astype(np.float32)
    inputs = SiteInputs(np.column_stack([rng.uniform(5, 15, 50), rng.uniform(41, 48, 50)]), features)
    slope, intercept = rng.uniform(0.5, 2, 6), rng.normal(size=6)
    exact = 255 * np.sqrt(1 / (1 + np.exp(-(ensemble.predict_logits(inputs) * slope + intercept))))
    codes = predict_codes(ensemble, inputs, slope, intercept, batch_size=7)
    assert np.abs(codes - exact).max() < 0.501
    assert len(np.unique(codes)) > 20


# Clusters -----------------------------------------------------------------------------------------------


@pytest.mark.gpu
def test_a_gpu_gives_the_codes_of_the_processor(spec: ModelSpec):
    tiles = predictor_of(spec).grid(5, tile_resolution=2).tiles.tolist()
    on_gpu = predictor_of(replace(spec, device="cuda"))
    n_different, n_codes = 0, 0
    for tile in tiles:
        one, two = predictor_of(spec).tile(tile, 5), on_gpu.tile(tile, 5)
        np.testing.assert_array_equal(one.cells, two.cells)
        assert np.abs(one.codes.astype(int) - two.codes).max(initial=0) <= 1
        n_different, n_codes = n_different + int((one.codes != two.codes).sum()), n_codes + one.codes.size
    assert n_codes > 300 and n_different < 0.01 * n_codes


def test_a_gpu_that_is_not_there_is_named(spec: ModelSpec, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    predictor = replace(spec, device="cuda").load()
    with pytest.raises(ConfigurationError, match="no GPU that torch can use"):
        predictor.predict(regions.cells_in_polygon(REGION, 4)[:1])


@pytest.mark.slow
def test_two_workers_give_the_bytes_of_one_process(spec: ModelSpec, tmp_path: Path):
    run_tiling(spec, _store(spec, tmp_path / "one"))
    store = _store(spec, tmp_path / "two")
    seen: list[int] = []
    progress = run_tiling(spec, store, workers=2, on_progress=lambda progress: seen.append(progress.n_done))
    assert progress.n_computed == len(store.grid.tiles)
    assert seen == sorted(seen)
    assert _chunks(tmp_path / "one") == _chunks(tmp_path / "two")
