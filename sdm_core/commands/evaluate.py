"""`python -m sdm_core evaluate CONFIG.toml`: cross-validation tables on spatial blocks."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_arguments(subparsers: Any) -> None:
    """Add the parser of this command."""
    parser = subparsers.add_parser("evaluate", help="cross-validate a configuration on spatial blocks")
    parser.add_argument("config", type=Path, metavar="CONFIG.toml", help="configuration of the atlas")
    parser.add_argument("--json", type=Path, default=None, help="also write the tables to this file")
    parser.add_argument(
        "--only", action="append", default=None, metavar="MODEL", help="evaluate these models only"
    )
    parser.add_argument(
        "--block", action="append", type=float, default=None, metavar="DEG", help="use these block sizes only"
    )
    parser.add_argument(
        "--card", type=Path, default=None, metavar="DIR",
        help="folder of the model card (default: cache/models/NAME, when every model is evaluated)",
    )  # fmt: skip
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the tables, and write them as JSON where asked."""
    from sdm_core import config as paths
    from sdm_core.errors import ConfigurationError
    from sdm_core.pipeline import evaluate, load_run
    from sdm_core.writing import check_writable

    if args.json is not None:
        if args.json.is_dir() or not args.json.parent.is_dir():
            raise ConfigurationError(
                f"--json {args.json} cannot be written: give a file in a folder that exists, so that hours "
                "of evaluation are not lost."
            )
        check_writable(args.json.parent)
    config = load_run(args.config)
    whole = not args.only and not args.block
    card = args.card or (paths.CACHE_DIR / "models" / config.name if whole else None)
    result = evaluate(config, only=args.only, blocks_deg=args.block, device=args.device, card=card)
    print(result.to_text())
    if args.json is not None:
        result.write_json(args.json)
    return 0
