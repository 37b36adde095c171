"""The table of losses on made-up data: what is judged, what is chosen where, and what the command prints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from sdm_core import regions
from sdm_core.__main__ import main
from sdm_core.benchmarks.losses_table import (
    ENTRIES,
    Part,
    Sites,
    TableSettings,
    load,
    run_losses,
    summarise,
)
from sdm_core.errors import ConfigurationError, NotWritableError, OccurrenceError
from sdm_core.evaluation.splits import h3_blocks
from sdm_core.losses import LOSSES, LossContext, make_loss
from sdm_core.models import SiteInputs

N_SPECIES = 6


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file in SINR's format: six species, each around its own latitude, 250 records."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "inat_500_species_sinr_format").mkdir()
    rng = np.random.default_rng(0)
    number = np.repeat(np.arange(N_SPECIES), 250)
    latitude = -50 + 20 * number + rng.normal(0, 8, len(number))
    longitude = rng.uniform(-60, 60, len(number))
    taxa = np.array([70, 10, 50, 20, 60, 30])
    np.savez(
        folder / "inat_500_species_sinr_format" / "species_train.npz",
        train_locs=np.column_stack([latitude, longitude]).astype(np.float32),
        train_ids=taxa[number].astype(np.int32),
        taxon_ids=taxa,
        taxon_names=np.array([f"Animal {n}" for n in range(N_SPECIES)]),
    )
    return folder


def path_of(data: Path) -> Path:
    return data / "inat_500_species_sinr_format" / "species_train.npz"


def quick(**changes: object) -> TableSettings:
    values: dict[str, object] = {
        "data_sets": ("inat",), "steps": 30, "choice_steps": 5, "batch_size": 128, "width": 32,
        "n_blocks": 1, "n_jobs": 1,
    }  # fmt: skip
    return TableSettings(**(values | changes))  # type: ignore[arg-type]


def records(data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude, and the species' number, of every record of the file."""
    with np.load(path_of(data)) as file:
        return file["train_locs"][:, ::-1].astype(np.float64), np.repeat(np.arange(N_SPECIES), 250)


def test_held_out_cells_are_no_training_sites_and_hold_all_their_species(data: Path) -> None:
    loaded = load("inat", data)
    lonlat, columns = records(data)

    def blocks(places: np.ndarray) -> set[int]:
        return set(regions.lonlat_to_cells(places[:, 0], places[:, 1], 2).tolist())

    held_out = blocks(lonlat) - blocks(loaded.final.train.inputs.lonlat)
    assert len(held_out) > 10
    # A cell of resolution 4 lies in one block, but for the few whose centre falls across a border.
    tested = blocks(loaded.final.test.inputs.lonlat)
    assert len(tested & held_out) > 0.9 * len(tested)
    in_cell = regions.lonlat_to_cells(lonlat[:, 0], lonlat[:, 1], 4)
    cells = regions.lonlat_to_cells(*loaded.final.test.inputs.lonlat.T, 4)
    some = np.isin(in_cell, cells) & np.isin(regions.lonlat_to_cells(*lonlat.T, 2), list(held_out))
    for record in np.flatnonzero(some)[:50]:
        row = np.flatnonzero(cells == in_cell[record])[0]
        assert loaded.final.test.labels[row, columns[record]] == 1
    counts = np.asarray(loaded.final.train.labels.sum(axis=0)).ravel()
    assert counts.max() <= 100 and (np.diff(loaded.final.train.labels.indptr) == 1).all()


def test_options_are_chosen_without_the_held_out_blocks(data: Path) -> None:
    loaded = load("inat", data)
    places = {tuple(place) for place in loaded.final.train.inputs.lonlat}
    held_out = {tuple(place) for place in loaded.final.test.inputs.lonlat}
    lonlat, _ = records(data)
    assert not held_out & {tuple(place) for place in loaded.choice.test.inputs.lonlat}
    folds = h3_blocks(lonlat, 2, 4, seed=0).folds
    fold_of = {tuple(place): fold for place, fold in zip(lonlat, folds, strict=True)}
    assert {fold_of[place] for place in places} == {1, 2, 3}
    assert {fold_of[tuple(place)] for place in loaded.choice.train.inputs.lonlat} == {2, 3}


def test_species_too_rare_in_either_part_are_not_judged() -> None:
    def sites(counts: list[int], n: int = 30) -> Sites:
        labels = np.zeros((n, len(counts)), np.uint8)
        for column, count in enumerate(counts):
            labels[:count, column] = 1
        return Sites(SiteInputs(np.zeros((n, 2)), np.zeros((n, 0), np.float32)), sparse.csr_matrix(labels))

    part = Part(sites([10, 9, 30, 30, 30]), sites([5, 30, 4, 30, 29]))
    assert part.judged.tolist() == [True, False, False, False, True]


