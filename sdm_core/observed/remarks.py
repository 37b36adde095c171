"""Which records lie inside an outline, and what to know before reading the numbers made of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

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
    """What to know before reading the numbers."""
    said: list[str] = []
    n_outside = int((~within).sum())
    if not len(inside):
        table = records.table
        swapped = int(
            inside_outline(region, table["latitude"].to_numpy(), table["longitude"].to_numpy()).sum()
        )
        if 2 * swapped > len(table):
            said.append(
                f"None of the {len(table):,} records lies inside the region, but {swapped:,} would with "
                "longitude and latitude exchanged: exchange the two columns."
            )
        else:
            west, east = table["longitude"].min(), table["longitude"].max()
            south, north = table["latitude"].min(), table["latitude"].max()
            said.append(
                f"None of the {len(table):,} records lies inside the region: they lie between longitude "
                f"{west:.2f} and {east:.2f}, latitude {south:.2f} and {north:.2f}; check the coordinate "
                "system, or choose an area around them."
            )
        return tuple(said)
    if n_outside:
        n_plots_outside = records.n_plots - n_plots
        plots = f", {n_plots_outside:,} plots among them," if n_plots_outside else ""
        said.append(
            f"{n_outside:,} of {len(records.table):,} records{plots} lie outside the outline and are not "
            "counted."
        )
    n_undated = int(inside["year"].isna().sum())
    if n_undated:
        said.append(f"{n_undated:,} of {len(inside):,} records inside state no year.")
    if basis == "records":
        said.append(
            "The records are not plots with whole lists: their numbers follow where people went and what "
            "they wrote down, so the observed indices describe the records, and a species without a record "
            "may still grow here."
        )
    elif n_plots < FEW_PLOTS:
        said.append(f"There are only {n_plots} plots inside; with fewer than {FEW_PLOTS}, means say little.")
    if basis == "cover" and n_covered < n_plots:
        said.append(
            f"{n_plots - n_covered} of {n_plots} plots state no cover; Shannon and Simpson are from the "
            f"other {n_covered}."
        )
    width_m = 1000 * float(np.sqrt(region.area_km2))
    n_vague = int((inside["uncertainty_m"] > width_m).sum())
    if n_vague:
        said.append(
            f"{n_vague:,} records inside state an uncertainty larger than the region is wide "
            f"({width_m / 1000:,.1f} km); they may come from outside."
        )
    lost = listed[listed["species_id"] < 0]
    if len(lost):
        n_near = int((lost["suggestion"] != "").sum())
        hint = f"; for {n_near} there is a suggestion" if n_near else ""
        said.append(
            f"{len(lost)} of {len(listed)} observed species are not in the atlas under the names "
            f"recorded{hint}."
        )
    return tuple(said)
