"""What grows here, and how sure is that? Choose an area, read its numbers, take the report away."""

from __future__ import annotations

import streamlit as st

from pages.ui import (
    frame,
    region_choose,
    region_compare,
    region_details,
    region_finer,
    region_read,
    region_records,
    region_rules,
    region_several,
    region_species,
    region_standing,
    region_statuses,
    region_structure,
    region_take,
    state,
)

PAGE_FIELDS = ("atlas", "region", "resolution", "containment", "rule", "value")

COMPARE_FIELDS = ("atlas", "containment", "rule", "value", "compare")

region_several.follow_link()
region = region_choose.current_region()
comparing = region_several.comparing()
choosing = not comparing and (region is None or bool(st.session_state.get("choosing")))
steps, beside = st.columns([1.5, 1], vertical_alignment="center")
with steps:
    region_choose.step_line(1 if choosing else 2)
with beside, st.container(horizontal=True, horizontal_alignment="right", key="compare_steps"):
    if not comparing:
        region_several.beside_steps(None if choosing else region)
step = "compare" if comparing else "choose" if choosing else "read"
# a place for each step: what was on the page in another step goes at once, not when the new one is done
rooms = {name: st.container() if name == step else st.empty() for name in ("choose", "compare", "read")}
with rooms[step], frame.friendly_errors():
    if comparing:
        region_several.write_link()
        region_compare.show(region, COMPARE_FIELDS)
        state.write_address(COMPARE_FIELDS)
    elif choosing:
        region_several.write_link()
        region_choose.choose(region)
        state.write_address(PAGE_FIELDS)
    else:
        region_several.write_link()
        atlas, resolution, rule, options = region_read.header(region)
        state.write_address(PAGE_FIELDS)
        atlas, region = region_finer.settle(atlas, region, resolution)
        reading = region_read.read(atlas, region, rule, options)
        region_read.cards(atlas, reading)
        region_standing.line(atlas, region, reading)
        observed = region_records.step(atlas, region, reading)
        region_species.map_and_table(atlas, region, reading, observed)
        region_statuses.section(atlas, reading)
        region_details.details(reading)
        region_structure.section(atlas, region, reading)
        region_rules.side_by_side(atlas, region, reading)
        region_take.take_away(atlas, region, reading, PAGE_FIELDS)
