"""`python -m sdm_core tile --model M --resolution R`: predict a trained model for every cell of an area."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from sdm_core.pipeline.predictor import ModelPredictor, ModelSpec
    from sdm_core.prediction import TileGrid, TileStore
    from sdm_core.prediction.tiling import Progress, TilingPlan

#: Seconds between two lines of progress where there is no terminal.
_SECONDS_PER_LINE = 10.0


def add_arguments(subparsers: Any) -> None:
    """Add the parser of this command."""
    parser = subparsers.add_parser(
        "tile",
        help="predict a trained model for every cell of a study area",
        description="Predicts a model tile by tile into an atlas folder. Says first what it will take; a run "
        "that was stopped goes on where it was when the same command is given again.",
    )
    parser.add_argument("config", nargs="?", default=None, metavar="MODEL", help="the same as --model")
    parser.add_argument(
        "--model",
        default=None,
        metavar="MODEL",
        help="atlas by name or folder, folder of a checkpoint, or CONFIG.toml of a trained model",
    )
    parser.add_argument(
        "--checkpoint", type=Path, default=None, help="model of a CONFIG.toml (default: cache/models/NAME)"
    )
    parser.add_argument(
        "--region", default=None, metavar="FILE", help="only cells in this polygon file, or place:NAME"
    )
    parser.add_argument("--crs", default=None, metavar="CRS", help="CRS of FILE where it names none")
    parser.add_argument("--resolution", type=int, default=None, help="of H3 (default: the model's own)")
    parser.add_argument(
        "--out",
        default=None,
        metavar="DIR|URL",
        help="folder, or address such as s3://bucket/atlas (default: cache/atlases/NAME-rRESOLUTION)",
    )
    parser.add_argument("--workers", type=int, default=None, metavar="N", help="so many processes (Dask)")
    parser.add_argument(
        "--scheduler", default=None, metavar="ADDRESS", help="a running Dask scheduler: tcp://host:8786"
    )
    parser.add_argument(
        "--wait", type=float, default=10.0, metavar="MINUTES", help="for a scheduler or workers that are gone"
    )
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="default: auto")
    parser.add_argument("--plan", action="store_true", help="say what it would take, and stop")
    parser.add_argument("--yes", action="store_true", help="do not ask when the disk would be nearly full")
    parser.add_argument("--no-hot", action="store_true", help="do not build the hot copy that pages read")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Plan, predict what is missing, and say where the atlas lies."""
    from sdm_core import config as paths
    from sdm_core.pipeline.predictor import ModelPredictor
    from sdm_core.pipeline.tiled_atlas import find_model, write_beside
    from sdm_core.prediction import TILES_FOLDER, TileStore
    from sdm_core.prediction.objects import ObjectFolder
    from sdm_core.prediction.tiling import make_plan, predictor_of
    from sdm_core.registry import open_atlas

    _check(args)
    source = find_model(args.model or args.config, args.checkpoint)
    spec = _spec(source.folder, args)
    predictor = predictor_of(spec)
    assert isinstance(predictor, ModelPredictor)
    grid = _grid(predictor, source.species, args.resolution)
    place = ObjectFolder(args.out or paths.CACHE_DIR / "atlases" / grid.name)
    address = place.below(TILES_FOLDER).address
    plan, expected = make_plan(
        predictor,
        grid,
        _finished(address, grid),
        n_workers=args.workers or (1 if args.scheduler is None else _n_workers(args.scheduler)),
        exchange_folder=place.path,
        hot_folder=None if args.no_hot else paths.CACHE_DIR / "stores",
    )
    for line in plan.lines():
        print(line)
    if args.plan:
        return 0
    _check_room(plan, yes=args.yes)
    store = TileStore.create(address, grid)
    progress = _predict(spec, store, args, sum(expected.values()))
    store.finish()
    write_beside(place, source, predictor, store, _command(args))
    n_cells = sum(store.cell_counts().values())
    print(
        f"{place.address}: {n_cells} cells at H3 resolution {grid.resolution}, {progress.n_computed} tiles "
        f"predicted in {progress.seconds:.1f} s ({progress.cells_per_second:,.0f} cells/s), "
        f"{progress.peak_bytes / 1e6:,.0f} MB of memory a process at most"
    )
    if not args.no_hot:
        print(f"hot copy: {open_atlas(place.address).store.folder}")
    return 0


def _spec(folder: Path, args: argparse.Namespace) -> ModelSpec:
    """The model, in the region asked for, else in that of its folder, if any."""
    import shapely

    from sdm_core.commands.report import read_region_argument
    from sdm_core.pipeline.predictor import ModelSpec

    if args.region is None:
        return ModelSpec.of_folder(folder.resolve(), args.device)
    region = bytes(shapely.to_wkb(read_region_argument(args.region, args.crs).geometry))
    return ModelSpec(str(folder.resolve()), region, args.device)


