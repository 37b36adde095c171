"""`python -m sdm_core benchmark load [--url URL]`: tiles and region queries of many clients, then abuse."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any


def add_arguments(kinds: Any) -> None:
    """Add the parser of this benchmark."""
    parser = kinds.add_parser(
        "load",
        help="the interface under load: throughput, waiting times, memory, and what it refuses",
        description="Start the app (or use the one at --url), have many clients ask for tiles and regions at "
        "once, then send what should be refused.",
    )
    parser.add_argument(
        "--url", default=None, metavar="URL", help="start of an interface, as in http://127.0.0.1:8501/api"
    )
    parser.add_argument("--clients", type=int, default=50, metavar="N", help="clients at once (default: 50)")
    parser.add_argument(
        "--seconds", type=float, default=20.0, metavar="S", help="how long they ask (default: 20)"
    )
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="also write the results")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what the clients saw; status 1 where something was not refused as it should be."""
    from sdm_core.benchmarks import browser
    from sdm_core.errors import ConfigurationError
    from sdm_core.writing import check_writable, write_whole

    if not 1 <= args.clients <= 1000:
        raise ConfigurationError(f"--clients is {args.clients}, expected 1 to 1000.")
    if not 0 < args.seconds <= 3600:
        raise ConfigurationError(f"--seconds is {args.seconds:g}, expected more than 0 and at most 3600.")
    if args.json is not None:
        if args.json.is_dir() or not args.json.parent.is_dir():
            raise ConfigurationError(
                f"--json {args.json} cannot be written: give a file in a folder that exists."
            )
        check_writable(args.json.parent)
    results: dict[str, Any] = {"clients": args.clients}
    if args.url is not None:
        is_right = _measure(args.url.rstrip("/"), None, args, results)
    else:
        with tempfile.TemporaryDirectory(prefix="florascope-load-") as scratch:
            log, cache = Path(scratch) / "log.txt", Path(scratch) / "cache"
            processes: list[int] = []
            unlimited = {"FLORASCOPE_API_RATE": "0"}
            with browser.serve(cache, log, settings=unlimited, on_start=processes.append) as address:
                is_right = _measure(f"{address}/api", processes[0], args, results)
            limited = {"FLORASCOPE_API_RATE": "5", "FLORASCOPE_API_BURST": "100"}
            with browser.serve(cache, log, settings=limited) as address:
                is_right = _hurry(f"{address}/api", results) and is_right
    if args.json is not None:
        write_whole(args.json, (json.dumps(results, indent=1) + "\n").encode())
    return 0 if is_right else 1


def _measure(address: str, process: int | None, args: argparse.Namespace, results: dict[str, Any]) -> bool:
    from dataclasses import asdict

    from sdm_core.benchmarks import load

    load.targets_of(address)  # the atlases are open before anything is measured
    before = load.Memory.of(process)
    tally, wall_s = load.run_load(address, args.clients, args.seconds)
    kinds = [load.Percentiles.of(kind, seconds, wall_s) for kind, seconds in tally.seconds.items()]
    total = sum(kind.n for kind in kinds)
    print(
        f"{args.clients} clients for {wall_s:.1f} s: {total} answers, {total / wall_s:.1f} a second, ", end=""
    )
    print(f"{tally.n_bytes / wall_s / 1e6:.1f} MB a second")
    for kind in kinds:
        print(kind.sentence())
    statuses = ", ".join(f"{status}: {n}" for status, n in sorted(tally.statuses.items()))
    print(
        f"statuses {statuses}; without an answer: {sum(tally.failures.values())} {dict(tally.failures) or ''}"
    )
    after = load.Memory.of(process)
    if process:
        print(f"memory of the server: {before.text()} before, {after.text()} after")
    seen = []
    for abuse in load.abuses(address):
        print(abuse.line(), flush=True)
        seen.append(abuse)
    if process:
        print(f"memory of the server after that: {load.Memory.of(process).text()}")
    results |= {
        "wall_s": wall_s,
        "kinds": [asdict(kind) for kind in kinds],
        "statuses": {str(status): n for status, n in tally.statuses.items()},
        "failures": dict(tally.failures),
        "memory_mb": {"before": before.resident_mb, "after": after.resident_mb} if process else {},
        "abuse": [asdict(abuse) for abuse in seen],
    }
    server_errors = sum(n for status, n in tally.statuses.items() if status >= 500 and status != 503)
    return all(abuse.as_expected for abuse in seen) and not server_errors


def _hurry(address: str, results: dict[str, Any]) -> bool:
    from sdm_core.benchmarks import load

    statuses = load.hurry(address)
    print(f"{statuses.total()} requests of one client in a hurry, 5 points a second: {dict(statuses)}")
    results["hurry"] = {str(status): n for status, n in statuses.items()}
    return statuses[429] > 0
