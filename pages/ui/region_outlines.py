"""Outlines of a user's file to set a region against: biogeographic regions, ecoregions, provinces."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import streamlit as st

from pages.ui import frame, numbers, region_several
from pages.ui.messages import say
from sdm_core import config
from sdm_core.errors import FlorascopeError, MissingCRSError

if TYPE_CHECKING:
    from sdm_core.regions import Outlines
    from sdm_core.registry import Atlas

#: Outlines of the session: never in a cache that sessions share.
_KEPT, _ROUND = "outlines", "outlines_round"
#: What they were read from, and the columns of the last file that may name them.
_FROM, _COLUMNS = "outlines_from", "outlines_columns"


def kept() -> Outlines | None:
    """The outlines of this session, None before any are added."""
    return st.session_state.get(_KEPT)


def choose(atlas: Atlas) -> None:
    """A place to add, name and remove outlines."""
    outlines = kept()
    label = say("outlines_add") if outlines is None else say("outlines_have")
    with st.popover(label, icon=":material/crop_square:", width="stretch"):
        st.caption(say("outlines_hint"))
        if outlines is not None:
            said = say("outlines_read", n=numbers.number(len(outlines.names)), column=outlines.column)
            st.markdown(f"**{frame.plain(outlines.source)}**  \n{frame.plain(said)}")
            for note in outlines.notes:
                st.html(f'<p class="fs-notes">{html.escape(note)}</p>')
            if st.button(
                say("outlines_remove"), key="outlines_remove", icon=":material/delete:", width="stretch"
            ):
                forget()
                st.rerun()
        _upload(atlas)


def forget() -> None:
    """Remove the outlines of this session."""
    for key in (_KEPT, _FROM, _COLUMNS):
        st.session_state.pop(key, None)
    st.session_state[_ROUND] = st.session_state.get(_ROUND, 0) + 1


def _upload(atlas: Atlas) -> None:
    """A file becomes the outlines; which column names them is asked where it cannot be told."""
    from sdm_core import indicators, regions

    number = st.session_state.setdefault(_ROUND, 0)
    file = st.file_uploader(
        say("outlines_file"),
        type=region_several.UPLOAD_TYPES,
        key=f"outlines_file_{number}",
        max_upload_size=config.MAX_UPLOAD_BYTES // 2**20,
    )
    if file is None:
        return
    data, crs = file.getvalue(), None
    asks_crs = f"outlines_crs_{file.file_id}"
    if asks_crs in st.session_state:
        crs = st.text_input(say("upload_crs"), key=asks_crs, placeholder="EPSG:4326").strip() or None
    try:
        asked = (file.file_id, crs)
        if st.session_state.get(_COLUMNS, ((), ()))[0] != asked:
            st.session_state[_COLUMNS] = (asked, regions.name_columns(data, file.name, crs=crs))
        columns = st.session_state[_COLUMNS][1]
        column = None
        if len(columns) > 1:
            column = st.selectbox(
                say("outlines_column"),
                columns,
                index=_likeliest(columns),
                key=f"outlines_column_{file.file_id}",
                placeholder=say("outlines_column_which"),
            )
            if column is None:
                return
        wanted = (file.file_id, crs, column, atlas.key)
        if wanted == st.session_state.get(_FROM):
            return
        with st.spinner(say("several_reading", name=frame.plain(file.name))):
            outlines = regions.read_outlines(data, file.name, name_column=column, crs=crs)
            indicators.check_outlines(outlines, atlas.store)
    except MissingCRSError as error:
        if asks_crs not in st.session_state:
            st.text_input(say("upload_crs"), key=asks_crs, placeholder="EPSG:4326")
        st.error(str(error), icon=":material/error:")
        return
    except FlorascopeError as error:
        st.error(str(error), icon=":material/error:")
        return
    st.session_state.update({_KEPT: outlines, _FROM: wanted})
    st.rerun()


def _likeliest(columns: tuple[str, ...]) -> int | None:
    """Position of a column that is called as columns of names are; None where none is."""
    from sdm_core.regions.outlines import NAME_COLUMNS

    called = [column.lower() for column in columns]
    return next((called.index(name) for name in NAME_COLUMNS if name in called), None)
