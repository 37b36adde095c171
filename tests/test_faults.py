"""Faults done to a tiling on purpose: whatever happens, no answer is wrong and the end is the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sdm_core import __main__
from sdm_core.benchmarks.faults import Trial, run_faults
from sdm_core.benchmarks.faults.cluster import killed_scheduler, killed_worker
from sdm_core.benchmarks.faults.disk import flipped_bytes, full_disk, two_processes
from sdm_core.benchmarks.faults.kills import kill_hot, kill_tiling
from sdm_core.errors import ConfigurationError
from sdm_core.prediction import TileStore

#: A quarter of the simulated study.
BOUNDS = (7.0, 43.0, 9.0, 45.0)


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """A small tiling, undisturbed once."""
    return Trial.prepare(tmp_path_factory.mktemp("trial"), n_species=24, width=64, bounds=BOUNDS)


def test_a_wrong_tile_would_be_noticed(trial: Trial):
    trial.finish("wrong")
    assert trial.is_equal("wrong")
    store = TileStore.open(trial.address("wrong"))
    tile = next(tile for tile, n_cells in store.cell_counts().items() if n_cells > 0)
    content = store.read_tile(tile)
    codes = content.codes.copy()
    codes[0, 0] ^= 1
    store.write_tile(tile, type(content)(content.cells, codes, {}))
    assert trial.compare("wrong")[1:] == (1, 0)
    assert not trial.is_equal("wrong")


def test_unknown_fault_is_one_sentence(tmp_path: Path, capsys):
    with pytest.raises(ConfigurationError, match="no fault is called 'x'; there are kills, hot"):
        list(run_faults(tmp_path, only="x"))
    assert __main__.main(["benchmark", "faults", "--kills", "0"]) == 2
    assert "0 kills and 20 flips" in capsys.readouterr().err


@pytest.mark.slow
def test_killed_tiling_goes_on_and_is_never_wrong(trial: Trial):
    result = kill_tiling(trial, 8, np.random.default_rng(0))
    assert result.held and result.trials == 8 and result.compared > 0


@pytest.mark.slow
def test_killed_hot_copy_is_whole_or_not_there(trial: Trial):
    assert kill_hot(trial, 3, np.random.default_rng(0)).held


@pytest.mark.slow
def test_full_disk_is_one_sentence_and_tiling_goes_on(trial: Trial):
    result = full_disk(trial)
    assert result.held
    assert "cannot be written" in result.details


@pytest.mark.slow
def test_flipped_bytes_are_found_and_healed(trial: Trial):
    result = flipped_bytes(trial, 6, np.random.default_rng(0))
    assert result.held and result.compared > 0


@pytest.mark.slow
def test_two_processes_predict_each_tile_once(trial: Trial):
    assert two_processes(trial, 2).held


@pytest.mark.slow
def test_a_killed_worker_costs_nothing_but_time(trial: Trial):
    result = killed_worker(trial)
    assert result.held and result.trials == 1


@pytest.mark.slow
def test_a_killed_scheduler_is_waited_for(trial: Trial):
    result = killed_scheduler(trial)
    assert result.held and result.trials == 1
