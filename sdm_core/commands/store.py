"""`python -m sdm_core store verify|heal|convert`: check, repair and convert the predictions of an atlas."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sdm_core.prediction.objects import ObjectFolder
    from sdm_core.prediction.opening import AtlasFolder

_DAMAGED = 1


def add_arguments(subparsers: Any) -> None:
    """Add the parser of this command."""
    parser = subparsers.add_parser(
        "store",
        help="verify, repair or convert the predictions of an atlas",
        description="Check every byte of an atlas's predictions, repair what is damaged, or write them as "
        "tiles (predictions.zarr, at any address) from an archive (predictions.zarr.zip), and back.",
    )
    actions = parser.add_subparsers(dest="action", metavar="verify|heal|convert", required=True)
    texts = {
        "verify": "compare every byte with its checksum; names what is damaged and ends with status 1",
        "heal": "repair damaged tiles and hot copies from what is whole",
        "convert": "write the predictions as tiles or as an archive",
    }
    for name, text in texts.items():
        action = actions.add_parser(name, help=text, description=text.capitalize() + ".")
        action.add_argument(
            "--model", required=True, metavar="NAME|PATH", help="atlas by name, folder or address (s3://…)"
        )
        if name == "convert":
            action.add_argument(
                "--to", required=True, metavar="PATH|URL", help="folder or address of the atlas to write"
            )
            action.add_argument(
                "--tile-resolution",
                type=int,
                default=None,
                help="H3 resolution of the tiles (default: by size)",
            )
        action.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Do what was asked for; 1 when damage is left."""
    from sdm_core.commands.quiet import quiet
    from sdm_core.prediction.opening import AtlasFolder
    from sdm_core.registry import atlas_address

    actions = {"verify": _verify, "heal": _heal, "convert": _convert}
    with quiet("sdm_core.prediction"):  # what is found is printed
        atlas = AtlasFolder.at(atlas_address(args.model))
        return actions[args.action](atlas, args)


def _verify(atlas: AtlasFolder, args: argparse.Namespace) -> int:
    from sdm_core.errors import CorruptStoreError
    from sdm_core.prediction import unpack
    from sdm_core.prediction.opening import hot_copies

    problems = []
    if atlas.tiles is not None:
        damaged = atlas.tiles.damaged().tolist()
        problems += [f"tile {tile:x} is damaged" for tile in damaged]
        print(f"{atlas.tiles.address}: {len(atlas.tiles.finished())} tiles, {len(damaged)} damaged")
    elif atlas.archive is not None:
        try:
            unpack(atlas.archive)
            print(f"{atlas.archive}: every array has its checksum")
        except CorruptStoreError as error:
            problems.append(str(error))
    for store in hot_copies(atlas):
        damage = store.damage()
        for name, blocks in damage.items():
            size = store.meta["block_bytes"]
            problems.append(
                f"{store.folder / name}: {len(blocks)} damaged blocks of {size} bytes, the first at byte "
                f"{blocks[0] * size}"
            )
        print(f"{store.folder}: {len(store.meta['files'])} files, {len(damage)} damaged")
    for problem in problems:
        print(problem)
    if problems:
        print(f"`python -m sdm_core store heal --model {args.model}` repairs what can be repaired")
    return _DAMAGED if problems else 0


def _heal(atlas: AtlasFolder, args: argparse.Namespace) -> int:
    from sdm_core.pipeline.tiled_atlas import recomputation
    from sdm_core.prediction.healing import heal

    folder = atlas.folder.path
    with_model = atlas.tiles is not None and folder is not None and (folder / "model.json").is_file()
    healed = heal(atlas, recomputation(folder) if with_model and folder is not None else None)
    for tile in healed.tiles_from_hot:
        print(f"tile {tile:x}: written again from the hot copy")
    for tile in healed.tiles_recomputed:
        print(f"tile {tile:x}: predicted again")
    for name in healed.hot_files:
        print(f"{name}: repaired")
    from_archive = atlas.tiles is not None and "archive" in atlas.tiles.grid.inputs
    way_out = "`store convert` from the archive" if from_archive else "`tile` with its model"
    for tile in healed.tiles_left:
        print(f"tile {tile:x}: no whole copy is left; taken out, to be written again by {way_out}")
    if not (healed.tiles_from_hot or healed.tiles_recomputed or healed.hot_files or healed.tiles_left):
        print("nothing is damaged")
    return _DAMAGED if healed.tiles_left else 0


def _convert(atlas: AtlasFolder, args: argparse.Namespace) -> int:
    from sdm_core.errors import NotWritableError
    from sdm_core.prediction import write_manifest
    from sdm_core.prediction.objects import ObjectFolder

    target = ObjectFolder(args.to)
    if target.address == atlas.folder.address:
        raise NotWritableError(f"{args.to} is the atlas itself; give another place for what is converted")
    try:
        if atlas.archive is not None:
            _write_tiles(atlas, target, args.tile_resolution)
        else:
            _write_archive(atlas, target)
        for name, content in atlas.companions().items():
            target.put(name, content)
        if target.path is not None:
            write_manifest(target.path)
    except OSError as error:
        raise NotWritableError(
            f"{args.to} cannot be written ({error.strerror or error}); free some space there, or give "
            "another place"
        ) from error
    return 0


def _write_tiles(atlas: AtlasFolder, target: ObjectFolder, tile_resolution: int | None) -> None:
    from sdm_core.errors import ConfigurationError
    from sdm_core.prediction import TILES_FOLDER, unpack
    from sdm_core.prediction.convert import tiles_of_content

    assert atlas.archive is not None
    content = unpack(atlas.archive)
    if tile_resolution is not None and not 0 <= tile_resolution <= content.resolution:
        raise ConfigurationError(
            f"--tile-resolution is {tile_resolution}, expected a whole number from 0 to "
            f"{content.resolution}, the resolution of the cells"
        )
    address = target.below(TILES_FOLDER).address
    store = tiles_of_content(content, atlas.species, address, tile_resolution=tile_resolution)
    print(f"{store.address}: {len(store.grid.tiles)} tiles, version {store.version}")


def _write_archive(atlas: AtlasFolder, target: ObjectFolder) -> None:
    from sdm_core.errors import NotWritableError
    from sdm_core.prediction import EXCHANGE_FILE
    from sdm_core.prediction.convert import archive_of_tiles

    assert atlas.tiles is not None
    if target.path is None:
        raise NotWritableError(
            f"{target.address} is no folder; an archive is written to a folder on this machine"
        )
    target.path.mkdir(parents=True, exist_ok=True)
    version = archive_of_tiles(atlas.tiles, target.path / EXCHANGE_FILE)
    print(f"{target.path / EXCHANGE_FILE}: version {version}")
