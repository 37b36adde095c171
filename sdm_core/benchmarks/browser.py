"""The app as a user meets it, for timings: its server in a process of its own, Chromium, a stopwatch."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdm_core import config
from sdm_core.errors import FlorascopeError

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

#: Names under which systems install Chromium; the environment variable `CHROMIUM` goes before them.
_CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
#: WebGL in software, so that a machine without a GPU draws the map too, and nothing asked of other machines.
CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-background-networking",
)
_VIEWPORT: Any = {"width": 1366, "height": 768}
_START_LIMIT_S = 180.0
_POLL_S = 0.02
#: Runs in every page before its own code: notes when the user let go of the mouse, and since then what was
#: sent to the graphics card (time, bytes) and drawn (time, vertices). Times are those of the system's clock.
_STOPWATCH = """(() => {
    const log = window.stopwatch = {pressed: 0, uploads: [], draws: []};
    addEventListener("pointerup", () => {
        log.pressed = Date.now();
        log.uploads = [];
        log.draws = [];
    }, true);
    const wrap = (name, note) => {
        const original = WebGL2RenderingContext.prototype[name];
        WebGL2RenderingContext.prototype[name] = function (...given) {
            const result = original.apply(this, given);
            note(given);
            return result;
        };
    };
    const upload = given => {
        const data = given.find(value => value && value.byteLength !== undefined);
        if (data && data.byteLength > 1000) log.uploads.push([Date.now(), data.byteLength]);
    };
    const draw = (count, instances = 1) => {
        if (log.draws.length < 5000) log.draws.push([Date.now(), count * instances]);
    };
    wrap("bufferData", upload);
    wrap("bufferSubData", upload);
    wrap("drawArrays", given => draw(given[2]));
    wrap("drawElements", given => draw(given[1]));
    wrap("drawArraysInstanced", given => draw(given[2], given[3]));
    wrap("drawElementsInstanced", given => draw(given[1], given[4]));
})()"""


class PageTimingError(FlorascopeError):
    """The pages cannot be timed here: something is not installed, or the app or a page does not answer."""


def free_port() -> int:
    """A port of this machine nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def serve(
    cache: Path,
    log: Path,
    atlases: Path | None = None,
    settings: Mapping[str, str] | None = None,
    on_start: Callable[[int], None] | None = None,
) -> Iterator[str]:
    """Start `streamlit run app.py` and give its address as soon as it answers; ends with the process ended.

    cache: folder the atlases are unpacked into. log: file for what the server prints. atlases: folder of
    atlases that goes before the shipped ones. settings: more of its environment. on_start: is told the number
    of its process. Raises `PageTimingError` when the server does not start.
    """
    environment = {**os.environ, "FLORASCOPE_CACHE": str(cache), **(settings or {})}
    if atlases is not None:
        environment["FLORASCOPE_ATLASES"] = str(atlases)
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "streamlit", "run", "app.py"]
    command += ["--server.port", str(port), "--server.headless", "true"]
    address = f"http://127.0.0.1:{port}"
    with log.open("a", encoding="utf-8") as output:
        process = subprocess.Popen(
            command, cwd=config.ROOT_DIR, env=environment, stdout=output, stderr=output
        )
        try:
            _wait_for_answer(f"{address}/florascope/health", process, log)
            if on_start is not None:
                on_start(process.pid)
            yield address
        finally:
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for_answer(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _START_LIMIT_S
    while process.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(_POLL_S)
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["nothing"]
    raise PageTimingError(
        f"`streamlit run app.py` did not answer at {address}; the last it said was: {lines[-1].strip()}"
    )


def chromium_path() -> str | None:
    """Chromium of this machine: `CHROMIUM`, or one on the search path; None is Playwright's own."""
    given = os.environ.get("CHROMIUM")
    if given:
        if not Path(given).is_file():
            raise PageTimingError(
                f"CHROMIUM is {given}, where there is no file; set it to a Chromium program"
            )
        return given
    return next((path for path in map(shutil.which, _CHROMIUM_NAMES) if path), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium; raises `PageTimingError` where it or Playwright is missing."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ModuleNotFoundError as error:
        raise PageTimingError(
            "the page timings drive a browser with Playwright, which is not installed; "
            "run `pip install playwright`"
        ) from error

    path = chromium_path()
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_ARGUMENTS))
        except Error as error:
            raise PageTimingError(
                f"Chromium ({path or 'that of Playwright'}) cannot be started; set CHROMIUM to its path, "
                "or run `playwright install chromium`"
            ) from error
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def answers_in_time() -> Iterator[None]:
    """Say in one sentence what a page did not do in time, as `PageTimingError`."""
    from playwright.sync_api import TimeoutError as TookTooLong

    try:
        yield
    except TookTooLong as error:
        raise PageTimingError(
            f"a page did not answer in time ({str(error).splitlines()[0]}); is the machine busy?"
        ) from error


@contextmanager
def new_page(browser: Browser, limit_s: float) -> Iterator[Page]:
    """A page with a stopwatch and nothing remembered from other pages; waits end after `limit_s` seconds."""
    context: Any = browser.new_context(viewport=_VIEWPORT)
    try:
        context.set_default_timeout(limit_s * 1000)
        context.add_init_script(_STOPWATCH)
        yield context.new_page()
    finally:
        context.close()
