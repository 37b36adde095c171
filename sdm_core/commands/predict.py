"""`python -m sdm_core predict --model NAME --points FILE.csv --out FILE.csv`: probabilities at points."""

from __future__ import annotations

import argparse
import contextlib
import sys
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
    parser.add_argument("--points", required=True, metavar="FILE.csv", help="table with longitude, latitude")
    parser.add_argument("--out", required=True, metavar="FILE.csv", help="table to write")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the table: the columns of the points, then one column per species."""
    import pandas as pd

    from sdm_core.prediction import probabilities_at, read_points
    from sdm_core.registry import open_atlas

    if not args.out.strip() or not args.points.strip():
        raise OutputFileError("--points and --out must each name a CSV file, and one of them is empty.")
    points = read_points(Path(args.points))
    atlas = open_atlas(args.model)
    values = probabilities_at(atlas.store, points["longitude"], points["latitude"])
    species = atlas.species["species"].astype(str).tolist()
    clash = [name for name in points.columns if name in set(species)]
    if clash:
        _say(f"The column {clash[0]} of {args.points} is replaced by the prediction of that species.")
    predicted = pd.DataFrame(values, columns=species, index=points.index)
    table = pd.concat([points.drop(columns=clash), predicted], axis=1)
    out = Path(args.out)
    aside = out.with_name(f".{out.name}.writing")
    try:
        table.to_csv(aside, index=False, float_format="%.9g", na_rep="NaN")
        aside.replace(out)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise OutputFileError(
            f"{out} cannot be written ({error.strerror or error}); choose another file."
        ) from error
    n_unknown = int(predicted.iloc[:, 0].isna().sum())
    n_outside = len(table) - _n_inside(atlas.store, points["longitude"], points["latitude"])
    if n_outside == len(table):
        swapped = _n_inside(atlas.store, points["latitude"], points["longitude"]) > 0
        _say(
            f"Every point lies outside {atlas.title}, so every probability is NaN"
            + ("; longitude and latitude look swapped." if swapped else ".")
        )
    elif n_unknown == len(table):
        _say(
            f"No point lies in the area of applicability of {atlas.title}, so every probability is NaN; its "
            "maps show them hatched."
        )
    unlike = f", {n_unknown - n_outside} where its model does not apply" if n_unknown > n_outside else ""
    print(
        f"{args.out}: {len(table)} points, {len(species)} species, {n_outside} points outside "
        f"{atlas.title}{unlike}"
    )
    return 0


def _say(note: str) -> None:
    print(note, file=sys.stderr)


def _n_inside(store: Any, longitude: Any, latitude: Any) -> int:
    """How many of the points lie in a cell of the atlas; 0 where they cannot be places."""
    from sdm_core.regions import lonlat_to_cells

    if abs(latitude).max() > 90:
        return 0
    return int((store.rows_of(lonlat_to_cells(longitude, latitude, store.resolution)) >= 0).sum())
