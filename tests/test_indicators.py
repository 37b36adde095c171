"""A region's numbers against the same numbers worked out another way from the simulated atlas."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sdm_core import assemblages, diversity, indicators
from sdm_core.errors import NoDataInRegionError, RegionError, RuleError
from sdm_core.prediction import NO_SPECIES_CUT, decode
from sdm_core.regions import CONTAINMENT_RULES, region_from_point, select_cells

RULES = [
    ("sse", {}, assemblages.sse),
    ("threshold", {"t": 0.2}, lambda p: assemblages.threshold(p, 0.2)),
    ("top_k", {"k": 4}, lambda p: assemblages.top_k(p, 4)),
    ("max_exp", {}, assemblages.max_exp),
    ("max_exp", {"score": "jaccard"}, lambda p: assemblages.max_exp(p, "jaccard")),
]


@pytest.fixture(scope="module")
def store(simulated_atlas):
    return simulated_atlas.store


@pytest.fixture(scope="module")
def region():
    return region_from_point(0.9, 42.6, 20.0, "Twenty kilometres")


@pytest.fixture(scope="module")
def rows(store, region):
    return select_cells(region, store.lonlat, store.resolution, store.cells, store.area_ha).rows


@pytest.fixture(scope="module")
def summary(store, rows, region):
    return indicators.summarise_region(store, rows, region)


@pytest.fixture(scope="module")
def probability(store, rows):
    """Decoded probabilities of the region's cells in double precision, and the cell areas."""
    return decode(store.codes[rows]), store.area_ha[rows].astype(float)


def fake_store(codes, species=None, area_ha=None):
    """A store in memory: codes (cells × species) and nothing else that was not asked for."""
    codes = np.asarray(codes, dtype=np.uint8)
    n_cells, n_species = codes.shape
    hectares = np.full(n_cells, 100, dtype=np.uint32) if area_ha is None else np.asarray(area_ha, np.uint32)
    p = decode(codes)
    chosen = assemblages.sse(p)
    with np.errstate(invalid="ignore"):
        layers = {
            "richness": p.sum(axis=1),
            "shannon": diversity.shannon(p),
            "simpson": diversity.simpson(p),
        }

    def region_sums(rows):
        return SimpleNamespace(
            area_km2=hectares[rows].sum() / 100,
            expected_area_km2=hectares[rows] @ p[rows] / 100,
            mean_probability=hectares[rows] @ p[rows] / hectares[rows].sum(),
            max_probability=p[rows].max(axis=0),
        )

    return SimpleNamespace(
        name="fake",
        title="Fake",
        version="0",
        resolution=6,
        n_cells=n_cells,
        n_species=n_species,
        cells=np.arange(n_cells, dtype=np.uint64),
        area_ha=hectares,
        codes=codes,
        species=pd.DataFrame({"species": [f"Species {i}" for i in range(n_species)]})
        if species is None
        else species,
        sse_cut=np.where(chosen, codes.astype(np.uint16), NO_SPECIES_CUT).min(axis=1),
        observed=None,
        region_sums=region_sums,
        layer=layers.__getitem__,
    )


# Numbers.


@pytest.mark.parametrize(("rule", "options", "function"), RULES)
def test_alpha_gamma_and_beta_are_those_of_the_species_sets_of_the_rule(
    store, rows, probability, rule, options, function
):
    p, hectares = probability
    sets = function(p)
    found = indicators.summarise_region(store, rows, rule=rule, **options)
    assert found.value("alpha") == pytest.approx(diversity.alpha(sets, hectares))
    assert (found["alpha"].low, found["alpha"].high) == (sets.sum(axis=1).min(), sets.sum(axis=1).max())
    assert found.value("gamma") == diversity.gamma(sets)
    assert found.value("beta_whittaker") == pytest.approx(diversity.beta_whittaker(sets, hectares))
    assert found.value("beta_additive") == pytest.approx(diversity.beta_additive(sets, hectares))
    table = found.species_table.set_index("species_id")
    np.testing.assert_array_equal(table["n_cells_present"], sets.sum(axis=0)[table.index])


