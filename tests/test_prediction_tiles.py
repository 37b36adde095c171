"""Tiled stores: Zarr v3 at any address, tile by tile, by several processes at once."""

from __future__ import annotations

import functools
import http.server
import json
import multiprocessing
import os
import pickle
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sdm_core import writing
from sdm_core.errors import CorruptStoreError, NotWritableError, StoreMismatchError
from sdm_core.prediction import PredictionStore, tiles
from sdm_core.prediction.derive import parent_cells
from sdm_core.prediction.tiles import MissingTileError, Tile, TileGrid, TileStore, tile_resolution_for
from sdm_core.registry import Atlas
from tests import make_store

TILE_RESOLUTION = 4


def grid_of(atlas: Atlas, **changes) -> TileGrid:
    store = atlas.store
    grid = TileGrid(
        name="tiled-pyrenees",
        title="Tiled Pyrenees",
        resolution=store.resolution,
        tile_resolution=TILE_RESOLUTION,
        tiles=np.unique(parent_cells(store.cells, TILE_RESOLUTION)),
        species=make_store.simulated_species(),
        inputs={"formula": "tests/make_store.py"},
        value_names=("applicability",),
    )
    return replace(grid, **changes)


def content_of(atlas: Atlas, tile: int) -> Tile:
    """Cells of the simulated atlas in a tile, its codes, and a value of their own."""
    rows = atlas.store.rows_under(tile)
    values = {"applicability": (rows % 3).astype(np.float32)}
    return Tile(np.array(atlas.store.cells[rows]), np.array(atlas.store.codes[rows]), values)


def write_all(store: TileStore, atlas: Atlas) -> None:
    for tile in store.grid.tiles.tolist():
        store.write_tile(tile, content_of(atlas, tile))


@pytest.fixture
def filled(simulated_atlas: Atlas, tmp_path: Path) -> TileStore:
    store = TileStore.create(tmp_path / "atlas" / tiles.TILES_FOLDER, grid_of(simulated_atlas))
    write_all(store, simulated_atlas)
    return store


def assert_same(found: Tile, expected: Tile) -> None:
    np.testing.assert_array_equal(found.cells, expected.cells)
    np.testing.assert_array_equal(found.codes, expected.codes)
    assert set(found.values) == set(expected.values)
    for name, values in expected.values.items():
        np.testing.assert_array_equal(found.values[name], values)


# Sizes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resolution", "n_species", "expected"),
    [
        (7, 130, 2),
        (7, 1_997, 3),
        (7, 10_000, 3),
        (7, 50_000, 4),
        (7, 97_000, 4),
        (3, 130, 0),
        (7, 200_000, 5),
    ],
)
def test_tiles_are_as_coarse_as_32_megabytes_of_codes_allow(resolution: int, n_species: int, expected: int):
    assert tile_resolution_for(resolution, n_species) == expected


# Contents -------------------------------------------------------------------------------------------------


def test_tiles_come_back_as_written(filled: TileStore, simulated_atlas: Atlas):
    again = TileStore.open(filled.address)
    assert again.version == filled.version
    np.testing.assert_array_equal(again.finished(), filled.grid.tiles)
    for tile in again.grid.tiles.tolist():
        assert_same(again.read_tile(tile), content_of(simulated_atlas, tile))
    assert again.digests() == {
        tile: content_of(simulated_atlas, tile).digest() for tile in again.grid.tiles.tolist()
    }
    assert TileStore.open(Path(filled.address).parent).address == filled.address
    assert len(again.damaged()) == 0


def test_zarr_and_xarray_open_the_group(filled: TileStore, simulated_atlas: Atlas):
    import xarray
    import zarr

    group = zarr.open_group(filled.address, mode="r")
    cells, codes = group["cells"][:], group["codes"][:]
    np.testing.assert_array_equal(group["tiles"][:], filled.grid.tiles)
    used = cells > 0
    np.testing.assert_array_equal(np.sort(cells[used]), simulated_atlas.store.cells)
    rows = simulated_atlas.store.rows_of(cells[used])
    np.testing.assert_array_equal(codes[used], simulated_atlas.store.codes[rows])
    assert group.attrs["florascope"]["version"] == filled.version
    with xarray.open_zarr(filled.address) as dataset:
        assert dict(dataset.sizes) == {"tile": len(filled.grid.tiles), "row": len(cells), "species": 40}
        np.testing.assert_array_equal(dataset["codes"].values[used], codes[used])
        np.testing.assert_array_equal(dataset["value_applicability"].values[used], (rows % 3))


