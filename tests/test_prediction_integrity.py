"""Damage is found before it is an answer, and repaired from what is whole; opening reads next to nothing."""

from __future__ import annotations

import json
import os
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import h3
import numpy as np
import pandas as pd
import psutil
import pytest

from sdm_core import __main__, config, registry
from sdm_core.errors import CorruptStoreError, NotWritableError
from sdm_core.prediction import (
    PredictionStore,
    Tile,
    TileGrid,
    TileStore,
    build_hot,
    checksums,
    exchange,
    healing,
    hot,
    integrity,
    opening,
)
from sdm_core.prediction.convert import archive_of_tiles, content_of_tiles, tiles_of_content
from sdm_core.prediction.files import array_header
from sdm_core.prediction.opening import AtlasFolder
from sdm_core.prediction.tiles import TILES_FOLDER
from tests import make_store

_BLOCK = 512
_FILES = (
    *("cells", "lonlat", "area_ha", "codes", "species_codes", "sse_cut", "sse_richness"),
    *("richness", "shannon", "simpson"),
    *(f"level{resolution}_{part}" for resolution in (2, 3, 4, 5) for part in ("starts", "squares", "max")),
)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and checksums of blocks so small that each file of a small store has many."""
    monkeypatch.setattr(config, "CACHE_DIR", tmp_path / "cache")
    monkeypatch.setattr(opening, "temporary_root", lambda: tmp_path / "temporary")
    monkeypatch.setattr(checksums, "BLOCK_BYTES", _BLOCK)
    monkeypatch.setattr(integrity, "_WHOLE_BYTES", 0)
    return tmp_path / "cache"


@pytest.fixture
def archive(simulated_atlas_folder: Path, own_cache: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(simulated_atlas_folder, tmp_path / "archive"))


@pytest.fixture
def tiled(archive: Path, tmp_path: Path) -> Path:
    """The same atlas as a folder of tiles."""
    folder = tmp_path / "tiled"
    content = exchange.unpack(archive / exchange.EXCHANGE_FILE)
    store = tiles_of_content(
        content, make_store.simulated_species(), folder / TILES_FOLDER, tile_resolution=4
    )
    assert len(store.grid.tiles) > 3
    for name in ("species.csv", "model_card.json", "observed.parquet"):
        shutil.copyfile(archive / name, folder / name)
    return folder


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 0x10  # a negative place counts from the end
    path.write_bytes(content)


def everything(store: PredictionStore) -> dict[str, np.ndarray]:
    """All a store gives: arrays, tables, and a query of each kind."""
    found = {
        name: np.array(getattr(store, name)) for name in ("cells", "lonlat", "area_ha", "codes", "sse_cut")
    }
    found |= {name: np.array(store.layer(name)) for name in store.layer_names}
    found |= {f"map {species_id}": np.array(store.species_map(species_id)) for species_id in (0, 17, 39)}
    for rows in (np.arange(3, store.n_cells - 5), np.array([1, 70, 140])):
        found[f"sums {len(rows)}"] = store.region_sums(rows).weighted_squares
        found[f"max {len(rows)}"] = store.region_sums(rows).max_codes
    for number, level in enumerate(store._levels):
        found |= {f"{number} squares": np.array(level.squares), f"{number} max": np.array(level.max_codes)}
    found["species_codes"] = np.array(store.species_codes)
    found["probabilities"] = store.probabilities([5, 100, 7])
    found["species"] = store.species["species"].to_numpy(dtype=str)
    return found


# Building -------------------------------------------------------------------------------------------------


def test_tiles_and_archive_give_the_same_hot_copy(archive: Path, tiled: Path):
    one, other = PredictionStore.open(archive), PredictionStore.open(tiled)
    assert one.folder != other.folder
    for name in _FILES:
        assert (one.folder / f"{name}.npy").read_bytes() == (other.folder / f"{name}.npy").read_bytes(), name
    for name, values in everything(one).items():
        np.testing.assert_array_equal(values, everything(other)[name])


def test_tiles_finer_than_the_coarsest_parents_give_the_same_hot_copy(archive: Path, tmp_path: Path):
    content = exchange.unpack(archive / exchange.EXCHANGE_FILE)
    one = build_hot(tmp_path / "one", content, [archive / "species.csv"])
    tiles = tiles_of_content(
        content, make_store.simulated_species(), tmp_path / "fine.zarr", tile_resolution=5
    )
    other = build_hot(tmp_path / "other", tiles)
    for name in _FILES:
        assert (one.folder / f"{name}.npy").read_bytes() == (other.folder / f"{name}.npy").read_bytes()


def test_some_tiles_make_a_store_of_their_cells(tiled: Path, tmp_path: Path):
    tiles = TileStore.open(tiled)
    whole = PredictionStore.open(tiled)
    chosen = tiles.grid.tiles[[0, 2]].tolist()
    part = build_hot(tmp_path / "part", tiles, tiles=chosen)
    rows = np.concatenate([whole.rows_under(tile) for tile in chosen])
    np.testing.assert_array_equal(part.cells, whole.cells[rows])
    np.testing.assert_array_equal(part.codes, whole.codes[rows])
    np.testing.assert_array_equal(
        part.region_sums(np.arange(part.n_cells)).weighted_squares, whole.region_sums(rows).weighted_squares
    )
    assert part.version != whole.version == tiles.version
    tiles.remove_tile(chosen[0])
    with pytest.raises(CorruptStoreError, match="1 of the tiles asked for have not been predicted"):
        build_hot(tmp_path / "none", tiles, tiles=chosen)


def test_a_store_without_a_finished_tile_says_how_to_predict_them(tiled: Path):
    tiles = TileStore.open(tiled)
    for tile in tiles.grid.tiles.tolist():
        tiles.remove_tile(tile)
    with pytest.raises(
        CorruptStoreError, match=r"holds no finished tile with cells; `python -m sdm_core tile`"
    ):
        PredictionStore.open(tiled)


def test_building_from_tiles_holds_one_tile_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Peak memory of a build from tiles stays below the size of the codes."""
    monkeypatch.setattr(hot, "_TRANSPOSE_BYTES", 1_000_000)
    n_species = 2000
    species = pd.DataFrame(
        {"species_id": np.arange(n_species), "species": [f"A{i}" for i in range(n_species)], "family": "x"}
    )
    parents = h3.grid_disk(h3.latlng_to_cell(47.0, 10.0, 4), 3)
    grid = TileGrid("wide", "Wide", 7, 4, np.array(sorted(map(h3.str_to_int, parents))), species)
    store = TileStore.create(f"memory://{tmp_path.name}/wide.zarr", grid)
    generator = np.random.default_rng(0)
    for tile in grid.tiles.tolist():
        children = h3.cell_to_children(h3.int_to_str(tile), 7)
        cells = np.array(sorted(map(h3.str_to_int, children)), dtype=np.uint64)
        store.write_tile(tile, Tile(cells, generator.integers(0, 9, (len(cells), n_species), dtype=np.uint8)))
    tracemalloc.start()
    built = build_hot(tmp_path / "hot", store)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert built.n_cells == len(parents) * 343
    assert peak < 0.7 * built.n_cells * n_species


