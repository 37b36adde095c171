"""Reports: one set of numbers in every file, nothing asked from outside, nothing lost half-way."""

from __future__ import annotations

import base64
import builtins
import dataclasses
import hashlib
import html
import io
import json
import re
import subprocess
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
from PIL import Image
from pyproj import Geod

from sdm_core import exports, regions
from sdm_core.__main__ import main
from sdm_core.errors import NoDataInRegionError, RegionError, ReportError, RuleError
from sdm_core.indicators import summarise_region
from sdm_core.registry import Atlas
from sdm_core.reports import (
    FORMAT_FILES,
    build_report,
    card,
    cartography,
    drawn_cells,
    files,
    folder,
    render,
    report_stem,
    text,
)

TRIANGLE = shapely.Polygon([(0.0, 42.0), (1.0, 42.0), (0.5, 42.6), (0.0, 42.0)])


def _write(out: Path, content: dict[str, str]) -> None:
    with folder.staged_folder(out) as fresh:
        for name, text in content.items():
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            (fresh / name).write_text(text, encoding="utf-8")


# The folder -------------------------------------------------------------------------------------------


def test_manifest_is_what_sha256sum_prints_and_lists_every_file(tmp_path):
    _write(tmp_path / "report", {"a.txt": "one\n", "maps/b.txt": "two\n"})
    expected = "".join(
        f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n"
        for name, text in (("a.txt", "one\n"), ("maps/b.txt", "two\n"))
    )
    assert (tmp_path / "report" / folder.MANIFEST_NAME).read_text() == expected
    assert folder.verify_manifest(tmp_path / "report") == []


def test_manifest_names_a_file_that_was_changed(tmp_path):
    _write(tmp_path, {"a.txt": "one", "b.txt": "two"})
    (tmp_path / "a.txt").write_text("other")
    (tmp_path / "b.txt").unlink()
    assert folder.verify_manifest(tmp_path) == ["a.txt", "b.txt"]


def test_failure_while_writing_leaves_the_earlier_report_as_it_was(tmp_path):
    _write(tmp_path, {"a.txt": "first"})
    with pytest.raises(RuntimeError), folder.staged_folder(tmp_path) as fresh:
        (fresh / "a.txt").write_text("second")
        raise RuntimeError("stopped")
    assert (tmp_path / "a.txt").read_text() == "first"
    assert folder.verify_manifest(tmp_path) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == [folder.MANIFEST_NAME, "a.txt"]


