"""Configuration to atlas, on a small simulated study area."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from sdm_core import config as paths
from sdm_core import pipeline, regions
from sdm_core.__main__ import main
from sdm_core.errors import ConfigurationError, OccurrenceError
from sdm_core.evaluation.card import add_coverage
from sdm_core.models import load_model
from sdm_core.pipeline.atlas import study_cells
from sdm_core.pipeline.cards import compose_card
from sdm_core.pipeline.configuration import AtlasConfig, load_config
from sdm_core.pipeline.preparation import matching
from sdm_core.prediction import PredictionStore, verify_manifest
from sdm_core.registry import open_atlas

CONFIG = """
name = "simulated"
title = "Simulated species"
summary = "Three simulated species, for tests."
description = "A small SINR."
limits = ["Not real."]

[occurrences]
reader = "csv"
path = "records.csv"
min_sites = 20

[covariates]
path = "covariates.tif"

[features]
mean_radii = [1]

[[members]]
name = "small SINR"
n_seeds = 2
[members.settings]
width = 16
n_blocks = 1
dropout = 0.1
head_bias = true
[members.training]
epochs = 4
batch_size = 64
learning_rate = 1e-2

[[baselines]]
name = "grid"
kind = "grid"
[baselines.settings]
spacings_deg = [2.0, 1.0]

[[baselines]]
name = "temperature only"
kind = "logistic"
features = ["temperature"]
[baselines.settings]
inputs = "env"
[baselines.training]
epochs = 3
learning_rate = 3e-2

[evaluation]
blocks_deg = [1.0, 2.0]
seeds = [0]

[prediction]
resolution = 4

[[sources]]
name = "Simulated records"
citation = "Nobody 2026."
licence = "CC0"

[[covariate_sources]]
name = "Simulated layers"
citation = "Nobody 2026."
licence = "CC0"
"""


#: Atlas built from each study.
_BUILT: dict[Path, Path] = {}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with records of three species that follow a temperature gradient, two layers, a config."""
    folder = tmp_path_factory.mktemp("study")
    rng = np.random.default_rng(0)
    height, width, step = 32, 48, 0.25
    latitude = 50 - step * (np.arange(height) + 0.5)
    longitude = 0 + step * (np.arange(width) + 0.5)
    temperature = 30 - 2.5 * (latitude[:, None] - 42) + rng.normal(0, 0.5, (height, width))
    rain = 500 + 40 * longitude[None, :] + rng.normal(0, 10, (height, width))
    layers = np.stack([temperature, rain]).astype(np.float32)
    layers[:, :4, :4] = -9999
    with rasterio.open(
        folder / "covariates.tif", "w", driver="GTiff", width=width, height=height, count=2,
        dtype="float32", crs="EPSG:4326", transform=from_origin(0, 50, step, step), nodata=-9999,
    ) as file:  # fmt: skip
        file.write(layers)
        file.descriptions = ("temperature", "rain")
    middle = (temperature - temperature.mean()) / temperature.std()
    truth = 1 / (1 + np.exp(-np.stack([2 * middle, -2 * middle, 1 - 2 * middle**2])))
    rows = ["species,longitude,latitude"]
    for number, name in enumerate(("Acer campestre", "Betula nana", "Carpinus betulus")):
        for row, column in zip(*np.nonzero(rng.random((height, width)) < truth[number]), strict=True):
            rows.append(f"{name},{longitude[column]:.4f},{latitude[row]:.4f}")
    (folder / "records.csv").write_text("\n".join(rows) + "\n")
    (folder / "simulated.toml").write_text(CONFIG)
    return folder


@pytest.fixture
def config(study: Path, monkeypatch: pytest.MonkeyPatch) -> AtlasConfig:
    """The configuration, on the simulated data; its cache is shared by the tests of this file."""
    monkeypatch.setattr(paths, "DATA_DIR", study)
    monkeypatch.setattr(paths, "CACHE_DIR", study / "cache")
    return load_config(study / "simulated.toml")


@pytest.fixture
def built(config: AtlasConfig, study: Path) -> Path:
    """Folder of the atlas, built once for the tests of this file, which only read it."""
    if study not in _BUILT:
        _BUILT[study] = pipeline.build_atlas(config, out=study / "built" / "simulated", device="cpu")
    return _BUILT[study]


