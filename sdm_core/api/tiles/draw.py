"""One tile of one layer as PNG, from a bounded cache of pixel rows and coarser layers."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sdm_core.api.caches import ByteCache
from sdm_core.api.tiles.grid import (
    NO_PIXELS,
    PixelRows,
    TileAddress,
    cell_width_km,
    fitting_resolution,
    may_overlap,
    pixel_rows,
)
from sdm_core.api.tiles.images import palette_png
from sdm_core.api.tiles.layers import NO_CELL, UNDEFINED, Layer, Paint, palette_of
from sdm_core.colours import Scale
from sdm_core.indicators.map_categories import most_common
from sdm_core.prediction import APPLICABILITY_LAYER, PredictionStore
from sdm_core.prediction.derive import parent_starts

#: Pixels along the edge of a tile.
TILE_PIXELS = 256
#: Pixels from one stripe of a hatching to the next, a divisor of `TILE_PIXELS`, and of a stripe.
_HATCH_PERIOD, _HATCH_WIDTH = 8, 6
#: Finest zoom; a pixel is then 15 cm wide.
MAX_ZOOM = 20

Bounds = tuple[float, float, float, float]


class TileArtist:
    """Draws tiles of any atlas; what does not depend on the layer is worked out once per tile and kept.

    Zoomed out, a tile shows area-weighted means of parent cells about as wide as a pixel, or the category of
    most of their area; from the zoom on where the cells of the atlas are wider than a pixel it shows every
    cell.
    """

    def __init__(self, max_bytes: int):
        self.cache = ByteCache(max_bytes)

    def draw(self, store: PredictionStore, layer: Layer, paint: Paint, tile: TileAddress) -> bytes:
        """PNG of a tile; transparent where the atlas has no cell."""
        resolution = fitting_resolution(tile.z, tile.pixels, store.resolution)
        rows = self._pixel_rows(store, tile, resolution)
        if rows.is_empty:
            return empty_png(tile.pixels)
        if layer.species_id is not None and resolution == store.resolution:
            # straight from the codes: no layer of the species is made
            inks = paint.inks_of_codes()[store.species_map(layer.species_id)[rows.places]]
        else:
            inks = paint.inks_of_values(self._values(store, layer, resolution)[rows.places])
        inks[rows.places < 0] = NO_CELL
        picture = np.repeat(inks, rows.lengths).reshape(tile.pixels, tile.pixels)
        if paint.mask and APPLICABILITY_LAYER in store.layer_names:
            outside = self._outside(store, resolution)[rows.places] & (rows.places >= 0)
            there = np.repeat(outside, rows.lengths).reshape(picture.shape)
            picture = np.where(there & hatching(tile.pixels), UNDEFINED, picture)
        return palette_png(picture, paint.palette())

    def reaches(self, store: PredictionStore, tile: TileAddress) -> bool:
        """Whether a tile may hold cells of the atlas; False is certain and costs nothing."""
        resolution = fitting_resolution(tile.z, tile.pixels, store.resolution)
        return may_overlap(tile, self.bounds(store), cell_width_km(resolution))

    def default_scale(self, store: PredictionStore, layer: Layer) -> Scale:
        """The layer's own scale, kept."""
        key = ("scale", store.key, layer.quantity)
        scale: Scale = self.cache.get(key, lambda: layer.default_scale(store), lambda _: 100)
        return scale

    def bounds(self, store: PredictionStore) -> Bounds:
        """West, south, east and north of the cell centres of an atlas."""

        def find() -> Bounds:
            lonlat = np.asarray(store.lonlat)
            (west, south), (east, north) = lonlat.min(axis=0).tolist(), lonlat.max(axis=0).tolist()
            return west, south, east, north

        bounds: Bounds = self.cache.get(("bounds", store.key), find, lambda _: 100)
        return bounds

    def _pixel_rows(self, store: PredictionStore, tile: TileAddress, resolution: int) -> PixelRows:
        if not self.reaches(store, tile):
            return NO_PIXELS
        rows: PixelRows = self.cache.get(
            ("rows", store.key, tile),
            lambda: pixel_rows(tile, self._cells(store, resolution), resolution),
            lambda made: made.n_bytes,
        )
        return rows

    def _cells(self, store: PredictionStore, resolution: int) -> NDArray[np.uint64]:
        """Cells of the atlas, or their parents, ascending."""
        if resolution == store.resolution:
            return store.cells
        cells: NDArray[np.uint64] = self.cache.get(
            ("cells", store.key, resolution),
            lambda: store.aggregate(np.zeros(store.n_cells), resolution)[0],
            lambda made: made.nbytes,
        )
        return cells

    def _outside(self, store: PredictionStore, resolution: int) -> NDArray[np.bool_]:
        """Whether most of each cell of `_cells` lies outside the area of applicability (or unknown)."""

        def find() -> NDArray[np.bool_]:
            inside = np.nan_to_num(np.asarray(store.layer(APPLICABILITY_LAYER), dtype=np.float64))
            return np.asarray(store.aggregate(inside, resolution)[1] < 0.5)

        outside: NDArray[np.bool_] = self.cache.get(
            ("outside", store.key, resolution), find, lambda made: made.nbytes
        )
        return outside

    def _values(self, store: PredictionStore, layer: Layer, resolution: int) -> NDArray[np.floating]:
        """One value per cell of `_cells`: means weighted by area where those are parents."""
        if resolution == store.resolution:
            return layer.values(store)

        def find() -> NDArray[np.float32]:
            fine = layer.values(store)
            if layer.categories is None:
                return store.aggregate(fine, resolution)[1].astype(np.float32)
            starts = parent_starts(np.asarray(store.cells), store.resolution, resolution)[:-1]
            return most_common(fine, np.asarray(store.area_ha), starts, layer.categories).astype(np.float32)

        values: NDArray[np.float32] = self.cache.get(
            ("values", store.key, layer.name, resolution), find, lambda made: made.nbytes
        )
        return values


@lru_cache(maxsize=4)
def hatching(pixels: int) -> NDArray[np.bool_]:
    """Where slanted stripes lie on a tile (pixels, pixels); they go on across its edges."""
    along = np.arange(pixels)
    stripes = (along[:, None] + along[None, :]) % _HATCH_PERIOD < _HATCH_WIDTH
    stripes.setflags(write=False)
    return stripes


@lru_cache(maxsize=4)
def empty_png(pixels: int) -> bytes:
    """A transparent tile."""
    return palette_png(np.full((pixels, pixels), NO_CELL, dtype=np.uint8), palette_of("viridis"))
