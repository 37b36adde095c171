"""Numbers as readers see them: sensible digits, narrow spaces, a dash where nothing is defined."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime

#: Between groups of three digits; keeps them on one line.
NARROW_SPACE = "\u202f"
#: Between a number and its unit.
UNIT_SPACE = "\u00a0"
NOT_DEFINED = "–"
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def is_number(value: object) -> bool:
    """Whether a value is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def whole(value: object) -> str:
    """Integer with narrow spaces: 12 345; a dash where there is no number."""
    if not is_number(value):
        return NOT_DEFINED
    return f"{round(float(value)):,}".replace(",", NARROW_SPACE)  # type: ignore[arg-type]


def decimal(value: object, digits: int = 2) -> str:
    """Number with a fixed count of decimals: 3.21; a dash where there is no number."""
    if not is_number(value):
        return NOT_DEFINED
    return f"{float(value):,.{digits}f}".replace(",", NARROW_SPACE)  # type: ignore[arg-type]


def sensible(value: object, figures: int = 3) -> str:
    """Number with about three significant figures and never less than its whole part: 1 234, 56.7, 0.0123."""
    if not is_number(value):
        return NOT_DEFINED
    number = float(value)  # type: ignore[arg-type]
    if number == 0:
        return "0"
    places = figures - 1 - math.floor(math.log10(abs(number)))
    return decimal(number, min(max(places, 0), 6))


def area(value_km2: object) -> str:
    """Area in km²: 12 345 km²."""
    return f"{sensible(value_km2)}{UNIT_SPACE}km²" if is_number(value_km2) else NOT_DEFINED


def percent(share: object) -> str:
    """Share of one as a percentage: 12 %, 0.4 %; 100 % only where it is all, 99.7 % or > 99.9 % below."""
    if not is_number(share):
        return NOT_DEFINED
    value = 100.0 * float(share)  # type: ignore[arg-type]
    if 99.5 <= value < 100.0:
        shown = f">{NARROW_SPACE}99.9" if value >= 99.95 else decimal(value, 1)
        return f"{shown}{UNIT_SPACE}%"
    return f"{sensible(value, 2)}{UNIT_SPACE}%"


def probability(value: object) -> str:
    """Probability with two decimals; small ones as "< 0.01" rather than a nought that is none."""
    if not is_number(value):
        return NOT_DEFINED
    number = float(value)  # type: ignore[arg-type]
    if 0.0 < number < 0.005:
        return "<\u202f0.01"
    return f"{number:.2f}"


def counted(count: int, singular: str, plural: str | None = None) -> str:
    """Count and noun: 1 cell, 12 345 cells."""
    return f"{whole(count)} {singular if count == 1 else plural or singular + 's'}"


def long_date(moment: datetime) -> str:
    """Day as in 20 November 2026, in English whatever the locale."""
    return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}"


def listed(words: Sequence[str]) -> str:
    """Words as a list in a sentence: a, b and c."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def sentence(text: str) -> str:
    """Text with a capital first letter and a full stop."""
    stripped = text.strip()
    if not stripped:
        return ""
    return stripped[0].upper() + stripped[1:] + ("" if stripped[-1] in ".!?" else ".")


def file_stem(*parts: str) -> str:
    """File name of plain letters, digits and hyphens: pyrenees-european-trees-2026-11-20."""
    plain = unicodedata.normalize("NFKD", " ".join(parts)).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:120] or "region"


def safe_link(address: str) -> str:
    """The address when it is a web address a reader can follow, else an empty text."""
    return address if re.match(r"https?://[^\s\"'<>]+$", address) else ""


def count_like(value: object) -> str:
    """Expected number of species: whole from 20 on, with one decimal below."""
    if not is_number(value):
        return NOT_DEFINED
    return whole(value) if abs(float(value)) >= 20 else decimal(value, 1)  # type: ignore[arg-type]
