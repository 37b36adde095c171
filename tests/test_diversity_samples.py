"""Rarefaction, pairs of samples, contributions to beta, coarser cells: against published and other values."""

from __future__ import annotations

import itertools
import math
import shutil
import subprocess

import h3
import numpy as np
import pytest
import skbio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sdm_core import diversity
from sdm_core.diversity import many_pairs
from sdm_core.errors import FlorascopeError, RegionError, RuleError

# Spiders of the Harvard Forest canopy experiment (Sackett et al. 2011; Chao et al. 2014, table 2).
GIRDLED = [46, 22, 17, 15, 15, 9, 8, 6, 6, 4, 2, 2, 2, 2] + [1] * 12
LOGGED = [88, 22, 16, 15, 13, 10, 8, 8, 7, 7, 7, 5, 4, 4, 4, 3, 3, 3, 3, 2, 2, 2, 2] + [1] * 14

counts = arrays(np.int64, st.integers(1, 9), elements=st.integers(0, 12)).filter(lambda c: c.any())
tables = st.tuples(st.integers(2, 7), st.integers(1, 6)).flatmap(lambda shape: arrays(np.bool_, shape))


# Rarefaction and extrapolation.


@pytest.mark.parametrize(
    ("records", "n_species", "coverage", "observed", "estimated"),
    [  # printed by iNEXT for its data set `spider` (DataInfo and AsyEst)
        (GIRDLED, 26, 0.9289, (26.000, 12.060, 7.840), (43.893, 13.826, 8.175)),
        (LOGGED, 37, 0.9446, (37.000, 14.421, 6.761), (61.403, 16.337, 6.920)),
    ],
)
def test_spiders_have_the_published_coverage_diversity_and_asymptotes(
    records, n_species, coverage, observed, estimated
):
    sample = diversity.observed_sample(records)
    assert sample.n_species == n_species
    assert sample.coverage() == pytest.approx(coverage, abs=5e-5)
    assert [sample.diversity(order) for order in (0, 1, 2)] == pytest.approx(observed, abs=5e-4)
    assert [sample.asymptote(order) for order in (0, 1, 2)] == pytest.approx(estimated, abs=5e-4)


def _shares_of_subsets(units, size, order):
    """Hill number of the expected frequency counts over all subsets of units (rows: unit × species)."""
    rate = units.sum() / len(units) * size
    expected = np.zeros(size + 1)
    subsets = list(itertools.combinations(range(len(units)), size))
    for subset in subsets:
        found = units[list(subset)].sum(axis=0)
        for k in found[found > 0]:
            expected[k] += 1 / len(subsets)
    k = np.arange(1, size + 1)
    shares, often = k / rate, expected[1:]
    if order == 1:
        return math.exp(-(often * shares * np.log(shares)).sum())
    return float((often * shares**order).sum() ** (1 / (1 - order)))


@pytest.mark.parametrize("order", [0, 0.5, 1, 2, 3])
def test_rarefied_diversity_is_the_mean_over_all_subsets_of_records(order):
    units = np.zeros((9, 4), dtype=int)
    units[np.arange(9), [0, 0, 0, 0, 1, 1, 1, 2, 3]] = 1  # one record a row
    sample = diversity.observed_sample(units.sum(axis=0))
    for size in (1, 2, 5, 8):
        assert sample.diversity(order, size) == pytest.approx(_shares_of_subsets(units, size, order))


@pytest.mark.parametrize("order", [0, 0.5, 1, 2])
def test_rarefied_diversity_is_the_mean_over_all_subsets_of_plots(order):
    units = (np.random.default_rng(1).random((7, 5)) < 0.4).astype(int)
    sample = diversity.observed_sample(units.sum(axis=0), n_plots=7)
    for size in (1, 3, 6):
        assert sample.diversity(order, size) == pytest.approx(_shares_of_subsets(units, size, order))


