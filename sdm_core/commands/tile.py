"""`python -m sdm_core tile CONFIG.toml`: predict a trained model for every cell, or for those of a region."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

_DRAFT_COMPRESSION = 3


def add_arguments(subparsers: Any) -> None:
    """Add the parser of this command."""
    parser = subparsers.add_parser(
        "tile",
        help="predict a trained model for every cell of a study area",
        description="Writes an atlas folder without evaluation: predictions, species, record densities.",
    )
    parser.add_argument("config", type=Path, metavar="CONFIG.toml", help="configuration of the atlas")
    parser.add_argument(
        "--checkpoint", type=Path, default=None, help="checkpoint folder (default: cache/models/NAME)"
    )
    parser.add_argument("--region", type=Path, default=None, help="only the cells in this polygon file")
    parser.add_argument("--resolution", type=int, default=None, help="H3 resolution (default: as configured)")
    parser.add_argument("--out", type=Path, default=None, help="folder (default: cache/atlases/NAME)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Predict the cells and say where the atlas folder lies."""
    from dataclasses import replace

    from sdm_core import config as paths
    from sdm_core import regions, taxa
    from sdm_core.models import load_model
    from sdm_core.pipeline import load_config, prepare
    from sdm_core.pipeline.atlas import predict_cells, study_cells
    from sdm_core.prediction import observation_densities, write_atlas

    config = load_config(args.config)
    if args.resolution is not None:
        config = replace(config, prediction=replace(config.prediction, resolution=args.resolution))
    region = None if args.region is None else regions.read_region(args.region)
    prepared = prepare(config)
    checkpoint = load_model(
        args.checkpoint or paths.CACHE_DIR / "models" / config.name, prepared.species, prepared.features.names
    )
    cells = study_cells(prepared)
    lonlat = regions.cells_to_lonlat(cells)
    if region is not None:
        rows, _ = regions.select_rows(region, lonlat, config.prediction.resolution, cells)
        cells, lonlat = cells[rows], lonlat[rows]
    observed, observed_species = observation_densities(prepared.occurrences.table, prepared.species)
    folder = args.out or paths.CACHE_DIR / "atlases" / config.name
    write_atlas(
        folder,
        config.name,
        config.title,
        config.prediction.resolution,
        cells,
        predict_cells(prepared, checkpoint, lonlat),
        taxa.species_table(prepared.occurrences, species=prepared.species),
        observed=observed,
        observed_species=observed_species,
        card={"summary": "Predicted with `tile`: this folder carries no evaluation.", "draft": True},
        inputs={
            "weights_sha256": checkpoint.metadata["weights_sha256"],
            "features": config.features.to_dict(),
            "data_fingerprint": prepared.fingerprint,
        },
        compression_level=_DRAFT_COMPRESSION,
    )
    print(f"{folder}: {len(cells)} cells at H3 resolution {config.prediction.resolution}")
    return 0
