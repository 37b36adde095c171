"""Map tiles: every pixel is the colour of the cell under it, wherever on the Earth, and only that."""

from __future__ import annotations

import asyncio
import io
import math
from pathlib import Path

import h3
import numpy as np
import pandas as pd
import pytest
from matplotlib import colormaps
from PIL import Image
from starlette.testclient import TestClient

from sdm_core import config
from sdm_core.api import ApiSettings, create_api
from sdm_core.api.tiles.grid import TileAddress, fitting_resolution, may_overlap, pixel_rows
from sdm_core.api.tiles.images import palette_png
from sdm_core.api.tiles.layers import Paint, palette_of
from sdm_core.colours import Scale
from sdm_core.prediction import decode, write_atlas
from tests.make_store import NAME

PALE = (222, 226, 221)


@pytest.fixture(scope="module")
def client(simulated_atlas_folder: Path, _own_cache):
    """The interface on the simulated atlas, without a limit of rate."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "ATLAS_DIRS", (simulated_atlas_folder.parent,))
        yield TestClient(create_api(ApiSettings(rate=0)))


def tile_at(longitude: float, latitude: float, zoom: int) -> tuple[int, int, int]:
    """Tile that holds a place, after the OpenStreetMap wiki's formula."""
    n_tiles = 2**zoom
    x = int((longitude + 180) / 360 * n_tiles)
    y = int((1 - math.asinh(math.tan(math.radians(latitude))) / math.pi) / 2 * n_tiles)
    return zoom, x, y


def place_of(zoom: int, x: int, y: int, column: int, row: int, pixels: int = 256) -> tuple[float, float]:
    """Longitude and latitude of the centre of a pixel, after the same formula turned round."""
    n_tiles = 2**zoom
    across, down = (x + (column + 0.5) / pixels) / n_tiles, (y + (row + 0.5) / pixels) / n_tiles
    return across * 360 - 180, math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * down))))


def picture(client: TestClient, address: str) -> np.ndarray:
    """RGBA of a tile."""
    answer = client.get(address)
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))


def colour_of(value: float, low: float, high: float, ramp: str = "viridis") -> np.ndarray:
    """Colour of a value on a ramp, from matplotlib itself."""
    return np.array(colormaps[ramp]((value - low) / (high - low))[:3]) * 255


def address_of(layer: str, tile: tuple[int, int, int], query: str = "", scale: str = "") -> str:
    z, x, y = tile
    return f"/v1/atlases/{NAME}/tiles/{layer}/{z}/{x}/{y}{scale}.png{query}"


@pytest.mark.parametrize(("zoom", "scale"), [(6, ""), (8, ""), (11, ""), (8, "@2x")])
def test_every_pixel_has_the_colour_of_the_cell_under_it(client, simulated_atlas, zoom, scale):
    store, species_id = simulated_atlas.store, 16
    pixels = 512 if scale else 256
    tile = tile_at(1.1, 42.6, zoom)
    shown = picture(client, address_of(f"species/{species_id}", tile, "?max=0.8", scale))
    assert shown.shape == (pixels, pixels, 4)
    row_of = {int(cell): row for row, cell in enumerate(store.cells)}
    seen = set()
    for row, column in np.random.default_rng(zoom).integers(0, pixels, (400, 2)):
        longitude, latitude = place_of(*tile, column, row, pixels)
        cell = h3.str_to_int(h3.latlng_to_cell(latitude, longitude, store.resolution))
        if cell not in row_of:
            assert shown[row, column, 3] == 0
            continue
        seen.add(cell)
        p = float(decode(store.codes[row_of[cell], species_id]))
        assert shown[row, column, 3] == 255
        # 252 colours in place of 256: at most half a step of the ramp off, a few of 255 in any channel
        assert np.abs(shown[row, column, :3] - colour_of(min(p, 0.8), 0, 0.8)).max() < 4
    assert len(seen) > 3


