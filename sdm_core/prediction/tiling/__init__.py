"""Tiling: a model predicts every cell of a study area, one tile after the other or many at once.

protocol   what it needs of a model: a small specification that loads a predictor in any process
area       where cells may be, and the tiles that may hold one
work       one tile: predicted and written once, whoever else asks for it at the same time
plan       cells, bytes and time before the first tile, and whether the disk has room
run        all tiles, in this process or on others
cluster    the same on Dask: its own workers, or a scheduler at an address
"""

from sdm_core.prediction.tiling.area import StudyArea, children_of, tiles_of_area
from sdm_core.prediction.tiling.plan import TilingPlan, make_plan
from sdm_core.prediction.tiling.protocol import CellPredictor, PredictorSpec, predictor_of
from sdm_core.prediction.tiling.run import Progress, TilingError, missing_tiles, run_tiling
from sdm_core.prediction.tiling.work import TileResult, tile_lock, tile_one

__all__ = [
    "CellPredictor",
    "PredictorSpec",
    "Progress",
    "StudyArea",
    "TileResult",
    "TilingError",
    "TilingPlan",
    "children_of",
    "make_plan",
    "missing_tiles",
    "predictor_of",
    "run_tiling",
    "tile_lock",
    "tile_one",
    "tiles_of_area",
]
