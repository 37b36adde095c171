"""Structure inside an area on the Region page: turnover, nestedness, distinct cells."""

from __future__ import annotations

import html

from pages.ui.region_structure import multi_site
from sdm_core import indicators, regions
from tests.pages.conftest import shown_html
from tests.pages.test_region import MIDDLE, link_to


def structure_of(atlas):
    store = atlas.store
    region = regions.decode_region_link(link_to(MIDDLE))
    chosen = regions.select_cells(region, store.lonlat, store.resolution, store.cells, store.area_ha)
    return indicators.region_structure(store, chosen.rows, "sse", {})


def test_the_page_says_and_maps_what_the_engine_finds_inside_the_area(open_page, simulated_atlas):
    app = open_page("region", region=link_to(MIDDLE))
    assert 'data-testid="multi-site"' not in shown_html(app)
    app.toggle(key="structure_compute").set_value(True).run()
    assert not app.exception
    found = structure_of(simulated_atlas)
    assert html.escape(multi_site(found)) in shown_html(app)
    assert f"turnover {found.multi_site.turnover:.3f}" in multi_site(found)
    table = next(table.value for table in app.dataframe if "where" in table.value)
    assert table["cell"].tolist() == [spot.cell for spot in found.hotspots]
    app.button_group(key="structure_layer").set_value("lcbd_relative").run()
    assert "Distinct cells" in shown_html(app) and "share in beta diversity" in shown_html(app)


def test_an_area_of_one_cell_has_no_structure(open_page):
    corners = [[0.800, 42.600], [0.801, 42.600], [0.801, 42.601], [0.800, 42.600]]
    app = open_page("region", region=link_to({"type": "Polygon", "coordinates": [corners]}))
    assert any("nothing to compare inside it" in block.value for block in app.caption)
    assert not [toggle for toggle in app.toggle if toggle.key == "structure_compute"]
