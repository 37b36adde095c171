"""What a report says of the model: sources, scores beside baselines, calibration, limits.

Everything is read from the model card of the atlas. A key the card lacks is said to be missing or left out;
no value is ever put in its place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sdm_core.reports import text

_DOI = re.compile(r"10\.\d{4,9}/[^\s,;\"'<>()]+")


@dataclass(frozen=True)
class Calibration:
    """Points of a reliability curve on held-out blocks: one value per bin, `counts` None when not given."""

    predicted: np.ndarray
    observed: np.ndarray
    counts: np.ndarray | None


def first(mapping: Mapping[str, Any], *names: str) -> Any:
    """Value of the first of `names` the mapping has and that says something; None without one."""
    for name in names:
        value = mapping.get(name)
        if value is not None and value != "" and value != [] and value != {}:
            return value
    return None


def as_mappings(value: Any) -> list[Mapping[str, Any]]:
    """A list of mappings from a list of them, a single one, or plain values (under `name`)."""
    if value is None:
        return []
    items = list(value) if isinstance(value, (list, tuple)) else [value]
    return [item if isinstance(item, Mapping) else {"name": str(item)} for item in items]


def doi_link(words: str) -> str:
    """Web address of the first DOI in a text; empty when there is none."""
    found = _DOI.search(words)
    return f"https://doi.org/{found.group(0).rstrip('.')}" if found else ""


def data_sources(card: Mapping[str, Any]) -> list[dict[str, str]]:
    """Name, citation, licence and link of every data source of the card."""
    sources = []
    for kind, items in (("", card.get("data")), ("covariates", card.get("covariates"))):
        for item in as_mappings(items):
            citation = str(first(item, "citation", "reference") or "")
            remark = text.sentence(str(first(item, "note") or ""))
            licence = str(first(item, "licence", "license") or "")
            name = str(first(item, "name", "title", "source") or "")
            if kind and not (citation or licence):
                continue
            link = text.safe_link(str(first(item, "url", "link") or "")) or doi_link(
                f"{first(item, 'doi') or ''} {citation} {name}"
            )
            sources.append(
                {
                    "name": name,
                    "citation": f"{citation if citation != name else ''} {remark}".strip(),
                    "licence": licence or "not stated on the model card",
                    "link": link,
                }
            )
    return sources


def endemic_origin(card: Mapping[str, Any]) -> str:
    """Who calls a species endemic: the occurrence sources of the card, with the date of the atlas."""
    names = [source["name"].split(" (")[0] for source in data_sources({"data": card.get("data")})]
    date = str(first(card, "date") or "no date given")
    return f"{'; '.join(names) or 'source of records not stated'}, in the atlas of {date}"


def statements(card: Mapping[str, Any], *names: str) -> list[str]:
    """Sentences under one of `names`, whether the card holds one or a list of them."""
    value = first(card, *names)
    if value is None:
        return []
    items: Sequence[Any] = value if isinstance(value, (list, tuple)) else [value]
    return [text.sentence(str(item)) for item in items]


def all_sources(card: Mapping[str, Any]) -> list[dict[str, str]]:
    """Sources of the references section: data and covariates of the card, then the base map."""
    return [
        *data_sources(card),
        {
            "name": "Land and borders on the maps",
            "citation": "Natural Earth, by way of the npm package world-atlas.",
            "licence": "public domain",
            "link": "https://www.naturalearthdata.com",
        },
    ]


def results(card: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Rows of the cross-validation of the card: one per model and block size."""
    validation = card.get("validation")
    if isinstance(validation, Mapping):
        return as_mappings(validation.get("results"))
    return [row for row in as_mappings(card.get("evaluation")) if "model" in row]


def shipped_model(card: Mapping[str, Any]) -> str:
    """Name of the shipped model in the cross-validation ("shipped: …"); empty when no row is marked so."""
    names = [str(row.get("model")) for row in results(card)]
    return next((name for name in names if name.lower().startswith("shipped")), "")


def shown_model(name: str) -> str:
    """A model's name for readers: the mark of the shipped one follows it."""
    head, separator, rest = name.partition(": ")
    return f"{rest} (shipped)" if separator and head.lower() == "shipped" else name


#: Scores shown in the report, in order: key on the card, heading, decimals.
_SCORES = (
    ("auc", "AUC", 3),
    ("average_precision", "Average precision", 3),
    ("sample_f1", "Sample F1", 3),
    ("tss", "TSS", 3),
    ("ece_before", "Calibration error, raw", 4),
    ("ece_after", "Calibration error, calibrated", 4),
)


