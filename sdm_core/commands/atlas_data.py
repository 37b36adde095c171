"""What commands share that go back to the data the model of an atlas was trained on."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdm_core.pipeline.preparation import Prepared


def add_atlas_and_configuration(parser: argparse.ArgumentParser) -> None:
    """`--model` and `--config`."""
    parser.add_argument("--model", required=True, metavar="NAME", help="name or folder of an atlas")
    parser.add_argument(
        "--config",
        type=Path,
        default=None,
        metavar="CONFIG.toml",
        help="configuration of its model (default: the shipped one of its name, or the notes of the model)",
    )


def atlas_and_data(args: argparse.Namespace) -> tuple[Path, Prepared]:
    """Folder of the atlas asked for, and the training data of its model, read."""
    from sdm_core.pipeline import load_config, prepare
    from sdm_core.pipeline.trust import noted_configuration
    from sdm_core.registry import atlas_folder

    folder = atlas_folder(args.model)
    config = noted_configuration(folder) if args.config is None else load_config(args.config)
    return folder, prepare(config)
