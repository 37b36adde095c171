"""`python -m sdm_core benchmark tiling`: cells a second of tiling against the model's forward pass."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def add_arguments(kinds: Any) -> None:
    """Add the parser of this benchmark."""
    parser = kinds.add_parser(
        "tiling",
        help="cells a second of tiling, in this process and with several",
        description="Predicts the same cells by the model's forward pass alone (the bound), tile by tile in "
        "this process, and with worker processes; the bytes must be the same. Needs the model's covariates.",
    )
    parser.add_argument("--model", default="european-trees", help="as for tile (default: european-trees)")
    parser.add_argument("--region", default=None, metavar="FILE", help="polygon file or place:NAME")
    parser.add_argument("--resolution", type=int, default=7, help="H3 resolution (default: 7)")
    parser.add_argument(
        "--workers", default="1,2", metavar="LIST", help="numbers of processes (default: 1,2)"
    )
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="also write the results")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print each result as it is there; ends with 1 when two ways gave other bytes."""
    from dataclasses import asdict

    import shapely

    from sdm_core.benchmarks.tiling_speed import run_tiling_speed
    from sdm_core.commands.report import read_region_argument
    from sdm_core.errors import ConfigurationError
    from sdm_core.pipeline.predictor import ModelSpec
    from sdm_core.pipeline.tiled_atlas import find_model
    from sdm_core.writing import write_whole

    try:
        workers = [int(number) for number in args.workers.split(",") if number.strip()]
    except ValueError:
        workers = [0]
    if any(number < 1 for number in workers):
        raise ConfigurationError(f"--workers is {args.workers!r}; expected numbers with commas, such as 1,2.")
    if not 1 <= args.resolution <= 15:
        raise ConfigurationError(f"--resolution is {args.resolution}; expected 1 to 15.")
    region = None
    if args.region is not None:
        region = bytes(shapely.to_wkb(read_region_argument(args.region).geometry))
    spec = ModelSpec(str(find_model(args.model).folder.resolve()), region, "cpu")
    results = []
    for result in run_tiling_speed(spec, args.resolution, workers):
        results.append(result)
        print(result.sentence(), flush=True)
        if args.json is not None:
            text = json.dumps([asdict(entry) for entry in results], indent=1) + "\n"
            write_whole(args.json, text.encode())
    return 0 if all(result.equal for result in results) else 1
