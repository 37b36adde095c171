"""The plots of growth, and the page that says what a continent would cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sdm_core.benchmarks.growth.extrapolate import Assumptions, Estimate, Tiled, estimate, grids
from sdm_core.benchmarks.growth.forward import ForwardCost

_PANELS = (
    ("region_ms_half", "totals of half the cells, ms"),
    ("region_ms_tenth", "totals of a tenth of the cells, ms"),
    ("map_ms", "map of one species, ms"),
    ("open_ms", "opening, ms"),
    ("bytes", "bytes on disk"),
    ("build_s", "building from codes, s"),
)
_COLOURS = {"n_cells": "#1f6f54", "n_species": "#b35900"}
_GIGA, _TERA = 1e9, 1e12


def draw_growth(table: pd.DataFrame, path: Path) -> None:
    """Six panels, cost against cells (species fixed) and against species (cells fixed), both axes in powers.

    A dotted line shows what exact proportion to size would look like.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6.2), layout="constrained")
    FigureCanvasSVG(figure)
    cells_fixed = int(table["n_cells"].mode().iloc[0])
    species_fixed = int(table["n_species"].mode().iloc[0])
    series = {
        "n_cells": (table[table["n_species"] == species_fixed], f"more cells, {species_fixed:,} species"),
        "n_species": (table[table["n_cells"] == cells_fixed], f"more species, {cells_fixed:,} cells"),
    }
    for number, (column, title) in enumerate(_PANELS):
        axes = figure.add_subplot(2, 3, number + 1)
        for varied, (rows, label) in series.items():
            rows = rows.sort_values(varied)
            size = rows["n_cells"] * rows["n_species"]
            axes.loglog(size, rows[column], "o-", color=_COLOURS[varied], label=label, markersize=4)
        size = table["n_cells"] * table["n_species"]
        ends = np.array([size.min(), size.max()], dtype=float)
        middle = float(np.exp(np.log(table[column].clip(lower=1e-9)).mean()))
        axes.loglog(ends, middle * ends / np.exp(np.log(size).mean()), ":", color="#8b9296", linewidth=1)
        axes.set_title(title, fontsize=10, loc="left")
        axes.grid(alpha=0.25)
        axes.tick_params(labelsize=8)
        if number >= 3:
            axes.set_xlabel("codes in the store (cells × species)", fontsize=9)
    figure.axes[0].legend(fontsize=8)
    figure.savefig(path, metadata={"Date": None})


def write_page(
    folder: Path,
    table: pd.DataFrame,
    forward: Sequence[ForwardCost],
    tiled: Tiled | None,
    assumptions: Assumptions,
    date: str,
    device: str,
) -> Path:
    """Write `growth.svg` and `SCALE.md` into a folder; returns the page."""
    from sdm_core.writing import write_whole

    draw_growth(table, folder / "growth.svg")
    text = _PAGE.format(
        date=date,
        device=device,
        table=_markdown(_shown(table)),
        forward=_markdown(_forward_table(forward)),
        tiled=_tiled_sentence(tiled),
        estimates=_markdown(_estimate_table(forward, tiled, assumptions)),
        share=f"{_share(tiled):.2f}",
        share_source="that of the tiling above" if tiled else "an assumption, as no tiled atlas was given",
        gpu=f"{assumptions.gpu_operations:.0e}".replace("e+", " · 10^"),
        output=f"{assumptions.gpu_output_bytes / 1e6:,.0f}",
        efficiency=f"{assumptions.worker_efficiency:.0%}",
    )
    page = folder / "SCALE.md"
    write_whole(page, text)
    return page


#: Share of the codes' bytes that the exchange copy takes where no tiling was measured.
_UNKNOWN_SHARE = 0.5


def _share(tiled: Tiled | None) -> float:
    return tiled.compressed_share if tiled is not None else _UNKNOWN_SHARE


def estimates(
    forward: Sequence[ForwardCost], tiled: Tiled | None, assumptions: Assumptions
) -> list[Estimate]:
    """Every grid with every network that was measured; a tiling's own rate stands for its kind of network."""
    found = []
    for grid, n_cells in grids():
        if tiled is not None:
            found.append(
                estimate(
                    grid, n_cells, tiled.n_species, f"{tiled.name}, as tiled", math.nan,
                    tiled.cells_per_second, tiled.compressed_share, assumptions,
                )
            )  # fmt: skip
        for cost in forward:
            if cost.n_species >= 10_000:
                found.append(
                    estimate(
                        grid, n_cells, cost.n_species, cost.kind, cost.operations_per_cell,
                        cost.cells_per_second, _share(tiled), assumptions,
                    )
                )  # fmt: skip
    return found


