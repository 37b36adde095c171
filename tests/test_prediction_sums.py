"""Totals of regions and maps at coarser resolutions: exact, however they are added up."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sdm_core import prediction, regions
from sdm_core.errors import NoDataInRegionError
from sdm_core.prediction import (
    PredictionStore,
    RegionSums,
    decode,
    encode,
    hectare_quantum,
    quantised_hectares,
)
from sdm_core.prediction.sums import exact_total, rows_of_runs, runs_of, whole_parents
from sdm_core.registry import Atlas
from tests import make_store


def random_store(folder: Path, resolution: int, n_species: int, seed: int = 0) -> PredictionStore:
    """All cells at a resolution below one coarse cell, a tenth of them left out, with random codes."""
    generator = np.random.default_rng(seed)
    parent = regions.lonlat_to_cells([10.0], [47.0], resolution - 3)
    children = regions.cells_in_polygon(regions.cell_polygons(parent)[0].buffer(0.05), resolution)
    cells = children[generator.random(len(children)) > 0.1]
    codes = generator.integers(0, 256, (len(cells), n_species), dtype=np.uint8)
    species = make_store.simulated_species().iloc[:n_species]
    return prediction.write_store(folder, "random", resolution, cells, codes, species)


@pytest.fixture(scope="module", params=[5, 6, 8])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> PredictionStore:
    return random_store(tmp_path_factory.mktemp("sums") / "store", request.param, 7)


def exact_squares(store: PredictionStore, rows: np.ndarray, hectares: np.ndarray) -> list[Fraction]:
    """Σ hectares · code² per species with Python's own unlimited numbers."""
    total = [Fraction(0)] * store.n_species
    for row, area in zip(rows.tolist(), hectares.tolist(), strict=True):
        for species_id, code in enumerate(store.codes[row].tolist()):
            total[species_id] += Fraction(area) * code * code
    return total


