"""The user's own outlines on the Region page: named, set against, refused and removed."""

from __future__ import annotations

import html
import json

import pytest
import shapely

from pages.ui.region_standing import sentences
from sdm_core import indicators, regions
from tests.make_store import EAST, NORTH, SOUTH, WEST
from tests.pages.conftest import shown_html
from tests.pages.test_region import MIDDLE, link_to
from tests.pages.test_region_compare import parks

MIDDLE_X = (WEST + EAST) / 2
HALVES = (
    ({"name": "Atlantic", "code": "ATL"}, shapely.box(WEST - 1, SOUTH - 1, MIDDLE_X, NORTH + 1)),
    ({"name": "Mediterranean", "code": "MED"}, shapely.box(MIDDLE_X, SOUTH - 1, EAST + 1, NORTH + 1)),
)


@pytest.fixture
def with_outlines(open_page):
    """The Region page of an area with a file of outlines given to it."""

    def opened(content: bytes, name: str = "biogeo.geojson"):
        app = open_page("region", region=link_to(MIDDLE))
        app.file_uploader(key="outlines_file_0").upload(name, content, "application/geo+json").run()
        assert not app.exception
        return app

    return opened


def standing_of(atlas, content: bytes, column: str | None = None) -> str:
    region = regions.decode_region_link(link_to(MIDDLE))
    store = atlas.store
    chosen = regions.select_cells(region, store.lonlat, store.resolution, store.cells, store.area_ha)
    outlines = regions.read_outlines(content, "biogeo.geojson", name_column=column)
    return sentences(indicators.benchmark_region(store, chosen.rows, chosen.hectares, region, (), outlines))


def test_the_region_is_set_against_the_outlines_that_hold_most_of_it(with_outlines, simulated_atlas):
    content = parks(*HALVES)
    app = with_outlines(content)
    said = standing_of(simulated_atlas, content, "name")
    assert "“Atlantic”" in said or "“Mediterranean”" in said
    assert html.escape(said) in shown_html(app)
    assert "from the outlines of the file biogeo.geojson (names: column “name”)" in shown_html(app)
    app.button_group(key="report_formats").set_value(["json"])
    app.button(key="prepare_report").click().run()
    told = json.loads(app.session_state["report"][1]["indicators.json"])
    assert told["benchmarks"]["frame"]["source"] == "biogeo.geojson"
    app.button(key="outlines_remove").click().run()
    assert "biogeo.geojson" not in shown_html(app)


def test_the_column_of_names_is_asked_for_where_several_could_be(with_outlines):
    app = with_outlines(parks(*(({"zone": p["name"], "code": p["code"]}, g) for p, g in HALVES)))
    picker = next(box for box in app.selectbox if box.key.startswith("outlines_column"))
    assert picker.value is None and list(picker.options) == ["zone", "code"]
    assert not app.error and "biogeo.geojson" not in shown_html(app)
    picker.set_value("code").run()
    assert not app.exception
    assert "(names: column “code”)" in shown_html(app)


@pytest.mark.slow
def test_outlines_that_cannot_be_used_get_one_sentence_and_the_page_goes_on(with_outlines):
    away = with_outlines(parks(({"name": "Far away"}, shapely.box(100, 10, 101, 11))))
    assert "holds a cell of the atlas" in away.error[0].value
    assert 'data-testid="cards"' in shown_html(away)
    broken = with_outlines(b"no map")
    assert "'biogeo.geojson' is not GeoJSON" in broken.error[0].value
