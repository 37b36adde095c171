"""What can be exported: the probability of a species, or a value per cell of the atlas."""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdm_core.colours import WIDTH_SUFFIX, Categories, ramp_of
from sdm_core.errors import ExportError, UnknownSpeciesError
from sdm_core.indicators.concern_layers import LAYERS_OF_LISTS, red_list_title
from sdm_core.indicators.map_layers import map_categories, map_layer_names, map_values, missing_reason
from sdm_core.indicators.map_texts import MAP_LAYERS, WIDTH_LAYERS, map_layer
from sdm_core.prediction import PredictionStore, decode
from sdm_core.statuses import MatchedStatuses

#: Types a value can be written as.
DTYPES = ("uint8", "float32")
#: One step of a probability in a byte: 0 to 200 stand for 0 to 1.
PROBABILITY_STEP = 0.005
#: Byte of a pixel without a value, and the largest byte that stands for one.
NODATA_BYTE = 255
LARGEST_BYTE = 250
PROBABILITY_UNIT = "probability"
#: Unit of a layer whose numbers stand for something.
CATEGORY_UNIT = "category"


@dataclass(frozen=True)
class Layer:
    """One thing to export: `species_id` is its column in the store, None for a value per cell.

    `name` is made of letters a file and a web address may hold: a layer's name, or fagus-sylvatica.
    categories: what whole numbers stand for, where they are no amounts. lists: status lists it is made from.
    """

    name: str
    title: str
    unit: str
    meaning: str
    ramp: str
    species: str = ""
    species_id: int | None = None
    categories: Categories | None = None
    lists: tuple[MatchedStatuses, ...] = ()

    def values(self, store: PredictionStore, rows: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Value of each cell of `rows` (all without), float32: (code / 255)² of a species; NaN undefined."""
        if self.species_id is not None:
            codes = store.species_map(self.species_id)
            return decode(codes if rows is None else codes[rows], np.float32).astype(np.float32, copy=False)
        return map_values(store, self.name, rows, self.lists)


@dataclass(frozen=True)
class Packed:
    """Values as a file holds them: value = data · scale + offset; `nodata` where there is none."""

    data: NDArray[Any]
    scale: float
    offset: float
    nodata: float

    @property
    def dtype(self) -> str:
        """Type of a stored number."""
        return str(self.data.dtype)

    @property
    def largest_error(self) -> float:
        """Largest distance of a stored value from the one it stands for: half a step, 0 for float32."""
        return 0.0 if self.data.dtype == np.float32 else self.scale / 2


def pack(values: NDArray[np.floating], dtype: str, probability: bool) -> Packed:
    """Values (n,) as bytes or as float32.

    Bytes of a probability are round(200 · p). Any other layer takes the smallest step of 1, 2 or 5 · 10ⁿ
    with which its range fits 0 to 250, whole numbers one of 1 or more, so that counts up to 249 stay exact.
    NaN is 255, or NaN as float32.
    """
    if dtype == "float32":
        return Packed(np.asarray(values, dtype=np.float32), 1.0, 0.0, math.nan)
    finite = np.isfinite(values)
    low = float(values[finite].min()) if finite.any() else 0.0
    high = float(values[finite].max()) if finite.any() else 1.0
    whole = bool(np.all(values[finite] == np.round(values[finite])))
    scale = PROBABILITY_STEP if probability else _step(high - min(low, 0.0), whole)
    offset = math.floor(low / scale) * scale if low < 0 else 0.0
    data = np.full(len(values), NODATA_BYTE, dtype=np.uint8)
    data[finite] = np.floor((values[finite].astype(np.float64) - offset) / scale + 0.5)
    return Packed(data, scale, offset, float(NODATA_BYTE))


def _step(span: float, whole: bool) -> float:
    """Smallest of 1, 2, 5 · 10ⁿ with which `span` is at most 249 steps; whole numbers start at 1."""
    wanted = max(span / (LARGEST_BYTE - 1), 1e-12)
    if whole and wanted <= 1:
        return 1.0
    power = math.floor(math.log10(wanted))
    steps = (float(f"{digit}e{exponent}") for exponent in (power, power + 1) for digit in (1, 2, 5))
    return next(step for step in steps if step >= wanted * (1 - 1e-12))


def layer_of(store: PredictionStore, name: str, statuses: Sequence[MatchedStatuses] = ()) -> Layer:
    """Layer of an atlas by name, with `statuses` one of their Red List too.

    Raises `ExportError` naming the nearest, or saying why the atlas does not have it.
    """
    wanted = name.strip()
    names = map_layer_names(store, statuses)
    if wanted not in names:
        if wanted in MAP_LAYERS or wanted in WIDTH_LAYERS:
            reason = missing_reason(store, wanted, statuses)
            raise ExportError(f"The atlas {store.name} has no layer {wanted!r}: {reason}")
        near = difflib.get_close_matches(wanted.lower(), names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(names)}."
        raise ExportError(f"The atlas {store.name} has no layer {wanted!r}; {hint}")
    text, categories = map_layer(wanted), map_categories(store, wanted)
    meaning = text.meaning
    lists: tuple[MatchedStatuses, ...] = ()
    if wanted.removesuffix(WIDTH_SUFFIX) in LAYERS_OF_LISTS:
        lists = tuple(statuses)
        meaning += f" List: {red_list_title(statuses)}."
    if categories is not None and text.unit == CATEGORY_UNIT:
        meaning += " " + ", ".join(f"{number} {name}" for number, name in enumerate(categories.names)) + "."
    return Layer(wanted, text.title, text.unit, meaning, ramp_of(wanted), categories=categories, lists=lists)


def species_layer(store: PredictionStore, species_id: int) -> Layer:
    """Probability of the species in a column of the store; raises `UnknownSpeciesError`."""
    if not 0 <= species_id < store.n_species:
        raise UnknownSpeciesError(f"The atlas {store.name} has species 0 to {store.n_species - 1}.")
    species = str(store.species["species"].iloc[species_id])
    return Layer(
        slug(species),
        f"Probability of {species}",
        PROBABILITY_UNIT,
        f"Calibrated probability that {species} is recorded.",
        ramp_of("probability"),
        species,
        species_id,
    )


def choose_layers(
    store: PredictionStore,
    layers: Iterable[str] = (),
    species: str | Sequence[str] = (),
    statuses: Sequence[MatchedStatuses] = (),
) -> list[Layer]:
    """Layers by name or "all" of them, then species by name or "all" of them; each once.

    statuses: status lists, of which the first Red List gives layers too.

    Raises `ExportError` for an unknown layer or when nothing is asked for, `UnknownSpeciesError`.
    """
    names = [species] if isinstance(species, str) else list(species)
    wanted = list(dict.fromkeys(layers))
    if any(name.strip().lower() == "all" for name in wanted):
        wanted = list(map_layer_names(store, statuses))
    chosen = [layer_of(store, name, statuses) for name in wanted]
    if any(name.strip().lower() == "all" for name in names):
        chosen += [species_layer(store, column) for column in range(store.n_species)]
    else:
        columns = dict.fromkeys(store.species_id(name) for name in names)
        chosen += [species_layer(store, column) for column in columns]
    if not chosen:
        raise ExportError(
            f"Nothing to export was named; name layers ({', '.join(map_layer_names(store))}) or species of "
            f"the atlas {store.name}."
        )
    return _with_own_names(chosen)


def _with_own_names(layers: list[Layer]) -> list[Layer]:
    """The layers, where two names look alike without accents the later ones with their column behind."""
    import dataclasses

    seen: set[str] = set()
    renamed = []
    for layer in layers:
        if layer.name in seen:
            layer = dataclasses.replace(layer, name=f"{layer.name}-{layer.species_id}")
        seen.add(layer.name)
        renamed.append(layer)
    return renamed


def slug(name: str) -> str:
    """A name in plain small letters, digits and hyphens: quercus-ilex."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:100] or "unnamed"
