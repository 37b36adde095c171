"""Shared fixtures: where the training data lies, and a cache that no test shares with a user."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdm_core import config


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the original data; tests that need it skip where it is absent."""
    if not config.DATA_DIR.is_dir():
        pytest.skip(f"original data not found at {config.DATA_DIR}; set SDM_DATA to its folder")
    return config.DATA_DIR
