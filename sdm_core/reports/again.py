"""How the numbers of a report are made again: a command and a few lines of Python."""

from __future__ import annotations

import shlex

import numpy as np

from sdm_core import regions
from sdm_core.reports import observed
from sdm_core.reports.facts import ReportFacts

#: Letters in a line of the command, so that print does not cut it inside an option.
_LINE = 88


def reproduce_command(facts: ReportFacts) -> str:
    """Command that writes the same numbers from the outline beside the report."""
    options = "".join(
        f" --{name} {value}" for name, value in facts.summary.rule_options.items() if np.ndim(value) == 0
    )
    containment = (
        ""
        if facts.summary.containment == regions.DEFAULT_CONTAINMENT
        else f" --containment {facts.summary.containment}"
    )
    tables = dict.fromkeys(one.file.synonyms for one in facts.statuses if one.file.synonyms)
    files = dict.fromkeys(listed.file for listed in facts.summary.status_lists)
    statuses = "".join(f" --status {shlex.quote(name)}" for name in files)
    statuses += "".join(f" --synonyms {shlex.quote(name)}" for name in tables)
    return _in_lines(
        f"python -m sdm_core report --region area.geojson --out report-again --model {facts.atlas.name} "
        f"--rule {facts.summary.rule}{options}{containment}{statuses}{_compared(facts)}"
        + (observed.command_options(facts.observed) if facts.observed is not None else "")
    )


def reproduce_snippet(facts: ReportFacts) -> str:
    """The same in Python, down to the numbers."""
    options = "".join(
        f", {name}={value!r}" for name, value in facts.summary.rule_options.items() if np.ndim(value) == 0
    )
    return "\n".join(
        [
            "from pathlib import Path",
            "from sdm_core import regions",
            "from sdm_core.indicators import summarise_region",
            "from sdm_core.registry import open_atlas",
            "",
            f'store = open_atlas("{facts.atlas.name}").store  # version {facts.summary.atlas_version}',
            'region = regions.read_region(Path("area.geojson"))',
            f'containment = "{facts.summary.containment}"',
            "grid = (store.lonlat, store.resolution, store.cells, store.area_ha)",
            "chosen = regions.select_cells(region, *grid, containment)",
            f'summary = summarise_region(store, chosen.rows, region, rule="{facts.summary.rule}"{options},',
            "    notes=chosen.notes, hectares=chosen.hectares, containment=containment)",
            'print(summary.value("alpha_expected"), summary.value("gamma"), summary.value("shannon"))',
        ]
    )


def _compared(facts: ReportFacts) -> str:
    """Options for the outlines the region was compared with."""
    frame = facts.benchmarks.frame
    if frame is None:
        return ""
    crs = f" --compare-crs {shlex.quote(frame.crs)}" if frame.crs else ""
    return f" --compare-with {shlex.quote(frame.source)} --name-column {shlex.quote(frame.column)}{crs}"


def _in_lines(command: str) -> str:
    """A long command cut before options, each line but the last ended by a backslash."""
    first, *options = command.split(" --")
    lines = [first]
    for option in options:
        if len(lines[-1]) + len(option) > _LINE:
            lines[-1] += " \\"
            lines.append("   ")
        lines[-1] += f" --{option}"
    return "\n".join(lines)