def test_numbers_that_need_no_rule_are_those_of_the_probabilities(summary, probability):
    p, hectares = probability
    q = hectares @ p
    assert summary.value("alpha_expected") == pytest.approx(diversity.alpha(p, hectares))
    assert summary["alpha_range"].low == pytest.approx(p.sum(axis=1).min(), rel=1e-6)
    assert summary["alpha_range"].high == pytest.approx(p.sum(axis=1).max(), rel=1e-6)
    assert summary.value("gamma_lower") == pytest.approx(diversity.gamma_lower(p))
    assert summary.value("shannon") == pytest.approx(diversity.shannon(q))
    assert summary.value("simpson") == pytest.approx(diversity.simpson(q))
    for order in (0, 1, 2):
        assert summary.value(f"hill_{order}") == pytest.approx(diversity.hill(q, order))
    assert summary.value("cell_shannon") == pytest.approx(hectares @ diversity.shannon(p) / hectares.sum())
    low, high = diversity.richness_interval(p.max(axis=0), 0.9)
    assert (summary["gamma_lower"].low, summary["gamma_lower"].high) == (low, high)


def test_area_is_that_of_the_outline_and_cells_are_counted_apart(summary, region, rows, store):
    assert summary.value("area_km2") == region.area_km2
    assert summary.value("area_km2") == pytest.approx(math.pi * 20**2, rel=0.01)
    assert summary.n_cells == len(rows)
    assert summary.value("cell_area_km2") == pytest.approx(store.area_ha[rows].sum() / 100)


def test_cells_partly_inside_weigh_with_that_part(store, rows, region, probability):
    p, _ = probability
    chosen = select_cells(region, store.lonlat, store.resolution, store.cells, store.area_ha, "area_weighted")
    found = indicators.summarise_region(
        store, chosen.rows, region, hectares=chosen.hectares, containment=chosen.rule
    )
    p, hectares = decode(store.codes[chosen.rows]), chosen.hectares
    assert len(chosen.rows) > len(rows) and (hectares < store.area_ha[chosen.rows]).any()
    assert found.value("cell_area_km2") == pytest.approx(region.area_km2, rel=1e-3)
    q = hectares @ p
    assert found.value("alpha_expected") == pytest.approx((q / hectares.sum()).sum())
    assert found.value("shannon") == pytest.approx(diversity.shannon(q))
    assert found.value("gamma_lower") == pytest.approx(p.max(axis=0).sum())
    counts = assemblages.sse(p).sum(axis=1)
    assert found.value("alpha") == pytest.approx(hectares @ counts / hectares.sum())
    assert found.value("cell_shannon") == pytest.approx(hectares @ diversity.shannon(p) / hectares.sum())
    area = found.species_table.set_index("species_id")["expected_area_km2"]
    np.testing.assert_allclose(area, q[area.index] / 100)
    assert found.to_dict()["containment"] == {
        "name": "area_weighted",
        "text": CONTAINMENT_RULES["area_weighted"],
    }


def test_areas_that_do_not_fit_the_rows_are_refused(store):
    with pytest.raises(ValueError, match="one for each of 2 rows"):
        indicators.summarise_region(store, [3, 5], hectares=[10.0])
    with pytest.raises(ValueError, match="must be ascending"):
        indicators.summarise_region(store, [5, 3], hectares=[10.0, 20.0])
    with pytest.raises(RegionError, match='containment rule is "touch", expected one of centre'):
        indicators.summarise_region(store, [3, 5], containment="touch")


