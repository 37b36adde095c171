"""What each rule would make of the same cells: the species per cell and of the region, side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core import config
from sdm_core.errors import NoDataInRegionError
from sdm_core.indicators.sets import (
    SetCounts,
    StoreLike,
    held_out_of,
    rule_options,
    rule_text,
    set_counts,
)
from sdm_core.indicators.summary import format_number

#: Cells the rules are compared on; more are thinned to this number, evenly.
COMPARED_CELLS = 2000
#: Said beside the comparison of an atlas without held-out surveys: rules that are not in it, and why.
NOT_COMPARED = (
    "Thresholds per species and conformal sets need surveys that the model has not seen; the atlas ships "
    "none, so they are not in the table."
)
#: Said beside the others: what the last rows are, as they answer another question.
CONFORMAL_NOTE = (
    "Thresholds per species and the conformal set come from surveys the model has not seen. The latter "
    "holds every species that cannot be excluded, many more than are there: a list to search by, not an "
    "estimate of richness."
)


@dataclass(frozen=True)
class RuleEffect:
    """What one rule makes of the cells.

    Attributes:
        rule, options, text: the rule, its complete options, and what it does in words.
        chosen: whether the page or the report shows this one.
        alpha: area-weighted mean number of species per cell.
        fewest, most: species in the cell with the fewest and the most.
        gamma: species in the set of at least one of the cells.
        beta: gamma / alpha; NaN where no cell holds a species.
    """

    rule: str
    options: dict[str, Any]
    text: str
    chosen: bool
    alpha: float
    fewest: int
    most: int
    gamma: int
    beta: float


@dataclass(frozen=True)
class RuleComparison:
    """All rules on the same cells.

    Attributes:
        effects: one per rule, the chosen one first.
        expected: area-weighted mean of Σp over the cells, which no rule changes.
        n_cells: cells compared; n_region_cells: cells of the region.
        with_held_out: whether rules that need held-out surveys are among them.
    """

    effects: tuple[RuleEffect, ...]
    expected: float
    n_cells: int
    n_region_cells: int
    with_held_out: bool = False

    @property
    def note(self) -> str:
        """Which cells the table is about, and which rules it leaves out."""
        compared, all_cells = format_number(self.n_cells, 0), format_number(self.n_region_cells, 0)
        if self.n_cells < self.n_region_cells:
            cells = f"{compared} of the region's {all_cells} cells, taken evenly; γ and β of all are higher."
        elif self.n_cells == 1:
            cells = "The one cell of the region."
        else:
            cells = f"All {compared} cells of the region."
        return f"{cells} {CONFORMAL_NOTE if self.with_held_out else NOT_COMPARED}"


def compare_rules(
    store: StoreLike,
    rows: ArrayLike,
    hectares: ArrayLike | None = None,
    rule: str = config.DEFAULT_RULE,
    **options: Any,
) -> RuleComparison:
    """The effect of every rule on the species of a region's cells.

    Each rule takes part with its defaults: SSE, the fixed threshold, the K most probable with K the mean of
    Σp over the cells, average-K with the mean over the atlas, and MaxExp for F1, Jaccard and TSS (for
    accuracy it is the threshold of 1/2); where the atlas has held-out surveys, also the thresholds per
    species by TSS, F1 and prevalence, and the conformal set. The rule in use comes first, with its options.

    Args:
        store: predictions of an atlas.
        rows: rows of its cells inside the region, ascending.
        hectares: area each row counts with; by default the whole area of each cell.
        rule: the rule in use.
        **options: of that rule.

    Raises:
        NoDataInRegionError: no rows.
        RuleError: an unknown rule or option.
    """
    selected = np.asarray(rows, dtype=np.int64)
    if not selected.size:
        raise NoDataInRegionError(
            f"The region holds no cell of the atlas {store.name}; choose one on the land it covers."
        )
    weights = np.asarray(store.area_ha)[selected] if hectares is None else np.asarray(hectares)
    kept = np.unique(np.linspace(0, len(selected) - 1, min(len(selected), COMPARED_CELLS)).astype(np.int64))
    selected, weights = selected[kept], weights[kept].astype(np.float64)
    richness = np.asarray(store.layer("richness"), dtype=np.float64)
    expected = float(richness[selected] @ weights / weights.sum())
    in_use = (rule, rule_options(rule, options))
    contestants = [
        in_use,
        ("sse", {}),
        ("threshold", {}),
        ("top_k", {"k": int(np.rint(expected))}),
        ("average_k", {"k": round(float(np.nanmean(richness)), 1)}),
        ("max_exp", {"score": "f1"}),
        ("max_exp", {"score": "jaccard"}),
        ("max_exp", {"score": "tss"}),
    ]
    with_held_out = held_out_of(store) is not None
    if with_held_out:
        contestants += [("species_threshold", {"criterion": name}) for name in ("tss", "f1", "prevalence")]
        contestants.append(("conformal", {}))
    effects: list[RuleEffect] = []
    for number, (name, given) in enumerate(contestants):
        complete = rule_options(name, given)
        if number and rule_text(name, complete) == rule_text(*in_use):
            continue
        counts = set_counts(store, selected, name, complete)
        text = rule_text(name, complete, store)
        effects.append(_effect(name, complete, text, counts, weights, chosen=number == 0))
    return RuleComparison(tuple(effects), expected, len(selected), np.asarray(rows).size, with_held_out)


def _effect(
    rule: str,
    options: dict[str, Any],
    said: str,
    counts: SetCounts,
    weights: NDArray[np.float64],
    *,
    chosen: bool,
) -> RuleEffect:
    alpha = float(weights @ counts.richness / weights.sum())
    gamma = int(np.count_nonzero(counts.n_cells))
    return RuleEffect(
        rule,
        options,
        said,
        chosen,
        alpha,
        int(counts.richness.min()),
        int(counts.richness.max()),
        gamma,
        max(1.0, gamma / alpha) if alpha > 0 else math.nan,
    )
