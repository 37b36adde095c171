"""How far the numbers of an atlas may be off: errors measured on held-out blocks, carried to every indicator.

`fit_error_model` reads from held-out sites how errors of a model hang together: of one species over
distance, and of different species at a place. `draw_region` draws what a region may really hold, given its
predictions and these errors; any indicator worked out on the draws has an interval. `richness_of_a_cell` does
the same for the number of species of single cells, `cell_half_widths` for the maps. `coverage_on_blocks`
measures how often such intervals hold what was recorded on blocks that no part of them has seen.
"""

from sdm_core.intervals.cells import cell_half_widths, probability_ends, richness_of_a_cell
from sdm_core.intervals.coverage import COVERED_TEXTS, coverage_on_blocks
from sdm_core.intervals.draws import LEVEL, RegionDraws, draw_region, interval_of, number_interval
from sdm_core.intervals.fitting import fit_error_model
from sdm_core.intervals.latent import ErrorModel

__all__ = [
    "COVERED_TEXTS",
    "LEVEL",
    "ErrorModel",
    "RegionDraws",
    "cell_half_widths",
    "coverage_on_blocks",
    "draw_region",
    "fit_error_model",
    "interval_of",
    "number_interval",
    "probability_ends",
    "richness_of_a_cell",
]
