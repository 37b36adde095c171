"""Region: an area chosen four ways, numbers equal to the engine's, files equal to the page."""

from __future__ import annotations

import html
import io
import json
import re
import zipfile

import geopandas as gpd
import pandas as pd
import pytest
import shapely

from pages.ui import region_choose, region_species, region_take
from pages.ui.region_standing import sentences
from sdm_core import indicators, regions
from tests.make_store import EAST, NORTH, SOUTH, WEST
from tests.pages.conftest import link_of, shown_html

MIDDLE = {
    "type": "Polygon",
    "coordinates": [[[0.4, 42.45], [1.2, 42.45], [1.2, 42.75], [0.4, 42.75], [0.4, 42.45]]],
}
SEA = {"type": "Polygon", "coordinates": [[[-30, 40], [-29, 40], [-29, 41], [-30, 41], [-30, 40]]]}


def link_to(geometry: dict) -> str:
    return regions.encode_region_link(region_choose.drawn_region(geometry))


def engine_summary(atlas, geometry: dict = MIDDLE, rule: str = "sse", containment: str = "centre", **options):
    region = regions.decode_region_link(link_to(geometry))
    store = atlas.store
    chosen = regions.select_cells(
        region, store.lonlat, store.resolution, store.cells, store.area_ha, containment
    )
    return indicators.summarise_region(
        store, chosen.rows, region, rule, chosen.notes, chosen.hectares, containment, **options
    )


def number(app, name: str) -> str:
    """A number of the details table as the page prints it, with its interval."""
    page = shown_html(app)
    value = re.search(f'data-testid="number-{name}">([^<]*)<', page).group(1)
    ends = re.search(f'data-testid="range-{name}">([^<]*)<', page).group(1).strip()
    return f"{value} ({ends})" if ends else value


def test_the_empty_state_offers_an_example_that_works(open_page):
    app = open_page("region")
    assert "Draw an area on the map, or try" in shown_html(app)
    app.button(key="try_example").click().run()
    assert not app.error
    assert 'data-testid="cards"' in shown_html(app)
    assert link_of(app)["region"]


def test_the_page_prints_the_numbers_of_the_engine(open_page, simulated_atlas):
    app = open_page("region", region=link_to(MIDDLE))
    summary = engine_summary(simulated_atlas)
    for name in (
        "area_km2",
        "alpha",
        "gamma",
        "gamma_lower",
        "beta_whittaker",
        "shannon",
        "simpson",
        "hill_1",
    ):
        assert number(app, name) == summary[name].shown_interval
    table = app.dataframe[0].value
    assert table["species"].tolist() == summary.species_table["species"].tolist()


def test_the_page_says_where_the_region_stands_as_the_report_does(open_page, simulated_atlas):
    region = regions.decode_region_link(link_to(MIDDLE))
    store = simulated_atlas.store
    chosen = regions.select_cells(region, store.lonlat, store.resolution, store.cells, store.area_ha)
    found = indicators.benchmark_region(store, chosen.rows, chosen.hectares, region)
    said = sentences(found)
    assert (
        "Richness: " in said
        and "in the atlas (percentile " in said
        and "Distinctiveness (weighted endemism): " in said
    )
    assert f'data-testid="standing">{html.escape(said)}<' in shown_html(
        open_page("region", region=link_to(MIDDLE))
    )


def test_the_rule_and_its_threshold_change_gamma_and_the_link(open_page, simulated_atlas):
    app = open_page("region", region=link_to(MIDDLE))
    app.radio(key="rule_picker").set_value("threshold").run()
    app.slider(key="threshold_picker").set_value(0.3).run()
    assert (link_of(app)["rule"], link_of(app)["value"]) == ("threshold", "0.3")
    assert number(app, "gamma") == engine_summary(simulated_atlas, rule="threshold", t=0.3)["gamma"].shown


def test_cells_counted_change_the_numbers_the_words_and_the_link(open_page, simulated_atlas):
    app = open_page("region", region=link_to(MIDDLE))
    app.selectbox(key="containment_picker").set_value("area_weighted").run()
    assert not app.exception
    assert link_of(app)["containment"] == "area_weighted"
    expected = engine_summary(simulated_atlas, containment="area_weighted")
    assert expected.n_cells > engine_summary(simulated_atlas).n_cells
    for name in ("cell_area_km2", "alpha_expected", "shannon"):
        assert number(app, name) == expected[name].shown_interval
    assert f"about the {expected.n_cells} cells of which any part lies inside" in shown_html(app)
    app.selectbox(key="containment_picker").set_value("centre").run()
    assert "containment" not in link_of(app)