def _estimate_table(
    forward: Sequence[ForwardCost], tiled: Tiled | None, assumptions: Assumptions
) -> pd.DataFrame:
    rows = []
    for cost in estimates(forward, tiled, assumptions):
        rows.append(
            {
                "grid": cost.grid,
                "cells": f"{cost.n_cells / 1e6:,.1f} M",
                "species": f"{cost.n_species:,}",
                "network": cost.network,
                "exchange copy": _bytes(cost.exchange_bytes),
                "hot copy": _bytes(cost.hot_bytes),
                "one core": _duration(cost.core_hours),
                "cores for a day": f"{math.ceil(cost.workers_for(24, assumptions.worker_efficiency)):,}",
                "one GPU, network alone": _duration(cost.gpu_hours),
                "writing": _duration(cost.writing_hours),
            }
        )
    return pd.DataFrame(rows)


def _forward_table(forward: Sequence[ForwardCost]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "network": [cost.kind for cost in forward],
            "species": [f"{cost.n_species:,}" for cost in forward],
            "million operations a cell": [f"{cost.operations_per_cell / 1e6:,.1f}" for cost in forward],
            "cells a second": [f"{cost.cells_per_second:,.0f}" for cost in forward],
            "device": [cost.device for cost in forward],
        }
    )


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    shown = pd.DataFrame(
        {
            "cells": [f"{n:,}" for n in table["n_cells"]],
            "species": [f"{n:,}" for n in table["n_species"]],
            "disk": [_bytes(n) for n in table["bytes"]],
            "build, s": [f"{x:.1f}" for x in table["build_s"]],
            "open, ms": [f"{x:.1f}" for x in table["open_ms"]],
            "memory, MB": [f"{x:.0f}" for x in table["opened_mb"]],
        }
    )
    for column, title in (
        ("region_ms_small", "0.2 % of cells, ms"),
        ("region_ms_tenth", "10 %, ms"),
        ("region_ms_half", "50 %, ms"),
        ("map_ms", "species map, ms"),
    ):
        shown[title] = [f"{x:.2f}" if x >= 0.01 else "below 0.01" for x in table[column]]
    return shown


def _tiled_sentence(tiled: Tiled | None) -> str:
    if tiled is None:
        return "No tiled atlas was given (`--tiled FOLDER`), so no whole tiling is in these figures."
    return (
        f"A whole tiling, features included: {tiled.name}, {tiled.n_cells:,} cells × "
        f"{tiled.n_species:,} species, "
        f"{tiled.cells_per_second:,.0f} cells a second on one core, exchange copy "
        f"{_bytes(tiled.exchange_bytes)} ({tiled.compressed_share:.2f} bytes a code)."
    )


def _bytes(number: float) -> str:
    if number >= _TERA:
        return f"{number / _TERA:,.1f} TB"
    return f"{number / _GIGA:,.1f} GB" if number >= _GIGA else f"{number / 1e6:,.1f} MB"


def _duration(hours: float) -> str:
    """Hours, minutes or seconds, whichever says it in few digits; "–" where unknown."""
    if not math.isfinite(hours):
        return "–"
    if hours >= 1:
        return f"{hours:,.0f} h" if hours >= 10 else f"{hours:.1f} h"
    if hours >= 1 / 60:
        return f"{60 * hours:.0f} min"
    return f"{3600 * hours:.0f} s" if hours >= 1 / 3600 else "below 1 s"


def _markdown(table: pd.DataFrame) -> str:
    lines = ["| " + " | ".join(table.columns) + " |", "|" + "---|" * len(table.columns)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in table.itertuples(index=False)]
    return "\n".join(lines)


_PAGE = """# What scale costs

Measured on {date} ({device}) by `python -m sdm_core benchmark growth`; the stores are synthetic, labelled so,
and about three in four of their codes are not zero. Times are medians, files in the page cache, one thread.

![Cost against cells and species](growth.svg)

## Measured: stores

{table}

Memory is what opening and a first region added to the process, files mapped into memory left out.

## Measured: networks

{forward}

{tiled}

## Extrapolated: the land of Europe

{estimates}

**Assumptions.** Land cells: 1,955,774 at resolution 7, seven times as many per step; 10.1 M km² in
squares of 50 m. Hot copy: two bytes a code and the pyramid at its widest (less where cells are
small). Exchange copy: {share} bytes a code ({share_source}). One core: the measured rate, the
network alone unless "as tiled"; covariates at the finer grid must exist and be read, which is not
in the figure. Cores for a day: {efficiency} of a core's rate remains when many work. One GPU:
operations of the network over {gpu} a second, **not measured on a GPU**. Writing: codes over
{output} MB a second, compressed and written by one machine; it, not the network, is the limit for
many species, and it shrinks with machines.

A finer grid is no finer knowledge: predictors of 20 km stay so at 50 m. For scale: GeoPl@ntNet reports
about 15 TB of maps of Europe at 50 m. Florascope keeps a coarser grid whole and makes finer cells only
where they are asked for.
"""
