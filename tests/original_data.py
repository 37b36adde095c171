"""The original data sets, each read once for all tests that look at them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from sdm_core.covariates import CovariateStack, read_stack
from sdm_core.occurrences import Occurrences, read_afliber, read_eu_forest


@lru_cache(maxsize=1)
def eu_forest(data_dir: Path) -> Occurrences:
    return read_eu_forest(data_dir / "eu_forest" / "EUForestspecies.zip")


@lru_cache(maxsize=1)
def afliber(data_dir: Path) -> Occurrences:
    return read_afliber(data_dir / "afliber_iberia")


@lru_cache(maxsize=1)
def european_predictors(data_dir: Path) -> CovariateStack:
    return read_stack(data_dir / "europe_predictors_20km" / "europe_current_31vars.tif")