def test_coverage_of_a_rarefied_sample_is_what_its_records_cover_of_all_the_others():
    # Chao & Jost 2012: 1 − coverage is the chance that one record more, left out, is of a new species
    sample = diversity.observed_sample([4, 3, 1, 1])
    labels = np.repeat(np.arange(4), [4, 3, 1, 1])
    missed = [
        labels[one] not in labels[list(rest)]
        for one in range(9)
        for rest in itertools.combinations([i for i in range(9) if i != one], 3)
    ]
    assert sample.coverage(3) == pytest.approx(1 - np.mean(missed))


def test_extrapolation_of_richness_and_simpson_follows_the_published_formulas():
    sample = diversity.observed_sample(GIRDLED)
    n, once, twice = 168, 12, 4
    missing = (n - 1) / n * once**2 / (2 * twice)
    expected = 26 + missing * (1 - (1 - once / (n * missing + once)) ** n)
    assert sample.diversity(0, 2 * n) == pytest.approx(expected)
    x = np.array(GIRDLED)
    pairs = (x * (x - 1)).sum() / (n * (n - 1))
    assert sample.diversity(2, 500) == pytest.approx(1 / (1 / 500 + 499 / 500 * pairs))
    assert sample.coverage(2 * n) == pytest.approx(
        1 - once / n * ((n - 1) * once / ((n - 1) * once + 2 * twice)) ** (n + 1)
    )
    for order in (0, 1, 2):
        assert sample.diversity(order, 10**7) == pytest.approx(sample.asymptote(order), rel=1e-4)


def test_unequal_samples_are_compared_at_equal_coverage():
    small, large = diversity.observed_sample(GIRDLED), diversity.observed_sample(LOGGED)
    size = large.size_for_coverage(0.9)
    assert large.coverage(size) >= 0.9 > large.coverage(size - 1)
    assert small.size_for_coverage(small.coverage()) == small.n_units


def test_intervals_hold_the_observed_size_and_are_decided_by_the_generator():
    sample = diversity.observed_sample(GIRDLED)
    curves = [
        diversity.rarefaction_curve(sample, 0, n_points=8, n_bootstrap=40, generator=np.random.default_rng(3))
        for _ in range(2)
    ]
    np.testing.assert_array_equal(curves[0].low, curves[1].low)
    curve = curves[0]
    assert 168 in curve.size and curve.size[-1] == 336
    assert np.all(np.diff(curve.diversity) > 0) and np.all(np.diff(curve.coverage) > 0)
    assert np.all(curve.low[1:] < curve.diversity[1:]) and np.all(curve.high[1:] > curve.diversity[1:])
    at = int(np.flatnonzero(curve.size == 168)[0])
    assert 2 < curve.diversity[at] - curve.low[at] < 10


def test_intervals_hold_what_another_survey_of_the_same_effort_finds():
    generator = np.random.default_rng(4)
    p = generator.dirichlet(np.full(60, 0.5))
    inside = []
    for _ in range(40):
        sample = diversity.observed_sample(generator.multinomial(300, p))
        curve = diversity.rarefaction_curve(
            sample, 1, sizes=[300], n_bootstrap=30, generator=generator, level=0.9
        )
        truth = np.mean(
            [diversity.observed_sample(generator.multinomial(300, p)).diversity(1) for _ in range(40)]
        )
        inside.append(curve.low[0] <= truth <= curve.high[0])
    assert np.mean(inside) > 0.75


@settings(max_examples=50)
@given(counts, st.sampled_from([0, 0.5, 1, 2]))
def test_rarefied_diversity_never_falls_with_size_and_ends_at_the_observed(values, order):
    sample = diversity.observed_sample(values)
    curve = [sample.diversity(order, size) for size in range(1, sample.n_units + 1)]
    assert curve[0] == pytest.approx(1)
    assert np.all(np.diff(curve) >= -1e-9)
    assert curve[-1] == pytest.approx(float(diversity.hill(values, order)))
    if order != 0.5:
        beyond = [sample.diversity(order, sample.n_units + step) for step in (1, 5, 50)]
        assert np.all(np.diff([curve[-1], *beyond]) >= -1e-9)


