"""NetCDF (CF-1.8) and Zarr of many species and layers on one grid, written piece by piece."""

from __future__ import annotations

import math
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sdm_core import regions
from sdm_core.errors import ExportError, FlorascopeError
from sdm_core.exports.grid import BLOCK, Grid, PixelSpec, make_grid
from sdm_core.exports.layers import CATEGORY_UNIT, PROBABILITY_UNIT, Layer, Packed, pack
from sdm_core.exports.metadata import atlas_tags, grain_sentence, meaning
from sdm_core.exports.pixels import PixelIndex, pixel_index
from sdm_core.exports.rasters import cells_of, writable_folder
from sdm_core.registry import Atlas
from sdm_core.writing import written_aside

CONVENTIONS = "CF-1.8"
_PROBABILITY = "probability"


@dataclass(frozen=True)
class _Variable:
    """One variable of a dataset: its layers in order (one species each, or a single layer)."""

    name: str
    layers: tuple[Layer, ...]
    packed: Callable[[Layer], Packed]
    by_species: bool

    @property
    def dimensions(self) -> tuple[str, ...]:
        return ("species", "y", "x") if self.by_species else ("y", "x")


@dataclass(frozen=True)
class _Dataset:
    atlas: Atlas
    grid: Grid
    species: tuple[Layer, ...]
    variables: tuple[_Variable, ...]
    attributes: dict[str, str]


def write_netcdf(
    path: Path,
    atlas: Atlas,
    layers: Sequence[Layer],
    spec: PixelSpec | None = None,
    region: regions.Region | None = None,
) -> Path:
    """Write species and layers on a grid as NetCDF 4 after the conventions CF-1.8.

    `probability` (species, y, x) holds the species among the layers, as bytes with `scale_factor` 0.005 and
    `_FillValue` 255 or as float32; any other layer is a variable (y, x). `species_name` (species) names them.
    `spec` and `region` are those of `rasters.write_cogs`. Raises `ExportError`, `NoDataInRegionError`.
    """
    import netCDF4

    cells, dataset = _describe(atlas, layers, spec or PixelSpec(), region)
    grid = dataset.grid
    folder = writable_folder(path.parent)
    with (
        written_aside(path, ExportError) as aside,
        pixel_index(grid, cells, atlas.store.resolution, folder) as index,
        netCDF4.Dataset(aside, "w", format="NETCDF4") as file,
    ):
        file.setncatts(dataset.attributes)
        file.createDimension("y", grid.height)
        file.createDimension("x", grid.width)
        for axis, values in (("y", grid.y), ("x", grid.x)):
            coordinate = file.createVariable(axis, "f8", (axis,))
            coordinate.setncatts(_axis_attributes(grid, axis))
            coordinate[:] = values
        file.createVariable("crs", "i4").setncatts(_crs_attributes(grid))
        if dataset.species:
            file.createDimension("species", len(dataset.species))
            for name, (kind, values, attributes) in _species_columns(dataset).items():
                column = file.createVariable(name, str if kind == "text" else kind, ("species",))
                column.setncatts(attributes)
                column[:] = values
        for variable in dataset.variables:
            first = variable.packed(variable.layers[0])
            target = file.createVariable(
                variable.name,
                first.dtype,
                variable.dimensions,
                compression="zlib",
                complevel=4,
                chunksizes=_chunks(variable, grid),
                fill_value=first.data.dtype.type(first.nodata),
            )
            target.set_auto_maskandscale(False)
            target.setncatts(_variable_attributes(atlas, variable, first))
            for place, rows_of_strip, block in _blocks(variable, grid, index):
                target[(place, rows_of_strip) if variable.by_species else rows_of_strip] = block
    return path