# Opening --------------------------------------------------------------------------------------------------


def sparse_store(folder: Path, n_cells: int, n_species: int) -> PredictionStore:
    """A store whose codes are holes in files: as large as one likes, and nothing on the disk."""
    folder.mkdir()
    cells = np.arange(n_cells, dtype=np.uint64) + np.uint64(0x871EDA56 << 28)
    arrays = {
        "cells": cells,
        "lonlat": np.zeros((n_cells, 2)),
        "area_ha": np.ones(n_cells),
        **{name: np.zeros(n_cells, dtype=np.float32) for name in ("richness", "shannon", "simpson")},
        **{name: np.zeros(n_cells, dtype=np.uint16) for name in ("sse_cut", "sse_richness")},
    }
    files = {}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    (folder / "species.csv").write_text("species_id,species,family\n")
    block = checksums.BLOCK_BYTES
    for path in folder.iterdir():
        digests = checksums.block_digests(path, block)
        files[path.name] = {"bytes": path.stat().st_size, "blake2b": digests}
    for name, shape in (("codes", (n_cells, n_species)), ("species_codes", (n_species, n_cells))):
        header = array_header(shape, np.dtype(np.uint8))
        size = len(header) + n_cells * n_species
        with (folder / f"{name}.npy").open("wb") as file:
            file.write(header)
            file.truncate(size)
        digests = [checksums.digest_bytes(bytes(block))] * -(-size // block)
        digests[0] = checksums.digest_bytes(header, bytes(block - len(header)))
        digests[-1] = checksums.digest_bytes(bytes(size % block or block))
        files[f"{name}.npy"] = {"bytes": size, "blake2b": digests}
    meta = {
        **{
            "format": integrity.HOT_FORMAT,
            "name": "sparse",
            "title": "Sparse",
            "version": "0",
            "origin": "0",
        },
        **{"resolution": 7, "n_cells": n_cells, "n_species": n_species, "levels": [], "cell_values": []},
        **{"inputs": {}, "block_bytes": block, "files": files},
    }
    (folder / "store.json").write_text(json.dumps(meta | {"digest": checksums.digest_json(meta)}))
    return PredictionStore.open(folder)


def test_opening_twenty_gigabytes_costs_megabytes_and_no_full_read(tmp_path: Path):
    process = psutil.Process()
    memory, read = process.memory_info().rss, process.io_counters().read_chars
    store = sparse_store(tmp_path / "sparse", 200_000, 100_000)
    assert (store.folder / "codes.npy").stat().st_size > 20_000_000_000
    opened = process.io_counters().read_chars - read
    assert store.scan_sums([5, 1000, 150_000]).hectares == 3
    assert store.probabilities([77]).sum() == 0
    assert store.species_map(40_000).sum() == 0
    store = PredictionStore.open(store.folder)
    assert store.region_sums(np.arange(100, 160)).max_codes.max() == 0
    assert opened < 40_000_000  # the small files, to make their checksums, and store.json
    assert process.io_counters().read_chars - read < 100_000_000
    assert process.memory_info().rss - memory < 150_000_000


def test_a_damaged_block_of_a_huge_store_is_found_by_those_who_touch_it(tmp_path: Path):
    store = sparse_store(tmp_path / "sparse", 20_000, 10_000)
    with (store.folder / "codes.npy").open("r+b") as file:
        file.seek(128 + 10_000 * 7_000 + 5)
        file.write(b"\x01")
    store = PredictionStore.open(store.folder)
    assert store.probabilities([0, 6_500, 19_999]).sum() == 0
    with pytest.raises(CorruptStoreError, match=r"codes\.npy is damaged: block 66 \(bytes \d+ to \d+\)"):
        store.probabilities([0, 7_000])
    with pytest.raises(CorruptStoreError, match="block 66"):
        store.region_sums(np.arange(6_990, 7_001))


def test_files_checked_once_are_not_read_again(archive: Path, monkeypatch: pytest.MonkeyPatch):
    first = PredictionStore.open(archive)
    expected = everything(first)
    for path in first.folder.glob("*.npy"):
        os.utime(path)  # as after copying the cache

    def everything_of(store: PredictionStore) -> None:
        for name, values in everything(store).items():
            np.testing.assert_array_equal(values, expected[name])

    read: list[int] = []
    plain = checksums.block_problem
    monkeypatch.setattr(checksums, "block_problem", lambda *a: (read.append(1), plain(*a))[1])
    store = PredictionStore.open(archive)
    assert not read
    everything_of(store)
    n_blocks = len(read)
    assert n_blocks > 100
    everything_of(store)
    assert len(read) == n_blocks
    store.verify()
    everything_of(PredictionStore.open(archive))
    assert len(read) == n_blocks


@pytest.mark.parametrize(
    "key", [3, slice(2, 9), slice(None), [4, 1], np.array([7, 7, 2]), (slice(3, 5), 2), -1]
)
def test_guarded_rows_give_what_the_array_gives(archive: Path, key: object):
    plain = np.array(PredictionStore.open(archive).codes)
    store = PredictionStore.open(PredictionStore.open(archive).folder, trust_stamp=False)
    assert isinstance(store.codes, integrity.GuardedRows)
    np.testing.assert_array_equal(store.codes[key], plain[key])
    np.testing.assert_array_equal(np.asarray(store.codes), plain)
    assert (store.codes.shape, len(store.codes), store.codes.dtype) == (plain.shape, len(plain), plain.dtype)


# Damage ---------------------------------------------------------------------------------------------------


_EVERY_FILE = [*(f"{name}.npy" for name in _FILES), "species.csv", "store.json"]
_FEW_FILES = ("codes.npy", "species_codes.npy", "level4_max.npy", "species.csv", "store.json")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param(kind, name, marks=() if name in _FEW_FILES and kind == "tiled" else pytest.mark.slow)
        for kind in ("archive", "tiled")
        for name in _EVERY_FILE
    ],
)
def test_a_flipped_byte_in_the_hot_copy_is_found_and_repaired(
    kind: str, name: str, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
):
    folder = request.getfixturevalue(kind)
    first = PredictionStore.open(folder)
    expected = everything(first)
    path = first.folder / name
    before = path.read_bytes()
    places = np.random.default_rng(len(name)).integers(0, len(before), 3).tolist()
    for place in (0, *places):
        flip(path, place)
        store = PredictionStore.open(folder)
        for key, values in everything(store).items():
            np.testing.assert_array_equal(values, expected[key])
        assert path.read_bytes() == before
        assert f"{name} is damaged" in caplog.text
        caplog.clear()