def test_failure_while_renaming_puts_the_earlier_files_back(tmp_path, monkeypatch):
    _write(tmp_path, {"a.txt": "first a", "b.txt": "first b"})
    rename = folder._rename

    def failing(source: Path, target: Path) -> None:
        if target == tmp_path / "b.txt" and "new" in source.parts:
            raise OSError(28, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(folder, "_rename", failing)
    with pytest.raises(ReportError, match="is full; free some space or choose another folder"):
        _write(tmp_path, {"a.txt": "second a", "b.txt": "second b"})
    assert (tmp_path / "a.txt").read_text() == "first a"
    assert (tmp_path / "b.txt").read_text() == "first b"
    assert folder.verify_manifest(tmp_path) == []


def test_failure_removes_the_folders_it_made(tmp_path):
    with pytest.raises(RuntimeError), folder.staged_folder(tmp_path / "deep" / "report"):
        raise RuntimeError("stopped")
    assert list(tmp_path.iterdir()) == []


def test_files_of_the_earlier_report_go_but_files_of_the_user_stay(tmp_path):
    _write(tmp_path, {"old.txt": "old", "edited.txt": "old", "maps/old.tif": "old"})
    (tmp_path / "edited.txt").write_text("changed by hand")
    (tmp_path / "notes.txt").write_text("mine")
    _write(tmp_path, {"new.txt": "new"})
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert left == [folder.MANIFEST_NAME, "edited.txt", "new.txt", "notes.txt"]


def test_out_that_is_a_file_gets_one_sentence(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ReportError, match=r"is a file; give the name of a folder"):
        _write(tmp_path / "out", {"a.txt": "one"})


def test_folder_that_cannot_be_written_gets_one_sentence(tmp_path, monkeypatch):
    def refused(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(folder.tempfile, "mkdtemp", refused)
    with pytest.raises(ReportError, match="cannot be written; choose a folder you may write to"):
        _write(tmp_path, {"a.txt": "one"})


def test_manifest_paths_that_leave_the_folder_are_ignored(tmp_path):
    (tmp_path / folder.MANIFEST_NAME).write_text(f"{'0' * 64}  ../outside.txt\n{'0' * 64}  in.txt\n")
    assert folder.read_manifest(tmp_path) == {"in.txt": "0" * 64}


# The data files ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cells() -> np.ndarray:
    return np.asarray(regions.cells_in_polygon(TRIANGLE, 6))


def test_cells_come_back_from_geoparquet_with_their_coordinate_system(tmp_path, cells):
    lonlat = regions.cells_to_lonlat(cells)
    richness = np.linspace(1.0, 9.0, len(cells))
    hectares = np.full(len(cells), 3600, np.uint32)
    exports.write_cells(tmp_path / "cells.geoparquet", cells, lonlat, hectares, {"richness": richness})
    back = gpd.read_parquet(tmp_path / "cells.geoparquet")
    assert back.crs.to_epsg() == 4326
    assert back["richness"].to_numpy() == pytest.approx(richness)
    assert back.geometry.is_valid.all()
    assert np.array_equal(regions.strings_to_cells(back["cell"]), cells)
    assert shapely.contains_xy(back.geometry.to_numpy(), back["longitude"], back["latitude"]).all()
    assert back["area_km2"].to_numpy() == pytest.approx(36.0)


def test_raster_pixel_holds_the_value_of_the_cell_of_its_centre(tmp_path, cells):
    lonlat = regions.cells_to_lonlat(cells)
    values = np.arange(len(cells), dtype=np.float32)
    (path,) = exports.write_rasters(
        tmp_path, cells, lonlat, 6, {"richness": (values, "species")}, {"SOURCE": "simulated"}
    )
    with rasterio.open(path) as raster:
        assert raster.crs.to_epsg() == 4326
        assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert raster.tags()["SOURCE"] == "simulated"
        assert raster.units == ("species",) and raster.descriptions == ("richness",)
        assert np.isnan(raster.nodata)
        grid = raster.read(1)
        rows, columns = np.nonzero(np.isfinite(grid))
        longitude, latitude = raster.xy(rows, columns)
    found = regions.lonlat_to_cells(np.asarray(longitude), np.asarray(latitude), 6)
    assert np.array_equal(cells[grid[rows, columns].astype(int)], found)
    assert set(np.unique(grid[rows, columns]).astype(int)) == set(range(len(cells)))


def test_area_read_back_is_the_same_region(tmp_path):
    moved = shapely.transform(TRIANGLE, lambda lonlat: lonlat + 0.1234567)
    region = regions.region_from_geometry(moved, "Triangle")
    files.write_area(tmp_path / "area.geojson", region, {"atlas": "simulated", "mean": float("nan")})
    feature = json.loads((tmp_path / "area.geojson").read_text())
    again = regions.region_from_geojson(feature)
    assert again.geometry_hash == region.geometry_hash
    assert feature["properties"]["mean"] is None
    assert gpd.read_file(tmp_path / "area.geojson").crs.to_epsg() == 4326


def test_habitats_table_says_why_it_is_empty(tmp_path):
    files.write_habitats(tmp_path / "habitats.csv")
    header, statement = (tmp_path / "habitats.csv").read_text().splitlines()
    assert header == "level,code,name,area_ha,share,confidence,note"
    assert "Not available" in statement


def test_undefined_numbers_are_null_in_json(tmp_path):
    files.write_indicators(
        tmp_path / "i.json", {"a": np.float64("nan"), "b": [np.int64(3), float("inf")], "c": np.array([0.5])}
    )
    assert json.loads((tmp_path / "i.json").read_text()) == {
        "a": None,
        "b": [3, None],
        "c": [0.5],
        "species": [],
    }


# The whole report ---------------------------------------------------------------------------------------

CREATED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
VALLEY = shapely.Polygon([(0.6, 42.45), (1.5, 42.45), (1.4, 42.8), (0.7, 42.75), (0.6, 42.45)])
NARROW = "\u202f"


def _card(atlas: Atlas) -> dict:
    """A complete model card with made-up scores, in the form `evaluation.write_card` asks for."""
    scores = {"n_folds": 5, "n_sites": 321, "n_species": 40, "ece_before": 0.0213, "sample_f1": 0.4321}
    bins = [
        {
            "lower": low,
            "upper": low + 0.25,
            "n": 100,
            "mean_probability": low + 0.1,
            "recorded_share": low + 0.12,
        }
        for low in (0.0, 0.25, 0.5, 0.75)
    ]
    return {
        **atlas.card,
        "data": [
            {
                "name": "Simulated niches",
                "citation": "Nobody (2026). Made up. doi:10.1234/made.up",
                "licence": "CC0",
                "url": "",
            }
        ],
        "model": "A formula",
        "covariate_names": ["distance"],
        "code_version": "0.0.1",
        "n_sites": 321,
        "limits": ["Says nothing about real plants."],
        "validation": {
            "note": "made up",
            "command": "python -m sdm_core evaluate made-up.toml",
            "results": [
                {
                    "model": name,
                    "block_deg": 2.0,
                    "auc": auc,
                    "average_precision": 0.5,
                    "ece_after": ece,
                    **scores,
                }
                for name, auc, ece in (("shipped: formula", 0.9876, 0.0012), ("grid", 0.8765, 0.0021))
            ],
        },
        "calibration": {"method": "none", "ece_before": 0.0213, "ece_after": 0.0012, "reliability": bins},
    }


@pytest.fixture(scope="module")
def atlas(simulated_atlas: Atlas) -> Atlas:
    return dataclasses.replace(simulated_atlas, card=_card(simulated_atlas))


@pytest.fixture(scope="module")
def region() -> regions.Region:
    plain = regions.region_from_geometry(VALLEY)
    return dataclasses.replace(plain, name="Val <b>d'Aran</b> & around")  # a name no reader would let through


@pytest.fixture(scope="module")
def report(atlas: Atlas, region: regions.Region, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reports") / "valley"
    build_report(atlas, region, out, created=CREATED, permalink="http://localhost:8501/region?atlas=x&y=1")
    return out


@pytest.fixture(scope="module")
def page(report: Path) -> str:
    return (report / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def summary(atlas: Atlas, region: regions.Region):
    store = atlas.store
    chosen = regions.select_cells(region, store.lonlat, store.resolution, store.cells, store.area_ha)
    return summarise_region(store, chosen.rows, region=region, notes=chosen.notes)


class Page(HTMLParser):
    """What a page asks for, and its skeleton."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.requests: list[str] = []
        self.links: list[str] = []
        self.images: list[dict] = []
        self.headings: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.ids: set[str] = set()
        self.language = ""
        self._in = ""
        self._open: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids.add(given.get("id") or "")
        if tag == "html":
            self.language = given["lang"]
        for name in ("src", "srcset", "data", "poster", "action", "background"):
            if given.get(name) and not (tag == "button" and name == "data"):
                self.requests.append(given[name])
        if tag in ("link", "use", "image", "base") and given.get("href"):
            self.requests.append(given["href"])
        if tag == "a":
            self.links.append(given["href"])
        if tag == "img":
            self.images.append(given)
        self.requests += re.findall(r"url\\(([^)]*)\\)", given.get("style") or "")
        if tag == "h2":
            self.headings.append("")
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
        self._open.append(tag)

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        if "h2" in self._open:
            self.headings[-1] += data
        if self._open and "tr" in self._open and ({"td", "th"} & set(self._open)):
            self.tables[-1][-1][-1] += data
        if self._open and self._open[-1] == "style":
            self.requests += re.findall(r"url\(([^)]*)\)", data) + re.findall(r"@import[^;]*", data)


def test_report_writes_every_file_of_its_contract(report):
    written = {path.relative_to(report).as_posix() for path in report.rglob("*") if path.is_file()}
    assert written == {
        "report.html",
        "report.pdf",
        "species.csv",
        "indicators.json",
        "habitats.csv",
        "cells.geoparquet",
        "area.geojson",
        "MANIFEST.sha256",
        "maps/richness.tif",
        "maps/shannon.tif",
        "maps/beta_sorensen.tif",
        "maps/beta_turnover.tif",
        "maps/beta_nestedness.tif",
        "maps/lcbd_relative.tif",
        "odmap.csv",
        "reproduce.py",
    }


def test_manifest_of_a_report_is_verified_by_sha256sum(report):
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", "MANIFEST.sha256"], cwd=report, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.count(": OK") == 15


def test_page_asks_for_nothing_outside_itself(page):
    parsed = Page(page)
    assert parsed.images
    assert [address[:40] for address in parsed.requests if not address.startswith("data:")] == []
    assert not re.search(
        r"\b(fetch|XMLHttpRequest|import|WebSocket|sendBeacon)\s*\(", page.split("<script>")[1]
    )
    for link in parsed.links:
        assert link.startswith(("#", "https://", "http://localhost:8501/")), link


def test_links_inside_the_page_lead_somewhere(page):
    parsed = Page(page)
    inside = [link[1:] for link in parsed.links if link.startswith("#")]
    assert len(inside) >= 10
    assert set(inside) <= parsed.ids


def test_sections_stand_in_order_under_their_numbers(page):
    headings = [" ".join(heading.split()) for heading in Page(page).headings]
    assert headings == [
        "1 One-page answer",
        "Contents",
        "2 The area",
        "3 How far to trust this",
        "4 Diversity",
        "5 Species list",
        "6 Threatened species",
        "7 Legally protected species",
        "8 Invasive and alien species",
        "9 Endemic and range-restricted species",
        "10 Habitats",
        "11 Structure inside the area",
        "12 Context",
        "13 Change",
        "14 Where to look next",
        "15 Limits and proper use",
        "16 Methods",
        "17 References, licences and data",
        "18 Annexes",
        "18A Species of the region",
        "18B Files of this report",
    ]
    assert "Habitats are not available in this atlas" in page
    assert "Change is not available in this atlas" in page


def test_page_can_be_read_without_seeing_it(page, summary):
    parsed = Page(page)
    assert parsed.language == "en"
    assert len(parsed.images) == 10
    assert all(len(image["alt"]) > 30 for image in parsed.images)
    assert page.count("<table") == page.count("<caption")
    for name in summary.species_table["species"].head(3):
        assert f"<i>{name}</i>" in page.split("</ul>")[0]


def test_name_of_the_region_is_text_not_markup(page):
    assert "<b>d&#39;Aran" not in page and "<b>d'Aran" not in page
    assert "Val &lt;b&gt;d&#39;Aran&lt;/b&gt; &amp; around" in page


def test_trust_grade_of_the_cover_is_that_of_the_data_file(report, page):
    trust = json.loads((report / "indicators.json").read_text(encoding="utf-8"))["trust"]
    assert trust["grade"] in "ABCD"
    grades = [criterion["grade"] for criterion in trust["criteria"].values() if criterion["grade"] != "–"]
    unknown = len(grades) < len(trust["criteria"])
    assert trust["grade"] == max(grades) or (unknown and (max(grades), trust["grade"]) == ("A", "B"))
    assert f"Grade {trust['grade']}: {trust['grade_text']}." in page


def test_places_to_look_next_are_ranked_and_name_unrecorded_species(report, page, atlas):
    found = json.loads((report / "indicators.json").read_text(encoding="utf-8"))["next_places"]
    section = page.split('id="s14"')[1].split('id="s15"')[0]
    values = [cell["information"] for cell in found["cells"]]
    assert values == sorted(values, reverse=True)
    assert all(cell["cell"] in section for cell in found["cells"])
    layer = atlas.store.layer("information")
    rows = atlas.store.rows_of(regions.strings_to_cells([cell["cell"] for cell in found["cells"]]))
    assert values == pytest.approx(layer[rows].tolist(), abs=1e-3)
    likely = found["cells"][0]["likely_unrecorded"]
    assert likely and all(f"<i>{entry['species']}</i>" in section for entry in likely)
    assert found["definition"].split(". ")[0] in section


def test_trust_says_when_an_atlas_does_not_know_its_area_of_applicability(page):
    section = page.split('id="s3"')[1].split('id="s4"')[0]
    assert "not shipped with this atlas" in section.split("Area of applicability")[1]


def test_page_json_and_csv_hold_the_same_numbers(report, page, summary):
    indicators = json.loads((report / "indicators.json").read_text(encoding="utf-8"))
    species = pd.read_csv(report / "species.csv")
    assert indicators["indicators"]["gamma"]["value"] == int(species["present"].sum())
    assert indicators["indicators"]["alpha_expected"]["value"] == pytest.approx(
        species["mean_probability"].sum(), rel=1e-9
    )
    assert indicators["indicators"]["gamma_lower"]["value"] == pytest.approx(
        species["max_probability"].sum(), rel=1e-9
    )
    assert [row["species"] for row in indicators["species"]] == list(species["species"])
    for column in ("mean_probability", "max_probability", "expected_area_km2"):
        assert [row[column] for row in indicators["species"]] == pytest.approx(list(species[column]))
    assert indicators["region"]["n_cells"] == summary.n_cells

    tables = Page(page).tables
    diversity = next(table for table in tables if table[0] == ["Measure", "Value", "What it says"])
    shown = {row[0].split(" (")[0]: row[1] for row in diversity[1:]}
    for name, label, digits in (
        ("gamma", "Species of the region", 0),
        ("beta_whittaker", "Whittaker beta", 2),
        ("shannon", "Shannon index of the region", 2),
        ("hill_2", "Hill number of order 2", 1),
    ):
        assert shown[label] == f"{indicators['indicators'][name]['value']:.{digits}f}"
    every = next(table for table in tables if len(table) > 30 and table[0][0] == "Species")
    by_name = species.set_index("species")
    for row in every[1:]:
        assert row[2] == text.probability(float(by_name.loc[row[0], "mean_probability"]))
        assert row[4] == text.sensible(float(by_name.loc[row[0], "expected_area_km2"]))
        assert row[5] == str(by_name.loc[row[0], "n_cells_present"])


def test_cells_file_sums_to_the_area_and_mean_richness_of_the_indicators(report, summary):
    cells = gpd.read_parquet(report / "cells.geoparquet")
    assert len(cells) == summary.n_cells
    assert cells["area_km2"].sum() == pytest.approx(summary.value("cell_area_km2"))
    mean = (cells["richness"] * cells["area_km2"]).sum() / cells["area_km2"].sum()
    assert mean == pytest.approx(summary.value("alpha_expected"), rel=1e-6)


def test_command_of_the_methods_section_makes_the_same_numbers(report, atlas, tmp_path):
    area = regions.region_from_geojson(json.loads((report / "area.geojson").read_text(encoding="utf-8")))
    build_report(atlas, area, tmp_path, formats=("json", "csv"))
    again = json.loads((tmp_path / "indicators.json").read_text(encoding="utf-8"))
    first = json.loads((report / "indicators.json").read_text(encoding="utf-8"))
    assert again["indicators"] == first["indicators"]
    one, other = (pd.read_csv(folder / "species.csv", dtype=str) for folder in (tmp_path, report))
    pd.testing.assert_frame_equal(one.drop(columns="region"), other.drop(columns="region"))


def test_files_say_on_their_own_how_cells_were_counted(report, region, atlas):
    table = pd.read_csv(report / "species.csv")
    assert set(table["containment"]) == {regions.CONTAINMENT_RULES["centre"]}
    assert set(table["rule"]) == {"sse"} and set(table["region"]) == {region.name}
    assert table["atlas"].iloc[0].split() == [atlas.name, str(atlas.store.version)[:12]]
    said = json.loads(pq.read_metadata(report / "cells.geoparquet").metadata[b"florascope"])
    assert said["containment"] == f"centre: {regions.CONTAINMENT_RULES['centre']}"
    assert said["outline"] == region.geometry_hash and said["rule"].startswith("sse: ")
    with rasterio.open(report / "maps" / "beta_turnover.tif") as raster:
        assert raster.tags()["CONTAINMENT"] == said["containment"]


def test_cells_and_rasters_hold_dissimilarity_and_hotspots(report, summary):
    cells = gpd.read_parquet(report / "cells.geoparquet")
    parts = cells["beta_turnover"] + cells["beta_nestedness"]
    np.testing.assert_allclose(parts, cells["beta_sorensen"])
    told = json.loads((report / "indicators.json").read_text(encoding="utf-8"))["structure"]["cells"]
    assert told["beta_sorensen"]["mean"] == pytest.approx(cells["beta_sorensen"].mean())
    assert told["richness_hotspot"]["n_cells"] == cells["richness_hotspot"].sum() > 0
    assert cells.loc[cells["richness_hotspot"], "richness"].min() >= cells["richness"].quantile(0.9)
    with rasterio.open(report / "maps" / "beta_sorensen.tif") as raster:
        values = raster.read(1)
        assert np.nanmin(values) == pytest.approx(cells["beta_sorensen"].min(), rel=1e-5)


@pytest.mark.parametrize("containment", ["intersect", "area_weighted"])
def test_report_says_which_cells_it_counts_and_its_files_agree(atlas, region, tmp_path, containment):
    build_report(
        atlas, region, tmp_path, formats=("html", "json", "geojson", "geoparquet"), containment=containment
    )
    indicators = json.loads((tmp_path / "indicators.json").read_text(encoding="utf-8"))
    assert indicators["containment"] == {
        "name": containment,
        "text": regions.CONTAINMENT_RULES[containment],
    }
    area = json.loads((tmp_path / "area.geojson").read_text(encoding="utf-8"))
    assert area["properties"]["containment"] == containment
    cells = gpd.read_parquet(tmp_path / "cells.geoparquet")
    counted = indicators["indicators"]["cell_area_km2"]["value"]
    assert cells["area_km2"].sum() == pytest.approx(counted)
    if containment == "area_weighted":
        assert counted == pytest.approx(region.area_km2, rel=2e-3)
    else:
        assert counted > 1.05 * region.area_km2
    said = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert regions.CONTAINMENT_RULES[containment] in said
    assert f"--containment {containment}" in said


def test_snippet_of_the_methods_section_prints_the_numbers_of_the_report(
    atlas, region, tmp_path, monkeypatch, capsys
):
    build_report(atlas, region, tmp_path, formats=("html", "json", "geojson"), containment="area_weighted")
    said = (tmp_path / "report.html").read_text(encoding="utf-8")
    start = said.index("from pathlib import Path")
    snippet = html.unescape(said[start : said.index("</", start)])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sdm_core.registry.open_atlas", lambda name: atlas)
    exec(compile(snippet, "snippet", "exec"), {})
    values = json.loads((tmp_path / "indicators.json").read_text(encoding="utf-8"))["indicators"]
    printed = [float(word) for word in capsys.readouterr().out.split()]
    expected = [values[name]["value"] for name in ("alpha_expected", "gamma", "shannon")]
    assert printed == pytest.approx(expected)


def test_flags_carry_their_source_and_date(page):
    assert 'title="EU Habitats Directive (simulated, 2026-01-01)"' in page
    assert "Habitats Directive, II, IV" in page
    assert "Source: Simulated niches, in the atlas of 2026-01-01" in page


def test_model_card_scores_stand_beside_those_of_the_baselines(page):
    tables = [table for table in Page(page).tables if table[0][0] == "Model"]
    assert len(tables) == 1
    (head, shipped, grid) = tables[0]
    assert head == [
        "Model",
        "AUC",
        "Average precision",
        "Sample F1",
        "Calibration error, raw",
        "Calibration error, calibrated",
    ]
    assert shipped == ["formula (shipped)", "0.988", "0.500", "0.432", "0.0213", "0.0012"]
    assert grid[:2] == ["grid", "0.876"] or grid[:2] == ["grid", "0.877"]
    assert "https://doi.org/10.1234/made.up" in page


def test_atlas_without_scores_says_so_and_shows_none(simulated_atlas, region, tmp_path):
    build_report(simulated_atlas, region, tmp_path, formats=("html",))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "holds no cross-validation" in page
    assert "not on the model card of this atlas" in page
    assert len(Page(page).images) == 9


def test_simulated_atlas_is_called_simulated_on_the_cover(page):
    assert "Simulated atlas: Simulated from a formula for tests" in page


def test_date_version_and_permalink_are_shown(page, atlas):
    assert "4 March 2026 at 05:06 UTC" in page
    assert atlas.store.version in page
    assert 'href="http://localhost:8501/region?atlas=x&amp;y=1"' in page


def test_permalink_that_is_no_web_address_is_left_out(atlas, region, tmp_path):
    build_report(atlas, region, tmp_path, formats=("html",), permalink="javascript:alert(1)")
    assert "javascript:" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_pdf_has_pages_with_place_date_and_number(report):
    read = subprocess.run(
        ["pdftotext", "-layout", str(report / "report.pdf"), "-"], capture_output=True, text=True
    )
    if read.returncode:
        pytest.skip("pdftotext is not installed")
    pages = read.stdout.split("\f")[:-1]
    assert len(pages) >= 5
    assert "One-page answer" in pages[0] and "species in the region" in pages[0]
    for number, words in enumerate(pages[1:], start=2):
        assert "Simulated Pyrenees" in words.splitlines()[0]
        assert "4 March 2026" in words
        assert re.search(rf"\b{number} ?/ ?{len(pages)}\b", words)


def test_region_smaller_than_a_cell_gets_a_whole_report(atlas, tmp_path):
    tiny = regions.region_from_geometry(shapely.Point(1.0, 42.6).buffer(0.001), "A garden")
    build_report(atlas, tiny, tmp_path, formats=("html", "json", "geoparquet", "geotiff"))
    assert len(gpd.read_parquet(tmp_path / "cells.geoparquet")) == 1
    notes = json.loads((tmp_path / "indicators.json").read_text(encoding="utf-8"))["region"]["notes"]
    assert any("cell" in note for note in notes)
    with rasterio.open(tmp_path / "maps" / "richness.tif") as raster:
        assert len(np.unique(raster.read(1)[np.isfinite(raster.read(1))])) == 1


def test_region_outside_the_atlas_writes_nothing(atlas, tmp_path):
    away = regions.region_from_geometry(shapely.box(20.0, 50.0, 21.0, 51.0), "Elsewhere")
    with pytest.raises(NoDataInRegionError):
        build_report(atlas, away, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_unknown_rule_gets_one_sentence_and_writes_nothing(atlas, region, tmp_path):
    with pytest.raises(RuleError, match=r'The rule is "magic", expected one of sse, threshold'):
        build_report(atlas, region, tmp_path / "out", rule="magic")
    assert not (tmp_path / "out").exists()


def test_unknown_format_gets_one_sentence(atlas, region, tmp_path):
    with pytest.raises(ReportError, match=r'The report format is "docx", expected some of html, pdf'):
        build_report(atlas, region, tmp_path / "out", formats=("html", "docx"))
    with pytest.raises(ReportError, match="No report format was asked for"):
        build_report(atlas, region, tmp_path / "out", formats=())


def test_each_format_alone_writes_its_files_and_the_manifest(atlas, region, tmp_path):
    for form in ("csv", "json", "geojson", "geoparquet", "geotiff"):
        written = build_report(atlas, region, tmp_path / form, formats=(form,))
        names = [path.relative_to(tmp_path / form).as_posix() for path in written]
        assert sorted(names) == sorted([*FORMAT_FILES[form], "MANIFEST.sha256"])
        assert all(path.is_file() for path in written)


def test_without_pdf_libraries_the_page_is_written_and_a_sentence_says_so(
    atlas, region, tmp_path, monkeypatch
):
    plain_import = builtins.__import__

    def no_weasyprint(name, *args, **kwargs):
        if name.startswith("weasyprint"):
            raise OSError("cannot load library 'libpango-1.0-0'")
        return plain_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_weasyprint)
    notes: list[str] = []
    written = build_report(atlas, region, tmp_path, formats=("html", "pdf"), on_note=notes.append)
    assert [path.name for path in written] == ["report.html", "MANIFEST.sha256"]
    assert len(notes) == 1 and notes[0].startswith("The PDF could not be made")
    assert "libpango" in notes[0]
    with pytest.raises(ReportError, match=r"print report\.html from a browser"):
        build_report(atlas, region, tmp_path / "pdf", formats=("pdf",))


def test_report_that_fails_half_way_keeps_the_earlier_one(atlas, region, tmp_path, monkeypatch):
    build_report(atlas, region, tmp_path, formats=("csv",))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full_disk(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(render, "render_html", full_disk)
    with pytest.raises(ReportError, match="is full; free some space"):
        build_report(atlas, region, tmp_path, formats=("csv", "html"), rule="threshold")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_file_stem_holds_place_atlas_and_date_in_plain_letters(atlas):
    place = regions.region_from_geometry(VALLEY, "Sierra de Béjar / Ávila")
    assert report_stem(atlas, place, CREATED) == "sierra-de-bejar-avila-simulated-pyrenees-2026-03-04"


def test_zip_holds_the_report_and_its_manifest(report, tmp_path):
    import zipfile

    archive = folder.zip_folder(report, tmp_path / "report.zip")
    with zipfile.ZipFile(archive) as bundle:
        assert set(bundle.namelist()) == {*folder.read_manifest(report), "MANIFEST.sha256"}
        assert bundle.testzip() is None


# Maps ---------------------------------------------------------------------------------------------------


def test_scale_bar_is_true_on_the_ground_within_a_percent():
    frame = cartography.frame_around(shapely.box(-1.8, 42.1, 3.2, 43.3))
    length_m = 1000 * cartography.round_length_km(frame.width_km)
    left = frame.west + 0.03 * (frame.east - frame.west)
    bottom = frame.south + 0.04 * (frame.north - frame.south)
    longitude, latitude = frame.transformer.transform(
        [left, left + length_m], [bottom, bottom], direction="INVERSE"
    )
    _, _, measured_m = Geod(ellps="WGS84").inv(longitude[0], latitude[0], longitude[1], latitude[1])
    assert measured_m == pytest.approx(length_m, rel=0.01)


@pytest.mark.parametrize(
    ("width_km", "length_km"), [(400.0, 100.0), (399.0, 50.0), (90.0, 20.0), (5.0, 1.0), (1.0, 0.2)]
)
def test_scale_bar_is_a_round_length_of_at_most_a_quarter_of_the_map(width_km, length_km):
    assert cartography.round_length_km(width_km) == pytest.approx(length_km)


def test_frame_is_widened_to_its_proportions_and_never_cuts_the_region():
    for box in (shapely.box(0, 40, 0.1, 48), shapely.box(-8, 42, 8, 42.1), shapely.Point(1, 42).buffer(1e-4)):
        frame = cartography.frame_around(box, aspect_range=(1.0, 2.0))
        assert 1.0 - 1e-9 <= frame.aspect <= 2.0 + 1e-9
        west, south, east, north = shapely.bounds(frame.project(shapely.segmentize(box, 0.05)))
        assert frame.west <= west and east <= frame.east and frame.south <= south and north <= frame.north
        assert frame.width_km >= 12.0


def test_figures_are_drawn_at_300_dots_per_inch(report, page):
    first = Page(page).images[0]["src"].removeprefix("data:image/png;base64,")
    with Image.open(io.BytesIO(base64.b64decode(first))) as image:
        assert image.width == pytest.approx(170 / 25.4 * 300, abs=1)
        assert image.info["dpi"][0] == pytest.approx(300, abs=0.1)


def test_too_many_cells_are_drawn_as_means_of_coarser_ones(simulated_atlas):
    store = simulated_atlas.store
    rows = np.arange(store.n_cells)
    values = np.asarray(store.layer("richness"), dtype=float)
    cells, means, resolution = drawn_cells.cells_to_draw(store, rows, values, most=len(rows) // 4)
    assert resolution == store.resolution - 1
    place = list(cells).index(regions.cells_to_parents(store.cells[:1], resolution)[0])
    inside = regions.cells_to_parents(store.cells, resolution) == cells[place]
    expected = np.average(values[inside], weights=store.area_ha[inside])
    assert means[place] == pytest.approx(expected)


# Numbers in words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (0.01234, "0.0123"),
        (3.14159, "3.14"),
        (56.78, "56.8"),
        (1234.5, f"1{NARROW}234"),
        (float("nan"), "–"),
        (None, "–"),
    ],
)
def test_numbers_have_sensible_digits(value, shown):
    assert text.sensible(value) == shown


def test_small_probability_is_not_shown_as_nought():
    assert text.probability(0.004) == f"<{NARROW}0.01"
    assert text.probability(0.0) == "0.00"


def test_shipped_model_is_the_row_marked_so():
    assert card.shipped_model(
        {"validation": {"results": [{"model": "grid"}, {"model": "shipped: 2 × a"}]}}
    ) == ("shipped: 2 × a")
    assert card.shipped_model({}) == ""
    assert card.shown_model("shipped: 2 × a") == "2 × a (shipped)"


# The command line ---------------------------------------------------------------------------------------


def test_command_writes_a_report_and_names_its_files(simulated_atlas_folder, region, tmp_path, capsys):
    (tmp_path / "area.geojson").write_text(json.dumps(region.to_geojson()), encoding="utf-8")
    arguments = ["report", "--region", str(tmp_path / "area.geojson"), "--out", str(tmp_path / "out")]
    arguments += ["--model", str(simulated_atlas_folder), "--rule", "threshold", "--t", "0.3"]
    arguments += ["--containment", "intersect"]
    assert main([*arguments, "--formats", "json,csv"]) == 0
    assert [Path(line).name for line in capsys.readouterr().out.splitlines()] == [
        "habitats.csv",
        "indicators.json",
        "species.csv",
        "MANIFEST.sha256",
    ]
    indicators = json.loads((tmp_path / "out" / "indicators.json").read_text(encoding="utf-8"))
    assert indicators["rule"] == {
        "name": "threshold",
        "options": {"t": 0.3},
        "text": "present where the probability is at least 0.3",
    }
    assert indicators["containment"]["name"] == "intersect"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (["--rule", "magic"], 'The rule is "magic"'),
        (["--formats", "docx"], 'The report format is "docx"'),
        (["--containment", "touch"], 'The containment rule is "touch", expected one of centre, intersect'),
        (["--model", "/nowhere"], "no atlas"),
        (["--region", "/nowhere.geojson"], "/nowhere.geojson"),
    ],
)
def test_command_exits_2_with_one_sentence_on_bad_input(
    simulated_atlas_folder, region, tmp_path, capsys, change, sentence
):
    (tmp_path / "area.geojson").write_text(json.dumps(region.to_geojson()), encoding="utf-8")
    arguments = ["report", "--region", str(tmp_path / "area.geojson"), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--model", str(simulated_atlas_folder), *change]) == 2
    said = capsys.readouterr().err.strip()
    assert sentence in said and "Traceback" not in said and "\n" not in said
    assert not (tmp_path / "out").exists()


def test_command_takes_a_named_place():
    from sdm_core.commands.report import read_region_argument

    assert read_region_argument("place:Pyrenees").name == "Pyrenees"
    with pytest.raises(RegionError):
        read_region_argument("place:Nowhere at all")
