"""The status lists of a session: added, matched with an atlas, told what was not found, and removed."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import streamlit as st

from pages.ui import frame, numbers
from pages.ui.messages import say
from sdm_core import config
from sdm_core.errors import FlorascopeError

if TYPE_CHECKING:
    from sdm_core.registry import Atlas
    from sdm_core.statuses import MatchedStatuses, StatusFile, SynonymTable

#: Lists of the session by digest, in the order they were added: never in a cache that sessions share.
_KEPT, _MATCHED, _ROUND = "status_files", "status_matched", "status_round"
#: The session's table of synonyms, and its lists with the names from it.
_SYNONYMS, _NAMED = "status_synonyms", "status_named"
_MAX_LISTS = 12
_STATUSES = config.ASSETS_DIR / "statuses"
_TABLE_HEIGHT = 300


def files() -> list[StatusFile]:
    """Status lists of this session, with the other names their taxa have by its table of synonyms."""
    from sdm_core import statuses

    table: SynonymTable | None = st.session_state.get(_SYNONYMS)
    if table is None:
        return list(_kept().values())
    named = st.session_state.setdefault(_NAMED, {})
    for file in _kept().values():
        if (file.digest, table.digest) not in named:
            named[file.digest, table.digest] = statuses.with_synonyms(file, table)
    return [named[file.digest, table.digest] for file in _kept().values()]


def _kept() -> dict[str, StatusFile]:
    return st.session_state.setdefault(_KEPT, {})


def matched(atlas: Atlas) -> list[MatchedStatuses]:
    """The session's lists beside the species of an atlas."""
    return [_matched(file, atlas) for file in files()]


def _matched(file: StatusFile, atlas: Atlas) -> MatchedStatuses:
    """A list beside the species of an atlas, matched once per session."""
    from sdm_core import statuses

    kept = st.session_state.setdefault(_MATCHED, {})
    key = (file.digest, atlas.name, atlas.key)
    if key not in kept:
        kept[key] = statuses.match_statuses(file, atlas.store.species)
    return kept[key]


def add(atlas: Atlas) -> None:
    """Where lists are added, and how each was matched."""
    with st.expander(say("status_add"), icon=":material/playlist_add:", key="status_add"):
        _upload()
        for number, (original, file) in enumerate(zip(list(_kept()), files(), strict=True)):
            _matching(number, original, _matched(file, atlas))


def _upload() -> None:
    """Files become lists of the session; a refusal is one sentence and leaves the others as they are."""
    from sdm_core import statuses

    with st.container(key="status_box"):
        box, more = st.columns([2.6, 1], gap="medium", vertical_alignment="top")
    key = f"status_files_{st.session_state.setdefault(_ROUND, 0)}"
    uploaded = box.file_uploader(
        say("status_files"),
        type=["csv", "tsv", "txt"],
        accept_multiple_files=True,
        key=key,
        max_upload_size=20,
    )
    box.caption(say("status_hint"))
    more.download_button(
        say("status_template"),
        data=(_STATUSES / "template.csv").read_bytes(),
        file_name="status-list.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key="status_template",
        width="stretch",
    )
    with more.popover(say("status_format"), icon=":material/help:", width="stretch"):
        st.markdown((_STATUSES / "README.md").read_text(encoding="utf-8"))
    with more:
        _synonyms()
    for refusal in st.session_state.get("status_refused", []):
        st.error(refusal, icon=":material/error:")
    if not uploaded:
        return
    refused = []
    for file in uploaded:
        try:
            found = statuses.read_statuses(file.getvalue(), file.name)
        except FlorascopeError as error:
            refused.append(str(error))
            continue
        _kept()[found.digest] = found
    while len(_kept()) > _MAX_LISTS:
        _kept().pop(next(iter(_kept())))
    st.session_state["status_refused"] = refused
    st.session_state[_ROUND] += 1  # the uploader is empty again: what was read is listed below it
    st.rerun()


def _synonyms() -> None:
    """A table of synonyms becomes that of the session; a refusal is one sentence."""
    from sdm_core import statuses

    table: SynonymTable | None = st.session_state.get(_SYNONYMS)
    if table is not None:
        said = say("synonyms_have", name=frame.plain(table.name), n=numbers.number(len(table.pairs)))
        st.caption(said)
        if st.button(
            say("synonyms_remove"), key="synonyms_remove", icon=":material/delete:", width="stretch"
        ):
            st.session_state.pop(_SYNONYMS)
            st.session_state[_ROUND] += 1
            st.rerun()
        return
    file = st.file_uploader(
        say("synonyms_file"),
        type=["csv", "tsv", "txt"],
        key=f"synonyms_file_{st.session_state[_ROUND]}",
        help=say("synonyms_help"),
        max_upload_size=20,
    )
    if file is None:
        return
    try:
        st.session_state[_SYNONYMS] = statuses.read_synonyms(file.getvalue(), file.name)
    except FlorascopeError as error:
        st.error(str(error), icon=":material/error:")
        return
    st.rerun()


def _matching(number: int, original: str, matched: MatchedStatuses) -> None:
    """How a list was matched, names that were not with suggestions, and the way to be rid of it."""
    file = matched.file
    words, button = st.columns([4, 1], vertical_alignment="center")
    total, n_missed = len(file.entries), len(matched.unmatched)
    said = say("status_matched", n=numbers.number(total - n_missed), total=numbers.number(total))
    words.html(f'<p data-testid="status-matched"><b>{html.escape(file.name)}</b> {said}</p>')
    if button.button(
        say("status_remove"), key=f"status_remove_{original}", icon=":material/delete:", width="stretch"
    ):
        _kept().pop(original, None)
        st.rerun()
    for note in matched.notes:
        st.html(f'<p class="fs-notes">{html.escape(note)}</p>')
    other = matched.matched[matched.matched["way"] != "name"]
    if len(other):
        st.caption(say("status_other_names", n=numbers.number(len(other))))
        st.dataframe(
            other[["taxon", "species", "way"]],
            hide_index=True,
            height=min(_TABLE_HEIGHT, 33 * (len(other) + 1) + 5),
            key=f"status_other_{number}",
            column_config={
                "taxon": st.column_config.TextColumn("Name in the list", width=220),
                "species": st.column_config.TextColumn("Species of the atlas", width=220),
                "way": st.column_config.TextColumn("Found by", width=240),
            },
        )
    if n_missed:
        key = "status_unmatched_one" if n_missed == 1 else "status_unmatched"
        st.caption(say(key, n=numbers.number(n_missed), name=frame.plain(file.name)))
        st.dataframe(
            matched.unmatched[["taxon", "category", "suggestions", "reason", "list"]],
            hide_index=True,
            height=min(_TABLE_HEIGHT, 33 * (n_missed + 1) + 5),
            key=f"status_unmatched_{number}",
            column_config={
                "taxon": st.column_config.TextColumn("Name in the list", width=220),
                "category": st.column_config.TextColumn("Status", width=80),
                "suggestions": st.column_config.TextColumn("Perhaps", width=240),
                "reason": st.column_config.TextColumn("Why not", width=280),
                "list": st.column_config.TextColumn("List", width=180),
            },
        )
