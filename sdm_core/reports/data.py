"""The files of a report that hold numbers: tables, geometry, cells and rasters."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdm_core import config, exports
from sdm_core.indicators import RegionSummary, concern_layers
from sdm_core.indicators.structure import STRUCTURE_LAYERS
from sdm_core.observed import SPECIES_RANGE_COLUMNS
from sdm_core.reports import files, odmap, render, text
from sdm_core.reports.facts import ReportFacts, citation
from sdm_core.reports.observed import OBSERVED_FILE, observed_table, with_observed
from sdm_core.reports.observed_ranges import with_ranges

#: Layers of the cells that are also written as rasters, where the region has them.
RASTERS = ("richness", "shannon", "beta_sorensen", "beta_turnover", "beta_nestedness", "lcbd_relative")


def write_data(fresh: Path, wanted: Sequence[str], facts: ReportFacts) -> None:
    """Every file but the pages."""
    summary, store, rows = facts.summary, facts.atlas.store, facts.chosen.rows
    if "csv" in wanted:
        table = summary.species_table
        if facts.observed is not None:
            table = with_ranges(with_observed(table, facts.observed), facts.ranges, "species_id")
            seen = with_ranges(observed_table(facts.observed), facts.ranges, "species")
            files.write_observed(fresh / OBSERVED_FILE, seen)
        files.write_species(fresh / "species.csv", table.assign(**_origin_columns(summary)))
        files.write_habitats(fresh / "habitats.csv")
    if "json" in wanted:
        files.write_indicators(
            fresh / "indicators.json",
            {
                **_origin(facts),
                **summary.to_dict(),
                "benchmarks": facts.benchmarks.to_dict(),
                "structure": facts.structure.to_dict(),
                "trust": facts.trust.to_dict(),
                "next_places": None if facts.next_places is None else facts.next_places.to_dict(),
                **({"observed": _observed(facts)} if facts.observed is not None else {}),
            },
        )
    if "geojson" in wanted:
        files.write_area(fresh / "area.geojson", facts.region, {**_origin(facts), **_atlas_tags(summary)})
    if "methods" in wanted:
        rows_of_odmap = odmap.odmap_rows(
            facts.atlas.card, summary, citation(facts), _extent(store), _extrapolation(facts)
        )
        odmap.write_odmap(fresh / "odmap.csv", rows_of_odmap)
        shutil.copyfile(render.TEMPLATES_DIR / "reproduce.py", fresh / "reproduce.py")
    layers = _layers(store, rows) | {
        name: (values, STRUCTURE_LAYERS[name][0]) for name, values in facts.structure.layers.items()
    }
    if "geoparquet" in wanted:
        exports.write_cells(
            fresh / "cells.geoparquet",
            np.asarray(store.cells)[rows],
            np.asarray(store.lonlat)[rows],
            facts.chosen.hectares,
            {name: values for name, (values, _) in layers.items()}
            | concern_layers(store, rows, facts.statuses),
            description={**exports.atlas_tags(facts.atlas), **_how_counted(facts)},
        )
    if "geotiff" in wanted:
        exports.write_rasters(
            fresh / "maps",
            np.asarray(store.cells)[rows],
            np.asarray(store.lonlat)[rows],
            store.resolution,
            {name: layers[name] for name in RASTERS if name in layers},
            {
                "REGION": facts.region.name,
                "ATLAS": facts.atlas.name,
                "ATLAS_VERSION": summary.atlas_version,
                "CREATED": facts.created.isoformat(),
                "CITATION": citation(facts),
                **{name.upper(): words for name, words in _how_counted(facts).items()},
            },
        )


def _extent(store: Any) -> str:
    """Bounding box of the centres of the atlas' cells."""
    (west, south), (east, north) = store.lonlat.min(axis=0), store.lonlat.max(axis=0)
    return f"cells with centres from {west:.2f} to {east:.2f}° E and {south:.2f} to {north:.2f}° N"


def _extrapolation(facts: ReportFacts) -> str:
    """Share of the region inside the area of applicability."""
    found = facts.trust.experience
    if found is None:
        return odmap.MISSING
    return (
        f"{found.inside_percent:.1f} % of the region inside the area of applicability (dissimilarity index, "
        "Meyer & Pebesma 2021); MESS per predictor (Elith et al. 2010)"
    )


def _observed(facts: ReportFacts) -> dict[str, Any]:
    """What was observed, with EOO and AOO of each species."""
    assert facts.observed is not None
    found = facts.observed.to_dict()
    if facts.ranges is not None:
        found["range_columns"] = {
            name: {"unit": unit, "definition": words} for name, (unit, words) in SPECIES_RANGE_COLUMNS.items()
        }
        found["ranges"] = facts.ranges.to_dict("records")
    return found


def _how_counted(facts: ReportFacts) -> dict[str, str]:
    """Outline, containment and rule, so that a file on its own says which cells it holds and how."""
    summary = facts.summary
    return {
        "region": summary.region,
        "outline": summary.geometry_hash,
        "containment": f"{summary.containment}: {summary.containment_text}",
        "rule": f"{summary.rule}: {summary.rule_text}",
    }


def _origin_columns(summary: RegionSummary) -> dict[str, str]:
    """Columns that say the same of every row of `species.csv`."""
    return {
        "region": summary.region,
        "atlas": f"{summary.atlas} {summary.atlas_version[:12]}",
        "rule": summary.rule,
        "containment": summary.containment_text,
    }


def _layers(store: Any, rows: NDArray[np.int64]) -> dict[str, tuple[np.ndarray, str]]:
    """Values per cell of the region with their unit, by column name."""
    units = {"richness": "expected species", "shannon": "nats", "simpson": "1", "sse_richness": "species"}
    return {name: (np.asarray(store.layer(name))[rows], unit) for name, unit in units.items()}


def _origin(facts: ReportFacts) -> dict[str, str]:
    return {
        "created": facts.created.isoformat(),
        "florascope": config.CODE_VERSION,
        "permalink": text.safe_link(facts.permalink),
        "citation": citation(facts),
    }


def _atlas_tags(summary: RegionSummary) -> dict[str, Any]:
    return {
        "atlas": summary.atlas,
        "atlas_version": summary.atlas_version,
        "rule": summary.rule,
        "containment": summary.containment,
        "n_cells": summary.n_cells,
    }