def test_an_atlas_is_built_from_its_configuration_alone(built: Path) -> None:
    folder = built
    verify_manifest(folder)
    names = {path.name for path in folder.iterdir()}
    assert {
        "predictions.zarr.zip", "species.csv", "observed.parquet", "observed_species.parquet",
        "held_out.parquet", "model.safetensors", "model.json", "model_card.json", "MODEL_CARD.md",
        "MANIFEST.sha256",
    } <= names  # fmt: skip
    atlas = open_atlas(folder)
    store = atlas.store
    assert isinstance(store, PredictionStore) and store.n_species == 3 and store.n_cells > 300
    probability = store.probabilities(np.arange(store.n_cells))
    north = store.lonlat[:, 1] > 48
    assert probability[~north, 0].mean() > probability[north, 0].mean() + 0.3, "warm species lives south"
    assert probability[north, 1].mean() > probability[~north, 1].mean() + 0.3, "cold species lives north"
    card = atlas.card
    assert card["store_version"] == store.version and card["n_cells"] == store.n_cells
    shipped = [row for row in card["validation"]["results"] if row["model"].startswith("shipped")]
    assert [row["block_deg"] for row in shipped] == [1.0, 2.0] and shipped[0]["auc"] > 0.75
    assert card["calibration"]["ece_after"] < 0.08
    assert 0.7 < card["coverage"]["conformal_presences"] <= 1
    assert card["coverage"]["sentences"][0] in (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    named = card["validation"]["shipped"]
    shipped = next(row for row in card["validation"]["results"] if row["model"] == named)
    assert store.species["auc"].mean() == pytest.approx(shipped["auc"], abs=1e-3)
    page = (folder / "MODEL_CARD.md").read_text()
    for wanted in ("shipped: 2 × small SINR", "temperature only", "grid", "Not real.", "Nobody 2026."):
        assert wanted in page


def test_stored_probabilities_are_those_of_the_shipped_checkpoint(config: AtlasConfig, built: Path) -> None:
    folder = built
    store = open_atlas(folder).store
    data = pipeline.prepare(config)
    checkpoint = load_model(folder, data.species, data.features.names)
    logits = checkpoint.model.predict_logits(data.inputs_at(store.lonlat))
    slope, intercept = checkpoint.extras["calibration.slope"], checkpoint.extras["calibration.intercept"]
    expected = 1 / (1 + np.exp(-(logits * slope + intercept)))
    # one step of the code √p in 255 is at most 2 √p / 255 + 1 / 255² in p; half of it is lost to rounding
    np.testing.assert_allclose(store.probabilities(np.arange(store.n_cells)), expected, atol=1 / 255)


def test_the_coverage_command_makes_the_file_again_and_changes_nothing_else(
    config: AtlasConfig, built: Path, study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(built, tmp_path / "simulated"))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "held_out.parquet").unlink()
    add_coverage(folder, None)
    command = ["coverage", "--model", str(folder), "--config", str(study / "simulated.toml")]
    assert main([*command, "--device", "cpu"]) == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    held_out = open_atlas(folder).store.held_out
    assert held_out is not None and held_out.notes["error_model"]["n_sites"] == held_out.notes["n_sites"]
    said = capsys.readouterr().out
    table = held_out.notes["coverage"]["table"]
    assert all(row["what"] in said for row in table) and len(table) > 10
    assert f"{100 * table[0]['kept']:.1f} %" in said
    assert f"held_out.parquet: 3 species, {held_out.notes['n_sites']} held-out sites" in said

    other = tmp_path / "other.toml"
    other.write_text(CONFIG.replace("mean_radii = [1]", "mean_radii = [2]"))
    assert main([*command[:-1], str(other)]) == 2
    assert "trained on other sites or covariates than those of" in capsys.readouterr().err
    two = tmp_path / "two.toml"
    two.write_text(CONFIG.replace("blocks_deg = [1.0, 2.0]", "blocks_deg = [2.0]\nn_folds = 2"))
    assert main([*command[:-1], str(two)]) == 2
    assert "holds sites out in 2 folds" in capsys.readouterr().err


def test_the_evaluate_command_prints_the_table_and_the_cache_gives_the_same(
    config: AtlasConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "CACHE_DIR", tmp_path / "cache")
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    command = ["evaluate", config.path, "--device", "cpu", "--only", "shipped", "--only", "grid", "--json"]
    assert main([*command, str(first)]) == 0
    printed = capsys.readouterr().out
    assert "shipped: 2 × small SINR" in printed and "grid" in printed and "temperature only" not in printed
    assert main([*command, str(second)]) == 0

    def scores(path: Path) -> list[dict]:
        rows = json.loads(path.read_text())["results"]
        return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]

    assert scores(first) == scores(second)
    assert len(scores(first)) == 4


