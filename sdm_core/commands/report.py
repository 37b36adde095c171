"""`python -m sdm_core report --region FILE --out DIR`: the report of one region, all formats."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from sdm_core import config

PLACE_PREFIX = "place:"


def add_arguments(subparsers: Any) -> None:
    """Add the parser of this command."""
    parser = subparsers.add_parser(
        "report",
        help="write the report of a region",
        description="Write the report of one region: pages, tables, geometry and rasters.",
    )
    parser.add_argument(
        "--region",
        required=True,
        metavar="FILE",
        help="GeoJSON, GPKG, KML or zipped shapefile; or a named place, as in place:Pyrenees",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder of the report")
    parser.add_argument(
        "--model", default=None, metavar="NAME", help="atlas by name or path (default: the first)"
    )
    parser.add_argument(
        "--rule",
        default=config.DEFAULT_RULE,
        metavar="RULE",
        help=f"from probabilities to species sets (default: {config.DEFAULT_RULE})",
    )
    parser.add_argument("--t", type=float, default=None, help="threshold of the rule threshold")
    parser.add_argument("--k", type=float, default=None, help="species per cell, for top_k and average_k")
    parser.add_argument("--score", default=None, help="what max_exp maximises: f1 or jaccard")
    parser.add_argument(
        "--formats",
        default=None,
        metavar="LIST",
        help="some of html, pdf, csv, json, geojson, geoparquet, geotiff, with commas (default: all)",
    )
    parser.add_argument("--name", default=None, metavar="TEXT", help="title of the region in the report")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the report and name its files; what could not be made is said on standard error."""
    from sdm_core.reports import FORMATS, build_report

    region = read_region_argument(args.region)
    if args.name:
        region = region.renamed(args.name)
    atlas = open_model(args.model)
    formats = FORMATS if args.formats is None else tuple(word for word in args.formats.split(",") if word)
    for path in build_report(
        atlas,
        region,
        args.out,
        rule=args.rule,
        formats=formats,
        **{name: value for name in ("t", "k", "score") if (value := getattr(args, name)) is not None},
        on_note=lambda note: print(note, file=sys.stderr),
    ):
        print(path)
    return 0


def read_region_argument(text: str) -> Any:
    """Region of `--region`: a file, or `place:` and the name of a place.

    Raises `RegionError` when the file cannot be read as a region or no place has the name.
    """
    from sdm_core import regions

    if text.startswith(PLACE_PREFIX):
        return regions.region_from_place(text[len(PLACE_PREFIX) :].strip())
    return regions.read_region(Path(text))


def open_model(name: str | None) -> Any:
    """Atlas by name or path; without one, the first of those installed.

    Raises `UnknownAtlasError` when there is no such atlas, or none at all.
    """
    from sdm_core.errors import UnknownAtlasError
    from sdm_core.registry import list_atlases, open_atlas

    if name is None:
        names = list_atlases()
        if not names:
            raise UnknownAtlasError(
                "No atlas is installed; give the folder of one with --model, or restore assets/atlases."
            )
        name = names[0]
    return open_atlas(name)
