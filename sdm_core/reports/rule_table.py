"""The region under every rule, for section 4: a small table, so that nobody takes one rule for the truth."""

from __future__ import annotations

from typing import Any

import numpy as np

from sdm_core.indicators import RegionSummary, StoreLike
from sdm_core.indicators.rules_compared import RuleEffect, compare_rules
from sdm_core.regions import Selection
from sdm_core.reports import text

_SCORES = {"f1": "F1", "jaccard": "Jaccard", "tss": "true skill statistic", "accuracy": "accuracy"}
_CRITERIA = {
    "tss": "true skill statistic",
    "f1": "F1",
    "prevalence": "prevalence",
    "minimum_presence": "no presence missed",
    "p10": "a tenth of the presences missed",
}
_NAMES = {
    "sse": "Expected number (SSE)",
    "threshold": "Threshold {t:g}",
    "top_k": "Top {k:g}",
    "average_k": "Average of {k:g} over the atlas",
    "max_exp": "Best expected {score} (MaxExp)",
    "species_threshold": "Threshold of each species, {criterion}",
    "conformal": "Not excluded (conformal)",
}


def rule_table(store: StoreLike, chosen: Selection, summary: RegionSummary) -> dict[str, Any]:
    """Rows and notes of the table; the rule of the report comes first."""
    found = compare_rules(store, chosen.rows, chosen.hectares, summary.rule, **summary.rule_options)
    return {
        "caption": "The same cells under every rule; the first is the one used in this report",
        "rows": [_row(effect) for effect in found.effects],
        "note": (
            f"Without any rule a cell is expected to hold {text.count_like(found.expected)} species. "
            f"{found.note}"
        ),
    }


def _row(effect: RuleEffect) -> dict[str, str]:
    options = {
        **effect.options,
        "score": _SCORES.get(effect.options.get("score", ""), ""),
        "criterion": _CRITERIA.get(effect.options.get("criterion", ""), ""),
    }
    if effect.rule == "threshold" and np.ndim(options["t"]):
        name = "Threshold of each species"
    else:
        name = _NAMES[effect.rule].format(**options)
    return {
        "label": name,
        "alpha": text.count_like(effect.alpha),
        "range": f"{text.whole(effect.fewest)}–{text.whole(effect.most)}",
        "gamma": text.whole(effect.gamma),
        "beta": text.decimal(effect.beta, 2),
    }
