"""The prediction store: what it keeps, what it gives back, and what it says when it is damaged."""

from __future__ import annotations

import json
import logging
import multiprocessing
import shutil
from pathlib import Path

import h3
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sdm_core import config, prediction
from sdm_core.errors import (
    CacheNotWritableError,
    CorruptStoreError,
    NoDataInRegionError,
    UnknownSpeciesError,
)
from sdm_core.prediction import PredictionStore, decode, encode, exchange, lift, opening
from sdm_core.registry import Atlas
from tests import make_store

PROBABILITIES = arrays(np.float64, st.integers(1, 50), elements=st.floats(0, 1))


def store_of(codes: np.ndarray, folder: Path, **kwargs) -> PredictionStore:
    """A store of the first simulated cells with given codes."""
    cells = make_store.simulated_cells()[: len(codes)]
    species = make_store.simulated_species().iloc[: codes.shape[1]]
    return prediction.write_store(folder, "test", make_store.RESOLUTION, cells, codes, species, **kwargs)


# The code of a probability --------------------------------------------------------------------------------


@given(PROBABILITIES)
def test_decoded_probability_is_within_the_stated_error(probability):
    error = np.abs(decode(encode(probability)) - probability)
    assert (error <= np.sqrt(probability) / 255 + 1 / 260100 + 1e-12).all()
    assert (error <= prediction.LARGEST_CODE_ERROR + 1e-12).all()


@given(PROBABILITIES)
def test_code_is_monotone(probability):
    assert (np.diff(encode(np.sort(probability)).astype(int)) >= 0).all()


def test_every_code_survives_decoding_and_encoding():
    codes = np.arange(256)
    np.testing.assert_array_equal(encode(decode(codes)), codes)
    np.testing.assert_array_equal(encode(decode(codes, np.float32)), codes)


@pytest.mark.parametrize("wrong", [[0.5, np.nan], [-0.01], [1.01]])
def test_values_that_are_no_probabilities_are_refused(wrong):
    with pytest.raises(prediction.ProbabilityRangeError, match="the store holds numbers from 0 to 1"):
        encode(wrong)


# What a store gives back ----------------------------------------------------------------------------------


def test_store_gives_back_the_formula_it_was_written_from(simulated_atlas: Atlas):
    store = simulated_atlas.store
    truth = make_store.simulated_probability(store.lonlat[:, 0], store.lonlat[:, 1])
    np.testing.assert_array_equal(store.codes, encode(truth))
    np.testing.assert_allclose(store.probabilities([5, 0]), truth[[5, 0]], atol=prediction.LARGEST_CODE_ERROR)
    np.testing.assert_array_equal(store.species_map(7), store.codes[:, 7])
    assert store.species_map(7).flags["C_CONTIGUOUS"]


def test_cells_and_centres_agree_with_h3_and_areas_with_geodesic_ones(simulated_atlas: Atlas):
    store = simulated_atlas.store
    np.testing.assert_array_equal(store.cells, make_store.simulated_cells())
    np.testing.assert_allclose(store.lonlat, make_store.lonlat_of(store.cells), atol=1e-9)
    # on the ellipsoid, in whole hectares; h3's own areas, on a sphere, are 0.3 % smaller here
    np.testing.assert_allclose(store.area_ha / 100, make_store.area_km2_of(store.cells), rtol=2e-4)


def test_rows_of_cells_are_found_and_absent_cells_are_minus_one(simulated_atlas: Atlas):
    store = simulated_atlas.store
    outside = np.uint64(h3.str_to_int(h3.latlng_to_cell(-20.0, 130.0, 6)))
    last = np.uint64(0xFFFFFFFFFFFFFFFF)
    np.testing.assert_array_equal(
        store.rows_of([store.cells[9], outside, store.cells[0], last]), [9, -1, 0, -1]
    )