def test_richness_of_a_cell_drawn_at_random_agrees_with_simulated_cells(summary, probability):
    p, hectares = probability
    generator = np.random.default_rng(0)
    drawn = generator.choice(len(p), 20_000, p=hectares / hectares.sum())
    counts = (generator.random((20_000, p.shape[1])) < p[drawn]).sum(axis=1)
    found = summary["alpha_cell_interval"]
    # the normal approximation may be a species off
    assert (
        abs(np.array([found.low, found.value, found.high]) - np.quantile(counts, [0.05, 0.5, 0.95])).max()
        <= 1
    )


def test_regional_gamma_is_not_a_product_over_cells():
    # 1 − Π(1 − p) over 900 cells of p = 0.00985 would be 0.9999 for each of the 5 species
    found = indicators.summarise_region(fake_store(np.full((900, 5), 25)), np.arange(900))
    assert found.value("gamma") == 0
    assert found.value("gamma_lower") == pytest.approx(5 * (25 / 255) ** 2)


def test_cells_weigh_by_area():
    found = indicators.summarise_region(
        fake_store([[255, 255], [255, 0]], area_ha=[300, 100]), np.arange(2), rule="threshold"
    )
    assert found.value("alpha") == pytest.approx(1.75)
    assert found.value("alpha_expected") == pytest.approx(1.75)
    assert found.species_table["expected_area_km2"].tolist() == [4.0, 3.0]
    assert found.species_table["area_share_percent"].tolist() == [100.0, 75.0]


def test_average_k_takes_its_threshold_from_the_whole_atlas():
    store = fake_store([[200, 100, 90], [60, 50, 40], [30, 20, 10]])
    p = decode(store.codes)
    expected = assemblages.average_k(p, 4 / 3).sum(axis=1)
    found = indicators.set_counts(store, np.array([0, 1]), "average_k", {"k": 4 / 3})
    np.testing.assert_array_equal(found.richness, expected[:2])


def test_thresholds_per_species_are_applied_to_their_species():
    store = fake_store([[200, 100, 90], [60, 50, 40]])
    limits = np.array([0.5, 0.03, 1.5])
    found = indicators.set_counts(store, np.arange(2), "threshold", {"t": limits})
    expected = assemblages.threshold(decode(store.codes), limits)
    np.testing.assert_array_equal(found.n_cells, expected.sum(axis=0))
    np.testing.assert_array_equal(found.richness, expected.sum(axis=1))


def test_more_presences_than_a_byte_holds_are_counted():
    store = fake_store(np.full((1000, 3), 255))
    found = indicators.set_counts(store, np.arange(1000), "sse", {})
    assert found.n_cells.tolist() == [1000] * 3


def test_percentile_is_the_share_of_the_atlas_with_poorer_cells():
    store = fake_store([[10, 0], [100, 0], [200, 0], [255, 0]])
    assert indicators.summarise_region(store, [2]).percentiles["richness"] == 50
    assert indicators.summarise_region(store, [0]).percentiles["richness"] == 0


# Flags and species table.


def test_groups_add_up_their_members_and_say_how_many_are_not_assessed(summary, store, probability):
    p, hectares = probability
    species = store.species
    for name, member in (
        ("endemic", species["endemic"].fillna(False).to_numpy(bool)),
        ("protected", (species["habitats_directive"].fillna("") != "").to_numpy()),
        ("invasive", species["invasive_union_concern"].to_numpy(bool)),
    ):
        group = summary.groups[name]
        assert group.expected == pytest.approx(p.max(axis=0)[member].sum())
        assert group.expected_per_cell == pytest.approx((hectares @ p / hectares.sum())[member].sum())
        assert group.by_rule == np.count_nonzero(assemblages.sse(p).any(axis=0) & member)
    present = assemblages.sse(p).any(axis=0)
    unknown = species["endemic"].isna().to_numpy()
    assert summary.groups["endemic"].unassessed_percent == pytest.approx(
        100 * (present & unknown).sum() / present.sum()
    )
    assert summary.groups["protected"].unassessed_percent == 0
    endemic = summary.groups["endemic"]
    partly, fully = (replace(endemic, unassessed_percent=share).sentence for share in (12.0, 0.0))
    assert partly.endswith(" are endemic; 12 % of its species have not been assessed.")
    assert fully.endswith(" expected in the region are endemic.")


