"""Florascope in the browser: `streamlit run app.py` finds the ASGI object named `app`."""

import streamlit as st

from pages.ui.routes import ROUTES

app = st.App("pages/main.py", routes=ROUTES)