@pytest.mark.parametrize("name", ["codes", "species_codes", "level4_max", "richness"])
def test_without_an_atlas_to_repair_it_from_damage_is_an_error_before_any_answer(archive: Path, name: str):
    store = PredictionStore.open(archive)
    flip(store.folder / f"{name}.npy", -9)
    store = PredictionStore.open(store.folder)
    with pytest.raises(CorruptStoreError, match=rf"{name}\.npy is damaged: block \d+"):
        everything(store)


def test_several_damages_are_healed_at_once(tiled: Path):
    store = PredictionStore.open(tiled)
    before = {path.name: path.read_bytes() for path in store.folder.iterdir() if path.name != "verified.json"}
    flip(store.folder / "codes.npy", 100)
    flip(store.folder / "codes.npy", 9_000)
    flip(store.folder / "species_codes.npy", 4_000)
    (store.folder / "shannon.npy").unlink()
    (store.folder / "level5_squares.npy").write_bytes(b"short")
    flip(store.folder / "species.csv", 30)
    assert set(store.damage()) == {
        *("codes.npy", "species_codes.npy", "shannon.npy", "level5_squares.npy", "species.csv")
    }
    healed = healing.heal(AtlasFolder.at(tiled))
    assert len(healed.hot_files) == 5
    assert {path.name: path.read_bytes() for path in store.folder.iterdir() if path.name in before} == before
    assert healing.heal(AtlasFolder.at(tiled)) == healing.Healed()