@settings(max_examples=50)
@given(counts)
def test_coverage_lies_between_0_and_1_and_never_falls_with_size(values):
    sample = diversity.observed_sample(values)
    if sample.n_units == 1:
        assert math.isnan(sample.coverage())
        return
    covered = [sample.coverage(size) for size in range(1, 2 * sample.n_units + 1)]
    assert min(covered) >= -1e-12 and max(covered) <= 1 + 1e-12
    assert np.all(np.diff(covered) >= -1e-9)


# All pairs of a sample.


def test_pairs_by_product_are_those_one_by_one():
    generator = np.random.default_rng(5)
    sets, weights = generator.random((23, 40)) < 0.2, generator.random((23, 40))
    sets[4] = False
    for values in (sets, sets.astype(float), weights):
        for family in ("sorensen", "jaccard"):
            found = diversity.all_pairs(values, family)
            for name, table in (
                ("", found.total),
                ("_turnover", found.turnover),
                ("_nestedness", found.nestedness),
            ):
                one_by_one = getattr(diversity, family + name)
                np.testing.assert_allclose(table, one_by_one(values[:, None], values[None]), atol=1e-12)


@given(tables)
def test_pairs_do_not_depend_on_the_order_of_species_or_cells_nor_on_absent_species(values):
    found = diversity.all_pairs(values).total
    np.testing.assert_array_equal(found, diversity.all_pairs(values[:, ::-1]).total)
    np.testing.assert_array_equal(found[::-1, ::-1], diversity.all_pairs(values[::-1]).total)
    wider = np.hstack([values, np.zeros((len(values), 3), dtype=bool)])
    np.testing.assert_array_equal(found, diversity.all_pairs(wider).total)
    held = values.any(axis=1)
    np.testing.assert_array_equal(np.diag(found)[held], 0)


@given(arrays(np.float64, (3, 5), elements=st.floats(0, 1, allow_subnormal=False)))
def test_a_cell_of_probabilities_is_at_no_distance_from_itself_among_pairs(values):
    diagonal = np.diag(diversity.all_pairs(values).total)
    np.testing.assert_allclose(diagonal[values.any(axis=1)], 0, atol=1e-12)


