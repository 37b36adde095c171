"""AFLIBER: the vascular flora of the Iberian Peninsula and the Balearics on 10-km cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from sdm_core.errors import OccurrenceError
from sdm_core.occurrences.names import parse_names
from sdm_core.occurrences.reading import read_table, require_column
from sdm_core.occurrences.table import Cleaner, Occurrences

SOURCE = (
    "AFLIBER v1 (Ramos-Gutiérrez et al. 2021, Global Ecology and Biogeography 30:1951-1957, "
    "doi:10.1111/geb.13363; data doi:10.5061/dryad.gmsbcc2kv)"
)
_FILES = {"cells": "DERIVED_cells.csv", "taxa": "DERIVED_taxa.csv", "pairs": "DERIVED_cell_taxon.csv.gz"}


def read_afliber(folder: Path) -> Occurrences:
    """Species presences on 10-km UTM cells (a cell without a species means: not recorded there).

    Subspecies count for their species. Columns: species, longitude, latitude (cell centre), site (UTM cell,
    such as `30TVK47`). `taxa` holds per species: family, endemic (true when every taxon of the species is
    endemic to Iberia and the Balearics), gbif_key (of the species itself; missing where the source only has
    keys of its subspecies), gbif_taxon_keys (all keys of its taxa, blank between), n_taxa, and synonyms
    (names in Plants of the World Online of what is a species in both, joined by "; ").

    Args:
        folder: holds DERIVED_cells.csv, DERIVED_taxa.csv and DERIVED_cell_taxon.csv.gz.

    Raises:
        OccurrenceError: when a table is missing or is not what it should be.
    """
    folder = Path(folder)
    tables = {}
    for name, filename in _FILES.items():
        candidates = [folder / filename, folder / filename.removesuffix(".gz")]
        path = next((candidate for candidate in candidates if candidate.is_file()), None)
        if path is None:
            raise OccurrenceError(
                f"{folder} has no {filename}; the AFLIBER folder needs {', '.join(_FILES.values())}."
            )
        tables[name] = read_table(path)
    cells, taxa, pairs = tables["cells"], tables["taxa"], tables["pairs"]
    for name, columns in {
        "cells": ("cell_id", "utm_cell", "lon", "lat"),
        "taxa": ("taxon_id", "Genus", "Species", "Subspecies", "Family", "Endemic", "GBIF_id"),
        "pairs": ("cell_id", "taxon_id"),
    }.items():
        for column in columns:
            require_column(tables[name], [column], column, _FILES[name])

    cells = _indexed(cells, "cell_id", _FILES["cells"])
    taxa = _indexed(taxa, "taxon_id", _FILES["taxa"])
    epithet = taxa["Species"].str.strip()
    if cells["utm_cell"].duplicated().any():
        raise OccurrenceError(f"{_FILES['cells']}: the column utm_cell must name every cell once.")
    species = (taxa["Genus"].str.strip() + " " + epithet).where(epithet != "")
    cell_rows = cells.index.get_indexer(_whole_numbers(pairs["cell_id"]))
    taxon_rows = taxa.index.get_indexer(_whole_numbers(pairs["taxon_id"]))

    cleaner = Cleaner(pd.DataFrame({"cell": cell_rows, "taxon": taxon_rows}), SOURCE, folder.name)
    cleaner.remove(
        (cell_rows < 0) | (taxon_rows < 0),
        "unknown cell or taxon",
        "The record points to a cell or a taxon that its table does not list.",
    )
    codes, labels = pd.factorize(species.to_numpy(), sort=True)
    cleaner.table = cleaner.table.assign(code=codes[cleaner.table["taxon"]])
    cleaner.remove(cleaner.table["code"] < 0, "not at species level", "The taxon has no species epithet.")
    n_subspecies = int((taxa["Subspecies"].str.strip() != "").sum())
    cleaner.remove(
        cleaner.table.duplicated(["cell", "code"]),
        "subspecies merged",
        f"{n_subspecies} of {len(taxa)} taxa are subspecies and count for their species, once per cell.",
    )
    longitude = pd.to_numeric(cells["lon"], errors="coerce").to_numpy(float)
    latitude = pd.to_numeric(cells["lat"], errors="coerce").to_numpy(float)
    placed = cleaner.table["cell"].to_numpy()
    cleaner.table = cleaner.table.assign(
        species=pd.Categorical.from_codes(cleaner.table["code"].to_numpy(), categories=pd.Index(labels)),
        longitude=longitude[placed],
        latitude=latitude[placed],
        site=pd.Categorical.from_codes(placed, categories=pd.Index(cells["utm_cell"])),
    )
    cleaner.remove(
        ~(cleaner.table["longitude"].between(-180, 180) & cleaner.table["latitude"].between(-90, 90)),
        "unreadable coordinates",
        "The cell has no longitude and latitude in degrees.",
    )
    return cleaner.finish(["species", "longitude", "latitude", "site"], taxa=_species_of_taxa(taxa, species))


def _whole_numbers(column: pd.Series) -> pd.Index:
    """Ids as integers, -1 where there is none."""
    return pd.Index(pd.to_numeric(column, errors="coerce").fillna(-1).astype(np.int64))


def _indexed(table: pd.DataFrame, column: str, name: str) -> pd.DataFrame:
    """The table indexed by an integer id that is unique."""
    index = pd.to_numeric(table[column], errors="coerce")
    if index.isna().any() or index.duplicated().any():
        raise OccurrenceError(f"{name}: the column {column} must hold one whole number per row, each once.")
    return table.set_index(index.astype(np.int64))


def _species_of_taxa(taxa: pd.DataFrame, species: pd.Series) -> pd.DataFrame:
    """One row per species: family, endemic, GBIF keys."""
    keys = pd.to_numeric(taxa["GBIF_id"], errors="coerce").astype("Int64")
    is_species = taxa["Subspecies"].str.strip() == ""
    rows = pd.DataFrame(
        {
            "species": species,
            "family": taxa["Family"].str.strip(),
            "endemic": taxa["Endemic"].str.strip().str.lower() == "true",
            "gbif_key": keys.where(is_species),
            "any_key": keys.astype("string").fillna("").astype(object),
            "synonym": _other_names(taxa, species).where(is_species, ""),
        }
    ).dropna(subset=["species"])
    groups = rows.groupby("species", sort=True)
    return pd.DataFrame(
        {
            "family": groups["family"].first(),
            "endemic": groups["endemic"].all().astype("boolean"),
            "gbif_key": groups["gbif_key"].first().astype("Int64"),
            "gbif_taxon_keys": groups["any_key"].agg(" ".join).str.strip(),
            "n_taxa": groups.size(),
            "synonyms": groups["synonym"].agg(lambda names: "; ".join(sorted(set(names) - {""}))),
        }
    ).reset_index()


def _other_names(taxa: pd.DataFrame, species: pd.Series) -> pd.Series:
    """The name of a taxon in Plants of the World Online, where it is a species there under another name."""
    if "POW_Name" not in taxa:
        return pd.Series("", index=taxa.index)
    names = parse_names(taxa["POW_Name"])
    return names["species"].where((names["rank"] == "species") & (names["species"] != species), "").fillna("")