def test_a_link_restores_the_cells_counted_and_an_unknown_way_gets_one_sentence(open_page, simulated_atlas):
    app = open_page("region", region=link_to(MIDDLE), containment="intersect")
    assert number(app, "gamma") == engine_summary(simulated_atlas, containment="intersect")["gamma"].shown
    app = open_page("region", region=link_to(MIDDLE), containment="guess")
    assert not app.exception
    assert "asks to count cells by “guess”" in app.warning[0].value
    assert number(app, "gamma") == engine_summary(simulated_atlas)["gamma"].shown


def test_a_link_restores_area_rule_and_threshold(open_page, simulated_atlas):
    app = open_page("region", region=link_to(MIDDLE), rule="threshold", value="0.2")
    assert app.slider(key="threshold_picker").value == 0.2
    assert number(app, "gamma") == engine_summary(simulated_atlas, rule="threshold", t=0.2)["gamma"].shown


def test_an_unreadable_area_in_a_link_gets_one_sentence_and_the_choice(open_page):
    app = open_page("region", region="poly1:!!!")
    assert "The area in the link cannot be read" in app.warning[0].value
    assert app.radio(key="region_mode").value == "draw"


def test_an_unknown_rule_in_a_link_gets_one_sentence(open_page):
    app = open_page("region", region=link_to(MIDDLE), rule="coin")
    assert "“coin”, which does not exist" in app.warning[0].value


def test_an_area_outside_the_atlas_gets_one_sentence_and_a_way_back(open_page):
    app = open_page("region", region=link_to(SEA))
    assert "lies outside the atlas" in app.error[0].value
    app.button(key="change_area").click().run()
    assert app.radio(key="region_mode").value == "draw"
    assert link_of(app)["region"] == link_to(SEA)


def test_a_tiny_area_says_which_cell_it_uses(open_page):
    corners = [[0.800, 42.600], [0.801, 42.600], [0.801, 42.601], [0.800, 42.600]]
    app = open_page("region", region=link_to({"type": "Polygon", "coordinates": [corners]}))
    assert "the cell it lies in is used" in shown_html(app)


def test_a_place_is_found_by_name(open_page):
    app = open_page("region")
    app.radio(key="region_mode").set_value("place").run()
    app.selectbox(key="place_picker").set_value("Pyrenees").run()
    assert link_of(app)["region"] == "place:Pyrenees"


def test_an_uploaded_file_becomes_the_area(open_page, simulated_atlas):
    app = open_page("region")
    app.radio(key="region_mode").set_value("upload").run()
    body = json.dumps({"type": "Feature", "properties": {}, "geometry": MIDDLE}).encode()
    app.file_uploader(key="region_file").upload("my park.geojson", body, "application/geo+json").run()
    assert not app.error
    assert number(app, "gamma") == engine_summary(simulated_atlas)["gamma"].shown


def test_a_shapefile_without_coordinate_system_is_read_once_the_user_names_it(
    open_page, simulated_atlas, tmp_path
):
    shape = gpd.GeoDataFrame({"name": ["park"]}, geometry=[shapely.geometry.shape(MIDDLE)])
    shape.to_file(tmp_path / "park.shp")
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for path in tmp_path.glob("park.*"):
            archive.write(path, path.name)
    app = open_page("region")
    app.radio(key="region_mode").set_value("upload").run()
    app.file_uploader(key="region_file").upload("park.zip", body.getvalue(), "application/zip").run()
    assert "does not say which coordinate system it is in" in app.error[0].value
    app.text_input(key="upload_crs").set_value("EPSG:4326").run()
    assert not app.error
    assert number(app, "gamma") == engine_summary(simulated_atlas)["gamma"].shown


def test_an_unreadable_upload_gets_one_sentence_and_the_page_stays(open_page):
    app = open_page("region")
    app.radio(key="region_mode").set_value("upload").run()
    app.file_uploader(key="region_file").upload("park.geojson", b"not json at all", "text/plain").run()
    assert "park.geojson" in app.error[0].value
    assert app.radio(key="region_mode").value == "upload"


