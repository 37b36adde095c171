"""Reports with a user's records: the section, the columns, the file of observed species, the command."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest

from sdm_core import regions
from sdm_core.__main__ import main
from sdm_core.observed import observe_region, read_records
from sdm_core.reports import build_report
from sdm_core.reports.files import write_observed
from tests.pages.test_region import MIDDLE, engine_summary, link_to

PLOTS = (
    "plot,lon,lat,year,species,cover\n"
    "p1,0.6,42.5,2001,Buxus sempervirens,60\np1,0.6,42.5,2001,Planta inventa,20\n"
    "p2,0.9,42.6,2011,Buxus sempervirens,20\np3,1.9,42.6,2011,Pinus nigra,50\n"
)


@pytest.fixture(scope="module")
def region():
    return regions.decode_region_link(link_to(MIDDLE))


@pytest.fixture(scope="module")
def report(simulated_atlas, region, tmp_path_factory):
    """Folder of a report with records, and what was observed."""
    out = tmp_path_factory.mktemp("report")
    records = read_records([("my plots.csv", PLOTS.encode())], cover_scale="percent")
    build_report(simulated_atlas, region, out, formats=("html", "csv", "json"), records=records)
    found = observe_region(records, region, simulated_atlas.species, engine_summary(simulated_atlas))
    return out, found


def test_the_section_prints_the_numbers_of_the_engine(report):
    out, found = report
    page = (out / "report.html").read_text(encoding="utf-8")
    section = re.search(r'<section id="s5a">.*?</section>', page, re.DOTALL).group()
    for number in found.numbers.values():
        assert number.shown in section
    for warning in found.warnings:
        assert warning in section
    listed = re.search(r'<section id="s5">.*?</section>', page, re.DOTALL).group()
    assert "Your records (last year)" in listed and '<td class="num">2 (2011)</td>' in listed
    assert "Planta inventa" in section and '<a href="#s5a">' in page
    assert "Your records hold 2 species inside the region (2001 to 2011); 1 of them is in the atlas." in page
    assert found.not_observed["species"].iloc[0] in section


def test_tables_and_json_hold_what_was_observed(report):
    out, found = report
    species = pd.read_csv(out / "species.csv").set_index("species")
    assert species.loc["Buxus sempervirens", "observed_records"] == 2
    assert species.loc["Buxus sempervirens", "observed_last_year"] == 2011
    assert (species["observed_records"].drop("Buxus sempervirens") == 0).all()
    observed = pd.read_csv(out / "observed.csv").set_index("species")
    assert observed.loc["Planta inventa", "status"] == "not in the atlas"
    assert (observed["status"] == "predicted, not observed").sum() == len(found.not_observed)
    content = json.loads((out / "indicators.json").read_text(encoding="utf-8"))["observed"]
    assert content["numbers"]["shannon"]["value"] == found.numbers["shannon"].value
    assert (content["records_inside"], content["plots_inside"]) == (3, 2)


def test_the_command_reads_the_same_records_again(report):
    page = (report[0] / "report.html").read_text(encoding="utf-8")
    assert "--records &#39;my plots.csv&#39; --cover-scale percent" in page


def test_a_report_without_records_says_nothing_of_them(simulated_atlas, region, report, tmp_path):
    build_report(simulated_atlas, region, tmp_path, formats=("html", "csv", "json"))
    assert not (tmp_path / "observed.csv").exists()
    assert 'id="s5a"' not in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "observed_status" not in pd.read_csv(tmp_path / "species.csv")
    assert "observed" not in json.loads((tmp_path / "indicators.json").read_text(encoding="utf-8"))


def test_a_report_without_records_takes_the_place_of_one_with_them(simulated_atlas, region, report, tmp_path):
    records = read_records([("own.csv", PLOTS.encode())])
    build_report(simulated_atlas, region, tmp_path, formats=("csv",), records=records)
    assert (tmp_path / "observed.csv").exists()
    build_report(simulated_atlas, region, tmp_path, formats=("csv",))
    assert not (tmp_path / "observed.csv").exists()


def test_text_that_a_spreadsheet_would_run_is_written_as_text(tmp_path):
    table = pd.DataFrame({"species": ["=1+1", "@SUM(A1)", "Abies alba", None], "n": [-1.5, 2.0, 3.0, 4.0]})
    write_observed(tmp_path / "o.csv", table)
    assert (tmp_path / "o.csv").read_text() == "species,n\n'=1+1,-1.5\n'@SUM(A1),2.0\nAbies alba,3.0\n,4.0\n"


def test_the_command_line_takes_records_and_refuses_bad_ones_in_one_sentence(
    simulated_atlas_folder, region, tmp_path, capsys
):
    (tmp_path / "area.geojson").write_text(json.dumps(region.to_geojson()), encoding="utf-8")
    finds = "plot,species,cover\np1,Buxus sempervirens,60\np2,Pinus nigra,20\n"
    (tmp_path / "finds.csv").write_text(finds, encoding="utf-8")
    (tmp_path / "plots.csv").write_text("plot,lon,lat\np1,0.6,42.5\np2,0.9,42.6\n", encoding="utf-8")
    command = ["report", "--region", str(tmp_path / "area.geojson"), "--out", str(tmp_path / "out")]
    command += ["--model", str(simulated_atlas_folder), "--formats", "csv"]
    files = ["--records", str(tmp_path / "finds.csv"), "--records", str(tmp_path / "plots.csv")]
    assert main([*command, *files]) == 0
    assert len(pd.read_csv(tmp_path / "out" / "observed.csv").query("n_records > 0")) == 2
    assert "There are only 2 plots inside" in capsys.readouterr().err
    assert main([*command, "--records", str(tmp_path / "none.csv")]) == 2
    assert "does not exist; give a CSV, archive or GeoPackage." in capsys.readouterr().err
