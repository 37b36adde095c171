"""Area of applicability and MESS against their reference programs written out, worked numbers, and limits."""

from __future__ import annotations

import dataclasses
import logging
from io import BytesIO
from pathlib import Path

import h3
import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from sklearn.neighbors import NearestNeighbors

from sdm_core import applicability, regions
from sdm_core.__main__ import main
from sdm_core.api.tiles import Paint, TileAddress, TileArtist, layer_of
from sdm_core.api.tiles.layers import UNDEFINED
from sdm_core.applicability import ApplicabilityError, ApplicabilityReference
from sdm_core.benchmarks.faults.study import write_study
from sdm_core.colours import Scale
from sdm_core.errors import CorruptStoreError
from sdm_core.pipeline.predictor import ModelSpec
from sdm_core.pipeline.trust import member_spread
from sdm_core.prediction import PredictionStore, probabilities_at, write_manifest
from sdm_core.prediction.cell_layers import CellLayer, cell_layers, read_cell_layers
from sdm_core.prediction.files import TRUST_FILE
from sdm_core.prediction.tiling import children_of
from sdm_core.prediction.write import write_store
from tests.make_store import write_simulated_atlas

NAMES = ("warmth", "rain", "slope")


@pytest.fixture(scope="module")
def training() -> np.ndarray:
    """Sixty sites on three unlike scales, two of them at one place."""
    random = np.random.default_rng(3)
    sites = random.normal([10.0, 800.0, 0.1], [5.0, 300.0, 0.05], (60, 3))
    sites[1] = sites[0]
    return sites


@pytest.fixture(scope="module")
def places() -> np.ndarray:
    return np.random.default_rng(4).normal([12.0, 900.0, 0.1], [9.0, 500.0, 0.1], (40, 3))


@pytest.fixture(scope="module")
def folds() -> np.ndarray:
    return np.arange(60) // 12


# Against CAST, dismo and scikit-learn ----------------------------------------------------------------------


def cast(training, weights, folds, places):
    """DI of places, DI of the training sites and threshold, as CAST's trainDI and aoa go, step by step."""
    columns = []
    for column in range(training.shape[1]):
        values = training[:, column]
        mean = sum(values) / len(values)
        deviation = (sum((value - mean) ** 2 for value in values) / (len(values) - 1)) ** 0.5
        columns.append((mean, deviation))

    def scale(row):
        return [(v - m) / s * w for v, (m, s), w in zip(row, columns, weights, strict=True)]

    def distance(a, b):
        return sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) ** 0.5

    sites = [scale(row) for row in training]
    averages, smallest = [], []
    for i, site in enumerate(sites):
        others = [distance(site, other) for j, other in enumerate(sites) if j != i]
        averages.append(sum(others) / len(others))
        apart = [distance(site, o) for j, o in enumerate(sites) if j != i and folds[j] != folds[i]]
        smallest.append(min(apart))
    average = sum(averages) / len(averages)
    of_training = sorted(value / average for value in smallest)
    n = len(of_training)
    depth = ((n + 3) // 2) / 2  # R: fivenum
    lower = (of_training[int(np.floor(depth)) - 1] + of_training[int(np.ceil(depth)) - 1]) / 2
    upper = (of_training[n - int(np.floor(depth))] + of_training[n - int(np.ceil(depth))]) / 2
    inside = [value for value in of_training if value <= upper + 1.5 * (upper - lower)]
    found = [min(distance(scale(row), site) for site in sites) / average for row in places]
    return np.array(found), of_training, inside[-1]


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (2.0, 0.5, 0.25)])
def test_dissimilarity_and_threshold_are_those_of_cast(training, places, folds, weights):
    reference = ApplicabilityReference.fit(training, NAMES, folds, weights=weights)
    expected, of_training, threshold = cast(training, weights, folds, places)
    # sites are kept as float32, hence the tolerance
    np.testing.assert_allclose(reference.dissimilarity(places), expected, rtol=1e-5, atol=1e-6)
    assert reference.threshold == pytest.approx(threshold, rel=1e-9)
    scaled = (training - training.mean(0)) / training.std(0, ddof=1) * weights
    found = applicability.training_dissimilarity(scaled, folds)
    np.testing.assert_allclose(np.sort(found), of_training, rtol=1e-9)
    outside = ~reference.applies(reference.dissimilarity(places))
    np.testing.assert_array_equal(outside, expected > threshold)
    assert 0 < outside.sum() < len(places)


