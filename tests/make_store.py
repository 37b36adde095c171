"""A small simulated atlas for tests: a known formula in place of a model, nothing from any data source.

The probability of species s in a cell at (longitude, latitude) is a Gaussian niche around its own centre,
`prevalence · exp(−(distance / width)²)`, with distances in degrees; see `simulated_probability`.
"""

from __future__ import annotations

from pathlib import Path

import h3
import numpy as np
import pandas as pd
import pyproj

NAME = "simulated-pyrenees"
TITLE = "Simulated Pyrenees"
RESOLUTION = 6
WEST, SOUTH, EAST, NORTH = 0.0, 42.3, 2.2, 42.9

#: Name, family, English genus name, endemic, Habitats Directive annexes, invasive of Union concern.
SPECIES: tuple[tuple[str, str, str, bool, str, bool], ...] = (
    ("Abies alba", "Pinaceae", "Fir", False, "", False),
    ("Acer campestre", "Sapindaceae", "Maple", False, "", False),
    ("Acer opalus", "Sapindaceae", "Maple", False, "", False),
    ("Ailanthus altissima", "Simaroubaceae", "Tree of heaven", False, "", True),
    ("Alnus glutinosa", "Betulaceae", "Alder", False, "", False),
    ("Androsace pyrenaica", "Primulaceae", "Rock-jasmine", True, "II, IV", False),
    ("Arnica montana", "Asteraceae", "Arnica", False, "V", False),
    ("Asclepias syriaca", "Apocynaceae", "Milkweed", False, "", True),
    ("Aster pyrenaeus", "Asteraceae", "Aster", True, "II, IV", False),
    ("Betula pendula", "Betulaceae", "Birch", False, "", False),
    ("Borderea chouardii", "Dioscoreaceae", "Borderea", True, "II, IV", False),
    ("Buxus sempervirens", "Buxaceae", "Box", False, "", False),
    ("Castanea sativa", "Fagaceae", "Chestnut", False, "", False),
    ("Corylus avellana", "Betulaceae", "Hazel", False, "", False),
    ("Crataegus monogyna", "Rosaceae", "Hawthorn", False, "", False),
    ("Cypripedium calceolus", "Orchidaceae", "Lady's-slipper", False, "II, IV", False),
    ("Fagus sylvatica", "Fagaceae", "Beech", False, "", False),
    ("Fraxinus excelsior", "Oleaceae", "Ash", False, "", False),
    ("Galanthus nivalis", "Amaryllidaceae", "Snowdrop", False, "V", False),
    ("Gentiana lutea", "Gentianaceae", "Gentian", False, "V", False),
    ("Heracleum mantegazzianum", "Apiaceae", "Hogweed", False, "", True),
    ("Ilex aquifolium", "Aquifoliaceae", "Holly", False, "", False),
    ("Impatiens glandulifera", "Balsaminaceae", "Balsam", False, "", True),
    ("Juniperus communis", "Cupressaceae", "Juniper", False, "", False),
    ("Petrocoptis pyrenaica", "Caryophyllaceae", "Petrocoptis", True, "", False),
    ("Pinus nigra", "Pinaceae", "Pine", False, "", False),
    ("Pinus sylvestris", "Pinaceae", "Pine", False, "", False),
    ("Pinus uncinata", "Pinaceae", "Pine", False, "", False),
    ("Populus tremula", "Salicaceae", "Poplar", False, "", False),
    ("Prunus avium", "Rosaceae", "Cherry", False, "", False),
    ("Quercus ilex", "Fagaceae", "Oak", False, "", False),
    ("Quercus petraea", "Fagaceae", "Oak", False, "", False),
    ("Quercus pubescens", "Fagaceae", "Oak", False, "", False),
    ("Ramonda myconi", "Gesneriaceae", "Ramonda", True, "", False),
    ("Robinia pseudoacacia", "Fabaceae", "Locust", False, "", False),
    ("Salix caprea", "Salicaceae", "Willow", False, "", False),
    ("Saxifraga longifolia", "Saxifragaceae", "Saxifrage", True, "", False),
    ("Sorbus aucuparia", "Rosaceae", "Rowan", False, "", False),
    ("Taxus baccata", "Taxaceae", "Yew", False, "", False),
    ("Tilia platyphyllos", "Malvaceae", "Lime", False, "", False),
)


def simulated_cells() -> np.ndarray:
    """H3 cells (uint64, ascending) of the simulated study area, a few hundred."""
    outline = h3.LatLngPoly([(SOUTH, WEST), (SOUTH, EAST), (NORTH, EAST), (NORTH, WEST)])
    return np.array(
        sorted(h3.str_to_int(cell) for cell in h3.polygon_to_cells(outline, RESOLUTION)), dtype=np.uint64
    )


def lonlat_of(cells: np.ndarray) -> np.ndarray:
    """Longitude and latitude of cell centres (n, 2)."""
    return np.array([h3.cell_to_latlng(h3.int_to_str(int(cell)))[::-1] for cell in cells])


def area_km2_of(cells: np.ndarray) -> np.ndarray:
    """Areas (n,) of the cells' outlines on the WGS84 ellipsoid, km², by GeographicLib."""
    geod = pyproj.Geod(ellps="WGS84")
    outlines = [np.array(h3.cell_to_boundary(h3.int_to_str(int(cell)))) for cell in cells]
    areas_m2 = [geod.polygon_area_perimeter(outline[:, 1], outline[:, 0])[0] for outline in outlines]
    return np.abs(areas_m2) / 1e6


