"""Several areas at once: gathered from places, files and the page, set side by side, taken away together."""

from __future__ import annotations

import io
import json
import zipfile

import pandas as pd
import pytest
import shapely

from pages.ui import region_take_all
from sdm_core import regions, reports
from tests.pages.conftest import link_of, shown_html
from tests.pages.test_region import MIDDLE, SEA, engine_summary, link_to

WEST_PARK = shapely.box(0.1, 42.3, 0.6, 42.6)
EAST_PARK = shapely.box(1.2, 42.3, 1.8, 42.6)


def parks(*features: tuple[dict, shapely.Geometry | None]) -> bytes:
    return json.dumps(
        {
            "type": "FeatureCollection",
            "features": [
                {
                    "type": "Feature",
                    "properties": properties,
                    "geometry": None if shape is None else json.loads(shapely.to_geojson(shape)),
                }
                for properties, shape in features
            ],
        }
    ).encode()


TWO_PARKS = parks(
    ({"Name": "West", "kind": "park"}, WEST_PARK), ({"Name": "East", "kind": "reserve"}, EAST_PARK)
)


def gather(app, body: bytes, name: str = "parks.geojson"):
    """Add every area of a file on the choosing step."""
    app.radio(key="region_mode").set_value("several").run()
    number = app.session_state["several_round"]
    app.file_uploader(key=f"several_files_{number}").upload(name, body, "application/geo+json").run()
    return app


def table_shown(app) -> pd.DataFrame:
    return next(frame.value for frame in app.dataframe if "trust_grade" in frame.value)


def test_areas_of_a_file_are_compared_with_the_numbers_of_the_engine(open_page, simulated_atlas):
    app = gather(open_page("region"), TWO_PARKS)
    app.button(key="several_add_file_0").click().run()
    assert not app.error
    assert app.button(key="several_compare").label == "Compare 2 areas"
    app.button(key="several_compare").click().run()
    assert not app.exception and not app.error
    table = table_shown(app)
    assert list(table["region"]) == ["West", "East"]
    for name, shape in (("West", WEST_PARK), ("East", EAST_PARK)):
        region = regions.region_from_geometry(shape, name)
        expected = reports.read_numbers(simulated_atlas, region).values
        row = table[table["region"] == name].iloc[0]
        for key in ("area_km2", "gamma", "shannon", "n_cells", "protected"):
            assert row[key] == pytest.approx(expected[key]), key
    assert "between regions of like size only" in shown_html(app)
    app.toggle(key="compare_intervals").set_value(True).run()
    table = table_shown(app)
    assert (table["gamma_lower_low"] < table["gamma_lower"]).all()


@pytest.mark.slow
def test_the_column_of_names_can_be_chosen(open_page):
    app = gather(open_page("region"), TWO_PARKS)
    picker = next(box for box in app.selectbox if box.key.startswith("several_column"))
    assert picker.value == "Name" and list(picker.options) == ["Name", "kind"]
    picker.set_value("kind").run()
    assert any("park, reserve" in block.value for block in app.caption)


def test_what_cannot_be_compared_is_said_and_the_rest_is_kept(open_page):
    body = parks(
        ({"name": "West"}, WEST_PARK),
        ({"name": "West"}, EAST_PARK),
        ({"name": "Nowhere"}, None),
        ({"name": "Sea"}, shapely.geometry.shape(SEA)),
        ({"name": "Over both"}, shapely.box(0.3, 42.3, 1.5, 42.6)),
    )
    app = gather(open_page("region"), body)
    assert "“Nowhere” is left out: it has no geometry" in shown_html(app)
    app.button(key="several_add_file_0").click().run()
    app.button(key="several_compare").click().run()
    assert not app.exception and not app.error
    assert list(table_shown(app)["region"]) == ["West (1)", "West (2)", "Over both"]
    assert "&#x27;Sea&#x27; (near " in shown_html(app) and "outside the atlas" in shown_html(app)
    assert "Outlines overlap" in shown_html(app)


def test_an_area_read_on_the_page_is_added_once(open_page):
    app = open_page("region", region=link_to(MIDDLE))
    app.button(key="compare_add").click().run()
    assert app.button(key="compare_add").disabled
    app.button(key="compare_go").click().run()
    assert app.button(key="several_compare").disabled, "one area is no comparison"
    assert any("1 area; add at least one more" in caption.value for caption in app.caption)
    gather(app, TWO_PARKS)
    app.button(key="several_add_file_0").click().run()
    app.button(key="several_compare").click().run()
    table = table_shown(app)
    assert len(table) == 3
    assert table["gamma"].iloc[0] == engine_summary_gamma()
    app.button(key="compare_back").click().run()
    assert 'data-testid="cards"' in shown_html(app)
    assert app.button(key="compare_go").label == "Comparison (3)"