def test_rows_under_a_parent_are_its_children(simulated_atlas: Atlas):
    store = simulated_atlas.store
    for resolution in (2, 4, 5, 6):
        parent = h3.cell_to_parent(h3.int_to_str(int(store.cells[100])), resolution)
        children = {h3.str_to_int(child) for child in h3.cell_to_children(parent, 6)}
        expected = np.flatnonzero([int(cell) in children for cell in store.cells])
        np.testing.assert_array_equal(store.rows_under(h3.str_to_int(parent)), expected)
    finer = h3.cell_to_center_child(h3.int_to_str(int(store.cells[0])), 7)
    assert len(store.rows_under(h3.str_to_int(finer))) == 0


@settings(max_examples=60)
@given(data=st.data())
def test_region_sums_are_identical_with_and_without_the_pyramid(simulated_atlas: Atlas, data):
    store = simulated_atlas.store
    start = data.draw(st.integers(0, store.n_cells - 1))
    stop = data.draw(st.integers(start + 1, store.n_cells))
    holes = data.draw(st.lists(st.integers(0, store.n_cells - 1), max_size=5))
    rows = np.setdiff1d(np.arange(start, stop), holes)
    if not len(rows):
        return
    fast, plain = store.region_sums(rows), store.scan_sums(rows)
    np.testing.assert_array_equal(fast.weighted_squares, plain.weighted_squares)
    np.testing.assert_array_equal(fast.max_codes, plain.max_codes)
    exact = sum(int(store.area_ha[row]) * store.codes[row].astype(object) ** 2 for row in rows)
    np.testing.assert_array_equal(fast.weighted_squares, exact.astype(np.int64))
    assert (fast.n_cells, fast.hectares) == (len(rows), int(store.area_ha[rows].sum()))


def test_region_sums_are_areas_and_area_weighted_means(simulated_atlas: Atlas):
    store = simulated_atlas.store
    rows = np.arange(40, 260)
    sums = store.region_sums(rows[::-1])  # order does not matter
    area_km2 = store.area_ha[rows] / 100
    probability = decode(store.codes[rows])
    np.testing.assert_allclose(sums.area_km2, area_km2.sum())
    np.testing.assert_allclose(sums.expected_area_km2, area_km2 @ probability)
    np.testing.assert_allclose(sums.mean_probability, np.average(probability, axis=0, weights=area_km2))
    np.testing.assert_allclose(sums.max_probability, probability.max(axis=0))


def test_a_region_without_cells_is_refused(simulated_atlas: Atlas):
    with pytest.raises(NoDataInRegionError, match="holds no cell of the atlas simulated-pyrenees"):
        simulated_atlas.store.region_sums([])


def test_layers_are_richness_and_diversity_of_each_cell(simulated_atlas: Atlas):
    store = simulated_atlas.store
    probability = decode(store.codes)
    q = probability / probability.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        shannon = -np.nansum(q * np.log(q), axis=1)
    np.testing.assert_allclose(store.layer("richness"), probability.sum(axis=1), rtol=1e-6)
    np.testing.assert_allclose(store.layer("shannon"), shannon, rtol=1e-5)
    np.testing.assert_allclose(store.layer("simpson"), 1 - (q**2).sum(axis=1), rtol=1e-5)
    with pytest.raises(ValueError, match="unknown layer 'height'; the atlas simulated-pyrenees has richness"):
        store.layer("height")


def test_sse_cut_keeps_the_k_best_with_their_ties(simulated_atlas: Atlas):
    store = simulated_atlas.store
    for row in range(0, store.n_cells, 17):
        codes = store.codes[row]
        k = int(np.floor((codes.astype(int) ** 2).sum() / 65025 + 0.5))
        cut = np.sort(codes)[::-1][k - 1] if k else prediction.NO_SPECIES_CUT
        assert store.sse_cut[row] == cut
        assert store.sse_richness[row] == np.count_nonzero(codes >= cut)