def test_zero_below_the_cutoff_and_no_prediction_look_different(client, simulated_atlas):
    store, species_id = simulated_atlas.store, 16
    tile = tile_at(1.1, 42.6, 7)
    shown = picture(client, address_of(f"species/{species_id}", tile, "?cutoff=0.3"))
    row_of = {int(cell): row for row, cell in enumerate(store.cells)}
    kinds = {}
    for row in range(0, 256, 3):
        for column in range(0, 256, 3):
            longitude, latitude = place_of(*tile, column, row)
            cell = h3.str_to_int(h3.latlng_to_cell(latitude, longitude, store.resolution))
            if cell not in row_of:
                kind = "none"
            else:
                code = int(store.codes[row_of[cell], species_id])
                kind = "zero" if code == 0 else "below" if (code / 255) ** 2 < 0.3 else "above"
            kinds.setdefault(kind, set()).add(tuple(shown[row, column].tolist()))
    assert kinds["none"] == {(0, 0, 0, 0)}
    assert kinds["zero"] == {(*PALE, 130)}
    assert kinds["below"] == {(*PALE, 255)}
    assert not kinds["above"] & (kinds["zero"] | kinds["below"])
    everything = picture(client, address_of(f"species/{species_id}", tile))
    assert not (everything[..., :3] == PALE).all(axis=-1).any()


def test_zoomed_out_a_pixel_shows_the_area_weighted_mean_of_its_parent_cell(client, simulated_atlas):
    store = simulated_atlas.store
    tile = tile_at(1.1, 42.6, 2)
    resolution = fitting_resolution(2, 256, store.resolution)
    assert resolution < store.resolution
    shown = picture(client, address_of("richness", tile, "?min=0&max=20"))
    parents = [h3.cell_to_parent(h3.int_to_str(int(cell)), resolution) for cell in store.cells]
    found = 0
    for row, column in np.argwhere(shown[..., 3] > 0):
        longitude, latitude = place_of(*tile, column, row)
        parent = h3.latlng_to_cell(latitude, longitude, resolution)
        rows = [number for number, name in enumerate(parents) if name == parent]
        mean = np.average(store.layer("richness")[rows], weights=store.area_ha[rows])
        assert np.abs(shown[row, column, :3] - colour_of(mean, 0, 20)).max() < 4
        found += 1
    assert found >= 2


@pytest.mark.parametrize(("z", "pixels", "resolution"), [(0, 256, 3), (3, 256, 5), (3, 512, 6), (9, 256, 6)])
def test_cells_are_about_as_wide_as_a_pixel_and_never_finer_than_the_atlas(z, pixels, resolution):
    assert fitting_resolution(z, pixels, 6) == resolution


@pytest.fixture(scope="module")
def far_atlas(tmp_path_factory) -> tuple[Path, np.ndarray]:
    """An atlas of cells on both sides of the date line and around 84° N, one species, all probabilities 1."""
    around = [(-17.0, 179.95), (-17.0, -179.95), (84.0, 20.0), (84.5, -170.0), (84.9, 100.0)]
    cells = sorted(
        {h3.str_to_int(name) for place in around for name in h3.grid_disk(h3.latlng_to_cell(*place, 5), 2)}
    )
    folder = tmp_path_factory.mktemp("far") / "far"
    species = pd.DataFrame({"species_id": [0], "species": ["Planta una"], "family": ["Unaceae"]})
    indices = np.array(cells, dtype=np.uint64)
    write_atlas(folder, "far", "Far", 5, indices, [np.ones((len(cells), 1))], species, card={"name": "far"})
    return folder, indices