@st.composite
def rows_and_shares(draw: st.DrawFn, n_cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Any subset of rows: stretches, holes in them, single ones; and how much of each cell is inside."""
    chosen = np.zeros(n_cells, dtype=bool)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, n_cells - 1))
        chosen[start : draw(st.integers(start + 1, n_cells))] = True
    chosen[draw(st.lists(st.integers(0, n_cells - 1), max_size=8))] = False
    chosen[draw(st.lists(st.integers(0, n_cells - 1), min_size=1, max_size=3))] = True
    rows = np.flatnonzero(chosen)
    shares = np.ones(len(rows))
    for _ in range(draw(st.integers(0, 4))):
        shares[draw(st.integers(0, len(rows) - 1))] = draw(st.sampled_from([0.0, 0.001, 0.37, 0.999]))
    return rows, shares


@settings(max_examples=60)
@given(data=st.data())
def test_totals_are_exact_for_any_rows_and_any_part_of_their_area(
    store: PredictionStore, data: st.DataObject
):
    rows, shares = data.draw(rows_and_shares(store.n_cells))
    quantum = hectare_quantum(store.resolution)
    hectares = np.floor(store.area_ha[rows] * shares / quantum) * quantum
    if not hectares.any():
        with pytest.raises(NoDataInRegionError, match="none of the area"):
            store.region_sums(rows, hectares)
        return
    fast, plain = store.region_sums(rows, hectares), store.scan_sums(rows, hectares)
    np.testing.assert_array_equal(fast.weighted_squares, plain.weighted_squares)
    np.testing.assert_array_equal(fast.max_codes, plain.max_codes)
    assert [Fraction(value) for value in fast.weighted_squares] == exact_squares(store, rows, hectares)
    np.testing.assert_array_equal(fast.max_codes, store.codes[rows].max(axis=0))
    assert Fraction(fast.hectares) == sum(map(Fraction, hectares.tolist()))
    assert (fast.n_cells, fast.hectares) == (plain.n_cells, plain.hectares)


@settings(max_examples=20)
@given(data=st.data())
def test_whole_areas_given_or_left_out_are_the_same_in_any_order(store: PredictionStore, data: st.DataObject):
    rows, _ = data.draw(rows_and_shares(store.n_cells))
    order = np.random.default_rng(0).permutation(len(rows))
    given_, left_out = store.region_sums(rows[order], store.area_ha[rows[order]]), store.region_sums(rows)
    np.testing.assert_array_equal(given_.weighted_squares, left_out.weighted_squares)
    assert given_.hectares == left_out.hectares


def test_areas_that_do_not_fit_are_refused(store: PredictionStore):
    area = store.area_ha[:3]
    quantum = hectare_quantum(store.resolution)
    for wrong in (area + quantum, -area, area - quantum / 2, area * np.nan):
        with pytest.raises(
            ValueError, match="hectares of rows must be from 0 to the area of the cell, in steps"
        ):
            store.region_sums([0, 1, 2], wrong)
    with pytest.raises(ValueError, match="give one number per row"):
        store.region_sums([0, 1, 2], area[:2])


def test_the_pyramid_spares_nearly_all_rows_of_a_large_region(
    store: PredictionStore, monkeypatch: pytest.MonkeyPatch
):
    from sdm_core.prediction import sums

    read: list[int] = []
    plain = sums.Totals.add_cells
    monkeypatch.setattr(
        sums.Totals,
        "add_cells",
        lambda self, codes, rows, quanta: (read.append(len(rows)), plain(self, codes, rows, quanta)),
    )
    store.region_sums(np.arange(1, store.n_cells - 1))
    assert sum(read) < 30 < store.n_cells / 4


def test_areas_are_whole_hectares_down_to_resolution_6_and_within_half_a_quantum_below():
    for resolution in (3, 6, 7, 9, 11):
        cells = regions.lonlat_to_cells([10.0, 25.0], [47.0, 61.0], resolution)
        area_ha = regions.cell_area_km2(cells) * 100
        kept = quantised_hectares(area_ha / 100, resolution)
        quantum = hectare_quantum(resolution)
        np.testing.assert_array_equal(kept / quantum, np.rint(kept / quantum))
        assert (np.abs(kept - area_ha) <= quantum / 2).all()
        assert quantum == (1 if resolution <= 6 else 1 / 128)
    assert quantised_hectares([0.0], 7)[0] == 1 / 128


# What follows from the totals -----------------------------------------------------------------------------


def test_indicators_follow_from_the_totals(simulated_atlas: Atlas):
    store = simulated_atlas.store
    rows = np.arange(30, 200)
    area = store.area_ha[rows]
    probability = decode(store.codes[rows])
    sums = store.region_sums(rows)
    assert sums.expected_richness == pytest.approx(
        np.average(probability.sum(axis=1), weights=area), rel=1e-12
    )
    assert sums.gamma_lower == pytest.approx(probability.max(axis=0).sum(), rel=1e-12)
    shares = area @ probability / (area @ probability).sum()
    np.testing.assert_allclose(sums.occupancy_shares, shares, rtol=1e-12)
    flagged = (store.species["habitats_directive"] != "").to_numpy()
    assert flagged.sum() == 7
    assert sums.group_area_km2(flagged) == pytest.approx((area @ probability)[flagged].sum() / 100, rel=1e-12)
    assert sums.group_max(flagged) == pytest.approx(probability[:, flagged].max(), rel=1e-12)
    assert sums.group_area_km2(np.flatnonzero(flagged)) == sums.group_area_km2(flagged)
    assert (sums.group_area_km2(np.zeros(40, bool)), sums.group_max(np.zeros(40, bool))) == (0.0, 0.0)


def test_a_region_without_any_species_has_no_shares():
    sums = RegionSums(2, 10.0, np.zeros(3), np.zeros(3, dtype=np.uint8))
    assert np.isnan(sums.occupancy_shares).all()
    assert (sums.expected_richness, sums.gamma_lower) == (0.0, 0.0)


@given(st.lists(st.integers(0, 2**53 - 1), min_size=1, max_size=50))
def test_totals_over_species_are_rounded_once(quanta: list[int]):
    values = np.array(quanta, dtype=np.float64) / 128
    assert exact_total(values) == float(Fraction(sum(quanta), 128))


@given(st.sets(st.integers(0, 300), min_size=1), st.sets(st.integers(1, 299)))
def test_runs_hold_all_rows_and_parents_are_taken_once(rows: set[int], cuts: set[int]):
    wanted = np.array(sorted(rows))
    first, stop = runs_of(wanted)
    np.testing.assert_array_equal(rows_of_runs(first, stop), wanted)
    assert (first[1:] > stop[:-1]).all()
    starts = np.array([0, *sorted(cuts), 301])
    parents, left_first, left_stop = whole_parents(first, stop, starts)
    expected = [i for i in range(len(starts) - 1) if set(range(starts[i], starts[i + 1])) <= rows]
    assert parents.tolist() == expected
    of_parents = {row for i in expected for row in range(starts[i], starts[i + 1])}
    assert rows_of_runs(left_first, left_stop).tolist() == sorted(rows - of_parents)


# Coarser resolutions --------------------------------------------------------------------------------------


def test_a_species_map_at_a_coarser_resolution_is_the_exact_area_weighted_mean(store: PredictionStore):
    for resolution in (store.resolution, store.resolution - 1, store.resolution - 3):
        cells, mean = store.species_map_at(3, resolution)
        assert (np.diff(cells.astype(np.int64)) > 0).all()
        for cell, value in list(zip(cells.tolist(), mean.tolist(), strict=True))[::5]:
            rows = store.rows_under(cell)
            squares = exact_squares(store, rows, store.area_ha[rows])[3]
            area = sum(map(Fraction, store.area_ha[rows].tolist()))
            assert value == float(squares / (65025 * area))
        parents, plain = store.aggregate(decode(store.species_map(3)), resolution)
        np.testing.assert_array_equal(parents, cells)
        np.testing.assert_allclose(mean, plain, rtol=1e-12)


# Small probabilities --------------------------------------------------------------------------------------


@given(arrays(np.float64, st.integers(1, 50), elements=st.floats(0, 1) | st.floats(0, 1e-3)))
def test_probabilities_above_the_smallest_step_stay_above_zero_within_the_stated_error(
    probability: np.ndarray,
):
    code = encode(probability)
    error = np.abs(decode(code) - probability)
    assert (error <= np.sqrt(probability) / 255 + 1 / 260100 + 1e-12).all()
    assert (code[probability >= 1.5e-5] > 0).all()
    assert (error[probability < 0.1] <= 0.0013).all()
    order = np.argsort(probability, kind="stable")
    assert (np.diff(code[order].astype(int)) >= 0).all()