def test_the_table_has_every_row_beats_chance_and_is_written_as_csv(data: Path, tmp_path: Path) -> None:
    settings = quick(entries=("cross_entropy", "role"), seeds=(0, 1))
    told: list[str] = []
    result = run_losses(data, tmp_path / "out", settings, told.append)
    assert list(result.table["loss"]) == ["grid", "cross_entropy", "role"]
    rows = result.table.set_index("loss")
    # Six bands of latitude are learned at once; by chance a species has a sixth of the cells.
    assert rows.loc["cross_entropy", "map"] > 0.5
    assert rows.loc["grid", "difference"] == 0
    per_species = pd.read_csv(tmp_path / "out" / "per_species.csv")
    assert len(per_species) == N_SPECIES * (1 + 2 * 2)
    written = pd.read_csv(tmp_path / "out" / "losses.csv").set_index("loss")
    np.testing.assert_allclose(written["map"], rows["map"], rtol=1e-4)
    choices = pd.read_csv(tmp_path / "out" / "choices.csv")
    best = choices[choices["loss"] == "role"].sort_values("map")["options"].iloc[-1]
    assert rows.loc["role", "options"] == best
    assert any(line.startswith("[1/") for line in told)


def test_a_second_run_gives_the_same_numbers(data: Path, tmp_path: Path) -> None:
    settings = quick(entries=("average_k",), seeds=(3,), steps=5)
    first = run_losses(data, tmp_path, settings).per_species
    pd.testing.assert_frame_equal(first, run_losses(data, tmp_path, settings).per_species)


def test_maps_and_paired_errors_are_those_written_out_by_hand() -> None:
    table = pd.DataFrame(
        [
            ("d", "grid", 0, "a", 0.2), ("d", "grid", 0, "b", 0.4), ("d", "grid", 0, "c", 0.6),
            ("d", "an", 0, "a", 0.3), ("d", "an", 0, "b", 0.4), ("d", "an", 0, "c", 0.9),
            ("d", "an", 1, "a", 0.5), ("d", "an", 1, "b", 0.4), ("d", "an", 1, "c", 0.5),
        ],
        columns=["data", "loss", "seed", "species", "average_precision"],
    )  # fmt: skip
    row = summarise(table, ("grid", "an")).set_index("loss").loc["an"]
    # Means over seeds: .4, .4, .7; differences: .2, 0, .1.
    assert row["map"] == pytest.approx(0.5) and row["difference"] == pytest.approx(0.1)
    assert row["difference_se"] == pytest.approx(0.1 / np.sqrt(3))
    assert row["map_se"] == pytest.approx(np.std([0.4, 0.4, 0.7], ddof=1) / np.sqrt(3))
    assert row["n_better"] == 2
    assert row["map_by_seed_spread"] == pytest.approx(np.std([1.6 / 3, 1.4 / 3], ddof=1))


def test_every_row_names_a_loss_that_exists_with_options_it_takes(data: Path) -> None:
    loaded = load("inat", data)
    context = LossContext(10, N_SPECIES, np.full(N_SPECIES, 5), 32)
    for key, entry in ENTRIES.items():
        assert entry.choices(loaded), key
        if entry.loss:
            assert entry.loss in LOSSES
            for options in entry.choices(loaded):
                make_loss(entry.loss, options, context)


def test_the_command_prints_the_table(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["benchmark", "losses", "--data", str(data), "--out", str(tmp_path), "--steps", "5"]
    code = main([*command, "--data-sets", "inat", "--losses", "an", "--seeds", "0", "--jobs", "1"])
    printed = capsys.readouterr().out
    assert code == 0
    assert "discretized grid" in printed and "AN (= BCE)" in printed
    assert "minus the grid" in printed and "6 species judged" in printed


def test_bad_input_is_refused_in_one_sentence(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="There is no data set 'moon'; there are inat"):
        quick(data_sets=("moon",))
    with pytest.raises(ConfigurationError, match="There is no row 'mse'; there are grid, an_full"):
        quick(entries=("mse",))
    with pytest.raises(ConfigurationError, match=r"seeds = \[0, 0\]; expected different"):
        quick(seeds=(0, 0))
    with pytest.raises(ConfigurationError, match="jobs = 0"):
        quick(n_jobs=0)
    with pytest.raises(ConfigurationError, match="steps = 0"):
        quick(steps=0)
    with pytest.raises(OccurrenceError, match="give the data folder with --data"):
        load("inat", tmp_path)
    with pytest.raises(OccurrenceError, match="There is no eu_forest"):
        load("eu_forest_surveys", tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(NotWritableError, match="Nothing can be written"):
        run_losses(data, tmp_path / "file" / "out", quick())
