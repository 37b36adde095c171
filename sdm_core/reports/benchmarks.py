"""The region beside its countries and the whole atlas: dials of section 1 and the table of section 12."""

from __future__ import annotations

import math
from typing import Any

from sdm_core.indicators import BENCHMARK_TEXTS, Benchmarks, Standing
from sdm_core.reports import text

_COLUMNS = {
    "countries": "Among the cells of {place}",
    "outlines": "Among {place}",
    "atlas": "Among all cells of {place}",
}


def dials(found: Benchmarks) -> dict[str, Any]:
    """Columns and rows of the dials: one bar from 0 to 100 % for each measure and each set of cells."""
    first = found.of(next(iter(BENCHMARK_TEXTS)))
    return {
        "caption": "Where the region stands: share of other cells’ area with lower values, distance from "
        "their mean (definitions: section 12)",
        "columns": [
            _COLUMNS[standing.against].format(place=standing.place)
            + (f" ({found.frame.source})" if standing.against == "outlines" and found.frame else "")
            for standing in first
        ],
        "rows": [
            {"label": label, "bars": [_bar(standing) for standing in found.of(measure)]}
            for measure, (label, _) in BENCHMARK_TEXTS.items()
            if found.of(measure)
        ],
    }


def context_section(found: Benchmarks) -> dict[str, Any]:
    """Table and sentences of section 12."""
    return {
        "caption": "The region’s mean cell beside other cells, weighted by area",
        "rows": [_row(standing) for standing in found.standings],
        "measures": [
            {"label": label, "text": said}
            for name, (label, said) in BENCHMARK_TEXTS.items()
            if found.of(name)
        ],
        "words": "Average means within 10 % of the mean of the cells compared with, above and below to 30 %, "
        "far above and far below beyond.",
        "notes": list(found.notes),
    }


def _bar(standing: Standing) -> dict[str, str]:
    known = math.isfinite(standing.percentile)
    return {
        "left": f"{standing.percentile:.1f}" if known else "",
        "text": f"{percent_text(standing)}, {_beside_mean(standing)}" if known else "not defined",
    }


def _beside_mean(standing: Standing) -> str:
    """The words with the distance from the mean they are about: a middling percentile can be far below it."""
    if not math.isfinite(standing.difference_percent):
        return standing.words
    return f"{standing.words} ({_difference(standing)})"


def _difference(standing: Standing) -> str:
    """Distance from the mean of the cells compared with: +12 %, −78 %."""
    difference = standing.difference_percent
    if not math.isfinite(difference):
        return text.NOT_DEFINED
    sign = "+" if difference > 0 else "−" if difference < 0 else ""
    return f"{sign}{text.whole(abs(difference))}{text.UNIT_SPACE}%"


def percent_text(standing: Standing) -> str:
    """The percentile in whole percent, never rounded to 0 or 100 where it is neither."""
    value = standing.percentile
    if 0.0 < value < 1.0:
        return f"<{text.NARROW_SPACE}1{text.UNIT_SPACE}%"
    if 99.0 < value < 100.0:
        return f">{text.NARROW_SPACE}99{text.UNIT_SPACE}%"
    return f"{text.whole(value)}{text.UNIT_SPACE}%"


def _row(standing: Standing) -> dict[str, str]:
    return {
        "measure": BENCHMARK_TEXTS[standing.measure][0],
        "place": standing.place,
        "value": text.sensible(standing.value),
        "reference": text.sensible(standing.reference),
        "difference": _difference(standing),
        "percentile": percent_text(standing) if math.isfinite(standing.percentile) else text.NOT_DEFINED,
        "words": standing.words,
    }
