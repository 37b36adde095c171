"""`python -m sdm_core coverage --model NAME`: what held-out surveys say of an atlas, and what it keeps."""

from __future__ import annotations

import argparse
from typing import Any

from sdm_core.commands.atlas_data import add_atlas_and_configuration, atlas_and_data


def add_arguments(subparsers: Any) -> None:
    """Add the parser of this command."""
    parser = subparsers.add_parser(
        "coverage",
        help="work out what held-out surveys say of an atlas: thresholds, limits, coverage",
        description="Writes held_out.parquet (thresholds and conformal limits of every species, from surveys "
        "the model had not seen) beside the predictions of an atlas, and says on its model card what "
        "intervals and conformal sets keep of their promise. Reads the occurrences and covariates its model "
        "was trained on, and cross-validates it where the held-out predictions are not in the cache.",
    )
    add_atlas_and_configuration(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the file and the section of the card, and print the coverage."""
    from sdm_core.pipeline.held_out import write_held_out
    from sdm_core.prediction.files import HELD_OUT_FILE

    folder, prepared = atlas_and_data(args)
    found = write_held_out(folder, prepared, args.device)
    notes = found.notes
    print(
        f"{folder / HELD_OUT_FILE}: {len(found.species)} species, {notes['n_sites']} held-out sites "
        f"({notes['split']})"
    )
    width = max(len(row["what"]) for row in notes["coverage"]["table"])
    print(f"{'what':{width}s}  promised    kept  mean of blocks")
    for row in notes["coverage"]["table"]:
        shares = (_percent(row.get(name)) for name in ("promised", "kept", "mean_of_blocks"))
        print(f"{row['what']:{width}s}  {'  '.join(f'{share:>8s}' for share in shares)}")
    for said in notes["coverage"]["sentences"]:
        print(said)
    return 0


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100.0 * share:.1f} %"