def test_the_train_command_keeps_a_finished_model_when_asked_to_resume(
    config: AtlasConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model"
    assert main(["train", config.path, "--out", str(out), "--device", "cpu"]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    written = (out / "model.safetensors").stat().st_mtime_ns
    assert main(["train", config.path, "--out", str(out), "--device", "cpu", "--resume"]) == 0
    assert (out / "model.safetensors").stat().st_mtime_ns == written
    metadata = load_model(out).metadata
    assert metadata["notes"]["configuration"]["name"] == "simulated"
    assert "Platt" in metadata["notes"]["calibration"]


def test_a_presence_only_loss_draws_its_background_from_the_land_cells(
    config: AtlasConfig, tmp_path: Path
) -> None:
    (member,) = config.members
    training = replace(member.training, loss="assume_negative_full", epochs=2)
    changed = replace(config, members=(replace(member, training=training, n_seeds=1),), baselines=())
    folder = pipeline.train(changed, out=tmp_path / "model", device="cpu")
    assert load_model(folder).model.species == ("Acer campestre", "Betula nana", "Carpinus betulus")


@pytest.mark.slow
def test_a_fusion_model_can_be_cross_validated_beside_the_others(config: AtlasConfig) -> None:
    text = CONFIG.replace("[evaluation]", """
[[baselines]]
name = "fusion"
kind = "fusion_resnet"
[baselines.patches]
climate = ["temperature"]
terrain = ["*"]
[baselines.settings]
patch_size = 3
width = 8
n_blocks = 1
[baselines.training]
epochs = 1
[evaluation]
n_folds = 2""")  # fmt: skip
    path = Path(config.path).with_name("fusion.toml")
    path.write_text(text)
    fusion = load_config(path)
    data = pipeline.prepare(fusion)
    assert data.patch_layers(fusion.baselines[2]) == [("climate", ["temperature"]), ("terrain", ["rain"])]
    few = replace(fusion, evaluation=replace(fusion.evaluation, blocks_deg=(2.0,)))
    result = pipeline.evaluate(few, only=["fusion"], device="cpu")
    assert result.results[0].model == "fusion" and np.isfinite(result.results[0].scores["auc"])


def test_cells_lie_on_covariate_cells_or_inside_the_named_places(config: AtlasConfig) -> None:
    lonlat = regions.cells_to_lonlat(study_cells(config))
    assert not ((lonlat[:, 0] < 1) & (lonlat[:, 1] > 49)).any(), "the corner without data is left out"
    assert (lonlat[:, 0] > 0).all() and (lonlat[:, 0] < 12).all()
    placed = replace(config, prediction=replace(config.prediction, places=("Switzerland",), resolution=5))
    inside = regions.cells_to_lonlat(study_cells(placed))
    assert len(inside) > 50 and inside[:, 0].min() > 5.5 and inside[:, 1].max() < 48


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs = 4", "epoch = 4", r"\[training\] has an unknown key 'epoch'; did you mean 'epochs'\?"),
        ("[features]", "[feature]", r"unknown key 'feature'; did you mean 'features'\?"),
        ("epochs = 4", 'epochs = "ten"', "epochs = 'ten'; expected a whole number"),
        ("epochs = 4", "epochs = 0", r"\[training\]: epochs = 0"),
        ('kind = "grid"', 'kind = "gird"', r"kind = 'gird'; did you mean 'grid'\?"),
        ('reader = "csv"', "", "lacks 'reader'"),
        ('title = "Simulated species"', "", "lacks 'title'"),
        ("[[members]]", "[members]", "must be a list of tables"),
        ("seeds = [0]", "seeds = [", "not valid TOML"),
        ("resolution = 4", "resolution = 12", "resolution = 12"),
        ('name = "grid"', 'name = "small SINR"', "share a name"),
    ],
)
def test_a_wrong_configuration_gets_one_sentence(
    config: AtlasConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, message: str
) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(CONFIG.replace(old, new, 1))
    with pytest.raises(ConfigurationError, match=message):
        load_config(path)
    assert main(["train", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("python -m sdm_core train: ") and error.count("\n") == 1


def test_missing_files_models_and_patterns_are_named(config: AtlasConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no configuration file"):
        load_config(tmp_path / "nowhere.toml")
    absent = replace(config, occurrences=replace(config.occurrences, path="absent.csv"))
    with pytest.raises(OccurrenceError, match=r"There are no occurrences at .*absent\.csv; set SDM_DATA"):
        pipeline.prepare(absent)
    with pytest.raises(ConfigurationError, match="No model is called 'forest' in simulated"):
        pipeline.evaluate(config, only=["forest"])
    with pytest.raises(ConfigurationError, match=r"simulated has no blocks of 7°; there are 1°, 2°"):
        pipeline.evaluate(config, blocks_deg=[7.0])
    with pytest.raises(ConfigurationError, match=r"No name fits 'soil\*'"):
        matching(["soil*"], ["bio1", "bio2"], "features")
    assert matching(["*", "!*_mean"], ["bio1", "bio1_mean", "bio2"], "features") == [0, 2]
    with pytest.raises(ConfigurationError, match="leave nothing of the features"):
        matching(["*", "!bio*"], ["bio1", "bio2"], "features")


def test_output_and_tables_are_checked_before_hours_of_work(config: AtlasConfig, tmp_path: Path) -> None:
    nowhere = replace(config, occurrences=replace(config.occurrences, path="absent.csv"))
    with pytest.raises(ConfigurationError, match="holds no tables written by `evaluate --json`"):
        pipeline.build_atlas(nowhere, out=tmp_path / "atlas", evaluation=tmp_path / "absent.json")
    other = tmp_path / "other.json"
    other.write_text('{"name": "other", "results": []}')
    with pytest.raises(ConfigurationError, match="are of 'other', not of 'simulated'"):
        pipeline.build_atlas(nowhere, out=tmp_path / "atlas", evaluation=other)


def test_evaluate_refuses_a_place_it_cannot_write_to(
    config: AtlasConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", config.path, "--json", str(tmp_path / "no" / "tables.json")]) == 2
    assert "cannot be written: give a file in a folder that exists" in capsys.readouterr().err


def test_a_card_without_the_shipped_model_in_its_tables_is_refused(config: AtlasConfig) -> None:
    data = pipeline.prepare(config)
    with pytest.raises(ConfigurationError, match="no row for 'shipped: 2 × small SINR'"):
        compose_card(data, {"name": "simulated", "results": []})


@pytest.mark.parametrize("name", ["european-trees", "iberian-flora"])
def test_the_shipped_configurations_can_be_read(name: str) -> None:
    path = paths.ASSETS_DIR / "configs" / f"{name}.toml"
    loaded = load_config(path)
    assert loaded.name == name and loaded.baselines and loaded.limits and loaded.sources
    assert all(source.licence for source in (*loaded.sources, *loaded.covariate_sources))


def test_help_names_every_command_and_an_unknown_one_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    for command in ("train", "evaluate", "atlas", "tile", "predict", "report", "benchmark"):
        assert command in printed
    with pytest.raises(SystemExit) as stopped:
        main(["fly"])
    assert stopped.value.code == 2


def with_tables(text: str, before: str, *tables: str) -> str:
    """A configuration with more tables ahead of the first `before`."""
    return text.replace(before, "\n".join([*tables, before]), 1)


def test_a_recipe_trains_on_records_beside_the_surveys_and_is_judged_without_those_nearby(
    config: AtlasConfig, study: Path
) -> None:
    lines = (study / "records.csv").read_text().splitlines()
    (study / "presence_only.csv").write_text("\n".join([lines[0], *lines[1::7]]) + "\n")
    text = with_tables(
        CONFIG, "[covariates]", "[presence_only]", 'reader = "csv"', 'path = "presence_only.csv"'
    )
    text = with_tables(
        text, "[members.training]", "[members.recipe]", 'name = "three_step"', "records = {epochs = 1}"
    )
    path = study / "recipe.toml"
    path.write_text(text)
    data = pipeline.prepare(load_config(path))
    assert data.records is not None and data.records.labels.shape[1] == 3
    south = np.flatnonzero(data.sites.lonlat[:, 1] < 46)
    near = data.records.away_from(data.sites.lonlat, south)
    latitudes = data.records.inputs.lonlat[near, 1]
    assert len(near) and latitudes.max() < 46.2, "records in the north belong to surveys held out"
    result = pipeline.evaluate(load_config(path), only=["shipped"], blocks_deg=[2.0], device="cpu")
    assert result.results[0].scores["auc"] > 0.6


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("three_step", r"name them in \[presence_only\]"),
        ("two_step", r"No recipe is called 'two_step'; did you mean 'one_step'"),
    ],
)
def test_recipes_that_cannot_be_followed_are_refused(
    config: AtlasConfig, study: Path, name: str, message: str
) -> None:
    path = study / "refused.toml"
    path.write_text(with_tables(CONFIG, "[members.training]", "[members.recipe]", f'name = "{name}"'))
    with pytest.raises(ConfigurationError, match=message):
        load_config(path)


def test_splits_of_every_kind_and_early_stopping_are_set_by_the_configuration(
    config: AtlasConfig, study: Path
) -> None:
    splits = """calibration = "isotonic"
[[evaluation.splits]]
kind = "h3"
resolution = 3
[[evaluation.splits]]
kind = "kmeans"
n_blocks = 10
buffer_km = 20.0"""
    text = CONFIG.replace("blocks_deg = [1.0, 2.0]\nseeds = [0]", splits)
    stopping = 'early_stopping = "average_precision"'
    text = text.replace("learning_rate = 1e-2", f"learning_rate = 1e-2\n{stopping}", 1)
    path = study / "splits.toml"
    path.write_text(text)
    result = pipeline.evaluate(load_config(path), only=["shipped"], device="cpu")
    assert [row.split for row in result.results] == [
        "H3 cells of resolution 3, 5 folds", "10 k-means blocks, 5 folds, buffer 20 km",
    ]  # fmt: skip
    assert all(row.block_deg is None and row.scores["auc"] > 0.6 for row in result.results)
    assert "isotonic" in result.results[0].calibration


@pytest.mark.parametrize(
    ("kind", "settings", "training"),
    [
        ("deep_maxent", "width = 8\nn_members = 2", 'loss = "deep_maxent"\nepochs = 2'),
        ("down_sampled_forest", "n_trees = 5", ""),
        ("co_occurrence", "width = 8\nn_blocks = 1", "epochs = 6\nlearning_rate = 2e-2"),
        ("kernel", "", ""),
        ("maxent", "", ""),
        ("sinr", "width = 8", 'loss = "regularized_online_label_estimation"\nepochs = 2'),
    ],
)
def test_models_of_any_kind_are_trained_from_a_configuration(
    config: AtlasConfig, study: Path, kind: str, settings: str, training: str
) -> None:
    path = study / f"{kind}.toml"
    path.write_text(CONFIG.replace("[evaluation]", f"""
[[baselines]]
name = "another"
kind = "{kind}"
[baselines.settings]
{settings}
[baselines.training]
{training}
[evaluation]"""))  # fmt: skip
    result = pipeline.evaluate(load_config(path), only=["another"], blocks_deg=[2.0], device="cpu")
    assert result.results[0].scores["auc"] > 0.55


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ('kind = "sirn"', r"kind = 'sirn'; did you mean 'sinr'\?"),
        ("[baselines.settings]\nwidht = 4", r"unknown key 'widht'; did you mean 'width'\?"),
        ("[baselines.settings]\ncolumns = [1]", "sets columns; name its `features` instead"),
        ('preset = "multimodal_2024"', "is a multimodal, not a sinr"),
        ('kind = "down_sampled_forest"\nfeatures = ["rain"]', "sees all features; leave its `features` out"),
    ],
)
def test_settings_that_do_not_fit_a_kind_are_refused(
    config: AtlasConfig, study: Path, settings: str, message: str
) -> None:
    path = study / "unfit.toml"
    path.write_text(CONFIG.replace("[evaluation]", f'[[baselines]]\nname = "b"\n{settings}\n[evaluation]'))
    with pytest.raises(ConfigurationError, match=message):
        pipeline.evaluate(load_config(path), only=["b"], blocks_deg=[2.0], device="cpu")


@pytest.mark.parametrize("path", sorted((paths.ASSETS_DIR / "configs").rglob("*.toml")), ids=lambda p: p.stem)
def test_every_shipped_configuration_is_understood(path: Path) -> None:
    config = pipeline.load_run(path)
    assert config.members and config.limits


def test_members_on_different_scales_are_combined_by_rank(config: AtlasConfig, study: Path) -> None:
    second = """[[members]]
name = "forest"
kind = "down_sampled_forest"
[members.settings]
n_trees = 5
[[baselines]]"""
    text = with_tables(CONFIG, "[occurrences]", 'combination = "frozen_rank"')
    text = text.replace("[[baselines]]", second, 1)
    path = study / "ranks.toml"
    path.write_text(text)
    result = pipeline.evaluate(load_config(path), only=["shipped"], blocks_deg=[2.0], device="cpu")
    assert result.results[0].scores["auc"] > 0.6
