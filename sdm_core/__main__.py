"""The command line: `python -m sdm_core COMMAND …`, one module of `sdm_core.commands` per command.

A command module offers two functions: `add_arguments(subparsers)`, which adds its parser and sets
`run` as its default, and `run(args)`, which does the work and returns the exit status (None is 0).
Only the module of the command asked for is imported, so that `report` never pays for training.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from sdm_core import __version__
from sdm_core.errors import FlorascopeError

#: Command → what it does, as `--help` says it; its module is `sdm_core.commands.<command>`.
COMMANDS: dict[str, str] = {
    "pack": "pack images and time-series cubes of surveys for training",
    "train": "train the model of a configuration: occurrences to checkpoint",
    "evaluate": "cross-validate a configuration on spatial blocks, baselines beside it",
    "atlas": "build a whole atlas: model, predictions for every cell, model card",
    "tile": "predict a trained model for every cell of a study area",
    "coverage": "work out what held-out surveys say of an atlas: thresholds, limits, coverage",
    "trust": "work out how far each cell of an atlas is to be trusted",
    "predict": "predict calibrated probabilities at points",
    "report": "write the report of a region",
    "ranges": "extent of occurrence and area of occupancy of observed records",
    "store": "verify, repair or convert the predictions of an atlas",
    "export": "write an atlas as GeoTIFF, GeoParquet, NetCDF, Zarr or a catalogue",
    "benchmark": "measure speed claims and published benchmarks",
}


class OneSentenceParser(argparse.ArgumentParser):
    """Parser that says what is wrong in one sentence with the way out, like every other error."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments and stop with status 2."""
        self.exit(2, f"{self.prog}: {message}; `{self.prog} --help` shows what it takes\n")


def command_module(command: str) -> str:
    """Name of the module that holds a command."""
    return f"sdm_core.commands.{command}"


def build_parser(command: str | None) -> argparse.ArgumentParser:
    """Parser that knows every command by name and the arguments of `command` alone.

    Raises `ModuleNotFoundError` when the module of `command` is absent.
    """
    parser = OneSentenceParser(
        prog="python -m sdm_core",
        description="Florascope: plant species distributions and the biodiversity of a region.",
    )
    parser.add_argument("--version", action="version", version=f"Florascope {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        if name == command:
            importlib.import_module(command_module(name)).add_arguments(subparsers)
        else:
            subparsers.add_parser(name, help=summary)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, or 2 after one sentence on bad input."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    command = next((word for word in arguments if not word.startswith("-")), None)
    parser = build_parser(command)
    if command is not None and command not in COMMANDS and not arguments[0].startswith("-"):
        near = difflib.get_close_matches(command, COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}."
        parser.exit(2, f"{parser.prog}: no command is called {command!r}; {hint}\n")
    args = parser.parse_args(arguments)
    try:
        status = int(args.run(args) or 0)
        sys.stdout.flush()
        return status
    except FlorascopeError as error:
        print(f"{parser.prog} {args.command}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read our output, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains as it ends
        return 0
    except KeyboardInterrupt:
        print(f"{parser.prog} {args.command}: stopped before it was done", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
