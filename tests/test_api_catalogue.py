"""Published rasters over HTTP: STAC readers walk them, GDAL reads parts of them, nothing else is served."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pystac
import pytest
import rasterio
from starlette.applications import Starlette
from starlette.routing import Mount

from sdm_core import config, exports
from sdm_core.api import ApiSettings, create_api
from sdm_core.registry import Atlas
from tests.make_store import NAME
from tests.serving import serve


@pytest.fixture(scope="module")
def published(simulated_atlas: Atlas, tmp_path_factory) -> Iterator[Path]:
    """A catalogue of one raster in the cache of this module."""
    cache = tmp_path_factory.mktemp("published-cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "CACHE_DIR", cache)
        exports.publish(simulated_atlas, exports.choose_layers(simulated_atlas.store, ["richness"]))
        (cache / "secret.json").write_text("{}")
        (cache / "published" / ".hidden.json").write_text("{}")
        (cache / "published" / "notes.txt").write_text("not for everybody")
        (cache / "published" / "link.json").symlink_to(cache / "secret.json")
        yield cache / "published"


@pytest.fixture(scope="module")
def address(published: Path) -> Iterator[str]:
    """Address of a running interface, mounted at /api as in the app."""
    app = Starlette(routes=[Mount("/api", create_api(ApiSettings(rate=0)))])
    yield from serve(app, "/api/v1/stac")


def test_a_stac_reader_walks_from_the_root_to_every_raster(address):
    catalogue = pystac.Catalog.from_file(f"{address}/catalog.json")
    (item,) = catalogue.get_items(recursive=True)
    assert item.get_collection().id == NAME
    (asset,) = [asset for asset in item.assets.values() if "geotiff" in (asset.media_type or "")]
    href = asset.get_absolute_href()
    assert href.startswith(address)
    assert httpx.head(href).status_code == 200


def test_gdal_reads_a_window_of_a_raster_without_fetching_all_of_it(address, published):
    local = published / NAME / "richness" / "richness.tif"
    with (
        rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", CPL_VSIL_CURL_ALLOWED_EXTENSIONS=".tif"),
        rasterio.open(f"{address}/{NAME}/richness/richness.tif") as remote,
        rasterio.open(local) as here,
    ):
        window = ((10, 40), (20, 60))
        assert np.array_equal(remote.read(1, window=window), here.read(1, window=window))
        assert remote.read(1).any()


def test_ranges_and_conditions_are_answered(address, published):
    url = f"{address}/{NAME}/richness/richness.tif"
    whole = (published / NAME / "richness" / "richness.tif").read_bytes()
    part = httpx.get(url, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, whole[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole)}"
    assert part.headers["content-type"].startswith("image/tiff")
    asked = httpx.head(url)
    assert (asked.headers["content-length"], asked.headers["accept-ranges"]) == (str(len(whole)), "bytes")
    again = httpx.get(url, headers={"If-None-Match": asked.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert httpx.get(url, headers={"Range": f"bytes={len(whole)}-"}).status_code == 416


def test_the_start_of_the_catalogue_is_found_with_and_without_a_slash(address):
    for start in (address, f"{address}/"):
        answer = httpx.get(start, follow_redirects=True)
        assert str(answer.url) == f"{address}/catalog.json"
        assert answer.json()["type"] == "Catalog"


@pytest.mark.parametrize(
    "path",
    [
        "../secret.json",
        "..%2fsecret.json",
        "%2e%2e/secret.json",
        f"{NAME}/..%2f..%2fsecret.json",
        "..%5csecret.json",
        "link.json",
        ".hidden.json",
        "notes.txt",
        f"{NAME}",
        f"{NAME}/",
        "%00",
        "%2fetc%2fpasswd",
        "a" * 301,
    ],
)
def test_nothing_but_the_published_files_is_served(address, path):
    host, port = address.removeprefix("http://").partition("/")[0].split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:  # no client tidies the path
        request = f"GET /api/v1/stac/{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        connection.sendall(request.encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.split(b" ")[1] in (b"404", b"422"), answer[:200]
    assert b'{"error":' in answer
    assert str(config.CACHE_DIR).encode() not in answer
