"""Covariate files to one stack: multi-band GeoTIFF, single-band GeoTIFFs, ESRI ASCII grids."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError
from rasterio.windows import Window

from sdm_core.covariates.grid import RasterGrid
from sdm_core.covariates.stack import CovariateStack, grid_difference
from sdm_core.covariates.units import layer_name, unit_of
from sdm_core.errors import CovariateError, MissingCRSError

#: File name endings taken from a folder.
RASTER_SUFFIXES = (".tif", ".tiff", ".asc", ".img", ".vrt")


def read_stack(
    paths: Path | str | Sequence[Path | str],
    *,
    names: Sequence[str] | None = None,
    units: Sequence[str] | None = None,
    crs: str | None = None,
    layers: Sequence[str] | None = None,
) -> CovariateStack:
    """One stack of all bands of one or more raster files that share a grid.

    Values are float32 with NaN for nodata; scale and offset stored in the file are applied. Layers are named
    by their band description, else by the file; bioclimatic layers get their short names (`bio1` … `bio19`).
    Units come from the file, else from a table of well-known layers; temperatures are taken as °C × 10 when
    one of them goes beyond what °C can reach.

    Args:
        paths: a raster, a list of rasters, or a folder of them (read in natural order of their names:
            bio2 before bio10).
        names: one per layer, instead of those found.
        units: one per layer, instead of those found.
        crs: coordinate system for files that do not name theirs, such as "EPSG:4326"; ESRI ASCII grids never
            do unless a .prj lies beside them.
        layers: keep these layers only, in this order.

    Raises:
        CovariateError: when a file cannot be read as a raster or the grids differ.
        MissingCRSError: when no coordinate system is known.
    """
    files = raster_files(paths)
    parts = [_read_file(file, crs) for file in files]
    first = parts[0]
    check_same_grid(files, [part.grid for part in parts])
    found_names = joined_names(files, [part.names for part in parts], keep=names is not None)
    values = np.concatenate([part.values for part in parts]) if len(parts) > 1 else first.values
    chosen_names = tuple(names) if names is not None else tuple(found_names)
    stored_units = [unit for part in parts for unit in part.units]
    chosen_units = tuple(units) if units is not None else _units(chosen_names, stored_units, values)
    source = ", ".join(file.name for file in files[:3]) + (
        f" and {len(files) - 3} more" if len(files) > 3 else ""
    )
    stack = CovariateStack(values, chosen_names, chosen_units, first.crs, first.transform, source)
    return stack.select(list(layers)) if layers is not None else stack


def raster_files(paths: Path | str | Sequence[Path | str]) -> list[Path]:
    """The files behind `paths`, folders opened."""
    if isinstance(paths, (str, Path)):
        path = Path(paths)
        if path.is_dir():
            files = [file for file in path.iterdir() if file.suffix.lower() in RASTER_SUFFIXES]
            if not files:
                raise CovariateError(
                    f"The folder {path} holds no raster ({', '.join(RASTER_SUFFIXES)}); give the folder of "
                    "the covariate files."
                )
            return sorted(files, key=lambda file: _natural_key(file.name))
        files = [path]
    else:
        files = [Path(path) for path in paths]
    if not files:
        raise CovariateError("No covariate file was given; give a raster, a list of rasters or their folder.")
    for file in files:
        if not file.is_file():
            raise CovariateError(f"There is no covariate file at {file}; check the path.")
    return files


def check_same_grid(files: Sequence[Path], grids: Sequence[RasterGrid]) -> None:
    """Raises `CovariateError` naming the first file whose grid is not that of the first."""
    for file, grid in zip(files[1:], grids[1:], strict=True):
        difference = grid_difference(grids[0], grid)
        if difference:
            raise CovariateError(
                f"{files[0].name} and {file.name} do not share one grid: {difference}; bring them to the "
                "same grid first, for instance with gdalwarp."
            )


def joined_names(files: Sequence[Path], names: Sequence[Sequence[str]], keep: bool = False) -> list[str]:
    """Layer names of several files; one that occurs twice is led by its file, unless told to `keep`."""
    found = [name for part in names for name in part]
    if keep or len(set(found)) == len(found):
        return found
    return [
        f"{file.stem}_{name}" if found.count(name) > 1 else name
        for file, part in zip(files, names, strict=True)
        for name in part
    ]


def _natural_key(name: str) -> list[tuple[int, str]]:
    """Sorts bio2 before bio10."""
    return [(int(part), "") if part.isdigit() else (0, part.lower()) for part in re.split(r"(\d+)", name)]


def _read_file(file: Path, crs: str | None) -> CovariateStack:
    """All bands of one file."""
    with opened(file, crs) as (raster, grid_crs):
        values = read_values(raster, file)
        units = tuple(unit or "" for unit in raster.units)
        return CovariateStack(values, band_names(raster, file), units, grid_crs, raster.transform, file.name)


@contextlib.contextmanager
def opened(file: Path, crs: str | None) -> Iterator[tuple[rasterio.DatasetReader, CRS]]:
    """A raster file and its coordinate system; raises what `read_stack` raises."""
    try:
        with rasterio.open(file) as raster:
            grid_crs = _crs_of(raster.crs, crs, file)
            if raster.gcps[0] or raster.transform.is_identity:
                raise CovariateError(
                    f"{file.name} does not say where its cells lie (no geotransform); georeference it first."
                )
            yield raster, grid_crs
    except RasterioError as error:
        raise CovariateError(
            f"{file.name} cannot be read as a raster ({str(error).splitlines()[0]}); expected a GeoTIFF or "
            "an ESRI ASCII grid."
        ) from error


def read_values(
    raster: rasterio.DatasetReader,
    file: Path,
    bands: Sequence[int] | None = None,
    window: Window | None = None,
    shape: tuple[int, int] | None = None,
) -> np.ndarray:
    """Values of bands (counted from 0, all by default) in a window, float32 (n_bands, height, width).

    NaN where there is no data; scale and offset are applied. With `shape`, the window is read at that
    coarser size. Raises `CovariateError` for complex numbers.
    """
    numbers = list(range(raster.count)) if bands is None else list(bands)
    wanted = None if shape is None else (len(numbers), *shape)
    data = raster.read([number + 1 for number in numbers], masked=True, window=window, out_shape=wanted)
    if np.iscomplexobj(data):
        raise CovariateError(f"{file.name} holds complex numbers; covariates must be real numbers.")
    scales = np.asarray(raster.scales)[numbers]
    offsets = np.asarray(raster.offsets)[numbers]
    values = np.ma.filled(data.astype(np.float32), np.nan)
    if (scales != 1).any() or (offsets != 0).any():
        values = (values * scales[:, None, None] + offsets[:, None, None]).astype(np.float32)
    values[~np.isfinite(values)] = np.nan
    return values


def band_names(raster: rasterio.DatasetReader, file: Path) -> tuple[str, ...]:
    """Short names of the bands: their descriptions, else the file's name."""
    stem = layer_name(file.stem)
    fallback = [stem] if raster.count == 1 else [f"{stem}_{band + 1}" for band in range(raster.count)]
    texts = [text or "" for text in raster.descriptions]
    return tuple(layer_name(text) if text else other for text, other in zip(texts, fallback, strict=True))