def test_zarr_decodes_what_it_would_write_the_same_way(filled: TileStore):
    """The metadata by hand is the metadata zarr-python writes for the same arrays."""
    import zarr

    memory = zarr.storage.MemoryStore()
    group = zarr.create_group(memory)
    theirs = group.create_array(
        "codes",
        shape=(len(filled.grid.tiles) * 49, 40),
        chunks=(49, 40),
        dtype="uint8",
        compressors=[zarr.codecs.ZstdCodec(level=3), zarr.codecs.Crc32cCodec()],
        dimension_names=("row", "species"),
        fill_value=0,
    )
    ours = zarr.open_group(filled.address, mode="r")["codes"]
    assert ours.metadata.to_dict() == theirs.metadata.to_dict()


def test_a_partial_store_is_a_normal_one(simulated_atlas: Atlas, tmp_path: Path):
    import zarr

    store = TileStore.create(tmp_path / "part.zarr", grid_of(simulated_atlas))
    first, second, third = store.grid.tiles[:3].tolist()
    store.write_tile(second, content_of(simulated_atlas, second))
    empty = Tile(
        np.zeros(0, np.uint64), np.zeros((0, 40), np.uint8), {"applicability": np.zeros(0, np.float32)}
    )
    store.write_tile(third, empty)
    np.testing.assert_array_equal(store.finished(), [second, third])
    assert store.cell_counts() == {second: len(content_of(simulated_atlas, second).cells), third: 0}
    assert len(store.read_tile(third).cells) == 0
    with pytest.raises(MissingTileError, match=f"tile {first:x} of .* has not been predicted yet"):
        store.read_tile(first)
    cells = zarr.open_group(store.address, mode="r")["cells"][:].reshape(-1, store.grid.rows_per_tile)
    np.testing.assert_array_equal((cells > 0).any(axis=1)[:3], [False, True, False])
    store.remove_tile(second)
    store.remove_tile(second)
    np.testing.assert_array_equal(store.finished(), [third])


def test_writing_again_repairs_and_other_content_takes_its_place(filled: TileStore, simulated_atlas: Atlas):
    tile = int(filled.grid.tiles[1])
    content = content_of(simulated_atlas, tile)
    chunk = Path(filled.address) / "codes" / "c" / "1" / "0"
    before = chunk.read_bytes()
    chunk.write_bytes(before[:-9])
    np.testing.assert_array_equal(filled.damaged(), [tile])
    assert filled.write_tile(tile, content) == content.digest()
    assert chunk.read_bytes() == before
    other = replace(content, codes=255 - content.codes)
    filled.write_tile(tile, other)
    assert_same(filled.read_tile(tile), other)


def test_content_of_another_tile_is_refused(filled: TileStore, simulated_atlas: Atlas):
    first, second = filled.grid.tiles[:2].tolist()
    content = content_of(simulated_atlas, second)
    with pytest.raises(ValueError, match="must be ascending children of it at resolution 6"):
        filled.write_tile(first, content)
    with pytest.raises(ValueError, match=r"codes of a tile must be uint8 \(\d+, 40\)"):
        filled.write_tile(second, replace(content, codes=content.codes[:, :3]))
    with pytest.raises(ValueError, match="values of a tile must be applicability"):
        filled.write_tile(second, replace(content, values={}))
    with pytest.raises(MissingTileError, match="is no tile of"):
        filled.read_tile(12345)


# Making and opening ---------------------------------------------------------------------------------------