def test_species_listed_only_in_part_do_not_count_as_protected():
    from sdm_core.indicators import flag_members

    table = pd.DataFrame(
        {
            "species": ["A", "B", "C"],
            "habitats_directive": ["yes", "in part", ""],
            "flag_source": ["list", "list", ""],
        }
    )
    members, _ = flag_members(table)["protected"]
    assert members.tolist() == [True, False, False]


def test_flags_nobody_looked_up_are_unknown_and_not_zero():
    table = pd.DataFrame(
        {
            "species": ["A", "B"],
            "endemic": pd.array([None, None], dtype="boolean"),
            "habitats_directive": ["", ""],
            "invasive_union_concern": [False, False],
            "flag_source": ["", ""],
        }
    )
    found = indicators.summarise_region(fake_store([[255, 100]], table), [0])
    for group in found.groups.values():
        assert math.isnan(group.expected)
        assert group.by_rule is None
        assert group.unassessed_percent == 100
    assert found.sentence("endemic") == "The sources of this atlas do not say which species are endemic."
    assert found.to_dict()["groups"]["invasive"]["expected"] is None


def test_species_table_holds_the_probabilities_widest_first(summary, probability):
    p, hectares = probability
    table = summary.species_table
    assert list(table.columns) == list(indicators.SPECIES_COLUMNS)
    assert table["expected_area_km2"].is_monotonic_decreasing
    ids = table["species_id"].to_numpy()
    np.testing.assert_allclose(table["max_probability"], p.max(axis=0)[ids])
    np.testing.assert_allclose(table["expected_area_km2"], (hectares @ p / 100)[ids])
    assert table["mean_probability"].sum() == pytest.approx(summary.value("alpha_expected"))
    assert table["present"].sum() == summary.value("gamma")


def test_species_without_any_probability_are_not_listed():
    found = indicators.summarise_region(fake_store([[255, 0, 3]]), [0])
    assert found.species_table["species"].tolist() == ["Species 0", "Species 2"]


def test_records_nearby_are_those_of_the_coarse_cells_the_region_touches(summary, store, rows):
    import h3

    touched = {h3.str_to_int(h3.cell_to_parent(h3.int_to_str(int(cell)), 4)) for cell in store.cells[rows]}
    for species_id in summary.species_table["species_id"][::9]:
        records = store.observed_species(species_id)
        expected = records.loc[[int(cell) in touched for cell in records["cell"]], "n_records"].sum()
        row = summary.species_table.set_index("species_id").loc[species_id]
        assert row["records_nearby"] == expected


def test_atlas_without_records_leaves_them_unknown():
    found = indicators.summarise_region(fake_store([[255]]), [0])
    assert found.species_table["records_nearby"].isna().all()


# Output.


def test_dictionary_is_strict_json_with_the_same_numbers_units_and_definitions(summary):
    text = json.dumps(summary.to_dict(), allow_nan=False)
    content = json.loads(text)
    for name, indicator in summary.indicators.items():
        entry = content["indicators"][name]
        assert entry["value"] == indicator.value
        assert entry["unit"] == indicators.INDICATOR_TEXTS[name].unit
        assert entry["definition"]
        assert ("low" in entry) == bool(indicators.INDICATOR_TEXTS[name].interval)
    assert len(content["species"]) == len(summary.species_table)
    first = content["species"][0]
    assert first["expected_area_km2"] == summary.species_table["expected_area_km2"][0]
    assert set(first) == set(content["species_columns"])
    assert content["rule"] == {
        "name": "sse",
        "options": {},
        "text": "as many species as expected in each cell (k = round Σp), the most probable first, ties "
        "included",
    }