@pytest.mark.parametrize(
    "place", [(179.97, -17.0), (-179.97, -17.0), (20.0, 84.0), (-170.0, 84.5), (179.9, -16.8)]
)
def test_cells_at_the_date_line_and_near_the_pole_are_drawn_where_they_are(
    far_atlas, monkeypatch, _own_cache, place
):
    folder, cells = far_atlas
    monkeypatch.setattr(config, "ATLAS_DIRS", (folder.parent,))
    client = TestClient(create_api(ApiSettings(rate=0)))
    tile = tile_at(*place, 7)
    z, x, y = tile
    shown = picture(client, f"/v1/atlases/far/tiles/species/0/{z}/{x}/{y}.png")
    there = set(cells.tolist())
    for row, column in np.random.default_rng(1).integers(0, 256, (500, 2)):
        longitude, latitude = place_of(*tile, column, row)
        is_cell = h3.str_to_int(h3.latlng_to_cell(latitude, longitude, 5)) in there
        assert (shown[row, column, 3] == 255) == is_cell
    assert (shown[..., 3] == 255).any()


def test_a_tile_that_is_ruled_out_by_its_bounds_has_no_cell(simulated_atlas):
    store = simulated_atlas.store
    lonlat = np.asarray(store.lonlat)
    west, south, east, north = (*lonlat.min(axis=0).tolist(), *lonlat.max(axis=0).tolist())
    n_ruled_out = n_on_the_edge = 0
    for z in (3, 6, 9, 11):
        _, first_x, first_y = tile_at(west, north, z)
        _, last_x, last_y = tile_at(east, south, z)
        columns = {*range(first_x - 3, first_x + 2), *range(last_x - 1, last_x + 4)}
        rows = {*range(first_y - 3, first_y + 2), *range(last_y - 1, last_y + 4)}
        for x in columns:
            for y in rows:
                tile = TileAddress(z, x, y, 64)
                is_empty = pixel_rows(tile, store.cells, store.resolution).is_empty
                if not may_overlap(tile, (west, south, east, north), 6.0):
                    n_ruled_out += 1
                    assert is_empty, tile
                tile_west, tile_south, tile_east, tile_north = tile.bounds
                outside = tile_east < west or tile_west > east or tile_north < south or tile_south > north
                n_on_the_edge += outside and not is_empty
    assert n_ruled_out > 20
    assert n_on_the_edge > 3  # tiles without a centre that hold parts of cells: the margin is needed


def test_a_written_png_reads_back_the_same():
    inks = np.random.default_rng(0).integers(0, 256, (40, 50)).astype(np.uint8)
    palette = palette_of("magma")
    read = np.asarray(Image.open(io.BytesIO(palette_png(inks, palette))).convert("RGBA"))
    assert np.array_equal(read, palette[inks])


def test_an_undefined_index_has_its_own_ink():
    paint = Paint("cividis", Scale("shannon", 0.0, 2.0, 0.0))
    inks = paint.inks_of_values(np.array([np.nan, 0.0, 2.0, 5.0]))
    assert inks.tolist() == [3, 4, 255, 255]


