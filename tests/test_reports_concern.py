"""Sections 6 to 9 of a report: statuses with list, source and date, numbers those of the data files."""

from __future__ import annotations

import dataclasses
import html
import json
import re
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from sdm_core import regions, statuses
from sdm_core.__main__ import main
from sdm_core.indicators import CONCERN_LAYERS, THREAT_TEXTS, concern_layers, summarise_region
from sdm_core.reports import build_report, concern, red_lists, text
from tests.test_threat import LIST

VALLEY = shapely.box(0.05, 42.32, 2.15, 42.88)


@pytest.fixture(scope="module")
def region() -> regions.Region:
    return regions.region_from_geometry(VALLEY).renamed("A valley")


@pytest.fixture(scope="module")
def reports(simulated_atlas, region, tmp_path_factory) -> dict[str, Path]:
    """The report without a list, and with one."""
    folder = tmp_path_factory.mktemp("concern")
    files = {"plain": [], "listed": [statuses.read_statuses(LIST.encode(), "my list.csv")]}
    for name, given in files.items():
        build_report(simulated_atlas, region, folder / name, formats=("html", "csv", "json"), statuses=given)
    return {name: folder / name for name in files}


def section(report: Path, number: int) -> str:
    """Text of a section, tags taken out."""
    page = (report / "report.html").read_text(encoding="utf-8")
    start = page.index(f'<section id="s{number}">')
    inside = page[start : page.index("</section>", start)]
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", inside)))


