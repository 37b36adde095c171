"""Where the region stands among the cells of its countries, of outlines the user gives, and of the atlas."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import streamlit as st

from pages.ui import numbers, region_outlines, region_statuses, resources
from pages.ui.messages import say

if TYPE_CHECKING:
    from pages.ui.region_read import Reading
    from sdm_core.indicators import Benchmarks
    from sdm_core.regions import Region
    from sdm_core.registry import Atlas


def line(atlas: Atlas, region: Region, reading: Reading) -> None:
    """A sentence for each measure, with the percentile and its words; and outlines to be set against."""
    outlines = region_outlines.kept()
    found = resources.benchmarks(
        atlas.name,
        atlas.key,
        region.geometry_hash,
        reading.summary.containment,
        tuple(file.digest for file in region_statuses.files()),
        outlines.digest if outlines is not None else "",
        region,
        region_statuses.matched(atlas),
        outlines,
    )
    said = html.escape(sentences(found))
    if outlines is not None:
        frame = [note for note in found.notes if outlines.source in note]
        said += "<br>" + html.escape(" ".join(frame))
    with st.container(key="standing_line"):
        words, more = st.columns([5, 1], vertical_alignment="center")
    words.html(f'<p class="fs-notes" data-testid="standing">{said}</p>')
    with more:
        region_outlines.choose(atlas)


def sentences(found: Benchmarks) -> str:
    """The standings as text, measure by measure; those not defined are left out."""
    from sdm_core.indicators import BENCHMARK_TEXTS

    said = []
    for measure, (label, _) in BENCHMARK_TEXTS.items():
        parts = [
            say(
                "standing_part",
                words=standing.words if standing.words == "average" else f"{standing.words} average",
                place=say("standing_atlas") if standing.against == "atlas" else standing.place,
                percent=numbers.number(standing.percentile),
            )
            for standing in found.of(measure)
            if standing.words != "not defined"
        ]
        if parts:
            name = say("standing_distinctiveness") if measure == "weighted_endemism" else label
            said.append(f"{name}: {', '.join(parts)}.")
    return " ".join(said)
