"""Longitude and latitude as network inputs."""

from __future__ import annotations

from typing import Literal

import numpy as np

from sdm_core.errors import ConfigurationError

Encoding = Literal["sinr", "sphere", "fourier"]
ENCODINGS: tuple[Encoding, ...] = ("sinr", "sphere", "fourier")


def encode_lonlat(
    lonlat: np.ndarray,
    encoding: Encoding,
    bounds: tuple[float, float, float, float] | None = None,
    frequencies: tuple[int, ...] = (),
) -> np.ndarray:
    """Coordinates (n, 2) in degrees as network inputs (n, n_columns) float32.

    - `sinr`: [sin πx, cos πx, sin πy, cos πy], x = lon/180, y = lat/90 (SINR, equation 8.2). Both poles get
      the same latitude columns; kept to reproduce the paper.
    - `sphere`: [sin πx, cos πx, sin(πy/2), cos(πy/2)]: the same with half the angle for latitude, so that
      the poles differ. Agrees at ±180° as well.
    - `fourier`: for a study area `bounds` (west, south, east, north): both coordinates scaled to [-1, 1]
      over it, then sin(πfx/2), cos(πfx/2), sin(πfy/2), cos(πfy/2) for each frequency f. For areas that do
      not cross the date line; outside the area values go on beyond ±1.
    """
    longitude, latitude = np.asarray(lonlat, dtype=np.float64).T
    if encoding in ("sinr", "sphere"):
        x = np.pi * longitude / 180.0
        y = np.pi * latitude / (90.0 if encoding == "sinr" else 180.0)
        return np.stack([np.sin(x), np.cos(x), np.sin(y), np.cos(y)], axis=1).astype(np.float32)
    if encoding == "fourier":
        if bounds is None:
            raise ConfigurationError("The 'fourier' encoding needs the bounds of the study area.")
        west, south, east, north = bounds
        x = 2.0 * (longitude - west) / (east - west) - 1.0
        y = 2.0 * (latitude - south) / (north - south) - 1.0
        columns = [x, y]
        for frequency in frequencies:
            for scaled in (x, y):
                angle = np.pi * frequency * scaled / 2.0
                columns += [np.sin(angle), np.cos(angle)]
        return np.stack(columns, axis=1).astype(np.float32)
    raise ConfigurationError(f"Unknown encoding {encoding!r}; expected one of {', '.join(ENCODINGS)}.")