def test_a_cell_without_species_has_an_empty_assemblage_and_no_diversity(tmp_path: Path):
    codes = np.array([[0, 0, 0], [255, 255, 0], [30, 20, 10]], dtype=np.uint8)
    store = store_of(codes, tmp_path / "store")
    np.testing.assert_array_equal(store.sse_cut, [256, 255, 256])
    np.testing.assert_array_equal(store.sse_richness, [0, 2, 0])
    np.testing.assert_allclose(store.layer("shannon")[:2], [np.nan, np.log(2)], rtol=1e-6)
    np.testing.assert_allclose(store.layer("simpson")[:2], [np.nan, 0.5], rtol=1e-6)


def test_aggregation_is_an_area_weighted_mean_that_leaves_nan_out(simulated_atlas: Atlas):
    store = simulated_atlas.store
    values = np.array(store.layer("richness"), dtype=float)
    values[3] = np.nan
    parents, means = store.aggregate(values, 4)
    name = [h3.str_to_int(h3.cell_to_parent(h3.int_to_str(int(cell)), 4)) for cell in store.cells]
    table = pd.DataFrame({"parent": name, "value": values, "area": store.area_ha}).dropna()
    expected = {
        parent: np.average(group["value"], weights=group["area"]) for parent, group in table.groupby("parent")
    }
    np.testing.assert_array_equal(parents, sorted(expected))
    np.testing.assert_allclose(means, [expected[int(parent)] for parent in parents])


def test_a_synonym_names_the_species_of_the_atlas(simulated_atlas: Atlas, monkeypatch: pytest.MonkeyPatch):
    store = simulated_atlas.store
    table = store.species.assign(synonyms="")
    table.loc[table["species"] == "Abies alba", "synonyms"] = "Abies pectinata"
    monkeypatch.setitem(store.__dict__, "species", table)
    with pytest.raises(UnknownSpeciesError, match=r"no species 'Abies pectinata'; did you mean Abies alba\?"):
        store.species_id("Abies pectinata")
    with pytest.raises(UnknownSpeciesError, match=r"no species 'Zea mays'; see the species list"):
        store.species_id("Zea mays")


def test_top_species_of_a_cell_come_most_probable_first(simulated_atlas: Atlas):
    store = simulated_atlas.store
    top = store.cell_top(int(store.cells[50]), 3)
    expected = np.sort(decode(store.codes[50]))[::-1][:3]
    np.testing.assert_allclose([probability for _, probability in top], expected)
    with pytest.raises(NoDataInRegionError, match="is not in the atlas"):
        store.cell_top(h3.str_to_int(h3.latlng_to_cell(-20.0, 130.0, 6)))


def test_unknown_species_names_the_nearest(simulated_atlas: Atlas):
    store = simulated_atlas.store
    assert store.species_id("fagus_sylvatica") == store.species_id("Fagus sylvatica") == 16
    with pytest.raises(UnknownSpeciesError, match="did you mean Fagus sylvatica"):
        store.species_id("Fagus silvatica")
    with pytest.raises(UnknownSpeciesError, match="holds 0 to 39"):
        store.species_map(40)


def test_species_table_and_observed_densities_come_back(simulated_atlas: Atlas):
    store = simulated_atlas.store
    written = make_store.simulated_species()
    assert store.species["species"].tolist() == written["species"].tolist()
    assert store.species["endemic"].isna().sum() == 1
    assert store.species["habitats_directive"].iloc[0] == ""
    observed, by_species = make_store.simulated_observations(store.cells)
    pd.testing.assert_frame_equal(store.observed, observed, check_dtype=False)
    expected = by_species[by_species["species_id"] == 4].drop(columns="species_id").reset_index(drop=True)
    pd.testing.assert_frame_equal(store.observed_species(4), expected, check_dtype=False)


def test_cells_may_come_in_any_order_with_layers_of_their_own(tmp_path: Path):
    cells = make_store.simulated_cells()
    codes = np.random.default_rng(0).integers(0, 256, (len(cells), 5), dtype=np.uint8)
    applies = (np.arange(len(cells)) % 2).astype(np.uint8)
    order = np.random.default_rng(1).permutation(len(cells))
    store = prediction.write_store(
        tmp_path / "store",
        "test",
        6,
        cells[order],
        codes[order],
        make_store.simulated_species().iloc[:5],
        cell_values={"applicability": applies[order]},
    )
    np.testing.assert_array_equal(store.codes, codes)
    np.testing.assert_array_equal(store.layer("applicability"), applies)
    at = prediction.probabilities_at(store, store.lonlat[:4, 0], store.lonlat[:4, 1])
    np.testing.assert_array_equal(np.isnan(at).all(axis=1), [True, False, True, False])