def test_undefined_numbers_become_none_and_not_nan(store, rows):
    content = indicators.summarise_region(store, rows).to_dict()  # no outline: no area
    assert content["indicators"]["area_km2"]["value"] is None
    json.dumps(content, allow_nan=False)


def test_every_indicator_has_a_sentence_with_its_own_number(summary):
    for name, indicator in summary.indicators.items():
        sentence = summary.sentence(name)
        assert sentence.endswith(".")
        assert "{" not in sentence
        assert name in ("alpha_cell_interval", "alpha_range") or indicator.shown in sentence
    gamma = summary.value("gamma")
    assert summary.sentence("gamma") == (
        f"Together its cells hold {gamma} species by the rule “sse”, each in at least one cell."
    )
    for name in summary.groups:
        assert "{" not in summary.sentence(name)


def test_every_text_belongs_to_an_indicator_and_every_interval_to_a_text(summary):
    assert set(summary.indicators) == set(indicators.INDICATOR_TEXTS)
    assert set(summary.groups) == set(indicators.GROUP_TEXTS)
    assert set(indicators.RULES) == set(indicators.RULE_TEXTS)
    for name, indicator in summary.indicators.items():
        assert math.isnan(indicator.low) == (indicators.INDICATOR_TEXTS[name].interval == "")
        assert math.isnan(indicator.low) or indicator.low <= indicator.value <= indicator.high


@pytest.mark.parametrize(
    ("name", "ends", "shown"),
    [
        ("simpson", (0.99934, 0.99918, 0.99941), "0.99934 (0.99918–0.99941)"),
        ("weighted_endemism", (453.53, 424.2, 477.48), "454 (424–477)"),
        ("alpha_expected", (18.2, 16.1, 20.4), "18.2 (16.1–20.4)"),
        ("alpha_cell_interval", (17.0, 7.0, 32.0), "17 (7–32)"),
    ],
)
def test_an_interval_from_errors_is_shown_with_the_figures_it_bears(name, ends, shown):
    assert indicators.Indicator(name, *ends, "errors").shown_interval == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(99.7, "99.7"), (99.97, "99.9"), (100.0, "100"), (0.2, "0.2"), (0.0, "0"), (0.01, "0.1"), (41.6, "42")],
)
def test_a_share_is_not_rounded_to_all_or_nothing(value, shown):
    assert indicators.format_percent(value) == shown


def test_numbers_are_shown_with_thin_spaces_and_fixed_decimals():
    assert indicators.format_number(1234567.89, 1) == "1\u202f234\u202f567.9"
    assert indicators.format_number(math.nan, 1) == "–"
    assert indicators.Indicator("alpha", 42.06, 35, 51.3).shown_interval == "42.1 (35.0–51.3)"
    assert indicators.Indicator("gamma", 7).shown_interval == "7"


def test_order_and_repetition_of_rows_do_not_matter(store, rows, summary):
    again = indicators.summarise_region(store, np.concatenate([rows[::-1], rows]))
    assert again.n_cells == summary.n_cells
    assert again.value("alpha") == summary.value("alpha")
    pd.testing.assert_frame_equal(again.species_table, summary.species_table)


# Empty and refused.


def test_region_without_any_predicted_species_has_undefined_indices_and_no_error():
    found = indicators.summarise_region(fake_store(np.zeros((3, 4))), np.arange(3))
    assert found.value("gamma") == 0
    assert found.value("alpha_expected") == 0
    for name in ("shannon", "simpson", "hill_0", "hill_1", "beta_whittaker", "cell_shannon"):
        assert math.isnan(found.value(name))
        assert "–" in found.sentence(name)
    assert len(found.species_table) == 0
    assert found.to_dict()["species"] == []


