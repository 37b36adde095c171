"""`python -m sdm_core trust --model NAME`: where a model applies, what is recorded, where to look."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdm_core.commands.atlas_data import add_atlas_and_configuration, atlas_and_data

if TYPE_CHECKING:
    from sdm_core.prediction import PredictionStore
    from sdm_core.prediction.cell_layers import CellLayers

_WEIGHTS = {"equal": "equal weights", "importance": "weights by importance"}


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
    add_atlas_and_configuration(parser)
    parser.add_argument(
        "--weights",
        choices=("equal", "importance"),
        default="equal",
        help="how predictors weigh in the dissimilarity index: all the same, or by what the model relies on "
        "(permutation importance); both are compared on held-out sites (default: equal)",
    )
    parser.add_argument(
        "--countries",
        action="store_true",
        help="compare also with whole countries held out, the harder test (fits the model once per country "
        "unless the cache has it)",
    )
    parser.add_argument(
        "--fit-held-out",
        action="store_true",
        help="compare on held-out blocks even where that means fitting the model once per fold; without it "
        "only what the cache has is compared",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the files; say what the model relies on, what lies inside, and how errors differ outside."""
    from sdm_core.pipeline.configuration import SplitConfig
    from sdm_core.pipeline.fitting import held_out_logits, kept_logits
    from sdm_core.pipeline.trust import write_trust
    from sdm_core.prediction.cell_layers import read_cell_layers
    from sdm_core.registry import open_atlas

    folder, prepared = atlas_and_data(args)
    first, *further = prepared.config.evaluation.all_splits
    found = [held_out_logits(prepared, first) if args.fit_held_out else kept_logits(prepared, first)]
    found += [kept_logits(prepared, split) for split in further]
    if args.countries:
        found.append(held_out_logits(prepared, SplitConfig(kind="country")))
    held_out = [entry for entry in found if entry is not None]
    path = write_trust(folder, prepared, held_out=held_out, weights=args.weights)
    print("\n".join(trust_lines(path, read_cell_layers(path), open_atlas(folder).store)))
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
    checks = layers.notes["held_out"]
    if not checks:
        return [
            *lines,
            "Errors inside and outside were not compared: the cache holds no held-out predictions of this "
            "model (--fit-held-out makes them).",
        ]
    heading = "errors on held-out sites, by dissimilarity (DI) to the sites of the other folds:"
    return [
        *lines,
        heading,
        *table_lines({f"{check['split']}, {_WEIGHTS[check['weights']]}": check for check in checks}),
    ]
