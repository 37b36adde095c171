"""Reports: one set of numbers in every file, nothing asked from outside, nothing lost half-way."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely

from sdm_core import regions
from sdm_core.errors import ReportError
from sdm_core.reports import files, folder

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
    with pytest.raises(ReportError, match="is a file; give the name of a folder"):
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
    table = files.cells_table(cells, lonlat, np.full(len(cells), 3600, np.uint32), {"richness": richness})
    files.write_cells(tmp_path / "cells.geoparquet", table)
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
    (path,) = files.write_rasters(
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
    region = regions.region_from_geometry(TRIANGLE, "Triangle")
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
    assert json.loads((tmp_path / "i.json").read_text()) == {"a": None, "b": [3, None], "c": [0.5]}
