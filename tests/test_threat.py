"""Threat and range: reference numbers, bounds, and the same numbers from the store and by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from pyproj import Geod

from sdm_core import diversity, indicators, statuses
from sdm_core.__main__ import main
from sdm_core.errors import OccurrenceError, RuleError
from sdm_core.regions import region_from_point, select_cells
from tests import make_store

P = np.array([0.5, 0.3, 0.15, 0.05])
CATEGORIES = np.array(["VU", "LC", "CR", "NT"], dtype=object)
HEADER = "taxon,list,category,region,source,date,licence,completed"
LIST = f"""{HEADER}
Abies alba,Red List,LC,Pyrenees,Invented,2020,CC0,
Fagus sylvatica,Red List,VU,Pyrenees,Invented,2020,CC0,
Taxus baccata,Red List,CR,Pyrenees,Invented,2020,CC0,
Pinus nigra,Red List,NE,Pyrenees,Invented,2020,CC0,EN
Quercus ilex,Red List,RE,Pyrenees,Invented,2020,CC0,
Ilex aquifolium,Law,protected,Pyrenees,Ministry,2021-05,CC0,
Robinia pseudoacacia,Law,alien,Pyrenees,Ministry,2021-05,CC0,
Nowhere seen,Red List,EN,Pyrenees,Invented,2020,CC0,
"""

probabilities = st_numpy.arrays(np.float64, 8, elements=st.floats(0, 1).map(lambda p: round(p, 4)))
some_categories = st.lists(st.sampled_from(["", *statuses.RED_LIST]), min_size=8, max_size=8)


# One cell ---------------------------------------------------------------------------------------------


def test_shares_of_the_reference_assemblage():
    # ecology.md §7: (.5 VU, .3 LC, .15 CR, .05 NT) → I_T 0.65, I_O CR, I_H 1.142120
    shares = indicators.status_shares(P, CATEGORIES)
    assert {name: float(share) for name, share in shares.items()} == pytest.approx(
        {"LC": 0.3, "NT": 0.05, "VU": 0.5, "EN": 0.0, "CR": 0.15}
    )
    assert indicators.threatened_share(P, CATEGORIES) == pytest.approx(0.65)
    assert indicators.most_threatened(P > 0, CATEGORIES) == "CR"
    assert diversity.shannon(P) == pytest.approx(1.142120, abs=5e-7)


def test_probabilities_below_the_least_one_are_left_out_and_the_rest_renormalised():
    # model2indicators drops p < λ before it renormalises: .5/.95, .3/.95, .15/.95
    shares = indicators.status_shares(P, CATEGORIES, least=0.1)
    assert [float(share) for share in shares.values()] == pytest.approx(
        [0.3 / 0.95, 0, 0.5 / 0.95, 0, 0.15 / 0.95]
    )


def test_species_without_assessment_leave_the_share_and_widen_its_bounds():
    p = np.array([0.2, 0.3, 0.4, 0.1])
    names = ["VU", "LC", "DD", ""]
    assert indicators.threatened_share(p, names) == pytest.approx(0.2 / 0.5)
    assert indicators.unassessed_share(p, names) == pytest.approx(0.5)
    assert [float(end) for end in indicators.threatened_share_bounds(p, names)] == pytest.approx([0.2, 0.7])


def test_extinct_species_are_neither_threatened_nor_in_the_denominator():
    p, names = np.array([0.2, 0.2, 0.6]), ["VU", "LC", "RE"]
    assert indicators.threatened_share(p, names) == pytest.approx(0.5)
    assert indicators.unassessed_share(p, names) == 0
    assert [float(end) for end in indicators.threatened_share_bounds(p, names)] == pytest.approx([0.5, 0.5])
    assert indicators.most_threatened([False, False, True], names) == ""


def test_empty_cell_has_no_share_and_no_status():
    assert math.isnan(indicators.threatened_share(np.zeros(4), CATEGORIES))
    assert all(math.isnan(share) for share in indicators.status_shares(np.zeros(4), CATEGORIES).values())
    assert indicators.most_threatened(np.zeros(4, dtype=bool), CATEGORIES) == ""


def test_many_cells_at_once_are_each_cell_alone():
    p = np.random.default_rng(3).random((5, 4))
    together = indicators.threatened_share(p, CATEGORIES)
    assert together.tolist() == [float(indicators.threatened_share(cell, CATEGORIES)) for cell in p]
    worst = indicators.most_threatened(p > 0.5, CATEGORIES)
    assert worst.tolist() == [indicators.most_threatened(cell > 0.5, CATEGORIES) for cell in p]


@given(probabilities, some_categories)
def test_shares_stay_within_bounds_and_add_up(p, names):
    shares = np.array(list(indicators.status_shares(p, names).values()))
    if not p.sum() > 0:
        assert np.isnan(shares).all()
        return
    gone = p[np.isin(names, ["RE", "EW", "EX"])].sum() / p.sum()
    assert shares.sum() + indicators.unassessed_share(p, names) + gone == pytest.approx(1.0)
    low, high = indicators.threatened_share_bounds(p, names)
    share = indicators.threatened_share(p, names)
    if math.isnan(share):
        return
    assert 0 <= low <= share + 1e-12
    assert share <= high + 1e-12 <= 1 + 2e-12


@given(probabilities, some_categories, st.permutations(range(8)))
def test_order_of_species_does_not_matter(p, names, order):
    names = np.array(names, dtype=object)
    order = list(order)
    assert indicators.threatened_share(p[order], names[order]) == pytest.approx(
        float(indicators.threatened_share(p, names)), nan_ok=True
    )
    assert indicators.most_threatened(p[order] > 0.3, names[order]) == indicators.most_threatened(
        p > 0.3, names
    )


@pytest.mark.parametrize(
    ("p", "names", "message"),
    [
        ([0.1, 0.2], ["VU"], r"1 categories for probabilities of shape \(2,\); expected one category per"),
        ([0.1], ["vulnerable"], r'category "vulnerable" is not one of NE, NA, DD'),
        ([-0.1], ["VU"], r"is negative or not a number"),
        ([np.nan], ["VU"], r"is negative or not a number"),
    ],
)
def test_bad_input_of_threat_functions_gets_one_sentence(p, names, message):
    with pytest.raises(RuleError, match=message):
        indicators.threatened_share(p, names)


def test_star_like_weighs_range_shares_by_category():
    # 100·.5 + 200·.1 + 300·.2 + 400·.01; LC and unknown ranges add nothing
    value = indicators.star_like([0.5, 0.1, 0.2, 0.01, 0.9, np.nan], ["NT", "VU", "EN", "CR", "LC", "CR"])
    assert value == pytest.approx(134.0)


# Ranges -----------------------------------------------------------------------------------------------


def test_weighted_endemism_counts_each_species_by_one_over_its_range():
    # Crisp et al.: three species of ranges 1, 2 and 4 cells: 1 + 1/2 + 1/4
    assert indicators.weighted_endemism([1, 1, 1], [1, 2, 4]) == pytest.approx(1.75)
    assert indicators.weighted_endemism([1, 0.5, 1], [1, 2, 0]) == pytest.approx(1.25)


@pytest.fixture(scope="module")
def store(simulated_atlas):
    return simulated_atlas.store


@pytest.fixture(scope="module")
def rows(store):
    region = region_from_point(0.9, 42.6, 20.0, "Twenty kilometres")
    return select_cells(region, store.lonlat, store.resolution, store.cells, store.area_ha).rows


@pytest.fixture(scope="module")
def matched(store):
    return statuses.match_statuses(statuses.read_statuses(LIST.encode(), "invented.csv"), store.species)


@pytest.fixture(scope="module")
def summary(store, rows, matched):
    return indicators.summarise_region(store, rows, statuses=[matched])


def test_range_shares_add_up_to_one_over_a_partition_of_the_atlas(store):
    every = np.arange(store.n_cells)
    parts = [every[every % 3 == part] for part in range(3)]
    shares = [indicators.range_shares(store, store.region_sums(part)) for part in parts]
    assert sum(part.share for part in shares) == pytest.approx(np.ones(store.n_species))
    assert sum(part.area_share for part in shares) == pytest.approx(1.0)
    assert sum(part.weighted_endemism for part in shares) == pytest.approx(store.n_species)


def test_whole_atlas_holds_every_range_and_is_not_richer_than_itself(store):
    shares = indicators.range_shares(store, store.region_sums(np.arange(store.n_cells)))
    assert shares.weighted_endemism == pytest.approx(store.n_species)
    assert shares.relative_endemism == pytest.approx(1.0)
    assert shares.n_above(5) == store.n_species


def test_range_indicators_are_those_of_the_probabilities(store, rows, summary):
    area, p = np.asarray(store.area_ha), store.probabilities(np.arange(store.n_cells)).astype(np.float64)
    everywhere = area @ p
    inside = area[rows] @ p[rows]
    assert summary.value("weighted_endemism") == pytest.approx(float((inside / everywhere).sum()), rel=1e-5)
    assert summary.value("range_over_5_percent") == np.count_nonzero(inside / everywhere > 0.05)
    assert summary.value("relative_endemism") == pytest.approx(
        float((inside / everywhere).mean() / (area[rows].sum() / area.sum())), rel=1e-5
    )
    table = summary.species_table.set_index("species_id")["range_share_percent"]
    assert table.to_numpy() == pytest.approx(100 * (inside / everywhere)[table.index], rel=1e-4)


# Lists over a region ----------------------------------------------------------------------------------


def test_numbers_of_a_list_are_those_of_the_probabilities(store, rows, summary):
    red, law = summary.status_lists
    area, p = np.asarray(store.area_ha)[rows], store.probabilities(rows).astype(np.float64)
    sums = dict(zip(store.species["species"], area @ p, strict=True))
    best = dict(zip(store.species["species"], p.max(axis=0), strict=True))
    total = sum(sums.values())
    assert red.official.shares["VU"] == pytest.approx(sums["Fagus sylvatica"] / total, rel=1e-5)
    threatened = sums["Fagus sylvatica"] + sums["Taxus baccata"]
    assert red.official.threatened_share == pytest.approx(
        threatened / (threatened + sums["Abies alba"]), rel=1e-5
    )
    without_gone = total - sums["Quercus ilex"]
    assert red.official.low == pytest.approx(threatened / without_gone, rel=1e-5)
    assert red.official.high == pytest.approx((without_gone - sums["Abies alba"]) / without_gone, rel=1e-5)
    assert red.official.expected == pytest.approx(best["Fagus sylvatica"] + best["Taxus baccata"], rel=1e-5)
    assert red.completed.shares["EN"] == pytest.approx(sums["Pinus nigra"] / total, rel=1e-5)
    assert red.completed.unassessed_percent < red.official.unassessed_percent
    assert law.official is None and law.completed is None
    assert law.groups["protected"].share == pytest.approx(sums["Ilex aquifolium"] / total, rel=1e-5)
    assert (red.n_taxa, red.n_matched, law.n_taxa, law.n_matched) == (6, 5, 2, 2)


def test_most_threatened_status_is_firm_only_where_a_species_is_almost_certain(store, rows, summary):
    best = store.probabilities(rows).max(axis=0)
    best = dict(zip(store.species["species"], best, strict=True))
    red = summary.status_lists[0].official
    possible = [c for c, name in (("VU", "Fagus sylvatica"), ("CR", "Taxus baccata")) if best[name] >= 0.05]
    certain = [
        c
        for c, name in (("LC", "Abies alba"), ("VU", "Fagus sylvatica"), ("CR", "Taxus baccata"))
        if best[name] >= 0.9
    ]
    assert red.possible == (possible[-1] if possible else "")
    assert red.certain == (certain[-1] if certain else "")


def test_every_status_in_the_species_table_has_its_list_source_and_date(summary):
    table = summary.species_table.set_index("species")
    assert table.loc["Taxus baccata", ["statuses", "status_source", "status_date"]].tolist() == [
        "CR (Red List, Pyrenees)",
        "Invented",
        "2020",
    ]
    assert table.loc["Pinus nigra", "statuses"] == "NE, EN predicted (Red List, Pyrenees)"
    assert table.loc["Ilex aquifolium", "status_date"] == "2021-05"
    assert table.loc["Acer campestre", "statuses"] == ""
    with_status = table[table["statuses"] != ""]
    assert (with_status["status_source"] != "").all() and (with_status["status_date"] != "").all()


def test_summary_with_lists_is_json_with_definitions(summary):
    content = json.loads(json.dumps(summary.to_dict(), allow_nan=False))
    red = content["status_lists"][0]
    assert red["list"] == "Red List" and red["dates"] == ["2020"] and red["licences"] == ["CC0"]
    assert red["official"]["threatened_share"] == summary.status_lists[0].official.threatened_share
    assert set(red["official"]) - {
        "expected",
        "low",
        "high",
        "share_low",
        "share_high",
        "worst_by_rule",
    } <= set(red["definitions"])


def test_list_of_which_no_taxon_is_in_the_atlas_says_so_and_counts_nothing(store, rows):
    content = f"{HEADER}\nNowhere seen,Red List,EN,Pyrenees,Invented,2020,CC0,\n".encode()
    file = statuses.match_statuses(statuses.read_statuses(content, "one.csv"), store.species)
    found = indicators.summarise_region(store, rows, statuses=[file]).status_lists[0]
    assert math.isnan(found.official.threatened_share)
    assert found.official.unassessed_percent == pytest.approx(100.0)
    assert (found.official.certain, found.official.possible, found.n_matched) == ("", "", 0)
    assert found.sentence.startswith("No species expected here is assessed LC to CR")


def test_lists_can_be_added_to_a_summary_that_was_made_without_them(store, rows, matched, summary):
    plain = indicators.summarise_region(store, rows)
    added = indicators.with_statuses(plain, store, rows, store.area_ha[rows], [matched])
    pd.testing.assert_frame_equal(added.species_table, summary.species_table)
    assert added.to_dict() == summary.to_dict()
    assert plain.status_lists == () and (plain.species_table["statuses"] == "").all()
    again = indicators.with_statuses(added, store, rows, store.area_ha[rows], [])
    assert again.to_dict() == plain.to_dict()


def test_without_a_list_nothing_else_changes(store, rows, summary):
    plain = indicators.summarise_region(store, rows)
    assert plain.status_lists == ()
    assert plain.indicators == summary.indicators
    columns = [name for name in plain.species_table if not name.startswith("status")]
    pd.testing.assert_frame_equal(plain.species_table[columns], summary.species_table[columns])


def test_layers_of_cells_are_the_indices_of_each_cell(store, rows, matched):
    layers = indicators.concern_layers(store, rows, [matched])
    assert list(layers) == list(indicators.CONCERN_LAYERS)
    p = store.probabilities(rows).astype(np.float64)
    categories = matched.categories("Red List", "Pyrenees")
    assert layers["threatened_share"] == pytest.approx(indicators.threatened_share(p, categories), rel=1e-5)
    assert layers["unassessed_share"] == pytest.approx(indicators.unassessed_share(p, categories), abs=1e-6)
    worst = indicators.most_threatened(p >= indicators.POSSIBLE_FROM, categories)
    names = np.array(["", "LC", "NT", "VU", "EN", "CR"], dtype=object)
    assert (names[layers["most_threatened"].astype(int)] == worst).all()
    endemic = store.species["endemic"].fillna(False).to_numpy(bool)
    assert layers["endemic"] == pytest.approx(p[:, endemic].sum(axis=1), rel=1e-5)
    invasive = store.species["invasive_union_concern"].to_numpy(bool)
    assert layers["invasive_share"] == pytest.approx(p[:, invasive].sum(axis=1) / p.sum(axis=1), rel=1e-5)


def test_weighted_endemism_of_all_cells_adds_up_to_the_number_of_species(store):
    layer = indicators.concern_layers(store, np.arange(store.n_cells))["weighted_endemism"].astype(np.float64)
    area = np.asarray(store.area_ha)
    assert (layer @ area) / area.mean() == pytest.approx(store.n_species, rel=1e-5)
    assert "threatened_share" not in indicators.concern_layers(store, [0, 1])


# Observed ranges --------------------------------------------------------------------------------------


def test_convex_polygon_has_the_geodesic_area_of_its_corners():
    corners = np.array([[0.0, 40.0], [1.0, 40.0], [1.0, 41.0], [0.0, 41.0]])
    expected = Geod(ellps="WGS84").polygon_area_perimeter(*corners.T)[0] / 1e6  # GeographicLib: 9412.79 km²
    inside = np.vstack([corners, [[0.5, 40.5], [0.2, 40.9]]])
    assert indicators.convex_hull_km2(inside) == pytest.approx(expected, rel=1e-9)


def test_convex_polygon_across_the_date_line_and_around_the_pole():
    away = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 1.0]])
    there = (away + [179.5, 0.0] + 180) % 360 - 180
    across = np.column_stack([there[:, 0], away[:, 1]])
    assert indicators.convex_hull_km2(across) == pytest.approx(indicators.convex_hull_km2(away), rel=1e-9)
    pole = np.column_stack([np.arange(0, 360, 30.0) - 180, np.full(12, 85.0)])
    cap = (
        2 * math.pi * 6371.0**2 * (1 - math.cos(math.radians(5.0)))
    )  # a cap is a little more than its polygon
    assert indicators.convex_hull_km2(pole) == pytest.approx(0.955 * cap, rel=0.03)


def test_one_place_and_places_in_a_line_take_the_area_of_occupancy_as_extent():
    # Guidelines: if EOO < AOO, EOO is set equal to AOO
    one = indicators.observed_range([[0.5, 42.0], [0.5, 42.0]])
    assert (one.n_records, one.n_places, one.n_squares) == (2, 1, 1)
    assert (one.eoo_km2, one.aoo_km2, one.hull_km2) == (4.0, 4.0, 0.0)
    two = indicators.observed_range([[0.5, 42.0], [0.6, 42.0]])
    assert (two.aoo_km2, two.eoo_km2, two.hull_km2) == (8.0, 8.0, 0.0)
    assert any("extent of occurrence is set to that area" in warning for warning in two.warnings)


def test_area_of_occupancy_takes_the_position_of_the_grid_with_fewest_squares():
    # Four records within 1.5 km fit one square in some position of the grid, four in the worst.
    degree_km = 111.2
    steps = np.array([[-0.7, -0.7], [0.7, -0.7], [-0.7, 0.7], [0.7, 0.7]]) / degree_km
    assert indicators.occupied_squares(np.array([0.0, 0.0]) + steps) == 1
    # Records 10 km apart each have their own.
    assert indicators.occupied_squares(np.column_stack([np.arange(5) * 10 / degree_km, np.zeros(5)])) == 5


@given(
    st.lists(
        st.tuples(st.floats(-5, 5), st.floats(40, 45)).map(
            lambda pair: (round(pair[0], 3), round(pair[1], 3))
        ),
        min_size=1,
        max_size=12,
    )
)
def test_extent_is_never_below_occupancy_and_more_records_never_shrink_it(points):
    found = indicators.observed_range(points)
    assert found.eoo_km2 >= found.aoo_km2 >= 4.0
    assert found.n_squares <= found.n_places <= found.n_records
    more = indicators.observed_range([*points, (2.0, 42.0)])
    assert more.hull_km2 >= found.hull_km2 * (1 - 1e-6)


@pytest.mark.parametrize(
    ("eoo_km", "thresholds"),
    [
        (5.0, {"EOO": "CR", "AOO": "EN"}),
        (50.0, {"EOO": "EN", "AOO": "EN"}),
        (300.0, {"EOO": "", "AOO": "EN"}),
    ],
)
def test_thresholds_of_criterion_b_are_information_about_each_measure(eoo_km, thresholds):
    side = eoo_km / 111.2
    corners = np.array([[0, 0], [side, 0], [side, side], [0, side]])
    assert indicators.observed_range(corners).thresholds() == thresholds
    assert "not a category" in indicators.CRITERION_B_NOTE


def test_criterion_b_limits_are_those_of_the_iucn():
    assert {name: dict(limits) for name, limits in indicators.CRITERION_B.items()} == {
        "EOO": {"CR": 100, "EN": 5_000, "VU": 20_000},
        "AOO": {"CR": 10, "EN": 500, "VU": 2_000},
    }


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([[0.0, np.nan]], "has no coordinates, or coordinates off the globe"),
        ([[42.0, 95.0]], "coordinates off the globe"),
        ([1.0, 2.0, 3.0, 4.0], r"have the shape \(4,\); expected longitude and latitude"),
    ],
)
def test_bad_records_get_one_sentence(points, message):
    with pytest.raises(OccurrenceError, match=message):
        indicators.observed_range(points)


def test_records_all_around_the_globe_have_no_convex_polygon_and_say_so():
    around = [[0, 0], [120, 0], [-120, 0]]
    with pytest.raises(OccurrenceError, match="spread over more than half of the globe"):
        indicators.convex_hull_km2(around)
    found = indicators.observed_range(around)
    assert math.isnan(found.eoo_km2) and found.aoo_km2 == 12.0
    assert any("spread over more than half of the globe" in warning for warning in found.warnings)
    assert found.thresholds() == {"EOO": "", "AOO": "EN"}


def test_ranges_command_writes_a_row_per_species_and_no_category(tmp_path, capsys):
    records = pd.DataFrame(
        {
            "species": ["Abies alba"] * 4 + ["Taxus baccata"],
            "longitude": [0.0, 1.0, 1.0, 0.0, 0.5],
            "latitude": [42.0, 42.0, 43.0, 43.0, 42.5],
        }
    )
    records.to_csv(tmp_path / "records.csv", index=False)
    arguments = ["ranges", "--records", str(tmp_path / "records.csv"), "--out", str(tmp_path / "ranges.csv")]
    assert main(arguments) == 0
    table = pd.read_csv(tmp_path / "ranges.csv").set_index("species")
    alone = indicators.observed_range(records[["longitude", "latitude"]].iloc[:4])
    assert table.loc["Abies alba", "eoo_km2"] == pytest.approx(alone.eoo_km2, abs=0.01)
    assert table["aoo_km2"].tolist() == [16.0, 4.0] and table["eoo_below_threshold"].tolist() == ["VU", "CR"]
    said = capsys.readouterr()
    assert "2 species" in said.out and "not a category" in said.err
    assert main([*arguments[:2], str(tmp_path / "none.csv"), *arguments[3:]]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_no_records_have_no_range():
    none = indicators.observed_range(np.zeros((0, 2)))
    assert math.isnan(none.eoo_km2) and none.n_squares == 0 and none.warnings == ("There is no record.",)


def test_simulated_species_have_the_names_the_list_uses(store):
    # guards this file: a name that is not in the simulated atlas would make tests above say nothing
    names = set(store.species["species"])
    listed = {line.split(",")[0] for line in LIST.splitlines()[1:]} - {"Nowhere seen"}
    assert listed <= names and store.n_species == len(make_store.SPECIES)
