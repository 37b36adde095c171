"""The user's own records on the Region page: what is shown, kept, removed and refused."""

from __future__ import annotations

import pytest

from pages.ui import region_ranges, region_records
from sdm_core import config, indicators, observed, regions
from tests.pages.conftest import shown_html
from tests.pages.test_region import MIDDLE, engine_summary, link_to

RECORDS = (
    b"plot,lon,lat,year,species,cover\np1,0.6,42.5,2001,Abies alba,60\np1,0.6,42.5,2001,Planta inventa,20\n"
    b"p2,0.9,42.6,2011,Abies alba,20\np3,1.9,42.6,2011,Pinus nigra,50\n"
)


@pytest.fixture
def with_records(open_page):
    """The Region page of an area with a file of records given to it."""

    def opened(content: bytes = RECORDS, name: str = "own_plots.csv", **link: str):
        app = open_page("region", region=link_to(MIDDLE), **link)
        app.file_uploader(key="records_files_0").set_value([(name, content, "text/csv")]).run()
        return app

    return opened


def engine_observed(atlas, content: bytes = RECORDS):
    region = regions.decode_region_link(link_to(MIDDLE))
    records = observed.read_records([("own_plots.csv", content)])
    return observed.observe_region(records, region, atlas.species, engine_summary(atlas))


def table_of(app):
    """The species table: the one with a column of probabilities."""
    return next(table.value for table in app.dataframe if "mean_probability" in table.value)


def test_the_page_prints_what_the_engine_found(with_records, simulated_atlas):
    app = with_records()
    assert not app.exception and not app.error
    found, page = engine_observed(simulated_atlas), shown_html(app)
    for name, number in found.numbers.items():
        assert f'data-testid="observed-{name}">{number.shown}<' in page
    assert 'data-testid="observed-cards"' in page
    for warning in found.warnings:
        assert warning in page
    table = table_of(app).set_index("species")
    assert table.loc["Abies alba", ["status", "own_records", "last_year"]].tolist() == [
        found.species.set_index("species").loc["Abies alba", "status"].replace(observed.AGREED, "agreed"),
        2,
        2011,
    ]
    assert table.loc["Planta inventa", "status"] == observed.NOT_IN_ATLAS
    assert app.expander[0].label == "Your records: own\\_plots.csv"


def test_ranges_of_the_records_are_those_of_the_engine_and_name_no_category(with_records, simulated_atlas):
    app = with_records()
    table = next(table.value for table in app.dataframe if "eoo_km2" in table.value).set_index("species")
    records = observed.read_records([("own_plots.csv", RECORDS)])
    expected = indicators.observed_ranges(records.table).set_index("species")
    assert set(table.index) == {"Abies alba", "Planta inventa"}  # those inside the outline
    for name in table.index:
        for column, theirs in (
            ("range_records", "n_records"),
            ("eoo_km2", "eoo_km2"),
            ("aoo_km2", "aoo_km2"),
        ):
            assert table.loc[name, column] == pytest.approx(expected.loc[name, theirs])
        for column in ("eoo_below_threshold", "aoo_below_threshold"):
            assert table.loc[name, column] == expected.loc[name, column]
    assert "set to that area" in table.loc["Planta inventa", "range_warnings"]
    assert f'data-testid="criterion-b">{indicators.CRITERION_B_NOTE}<' in shown_html(app)


def test_each_measure_has_the_thresholds_of_its_own(simulated_atlas):
    corners = ((0.6, 42.5), (1.5, 42.5), (1.5, 43.3), (0.6, 43.3))
    content = "species,longitude,latitude\n" + "".join(f"Abies alba,{x},{y}\n" for x, y in corners)
    region = regions.decode_region_link(link_to(MIDDLE))
    records = observed.read_records([("wide.csv", content.encode())])
    found = observed.observe_region(records, region, simulated_atlas.species, engine_summary(simulated_atlas))
    (row,) = region_ranges.table_of(records, found).to_dict("records")
    assert 5_000 < row["eoo_km2"] < 20_000 and row["eoo_below_threshold"] == "VU"
    assert row["aoo_km2"] == 16 and row["aoo_below_threshold"] == "EN"


def test_the_table_is_narrowed_to_missed_and_not_observed_species(with_records, simulated_atlas):
    app = with_records()
    app.button_group(key="records_flags").set_value("elsewhere").run()
    assert table_of(app)["species"].tolist() == ["Planta inventa"]
    app.button_group(key="records_flags").set_value("not_yet").run()
    assert set(table_of(app)["species"]) == set(engine_observed(simulated_atlas).not_observed["species"])


def test_records_stay_on_other_pages_and_go_when_they_are_removed(with_records):
    app = with_records()
    app.switch_page("about.py").run()
    app.switch_page("region.py").run()
    assert 'data-testid="observed-cards"' in shown_html(app)
    app.button(key="records_remove").click().run()
    assert 'data-testid="observed-cards"' not in shown_html(app)
    assert "status" not in table_of(app) and region_records._KEPT not in app.session_state
    assert not app.file_uploader(key="records_files_1").value


def test_a_refused_file_says_why_and_the_page_goes_on(with_records):
    app = with_records(b"a,b\n1,2\n")
    assert "has no column for the species (scientificName)" in app.error[0].value
    assert 'data-testid="cards"' in shown_html(app) and 'data-testid="observed-cards"' not in shown_html(app)


def test_a_scale_of_covers_that_leaves_doubt_is_asked_for(with_records):
    app = with_records(
        RECORDS.replace(b"alba,60", b"alba,4").replace(b",20\n", b",2\n").replace(b",50", b",3")
    )
    assert "may be percent or Braun-Blanquet" in app.error[0].value
    app.selectbox(key="records_scale").set_value("braun-blanquet").run()
    assert not app.error
    assert app.session_state[region_records._KEPT].table["cover"].tolist() == pytest.approx(
        [68, 13, 13, 38], abs=1e-3
    )


def test_no_record_reaches_the_cache_folder(with_records):
    marked = RECORDS.replace(b"Planta inventa", b"Planta secretissima")
    app = with_records(marked)
    app.run()
    assert "Planta secretissima" in set(table_of(app)["species"])
    written = [path for path in config.CACHE_DIR.rglob("*") if path.is_file()]
    assert not [path for path in written if b"secretissima" in path.read_bytes()]


def test_the_report_of_the_page_holds_the_records_and_is_made_anew_without_them(with_records):
    app = with_records()
    app.button_group(key="report_formats").set_value(["csv", "html"]).run()
    app.button(key="prepare_report").click().run()
    key, files, _ = app.session_state["report"]
    assert b"Planta inventa" in files["observed.csv"] and b"Your records hold" in files["report.html"]
    assert app.session_state[region_records._KEPT].fingerprint in key
    app.button(key="records_remove").click().run()
    assert not [button for button in app.get("download_button") if "report" in str(button.proto)]
    app.button(key="prepare_report").click().run()
    assert "observed.csv" not in app.session_state["report"][1]