def score_tables(card: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One table per block size: models as rows, scores as columns, the shipped model marked."""
    rows = results(card)
    shipped = shipped_model(card)
    shown = [entry for entry in _SCORES if any(text.is_number(row.get(entry[0])) for row in rows)]
    tables = []
    for block_deg in sorted(
        {float(row["block_deg"]) for row in rows if text.is_number(row.get("block_deg"))}
    ):
        here = [row for row in rows if row.get("block_deg") == block_deg]
        tables.append(
            {
                "caption": _table_caption(block_deg, here[0]),
                "columns": ["Model", *(heading for _, heading, _ in shown)],
                "rows": [
                    {
                        "shipped": str(row.get("model")) == shipped,
                        "cells": [
                            shown_model(str(row.get("model"))),
                            *(text.decimal(row.get(key), digits) for key, _, digits in shown),
                        ],
                    }
                    for row in here
                ],
            }
        )
    return tables


def _table_caption(block_deg: float, row: Mapping[str, Any]) -> str:
    parts = [f"Cross-validation on spatial blocks of {block_deg:g}°"]
    if text.is_number(row.get("n_folds")):
        repeats = row.get("n_repeats", 1)
        draws = f", {repeats} draws of folds" if text.is_number(repeats) and repeats > 1 else ""
        parts.append(f"{row['n_folds']} folds{draws}")
    if text.is_number(row.get("n_sites")):
        parts.append(f"{text.whole(row['n_sites'])} sites")
    if text.is_number(row.get("n_species")):
        parts.append(f"{text.whole(row['n_species'])} species")
    return "; ".join(parts)


def quality_facts(card: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Label, value and note of what the card says of the model's quality over the whole atlas."""
    facts = []
    shipped = shipped_model(card)
    for row in results(card):
        if str(row.get("model")) == shipped and shipped:
            facts.append(
                (
                    f"Ranking on held-out blocks of {row.get('block_deg'):g}°",
                    f"AUC {text.decimal(row.get('auc'), 3)}, average precision "
                    f"{text.decimal(row.get('average_precision'), 3)}",
                    "mean over species, whole atlas; baselines in section 16",
                )
            )
    calibration = card.get("calibration")
    if isinstance(calibration, Mapping) and text.is_number(calibration.get("ece_after")):
        facts.append(
            (
                "Calibration error",
                text.decimal(calibration["ece_after"], 4),
                f"mean gap between predicted and recorded share on held-out blocks; "
                f"{text.decimal(calibration.get('ece_before'), 4)} before calibration",
            )
        )
    return facts or [("Model quality", "not on the model card of this atlas", "")]


def years(card: Mapping[str, Any]) -> str:
    """Years of the records as the card gives them, or a statement that it gives none."""
    given = [
        str(first(item, "years", "period"))
        for item in as_mappings(card.get("data"))
        if first(item, "years", "period")
    ]
    return "; ".join(given) if given else "not given by the sources on the model card"


def calibration(card: Mapping[str, Any]) -> Calibration | None:
    """Reliability bins of the shipped model on held-out blocks; None when the card has none."""
    entry = card.get("calibration")
    bins = as_mappings(entry.get("reliability")) if isinstance(entry, Mapping) else []
    bins = [
        row
        for row in bins
        if text.is_number(row.get("mean_probability")) and text.is_number(row.get("recorded_share"))
    ]
    if len(bins) < 2:
        return None
    counts = [row.get("n") for row in bins]
    return Calibration(
        np.array([row["mean_probability"] for row in bins], dtype=float),
        np.array([row["recorded_share"] for row in bins], dtype=float),
        np.array(counts, dtype=float) if all(text.is_number(count) for count in counts) else None,
    )


@dataclass(frozen=True)
class Coverage:
    """What was promised and what was kept on held-out blocks.

    rows: what, promised, kept and mean_of_blocks in words, "–" where a share is not given. sentences: what
    follows from it.
    """

    rows: tuple[dict[str, str], ...]
    sentences: tuple[str, ...]


def coverage(card: Mapping[str, Any]) -> Coverage | None:
    """The coverage section of the card; None when it has none."""
    entry = card.get("coverage")
    if not isinstance(entry, Mapping):
        return None
    rows = []
    for row in as_mappings(entry.get("table")):
        if not text.is_number(row.get("kept")):
            continue
        shown = {name: _percent(row.get(name)) for name in ("promised", "kept", "mean_of_blocks")}
        what = str(row.get("what", ""))
        rows.append({"what": what[:1].upper() + what[1:], **shown})
    said = entry.get("sentences")
    sentences = tuple(str(sentence) for sentence in said) if isinstance(said, (list, tuple)) else ()
    return Coverage(tuple(rows), sentences) if rows or sentences else None


def _percent(share: Any) -> str:
    return f"{100.0 * share:.1f} %" if text.is_number(share) else "–"
