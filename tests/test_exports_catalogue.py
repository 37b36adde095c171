"""The published catalogue: a STAC reader walks it, a stopped run goes on, nothing half-written is listed."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import filelock
import pystac
import pytest
import rasterio
import rio_cogeo
from jsonschema import Draft7Validator
from pystac.validation.local_validator import get_local_schema_cache
from referencing import Registry, Resource

from sdm_core import config, exports
from sdm_core.errors import ExportError
from sdm_core.exports import PixelSpec, rasters
from sdm_core.registry import Atlas

SPEC = PixelSpec("EPSG:3035", 2000)
SPECIES = ("Fagus sylvatica", "Abies alba")


@pytest.fixture
def chosen(simulated_atlas: Atlas) -> list[exports.Layer]:
    return exports.choose_layers(simulated_atlas.store, ["richness"], SPECIES)


def _times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*.tif")}


def test_a_stac_reader_walks_from_the_catalogue_to_every_geotiff(simulated_atlas, chosen, tmp_path):
    root = exports.publish(simulated_atlas, chosen, tmp_path / "published", SPEC)
    moved = tmp_path / "elsewhere"
    shutil.move(root.parent, moved)
    catalogue = pystac.Catalog.from_file(str(moved / "catalog.json"))
    (collection,) = catalogue.get_children()
    assert (collection.id, collection.title) == (simulated_atlas.name, simulated_atlas.title)
    assert collection.extra_fields["sci:citation"] == exports.citation(simulated_atlas)
    items = {item.id: item for item in catalogue.get_items(recursive=True)}
    assert set(items) == {"richness", "fagus-sylvatica", "abies-alba"}
    for item in items.values():
        asset = item.assets["data"]
        path = asset.get_absolute_href()
        assert rio_cogeo.cog_validate(path, strict=True, quiet=True)[0]
        (band,) = asset.extra_fields["bands"]
        with rasterio.open(path) as raster:
            assert [raster.height, raster.width] == item.properties["proj:shape"]
            assert list(raster.transform)[:6] == item.properties["proj:transform"]
            assert list(raster.bounds) == item.properties["proj:bbox"]
            assert raster.crs.to_string() == item.properties["proj:code"] == "EPSG:3035"
            assert (raster.scales[0], raster.offsets[0], raster.nodata, raster.dtypes[0]) == (
                band["raster:scale"],
                band["raster:offset"],
                band["nodata"],
                band["data_type"],
            )
            assert raster.units[0] == band["unit"]
            assert raster.tags()["ATLAS_VERSION"] == item.properties["florascope:atlas_version"]
        west, south, east, north = item.bbox
        assert -0.2 < west < 0 < 2.2 < east < 2.4 and 42.1 < south < 42.3 and 42.9 < north < 43.1
        assert item.datetime.isoformat() == "2026-01-01T00:00:00+00:00"
        assert item.get_collection().id == simulated_atlas.name


def test_every_entry_keeps_to_the_schema_and_to_relative_addresses(simulated_atlas, chosen, tmp_path):
    root = exports.publish(simulated_atlas, chosen, tmp_path, SPEC)
    schemas = get_local_schema_cache()
    registry = Registry().with_resources(
        [(address, Resource.from_contents(schema)) for address, schema in schemas.items()]
    )
    checks = {
        kind: Draft7Validator(
            schemas[f"https://schemas.stacspec.org/v1.1.0/{name}-spec/json-schema/{name}.json"],
            registry=registry,
        )
        for kind, name in (("Catalog", "catalog"), ("Collection", "collection"), ("Feature", "item"))
    }
    seen = []
    for path in root.parent.rglob("*.json"):
        entry = json.loads(path.read_bytes())
        seen.append(entry["type"])
        assert list(checks[entry["type"]].iter_errors(entry)) == []
        hrefs = [link["href"] for link in entry["links"] if link["rel"] != "license"]
        hrefs += [asset["href"] for asset in entry.get("assets", {}).values()]
        for href in hrefs:
            assert href.startswith("."), href
            assert (path.parent / href).resolve().is_file(), href
    assert sorted(seen) == ["Catalog", "Collection", "Feature", "Feature", "Feature"]


def test_a_second_run_writes_only_what_is_missing_or_damaged(simulated_atlas, chosen, tmp_path):
    exports.publish(simulated_atlas, chosen[:2], tmp_path, SPEC)
    before = _times(tmp_path)
    damaged = tmp_path / simulated_atlas.name / "richness" / "richness.tif"
    damaged.write_bytes(b"no raster")
    told = []
    exports.publish(simulated_atlas, chosen, tmp_path, SPEC, on_progress=lambda *done: told.append(done))
    after = _times(tmp_path)
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert after["fagus-sylvatica.tif"] == before["fagus-sylvatica.tif"]
    assert rio_cogeo.cog_validate(damaged, quiet=True)[0]
    exports.publish(simulated_atlas, chosen, tmp_path, SPEC)
    assert _times(tmp_path) == after


def test_another_grid_or_type_is_written_anew(simulated_atlas, chosen, tmp_path):
    exports.publish(simulated_atlas, chosen[:1], tmp_path, SPEC)
    for spec in (PixelSpec("EPSG:3035", 4000), PixelSpec("EPSG:3035", 4000, dtype="float32")):
        before = _times(tmp_path)
        exports.publish(simulated_atlas, chosen[:1], tmp_path, spec)
        assert _times(tmp_path) != before


def test_a_stopped_run_goes_on_and_clears_what_it_left(simulated_atlas, chosen, tmp_path, monkeypatch):
    write, written = rasters.write_band, []

    def stopping(path, *rest):
        if len(written) == 1:
            path.with_name(f".{path.name}.99.writing.tif").write_bytes(b"half")
            raise KeyboardInterrupt
        written.append(path)
        write(path, *rest)

    monkeypatch.setattr(rasters, "write_band", stopping)
    with pytest.raises(KeyboardInterrupt):
        exports.publish(simulated_atlas, chosen, tmp_path, SPEC)
    assert not (tmp_path / "catalog.json").exists()
    monkeypatch.setattr(rasters, "write_band", write)
    before = _times(tmp_path)[written[0].name]
    exports.publish(simulated_atlas, chosen, tmp_path, SPEC)
    assert _times(tmp_path)[written[0].name] == before
    assert [path.name for path in tmp_path.rglob(".*") if path.name != ".lock"] == []


def test_items_of_an_earlier_version_go_and_those_of_this_one_stay(simulated_atlas, chosen, tmp_path):
    exports.publish(simulated_atlas, chosen[:1], tmp_path, SPEC)
    old = tmp_path / simulated_atlas.name / "old-one"
    shutil.copytree(tmp_path / simulated_atlas.name / "richness", old)
    entry = json.loads((old / "richness.json").read_bytes())
    entry["properties"]["florascope:atlas_version"] = "another"
    (old / "old-one.json").write_text(json.dumps(entry))
    (old / "richness.tif").rename(old / "old-one.tif")
    exports.publish(simulated_atlas, chosen[1:], tmp_path, SPEC)
    assert not old.exists()
    collection = json.loads((tmp_path / simulated_atlas.name / "collection.json").read_bytes())
    assert sorted(link["href"] for link in collection["links"] if link["rel"] == "item") == [
        "./abies-alba/abies-alba.json",
        "./fagus-sylvatica/fagus-sylvatica.json",
        "./richness/richness.json",
    ]


def test_one_catalogue_holds_several_atlases(simulated_atlas, chosen, tmp_path):
    other = dataclasses.replace(simulated_atlas, name="second-atlas", title="Second")
    exports.publish(simulated_atlas, chosen[:1], tmp_path, SPEC)
    root = exports.publish(other, chosen[:1], tmp_path, SPEC)
    found = [child.id for child in pystac.Catalog.from_file(str(root)).get_children()]
    assert found == ["second-atlas", "simulated-pyrenees"]


def test_two_programs_do_not_publish_to_one_folder_at_once(simulated_atlas, chosen, tmp_path):
    with (
        filelock.FileLock(tmp_path / ".lock"),
        pytest.raises(ExportError, match=r"Another program is publishing to .*; wait until it is done"),
    ):
        exports.publish(simulated_atlas, chosen, tmp_path, SPEC)


def test_the_cache_is_where_catalogues_go_unless_told(simulated_atlas, chosen, tmp_path, monkeypatch):
    monkeypatch.setattr(config, "CACHE_DIR", tmp_path)
    assert exports.publish(simulated_atlas, chosen[:1], spec=SPEC) == tmp_path / "published" / "catalog.json"
    assert exports.published_folder() == tmp_path / "published"