def simulated_probability(longitude: np.ndarray, latitude: np.ndarray) -> np.ndarray:
    """Probability of every species at some points (n, n_species), from the formula."""
    numbers = np.arange(len(SPECIES))
    centre_longitude = WEST + (EAST - WEST) * (numbers * 0.618 % 1)
    centre_latitude = SOUTH + (NORTH - SOUTH) * (numbers * 0.382 % 1)
    width = 0.15 + 0.35 * (numbers * 0.271 % 1)
    prevalence = 0.05 + 0.93 * (numbers * 0.733 % 1)
    square = (longitude[:, None] - centre_longitude) ** 2 + (latitude[:, None] - centre_latitude) ** 2
    return prevalence * np.exp(-square / width**2)


def simulated_species() -> pd.DataFrame:
    """Species table of the simulated atlas, in the columns of `taxa.species_table`."""
    table = pd.DataFrame(
        SPECIES,
        columns=[
            "species",
            "family",
            "common_genus",
            "endemic",
            "habitats_directive",
            "invasive_union_concern",
        ],
    )
    table.insert(0, "species_id", np.arange(len(table)))
    table["genus"] = table["species"].str.split().str[0]
    table["gbif_key"] = pd.array(9_000_000 + np.arange(len(table)), dtype="Int64")
    table["n_records"] = 50 + 7 * np.arange(len(table))
    table["n_cells"] = 50 + 3 * np.arange(len(table))
    table["endemic"] = table["endemic"].astype("boolean")
    table.loc[table["species"] == "Robinia pseudoacacia", "endemic"] = pd.NA
    table["flag_source"] = "simulated"
    table["flag_date"] = "2026-01-01"
    return table


def simulated_observations(cells: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Record densities: per resolution-5 cell, and per species and resolution-4 cell."""
    fine = np.unique([h3.str_to_int(h3.cell_to_parent(h3.int_to_str(int(cell)), 5)) for cell in cells])
    coarse = np.unique([h3.str_to_int(h3.cell_to_parent(h3.int_to_str(int(cell)), 4)) for cell in cells])
    numbers = np.arange(len(fine))
    observed = pd.DataFrame(
        {
            "cell": fine.astype(np.uint64),
            "n_records": 5 + 3 * numbers,
            "n_species": 1 + numbers % len(SPECIES),
            "n_sites": 1 + numbers % 7,
        }
    )
    by_species = pd.DataFrame(
        [
            (species_id, cell, 1 + (species_id + place) % 9)
            for species_id in range(len(SPECIES))
            for place, cell in enumerate(coarse)
            if (species_id + place) % 3
        ],
        columns=["species_id", "cell", "n_records"],
    ).astype({"cell": np.uint64})
    return observed, by_species


def simulated_card() -> dict:
    """Model card of the simulated atlas."""
    return {
        "name": NAME,
        "title": TITLE,
        "simulated": True,
        "summary": "Simulated from a formula for tests; not a model of any real species.",
        "region": "Pyrenees (simulated)",
        "license": "CC0-1.0",
        "date": "2026-01-01",
        "data": [{"name": "Simulated occurrences", "license": "CC0-1.0", "citation": "none", "records": 0}],
        "covariates": [],
        "evaluation": [],
        "limits": ["Simulated: no number in it says anything about a real place."],
    }


def write_simulated_atlas(folder: Path, name: str = NAME) -> Path:
    """Write the simulated atlas as a shipped atlas folder; returns the folder."""
    from sdm_core.prediction import write_atlas

    cells = simulated_cells()
    lonlat = lonlat_of(cells)
    observed, observed_species = simulated_observations(cells)
    write_atlas(
        folder,
        name=name,
        title=TITLE,
        resolution=RESOLUTION,
        cells=cells,
        probability_chunks=iter(np.array_split(simulated_probability(lonlat[:, 0], lonlat[:, 1]), 5)),
        species=simulated_species(),
        observed=observed,
        observed_species=observed_species,
        card=simulated_card(),
        inputs={"formula": "tests/make_store.py"},
        compression_level=3,
    )
    return folder


def add_held_out_surveys(folder: Path, n_sites: int = 800) -> Path:
    """Put what held-out surveys say beside a simulated atlas; returns the folder.

    Sites are drawn at random in the study area and their species from the formula, whose probabilities stand
    for those of a model that has not seen them.
    """
    from sdm_core.evaluation.splits import square_blocks
    from sdm_core.pipeline.held_out import held_out_surveys, put_held_out

    random = np.random.default_rng(0)
    lonlat = np.column_stack([random.uniform(WEST, EAST, n_sites), random.uniform(SOUTH, NORTH, n_sites)])
    p = np.clip(simulated_probability(*lonlat.T), 1e-4, 1 - 1e-4)
    logits = np.log(p / (1 - p)).astype(np.float32)
    presence = (random.random(p.shape) < p).astype(np.uint8)
    found = held_out_surveys(logits, presence, square_blocks(lonlat, 0.2, 4), lonlat, block_deg=0.2)
    put_held_out(folder, tuple(str(name) for name in simulated_species()["species"]), found)
    return folder


if __name__ == "__main__":
    import sys

    print(write_simulated_atlas(Path(sys.argv[1])))
