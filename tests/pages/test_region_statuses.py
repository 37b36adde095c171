"""Status lists on the Region page: numbers of the engine, unmatched names shown, bad files refused."""

from __future__ import annotations

import html
import json
import re

import pytest

from pages.ui import numbers, region_read, region_statuses, region_take, routes
from pages.ui.messages import LAYER_UNITS
from sdm_core import indicators, regions, statuses
from tests.pages.conftest import shown_html
from tests.pages.test_region import engine_summary, link_to
from tests.test_threat import LIST

WHOLE = {
    "type": "Polygon",
    "coordinates": [[[0.05, 42.32], [2.15, 42.32], [2.15, 42.88], [0.05, 42.88], [0.05, 42.32]]],
}


@pytest.fixture
def with_list(open_page):
    """The Region page with status files given to it, one after the other."""

    def opened(*files: tuple[str, bytes]):
        app = open_page("region", region=link_to(WHOLE))
        for number, (name, content) in enumerate(files):
            app.file_uploader(key=f"status_files_{number}").upload(name, content, "text/csv").run()
            assert not app.exception, app.exception
        return app

    return opened


def listed_summary(atlas, *contents: bytes):
    matched = [
        statuses.match_statuses(statuses.read_statuses(content, "x.csv"), atlas.store.species)
        for content in contents
    ]
    return engine_summary(atlas, WHOLE, statuses=matched)


def text_of(app) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", shown_html(app))))


def table_with(app, column: str):
    return next((table.value for table in app.dataframe if column in table.value), None)


def test_without_a_list_the_card_says_what_is_missing_and_how_to_add_it(with_list):
    app = with_list()
    assert "No Red List added. Most may not be passed on, so add yours below." in text_of(app)
    assert 'data-testid="status-list"' not in shown_html(app)
    assert table_with(app, "category") is None


def test_the_page_prints_the_numbers_of_the_engine_for_each_list(with_list, simulated_atlas):
    app = with_list(("mine.csv", LIST.encode()))
    summary = listed_summary(simulated_atlas, LIST.encode())
    said = text_of(app)
    for listed in summary.status_lists:
        assert f"{listed.listed} ({listed.list_region})" in said
        assert re.sub(r"\s+", " ", listed.sentence) in said
        assert f"{listed.origin}." in said
    red = summary.status_lists[0].official
    assert f" {100 * red.threatened_share:.1f} %" in said
    assert f"{100 * red.low:.1f}–{100 * red.high:.1f} % if none or all of the others were" in said
    assert f'data-testid="number-threatened_share-0">{100 * red.threatened_share:.1f}<' in shown_html(app)
    relative = summary["relative_endemism"].shown
    assert f"{relative} ×" in said


def test_the_table_of_statuses_is_worst_first_with_list_source_and_date(with_list):
    table = table_with(with_list(("mine.csv", LIST.encode())), "date")
    assert table["category"].tolist() == ["CR", "NE, EN predicted", "VU", "protected", "alien", "RE"]
    assert table["species"].tolist()[:3] == ["Taxus baccata", "Pinus nigra", "Fagus sylvatica"]
    assert (table[["list", "source", "date"]] != "").all().all()


def test_a_list_without_a_match_shows_no_empty_table(with_list):
    header = LIST.splitlines()[0]
    row = "Planta ficta" + LIST.splitlines()[1][LIST.splitlines()[1].index(",") :]
    app = with_list(("none.csv", f"{header}\n{row}\n".encode()))
    assert "0 of 1 entries are species of this atlas" in text_of(app)
    assert table_with(app, "date") is None


def test_the_species_table_shows_and_filters_statuses(with_list):
    app = with_list(("mine.csv", LIST.encode()))
    app.button_group(key="species_flags").set_value(["status"]).run()
    table = table_with(app, "flags").set_index("species")
    assert len(table) == 7
    assert table.loc["Taxus baccata", "flags"] == "CR (Red List, Pyrenees)"
    assert table.loc["Taxus baccata", "flag_source"] == "Invented, 2020"


def test_names_that_are_not_in_the_atlas_are_listed_with_suggestions(with_list):
    content = LIST.replace("Nowhere seen", "Fagus silvatica").encode()
    app = with_list(("mine.csv", content))
    assert "mine.csv 7 of 8 entries are species of this atlas." in text_of(app)
    table = table_with(app, "suggestions")
    assert table[["taxon", "category", "suggestions"]].values.tolist() == [
        ["Fagus silvatica", "EN", "Fagus sylvatica"]
    ]


def test_several_lists_stay_on_other_pages_and_go_one_by_one(with_list, simulated_atlas):
    second = LIST.replace("Red List", "Second list").replace("Law", "Second law").encode()
    app = with_list(("mine.csv", LIST.encode()), ("other.csv", second))
    app.switch_page("about.py").run()
    app.switch_page("region.py").run()
    assert shown_html(app).count('data-testid="status-list"') == 4
    digest = statuses.read_statuses(LIST.encode()).digest
    app.button(key=f"status_remove_{digest}").click().run()
    assert shown_html(app).count('data-testid="status-list"') == 2
    assert "Second list (Pyrenees)" in text_of(app) and "Red List (Pyrenees)" not in text_of(app)


