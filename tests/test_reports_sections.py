"""Sections of a report that depend on what is given: outlines, held-out surveys, records; bare regions."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely

from sdm_core import indicators, regions
from sdm_core.__main__ import main
from sdm_core.indicators import observed_range
from sdm_core.observed import RANGE_TEXT, read_records
from sdm_core.registry import open_atlas
from sdm_core.reports import build_report, text
from sdm_core.reports.benchmarks import dials
from tests.test_reports_methods import _reproduce

VALLEY = shapely.Polygon([(0.6, 42.45), (1.5, 42.45), (1.4, 42.8), (0.7, 42.75), (0.6, 42.45)])
ZONES = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {"zone": name},
            "geometry": shapely.geometry.mapping(shapely.box(west, 40.0, east, 45.0)),
        }
        for name, west, east in (("Western", -5.0, 1.4), ("Eastern", 1.4, 6.0))
    ],
}


@pytest.fixture(scope="module")
def valley():
    return regions.region_from_geometry(VALLEY, "Valley")


def _section(folder: Path, identifier: str) -> str:
    page = (folder / "report.html").read_text(encoding="utf-8")
    found = re.search(rf'<section id="{identifier}">.*?</section>', page, re.DOTALL)
    assert found, identifier
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", found.group()))


def _told(folder: Path) -> dict:
    return json.loads((folder / "indicators.json").read_text(encoding="utf-8"))


def test_section_on_structure_prints_what_the_data_file_holds(simulated_atlas, valley, tmp_path):
    build_report(simulated_atlas, valley, tmp_path, formats=("html", "json"))
    said, cells = _section(tmp_path, "s11"), _told(tmp_path)["structure"]["cells"]
    for name, label in (("beta_sorensen", "Dissimilarity"), ("beta_turnover", "of it turnover")):
        numbers = " ".join(f"{cells[name][end]:.3f}" for end in ("mean", "low", "high"))
        assert f"{label} {numbers}" in said
    assert "mean of its pairwise dissimilarity from all others" in said
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Three maps of Valley" in page and "Hotspots of richness" in page


def test_region_without_a_species_over_the_threshold_says_so(simulated_atlas, valley, tmp_path):
    build_report(
        simulated_atlas, valley, tmp_path, rule="threshold", t=1.0, formats=("html", "json", "geotiff", "csv")
    )
    assert "No cell of the region holds a species by the rule" in _section(tmp_path, "s11")
    answer = _section(tmp_path, "s1")
    assert "hold 0 species by the rule" in answer and "– times" not in answer
    told = _told(tmp_path)
    assert told["structure"]["multi_site"]["total"] is None
    assert "beta_sorensen" not in told["structure"]["cells"]
    assert not (tmp_path / "maps" / "beta_sorensen.tif").exists()
    files = _section(tmp_path, "annex-b")
    assert "maps/richness.tif" in files and "beta_sorensen" not in files


def test_atlas_without_records_has_all_eighteen_sections(simulated_atlas_folder, valley, tmp_path):
    bare = tmp_path / "bare-atlas"
    shutil.copytree(simulated_atlas_folder, bare)
    dropped = ("observed.parquet", "observed_species.parquet", "trust.parquet")
    for name in dropped:
        (bare / name).unlink(missing_ok=True)
    manifest = bare / "MANIFEST.sha256"
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(line for line in lines if line.split()[-1] not in dropped))
    out = tmp_path / "report"
    build_report(open_atlas(str(bare)), valley, out, formats=("html",))
    for number in range(1, 19):
        assert len(_section(out, f"s{number}")) > 60
    assert "Where to look next" in _section(out, "s14")


def test_report_is_set_against_outlines_and_can_be_made_again(
    simulated_atlas, simulated_atlas_folder, valley, tmp_path
):
    file = tmp_path / "zones.geojson"
    file.write_text(json.dumps(ZONES), encoding="utf-8")
    out = tmp_path / "report"
    outlines = regions.read_outlines(file)
    build_report(
        simulated_atlas, valley, out, formats=("html", "json", "geojson", "methods"), outlines=outlines
    )
    frame = _told(out)["benchmarks"]["frame"]
    assert frame["source"] == "zones.geojson" and list(frame["shares_percent"]) == ["Western"]
    assert "“Western”" in _section(out, "s12") and "from the outlines of the file zones.geojson" in _section(
        out, "s12"
    )
    assert "Among “Western” (zones.geojson)" in _section(out, "s1")
    assert "--compare-with zones.geojson --name-column zone" in _section(out, "s16")

    model = ("--model", str(simulated_atlas_folder))
    done = _reproduce(out, *model)
    assert done.returncode == 0 and "outlines: not compared" in done.stdout
    done = _reproduce(out, *model, "--compare-with", str(file))
    assert done.returncode == 0, done.stdout[-1500:]
    assert "outlines" not in done.stdout.splitlines()[-2]
    assert ".frame.shares_percent.Western" in done.stdout


@pytest.mark.parametrize(
    ("features", "options", "said"),
    [
        (ZONES, ["--name-column", "name"], "has no column 'name'; it has 'zone'"),
        ({**ZONES, "features": []}, [], "no column of names"),
        (
            {
                **ZONES,
                "features": [
                    {**ZONES["features"][0], "geometry": shapely.geometry.mapping(shapely.box(90, 0, 91, 1))}
                ],
            },
            [],
            "holds a cell of the atlas",
        ),
    ],
)
def test_wrong_outlines_are_refused_in_a_sentence(
    features, options, said, simulated_atlas_folder, tmp_path, capsys
):
    zones, area = tmp_path / "zones.geojson", tmp_path / "area.geojson"
    zones.write_text(json.dumps(features), encoding="utf-8")
    area.write_text(json.dumps(shapely.geometry.mapping(VALLEY)), encoding="utf-8")
    command = ["report", "--region", str(area), "--out", str(tmp_path / "out"), "--formats", "json"]
    command += ["--model", str(simulated_atlas_folder), "--compare-with", str(zones), *options]
    assert main(command) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_options_of_outlines_need_outlines(tmp_path, capsys):
    command = ["report", "--region", "place:Pyrenees", "--out", str(tmp_path), "--name-column", "zone"]
    assert main(command) == 2
    assert "--name-column goes with --compare-with" in capsys.readouterr().err


def test_intervals_and_certainty_of_a_surveyed_atlas_are_printed_with_their_meaning(
    surveyed_atlas, valley, tmp_path
):
    build_report(surveyed_atlas, valley, tmp_path, formats=("html", "json", "csv"))
    told = _told(tmp_path)
    shannon = told["indicators"]["shannon"]
    found = indicators.Indicator("shannon", shannon["value"], shannon["low"], shannon["high"], "errors")
    assert found.shown_interval in _section(tmp_path, "s4")
    assert "In brackets: a." in _section(tmp_path, "s4")
    meanings = {entry["low_high_meaning"] for entry in told["indicators"].values() if entry.get("low")}
    assert "errors the model made on blocks it had not seen" in _section(tmp_path, "s1")
    for meaning in meanings & {shannon["low_high_meaning"]}:
        assert _section(tmp_path, "s4").count(meaning) == 1
    table = pd.read_csv(tmp_path / "species.csv")
    row = table.iloc[0]
    low, high = row["area_share_low_percent"] / 100, row["area_share_high_percent"] / 100
    assert f"{row['mean_probability']:.2f} ({low:.2f}–{high:.2f})" in _section(tmp_path, "s5")
    assert set(table["certainty"].dropna()) & {"certain", "possible"}
    assert told["certainty"].rstrip(".") in _section(tmp_path, "s5")


def test_records_have_extent_and_occupancy_and_no_category(simulated_atlas, valley, tmp_path):
    species = simulated_atlas.species["species"].iloc[:3].tolist()
    generator = np.random.default_rng(5)
    rows = [
        f"{name},{x:.4f},{y:.4f}"
        for name in species
        for x, y in zip(generator.uniform(0.7, 2.5, 30), generator.uniform(42.46, 42.7, 30), strict=True)
    ]
    content = "species,longitude,latitude\n" + "\n".join([*rows, "Planta inventa,1.0,42.5"])
    records = read_records([("mine.csv", content.encode())])
    build_report(simulated_atlas, valley, tmp_path, formats=("html", "json", "csv"), records=records)
    table = pd.read_csv(tmp_path / "observed.csv").set_index("species")
    own = records.table[records.table["species"] == species[0]]
    expected = observed_range(own[["longitude", "latitude"]].to_numpy(float))
    assert table.loc[species[0], "eoo_km2"] == pytest.approx(expected.eoo_km2)
    assert table.loc[species[0], "aoo_km2"] == expected.aoo_km2
    assert table.loc[species[0], "range_records"] == 30  # those outside the outline too
    assert table.loc[species[0], "n_records"] < 30
    assert table.loc["Planta inventa", "eoo_km2"] == table.loc["Planta inventa", "aoo_km2"] == 4.0
    assert pd.read_csv(tmp_path / "species.csv").set_index("species").loc[species[1], "aoo_km2"] > 4
    said = _section(tmp_path, "s9")
    assert RANGE_TEXT in said and "of its range in the atlas here" in said
    assert not re.search(r"\b(VU|EN|CR)\b", said)
    told = _told(tmp_path)["observed"]
    assert {row["species"]: row["aoo_km2"] for row in told["ranges"]}[species[0]] == expected.aoo_km2


def test_a_share_just_short_of_all_is_not_written_as_all():
    assert text.percent(1.0) == f"100{text.UNIT_SPACE}%"
    assert text.percent(0.997) == f"99.7{text.UNIT_SPACE}%"
    assert text.percent(0.99999) == f">{text.NARROW_SPACE}99.9{text.UNIT_SPACE}%"
    assert text.percent(0.9949) == f"99{text.UNIT_SPACE}%"


def test_a_dial_says_how_far_from_the_mean_beside_its_percentile():
    standing = indicators.Standing("threatened_share", "atlas", "the atlas", 0.0637, 0.292, 44.2)
    [row] = [row for row in dials(indicators.Benchmarks((standing,), ()))["rows"] if row["bars"]]
    [bar] = row["bars"]
    assert bar["left"] == "44.2"
    assert bar["text"].replace(text.UNIT_SPACE, " ") == "44 %, far below (−78 %)"
