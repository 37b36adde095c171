"""What pages say about a species: its card, flags with their source, and lists with bars."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import pandas as pd

from pages.ui import numbers
from pages.ui.messages import say

if TYPE_CHECKING:
    from sdm_core.registry import Atlas


def species_card(atlas: Atlas, species_id: int) -> str:
    """HTML of what the atlas knows about a species: names, family, records, flags with their source."""
    row = atlas.store.species.iloc[species_id]
    lines = [
        f"{html.escape(str(row[key]))}"
        for key in ("common_genus", "family")
        if key in row and row[key] == row[key]
    ]
    origin = flag_origin(row.get("flag_source"), row.get("flag_date"))
    flags = "".join(
        f'<span class="fs-flag" title="{html.escape(origin)}">{html.escape(label)}</span>'
        for label in species_flags(
            row.get("endemic"), row.get("habitats_directive"), row.get("invasive_union_concern")
        )
    )
    counts = []
    if "n_records" in row and row["n_records"] != row.get("n_cells"):
        counts.append(f"{numbers.number(float(row['n_records']))} records")
    if "n_cells" in row:
        counts.append(f"{numbers.number(float(row['n_cells']))} sites with the species")
    return (
        f'<div class="fs-panel-title"><i>{html.escape(str(row["species"]))}</i></div>'
        f'<p class="fs-note">{" · ".join(line for line in lines if line)}'
        f"<br>{say('learned_from', counts=' at '.join(counts))}</p>{flags}"
    )


def species_flags(endemic: object, habitats_directive: object, invasive: object) -> list[str]:
    """Labels of a species' biogeographic and legal flags."""
    flags = []
    if endemic is True or (not pd.isna(endemic) and bool(endemic)):
        flags.append(say("flag_endemic"))
    if isinstance(habitats_directive, str) and habitats_directive.strip():
        annexes = habitats_directive.strip()
        flags.append(f"{say('flag_habitats')} {annexes}" if annexes != "yes" else say("flag_habitats"))
    if not pd.isna(invasive) and bool(invasive):
        flags.append(say("flag_invasive"))
    return flags


def flag_origin(source: object, date: object) -> str:
    """Source and date of flags as one label; empty where the table has none."""
    return ", ".join(str(part) for part in (source, date) if isinstance(part, str) and part)


def species_list(species: list[tuple[str, float]]) -> str:
    """HTML list of species with a bar for each probability."""
    lines = [
        f"<i>{html.escape(name)}</i><span class='fs-value'>{numbers.percent(p)}</span>"
        f"<div class='fs-bar'><span style='width:{100 * p:.1f}%'></span></div>"
        for name, p in species
    ]
    return f'<div class="fs-list">{"".join(lines)}</div>'
