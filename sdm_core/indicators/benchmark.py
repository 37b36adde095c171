"""Where a region stands: its richness, threat and distinctiveness beside its country and the whole atlas.

The region's mean over its cells is set against the cells of the country or countries it lies in, against
those of the user's own outlines (biogeographic regions, provinces) that hold most of it, and against all
cells of the atlas: as a percentile, and in words by the distance from their mean, as InSite reports do.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from sdm_core import regions
from sdm_core.errors import RegionError
from sdm_core.indicators.concern_layers import concern_layers
from sdm_core.indicators.sets import StoreLike
from sdm_core.indicators.summary import json_number
from sdm_core.statuses import MatchedStatuses

#: Measures in order: name → label, what it is.
BENCHMARK_TEXTS: dict[str, tuple[str, str]] = {
    "richness": ("Richness", "expected species of a cell, Σp"),
    "threatened_share": (
        "Threatened share",
        "Σp of VU, EN, CR ÷ Σp of species assessed LC to CR, by the first Red List added",
    ),
    "weighted_endemism": (
        "Distinctiveness",
        "weighted endemism of a cell, Σ p/range with ranges inside the atlas: high where species live that "
        "have little room elsewhere in it",
    ),
}
#: Distance from the mean, in % of it, from which a region is above or below, and far above or below.
ABOVE_PERCENT, FAR_PERCENT = 10.0, 30.0
DEFINITION = (
    "mean of the region's cells beside other cells, all weighted by area; percentile: share of their area, "
    "in %, whose cells have a lower value than that mean; words by the distance from their mean: average "
    "within 10 % of it, above or below to 30 %, far above or far below beyond"
)
NO_BIOGEOGRAPHY = (
    "Outlines of biogeographic regions do not come with this atlas, so the region is set against the whole "
    "atlas in their place; give a file of them to compare with (--compare-with)."
)
FRAME = (
    "the outlines, largest share first, that together hold more than half of the area of the region's cells; "
    "all that hold any where they hold less; a cell lies where its centre does"
)
NO_THREAT = "No Red List was added, so the threatened share has no place among other cells."
#: A country with less of the region than this is not one the region lies in.
_LEAST_COUNTRY_SHARE = 0.01


@dataclass(frozen=True)
class Standing:
    """One measure of a region beside one set of cells.

    Attributes:
        measure: key in `BENCHMARK_TEXTS`.
        against: "countries", "outlines" (of the user) or "atlas".
        place: name of what it is set against, for a sentence.
        value: area-weighted mean over the region's cells.
        reference: area-weighted mean over the cells it is set against.
        percentile: share of their area, in %, with a lower value than `value`; NaN where not defined.
    """

    measure: str
    against: str
    place: str
    value: float
    reference: float
    percentile: float

    @property
    def difference_percent(self) -> float:
        """Distance from the reference in % of it; NaN where that is 0 or not defined."""
        return 100.0 * (self.value / self.reference - 1.0) if self.reference > 0 else math.nan

    @property
    def words(self) -> str:
        """Far above, above, average, below, far below; or not defined."""
        return standing_words(self.difference_percent)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "measure": self.measure,
            "against": self.against,
            "place": self.place,
            "value": json_number(self.value),
            "reference": json_number(self.reference),
            "percentile": json_number(self.percentile),
            "difference_percent": json_number(self.difference_percent),
            "words": self.words,
        }


@dataclass(frozen=True)
class Frame:
    """Those of the user's outlines a region is set against, by the rule `FRAME`.

    Attributes:
        source: file of the outlines.
        column: its column the names are from.
        crs: coordinate system stated for it; "" where the file's own counts.
        shares: name and share of the area of the region's cells, 0 to 1, largest first.
    """

    source: str
    column: str
    crs: str
    shares: tuple[tuple[str, float], ...]

    @property
    def place(self) -> str:
        """Names for a sentence."""
        return _listed([f"“{name}”" for name, _ in self.shares])

    @property
    def sentence(self) -> str:
        """Which outlines, how much of the region each holds, and where they come from."""
        return self.sentence_of("The region")

    def sentence_of(self, region: str) -> str:
        """`sentence` with the name of the region, where several stand side by side."""
        held = _listed([f"“{name}” ({100 * share:.3g} % of its area)" for name, share in self.shares])
        return (
            f"{region} is set against {held}, from the outlines of the file {self.source} (names: column "
            f"“{self.column}”)."
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "definition": FRAME,
            "source": self.source,
            "column": self.column,
            "crs": self.crs,
            "shares_percent": {name: 100.0 * share for name, share in self.shares},
        }


@dataclass(frozen=True)
class Benchmarks:
    """Every standing of a region, measure by measure, and what could not be compared.

    `frame`: the user's outlines it is set against, None without any that hold a cell of the region.
    """

    standings: tuple[Standing, ...]
    notes: tuple[str, ...]
    frame: Frame | None = None

    def of(self, measure: str) -> list[Standing]:
        """Standings of one measure: the countries first, then the user's outlines, then the atlas."""
        return [standing for standing in self.standings if standing.measure == measure]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, definitions beside the numbers."""
        return {
            "definition": DEFINITION,
            "measures": {name: f"{label}: {text}" for name, (label, text) in BENCHMARK_TEXTS.items()},
            "standings": [standing.to_dict() for standing in self.standings],
            "frame": None if self.frame is None else self.frame.to_dict(),
            "notes": list(self.notes),
        }


def standing_words(difference_percent: float) -> str:
    """InSite's words for a distance from the mean in %: average within ±10, far above beyond 30."""
    if not math.isfinite(difference_percent):
        return "not defined"
    size = abs(difference_percent)
    if size <= ABOVE_PERCENT:
        return "average"
    side = "above" if difference_percent > 0 else "below"
    return f"far {side}" if size > FAR_PERCENT else side


