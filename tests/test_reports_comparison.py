"""Several regions at once: a report each, and one table whose numbers are those of the reports."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely

from sdm_core import diversity, regions
from sdm_core.__main__ import main
from sdm_core.errors import NoDataInRegionError, ReportError
from sdm_core.indicators.sets import presence_table, rule_options, set_counts
from sdm_core.reports import (
    MAX_REGIONS,
    build_comparison,
    check_number,
    compare,
    read_numbers,
    sort_out,
    verify_manifest,
)

WEST = shapely.box(0.0, 42.3, 0.6, 42.6)
EAST = shapely.box(1.0, 42.3, 1.9, 42.6)


def _places() -> list[regions.Region]:
    return [
        dataclasses.replace(regions.region_from_geometry(WEST), name="The <west>"),  # markup in a name
        regions.region_from_geometry(EAST, "The east"),
    ]


@pytest.fixture(scope="module")
def out(simulated_atlas, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("comparison") / "both"
    build_comparison(simulated_atlas, _places(), folder, formats=("json", "csv"))
    return folder


def test_table_holds_the_numbers_of_each_report(out):
    table = pd.read_csv(out / "comparison.csv")
    assert list(table["region"]) == ["The <west>", "The east"]
    assert list(table["folder"]) == ["the-west", "the-east"]
    for _, row in table.iterrows():
        told = json.loads((out / row["folder"] / "indicators.json").read_text(encoding="utf-8"))
        for name in ("area_km2", "alpha_expected", "gamma", "beta_whittaker", "shannon", "simpson"):
            assert row[name] == pytest.approx(told["indicators"][name]["value"])
        assert row["n_cells"] == told["region"]["n_cells"]
        assert row["trust_grade"] == told["trust"]["grade"]
        assert row["protected"] == told["groups"]["protected"]["by_rule"]
        (richness,) = [
            standing["percentile"]
            for standing in told["benchmarks"]["standings"]
            if standing["measure"] == "richness" and standing["against"] == "atlas"
        ]
        assert row["richness_percentile_atlas"] == pytest.approx(richness)
        assert verify_manifest(out / row["folder"]) == []
    assert "threatened_share_percent" not in table.columns  # no Red List was given
    assert verify_manifest(out) == []


def test_multi_site_values_are_of_the_same_number_of_cells_in_every_region(out, simulated_atlas):
    table = pd.read_csv(out / "comparison.csv")
    fewest = int(table["n_cells"].min())
    assert table["n_cells"].nunique() == 2 and fewest < 50
    assert set(table["multi_site_cells"]) == {fewest}
    np.testing.assert_allclose(
        table["multi_site_turnover"] + table["multi_site_nestedness"], table["multi_site_sorensen"]
    )
    store = simulated_atlas.store
    whole = []
    for region in _places():
        rows = regions.select_cells(region, store.lonlat, store.resolution, store.cells, store.area_ha).rows
        whole.append(diversity.multi_site_sorensen(presence_table(store, rows, "sse", {})))
    smaller = int(table["n_cells"].argmin())
    assert table["multi_site_sorensen"][smaller] == pytest.approx(whole[smaller])
    assert table["multi_site_sorensen"][1 - smaller] < whole[1 - smaller] - 0.01  # all cells give more


@pytest.mark.parametrize(
    ("rule", "options"),
    [
        ("sse", {}),
        ("threshold", {"t": 0.3}),
        ("threshold", {"t": np.linspace(0.05, 0.9, 40)}),
        ("top_k", {"k": 5}),
        ("top_k", {"k": 0}),
        ("max_exp", {"score": "f1"}),
    ],
)
def test_presence_table_counts_as_set_counts_does(simulated_atlas, rule, options):
    store, rows = simulated_atlas.store, np.arange(3, 80, 2)
    complete = rule_options(rule, options)
    table = presence_table(store, rows, rule, complete)
    counts = set_counts(store, rows, rule, complete)
    np.testing.assert_array_equal(table.sum(axis=0), counts.n_cells)
    np.testing.assert_array_equal(table.sum(axis=1), counts.richness)


def test_the_table_alone_is_that_of_the_reports(simulated_atlas, out):
    numbers = [read_numbers(simulated_atlas, region) for region in _places()]
    found = compare(simulated_atlas.store, _places(), numbers)
    written = pd.read_csv(out / "comparison.csv").drop(columns="folder")
    pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(found.to_csv())), written)
    assert "gamma_lower" in found.intervals() and "alpha" not in found.intervals()  # a range between cells
    key, (low, high) = next(iter(found.intervals().items()))
    assert (written[low] <= written[key]).all() and (written[key] <= written[high]).all()


def test_overlapping_outlines_are_said(simulated_atlas):
    across = regions.region_from_geometry(shapely.box(0.3, 42.3, 1.2, 42.6), "Across")
    places = [*_places(), across]
    found = compare(simulated_atlas.store, places, [read_numbers(simulated_atlas, one) for one in places])
    (said,) = [note for note in found.notes if note.startswith("Outlines overlap")]
    assert "“The <west>” and “Across” (50 % of the smaller)" in said
    assert (
        "“The east” and “Across” (22 % of the smaller)" in said and "“The east” and “The <west>”" not in said
    )


def test_regions_that_cannot_be_compared_are_sorted_out_with_a_sentence_each(simulated_atlas):
    west, east = _places()
    away = regions.region_from_geometry(shapely.box(20.0, 50.0, 21.0, 51.0), "Elsewhere")
    kept, refused = sort_out(simulated_atlas, [west, away, west.renamed("Again"), east])
    assert [region.name for region in kept] == [west.name, east.name]
    assert "'Elsewhere' (near " in str(refused[0]) and "have the same outline" in str(refused[1])


def test_a_comparison_has_a_largest_number_of_regions():
    check_number(MAX_REGIONS)
    with pytest.raises(ReportError, match=rf"takes up to {MAX_REGIONS} regions; found {MAX_REGIONS + 1}"):
        check_number(MAX_REGIONS + 1)


def test_page_shows_the_regions_side_by_side_and_links_their_reports(simulated_atlas, tmp_path, out):
    page = (out / "comparison.html").read_text(encoding="utf-8")
    assert "The &lt;west&gt;" in page and "<west>" not in page
    assert "report.html" not in page  # none was written
    assert "random samples of" in page and "like size" in page
    table = pd.read_csv(out / "comparison.csv")
    assert f">{table['shannon'][1]:.2f}" in page
    build_comparison(simulated_atlas, _places(), tmp_path, formats=("html",))
    page = (tmp_path / "comparison.html").read_text(encoding="utf-8")
    assert 'href="the-west/report.html"' in page and (tmp_path / "the-west" / "report.html").is_file()


def test_region_of_one_cell_leaves_multi_site_values_out_and_says_why(simulated_atlas, tmp_path):
    garden = regions.region_from_geometry(shapely.Point(1.0, 42.6).buffer(0.001), "A garden")
    build_comparison(simulated_atlas, [garden, _places()[1]], tmp_path, formats=("json",))
    assert "multi_site_sorensen" not in pd.read_csv(tmp_path / "comparison.csv").columns
    assert "has a single cell" in (tmp_path / "comparison.html").read_text(encoding="utf-8")


def test_regions_of_one_name_get_folders_of_their_own(simulated_atlas, tmp_path):
    same = [region.renamed("Valley") for region in _places()]
    build_comparison(simulated_atlas, same, tmp_path, formats=("json",))
    assert (tmp_path / "valley" / "indicators.json").is_file()
    assert (tmp_path / "valley-2" / "indicators.json").is_file()


def test_bad_regions_get_one_sentence_and_nothing_is_written(simulated_atlas, tmp_path):
    west, _ = _places()
    away = regions.region_from_geometry(shapely.box(20.0, 50.0, 21.0, 51.0), "Elsewhere")
    with pytest.raises(NoDataInRegionError, match="'Elsewhere'"):
        build_comparison(simulated_atlas, [west, away], tmp_path / "out")
    with pytest.raises(ReportError, match="“The <west>” and “Again” have the same outline"):
        build_comparison(simulated_atlas, [west, west.renamed("Again")], tmp_path / "out")
    with pytest.raises(ReportError, match="needs two regions or more; found 1"):
        build_comparison(simulated_atlas, [west], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_command_takes_several_regions(simulated_atlas_folder, tmp_path, capsys):
    arguments = ["report", "--model", str(simulated_atlas_folder), "--out", str(tmp_path / "out")]
    for region, name in zip(_places(), ("west", "east"), strict=True):
        path = tmp_path / f"{name}.geojson"
        path.write_text(json.dumps(region.to_geojson()), encoding="utf-8")
        arguments += ["--region", str(path)]
    assert main([*arguments, "--name", "Both", "--formats", "json"]) == 2
    assert capsys.readouterr().err.endswith("--name goes with one --region; found 2 of them.\n")
    assert main([*arguments, "--formats", "json"]) == 0
    names = [Path(line).relative_to(tmp_path / "out").as_posix() for line in capsys.readouterr().out.split()]
    assert names[-3:] == ["comparison.csv", "comparison.html", "MANIFEST.sha256"]
    assert sum(name.endswith("indicators.json") for name in names) == 2


def test_command_takes_each_feature_of_a_file_as_a_region(simulated_atlas_folder, tmp_path, capsys):
    features = [
        {**region.to_geojson(), "properties": {"title": region.name, "code": name}}
        for region, name in zip(_places(), ("W", "E"), strict=True)
    ]
    away = regions.region_from_geometry(shapely.box(20.0, 50.0, 21.0, 51.0)).to_geojson()
    features += [
        {**away, "properties": {"title": "Elsewhere", "code": "X"}},
        {"type": "Feature", "properties": {"title": "Nowhere"}, "geometry": None},
    ]
    path = tmp_path / "parks.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    arguments = ["report", "--model", str(simulated_atlas_folder), "--region", str(path), "--formats", "json"]
    assert main([*arguments, "--out", str(tmp_path / "out"), "--each"]) == 0
    said = capsys.readouterr().err
    assert "“Nowhere” is left out: it has no geometry" in said and "Left out: 'Elsewhere' (near " in said
    assert list(pd.read_csv(tmp_path / "out" / "comparison.csv")["region"]) == ["The west", "The east"]
    assert main([*arguments, "--out", str(tmp_path / "codes"), "--each", "code"]) == 0
    assert list(pd.read_csv(tmp_path / "codes" / "comparison.csv")["region"]) == ["W", "E"]
    capsys.readouterr()
    assert main([*arguments, "--out", str(tmp_path / "none"), "--each", "nom"]) == 2
    assert "no column of names 'nom'" in capsys.readouterr().err
    assert main([*arguments, "--out", str(tmp_path / "none"), "--each", "--name", "Both"]) == 2
    assert capsys.readouterr().err.endswith("--name goes with one --region; found --each.\n")
