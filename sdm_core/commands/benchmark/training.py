"""`python -m sdm_core benchmark training [--device D] [--json FILE]`: how fast training is on this device."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def add_arguments(kinds: Any) -> None:
    """Add the parser of this benchmark."""
    parser = kinds.add_parser(
        "training",
        help="training speed of a fusion network and of SINR on this device",
        description="One epoch of the multimodal network from packed patches (sites/s, share of time waiting "
        "for data, share of the device's peak), SINR's AN-full step at 10,000 species, DDP with one process.",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument("--sites", type=int, default=0, metavar="N", help="sites of an epoch")
    parser.add_argument("--batch", type=int, default=0, metavar="N", help="sites of a step")
    parser.add_argument("--only", default=None, metavar="PART", help="fusion, sinr or ddp")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="also write the results")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print each result as it is measured, and write them all where asked."""
    from sdm_core.benchmarks.training import TrainingSpeed, document, run_training
    from sdm_core.errors import ConfigurationError
    from sdm_core.writing import check_writable, write_whole

    if args.sites < 0 or args.batch < 0:
        raise ConfigurationError(f"--sites {args.sites} and --batch {args.batch} must not be negative.")
    if args.json is not None:
        if args.json.is_dir() or not args.json.parent.is_dir():
            raise ConfigurationError(
                f"--json {args.json} cannot be written: give a file in a folder that exists."
            )
        check_writable(args.json.parent)
    results: list[TrainingSpeed] = []
    for result in run_training(args.device, args.sites, args.batch, args.only):
        results.append(result)
        print(result.sentence(), flush=True)
        if args.json is not None:
            text = json.dumps(document(results), indent=1, ensure_ascii=False) + "\n"
            write_whole(args.json, text.encode())
    return 0
