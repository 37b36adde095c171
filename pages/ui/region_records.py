"""A user's own records on the Region page: read, kept for the session, set beside the prediction."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from pages.ui import frame, numbers, region_ranges
from pages.ui.messages import COVER_SCALES, OBSERVED_BASIS, RECORD_FILTERS, say
from sdm_core import config
from sdm_core.errors import FlorascopeError

if TYPE_CHECKING:
    from pages.ui.region_read import Reading
    from sdm_core.observed import ObservedRegion, Records
    from sdm_core.regions import Region
    from sdm_core.registry import Atlas

UPLOAD_TYPES = ["csv", "tsv", "txt", "zip", "gz", "gpkg"]
_LONGEST_TITLE = 80
#: Records of the session, and the last comparison with a region: never in a cache that sessions share.
_KEPT, _COMPARED, _REFUSED, _ROUND = "records", "records_compared", "records_refused", "records_round"


def step(atlas: Atlas, region: Region, reading: Reading) -> ObservedRegion | None:
    """Where records are added and removed, what was read of them, and the numbers of this region."""
    records = kept()
    shown = say("records_step") if records is None else say("records_step_with", files=_plain(records.title))
    with st.expander(shown, icon=":material/add_location_alt:", key="records_step"):
        _upload(records)
        records = kept()
        if records is None:
            return None
        observed = _compared(records, atlas, region, reading)
        _what_was_read(records, observed, reading)
    _cards(observed)
    region_ranges.section(records, observed, (region.geometry_hash, atlas.key))
    return observed


def _plain(names: str) -> str:
    """Names of files as they are, where Markdown would see marks in them; cut where they are long."""
    return frame.plain(names if len(names) <= _LONGEST_TITLE else f"{names[:_LONGEST_TITLE]} …")


def kept() -> Records | None:
    """The records of this session, None before any are added."""
    return st.session_state.get(_KEPT)


def _upload(records: Records | None) -> None:
    """Files, how they are written, and the way to be rid of them; a refusal is one sentence."""
    box, how = st.columns([2.2, 1], gap="medium")
    key = f"records_files_{st.session_state.setdefault(_ROUND, 0)}"
    files = box.file_uploader(
        say("records_files"),
        type=UPLOAD_TYPES,
        accept_multiple_files=True,
        key=key,
        on_change=lambda: None if st.session_state.get(key) else forget(),
        max_upload_size=config.MAX_RECORDS_BYTES // 2**20,
    )
    box.caption(say("records_hint"))
    crs = how.text_input(say("records_crs"), key="records_crs", placeholder=say("records_crs_none")).strip()
    scale = how.selectbox(
        say("records_scale"),
        list(COVER_SCALES),
        format_func=COVER_SCALES.__getitem__,
        key="records_scale",
        help=say("records_scale_help", table=_midpoints()),
    )
    if records is not None and how.button(
        say("records_remove"), key="records_remove", icon=":material/delete:", width="stretch"
    ):
        forget()
        st.rerun()
    if not files:
        return
    wanted = (tuple(file.file_id for file in files), crs, scale)
    if wanted == st.session_state.get("records_read"):
        if refusal := st.session_state.get(_REFUSED):
            st.error(refusal, icon=":material/error:")
            if records is not None:
                st.caption(say("records_before", files=_plain(records.title)))
        return
    from sdm_core import observed

    st.session_state["records_read"] = wanted
    st.session_state.pop(_REFUSED, None)
    try:
        with st.spinner(say("records_reading"), show_time=True):
            st.session_state[_KEPT] = observed.read_records(
                [(file.name, file.getvalue()) for file in files], crs=crs or None, cover_scale=scale or None
            )
    except FlorascopeError as error:
        st.session_state[_REFUSED] = str(error)  # what was read before stays
    st.rerun()


def forget() -> None:
    """Remove the records of this session and all that was made of them."""
    for key in (_KEPT, _COMPARED, _REFUSED, "records_read", "observed_ranges"):
        st.session_state.pop(key, None)
    st.session_state[_ROUND] = st.session_state.get(_ROUND, 0) + 1


def _midpoints() -> str:
    from sdm_core.occurrences import BRAUN_BLANQUET

    return ", ".join(f"{symbol} = {cover:g} %" for symbol, cover in BRAUN_BLANQUET.items())


def _compared(records: Records, atlas: Atlas, region: Region, reading: Reading) -> ObservedRegion:
    """The records beside this prediction; the last comparison is kept in the session."""
    from sdm_core import observed

    summary = reading.summary
    key = (
        records.fingerprint,
        region.geometry_hash,
        atlas.key,
        summary.rule,
        str(summary.rule_options),
        summary.containment,
    )
    kept = st.session_state.get(_COMPARED)
    if kept is None or kept[0] != key:
        with st.spinner(say("records_comparing")):
            kept = (key, observed.observe_region(records, region, atlas.species, summary))
        st.session_state[_COMPARED] = kept
    return kept[1]


def _what_was_read(records: Records, observed: ObservedRegion, reading: Reading) -> None:
    """Warnings, numbers beside the predicted ones, cleaning, and names that were not found."""
    for warning in observed.warnings:
        st.html(f'<p class="fs-notes" data-testid="records-warning">{html.escape(warning)}</p>')
    rows = []
    for number in observed.numbers.values():
        predicted = reading.summary.indicators.get(number.predicted)
        rows.append(
            f"<tr><td>{html.escape(number.label)}</td>"
            f'<td class="fs-num" data-testid="observed-{number.name}">{number.shown}</td>'
            f'<td class="fs-num">{number.shown_in_atlas if predicted else ""}</td>'
            f'<td class="fs-num">{predicted.shown if predicted else ""}</td>'
            f'<td class="fs-note">{html.escape(number.definition)}</td></tr>'
        )
    head = "".join(
        f"<th{extra}>{say(key)}</th>"
        for key, extra in (
            ("records_measure", ""),
            ("records_all", ' class="fs-num"'),
            ("records_in_atlas", ' class="fs-num"'),
            ("records_predicted", ' class="fs-num"'),
            ("records_meaning", ""),
        )
    )
    st.html(
        '<div class="fs-scroll"><table class="fs-table" style="min-width:44rem">'
        f"<tr>{head}</tr>{''.join(rows)}</table></div>"
        f'<p class="fs-note">{html.escape(say("records_basis", basis=observed.basis_text))}</p>'
    )
    lost = observed.unmatched
    cleaning, names = st.columns(2, gap="medium")
    with cleaning:
        read, left = numbers.number(records.n_read), numbers.number(records.n_records)
        st.caption(say("records_cleaning", read=read, left=left))
        st.dataframe(records.account, hide_index=True, key="records_account", height=215)
    with names:
        st.caption(say("records_unmatched", n=numbers.number(len(lost))))
        st.dataframe(
            lost[["species", "n_records", "suggestion"]].rename(
                columns={"n_records": "records", "suggestion": "meant, perhaps"}
            ),
            hide_index=True,
            key="records_unmatched",
            height=215,
        )


def _cards(observed: ObservedRegion) -> None:
    """A row of numbers of what was observed, under those of the prediction."""
    from sdm_core import observed as room

    found = observed.numbers
    species, shannon = found["species"], found["shannon"]
    years = "–".join(dict.fromkeys(map(str, observed.years or ())))
    plots = f" · {say('records_plots', n=numbers.number(observed.n_plots))}" if observed.n_plots else ""
    agreed = observed.count(room.AGREED)
    rarefied, chao = found.get("rarefied"), found.get("chao")
    complete = [
        f"{rarefied.label.split(',')[0].lower()}: {numbers.number(rarefied.value)}" if rarefied else "",
        say("card_chao", n=chao.shown) if chao else "",
    ]
    shown = [
        (
            say("card_observed"),
            species.shown,
            say("card_observed_under", records=numbers.number(observed.n_records)) + plots + f"<br>{years}",
            species.definition,
        ),
        (
            say("card_agreed"),
            f"{numbers.number(agreed)} <small>{say('card_agreed_of', n=species.shown_in_atlas)}</small>",
            say("card_agreed_under", n=numbers.number(len(observed.not_observed))),
            say("card_agreed_help"),
        ),
        (
            say("card_missed"),
            f"{numbers.number(observed.n_missed)} <small>·</small> "
            f"{numbers.number(observed.count(room.UNEXPECTED))}",
            say("card_missed_under", percent=f"{100 * room.UNEXPECTED_BELOW:g}"),
            say("card_missed_help", percent=f"{100 * room.UNEXPECTED_BELOW:g}"),
        ),
        (
            say("card_observed_shannon"),
            shannon.shown,
            OBSERVED_BASIS[observed.basis],
            f"{shannon.definition} {observed.basis_text}.",
        ),
        (
            say("card_coverage"),
            f"{found['coverage'].shown} %" if "coverage" in found else "–",
            "<br>".join(filter(None, complete)),
            found["coverage"].definition if "coverage" in found else "",
        ),
    ]
    st.html(frame.card_row(shown, "observed-cards"))


def with_observed(table: pd.DataFrame, observed: ObservedRegion) -> pd.DataFrame:
    """The species table of the page with what was observed, and the observed species the atlas lacks below.

    table: from `region_species.shown_species`. Adds `status`, `own_records`, `last_year`.
    """
    from sdm_core import observed as room

    seen = observed.species
    known = seen[seen["species_id"] >= 0].set_index("species_id")
    rows = known.reindex(table["species_id"])
    joined = table.assign(
        status=rows["status"].fillna("").to_numpy(object),
        own_records=rows["n_records"].astype("Int64").array,
        last_year=rows["last_year"].array,
    )
    absent = seen[~seen["species_id"].isin(table["species_id"])]
    more = pd.DataFrame(
        {
            "species_id": absent["species_id"],
            "species": absent["species"],
            "common_genus": "",
            "family": "",
            "present": False,
            "flags": "",
            "status": absent["status"],
            "own_records": absent["n_records"].astype("Int64"),
            "last_year": absent["last_year"],
        }
    )
    both = pd.concat([joined, more], ignore_index=True)
    both["status"] = both["status"].replace(room.AGREED, say("status_agreed"))
    front = ["species_id", "species", "common_genus", "status", "own_records", "last_year"]
    return both[[*front, *(name for name in both.columns if name not in front)]]


def narrowed(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the kind chosen beside the table: observed, missed, unexpected, not found yet."""
    from sdm_core import observed as room

    chosen = st.pills(
        say("records_only"),
        list(RECORD_FILTERS),
        format_func=RECORD_FILTERS.__getitem__,
        key="records_flags",
        label_visibility="collapsed",
    )
    keep = {
        "here": table["status"] != "",
        "missed": table["status"].isin([room.MISSED, room.UNEXPECTED]),
        "unexpected": table["status"] == room.UNEXPECTED,
        "elsewhere": table["status"] == room.NOT_IN_ATLAS,
        "not_yet": table["present"].astype(bool) & (table["status"] == ""),
    }
    return table[keep[chosen]].reset_index(drop=True) if chosen else table


def columns() -> dict[str, Any]:
    """How the columns of the user's records are shown."""
    config_of = st.column_config
    return {
        "status": config_of.TextColumn("Yours", width=95, help=say("column_status")),
        "own_records": config_of.NumberColumn("Count", format="%d", width=60, help=say("column_own_records")),
        "last_year": config_of.NumberColumn("Last", format="%d", width=55, help=say("column_last_year")),
    }
