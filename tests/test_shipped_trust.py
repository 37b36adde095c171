"""Trust of the two atlases in `assets/`: their references, layers and what held-out sites say of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sdm_core import config, regions
from sdm_core.__main__ import main
from sdm_core.applicability import REFERENCE_FILE, ApplicabilityReference
from sdm_core.pipeline import prepare
from sdm_core.pipeline.experience import predictor_columns
from sdm_core.pipeline.predictor import ModelSpec
from sdm_core.pipeline.trust import noted_configuration, training_reference
from sdm_core.registry import Atlas, open_atlas

FOLDER = config.ASSETS_DIR / "atlases"


@pytest.fixture(scope="module", params=["european-trees", "iberian-flora"])
def atlas(request: pytest.FixtureRequest) -> Atlas:
    return open_atlas(FOLDER / request.param)


def test_references_are_small_and_those_of_the_layers(atlas: Atlas):
    path = FOLDER / atlas.name / REFERENCE_FILE
    assert path.stat().st_size < 500_000
    reference, settings = ApplicabilityReference.load(path), atlas.store.cell_layers.notes["applicability"]
    for name, value in reference.settings.items():
        assert settings[name] == pytest.approx(value) if isinstance(value, float) else settings[name] == value
    assert reference.digest == reference.rounded().digest
    assert len(reference.sites) == atlas.card["n_sites"]
    # the small file moves no index by more than a twentieth of the threshold
    assert settings["rounding_error"] < 0.05 * settings["threshold"]


def test_sets_of_trees_are_worse_outside_the_area_of_applicability():
    checks = open_atlas(FOLDER / "european-trees").store.cell_layers.notes["held_out"]
    assert {check["split"].split(",")[0] for check in checks} >= {"square blocks of 2°"}
    assert any(check["split"].startswith("one country at a time") for check in checks)
    for check in checks:
        assert check["outside_minus_inside"]["f1"]["high"] < 0
        assert check["rank_correlation"]["f1"] < -0.1
    # the reason why predictors weigh the same
    equal, weighed = (
        next(c for c in checks if c["split"].startswith("one country") and c["weights"] == name)
        for name in ("equal", "importance")
    )
    assert equal["rank_correlation"]["log_loss"] > weighed["rank_correlation"]["log_loss"]
    assert equal["outside_minus_inside"]["f1"]["mean"] < weighed["outside_minus_inside"]["f1"]["mean"]


def test_points_in_anatolia_are_outside_and_in_the_pyrenees_inside(tmp_path: Path, capsys):
    points, out = tmp_path / "points.csv", tmp_path / "out.csv"
    points.write_text("longitude,latitude\n0.5,42.7\n33,39\n-18,65\n")
    assert main(["predict", "--model", "european-trees", "--points", str(points), "--out", str(out)]) == 0
    assert "1 points outside European trees, 1 where its model does not apply" in capsys.readouterr().out
    table = np.genfromtxt(out, delimiter=",", skip_header=1)[:, 2:]
    assert np.isfinite(table[0]).all()
    assert np.isnan(table[1:]).all()


def test_a_tile_has_the_layers_of_its_atlas(atlas: Atlas, data_dir: Path):
    judge = ModelSpec(str(FOLDER / atlas.name), device="cpu").load()
    parent = regions.lonlat_to_cells([1.0], [42.6], 3)
    tile = judge.tile(int(parent[0]), 6)
    rows = atlas.store.rows_of(tile.cells)
    assert (rows >= 0).all()
    assert len(rows) > 100
    np.testing.assert_array_equal(tile.values["applicability"], atlas.store.layer("applicability")[rows])
    kept = atlas.store.cell_layers.layers["dissimilarity"]
    found = np.sqrt(tile.values["dissimilarity"] / kept.high) * kept.steps
    expected = np.sqrt(atlas.store.layer("dissimilarity")[rows] / kept.high) * kept.steps
    assert np.abs(found - expected).max() <= 0.5 + 1e-3  # half a step, as the layer is kept
    below = (tile.values["mess"] < 0) == (atlas.store.layer("mess")[rows] < 0)
    assert below.all()


@pytest.mark.slow
def test_the_shipped_reference_agrees_with_the_training_sites_to_its_stated_error(
    atlas: Atlas, data_dir: Path
):
    folder = FOLDER / atlas.name
    judge = ModelSpec(str(folder), device="cpu").load()
    whole = training_reference(prepare(noted_configuration(folder)), judge)
    shipped = ApplicabilityReference.load(folder / REFERENCE_FILE)
    assert shipped.threshold == whole.threshold
    some = np.random.default_rng(5).choice(atlas.store.n_cells, 3000, replace=False)
    columns = {name: number for number, name in enumerate(judge.covariates.feature_names)}
    lonlat = np.asarray(atlas.store.lonlat)[np.sort(some)]
    places = np.concatenate(
        [
            predictor_columns(i, columns, whole.names)
            for _, i in judge.cells.inputs(lonlat, on_data_only=False)
        ]
    )
    error = np.abs(shipped.dissimilarity(places) - whole.dissimilarity(places))
    # measured on other cells, hence the margin
    assert error.max() < 1.5 * atlas.store.cell_layers.notes["applicability"]["rounding_error"]
    same = shipped.applies(shipped.dissimilarity(places)) == whole.applies(whole.dissimilarity(places))
    assert same.mean() > 0.998
    # shares below a value are kept to a step of rank, and what lies beyond the range exactly
    ours, theirs = shipped.mess(places)[0], whole.mess(places)[0]
    assert np.abs(ours - theirs).max() < 2.0
    np.testing.assert_array_equal(ours < 0, theirs < 0)
