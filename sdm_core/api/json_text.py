"""JSON as clients send it: bounded in depth, without NaN, without numbers that overflow."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import numpy as np

from sdm_core.api.refusals import ApiError

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"', flags=re.DOTALL)
#: Digits of an integer that surely fits 64 bits.
_MAX_DIGITS = 18


def read_json(text: bytes, max_depth: int) -> Any:
    """Content of a JSON text.

    Raises:
        ApiError: 400, it is no JSON, holds NaN or a number too large, or is nested deeper than `max_depth`.
    """
    depth = _depth(text)
    if depth > max_depth:
        raise ApiError(
            400, f"The JSON is nested {depth} levels deep, and {max_depth} are read; send plain GeoJSON."
        )
    try:
        return json.loads(text.decode(), parse_constant=_refuse, parse_float=_finite, parse_int=_whole)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ApiError(400, f"The body is not JSON at {where}; check how it was written.") from error
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "The body is not JSON in UTF-8; check how it was written.") from error


def _depth(text: bytes) -> int:
    """Deepest nesting of brackets outside strings."""
    letters = np.frombuffer(_STRING.sub(b"", text), dtype=np.uint8)
    opening = (letters == ord("[")) | (letters == ord("{"))
    closing = (letters == ord("]")) | (letters == ord("}"))
    steps = opening.astype(np.int8) - closing.astype(np.int8)
    return int(np.cumsum(steps, dtype=np.int32).max(initial=0))


def _refuse(name: str) -> float:
    raise ApiError(400, f"The JSON holds {name}, which JSON does not know; leave empty vertices out.")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ApiError(
            400, f"The JSON holds the number {digits[:20]}, which is too large to be a coordinate."
        )
    return value


def _whole(digits: str) -> float:
    return int(digits) if len(digits) <= _MAX_DIGITS else _finite(digits)
