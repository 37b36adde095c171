"""What a user sees on bad input: one sentence, exit status 2, and nothing of theirs lost."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import shapely

from sdm_core import config
from sdm_core.__main__ import main
from sdm_core.errors import CorruptStoreError, RegionError, ReportError
from sdm_core.prediction import EXCHANGE_FILE, open_cached, write_manifest
from sdm_core.regions import read_region
from sdm_core.reports import folder


def _polygon(*corners: tuple[float, float], **members: object) -> str:
    return json.dumps({"type": "Polygon", "coordinates": [[*corners, corners[0]]], **members})


@pytest.fixture
def atlas(simulated_atlas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the simulated atlas that may be damaged, found by its name, with a cache of its own."""
    copy = tmp_path / "atlases" / "pyrenean-plants"
    shutil.copytree(simulated_atlas.folder, copy)
    monkeypatch.setattr(config, "ATLAS_DIRS", (copy.parent,))
    monkeypatch.setattr(config, "CACHE_DIR", tmp_path / "cache")
    return copy


@pytest.fixture
def polygon(simulated_atlas, tmp_path: Path) -> Path:
    """A region file in the middle of the simulated atlas."""
    longitude, latitude = simulated_atlas.store.lonlat.mean(axis=0)
    path = tmp_path / "valley.geojson"
    ring = shapely.Point(longitude, latitude).buffer(0.2).exterior.coords[:-1]
    path.write_text(_polygon(*[(float(x), float(y)) for x, y in ring]))
    return path


