"""Models: sites in, one logit per site and species out.

Networks on places and covariates (SINR, its geographical prior with observers, DeepMaxent, co-occurrence),
on images and cubes (ResNet fusion, the multimodal network), a kernel model, and baselines (grid, logistic
regression, down-sampled forest, Maxent) share `SpeciesModel`: `predict_logits`, and `save_model` /
`load_model` for checkpoints; `Ensemble` and `FoldEnsemble` combine them, `apply_geo_prior` joins one with an
image classifier. Fitting them is `sdm_core.training`. Building or loading a model never needs the network.
"""

from sdm_core.models.base import SiteInputs, SpeciesModel, check_no_missing
from sdm_core.models.baselines import DiscretizedGrid, GridSettings
from sdm_core.models.checkpoint import (
    CHECKPOINT_FORMAT,
    Checkpoint,
    load_model,
    model_class,
    model_kinds,
    save_model,
)
from sdm_core.models.companions import CoOccurrence, CoOccurrenceSettings
from sdm_core.models.deep_maxent import DeepMaxent, DeepMaxentFitting, DeepMaxentSettings
from sdm_core.models.encodings import encode_day_of_year, encode_lonlat
from sdm_core.models.ensemble import Ensemble, FoldEnsemble, combine_logits
from sdm_core.models.fusion import FusionResNet, FusionSettings, bio_resnet_2023, fus_resnet_2023
from sdm_core.models.geo_prior import (
    PriorEffect,
    align_prior,
    apply_geo_prior,
    image_log_probabilities,
    prior_effect,
)
from sdm_core.models.kernel import KernelRidge, KernelSettings
from sdm_core.models.maxent import Maxent, MaxentSettings
from sdm_core.models.multimodal import (
    BranchSettings,
    Multimodal,
    MultimodalSettings,
    multimodal_2024,
    multimodal_baseline_2024,
)
from sdm_core.models.network_models import (
    Logistic,
    NetworkModel,
    NetworkSettings,
    Sinr,
)
from sdm_core.models.presets import PRESETS
from sdm_core.models.quadratic import fit_logistic
from sdm_core.models.random_forest import DownSampledForest, Forest, ForestSettings
from sdm_core.models.sinr_geo_prior import GeoPriorSettings, GeoPriorSinr

__all__ = [
    "CHECKPOINT_FORMAT",
    "PRESETS",
    "BranchSettings",
    "Checkpoint",
    "CoOccurrence",
    "CoOccurrenceSettings",
    "DeepMaxent",
    "DeepMaxentFitting",
    "DeepMaxentSettings",
    "DiscretizedGrid",
    "DownSampledForest",
    "Ensemble",
    "FoldEnsemble",
    "Forest",
    "ForestSettings",
    "FusionResNet",
    "FusionSettings",
    "GeoPriorSettings",
    "GeoPriorSinr",
    "GridSettings",
    "KernelRidge",
    "KernelSettings",
    "Logistic",
    "Maxent",
    "MaxentSettings",
    "Multimodal",
    "MultimodalSettings",
    "NetworkModel",
    "NetworkSettings",
    "PriorEffect",
    "Sinr",
    "SiteInputs",
    "SpeciesModel",
    "align_prior",
    "apply_geo_prior",
    "bio_resnet_2023",
    "check_no_missing",
    "combine_logits",
    "encode_day_of_year",
    "encode_lonlat",
    "fit_logistic",
    "fus_resnet_2023",
    "image_log_probabilities",
    "load_model",
    "model_class",
    "model_kinds",
    "multimodal_2024",
    "multimodal_baseline_2024",
    "prior_effect",
    "save_model",
]
