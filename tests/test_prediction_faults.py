"""Power cuts, full disks and many processes: what is found afterwards is right, or is not there."""

from __future__ import annotations

import multiprocessing
import random
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sdm_core import config
from sdm_core.errors import CacheNotWritableError
from sdm_core.prediction import PredictionStore, TileStore, exchange, hot, opening
from sdm_core.prediction.convert import tiles_of_content
from sdm_core.prediction.tiles import TILES_FOLDER, Tile
from tests import make_store

_CONTEXT = multiprocessing.get_context("fork")


@pytest.fixture
def tiled(simulated_atlas_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The simulated atlas as a folder of tiles, with an empty cache of its own."""
    monkeypatch.setattr(config, "CACHE_DIR", tmp_path / "cache")
    monkeypatch.setattr(opening, "temporary_root", lambda: tmp_path / "temporary")
    content = exchange.unpack(simulated_atlas_folder / exchange.EXCHANGE_FILE)
    tiles_of_content(
        content, make_store.simulated_species(), tmp_path / "tiled" / TILES_FOLDER, tile_resolution=4
    )
    return tmp_path / "tiled"


def test_a_disk_with_too_little_room_is_told_before_anything_is_written(
    tiled: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(hot.shutil, "disk_usage", lambda folder: SimpleNamespace(free=50_000))
    with pytest.raises(CacheNotWritableError, match=r"0\.0 GB are needed and 0\.0 GB free"):
        PredictionStore.open(tiled)
    assert not list(config.CACHE_DIR.rglob("*.npy"))


def _open(folder: Path) -> None:
    PredictionStore.open(folder)


def _write_for_ever(store: TileStore, contents: dict[int, Tile]) -> None:
    while True:
        for tile, content in contents.items():
            store.write_tile(tile, content)
            store.remove_tile(tile)


@pytest.mark.slow
def test_a_build_killed_at_any_moment_leaves_no_wrong_store(tiled: Path):
    expected = PredictionStore.open(tiled)
    codes, squares = (
        np.array(expected.codes),
        expected.scan_sums(np.arange(expected.n_cells)).weighted_squares,
    )
    generator = random.Random(0)
    n_killed = 0
    for _ in range(50):
        shutil.rmtree(config.CACHE_DIR)
        process = _CONTEXT.Process(target=_open, args=(tiled,))
        process.start()
        process.join(timeout=generator.uniform(0, 0.1))
        process.kill()
        process.join()
        n_killed += process.exitcode == -9
        store = PredictionStore.open(tiled)
        np.testing.assert_array_equal(store.codes, codes)
        np.testing.assert_array_equal(store.region_sums(np.arange(store.n_cells)).weighted_squares, squares)
        store.verify()
        left = [path.name for path in (config.CACHE_DIR / "stores").iterdir() if path.is_dir()]
        assert left == [store.folder.name]
    assert n_killed > 10


@pytest.mark.slow
def test_a_writer_killed_at_any_moment_leaves_no_wrong_tile(tiled: Path):
    store = TileStore.open(tiled)
    contents = {tile: store.read_tile(tile) for tile in store.grid.tiles.tolist()}
    generator = random.Random(1)
    n_finished = []
    for _ in range(50):
        process = _CONTEXT.Process(target=_write_for_ever, args=(store, contents))
        process.start()
        process.join(timeout=generator.uniform(0.01, 0.3))
        process.kill()
        process.join()
        finished = store.finished().tolist()
        n_finished.append(len(finished))
        assert not len(store.damaged())
        for tile in finished:
            np.testing.assert_array_equal(store.read_tile(tile).codes, contents[tile].codes)
    for tile, content in contents.items():  # and the work goes on where it stopped
        store.write_tile(tile, content)
    assert store.digests() == {tile: content.digest() for tile, content in contents.items()}
    assert len(set(n_finished)) > 1


def _open_and_sum(folder: Path, cache: Path, queue: multiprocessing.Queue) -> None:
    config.CACHE_DIR = cache
    store = PredictionStore.open(folder)
    queue.put((str(store.folder), int(np.asarray(store.codes).sum(dtype=np.int64))))


def test_processes_may_open_a_tiled_atlas_for_the_first_time_at_once(tiled: Path, tmp_path: Path):
    queue = _CONTEXT.Queue()
    processes = [
        _CONTEXT.Process(target=_open_and_sum, args=(tiled, tmp_path / "shared", queue)) for _ in range(3)
    ]
    for process in processes:
        process.start()
    results = {queue.get(timeout=60) for _ in processes}
    for process in processes:
        process.join()
    assert len(results) == 1