def write_zarr_grid(
    address: str | Path,
    atlas: Atlas,
    layers: Sequence[Layer],
    spec: PixelSpec | None = None,
    region: regions.Region | None = None,
    storage_options: dict[str, Any] | None = None,
) -> str:
    """Write the dataset of `write_netcdf` as a Zarr v3 group at any fsspec address; returns the address.

    xarray opens it. The attribute `complete` of the group is set last. Raises `ExportError`, also when
    something lies there already, and `NoDataInRegionError`.
    """
    import zarr

    cells, dataset = _describe(atlas, layers, spec or PixelSpec(), region)
    target = str(address)
    _refuse_existing(target, storage_options)
    local = "://" not in target
    beside = writable_folder(Path(target).parent) if local else Path(tempfile.gettempdir())
    options = None if local else storage_options or {}
    try:
        with pixel_index(dataset.grid, cells, atlas.store.resolution, beside) as index:
            _template(dataset).to_zarr(
                target,
                mode="w-",
                compute=False,
                zarr_format=3,
                consolidated=False,
                encoding=_zarr_encoding(dataset),
                storage_options=options,
            )
            group = zarr.open_group(target, mode="r+", storage_options=options)
            for variable in dataset.variables:
                array: Any = group[variable.name]
                for place, rows_of_strip, block in _blocks(variable, dataset.grid, index):
                    array[(place, rows_of_strip) if variable.by_species else rows_of_strip] = block
            group.attrs["complete"] = True
            with warnings.catch_warnings():
                # Not in the Zarr v3 specification yet; readers that know it open the group with one request.
                warnings.filterwarnings("ignore", category=zarr.errors.ZarrUserWarning)
                zarr.consolidate_metadata(group.store)
    except BaseException as error:
        if local:
            shutil.rmtree(target, ignore_errors=True)
        own = isinstance(error, FlorascopeError) or not isinstance(error, Exception)
        if isinstance(error, OSError) or not (local or own):
            raise ExportError(f"{target} cannot be written ({error}); choose another address.") from error
        raise
    return target


def _refuse_existing(target: str, storage_options: dict[str, Any] | None) -> None:
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(target, **(storage_options or {}))
        exists = system.exists(path) and (not system.isdir(path) or bool(system.ls(path)))
    except Exception as error:  # each file system behind fsspec raises errors of its own
        raise ExportError(f"The address {target} cannot be used: {error}") from error
    if exists:
        raise ExportError(f"Something lies at {target} already; remove it or give another address.")


def _describe(
    atlas: Atlas,
    layers: Sequence[Layer],
    spec: PixelSpec,
    region: regions.Region | None,
) -> tuple[NDArray[np.uint64], _Dataset]:
    """Cells that are written, and the dataset before any value is read."""
    rows, cells, lonlat = cells_of(atlas, region)
    grid = make_grid(cells, lonlat, spec)

    def packed(layer: Layer) -> Packed:
        return pack(layer.values(atlas.store, rows), spec.dtype, layer.species_id is not None)

    species = tuple(layer for layer in layers if layer.species_id is not None)
    others = [layer for layer in layers if layer.species_id is None]
    variables = [_Variable(layer.name, (layer,), packed, False) for layer in others]
    if species:
        variables.insert(0, _Variable(_PROBABILITY, species, packed, True))
    tags = atlas_tags(atlas)
    attributes = {
        "Conventions": CONVENTIONS,
        "title": atlas.title,
        "source": tags["SOFTWARE"],
        "institution": "Florascope",
        "references": tags["CITATION"],
        "history": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} exported by {tags['SOFTWARE']}",
        "comment": tags["GRAIN"],
        "license": tags["LICENCE"],
        "atlas": tags["ATLAS"],
        "atlas_version": tags["ATLAS_VERSION"],
        "atlas_date": tags["DATE"],
        "h3_resolution": tags["H3_RESOLUTION"],
    }
    return cells, _Dataset(atlas, grid, species, tuple(variables), attributes)


def _blocks(variable: _Variable, grid: Grid, index: PixelIndex) -> Iterator[tuple[int, slice, NDArray[Any]]]:
    """Place among the species, rows and values of every piece of a variable."""
    for place, layer in enumerate(variable.layers):
        packed = variable.packed(layer)
        by_row = np.append(packed.data, np.array([packed.nodata], dtype=packed.data.dtype))
        for rows in grid.strips():
            yield place, rows, by_row[index[rows]]


def _chunks(variable: _Variable, grid: Grid) -> tuple[int, ...]:
    side = (min(BLOCK, grid.height), min(BLOCK, grid.width))
    return (1, *side) if variable.by_species else side


def _axis_attributes(grid: Grid, axis: str) -> dict[str, str]:
    if grid.crs.is_geographic:
        name = "longitude" if axis == "x" else "latitude"
        unit = "degrees_east" if axis == "x" else "degrees_north"
    else:
        name, unit = f"projection_{axis}_coordinate", _cf_unit(str(grid.crs.axis_info[0].unit_name))
    return {
        "standard_name": name,
        "long_name": f"{name.replace('_', ' ')} of pixel centres",
        "units": unit,
        "axis": axis.upper(),
    }