def test_sample_of_pairs_says_how_many_it_is_about_and_covers_the_mean_of_all():
    generator = np.random.default_rng(6)
    sets = generator.random((120, 30)) < 0.3
    whole = diversity.all_pairs(sets).total[np.triu_indices(120, 1)]
    sample = diversity.pair_sample(sets, np.random.default_rng(0), n_cells=60)
    assert (sample.n_cells, sample.n_pairs) == (60, 60 * 59 // 2)
    assert sample.total == pytest.approx(whole.mean(), abs=0.02)
    assert sample.total == pytest.approx(sample.turnover + sample.nestedness)
    assert sample.low < sample.total < sample.high
    assert diversity.pair_sample(sets, np.random.default_rng(0), n_cells=60) == sample
    all_cells = diversity.pair_sample(sets, generator, n_cells=500)
    assert all_cells.n_cells == 120
    assert all_cells.total == pytest.approx(whole.mean())


def test_pairs_of_empty_cells_are_not_counted():
    sets = np.zeros((4, 3), dtype=bool)
    assert diversity.pair_sample(sets, np.random.default_rng(0)).n_pairs == 0
    sets[0, 1] = True
    sample = diversity.pair_sample(sets, np.random.default_rng(0))
    assert (sample.n_pairs, sample.total) == (3, 1.0)
    assert math.isnan(sample.turnover)


# Contributions to beta.


def test_contributions_follow_their_definition():
    values = np.random.default_rng(7).random((12, 9))
    y = np.sqrt(values / values.sum(axis=1, keepdims=True))
    squares = (y - y.mean(axis=0)) ** 2
    found = diversity.beta_contributions(values)
    assert found.total == pytest.approx(y.var(axis=0, ddof=1).sum())
    np.testing.assert_allclose(found.cells, squares.sum(axis=1) / squares.sum())
    np.testing.assert_allclose(found.species, squares.sum(axis=0) / squares.sum())
    chord = values / np.linalg.norm(values, axis=1, keepdims=True)
    assert diversity.beta_contributions(values, "chord").total == pytest.approx(
        chord.var(axis=0, ddof=1).sum()
    )


def test_cells_without_shared_species_have_a_total_of_1_and_equal_parts():
    found = diversity.beta_contributions(np.eye(6))
    assert found.total == pytest.approx(1)
    np.testing.assert_allclose(found.cells, 1 / 6)


def test_the_odd_cell_contributes_most_and_cells_alike_contribute_nothing():
    values = np.tile([1.0, 1.0, 0.0, 0.0], (5, 1))
    same = diversity.beta_contributions(values)
    assert same.total == 0 and np.isnan(same.cells).all()
    values[2] = [0, 0, 1, 1]
    assert int(np.argmax(diversity.beta_contributions(values).cells)) == 2


@settings(max_examples=40)
@given(arrays(np.float64, (4, 6), elements=st.floats(0.01, 1)))
def test_contributions_sum_to_1_whatever_the_order_and_chunks(values):
    from sdm_core.diversity import _arrays

    found = diversity.beta_contributions(values)
    if found.total == 0:
        return
    assert found.cells.sum() == pytest.approx(1) and found.species.sum() == pytest.approx(1)
    assert 0 <= found.total <= 1 + 1e-12
    usual = _arrays.CHUNK_VALUES
    try:
        _arrays.CHUNK_VALUES = 6
        turned = diversity.beta_contributions(values[::-1, ::-1])
    finally:
        _arrays.CHUNK_VALUES = usual
    np.testing.assert_allclose(turned.cells[::-1], found.cells, atol=1e-9)


# Coarser cells.


def _cells():
    parent = h3.latlng_to_cell(42.6, 0.5, 5)
    return np.array(
        [h3.str_to_int(c) for p in h3.grid_disk(parent, 1) for c in h3.cell_to_children(p, 7)], np.uint64
    )


def test_coarser_probabilities_are_means_weighted_by_area_and_keep_the_occupied_area():
    from sdm_core.regions import cell_area_km2, cells_to_parents

    cells = np.random.default_rng(8).permutation(_cells())
    p = np.random.default_rng(9).random((len(cells), 3))
    parents, means = diversity.aggregate_cells(p, cells, 5)
    assert len(parents) == 7 and np.all(np.diff(parents.astype(np.int64)) > 0)
    area = cell_area_km2(cells)
    of = cells_to_parents(cells, 5)
    for row, parent in enumerate(parents):
        inside = of == parent
        np.testing.assert_allclose(means[row], np.average(p[inside], axis=0, weights=area[inside]))
    held = np.array([area[of == parent].sum() for parent in parents])
    np.testing.assert_allclose(held @ means, area @ p)
    half = np.where(of == parents[0], 0.5 * area, area)
    np.testing.assert_allclose(diversity.aggregate_cells(p, cells, 5, half)[1], means)
    same_cells, same = diversity.aggregate_cells(p, cells, 7)
    np.testing.assert_allclose(same[np.searchsorted(same_cells, cells)], p)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: diversity.observed_sample([3, -1]), r"counts holds the value -1, expected counts of zero"),
        (lambda: diversity.observed_sample([1.5]), r"counts holds the value 1\.5, expected whole numbers"),
        (
            lambda: diversity.observed_sample([math.nan]),
            r"counts holds the value nan, expected whole numbers",
        ),
        (lambda: diversity.observed_sample([0, 0]), r"counts holds no species that was found"),
        (lambda: diversity.observed_sample(["a"]), r"counts has type <U1"),
        (lambda: diversity.observed_sample([5, 2], n_plots=4), r"n_plots is 4, but a species was found in 5"),
        (lambda: diversity.observed_sample([2]).diversity(0, 0), r"size of a sample is 0, expected a whole"),
        (lambda: diversity.observed_sample([2]).diversity(-1), r"order of a Hill number is -1"),
        (
            lambda: diversity.observed_sample([2]).diversity(0.5, 9),
            r"order 0\.5 cannot be extrapolated beyond 2",
        ),
        (lambda: diversity.observed_sample([2]).asymptote(3), r"asymptote of order 3 is not estimated"),
        (
            lambda: diversity.observed_sample(GIRDLED).size_for_coverage(0.99),
            r"coverage of 0\.99 is not reached by 336 units \(they reach 0\.964\)",
        ),
        (
            lambda: diversity.observed_sample([2]).size_for_coverage(1),
            r"coverage is 1, expected a share above",
        ),
        (lambda: diversity.rarefaction_curve(diversity.observed_sample([2])), r"need a random generator"),
        (
            lambda: diversity.rarefaction_curve(diversity.observed_sample([2]), n_bootstrap=0, level=1),
            r"interval level is 1, expected a share above 0",
        ),
        (
            lambda: diversity.all_pairs([[1, 0]], "bray"),
            r'family is "bray", expected "sorensen" or "jaccard"',
        ),
        (lambda: diversity.all_pairs([[0.5, -1]]), r"values holds the value -1, expected finite values"),
        (lambda: diversity.pair_sample([[1, 0]], np.random.default_rng(0)), r"Pairs need two cells or more"),
        (lambda: diversity.beta_contributions([[1, 0]]), r"need two cells or more, found one"),
        (
            lambda: diversity.beta_contributions([[1, 0], [0, 0]]),
            r"A cell without species has no composition",
        ),
        (
            lambda: diversity.beta_contributions([[1], [1]], "log"),
            r'transformation is "log", expected "hellinger"',
        ),
        (lambda: diversity.aggregate_cells([[0.5]], [1, 2], 3), r"cells has shape \(2,\), expected one cell"),
        (lambda: diversity.aggregate_cells([[-0.5]], _cells()[:1], 3), r"values holds the value -0\.5"),
        (
            lambda: diversity.aggregate_cells([[0.5]], _cells()[:1], 3, [0.0]),
            r"area holds missing or zero areas",
        ),
        (lambda: diversity.aggregate_cells([[0.5]], _cells()[:1], 9), r"has no parent at resolution 9"),
    ],
)
def test_what_is_not_defined_is_refused_in_one_sentence(call, message):
    with pytest.raises((RuleError, RegionError), match=message) as refusal:
        call()
    assert isinstance(refusal.value, FlorascopeError)


