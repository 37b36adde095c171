"""The species of a region: their table, its filters, and the map that shows the one chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from pages.ui import numbers, region_map, region_records, species_text
from pages.ui.messages import say

if TYPE_CHECKING:
    from pages.ui.region_read import Reading
    from sdm_core.observed import ObservedRegion
    from sdm_core.regions import Region
    from sdm_core.registry import Atlas

_FLAGS = ("present", "certain", "endemic", "protected", "invasive", "status", "observed")


@st.fragment
def map_and_table(
    atlas: Atlas, region: Region, reading: Reading, observed: ObservedRegion | None = None
) -> None:
    """The map of the region beside its species; a row of the table is shown on the map.

    With records of the user, the table says what was observed, and the map shows where.
    """
    with st.container(key="region_body"):
        left, right = st.columns([1, 1.15], gap="small")
    table = shown_species(reading.summary.species_table)
    graded = bool(table["certainty"].ne("").any())  # not where no surveys say what is certain
    if observed is not None:
        table = region_records.with_observed(table, observed)
    with right:
        search, only = st.columns([1, 2.6], vertical_alignment="center")
        text = search.text_input(
            say("search_table"),
            key="species_search",
            placeholder=say("search_table"),
            label_visibility="collapsed",
            icon=":material/search:",
            live=True,
        )
        flags = only.pills(
            say("only"),
            [flag for flag in _FLAGS if flag != "certain" or graded],
            selection_mode="multi",
            format_func=lambda flag: say(f"only_{flag}"),
            key="species_flags",
            label_visibility="collapsed",
        )
        found = filtered(table, text or "", tuple(flags or ()))
        if observed is not None:
            found = region_records.narrowed(found)
        selection = st.dataframe(
            found.drop(
                columns=["species_id", "common_genus", "on_list", *([] if graded else ["certainty"])]
            ).assign(mean_probability=100 * found["mean_probability"]),
            hide_index=True,
            height=region_map.MAP_HEIGHT - 20,
            key="species_rows",
            on_select="rerun",
            selection_mode="single-row",
            column_config={
                **_columns(reading.summary.certainty_text),
                **(region_records.columns() if observed is not None else {}),
            },
        )
        st.caption(say("rows_shown", n=numbers.number(len(found)), total=numbers.number(len(table))))
    rows = selection.selection.rows if selection else []
    species_id = int(found["species_id"].iloc[rows[0]]) if rows and rows[0] < len(found) else None
    if species_id is not None and species_id < 0:  # a species the atlas does not have
        species_id = None
    with left:
        region_map.show(atlas, region, reading, species_id, observed)


def shown_species(table: pd.DataFrame) -> pd.DataFrame:
    """The species table as the page shows it: flags in words, columns in the order of reading."""
    own_flags = [
        " · ".join(species_text.species_flags(*values))
        for values in zip(
            table["endemic"], table["habitats_directive"], table["invasive_union_concern"], strict=True
        )
    ]
    own_sources = [
        species_text.flag_origin(source, date) if flag else ""
        for flag, source, date in zip(own_flags, table["flag_source"], table["flag_date"], strict=True)
    ]
    added_sources = [
        species_text.flag_origin(source, date)
        for source, date in zip(table["status_source"], table["status_date"], strict=True)
    ]
    flags = [_joined(*texts) for texts in zip(own_flags, table["statuses"], strict=True)]
    sources = [_joined(*texts) for texts in zip(own_sources, added_sources, strict=True)]
    return pd.DataFrame(
        {
            "species_id": table["species_id"],
            "species": table["species"],
            "common_genus": table["common_genus"].fillna(""),
            "family": table["family"],
            "mean_probability": table["mean_probability"],
            "share": _shares(table),
            "expected_area_km2": table["expected_area_km2"],
            "present": table["present"],
            "certainty": table["certainty"].fillna(""),
            "records_nearby": table["records_nearby"],
            "flags": flags,
            "max_probability": table["max_probability"],
            "flag_source": sources,
            "on_list": table["statuses"] != "",
        }
    )


def _shares(table: pd.DataFrame) -> list[str]:
    """Interval of the share of the area, as in `40–81 %`; empty where it is not known."""
    share, low, high = (table[f"area_share{end}_percent"].to_numpy(float) for end in ("", "_low", "_high"))
    ends = [
        numbers.range_text(*pair, 0 if value >= 1 else 1)
        for value, *pair in zip(share, low, high, strict=True)
    ]
    return [f"{text}\u202f%" if text else "" for text in ends]


def _joined(*texts: str) -> str:
    """Texts that are not empty in one line."""
    return " · ".join(text for text in texts if text)


def filtered(table: pd.DataFrame, text: str, flags: tuple[str, ...]) -> pd.DataFrame:
    """Rows whose name, English genus or family holds the text, and that have every flag asked for."""
    keep = pd.Series(True, index=table.index)
    if wanted := text.strip().casefold():
        hay = table["species"].str.casefold() + " " + table["common_genus"].str.casefold() + " "
        keep &= (hay + table["family"].fillna("").str.casefold()).str.contains(wanted, regex=False)
    for flag in flags:
        if flag == "present":
            keep &= table["present"].astype(bool)
        elif flag == "certain":
            keep &= table["certainty"].eq("certain")
        elif flag == "status":
            keep &= table["on_list"].eq(True)
        elif flag == "observed":
            keep &= table["records_nearby"].fillna(0) > 0
        else:
            label = {"endemic": "flag_endemic", "protected": "flag_habitats", "invasive": "flag_invasive"}[
                flag
            ]
            keep &= table["flags"].str.contains(say(label), regex=False)
    return table[keep].reset_index(drop=True)


def _columns(certainty: str) -> dict[str, Any]:
    """How the columns are shown; `certainty` is what certain and possible mean."""
    config_of = st.column_config
    return {
        "species": config_of.TextColumn("Species", width=165),
        "family": config_of.TextColumn("Family", width=95),
        "mean_probability": config_of.ProgressColumn(
            "Mean", format="%.0f\u202f%%", min_value=0, max_value=100, width=95, help=say("column_mean")
        ),
        "expected_area_km2": config_of.NumberColumn("km²", format="%.0f", width=60, help=say("column_area")),
        "share": config_of.TextColumn("90 %", width=75, help=say("column_share")),
        "certainty": config_of.TextColumn("Certainty", width=75, help=certainty),
        "present": config_of.CheckboxColumn("In list", width=52, help=say("column_present")),
        "records_nearby": config_of.NumberColumn(
            "Records", format="%d", width=66, help=say("column_records")
        ),
        "flags": config_of.TextColumn("Flags", width=150, help=say("column_flags")),
        "max_probability": config_of.NumberColumn(
            "Best cell", format="percent", width=75, help=say("column_max")
        ),
        "flag_source": config_of.TextColumn("Source of flags"),
    }
