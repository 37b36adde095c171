"""XYZ map tiles drawn straight from the predictions of an atlas.

grid     pixels of a tile, the H3 resolution that fits a zoom, the row of the atlas under each pixel
layers   what can be drawn: its values, title, unit, scale and colours
images   palette PNG
draw     all of it together, with a bounded cache
"""

from sdm_core.api.tiles.draw import MAX_ZOOM, TILE_PIXELS, TileArtist
from sdm_core.api.tiles.grid import TileAddress
from sdm_core.api.tiles.layers import INKS, Layer, Paint, layer_of, layers_of, palette_of

__all__ = [
    "INKS",
    "MAX_ZOOM",
    "TILE_PIXELS",
    "Layer",
    "Paint",
    "TileAddress",
    "TileArtist",
    "layer_of",
    "layers_of",
    "palette_of",
]
