"""Whether a page shows what the atlas holds: its hexagons, the list of a hexagon, the cards of a region."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdm_core import config, indicators, prediction, regions
from sdm_core.benchmarks.timing import UnequalResultsError
from sdm_core.prediction import PredictionStore
from sdm_core.regions import Region
from sdm_core.registry import Atlas

#: Percentages below the first are printed with a decimal; below the second only as smaller than it.
_DECIMAL_BELOW, _SMALLEST = 9.95, 0.1


def map_cells(store: PredictionStore) -> tuple[int, NDArray[np.uint64]]:
    """Resolution and cells of the map of a whole atlas: as fine as `config.MAX_MAP_CELLS` allows."""
    resolution, cells = store.resolution, np.asarray(store.cells)
    while len(cells) > config.MAX_MAP_CELLS and resolution > 1:
        resolution -= 1
        cells = np.unique(regions.cells_to_parents(cells, resolution))
    return resolution, cells


def printed_percent(text: str) -> float:
    """Number of a percentage as pages print it: `42 %`, `3.1 %`, or `< 0.1 %`, of which it gives half."""
    number = text.rstrip("%").strip()
    return float(number.removeprefix("<")) / 2 if number.startswith("<") else float(number)


def check_hexagons(rows: Sequence[dict[str, Any]], atlas: Atlas, species: str) -> None:
    """Hold the hexagons a browser was sent (`h`: H3 cell, `v`: percentage) against the map of a species.

    Raises `UnequalResultsError` when a hexagon is missing, or differs by more than the digits printed.
    """
    store = atlas.store
    codes = np.asarray(store.species_map(store.species_id(species)))
    cells, probability = store.aggregate(prediction.decode(codes), map_cells(store)[0])
    sent = {row["h"]: printed_percent(row["v"]) for row in rows}
    names = regions.cells_to_strings(cells)
    if sent.keys() != set(names):
        raise UnequalResultsError(
            f"the map of {species} has {len(sent)} hexagons, the atlas {atlas.name} {len(names)} or others"
        )
    shown, held = np.array([sent[name] for name in names]), 100 * np.asarray(probability)
    allowed = np.where(held < _DECIMAL_BELOW, 0.051, 0.51)
    worst = int((np.abs(shown - held) - allowed).argmax())
    if abs(shown[worst] - held[worst]) > allowed[worst]:
        raise UnequalResultsError(
            f"the map of {species} says {shown[worst]:g} % at {names[worst]}, "
            f"the atlas {atlas.name} {held[worst]:.3g} %"
        )


def check_list(panel: str, listed: Sequence[str], atlas: Atlas) -> None:
    """Hold the species listed for a hexagon against the atlas; `panel` holds its position as text.

    Species as probable as each other may stand in any order. Raises `UnequalResultsError`.
    """
    store = atlas.store
    _, cells = map_cells(store)
    positions = regions.cells_to_lonlat(cells)
    here = [
        int(cell)
        for cell, (longitude, latitude) in zip(cells, positions, strict=True)
        if regions.format_lonlat(float(longitude), float(latitude)) in panel
    ]
    for cell in here:
        mean = store.region_sums(store.rows_under(cell)).mean_probability
        best = np.sort(mean)[::-1][: len(listed)]
        ids = [store.species_id(name) for name in listed]
        if np.array_equal(mean[ids], best):
            return
    names = ", ".join(listed)
    raise UnequalResultsError(
        f"the page lists {names}, which are not the best of the atlas {atlas.name} there"
    )


def check_cards(
    shown: Sequence[str],
    atlas: Atlas,
    place: Region,
    rule: str = config.DEFAULT_RULE,
    options: dict[str, Any] | None = None,
) -> None:
    """Hold the cards of a region against the engine: species in the list (second) and Shannon (third).

    Raises `UnequalResultsError`.
    """
    store = atlas.store
    chosen = regions.select_cells(place, store.lonlat, store.resolution, store.cells, store.area_ha)
    summary = indicators.summarise_region(store, chosen.rows, region=place, rule=rule, **(options or {}))
    for position, name in ((1, "gamma"), (2, "shannon")):
        expected = summary[name].shown
        if len(shown) <= position or shown[position].strip() != expected:
            found = shown[position].strip() if len(shown) > position else "nothing"
            raise UnequalResultsError(
                f"the page says {name} {found} for {place.name} under {rule}, the engine {expected}"
            )
