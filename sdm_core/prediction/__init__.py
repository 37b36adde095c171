"""Calibrated probabilities of every species in every cell: the store that pages, reports and files read.

Hot copy: one byte per cell and species, rows in H3 order, memory-mapped, with totals per parent cell and a
copy by species; see `PredictionStore`. Exchange copy: `predictions.zarr.zip`, Zarr v3, unpacked into the
cache on first use. `write_atlas` writes what an atlas folder ships.
"""

from sdm_core.prediction.atlas import CARD_FILE, MANIFEST_FILE, verify_manifest, write_atlas, write_manifest
from sdm_core.prediction.code import LARGEST_CODE_ERROR, ProbabilityRangeError, decode, encode
from sdm_core.prediction.derive import NO_SPECIES_CUT
from sdm_core.prediction.exchange import EXCHANGE_FILE, open_unpacked, pack, unpack
from sdm_core.prediction.observed import observation_densities
from sdm_core.prediction.points import APPLICABILITY_LAYER, PointsFileError, probabilities_at, read_points
from sdm_core.prediction.store import PredictionStore, RegionSums
from sdm_core.prediction.write import StoreContent, write_store

__all__ = [
    "APPLICABILITY_LAYER",
    "CARD_FILE",
    "EXCHANGE_FILE",
    "LARGEST_CODE_ERROR",
    "MANIFEST_FILE",
    "NO_SPECIES_CUT",
    "PointsFileError",
    "PredictionStore",
    "ProbabilityRangeError",
    "RegionSums",
    "StoreContent",
    "decode",
    "encode",
    "observation_densities",
    "open_unpacked",
    "pack",
    "probabilities_at",
    "read_points",
    "unpack",
    "verify_manifest",
    "write_atlas",
    "write_manifest",
    "write_store",
]
