"""Gauss–Legendre quadrature on 0…1 for products of 1 − p + p·x over species."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def n_nodes(n_species: int, largest: int, expected: float) -> int:
    """Nodes that keep the quadrature error below 1e-9.

    n_species + 1 are exact. As the integrand behaves like x^(k + Σ p), about the root of that power is
    enough; 3 roots and 32 more leave errors near 1e-12 (tested against the exact number). Rounded up to a
    multiple of 16, so that cells much alike share their nodes.
    """
    return min(n_species + 1, 32 + 16 * math.ceil(3 * math.sqrt(largest + expected) / 16))


@lru_cache(maxsize=512)
def nodes(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes and weights."""
    places, weights = np.polynomial.legendre.leggauss(count)
    return (places + 1.0) / 2.0, weights / 2.0