def test_nearest_distances_are_those_of_scikit_learn(training, places, monkeypatch):
    monkeypatch.setattr(applicability.dissimilarity, "_DISTANCES_AT_ONCE", 300)  # several parts
    expected = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(training).kneighbors(places)[0][:, 0]
    np.testing.assert_allclose(applicability.nearest_distances(places, training), expected, rtol=1e-9)
    pairs = np.sqrt(((training[:, None] - training[None]) ** 2).sum(-1))
    assert applicability.mean_distance(training) == pytest.approx(pairs.sum() / (60 * 59), rel=1e-9)


def dismo(p, v):
    """Similarity of the values p of one variable to v: the function messi3 of R's dismo, line by line."""
    f = np.array([100 * sum(value <= x for value in v) / len(v) for x in p])
    lowest, highest = min(v), max(v)
    result = 2 * f
    i = (f > 50) & (f < 100)
    result[i] = 200 - result[i]
    i = f == 0
    result[i] = 100 * (p[i] - lowest) / (highest - lowest)
    i = f == 100
    result[i] = 100 * (highest - p[i]) / (highest - lowest)
    return result


def test_mess_is_that_of_dismo(training, places):
    expected = np.column_stack([dismo(places[:, c], training[:, c]) for c in range(3)])
    np.testing.assert_allclose(applicability.mess_by_variable(places, training), expected, rtol=1e-12)
    lowest, which = applicability.mess(places, training)
    np.testing.assert_allclose(lowest, expected.min(axis=1), rtol=1e-12)
    np.testing.assert_array_equal(which, expected.argmin(axis=1))
    assert (lowest < 0).any()
    assert (lowest > 0).any()


# Worked numbers --------------------------------------------------------------------------------------------


def test_dissimilarity_worked_by_hand():
    # 0, 1, 3 scaled by mean 4/3 and sd 1.527525; distances 1, 2, 3 over the sd: mean 2 / sd. The place 5 lies
    # 2 / sd from site 3, so DI 1. Leave-one-out training DI: 1/2, 1/2, 1; the whisker keeps all: limit 1.
    reference = ApplicabilityReference.fit([[0.0], [1.0], [3.0]], ("x",))
    assert reference.mean_distance == pytest.approx(2 / 1.5275252)
    np.testing.assert_allclose(reference.dissimilarity([[5.0], [2.0], [0.0]]), [1.0, 0.5, 0.0], atol=1e-7)
    assert reference.threshold == pytest.approx(1.0)
    assert reference.applies([0.99, 1.01, np.nan]).tolist() == [True, False, False]


def test_outliers_are_removed_as_a_box_plot_does():
    # R: boxplot.stats(c(1:10, 50))$stats[5] is 10 (hinges 3.5 and 8.5), and of 1:4 it is 4
    assert applicability.outlier_removed_maximum([*range(1, 11), 50, np.inf, np.nan]) == 10
    assert applicability.outlier_removed_maximum([4, 1, 3, 2]) == 4


def test_mess_worked_by_hand():
    # reference 1 2 3 4: below 2 lie 50 % or less, so 2·50; at 3, 200 - 2·75; beyond, -100 · 1 / 3
    values = np.array([[2.0], [3.0], [0.0], [5.0], [4.0], [1.0]])
    found = applicability.mess_by_variable(values, [[1.0], [2.0], [3.0], [4.0]])[:, 0]
    np.testing.assert_allclose(found, [100.0, 50.0, -100 / 3, -100 / 3, 0.0, 50.0])


def test_spread_worked_by_hand():
    # species 1: 0.2 and 0.4 (sd 0.1, mean 0.3); species 2: 0.5 twice; 0.1 / 0.8
    found = applicability.ensemble_spread([np.array([[0.2, 0.5]]), np.array([[0.4, 0.5]])])
    np.testing.assert_allclose(found, [0.125])
    assert np.isnan(applicability.ensemble_spread([np.zeros((1, 2)), np.zeros((1, 2))]))[0]
    with pytest.raises(ApplicabilityError, match="has 1 members; its spread needs two"):
        applicability.ensemble_spread([np.zeros((1, 2))])


# Limits and properties -------------------------------------------------------------------------------------


def test_a_training_site_is_like_itself_and_never_outside_every_range(training, folds):
    reference = ApplicabilityReference.fit(training, NAMES, folds)
    np.testing.assert_allclose(reference.dissimilarity(training), 0.0, atol=1e-6)
    assert (applicability.mess(training, training)[0] >= 0).all()