def test_creating_again_opens_the_same_and_refuses_another_version(filled: TileStore, simulated_atlas: Atlas):
    again = TileStore.create(filled.address, grid_of(simulated_atlas, title="Another title"))
    assert len(again.finished()) == len(filled.grid.tiles)
    for change in ({"inputs": {"formula": "another"}}, {"value_names": ()}, {"tiles": filled.grid.tiles[1:]}):
        with pytest.raises(
            StoreMismatchError, match=r"holds predictions of tiled-pyrenees with version .* give"
        ):
            TileStore.create(filled.address, grid_of(simulated_atlas, **change))


def test_no_store_and_a_damaged_description_say_so(filled: TileStore, tmp_path: Path):
    with pytest.raises(CorruptStoreError, match="holds no tiled predictions; give the address of a"):
        TileStore.open(tmp_path)
    path = Path(filled.address) / "zarr.json"
    text = path.read_text()
    path.write_text(text.replace("tests/make_store.py", "tests/fake_store.py"))
    with pytest.raises(CorruptStoreError, match="do not have the version it carries"):
        TileStore.open(filled.address)
    path.write_text(text[:200])
    with pytest.raises(CorruptStoreError, match="its description cannot be read"):
        TileStore.open(filled.address)


@pytest.mark.parametrize(
    "name", ["cells/c/2", "codes/c/2/0", "value_applicability/c/2", "done", "species.csv"]
)
def test_a_flipped_byte_anywhere_in_a_tile_is_never_read_as_an_answer(filled: TileStore, name: str):
    tile = int(filled.grid.tiles[2])
    path = Path(filled.address) / name
    if name == "done":
        path = path / f"{tile:x}.json"
    content = path.read_bytes()
    expected = filled.read_tile(tile)
    places = np.random.default_rng(5).permutation(len(content))[:40].tolist()
    for place in places:
        for flip in (0x01, 0x80):
            changed = bytearray(content)
            changed[place] ^= flip
            path.write_bytes(changed)
            if name == "species.csv":
                with pytest.raises(CorruptStoreError, match="is damaged"):
                    TileStore.open(filled.address)
                continue
            try:
                assert_same(filled.read_tile(tile), expected)  # a marker may change in its spaces alone
                assert name == "done"
            except CorruptStoreError as error:
                assert f"tile {tile:x}" in str(error)


# Places ---------------------------------------------------------------------------------------------------


def test_a_store_in_memory_is_the_store_on_disk(filled: TileStore, simulated_atlas: Atlas):
    store = TileStore.create(f"memory://{uuid.uuid4().hex}/x.zarr", grid_of(simulated_atlas))
    write_all(store, simulated_atlas)
    assert store.digests() == filled.digests()
    store.finish()
    assert store.digests() == filled.digests()
    tile = int(store.grid.tiles[0])
    assert_same(TileStore.open(store.address).read_tile(tile), filled.read_tile(tile))
    store.remove_tile(tile)
    assert tile not in store.finished()
    with pytest.raises(MissingTileError):
        store.read_tile(tile)


