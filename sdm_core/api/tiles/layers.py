"""What a tile can show: layers of an atlas, their scales, and the palette their colours come from."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sdm_core.applicability.predictor_words import predictor_words
from sdm_core.colours import RAMP_CHOICES, Categories, Scale, ramp_colours, ramp_of, scale_for
from sdm_core.errors import RuleError, UnknownSpeciesError
from sdm_core.indicators.map_layers import (
    PREDICTOR_LAYER,
    map_categories,
    map_layer_names,
    map_values,
)
from sdm_core.indicators.map_texts import map_layer
from sdm_core.prediction import PredictionStore, decode

Theme = Literal["light", "dark"]

#: Palette places of what is no value on the ramp: no cell there; a probability of exactly zero and a value
#: below the cut-off, both only where a cut-off is asked for; a cell whose index is not defined.
NO_CELL, ZERO, BELOW, UNDEFINED = 0, 1, 2, 3
_FIRST_COLOUR = 4
_N_COLOURS = 256 - _FIRST_COLOUR
_LAST_COLOUR = _N_COLOURS - 1
#: RGBA of those places in both themes.
INKS: dict[str, tuple[tuple[int, int, int, int], ...]] = {
    "light": ((0, 0, 0, 0), (222, 226, 221, 130), (222, 226, 221, 255), (190, 190, 186, 255)),
    "dark": ((0, 0, 0, 0), (62, 71, 72, 130), (62, 71, 72, 255), (98, 104, 104, 255)),
}
#: What stands in the place of a ramp where colours stand for categories.
CATEGORY_RAMP = "categories"
_SPECIES_UNIT = "probability of presence"
_SPECIES_LAYER = re.compile(r"species/(\d{1,9})")


@dataclass(frozen=True)
class Layer:
    """One thing to draw: `name` is `species/<id>` or a layer of the atlas.

    categories: what whole numbers stand for, where they are no amounts. meaning: one sentence with the
    formula. group: diversity, concern, trust or interval. given: values (n_cells,) of a layer that no store
    holds; `name` then names them.
    """

    name: str
    title: str
    unit: str
    species_id: int | None = None
    categories: Categories | None = None
    meaning: str = ""
    group: str = ""
    given: NDArray[np.floating] | None = field(default=None, compare=False, repr=False)

    @property
    def quantity(self) -> str:
        """What decides its ramp and scale: "species", or the name of the layer."""
        return self.name if self.species_id is None else "species"

    def values(self, store: PredictionStore) -> NDArray[np.floating]:
        """One value per cell of the atlas (n_cells,)."""
        if self.given is not None:
            return self.given
        if self.species_id is None:
            return map_values(store, self.name)
        return decode(store.species_map(self.species_id), np.float32)

    def default_scale(self, store: PredictionStore) -> Scale:
        """The scale where none is asked for: 0 to 1 for species, round ends of the atlas' values else."""
        if self.species_id is not None:
            return Scale("species", 0.0, 1.0, 0.0)
        if self.categories is not None:
            return Scale(self.name, 0.0, float(len(self.categories.labels) - 1), 0.0, self.categories)
        return scale_for(self.name, self.values(store).astype(np.float64), 0.0, True)


def layers_of(store: PredictionStore) -> list[Layer]:
    """The layers of an atlas that are not species."""
    return [_layer(store, name) for name in map_layer_names(store)]


def _layer(store: PredictionStore, name: str) -> Layer:
    text, categories = map_layer(name), map_categories(store, name)
    if categories is not None and name == PREDICTOR_LAYER:
        categories = categories.renamed(predictor_words)
    return Layer(name, text.title, text.legend, None, categories, text.meaning, text.group)