def test_an_unchanged_tile_is_not_sent_again_and_another_look_is_another_tile(client):
    address = address_of("richness", tile_at(1.1, 42.6, 8))
    first = client.get(address)
    assert first.headers["cache-control"] == "public, max-age=3600"
    again = client.get(address, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    others = {
        client.get(f"{address}?{look}").headers["etag"] for look in ("cmap=magma", "max=9", "theme=dark")
    }
    assert len(others | {first.headers["etag"]}) == 4


def test_an_address_with_the_version_of_the_atlas_may_be_kept_for_good(client, simulated_atlas):
    address = address_of("richness", tile_at(1.1, 42.6, 8))
    version = simulated_atlas.key
    assert "immutable" in client.get(f"{address}?v={version}").headers["cache-control"]
    assert "immutable" not in client.get(f"{address}?v=other").headers["cache-control"]


def test_head_has_the_headers_of_a_tile_and_no_body(client):
    address = address_of("richness", tile_at(1.1, 42.6, 8))
    got, asked = client.get(address), client.head(address)
    assert asked.headers["content-length"] == str(len(got.content))
    assert asked.headers["etag"] == got.headers["etag"]
    sent = []

    async def send(message: dict) -> None:
        sent.append(message)

    async def receive() -> dict:
        return {"type": "http.request", "body": b"", "more_body": False}

    path = address.partition("?")[0]
    scope = {"type": "http", "method": "HEAD", "path": path, "query_string": b"", "headers": []}
    scope |= {"client": ("127.0.0.1", 1), "server": ("test", 80), "scheme": "http", "root_path": ""}
    asyncio.run(client.app(scope, receive, send))  # a client would drop a body by itself
    assert [message.get("body", b"") for message in sent[1:]] == [b""]


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("richness/-1/0/0.png", 422, "'z' is not as expected"),
        ("richness/21/0/0.png", 422, "'z' is not as expected"),
        ("richness/3/8/0.png", 404, "Zoom 3 has columns and rows 0 to 7"),
        ("richness/3/0/-1.png", 422, "'y' is not as expected"),
        ("richness/3/0/a.png", 422, "'y' is not as expected"),
        ("height/3/0/0.png", 422, "has no layer 'height'; there are species/<id>, richness"),
        ("species/99/3/0/0.png", 404, "has no species 99; its species run from 0 to 39"),
        ("richness/3/0/0.png?cmap=jet", 422, "expected one of viridis, cividis, magma"),
        ("richness/3/0/0.png?min=2&max=1", 422, "max must be the larger one"),
        ("richness/3/0/0.png?min=nan", 422, "must be plain numbers"),
        ("richness/3/0/0.png?max=1e300", 422, "must be plain numbers"),
        ("richness/3/0/0.png?theme=blue", 422, "'theme' is not as expected"),
    ],
)
def test_a_tile_that_cannot_be_is_refused_in_one_sentence(client, path, status, sentence):
    answer = client.get(f"/v1/atlases/{NAME}/tiles/{path}")
    assert answer.status_code == status
    assert sentence in answer.json()["error"]


def test_the_tilejson_of_a_layer_leads_to_its_tiles_and_legend(client, simulated_atlas):
    document = client.get(f"/v1/atlases/{NAME}/tiles/species/3.json?cmap=magma&cutoff=0.1").json()
    assert document["tilejson"] == "3.0.0"
    assert document["name"] == "Ailanthus altissima"
    z, x, y = tile_at(1.1, 42.6, 8)
    address = document["tiles"][0].format(z=z, x=x, y=y)
    assert address.startswith("http://testserver/v1/")
    assert "immutable" in client.get(address).headers["cache-control"]
    legend = client.get(document["legend"]).json()
    assert (legend["ramp"], legend["cutoff"]) == ("magma", 0.1)
    assert legend["stops"][0]["colour"] == "#000004"
    assert set(legend["other"]) == {"no prediction", "not defined", "zero", "below 10\u202f%"}
    west, south, east, north = document["bounds"]
    assert west < 1.1 < east
    assert south < 42.6 < north


def test_the_legend_picture_names_layer_unit_and_ends(client):
    answer = client.get(f"/v1/atlases/{NAME}/legends/richness.svg?max=20")
    assert answer.headers["content-type"] == "image/svg+xml"
    for word in ("Expected richness", "species expected per cell", ">0<", ">10<", ">20<", "no prediction"):
        assert word in answer.text


def test_pixels_of_a_tile_are_worked_out_once_and_the_cache_stays_within_its_bytes(simulated_atlas):
    from sdm_core.api.tiles import TileArtist, layer_of
    from sdm_core.api.tiles.layers import paint_of

    store = simulated_atlas.store
    artist = TileArtist(600_000)
    layer = layer_of(store, "richness")
    paint = paint_of(layer, artist.default_scale(store, layer))
    tiles = [TileAddress(9, *tile_at(longitude, 42.6, 9)[1:]) for longitude in (0.1, 0.9, 1.6, 2.1)]
    pictures = [artist.draw(store, layer, paint, tile) for tile in tiles]
    for z in (7, 8, 9, 10, 11):
        for longitude in (0.1, 0.9, 1.6, 2.1):
            artist.draw(store, layer, paint, TileAddress(z, *tile_at(longitude, 42.6, z)[1:], 512))
            assert artist.cache.n_bytes <= 600_000
    assert [artist.draw(store, layer, paint, tile) for tile in tiles] == pictures
