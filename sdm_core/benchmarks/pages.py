"""What a user waits for: the first map after a start, and each answer of a page after a click.

Wall time, in the browser: from the moment the mouse is let go (or the start of the server, or the opening
of a link) until the answer stands on the page, maps drawn. There is no peer; instead every answer is held
against the atlas, opened here: a fast page that shows another species counts for nothing.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import numpy as np

from sdm_core import config, regions, registry
from sdm_core.benchmarks import browser
from sdm_core.benchmarks.browser import PageTimingError
from sdm_core.benchmarks.page_checks import check_cards, check_hexagons, check_list, map_cells
from sdm_core.benchmarks.timing import Timing
from sdm_core.errors import NoDataInRegionError
from sdm_core.regions import Region
from sdm_core.registry import Atlas

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

#: Longest accepted median from a click to its answer, in milliseconds.
GOAL_RERUN_MS = 1000.0
#: A start or an answer that takes longer ends the benchmark.
_LIMIT_S = 120.0
#: A click that hits no hexagon (the sea, a lake) is given up after so long, and another place is tried.
_MISSED_CLICK_S = 5.0
_MILLISECONDS = 1000.0
#: Bytes a map sends to the graphics card for the outline of a hexagon: at least so many.
_BYTES_PER_HEXAGON = 200
_N_LISTED, _N_CARDS = 5, 5
_FIRST_PLACE = "Pyrenees"
#: Rule of the engine → how the page calls it, and its options there.
_RULES: dict[str, tuple[str, dict[str, float]]] = {
    "threshold": ("Fixed threshold", {"t": config.DEFAULT_THRESHOLD}),
    "max_exp": ("Best score (MaxExp)", {}),
}
#: Places of the map where hexagons are clicked, as shares of its width and height.
_CLICKS = tuple((x / 100, y / 100) for y in (50, 44, 56, 38, 62) for x in (50, 42, 57, 46, 53, 38))

_LEGEND = ".fs-legend-name"
_MAP = "[data-testid=stDeckGlJsonChart] canvas"
_CARDS = "[data-testid=cards]"
_PANEL = ".st-key-cell_panel"
#: Time the hexagons of the layer in the legend were drawn; false before.
_DRAWN = f"""([species, leastBytes]) => {{
    const legend = document.querySelector("{_LEGEND}");
    if (!legend || (species && legend.textContent !== species)) return false;
    const sent = window.stopwatch.uploads.findLast(([, bytes]) => bytes >= leastBytes);
    const drawn = sent && window.stopwatch.draws.find(([when]) => when >= sent[0]);
    return drawn ? {{pressed: window.stopwatch.pressed, seen: drawn[0]}} : false;
}}"""
#: Time an element was first seen with enough parts and another text than before; false until then.
_CHANGED = """([selector, parts, least, before]) => {
    const element = document.querySelector(selector);
    if (!element || element.outerHTML === before) return false;
    if (element.querySelectorAll(parts).length < least) return false;
    return {pressed: window.stopwatch.pressed, seen: Date.now()};
}"""


@dataclass
class _Watched:
    """A page, and the last map layer its browser was sent."""

    page: Page
    layer: Any = None

    @classmethod
    def of(cls, page: Page) -> _Watched:
        watched = cls(page)

        def note(response: Any) -> None:
            if "/florascope/layer/" in response.url:
                watched.layer = response

        page.on("response", note)
        return watched

    def wait(self, script: str, values: list[Any], limit_s: float = _LIMIT_S) -> dict[str, float]:
        """What a script of this module gives once it is not false."""
        handle = self.page.wait_for_function(script, arg=values, polling="raf", timeout=limit_s * 1000)
        found: dict[str, float] = handle.json_value()
        return found


def page_timings(
    atlases: Path | None = None, repetitions: int = 8, cold_starts: int = 3, n_places: int = 5
) -> Iterator[Timing]:
    """Every timing of the pages, one after the other, on the installed atlases.

    atlases: folder of atlases that goes before the installed ones, whose atlases alone are timed.
    repetitions: species, and hexagons, chosen per atlas. cold_starts: starts with, and without, unpacked
    atlases. n_places: regions opened per atlas. Raises `PageTimingError` where the pages cannot be timed,
    `UnequalResultsError` when a page shows something else than the atlas holds.
    """
    names = registry.list_atlases(None if atlases is None else (atlases,))
    if not names:
        raise PageTimingError("no atlas is installed, so there is no page to time; build or fetch one first")
    opened = [registry.open_atlas(name if atlases is None else atlases / name) for name in names]
    with (
        tempfile.TemporaryDirectory(prefix="florascope-pages-") as scratch,
        browser.chromium() as chromium,
        browser.answers_in_time(),
    ):
        folder = Path(scratch)
        yield from _cold_starts(chromium, opened[0], atlases, folder, cold_starts)
        with browser.serve(folder / "warm", folder / "log.txt", atlases) as address:
            for atlas in opened:
                yield from _explore(chromium, address, atlas, repetitions)
                yield from _region(chromium, address, atlas, n_places)


# Cold start -----------------------------------------------------------------------------------------


def _cold_starts(
    chromium: Browser, atlas: Atlas, atlases: Path | None, folder: Path, n_starts: int
) -> Iterator[Timing]:
    """From the start of the server to the first map: with an empty cache, then with what it left there."""
    times: dict[str, list[float]] = {"fresh": [], "unpacked": []}
    for number in range(n_starts):
        for milliseconds in times.values():
            started = time.time() * _MILLISECONDS
            with (
                browser.serve(folder / f"cold-{number}", folder / "log.txt", atlases) as address,
                browser.new_page(chromium, _LIMIT_S) as page,
            ):
                watched = _Watched.of(page)
                page.goto(address)
                drawn = watched.wait(_DRAWN, ["", _least_bytes(atlas)])["seen"]
                _check_map(watched, atlas)
                milliseconds.append(drawn - started)
    texts = {"fresh": "nothing unpacked yet", "unpacked": "atlases unpacked"}
    for state, text in texts.items():
        yield Timing(
            f"cold start to the first map, {text}",
            times[state],
            None,
            "the hexagons sent hold the probabilities of the species in the legend",
            {"atlas": atlas.name, "from": "start of `streamlit run app.py`, browser open, files in memory"},
        )


# Explore --------------------------------------------------------------------------------------------


def _explore(chromium: Browser, address: str, atlas: Atlas, repetitions: int) -> Iterator[Timing]:
    """Another species, another hexagon: each chosen for the first time."""
    with browser.new_page(chromium, _LIMIT_S) as page:
        watched = _Watched.of(page)
        page.goto(f"{address}/?atlas={atlas.name}")
        watched.wait(_DRAWN, ["", _least_bytes(atlas)])
        shown = page.locator(_LEGEND).text_content() or ""
        times = [_choose_species(watched, atlas, name) for name in _other_species(atlas, shown, repetitions)]
        yield Timing(
            f"another species on the map, {atlas.name}",
            times,
            GOAL_RERUN_MS,
            "the legend names the species and the hexagons sent hold its probabilities, for every species",
            {"from": "click on a species to its hexagons drawn", **_size(atlas)},
        )
        yield Timing(
            f"species of a hexagon, {atlas.name}",
            _click_hexagons(watched, atlas, repetitions),
            GOAL_RERUN_MS,
            f"the {_N_LISTED} most probable species of the hexagon, in their order, for every hexagon",
            {"from": "click on the map to the list of the hexagon", **_size(atlas)},
        )


def _size(atlas: Atlas) -> dict[str, int]:
    store = atlas.store
    return {"n_cells": store.n_cells, "n_species": store.n_species, "n_hexagons": len(map_cells(store)[1])}


def _least_bytes(atlas: Atlas) -> int:
    """What must have been sent to the graphics card before the map of an atlas can be drawn."""
    return _BYTES_PER_HEXAGON * len(map_cells(atlas.store)[1])


def _other_species(atlas: Atlas, shown: str, number: int) -> list[str]:
    """Species spread over the table of an atlas, other than the one shown."""
    names = [str(name) for name in atlas.store.species["species"] if name != shown]
    return [names[place] for place in np.unique(np.linspace(0, len(names) - 1, number).astype(int))]


def _choose_species(watched: _Watched, atlas: Atlas, species: str) -> float:
    """Milliseconds from the click on a species in the open picker until its map is drawn."""
    page = watched.page
    picker = page.locator(".st-key-species_picker input").first
    picker.click()
    picker.fill(species)
    page.get_by_role("option", name=re.compile(rf"^{re.escape(species)}( · .*)?$")).first.click()
    seen = watched.wait(_DRAWN, [species, _least_bytes(atlas)])
    _check_map(watched, atlas)
    return seen["seen"] - seen["pressed"]


def _check_map(watched: _Watched, atlas: Atlas) -> None:
    """Hold the hexagons the browser was sent last against the atlas."""
    species = watched.page.locator(_LEGEND).text_content() or ""
    check_hexagons(watched.layer.json(), atlas, species)


def _click_hexagons(watched: _Watched, atlas: Atlas, number: int) -> list[float]:
    """Milliseconds from a click on the map until the list of that hexagon stands beside it."""
    from playwright.sync_api import TimeoutError as TookTooLong

    page = watched.page
    canvas = page.locator(_MAP).first
    box = canvas.bounding_box()
    if box is None:
        raise PageTimingError(f"the map of {atlas.name} is not on the page")
    panel = page.locator(_PANEL)
    times: list[float] = []
    for across, down in _CLICKS:
        before = panel.evaluate("element => element.outerHTML")
        canvas.click(position={"x": box["width"] * across, "y": box["height"] * down})
        try:
            seen = watched.wait(_CHANGED, [_PANEL, ".fs-list i", _N_LISTED, before], _MISSED_CLICK_S)
        except TookTooLong:
            continue
        times.append(seen["seen"] - seen["pressed"])
        check_list(panel.inner_text(), panel.locator(".fs-list i").all_inner_texts()[:_N_LISTED], atlas)
        if len(times) == number:
            break
    if not times:
        raise PageTimingError(f"no click on the map of {atlas.name} listed the species of a hexagon")
    return times


# Region ---------------------------------------------------------------------------------------------


def _region(chromium: Browser, address: str, atlas: Atlas, n_places: int) -> Iterator[Timing]:
    """A link to a place, and another rule there: each place and rule for the first time."""
    opened: list[float] = []
    changed: list[float] = []
    places = _places(atlas, n_places)
    for place in places:
        with browser.new_page(chromium, _LIMIT_S) as page:
            watched = _Watched.of(page)
            link = urlencode({"atlas": atlas.name, "region": f"place:{place.name}"})
            started = time.time() * _MILLISECONDS
            page.goto(f"{address}/region?{link}")
            opened.append(watched.wait(_CHANGED, [_CARDS, ".fs-card", _N_CARDS, ""])["seen"] - started)
            check_cards(page.locator(f"{_CARDS} .fs-big").all_inner_texts(), atlas, place)
            for rule, (label, options) in _RULES.items():
                changed.append(_change_rule(watched, label))
                texts = page.locator(f"{_CARDS} .fs-big").all_inner_texts()
                check_cards(texts, atlas, place, rule, options)
    details = {"places": [place.name for place in places], **_size(atlas)}
    yield Timing(
        f"link to a region, {atlas.name}",
        opened,
        None,
        "species in the list and Shannon on the cards are those of the engine, for every place",
        {"from": "opening of the link in a new browser to the five cards, server running", **details},
    )
    yield Timing(
        f"another rule for a region, {atlas.name}",
        changed,
        GOAL_RERUN_MS,
        "species in the list and Shannon on the cards are those of the engine, for every place and rule",
        {"from": "click on the rule to the changed cards", "rules": list(_RULES), **details},
    )


def _places(atlas: Atlas, number: int) -> list[Region]:
    """Named places with cells in an atlas: the Pyrenees first, then the natural regions and countries."""
    names = [name for name in regions.place_names() if regions.find_place(name).kind != "town"]
    names.sort(key=lambda name: name != _FIRST_PLACE)
    store = atlas.store
    found: list[Region] = []
    for name in names:
        place = regions.region_from_place(name)
        with suppress(NoDataInRegionError):
            regions.select_cells(place, store.lonlat, store.resolution, store.cells, store.area_ha)
            found.append(place)
        if len(found) == number:
            break
    return found


def _change_rule(watched: _Watched, label: str) -> float:
    """Milliseconds from the click on a rule until the cards show its numbers."""
    page = watched.page
    choice = page.locator(".st-key-rule_picker").get_by_text(label, exact=True)
    if not choice.is_visible():
        page.get_by_role("button", name="Rule:").first.click()
    choice.wait_for()
    before = page.locator(_CARDS).evaluate("element => element.outerHTML")
    choice.click()
    seen = watched.wait(_CHANGED, [_CARDS, ".fs-card", _N_CARDS, before])
    return seen["seen"] - seen["pressed"]
