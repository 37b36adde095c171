"""An atlas as files that other programs open: rasters, tables of cells, grids, a catalogue.

layers           what can be exported, and how its values become bytes
grid, pixels     pixels in any coordinate system, and the cell of each pixel's centre
metadata         what every file says of itself: version, grain, sources, licence, citation
rasters          cloud-optimised GeoTIFF
cells            GeoParquet of cells
grids            NetCDF (CF) and Zarr of many species on one grid
stac, publishing a folder of GeoTIFFs with a static STAC catalogue
"""

from sdm_core.exports.cells import GEOMETRIES, write_cells, write_cells_geoparquet
from sdm_core.exports.grid import Grid, PixelSpec, make_grid, read_crs
from sdm_core.exports.grids import write_netcdf, write_zarr_grid
from sdm_core.exports.layers import DTYPES, Layer, Packed, choose_layers, layer_of, pack, slug, species_layer
from sdm_core.exports.metadata import atlas_tags, citation, layer_tags, licence
from sdm_core.exports.pixels import pixel_index, rows_of_pixels
from sdm_core.exports.publishing import CATALOGUE_FILE, publish, published_folder
from sdm_core.exports.rasters import write_cog, write_cogs, write_rasters

__all__ = [
    "CATALOGUE_FILE",
    "DTYPES",
    "GEOMETRIES",
    "Grid",
    "Layer",
    "Packed",
    "PixelSpec",
    "atlas_tags",
    "choose_layers",
    "citation",
    "layer_of",
    "layer_tags",
    "licence",
    "make_grid",
    "pack",
    "pixel_index",
    "publish",
    "published_folder",
    "read_crs",
    "rows_of_pixels",
    "slug",
    "species_layer",
    "write_cells",
    "write_cells_geoparquet",
    "write_cog",
    "write_cogs",
    "write_netcdf",
    "write_rasters",
    "write_zarr_grid",
]
