"""Files of many features, each a region of its own: names, what is left out, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import pytest
import shapely

from sdm_core.errors import MissingCRSError, RegionError
from sdm_core.regions import several
from sdm_core.regions.several import read_regions
from tests import make_regions as make
from tests.make_regions import PYRENEES

OTHER = shapely.box(1, 42, 1.5, 42.5)
THIRD = shapely.box(2, 42, 2.5, 42.5)


def collection(*features: tuple[dict, shapely.Geometry | None]) -> bytes:
    return json.dumps(
        {
            "type": "FeatureCollection",
            "features": [
                {
                    "type": "Feature",
                    "properties": properties,
                    "geometry": None if shape is None else json.loads(shapely.to_geojson(shape)),
                }
                for properties, shape in features
            ],
        }
    ).encode()


def test_each_feature_is_a_region_in_every_format(tmp_path: Path):
    body = collection(({"Name": "Hecho"}, PYRENEES), ({"Name": "Ordesa"}, OTHER))
    frame = geopandas.GeoDataFrame(
        {"code": [7, 8], "name": ["Hecho", "Ordesa"]}, geometry=[PYRENEES, OTHER], crs="EPSG:4326"
    ).to_crs("EPSG:3035")
    frame.to_file(tmp_path / "parks.gpkg", driver="GPKG")
    frame.to_file(tmp_path / "parks.shp")
    packed = make.zip_of({path.name: path.read_bytes() for path in tmp_path.glob("parks.*")})
    kml = make.kml(
        make.kml_polygon(PYRENEES).replace("<Placemark>", "<Placemark><name>Hecho</name>")
        + make.kml_polygon(OTHER).replace("<Placemark>", "<Placemark><name>Ordesa</name>")
    )
    for source, name in (
        (body, "parks.geojson"),
        ((tmp_path / "parks.gpkg").read_bytes(), "parks.gpkg"),
        (packed, "parks.zip"),
        (kml, "parks.kml"),
    ):
        found = read_regions(source, name)
        assert [region.name for region in found.regions] == ["Hecho", "Ordesa"], name
        for region, shape in zip(found.regions, (PYRENEES, OTHER), strict=True):
            assert region.geometry.symmetric_difference(shape).area < 1e-6
        assert found.column.lower() == "name"


def test_the_column_called_name_gives_the_names_and_another_can_be_chosen():
    body = collection(
        ({"kind": "park", "Name": "Hecho", "id": 1}, PYRENEES), ({"kind": "reserve", "Name": "Ordesa"}, OTHER)
    )
    found = read_regions(body, "parks.geojson")
    assert found.columns == ("Name", "kind")
    chosen = read_regions(body, "parks.geojson", name_column="KIND")
    assert [region.name for region in chosen.regions] == ["park", "reserve"]
    with pytest.raises(
        RegionError, match="no column of names 'nom'; columns that may hold names: 'Name', 'kind'"
    ):
        read_regions(body, "parks.geojson", name_column="nom")


def test_without_names_regions_take_a_number_or_that_of_the_file():
    numbered = read_regions(collection(({"id": 4}, PYRENEES), ({"id": 9}, OTHER)), "parks.geojson")
    assert [region.name for region in numbered.regions] == ["4", "9"]
    bare = read_regions(collection(({}, PYRENEES), ({}, OTHER)), "parks.geojson")
    assert bare.column == "" and [region.name for region in bare.regions] == ["parks 1", "parks 2"]


def test_features_of_one_name_are_numbered_and_said():
    body = collection(
        ({"name": "Valley"}, PYRENEES), ({"name": "Valley"}, OTHER), ({"name": "Valley (2)"}, THIRD)
    )
    found = read_regions(body, "a.geojson")
    assert [region.name for region in found.regions] == ["Valley (1)", "Valley (3)", "Valley (2)"]
    assert found.notes == ("Several features have the same name and are numbered: “Valley” (2 times).",)


def test_features_without_an_area_are_left_out_and_named():
    body = collection(
        ({"name": "Nowhere"}, None), ({"name": "Hut"}, shapely.Point(1, 42)), ({"name": "Hecho"}, PYRENEES)
    )
    found = read_regions(body, "a.geojson")
    assert [region.name for region in found.regions] == ["Hecho"]
    assert found.notes[0] == "“Nowhere” is left out: it has no geometry"
    assert found.notes[1].startswith("“Hut” is left out: ")
    with pytest.raises(RegionError, match=r"'a\.geojson' holds no feature with an area; “Nowhere”"):
        read_regions(collection(({"name": "Nowhere"}, None)), "a.geojson")


def test_geometry_that_is_missing_in_a_geopackage_is_said(tmp_path: Path):
    frame = geopandas.GeoDataFrame({"name": ["Hecho", "Nowhere"]}, geometry=[PYRENEES, None], crs="EPSG:4326")
    frame.to_file(tmp_path / "parks.gpkg", driver="GPKG")
    found = read_regions(tmp_path / "parks.gpkg")
    assert [region.name for region in found.regions] == ["Hecho"]
    assert found.notes == ("“Nowhere” is left out: it has no geometry",)


def test_too_many_features_are_refused_and_a_missing_crs_is_asked_for(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(several, "MAX_FEATURES", 2)
    body = collection(*(({"name": str(n)}, PYRENEES) for n in range(3)))
    with pytest.raises(RegionError, match=r"'a\.geojson' holds 3 features, more than the 2"):
        read_regions(body, "a.geojson")
    parts = make.zipped_shapefile(tmp_path, [PYRENEES, OTHER], None)
    with pytest.raises(MissingCRSError, match="does not say which coordinate system"):
        read_regions(parts, "park.zip")
    assert len(read_regions(parts, "park.zip", crs="EPSG:4326").regions) == 2
