"""Probabilities as one byte: a square-root code that keeps small probabilities and exact sums.

`code = round(255·√p)` and `p = (code / 255)²`. The code is monotone, so ranks, maxima and cuts can be
taken on codes. Its steps grow with p: the error is at most `√p / 255 + 1 / 260100`, that is 0.0040
anywhere, 0.0013 below p = 0.1, and the smallest probability that is not zero is 1.5e-5. A decoded
probability is an integer over 65025, so area-weighted sums in whole hectares are exact in any order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core.errors import FlorascopeError

#: Denominator of every decoded probability: p = code² / 65025.
SQUARE_OF_MAX_CODE = 255 * 255
#: Probability of each code.
PROBABILITY_OF_CODE: NDArray[np.float64] = np.arange(256, dtype=np.float64) ** 2 / SQUARE_OF_MAX_CODE
#: Largest absolute difference between a probability and its decoded code, for p between 0 and 1.
LARGEST_CODE_ERROR = 254.75 / SQUARE_OF_MAX_CODE


class ProbabilityRangeError(FlorascopeError):
    """A value to be stored as a probability is not a number between 0 and 1."""


def encode(probability: ArrayLike) -> NDArray[np.uint8]:
    """Codes 0…255 of probabilities: `round(255·√p)`, halves rounded up.

    Raises `ProbabilityRangeError` for NaN and for values outside [0, 1].
    """
    values = np.asarray(probability)
    if values.dtype != np.float64:
        values = values.astype(np.float32)
    if values.size:
        smallest, largest = float(values.min()), float(values.max())
        if not (smallest >= 0.0 and largest <= 1.0):
            raise ProbabilityRangeError(
                f"probabilities run from {smallest} to {largest}, but the store holds numbers from 0 to 1; "
                "calibrate the scores, and leave cells without a prediction out"
            )
    scaled = np.sqrt(values)
    scaled *= 255.0
    scaled += 0.5
    return scaled.astype(np.uint8)


def decode(code: ArrayLike, dtype: type[np.floating] = np.float64) -> NDArray[np.floating]:
    """Probabilities of codes: `(code / 255)²`."""
    return PROBABILITY_OF_CODE.astype(dtype)[np.asarray(code, dtype=np.uint8)]
