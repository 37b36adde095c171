"""Shared fixtures: where the training data lies, a simulated atlas, a cache no test shares with a user."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from sdm_core import config
from sdm_core.prediction import opening
from sdm_core.registry import Atlas, open_atlas
from tests.make_store import NAME, add_held_out_surveys, write_simulated_atlas

if "PYTEST_XDIST_WORKER" in os.environ:
    # Several workers share the cores; more threads each would only take turns.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# A busy machine is no fault of the code.
settings.register_profile("florascope", deadline=None)
settings.load_profile("florascope")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what tests unpack and generate out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "CACHE_DIR", tmp_path_factory.mktemp("cache"))
        patch.setattr(opening, "_VERSIONS_KEPT", 100)  # else copies of an atlas push out the shared one
        yield


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the original data; tests that need it skip where it is absent."""
    if not config.DATA_DIR.is_dir():
        pytest.skip(f"original data not found at {config.DATA_DIR}; set SDM_DATA to its folder")
    return config.DATA_DIR


@pytest.fixture(scope="session")
def simulated_atlas_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shipped folder of the simulated atlas of `tests/make_store.py` (40 species, Pyrenees)."""
    return write_simulated_atlas(tmp_path_factory.mktemp("atlases") / NAME)


@pytest.fixture(scope="session")
def simulated_atlas(simulated_atlas_folder: Path, _own_cache: None) -> Atlas:
    """The simulated atlas, opened; read only, shared by all tests."""
    return open_atlas(simulated_atlas_folder)


@pytest.fixture(scope="session")
def surveyed_atlas_folder(simulated_atlas_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same atlas with held-out surveys beside it: `held_out.parquet`, and coverage on the card."""
    folder = tmp_path_factory.mktemp("surveyed") / NAME
    shutil.copytree(simulated_atlas_folder, folder)
    return add_held_out_surveys(folder)


@pytest.fixture(scope="session")
def surveyed_atlas(surveyed_atlas_folder: Path, _own_cache: None) -> Atlas:
    """The atlas with held-out surveys, opened; read only, shared by all tests."""
    return open_atlas(surveyed_atlas_folder)


@pytest.fixture
def s3_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of an S3-compatible server on this machine; credentials and address lie in the environment."""
    import s3fs
    from moto.server import ThreadedMotoServer

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    s3fs.S3FileSystem.clear_instance_cache()  # else a file system of an earlier server is used again
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()
        s3fs.S3FileSystem.clear_instance_cache()
