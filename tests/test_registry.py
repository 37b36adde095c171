"""Atlases are found by name or path, and every wrong name gets one helpful sentence."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from sdm_core import __main__, config, registry
from sdm_core.errors import CorruptStoreError, UnknownAtlasError
from sdm_core.prediction import TILES_FOLDER, exchange
from sdm_core.prediction.convert import tiles_of_content
from sdm_core.prediction.objects import ObjectFolder
from sdm_core.prediction.opening import AtlasFolder
from tests import make_store


@pytest.fixture
def atlas_dirs(simulated_atlas_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two atlases in front of the shipped ones."""
    for name in ("alpine-herbs", "pyrenean-plants"):
        shutil.copytree(simulated_atlas_folder, tmp_path / name)
    monkeypatch.setattr(config, "ATLAS_DIRS", (tmp_path, tmp_path / "absent"))
    return tmp_path


def test_atlases_are_listed_once_and_folders_without_predictions_are_not(atlas_dirs: Path):
    (atlas_dirs / "notes").mkdir()
    assert registry.list_atlases() == ["alpine-herbs", "pyrenean-plants"]


def test_atlas_opens_by_name_and_by_path(atlas_dirs: Path, simulated_atlas_folder: Path):
    by_name = registry.open_atlas("pyrenean-plants")
    by_path = registry.open_atlas(simulated_atlas_folder)
    assert by_name.folder == atlas_dirs / "pyrenean-plants"
    assert by_name.store.version == by_path.store.version
    assert by_name.title == make_store.TITLE
    assert by_name.card["simulated"] is True
    assert len(by_name.species) == by_name.store.n_species


def test_a_folder_of_tiles_is_an_atlas_and_so_is_an_address(atlas_dirs: Path):
    source = AtlasFolder.at(atlas_dirs / "alpine-herbs")
    content = exchange.unpack(atlas_dirs / "alpine-herbs" / exchange.EXCHANGE_FILE)
    for place in (atlas_dirs / "tiled", f"memory://registry/{atlas_dirs.parent.name}"):
        target = ObjectFolder(place)
        tiles_of_content(content, source.species, target.below(TILES_FOLDER).address, tile_resolution=4)
        for name, companion in source.companions().items():
            target.put(name, companion)
    assert registry.list_atlases() == ["alpine-herbs", "pyrenean-plants", "tiled"]
    local, remote = registry.open_atlas("tiled"), registry.open_atlas(target.address)
    assert remote.store.version == local.store.version
    np.testing.assert_array_equal(remote.store.codes, content.codes)
    assert remote.card == local.card and remote.card["simulated"] is True
    assert (remote.folder / "species.csv").read_bytes() == (local.folder / "species.csv").read_bytes()
    assert remote.store.observed is not None
    with pytest.raises(CorruptStoreError, match="memory://registry/nothing holds no tiled predictions"):
        registry.open_atlas("memory://registry/nothing")


def test_unknown_atlas_names_the_nearest(atlas_dirs: Path):
    with pytest.raises(UnknownAtlasError, match=r"'pyrenean-plant'.*did you mean pyrenean-plants\?"):
        registry.open_atlas("pyrenean-plant")
    with pytest.raises(UnknownAtlasError, match="there are alpine-herbs, pyrenean-plants"):
        registry.open_atlas("zzz")
    with pytest.raises(UnknownAtlasError, match="no atlas is called"):
        registry.open_atlas("../pyrenean-plants/absent")


def test_no_atlas_at_all_says_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(config, "ATLAS_DIRS", (tmp_path,))
    with pytest.raises(UnknownAtlasError, match="no atlas lies in"):
        registry.open_atlas("european-trees")


def test_unreadable_model_card_is_named(atlas_dirs: Path):
    (atlas_dirs / "alpine-herbs" / "model_card.json").write_text("{")
    with pytest.raises(CorruptStoreError, match=r"model_card\.json cannot be read as a model card"):
        registry.open_atlas("alpine-herbs")


def test_predict_command_writes_one_probability_per_species(
    atlas_dirs: Path, simulated_atlas, tmp_path: Path
):
    store = simulated_atlas.store
    points, out = tmp_path / "points.csv", tmp_path / "out.csv"
    longitude, latitude = store.lonlat[12]
    points.write_text(f"name,Longitude,Latitude\nhere,{longitude},{latitude}\nfar,100,10\n")
    arguments = ["predict", "--model", "pyrenean-plants", "--points", str(points), "--out", str(out)]
    assert __main__.main(arguments) == 0
    here, far = csv.DictReader(out.open())
    assert here["name"] == "here"
    expected = store.probabilities([12])[0, store.species_id("Abies alba")]
    assert float(here["Abies alba"]) == pytest.approx(expected, rel=1e-6)
    assert far["Abies alba"] == "NaN"
    assert len(here) == 3 + store.n_species


def test_predict_command_exits_2_with_one_sentence(atlas_dirs: Path, tmp_path: Path, capsys):
    points = tmp_path / "points.csv"
    points.write_text("longitude,latitude\n1,42.5\n")
    for model, source, target, words in (
        ("pyrenean-plant", points, tmp_path / "out.csv", "did you mean pyrenean-plants?"),
        ("pyrenean-plants", tmp_path / "no.csv", tmp_path / "out.csv", "cannot be read"),
        ("pyrenean-plants", points, tmp_path / "absent" / "out.csv", "cannot be written"),
    ):
        arguments = ["predict", "--model", model, "--points", str(source), "--out", str(target)]
        assert __main__.main(arguments) == 2
        message = capsys.readouterr().err
        assert words in message
        assert message.count("\n") == 1