def rows_of(report: Path, number: int) -> list[str]:
    page = (report / "report.html").read_text(encoding="utf-8")
    start = page.index(f'<section id="s{number}">')
    inside = page[start : page.index("</section>", start)]
    rows = re.findall(r"<tr>.*?</tr>", inside, flags=re.S)
    return [re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", row))).strip() for row in rows]


def test_without_a_list_the_report_says_what_is_missing_and_how_to_add_it(reports):
    said = section(reports["plain"], 6)
    assert "No Red List was added" in said
    assert "“Add a status list”" in said and "--status FILE.csv" in said
    assert "assets/statuses/README.md" in said
    assert "%" not in said  # and shows no number


def test_threatened_share_of_the_page_is_that_of_the_data_file(reports):
    numbers = json.loads((reports["listed"] / "indicators.json").read_text(encoding="utf-8"))
    red = numbers["status_lists"][0]
    said = section(reports["listed"], 6)
    for version in ("official", "completed"):
        share, low, high = (red[version][name] for name in ("threatened_share", "low", "high"))
        shown = [red_lists.share_text(value).replace(text.UNIT_SPACE, " ") for value in (share, low, high)]
        assert shown[0] in said and f"{shown[1]} to {shown[2]}" in said
        assert text.percent(red[version]["shares"]["VU"]).replace(text.UNIT_SPACE, " ") in said
    assert f"{red['official']['unassessed_percent']:.0f} % of all expected species are not assessed" in said
    assert THREAT_TEXTS["star_like"].split(";")[0] in said
    assert red["definitions"] == THREAT_TEXTS


def test_threatened_species_stand_worst_first_with_predicted_ones_marked(reports):
    species = [
        row for row in rows_of(reports["listed"], 6) if row.split(" ")[0] in ("Taxus", "Pinus", "Fagus")
    ]
    assert [row.split("[")[0].strip().split(" ", 2)[2] for row in species] == [
        "CR, 2020",
        "EN (predicted), 2020",
        "VU, 2020",
    ]


def test_extinct_species_that_are_predicted_are_named_apart(reports):
    said = section(reports["listed"], 6)
    assert "although the list says that they are extinct (RE, EW, EX): 1 species, Quercus ilex." in said
    assert not any(row.startswith("Quercus ilex") for row in rows_of(reports["listed"], 6))


def test_every_status_leads_to_its_source_and_date(reports):
    page = (reports["listed"] / "report.html").read_text(encoding="utf-8")
    cited = set(re.findall(r'href="#origin-(\d+)"', page))
    origins = dict(re.findall(r'<li id="origin-(\d+)">(.*?)</li>', page))
    assert cited and cited <= set(origins)
    said = " ".join(origins.values())
    assert "Red List (Pyrenees): Invented, 2020. Licence: CC0." in said
    assert "Law (Pyrenees): Ministry, 2021-05. Licence: CC0." in said
    assert "File my list.csv; 5 of its 6 taxa are in this atlas." in said


def test_added_lists_reach_the_protected_and_alien_sections(reports):
    assert any(row.startswith("Ilex aquifolium protected, 2021-05") for row in rows_of(reports["listed"], 7))
    assert any(row.startswith("Robinia pseudoacacia alien, 2021-05") for row in rows_of(reports["listed"], 8))
    assert not any("2021-05" in row for row in rows_of(reports["plain"], 7))


def test_endemic_section_has_the_numbers_of_the_data_file(reports):
    numbers = json.loads((reports["plain"] / "indicators.json").read_text(encoding="utf-8"))["indicators"]
    said = section(reports["plain"], 9)
    assert f"as {numbers['weighted_endemism']['value']:.2f} whole ranges" in said
    assert f"That is {numbers['relative_endemism']['value']:.2f} times" in said
    table = pd.read_csv(reports["plain"] / "species.csv")
    endemic = table[table["endemic"].eq(True) & (table["present"] | (table["max_probability"] >= 0.05))]
    first = endemic.sort_values("range_share_percent", ascending=False)["species"].iloc[0]
    assert rows_of(reports["plain"], 9)[1].startswith(f"{first} endemic")


def test_species_file_has_each_status_with_source_and_date(reports):
    table = pd.read_csv(reports["listed"] / "species.csv").set_index("species")
    assert table.loc["Taxus baccata", ["statuses", "status_source"]].tolist() == [
        "CR (Red List, Pyrenees)",
        "Invented",
    ]
    plain = pd.read_csv(reports["plain"] / "species.csv")
    assert plain["statuses"].isna().all()
    assert set(plain) == {"species", *table.columns}


def test_species_table_of_section_five_carries_the_categories_as_labels(reports):
    page = (reports["listed"] / "report.html").read_text(encoding="utf-8")
    assert 'title="Critically Endangered: Red List (Pyrenees), Invented, 2020">CR<' in page
    assert "Least Concern: Red List" not in page  # a label for every common species would say nothing


def test_cells_file_has_threat_and_endemism_of_each_cell(simulated_atlas, region, tmp_path):
    file = statuses.read_statuses(LIST.encode(), "my list.csv")
    build_report(simulated_atlas, region, tmp_path, formats=("geoparquet",), statuses=[file])
    cells = gpd.read_parquet(tmp_path / "cells.geoparquet")
    store = simulated_atlas.store
    rows = store.rows_of(cells["cell_id"].to_numpy())
    matched = statuses.match_statuses(file, store.species)
    for name, values in concern_layers(store, rows, [matched]).items():
        assert cells[name].to_numpy() == pytest.approx(values, nan_ok=True)
    assert set(CONCERN_LAYERS) <= set(cells)


def test_command_of_the_methods_section_names_the_list(reports):
    page = html.unescape((reports["listed"] / "report.html").read_text(encoding="utf-8"))
    assert "--status 'my list.csv'" in page
    assert "--status" not in section(reports["plain"], 16)


def test_command_line_takes_several_lists_and_names_what_it_does_not_find(
    simulated_atlas_folder, region, tmp_path, capsys
):
    outline = tmp_path / "area.geojson"
    outline.write_text(json.dumps(region.to_geojson()))
    header = LIST.splitlines()[0]
    (tmp_path / "one.csv").write_text(LIST)
    (tmp_path / "two.csv").write_text(f"{header}\nAbies albba,Other,EN,Spain,Someone,2021,CC0,\n")
    arguments = ["report", "--region", str(outline), "--model", str(simulated_atlas_folder)]
    arguments += ["--out", str(tmp_path / "out"), "--formats", "json"]
    arguments += ["--status", str(tmp_path / "one.csv"), "--status", str(tmp_path / "two.csv")]
    assert main(arguments) == 0
    said = capsys.readouterr().err
    assert "one.csv: 7 of 8 entries are species of this atlas." in said
    assert "one.csv: not in this atlas: Nowhere seen." in said
    assert "two.csv: not in this atlas: Abies albba (perhaps Abies alba)." in said
    numbers = json.loads((tmp_path / "out" / "indicators.json").read_text(encoding="utf-8"))
    assert [listed["list"] for listed in numbers["status_lists"]] == ["Red List", "Law", "Other"]


def test_command_line_refuses_a_bad_list_before_anything_is_written(simulated_atlas_folder, tmp_path, capsys):
    bad = tmp_path / "bad.csv"
    bad.write_text("species,status\nAbies alba,VU\n")
    arguments = ["report", "--region", "place:Pyrenees", "--model", str(simulated_atlas_folder)]
    assert main([*arguments, "--out", str(tmp_path / "out"), "--status", str(bad)]) == 2
    said = capsys.readouterr().err
    assert "bad.csv has no column 'taxon'" in said and said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_groups_of_which_nothing_is_expected_are_said_in_words(simulated_atlas):
    store = simulated_atlas.store
    summary = summarise_region(store, np.arange(store.n_cells))
    none = {
        name: dataclasses.replace(group, expected=0.01, by_rule=0) for name, group in summary.groups.items()
    }
    said = concern.concern_sections(dataclasses.replace(summary, groups=none), "the source")
    for name, part in (("protected", "protected"), ("invasive", "invasive"), ("endemic", "restricted")):
        assert said[part]["paragraphs"][0] == concern.NONE_EXPECTED[name]


def test_region_without_any_predicted_species_has_no_tables(simulated_atlas):
    store = simulated_atlas.store
    matched = statuses.match_statuses(statuses.read_statuses(LIST.encode()), store.species)
    summary = summarise_region(store, np.arange(3), statuses=[matched])
    bare = dataclasses.replace(summary, species_table=summary.species_table.iloc[:0])
    said = concern.concern_sections(bare, "the source")
    assert [said[part]["table"] for part in ("threatened", "protected", "invasive", "restricted")] == [
        None
    ] * 4
