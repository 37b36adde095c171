"""What the user looks at, kept in the session and in the address bar, so that a link restores it.

The view is the one source of truth: a widget is filled from it and writes back through `remember`.
An unknown value in a link becomes one friendly sentence (`notices`) and a default.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from urllib.parse import urlencode

import streamlit as st

from pages.ui.messages import CONTAINMENT, LAYERS, RULES, say


@dataclass(frozen=True)
class View:
    """One state of the pages; every field is one parameter of the address bar."""

    #: Name of the atlas; empty until one is chosen.
    atlas: str = ""
    #: Map layer of Explore: a key of `messages.LAYERS`.
    layer: str = "species"
    #: Scientific name of the species on the map.
    species: str = ""
    #: Part of the atlas drawn in fine cells: empty, `place:<name>` or `at:<longitude>,<latitude>`.
    window: str = ""
    #: Area of the Region page: empty, `place:<name>`, `cells:<h3>,…` or `shape:<encoded rings>`.
    region: str = ""
    #: Areas compared on the Region page: texts as of `region`, joined by `|`; empty without a comparison.
    compare: str = ""
    #: Rule from probabilities to species sets: a key of `messages.RULES`.
    rule: str = ""
    #: Threshold or K of the rule, where it has one; empty for its default.
    value: str = ""
    #: H3 resolution of the Region page's cells; empty for those of the atlas.
    resolution: str = ""
    #: Which cells count for a region: a key of `messages.CONTAINMENT`; empty for the default.
    containment: str = ""


FIELDS = tuple(field.name for field in fields(View))
_VIEW, _WRITTEN, _NOTICES = "view", "view_written", "view_notices"


def view() -> View:
    """The view of this session."""
    return st.session_state.setdefault(_VIEW, View())


def change(**values: str) -> View:
    """Store a view with these fields changed and give it back."""
    st.session_state[_VIEW] = replace(view(), **values)
    return st.session_state[_VIEW]


def notices() -> list[str]:
    """Sentences about a link that could not be followed in full; each is shown until the view changes."""
    return st.session_state.setdefault(_NOTICES, [])


def notice(sentence: str) -> None:
    """Add a sentence about the link, once."""
    if sentence not in notices():
        notices().append(sentence)


def read_address() -> None:
    """Take the view from the address bar when a link, or the back button, changed it."""
    given = {name: st.query_params[name] for name in FIELDS if st.query_params.get(name)}
    if given and given != st.session_state.get(_WRITTEN):
        st.session_state[_NOTICES] = []
        st.session_state[_VIEW] = View(**given)
        st.session_state[_WRITTEN] = given


def write_address(page_fields: tuple[str, ...] = FIELDS) -> None:
    """Put the fields this page uses into the address bar, where they differ from what is there."""
    wanted = parameters(page_fields)
    present = {name: st.query_params[name] for name in FIELDS if st.query_params.get(name)}
    if wanted != present:
        others = {key: st.query_params[key] for key in st.query_params if key not in FIELDS}
        st.query_params.from_dict({**others, **wanted})
    st.session_state[_WRITTEN] = wanted


def parameters(page_fields: tuple[str, ...] = FIELDS) -> dict[str, str]:
    """The non-empty fields of the view as query parameters."""
    return {name: value for name, value in asdict(view()).items() if value and name in page_fields}


def share_link(page_fields: tuple[str, ...] = FIELDS) -> str:
    """Address that restores this view."""
    base = (st.context.url or "").split("?")[0]
    if base.count("/") == 2:
        base += "/"
    return f"{base}?{urlencode(parameters(page_fields))}"


def remember(widget_key: str, field: str, convert: Callable[[object], str] = str) -> Callable[[], None]:
    """Callback that copies a widget into one field of the view; an emptied widget changes nothing."""

    def copy() -> None:
        value = st.session_state[widget_key]
        if value is not None:
            st.session_state[_NOTICES] = []
            change(**{field: convert(value)})

    return copy


def fill(widget_key: str, value: object) -> str:
    """Set a widget from the view before it is drawn, and give its key back."""
    if st.session_state.get(widget_key) != value or widget_key not in st.session_state:
        st.session_state[widget_key] = value
    return widget_key


def settle_choice(
    field: str, options: list[str], default: str, message: str, show: Callable[[str], str]
) -> str:
    """The field's value where it is an option; otherwise the default, with a sentence if one was given."""
    value = getattr(view(), field)
    if value in options:
        return value
    if value:
        notice(say(message, value=value, shown=show(default)))
    change(**{field: default})
    return default


def settle_layer(offered: Sequence[str] = tuple(LAYERS)) -> str:
    """The layer to draw, one of those offered."""
    return settle_choice("layer", list(offered), "species", "unknown_layer", LAYERS.__getitem__)


def settle_rule(default: str, offered: Sequence[str] = tuple(RULES)) -> str:
    """The assemblage rule to use, one of those offered for the atlas."""
    wanted = view().rule
    if wanted in RULES and wanted not in offered:
        notice(say("rule_needs_surveys", value=RULES[wanted], shown=RULES[default]))
        change(rule=default, value="")
    return settle_choice("rule", list(RULES), default, "unknown_rule", RULES.__getitem__)


def settle_containment(default: str) -> str:
    """The rule by which cells count for a region."""
    chosen = view().containment
    if chosen and chosen not in CONTAINMENT:
        notice(say("unknown_containment", value=chosen, shown=CONTAINMENT[default]))
        change(containment="")
    return view().containment or default
