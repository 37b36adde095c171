"""`python -m sdm_core benchmark NAME`: speed claims and published benchmarks, one module each.

A module of this package offers `add_arguments(kinds)`, which adds its parser and sets `run` as its default,
and `run(args)`; adding a benchmark means adding such a module and its name to `BENCHMARKS`.
"""

from __future__ import annotations

import importlib
from typing import Any

#: Benchmarks, each in the module of that name.
BENCHMARKS = (
    "speed",
    "nceas",
    "assemblages",
    "losses",
    "recipes",
    "training",
    "growth",
    "faults",
    "tiling",
    "load",
)


def add_arguments(subparsers: Any) -> None:
    """Add the parser of this command and of each of its benchmarks."""
    parser = subparsers.add_parser("benchmark", help="measure speed claims and published benchmarks")
    kinds = parser.add_subparsers(dest="benchmark", metavar="BENCHMARK", required=True)
    for name in BENCHMARKS:
        importlib.import_module(f"{__name__}.{name}").add_arguments(kinds)
