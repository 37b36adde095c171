"""`python -m sdm_core export --model NAME --what KIND --out PATH`: an atlas as files for other programs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

WHAT = ("cog", "geoparquet", "netcdf", "zarr", "catalogue")
_SUFFIXES = {"cog": (".tif", ".tiff"), "geoparquet": (".parquet", ".geoparquet"), "netcdf": (".nc",)}


def add_arguments(subparsers: Any) -> None:
    """Add the parser of this command."""
    parser = subparsers.add_parser(
        "export",
        help="write an atlas as GeoTIFF, GeoParquet, NetCDF, Zarr or a STAC catalogue",
        description="Write species and layers of an atlas as files that other programs open.",
    )
    parser.add_argument(
        "--model", default=None, metavar="NAME", help="atlas by name or path (default: the first)"
    )
    parser.add_argument("--what", required=True, metavar="KIND", help=f"one of {', '.join(WHAT)}")
    parser.add_argument(
        "--out",
        default=None,
        metavar="PATH",
        help="file to write; a folder for several GeoTIFFs or the catalogue (default of the catalogue: the "
        "one this server serves); any fsspec address for zarr",
    )
    parser.add_argument(
        "--species", nargs="+", default=[], metavar="NAME", help="scientific names in quotes, or all"
    )
    parser.add_argument(
        "--layers",
        default=None,
        metavar="LIST",
        help="some of richness, shannon, endemic, richness_width, mess, … with commas, or all (default: "
        "richness when no species is named)",
    )
    parser.add_argument(
        "--status",
        action="append",
        default=[],
        metavar="FILE.csv",
        help="status list of which the first Red List gives the layers threatened_share, unassessed_share, "
        "most_threatened and most_threatened_certain; may be given several times (format: "
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
        "--crs", default="EPSG:4326", metavar="CRS", help="coordinate system of pixels (default: EPSG:4326)"
    )
    parser.add_argument(
        "--pixel",
        type=float,
        default=None,
        metavar="SIZE",
        help="side of a pixel in metres or degrees, the unit of CRS (default: a sixth of a cell's width)",
    )
    parser.add_argument(
        "--bounds",
        nargs=4,
        type=float,
        default=None,
        metavar=("WEST", "SOUTH", "EAST", "NORTH"),
        help="box of the pixels in units of CRS (default: round the cells)",
    )
    parser.add_argument(
        "--region", default=None, metavar="FILE", help="polygon file, or a place as in place:Pyrenees"
    )
    parser.add_argument(
        "--dtype",
        default="uint8",
        metavar="TYPE",
        help="uint8 (steps of 0.005, small, coloured) or float32 (exact); default: uint8",
    )
    parser.add_argument(
        "--geometry", default="hexagon", metavar="KIND", help="of geoparquet: hexagon or centre"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the files and name them."""
    from sdm_core.commands.report import open_model, read_region_argument
    from sdm_core.errors import ExportError
    from sdm_core.exports import PixelSpec, choose_layers, published_folder, read_crs

    if args.what not in WHAT:
        raise ExportError(f"--what is {args.what!r}, expected one of {', '.join(WHAT)}.")
    if args.out is None:
        if args.what != "catalogue":
            raise ExportError(f"--what {args.what} needs --out, the file or folder to write.")
        args.out = str(published_folder())
    if not args.out.strip():
        raise ExportError("--out is empty; give the name of a file or folder.")
    check_suffix(args.what, Path(args.out))
    _refuse_idle_options(args)
    bounds = None if args.bounds is None else tuple(args.bounds)
    spec = PixelSpec(args.crs, args.pixel, bounds, args.dtype)
    read_crs(spec.crs)
    region = None if args.region is None else read_region_argument(args.region)
    atlas = open_model(args.model)
    named = args.layers if args.layers is not None else ("" if args.species else "richness")
    names = [word.strip() for word in named.split(",") if word.strip()]
    layers = choose_layers(atlas.store, names, args.species, _statuses(args, atlas))
    for path in _write(args, atlas, layers, region, spec):
        print(path)
    return 0


def _statuses(args: argparse.Namespace, atlas: Any) -> list[Any]:
    """The status lists beside the species of the atlas."""
    from sdm_core.errors import ExportError
    from sdm_core.statuses import match_statuses, read_statuses, read_synonyms

    if args.synonyms is not None and not args.status:
        raise ExportError("--synonyms goes with --status, and no status list is given.")
    if args.status and args.what == "catalogue":
        raise ExportError(
            "--status says nothing for catalogue, which is served to everybody; most Red Lists may not be "
            "passed on."
        )
    synonyms = None if args.synonyms is None else read_synonyms(Path(args.synonyms))
    files = [read_statuses(Path(name), synonyms=synonyms) for name in args.status]
    return [match_statuses(file, atlas.store.species) for file in files]


def check_suffix(what: str, out: Path) -> None:
    """Raise `ExportError` when a file's ending says it is something else."""
    from sdm_core.errors import ExportError

    wanted = _SUFFIXES.get(what, ())
    if out.suffix.lower() in wanted or (what == "cog" and not out.suffix) or not wanted:
        return
    raise ExportError(
        f"--out is {out.name}, and {what} files end in {' or '.join(wanted)}; name one that does"
        + (", or a folder." if what == "cog" else ".")
    )


def _refuse_idle_options(args: argparse.Namespace) -> None:
    from sdm_core.errors import ExportError

    idle = {
        "--pixel": args.pixel is not None,
        "--bounds": args.bounds is not None,
        "--crs": args.crs != "EPSG:4326",
        "--dtype": args.dtype != "uint8",
    }
    for option, given in idle.items():
        if given and args.what == "geoparquet":
            raise ExportError(
                f"{option} says nothing for geoparquet, which holds one row per cell in EPSG:4326; leave it "
                "out."
            )
    if args.geometry != "hexagon" and args.what != "geoparquet":
        raise ExportError(f"--geometry says nothing for {args.what}; leave it out.")


def _write(args: argparse.Namespace, atlas: Any, layers: list[Any], region: Any, spec: Any) -> Any:
    """Write what was asked for; gives the files one by one."""
    from sdm_core import exports
    from sdm_core.errors import ExportError

    out = Path(args.out)
    if args.what == "cog":
        if out.suffix and len(layers) > 1:
            raise ExportError(
                f"--out is the file {out.name}, and {len(layers)} layers are asked for, one file each; give "
                "a folder."
            )
        files = {out if out.suffix else out / f"{layer.name}.tif": layer for layer in layers}
        yield from exports.write_cogs(files, atlas, spec, region)
    elif args.what == "geoparquet":
        count = exports.write_cells_geoparquet(out, atlas, layers, region, args.geometry)
        yield f"{out}: {count} cells"
    elif args.what == "netcdf":
        yield exports.write_netcdf(out, atlas, layers, spec, region)
    elif args.what == "zarr":
        yield exports.write_zarr_grid(args.out, atlas, layers, spec, region)
    else:
        yield exports.publish(atlas, layers, out, spec, region, _progress)


def _progress(done: int, total: int) -> None:
    print(f"{done} of {total} layers", file=sys.stderr)
