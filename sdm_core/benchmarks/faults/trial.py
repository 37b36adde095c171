"""A tiling that faults are done to: its model, its undisturbed result, and how a copy compares with it."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import shapely

from sdm_core.benchmarks.faults.study import write_study
from sdm_core.errors import CorruptStoreError
from sdm_core.pipeline.predictor import ModelPredictor, ModelSpec
from sdm_core.prediction import PredictionStore, TileGrid, TileStore, build_hot
from sdm_core.prediction.tiling import predictor_of, run_tiling

#: H3 resolutions of the cells and tiles: some 350 tiles of 343 cells.
RESOLUTION, TILE_RESOLUTION = 7, 4


@dataclass(frozen=True)
class FaultResult:
    """What a fault did: how often it was tried, and how often an answer was wrong afterwards."""

    name: str
    trials: int
    #: Tiles read after a fault, all compared with the undisturbed run.
    compared: int
    wrong: int
    #: Whether the final result is byte for byte that of the undisturbed run.
    equal: bool
    details: str

    @property
    def held(self) -> bool:
        """Whether nothing was ever wrong."""
        return self.equal and self.wrong == 0


@dataclass(frozen=True)
class Trial:
    """One tiling of the simulated study, undisturbed below `folder/undisturbed`."""

    folder: Path
    spec: ModelSpec
    #: Seconds of the undisturbed run.
    seconds: float

    @classmethod
    def prepare(
        cls,
        folder: Path,
        n_species: int = 48,
        width: int = 256,
        bounds: tuple[float, float, float, float] | None = None,
    ) -> Trial:
        """Make the study and tile it, or what lies within bounds, without a fault."""
        model = write_study(folder / "study", n_species=n_species, width=width)
        region = None if bounds is None else bytes(shapely.to_wkb(shapely.box(*bounds)))
        trial = cls(folder, ModelSpec(str(model), region, "cpu"), 0.0)
        store = trial.create("undisturbed")
        predictor_of(trial.spec).tile(int(trial.grid.tiles[0]), RESOLUTION)  # loads what is loaded once
        started = time.perf_counter()
        run_tiling(trial.spec, store)
        seconds = time.perf_counter() - started
        store.finish()
        return cls(folder, trial.spec, seconds)

    @cached_property
    def grid(self) -> TileGrid:
        """Grid of the tiles."""
        predictor = predictor_of(self.spec)
        assert isinstance(predictor, ModelPredictor)
        return predictor.grid(RESOLUTION, tile_resolution=TILE_RESOLUTION)

    def create(self, name: str) -> TileStore:
        """The store of a copy, made where it is not there yet."""
        return TileStore.create(self.address(name), self.grid)

    def address(self, name: str) -> Path:
        """Where the tiles of a copy lie."""
        return self.folder / name / "predictions.zarr"

    def finish(self, name: str) -> None:
        """Run a copy to its end."""
        store = self.create(name)
        run_tiling(self.spec, store)
        store.finish()

    @cached_property
    def digests(self) -> dict[int, str]:
        """Checksums of the undisturbed tiles."""
        return TileStore.open(self.address("undisturbed")).digests()

    @cached_property
    def files(self) -> dict[str, str]:
        """Checksums of the undisturbed files."""
        return file_digests(self.address("undisturbed"))

    def is_equal(self, name: str) -> bool:
        """Whether a copy has the files of the undisturbed run, each byte for byte."""
        return file_digests(self.address(name)) == self.files

    def compare(self, name: str) -> tuple[int, int, int]:
        """Tiles of a copy that can be read, how many of them are wrong, and how many were refused as damaged.

        A store that is not there yet has none; one whose description is damaged counts as refused.
        """
        address = self.address(name)
        if not (address / "zarr.json").exists():
            return 0, 0, 0
        try:
            store = TileStore.open(address)
        except CorruptStoreError:
            return 0, 0, 1
        read, wrong, refused = 0, 0, 0
        for tile in store.finished().tolist():
            try:
                digest = store.read_tile(tile).digest()
            except CorruptStoreError:
                refused += 1
                continue
            read += 1
            wrong += digest != self.digests[tile]
        return read, wrong, refused

    def hot(self, name: str) -> PredictionStore:
        """Build the hot copy of the undisturbed tiles under a name."""
        return build_hot(self.folder / name, TileStore.open(self.address("undisturbed")))


def file_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder by its relative name, locks left out."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def start_process(work: Callable[[], int]) -> int:
    """Start a copy of this process that does some work and ends with its status; gives its number."""
    child = os.fork()
    if child:
        return child
    status = 70
    try:
        status = work()
    finally:
        os._exit(status)
