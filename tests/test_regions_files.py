"""Uploaded region files: every format gives the same region; every bad one gets one sentence."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import shapely

from sdm_core import config
from sdm_core.errors import MissingCRSError, RegionError, UnsafeArchiveError
from sdm_core.regions import read_region
from tests import make_regions as make
from tests.make_regions import PYRENEES

OTHER = shapely.box(1, 42, 1.5, 42.5)


def same(region, geometry=PYRENEES, tolerance_deg=1e-7):
    return region.geometry.symmetric_difference(geometry).area < tolerance_deg


def test_geojson_is_read_from_path_bytes_and_open_file(tmp_path):
    path = tmp_path / "Hecho.geojson"
    path.write_bytes(make.geojson(PYRENEES))
    assert same(read_region(path)) and read_region(path).name == "Hecho"
    assert same(read_region(path.read_bytes(), "upload.json"))
    assert same(read_region(io.BytesIO(path.read_bytes()), "upload.GEOJSON"))
    with path.open("rb") as file:
        assert same(read_region(file))


def test_geojson_with_a_byte_order_mark_is_read():
    assert same(read_region(b"\xef\xbb\xbf" + make.geojson(PYRENEES), "a.geojson"))


def test_geopackage_in_a_metric_crs_comes_back_in_degrees(tmp_path):
    path = make.geopackage(tmp_path, {"park": [PYRENEES]})
    assert same(read_region(path))
    import geopandas

    frame = geopandas.GeoDataFrame(geometry=[PYRENEES], crs="EPSG:4326").to_crs("EPSG:3035")
    metric = tmp_path / "metric.gpkg"
    frame.to_file(metric, driver="GPKG")
    assert same(read_region(metric))


def test_a_geopackage_with_several_layers_says_which_was_read(tmp_path):
    path = make.geopackage(tmp_path, {"trees": [shapely.Point(0, 42)], "park": [PYRENEES], "other": [OTHER]})
    region = read_region(path)
    assert same(region)
    assert region.notes == ("The file has 2 layers; 'park' was read, not other.",)
    assert same(read_region(path, layer="other"), OTHER)
    with pytest.raises(RegionError, match="has no layer 'lakes'; it has"):
        read_region(path, layer="lakes")


def test_features_of_a_layer_are_merged_with_a_note(tmp_path):
    region = read_region(make.geopackage(tmp_path, {"park": [PYRENEES, OTHER]}))
    assert same(region, PYRENEES.union(OTHER))
    assert region.notes == ("2 features were merged into one region.",)


def test_a_geopackage_of_points_is_refused(tmp_path):
    with pytest.raises(RegionError, match="is 1 point, which has no area"):
        read_region(make.geopackage(tmp_path, {"trees": [shapely.Point(0, 42)]}))


def test_a_geopackage_without_a_crs_asks_for_one_and_takes_it(tmp_path):
    path = make.geopackage(tmp_path, {"park": [PYRENEES]}, crs=None)
    with pytest.raises(MissingCRSError, match=r"does not say which coordinate system .* state EPSG:4326"):
        read_region(path)
    assert same(read_region(path, crs="EPSG:4326"))


def test_a_file_that_claims_degrees_but_holds_metres_is_refused(tmp_path):
    path = make.geopackage(tmp_path, {"park": [shapely.box(3.4e6, 2.2e6, 3.5e6, 2.3e6)]}, crs="EPSG:4326")
    with pytest.raises(
        MissingCRSError, match=r"not degrees, although its CRS says EPSG:4326; .* state its CRS"
    ):
        read_region(path)
    assert read_region(path, crs="EPSG:3035").bounds[1] > 40


def test_a_text_file_named_gpkg_is_refused_before_gdal_sees_it():
    document = (
        b'<OGRVRTDataSource><OGRVRTLayer name="a"><SrcDataSource>/etc/passwd</SrcDataSource></OGRVRTLayer>'
    )
    with pytest.raises(RegionError, match=r"'park.gpkg' is no GeoPackage although its name says so"):
        read_region(document, "park.gpkg")


def test_a_damaged_geopackage_is_refused_without_naming_our_folders(tmp_path):
    data = make.geopackage(tmp_path, {"park": [PYRENEES]}).read_bytes()
    with pytest.raises(RegionError, match=r"'park.gpkg' ") as raised:
        read_region(data[:3_000], "park.gpkg")
    assert "/tmp" not in str(raised.value)


def test_kml_polygons_of_all_folders_are_read():
    body = make.kml_polygon(PYRENEES) + f"<Folder><name>more</name>{make.kml_polygon(OTHER)}</Folder>"
    region = read_region(make.kml(body), "park.kml")
    assert same(region, PYRENEES.union(OTHER))


def test_a_hole_in_kml_stays_a_hole():
    hole = (
        "<innerBoundaryIs><LinearRing><coordinates>-0.4,42.8 -0.3,42.8 -0.3,42.9</coordinates></LinearRing>"
    )
    text = make.kml_polygon(PYRENEES).replace("</Polygon>", f"{hole}</innerBoundaryIs></Polygon>")
    assert not read_region(make.kml(text), "a.kml").geometry.contains(shapely.Point(-0.32, 42.83))


def test_kmz_is_read():
    assert same(read_region(make.zip_of({"doc.kml": make.kml(make.kml_polygon(PYRENEES))}), "park.kmz"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (make.kml("<Placemark><Point><coordinates>1,42,0</coordinates></Point></Placemark>"), "is 1 point"),
        (make.kml(""), "holds no polygon; a KML with a network link"),
        (b"<gpx></gpx>", r"is XML but not KML \(its root is <gpx>\)"),
        (b"not xml", r"'a.kml' is not KML"),
        (b'<!DOCTYPE k [<!ENTITY a "aaa">]><kml>&a;</kml>', "has a DOCTYPE, which KML never needs"),
        ('<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE k><kml/>'.encode("utf-16"), "has a DOCTYPE"),
        (
            make.kml(make.kml_polygon(PYRENEES).replace("42.7", "north")),
            "coordinates that are not 'longitude,latitude'",
        ),
        (make.kml(make.kml_polygon(PYRENEES).replace(" ", "")), "'a.kml' "),
    ],
)
def test_bad_kml_is_refused(data, message):
    with pytest.raises(RegionError, match=message):
        read_region(data, "a.kml")


def test_a_zipped_shapefile_is_read_in_its_own_crs(tmp_path):
    assert same(read_region(make.zipped_shapefile(tmp_path, [PYRENEES], "EPSG:4326"), "park.zip"))


def test_a_shapefile_without_its_index_is_read(tmp_path):
    assert same(read_region(make.zipped_shapefile(tmp_path, [PYRENEES], "EPSG:4326", ".shx"), "park.zip"))


def test_a_shapefile_without_prj_asks_for_its_crs_and_takes_it(tmp_path):
    data = make.zipped_shapefile(tmp_path, [PYRENEES], "EPSG:4326", leave_out=".prj")
    with pytest.raises(MissingCRSError, match=r"needs its \.prj.*look like degrees: state EPSG:4326"):
        read_region(data, "park.zip")
    assert same(read_region(data, "park.zip", crs="EPSG:4326"))


def test_a_metric_shapefile_without_prj_is_told_its_coordinates_are_no_degrees(tmp_path):
    square = shapely.box(3.4e6, 2.2e6, 3.5e6, 2.3e6)
    data = make.zipped_shapefile(tmp_path, [square], "EPSG:3035", leave_out=".prj")
    with pytest.raises(
        MissingCRSError, match=r"which are not degrees: state its CRS, for instance EPSG:3035"
    ):
        read_region(data, "park.zip")


def test_a_shapefile_of_lines_is_refused(tmp_path):
    data = make.zipped_shapefile(tmp_path, [shapely.LineString([(0, 42), (1, 43)])], "EPSG:4326")
    with pytest.raises(RegionError, match="is 1 line, which has no area"):
        read_region(data, "road.zip")


def test_an_archive_with_several_regions_says_which_was_read():
    data = make.zip_of(
        {"a.geojson": make.geojson(PYRENEES), "b.geojson": make.geojson(OTHER), "__MACOSX/._a.geojson": b"x"}
    )
    region = read_region(data, "both.zip")
    assert same(region)
    assert region.notes == ("The archive holds 2 files; 'a.geojson' was read, not 'b.geojson'.",)
    assert same(read_region(data, "both.zip", layer="b"), OTHER)


@pytest.mark.parametrize(
    "name", ["../park.geojson", "a/../../park.geojson", "/etc/park.geojson", "C:\\park.geojson", "..\\x.shp"]
)
def test_a_path_out_of_the_archive_is_refused(name):
    with pytest.raises(UnsafeArchiveError, match=r"holds the path '.*', which leads out of the archive"):
        read_region(make.zip_of({name: make.geojson(PYRENEES)}), "park.zip")


def test_a_link_in_an_archive_is_refused():
    with pytest.raises(UnsafeArchiveError, match=r"holds the link 'park\.shp' instead of a file"):
        read_region(make.zip_with_link(), "park.zip")


def test_a_bomb_by_ratio_is_refused():
    bomb = make.zip_of({"park.geojson": b" " * 60 * 1024 * 1024})
    assert len(bomb) < 100_000
    with pytest.raises(
        UnsafeArchiveError, match=r"unpacks to [\d,]+ times its size \(at most 100 is allowed\)"
    ):
        read_region(bomb, "park.zip")


def test_a_bomb_by_size_is_refused():
    with pytest.raises(UnsafeArchiveError, match=r"would unpack to 2,048 MB, more than the 300 MB allowed"):
        read_region(make.lying_zip(2**31), "park.zip")


def test_a_bomb_by_number_of_files_is_refused():
    with pytest.raises(UnsafeArchiveError, match="holds 1,001 files, more than the 1,000"):
        read_region(make.zip_of({f"{number}.geojson": b"" for number in range(1_001)}), "park.zip")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (make.encrypted_zip(), "'park.zip' is encrypted; unpack it with its password"),
        (
            make.zip_of({"inner.zip": make.zip_of({"park.geojson": b"{}"})}),
            "holds another zip archive; upload the inner",
        ),
        (
            make.zip_of({"readme.txt": b"", "photo.JPG": b""}),
            r"it contains only \.jpg, \.txt files; a zipped shapefile",
        ),
        (make.zip_of({"park.dbf": b"", "park.prj": b""}), r"it contains only \.dbf, \.prj files"),
        (make.zip_of({}), "it contains nothing; a zipped shapefile needs"),
        (make.zip_of({"park.shp": b"not a shapefile"}), "'park.shp' in 'park.zip' is no shapefile"),
        (b"PK\x03\x04 cut off", "'park.zip' is no readable zip archive"),
        (make.lying_zip(5_000), "'park.zip' is no"),
    ],
    ids=["encrypted", "nested", "no region", "no shp", "nothing", "no shapefile", "damaged", "lying"],
)
def test_an_archive_without_a_readable_region_says_what_was_found(data, message):
    with pytest.raises(RegionError, match=message):
        read_region(data, "park.zip")


class Huge:
    """An upload of 200 MB that must not be read."""

    name, size = "big.geojson", 200 * 1024 * 1024

    def read(self, *_):
        raise AssertionError("a file over the limit was read")


def test_a_200_mb_upload_is_refused_before_it_is_read():
    with pytest.raises(
        RegionError, match=r"'big.geojson' is 200 MB, more than the 50 MB a region file may have"
    ):
        read_region(Huge())


def test_a_200_mb_file_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "big.gpkg"
    with path.open("wb") as file:
        file.truncate(200 * 1024 * 1024)
    with pytest.raises(RegionError, match=r"'big.gpkg' is 200 MB, more than the 50 MB"):
        read_region(path)


def test_a_stream_without_a_size_is_read_no_further_than_the_limit(monkeypatch):
    monkeypatch.setattr(config, "MAX_UPLOAD_BYTES", 1_000)
    stream = io.BytesIO(b" " * 10_000)
    with pytest.raises(RegionError, match=r"more than the .* a region file may have"):
        read_region(stream, "a.geojson")
    assert stream.tell() == 1_001


@pytest.mark.parametrize(
    ("data", "filename", "message"),
    [
        (b"", "a.geojson", r"'a.geojson' is empty \(0 bytes\)"),
        (b"\xff\xfe\x00", "a.geojson", "is not text in UTF-8"),
        (b"{", "a.geojson", "'a.geojson' is not GeoJSON with a polygon"),
        (b"x", "a.shp", r"'a.shp' is one part of a shapefile; zip its"),
        (b"x", "a.pdf", r"has the suffix '.pdf', which is not read; give .geojson"),
        (b"x", "../../etc/passwd", r"'passwd' has no suffix to tell its format by"),
        (make.geojson({"type": "Polygon", "coordinates": [[[0, float("nan")], [1, 42], [1, 43], [0, 42]]]}),
         "a.geojson", "coordinates are not numbers"),
    ],
)  # fmt: skip
def test_what_is_no_region_file_is_refused_in_one_sentence(data, filename, message):
    with pytest.raises(RegionError, match=message) as raised:
        read_region(data, filename)
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RegionError, match=r"absent.geojson' cannot be read \(No such file"):
        read_region(tmp_path / "absent.geojson")


def test_nothing_of_an_upload_stays_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    data = make.geopackage(tmp_path, {"park": [PYRENEES]}).read_bytes()
    read_region(data, "park.gpkg")
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_feature_collection_in_metres_takes_the_stated_crs():
    square = shapely.box(3.4e6, 2.2e6, 3.5e6, 2.3e6)
    data = json.dumps(json.loads(shapely.to_geojson(square))).encode()
    with pytest.raises(MissingCRSError, match="which are not degrees"):
        read_region(data, "a.geojson")
    # 3,450 km east of the false origin lies about 870 km west of 10° E, near 0.7° W at this latitude
    centre = np.mean(read_region(data, "a.geojson", crs="EPSG:3035").geometry.bounds[0::2])
    assert -1.5 < centre < 0.5
