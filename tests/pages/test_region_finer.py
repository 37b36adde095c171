"""Finer cells on the Region page: what they cost, the wait, the numbers, what is missing without a model."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.ui import region_choose
from sdm_core import config, on_demand, regions, registry
from sdm_core.jobs import submitting
from sdm_core.on_demand import computing
from tests import fine_cells, make_store
from tests.pages.conftest import link_of, shown_html
from tests.pages.test_region import engine_summary, link_to, number

VALLEY = {
    "type": "Polygon",
    "coordinates": [[[0.9, 42.5], [1.1, 42.5], [1.1, 42.65], [0.9, 42.65], [0.9, 42.5]]],
}
WAIT_S = 60.0


@pytest.fixture
def model_atlas(
    simulated_atlas_folder: Path, _simulated_only: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> registry.Atlas:
    """The simulated atlas with its formula as a model, the only one installed; an empty cache."""
    folder = fine_cells.with_model(simulated_atlas_folder, tmp_path / "atlases" / make_store.NAME)
    opened = registry.open_atlas(folder)
    monkeypatch.setattr(config, "ATLAS_DIRS", (folder.parent,))
    monkeypatch.setattr(config, "CACHE_DIR", tmp_path / "cache")
    monkeypatch.setattr(submitting, "RUNNER", fine_cells.RUNNER)
    monkeypatch.setattr(computing, "predictor_spec", fine_cells.formula_spec)
    monkeypatch.setenv(fine_cells.NOTES, str(tmp_path / "tiles"))
    return opened


def valley() -> regions.Region:
    return regions.decode_region_link(link_to(VALLEY))


def job_of(atlas: registry.Atlas, resolution: int = 8):
    tiles, _ = on_demand.tiles_of(atlas, valley(), resolution)
    return on_demand.fine_job(atlas, tiles, resolution)


def shown_text(app: AppTest) -> str:
    return "\n".join(block.value for block in (*app.markdown, *app.caption))


def test_the_choice_says_what_finer_cells_cost_and_keeps_the_atlas_below(open_page, model_atlas):
    app = open_page("region", region=link_to(VALLEY))
    picker = app.selectbox(key="fine_size_picker")
    assert picker.value == 6
    assert list(picker.options) == [
        "35\u202fkm² (atlas)",
        "5.2\u202fkm²",
        "0.74\u202fkm²",
        "0.11\u202fkm²",
    ]
    before = number(app, "gamma")
    picker.set_value(8).run()
    assert not app.exception
    assert link_of(app)["resolution"] == "8"
    plan = on_demand.fine_plan(model_atlas, valley(), 8)
    assert "Cells of 0.74\u202fkm² are not predicted here yet" in shown_text(app)
    assert f"{plan.n_new_cells:,}".replace(",", "\u202f") + " cells to predict" in shown_text(app)
    assert "a probability still stands for" in shown_text(app)
    assert number(app, "gamma") == before
    assert not app.button(key="fine_start").disabled


def test_asking_shows_progress_then_the_finer_numbers(open_page, model_atlas, monkeypatch):
    monkeypatch.setenv(fine_cells.PAUSE, "0.3")
    app = open_page("region", region=link_to(VALLEY), resolution="8")
    app.button(key="fine_start").click().run()
    assert not app.exception
    job = job_of(model_atlas)
    assert job.status().active
    assert "You may leave or reload this page" in shown_text(app)
    assert not [button for button in app.button if button.key == "fine_start"]
    second = open_page("region", region=link_to(VALLEY), resolution="8")
    assert "You may leave or reload this page" in shown_text(second), "another tab shows the same job"
    assert job.wait(WAIT_S).state == "done"
    app.run()
    assert not app.exception
    fine = on_demand.fine_store(model_atlas, valley(), 8)
    summary = engine_summary(on_demand.fine_atlas(model_atlas, fine), VALLEY)
    for name in ("alpha", "gamma", "shannon", "cell_area_km2"):
        assert number(app, name) == summary[name].shown_interval
    assert "predicted on demand from the same covariates" in shown_html(app)
    assert "fine_box" not in str(app.main)


def test_a_link_to_finer_cells_that_are_there_opens_them(open_page, model_atlas, tmp_path: Path):
    tiles, _ = on_demand.tiles_of(model_atlas, valley(), 8)
    computing.compute_fine(model_atlas, tiles, 8, lambda *said: None)
    app = open_page("region", region=link_to(VALLEY), resolution="8")
    fine = on_demand.fine_store(model_atlas, valley(), 8)
    assert (
        number(app, "cell_area_km2")
        == engine_summary(on_demand.fine_atlas(model_atlas, fine), VALLEY)["cell_area_km2"].shown
    )
    app.button_group(key="report_formats").set_value(["json"])
    app.button(key="prepare_report").click().run()
    assert not app.error
    assert b'"h3_resolution": 8' in app.session_state["report"][1]["indicators.json"]
    app.selectbox(key="fine_size_picker").set_value(6).run()
    assert "resolution" not in link_of(app)
    assert number(app, "cell_area_km2") == engine_summary(model_atlas, VALLEY)["cell_area_km2"].shown


@pytest.mark.slow
def test_a_running_prediction_can_be_cancelled_and_started_again(open_page, model_atlas, monkeypatch):
    monkeypatch.setenv(fine_cells.PAUSE, "0.5")
    app = open_page("region", region=link_to(VALLEY), resolution="8")
    app.button(key="fine_start").click().run()
    job = job_of(model_atlas)
    app.button(key="fine_cancel").click().run()
    assert job.wait(WAIT_S).state == "cancelled"
    app.run()
    assert "Cancelled; the parts predicted so far are kept." in shown_text(app)
    assert not app.button(key="fine_start").disabled


@pytest.mark.slow
def test_a_failed_prediction_says_why(open_page, model_atlas, monkeypatch, tmp_path: Path):
    monkeypatch.setenv(fine_cells.NOTES, str(tmp_path))  # a folder: noting a tile fails
    app = open_page("region", region=link_to(VALLEY), resolution="8")
    app.button(key="fine_start").click().run()
    job_of(model_atlas).wait(WAIT_S)
    app.run()
    assert "Predicting finer cells failed: The job stopped on an unexpected error" in app.error[0].value
    assert number(app, "gamma")


def test_without_a_model_the_button_is_off_and_says_what_to_do(open_page):
    app = open_page("region", region=link_to(VALLEY), resolution="7")
    assert app.button(key="fine_start").disabled
    assert "came without its model" in app.info[0].value
    assert "Cells of 5.2\u202fkm² cannot be predicted on this installation" in shown_text(app)
    assert number(app, "gamma")


@pytest.mark.parametrize("resolution", ["5", "6.5", "12", "fine"])
def test_a_link_to_cells_that_cannot_be_had_gets_one_sentence(open_page, resolution):
    app = open_page("region", region=link_to(VALLEY), resolution=resolution)
    assert f"cells of H3 resolution “{resolution}”" in app.warning[0].value
    assert app.selectbox(key="fine_size_picker").value == 6


def test_cells_too_many_for_the_area_are_not_offered(open_page, model_atlas, monkeypatch):
    monkeypatch.setattr(config, "MAX_FINE_CELLS", 300)
    app = open_page("region", region=link_to(VALLEY))
    assert len(app.selectbox(key="fine_size_picker").options) == 2


def test_the_choice_survives_a_rerun_and_another_atlas_page(open_page, model_atlas):
    app = open_page("region", region=link_to(VALLEY), resolution="7")
    app.run()
    assert app.selectbox(key="fine_size_picker").value == 7
    assert link_of(app)["resolution"] == "7"
    assert region_choose.drawn_region(VALLEY).area_km2 == pytest.approx(valley().area_km2, rel=1e-3)
