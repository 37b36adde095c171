"""What every exported file says of itself: atlas, version, grain, sources, licence, how to cite it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sdm_core import config
from sdm_core.exports.layers import Layer
from sdm_core.registry import Atlas

_DOI = re.compile(r"10\.\d{4,9}/[^\s,;\"'<>()]+")
#: Hashes are shown to this length where they stand in a sentence.
_SHORT_HASH = 12


def sources(card: Mapping[str, Any]) -> list[dict[str, str]]:
    """Name, citation, licence and address of each data source and covariate set of a model card."""
    found = []
    for key in ("data", "covariates"):
        items = card.get(key) or []
        for item in items if isinstance(items, (list, tuple)) else [items]:
            entry = item if isinstance(item, Mapping) else {"name": str(item)}
            found.append(
                {
                    "kind": key,
                    "name": str(entry.get("name") or ""),
                    "citation": str(entry.get("citation") or ""),
                    "licence": str(entry.get("licence") or entry.get("license") or ""),
                    "url": str(entry.get("url") or ""),
                }
            )
    return found


def doi_of(text: str) -> str:
    """First DOI in a text, without the resolver's address; empty when there is none."""
    found = _DOI.search(text)
    return found.group(0).rstrip(".") if found else ""


def atlas_date(card: Mapping[str, Any]) -> str:
    """Day of the atlas as its card states it, YYYY-MM-DD; empty when it does not."""
    found = re.match(r"\d{4}-\d{2}-\d{2}", str(card.get("date") or ""))
    return found.group(0) if found else ""


def citation(atlas: Atlas) -> str:
    """How to cite a file of an atlas: program, atlas, version, then the sources it was learned from."""
    date = atlas_date(atlas.card)
    year = f" ({date[:4]})" if date else ""
    cited = " ".join(
        entry["citation"].rstrip(".") + "." for entry in sources(atlas.card) if entry["citation"]
    )
    return (
        f"Florascope{year}. Atlas “{atlas.title}”, version {atlas.store.version[:_SHORT_HASH]}; Florascope "
        f"{config.CODE_VERSION}." + (f" Made from: {cited}" if cited else "")
    )


def licence(atlas: Atlas) -> str:
    """Licences of the sources, by name, as the model card states them."""
    own = str(atlas.card.get("licence") or atlas.card.get("license") or "")
    stated = "; ".join(
        f"{entry['name']}: {entry['licence']}" for entry in sources(atlas.card) if entry["licence"]
    )
    return "; ".join(part for part in (own, stated) if part) or "not stated on the model card"


def grain_sentence(atlas: Atlas) -> str:
    """What piece of land one value stands for."""
    cell = f"a hexagon of H3 resolution {atlas.store.resolution}"
    grain = str(atlas.card.get("grain") or "")
    if not grain:
        return f"Each value belongs to {cell}; pixels show the cell their centre lies in."
    return (
        f"A probability is that of being recorded somewhere in {grain} around the place. Each value belongs "
        f"to {cell}; pixels show the cell their centre lies in."
    )


def meaning(atlas: Atlas, layer: Layer) -> str:
    """What one value of the layer says, with the atlas' own words on its probabilities."""
    summary = str(atlas.card.get("summary") or "").strip()
    return f"{layer.meaning} {summary}".strip()


def atlas_tags(atlas: Atlas) -> dict[str, str]:
    """Tags of any file of an atlas."""
    return {
        "ATLAS": atlas.name,
        "ATLAS_TITLE": atlas.title,
        "ATLAS_VERSION": atlas.store.version,
        "H3_RESOLUTION": str(atlas.store.resolution),
        "GRAIN": grain_sentence(atlas),
        "CITATION": citation(atlas),
        "LICENCE": licence(atlas),
        "DATE": atlas_date(atlas.card) or "not stated on the model card",
        "SOFTWARE": f"Florascope {config.CODE_VERSION}",
    }


def layer_tags(atlas: Atlas, layer: Layer) -> dict[str, str]:
    """Tags of a file that holds one layer."""
    tags = {"TITLE": f"{layer.title}: {atlas.title}", "MEANING": meaning(atlas, layer)}
    if layer.species:
        tags["SPECIES"] = layer.species
    return {**tags, **atlas_tags(atlas)}
