"""The two atlases in `assets/`: whole, small enough, and as good as their cards say."""

from __future__ import annotations

import numpy as np
import pytest

from sdm_core import config, regions
from sdm_core.indicators import summarise_region
from sdm_core.prediction import verify_manifest
from sdm_core.registry import Atlas, open_atlas

FOLDER = config.ASSETS_DIR / "atlases"
#: Held-out AUC and average precision that the atlases promise, by block side in degrees.
PROMISED = {
    "european-trees": {2.0: (0.945, 0.41), 5.0: (0.928, 0.35)},
    "iberian-flora": {1.0: (0.898, 0.425)},
}


@pytest.fixture(scope="module", params=sorted(PROMISED))
def atlas(request: pytest.FixtureRequest) -> Atlas:
    return open_atlas(FOLDER / request.param)


def test_files_are_those_of_the_manifest(atlas: Atlas):
    verify_manifest(FOLDER / atlas.name)


def test_atlases_weigh_at_most_forty_megabytes_together():
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) <= 40_000_000


def test_scores_on_the_card_keep_the_promise_and_beat_every_baseline(atlas: Atlas):
    validation = atlas.card["validation"]
    for block_deg, (auc, average_precision) in PROMISED[atlas.name].items():
        rows = {row["model"]: row for row in validation["results"] if row["block_deg"] == block_deg}
        shipped = rows.pop(validation["shipped"])
        assert shipped["auc"] >= auc and shipped["average_precision"] >= average_precision
        assert len(rows) >= 4
        assert all(row["auc"] < shipped["auc"] for row in rows.values())
        assert shipped["ece_after"] < shipped["ece_before"]


def test_species_and_cells_are_what_the_card_counts(atlas: Atlas):
    store = atlas.store
    assert (store.n_species, store.n_cells) == (atlas.card["n_species"], atlas.card["n_cells"])
    assert store.species["species"].is_unique and (store.species["n_cells"] >= 50).all()


@pytest.mark.parametrize(("place", "species"), [("Pyrenees", "Fagus sylvatica"), ("Pyrenees", "Abies alba")])
def test_beech_and_fir_live_in_the_pyrenees_and_not_in_almeria(atlas: Atlas, place: str, species: str):
    store = atlas.store
    known = list(store.species["species"])
    mean = {}
    for name in (place, "Almería"):
        area = regions.region_from_place(name)
        rows = regions.select_cells(area, store.lonlat, store.resolution, store.cells, store.area_ha).rows
        mean[name] = store.probabilities(np.asarray(rows))[:, known.index(species)].mean()
    assert mean[place] > 0.3 and mean["Almería"] < 0.02
    assert summarise_region(store, rows, region=area)["gamma"].value > 0
