"""`python -m sdm_core pack TABLE.csv --files ROOT --out DIR`: images and cubes of surveys, packed once."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_arguments(subparsers: Any) -> None:
    """Add the parser of this command."""
    parser = subparsers.add_parser(
        "pack",
        help="pack images and time-series cubes of GeoLifeCLEF surveys for training",
        description="Reads a GeoLifeCLEF table with all species of each survey, finds each survey's patches "
        "and cubes, and writes them into one memory-mapped folder; a run that was stopped goes on.",
    )
    parser.add_argument("table", type=Path, metavar="TABLE.csv", help="occurrences of 2020 to 2025")
    parser.add_argument(
        "--files", type=Path, required=True, metavar="ROOT", help="folder of patches and cubes"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the pack")
    parser.add_argument(
        "--missing", choices=("refuse", "nan", "drop"), default="refuse",
        help="sites without a file: refuse to pack, mark as NaN, or leave out (default: refuse)",
    )  # fmt: skip
    parser.add_argument(
        "--modality", action="append", default=[], metavar="NAME=KIND[+KIND]",
        help="kinds of files joined as one modality (default: all kinds found)",
    )  # fmt: skip
    parser.add_argument(
        "--type", action="append", default=[], metavar="NAME=float16", help="type to store a modality in"
    )
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="threads that decode files")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Pack and say what is in the folder."""
    from sdm_core.errors import ConfigurationError
    from sdm_core.features.packs import pack_geolifeclef
    from sdm_core.occurrences import read_geolifeclef_surveys
    from sdm_core.writing import check_writable

    modalities = {name: tuple(kinds.split("+")) for name, kinds in _pairs(args.modality, "--modality")}
    dtypes = dict(_pairs(args.type, "--type"))
    if args.workers < 1:
        raise ConfigurationError(f"--workers {args.workers}; expected 1 or more.")
    check_writable(args.out.parent)
    surveys = read_geolifeclef_surveys(args.table)
    pack = pack_geolifeclef(
        args.out, surveys, args.files, modalities=modalities or None, missing=args.missing, dtypes=dtypes,
        workers=args.workers,
    )  # fmt: skip
    shapes = ", ".join(
        f"{name} {'×'.join(map(str, part.shape[1:]))} {part.dtype}" for name, part in pack.modalities.items()
    )
    print(f"{pack.folder}: {len(pack):,} sites, {pack.n_species:,} species; {shapes}")
    return 0


def _pairs(entries: list[str], option: str) -> list[tuple[str, str]]:
    """NAME=VALUE options in two parts; raises `ConfigurationError` for one without them."""
    from sdm_core.errors import ConfigurationError

    pairs = []
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not (name and equals and value):
            raise ConfigurationError(f"{option} {entry} is no NAME=VALUE pair.")
        pairs.append((name, value))
    return pairs