def test_more_cells_than_pairs_can_be_held_of_are_refused_before_any_work(monkeypatch):
    monkeypatch.setattr(many_pairs, "MOST_CELLS", 3)
    with pytest.raises(RuleError, match=r"4 cells have 6 pairs; at most 3 cells"):
        diversity.all_pairs(np.eye(4))


# Independent programs.


def test_estimates_and_pairs_agree_with_scikit_bio():
    assert diversity.observed_sample(GIRDLED).coverage() == pytest.approx(
        # Good's estimate without the correction of Chao & Jost differs by less than 1/n
        skbio.diversity.alpha.goods_coverage(GIRDLED),
        abs=1 / 168,
    )
    biased = skbio.diversity.alpha.chao1(GIRDLED, bias_corrected=False)
    assert diversity.observed_sample(GIRDLED).n_missing == pytest.approx((biased - 26) * 167 / 168)
    table = np.random.default_rng(10).poisson(1.0, (9, 14))
    bray = skbio.diversity.beta_diversity("braycurtis", table).data
    np.testing.assert_allclose(diversity.all_pairs(table).total, bray, atol=1e-12)


@pytest.mark.slow
def test_every_measure_agrees_with_vegan(tmp_path):
    if shutil.which("Rscript") is None:
        pytest.skip("R is not installed: apt-get install r-base-core r-cran-vegan")
    table = np.random.default_rng(11).poisson(1.2, (8, 15)) * np.array([1, 3, 9] * 5)
    np.savetxt(tmp_path / "table.csv", table, delimiter=",", fmt="%d")
    script = f"""
    suppressMessages(ok <- require(vegan)); if (!ok) quit(status = 9)
    x <- as.matrix(read.csv("{tmp_path / "table.csv"}", header = FALSE))
    say <- function(name, v) cat(name, sprintf("%.10f", as.numeric(v)), "\\n")
    say("shannon", diversity(x)); say("simpson", diversity(x, "simpson"))
    say("invsimpson", diversity(x, "invsimpson"))
    for (q in c(0, 0.5, 1, 2, 4)) say(paste0("hill", q), renyi(x, scales = q, hill = TRUE))
    say("bray", as.matrix(vegdist(x, "bray"))); say("ruzicka", as.matrix(vegdist(x, "jaccard")))
    say("sorensen", as.matrix(vegdist(x, "bray", binary = TRUE)))
    say("multisor", nestedbetasor(x)); say("multijac", nestedbetajac(x))
    say("rarefied", rarefy(x, 20)); say("chao1", estimateR(x)[2, ])
    say("chao2", specpool(x)$chao)
    say("bd", sum(apply(decostand(x, "hellinger"), 2, var)))
    """
    ran = subprocess.run(["Rscript", "-e", script], capture_output=True, text=True, timeout=120, check=False)
    if ran.returncode == 9:
        pytest.skip("vegan is not installed: apt-get install r-cran-vegan")
    assert ran.returncode == 0, ran.stderr
    said = {line.split()[0]: np.array(line.split()[1:], float) for line in ran.stdout.splitlines()}
    sets = table > 0
    pairs = {family: diversity.all_pairs(table, family).total.ravel() for family in ("sorensen", "jaccard")}
    samples = [diversity.observed_sample(row) for row in table]
    plots = diversity.observed_sample(sets.sum(axis=0), n_plots=len(table))
    ours = {
        "shannon": diversity.shannon(table),
        "simpson": diversity.simpson(table),
        "invsimpson": diversity.inverse_simpson(table),
        **{f"hill{q:g}": diversity.hill(table, q) for q in (0, 0.5, 1, 2, 4)},
        "bray": pairs["sorensen"],
        "ruzicka": pairs["jaccard"],
        "sorensen": diversity.all_pairs(sets).total.ravel(),
        "multisor": [
            diversity.multi_site_sorensen_turnover(sets),
            diversity.multi_site_sorensen_nestedness(sets),
            diversity.multi_site_sorensen(sets),
        ],
        "multijac": [
            diversity.multi_site_jaccard_turnover(sets),
            diversity.multi_site_jaccard_nestedness(sets),
            diversity.multi_site_jaccard(sets),
        ],
        "rarefied": [sample.diversity(0, 20) for sample in samples],
        # vegan's bias-corrected Chao1: f1(f1 − 1)/(2(f2 + 1)) without (n − 1)/n
        "chao1": [s.n_species + s.n_once * (s.n_once - 1) / (2 * (s.n_twice + 1)) for s in samples],
        "chao2": [plots.asymptote(0)],
        "bd": [diversity.beta_contributions(table).total],
    }
    assert set(ours) == set(said)
    for name, values in ours.items():
        np.testing.assert_allclose(np.ravel(values), said[name], atol=1e-9, err_msg=name)
