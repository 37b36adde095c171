"""Which records lie inside an outline, and what to know before reading the numbers made of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from sdm_core.indicators.summary import format_number
from sdm_core.observed.numbers import Basis
from sdm_core.observed.records import Records
from sdm_core.regions import Region
from sdm_core.regions.prepared import prepared_copy

#: Below this number of plots, means and shares say little.
FEW_PLOTS = 5


def inside_outline(
    region: Region, longitude: NDArray[np.float64], latitude: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether points lie within the outline or on it; each distinct place near it is tested once."""
    west, south, east, north = region.bounds
    near = (longitude >= west) & (longitude <= east) & (latitude >= south) & (latitude <= north)
    rows = np.flatnonzero(near)
    places, which = np.unique(np.column_stack([longitude[rows], latitude[rows]]), axis=0, return_inverse=True)
    hit = shapely.intersects_xy(prepared_copy(region.geometry), places[:, 0], places[:, 1])
    within = np.zeros(len(longitude), dtype=bool)
    within[rows] = hit[which.reshape(-1)]
    return within


def remarks(
    records: Records,
    region: Region,
    inside: pd.DataFrame,
    within: NDArray[np.bool_],
    basis: Basis,
    n_plots: int,
    n_covered: int,
    listed: pd.DataFrame,
) -> tuple[str, ...]:
    """What to know before reading the numbers, one sentence each."""
    if inside.empty:
        return (_nothing_inside(records.table, region),)
    said: list[str] = []
    n_outside = int((~within).sum())
    if n_outside:
        n_plots_outside = records.n_plots - n_plots
        plots = f", {_counted(n_plots_outside, 'plot')} among them," if n_plots_outside else ""
        said.append(
            f"{_shown(n_outside)} of {_counted(len(records.table), 'record')}{plots} lie outside the outline "
            "and are not counted."
        )
    n_undated = int(inside["year"].isna().sum())
    if n_undated:
        states = "states" if len(inside) == 1 else "state"
        said.append(f"{_shown(n_undated)} of {_counted(len(inside), 'record')} inside {states} no year.")
    if basis == "records":
        said.append(
            "The records are not plots with whole lists: their numbers follow where people went and what "
            "they wrote down, so the observed indices describe the records, and a species without a record "
            "may still grow here."
        )
    elif n_plots < FEW_PLOTS:
        said.append(
            f"There {'is' if n_plots == 1 else 'are'} only {_counted(n_plots, 'plot')} inside; with fewer "
            f"than {FEW_PLOTS}, means say little."
        )
    if basis == "cover" and n_covered < n_plots:
        said.append(
            f"{_shown(n_plots - n_covered)} of {_counted(n_plots, 'plot')} state no cover; Shannon and "
            f"Simpson are from the other {_shown(n_covered)}."
        )
    width_km = float(np.sqrt(region.area_km2))
    n_vague = int((inside["uncertainty_m"] > 1000 * width_km).sum())
    if n_vague:
        said.append(
            f"{_counted(n_vague, 'record')} inside state an uncertainty larger than the region is wide "
            f"({format_number(width_km, 1)} km); they may come from outside."
        )
    lost = listed[listed["species_id"] < 0]
    if len(lost):
        n_near = int((lost["suggestion"] != "").sum())
        hint = f"; for {_shown(n_near)} there is a suggestion" if n_near else ""
        said.append(
            f"{_shown(len(lost))} of {_shown(len(listed))} observed species are not in the atlas under the "
            f"names recorded{hint}."
        )
    return tuple(said)


def _nothing_inside(table: pd.DataFrame, region: Region) -> str:
    """Why no record lies inside: exchanged coordinates, or another place."""
    longitude, latitude = table["longitude"].to_numpy(), table["latitude"].to_numpy()
    swapped = int(inside_outline(region, latitude, longitude).sum())
    if len(table) == 1:
        way_out = (
            ", but would with longitude and latitude exchanged: exchange the two columns."
            if swapped
            else "; check the coordinate system, or choose an area around it."
        )
        return (
            f"The only record, at longitude {longitude[0]:.2f}, latitude {latitude[0]:.2f}, does not lie "
            f"inside the region{way_out}"
        )
    if 2 * swapped > len(table):
        return (
            f"None of the {_counted(len(table), 'record')} lies inside the region, but {_shown(swapped)} "
            "would with longitude and latitude exchanged: exchange the two columns."
        )
    return (
        f"None of the {_counted(len(table), 'record')} lies inside the region: they lie between longitude "
        f"{longitude.min():.2f} and {longitude.max():.2f}, latitude {latitude.min():.2f} and "
        f"{latitude.max():.2f}; check the coordinate system, or choose an area around them."
    )


def _shown(count: int) -> str:
    return format_number(count, 0)


def _counted(count: int, noun: str) -> str:
    return f"{_shown(count)} {noun}{'' if count == 1 else 's'}"
