"""Extent of occurrence and area of occupancy of the species a user recorded, with criterion B beside them."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from pages.ui import numbers
from pages.ui.messages import say

if TYPE_CHECKING:
    from sdm_core.observed import ObservedRegion, Records

#: The last table, by records and region: never in a cache that sessions share.
_KEPT = "observed_ranges"
_HEIGHT = 330
#: Species up to which the ranges are worked out without being asked for.
_AT_ONCE = 40


@st.fragment
def section(records: Records, observed: ObservedRegion, key: tuple[str, ...]) -> None:
    """One row per observed species; `key` is what decides the table, beside the records."""
    from sdm_core import indicators
    from sdm_core.observed import RANGE_TEXT

    with st.expander(say("ranges_title"), icon=":material/polyline:", key="ranges"):
        if observed.species.empty:
            st.caption(say("ranges_none"))
            return
        st.html(f'<p class="fs-note">{html.escape(RANGE_TEXT)}</p>')
        n_species = len(observed.species)
        if n_species > _AT_ONCE and not st.toggle(
            say("ranges_compute", n=numbers.number(n_species)), key="ranges_compute"
        ):
            return
        wanted = (records.fingerprint, *key)
        kept = st.session_state.get(_KEPT)
        if kept is None or kept[0] != wanted:
            with st.spinner(say("ranges_computing"), show_time=True):
                kept = (wanted, table_of(records, observed))
            st.session_state[_KEPT] = kept
        table: pd.DataFrame = kept[1]
        few = int((table["range_places"] < 3).sum())
        hint, download = st.columns([4, 1], vertical_alignment="center")
        hint.caption(say("ranges_summary", n=numbers.number(n_species), few=numbers.number(few)))
        download.download_button(
            say("ranges_csv"),
            data=table.to_csv(index=False, float_format="%.3f"),
            file_name="observed-ranges.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
            key="ranges_csv",
            width="stretch",
        )
        config_of = st.column_config
        st.dataframe(
            table.drop(columns=["species_id"]),
            hide_index=True,
            height=min(_HEIGHT, 33 * (len(table) + 1) + 5),
            key="ranges_table",
            column_config={
                "species": config_of.TextColumn(say("ranges_species"), width=190),
                "range_records": config_of.NumberColumn(say("ranges_records"), format="%d", width=75),
                "range_places": config_of.NumberColumn(say("ranges_places"), format="%d", width=70),
                "eoo_km2": config_of.NumberColumn("EOO, km²", format="%.0f", width=90),
                "eoo_below_threshold": config_of.TextColumn(
                    say("ranges_b1"), width=75, help=say("ranges_b_help", note=indicators.CRITERION_B_NOTE)
                ),
                "aoo_km2": config_of.NumberColumn("AOO, km²", format="%.0f", width=90),
                "aoo_below_threshold": config_of.TextColumn(
                    say("ranges_b2"), width=75, help=say("ranges_b_help", note=indicators.CRITERION_B_NOTE)
                ),
                "range_warnings": config_of.TextColumn(say("ranges_warnings"), width=420),
            },
        )
        st.html(
            f'<p class="fs-notes" data-testid="criterion-b">{html.escape(indicators.CRITERION_B_NOTE)}</p>'
        )


def table_of(records: Records, observed: ObservedRegion) -> pd.DataFrame:
    """EOO and AOO of every observed species, with the threshold of criterion B each is under."""
    from sdm_core import indicators
    from sdm_core.observed import species_ranges

    found = species_ranges(records, observed)
    found.insert(
        5, "eoo_below_threshold", [indicators.below_threshold("EOO", km2) for km2 in found["eoo_km2"]]
    )
    found.insert(
        7, "aoo_below_threshold", [indicators.below_threshold("AOO", km2) for km2 in found["aoo_km2"]]
    )
    return found.sort_values("species", kind="stable").reset_index(drop=True)
