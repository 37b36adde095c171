"""Growth is measured on real stores, and the extrapolation is arithmetic anyone can check."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sdm_core import __main__
from sdm_core.benchmarks import growth
from sdm_core.benchmarks.growth import extrapolate, forward, measure, page


@pytest.fixture(scope="module")
def costs():
    return list(growth.measure_stores([(1_000, 40), (1_000, 80), (2_000, 40)]))


def test_a_store_with_twice_the_cells_takes_about_twice_the_bytes(costs):
    small, more_species, more_cells = costs
    assert 1.7 < more_cells.bytes / small.bytes < 2.2
    assert 1.4 < more_species.bytes / small.bytes < 2.2
    assert all(cost.region_ms_half > 0 and cost.map_ms > 0 and cost.open_ms > 0 for cost in costs)


def test_operations_of_a_cell_are_those_of_the_matrices():
    (cost,) = growth.measure_forward([50])
    # 4 → 256, four blocks of two 256 × 256, 256 → 50; a multiplication and an addition each
    assert cost.operations_per_cell == 2 * (4 * 256 + 8 * 256 * 256 + 256 * 50)
    assert cost.cells_per_second > 0


def test_europe_at_resolution_9_has_49_times_the_cells_of_resolution_7():
    assert extrapolate.cells_at(9) == 49 * 1_955_774
    assert extrapolate.pixels_50m() == pytest.approx(10.1e6 / 0.0025)


def test_an_estimate_is_its_rates_times_its_cells():
    assumed = growth.Assumptions(gpu_operations=1e12, gpu_output_bytes=1e6, worker_efficiency=0.5)
    cost = growth.estimate("grid", 3.6e6, 100, "net", 1e6, 1000.0, 0.25, assumed)
    assert cost.core_hours == pytest.approx(1.0)
    assert cost.workers_for(2.0, 0.5) == pytest.approx(1.0)
    assert cost.gpu_hours == pytest.approx(3.6e12 / 1e12 / 3600)
    assert cost.writing_hours == pytest.approx(0.1)
    assert cost.exchange_bytes == pytest.approx(9e7)
    assert cost.hot_bytes == pytest.approx(3.6e6 * 100 * (2 + 9 * (1 / 7 + 1 / 49 + 1 / 343 + 1 / 2401)))


def test_the_page_shows_what_was_measured_and_marks_what_was_not(costs, tmp_path: Path):
    networks = [forward.ForwardCost("SINR", 10_000, 6e6, 12_000.0, "cpu")]
    tiled = growth.Tiled("European trees", 2_000_000, 128, 64_000_000, 9_000.0)
    written = growth.write_page(
        tmp_path, measure.as_table(costs), networks, tiled, growth.Assumptions(), "2026-01-01", "a machine"
    )
    text = written.read_text(encoding="utf-8")
    assert "**not measured on a GPU**" in text
    assert "0.25 bytes a code" in text
    assert "| 1,000 | 40 |" in text
    hours = 95_832_926 / 9_000 / 3600
    assert f"| {hours:.1f} h |" in next(
        line for line in text.splitlines() if "resolution 9" in line and "tiled" in line
    )
    assert (tmp_path / "growth.svg").read_text(encoding="utf-8").startswith("<?xml")


def test_without_a_tiling_the_page_says_that_its_share_is_assumed(costs, tmp_path: Path):
    networks = [forward.ForwardCost("SINR", 10_000, 6e6, 12_000.0, "cpu")]
    written = growth.write_page(
        tmp_path, measure.as_table(costs), networks, None, growth.Assumptions(), "2026-01-01", "a machine"
    )
    assert "an assumption, as no tiled atlas was given" in written.read_text(encoding="utf-8")
    assert len(page.estimates(networks, None, growth.Assumptions())) == len(extrapolate.grids())


def test_a_folder_without_tiles_and_a_rate_that_is_none_are_refused_in_one_sentence(tmp_path: Path, capsys):
    command = ["benchmark", "growth", "--out", str(tmp_path), "--tiled", str(tmp_path)]
    assert __main__.main([*command, "--rate", "100"]) == 2
    assert "holds no tiled predictions" in (error := capsys.readouterr().err)
    assert error.count("\n") == 1
    assert __main__.main(command) == 2
    assert "must be above 0" in capsys.readouterr().err


def test_resident_memory_grows_with_an_array_and_not_with_a_mapped_file(tmp_path: Path):
    before = measure.resident_bytes()
    block = np.ones(100_000_000, dtype=np.uint8)  # above what the allocator keeps for later
    assert measure.resident_bytes() - before > 80_000_000
    path = tmp_path / "file.npy"
    np.save(path, block)
    del block
    held = measure.resident_bytes()
    assert int(np.load(path, mmap_mode="r").sum()) == 100_000_000
    assert measure.resident_bytes() - held < 50_000_000
