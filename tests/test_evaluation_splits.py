"""Splits by place and time: blocks, buffers against distances by hand, regions, years, validation rows."""

from __future__ import annotations

from pathlib import Path

import h3
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from sdm_core.errors import ConfigurationError
from sdm_core.evaluation import (
    Split,
    as_split,
    block_folds,
    block_of,
    countries_held_out,
    countries_of_sites,
    h3_blocks,
    kmeans_block_of,
    kmeans_blocks,
    leave_one_block_out,
    leave_one_site_out,
    regions_held_out,
    spatial_validation_rows,
    square_blocks,
    temporal_split,
    with_buffer,
)


@pytest.fixture
def places() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.column_stack([rng.uniform(-10, 30, 2000), rng.uniform(36, 70, 2000)])


def distance_km(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Great-circle distances (len(a), len(b)) by the spherical law of cosines on unit vectors."""
    xyz = []
    for lonlat in (a, b):
        longitude, latitude = np.radians(lonlat).T
        xyz.append(
            np.stack(
                [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)]
            )
        )
    return 6371.0088 * np.arccos(np.clip(xyz[0].T @ xyz[1], -1, 1))


@pytest.mark.parametrize("assignment", ["random", "balanced"])
def test_sites_of_one_block_share_a_fold_and_every_fold_has_sites(
    places: np.ndarray, assignment: str
) -> None:
    folds = block_folds(places, 2.0, assignment=assignment)  # type: ignore[arg-type]
    by_block: dict[tuple[int, int], set[int]] = {}
    for (longitude, latitude), fold in zip(places, folds, strict=True):
        by_block.setdefault((int(longitude // 2), int(latitude // 2)), set()).add(int(fold))
    assert all(len(found) == 1 for found in by_block.values())
    assert set(folds) == {0, 1, 2, 3, 4}


def test_balanced_folds_have_nearly_the_same_number_of_sites(places: np.ndarray) -> None:
    crowded = np.concatenate([places, np.tile([5.0, 45.0], (300, 1))])
    sizes = np.bincount(block_folds(crowded, 2.0, assignment="balanced"))
    assert sizes.max() - sizes.min() <= 3


def test_blocks_are_floors_of_degrees_also_west_and_south_of_zero() -> None:
    blocks = block_of(np.array([[-0.1, 45.0], [0.1, 45.0], [-2.0, -0.1]]), 2.0)
    np.testing.assert_array_equal(blocks, [[-1, 22], [0, 22], [-1, -1]])


def test_folds_follow_their_seed_and_too_few_blocks_are_refused(places: np.ndarray) -> None:
    np.testing.assert_array_equal(block_folds(places, 2.0, seed=4), block_folds(places, 2.0, seed=4))
    assert (block_folds(places, 2.0, seed=4) != block_folds(places, 2.0, seed=5)).any()
    with pytest.raises(ConfigurationError, match=r"1 blocks of 90° cannot make 5 folds"):
        block_folds(np.array([[1.0, 2.0], [3.0, 4.0]]), 90.0)
    with pytest.raises(ConfigurationError, match="block_deg = 0"):
        block_folds(places, 0)


def assert_blocks_stay_whole(split: Split, blocks: np.ndarray) -> None:
    names, index = np.unique(blocks, axis=0, return_inverse=True)
    for block in range(len(names)):
        assert len(set(split.folds[index.ravel() == block])) == 1


def test_square_blocks_are_the_folds_of_block_folds(places: np.ndarray) -> None:
    split = square_blocks(places, 2.0, n_folds=4, seed=3, assignment="balanced")
    np.testing.assert_array_equal(split.folds, block_folds(places, 2.0, 4, 3, "balanced"))
    assert split.name == "square blocks of 2°, 4 folds" and split.tested.all()


def test_h3_blocks_keep_the_cells_of_the_reference_library_whole(places: np.ndarray) -> None:
    split = h3_blocks(places, 2)
    cells = np.array([h3.latlng_to_cell(latitude, longitude, 2) for longitude, latitude in places])
    assert_blocks_stay_whole(split, cells)
    assert set(split.folds) == {0, 1, 2, 3, 4}
    with pytest.raises(ConfigurationError, match="1 H3 cells of resolution 0 cannot make 2 folds"):
        h3_blocks(np.tile([5.0, 45.0], (9, 1)), 0, n_folds=2)


def test_kmeans_blocks_find_the_clusters_there_are_across_the_date_line() -> None:
    rng = np.random.default_rng(1)
    centres = np.array([[179.9, 0.0], [0.0, 89.5], [0.0, 0.0]])
    lonlat = np.concatenate([centre + rng.normal(0, 0.3, (40, 2)) for centre in centres])
    lonlat[:, 0] = (lonlat[:, 0] + 180) % 360 - 180  # some sites beyond 180 are at -180 now
    lonlat[40:80, 0] = rng.uniform(-180, 180, 40)  # all around the pole
    lonlat[:, 1] = np.clip(lonlat[:, 1], -90, 90)
    blocks = kmeans_block_of(lonlat, 3)
    assert [len(set(blocks[part])) for part in (slice(0, 40), slice(40, 80), slice(80, 120))] == [1, 1, 1]
    split = kmeans_blocks(lonlat, 3, n_folds=3)
    assert_blocks_stay_whole(split, blocks)
    np.testing.assert_array_equal(blocks, kmeans_block_of(lonlat, 3))
    with pytest.raises(ConfigurationError, match="n_blocks = 121; expected 1 to 120"):
        kmeans_block_of(lonlat, 121)
    with pytest.raises(ConfigurationError, match="3 k-means blocks cannot make 5 folds"):
        kmeans_blocks(lonlat, 3)


def test_a_fold_trains_on_all_sites_but_its_own(places: np.ndarray) -> None:
    split = square_blocks(places, 2.0)
    seen = np.zeros(len(places), dtype=int)
    for fold, train, test in split:
        assert not np.intersect1d(train, test).size and len(train) + len(test) == len(places)
        np.testing.assert_array_equal(np.flatnonzero(split.training_mask(fold)), train)
        seen[test] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("buffer_km", [0.0, 40.0, 150.0])
def test_a_buffer_leaves_out_exactly_the_sites_nearer_than_it(places: np.ndarray, buffer_km: float) -> None:
    lonlat = places[:400]
    split = with_buffer(square_blocks(lonlat, 5.0), lonlat, buffer_km)
    for fold, train, test in split:
        others = np.flatnonzero(split.folds != fold)
        nearest = distance_km(lonlat[others], lonlat[test]).min(axis=1)
        np.testing.assert_array_equal(train, others[nearest >= buffer_km])


def test_a_buffer_reaches_across_the_date_line_and_the_pole() -> None:
    lonlat = np.array([[179.99, 0.0], [-179.99, 0.0], [0.0, 89.99], [180.0, 89.99], [50.0, 0.0]])
    split = with_buffer(leave_one_site_out(5), lonlat, 5.0)
    assert split.name == "one site at a time, buffer 5 km"
    np.testing.assert_array_equal(split.train_rows(0), [2, 3, 4])
    np.testing.assert_array_equal(split.train_rows(2), [0, 1, 4])
    np.testing.assert_array_equal(split.train_rows(4), [0, 1, 2, 3])


def test_a_second_buffer_keeps_what_the_first_left_out(places: np.ndarray) -> None:
    lonlat = places[:200]
    wide = with_buffer(square_blocks(lonlat, 5.0), lonlat, 200.0)
    again = with_buffer(wide, lonlat, 10.0)
    np.testing.assert_array_equal(again.train_rows(1), wide.train_rows(1))


def test_one_block_at_a_time_tests_every_block_once(places: np.ndarray) -> None:
    blocks = block_of(places, 10.0)
    split = leave_one_block_out(blocks)
    assert split.n_folds == len(np.unique(blocks, axis=0))
    assert_blocks_stay_whole(split, blocks)


def test_a_held_out_region_is_trained_on_by_all_other_folds() -> None:
    labels = np.array(["b", "a", "b", "c", "a", "a"])
    split = regions_held_out(labels)
    np.testing.assert_array_equal(split.folds, [1, 0, 1, 2, 0, 0])
    few = regions_held_out(labels, min_sites=2)
    np.testing.assert_array_equal(few.folds, [1, 0, 1, -1, 0, 0])
    assert all(3 in few.train_rows(fold) for fold in range(2)) and few.name == "one region at a time: a, b"
    one = regions_held_out(labels, held_out=["c"])
    assert one.n_folds == 1 and list(one.test_rows(0)) == [3] and list(one.train_rows(0)) == [0, 1, 2, 4, 5]


def test_sites_of_no_region_follow_the_named_rule() -> None:
    labels = ["a", "", "b"]
    with pytest.raises(ConfigurationError, match="1 of 3 sites have no region; give it, or choose"):
        regions_held_out(labels)
    assert list(regions_held_out(labels, unknown="train").train_rows(0)) == [1, 2]
    assert list(regions_held_out(labels, unknown="drop").train_rows(0)) == [2]
    with pytest.raises(ConfigurationError, match="unknown = 'guess'; expected refuse, train or drop"):
        regions_held_out(labels, unknown="guess")  # type: ignore[arg-type]


def test_regions_without_sites_or_one_region_alone_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="No site lies in the region Norway; sites lie in a, b"):
        regions_held_out(["a", "b"], held_out=["Norway"])
    with pytest.raises(ConfigurationError, match="All sites lie in 1 region"):
        regions_held_out(["a", "a"])


def test_cities_lie_in_their_countries_and_the_ocean_in_none() -> None:
    # Paris, Madrid, Oslo, Vienna; a buoy 10 km off Brittany (nearest coast France); mid-Atlantic
    lonlat = np.array(
        [[2.35, 48.86], [-3.70, 40.42], [10.75, 59.91], [16.37, 48.21], [-4.95, 48.30], [-25, 45.0]]
    )
    assert list(countries_of_sites(lonlat)) == ["France", "Spain", "Norway", "Austria", "France", ""]
    split = countries_held_out(lonlat)
    np.testing.assert_array_equal(split.folds, [1, 3, 2, 0, 1, -1])
    assert split.name == "one country at a time: Austria, France, Norway, Spain"


def test_countries_may_come_from_any_outlines() -> None:
    outlines = {"west": shapely.box(0, 0, 1, 1), "east": shapely.box(1, 0, 2, 1)}
    lonlat = np.array([[0.5, 0.5], [1.5, 0.5], [1.0, 0.5], [2.1, 0.5], [2.3, 0.5]])
    # 0.1 degrees are 11 km, 0.3 degrees 33 km
    assert list(countries_of_sites(lonlat, outlines)) == ["west", "east", "west", "east", ""]
    assert list(countries_of_sites(lonlat, outlines, reach_km=5.0))[3:] == ["", ""]


def test_natural_earth_countries_hold_the_sites_inside_them(data_dir: Path) -> None:
    geopandas = pytest.importorskip("geopandas")
    files = sorted((data_dir / "natural_earth").glob("*admin_0_countries.json"))
    if not files:
        pytest.skip("no Natural Earth countries in the data folder")
    table = geopandas.read_file(files[0])
    column = next(c for c in table.columns if c.upper() in ("NAME", "ADMIN", "NAME_EN"))
    outlines = dict(zip(table[column], table.geometry, strict=True))
    assert list(countries_of_sites(np.array([[2.35, 48.86], [149.1, -35.3]]), outlines)) == [
        "France",
        "Australia",
    ]


def test_later_years_are_tested_by_a_model_of_earlier_ones() -> None:
    years = np.array([1990, 2005, 2010, 2020])
    split = temporal_split(years, 2010)
    assert list(split.train_rows(0)) == [0, 1] and list(split.test_rows(0)) == [2, 3] and split.n_folds == 1
    np.testing.assert_array_equal(split.tested, [False, False, True, True])


def test_unknown_years_follow_the_named_rule() -> None:
    years = np.array([1990, np.nan, 2020])
    with pytest.raises(ConfigurationError, match="1 of 3 sites have no year"):
        temporal_split(years, 2010)
    assert list(temporal_split(years, 2010, unknown="train").train_rows(0)) == [0, 1]
    dropped = temporal_split(years, 2010, unknown="drop")
    assert list(dropped.train_rows(0)) == [0] and list(dropped.test_rows(0)) == [2]


def test_a_year_with_nothing_before_or_after_it_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="No site is dated from 2030; years run from 1990 to 2020"):
        temporal_split(np.array([1990, 2020]), 2030)
    with pytest.raises(ConfigurationError, match="No site is dated before 1990"):
        temporal_split(np.array([1990, 2020]), 1990)
    with pytest.raises(ConfigurationError, match="no year is known"):
        temporal_split(np.array([np.nan]), 1990, unknown="train")


@settings(max_examples=40)
@given(st.floats(0.05, 0.6), st.integers(0, 20))
def test_validation_rows_are_whole_blocks_of_about_the_share_wanted(share: float, seed: int) -> None:
    rng = np.random.default_rng(1)
    lonlat = np.column_stack([rng.uniform(0, 20, 1500), rng.uniform(40, 55, 1500)])
    rows = spatial_validation_rows(lonlat, share, block_deg=1.0, seed=seed)
    assert abs(len(rows) / 1500 - share) < 0.01
    held = np.zeros(1500, dtype=int)
    held[rows] = 1
    _, index = np.unique(block_of(lonlat, 1.0), axis=0, return_inverse=True)
    sums, sizes = np.bincount(index.ravel(), held), np.bincount(index.ravel())
    assert ((sums == 0) | (sums == sizes)).all()
    np.testing.assert_array_equal(rows, spatial_validation_rows(lonlat, share, 1.0, seed))


def test_validation_always_has_a_block_and_leaves_one() -> None:
    two = np.array([[0.5, 0.5]] * 5 + [[5.5, 0.5]] * 6)
    for seed in range(4):
        for share in (0.01, 0.5, 0.99):
            assert len(spatial_validation_rows(two, share, 1.0, seed)) in (5, 6)
    with pytest.raises(ConfigurationError, match="All 5 sites lie in 1 block of 1°"):
        spatial_validation_rows(two[:5], 0.2, 1.0)
    with pytest.raises(ConfigurationError, match="share = 1; expected"):
        spatial_validation_rows(two, 1)


def test_fold_numbers_become_a_split_in_their_order() -> None:
    split = as_split(np.array([7, 3, 3, -1, 9]))
    np.testing.assert_array_equal(split.folds, [1, 0, 0, -1, 2])
    assert as_split(split) is split


def test_splits_that_test_or_train_nothing_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="tests no site"):
        Split("none", np.array([-1, -1]))
    with pytest.raises(ConfigurationError, match="fold 1 has none"):
        Split("gap", np.array([0, 2]))
    with pytest.raises(ConfigurationError, match="leaves no site to train on"):
        Split("all", np.array([0, 0]))
    with pytest.raises(ConfigurationError, match=r"Fold 0 .* leaves no site to train on"):
        with_buffer(Split("pair", np.array([0, 1])), np.array([[0.0, 0.0], [0.1, 0.0]]), 50.0)
    with pytest.raises(ConfigurationError, match="2 folds but leaves out sites for 1"):
        Split("short", np.array([0, 1]), (np.array([0]),))
    with pytest.raises(ConfigurationError, match="buffer_km = -1"):
        with_buffer(Split("pair", np.array([0, 1])), np.zeros((2, 2)), -1)
    with pytest.raises(ConfigurationError, match="3 sites do not fit a split of 2 sites"):
        with_buffer(Split("pair", np.array([0, 1])), np.zeros((3, 2)), 1)
    with pytest.raises(ConfigurationError, match="1 of 2 sites have no longitude or latitude"):
        square_blocks(np.array([[0.0, 1.0], [np.nan, 1.0]]), 1.0)
    with pytest.raises(ConfigurationError, match="n_folds = 1; expected 2 or more"):
        block_folds(np.array([[0.0, 1.0], [5.0, 1.0]]), 1.0, n_folds=1)
    with pytest.raises(ConfigurationError, match="assignment = 'even'"):
        block_folds(np.array([[0.0, 1.0], [5.0, 1.0]]), 1.0, 2, assignment="even")  # type: ignore[arg-type]


def test_regions_all_too_small_to_be_held_out_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"No country has 9 sites \(the most have 2\); lower"):
        regions_held_out(np.array(["Italy", "Spain", "Spain"]), min_sites=9, what="country")
