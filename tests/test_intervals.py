"""Intervals: errors read from held-out sites, and what they say of regions and of single cells."""

from __future__ import annotations

import dataclasses
from math import factorial

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from sdm_core import diversity, intervals
from sdm_core.assemblages import poisson_binomial_interval
from sdm_core.intervals.fitting import PairSums, series_terms
from sdm_core.intervals.latent import ErrorModelError, conditional_table, squares_of
from sdm_core.prediction.code import PROBABILITY_OF_CODE, decode, encode

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(60)
WEIGHTS = WEIGHTS / WEIGHTS.sum()
MODEL = intervals.ErrorModel((0.5, 1.0, 2.0), (0.4, 0.3, 0.2), (0.08, 0.05, 0.02), 0.15, 1000, 50)


def simulated(
    seed: int = 0, n_squares: int = 80, n_species: int = 40
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities, presences, places and folds of sites whose hidden normals follow `MODEL`."""
    generator = np.random.default_rng(seed)
    corner = np.stack(np.divmod(np.arange(n_squares), 10), axis=1) * 2.0
    lonlat = (corner[:, None, :] + generator.random((n_squares, 16, 2)) * 2.0).reshape(-1, 2)
    hidden = np.zeros((len(lonlat), n_species))
    same, other = (*MODEL.same_species, 0.0), (*MODEL.other_species, 0.0)
    for level, side in enumerate(MODEL.scales_deg):
        number = np.unique(np.floor(lonlat / side), axis=0, return_inverse=True)[1].ravel()
        shared = other[level] - other[level + 1]
        own = same[level] - same[level + 1] - shared
        hidden += np.sqrt(shared) * generator.standard_normal((number.max() + 1, 1))[number]
        hidden += np.sqrt(own) * generator.standard_normal((number.max() + 1, n_species))[number]
    here = MODEL.other_species_here - other[0]
    hidden += np.sqrt(here) * generator.standard_normal((len(lonlat), 1))
    hidden += np.sqrt(1.0 - same[0] - here) * generator.standard_normal(hidden.shape)
    p = generator.beta(0.4, 1.6, n_species) * np.ones((len(lonlat), 1))
    p = np.clip(p * np.exp(0.3 * generator.standard_normal(p.shape)), 0.001, 0.99)
    folds = (np.arange(n_squares) % 5).repeat(16)
    return p, (hidden < norm.ppf(p)).astype(np.uint8), lonlat, folds


def test_drawing_errors_moves_no_expectation():
    mean = WEIGHTS @ conditional_table(0.35, NODES)
    np.testing.assert_allclose(mean, PROBABILITY_OF_CODE, atol=2e-6)


def test_two_places_are_present_together_as_hidden_normals_say():
    """Independent: the bivariate normal distribution of SciPy."""
    table = conditional_table(0.35, NODES)
    for first, second in ((60, 60), (30, 200), (120, 250)):
        deviates = norm.ppf(PROBABILITY_OF_CODE[[first, second]])
        expected = multivariate_normal(cov=[[1.0, 0.35], [0.35, 1.0]]).cdf(deviates)
        assert WEIGHTS @ (table[:, first] * table[:, second]) == pytest.approx(expected, abs=1e-5)


def test_the_series_is_the_covariance_of_presences():
    """Independent: the bivariate normal distribution of SciPy; five terms leave less than 1 % at ρ = 0.4."""
    deviates = norm.ppf([[0.02, 0.1, 0.4, 0.7]])
    terms = list(series_terms(deviates))
    for first, second in ((0, 1), (1, 1), (2, 3), (0, 3)):
        together = multivariate_normal(cov=[[1.0, 0.4], [0.4, 1.0]]).cdf(deviates[0, [first, second]])
        expected = together - norm.cdf(deviates[0, first]) * norm.cdf(deviates[0, second])
        found = sum(0.4**k / factorial(k) * h[0, first] * h[0, second] for k, h in enumerate(terms, start=1))
        assert found == pytest.approx(expected, rel=0.01, abs=2e-5)


def test_sums_over_pairs_equal_those_taken_pair_by_pair():
    generator = np.random.default_rng(2)
    values, points = generator.standard_normal((14, 3)), generator.random((14, 2)) * 4
    squares = [squares_of(points, side) for side in (1, 2, 4)]
    same, other, here = np.zeros(3), np.zeros(3), 0.0
    for i in range(14):
        for j in range(14):
            shared = [level for level in range(3) if squares[level][i] == squares[level][j]]
            products = np.outer(values[i], values[j])
            if i == j:
                here += products.sum() - np.trace(products)
            else:
                same[shared[0]] += np.trace(products)
                other[shared[0]] += products.sum() - np.trace(products)
    found = PairSums.of(values, squares)
    np.testing.assert_allclose(found.same, same, atol=1e-9)
    np.testing.assert_allclose(found.other, other, atol=1e-9)
    assert found.other_here == pytest.approx(here)


def test_correlations_are_recovered_from_presences():
    p, seen, lonlat, _ = simulated(n_squares=300)
    found = intervals.fit_error_model(p, seen, lonlat, 2.0)
    assert found.scales_deg == (0.25, 0.5, 1.0, 2.0)
    np.testing.assert_allclose(found.same_species[1:], MODEL.same_species, atol=0.04)
    np.testing.assert_allclose(found.other_species[1:], MODEL.other_species, atol=0.02)
    assert found.other_species_here == pytest.approx(MODEL.other_species_here, abs=0.03)
    assert (found.n_sites, found.n_blocks) == (len(p), 300)


def test_every_held_out_block_weighs_alike_however_many_sites_it_has():
    p, seen, lonlat, _ = simulated(n_squares=200)
    block = np.arange(200).repeat(16)
    chance = np.random.default_rng(1).random(p.shape) < p
    few = (np.arange(len(p)) % 16 < 4) & (block < 100)  # four sites each, whose errors hang together
    many = block >= 100  # sixteen sites each, pure chance
    mixed = np.where(many[:, None], chance, seen)[few | many]
    found = intervals.fit_error_model(p[few | many], mixed, lonlat[few | many], 2.0)
    assert found.same_species[-1] == pytest.approx(MODEL.same_species[-1] / 2, abs=0.04)


def test_errors_that_are_pure_chance_have_no_correlation():
    p, _, lonlat, _ = simulated(n_squares=200)
    seen = np.random.default_rng(1).random(p.shape) < p
    found = intervals.fit_error_model(p, seen, lonlat, 2.0)
    assert max(found.same_species[1:]) < 0.02 and found.other_species_here < 0.02


def test_an_error_model_survives_saving():
    assert intervals.ErrorModel.from_dict(MODEL.to_dict()) == MODEL


@pytest.fixture(scope="module")
def region() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes, areas and places of 200 cells of 30 species, the last never there."""
    p, _, lonlat, _ = simulated(3, n_squares=13, n_species=30)
    p[:, -1] = 0.0
    return encode(p[:200]), np.linspace(20.0, 40.0, 200), lonlat[:200]


def test_areas_are_drawn_around_what_is_expected(region):
    codes, area, lonlat = region
    draws = intervals.draw_region(codes, area, lonlat, MODEL, n_draws=4000)
    expected = area @ decode(codes)
    np.testing.assert_allclose(draws.area.mean(axis=0)[:-1], expected[:-1], rtol=0.06)
    assert (draws.area[:, -1] == 0).all() and draws.low[-1] == draws.high[-1] == 0
    assert (draws.low[:-1] < expected[:-1]).all() and (expected[:-1] < draws.high[:-1]).all()
    inside = (draws.low <= draws.area) & (draws.area <= draws.high)
    assert inside[:, :-1].mean() == pytest.approx(intervals.LEVEL, abs=0.01)


def test_errors_of_many_squares_average_out(region):
    codes, area, lonlat = region
    here = intervals.draw_region(codes, area, lonlat * 0.001, MODEL)
    wide = intervals.draw_region(codes, area, lonlat, MODEL)
    assert np.allclose(here.correlation[:-1], MODEL.same_species[0])
    assert (wide.correlation[:-1] < 0.1).all()
    assert ((wide.high - wide.low) < (here.high - here.low))[:-1].all()


def test_the_correlation_of_a_region_is_the_mean_over_pairs_of_cells(region):
    codes, area, lonlat = region
    few, w, places = codes[:12], area[:12], lonlat[:12]
    moved = np.exp(-(norm.ppf(np.clip(decode(few), 1e-7, 1)) ** 2) / 2) * (few > 0) * w[:, None]
    pair = np.zeros((12, 12))
    for side, rho in zip(MODEL.scales_deg[::-1], MODEL.same_species[::-1], strict=True):
        square = np.floor(places / side)
        pair[(square[:, None] == square[None]).all(axis=2)] = rho
    expected = np.einsum("is,ij,js->s", moved, pair, moved)[:-1] / moved.sum(axis=0)[:-1] ** 2
    found = intervals.draw_region(few, w, places, MODEL).correlation[:-1]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_what_species_share_over_a_region_is_the_mean_over_pairs_of_cells(region):
    codes, area, lonlat = region
    few, w, places = codes[:12], area[:12], lonlat[:12]
    moved = np.exp(-(norm.ppf(np.clip(decode(few), 1e-7, 1)) ** 2) / 2) * (few > 0) * w[:, None]
    total = moved.sum(axis=1)
    pair = np.zeros((12, 12))
    for side, rho in zip(MODEL.scales_deg[::-1], MODEL.other_species[::-1], strict=True):
        square = np.floor(places / side)
        pair[(square[:, None] == square[None]).all(axis=2)] = rho
    shared = total @ pair @ total / total.sum() ** 2
    np.fill_diagonal(pair, MODEL.other_species_here)
    draws = intervals.draw_region(few, w, places, MODEL, n_draws=8000)
    assert draws.common == pytest.approx(total @ pair @ total / total.sum() ** 2)
    scores = norm.ppf((np.argsort(np.argsort(draws.area[:, :2], axis=0), axis=0) + 0.5) / 8000)
    expected = shared / np.sqrt(draws.correlation[0] * draws.correlation[1])
    assert np.corrcoef(scores.T)[0, 1] == pytest.approx(expected, abs=0.03)


def test_without_errors_an_interval_is_a_point(region):
    codes, area, lonlat = region
    sure = intervals.ErrorModel((1.0,), (0.0,), (0.0,), 0.0, 10, 10)
    draws = intervals.draw_region(codes, area, lonlat, sure)
    expected = float(diversity.shannon(area @ decode(codes)))
    assert draws.interval(diversity.shannon) == pytest.approx((expected, expected), abs=1e-9)


def test_independent_species_count_as_poisson_binomial(region):
    codes, area, lonlat = region
    sure = intervals.ErrorModel((1.0,), (0.0,), (0.0,), 0.0, 10, 10)
    best = codes.max(axis=0)
    low, high = intervals.draw_region(codes, area, lonlat, sure, n_draws=4000).count_interval(best)
    exact = poisson_binomial_interval(decode(best), intervals.LEVEL)
    assert abs(low - exact[0]) <= 1 and abs(high - exact[1]) <= 1


def test_a_sample_of_cells_is_scaled_to_the_totals_of_all(region):
    codes, area, lonlat = region
    totals = area @ decode(codes)
    draws = intervals.draw_region(codes[::4], area[::4], lonlat[::4], MODEL, totals, n_draws=4000)
    np.testing.assert_allclose(draws.area.mean(axis=0), totals, rtol=0.06)
    none_seen = intervals.draw_region(codes[::4] * 0, area[::4], lonlat[::4], MODEL, totals)
    np.testing.assert_allclose(none_seen.area, np.broadcast_to(totals, none_seen.area.shape))


def test_a_sample_of_cells_has_the_correlations_of_all(region):
    codes, area, lonlat = region
    whole = intervals.draw_region(codes, area, lonlat, MODEL)
    order = np.random.default_rng(0).permutation(len(codes))
    found, without = [], []
    for start in range(10):  # each cell once, ten in ten samples
        few = order[start::10]
        sample = codes[few], area[few], lonlat[few], MODEL
        found.append(intervals.draw_region(*sample, fraction=0.1))
        without.append(intervals.draw_region(*sample))
    mean = np.mean([draws.correlation for draws in found], axis=0)[:-1]
    np.testing.assert_allclose(mean, whole.correlation[:-1], rtol=0.25)
    assert np.mean([draws.common for draws in found]) == pytest.approx(whole.common, rel=0.1)
    inflated = np.mean([draws.correlation for draws in without], axis=0)[:-1]
    assert (np.abs(mean - whole.correlation[:-1]) < np.abs(inflated - whole.correlation[:-1])).all()


def test_the_same_region_has_the_same_draws_and_keeps_its_arguments(region):
    codes, area, lonlat = region
    before = codes.copy(), area.copy(), lonlat.copy()
    first, second = (intervals.draw_region(codes, area, lonlat, MODEL) for _ in range(2))
    np.testing.assert_array_equal(first.area, second.area)
    for kept, now in zip(before, (codes, area, lonlat), strict=True):
        np.testing.assert_array_equal(kept, now)


def test_a_member_count_is_of_members_only(region):
    codes, area, lonlat = region
    draws = intervals.draw_region(codes, area, lonlat, MODEL)
    best = np.full(codes.shape[1], 255, dtype=np.uint8)
    members = np.arange(codes.shape[1]) < 7
    assert draws.count_interval(best, members) == (7.0, 7.0)
    assert draws.count_interval(best, members & False) == (0.0, 0.0)


def test_the_number_of_species_of_a_cell_follows_its_simulation(region):
    codes = region[0][:1]
    generator = np.random.default_rng(5)
    shared = np.sqrt(MODEL.other_species_here) * generator.standard_normal((40_000, 1))
    alone = np.sqrt(1 - MODEL.other_species_here) * generator.standard_normal((40_000, codes.shape[1]))
    number = (shared + alone < norm.ppf(decode(codes[0]))).sum(axis=1)
    middle, low, high = intervals.richness_of_a_cell(codes, MODEL)
    expected = np.quantile(number, [0.5, 0.05, 0.95])
    np.testing.assert_allclose([middle, low, high], expected, atol=1)


def test_half_widths_of_cells_follow_draws_of_the_cell(region):
    codes, _, lonlat = region
    members = np.arange(codes.shape[1]) % 3 == 0
    inverse = np.linspace(0.1, 2.0, codes.shape[1])
    small = intervals.ErrorModel((1.0,), (0.02,), (0.004,), 0.1, 10, 10)  # small errors: first order holds
    widths = intervals.cell_half_widths(
        codes[:3], small, {"endemism": inverse}, {"share": (members, np.ones(len(members)))}
    )
    for cell in range(3):
        draws = intervals.draw_region(codes[[cell]], [1.0], lonlat[[cell]], small, n_draws=20_000)
        for name, index in {
            "shannon": diversity.shannon,
            "simpson": diversity.simpson,
            "endemism": lambda area: area @ inverse,
            "share": lambda area: area[:, members].sum(axis=1) / area.sum(axis=1),
        }.items():
            low, high = draws.interval(index)
            assert widths[name][cell] == pytest.approx((high - low) / 2, rel=0.1), name


def test_ends_of_a_probability_are_those_of_one_cell_alone(region):
    codes, _, lonlat = region
    low, high = intervals.probability_ends(MODEL)
    draws = intervals.draw_region(codes[[7]], [1.0], lonlat[[7]], MODEL)
    np.testing.assert_allclose(low[codes[7]], draws.low, atol=1e-3)
    np.testing.assert_allclose(high[codes[7]], draws.high, atol=1e-3)
    known = PROBABILITY_OF_CODE[1:-1]
    assert low[0] == high[0] == 0 and (low[1:-1] < known).all()
    assert (np.diff(low) >= 0).all() and (np.diff(high) >= 0).all()


def test_half_widths_of_the_number_of_species_follow_its_distribution(region):
    """A first-order half-width beside the whole distribution, for lists of 30 species."""
    widths = intervals.cell_half_widths(region[0][:5], MODEL)["richness"]
    for cell in range(5):
        _, low, high = intervals.richness_of_a_cell(region[0][[cell]], MODEL)
        assert widths[cell] == pytest.approx((high - low) / 2, abs=0.8)
    alone = dataclasses.replace(MODEL, other_species_here=0.0)
    ratio = widths / intervals.cell_half_widths(region[0][:5], alone)["richness"]
    assert (ratio > 1.15).all()  # lists that err as a whole are wider


def test_half_widths_of_an_empty_cell_are_unknown():
    widths = intervals.cell_half_widths(
        np.zeros((1, 4), np.uint8), MODEL, {"sum": np.ones(4)}, {"share": (np.ones(4), np.ones(4))}
    )
    assert np.isnan([widths[name][0] for name in ("shannon", "simpson", "share")]).all()
    assert widths["richness"][0] == widths["sum"][0] == 0


def test_intervals_keep_what_they_promise_where_the_truth_is_known():
    p, seen, lonlat, folds = simulated(7, n_squares=200)
    found = intervals.coverage_on_blocks(p, seen, lonlat, folds, 2.0)
    assert found is not None and found["n_blocks"] == 200 and found["promised"] == 0.9
    for name in intervals.COVERED_TEXTS:
        assert 0.84 <= found[name] <= 0.97, (name, found[name])


def test_intervals_blind_to_errors_of_a_place_do_not(monkeypatch: pytest.MonkeyPatch):
    p, seen, lonlat, folds = simulated(7, n_squares=200)
    none = (0.0,) * 3
    blind = dataclasses.replace(MODEL, same_species=none, other_species=none, other_species_here=0.0)
    monkeypatch.setattr("sdm_core.intervals.coverage.fit_error_model", lambda *_: blind)
    found = intervals.coverage_on_blocks(p, seen, lonlat, folds, 2.0)
    assert found is not None and max(found["cell_richness"], found["species_area"], found["shannon"]) < 0.8


def test_one_fold_or_small_blocks_measure_nothing():
    p, seen, lonlat, folds = simulated(n_squares=20)
    assert intervals.coverage_on_blocks(p, seen, lonlat, folds * 0, 2.0) is None
    assert intervals.coverage_on_blocks(p, seen, lonlat * 50, folds, 2.0) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scales_deg": (2.0, 1.0, 0.5)}, "Scales must rise"),
        ({"same_species": (0.1,)}, "expected one of each kind per scale"),
        ({"other_species_here": 1.5}, "lies outside 0 to 0.9"),
    ],
)
def test_a_wrong_error_model_is_refused(change: dict, said: str):
    with pytest.raises(ErrorModelError, match=said):
        dataclasses.replace(MODEL, **change)
    with pytest.raises(ErrorModelError, match="cannot be read"):
        intervals.ErrorModel.from_dict({"scales_deg": "none"})


def test_sites_that_say_nothing_are_refused():
    p, seen, lonlat, _ = simulated(n_squares=4)
    with pytest.raises(ErrorModelError, match=r"expected \(64, 2\), all finite"):
        intervals.fit_error_model(p, seen, lonlat[:-1], 2.0)
    with pytest.raises(ErrorModelError, match="degrees above 0"):
        intervals.fit_error_model(p, seen, lonlat, 0.0)
    with pytest.raises(ErrorModelError, match="share a block of 2°; expected 300"):
        intervals.fit_error_model(p, seen, lonlat * 100, 2.0)
    with pytest.raises(ErrorModelError, match="one weight and one place per cell"):
        intervals.draw_region(np.zeros((2, 3), np.uint8), [1.0], lonlat[:2], MODEL)