def percentile_of(value: float, values: ArrayLike, weights: ArrayLike) -> float:
    """Share of `weights`, in %, of the `values` lower than `value`; those undefined (NaN) do not count.

    Values that are equal but for rounding are not lower.
    """
    among, weight = np.asarray(values, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    known = np.isfinite(among)
    total = float(weight[known].sum())
    if not math.isfinite(value) or total <= 0:
        return math.nan
    lower = known & (among < value - 1e-9 * abs(value))
    return float(100.0 * weight[lower].sum() / total)


def benchmark_region(
    store: StoreLike,
    rows: ArrayLike,
    hectares: ArrayLike,
    region: regions.Region,
    statuses: Sequence[MatchedStatuses] = (),
    outlines: regions.Outlines | None = None,
) -> Benchmarks:
    """Standing of a region among the cells of its countries, of the user's outlines and of the whole atlas.

    Args:
        store: predictions of an atlas; finer cells of a region are set against the atlas they refine.
        rows: rows of the region's cells, ascending.
        hectares: area each row counts with.
        region: the outline, for its countries.
        statuses: status lists matched to the atlas; the first Red List among them gives the threatened share.
        outlines: the user's own, of which those that hold most of the region count (`FRAME`).
    """
    selected, weights = np.asarray(rows, dtype=np.int64), np.asarray(hectares, dtype=np.float64)
    whole: Any = getattr(store, "whole", None) or store
    everywhere = _measures_everywhere(whole, statuses)
    inside = (
        {name: values[selected] for name, values in everywhere.items()}
        if whole is store
        else _measures(store, selected, statuses)
    )
    area = np.asarray(whole.area_ha, dtype=np.float64)
    own = np.asarray(store.lonlat)[selected]
    countries, held = _country_cells(whole, region, own)
    among = [("atlas", f"the atlas “{whole.title}”", np.ones(whole.n_cells, dtype=bool))]
    notes = [NO_BIOGEOGRAPHY] if outlines is None else []
    frame = None
    if outlines is not None:
        frame, inside_frame = _frame_cells(whole, outlines, own, weights)
        if frame is not None:
            among.insert(0, ("outlines", frame.place, inside_frame))
        notes.append(_outlines_note(outlines, frame))
    if countries:
        among.insert(0, ("countries", _listed(countries), held))
    standings = []
    for name, values in everywhere.items():
        mean = _mean(inside[name], weights)
        for against, place, mask in among:
            standings.append(
                Standing(
                    name,
                    against,
                    place,
                    mean,
                    _mean(values[mask], area[mask]),
                    percentile_of(mean, values[mask], area[mask]),
                )
            )
    if "threatened_share" not in everywhere:
        notes.append(NO_THREAT)
    if not countries:
        notes.append("The atlas holds no cell of a country this region lies in to compare with.")
    return Benchmarks(tuple(standings), tuple(notes), frame)


def check_outlines(outlines: regions.Outlines, store: StoreLike) -> None:
    """Raise RegionError where no outline holds the centre of any cell of the atlas."""
    whole: Any = getattr(store, "whole", None) or store
    if not any(inside.any() for inside in outlines.holding(whole.lonlat)):
        raise RegionError(
            f"No outline of {outlines.source} ({len(outlines.names)} read) holds a cell of the atlas "
            f"{store.name}; check that they lie on the land it covers, and their CRS."
        )


#: Measures of all cells of an atlas by the digests of the status lists: many regions share them.
_EVERYWHERE: weakref.WeakKeyDictionary[Any, dict[tuple[str, ...], dict[str, NDArray[np.float64]]]] = (
    weakref.WeakKeyDictionary()
)
#: Sets of status lists kept per atlas.
_MOST_KEPT = 4


def _measures_everywhere(whole: Any, statuses: Sequence[MatchedStatuses]) -> dict[str, NDArray[np.float64]]:
    """`_measures` of every cell of an atlas, worked out once for the same lists."""
    key = tuple(matched.file.digest for matched in statuses)
    kept = _EVERYWHERE.setdefault(whole, {})
    if key not in kept:
        while len(kept) >= _MOST_KEPT:
            kept.pop(next(iter(kept)), None)
        found = _measures(whole, np.arange(whole.n_cells), statuses)
        for values in found.values():
            values.setflags(write=False)
        kept[key] = found
    return kept[key]


def _measures(
    store: Any, rows: NDArray[np.int64], statuses: Sequence[MatchedStatuses]
) -> dict[str, NDArray[np.float64]]:
    layers = concern_layers(store, rows, statuses)
    values = {"richness": np.asarray(store.layer("richness"))[rows], **layers}
    return {name: np.asarray(values[name], dtype=np.float64) for name in BENCHMARK_TEXTS if name in values}


def _country_cells(
    whole: Any, region: regions.Region, own: NDArray[np.float64]
) -> tuple[list[str], NDArray[np.bool_]]:
    """Countries that hold some of the region's cells, and which cells of the atlas lie in them."""
    lonlat = np.asarray(whole.lonlat, dtype=np.float64)
    held, names = np.zeros(len(lonlat), dtype=bool), []
    for name, share in regions.countries_of(region):
        outline = regions.country_outlines()[name]
        if share < _LEAST_COUNTRY_SHARE or not shapely.contains_xy(outline, own[:, 0], own[:, 1]).any():
            continue
        names.append(name)
        held |= shapely.contains_xy(outline, lonlat[:, 0], lonlat[:, 1])
    return (names, held) if held.any() else ([], held)


def _frame_cells(
    whole: Any, outlines: regions.Outlines, own: NDArray[np.float64], hectares: NDArray[np.float64]
) -> tuple[Frame | None, NDArray[np.bool_]]:
    """The outlines that hold most of a region's cells (`FRAME`), and which cells of the atlas lie in them."""
    inside = outlines.holding(own)
    shares = np.array([hectares @ mask for mask in inside]) / hectares.sum()
    chosen: list[int] = []
    held = np.zeros(len(own), dtype=bool)
    for place in np.argsort(-shares, kind="stable"):
        if shares[place] <= 0 or hectares @ held > hectares.sum() / 2:
            break
        chosen.append(int(place))
        held |= inside[place]
    everywhere = np.zeros(whole.n_cells, dtype=bool)
    for mask in outlines.chosen(chosen).holding(whole.lonlat):
        everywhere |= mask
    if not chosen:
        return None, everywhere
    named = tuple((outlines.names[place], float(shares[place])) for place in chosen)
    return Frame(outlines.source, outlines.column, outlines.crs, named), everywhere


def _outlines_note(outlines: regions.Outlines, frame: Frame | None) -> str:
    if frame is None:
        return (
            f"No outline of {outlines.source} ({len(outlines.names)} read) holds the centre of a cell of "
            "this region, so it is not set against them."
        )
    return frame.sentence


def _mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    known = np.isfinite(values)
    total = weights[known].sum()
    return float(values[known] @ weights[known] / total) if total > 0 else math.nan


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