def engine_summary_gamma() -> float:
    from sdm_core import registry

    return engine_summary(registry.open_atlas(registry.list_atlases()[0]))["gamma"].value


def test_a_file_of_several_areas_can_be_read_as_one_or_area_by_area_or_compared(open_page):
    app = open_page("region")
    app.radio(key="region_mode").set_value("upload").run()
    app.file_uploader(key="region_file").upload("parks.geojson", TWO_PARKS, "application/geo+json").run()
    picker = next(box for box in app.selectbox if box.key.startswith("upload_part"))
    assert list(picker.options) == ["All of them, as one area", "West", "East"]
    picker.set_value(2).run()
    app.button(key="upload_read").click().run()
    assert not app.error and "East</h2>" in shown_html(app)
    app.button(key="change_area").click().run()
    app.radio(key="region_mode").set_value("upload").run()
    app.file_uploader(key="region_file").upload("both.geojson", TWO_PARKS, "application/geo+json").run()
    app.button(key="upload_compare").click().run()
    assert list(table_shown(app)["region"]) == ["West", "East"]


@pytest.mark.slow
def test_an_unreadable_file_leaves_what_was_gathered(open_page):
    app = gather(open_page("region"), TWO_PARKS)
    app.button(key="several_add_file_0").click().run()
    gather(app, b"no map", "broken.geojson")
    assert not app.exception
    assert "'broken.geojson' is not GeoJSON" in app.error[0].value
    assert app.button(key="several_compare").label == "Compare 2 areas"


def test_more_areas_than_a_comparison_takes_are_not_added_and_said(open_page, monkeypatch):
    monkeypatch.setattr(reports, "MAX_REGIONS", 3)
    body = parks(*(({"name": f"P{n}"}, shapely.box(n / 10, 42.3, n / 10 + 0.05, 42.4)) for n in range(5)))
    app = gather(open_page("region"), body)
    app.button(key="several_add_file_0").click().run()
    assert app.button(key="several_compare").label == "Compare 3 areas"
    assert "2 areas were not added: a comparison takes up to 3" in app.info[0].value


@pytest.mark.slow
def test_areas_can_be_removed(open_page):
    app = gather(open_page("region"), TWO_PARKS)
    app.button(key="several_add_file_0").click().run()
    app.button(key="several_remove").click().run()
    assert 'data-testid="several-empty"' in shown_html(app)


def test_all_reports_come_in_one_zip_with_the_comparison(open_page):
    app = gather(open_page("region"), TWO_PARKS)
    app.button(key="several_add_file_0").click().run()
    app.button(key="several_compare").click().run()
    app.button_group(key="compare_formats").set_value(["csv", "json"])
    app.button(key="compare_prepare").click().run()
    assert not app.exception and not app.error
    archive = zipfile.ZipFile(io.BytesIO(app.session_state["compared_zip"][1]))
    assert {"west/species.csv", "east/indicators.json", "comparison.csv", "comparison.html"} <= set(
        archive.namelist()
    )
    written = pd.read_csv(io.BytesIO(archive.read("comparison.csv")))
    assert written["gamma"].tolist() == table_shown(app)["gamma"].tolist()


@pytest.mark.slow
def test_more_reports_than_the_page_writes_are_left_to_the_command_line(open_page, monkeypatch):
    monkeypatch.setattr(region_take_all, "MAX_REPORTS", 1)
    app = gather(open_page("region"), TWO_PARKS)
    app.button(key="several_add_file_0").click().run()
    app.button(key="several_compare").click().run()
    assert "The page writes up to 1 reports at a time" in app.info[0].value
    assert not [button for button in app.button if button.key == "compare_prepare"]


def test_a_link_restores_a_comparison_of_places_and_says_what_it_cannot_read(open_page):
    app = open_page("region", compare="place:Pyrenees|point:1.00000,42.50000,12|place:Nowhere at all")
    assert list(table_shown(app)["region"]) == ["Pyrenees", "12 km around 42.50° N, 1.00° E"]
    assert "Nowhere at all" in app.warning[0].value
    link = link_of(app)
    assert link["compare"] == "place:Pyrenees|point:1.00000,42.50000,12" and "region" not in link
    app.button(key="compare_change").click().run()
    assert "compare" not in link_of(app)
    assert app.button(key="several_compare").label == "Compare 2 areas"
    app.query_params["compare"] = "point:1.00000,42.50000,12|point:0.60000,42.50000,9"
    app.run()
    assert list(table_shown(app)["region"]) == [
        "12 km around 42.50° N, 1.00° E",
        "9 km around 42.50° N, 0.60° E",
    ]


def test_areas_with_outlines_of_their_own_have_no_link(open_page):
    app = gather(open_page("region"), TWO_PARKS)
    app.button(key="several_add_file_0").click().run()
    app.button(key="several_compare").click().run()
    assert "compare" not in link_of(app)
    assert any("outlines of their own" in block.value for block in app.caption)
