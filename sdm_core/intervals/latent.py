"""The error model: hidden standard normals, one per species and place, that fall together where errors do.

A species is present where its hidden normal Y lies below Φ⁻¹(p), so that p stays the probability of it. Y of
two places correlate by ρ where they lie in the same square of the error model's grids, the more the smaller
the square; Y of two species correlate less, since only what ails a whole list (effort, survey quality, a
missing covariate) moves them together. Given one common factor g of a place or region,

    P(present | g) = Φ( (Φ⁻¹(p) + √ρ·g) / √(1 − ρ) ),   g ~ N(0, 1),

whose mean over g is p again: drawing errors moves no expectation. This is the one-factor model of Vasicek
(2002, "The distribution of loan portfolio value", Risk 15); correlated presences through hidden normals as in
Emrich & Piedmonte (1991, doi 10.1080/00031305.1991.10475828). Its use for distribution models, with
correlations by distance read from held-out blocks, is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from sdm_core.errors import FlorascopeError
from sdm_core.prediction.code import PROBABILITY_OF_CODE

Floats = NDArray[np.float64]

#: Correlation above which the fit does not go: all places would be one.
HIGHEST_CORRELATION = 0.9
#: Probabilities are kept this far from 0 and 1 when their normal deviate is taken.
_LEAST = 1e-7
#: Normal deviate of the probability of each code; code 0 (no probability) is never present.
DEVIATE_OF_CODE: Floats = ndtri(np.clip(PROBABILITY_OF_CODE, _LEAST, 1.0 - _LEAST))
#: Density of the normal there: how much a small correlated error moves the probability.
DENSITY_OF_CODE: Floats = np.where(
    PROBABILITY_OF_CODE > 0, np.exp(-(DEVIATE_OF_CODE**2) / 2.0) / np.sqrt(2.0 * np.pi), 0.0
)


class ErrorModelError(FlorascopeError):
    """Held-out surveys, or a saved error model, that say nothing about errors."""


@dataclass(frozen=True)
class ErrorModel:
    """Correlations of the hidden normals, from held-out sites.

    Attributes:
        scales_deg: sides of the nested squares in degrees, smallest first; beyond the largest, errors of two
            places have nothing to do with each other.
        same_species: correlation of one species at two places that share a square of this side and none that
            is smaller; never rising with the side.
        other_species: the same of two different species at two places.
        other_species_here: of two different species at one place.
        n_sites: held-out sites it comes from.
        n_blocks: squares of the largest side they lie in.
    """

    scales_deg: tuple[float, ...]
    same_species: tuple[float, ...]
    other_species: tuple[float, ...]
    other_species_here: float
    n_sites: int
    n_blocks: int

    def __post_init__(self) -> None:
        n = len(self.scales_deg)
        if not n or len(self.same_species) != n or len(self.other_species) != n:
            raise ErrorModelError(
                f"An error model has {n} scales, {len(self.same_species)} and {len(self.other_species)} "
                "correlations; expected one of each kind per scale."
            )
        numbers = (*self.same_species, *self.other_species, self.other_species_here)
        if not all(0.0 <= number <= HIGHEST_CORRELATION for number in numbers):
            raise ErrorModelError(
                f"A correlation of the error model lies outside 0 to {HIGHEST_CORRELATION}: {numbers}."
            )
        if list(self.scales_deg) != sorted(set(self.scales_deg)) or not self.scales_deg[0] > 0:
            raise ErrorModelError(f"Scales must rise from above 0; found {self.scales_deg}.")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        plain = asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> ErrorModel:
        """What `to_dict` gave. Raises `ErrorModelError` for anything else."""
        try:
            return cls(
                tuple(float(side) for side in saved["scales_deg"]),
                tuple(float(number) for number in saved["same_species"]),
                tuple(float(number) for number in saved["other_species"]),
                float(saved["other_species_here"]),
                int(saved["n_sites"]),
                int(saved["n_blocks"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ErrorModelError(
                f"The error model of the atlas cannot be read ({type(error).__name__}: {error}); make it "
                "again with `python -m sdm_core coverage`."
            ) from error


def squares_of(lonlat: ArrayLike, side_deg: float) -> NDArray[np.int64]:
    """Number (n,) of the square floor(lon / side), floor(lat / side) that each point lies in, from 0."""
    corners = np.floor(np.asarray(lonlat, dtype=np.float64) / side_deg).astype(np.int64)
    return np.unique(corners, axis=0, return_inverse=True)[1].ravel()


def conditional_table(correlation: float, factors: ArrayLike) -> Floats:
    """P(present | g) of every code (n_factors, 256) for factors g; 0 for code 0."""
    g = np.asarray(factors, dtype=np.float64)[:, None]
    table = ndtr((DEVIATE_OF_CODE + np.sqrt(correlation) * g) / np.sqrt(1.0 - correlation))
    table[:, 0] = 0.0
    return table
