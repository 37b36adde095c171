"""Bad input on the Region page: one sentence each, nothing lost, never a traceback."""

from __future__ import annotations

import pytest
import shapely

from sdm_core import regions
from tests.pages.conftest import shown_html
from tests.pages.test_region import MIDDLE, link_to, number
from tests.pages.test_region_records import RECORDS, table_of

HEAD = b"taxon,list,category,region,source,date,licence\n"
GOOD = HEAD + b"Abies alba,Red,VU,Pyrenees,S,2020,own\nPinus nigra,Red,LC,Pyrenees,S,2020,own\n"


def add_list(app, name: str, content: bytes):
    number_of = app.session_state["status_round"]
    app.file_uploader(key=f"status_files_{number_of}").set_value([(name, content, "text/csv")]).run()
    assert not app.exception
    return app


def test_a_list_that_is_refused_leaves_those_that_were_added(open_page):
    app = add_list(open_page("region", region=link_to(MIDDLE)), "good.csv", GOOD)
    refused = {
        "unknown.csv": (
            HEAD.replace(b"licence", b"licence,colour") + b"Abies alba,R,VU,X,S,2020,own,red\n",
            "colour",
        ),
        "twice.csv": (HEAD + b"Abies alba,R,VU,X,S,2020,own\nAbies alba,R,EN,X,S,2020,own\n", "Abies alba"),
        "odd.csv": (HEAD + b"Abies alba,R,ENDANGERED-ISH,X,S,2020,own\n", "ENDANGERED-ISH"),
        "bare.csv": (HEAD, "bare.csv"),
        "bytes.csv": (bytes(range(256)), "bytes.csv"),
    }
    for name, (content, said) in refused.items():
        add_list(app, name, content)
        assert len(app.error) == 1 and name in app.error[0].value and said in app.error[0].value, name
        assert "\n" not in app.error[0].value
        assert "good.csv</b> 2 of 2 entries" in shown_html(app)


@pytest.mark.slow
def test_records_that_are_refused_leave_those_that_were_read(open_page):
    app = open_page("region", region=link_to(MIDDLE))
    good = ("own_plots.csv", RECORDS, "text/csv")
    app.file_uploader(key="records_files_0").set_value([good]).run()
    for content, said in (
        (b"plot,species,longitude,latitude,count\na,Abies alba,0.6,42.5,-4\n", "count -4"),
        (b"species,longitude,latitude\nAbies alba,465000,4100000\n", "name their coordinate system"),
        (b"species,longitude,latitude\nAbies alba,nan,nan\n", "No record of bad.csv is left"),
    ):
        app.file_uploader(key="records_files_0").set_value([good, ("bad.csv", content, "text/csv")]).run()
        assert not app.exception
        assert said in app.error[0].value
        assert any("still your records of own" in block.value for block in app.caption)
        assert "status" in table_of(app)
        app.file_uploader(key="records_files_0").set_value([good]).run()
        assert not app.error


def test_records_outside_the_outline_are_said_and_nothing_is_invented(open_page):
    app = open_page("region", region=link_to(MIDDLE))
    far = b"plot,species,longitude,latitude\na,Abies alba,9.0,48.0\nb,Pinus nigra,9.1,48.1\n"
    app.file_uploader(key="records_files_0").set_value([("far.csv", far, "text/csv")]).run()
    assert not app.exception and not app.error
    assert "lies inside" in shown_html(app)
    assert any("no species inside this outline" in block.value for block in app.caption)


@pytest.mark.slow
def test_an_area_where_no_species_reaches_the_threshold_has_defined_numbers_and_a_report(open_page):
    app = open_page("region", region=link_to(MIDDLE))
    app.radio(key="rule_picker").set_value("threshold").run()
    app.slider(key="threshold_picker").set_value(0.99).run()
    assert not app.exception and not app.error
    assert number(app, "gamma") == "0" and number(app, "beta_whittaker") == "–"
    assert "no species is in the list of any cell" in shown_html(app)
    app.button_group(key="report_formats").set_value(["csv", "json", "html"])
    app.button(key="prepare_report").click().run()
    assert not app.exception and not app.error


@pytest.mark.slow
def test_a_link_to_an_area_of_one_cell_reads_and_reports(open_page):
    garden = regions.region_from_geometry(shapely.box(0.800, 42.600, 0.801, 42.601), "Garden")
    app = open_page("region", region=regions.encode_region_link(garden))
    assert "about the 1 cell whose" in shown_html(app)
    app.button_group(key="report_formats").set_value(["html", "json"])
    app.button(key="prepare_report").click().run()
    assert not app.exception and not app.error
