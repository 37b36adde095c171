"""Cloud-optimised GeoTIFFs: each pixel holds the value of the H3 cell that its centre lies in."""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.windows import Window

from sdm_core import regions
from sdm_core.colours import Categories, is_around_zero, ramp_colours
from sdm_core.errors import ExportError
from sdm_core.exports.grid import BLOCK, Grid, PixelSpec, make_grid
from sdm_core.exports.layers import NODATA_BYTE, PROBABILITY_STEP, Layer, Packed, pack
from sdm_core.exports.metadata import layer_tags
from sdm_core.exports.pixels import PixelIndex, pixel_index
from sdm_core.registry import Atlas
from sdm_core.writing import written_aside

#: Tag that holds `export_key`, by which a file is known to be current.
KEY_TAG = "EXPORT_KEY"
#: Raised whenever the same arguments give another file.
_FORMAT = 1
#: Memory GDAL may use for blocks, in megabytes.
_GDAL_CACHE_MB = 128
#: Pixels of a report's rasters at most.
MAX_REPORT_PIXELS = 8_000_000


@dataclass(frozen=True)
class Band:
    """What a GeoTIFF says of its band besides the numbers, and how these are coloured.

    categories: what whole numbers stand for. around_zero: 0 lies in the middle of the ramp.
    """

    description: str
    unit: str
    ramp: str
    tags: Mapping[str, str]
    categories: Categories | None = None
    around_zero: bool = False


def write_cog(
    path: Path,
    atlas: Atlas,
    layer: Layer,
    spec: PixelSpec | None = None,
    region: regions.Region | None = None,
) -> Path:
    """Write one layer as a cloud-optimised GeoTIFF; see `write_cogs` for the arguments."""
    for _ in write_cogs({path: layer}, atlas, spec, region):
        pass
    return path


def write_cogs(
    files: Mapping[Path, Layer],
    atlas: Atlas,
    spec: PixelSpec | None = None,
    region: regions.Region | None = None,
) -> Iterator[Path]:
    """Write layers of an atlas on one grid, each to its file; yields each file when it is written.

    Args:
        files: file to write → what it holds.
        atlas: an opened atlas.
        spec: coordinate system, size and bounds of pixels, type of their values.
        region: only the cells whose centre lies in it; by default all.

    Raises:
        ExportError, NoDataInRegionError.
    """
    asked = spec or PixelSpec()
    rows, cells, lonlat = cells_of(atlas, region)
    grid = make_grid(cells, lonlat, asked)
    if not files:
        return
    scratch = writable_folder(next(iter(files)).parent)
    with pixel_index(grid, cells, atlas.store.resolution, scratch) as index:
        for path, layer in files.items():
            packed = pack(layer.values(atlas.store, rows), asked.dtype, layer.species_id is not None)
            tags = {**layer_tags(atlas, layer), KEY_TAG: export_key(atlas, layer, grid, asked.dtype, cells)}
            band = Band(
                layer.title, layer.unit, layer.ramp, tags, layer.categories, is_around_zero(layer.name)
            )
            write_band(path, grid, index, packed, band)
            yield path


def export_key(atlas: Atlas, layer: Layer, grid: Grid, dtype: str, cells: NDArray[np.uint64]) -> str:
    """Hash of all that decides a GeoTIFF: atlas and what is said of it, layer, grid, type, cells."""
    digest = hashlib.blake2b(digest_size=16)
    decides = {
        "format": _FORMAT,
        "tags": layer_tags(atlas, layer),
        "layer": [layer.name, layer.species_id, layer.title, layer.unit, layer.ramp],
        "crs": grid.crs.to_wkt(),
        "transform": list(grid.transform)[:6],
        "shape": [grid.height, grid.width],
        "dtype": dtype,
        **({"lists": [matched.file.digest for matched in layer.lists]} if layer.lists else {}),
    }
    digest.update(json.dumps(decides, sort_keys=True).encode())
    digest.update(np.ascontiguousarray(cells).data)
    return digest.hexdigest()


def cells_of(
    atlas: Atlas, region: regions.Region | None
) -> tuple[NDArray[np.int64] | None, NDArray[np.uint64], NDArray[np.float64]]:
    """Rows (None for all), cells and centres of an atlas, or of its cells with their centre in a region."""
    store = atlas.store
    if region is None:
        return None, np.asarray(store.cells), np.asarray(store.lonlat)
    rows = regions.select_cells(region, store.lonlat, store.resolution, store.cells, store.area_ha).rows
    return rows, np.asarray(store.cells)[rows], np.asarray(store.lonlat)[rows]


