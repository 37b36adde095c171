"""`python -m sdm_core benchmark growth --out DIR`: what cells and species cost, and Europe would."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_arguments(kinds: Any) -> None:
    """Add the parser of this benchmark."""
    parser = kinds.add_parser(
        "growth",
        help="how costs grow with cells and species, and what a continent would take",
        description="Builds synthetic stores in the temporary folder (2.5 GB at once), measures them, "
        "and writes growth.csv, growth.svg and SCALE.md.",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for plots and page")
    parser.add_argument(
        "--quick", action="store_true", help="only stores up to 30,000 cells and species 1,000"
    )
    parser.add_argument(
        "--tiled",
        type=Path,
        default=None,
        metavar="FOLDER",
        help="a folder written by `tile`, for its figures",
    )
    parser.add_argument(
        "--rate",
        type=float,
        default=0.0,
        metavar="N",
        help="cells a second of one core for that folder, as `benchmark tiling` prints them",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure, and say where the page lies."""
    import datetime
    import platform

    from sdm_core.benchmarks import growth
    from sdm_core.benchmarks.growth import forward, measure
    from sdm_core.benchmarks.output import make_folder, write_table

    make_folder(args.out)
    tiled = None if args.tiled is None else growth.read_tiled(args.tiled, args.rate)
    sizes = list(dict.fromkeys((*measure.MORE_CELLS, *measure.MORE_SPECIES)))
    if args.quick:
        sizes = [(cells, species) for cells, species in sizes if cells <= 30_000 and species <= 1_000]
    costs = []
    for cost in growth.measure_stores(sizes):
        costs.append(cost)
        print(
            f"{cost.n_cells:,} cells × {cost.n_species:,} species: half of it in "
            f"{cost.region_ms_half:.1f} ms, a map in {cost.map_ms:.2f} ms, opened in {cost.open_ms:.1f} ms",
            flush=True,
        )
    table = measure.as_table(costs)
    write_table(args.out / "growth.csv", table)
    networks = list(growth.measure_forward())
    if not args.quick:
        networks.append(forward.measure_fusion())
    device = f"{platform.machine()}, one thread"
    page = growth.write_page(
        args.out, table, networks, tiled, growth.Assumptions(), datetime.date.today().isoformat(), device
    )
    print(page)
    return 0
