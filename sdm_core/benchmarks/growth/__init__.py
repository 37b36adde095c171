"""How the cost of predictions grows with cells and species, and what that means for a continent.

measure      stores of growing size: build, open, region, species map
forward      cells a second of networks with growing numbers of species, and their operations per cell
extrapolate  Europe at any H3 resolution from what was measured, with its assumptions
page         the plots and the page
"""

from sdm_core.benchmarks.growth.extrapolate import Assumptions, Estimate, Tiled, estimate, read_tiled
from sdm_core.benchmarks.growth.forward import measure_forward
from sdm_core.benchmarks.growth.measure import measure_stores
from sdm_core.benchmarks.growth.page import write_page

__all__ = [
    "Assumptions",
    "Estimate",
    "Tiled",
    "estimate",
    "measure_forward",
    "measure_stores",
    "read_tiled",
    "write_page",
]