def _refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line a refused command says."""
    try:
        status = main(arguments)
    except SystemExit as stopped:
        status = stopped.code
    said = capsys.readouterr()
    assert status == 2
    assert said.out == ""
    assert said.err.count("\n") == 1, said.err
    return said.err


# Arguments --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "arguments are required: COMMAND; `python -m sdm_core --help` shows what it takes"),
        (["reprot"], "no command is called 'reprot'; did you mean report?"),
        (["zzz"], "no command is called 'zzz'; there are pack, train, evaluate, atlas"),
        (["report"], "required: --region, --out; `python -m sdm_core report --help` shows"),
        (["report", "--region", "a.geojson", "--out", "x", "--t", "abc"], "invalid float value: 'abc'"),
        (["report", "--region", "a.geojson", "--out", ""], "--out is empty"),
        (["report", "--region", "", "--out", "x"], "--region is empty"),
        (["report", "--region", "place:", "--out", "x"], "names no place; write one after it"),
        (["report", "--region", "Pyrenees", "--out", "x"], "or write place:Pyrenees if it is a named place"),
        (["report", "--region", "place:Pyrennees", "--out", "x"], "did you mean Pyrenees"),
        (["predict", "--model", "a", "--points", "a.csv", "--out", ""], "one of them is empty"),
    ],
)
def test_wrong_arguments_get_one_sentence_with_the_way_out(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    assert words in _refusal(arguments, capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("t", ["1.5", "50", "0", "-1", "nan"])
def test_a_threshold_that_is_no_probability_is_refused(
    t: str, atlas: Path, polygon: Path, tmp_path: Path, capsys
) -> None:
    out = tmp_path / "report"
    asked = ["report", "--region", str(polygon), "--out", str(out), "--rule", "threshold", "--t", t]
    assert "expected a probability above 0 and at most 1" in _refusal(asked, capsys)
    assert not out.exists()


def test_a_reader_that_closes_our_output_early_sees_no_traceback() -> None:
    code = "import sys; from sdm_core.__main__ import main; import sdm_core.commands.benchmark.speed as b; "
    code += "b.run = lambda args: [print('x' * 100) for _ in range(9999)] and 0; "
    code += "sys.exit(main(['benchmark', 'speed']))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=-1, stderr=-1) as process:
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (0, b"")


# Regions ----------------------------------------------------------------------------------------------


def test_what_was_done_to_the_outline_is_said_on_standard_error(
    atlas: Path, simulated_atlas, tmp_path: Path, capsys
) -> None:
    x, y = (float(value) for value in simulated_atlas.store.lonlat[12] + 0.005)
    tiny = tmp_path / "tiny.geojson"
    tiny.write_text(_polygon((x, y), (x + 1e-4, y), (x, y + 1e-4)))
    assert main(["report", "--region", str(tiny), "--out", str(tmp_path / "r"), "--formats", "json"]) == 0
    assert "holds no cell centre, so the cell it lies in is used" in capsys.readouterr().err


def test_the_crs_of_a_file_that_names_none_can_be_given(atlas: Path, tmp_path: Path, capsys) -> None:
    metres = tmp_path / "metres.geojson"
    metres.write_text(_polygon((3.6e6, 2.1e6), (3.7e6, 2.1e6), (3.6e6, 2.2e6)))
    asked = ["report", "--region", str(metres), "--out", str(tmp_path / "r"), "--formats", "json"]
    assert "state its CRS" in _refusal(asked, capsys)
    assert "which are not degrees" not in _refusal([*asked, "--crs", "EPSG:99999"], capsys)
    assert main([*asked, "--crs", "EPSG:3035"]) in (0, 2)
    assert "are not degrees" not in capsys.readouterr().err


def test_an_archive_that_lies_about_its_size_is_not_unpacked_beyond_it(tmp_path: Path) -> None:
    import tracemalloc

    size, path = 60 * 1024 * 1024, tmp_path / "liar.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.geojson", b" " * size)
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", size), struct.pack("<I", 1000)))
    tracemalloc.start()
    try:
        with pytest.raises(RegionError, match="is no readable zip archive"):
            read_region(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < size / 4


# Reports ----------------------------------------------------------------------------------------------


def test_a_file_of_the_report_that_was_edited_is_kept_under_another_name(tmp_path: Path) -> None:
    for text in ("first", "second"):
        with folder.staged_folder(tmp_path) as fresh:
            (fresh / "species.csv").write_text(text)
        if text == "first":
            (tmp_path / "species.csv").write_text("my notes")
    assert (tmp_path / "species.csv").read_text() == "second"
    assert (tmp_path / "species.kept-1.csv").read_text() == "my notes"
    assert folder.verify_manifest(tmp_path) == []


def test_a_file_no_report_wrote_is_kept_under_a_free_name(tmp_path: Path) -> None:
    (tmp_path / "species.csv").write_text("mine")
    (tmp_path / "species.kept-1.csv").write_text("mine too")
    with folder.staged_folder(tmp_path) as fresh:
        (fresh / "species.csv").write_text("new")
    assert (tmp_path / "species.kept-1.csv").read_text() == "mine too"
    assert (tmp_path / "species.kept-2.csv").read_text() == "mine"


def test_a_folder_with_the_manifest_of_something_else_is_left_alone(
    atlas: Path, polygon: Path, capsys
) -> None:
    write_manifest(atlas)
    before = {path.name: path.read_bytes() for path in atlas.iterdir()}
    said = _refusal(["report", "--region", str(polygon), "--out", str(atlas), "--formats", "json"], capsys)
    assert "is no earlier report: its MANIFEST.sha256 lists" in said
    assert {path.name: path.read_bytes() for path in atlas.iterdir()} == before


def test_an_earlier_report_is_replaced_without_copies(tmp_path: Path) -> None:
    for text in ("first", "second"):
        with folder.staged_folder(tmp_path, ["a.csv"]) as fresh:
            (fresh / "a.csv").write_text(text)
    assert sorted(path.name for path in tmp_path.iterdir()) == [folder.MANIFEST_NAME, "a.csv"]


def test_staged_folder_refuses_a_foreign_manifest(tmp_path: Path) -> None:
    (tmp_path / folder.MANIFEST_NAME).write_text(f"{'0' * 64}  thesis.odt\n")
    refused = pytest.raises(ReportError, match=r"lists thesis\.odt; choose another folder")
    with refused, folder.staged_folder(tmp_path, ["a.csv"]):
        pass


# Atlases ----------------------------------------------------------------------------------------------


def test_a_damaged_exchange_copy_gets_one_sentence_and_no_noise(
    atlas: Path, polygon: Path, tmp_path: Path
) -> None:
    exchange = atlas / EXCHANGE_FILE
    data = bytearray(exchange.read_bytes())
    data[len(data) // 2] ^= 255
    exchange.write_bytes(data)
    with pytest.raises(CorruptStoreError, match=r"is damaged \(member \S+ does not have its checksum\)"):
        open_cached(atlas, tmp_path / "cache")


@pytest.mark.parametrize("text", ["", "species_id,species\n0,Abies alba\n", "garbage\n1\n"])
def test_a_species_table_that_does_not_fit_is_named_where_it_lies_and_not_cached(
    text: str, atlas: Path, tmp_path: Path
) -> None:
    (atlas / "species.csv").write_text(text)
    with pytest.raises(CorruptStoreError, match=r"atlases/pyrenean-plants/species\.csv .*fetch the atlas"):
        open_cached(atlas, tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("store.json"))


def test_a_card_with_values_of_other_types_still_makes_a_report(
    atlas: Path, polygon: Path, tmp_path: Path
) -> None:
    odd = {
        "data": 5,
        "evaluation": "x",
        "calibration": [1],
        "limits": 3,
        "validation": [2],
        "covariates": 1.5,
    }
    (atlas / "model_card.json").write_text(json.dumps(odd))
    out = tmp_path / "report"
    assert main(["report", "--region", str(polygon), "--out", str(out), "--formats", "html,json"]) == 0
    assert folder.verify_manifest(out) == []


# Points -----------------------------------------------------------------------------------------------


def test_points_that_all_lie_outside_are_told_and_swapped_ones_recognised(
    atlas: Path, simulated_atlas, tmp_path: Path, capsys
) -> None:
    points, out = tmp_path / "points.csv", tmp_path / "out.csv"
    longitude, latitude = simulated_atlas.store.lonlat[12]
    for row, hint in ((f"{latitude},{longitude}", True), ("-40,40", False)):
        points.write_text(f"longitude,latitude\n{row}\n")
        asked = ["predict", "--model", "pyrenean-plants", "--points", str(points), "--out", str(out)]
        assert main(asked) == 0
        said = capsys.readouterr().err
        assert "Every point lies outside" in said
        assert ("longitude and latitude look swapped" in said) == hint


def test_predict_onto_a_path_through_a_file_is_one_sentence(atlas: Path, tmp_path: Path, capsys) -> None:
    points = tmp_path / "points.csv"
    points.write_text("longitude,latitude\n1,42.5\n")
    asked = ["predict", "--model", "pyrenean-plants", "--points", str(points), "--out", f"{points}/out.csv"]
    assert "cannot be written" in _refusal(asked, capsys)
    assert points.read_text() == "longitude,latitude\n1,42.5\n"


def test_an_empty_points_file_is_called_empty(atlas: Path, tmp_path: Path, capsys) -> None:
    points = tmp_path / "points.csv"
    points.write_text("")
    asked = ["predict", "--model", "pyrenean-plants", "--points", str(points), "--out", str(tmp_path / "o")]
    assert "is empty; give a table with longitude, latitude" in _refusal(asked, capsys)
