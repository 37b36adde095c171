"""What surrounds every page: style sheet, notices about a link, the choice of an atlas, errors."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from pages.ui import numbers, palette, resources, state
from pages.ui.messages import say
from sdm_core import config
from sdm_core.errors import FlorascopeError

if TYPE_CHECKING:
    from sdm_core.registry import Atlas

_STYLE = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
_LIGHT = {
    "ink": "#1d2823",
    "muted": "#55625c",
    "line": "#d5dbd5",
    "page": "#fcfcfa",
    "panel": "rgba(255,255,255,0.94)",
    "raised": "#ffffff",
    "track": "#e3e8e3",
    "accent": "#1f6f54",
    "accent-fill": "#1f6f54",
}
_DARK = {
    "ink": "#e6ece8",
    "muted": "#a3b0aa",
    "line": "#33403b",
    "page": "#111715",
    "panel": "rgba(22,30,27,0.94)",
    "raised": "#18211e",
    "track": "#2b3733",
    "accent": "#7fd1b0",
    "accent-fill": "#2a7d5f",
}


def style() -> None:
    """Put the style sheet and the theme's colours on the page."""
    colours = {**(_DARK if palette.is_dark() else _LIGHT), "sea": palette.inks().sea}
    variables = "".join(f"--fs-{name}:{value};" for name, value in colours.items())
    st.html(f"<style>:root{{{variables}}}{_STYLE}</style>")


def show_notices() -> None:
    """Say what of a link could not be followed."""
    for sentence in state.notices():
        st.warning(sentence, icon=":material/link_off:")


@contextmanager
def friendly_errors(stop: bool = True) -> Iterator[None]:
    """Show the sentence of a refusal, and stop the page there unless it can go on without the answer.

    What the user chose stays as it is.
    """
    try:
        yield
    except FlorascopeError as error:
        st.error(str(error), icon=":material/error:")
        if stop:
            st.stop()


def choose_atlas() -> Atlas:
    """Picker of the installed atlases; stops the page with help when there is none."""
    names = resources.atlas_names()
    if not names:
        st.subheader(say("no_atlas_title"))
        st.info(say("no_atlas", folders=", ".join(f"`{folder}`" for folder in config.ATLAS_DIRS)))
        st.stop()
    name = state.settle_choice("atlas", names, names[0], "unknown_atlas", resources.atlas_title)
    st.selectbox(
        say("atlas"),
        names,
        format_func=resources.atlas_title,
        key=state.fill("atlas_picker", name),
        on_change=state.remember("atlas_picker", "atlas"),
    )
    return resources.open_atlas(name)


def card_row(cards: Sequence[tuple[str, str, str, str]], testid: str) -> str:
    """HTML of a row of cards from (label, value, what stands under it, what the label means)."""
    body = "".join(
        f'<div class="fs-card"><h4><span data-tip title="{html.escape(tip)}" tabindex="0">{label}</span></h4>'
        f'<div class="fs-big">{value}</div><div class="fs-under">{under}</div></div>'
        for label, value, under, tip in cards
    )
    return f'<div class="fs-cards" data-testid="{testid}">{body}</div>'


def plain(text: str) -> str:
    """Text as it is, where Markdown would see marks in it."""
    return re.sub(r"([\\`*_\[\]$<>:~#])", r"\\\1", text)


def range_line(low: float = math.nan, high: float = math.nan, digits: int = 0, text: str = "") -> str:
    """HTML of the small line under a card's number: its interval, or other words; blank without either."""
    ends = numbers.range_text(low, high, digits)
    said = text or (say("range_90", ends=ends) if ends else "")
    return f'<div class="fs-range">{said or "&nbsp;"}</div>'


def tip(definition: str, interval: str) -> str:
    """What a number is, and what its interval means."""
    return f"{definition} {say('range_meaning', meaning=interval)}" if interval else definition


def data_name(atlas: Atlas) -> str:
    """Short name of the occurrence data an atlas learned from."""
    data = atlas.card.get("data") or [{}]
    return str(data[0].get("name", atlas.title)).split(" (")[0].split(",")[0]


def grain(atlas: Atlas) -> str:
    """The piece of land one probability of an atlas stands for; its hexagon where the card does not say."""
    return str(atlas.card.get("grain") or say("grain_unknown"))


def source_line(atlas: Atlas) -> str:
    """Atlas, version of the model and date, as every map and file states them."""
    parts = [atlas.title, f"version {str(atlas.store.version)[:8]}"]
    if date := str(atlas.card.get("date", ""))[:10]:
        parts.append(date.replace("-", "\u2011"))
    return " · ".join(parts)
