"""Numbers as people read them: sensible digits, thin spaces, unit after a no-break space."""

from __future__ import annotations

import math

THIN_SPACE = "\u202f"
#: From here on numbers of a map are written without decimals; and decimals of small ones at most.
_WHOLE_FROM, _MOST_DIGITS = 20, 5


def number(value: float | None, digits: int = 0, unit: str = "") -> str:
    """`12 345`, `0.62` or `–` for a missing value, with the unit if one is given."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:,.{digits}f}".replace(",", THIN_SPACE).replace("-", "−")
    return f"{text}{THIN_SPACE}{unit}" if unit else text


def percent(probability: float | None) -> str:
    """A probability as `42 %`, `3.1 %` or `< 0.1 %`."""
    if probability is None or not math.isfinite(probability):
        return "–"
    if probability == 0:
        return f"0{THIN_SPACE}%"
    if probability < 0.001:
        return f"<{THIN_SPACE}0.1{THIN_SPACE}%"
    digits = 1 if probability < 0.0995 else 0
    text = f"{100 * probability:.{digits}f}".removesuffix(".0")
    return f"{text}{THIN_SPACE}%"


def interval(value: float | None, low: float | None, high: float | None, digits: int = 0) -> str:
    """`42 (35–51)`; without bounds just the value."""
    if low is None or high is None:
        return number(value, digits)
    return f"{number(value, digits)} ({number(low, digits)}–{number(high, digits)})"


def range_text(low: float | None, high: float | None, digits: int = 0) -> str:
    """`35–51`; empty without bounds."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"{number(low, digits)}–{number(high, digits)}"


def area(km2: float | None) -> str:
    """An area in km², with decimals only where it is small."""
    if km2 is None:
        return "–"
    return number(km2, 2 if km2 < 10 else 1 if km2 < 100 else 0, "km²")


def duration(seconds: float) -> str:
    """How long something takes, in the unit a person would use, rounded up a little rather than down."""
    if seconds < 55:
        return f"{max(1, math.ceil(seconds / 5) * 5 if seconds > 10 else math.ceil(seconds))}{THIN_SPACE}s"
    if seconds < 55 * 60:
        return f"{math.ceil(seconds / 60)}{THIN_SPACE}min"
    return f"{number(seconds / 3600, 1)}{THIN_SPACE}h"


def size(n_bytes: float) -> str:
    """A size on disk in MB or GB."""
    return number(n_bytes / 1e9, 1, "GB") if n_bytes >= 1e9 else number(max(1, n_bytes / 1e6), 0, "MB")


def layer_value(layer: str, value: float) -> str:
    """A value of a map layer as its legend and tooltip write it; of a width as of the layer itself."""
    quantity = layer.removesuffix("_width")
    if quantity in ("species", "spread") or quantity.endswith("_share"):
        return percent(value)
    if quantity in ("shannon", "dissimilarity"):
        return number(value, 2)
    if quantity == "simpson":
        return number(value, 3)
    if quantity in ("effort", "information", "mess"):
        return number(value, 0 if abs(value) >= _WHOLE_FROM or value == int(value) else 1)
    return amount(value)


def layer_ends(layer: str, low: float, high: float) -> tuple[str, str]:
    """Ends of an interval of a map layer with the decimals of the high one; the unit stands behind that."""
    upper = layer_value(layer, high)
    unit = upper[len(upper.rstrip("%" + THIN_SPACE)) :]
    factor, digits = 100 if unit else 1, len(upper.removesuffix(unit).partition(".")[2])
    lower = number(factor * low, digits)
    if not lower.strip("0."):
        lower = "0"
    return lower, upper


def amount(value: float) -> str:
    """An expected number: `42`, `3.4`, `0.25`, `0.0031`, with two digits where it is below 1."""
    if not math.isfinite(value) or value >= _WHOLE_FROM or value == int(value):
        return number(value)
    if value >= 1:
        return number(value, 1)
    digits = min(_MOST_DIGITS, 1 - math.floor(math.log10(value))) if value > 0 else 0
    return number(value, digits).rstrip("0").rstrip(".") or "0"


def file_stem(*parts: str) -> str:
    """A file name of plain letters, digits and dashes from a place, an atlas and a date."""
    cleaned = ("".join(letter if letter.isalnum() else "-" for letter in part.lower()) for part in parts)
    return "_".join("-".join(filter(None, part.split("-")))[:60] or "area" for part in cleaned)
