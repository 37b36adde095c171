"""Florascope in the browser: `streamlit run app.py` finds the ASGI object named `app`."""

import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import streamlit as st

from pages.ui.messages import say
from pages.ui.routes import INTERFACE, base_path, served_routes

logger = logging.getLogger("florascope")


def show_failure(error: Exception) -> bool:
    """Put a failure nobody foresaw into the log, and one sentence in its place on the page."""
    logger.error("a page failed", exc_info=error)
    st.error(say("broken"), icon=":material/error:")
    return True


def warm_up() -> None:
    """Unpack the installed atlases and load the libraries of a first map while the browser still opens."""
    import matplotlib  # noqa: F401
    import pydeck  # noqa: F401

    from pages.ui.resources import open_once
    from sdm_core import registry
    from sdm_core.errors import FlorascopeError

    for name in registry.list_atlases():
        try:
            open_once(name)
        except FlorascopeError as error:
            logger.warning("the atlas %s is not ready: %s", name, error)
    try:
        INTERFACE.build()  # draws the tiles of large maps
    except FlorascopeError as error:
        logger.warning("the programming interface cannot start: %s", error)


@asynccontextmanager
async def lifespan(_app: st.App) -> AsyncIterator[None]:
    """Warm up beside the first requests."""
    threading.Thread(target=warm_up, name="warm-up", daemon=True).start()
    yield


app = st.App(
    "pages/main.py", routes=served_routes(base_path()), lifespan=lifespan, on_script_error=show_failure
)
