"""`python -m sdm_core atlas CONFIG.toml`: train, evaluate, predict every cell, pack, write the card."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_arguments(subparsers: Any) -> None:
    """Add the parser of this command."""
    parser = subparsers.add_parser("atlas", help="build a whole atlas from a configuration")
    parser.add_argument("config", type=Path, metavar="CONFIG.toml", help="configuration of the atlas")
    parser.add_argument("--out", type=Path, default=None, help="atlas folder (default: assets/atlases/NAME)")
    parser.add_argument("--evaluation", type=Path, default=None, help="tables written by `evaluate --json`")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Build the atlas and say where it lies."""
    from sdm_core.pipeline import build_atlas, load_config

    folder = build_atlas(
        load_config(args.config), out=args.out, evaluation=args.evaluation, device=args.device
    )
    print(folder)
    return 0