def test_a_hot_copy_of_other_predictions_is_not_repaired_from_these(tiled: Path, archive: Path):
    store = PredictionStore.open(archive)
    flip(store.folder / "codes.npy", 100)
    with pytest.raises(CorruptStoreError, match="holds other predictions; remove the folder"):
        healing.heal_hot(store, AtlasFolder.at(tiled))


@pytest.mark.parametrize("part", ["cells/c/1", "codes/c/1/0", "done"])
def test_damaged_tiles_are_written_again_from_the_hot_copy(tiled: Path, part: str):
    store = PredictionStore.open(tiled)
    tiles = TileStore.open(tiled)
    tile = int(tiles.grid.tiles[1])
    path = Path(tiles.address) / (f"done/{tile:x}.json" if part == "done" else part)
    before = path.read_bytes()
    flip(path, 15)
    np.testing.assert_array_equal(tiles.damaged(), [tile])
    flip(store.folder / "codes.npy", -1)  # in a row of another tile
    healed = healing.heal(AtlasFolder.at(tiled))
    assert healed.tiles_from_hot == [tile]
    assert [name.split("/")[1] for name in healed.hot_files] == ["codes.npy"]
    assert (
        json.loads(path.read_bytes()) == json.loads(before) if part == "done" else path.read_bytes() == before
    )
    assert not len(tiles.damaged()) and not store.damage()
    assert tiles.is_noted()


def test_a_disk_that_is_full_while_repairing_says_so(tiled: Path, monkeypatch: pytest.MonkeyPatch):
    store = PredictionStore.open(tiled)
    flip(store.folder / "codes.npy", 300)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NotWritableError, match=r"cannot be repaired there \(the disk is full\)"):
        everything(PredictionStore.open(tiled))


def test_a_tile_no_hot_copy_holds_is_recomputed_or_listed(tiled: Path):
    store = PredictionStore.open(tiled)
    tiles = TileStore.open(tiled)
    tile = int(tiles.grid.tiles[1])
    content = tiles.read_tile(tile)
    flip(Path(tiles.address) / "codes/c/1/0", 15)
    row = int(store.rows_under(tile)[0])
    flip(store.folder / "codes.npy", 128 + row * store.n_species)  # the same cells
    asked: list[list[int]] = []

    def recompute(wanted: list[int]) -> None:
        asked.append(list(wanted))
        for one in wanted:
            tiles.write_tile(one, content)

    healed = healing.heal(AtlasFolder.at(tiled), recompute)
    assert asked == [[tile]] and healed.tiles_recomputed == [tile] and not healed.tiles_left
    assert not store.damage()
    flip(Path(tiles.address) / "codes/c/1/0", 15)
    shutil.rmtree(store.folder)
    healed = healing.heal(AtlasFolder.at(tiled))
    assert healed.tiles_left == [tile] and tile not in tiles.finished()


# Converting, and the command line -------------------------------------------------------------------------