@given(
    arrays.arrays(np.float64, (7, 2), elements=st.floats(-50, 50, width=16)),
    arrays.arrays(np.float64, (5, 2), elements=st.floats(-50, 50, width=16)),
)
def test_mess_is_negative_outside_a_range_and_only_there(sites, places):
    lowest, _ = applicability.mess(places, sites)
    outside = ((places < sites.min(0)) | (places > sites.max(0))).any(axis=1)
    np.testing.assert_array_equal(lowest < 0, outside)
    assert (lowest <= 100).all()


def test_units_do_not_matter(training, places, folds):
    factor, shift = np.array([1.8, 0.001, 90.0]), np.array([32.0, 5.0, -2.0])
    one = ApplicabilityReference.fit(training, NAMES, folds)
    other = ApplicabilityReference.fit(training * factor + shift, NAMES, folds)
    moved = places * factor + shift
    np.testing.assert_allclose(other.dissimilarity(moved), one.dissimilarity(places), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(other.mess(moved)[0], one.mess(places)[0], rtol=1e-3, atol=1e-3)
    assert other.threshold == pytest.approx(one.threshold)


def test_a_predictor_that_does_not_vary_is_left_out_and_nan_is_outside(training, folds):
    flat = np.column_stack([training, np.full(60, 7.0)])
    reference = ApplicabilityReference.fit(flat, (*NAMES, "flat"), folds)
    assert reference.names == NAMES
    unknown = np.array([[10.0, np.nan, 0.1]])
    assert np.isnan(reference.dissimilarity(unknown))[0]
    assert not reference.applies(reference.dissimilarity(unknown))[0]
    assert reference.mess(unknown)[1][0] == -1


def test_a_reference_is_read_as_it_was_saved(training, places, folds, tmp_path: Path):
    reference = ApplicabilityReference.fit(training, NAMES, folds, folds_text="five folds")
    path = reference.save(tmp_path / "applicability.npz")
    read = ApplicabilityReference.load(path)
    assert read.settings == reference.settings
    assert read.digest == reference.rounded().digest
    # half precision: three digits of the scaled values
    np.testing.assert_allclose(read.dissimilarity(places), reference.dissimilarity(places), atol=2e-3)


def test_references_that_cannot_be_made_or_read_say_why(tmp_path: Path):
    with pytest.raises(ApplicabilityError, match="at least two training sites with all predictors; found 1"):
        ApplicabilityReference.fit([[1.0, 2.0], [np.nan, 3.0]], ("a", "b"))
    with pytest.raises(ApplicabilityError, match="none of the 1 does"):
        ApplicabilityReference.fit([[1.0], [1.0]], ("a",))
    with pytest.raises(ApplicabilityError, match="in at least two folds"):
        ApplicabilityReference.fit([[1.0], [2.0]], ("a",), [0, 0])
    path = tmp_path / "applicability.npz"
    path.write_bytes(b"no archive")
    with pytest.raises(ApplicabilityError, match=r"applicability\.npz cannot be read as the reference"):
        ApplicabilityReference.load(path)


# Layers beside an atlas ------------------------------------------------------------------------------------


@given(st.lists(st.floats(-150, 150), min_size=1, max_size=20))
def test_layers_are_kept_to_half_a_step(values):
    linear, square = CellLayer(low=-100, high=100), CellLayer(high=100.0, scale="square")
    inside = np.clip(values, -100, 100)
    np.testing.assert_allclose(linear.decode(linear.encode(values)), inside, atol=100 / 254 + 1e-4)
    kept = square.decode(square.encode(values))
    positive = np.clip(values, 0, 100)
    np.testing.assert_allclose(np.sqrt(kept), np.sqrt(positive), atol=5 / 254 + 1e-4)
    assert np.isnan(linear.decode(linear.encode([np.nan]))).all()


@pytest.fixture
def atlas_folder(tmp_path: Path) -> Path:
    """A simulated atlas of which the western half lies outside the model's experience."""
    folder = write_simulated_atlas(tmp_path / "atlas", "half-known")
    store = PredictionStore.open(folder)
    values = {
        "applicability": (store.lonlat[:, 0] > np.median(store.lonlat[:, 0])).astype(float),
        "mess": np.linspace(-50, 50, store.n_cells),
        "mess_variable": np.arange(store.n_cells) % 2,
    }
    layers = {
        "applicability": CellLayer(scale="number"),
        "mess": CellLayer(low=-100, high=100),
        "mess_variable": CellLayer(scale="number", names=("warmth", "rain")),
    }
    made = cell_layers(store.cells, values, layers, {"applicability": {"threshold": 0.3}})
    (folder / TRUST_FILE).write_bytes(made.to_bytes())
    write_manifest(folder)
    return folder


def test_layers_beside_an_atlas_are_layers_of_it_and_leave_its_version(atlas_folder: Path):
    store = PredictionStore.open(atlas_folder)
    assert store.layer_names[4:] == ("applicability", "mess", "effort", "information")
    assert set(np.unique(store.layer("applicability"))) == {0.0, 1.0}
    np.testing.assert_allclose(store.layer("mess"), np.linspace(-50, 50, store.n_cells), atol=0.4)
    assert store.cell_layers is not None
    assert store.cell_layers.notes["applicability"]["threshold"] == 0.3
    (atlas_folder / TRUST_FILE).unlink()
    bare = PredictionStore.open(atlas_folder)
    assert bare.version == store.version
    assert "applicability" not in bare.layer_names


def test_predictions_outside_the_area_of_applicability_are_nan(atlas_folder: Path):
    store = PredictionStore.open(atlas_folder)
    values = probabilities_at(store, store.lonlat[:, 0], store.lonlat[:, 1])
    np.testing.assert_array_equal(np.isnan(values).all(axis=1), store.layer("applicability") == 0)
    np.testing.assert_array_equal(np.isnan(values).any(axis=1), store.layer("applicability") == 0)


def test_predict_says_how_many_points_lie_where_the_model_does_not_apply(
    atlas_folder: Path, tmp_path: Path, capsys
):
    store = PredictionStore.open(atlas_folder)
    inside = store.layer("applicability") > 0
    lonlat = np.vstack([store.lonlat[~inside][:3], store.lonlat[inside][:2], [[60.0, 10.0]]])
    points = tmp_path / "points.csv"
    np.savetxt(points, lonlat, delimiter=",", header="longitude,latitude", comments="")
    command = ["predict", "--model", str(atlas_folder), "--points", str(points), "--out"]
    assert main([*command, str(tmp_path / "out.csv")]) == 0
    assert "1 points outside Simulated Pyrenees, 3 where its model does not apply" in capsys.readouterr().out
    np.savetxt(points, lonlat[:3], delimiter=",", header="longitude,latitude", comments="")
    assert main([*command, str(tmp_path / "out.csv")]) == 0
    assert "No point lies in the area of applicability" in capsys.readouterr().err


def test_layers_of_other_cells_are_not_used(atlas_folder: Path, caplog):
    layers = read_cell_layers(atlas_folder / TRUST_FILE)
    (atlas_folder / TRUST_FILE).write_bytes(dataclasses.replace(layers, cells_digest="other").to_bytes())
    with caplog.at_level(logging.WARNING, logger="sdm_core.prediction"):
        store = PredictionStore.open(atlas_folder)
        assert "applicability" not in store.layer_names
    assert "was made for other cells" in caplog.text


def test_a_damaged_file_of_layers_is_named(tmp_path: Path):
    (tmp_path / TRUST_FILE).write_bytes(b"PAR1 nothing")
    with pytest.raises(CorruptStoreError, match=r"trust\.parquet cannot be read as the trust layers"):
        read_cell_layers(tmp_path / TRUST_FILE)


def test_map_tiles_hatch_what_lies_outside_only_when_asked(atlas_folder: Path):
    store = PredictionStore.open(atlas_folder)
    layer, tile = layer_of(store, "richness"), TileAddress(8, 128, 94, 256)
    artist, scale = TileArtist(50_000_000), Scale("richness", 0.0, 20.0, 0.0)
    plain, masked = (
        np.asarray(Image.open(BytesIO(artist.draw(store, layer, Paint("viridis", scale, mask=mask), tile))))
        for mask in (False, True)
    )
    rows = np.repeat(*(lambda found: (found.places, found.lengths))(artist._pixel_rows(store, tile, 6)))
    picture = rows.reshape(256, 256)
    outside = (store.layer("applicability")[picture] == 0) & (picture >= 0)
    assert 1000 < outside.sum() < 64_000
    changed = plain != masked
    assert not changed[~outside].any()
    assert 0.6 < changed[outside].mean() < 0.9
    assert (masked[changed] == UNDEFINED).all()


# Tiles -----------------------------------------------------------------------------------------------------


def test_tiles_carry_the_values_where_it_is_known_what_the_model_has_seen(tmp_path: Path):
    model = write_study(tmp_path, n_species=3, width=8)
    plain = ModelSpec(str(model), bytes(shapely.to_wkb(shapely.box(8.0, 43.0, 9.0, 44.0))), "cpu").load()
    assert plain.value_names == ()
    grid = plain.grid(5, tile_resolution=3)
    names = plain.covariates.source.names[:2]
    lonlat = regions.cells_to_lonlat(regions.cells_in_polygon(shapely.box(8.0, 43.0, 8.6, 44.0), 5))
    columns = [plain.covariates.feature_names.index(name) for name in names]
    seen = np.concatenate([inputs.features[:, columns] for _, inputs in plain.cells.inputs(lonlat)])
    reference = ApplicabilityReference.fit(seen, names)
    reference.save(model / "applicability.npz")
    judge = ModelSpec(plain.spec.folder, plain.spec.region, "cpu").load()
    assert judge.value_names == ("applicability", "dissimilarity", "mess")
    assert judge.grid(5, tile_resolution=3).version != grid.version
    assert judge.inputs == {**plain.inputs, "applicability": reference.rounded().digest}
    tiles = [judge.tile(tile, 5) for tile in grid.tiles.tolist()]
    cells = np.concatenate([tile.cells for tile in tiles])
    found = {name: np.concatenate([tile.values[name] for tile in tiles]) for name in judge.value_names}
    inputs = [i.features for _, i in plain.cells.inputs(regions.cells_to_lonlat(cells))]
    expected = reference.rounded().dissimilarity(np.concatenate(inputs)[:, columns])
    np.testing.assert_allclose(found["dissimilarity"], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found["applicability"], (expected <= reference.threshold).astype(float))
    for tile, index in zip(tiles, grid.tiles, strict=True):
        np.testing.assert_array_equal(tile.codes, plain.tile(int(index), 5).codes)


def test_a_single_model_has_no_spread(tmp_path: Path):
    judge = ModelSpec(str(write_study(tmp_path, n_species=3, width=8)), None, "cpu").load()
    assert member_spread(judge.checkpoint.model, judge.calibration, None) is None


# Where to look next ----------------------------------------------------------------------------------------


def test_expected_information_worked_by_hand(simulated_atlas):
    store = simulated_atlas.store
    row = 7
    p = store.probabilities(np.array([row]))[0].astype(float)
    seen = dict(zip(store.observed["cell"].tolist(), store.observed["n_records"].tolist(), strict=True))
    land = {h3.int_to_str(int(c)) for c in regions.cells_to_parents(store.cells, 5)}
    land |= {h3.int_to_str(int(c)) for c in seen}

    def density(name):  # the cell and its six neighbours: within 25 km, those farther off are 30 km away
        around = [cell for cell in h3.grid_disk(name, 1) if cell in land]
        area = sum(regions.cell_area_km2(regions.strings_to_cells(around)))
        return 100 * sum(seen.get(h3.str_to_int(cell), 0) for cell in around) / area

    here = density(h3.cell_to_parent(h3.int_to_str(int(store.cells[row])), 5))
    median = float(np.median([density(h3.int_to_str(int(c))) for c, n in seen.items() if n > 0]))
    expected = 100 * (p * (1 - p)).sum() / (store.n_species / 4) * median / (median + here)
    assert here > 0
    assert store.layer("effort")[row] == pytest.approx(here, rel=1e-5)
    assert store.layer("information")[row] == pytest.approx(expected, rel=1e-4)
    assert store.layer("information").max() <= 100


def test_without_records_a_gap_is_whole_and_at_the_median_half():
    np.testing.assert_allclose(applicability.effort_gap(np.array([0.0, 8.0, 24.0]), 8.0), [1, 0.5, 0.25])
    np.testing.assert_allclose(applicability.effort_gap(np.array([np.nan]), np.nan), [1])


def test_next_places_are_one_for_each_neighbourhood_the_best_first(simulated_atlas):
    store = simulated_atlas.store
    rows = np.arange(store.n_cells)
    found = applicability.next_places(store, rows, n_cells=5)
    values = [cell.information for cell in found.cells]
    assert len(found.cells) == 5
    assert values == sorted(values, reverse=True)
    assert values[0] == pytest.approx(store.layer("information").max(), rel=1e-5)
    parents = regions.cells_to_parents(regions.strings_to_cells([cell.cell for cell in found.cells]), 5)
    assert len(set(parents.tolist())) == 5
    assert found.to_dict()["cells"][0]["inside_area_of_applicability"] is None


def test_likely_species_of_a_cell_were_never_recorded_around_it(simulated_atlas):
    store = simulated_atlas.store
    cell = applicability.next_places(store, np.arange(store.n_cells), n_cells=1).cells[0]
    parent = regions.cells_to_parents(regions.strings_to_cells([cell.cell]), 4)[0]
    seen = store.observed_by_species.loc[store.observed_by_species["cell"] == parent, "species_id"]
    names = set(store.species["species"].iloc[seen])
    assert cell.likely
    assert not names & {name for name, _ in cell.likely}
    row = store.rows_of(regions.strings_to_cells([cell.cell]))
    absent = [column for column in range(store.n_species) if column not in set(seen)]
    assert cell.likely[0][1] == pytest.approx(float(store.probabilities(row)[0][absent].max()))


def test_finer_cells_have_the_layers_of_their_parent(atlas_folder: Path, tmp_path: Path):
    whole = PredictionStore.open(atlas_folder)
    row = int(np.flatnonzero(whole.layer("applicability") == 0)[0])
    children = children_of(whole.cells[row : row + 2], whole.resolution + 1)
    codes = np.full((len(children), whole.n_species), 9, dtype=np.uint8)
    fine = write_store(tmp_path / "fine", "fine", whole.resolution + 1, children, codes, whole.species)
    assert "applicability" not in fine.layer_names
    fine.whole = whole
    parents = whole.rows_of(regions.cells_to_parents(fine.cells, whole.resolution))
    np.testing.assert_array_equal(fine.layer("applicability"), whole.layer("applicability")[parents])


def test_a_region_s_experience_names_share_and_predictor(atlas_folder: Path):
    store = PredictionStore.open(atlas_folder)
    rows = np.arange(0, store.n_cells, 2)  # those whose most dissimilar predictor is warmth
    found = applicability.experience_of(store, rows, store.area_ha[rows])
    inside = store.layer("applicability")[rows] > 0
    area = store.area_ha[rows]
    assert found is not None
    assert found.inside_percent == pytest.approx(100 * area[inside].sum() / area.sum())
    negative = store.layer("mess")[rows] < 0
    assert found.beyond_range_percent == pytest.approx(100 * area[negative].sum() / area.sum())
    assert (found.predictor, found.predictor_percent) == ("warmth", pytest.approx(100.0))
    assert np.isnan(found.spread_percent)
    assert found.to_dict()["spread_percent"] is None
    assert found.held_out_text == ""
    rows = {
        name: {"n_sites": n, "f1": f1, "log_loss": loss}
        for name, n, f1, loss in (("inside", 1900, 0.657, 0.0907), ("outside", 100, 0.57, 0.0926))
    }
    settings = {"held_out": {"split": "square blocks of 2°, 5 folds", **rows}}
    assert dataclasses.replace(found, settings=settings).held_out_text == (
        "At held-out sites of the whole atlas (square blocks of 2°, 5 folds), predicted sets of species "
        "reach an F1 of 0.66 inside the area of applicability and 0.57 outside; the log loss is 0.091 inside "
        "and 0.093 outside (100 of 2\u202f000 sites)."
    )
    assert dataclasses.replace(found, predictor="bio12").predictor_text == "precipitation of the year (bio12)"


def test_an_area_outside_the_model_s_experience_has_grade_d(atlas_folder: Path):
    from sdm_core import indicators
    from sdm_core.reports.next_places import experience_facts

    store = PredictionStore.open(atlas_folder)
    rows = np.flatnonzero(store.layer("applicability") == 0)
    trust = applicability.assess_trust(store, rows, indicators.summarise_region(store, rows))
    assert trust.grade == "D"
    criterion = {c.name: c for c in trust.criteria}["applicability"]
    assert (criterion.grade, criterion.value) == ("D", 0.0)
    assert trust.to_dict()["experience"]["inside_percent"] == 0.0
    facts = {row["label"]: row["value"] for row in experience_facts(trust.experience)}
    assert facts["Inside the area of applicability"] == "0.0 % of the area"
    assert facts["What limits the model most"] in ("warmth", "rain")
