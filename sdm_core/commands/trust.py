"""`python -m sdm_core trust --model NAME`: where a model applies, what is recorded, where to look."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sdm_core.prediction import PredictionStore
    from sdm_core.prediction.cell_layers import CellLayers


def add_arguments(subparsers: Any) -> None:
    """Add the parser of this command."""
    parser = subparsers.add_parser(
        "trust",
        help="work out how far each cell of an atlas is to be trusted",
        description="Writes applicability.npz (what the model has seen) and trust.parquet (area of "
        "applicability, dissimilarity, MESS and spread of the ensemble of each cell) beside the predictions "
        "of an atlas. Reads the occurrences and covariates its model was trained on, measures how much the "
        "model relies on each predictor, and how errors on held-out blocks differ inside and outside.",
    )
    parser.add_argument("--model", required=True, metavar="NAME", help="name or folder of an atlas")
    parser.add_argument(
        "--config",
        type=Path,
        default=None,
        metavar="CONFIG.toml",
        help="configuration of its model (default: the shipped one of its name, or the notes of the model)",
    )
    parser.add_argument(
        "--equal-weights",
        action="store_true",
        help="let all predictors weigh the same in the dissimilarity index, not by their importance",
    )
    parser.add_argument(
        "--fit-held-out",
        action="store_true",
        help="compare errors inside and outside on held-out blocks even where that means fitting the model "
        "anew for each of them (as long as training, once per fold)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the files; say what the model relies on, what lies inside, and how errors differ outside."""
    from sdm_core.pipeline import calibration_logits, load_config, prepare
    from sdm_core.pipeline.fitting import kept_calibration_logits
    from sdm_core.pipeline.trust import noted_configuration, write_trust
    from sdm_core.prediction.cell_layers import read_cell_layers
    from sdm_core.registry import atlas_folder, open_atlas

    folder = atlas_folder(args.model)
    prepared = prepare(noted_configuration(folder) if args.config is None else load_config(args.config))
    held_out = calibration_logits(prepared) if args.fit_held_out else kept_calibration_logits(prepared)
    path = write_trust(folder, prepared, held_out=held_out, weighted=not args.equal_weights)
    layers = read_cell_layers(path)
    print("\n".join(trust_lines(path, layers, open_atlas(folder).store)))
    return 0


def trust_lines(path: Path, layers: CellLayers, store: PredictionStore) -> list[str]:
    """What was written, as lines for a terminal."""
    import numpy as np

    from sdm_core.applicability.held_out_errors import table_lines

    hectares = np.asarray(store.area_ha, dtype=np.float64)
    inside = layers.values("applicability") > 0
    settings, importance = layers.notes["applicability"], layers.notes["importance"]
    lines = [
        f"{path}: {len(inside)} cells, {100 * hectares[inside].sum() / hectares.sum():.1f} % of the area "
        f"inside the area of applicability (dissimilarity index up to {settings['threshold']:.3f}; "
        f"{settings['n_sites']} training sites, {len(settings['predictors'])} predictors, "
        f"{settings['folds']})",
        f"{settings['weighting']}; indices from the shipped file are right to "
        f"{settings['rounding_error']:.4f}",
        f"importance of predictors, % of the log loss of {importance['n_sites']} training sites (± standard "
        f"deviation between {importance['n_permutations']} permutations):",
    ]
    lines += [
        f"  {entry['name']:24} {entry['gain_percent']:6.2f} ± {entry['deviation_percent']:.2f}"
        for entry in importance["predictors"]
    ]
    checks = layers.notes.get("held_out")
    if not checks:
        return [
            *lines,
            "Errors inside and outside were not compared: the cache holds no held-out predictions of this "
            "model (--fit-held-out makes them).",
        ]
    split = next(iter(checks.values()))["split"]
    heading = f"errors on held-out sites ({split}), by dissimilarity to the sites of the other folds:"
    return [*lines, heading, *table_lines(checks)]