def test_densities_count_records_species_and_sites_per_coarse_cell():
    table = pd.DataFrame(
        {
            "species": ["A a", "A a", "B b", "C c", "B b"],
            "longitude": [1.0, 1.0, 1.0, 1.0, 1.5],
            "latitude": [42.5, 42.5, 42.5, 42.5, 42.5],
            "site": ["x", "x", "y", "x", "z"],
        }
    )
    observed, by_species = prediction.observation_densities(table, ["B b", "A a"])
    first = h3.str_to_int(h3.latlng_to_cell(42.5, 1.0, 5))
    row = observed.set_index("cell").loc[first]
    assert (row["n_records"], row["n_species"], row["n_sites"]) == (3, 2, 2)
    assert by_species["n_records"].sum() == 4


# Exchange copy --------------------------------------------------------------------------------------------


def test_differences_give_the_codes_back_exactly(simulated_atlas: Atlas):
    store = simulated_atlas.store
    plan, tie = lift.choose_steps(store.cells, store.lonlat, 6)
    again = lift.steps(store.cells, store.lonlat + 1e-11, 6, tie)
    for one, other in zip(plan, again, strict=True):
        np.testing.assert_array_equal(one.neighbours, other.neighbours)
    assert sorted(np.concatenate([step.rows for step in plan])) == list(range(store.n_cells))
    for codes in (store.codes, np.random.default_rng(0).integers(0, 256, store.codes.shape, dtype=np.uint8)):
        weights = lift.fit_weights(codes, plan)
        differences = lift.forward(codes, plan, weights)
        np.testing.assert_array_equal(lift.inverse(differences, plan, weights), codes)


def test_cells_with_uncertain_neighbours_are_packed_all_the_same(
    simulated_atlas: Atlas, tmp_path, monkeypatch
):
    content = exchange.unpack(simulated_atlas.folder / exchange.EXCHANGE_FILE)

    def never(*args: object) -> None:
        raise lift.TiedNeighboursError("no certain order")

    monkeypatch.setattr(lift, "choose_steps", never)
    version = exchange.pack(content, tmp_path / "plain.zarr.zip", 3)
    assert version == simulated_atlas.store.version
    np.testing.assert_array_equal(exchange.unpack(tmp_path / "plain.zarr.zip").codes, content.codes)


def test_version_follows_everything_that_decides_the_predictions(simulated_atlas: Atlas, tmp_path: Path):
    codes = np.full((4, 3), 7, dtype=np.uint8)
    first = store_of(codes, tmp_path / "a", inputs={"checkpoint": "1"}).version
    assert store_of(codes, tmp_path / "b", inputs={"checkpoint": "1"}).version == first
    assert store_of(codes, tmp_path / "c", inputs={"checkpoint": "2"}).version != first
    codes[2, 1] = 8
    assert store_of(codes, tmp_path / "d", inputs={"checkpoint": "1"}).version != first
    assert simulated_atlas.card["store_version"] == simulated_atlas.store.version


def test_manifest_lists_every_file_and_names_a_damaged_one(simulated_atlas_folder: Path, tmp_path: Path):
    folder = Path(shutil.copytree(simulated_atlas_folder, tmp_path / "atlas"))
    prediction.verify_manifest(folder)
    names = {line.split("  ")[1] for line in (folder / "MANIFEST.sha256").read_text().splitlines()}
    assert names == {path.name for path in folder.iterdir()} - {"MANIFEST.sha256"}
    flip_byte(folder / "observed.parquet", 100)
    with pytest.raises(CorruptStoreError, match=r"observed\.parquet does not have the SHA-256"):
        prediction.verify_manifest(folder)


