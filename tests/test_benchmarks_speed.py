"""Speed benchmarks of regions and covariates: they compare equal answers, and say when they are not."""

from __future__ import annotations

import numpy as np
import pytest

from sdm_core import benchmarks, regions
from sdm_core.benchmarks import covariates_speed, regions_speed
from sdm_core.benchmarks.timing import UnequalResultsError


def test_polygon_fill_is_compared_with_h3_py_on_the_same_cells(monkeypatch):
    corner = (-10.0, 36.0, 3.0, 44.0)
    (found,) = regions_speed.polygon_fill(corner, resolution=4)
    assert found.ours > 0 and found.peer > 0 and found.details["n_cells"] > 300
    everything = regions.cells_in_polygon
    monkeypatch.setattr(regions, "cells_in_polygon", lambda *arguments: everything(*arguments)[1:])
    with pytest.raises(UnequalResultsError, match="Europe land polygon to resolution-4 cells"):
        regions_speed.polygon_fill(corner, resolution=4)


def test_area_weighting_is_timed_only_where_hectares_add_up(monkeypatch):
    (found,) = regions_speed.area_weighted_hectares("Crete", 6, rounds=2)
    assert len(found.times) == 2 and abs(found.details["area_error"]) < 2e-5
    monkeypatch.setattr(regions_speed, "_AREA_TOLERANCE", 0.0)
    with pytest.raises(UnequalResultsError, match="the hectares of Crete miss its geodesic area"):
        regions_speed.area_weighted_hectares("Crete", 6, rounds=1)


def test_covariates_are_compared_with_rasterio_on_the_same_values(monkeypatch):
    read, decoded = covariates_speed.covariate_sampling(n_points=300, n_layers=2, size=320, rounds=1)
    assert read.goal == 100 and decoded.details["n_points"] == 300
    monkeypatch.setattr(covariates_speed, "_same_values", lambda ours, peer: np.array_equal(ours, peer + 1))
    with pytest.raises(UnequalResultsError, match=r"rasterio\.sample"):
        covariates_speed.covariate_sampling(n_points=30, n_layers=2, size=320, rounds=1)


def test_covariate_layers_have_holes_that_both_see(tmp_path):
    covariates_speed.write_layers(tmp_path / "layers.tif", 2, 320)
    source = covariates_speed.open_rasters(tmp_path / "layers.tif")
    values = source.read_window().values
    assert np.isnan(values[:, :32, :106]).all() and np.isfinite(values[:, 40:, :]).all()


def test_they_run_with_the_speed_command():
    assert {"polygon-fill", "area-weighting", "covariate-sampling"} <= set(benchmarks.SPEED)