def test_one_cell_with_one_species_is_as_diverse_as_one_species():
    found = indicators.summarise_region(fake_store([[255, 0]]), [0])
    assert [found.value(name) for name in ("alpha", "gamma", "beta_whittaker", "hill_1")] == [1, 1, 1, 1]
    assert found.value("shannon") == found.value("beta_additive") == 0


@pytest.mark.parametrize(
    ("rule", "options", "message"),
    [
        ("best", {}, r'The rule is "best", expected one of sse, threshold, top_k, average_k, max_exp'),
        ("sse", {"t": 0.5}, r'The rule "sse" has no option "t"; its options: none'),
        ("threshold", {"k": 3}, r'The rule "threshold" has no option "k"; its options: t'),
        ("threshold", {"t": 0.0}, r"The threshold is 0, expected a probability above 0"),
        (
            "threshold",
            {"t": [0.5, 0.5]},
            r"The thresholds have shape \(2,\), expected one number or one for each",
        ),
        ("top_k", {}, r'The rule "top_k" needs a number of species k, and none was given'),
        ("top_k", {"k": 1.5}, r'The rule "top_k" needs a number of species k of 0 or more, found 1\.5'),
        ("average_k", {"k": -1}, r'The rule "average_k" needs a number of species k of 0 or more, found -1'),
        ("max_exp", {"score": "auc"}, r'The score is "auc", expected one of f1, jaccard, tss, accuracy'),
    ],
)
def test_rules_that_are_not_defined_are_refused_in_one_sentence(store, rows, rule, options, message):
    with pytest.raises(RuleError, match=message):
        indicators.summarise_region(store, rows, rule=rule, **options)


def test_region_without_cells_is_refused(store):
    with pytest.raises(
        NoDataInRegionError, match="holds no cell of the atlas simulated-pyrenees; choose one"
    ):
        indicators.summarise_region(store, [])


# Cells.


def test_cell_names_its_most_probable_species(store):
    row = 100
    found = indicators.summarise_cell(store, int(store.cells[row]), n_species=5)
    p = decode(store.codes[row])
    assert found.top["species_id"].tolist() == np.argsort(-p, kind="stable")[:5].tolist()
    np.testing.assert_allclose(found.top["probability"], np.sort(p)[::-1][:5])
    assert found.expected_richness == pytest.approx(p.sum(), rel=1e-6)
    assert found.shannon == pytest.approx(diversity.shannon(p), rel=1e-5)
    assert found.n_cells == 1
    json.dumps(found.to_dict(), allow_nan=False)


def test_parent_cell_gives_area_weighted_means_of_its_children(store):
    import h3

    parent = h3.str_to_int(h3.cell_to_parent(h3.int_to_str(int(store.cells[100])), 4))
    found = indicators.summarise_cell(store, parent, n_species=1)
    rows = store.rows_under(parent)
    hectares = store.area_ha[rows].astype(float)
    mean = hectares @ decode(store.codes[rows]) / hectares.sum()
    assert found.n_cells == len(rows) > 1
    assert found.top["probability"][0] == pytest.approx(mean.max())
    assert found.expected_richness == pytest.approx(mean.sum(), rel=1e-6)


def test_cell_outside_the_atlas_is_refused(store):
    with pytest.raises(NoDataInRegionError, match="The cell 861f1d487ffffff is not in the atlas"):
        indicators.summarise_cell(store, int("861f1d487ffffff", 16))


def test_top_species_of_many_cells_agree_with_each_cell_alone(store):
    rows = np.array([5, 300, 17, 18, 19])
    ids, p = indicators.top_species(store, rows, 4)
    for place, row in enumerate(rows):
        top = indicators.summarise_cell(store, int(store.cells[row]), 4).top
        assert ids[place, : len(top)].tolist() == top["species_id"].tolist()
        np.testing.assert_allclose(p[place, : len(top)], top["probability"])


def test_top_species_asks_for_at_least_one(store):
    with pytest.raises(RuleError, match="n_species is 0, expected 1 or more"):
        indicators.top_species(store, [0], 0)
