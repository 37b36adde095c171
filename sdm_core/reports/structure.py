"""Section 11 of a report: how composition varies inside the region."""

from __future__ import annotations

from typing import Any

import numpy as np

from sdm_core.indicators.structure import HOTSPOT_TEXTS, Structure
from sdm_core.reports import text

_KINDS = {
    "richness": "Most species",
    "distinctive": "Most distinctive (LCBD)",
    "threatened_share": "Highest threatened share",
}


def structure_section(found: Structure) -> dict[str, Any]:
    """Sentences, how unlike the cells are, and a row for each cell that stands out."""
    return {
        "sentences": [_multi_site_sentence(found), *_cells_sentence(found), *_sample_sentence(found)],
        "cells_caption": "How unlike the others the cells are: pairwise Sørensen dissimilarity of the "
        "sets, mean over other cells",
        "cells": _cell_rows(found),
        "caption": "Cells that stand out",
        "rows": [
            {
                "kind": _KINDS[hotspot.kind],
                "cell": hotspot.cell,
                "place": f"{_degrees(hotspot.latitude, 'N', 'S')}, {_degrees(hotspot.longitude, 'E', 'W')}",
                "value": text.percent(hotspot.value)
                if hotspot.kind == "threatened_share"
                else text.count_like(hotspot.value)
                if hotspot.kind == "richness"
                else f"{text.decimal(hotspot.value, 2)} ×",
            }
            for hotspot in found.hotspots
        ],
        "note": " ".join(
            f"{label}: {HOTSPOT_TEXTS[kind]}."
            for kind, label in _KINDS.items()
            if any(hotspot.kind == kind for hotspot in found.hotspots)
        )
        + (
            " A distinctive cell may be rare in composition, rich, or badly predicted."
            if found.hotspots
            else ""
        ),
    }


def _multi_site_sentence(found: Structure) -> str:
    sample = found.multi_site
    if sample is None:
        return "The region has a single cell, so nothing varies inside it."
    if not np.isfinite(sample.total):
        return (
            "No cell of the region holds a species by the rule, so neither dissimilarity nor turnover and "
            "nestedness of the sets are defined."
        )
    spread = f" (± {text.decimal(sample.total_standard_deviation, 3)} between samples)"
    return (
        f"Between {sample.n_cells} cells of the region the multi-site Sørensen dissimilarity of the sets is "
        f"{text.decimal(sample.total, 3)}{spread if sample.n_samples > 1 else ''}: "
        f"{text.decimal(sample.turnover, 3)} by turnover, where species take the place of others, and "
        f"{text.decimal(sample.nestedness, 3)} by nestedness, where poorer cells hold a part of what richer "
        f"ones hold (Baselga 2010"
        + (f"; mean of {sample.n_samples} random samples" if sample.n_samples > 1 else "")
        + "). It rises with the number of cells: compare it only at the same number."
    )


_PARTS = {
    "beta_sorensen": "Dissimilarity",
    "beta_turnover": "of it turnover",
    "beta_nestedness": "of it nestedness",
}


def _cell_rows(found: Structure) -> list[dict[str, str]]:
    """Mean, lowest and highest value of the cells for the dissimilarity and its two parts."""
    return [
        {
            "label": label,
            "mean": text.decimal(np.nanmean(found.layers[name]), 3),
            "low": text.decimal(np.nanmin(found.layers[name]), 3),
            "high": text.decimal(np.nanmax(found.layers[name]), 3),
        }
        for name, label in _PARTS.items()
        if name in found.layers
    ]


def _cells_sentence(found: Structure) -> list[str]:
    """What the map of dissimilarity shows, and what it is not."""
    if "beta_sorensen" not in found.layers:
        return []
    compared = (
        "all others"
        if found.n_others == found.n_cells
        else f"{text.whole(found.n_others)} cells drawn at random"
    )
    empty = int(np.isnan(found.layers["beta_sorensen"]).sum())
    without = (
        f" {text.counted(empty, 'cell')} without a species by the rule {'has' if empty == 1 else 'have'} no "
        "value."
        if empty
        else ""
    )
    return [
        f"The maps show for every cell the mean of its pairwise dissimilarity from {compared}: a mean of "
        "pairs, which does not rise with the number of cells and is lower than the multi-site value. "
        "Distinctiveness (LCBD, Legendre & De Cáceres 2013) is the share of a cell in the variance of "
        f"composition, from the probabilities, without a rule.{without}"
    ]


def _sample_sentence(found: Structure) -> list[str]:
    if found.n_compared == found.n_cells:
        return []
    return [
        f"The samples of the multi-site value come from {text.whole(found.n_compared)} of the "
        f"{text.whole(found.n_cells)} cells, drawn at random."
    ]


def _degrees(value: float, positive: str, negative: str) -> str:
    return f"{abs(value):.3f}°{text.NARROW_SPACE}{negative if value < 0 else positive}"