def layer_of(store: PredictionStore, name: str) -> Layer:
    """A layer by name, `species/<id>` included.

    Raises:
        UnknownSpeciesError: the atlas has no such species.
        RuleError: the atlas has no such layer.
    """
    match = _SPECIES_LAYER.fullmatch(name)
    if match:
        species_id = int(match[1])
        if species_id >= store.n_species:
            raise UnknownSpeciesError(
                f"The atlas {store.name} has no species {species_id}; its species run from 0 to "
                f"{store.n_species - 1}."
            )
        title = str(store.species["species"].iloc[species_id])
        return Layer(name, title, _SPECIES_UNIT, species_id)
    names = map_layer_names(store)
    if name in names:
        return _layer(store, name)
    known = ", ".join(names)
    raise RuleError(f"The atlas {store.name} has no layer {name[:40]!r}; there are species/<id>, {known}.")


@dataclass(frozen=True)
class Paint:
    """How values become colours: ramp, scale, the inks of the theme, whether doubtful cells are hatched."""

    ramp: str
    scale: Scale
    theme: Theme = "light"
    mask: bool = False

    def inks_of_values(self, values: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Palette place of each value, uint8, same shape; NaN is `UNDEFINED`."""
        scale = self.scale
        if scale.categories is not None:
            places = scale.categories.places_of(values)
            return np.where(places < 0, UNDEFINED, places + _FIRST_COLOUR).astype(np.uint8)
        position = (np.asarray(values, dtype=np.float64) - scale.low) * (
            _LAST_COLOUR / (scale.high - scale.low)
        )
        defined = np.isfinite(position)
        steps = np.rint(np.clip(np.where(defined, position, 0.0), 0.0, _LAST_COLOUR))
        inks = (steps + _FIRST_COLOUR).astype(np.uint8)
        if scale.cutoff > 0:
            inks[values < scale.cutoff] = BELOW
            inks[values == 0] = ZERO
        inks[~defined] = UNDEFINED
        return inks

    def inks_of_codes(self) -> NDArray[np.uint8]:
        """Palette place of each of the 256 codes of a probability, uint8 (256,)."""
        return self.inks_of_values(decode(np.arange(256, dtype=np.uint8)))

    def palette(self) -> NDArray[np.uint8]:
        """RGBA of every palette place, uint8 (256, 4)."""
        palette = palette_of(self.ramp, self.theme)
        if self.scale.categories is not None:
            colours = self.scale.categories.colours
            palette[_FIRST_COLOUR : _FIRST_COLOUR + len(colours), :3] = colours
        return palette


def palette_of(ramp: str, theme: Theme = "light") -> NDArray[np.uint8]:
    """RGBA of every palette place for a ramp in a theme, uint8 (256, 4)."""
    palette = np.full((256, 4), 255, dtype=np.uint8)
    palette[:_FIRST_COLOUR] = INKS[theme]
    if ramp != CATEGORY_RAMP:
        palette[_FIRST_COLOUR:, :3] = ramp_colours(ramp, _N_COLOURS)
    return palette


def paint_of(
    layer: Layer,
    default: Scale,
    ramp: str | None = None,
    low: float | None = None,
    high: float | None = None,
    cutoff: float | None = None,
    theme: Theme = "light",
    mask: bool = False,
) -> Paint:
    """The paint asked for, with the layer's own ramp and scale where nothing is.

    Categories have their own colours, whatever is asked for.

    Raises:
        RuleError: an unknown ramp, a number that is not finite, or ends in the wrong order.
    """
    if layer.categories is not None:
        return Paint(CATEGORY_RAMP, default, theme, mask)
    if ramp is not None and ramp not in RAMP_CHOICES:
        raise RuleError(f"The colour map is {ramp[:40]!r}, expected one of {', '.join(RAMP_CHOICES)}.")
    scale = replace(
        default,
        low=default.low if low is None else low,
        high=default.high if high is None else high,
        cutoff=default.cutoff if cutoff is None else cutoff,
    )
    if not all(math.isfinite(value) and abs(value) < 1e9 for value in (scale.low, scale.high, scale.cutoff)):
        raise RuleError("min, max and cutoff must be plain numbers, such as min=0&max=0.5.")
    if scale.high <= scale.low:
        raise RuleError(f"max is {scale.high:g} and min is {scale.low:g}; max must be the larger one.")
    return Paint(ramp or ramp_of(layer.quantity), scale, theme, mask)
