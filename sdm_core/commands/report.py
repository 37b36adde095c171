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
        action="append",
        metavar="FILE",
        help="GeoJSON, GPKG, KML or zipped shapefile; or a named place, as in place:Pyrenees; given several "
        "times, each region gets a report in its own folder, and comparison.html sets them side by side",
    )
    parser.add_argument(
        "--each",
        nargs="?",
        const="",
        default=None,
        metavar="COLUMN",
        help="every feature of FILE is a region of its own, named by COLUMN (default: the likeliest one); "
        "those without an area or outside the atlas are left out, and said",
    )
    parser.add_argument(
        "--crs", default=None, metavar="CRS", help="CRS of FILE where it names none or a wrong one: EPSG:3035"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the report")
    parser.add_argument(
        "--model", default=None, metavar="NAME", help="atlas by name or path (default: the first)"
    )
    parser.add_argument(
        "--rule",
        default=config.DEFAULT_RULE,
        metavar="RULE",
        help="from probabilities to species sets: sse, threshold, top_k, average_k or max_exp, and where the "
        "atlas has held-out surveys species_threshold (one per species) or conformal (all that cannot be "
        f"excluded) (default: {config.DEFAULT_RULE})",
    )
    parser.add_argument("--t", type=float, default=None, help="threshold of the rule threshold")
    parser.add_argument("--k", type=float, default=None, help="species per cell, for top_k and average_k")
    parser.add_argument("--score", default=None, help="what max_exp maximises: f1, jaccard, tss or accuracy")
    parser.add_argument(
        "--criterion",
        default=None,
        help="what the thresholds of species_threshold are chosen by: tss, f1, prevalence, minimum_presence "
        "or p10 (default: prevalence)",
    )
    parser.add_argument(
        "--containment",
        default="centre",
        metavar="HOW",
        help="which cells belong to the region: centre (those with their centre inside), intersect (all that "
        "are touched) or area_weighted (all that are touched, each with its part inside) (default: centre)",
    )
    parser.add_argument(
        "--status",
        action="append",
        default=[],
        metavar="FILE.csv",
        help="status list to add, a Red List for instance; may be given several times (format: "
        "assets/statuses/README.md)",
    )
    parser.add_argument(
        "--synonyms",
        default=None,
        metavar="FILE.csv",
        help="table of synonyms for the taxa of --status: columns synonym and accepted, or what GBIF's name "
        "matching writes",
    )
    parser.add_argument(
        "--records",
        action="append",
        default=[],
        metavar="FILE",
        help="own records or plots to set beside the prediction: CSV, GBIF download, Darwin Core archive or "
        "GeoPackage; may be given several times",
    )
    parser.add_argument(
        "--records-crs",
        default=None,
        metavar="CRS",
        help="CRS of --records where it is not degrees: EPSG:25832",
    )
    parser.add_argument(
        "--cover-scale",
        default=None,
        choices=("percent", "braun-blanquet", "presence"),
        help="how --records write covers (default: as their values show)",
    )
    parser.add_argument(
        "--compare-with",
        default=None,
        metavar="FILE",
        help="named outlines to set the region against, biogeographic regions for instance: those that hold "
        "most of it count; GeoJSON, GPKG, KML or zipped shapefile",
    )
    parser.add_argument(
        "--name-column",
        default=None,
        metavar="C",
        help="column of --compare-with that names the outlines (default: the only one with text, or one "
        "called name)",
    )
    parser.add_argument(
        "--compare-crs", default=None, metavar="CRS", help="CRS of --compare-with where it names none"
    )
    parser.add_argument(
        "--formats",
        default=None,
        metavar="LIST",
        help="some of html, pdf, csv, json, geojson, geoparquet, geotiff, methods (ODMAP table and "
        "reproduce.py) and figures (SVG and PNG files), with commas (default: all but figures)",
    )
    parser.add_argument(
        "--resolution",
        type=int,
        default=None,
        metavar="R",
        help="H3 resolution of the cells, up to three finer than the atlas; predicted first where not in the "
        "cache (default: the cells of the atlas)",
    )
    parser.add_argument("--name", default=None, metavar="TEXT", help="title of the region in the report")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the report and name its files; what could not be made is said on standard error."""
    from sdm_core.errors import ReportError
    from sdm_core.regions import check_containment
    from sdm_core.reports import build_report
    from sdm_core.statuses import read_statuses, read_synonyms

    if not str(args.out).strip():
        raise ReportError("--out is empty; give the name of a folder, existing or not.")
    check_containment(args.containment)
    for options, given, goes_with in (
        (("synonyms",), args.status, "--status"),
        (("records_crs", "cover_scale"), args.records, "--records"),
    ):
        for option in options:
            if getattr(args, option) is not None and not given:
                raise ReportError(f"--{option.replace('_', '-')} goes with {goes_with}, which is missing.")
    synonyms = None if args.synonyms is None else read_synonyms(args.synonyms)
    statuses = [read_statuses(name, synonyms=synonyms) for name in args.status]
    records = None
    if args.records:
        from sdm_core.observed import read_records

        files = [Path(name) for name in args.records]
        records = read_records(files, crs=args.records_crs, cover_scale=args.cover_scale)
    outlines = _outlines(args)
    if len(args.region) > 1 or args.each is not None:
        return _compare(args, statuses, records, outlines)
    region = read_region_argument(args.region[0], args.crs)
    if args.name:
        region = region.renamed(args.name)
    atlas = _open_with(args.model, outlines)
    if args.resolution is not None and args.resolution != atlas.store.resolution:
        from sdm_core.on_demand.computing import finer_atlas

        progress = _Progress()
        atlas, region = finer_atlas(atlas, region, args.resolution, progress)
        progress.end()
    for path in build_report(
        atlas,
        region,
        Path(args.out),
        **_choices(args, statuses, records, outlines),
    ):
        print(path)
    return 0


def _compare(args: argparse.Namespace, statuses: list[Any], records: Any, outlines: Any) -> int:
    """A report of each region and the table of all of them."""
    from sdm_core.errors import ReportError
    from sdm_core.reports import build_comparison, sort_out

    for option in ("name", "resolution"):
        if getattr(args, option) is not None:
            found = "--each" if args.each is not None else f"{len(args.region)} of them"
            raise ReportError(f"--{option} goes with one --region; found {found}.")
    places = [region for text in args.region for region in _regions_of(text, args)]
    atlas = _open_with(args.model, outlines)
    if args.each is not None:
        places, refused = sort_out(atlas, places, args.containment)
        for error in refused:
            _say(f"Left out: {error}")
    for path in build_comparison(
        atlas,
        places,
        Path(args.out),
        **_choices(args, statuses, records, outlines),
    ):
        print(path)
    return 0


def _regions_of(text: str, args: argparse.Namespace) -> list[Any]:
    """The region of one `--region`, or with `--each` those of its features; what is left out is said."""
    if args.each is None or text[: len(PLACE_PREFIX)].lower() == PLACE_PREFIX:
        return [read_region_argument(text, args.crs)]
    from sdm_core import regions

    found = regions.read_regions(Path(text), crs=args.crs, name_column=args.each or None)
    for note in found.notes:
        _say(note)
    return list(found.regions)


def _choices(args: argparse.Namespace, statuses: list[Any], records: Any, outlines: Any) -> dict[str, Any]:
    """What a report of one region and of several take alike."""
    return {
        "rule": args.rule,
        "formats": _formats(args),
        "containment": args.containment,
        "statuses": statuses,
        "records": records,
        "outlines": outlines,
        **_of_rule(args),
        "on_note": _say,
        "on_selection": _say,
    }


def _outlines(args: argparse.Namespace) -> Any:
    """Outlines of --compare-with; None without."""
    from sdm_core.errors import ReportError
    from sdm_core.regions import read_outlines

    if args.compare_with is None:
        for option in ("name_column", "compare_crs"):
            if getattr(args, option) is not None:
                raise ReportError(f"--{option.replace('_', '-')} goes with --compare-with, which is missing.")
        return None
    if not str(args.compare_with).strip():
        raise ReportError("--compare-with is empty; give a file of outlines.")
    return read_outlines(Path(args.compare_with), name_column=args.name_column, crs=args.compare_crs)


def _open_with(model: str | None, outlines: Any) -> Any:
    """The atlas, once it is sure that the outlines to compare with lie on it."""
    from sdm_core.indicators import check_outlines

    atlas = open_model(model)
    if outlines is not None:
        check_outlines(outlines, atlas.store)
    return atlas


def _formats(args: argparse.Namespace) -> tuple[str, ...]:
    from sdm_core.reports import DEFAULT_FORMATS

    if args.formats is None:
        return DEFAULT_FORMATS
    return tuple(word for word in args.formats.split(",") if word)


def _of_rule(args: argparse.Namespace) -> dict[str, Any]:
    """Options of the rule that were given."""
    return {
        name: value for name in ("t", "k", "score", "criterion") if (value := getattr(args, name)) is not None
    }


class _Progress:
    """Says on standard error what is being done: each step on a terminal, in a file every ten percent."""

    def __init__(self) -> None:
        self._percent = -10

    def __call__(self, share: float, message: str, seconds_left: float | None) -> None:
        percent = int(100 * share)
        left = "" if seconds_left is None else f", about {seconds_left:.0f} s left"
        if sys.stderr.isatty():
            print(f"\r\033[K{percent:3d} % {message}{left}", end="", file=sys.stderr, flush=True)
        elif percent >= self._percent + 10:
            self._percent = percent
            print(f"{percent:3d} % {message}{left}", file=sys.stderr)

    def end(self) -> None:
        """Take the line away again."""
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def _say(note: str) -> None:
    print(note, file=sys.stderr)


def read_region_argument(text: str, crs: str | None = None) -> Any:
    """Region of `--region`: a file, or `place:` and the name of a place.

    Raises `RegionError` when the file cannot be read as a region or no place has the name.
    """
    from sdm_core import regions
    from sdm_core.errors import RegionError

    if text[: len(PLACE_PREFIX)].lower() == PLACE_PREFIX:
        name = text[len(PLACE_PREFIX) :].strip()
        if not name:
            raise RegionError("--region place: names no place; write one after it, as in place:Pyrenees.")
        return regions.region_from_place(name)
    if not text.strip():
        raise RegionError("--region is empty; give a polygon file, or a place as in place:Pyrenees.")
    path = Path(text)
    if not path.exists() and not path.suffix:
        raise RegionError(
            f"There is no region file '{text}'; check its path, or write place:{text} if it is a named place."
        )
    return regions.read_region(path, crs=crs)


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