def _crs_of(stored: CRS | None, given: str | None, file: Path) -> CRS:
    """The coordinate system stored in the file, else the one given."""
    if stored is not None and (stored.is_geographic or stored.is_projected):
        return stored
    if given is None:
        raise MissingCRSError(
            f"{file.name} does not say which coordinate system it is in; name it, for instance "
            "crs='EPSG:4326' for degrees, or put a .prj file beside it."
        )
    try:
        return CRS.from_user_input(given)
    except (CRSError, ValueError) as error:
        raise MissingCRSError(
            f"The coordinate system '{given}' is not known; name it as EPSG code, for instance 'EPSG:4326'."
        ) from error


#: Layers whose values beyond these show that temperatures are stored × 10: no place on Earth has them in °C
#: (bio4: °C × 100).
_BEYOND_CELSIUS = {"bio1": 40.0, "bio2": 40.0, "bio4": 2600.0, "bio5": 60.0, "bio7": 90.0, "bio10": 50.0}


def _units(names: Iterable[str], stored: Sequence[str], values: np.ndarray) -> tuple[str, ...]:
    """Units of the file, else of well-known layers, tenths of a degree told from degrees by their values."""
    names = list(names)
    tenths = any(
        bool((values[names.index(name)] > highest).any())
        for name, highest in _BEYOND_CELSIUS.items()
        if name in names
    )
    return tuple(unit or unit_of(name, tenths) for name, unit in zip(names, stored, strict=True))
