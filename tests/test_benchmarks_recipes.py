"""The benchmark of recipes: what is drawn from where, how differences are taken, a whole run in small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sdm_core.benchmarks import recipes
from sdm_core.benchmarks.recipes import Forest, RecipeBenchmark, draw, run_recipes, summarise, to_text
from sdm_core.errors import ConfigurationError, NotWritableError
from sdm_core.evaluation.splits import block_folds
from sdm_core.models import SiteInputs


def made_up_forest(n_cells: int = 600) -> Forest:
    """Four species along two gradients, with a few records per cell and species."""
    rng = np.random.default_rng(0)
    lonlat = np.column_stack([rng.uniform(0, 20, n_cells), rng.uniform(40, 60, n_cells)])
    features = rng.normal(size=(n_cells, 2)).astype(np.float32)
    slopes = np.array([[2.0, -2.0, 0.0, 1.0], [0.0, 0.0, 2.0, 1.0]])
    presence = (rng.random((n_cells, 4)) < 1 / (1 + np.exp(1 - features @ slopes))).astype(np.uint8)
    cells, species = np.nonzero(presence)
    cells, species = np.repeat(cells, 3), np.repeat(species, 3)
    return Forest(
        SiteInputs(lonlat, features), presence, block_folds(lonlat, 2.0, 5, 0),
        SiteInputs(lonlat[cells], features[cells]), cells, species, ("a", "b", "c", "d"), ("t", "p"),
    )  # fmt: skip


def test_surveys_and_records_come_from_different_cells_of_the_training_folds() -> None:
    forest = made_up_forest()
    surveyed, records = draw(forest, (0, 1, 3), 50, 300, seed=4)
    recorded_in = forest.record_cells[records]
    assert len(surveyed) == 50 and len(records) == len(set(records)) == 300
    assert set(forest.cell_folds[surveyed]) | set(forest.cell_folds[recorded_in]) <= {0, 1, 3}
    assert not set(surveyed) & set(recorded_in)
    other = draw(forest, (0, 1, 3), 50, 300, seed=5)
    assert set(other[0]) != set(surveyed)


def test_differences_are_paired_and_their_errors_are_over_species_and_over_runs() -> None:
    rows = []
    for fold, seed, species in ((f, s, x) for f in (2, 3) for s in (0, 1) for x in "abc"):
        first = {"a": 0.2, "b": 0.5, "c": 0.8}[species] + 0.01 * fold
        gain = {"a": 0.1, "b": 0.2, "c": 0.3}[species] + 0.02 * seed
        for model, value in (("surveys", first), ("three_step", first + gain)):
            scores = {"auc": value, "average_precision": value, "f1": value}
            rows.append({"model": model, "fold": fold, "seed": seed, "species": species, **scores})
    table = summarise(pd.DataFrame(rows)).set_index("model")
    row = table.loc["three_step"]
    assert row["auc minus surveys"] == pytest.approx(0.21)
    assert row["auc minus surveys se_species"] == pytest.approx(np.std([0.1, 0.2, 0.3], ddof=1) / 3**0.5)
    assert row["auc minus surveys se_runs"] == pytest.approx(np.std([0.2, 0.22, 0.2, 0.22], ddof=1) / 2)
    assert table.loc["surveys", "average_precision"] == pytest.approx(0.525)


def test_a_whole_run_in_small_prints_every_row_and_writes_its_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forest = made_up_forest()
    monkeypatch.setattr(recipes, "_loaded", lambda data: forest)
    brief = {"epochs": 3, "learning_rate": 3e-3}
    choices = {
        "surveys": [{**brief, "epochs": 1}, brief],
        "three_step": [{"records": {**brief, "epochs": 1}}],
        "pseudo_labels": [{"low": 0.2, "high": 0.6, "record_weight": 1.0}],
    }
    monkeypatch.setattr(recipes, "CHOICES", choices)
    settings = RecipeBenchmark(
        seeds=(0,), choice_seeds=(0,), n_surveys=40, n_records=200, min_test_cells=5, width=8, n_jobs=1
    )
    said: list[str] = []
    result = run_recipes(tmp_path, tmp_path / "out", settings, said.append)
    text = to_text(result)
    for name in recipes.ROWS:
        assert name in text
    assert {row["fold"] for row in result.per_species.to_dict("records")} == {2, 3, 4}
    assert set(result.per_species["model"]) == set(recipes.ROWS)
    assert len(result.choices) == 4 and result.choices["average_precision"].between(0, 1).all()
    assert result.per_species[["auc", "average_precision", "f1"]].notna().all(axis=None)
    assert len(said) == 3 + 3
    for name in ("recipes", "per_species", "choices"):
        assert len(pd.read_csv(tmp_path / "out" / f"{name}.csv")) > 0


def test_settings_and_folders_that_cannot_be_used_are_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="n_surveys = 0"):
        RecipeBenchmark(n_surveys=0)
    with pytest.raises(ConfigurationError, match="at least one seed"):
        RecipeBenchmark(seeds=())
    (tmp_path / "file").write_text("")
    with pytest.raises(NotWritableError, match=r"Nothing can be written .*choose another folder with --out"):
        run_recipes(tmp_path, tmp_path / "file", RecipeBenchmark())
