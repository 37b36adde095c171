"""The tile command: a plan, an atlas folder, a run that goes on, one sentence for what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import shapely

from sdm_core import __main__, pipeline
from sdm_core import config as paths
from sdm_core.benchmarks.faults.study import write_study
from sdm_core.evaluation.splits import Split
from sdm_core.models import load_model
from sdm_core.pipeline.held_out import held_out_surveys
from sdm_core.prediction import PredictionStore, TileStore
from sdm_core.prediction.tiling import plan as plan_module
from sdm_core.registry import open_atlas
from tests.test_pipeline import config, study  # noqa: F401


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of a small network on simulated rasters."""
    return write_study(tmp_path_factory.mktemp("tile-study"), n_species=5, width=16)


@pytest.fixture
def region(tmp_path: Path) -> Path:
    """A square degree of the simulated rasters."""
    path = tmp_path / "region.geojson"
    path.write_text(json.dumps(shapely.geometry.mapping(shapely.box(8, 43, 9, 44))))
    return path


def _tile(*arguments: object) -> int:
    return __main__.main(["tile", *map(str, arguments)])


def test_configuration_is_predicted_in_a_region_at_a_finer_resolution(config, tmp_path: Path, capsys):  # noqa: F811
    checkpoint = pipeline.train(config, device="cpu")
    area = tmp_path / "region.geojson"
    area.write_text(json.dumps(shapely.geometry.mapping(shapely.box(3, 45, 4, 46))))
    out = tmp_path / "tiles"
    assert _tile("--model", config.path, "--region", area, "--resolution", 5, "--out", out) == 0
    atlas = open_atlas(out)
    store = atlas.store
    assert f"{store.n_cells} cells at H3 resolution 5" in capsys.readouterr().out
    assert store.resolution == 5
    assert ((store.lonlat > [3, 45]) & (store.lonlat < [4, 46])).all()
    assert 20 < store.n_cells < 60  # a square degree here is about 8,700 km², a cell about 253
    data = pipeline.prepare(config)
    trained = load_model(checkpoint, data.species, data.features.names)
    logits = trained.model.predict_logits(data.inputs_at(store.lonlat))
    slope, intercept = trained.extras["calibration.slope"], trained.extras["calibration.intercept"]
    expected = 1 / (1 + np.exp(-(logits * slope + intercept)))
    np.testing.assert_allclose(store.probabilities(np.arange(store.n_cells)), expected, atol=1 / 255)
    # The configuration's occurrences give the species table and the densities of records.
    assert (store.species["n_records"] > 0).all()
    assert (out / "observed.parquet").is_file()


def test_checkpoint_becomes_an_atlas_that_can_be_opened_and_tiled_again(
    model: Path, region: Path, tmp_path: Path, capsys
):
    out = tmp_path / "atlas"
    assert _tile("--model", model, "--region", region, "--resolution", 6, "--out", out) == 0
    atlas = open_atlas(out)
    assert atlas.store.n_cells == sum(TileStore.open(out).cell_counts().values()) > 100
    card = json.loads((out / "model_card.json").read_text())
    assert card["resolution"] == 6 and card["n_cells"] == atlas.store.n_cells
    assert any("has not been evaluated" in limit for limit in card["limits"])
    assert card["store_version"] == TileStore.open(out).version
    assert card["command"].endswith("--resolution 6")
    capsys.readouterr()
    # Again: nothing is left to do. Finer: the region goes along with the folder.
    assert _tile("--model", model, "--region", region, "--resolution", 6, "--out", out) == 0
    assert "0 tiles predicted" in capsys.readouterr().out
    finer = tmp_path / "finer"
    assert _tile("--model", out, "--resolution", 7, "--out", finer, "--no-hot") == 0
    store = PredictionStore.open(finer)
    assert ((store.lonlat > [8, 43]) & (store.lonlat < [9, 44])).all()
    limits = json.loads((finer / "model_card.json").read_text())["limits"]
    assert sum("has not been evaluated" in limit for limit in limits) == 1


def test_what_held_out_surveys_say_goes_along_with_the_model(model: Path, region: Path, tmp_path: Path):
    source = tmp_path / "model"
    shutil.copytree(model, source)
    logits = np.random.default_rng(0).normal(0, 2, (200, 5)).astype(np.float32)
    found = held_out_surveys(
        logits, (logits > 0).astype(np.uint8), Split("four", np.arange(200) % 4), np.zeros((200, 2))
    )
    names = json.loads((model / "model.json").read_text())["species"]
    (source / "held_out.parquet").write_bytes(found.to_bytes(names))
    arguments = ["--region", region, "--resolution", 5, "--no-hot", "--out", tmp_path / "atlas"]
    assert _tile("--model", source, *arguments) == 0
    held_out = PredictionStore.open(tmp_path / "atlas").held_out
    np.testing.assert_allclose(held_out.thresholds("f1"), found.thresholds("f1"), atol=1e-6)


def test_stopped_run_goes_on(model: Path, region: Path, tmp_path: Path, capsys):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    arguments = ["--model", model, "--region", region, "--resolution", 6, "--no-hot"]
    assert _tile(*arguments, "--out", whole) == 0
    shutil.copytree(whole, stopped)
    store = TileStore.open(stopped)
    lost = store.finished()[:2].tolist()
    for tile in lost:
        store.remove_tile(tile)
    capsys.readouterr()
    assert _tile(*arguments, "--out", stopped) == 0
    out = capsys.readouterr().out
    assert "2 tiles predicted" in out
    assert TileStore.open(stopped).digests() == TileStore.open(whole).digests()


