"""Where the region stands among the cells of its countries and of the atlas: one line under the cards."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import streamlit as st

from pages.ui import numbers, region_statuses, resources
from pages.ui.messages import say

if TYPE_CHECKING:
    from pages.ui.region_read import Reading
    from sdm_core.indicators import Benchmarks
    from sdm_core.regions import Region
    from sdm_core.registry import Atlas


def line(atlas: Atlas, region: Region, reading: Reading) -> None:
    """A sentence for each measure, with the percentile and its words."""
    found = resources.benchmarks(
        atlas.name,
        str(atlas.store.version),
        region.geometry_hash,
        reading.summary.containment,
        tuple(file.digest for file in region_statuses.files()),
        region,
        region_statuses.matched(atlas),
    )
    st.html(f'<p class="fs-notes" data-testid="standing">{html.escape(sentences(found))}</p>')


def sentences(found: Benchmarks) -> str:
    """The standings as text, measure by measure; those not defined are left out."""
    from sdm_core.indicators import BENCHMARK_TEXTS

    said = []
    for measure, (label, _) in BENCHMARK_TEXTS.items():
        parts = [
            say(
                "standing_part",
                words=standing.words if standing.words == "average" else f"{standing.words} average",
                place=standing.place if standing.against == "countries" else say("standing_atlas"),
                percent=numbers.number(standing.percentile),
            )
            for standing in found.of(measure)
            if standing.words != "not defined"
        ]
        if parts:
            name = say("standing_distinctiveness") if measure == "weighted_endemism" else label
            said.append(f"{name}: {', '.join(parts)}.")
    return " ".join(said)
