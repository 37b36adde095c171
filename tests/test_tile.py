"""The tile command predicts a trained model for other cells than those it was shipped with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely

from sdm_core import __main__, pipeline
from sdm_core.models import load_model
from sdm_core.prediction import PredictionStore
from tests.test_pipeline import config, study  # noqa: F401


def test_tile_command_predicts_a_region_at_a_finer_resolution(config, tmp_path: Path, capsys):  # noqa: F811
    checkpoint = pipeline.train(config, device="cpu")
    region = tmp_path / "region.geojson"
    region.write_text(json.dumps(shapely.geometry.mapping(shapely.box(3, 45, 4, 46))))
    arguments = ["tile", str(config.path), "--region", str(region), "--resolution", "5"]
    assert __main__.main([*arguments, "--out", str(tmp_path / "tiles")]) == 0
    store = PredictionStore.open(tmp_path / "tiles")
    assert f"{store.n_cells} cells at H3 resolution 5" in capsys.readouterr().out
    assert store.resolution == 5
    assert ((store.lonlat > [3, 45]) & (store.lonlat < [4, 46])).all()
    assert 20 < store.n_cells < 60  # a square degree here is about 8,700 km², a cell about 253
    data = pipeline.prepare(config)
    model = load_model(checkpoint, data.species, data.features.names)
    logits = model.model.predict_logits(data.inputs_at(store.lonlat))
    slope, intercept = model.extras["calibration.slope"], model.extras["calibration.intercept"]
    expected = 1 / (1 + np.exp(-(logits * slope + intercept)))
    np.testing.assert_allclose(store.probabilities(np.arange(store.n_cells)), expected, atol=1 / 255)


@pytest.mark.parametrize("missing", ["config", "checkpoint"])
def test_tile_command_exits_2_with_one_sentence(config, tmp_path: Path, capsys, missing: str):  # noqa: F811
    path = str(tmp_path / "absent.toml") if missing == "config" else str(config.path)
    assert __main__.main(["tile", path, "--checkpoint", str(tmp_path / "absent")]) == 2
    message = capsys.readouterr().err
    assert "absent" in message
    assert message.count("\n") == 1