@pytest.fixture
def web_root(tmp_path: Path) -> Iterator[str]:
    """Address of a local web server over `tmp_path` that answers without listings."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def list_directory(self, path: object) -> None:
            self.send_error(404)

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path))
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_finished_store_is_read_over_http(filled: TileStore, simulated_atlas: Atlas, web_root: str):
    address = f"{web_root}/atlas/{tiles.TILES_FOLDER}"
    store = TileStore.open(address)
    with pytest.raises(
        CorruptStoreError, match=r"finished\.json is missing, and this address has no listing"
    ):
        store.finished()
    filled.finish()
    store = TileStore.open(address)
    np.testing.assert_array_equal(store.finished(), filled.grid.tiles)
    tile = int(store.grid.tiles[3])
    assert_same(store.read_tile(tile), filled.read_tile(tile))
    hot = PredictionStore.open(f"{web_root}/atlas")
    np.testing.assert_array_equal(hot.codes, simulated_atlas.store.codes)
    filled.remove_tile(int(filled.grid.tiles[0]))
    with pytest.raises(CorruptStoreError, match="this address has no listing"):
        TileStore.open(address).finished()
    filled.finish()
    np.testing.assert_array_equal(TileStore.open(address).finished(), filled.grid.tiles[1:])
    with pytest.raises(NotWritableError, match="can be read but not written"):
        store.write_tile(tile, filled.read_tile(tile))
    import xarray

    with xarray.open_zarr(address) as dataset:
        assert dataset.sizes["species"] == 40


def test_an_address_that_does_not_answer_says_so():
    with pytest.raises(CorruptStoreError, match="cannot be read"):
        TileStore.open("http://127.0.0.1:9/atlas")
    with pytest.raises(CorruptStoreError, match=r"cannot be opened .* give a folder or an address such as"):
        TileStore.open("nowhere://bucket/atlas")


@pytest.mark.slow
def test_a_store_lives_in_a_bucket(simulated_atlas: Atlas, filled: TileStore, s3_server: str):
    import s3fs

    options = {"client_kwargs": {"endpoint_url": s3_server}}
    s3fs.S3FileSystem(**options).mkdir("atlases")
    store = TileStore.create("s3://atlases/pyrenees/predictions.zarr", grid_of(simulated_atlas), options)
    write_all(store, simulated_atlas)
    again = TileStore.open("s3://atlases/pyrenees", options)
    assert again.digests() == filled.digests()
    tile = int(store.grid.tiles[0])
    assert_same(again.read_tile(tile), filled.read_tile(tile))
    again.finish()
    assert TileStore.open("s3://atlases/pyrenees", options).digests() == filled.digests()
    hot = PredictionStore.open("s3://atlases/pyrenees")  # by the address in the environment
    np.testing.assert_array_equal(hot.codes, simulated_atlas.store.codes)
    again.remove_tile(tile)
    assert len(again.finished()) == len(store.grid.tiles) - 1


# Several processes, full disks ----------------------------------------------------------------------------


def _write_some(pickled: bytes, contents: dict[int, Tile], order: list[int]) -> None:
    store = pickle.loads(pickled)
    for tile in order:
        store.write_tile(tile, contents[tile])


def test_processes_write_the_same_and_different_tiles_at_once(simulated_atlas: Atlas, tmp_path: Path):
    store = TileStore.create(tmp_path / "shared.zarr", grid_of(simulated_atlas))
    tiles_ = store.grid.tiles.tolist()
    contents = {tile: content_of(simulated_atlas, tile) for tile in tiles_}
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=_write_some, args=(pickle.dumps(store), contents, tiles_[k:] + tiles_[:k]))
        for k in (0, 0, len(tiles_) // 2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=60)
        assert process.exitcode == 0
    assert store.digests() == {tile: contents[tile].digest() for tile in tiles_}
    assert len(store.damaged()) == 0
    assert not [path for path in Path(store.address).rglob(".*") if path.is_file()]


def test_a_full_disk_leaves_neither_marker_nor_half_a_file(
    simulated_atlas: Atlas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store = TileStore.create(tmp_path / "full.zarr", grid_of(simulated_atlas))
    tile = int(store.grid.tiles[0])

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing.os, "fsync", full)
    before = sorted(Path(store.address).rglob("*"))
    with pytest.raises(NotWritableError, match=r"cannot be written \(the disk is full\); free some space"):
        store.write_tile(tile, content_of(simulated_atlas, tile))
    monkeypatch.undo()
    assert [path for path in sorted(Path(store.address).rglob("*")) if path.is_file()] == [
        path for path in before if path.is_file()
    ]
    assert len(store.finished()) == 0


def test_every_file_is_flushed_before_it_gets_its_name(
    simulated_atlas: Atlas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store = TileStore.create(tmp_path / "order.zarr", grid_of(simulated_atlas))
    events: list[str] = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(handle: int) -> None:
        events.append("flush")
        real_fsync(handle)

    def rename(self: Path, target: Path) -> Path:
        events.append(target.relative_to(store.address).parts[0])
        return real_replace(self, target)

    monkeypatch.setattr(writing.os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", rename)
    tile = int(store.grid.tiles[0])
    store.write_tile(tile, content_of(simulated_atlas, tile))
    assert events == [
        event
        for name in ("cells", "codes", "value_applicability", "done")
        for event in ("flush", name, "flush")
    ]
    assert json.loads((Path(store.address) / "done" / f"{tile:x}.json").read_text())["n_cells"] > 0