def test_a_bad_file_gets_one_sentence_and_leaves_the_other_lists(with_list):
    app = with_list(("mine.csv", LIST.encode()), ("bad.csv", b"species,status\nAbies alba,VU\n"))
    assert [error.value for error in app.error] == [
        "bad.csv has no column 'taxon': found 'species', 'status', expected "
        "taxon,list,category,region,source,date,licence; rename or add it."
    ]
    assert 'data-testid="status-list"' in shown_html(app)


def test_the_report_of_the_page_has_the_lists_of_the_session(with_list, simulated_atlas, monkeypatch):
    file = statuses.read_statuses(LIST.encode(), "mine.csv")
    monkeypatch.setattr(region_statuses, "files", lambda: [file])
    monkeypatch.setattr(region_take.state, "share_link", lambda *_: "")
    summary = listed_summary(simulated_atlas, LIST.encode())
    reading = region_read.Reading(summary, None, "part")
    region = regions.decode_region_link(link_to(WHOLE))
    files = region_take.build(simulated_atlas, region, reading, ["json"])
    found = json.loads(files["indicators.json"])["status_lists"]
    assert [listed["file"] for listed in found] == ["mine.csv", "mine.csv"]
    assert found[0]["official"] == json.loads(json.dumps(summary.status_lists[0].official.to_dict()))


def test_every_category_but_those_that_mean_nothing_has_a_place_in_the_table():
    assert set(region_statuses._ORDER) == set(statuses.CATEGORIES) - {"LC", "NE", "NA"}


def test_lists_are_kept_in_the_session_only(with_list, simulated_atlas, open_page):
    with_list(("mine.csv", LIST.encode()))
    other = open_page("region", region=link_to(WHOLE))
    assert 'data-testid="status-list"' not in shown_html(other)
    assert indicators.THREAT_TEXTS["threatened_share"] in html.unescape(shown_html(other))


def hexagon_values(app) -> list[str]:
    """Values of the hexagons on the region's map, as their tooltips print them."""
    deck = json.loads(app.get("deck_gl_json_chart")[0].proto.json)
    address = next(layer["data"] for layer in deck["layers"] if layer["id"] == "cells")
    return [
        row["v"] for row in json.loads(routes.LAYERS.body(address.rpartition("/")[2].removesuffix(".json")))
    ]


def test_the_map_shows_threat_by_the_list_and_goes_back_when_it_is_removed(with_list, simulated_atlas):
    app = with_list()
    assert not {"threatened_share"} & set(region_statuses.layers(engine_summary(simulated_atlas, WHOLE)))
    app = with_list(("mine.csv", LIST.encode()))
    app.button_group(key="region_layer").set_value("threatened_share").run()
    assert not app.exception
    assert "threatened share of the assessed species" in text_of(app)
    store = simulated_atlas.store
    region = regions.decode_region_link(link_to(WHOLE))
    chosen = regions.select_cells(region, store.lonlat, store.resolution, store.cells, store.area_ha)
    matched = statuses.match_statuses(statuses.read_statuses(LIST.encode()), store.species)
    share = indicators.concern_layers(store, chosen.rows, [matched])["threatened_share"]
    assert hexagon_values(app) == [numbers.percent(float(value)) for value in share]
    app.button(key=f"status_remove_{matched.file.digest}").click().run()
    assert not app.exception
    assert "threatened share of the assessed species" not in text_of(app)


@pytest.mark.parametrize("layer", ["endemic", "weighted_endemism", "invasive_share"])
def test_the_map_shows_endemism_and_invasion_without_a_list(with_list, layer):
    app = with_list()
    app.button_group(key="region_layer").set_value(layer).run()
    assert not app.exception
    assert LAYER_UNITS[layer] in text_of(app)
    assert len(set(hexagon_values(app))) > 10


def test_a_table_of_synonyms_lets_a_list_use_other_names(with_list):
    content = LIST.replace("Nowhere seen", "Fagus silvana").encode()
    app = with_list(("mine.csv", content))
    assert "mine.csv 7 of 8 entries are species of this atlas." in text_of(app)
    table = b"synonym,accepted\nFagus silvana,Quercus pubescens\n"
    number = app.session_state["status_round"]
    app.file_uploader(key=f"synonyms_file_{number}").upload("names.csv", table, "text/csv").run()
    assert not app.exception and not app.error
    assert "mine.csv 8 of 8 entries are species of this atlas." in text_of(app)
    found = table_with(app, "way").set_index("taxon")
    assert found.loc["Fagus silvana"].tolist() == ["Quercus pubescens", "synonym given with the list"]
    app.button(key="synonyms_remove").click().run()
    assert "mine.csv 7 of 8 entries are species of this atlas." in text_of(app)


def test_a_table_that_is_none_of_synonyms_gets_one_sentence_and_the_lists_stay(with_list):
    app = with_list(("mine.csv", LIST.encode()))
    number = app.session_state["status_round"]
    app.file_uploader(key=f"synonyms_file_{number}").upload("names.csv", b"a,b\n1,2\n", "text/csv").run()
    assert "names.csv has no column 'synonym'" in app.error[0].value
    assert "mine.csv 7 of 8 entries" in text_of(app)
