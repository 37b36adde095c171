"""Models: sites in, one logit per site and species out.

SINR, logistic regression, a ResNet fusion network, the discretized grid, and ensembles of them share
`SpeciesModel`: `predict_logits`, and `save_model` / `load_model` for checkpoints. Fitting them is
`sdm_core.training`. Building or loading a model never needs the network.
"""

from sdm_core.models.base import SiteInputs, SpeciesModel, check_no_missing
from sdm_core.models.baselines import DiscretizedGrid, GridSettings
from sdm_core.models.checkpoint import (
    CHECKPOINT_FORMAT,
    Checkpoint,
    load_model,
    model_class,
    save_model,
    write_aside,
)
from sdm_core.models.encodings import encode_lonlat
from sdm_core.models.ensemble import Ensemble, combine_logits
from sdm_core.models.network_models import (
    FusionResNet,
    FusionSettings,
    Logistic,
    NetworkModel,
    NetworkSettings,
    Sinr,
)

__all__ = [
    "CHECKPOINT_FORMAT",
    "Checkpoint",
    "DiscretizedGrid",
    "Ensemble",
    "FusionResNet",
    "FusionSettings",
    "GridSettings",
    "Logistic",
    "NetworkModel",
    "NetworkSettings",
    "Sinr",
    "SiteInputs",
    "SpeciesModel",
    "check_no_missing",
    "combine_logits",
    "encode_lonlat",
    "load_model",
    "model_class",
    "save_model",
    "write_aside",
]
