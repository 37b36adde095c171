"""`python -m sdm_core ranges --records FILE --out FILE.csv`: EOO and AOO of every observed species."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Any

from sdm_core.errors import NotWritableError


def add_arguments(subparsers: Any) -> None:
    """Add the parser of this command."""
    parser = subparsers.add_parser(
        "ranges",
        help="extent of occurrence and area of occupancy of observed records",
        description="Extent of occurrence (minimum convex polygon) and area of occupancy (2 km squares) of "
        "each species in files of records, with the thresholds of IUCN criterion B for information; no Red "
        "List category follows from them.",
    )
    parser.add_argument(
        "--records",
        required=True,
        nargs="+",
        metavar="FILE",
        help="CSV, GBIF download, Darwin Core archive or GeoPackage with species, longitude and latitude",
    )
    parser.add_argument("--crs", default=None, metavar="CRS", help="CRS of the coordinates, if not degrees")
    parser.add_argument("--out", required=True, metavar="FILE.csv", help="table to write")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the table, one row per species."""
    from sdm_core.indicators import CRITERION_B_NOTE, observed_ranges
    from sdm_core.observed import read_records

    if not args.out.strip():
        raise NotWritableError("--out is empty; give the name of a CSV file.")
    records = read_records([Path(name) for name in args.records], crs=args.crs)
    table = observed_ranges(records.table)
    out = Path(args.out)
    aside = out.with_name(f".{out.name}.writing")
    try:
        table.to_csv(aside, index=False, float_format="%.3f")
        aside.replace(out)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise NotWritableError(
            f"{out} cannot be written ({error.strerror or error}); choose another file."
        ) from error
    print(f"{out}: {len(table)} species, {records.n_records} records")
    print(CRITERION_B_NOTE, file=sys.stderr)
    return 0