def test_plan_writes_nothing(model: Path, region: Path, tmp_path: Path, capsys):
    assert (
        _tile("--model", model, "--region", region, "--resolution", 6, "--out", tmp_path / "x", "--plan") == 0
    )
    out = capsys.readouterr().out
    assert "cells at H3 resolution 6 × 5 species" in out and "exchange copy" in out and "cells/s" in out
    assert not (tmp_path / "x").exists()


def test_default_folder_is_named_after_model_resolution_and_region(model: Path, region: Path, capsys):
    assert _tile("--model", model, "--region", region, "--resolution", 5, "--no-hot") == 0
    assert list((paths.CACHE_DIR / "atlases").glob("simulated-study-r5-*/predictions.zarr"))


def test_tiles_at_an_address_are_an_atlas_too(model: Path, region: Path):
    address = "memory://tiled-atlas"
    assert _tile("--model", model, "--region", region, "--resolution", 5, "--out", address, "--no-hot") == 0
    assert len(TileStore.open(address).finished()) > 0


def test_healing_predicts_what_no_copy_holds(model: Path, region: Path, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setattr(paths, "CACHE_DIR", tmp_path / "cache")  # without a hot copy of the same tiles
    out = tmp_path / "atlas"
    assert _tile("--model", model, "--region", region, "--resolution", 6, "--out", out, "--no-hot") == 0
    before = TileStore.open(out).digests()
    files = [path for path in (out / "predictions.zarr" / "codes" / "c").rglob("*") if path.is_file()]
    content = bytearray(files[0].read_bytes())
    content[-1] ^= 8
    files[0].write_bytes(bytes(content))
    capsys.readouterr()
    assert __main__.main(["store", "heal", "--model", str(out)]) == 0
    assert "predicted again" in capsys.readouterr().out
    assert TileStore.open(out).digests() == before


class _Usage:
    free = 1000


def test_disk_without_room_is_refused_even_with_yes(
    model: Path, region: Path, tmp_path: Path, capsys, monkeypatch
):
    monkeypatch.setattr(plan_module.shutil, "disk_usage", lambda folder: _Usage)
    out = tmp_path / "x"
    assert _tile("--model", model, "--region", region, "--resolution", 6, "--out", out, "--yes") == 2
    message = capsys.readouterr().err
    assert "where 1.0 kB are free" in message and "--no-hot" in message
    assert not out.exists()


def test_nearly_full_disk_asks_and_without_a_terminal_names_yes(
    model: Path, region: Path, tmp_path: Path, capsys, monkeypatch
):
    monkeypatch.setattr(plan_module, "ASK_ABOVE", 0.0)
    arguments = ["--model", model, "--region", region, "--resolution", 5, "--no-hot"]
    assert _tile(*arguments, "--out", tmp_path / "x") == 2
    assert "give --yes" in capsys.readouterr().err
    assert _tile(*arguments, "--out", tmp_path / "x", "--yes") == 0
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda prompt: "n")
    assert _tile(*arguments, "--out", tmp_path / "y") == 2
    assert "Nothing was predicted" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.toml"], "absent"),
        (["--model", "absent"], "No model is called 'absent'"),
        ([], "give one --model"),
        (["x", "--model", "y"], "give one --model"),
        (["--model", "MODEL", "--resolution", "99"], "H3 has 0 to 15"),
        (["--model", "MODEL", "--resolution", "0"], "--resolution is 0"),
        (["--model", "MODEL", "--workers", "0"], "--workers is 0"),
        (["--model", "MODEL", "--workers", "2", "--scheduler", "tcp://h:1"], "exclude each other"),
        (["--model", "MODEL", "--scheduler", "tcp://127.0.0.1:9"], "No Dask scheduler answers"),
        (["--model", "MODEL", "--scheduler", "nonsense"], "No Dask scheduler answers"),
        (["--model", "MODEL", "--out", " "], "--out is empty"),
        (["--model", "MODEL", "--checkpoint", "c"], "--checkpoint goes with a CONFIG.toml"),
        (["--model", "MODEL", "--region", "absent.geojson"], "absent.geojson"),
        (["--model", "MODEL", "--region", "place:Iceland"], "outside the study area"),
    ],
)
def test_what_it_refuses_is_one_sentence(model: Path, capsys, arguments: list[str], words: str):
    assert _tile(*[str(model) if word == "MODEL" else word for word in arguments]) == 2
    message = capsys.readouterr().err
    assert words in message
    assert message.count("\n") == 1


def test_configuration_without_a_trained_model_is_refused(config, tmp_path: Path, capsys):  # noqa: F811
    assert _tile(config.path, "--checkpoint", tmp_path / "absent") == 2
    message = capsys.readouterr().err
    assert "absent" in message and message.count("\n") == 1


def test_tiles_of_another_resolution_in_the_folder_are_left_alone(
    model: Path, region: Path, tmp_path: Path, capsys
):
    arguments = ["--model", model, "--region", region, "--out", tmp_path / "x", "--no-hot"]
    assert _tile(*arguments, "--resolution", 5) == 0
    before = TileStore.open(tmp_path / "x").digests()
    capsys.readouterr()
    assert _tile(*arguments, "--resolution", 6) == 2
    message = capsys.readouterr().err
    assert "holds predictions of simulated-study-r5" in message and message.count("\n") == 1
    assert TileStore.open(tmp_path / "x").digests() == before
