"""The app as a user opens it, on the simulated atlas, without a browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from sdm_core import config

MAIN = config.ROOT_DIR / "pages" / "main.py"
TIMEOUT_S = 60


@pytest.fixture(autouse=True)
def _simulated_only(simulated_atlas_folder: Path, _own_cache: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the simulated atlas is installed, and no cache of another test is left."""
    monkeypatch.setattr(config, "ATLAS_DIRS", (simulated_atlas_folder.parent,))
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def open_page() -> Callable[..., AppTest]:
    """Open the app on a page with the parameters of a link."""

    def opened(page: str = "explore", **link: str) -> AppTest:
        app = AppTest.from_file(str(MAIN), default_timeout=TIMEOUT_S)
        if page != "explore":
            app.run()
            app.switch_page(f"{page}.py")
        for name, value in link.items():
            app.query_params[name] = value
        app.run()
        assert not app.exception, app.exception
        return app

    return opened


def shown_html(app: AppTest) -> str:
    """All HTML blocks of a page, one after the other."""
    return "\n".join(block.proto.body for block in app.get("html"))


def link_of(app: AppTest) -> dict[str, str]:
    """The parameters in the address bar."""
    return {name: value if isinstance(value, str) else value[0] for name, value in app.query_params.items()}
