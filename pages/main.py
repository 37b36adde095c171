"""The frame: page configuration, style, and the way to each page."""

from pathlib import Path

import streamlit as st

from pages.ui import frame, state
from pages.ui.messages import say

ICONS = Path(__file__).parent / "ui"

st.set_page_config(page_title=say("title"), page_icon=str(ICONS / "icon.png"), layout="wide")
st.logo(str(ICONS / "wordmark.svg"), size="medium")
page = st.navigation(
    [
        st.Page("explore.py", title="Explore", icon=":material/travel_explore:", default=True),
        st.Page("region.py", title="Region", icon=":material/select_all:", url_path="region"),
        st.Page("about.py", title="About", icon=":material/info:", url_path="about"),
    ],
    position="top",
)
frame.style()
state.read_address()
page.run()
