"""Named outlines of a user's file: formats, columns of names, and what is refused."""

from __future__ import annotations

import io
import json
import zipfile

import geopandas
import numpy as np
import pytest
import shapely

from sdm_core import regions
from sdm_core.errors import MissingCRSError, RegionError

WEST, EAST = shapely.box(0.0, 42.0, 1.0, 43.0), shapely.box(1.0, 42.0, 2.0, 43.0)


def _frame(**columns):
    return geopandas.GeoDataFrame(columns, geometry=[WEST, EAST], crs="EPSG:4326")


def _geojson(**columns) -> bytes:
    return _frame(**columns).to_json().encode()


def _zipped_shapefile(folder, frame) -> bytes:
    frame.to_file(folder / "zones.shp")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for part in folder.glob("zones.*"):
            archive.write(part, part.name)
    return buffer.getvalue()


def test_every_format_gives_the_same_outlines(tmp_path):
    frame = _frame(name=["Alpine", "Atlantic"], area=[1.0, 2.0])
    frame.to_crs("EPSG:3035").to_file(tmp_path / "zones.gpkg")
    kml = "".join(
        f"<Placemark><name>{name}</name><Polygon><outerBoundaryIs><LinearRing><coordinates>"
        + " ".join(f"{x},{y}" for x, y in shape.exterior.coords)
        + "</coordinates></LinearRing></outerBoundaryIs></Polygon></Placemark>"
        for name, shape in zip(frame["name"], frame.geometry, strict=True)
    )
    found = [
        regions.read_outlines(_geojson(name=["Alpine", "Atlantic"]), "zones.geojson"),
        regions.read_outlines(tmp_path / "zones.gpkg"),
        regions.read_outlines(_zipped_shapefile(tmp_path, frame), "zones.zip"),
        regions.read_outlines(f"<kml><Document>{kml}</Document></kml>".encode(), "zones.kml"),
    ]
    for outlines in found:
        assert outlines.names == ("Alpine", "Atlantic") and outlines.column == "name"
        inside = outlines.holding([(0.5, 42.5), (1.5, 42.5), (9.0, 42.5)])
        assert [mask.tolist() for mask in inside] == [[True, False, False], [False, True, False]]
    assert [outlines.source for outlines in found][1:3] == ["zones.gpkg", "zones.zip"]
    assert len({outlines.digest for outlines in found}) == 4


def test_features_of_one_name_are_one_outline_and_nameless_ones_are_left_out():
    one = regions.read_outlines(_geojson(code=["ALP", "ALP"], n=[1, 2]), "z.geojson")
    assert one.names == ("ALP",) and one.geometries[0].area == pytest.approx(2.0)
    one = regions.read_outlines(_geojson(code=["ALP", None]), "z.geojson")
    assert one.names == ("ALP",)
    assert one.notes == ("1 polygon of 'z.geojson' without a name in the column 'code' left out.",)


def test_a_column_that_says_the_same_of_all_names_none():
    data = _geojson(code=["A", "B"], source=["EEA", "EEA"])
    assert regions.name_columns(data, "z.geojson") == ("code",)
    assert regions.read_outlines(data, "z.geojson").names == ("A", "B")


def test_column_of_names_is_chosen_or_asked_for():
    data = _geojson(code=["A", "B"], short=["x", "y"], size=[3, 4])
    assert regions.name_columns(data, "z.geojson") == ("code", "short")
    with pytest.raises(RegionError, match=r"several columns.*'code', 'short', 'size'.*which one holds"):
        regions.read_outlines(data, "z.geojson")
    assert regions.read_outlines(data, "z.geojson", name_column="SHORT").names == ("x", "y")
    assert regions.read_outlines(data, "z.geojson", name_column="size").names == ("3", "4")
    with pytest.raises(RegionError, match="no column 'zone'; it has 'code', 'short', 'size'"):
        regions.read_outlines(data, "z.geojson", name_column="zone")
    with pytest.raises(RegionError, match="no column of names, only 'size'; choose one of them"):
        regions.read_outlines(_geojson(size=[3, 4]), "z.geojson")
    with pytest.raises(RegionError, match="no column of names; add one"):
        regions.read_outlines(json.dumps(shapely.geometry.mapping(WEST)).encode(), "z.geojson")


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_wrong_files_are_refused_in_a_sentence(tmp_path):
    with pytest.raises(RegionError, match="no file of outlines"):
        regions.read_outlines(b"name,area", "zones.csv")
    with pytest.raises(RegionError, match="not GeoJSON with features"):
        regions.read_outlines(b"[1, 2]", "zones.geojson")
    points = geopandas.GeoDataFrame({"name": ["A"]}, geometry=[shapely.Point(1, 42)], crs=4326)
    with pytest.raises(RegionError, match="no polygon with a name"):
        regions.read_outlines(points.to_json().encode(), "z.geojson")
    metres = _frame(name=["A", "B"]).to_crs("EPSG:3035")
    with pytest.raises(RegionError, match=r"no degrees in EPSG:4326; state the CRS"):
        regions.read_outlines(json.dumps(metres.__geo_interface__).encode(), "z.geojson")
    assert regions.read_outlines(
        json.dumps(metres.__geo_interface__).encode(), "z.geojson", crs="EPSG:3035"
    ).geometries[0].centroid.x == pytest.approx(0.5, abs=0.01)
    no_crs = geopandas.GeoDataFrame({"name": ["A", "B"]}, geometry=[WEST, EAST])
    with pytest.raises(MissingCRSError, match="does not say which coordinate system"):
        regions.read_outlines(_zipped_shapefile(tmp_path, no_crs), "zones.zip")


def test_outlines_that_cross_themselves_are_mended():
    bow = shapely.Polygon([(0, 42), (1, 43), (1, 42), (0, 43), (0, 42)])
    frame = geopandas.GeoDataFrame({"name": ["Bow"]}, geometry=[bow], crs=4326)
    outlines = regions.read_outlines(frame.to_json().encode(), "z.geojson")
    assert outlines.geometries[0].is_valid
    assert np.array_equal(outlines.holding([(0.1, 42.5), (0.5, 42.1)])[0], [True, False])
