"""The engine of Florascope, in the order the data flows.

jobs                            work in the background, with progress and cancel
errors, config, colours         what every room shares
writing                         files that are whole or absent
occurrences, covariates         what was seen, what the place is like
naming, taxa                    which species a name means, its family, keys, synonyms and legal lists
statuses                        Red Lists and other status lists that users bring
regions                         polygons, places and the H3 cells inside them
features                        sites as tensors
losses, models, training        presence-only losses, networks and baselines, the training loop
evaluation                      spatial blocks, metrics, calibration, model card
prediction, registry            calibrated probabilities per H3 cell, and the atlases made of them
assemblages, diversity          probabilities to species sets; alpha, beta, gamma, Hill numbers
intervals                       how far predictions and indicators may be off, from held-out sites
indicators, applicability       what a region's page and report say, and how far to trust it
observed                        a user's own records and plots, beside what is predicted
exports                         GeoTIFF, GeoParquet, NetCDF, Zarr, a static STAC catalogue
reports                         HTML, PDF, CSV, JSON, GeoJSON, GeoParquet, manifest
pipeline                        configuration to atlas
api                             map tiles and the programming interface under /api
benchmarks                      every speed claim, measured

Nothing here imports Streamlit.
"""

from sdm_core import config

__version__ = config.CODE_VERSION

__all__ = ["__version__"]