def writable_folder(folder: Path) -> Path:
    """The folder, made when it is missing; raises `ExportError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(
            f"{folder} cannot be made ({error.strerror or error}); choose another folder."
        ) from error
    return folder


def write_rasters(
    folder: Path,
    cells: NDArray[np.uint64],
    lonlat: NDArray[np.float64],
    resolution: int,
    layers: Mapping[str, tuple[NDArray[Any], str]],
    tags: Mapping[str, str],
) -> list[Path]:
    """Write one cloud-optimised GeoTIFF per layer for a report, EPSG:4326, float32, NaN outside the cells.

    `cells` ascending uint64 with `lonlat` centres; `layers` name → (values per cell, unit); pixels are
    aligned to whole degrees.
    """
    grid = make_grid(cells, lonlat, PixelSpec(most_pixels=MAX_REPORT_PIXELS))
    writable_folder(folder)
    written = []
    with pixel_index(grid, cells, resolution, folder) as index:
        for name, (values, unit) in layers.items():
            packed = pack(np.asarray(values, dtype=np.float32), "float32", probability=False)
            written.append(folder / f"{name}.tif")
            write_band(written[-1], grid, index, packed, Band(name, unit, "", tags))
    return written


def write_band(path: Path, grid: Grid, index: PixelIndex, packed: Packed, band: Band) -> None:
    """Write packed values (n_cells,) of the cells that `index` names as a GeoTIFF.

    Blocks of 512, deflate, overviews by the nearest pixel where there are colours, else by the mean, or by
    the commonest of categories. What was written is compared before the file gets its name. Raises
    `ExportError`.
    """
    by_row = np.append(packed.data, np.array([packed.nodata], dtype=packed.data.dtype))  # −1 is the last
    coloured = packed.data.dtype == np.uint8
    with (
        rasterio.Env(GDAL_CACHEMAX=_GDAL_CACHE_MB),
        written_aside(path, ExportError) as finished,
        _gdal_refusals(),
        tempfile.TemporaryDirectory(prefix=".raster-", dir=path.parent) as scratch,
    ):
        plain = Path(scratch) / "plain.tif"
        with rasterio.open(plain, "w", **_profile(grid, packed)) as raster:
            raster.set_band_description(1, band.description)
            raster.set_band_unit(1, band.unit)
            raster.update_tags(**band.tags)
            if coloured:
                raster.scales, raster.offsets = (packed.scale,), (packed.offset,)
                raster.write_colormap(1, colour_table(packed, band))
            for rows in grid.strips():
                raster.write(by_row[index[rows]], 1, window=_window(grid, rows))
        rasterio.shutil.copy(
            plain,
            finished,
            driver="COG",
            compress="DEFLATE",
            predictor="NO" if coloured else "YES",
            blocksize=BLOCK,
            overview_resampling="NEAREST" if coloured else "AVERAGE" if band.categories is None else "MODE",
            bigtiff="IF_SAFER",
        )
        _compare(finished, path, grid, index, by_row)


@contextlib.contextmanager
def _gdal_refusals() -> Iterator[None]:
    """Turn what GDAL says of a full disk into `OSError`: a message of any class, or none (SystemError)."""
    try:
        yield
    except (CPLE_BaseError, SystemError) as error:
        raise OSError(f"GDAL: {error}") from error


def colour_table(packed: Packed, band: Band) -> dict[int, tuple[int, int, int, int]]:
    """Colours of all bytes; nodata is clear, and numbers that stand for nothing are black.

    Of amounts the ramp from 0 to the largest value (200 of a probability), or as far below 0 as above it; of
    categories their own.
    """
    used = packed.data[packed.data != NODATA_BYTE]
    top = 200 if packed.scale == PROBABILITY_STEP and packed.offset == 0 else int(used.max(initial=1))
    values = np.arange(256) * packed.scale + packed.offset
    if band.categories is not None:
        places = band.categories.places_of(values)
        table = np.column_stack([np.zeros((256, 3), dtype=np.uint8), np.full(256, 255, dtype=np.uint8)])
        table[places >= 0, :3] = np.array(band.categories.colours)[places[places >= 0]]
    else:
        shares: NDArray[Any] = np.arange(256) / max(top, 1)
        if band.around_zero:
            furthest = float(np.abs(values[used]).max(initial=packed.scale))
            shares = (values / furthest + 1.0) / 2.0
        steps = np.clip(np.rint(255 * shares), 0, 255).astype(np.int64)
        table = np.column_stack([ramp_colours(band.ramp)[steps], np.full(256, 255, dtype=np.uint8)])
    table[NODATA_BYTE] = 0
    return {byte: (int(r), int(g), int(b), int(alpha)) for byte, (r, g, b, alpha) in enumerate(table)}


def _profile(grid: Grid, packed: Packed) -> dict[str, Any]:
    return {
        "driver": "GTiff",
        "height": grid.height,
        "width": grid.width,
        "count": 1,
        "dtype": packed.dtype,
        "crs": rasterio.crs.CRS.from_wkt(grid.crs.to_wkt()),
        "transform": grid.transform,
        "nodata": packed.nodata,
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "compress": "deflate",
        "zlevel": 1,
        "bigtiff": "IF_SAFER",
    }


def _window(grid: Grid, rows: slice) -> Window:
    return Window(0, rows.start, grid.width, rows.stop - rows.start)


def _compare(written: Path, path: Path, grid: Grid, index: PixelIndex, by_row: NDArray[Any]) -> None:
    """Read the first, middle and last strip back and compare them with what was to be written."""
    strips = list(grid.strips())
    with rasterio.open(written) as raster:
        for rows in {
            strip.start: strip for strip in (strips[0], strips[len(strips) // 2], strips[-1])
        }.values():
            found = raster.read(1, window=_window(grid, rows))
            if not np.array_equal(found, by_row[index[rows]], equal_nan=found.dtype.kind == "f"):
                raise ExportError(
                    f"{path} did not come back from the disk as it was written; check the disk and write it "
                    "again."
                )
