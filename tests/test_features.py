"""Features and sites: what a model sees, scaled by training sites only, and the labels beside it."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.crs import CRS

from sdm_core.covariates import CovariateStack
from sdm_core.errors import (
    CheckpointMismatchError,
    ConfigurationError,
    CovariateError,
    OccurrenceError,
)
from sdm_core.features import FeatureSpec, Scaler, build_features, encode_coordinates, site_table
from sdm_core.occurrences import Occurrences
from tests.original_data import afliber, eu_forest, european_predictors


def simulated_stack() -> CovariateStack:
    """Two simulated layers on 1-degree cells, 0 to 10° E, 40 to 50° N; sea in the east and one inland gap."""
    rng = np.random.default_rng(3)
    values = rng.normal(10, 3, size=(2, 10, 10)).astype(np.float32)
    values[:, :, 8:] = np.nan
    values[1, 4, 4] = np.nan
    return CovariateStack(
        values, ("warmth", "rain"), ("°C", "mm"), CRS.from_epsg(4326), Affine(1, 0, 0, 0, -1, 50)
    )


def seen(*rows: tuple, columns=("species", "longitude", "latitude")) -> Occurrences:
    return Occurrences(pd.DataFrame(rows, columns=list(columns)), (), "made up")


# -- specification ----------------------------------------------------------------------------------------


def test_specification_survives_json():
    spec = FeatureSpec(
        covariates=("warmth",), mean_radii=(2, 7), smooth_sigmas=(1.5,), land_share_radii=(2,),
        coordinates="fourier", frequencies=(1, 2), bounds=(0, 40, 10, 50), missing="mark", max_gap_cells=3,
    )  # fmt: skip
    assert FeatureSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"mean_radii": (0,)}, "mean_radii is .* whole numbers of cells, 1 or more"),
        ({"std_radii": (1.5,)}, "std_radii is"),
        ({"coordinates": "polar"}, "coordinates is 'polar'; use one of none, lonlat, sinr, fourier"),
        ({"method": "cubic"}, "method is 'cubic'"),
        ({"missing": "mean"}, "missing is 'mean'; use one of refuse, nearest, mark"),
        ({"missing": "nearest"}, "max_gap_cells is 0"),
        ({"max_gap_cells": -1}, "must be 0 or more"),
        ({"coordinates": "fourier"}, "need bounds"),
        ({"coordinates": "fourier", "bounds": (5, 0, 1, 1)}, "need bounds"),
    ],
)
def test_unknown_settings_are_refused(settings_, message):
    with pytest.raises(ConfigurationError, match=message):
        FeatureSpec(**settings_)


def test_unknown_keys_are_refused():
    with pytest.raises(ConfigurationError, match="no setting 'radius'; there are"):
        FeatureSpec.from_dict({"radius": 3})


# -- features ---------------------------------------------------------------------------------------------


def test_features_come_in_the_declared_order():
    spec = FeatureSpec(mean_radii=(1, 2), std_radii=(1,), land_share_radii=(2,), coordinates="sinr")
    built = build_features(spec, simulated_stack())
    assert built.names == (
        "warmth", "rain", "warmth_mean1", "rain_mean1", "warmth_mean2", "rain_mean2",
        "warmth_std1", "rain_std1", "land_share2",
        "sin_longitude", "cos_longitude", "sin_latitude", "cos_latitude",
    )  # fmt: skip
    table = built.at([2.5, 3.5], [45.5, 42.5])
    assert table.values.shape == (2, 13) and table.values.dtype == np.float32
    assert not table.filled.any() and not table.missing.any()


def test_feature_at_a_cell_centre_is_that_of_the_raster():
    stack = simulated_stack()
    spec = FeatureSpec(covariates=("rain",), mean_radii=(1,))
    values = build_features(spec, stack).at([2.5], [47.5]).values[0]
    assert values[0] == pytest.approx(stack.values[1, 2, 2])
    assert values[1] == pytest.approx(stack.values[1, 1:4, 1:4].mean(), rel=1e-5)


def test_neighbourhoods_do_not_give_data_to_cells_without_covariates():
    built = build_features(FeatureSpec(mean_radii=(3,), missing="mark"), simulated_stack())
    assert built.at([9.5], [45.5]).missing.tolist() == [True]
    # Beside the sea, the neighbourhood mean is that of the land cell alone.
    shore, inland = built.at([7.9, 7.5], [45.5, 45.5]).values
    np.testing.assert_array_equal(shore, inland)


def test_coordinates_alone_need_no_rasters():
    built = build_features(FeatureSpec(covariates=(), coordinates="lonlat"), None)
    assert built.at([2.5], [45.5]).values.tolist() == [[2.5, 45.5]]
    with pytest.raises(ConfigurationError, match="no covariates and no coordinates"):
        build_features(FeatureSpec(covariates=()), None)
    with pytest.raises(CovariateError, match="no covariate stack was given"):
        build_features(FeatureSpec(), None)
    with pytest.raises(CovariateError, match="no layer 'snow'"):
        build_features(FeatureSpec(covariates=("snow",)), simulated_stack())


def test_places_without_data_are_refused_by_default():
    built = build_features(FeatureSpec(), simulated_stack())
    with pytest.raises(
        CovariateError,
        match=r"1 of 2 places have no covariate data \(the first at longitude 9\.5000, latitude",
    ):
        built.at([2.5, 9.5], [45.5, 45.5])
    with pytest.raises(CovariateError, match="1 of 1 places have no longitude or latitude"):
        built.at([np.nan], [45.5])


def test_nearest_cell_with_data_is_taken_within_reach_and_no_further():
    stack = simulated_stack()
    built = build_features(FeatureSpec(missing="nearest", max_gap_cells=1.2), stack)
    table = built.at([8.6, 2.5], [45.5, 45.5])
    assert table.filled.tolist() == [True, False]
    np.testing.assert_array_equal(table.values[0], stack.values[:, 4, 7])
    with pytest.raises(CovariateError, match=r"no covariate data within 1\.2 cells"):
        built.at([9.5], [45.5])
    marked = build_features(FeatureSpec(missing="mark", max_gap_cells=1.2), stack).at(
        [8.6, 9.5], [45.5, 45.5]
    )
    assert marked.filled.tolist() == [True, False] and marked.missing.tolist() == [False, True]
    assert np.isnan(marked.values[1]).all()


def test_one_place_does_not_depend_on_the_others_and_inputs_stay():
    built = build_features(FeatureSpec(mean_radii=(2,), coordinates="sinr"), simulated_stack())
    longitude, latitude = np.array([1.2, 3.7, 6.1]), np.array([44.4, 47.9, 41.0])
    kept = longitude.copy(), latitude.copy()
    together = built.at(longitude, latitude).values
    alone = np.vstack([built.at([x], [y]).values for x, y in zip(longitude, latitude, strict=True)])
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal((longitude, latitude), kept)


def test_more_columns_can_be_added():
    table = build_features(FeatureSpec(), simulated_stack()).at([2.5], [45.5])
    wider = table.with_columns([[7.0]], ["neighbours"])
    assert wider.names[-1] == "neighbours" and wider.values[0, -1] == 7
    with pytest.raises(CovariateError, match="already is a feature 'rain'"):
        table.with_columns([[7.0]], ["rain"])
    with pytest.raises(CovariateError, match=r"array of shape \(1, 2\)"):
        table.with_columns([[7.0, 8.0]], ["neighbours"])


@settings(max_examples=50)
@given(st.floats(-90, 90), st.floats(-180, 180))
def test_sinr_encoding_agrees_at_the_date_line_and_lies_on_circles(latitude, longitude):
    spec = FeatureSpec(covariates=(), coordinates="sinr")
    both = encode_coordinates(np.array([-180.0, 180.0]), np.array([latitude, latitude]), spec)
    np.testing.assert_allclose(both[0], both[1], atol=1e-6)
    one = encode_coordinates(np.array([longitude]), np.array([latitude]), spec)[0]
    assert one[0] ** 2 + one[1] ** 2 == pytest.approx(1, abs=1e-5)
    assert one[2] ** 2 + one[3] ** 2 == pytest.approx(1, abs=1e-5)


def test_sinr_encoding_has_the_values_of_the_paper():
    # x = 90/180, y = 45/90: [sin(π/2), cos(π/2), sin(π/2), cos(π/2)].
    spec = FeatureSpec(covariates=(), coordinates="sinr")
    np.testing.assert_allclose(encode_coordinates([90.0], [45.0], spec)[0], [1, 0, 1, 0], atol=1e-7)


def test_fourier_encoding_runs_from_minus_one_to_one_over_the_area():
    spec = FeatureSpec(covariates=(), coordinates="fourier", bounds=(0, 40, 10, 50), frequencies=(1,))
    corner, middle = encode_coordinates([10.0, 5.0], [40.0, 45.0], spec)
    np.testing.assert_allclose(corner, [1, -1, 1, 0, -1, 0], atol=1e-7)
    np.testing.assert_allclose(middle, [0, 0, 0, 1, 0, 1], atol=1e-7)
    assert len(build_features(spec, None).names) == 6


# -- scaling ----------------------------------------------------------------------------------------------


def test_scaler_knows_only_the_sites_it_was_fitted_on():
    training = np.array([[0.0, 5.0], [2.0, 5.0]])
    scaler = Scaler.fit(training, ["a", "b"])
    np.testing.assert_allclose(
        scaler.apply(np.array([[4.0, 6.0]])), [[3.0, 1.0]]
    )  # b never varied: centred only
    np.testing.assert_allclose(scaler.mean, [1, 5])


@settings(max_examples=50)
@given(arrays(np.float64, (7, 3), elements=st.floats(-1e3, 1e3, allow_nan=False, width=32)))
def test_scaler_survives_json_and_can_be_undone(values):
    scaler = Scaler.fit(values, ["a", "b", "c"])
    again = Scaler.from_dict(json.loads(json.dumps(scaler.to_dict())))
    np.testing.assert_array_equal(again.apply(values), scaler.apply(values))
    np.testing.assert_allclose(scaler.undo(scaler.apply(values)), values, atol=1e-2)


def test_scaler_keeps_missing_values_missing_and_refuses_to_learn_from_them():
    scaler = Scaler.fit(np.array([[0.0], [2.0]]), ["rain"])
    assert np.isnan(scaler.apply(np.array([[np.nan]]))).all()
    with pytest.raises(CovariateError, match="Feature 'rain' has no value at 1 of 2 training sites"):
        Scaler.fit(np.array([[np.nan], [2.0]]), ["rain"])
    with pytest.raises(CovariateError, match="at least one training site"):
        Scaler.fit(np.empty((0, 1)), ["rain"])
    with pytest.raises(CovariateError, match="knows 1 features but the values have 2"):
        scaler.apply(np.zeros((1, 2)))
    with pytest.raises(CovariateError, match="Scaling 2 features was given"):
        Scaler.fit(np.zeros((3, 1)), ["a", "b"])
    with pytest.raises(CheckpointMismatchError, match="has no 'std'"):
        Scaler.from_dict({"names": [], "mean": []})
    with pytest.raises(CheckpointMismatchError, match="1 names, 2 means"):
        Scaler.from_dict({"names": ["a"], "mean": [1, 2], "std": [1]})


# -- sites ------------------------------------------------------------------------------------------------


def test_sites_are_cells_with_records_and_data():
    occurrences = seen(
        ("A b", 2.1, 45.1), ("A b", 2.9, 45.9), ("C d", 2.9, 45.9),  # one cell, two places
        ("C d", 2.9, 45.9),  # seen twice at one place
        ("C d", 0.5, 49.5),
        ("A b", 9.5, 45.5),  # sea
        ("A b", 4.5, 45.5),  # a layer is missing there
        ("A b", 20.0, 45.0),  # off the grid
    )  # fmt: skip
    sites = site_table(occurrences, simulated_stack())
    assert sites.species == ("A b", "C d")
    assert sites.cell.tolist() == [0, 42]
    assert sites.lonlat.tolist() == [[0.5, 49.5], [2.5, 45.5]]
    assert sites.presence.tolist() == [[0, 1], [1, 1]] and sites.presence.dtype == np.uint8
    assert sites.counts.tolist() == [[0, 1], [2, 1]]
    assert sites.n_records.tolist() == [1, 4]
    assert sites.n_places.tolist() == [1, 2]
    assert sites.n_cells.tolist() == [1, 2] and sites.prevalence.tolist() == [0.5, 1.0]
    assert occurrences.n_records == 8


def test_sites_by_place_keep_their_own_coordinates():
    columns = ("species", "longitude", "latitude", "site")
    occurrences = seen(
        ("A b", 2.1, 45.1, "p"), ("C d", 2.1, 45.1, "p"), ("A b", 2.9, 45.9, "q"), ("A b", 0.2, 49.2, "r"),
        columns=columns,
    )  # fmt: skip
    sites = site_table(occurrences, simulated_stack(), by="place")
    assert sites.lonlat.tolist() == [[0.2, 49.2], [2.1, 45.1], [2.9, 45.9]]
    assert sites.presence.tolist() == [[1, 0], [1, 1], [1, 0]]
    assert sites.cell.tolist() == [0, 42, 42]


def test_records_without_a_site_name_are_told_apart_by_their_coordinates():
    columns = ("species", "longitude", "latitude", "site")
    for blank in ("", None):
        rows = [("A b", 2.1, 45.1, blank), ("A b", 3.3, 45.1, blank), ("C d", 3.3, 45.1, blank)]
        sites = site_table(seen(*rows, columns=columns), simulated_stack(), by="place")
        assert sites.presence.tolist() == [[1, 0], [1, 1]]


def test_sites_can_be_narrowed_to_rows_and_species():
    sites = site_table(seen(("A b", 2.5, 45.5), ("C d", 2.5, 45.5), ("C d", 0.5, 49.5)), simulated_stack())
    assert sites.with_species(["C d", "A b"]).presence.tolist() == [[1, 0], [1, 1]]
    assert sites.rows(np.array([True, False])).lonlat.tolist() == [[0.5, 49.5]]
    frequent = sites.frequent(2)
    assert frequent.species == ("C d",) and frequent.n_sites == 2
    with pytest.raises(OccurrenceError, match=r"at 3 sites or more \(the most frequent has 2\)"):
        sites.frequent(3)
    with pytest.raises(OccurrenceError, match="'E f' has no record at any site"):
        sites.with_species(["E f"])


def test_records_off_the_covariates_are_refused():
    with pytest.raises(OccurrenceError, match="None of the 1 records lies on a covariate cell with data"):
        site_table(seen(("A b", 100.0, 10.0)), simulated_stack())
    with pytest.raises(OccurrenceError, match="cannot be made by 'hexagon'"):
        site_table(seen(("A b", 1.0, 41.0)), simulated_stack(), by="hexagon")


@settings(max_examples=30)
@given(st.permutations(range(6)))
def test_order_of_records_does_not_matter(order):
    rows = [("A b", 2.1, 45.1), ("C d", 2.9, 45.9), ("A b", 0.5, 49.5)]
    rows += [("E f", 1.5, 41.5), ("C d", 1.2, 41.2), ("A b", 7.5, 40.5)]
    sites = site_table(seen(*rows), simulated_stack())
    shuffled = site_table(seen(*[rows[i] for i in order]), simulated_stack())
    np.testing.assert_array_equal(sites.presence, shuffled.presence)
    np.testing.assert_array_equal(sites.lonlat, shuffled.lonlat)
    assert sites.species == shuffled.species


def test_european_trees_have_128_species_on_50_predictor_cells(data_dir):
    # 128 species and these cells are the published set-up of the baselines for this data.
    stack = european_predictors(data_dir)
    sites = site_table(eu_forest(data_dir), stack, min_sites=50)
    assert sites.n_species == 128
    spec = FeatureSpec(mean_radii=(2, 7), land_share_radii=(2, 7), coordinates="sinr")
    features = build_features(spec, stack).at(sites.longitude, sites.latitude)
    assert np.isfinite(features.values).all() and features.values.shape == (sites.n_sites, 31 * 3 + 2 + 4)


def test_iberian_flora_has_3618_species_on_50_atlas_cells(data_dir):
    sites = site_table(afliber(data_dir), european_predictors(data_dir), by="place", min_sites=50)
    assert (sites.n_sites, sites.n_species) == (5973, 3618)
    assert sites.n_places.max() == 1