def _grid(predictor: ModelPredictor, species: pd.DataFrame | None, wanted: int | None) -> TileGrid:
    """Grid of the tiles; raises `ConfigurationError` for a resolution there is none of."""
    from sdm_core.errors import ConfigurationError

    resolution = predictor.own_resolution if wanted is None else wanted
    if not 0 <= resolution <= 15:
        raise ConfigurationError(f"--resolution is {resolution}; H3 has 0 to 15.")
    if resolution < 1:
        raise ConfigurationError("--resolution is 0; a tile of it is the cell itself, give 1 or more.")
    region = predictor.inputs["region"]
    return predictor.grid(
        resolution,
        species=species,
        name=f"{predictor.name}-r{resolution}" + (f"-{region[:8]}" if region else ""),
        title=f"{predictor.title}, H3 resolution {resolution}",
    )


def _predict(spec: ModelSpec, store: TileStore, args: argparse.Namespace, expected_cells: float) -> Progress:
    """Predict what is missing; a run that is stopped says how far it is."""
    from sdm_core.prediction.tiling import run_tiling

    try:
        return run_tiling(
            spec,
            store,
            scheduler=args.scheduler,
            workers=args.workers,
            expected_cells=expected_cells,
            on_progress=_Bar(),
            wait_minutes=args.wait,
        )
    except KeyboardInterrupt:
        n_done, n_tiles = len(store.finished()), len(store.grid.tiles)
        print(f"\n{n_done} of {n_tiles} tiles are done; the same command goes on", file=sys.stderr)
        raise


def _check(args: argparse.Namespace) -> None:
    """Arguments that contradict each other; raises `ConfigurationError`."""
    from sdm_core.errors import ConfigurationError

    if (args.model is None) == (args.config is None):
        raise ConfigurationError("give one --model: an atlas, the folder of a checkpoint, or a CONFIG.toml.")
    if args.scheduler is not None and args.workers is not None:
        raise ConfigurationError("--scheduler and --workers exclude each other: a cluster has its workers.")
    if args.workers is not None and args.workers < 1:
        raise ConfigurationError(f"--workers is {args.workers}; expected 1 or more.")
    if args.out is not None and not args.out.strip():
        raise ConfigurationError("--out is empty; give a folder or an address, or leave it out.")


def _n_workers(scheduler: str) -> int:
    from sdm_core.prediction.tiling.cluster import count_workers

    return max(1, count_workers(scheduler))


def _finished(address: str, grid: TileGrid) -> NDArray[np.uint64]:
    """Tiles of this very grid that are there; raises `StoreMismatchError` where others are."""
    from sdm_core.errors import CorruptStoreError
    from sdm_core.prediction import TileStore

    try:
        found = TileStore.open(address)
    except CorruptStoreError:
        return grid.tiles[:0]
    if found.version != grid.version:
        TileStore.create(address, grid)  # says what lies there
    return found.finished()


def _check_room(plan: TilingPlan, yes: bool) -> None:
    """Refuse what the disk has no room for, ask before it is nearly full; raises `NotWritableError`."""
    from sdm_core.errors import NotWritableError
    from sdm_core.prediction.tiling.plan import in_bytes

    room = plan.too_large
    if room is not None:
        raise NotWritableError(
            f"Tiling needs about {in_bytes(room.needed)} at {room.folder}, where {in_bytes(room.free)} are "
            "free; free some space, or give another --out, a smaller --region, a coarser --resolution or "
            "--no-hot."
        )
    room = plan.tight
    if room is None or yes:
        return
    need = f"about {in_bytes(room.needed)} of the {in_bytes(room.free)} that are free at {room.folder}"
    if not sys.stdin.isatty():
        raise NotWritableError(f"Tiling would take {need}; give --yes to go on all the same.")
    answer = input(f"This takes {need}. Go on? [y/N] ")
    if answer.strip().lower() not in ("y", "yes"):
        raise NotWritableError("Nothing was predicted.")


def _command(args: argparse.Namespace) -> str:
    """The command that makes the same tiles again, as the card names it."""
    words = ["tile", "--model", str(args.model or args.config)]
    for name in ("region", "crs", "resolution"):
        value = getattr(args, name)
        words += [] if value is None else [f"--{name}", str(value)]
    return "python -m sdm_core " + shlex.join(words)


class _Bar:
    """Progress as a bar on a terminal, else as a line now and then."""

    def __init__(self) -> None:
        self.bar: Any = None
        self.last = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        """Show how far it is."""
        from sdm_core.prediction.tiling.plan import in_words

        done = progress.n_done_before + progress.n_done
        left = progress.seconds_left
        rate = f"{progress.cells_per_second:,.0f} cells/s"
        if sys.stderr.isatty():
            from tqdm import tqdm

            if self.bar is None:
                self.bar = tqdm(total=progress.n_tiles, initial=done, desc="tiling", unit="tile")
            self.bar.set_postfix_str(rate + ("" if left is None else f", {in_words(left)} left"))
            self.bar.update(done - self.bar.n)
            if done == progress.n_tiles:
                self.bar.close()
        elif time.monotonic() - self.last >= _SECONDS_PER_LINE:
            self.last = time.monotonic()
            words = "" if left is None else f", {in_words(left)} left"
            print(f"{done} of {progress.n_tiles} tiles, {rate}{words}", file=sys.stderr, flush=True)
