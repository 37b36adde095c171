"""Occurrences as a table of sites by species: the labels models learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd

from sdm_core.covariates import CovariateStack
from sdm_core.errors import OccurrenceError
from sdm_core.occurrences import Occurrences


@dataclass(frozen=True)
class SiteTable:
    """Sites with at least one record, and the species recorded at each.

    A 0 means "not recorded", never "known to be absent".

    Attributes:
        longitude: degrees, (n_sites,): centre of the cell, or the place itself.
        latitude: degrees, (n_sites,).
        cell: int64 (n_sites,), flat number of the covariate cell.
        presence: uint8 (n_sites, n_species), 1 where recorded.
        counts: uint16 (n_sites, n_species), in how many of the source's places within the site the species
            was recorded (records where the source names no places).
        species: names, one per column, in alphabetical order.
        n_records: int64 (n_sites,), records of all species of the source at the site.
        n_places: int64 (n_sites,), distinct places of the source within the site: its survey effort.
    """

    longitude: np.ndarray
    latitude: np.ndarray
    cell: np.ndarray
    presence: np.ndarray = field(repr=False)
    counts: np.ndarray = field(repr=False)
    species: tuple[str, ...] = field(repr=False)
    n_records: np.ndarray
    n_places: np.ndarray

    def __post_init__(self) -> None:
        n_sites = len(self.longitude)
        assert self.presence.shape == self.counts.shape == (n_sites, len(self.species))
        assert all(len(part) == n_sites for part in (self.latitude, self.cell, self.n_records, self.n_places))

    @property
    def n_sites(self) -> int:
        """Number of sites."""
        return len(self.longitude)

    @property
    def n_species(self) -> int:
        """Number of species."""
        return len(self.species)

    @property
    def lonlat(self) -> np.ndarray:
        """Longitude and latitude, float64 (n_sites, 2)."""
        return np.column_stack([self.longitude, self.latitude])

    @property
    def prevalence(self) -> np.ndarray:
        """Share of the sites at which each species was recorded, float64 (n_species,)."""
        return self.presence.mean(axis=0, dtype=np.float64)

    @property
    def n_cells(self) -> np.ndarray:
        """Number of sites at which each species was recorded, int64 (n_species,)."""
        return self.presence.sum(axis=0, dtype=np.int64)

    def rows(self, rows: np.ndarray) -> SiteTable:
        """The given sites (boolean or row numbers), all species."""
        parts = ("longitude", "latitude", "cell", "presence", "counts", "n_records", "n_places")
        return replace(self, **{part: getattr(self, part)[rows] for part in parts})

    def with_species(self, species: Sequence[str]) -> SiteTable:
        """The same sites with these species, in this order.

        Raises:
            OccurrenceError: when one of them was not recorded.
        """
        column = {name: number for number, name in enumerate(self.species)}
        missing = [name for name in species if name not in column]
        if missing:
            raise OccurrenceError(
                f"'{missing[0]}' has no record at any site ({self.n_species} species have)."
            )
        columns = [column[name] for name in species]
        return replace(
            self, presence=self.presence[:, columns], counts=self.counts[:, columns], species=tuple(species)
        )

    def frequent(self, min_sites: int) -> SiteTable:
        """All sites with the species recorded at `min_sites` of them or more.

        Raises:
            OccurrenceError: when no species is that frequent.
        """
        n_cells = self.n_cells
        kept = [name for name, n in zip(self.species, n_cells, strict=True) if n >= min_sites]
        if not kept:
            raise OccurrenceError(
                f"No species was recorded at {min_sites} sites or more (the most frequent has "
                f"{int(n_cells.max(initial=0))}); lower the limit."
            )
        return self.with_species(kept)


def site_table(
    occurrences: Occurrences,
    stack: CovariateStack,
    *,
    by: Literal["cell", "place"] = "cell",
    min_sites: int = 1,
) -> SiteTable:
    """Sites by species from occurrences, on the cells of a covariate stack that have all covariates.

    Records outside the stack, or in cells without data, are left out (`Occurrences.n_records` minus the sum
    of `n_records` tells how many).

    Args:
        occurrences: cleaned records.
        stack: gives the cells, and which of them have data.
        by: "cell": one site per covariate cell, at its centre; "place": one site per place of the source
            (its `site` column, else its coordinates), where it is.
        min_sites: leave out species recorded at fewer sites; sites keep their rows even if no species is
        left.

    Returns:
        Sites in order of cell (then place).

    Raises:
        OccurrenceError: when no record lies on the stack, or no species has `min_sites` sites.
    """
    if by not in ("cell", "place"):
        raise OccurrenceError(f"Sites cannot be made by '{by}'; use 'cell' or 'place'.")
    table = occurrences.table
    longitude, latitude = table["longitude"].to_numpy(float), table["latitude"].to_numpy(float)
    cell = stack.cell_index(longitude, latitude)
    usable = cell >= 0
    usable[usable] = stack.valid.ravel()[cell[usable]]
    if not usable.any():
        west, south, east, north = stack.bounds
        raise OccurrenceError(
            f"None of the {len(table)} records lies on a covariate cell with data (the covariates span "
            f"{west:g} to {east:g}, {south:g} to {north:g} in their own coordinates); check that both "
            "cover the same area."
        )
    longitude, latitude, cell = longitude[usable], latitude[usable], cell[usable]
    names = table["species"][usable].astype("category").cat.remove_unused_categories()
    names = names.cat.reorder_categories(sorted(names.cat.categories))
    species = tuple(map(str, names.cat.categories))
    species_code = names.cat.codes.to_numpy(np.int64)
    # A place is a site of the source at its coordinates; those without a name differ by coordinates alone.
    keys = {"x": longitude, "y": latitude}
    if "site" in table.columns:
        keys["site"] = pd.factorize(table["site"][usable])[0]
    place = pd.DataFrame(keys).groupby(list(keys), sort=False).ngroup().to_numpy()

    cells: np.ndarray
    site: np.ndarray
    if by == "cell":
        cells, site = np.unique(cell, return_inverse=True)
        site_longitude, site_latitude = stack.cell_lonlat(cells)
    else:
        _, first_of, unsorted = np.unique(place, return_index=True, return_inverse=True)
        order = np.lexsort((latitude[first_of], longitude[first_of], cell[first_of]))
        position = np.empty_like(order)
        position[order] = np.arange(len(order))
        chosen, site = first_of[order], position[unsorted]
        cells, site_longitude, site_latitude = cell[chosen], longitude[chosen], latitude[chosen]

    n_sites, n_species = len(cells), len(species)
    # One entry per (site, species, place): a species seen twice at a place counts once.
    pairs = pd.DataFrame({"site": site, "species": species_code, "place": place}).drop_duplicates()
    counts = np.zeros((n_sites, n_species), dtype=np.uint16)
    flat, n_of = np.unique(
        pairs["site"].to_numpy() * n_species + pairs["species"].to_numpy(), return_counts=True
    )
    counts.ravel()[flat] = np.minimum(n_of, np.iinfo(np.uint16).max)
    n_places = np.bincount(pairs[["site", "place"]].drop_duplicates()["site"].to_numpy(), minlength=n_sites)
    sites = SiteTable(
        longitude=np.asarray(site_longitude, dtype=np.float64),
        latitude=np.asarray(site_latitude, dtype=np.float64),
        cell=cells.astype(np.int64),
        presence=(counts > 0).astype(np.uint8),
        counts=counts,
        species=species,
        n_records=np.bincount(site, minlength=n_sites).astype(np.int64),
        n_places=n_places.astype(np.int64),
    )
    return sites.frequent(min_sites) if min_sites > 1 else sites
