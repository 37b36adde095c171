"""The hexagons of a map: which cells, how coarse, their values, and the species their tooltips name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pages.ui.numbers import percent
from sdm_core import config

if TYPE_CHECKING:
    from sdm_core.colours import Categories
    from sdm_core.prediction import PredictionStore

Bounds = tuple[float, float, float, float]

#: Species named in the tooltip of a hexagon.
N_TOOLTIP_SPECIES = 5
_CHUNK_ELEMENTS = 4_000_000
_MARGIN = 0.03
_MAX_COVERAGE_CELLS = 8_000


@dataclass(frozen=True)
class MapCells:
    """The hexagons of one map: H3 names, resolution, mean area, extent, and the five best species of each."""

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    cells: NDArray[np.uint64]
    names: list[str]
    lonlat: NDArray[np.float64]
    labels: list[str]
    resolution: int
    mean_area_km2: float
    bounds: Bounds


def cells_of_rows(store: PredictionStore, rows: NDArray[np.int64], bounds: Bounds | None) -> MapCells:
    """The hexagons of some rows of an atlas, as fine as `config.MAX_MAP_CELLS` allows."""
    from sdm_core import regions

    cells = np.asarray(store.cells)[rows]
    resolution, parents, starts = store.resolution, cells, np.arange(len(rows))
    while len(parents) > config.MAX_MAP_CELLS and resolution > 1:
        resolution -= 1
        of_row = regions.cells_to_parents(cells, resolution)
        starts = np.flatnonzero(np.r_[True, of_row[1:] != of_row[:-1]])
        parents = of_row[starts]
    lonlat = regions.cells_to_lonlat(parents) if len(parents) else np.zeros((0, 2))
    hectares = np.asarray(store.area_ha, dtype=np.float64)[rows]
    if bounds is None:
        margin = _MARGIN * np.ptp(lonlat, axis=0)
        (west, south), (east, north) = lonlat.min(axis=0) - margin, lonlat.max(axis=0) + margin
        bounds = (float(west), float(south), float(east), float(north))
    return MapCells(
        rows=rows,
        starts=starts,
        cells=parents,
        names=regions.cells_to_strings(parents),
        lonlat=lonlat,
        labels=_top_labels(store, rows, starts, hectares),
        resolution=resolution,
        mean_area_km2=float(regions.cell_area_km2(parents).mean()) if len(parents) else float("nan"),
        bounds=bounds,
    )


def _top_labels(
    store: PredictionStore, rows: NDArray[np.int64], starts: NDArray[np.int64], hectares: NDArray[np.float64]
) -> list[str]:
    """Tooltip fields of each hexagon as JSON without braces: percent and name of its most probable species.

    Coarser hexagons name the species with the highest area-weighted mean.
    """
    names = [json.dumps(str(species), ensure_ascii=False) for species in store.species["species"]]
    of_code = [percent(p) for p in probability_of_code().tolist()]
    ends = np.r_[starts[1:], len(rows)]
    per_parent = max(1, int(np.ceil(len(rows) / max(1, len(starts)))))
    step = max(1, _CHUNK_ELEMENTS // (store.n_species * per_parent))
    is_fine = len(starts) == len(rows)
    labels: list[str] = []
    for first in range(0, len(starts), step):
        last = min(first + step, len(starts))
        codes = store.codes[rows[starts[first] : ends[last - 1]]]
        if is_fine:
            species, values = _best(codes, N_TOOLTIP_SPECIES)
            texts = [[of_code[code] for code in line] for line in values.tolist()]
        else:
            weight = hectares[starts[first] : ends[last - 1], None].astype(np.float32)
            offsets = starts[first:last] - starts[first]
            squares = np.add.reduceat(codes.astype(np.float32) ** 2 * weight, offsets)
            species, values = _best(squares / np.add.reduceat(weight, offsets) / 65025, N_TOOLTIP_SPECIES)
            texts = [[percent(p) for p in line] for line in values.tolist()]
        labels += [
            ",".join(
                f'"p{rank}":"{text}","s{rank}":{names[species_id]}'
                for rank, (species_id, text) in enumerate(zip(ids, line, strict=True))
            )
            for ids, line in zip(species.tolist(), texts, strict=True)
        ]
    return labels


def _best(strength: NDArray[np.number], n_best: int) -> tuple[NDArray[np.int64], NDArray[np.number]]:
    """Columns and values of the largest entries of each row, largest first; `strength` is used up.

    A few passes of argmax are many times quicker than a partial sort of thousands of one-byte columns.
    """
    lines = np.arange(len(strength))
    columns, values = [], []
    for _ in range(min(n_best, strength.shape[1])):
        column = strength.argmax(axis=1)
        columns.append(column)
        values.append(strength[lines, column])
        strength[lines, column] = 0
    return np.column_stack(columns), np.column_stack(values)


def probability_of_code() -> NDArray[np.float64]:
    """Probability of each of the 256 codes of a store."""
    from sdm_core import prediction

    return np.asarray(prediction.decode(np.arange(256, dtype=np.uint8)), dtype=np.float64)


def coverage(store: PredictionStore) -> bytes:
    """What an atlas covers, as coarse GeoJSON."""
    import shapely

    from sdm_core import regions

    resolution = store.resolution
    parents = np.asarray(store.cells)
    while len(parents) > _MAX_COVERAGE_CELLS and resolution > 1:
        resolution -= 1
        parents = np.unique(regions.cells_to_parents(parents, resolution))
    outlines = shapely.transform(regions.cell_polygons(parents), lambda lonlat: np.round(lonlat, 4))
    whole = shapely.union_all(outlines, grid_size=1e-4)
    return json.dumps(
        {"type": "Feature", "properties": {}, "geometry": json.loads(shapely.to_geojson(whole))}
    ).encode()


def means(values: NDArray[np.floating], area_ha: NDArray[np.float64], cells: MapCells) -> NDArray[np.float64]:
    """One value per hexagon from values of its cells: area-weighted means where hexagons are coarser."""
    values = np.asarray(values, dtype=np.float64)
    if len(cells.starts) == len(cells.rows):
        return values
    known = np.isfinite(values)
    weights = np.where(known, area_ha, 0.0)
    total = np.add.reduceat(np.where(known, values, 0.0) * weights, cells.starts)
    with np.errstate(invalid="ignore"):
        return total / np.add.reduceat(weights, cells.starts)


def on_hexagons(
    values: NDArray[np.floating],
    area_ha: NDArray[np.float64],
    cells: MapCells,
    categories: Categories | None = None,
) -> NDArray[np.float64]:
    """One value per hexagon from values of its cells: their mean, or the category of most of its area."""
    if categories is None or len(cells.starts) == len(cells.rows):
        return means(values, area_ha, cells)
    from sdm_core.indicators.map_categories import most_common

    return most_common(np.asarray(values, dtype=np.float64), area_ha, cells.starts, categories)
