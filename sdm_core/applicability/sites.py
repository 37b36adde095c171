"""Predictors at sites, checked once at the border of this room."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core.errors import ApplicabilityError


def checked_sites(values: ArrayLike, name: str, least: int = 1) -> NDArray[np.float64]:
    """Training sites (n_sites, n_variables) as float64, none of whose values is missing.

    Raises:
        ApplicabilityError: another shape, fewer than `least` sites, or a value that is NaN or infinite.
    """
    sites = checked_places(values, name)
    if len(sites) < least:
        raise ApplicabilityError(
            f"{name} holds {len(sites)} {'site' if len(sites) == 1 else 'sites'}, expected {least} or more."
        )
    if not np.isfinite(sites).all():
        row = int(np.flatnonzero(~np.isfinite(sites).all(axis=1))[0])
        raise ApplicabilityError(
            f"{name} has no number for a variable of site {row}; leave out sites with missing values."
        )
    return sites


def checked_places(values: ArrayLike, name: str, n_variables: int | None = None) -> NDArray[np.float64]:
    """Predictors (n, n_variables) as float64, NaN where one is not known.

    Raises:
        ApplicabilityError: another shape, another number of variables, or an infinite value.
    """
    try:
        places = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ApplicabilityError(f"{name} holds something other than numbers ({error}).") from error
    if places.ndim != 2:
        raise ApplicabilityError(f"{name} has shape {places.shape}, expected one row per place.")
    if n_variables is not None and places.shape[1] != n_variables:
        raise ApplicabilityError(
            f"{name} has {places.shape[1]} variables, but the training sites {n_variables}; give the same."
        )
    if np.isinf(places).any():
        raise ApplicabilityError(f"{name} holds an infinite value; give NaN where a value is not known.")
    return places
