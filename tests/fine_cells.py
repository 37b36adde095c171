"""Finer cells of the simulated atlas: its formula in place of a model, and the job process that uses it.

Every tile predicted is noted, one line each, in the file named by `FLORASCOPE_TEST_TILES`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h3
import numpy as np

from sdm_core import prediction
from sdm_core.errors import StoreMismatchError
from sdm_core.jobs.__main__ import main
from sdm_core.on_demand import computing
from sdm_core.prediction import Tile
from tests import make_store

#: Runs the jobs of tests, in place of `submitting.RUNNER`.
RUNNER = (sys.executable, "-m", "tests.fine_cells", "run")
NOTES, PAUSE = "FLORASCOPE_TEST_TILES", "FLORASCOPE_TEST_PAUSE"


@dataclass(frozen=True)
class FormulaSpec:
    """What predicts the simulated atlas."""

    covariates: str = "the formula"

    def load(self) -> FormulaPredictor:
        return FormulaPredictor(self)


class FormulaPredictor:
    """`make_store.simulated_probability` for every cell of the study area."""

    species = tuple(name for name, *_ in make_store.SPECIES)
    value_names = ()

    def __init__(self, spec: FormulaSpec):
        self.spec = spec

    @property
    def inputs(self) -> dict[str, Any]:
        return {"formula": self.spec.covariates}

    def check(self, inputs: Mapping[str, Any]) -> None:
        if inputs["formula"] != self.spec.covariates:
            raise StoreMismatchError("The tiles are of another formula.")

    def tile(self, tile: int, resolution: int) -> Tile:
        with Path(os.environ[NOTES]).open("a", encoding="utf-8") as file:
            file.write(f"{tile:x}\n")
        time.sleep(float(os.environ.get(PAUSE, "0")))
        names = h3.cell_to_children(h3.int_to_str(int(tile)), resolution)
        cells = np.array(sorted(map(h3.str_to_int, names)), dtype=np.uint64)
        lonlat = make_store.lonlat_of(cells)
        inside = (lonlat > (make_store.WEST, make_store.SOUTH)) & (
            lonlat < (make_store.EAST, make_store.NORTH)
        )
        cells, lonlat = cells[inside.all(axis=1)], lonlat[inside.all(axis=1)]
        return Tile(cells, prediction.encode(make_store.simulated_probability(lonlat[:, 0], lonlat[:, 1])))


def formula_spec(atlas: Any) -> FormulaSpec:
    """In place of `computing.predictor_spec`."""
    return FormulaSpec()


def with_model(atlas_folder: Path, folder: Path) -> Path:
    """A copy of an atlas folder with a model in it, and the covariates it says it was made from."""
    shutil.copytree(atlas_folder, folder)
    (folder / "covariates.tif").write_bytes(b"")
    notes = {"configuration": {"covariates": {"path": str(folder / "covariates.tif")}}}
    (folder / "model.json").write_text(json.dumps({"notes": notes}))
    (folder / "model.safetensors").write_bytes(b"")
    return folder


def without_torch() -> None:
    """Spare a process the seconds torch takes to load: the formula needs none of it."""
    module = types.ModuleType("sdm_core.prediction.forward")
    module.one_thread = contextlib.nullcontext
    sys.modules[module.__name__] = module


if __name__ == "__main__":
    without_torch()
    computing.predictor_spec = formula_spec
    sys.exit(main(sys.argv[1:]))
