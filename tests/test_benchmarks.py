"""Benchmarks compare equals, refuse unequal answers, and write what the contract asks for."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sdm_core import __main__, benchmarks
from sdm_core.benchmarks import queries, store_peers, synthetic
from sdm_core.errors import ConfigurationError
from sdm_core.registry import Atlas

KEYS = {"name", "ours", "peer", "unit", "ratio", "goal", "equal"}


@pytest.fixture(scope="module")
def small_store(tmp_path_factory: pytest.TempPathFactory):
    return synthetic.synthetic_store(tmp_path_factory.mktemp("synthetic") / "store", 1000, 60)


def test_synthetic_store_has_the_size_asked_for_and_is_labelled(small_store):
    assert (small_store.n_cells, small_store.n_species) == (1000, 60)
    assert small_store.name == "synthetic"
    assert 0.6 < (small_store.codes > 0).mean() < 0.9


def test_every_peer_gives_the_same_numbers_and_maps_as_the_store(small_store, tmp_path: Path):
    table = store_peers.LongTable(small_store, tmp_path / "long.parquet")
    chunks = store_peers.ZarrRows(small_store, tmp_path / "rows.zarr")
    assert table.n_rows == np.count_nonzero(small_store.codes)
    for cells in synthetic.circles(small_store, (0.01, 0.4, 1.0), 1):
        case = store_peers.RegionCase.of(small_store, cells)
        ours = store_peers.RegionNumbers.of(small_store.region_sums(case.rows))
        for peer in (table, chunks):
            found = peer.region_numbers(case)
            np.testing.assert_array_equal(ours.sums.weighted_squares, found.sums.weighted_squares)
            np.testing.assert_array_equal(ours.sums.max_codes, found.sums.max_codes)
            assert store_peers.same_numbers(ours, found)
    np.testing.assert_array_equal(table.species_map(11), small_store.codes[:, 11])


def test_numbers_that_differ_in_one_indicator_are_not_the_same(small_store):
    ours = store_peers.RegionNumbers.of(small_store.region_sums(np.arange(50)))
    for name in ("richness", "shannon", "simpson", "gamma", "group_km2"):
        assert not store_peers.same_numbers(ours, replace(ours, **{name: getattr(ours, name) * (1 + 1e-6)}))


def test_bytes_touched_are_those_of_whole_parents_and_of_rows_outside_them(small_store):
    n_species = small_store.n_species
    assert queries.bytes_touched(small_store, np.array([7])) == n_species
    top = min(small_store.meta["levels"])
    starts = np.load(small_store.folder / f"level{top}_starts.npy")
    squares = np.load(small_store.folder / f"level{top}_squares.npy")
    whole = np.arange(starts[0], starts[1])
    assert queries.bytes_touched(small_store, whole) == n_species * (squares.dtype.itemsize + 1)


def test_circles_hold_the_share_asked_for_and_hang_together(small_store):
    (cells,) = synthetic.circles(small_store, (0.25,), 1)
    assert len(cells) == 250
    spread = small_store.lonlat[small_store.rows_of(cells)].std(axis=0)
    assert (spread < 0.8 * small_store.lonlat.std(axis=0)).all()


def test_every_store_comparison_has_the_keys_of_the_contract(simulated_atlas: Atlas, tmp_path: Path):
    found = list(queries.compare_store("simulated", simulated_atlas.store, tmp_path, rounds=1))
    entries = [comparison.to_dict() for comparison in found]
    assert len({entry["name"] for entry in entries}) == len(entries) == 7
    for entry in entries:
        assert set(entry) >= KEYS
        assert entry["equal"].startswith("identical")
        if entry["peer"] is not None:
            assert entry["ratio"] == pytest.approx(entry["peer"] / entry["ours"], rel=0.2)
    assert not list(tmp_path.iterdir())


def test_the_large_store_is_refused_where_it_has_no_room(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(queries, "_LARGE_BYTES", 1e18)
    with pytest.raises(ConfigurationError, match=r"the large store takes .* make room, or set TMPDIR"):
        list(queries.store_queries("large"))


def test_unequal_answers_are_refused_before_any_time_is_taken():
    with pytest.raises(benchmarks.UnequalResultsError, match="halves: the contestants differ on case 1"):
        benchmarks.compare(
            "halves", [2, 3], lambda x: x // 2, lambda x: x / 2, lambda a, b: a == b, goal=1.0, equal="equal"
        )


def test_speed_command_prints_ratios_and_writes_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys):
    def spin(n: int) -> int:
        return sum(range(n))

    comparison = benchmarks.compare(
        "sum", [20_000], lambda n: spin(n), lambda n: spin(4 * n) * 0 + spin(n), lambda a, b: a == b,
        goal=2.0, equal="equal sums",
    )  # fmt: skip
    monkeypatch.setattr(benchmarks, "SPEED", {"sum": lambda: [comparison]})
    out = tmp_path / "speed.json"
    assert __main__.main(["benchmark", "speed", "--json", str(out)]) == 0
    (entry,) = json.loads(out.read_text())
    assert entry["name"] == "sum"
    assert entry["ratio"] > 1
    assert "goal 2" in capsys.readouterr().out


def test_unknown_benchmark_names_the_known_ones(capsys):
    assert __main__.main(["benchmark", "speed", "--only", "nothing"]) == 2
    assert "there are store-synthetic, store-atlases" in capsys.readouterr().err
    with pytest.raises(ConfigurationError, match="'nothing'"):
        list(benchmarks.run_speed("nothing"))


def test_missing_duckdb_is_said_in_one_sentence(small_store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(ConfigurationError, match="compare with duckdb, which is not installed"):
        store_peers.LongTable(small_store, tmp_path / "long.parquet")
