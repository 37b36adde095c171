"""Record densities shown beside predictions: counts per coarse cell, never a record."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sdm_core import regions

#: H3 resolution of the density of all records (about 250 km² a cell) and of single species (about 1,770).
OBSERVED_RESOLUTION = 5
OBSERVED_SPECIES_RESOLUTION = 4


def observation_densities(table: pd.DataFrame, species: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Density of the records of an occurrence table, for `write_atlas`.

    table: species, longitude, latitude and, where known, site. species: names in the order of species_id;
    records of other species are left out. Returns (cell at resolution 5, n_records, n_species, n_sites) and
    (species_id, cell at resolution 4, n_records). Without a site column a site is a distinct coordinate.
    """
    species_id = pd.Index(species).get_indexer(pd.Index(table["species"].astype(object)))
    known = species_id >= 0
    longitude = table["longitude"].to_numpy()[known]
    latitude = table["latitude"].to_numpy()[known]
    if "site" in table.columns:
        site = pd.factorize(table["site"][known])[0]
    else:
        site = pd.MultiIndex.from_arrays([longitude, latitude]).factorize()[0]
    records = pd.DataFrame(
        {
            "species_id": species_id[known].astype(np.int32),
            "cell": regions.lonlat_to_cells(longitude, latitude, OBSERVED_RESOLUTION),
            "site": site,
        }
    )
    observed = (
        records.groupby("cell", sort=True)
        .agg(
            n_records=("species_id", "size"), n_species=("species_id", "nunique"), n_sites=("site", "nunique")
        )
        .reset_index()
    )
    records["cell"] = regions.lonlat_to_cells(longitude, latitude, OBSERVED_SPECIES_RESOLUTION)
    by_species = records.groupby(["species_id", "cell"], sort=True).size().rename("n_records").reset_index()
    return observed, by_species