def _cf_unit(unit: str) -> str:
    return {"metre": "m", "US survey foot": "US_survey_foot"}.get(unit, unit)


def _crs_attributes(grid: Grid) -> dict[str, Any]:
    """CF grid mapping, with the text that GDAL reads under its own name too."""
    text = grid.crs.to_wkt()
    cf = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in grid.crs.to_cf().items()
        if value is not None
    }
    return {**cf, "spatial_ref": text, "crs_wkt": text}


def _species_columns(dataset: _Dataset) -> dict[str, tuple[str, NDArray[Any], dict[str, str]]]:
    """Variables of the dimension species: type, values, attributes."""
    table = dataset.atlas.species
    columns = [layer.species_id for layer in dataset.species if layer.species_id is not None]
    found: dict[str, tuple[str, NDArray[Any], dict[str, str]]] = {
        "species": (
            "i4",
            np.array(columns, dtype=np.int32),
            {"long_name": "column of the species in the atlas", "units": "1"},
        ),
        "species_name": (
            "text",
            np.array([layer.species for layer in dataset.species], dtype=object),
            {"long_name": "scientific name", "standard_name": "biological_taxon_name"},
        ),
    }
    if "gbif_key" in table:
        keys = pd.to_numeric(table["gbif_key"].iloc[columns]).fillna(-1).to_numpy(dtype=np.int64)
        found["gbif_key"] = ("i8", keys, {"long_name": "taxon key in the GBIF backbone, -1 if none"})
    return found


def _variable_attributes(atlas: Atlas, variable: _Variable, packed: Packed) -> dict[str, Any]:
    layer = variable.layers[0]
    attributes: dict[str, Any] = {
        "long_name": "probability of being recorded" if variable.by_species else layer.title,
        "units": "1"
        if layer.unit in (PROBABILITY_UNIT, CATEGORY_UNIT, "expected species", "species", "nats")
        else layer.unit,
        "unit_name": layer.unit,
        "grid_mapping": "crs",
        "comment": grain_sentence(atlas) if variable.by_species else meaning(atlas, layer),
    }
    if packed.data.dtype == np.uint8:
        attributes["scale_factor"] = packed.scale
        attributes["add_offset"] = packed.offset
    if layer.categories is not None and not variable.by_species:
        attributes["flag_values"] = np.arange(len(layer.categories.names), dtype=packed.data.dtype)
        attributes["flag_meanings"] = " ".join(name.replace(" ", "_") for name in layer.categories.names)
    if variable.by_species:
        attributes["valid_range"] = (
            np.array([0, 200], dtype=np.uint8)
            if packed.data.dtype == np.uint8
            else np.array([0, 1], dtype=np.float32)
        )
        attributes["coordinates"] = "species_name"
    return attributes


def _template(dataset: _Dataset) -> Any:
    """An xarray dataset of the right shape whose pixel values are still to be written."""
    import dask.array as da
    import xarray as xr

    grid = dataset.grid
    coordinates: dict[str, Any] = {
        "y": ("y", grid.y, _axis_attributes(grid, "y")),
        "x": ("x", grid.x, _axis_attributes(grid, "x")),
        "crs": ((), np.int32(0), _crs_attributes(grid)),
    }
    if dataset.species:
        for name, (_, values, said) in _species_columns(dataset).items():
            coordinates[name] = ("species", values, said)
    variables = {}
    for variable in dataset.variables:
        first = variable.packed(variable.layers[0])
        shape = (grid.height, grid.width)
        attributes = _variable_attributes(dataset.atlas, variable, first)
        attributes.pop("coordinates", None)
        attributes = {
            key: value.tolist() if hasattr(value, "tolist") else value for key, value in attributes.items()
        }
        attributes["_FillValue"] = math.nan if first.dtype == "float32" else int(first.nodata)
        variables[variable.name] = (
            variable.dimensions,
            da.zeros(
                (len(variable.layers), *shape) if variable.by_species else shape,
                chunks=_chunks(variable, grid),
                dtype=first.dtype,
            ),
            attributes,
        )
    return xr.Dataset(variables, coordinates, dataset.attributes)


def _zarr_encoding(dataset: _Dataset) -> dict[str, dict[str, Any]]:
    encoding: dict[str, dict[str, Any]] = {}
    for variable in dataset.variables:
        nodata = variable.packed(variable.layers[0]).nodata
        encoding[variable.name] = {"chunks": _chunks(variable, dataset.grid), "fill_value": nodata}
    return encoding
