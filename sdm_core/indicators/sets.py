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
from sdm_core.assemblages import CRITERIA, best_levels
from sdm_core.errors import RuleError
from sdm_core.indicators.texts import RULE_TEXTS, SCORE_TEXTS
from sdm_core.prediction import NO_SPECIES_CUT, decode
from sdm_core.prediction.held_out import HeldOutSurveys

#: Rows counted at once: a count of up to 255 presences fits one byte.
_ROWS_PER_COUNT = 255
_ROWS_PER_CHUNK = 512
_DEFAULT_OPTIONS: dict[str, dict[str, Any]] = {
    "sse": {},
    "threshold": {"t": config.DEFAULT_THRESHOLD},
    "top_k": {"k": None},
    "average_k": {"k": None},
    "max_exp": {"score": "f1"},
    # as many species as were recorded; the highest TSS makes lists of rare species several times too long
    "species_threshold": {"criterion": "prevalence"},
    "conformal": {},
}
RULES: tuple[str, ...] = tuple(_DEFAULT_OPTIONS)
#: Rules that take limits from held-out surveys, one per species, and are offered where an atlas has them.
HELD_OUT_RULES: tuple[str, ...] = ("species_threshold", "conformal")


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
    if "criterion" in complete and complete["criterion"] not in CRITERIA:
        raise RuleError(f'The criterion is "{complete["criterion"]}", expected one of {", ".join(CRITERIA)}.')
    if "k" in complete:
        k = complete["k"]
        if k is None:
            raise RuleError(f'The rule "{rule}" needs a number of species k, and none was given.')
        if not np.isfinite(k) or k < 0 or (rule == "top_k" and k != int(k)):
            raise RuleError(f'The rule "{rule}" needs a number of species k of 0 or more, found {k}.')
    return complete


def held_out_of(store: StoreLike) -> HeldOutSurveys | None:
    """What held-out surveys say of an atlas' predictions; None where nothing lies beside it."""
    found: HeldOutSurveys | None = getattr(store, "held_out", None)
    return found


def rules_of(store: StoreLike) -> tuple[str, ...]:
    """Rules that can be used with an atlas: those of `HELD_OUT_RULES` only where it has held-out surveys."""
    return RULES if held_out_of(store) is not None else tuple(r for r in RULES if r not in HELD_OUT_RULES)


def check_rule(store: StoreLike, rule: str) -> None:
    """Raise `RuleError` where a rule needs held-out surveys and the atlas has none beside it."""
    if rule in HELD_OUT_RULES and held_out_of(store) is None:
        raise RuleError(
            f'The rule "{rule}" needs surveys that the model has not seen, and the atlas {store.name} has no '
            "held_out.parquet beside it; choose another rule, or make the file with `python -m sdm_core "
            "coverage`."
        )


def rule_text(rule: str, options: dict[str, Any], store: StoreLike | None = None) -> str:
    """What the rule does, in words; with the atlas, what its held-out surveys promise."""
    held_out = None if store is None else held_out_of(store)
    shown = {
        name: "a threshold per species"
        if np.ndim(value)
        else f"{value:g}"
        if isinstance(value, float)
        else SCORE_TEXTS.get(value, value)
        if name == "score"
        else CRITERIA.get(value, value)
        if name == "criterion"
        else value
        for name, value in options.items()
    }
    kept = "" if held_out is None else f"{100 * (1.0 - held_out.error_rate):.0f}"
    promise = "" if held_out is None else f", which keep {kept} % of the presences"
    return RULE_TEXTS[rule].format(**shown, promise=promise)


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
        RuleError: a threshold out of range or of another number of species, an unknown score, or a rule that
            needs held-out surveys where the atlas has none.
    """
    if rule in HELD_OUT_RULES:
        return _held_out_cuts(store, rule, options)
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
    per_species = _per_species(rule, options)
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


def presence_parts(
    store: StoreLike, rows: NDArray[np.int64], rule: str, options: dict[str, Any]
) -> Iterator[tuple[slice, NDArray[np.bool_]]]:
    """Places among the rows and their species sets (n, n_species) under a rule, part by part.

    Args as `set_counts`.
    """
    cuts = cut_codes(store, rows, rule, options)
    per_species = _per_species(rule, options)
    start = 0
    for part in row_parts(rows):
        codes = np.asarray(store.codes[part])
        places = slice(start, start + len(codes))
        yield places, codes.astype(np.uint16) >= (cuts[None, :] if per_species else cuts[places, None])
        start = places.stop


def presence_table(
    store: StoreLike, rows: NDArray[np.int64], rule: str, options: dict[str, Any]
) -> NDArray[np.bool_]:
    """Species sets (n_rows, n_species) under a rule, whole in memory: for samples of cells.

    Args as `set_counts`.
    """
    return np.concatenate([sets for _, sets in presence_parts(store, rows, rule, options)])


def _per_species(rule: str, options: dict[str, Any]) -> bool:
    """Whether a rule has one cut per species, not one per cell."""
    return rule in HELD_OUT_RULES or (rule == "threshold" and np.ndim(options["t"]) == 1)


def _held_out_cuts(store: StoreLike, rule: str, options: dict[str, Any]) -> NDArray[np.uint16]:
    """Smallest code in the set of each species (n_species), by the limits of held-out surveys."""
    check_rule(store, rule)
    held_out = held_out_of(store)
    assert held_out is not None
    if rule == "conformal":
        return possible_codes(held_out)
    criterion = options["criterion"]
    if criterion not in held_out.criteria:
        raise RuleError(
            f"The held-out surveys of the atlas {store.name} give no thresholds by {criterion!r}, only by "
            f"{', '.join(held_out.criteria)}."
        )
    return _threshold_cuts(store, 0, held_out.thresholds(criterion))


def possible_codes(held_out: HeldOutSurveys) -> NDArray[np.uint16]:
    """Smallest code of each species (n_species) whose conformal set holds "present": 1 − p ≤ limit."""
    nonconformity = 1.0 - decode(np.arange(256, dtype=np.uint8))
    cuts = np.searchsorted(-nonconformity, -held_out.presence_limit, side="left")
    return np.maximum(cuts, 1).astype(np.uint16)


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