def test_clicking_a_chosen_hexagon_again_removes_it():
    chosen: list[str] = []
    region_choose.toggle_cell(chosen, (0.8, 42.6), 6)
    region_choose.toggle_cell(chosen, (1.0, 42.6), 6)
    region_choose.toggle_cell(chosen, (0.8, 42.6), 6)
    assert chosen == regions.cells_to_strings(regions.lonlat_to_cells([1.0], [42.6], 6))


def test_a_drawn_area_and_its_link_hold_the_same_cells(simulated_atlas):
    crooked = {
        "type": "Polygon",
        "coordinates": [
            [[0.4123456789, 42.45], [1.2, 42.4598765432], [1.1987654321, 42.75], [0.4123456789, 42.45]]
        ],
    }
    drawn = region_choose.drawn_region(crooked)
    linked = regions.decode_region_link(regions.encode_region_link(drawn))
    assert drawn.geometry_hash == linked.geometry_hash


def test_the_table_filters_by_name_genus_family_and_flag(simulated_atlas):
    table = region_species.shown_species(engine_summary(simulated_atlas).species_table)
    assert set(region_species.filtered(table, "pine", ())["species"]) == {
        "Pinus nigra",
        "Pinus sylvestris",
        "Pinus uncinata",
    }
    assert set(region_species.filtered(table, "fagaceae", ())["family"]) == {"Fagaceae"}
    assert "Ailanthus altissima" in set(region_species.filtered(table, "", ("invasive",))["species"])
    protected = region_species.filtered(table, "", ("protected",))
    assert protected["flags"].str.contains("Habitats Directive").all()
    assert (protected["flag_source"] == "simulated, 2026-01-01").all()


def test_the_table_counts_the_records_of_each_species_nearby(open_page, simulated_atlas):
    app = open_page("region", region=link_to(MIDDLE))
    table = app.dataframe[0].value
    summary = engine_summary(simulated_atlas).species_table
    assert table["records_nearby"].sum() == summary["records_nearby"].sum() > 0


def test_page_json_and_csv_of_the_report_agree(open_page, simulated_atlas):
    app = open_page("region", region=link_to(MIDDLE))
    app.button_group(key="report_formats").set_value(["csv", "json", "geojson"])
    app.button(key="prepare_report").click().run()
    assert not app.error
    _, files, _ = app.session_state["report"]
    numbers = json.loads(files["indicators.json"])["indicators"]
    for name in ("alpha", "gamma", "shannon"):
        printed = number(app, name).split(" ")[0].replace("\u202f", "")
        digits = indicators.INDICATOR_TEXTS[name].digits
        assert float(printed) == pytest.approx(numbers[name]["value"], abs=0.5 * 10**-digits + 1e-9)
    table = pd.read_csv(io.BytesIO(files["species.csv"]))
    assert int(table["present"].sum()) == numbers["gamma"]["value"]
    assert set(zipfile.ZipFile(io.BytesIO(files["report.zip"])).namelist()) >= {
        "species.csv",
        "indicators.json",
        "area.geojson",
        "MANIFEST.sha256",
    }


def test_file_names_carry_place_atlas_and_date(simulated_atlas):
    region = region_choose.drawn_region(MIDDLE).renamed("Val d'Aran")
    name = region_take.file_name(simulated_atlas, region, "report.pdf")
    assert re.fullmatch(r"val-d-aran.simulated-pyrenees.\d{4}-\d{2}-\d{2}\.pdf", name)
    assert region_take.file_name(simulated_atlas, region, "species.csv").endswith("_species.csv")


def test_the_example_without_known_places_is_the_middle_of_the_atlas(simulated_atlas, monkeypatch):
    monkeypatch.setattr("pages.ui.resources.wide_places_in", lambda name, version: [])
    west, south, east, north = region_choose.example(simulated_atlas).bounds
    assert WEST < west < east < EAST + 0.1
    assert SOUTH < south < north < NORTH


def test_an_interval_stands_beside_its_number_with_what_it_means():
    shares = pd.DataFrame(
        {
            "area_share_percent": [62.0, 0.4],
            "area_share_low_percent": [40.2, float("nan")],
            "area_share_high_percent": [81.0, float("nan")],
        }
    )
    assert region_species._shares(shares) == ["40–81\u202f%", ""]
