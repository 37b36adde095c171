"""EU-Forest: tree occurrences of Europe on 1-km cells (Mauri et al. 2017)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from pyproj import Transformer

from sdm_core.errors import OccurrenceError
from sdm_core.occurrences.names import parse_names
from sdm_core.occurrences.reading import read_table, require_column
from sdm_core.occurrences.table import Cleaner, Occurrences

SOURCE = (
    "EU-Forest (Mauri, Strona & San-Miguel-Ayanz 2017, Scientific Data 4:160123, "
    "doi:10.1038/sdata.2016.123), CC BY 4.0"
)
#: Europe as the atlases draw it: west, south, east, north in degrees. Leaves out the Canary Islands.
EUROPE_BOUNDS = (-25.0, 34.0, 45.0, 72.0)
#: Countries as the file spells them, and as they are spelt.
COUNTRY_NAMES = {"Polland": "Poland", "Czech Rep": "Czech Republic"}


def read_eu_forest(path: Path, *, keep_outside_extent: bool = True) -> Occurrences:
    """Species presences on 1-km cells, from the original zip or the CSV inside it.

    Coordinates are the cell centres, turned from EPSG:3035 into WGS84 degrees. Columns: species, longitude,
    latitude, site (the 1-km cell, named by its centre in metres, such as `E4305500N2674500`), country,
    inside_extent (whether the cell lies in the species' extent of occurrence; the file calls it EEO, the
    paper EOO).

    Args:
        path: `EUForestspecies.zip` or `EUForestspecies.csv`.
        keep_outside_extent: keep records outside the species' extent of occurrence (planted or escaped
        trees).

    Raises:
        OccurrenceError: when the file is not EU-Forest or nothing is left.
    """
    path = Path(path)
    raw = read_table(path)
    names = {
        "x": require_column(raw, ["X"], "the easting in EPSG:3035", path.name),
        "y": require_column(raw, ["Y"], "the northing in EPSG:3035", path.name),
        "country": require_column(raw, ["COUNTRY"], "the country", path.name),
        "name": require_column(raw, ["SPECIES NAME"], "the species name", path.name),
        "extent": require_column(raw, ["EEO", "EOO"], "the extent of occurrence (EEO or EOO)", path.name),
    }
    table = pd.DataFrame({name: raw[column] for name, column in names.items()})
    cleaner = Cleaner(table, SOURCE, path.name)
    _clean_coordinates(cleaner, path.name)
    _clean_names(cleaner)
    _clean_countries(cleaner)
    if not keep_outside_extent:
        cleaner.remove(
            cleaner.table["extent"].str.strip() == "0",
            "outside the extent of occurrence",
            "Cells outside the species' extent of occurrence (EEO = 0) were left out, as asked.",
        )
    cleaner.table = cleaner.table.assign(inside_extent=cleaner.table["extent"].str.strip() == "1")
    return cleaner.finish(["species", "longitude", "latitude", "site", "country", "inside_extent"])


def _clean_coordinates(cleaner: Cleaner, name: str) -> None:
    """Readable coordinates in Europe, as degrees and as a cell code."""
    x = pd.to_numeric(cleaner.table["x"], errors="coerce")
    y = pd.to_numeric(cleaner.table["y"], errors="coerce")
    cleaner.table = cleaner.table.assign(x=x, y=y)
    cleaner.remove(x.isna() | y.isna(), "unreadable coordinates", "X or Y is not a number.")
    x, y = cleaner.table["x"], cleaner.table["y"]
    if float(np.nanmax(np.abs(x))) <= 360:
        raise OccurrenceError(
            f"{name} has coordinates up to {float(np.nanmax(np.abs(x))):g}, which look like degrees; "
            "EU-Forest is in metres of EPSG:3035, so read a table in degrees with read_csv instead."
        )
    # One cell per pair of coordinates: some 4 % of the records sit on half kilometres, between INSPIRE cells.
    key = (x.round().astype(np.int64) * 10_000_000 + y.round().astype(np.int64)).to_numpy()
    codes, first = np.unique(key, return_index=True)
    transform = Transformer.from_crs(3035, 4326, always_xy=True)
    longitude, latitude = transform.transform(x.to_numpy()[first], y.to_numpy()[first])
    labels = np.array([f"E{code // 10_000_000}N{code % 10_000_000}" for code in codes])
    place = np.searchsorted(codes, key)
    cleaner.table = cleaner.table.assign(
        longitude=longitude[place],
        latitude=latitude[place],
        site=pd.Categorical.from_codes(place, categories=pd.Index(labels)),
        cell=place,
    )
    west, south, east, north = EUROPE_BOUNDS
    longitude, latitude = cleaner.table["longitude"], cleaner.table["latitude"]
    cleaner.remove(
        ~(longitude.between(west, east) & latitude.between(south, north)),
        "outside Europe",
        f"Only longitude {west:g} to {east:g} and latitude {south:g} to {north:g} is kept; what goes are "
        "the Canary Islands.",
    )


def _clean_names(cleaner: Cleaner) -> None:
    """Names at species level."""
    parsed = parse_names(cleaner.table["name"])
    cleaner.table = cleaner.table.assign(species=parsed["species"])
    n_merged = int((parsed["rank"] == "infraspecific").sum())
    cleaner.remove(
        parsed["species"].isna(),
        "not at species level",
        "Genera, aggregates, hybrid formulas and doubtful names are left out"
        + (f"; {n_merged} records of subspecies count for their species." if n_merged else "."),
    )


def _clean_countries(cleaner: Cleaner) -> None:
    """Countries spelt right, one per cell, and each species once per cell."""
    table = cleaner.table
    country = table["country"].str.strip()
    respelt = country.isin(list(COUNTRY_NAMES))
    spellings = ", ".join(f"{old} as {new}" for old, new in COUNTRY_NAMES.items() if (country == old).any())
    table = table.assign(country=country.replace(COUNTRY_NAMES))
    cleaner.note(
        "country spelling",
        f"{int(respelt.sum())} records respelt ({spellings})."
        if spellings
        else "No country had to be respelt.",
    )
    counts = table.groupby(["cell", "country"], observed=True).size().rename("n").reset_index()
    counts = counts.sort_values(["cell", "n", "country"], ascending=[True, False, True])
    n_shared = int(counts["cell"].duplicated().sum())
    owner = counts.drop_duplicates("cell").set_index("cell")["country"]
    owned = table["cell"].map(owner)
    n_moved = int((owned != table["country"]).sum())
    cleaner.table = table.assign(country=pd.Categorical(owned))
    cleaner.note(
        "cells under two countries",
        f"{n_shared} cells are listed under two countries; each goes to the one with more records there "
        f"(the first by alphabet on a tie), which moved {n_moved} records.",
    )
    cleaner.remove(
        cleaner.table.duplicated(["cell", "species"]),
        "duplicates",
        "A species counts once per 1-km cell; the first record is kept.",
    )
