"""Florascope in the browser: `streamlit run app.py` finds the ASGI object named `app`."""

import logging

import streamlit as st

from pages.ui.messages import say
from pages.ui.routes import ROUTES

logger = logging.getLogger("florascope")


def show_failure(error: Exception) -> bool:
    """Put a failure nobody foresaw into the log, and one sentence in its place on the page."""
    logger.error("a page failed", exc_info=error)
    st.error(say("broken"), icon=":material/error:")
    return True


app = st.App("pages/main.py", routes=ROUTES, on_script_error=show_failure)
