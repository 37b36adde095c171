"""Work out the numbers of `indicators.json` again, from the atlas and `area.geojson` alone.

Run it from the folder of Florascope, with the environment of Florascope:

    python REPORT/reproduce.py [--model ATLAS] [--status LIST.csv] [--compare-with OUTLINES] [--every]

It prints "equal" or "not equal" for each number (for each column of the species table, unless asked for
every one) and ends with 0 when all are equal, 1 when some are not, 2 when it cannot compare. Two numbers are
equal when they differ by less than a millionth of their size.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
#: Parts of the file that are numbers of the atlas and the outline; own records are not among them.
PARTS = (
    "atlas",
    "region",
    "indicators",
    "groups",
    "percentiles",
    "benchmarks",
    "structure",
    "trust",
    "next_places",
)
RELATIVE = 1e-6
ABSOLUTE = 1e-12


def main() -> int:
    """Compare, print, and give the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default=None, help="name or folder of the atlas (default: as the report)")
    parser.add_argument("--status", action="append", default=[], help="status list the report was made with")
    parser.add_argument("--synonyms", default=None, help="table of synonyms those lists were read with")
    parser.add_argument("--compare-with", default=None, help="outlines the region was compared with")
    parser.add_argument("--every", action="store_true", help="print a line for every number of every species")
    args = parser.parse_args()
    sys.path.append(str(Path.cwd()))
    try:
        from sdm_core.errors import FlorascopeError
    except ImportError:
        return _refuse("sdm_core is not found here; run this file from the folder of Florascope.")
    try:
        told = json.loads((FOLDER / "indicators.json").read_text(encoding="utf-8"))
        found, without_lists = again(told, args)
    except (FlorascopeError, OSError, ValueError) as error:
        return _refuse(str(error))
    except KeyError as error:
        return _refuse(f"indicators.json has no {error}; it is not that of a report of this version.")
    without_outlines = told["benchmarks"]["frame"] is not None and found["benchmarks"]["frame"] is None
    if without_outlines:
        for part in (told, found):
            part["benchmarks"] = without_frame(part["benchmarks"])
    lines, n_equal, n_not = compare(told, found, without_lists, args.every)
    print("\n".join(lines))
    if without_lists:
        print("status lists: not compared; give their files with --status")
    if without_outlines:
        print("outlines: not compared; give their file with --compare-with")
    if "observed" in told:
        print("own records: not compared; they are not part of the report")
    print(f"{n_equal} numbers equal, {n_not} not equal")
    return 1 if n_not else 0


def without_frame(benchmarks: dict[str, Any]) -> dict[str, Any]:
    """Standings among countries and the atlas only."""
    kept = [standing for standing in benchmarks["standings"] if standing["against"] != "outlines"]
    return benchmarks | {"standings": kept, "frame": None}


def again(told: dict[str, Any], args: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """The numbers as the library gives them now; whether status lists of the report are missing."""
    from sdm_core import applicability, indicators, regions, registry
    from sdm_core.statuses import match_statuses, read_statuses, read_synonyms

    atlas = registry.open_atlas(args.model or told["atlas"]["name"])
    region = regions.read_region(FOLDER / "area.geojson")
    if told["atlas"]["h3_resolution"] != atlas.store.resolution:
        from sdm_core.on_demand.computing import finer_atlas

        atlas, region = finer_atlas(
            atlas, region, told["atlas"]["h3_resolution"], lambda _share, _message, _seconds: None
        )
    store = atlas.store
    names = dict.fromkeys(entry["file"] for entry in told["status_lists"])
    beside = [str(FOLDER / name) for name in names if (FOLDER / name).is_file()]
    synonyms = None if args.synonyms is None else read_synonyms(Path(args.synonyms))
    read = [read_statuses(Path(name), synonyms=synonyms) for name in args.status or beside]
    lists = [match_statuses(file, store.species) for file in read]
    frame = told["benchmarks"]["frame"]
    outlines = None
    if frame is not None and (args.compare_with or (FOLDER / frame["source"]).is_file()):
        file = Path(args.compare_with or FOLDER / frame["source"])
        outlines = regions.read_outlines(file, name_column=frame["column"], crs=frame["crs"] or None)
    chosen = regions.select_cells(
        region, store.lonlat, store.resolution, store.cells, store.area_ha, told["containment"]["name"]
    )
    summary = indicators.summarise_region(
        store,
        chosen.rows,
        region,
        rule=told["rule"]["name"],
        hectares=chosen.hectares,
        containment=told["containment"]["name"],
        statuses=lists,
        **told["rule"]["options"],
    )
    trust = applicability.assess_trust(store, chosen.rows, summary, atlas.card, chosen.hectares)
    places = applicability.next_places(store, chosen.rows, summary.species_table)
    stands = indicators.benchmark_region(store, chosen.rows, chosen.hectares, region, lists, outlines)
    inside = indicators.region_structure(store, chosen.rows, summary.rule, summary.rule_options, lists)
    found = summary.to_dict() | {
        "benchmarks": stands.to_dict(),
        "structure": inside.to_dict(),
        "trust": trust.to_dict(),
        "next_places": None if places is None else places.to_dict(),
    }
    return json.loads(json.dumps(found, default=float)), bool(names) and not lists


def compare(
    told: dict[str, Any], found: dict[str, Any], without_lists: bool, every: bool
) -> tuple[list[str], int, int]:
    """Lines to print, and how many numbers are equal and not equal."""
    parts = [name for name in PARTS if name in told] + ([] if without_lists else ["status_lists"])
    lines, counts = [], {True: 0, False: 0}
    for name in parts:
        if without_lists and name in ("benchmarks", "structure"):
            continue
        then, now = dict(leaves(told[name], name)), dict(leaves(found.get(name), name))
        for path in then | now:
            same = path in then and path in now and equal(then[path], now[path])
            counts[same] += 1
            lines.append(_line(same, path, then.get(path), now.get(path)))
    rows = {row["species_id"]: row for row in found["species"]}
    if len(rows) != len(told["species"]):
        counts[False] += 1
        lines.append(_line(False, "species", len(told["species"]), len(rows)))
    for column in told["species_columns"]:
        if without_lists and column.startswith("status"):
            continue
        n_same = 0
        for row in told["species"]:
            value, now_value = row.get(column), rows.get(row["species_id"], {}).get(column)
            same = equal(value, now_value)
            counts[same] += 1
            n_same += same
            if every or not same:
                lines.append(_line(same, f"species.{row['species']}.{column}", value, now_value))
        lines.append(f"{'equal':10}species.*.{column}: {n_same} of {len(told['species'])}")
    return lines, counts[True], counts[False]


def leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every number, hash or version of a part with its path; texts that describe are left out."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from leaves(inner, f"{path}.{place}")
    elif not isinstance(value, str) or path.endswith((".version", ".geometry_hash", ".grade", ".cell")):
        yield path, value


def equal(one: Any, other: Any) -> bool:
    """Whether two values are the same, numbers within a millionth of their size."""
    numbers = (int, float)
    if isinstance(one, numbers) and isinstance(other, numbers) and type(one) is not bool:
        return math.isclose(one, other, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    return bool(one == other)


def _line(same: bool, path: str, value: Any, now: Any) -> str:
    return f"{'equal':10}{path} = {value}" if same else f"not equal {path} = {value}, now {now}"


def _refuse(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
