"""Layers of a map whose numbers stand for something: names, colours, and the commonest one of an area."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sdm_core.colours import Categories
from sdm_core.statuses import ASSESSED

#: Colours of the Red List: from blue to red, which people with any colour vision tell apart.
STATUS_COLOURS: dict[str, tuple[int, int, int]] = {
    "": (214, 211, 200),
    "LC": (58, 127, 184),
    "NT": (156, 203, 224),
    "VU": (246, 220, 110),
    "EN": (240, 145, 58),
    "CR": (176, 28, 44),
}
#: Kinds of predictors, the pattern of their names, and a colour of Okabe and Ito's (2008) for each.
_PREDICTOR_KINDS: tuple[tuple[str, str, tuple[int, int, int]], ...] = (
    ("temperature", r"bio_?0?([1-9]|1[01])$|temp|tas|frost|gdd", (213, 94, 0)),
    ("rain and snow", r"bio_?1[2-9]$|rain|precip|^pr$|snow", (0, 114, 178)),
    ("sunshine", r"sun|rad|solar|srad", (240, 228, 66)),
    ("terrain", r"topo|slope|elev|alt|aspect|dem|tpi|tri|rough", (148, 112, 82)),
    ("vegetation and cover", r"ndvi|evi|landcover|veg|forest|tree|corine|clc", (0, 158, 115)),
    ("soil", r"soil|clay|sand|silt|^ph|carbon|nitrogen", (204, 121, 167)),
    ("people", r"human|footprint|pop|night|road", (80, 80, 80)),
    ("position", r"^lon|^lat|^x$|^y$", (86, 180, 233)),
)
_OTHER_KIND = ("other", (170, 170, 170))


STATUSES = Categories(
    names=("none assessed", *ASSESSED),
    places=tuple(range(len(ASSESSED) + 1)),
    labels=("none assessed", *ASSESSED),
    colours=tuple(STATUS_COLOURS[name] for name in ("", *ASSESSED)),
)
APPLICABILITY = Categories(
    names=("outside", "inside"),
    places=(0, 1),
    labels=("outside", "inside"),
    colours=((217, 144, 76), (54, 130, 148)),
)


def predictor_kinds(names: Sequence[str]) -> Categories:
    """Predictors sorted into kinds, so that their colours can be told apart."""
    found = [_kind_of(name) for name in names]
    labels = [label for label, *_ in (*_PREDICTOR_KINDS, _OTHER_KIND) if label in found]
    colours = {label: colour for label, _, colour in _PREDICTOR_KINDS} | dict([_OTHER_KIND])
    return Categories(
        names=tuple(names),
        places=tuple(labels.index(label) for label in found),
        labels=tuple(labels),
        colours=tuple(colours[label] for label in labels),
    )


def _kind_of(predictor: str) -> str:
    for label, pattern, _ in _PREDICTOR_KINDS:
        if re.search(pattern, predictor.lower()):
            return label
    return _OTHER_KIND[0]


def most_common(
    values: NDArray[np.floating], area: NDArray[np.float64], starts: NDArray[np.int64], categories: Categories
) -> NDArray[np.float64]:
    """Value that holds most of the area of each group of rows: first the place, then the number within it.

    values and area (n_rows,); starts: first row of each group, ascending. Groups without any known value are
    NaN; equal areas go to the lower number.
    """
    places = categories.places_of(values)
    best = _largest(places, area, starts, len(categories.labels))
    of_row = np.repeat(best, np.diff(np.r_[starts, len(values)]))
    numbers = np.where((places == of_row) & (places >= 0), np.nan_to_num(values), -1).astype(np.int64)
    found = _largest(numbers, area, starts, len(categories.names)).astype(np.float64)
    return np.where(best < 0, np.nan, found)


def _largest(
    numbers: NDArray[np.int64], area: NDArray[np.float64], starts: NDArray[np.int64], n_numbers: int
) -> NDArray[np.int64]:
    """Number with the largest area in each group, −1 where all are negative."""
    largest = np.zeros(len(starts))
    found = np.full(len(starts), -1, dtype=np.int64)
    for number in range(n_numbers):
        total = np.add.reduceat(np.where(numbers == number, area, 0.0), starts)
        better = total > largest
        largest[better], found[better] = total[better], number
    return found
