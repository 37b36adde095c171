"""Files a page offers for download, made when they are asked for."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pages.ui.hexagons import Bounds
    from sdm_core.registry import Atlas
    from sdm_core.statuses import MatchedStatuses

#: Pixels of a raster at most, so that it is made in a few seconds; the command `export` makes larger ones.
MOST_PIXELS = 4_000_000


def geotiff(
    atlas: Atlas,
    layer: str,
    species_id: int,
    bounds: Bounds | None,
    statuses: Sequence[MatchedStatuses] = (),
) -> bytes:
    """A layer of the atlas, or one species, as a cloud-optimised GeoTIFF in degrees.

    bounds: west, south, east, north of the part to write; the whole atlas without. statuses: lists that the
    layer is made from.
    """
    from sdm_core import exports  # brings libraries along that no page needs to open

    store = atlas.store
    chosen = (
        exports.species_layer(store, species_id)
        if layer == "species"
        else exports.layer_of(store, layer, statuses)
    )
    spec = exports.PixelSpec(bounds=bounds, most_pixels=MOST_PIXELS)
    with tempfile.TemporaryDirectory(prefix="florascope-") as scratch:
        return exports.write_cog(Path(scratch) / "map.tif", atlas, chosen, spec).read_bytes()
