"""`python -m sdm_core benchmark faults [--out FILE]`: tiling under power cuts, full disks, dead workers."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_arguments(kinds: Any) -> None:
    """Add the parser of this benchmark."""
    parser = kinds.add_parser(
        "faults",
        help="tiling that is killed, filled up and damaged on purpose",
        description="Kills, fills and damages the tiling of a small simulated study, and compares every tile "
        "with a run that nothing disturbed. Needs no data; takes a few minutes.",
    )
    parser.add_argument("--out", type=Path, default=None, metavar="FILE", help="also write the table as CSV")
    parser.add_argument("--kills", type=int, default=50, metavar="N", help="kills while tiling (default: 50)")
    parser.add_argument("--flips", type=int, default=20, metavar="N", help="bytes flipped (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments (default: 0)")
    parser.add_argument(
        "--only", default=None, metavar="FAULT", help="kills, hot, worker, scheduler, disk, rivals or flips"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print each result as it is there; ends with 1 when an answer was wrong."""
    import tempfile
    from dataclasses import asdict

    import pandas as pd

    from sdm_core.benchmarks.faults import run_faults
    from sdm_core.benchmarks.output import write_table
    from sdm_core.commands.quiet import quiet

    rows = []
    with (
        quiet("sdm_core.prediction"),  # damage is what this is about
        tempfile.TemporaryDirectory(prefix="florascope-faults-") as folder,
    ):
        for result in run_faults(
            Path(folder), n_kills=args.kills, n_flips=args.flips, seed=args.seed, only=args.only
        ):
            rows.append({**asdict(result), "details": result.details.replace(folder, "")})
            verdict = "held" if result.held else "FAILED"
            print(
                f"{verdict}  {result.name}: {result.trials} times, {result.compared} tiles compared, "
                f"{result.wrong} wrong, end {'equal' if result.equal else 'NOT equal'} byte for byte "
                f"({rows[-1]['details']})",
                flush=True,
            )
    if args.out is not None:
        write_table(args.out, pd.DataFrame(rows))
    return 0 if all(row["equal"] and not row["wrong"] for row in rows) else 1
