"""A folder of GeoTIFFs with a static catalogue beside them, for web servers and programs that read STAC."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioIOError

from sdm_core import config, regions
from sdm_core.errors import ExportError
from sdm_core.exports import stac
from sdm_core.exports.grid import PixelSpec, make_grid
from sdm_core.exports.layers import Layer, pack
from sdm_core.exports.rasters import KEY_TAG, cells_of, export_key, writable_folder, write_cogs
from sdm_core.registry import Atlas
from sdm_core.writing import write_whole

logger = logging.getLogger(__name__)

CATALOGUE_FILE = "catalog.json"
COLLECTION_FILE = "collection.json"


def published_folder() -> Path:
    """Where catalogues are published unless another folder is named."""
    return config.CACHE_DIR / "published"


def publish(
    atlas: Atlas,
    layers: Sequence[Layer],
    folder: Path | None = None,
    spec: PixelSpec | None = None,
    region: regions.Region | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write layers as GeoTIFFs with a static STAC catalogue; returns the path of its `catalog.json`.

    `folder/catalog.json` → `folder/<atlas>/collection.json` → `folder/<atlas>/<layer>/<layer>.json` beside
    `<layer>.tif`; all addresses are relative, so the folder can be served from anywhere or moved. Files
    that are there and current are kept, so a stopped run goes on where it was; layers published
    earlier from the same version of the atlas stay, those of another version go.

    Args:
        atlas: an opened atlas.
        layers: what to publish, see `layers.choose_layers`.
        folder: root of the catalogue, `published_folder()` by default; other atlases in it stay.
        spec: coordinate system, size and bounds of pixels, type of their values.
        region: only the cells whose centre lies in it; by default all.
        on_progress: is told how many layers are done, of how many.

    Raises:
        ExportError, also while another program publishes to the folder; NoDataInRegionError.
    """
    root = writable_folder(folder or published_folder())
    home = writable_folder(root / atlas.name)
    try:
        with filelock.FileLock(root / ".lock", timeout=0):
            _clear_leftovers(home)
            _publish(atlas, layers, home, spec or PixelSpec(), region, on_progress)
            _write_catalogue(root)
    except filelock.Timeout as error:
        raise ExportError(
            f"Another program is publishing to {root}; wait until it is done or choose another folder."
        ) from error
    return root / CATALOGUE_FILE


def _publish(
    atlas: Atlas,
    layers: Sequence[Layer],
    home: Path,
    spec: PixelSpec,
    region: regions.Region | None,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    """GeoTIFFs, their items, the collection; then what no item points to goes."""
    rows, cells, lonlat = cells_of(atlas, region)
    grid = make_grid(cells, lonlat, spec)
    files = {home / layer.name / f"{layer.name}.tif": layer for layer in layers}
    keys = {path: export_key(atlas, layer, grid, spec.dtype, cells) for path, layer in files.items()}
    missing = {path: layer for path, layer in files.items() if _key_in(path) != keys[path]}
    done = len(files) - len(missing)
    for path in missing:
        writable_folder(path.parent)
    if on_progress is not None:
        on_progress(done, len(files))
    for _ in write_cogs(missing, atlas, spec, region):
        done += 1
        if on_progress is not None:
            on_progress(done, len(files))
    moment = stac.moment_of(atlas, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
    bbox = bbox_of(cells, lonlat)
    for path, layer in files.items():
        packed = pack(layer.values(atlas.store, rows), spec.dtype, layer.species_id is not None)
        entry = stac.item(atlas, layer, grid, packed, bbox, moment, keys[path])
        _write_json(path.with_suffix(".json"), entry)
    items, stale = _items_of(home, atlas.store.version)
    whole = bbox_of(np.asarray(atlas.store.cells), np.asarray(atlas.store.lonlat))
    _write_json(home / COLLECTION_FILE, stac.collection(atlas, whole, moment, items))
    for entry_folder in stale:
        logger.info("%s belongs to another version of the atlas %s and is removed", entry_folder, atlas.name)
        shutil.rmtree(entry_folder, ignore_errors=True)


def bbox_of(cells: NDArray[np.uint64], lonlat: NDArray[np.float64]) -> stac.Bounds:
    """West, south, east, north of some cells in degrees, outlines included."""
    west, south, east, north = make_grid(cells, lonlat, PixelSpec(size=1 / 120)).bounds
    return (
        round(max(west, -180.0), 6),
        round(max(south, -90.0), 6),
        round(min(east, 180.0), 6),
        round(min(north, 90.0), 6),
    )


def _key_in(path: Path) -> str:
    """Key a GeoTIFF was written with; empty when there is no readable file."""
    if not path.is_file():
        return ""
    try:
        with rasterio.open(path) as raster:
            return str(raster.tags().get(KEY_TAG, ""))
    except RasterioIOError as error:
        logger.warning("%s cannot be read (%s) and is written again", path, error)
        return ""


def _items_of(home: Path, version: str) -> tuple[list[tuple[str, str]], list[Path]]:
    """Id and title of the items of this version of the atlas; folders of those that are not."""
    items, stale = [], []
    for folder in sorted(path for path in home.iterdir() if path.is_dir()):
        try:
            entry = json.loads((folder / f"{folder.name}.json").read_bytes())
            current = entry["properties"]["florascope:atlas_version"] == version
        except (OSError, ValueError, KeyError, TypeError):
            stale.append(folder)
            continue
        if current and (folder / f"{folder.name}.tif").is_file():
            items.append((folder.name, str(entry["properties"]["title"])))
        else:
            stale.append(folder)
    return items, stale


def _write_catalogue(root: Path) -> None:
    """The root, with every collection found below it."""
    atlases = []
    for path in sorted(root.glob(f"*/{COLLECTION_FILE}")):
        try:
            entry = json.loads(path.read_bytes())
            atlases.append((path.parent.name, str(entry["title"])))
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("%s cannot be read (%s) and is left out of the catalogue", path, error)
    _write_json(root / CATALOGUE_FILE, stac.catalogue(atlases))


def _clear_leftovers(home: Path) -> None:
    """Remove what a run that was killed left under hidden names."""
    for pattern in (".pixels-*", ".raster-*", ".*.writing*"):
        for path in home.rglob(pattern):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    write_whole(path, text + "\n", ExportError)