def test_archive_to_tiles_and_back_is_the_same_archive(archive: Path, tiled: Path, tmp_path: Path):
    content = exchange.unpack(archive / exchange.EXCHANGE_FILE)
    store = TileStore.open(tiled)
    again = content_of_tiles(store)
    np.testing.assert_array_equal(again.codes, content.codes)
    assert again.version() == content.version() != store.version
    assert archive_of_tiles(store, tmp_path / "again.zarr.zip", 3) == content.version()


def test_layers_keep_their_type_and_what_float32_cannot_hold_is_refused(archive: Path, tmp_path: Path):
    from dataclasses import replace

    content = exchange.unpack(archive / exchange.EXCHANGE_FILE)
    layer = (np.arange(len(content.cells)) % 2).astype(np.uint8)
    content = replace(content, cell_values={"applicability": layer})
    store = tiles_of_content(content, make_store.simulated_species(), tmp_path / "x.zarr")
    assert content_of_tiles(store).cell_values["applicability"].dtype == np.uint8
    assert content_of_tiles(store).version() == content.version()
    large = {"number": np.full(len(content.cells), 2**24 + 1)}
    with pytest.raises(ValueError, match=r"layer number .* has values that float32"):
        tiles_of_content(
            replace(content, cell_values=large), make_store.simulated_species(), tmp_path / "y.zarr"
        )


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*arguments: object) -> tuple[int, str, str]:
        try:
            status = __main__.main([str(argument) for argument in arguments])
        except SystemExit as stop:
            status = int(stop.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def test_command_converts_verifies_and_heals(archive: Path, tmp_path: Path, run):
    status, out, _ = run("store", "convert", "--model", archive, "--to", tmp_path / "new")
    assert status == 0 and "predictions.zarr: " in out and "tiles, version" in out
    new = tmp_path / "new"
    atlas = registry.open_atlas(new)
    assert atlas.card["simulated"] is True
    np.testing.assert_array_equal(atlas.store.codes[:], PredictionStore.open(archive).codes[:])
    status, out, _ = run("store", "verify", "--model", new)
    assert status == 0 and "0 damaged" in out
    tile = int(TileStore.open(new).grid.tiles[0])
    flip(new / TILES_FOLDER / "codes/c/0/0", 40)
    flip(atlas.store.folder / "species_codes.npy", 1000)
    status, out, _ = run("store", "verify", "--model", new)
    assert status == 1
    assert f"tile {tile:x} is damaged" in out
    assert f"species_codes.npy: 1 damaged blocks of {_BLOCK} bytes, the first at byte 512" in out
    status, out, _ = run("store", "heal", "--model", new)
    assert status == 0
    assert f"tile {tile:x}: written again from the hot copy" in out and "species_codes.npy: repaired" in out
    assert run("store", "heal", "--model", new)[1] == "nothing is damaged\n"
    shutil.rmtree(config.CACHE_DIR)
    flip(new / TILES_FOLDER / "codes/c/0/0", 40)
    status, out, _ = run("store", "heal", "--model", new)
    assert status == 1
    assert f"tile {tile:x}: no whole copy is left; taken out, to be written again by `store convert`" in out
    assert run("store", "convert", "--model", archive, "--to", new)[0] == 0
    assert tile in TileStore.open(new).finished()
    status, out, _ = run("store", "convert", "--model", new, "--to", tmp_path / "back")
    assert status == 0 and f"version {PredictionStore.open(archive).version}" in out
    assert registry.open_atlas(tmp_path / "back").store.version == PredictionStore.open(archive).version


def test_command_says_what_cannot_be_done(archive: Path, tiled: Path, run):
    for arguments, message in [
        (("verify", "--model", "nothing"), "no atlas is called 'nothing'"),
        (("heal",), "the following arguments are required: --model"),
        (("mend", "--model", archive), "invalid choice: 'mend'"),
        (("convert", "--model", archive, "--to", archive), "is the atlas itself; give another place"),
        (("convert", "--model", tiled, "--to", "memory://x"), "an archive is written to a folder"),
        (("convert", "--model", archive, "--to", tiled.parent / "x", "--tile-resolution", 7), "from 0 to 6"),
        (("convert", "--model", tiled, "--to", tiled / "species.csv"), "cannot be written"),
        (("verify", "--model", "http://127.0.0.1:9/atlas"), "cannot be read"),
    ]:
        status, _, err = run("store", *arguments)
        assert status == 2 and message in err and "Traceback" not in err
    flip(archive / exchange.EXCHANGE_FILE, 5000)
    status, out, _ = run("store", "verify", "--model", archive)
    assert status == 1 and "is damaged" in out
