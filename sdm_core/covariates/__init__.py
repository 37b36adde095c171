"""Covariates: what each place is like, from rasters on one grid, with units, nodata and coordinate system."""

from sdm_core.covariates.grid import RasterGrid
from sdm_core.covariates.reading import read_stack
from sdm_core.covariates.source import RasterSource, open_rasters
from sdm_core.covariates.stack import CovariateStack, grid_difference
from sdm_core.covariates.units import layer_name, unit_of

__all__ = [
    "CovariateStack",
    "RasterGrid",
    "RasterSource",
    "grid_difference",
    "layer_name",
    "open_rasters",
    "read_stack",
    "unit_of",
]
