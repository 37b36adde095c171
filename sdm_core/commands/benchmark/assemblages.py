"""`python -m sdm_core benchmark assemblages [--data DIR] --out DIR`: every rule on held-out surveys."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add_arguments(kinds: Any) -> None:
    """Add the parser of this benchmark."""
    parser = kinds.add_parser(
        "assemblages",
        help="every rule from probabilities to species sets, on held-out surveys",
        description="Predicts vegetation plots of the Eastern Alps and trees of EU-Forest in held-out "
        "blocks, turns the probabilities into species sets by every rule, and prints F1, errors of the "
        "number of species, and the coverage of conformal sets.",
    )
    parser.add_argument(
        "--data", type=Path, default=None, metavar="DIR", help="the data folder (default: SDM_DATA)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the tables")
    parser.add_argument(
        "--data-sets", nargs="+", metavar="NAME", help="some of alps eu_forest (default: both)"
    )
    parser.add_argument(
        "--epochs", type=int, default=25, metavar="N", help="epochs of a training (default: 25)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed (default: 0)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the benchmark, progress to standard error, and print its tables."""
    from sdm_core import config
    from sdm_core.benchmarks.assemblages_table import AssemblageBenchmark, run_assemblages, to_text

    settings = AssemblageBenchmark(
        data_sets=tuple(args.data_sets or AssemblageBenchmark().data_sets), epochs=args.epochs, seed=args.seed
    )
    print(to_text(run_assemblages(args.data or config.DATA_DIR, args.out, settings, _say)))
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
