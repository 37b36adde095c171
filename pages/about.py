"""About: how it works, how good it is, what it is not for, how to cite it."""

from __future__ import annotations

import streamlit as st

from pages.ui import about_parts as parts
from pages.ui import frame, state

PAGE_FIELDS = ("atlas",)

with frame.friendly_errors():
    left, right = st.columns([2.4, 1], gap="large")
    with right:
        atlas = frame.choose_atlas()
        frame.show_notices()
        parts.facts(atlas)
        parts.how_to_cite(atlas)
    with left:
        parts.how_it_works()
        parts.limits(atlas)
        parts.quality(atlas)
        parts.licences(atlas)
state.write_address(PAGE_FIELDS)
