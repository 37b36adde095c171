"""`python -m sdm_core trust --model NAME`: where a model applies, what is recorded, where to look."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_arguments(subparsers: Any) -> None:
    """Add the parser of this command."""
    parser = subparsers.add_parser(
        "trust",
        help="work out how far each cell of an atlas is to be trusted",
        description="Writes applicability.npz (what the model has seen) and trust.parquet (area of "
        "applicability, MESS, spread of the ensemble, sampling effort and expected information of each cell) "
        "beside the predictions of an atlas. Reads the occurrences and covariates its model was trained on.",
    )
    parser.add_argument("--model", required=True, metavar="NAME", help="name or folder of an atlas")
    parser.add_argument(
        "--config",
        type=Path,
        default=None,
        metavar="CONFIG.toml",
        help="configuration of its model (default: the shipped one of its name, or the notes of the model)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the files and say what share of the atlas lies inside."""
    import numpy as np

    from sdm_core.pipeline import load_config, prepare
    from sdm_core.pipeline.trust import noted_configuration, write_trust
    from sdm_core.prediction.cell_layers import read_cell_layers
    from sdm_core.registry import atlas_folder, open_atlas

    folder = atlas_folder(args.model)
    config = noted_configuration(folder) if args.config is None else load_config(args.config)
    path = write_trust(folder, prepare(config))
    layers = read_cell_layers(path)
    hectares = np.asarray(open_atlas(folder).store.area_ha)
    inside = layers.values("applicability") > 0
    settings = layers.notes["applicability"]
    print(
        f"{path}: {len(inside)} cells, {100 * hectares[inside].sum() / hectares.sum():.1f} % of the area "
        f"inside the area of applicability (dissimilarity index up to {settings['threshold']:.3f}; "
        f"{settings['n_sites']} training sites, {len(settings['predictors'])} predictors, "
        f"{settings['folds']})"
    )
    return 0
