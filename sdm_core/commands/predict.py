"""`python -m sdm_core predict --model NAME --points FILE.csv --out FILE.csv`: probabilities at points."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from sdm_core.errors import FlorascopeError


class OutputFileError(FlorascopeError):
    """A table of results cannot be written."""


def add_arguments(subparsers: Any) -> None:
    """Add the parser of this command."""
    parser = subparsers.add_parser(
        "predict",
        help="predict calibrated probabilities at points",
        description="One calibrated probability per species for each point, from its H3 cell; NaN "
        "outside the atlas and where its model does not apply.",
    )
    parser.add_argument("--model", required=True, metavar="NAME", help="name or folder of an atlas")
    parser.add_argument(
        "--points", type=Path, required=True, metavar="FILE.csv", help="table with longitude, latitude"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.csv", help="table to write")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the table: the columns of the points, then one column per species."""
    import pandas as pd

    from sdm_core.prediction import probabilities_at, read_points
    from sdm_core.registry import open_atlas

    points = read_points(args.points)
    atlas = open_atlas(args.model)
    values = probabilities_at(atlas.store, points["longitude"], points["latitude"])
    species = atlas.species["species"].astype(str).tolist()
    clash = [name for name in points.columns if name in set(species)]
    predicted = pd.DataFrame(values, columns=species, index=points.index)
    table = pd.concat([points.drop(columns=clash), predicted], axis=1)
    aside = args.out.with_name(f".{args.out.name}.writing")
    try:
        table.to_csv(aside, index=False, float_format="%.9g", na_rep="NaN")
        aside.replace(args.out)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise OutputFileError(f"{args.out} cannot be written: {error.strerror or error}") from error
    n_outside = int(predicted.iloc[:, 0].isna().sum())
    print(
        f"{args.out}: {len(table)} points, {len(species)} species, {n_outside} points outside {atlas.title}"
    )
    return 0
