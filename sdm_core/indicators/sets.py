"""Species sets of many cells at once, straight from stored codes.

Stored probabilities are monotone codes of one byte, and every rule here keeps ties together, so the set of a
cell is "all species at or above one cut code": a byte per cell in place of a table of booleans.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from sdm_core import config
from sdm_core.assemblages import best_levels
from sdm_core.errors import RuleError
from sdm_core.indicators.texts import RULE_TEXTS, SCORE_TEXTS
from sdm_core.prediction import NO_SPECIES_CUT, decode

#: Rows counted at once: a count of up to 255 presences fits one byte.
_ROWS_PER_COUNT = 255
_ROWS_PER_CHUNK = 512
_DEFAULT_OPTIONS: dict[str, dict[str, Any]] = {
    "sse": {},
    "threshold": {"t": config.DEFAULT_THRESHOLD},
    "top_k": {"k": None},
    "average_k": {"k": None},
    "max_exp": {"score": "f1"},
}
RULES: tuple[str, ...] = tuple(_DEFAULT_OPTIONS)


class SumsLike(Protocol):
    """Totals per species over some cells, as `prediction.RegionSums`."""

    @property
    def expected_area_km2(self) -> NDArray[np.float64]: ...  # noqa: D102
    @property
    def mean_probability(self) -> NDArray[np.float64]: ...  # noqa: D102
    @property
    def max_probability(self) -> NDArray[np.float64]: ...  # noqa: D102
    @property
    def area_km2(self) -> float: ...  # noqa: D102


class StoreLike(Protocol):
    """What the indicators ask of an atlas' predictions, as `prediction.PredictionStore` gives it."""

    name: str
    title: str
    version: str
    resolution: int
    n_cells: int
    n_species: int

    @property
    def cells(self) -> NDArray[np.uint64]: ...  # noqa: D102
    @property
    def lonlat(self) -> NDArray[np.float64]: ...  # noqa: D102
    @property
    def area_ha(self) -> NDArray[np.float64]: ...  # noqa: D102
    @property
    def codes(self) -> NDArray[np.uint8]: ...  # noqa: D102
    @property
    def species(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def sse_cut(self) -> NDArray[np.uint16]: ...  # noqa: D102
    @property
    def observed(self) -> pd.DataFrame | None: ...  # noqa: D102
    def region_sums(self, rows: ArrayLike, hectares: ArrayLike | None = None) -> Any: ...  # noqa: D102
    def rows_under(self, cell: int) -> NDArray[np.int64]: ...  # noqa: D102
    def probabilities(self, rows: ArrayLike) -> NDArray[np.float32]: ...  # noqa: D102
    def layer(self, name: str) -> NDArray: ...  # noqa: D102


@dataclass(frozen=True)
class SetCounts:
    """How often the rule makes species present in some cells.

    Attributes:
        n_cells: (n_species) number of cells each species is present in.
        richness: (n_rows) number of species in each cell's set.
    """

    n_cells: NDArray[np.int64]
    richness: NDArray[np.int64]


def rule_options(rule: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options of a rule with its defaults filled in.

    Raises:
        RuleError: an unknown rule, an unknown option, a threshold outside 0…1, or a missing number
            of species.
    """
    if rule not in _DEFAULT_OPTIONS:
        raise RuleError(f'The rule is "{rule}", expected one of {", ".join(RULES)}.')
    defaults = _DEFAULT_OPTIONS[rule]
    unknown = sorted(set(options) - set(defaults))
    if unknown:
        known = ", ".join(defaults) or "none"
        raise RuleError(f'The rule "{rule}" has no option "{unknown[0]}"; its options: {known}.')
    complete = {**defaults, **options}
    t = complete.get("t")
    if t is not None and np.ndim(t) == 0 and not 0 < t <= 1:
        raise RuleError(f"The threshold is {t:g}, expected a probability above 0 and at most 1, such as 0.5.")
    if "k" in complete:
        k = complete["k"]
        if k is None:
            raise RuleError(f'The rule "{rule}" needs a number of species k, and none was given.')
        if not np.isfinite(k) or k < 0 or (rule == "top_k" and k != int(k)):
            raise RuleError(f'The rule "{rule}" needs a number of species k of 0 or more, found {k}.')
    return complete


def rule_text(rule: str, options: dict[str, Any]) -> str:
    """What the rule does, in words."""
    shown = {
        name: "a threshold per species"
        if np.ndim(value)
        else f"{value:g}"
        if isinstance(value, float)
        else SCORE_TEXTS.get(value, value)
        if name == "score"
        else value
        for name, value in options.items()
    }
    return RULE_TEXTS[rule].format(**shown)


def row_parts(rows: NDArray[np.int64], step: int = _ROWS_PER_CHUNK) -> Iterator[slice | NDArray[np.int64]]:
    """The rows in parts; a run of neighbours as a slice, which is read without a copy."""
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        if part[-1] - part[0] + 1 == len(part):
            yield slice(int(part[0]), int(part[-1]) + 1)
        else:
            yield part


def cut_codes(
    store: StoreLike, rows: NDArray[np.int64], rule: str, options: dict[str, Any]
) -> NDArray[np.uint16]:
    """Smallest code in the set: one per row (n_rows), or one per species (n_species) for species' thresholds.

    `NO_SPECIES_CUT` means nothing is present. Code 0, probability 0, is never in a set.

    Raises:
        RuleError: a threshold out of range or of another number of species, or an unknown score.
    """
    if rule == "sse":
        return np.maximum(np.asarray(store.sse_cut)[rows], 1).astype(np.uint16)
    if rule == "threshold":
        return _threshold_cuts(store, len(rows), options["t"])
    if rule == "top_k":
        return _top_k_cuts(store, rows, int(options["k"]))
    if rule == "average_k":
        return np.full(len(rows), _average_k_cut(store, float(options["k"])), dtype=np.uint16)
    return _max_exp_cuts(store, rows, options["score"])


def set_counts(store: StoreLike, rows: NDArray[np.int64], rule: str, options: dict[str, Any]) -> SetCounts:
    """Presences per species and per cell under a rule, counted on codes.

    Args:
        store: predictions of an atlas.
        rows: rows of the store, ascending.
        rule: one of `RULES`.
        options: complete options, from `rule_options`.
    """
    cuts = cut_codes(store, rows, rule, options)
    per_species = rule == "threshold" and np.ndim(options["t"]) == 1
    low = np.minimum(cuts, 255).astype(np.uint8)
    never = cuts == NO_SPECIES_CUT
    n_cells = np.zeros(store.n_species, dtype=np.int64)
    richness = np.zeros(len(rows), dtype=np.int64)
    start = 0
    for part in row_parts(rows, _ROWS_PER_COUNT):
        codes = np.asarray(store.codes[part])
        stop = start + len(codes)
        present = codes >= (low if per_species else low[start:stop, None])
        if per_species:
            present[:, never] = False
        else:
            present[never[start:stop]] = False
        n_cells += np.add.reduce(present.view(np.uint8), axis=0, dtype=np.uint8)
        richness[start:stop] = np.count_nonzero(present, axis=1)
        start = stop
    return SetCounts(n_cells, richness)


def presence_table(
    store: StoreLike, rows: NDArray[np.int64], rule: str, options: dict[str, Any]
) -> NDArray[np.bool_]:
    """Species sets (n_rows, n_species) under a rule, whole in memory: for samples of cells.

    Args as `set_counts`.
    """
    cuts = cut_codes(store, rows, rule, options)
    per_species = rule == "threshold" and np.ndim(options["t"]) == 1
    codes = np.concatenate([np.asarray(store.codes[part]) for part in row_parts(rows)])
    limits = cuts[None, :] if per_species else cuts[:, None]
    return codes.astype(np.uint16) >= limits


def _threshold_cuts(store: StoreLike, n_rows: int, t: Any) -> NDArray[np.uint16]:
    limits = np.asarray(t, dtype=np.float64)
    if limits.ndim > 1 or (limits.ndim == 1 and len(limits) != store.n_species):
        raise RuleError(
            f"The thresholds have shape {limits.shape}, expected one number or one for each of "
            f"{store.n_species} species."
        )
    if not np.all(limits > 0):
        raise RuleError(f"The threshold is {np.min(limits):g}, expected a probability above 0.")
    probability_of_code = decode(np.arange(256, dtype=np.uint8))
    cuts = np.searchsorted(probability_of_code, limits, side="left").astype(np.uint16)
    return cuts if cuts.ndim else np.full(n_rows, cuts, dtype=np.uint16)


def _top_k_cuts(store: StoreLike, rows: NDArray[np.int64], k: int) -> NDArray[np.uint16]:
    if k == 0:
        return np.full(len(rows), NO_SPECIES_CUT, dtype=np.uint16)
    place = max(store.n_species - k, 0)
    cuts = [np.partition(store.codes[part], place, axis=1)[:, place] for part in row_parts(rows)]
    return np.maximum(np.concatenate(cuts), 1).astype(np.uint16)


def _average_k_cut(store: StoreLike, k: float) -> int:
    counts = np.zeros(256, dtype=np.int64)
    for part in row_parts(np.arange(store.n_cells)):
        counts += np.bincount(np.asarray(store.codes[part]).ravel(), minlength=256)
    wanted = int(np.rint(store.n_cells * k))
    if wanted == 0:
        return NO_SPECIES_CUT
    at_or_above = np.cumsum(counts[::-1])[::-1]
    reached = np.flatnonzero(at_or_above[1:] >= wanted)
    return int(reached[-1]) + 1 if len(reached) else 1


def _max_exp_cuts(store: StoreLike, rows: NDArray[np.int64], score: Any) -> NDArray[np.uint16]:
    falling = np.arange(255, 0, -1)
    values = decode(falling).astype(np.float64)
    cuts = np.full(len(rows), NO_SPECIES_CUT, dtype=np.uint16)
    start = 0
    for part in row_parts(rows):
        codes = np.asarray(store.codes[part])
        stop = start + len(codes)
        offset = np.arange(len(codes), dtype=np.int32)[:, None] << 8
        counts = np.bincount((codes + offset).ravel(), minlength=len(codes) << 8).reshape(-1, 256)
        levels = best_levels(values, counts[:, falling], score, store.n_species)
        cuts[start:stop] = np.where(levels >= 0, falling[levels], NO_SPECIES_CUT)
        start = stop
    return cuts