# Damage, full disks, several processes --------------------------------------------------------------------


def flip_byte(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(content)


@pytest.fixture
def own_atlas(simulated_atlas_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the simulated atlas with an empty cache of its own."""
    monkeypatch.setattr(config, "CACHE_DIR", tmp_path / "cache")
    monkeypatch.setattr(opening, "temporary_root", lambda: tmp_path / "temporary")
    return Path(shutil.copytree(simulated_atlas_folder, tmp_path / "atlas"))


def test_damaged_hot_file_is_logged_with_its_block_and_repaired_when_it_is_read(own_atlas: Path, caplog):
    store = PredictionStore.open(own_atlas)
    before = store.codes.copy()
    flip_byte(store.folder / "codes.npy", 5000)
    with pytest.raises(CorruptStoreError, match=r"codes\.npy is damaged: block 0 \(bytes 0 to \d+\)"):
        store.verify()
    with caplog.at_level(logging.WARNING):
        rebuilt = PredictionStore.open(own_atlas)
        np.testing.assert_array_equal(rebuilt.codes, before)
    assert "codes.npy is damaged" in caplog.text
    assert "repaired codes.npy" in caplog.text
    rebuilt.verify()


@pytest.mark.parametrize("name", ["species_codes.npy", "store.json", "richness.npy"])
def test_missing_or_cut_hot_file_is_rebuilt(own_atlas: Path, name: str):
    store = PredictionStore.open(own_atlas)
    path = store.folder / name
    path.write_bytes(path.read_bytes()[:-7])
    PredictionStore.open(own_atlas).verify()


def test_hot_store_without_exchange_copy_says_what_is_damaged(tmp_path: Path):
    store = store_of(np.full((4, 3), 7, dtype=np.uint8), tmp_path / "store")
    meta = json.loads((store.folder / "store.json").read_text())
    meta["n_cells"] = 5
    (store.folder / "store.json").write_text(json.dumps(meta))
    with pytest.raises(CorruptStoreError, match=r"store\.json is damaged"):
        PredictionStore.open(store.folder)


def test_damaged_exchange_copy_names_the_file_and_the_way_out(own_atlas: Path):
    path = own_atlas / "predictions.zarr.zip"
    flip_byte(path, path.stat().st_size // 3)
    with pytest.raises(
        CorruptStoreError, match=r"predictions\.zarr\.zip is damaged .* fetch this file again"
    ):
        PredictionStore.open(own_atlas)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(
        CorruptStoreError, match=r"predictions\.zarr\.zip is damaged .* fetch this file again"
    ):
        PredictionStore.open(own_atlas)
    assert not list((config.CACHE_DIR / "stores").glob("simulated*"))


def test_folder_without_store_is_refused(tmp_path: Path):
    with pytest.raises(CorruptStoreError, match="give the folder of an atlas or of an unpacked store"):
        PredictionStore.open(tmp_path)


def test_cache_that_cannot_be_written_falls_back_to_a_temporary_folder(
    own_atlas: Path, tmp_path: Path, caplog
):
    config.CACHE_DIR.write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        store = PredictionStore.open(own_atlas)
    assert store.folder.is_relative_to(tmp_path / "temporary")
    assert "cannot unpack" in caplog.text
    caplog.clear()
    again = PredictionStore.open(own_atlas)  # found there the next time
    assert again.folder == store.folder
    assert not caplog.records


def test_no_writable_folder_at_all_says_how_to_name_one(own_atlas: Path, tmp_path: Path):
    config.CACHE_DIR.write_text("a file")
    (tmp_path / "temporary").write_text("a file")
    with pytest.raises(CacheNotWritableError, match="set FLORASCOPE_CACHE to a folder that can be written"):
        PredictionStore.open(own_atlas)


def test_full_disk_falls_back_and_leaves_nothing_behind(own_atlas: Path, tmp_path: Path, monkeypatch):
    real = opening.build_hot

    def full(folder: Path, *args: object) -> None:
        if folder.is_relative_to(config.CACHE_DIR):
            raise OSError(28, "No space left on device")
        real(folder, *args)

    monkeypatch.setattr(opening, "build_hot", full)
    assert PredictionStore.open(own_atlas).folder.is_relative_to(tmp_path / "temporary")


def test_changed_species_table_is_taken_up(own_atlas: Path):
    PredictionStore.open(own_atlas)
    path = own_atlas / "species.csv"
    path.write_text(path.read_text().replace("Fagaceae", "Beech family"))
    assert "Beech family" in set(PredictionStore.open(own_atlas).species["family"])
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    with pytest.raises(CorruptStoreError, match=r"lists 39 species, but the predictions hold 40"):
        _ = PredictionStore.open(own_atlas).species


def test_damaged_record_densities_are_named(own_atlas: Path):
    (own_atlas / "observed.parquet").write_bytes(b"PAR1 nothing of use PAR1")
    store = PredictionStore.open(own_atlas)
    with pytest.raises(CorruptStoreError, match=r"observed\.parquet cannot be read as a table .* fetch"):
        _ = store.observed


def test_cache_keeps_the_three_newest_versions_of_an_atlas(own_atlas: Path, monkeypatch):
    monkeypatch.setattr(opening, "_VERSIONS_KEPT", 3)  # tests keep more of those they share
    path = own_atlas / "species.csv"
    text = path.read_text()
    for number in range(5):
        path.write_text(text.replace("Fagaceae", f"Fagaceae {number}"))
        newest = PredictionStore.open(own_atlas)
    kept = list((config.CACHE_DIR / "stores").glob("simulated-pyrenees-*"))
    assert len(kept) == 3
    assert newest.folder in kept


def _open_in_process(atlas: str, cache: str, queue: multiprocessing.Queue) -> None:
    config.CACHE_DIR = Path(cache)
    store = PredictionStore.open(atlas)
    queue.put((str(store.folder), int(store.codes.sum())))


def test_two_processes_may_open_an_atlas_for_the_first_time_at_once(own_atlas: Path, tmp_path: Path):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    arguments = (str(own_atlas), str(tmp_path / "shared-cache"), queue)
    processes = [context.Process(target=_open_in_process, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    results = {queue.get(timeout=60) for _ in processes}
    for process in processes:
        process.join()
    assert len(results) == 1
    assert [path.name[0] for path in (tmp_path / "shared-cache" / "stores").iterdir()].count("s") == 1


def test_writing_where_a_store_lies_replaces_it(tmp_path: Path):
    store_of(np.full((4, 3), 7, dtype=np.uint8), tmp_path / "store")
    store = store_of(np.full((4, 3), 8, dtype=np.uint8), tmp_path / "store")
    assert (store.codes == 8).all()
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


# Points ---------------------------------------------------------------------------------------------------


def test_points_get_the_values_of_their_cell_and_nan_outside(simulated_atlas: Atlas):
    store = simulated_atlas.store
    longitude, latitude = store.lonlat[[3, 9]].T
    values = prediction.probabilities_at(store, [*longitude, 100.0], [*latitude, 10.0])
    np.testing.assert_allclose(values[:2], decode(store.codes[[3, 9]]), rtol=1e-6)
    assert np.isnan(values[2]).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,y\n1,2\n", r"has the columns x, y, but needs longitude, latitude"),
        (
            "longitude,latitude\n1,42\n1,north\n",
            r"line 3: latitude is 'north', expected a number from -90 to 90",
        ),
        ("longitude,latitude\n200,42\n", r"line 2: longitude is '200', expected a number from -180 to 180"),
        ("longitude,latitude\n", r"has no points below its header"),
        ("", r"is empty; give a table with longitude, latitude"),
    ],
)
def test_bad_points_are_refused_with_line_and_reason(tmp_path: Path, text: str, message: str):
    path = tmp_path / "points.csv"
    path.write_text(text)
    with pytest.raises(prediction.PointsFileError, match=message):
        prediction.read_points(path)
    with pytest.raises(prediction.PointsFileError, match="cannot be read"):
        prediction.read_points(tmp_path / "absent.csv")
