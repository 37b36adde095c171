"""An application served over HTTP on a free port, for tests that need more than a test client."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette


def serve(app: Starlette, path: str = "/api") -> Iterator[str]:
    """Address of a path of a running application."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + 20
    while not server.started and time.monotonic() < end:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}{path}"
    server.should_exit = True
    thread.join(10)
