"""Calibrated probabilities of every species in every cell: the store that pages, reports and files read.

Hot copy: one byte per cell and species, rows in H3 order, memory-mapped, with totals per parent cell and a
copy by species; see `PredictionStore`. It is built in the cache on first use from what an atlas folder holds:
the archive `predictions.zarr.zip` (see `exchange`), or the tiles of `predictions.zarr` (see `TileStore`).
`write_atlas` writes an atlas folder with an archive. Beside it may lie further values of every cell
(`cell_layers`) and what held-out surveys say of every species (`held_out`).
"""

from sdm_core.prediction.atlas import CARD_FILE, MANIFEST_FILE, verify_manifest, write_atlas, write_manifest
from sdm_core.prediction.code import LARGEST_CODE_ERROR, ProbabilityRangeError, decode, encode
from sdm_core.prediction.content import StoreContent, quantised_hectares
from sdm_core.prediction.derive import NO_SPECIES_CUT
from sdm_core.prediction.exchange import EXCHANGE_FILE, pack, unpack
from sdm_core.prediction.hot import build_hot
from sdm_core.prediction.observed import observation_densities
from sdm_core.prediction.opening import open_cached
from sdm_core.prediction.points import APPLICABILITY_LAYER, PointsFileError, probabilities_at, read_points
from sdm_core.prediction.store import PredictionStore, RegionSums
from sdm_core.prediction.tiles import TILES_FOLDER, Tile, TileGrid, TileStore, tile_resolution_for
from sdm_core.prediction.write import write_store
from sdm_core.regions import hectare_quantum

__all__ = [
    "APPLICABILITY_LAYER",
    "CARD_FILE",
    "EXCHANGE_FILE",
    "LARGEST_CODE_ERROR",
    "MANIFEST_FILE",
    "NO_SPECIES_CUT",
    "TILES_FOLDER",
    "PointsFileError",
    "PredictionStore",
    "ProbabilityRangeError",
    "RegionSums",
    "StoreContent",
    "Tile",
    "TileGrid",
    "TileStore",
    "build_hot",
    "decode",
    "encode",
    "hectare_quantum",
    "observation_densities",
    "open_cached",
    "pack",
    "probabilities_at",
    "quantised_hectares",
    "read_points",
    "tile_resolution_for",
    "unpack",
    "verify_manifest",
    "write_atlas",
    "write_manifest",
    "write_store",
]
