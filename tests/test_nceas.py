"""The NCEAS benchmark: groups joined rightly, labels out of reach until predictions are written, true scores.

The made-up folder has the layout of the real one: two plant surveys and one of reptiles in NSW, SA without
labels, a category, site names that look like numbers.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from sdm_core import __main__
from sdm_core.benchmarks import nceas
from sdm_core.benchmarks.nceas import (
    METHODS,
    Method,
    NceasSettings,
    load_groups,
    paired_differences,
    rank_mean,
    run_nceas,
)
from sdm_core.benchmarks.nceas import methods as methods_module
from sdm_core.benchmarks.nceas import scoring as scoring_module
from sdm_core.errors import ConfigurationError, OccurrenceError, TrainingError
from sdm_core.losses import UNKNOWN
from sdm_core.occurrences.nceas import read_nceas, read_nceas_labels, read_nceas_region

SPECIES = {"ot": ("nsw18", "nsw19"), "ru": ("nsw41",), "sr": ("nsw47", "nsw48", "nsw49")}
QUICK = NceasSettings(regions=("NSW", "SA"), methods=("logistic",), n_jobs=1)


def environment(rng: np.random.Generator, n: int, region: str) -> pd.DataFrame:
    """Coordinates and covariates; `copy` repeats `rain` and `still` never varies."""
    rain = rng.normal(100, 20, n).round(3)
    columns = {"x": rng.uniform(150, 153, n).round(5), "y": rng.uniform(-32, -29, n).round(5), "rain": rain}
    if region == "NSW":
        columns |= {"vegsys": rng.integers(1, 4, n), "copy": rain}
    return pd.DataFrame({**columns, "still": np.full(n, 7)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole NCEAS folder; never changed by a test."""
    rng = np.random.default_rng(5)
    root = tmp_path_factory.mktemp("nceas")
    for name in ("train_po", "train_bg", "test_env", "test_pa"):
        (root / name).mkdir()
    for region, groups in {"NSW": SPECIES, "SA": {"plant": ("sa01", "sa02")}}.items():
        records = []
        for group, species in groups.items():
            places = environment(rng, 60, region)
            for number, name in enumerate(species):
                order = np.argsort(places["rain"] * (-1) ** number + rng.normal(0, 10, 60))
                own = places.iloc[order[:25]]
                records.append(own.assign(spid=name, group=group, occ=1))
            test = environment(rng, 40, region)
            test.insert(0, "siteid", [f"{number:03}" for number in range(40)])
            test.insert(0, "group", group)
            suffix = f"_{group}" if region == "NSW" else ""
            test.to_csv(root / "test_env" / f"{region}test_env{suffix}.csv", index=False)
            if region == "SA":
                continue
            labels = test[["group", "siteid", "x", "y"]].copy()
            for number, name in enumerate(species):
                wet = (test["rain"] * (-1) ** number).rank() + rng.normal(0, 8, 40)
                labels[name] = (wet < 15).astype(int)
            if group == "sr":
                labels["nsw48"], labels["nsw49"] = 0, 1
            labels.to_csv(root / "test_pa" / f"{region}test_pa{suffix}.csv", index=False)
        table = pd.concat(records, ignore_index=True)
        table.insert(0, "siteid", [f"site{number}" for number in range(len(table))])
        first = ["siteid", "spid", "x", "y", "occ", "group"]
        table = table[first + [name for name in table.columns if name not in first]]
        table.to_csv(root / "train_po" / f"{region}train_po.csv", index=False)
        background = environment(rng, 80, region)
        background.insert(0, "siteid", range(80))
        background.to_csv(root / "train_bg" / f"{region}train_bg.csv", index=False)
    return root


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "nceas"))


def edit(path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Change a table in place, keeping text as it is."""
    change(pd.read_csv(path, dtype=str)).to_csv(path, index=False)


def of(groups, name: str):
    return next(group for group in groups if group.name == name)


# Joining ----------------------------------------------------------------------------------------------


def test_records_that_share_coordinates_are_one_site_with_counts(folder: Path):
    plants = of(load_groups(folder, ["NSW"]), "NSW_plant")
    records = pd.read_csv(folder / "train_po" / "NSWtrain_po.csv")
    records = records[records["group"].isin(["ot", "ru"])]
    assert len(plants.sites_xy) == len(records[["x", "y"]].drop_duplicates()) < len(records)
    assert plants.species == ("nsw18", "nsw19", "nsw41")
    np.testing.assert_array_equal(plants.counts.sum(axis=0), [25, 25, 25])
    for (x, y), own in records.groupby(["x", "y"]):
        site = np.flatnonzero((plants.sites_xy == (x, y)).all(axis=1))
        assert set(own["spid"]) == {plants.species[j] for j in np.flatnonzero(plants.counts[site[0]])}
        assert plants.features[site[0], 0] == np.float32(own["rain"].iloc[0])


def test_surveys_of_one_taxonomic_group_learn_together_and_keep_their_own_sites(folder: Path):
    groups = load_groups(folder, ["NSW"])
    assert [group.name for group in groups] == ["NSW_plant", "NSW_reptile"]
    trees, understorey = groups[0].surveys
    assert (trees.group, trees.rows, trees.columns) == ("ot", slice(0, 40), (0, 1))
    assert (understorey.group, understorey.rows, understorey.columns) == ("ru", slice(40, 80), (2,))
    test = pd.read_csv(folder / "test_env" / "NSWtest_env_ru.csv")
    np.testing.assert_array_equal(groups[0].test_features[40:, 0], test["rain"].to_numpy(np.float32))
    np.testing.assert_array_equal(groups[0].test_xy[40:], test[["x", "y"]])


def test_site_names_stay_text(folder: Path):
    assert of(load_groups(folder, ["SA"]), "SA_plant").test_siteid[:2] == ("000", "001")


def test_categories_are_columns_learned_without_test_sites_and_unknown_ones_are_zero(copied: Path):
    edit(copied / "test_env" / "NSWtest_env_sr.csv", lambda t: t.assign(vegsys="9"))
    edit(copied / "test_env" / "NSWtest_env_ot.csv", lambda t: t.assign(vegsys="2"))
    plants, reptiles = load_groups(copied, ["NSW"])
    assert plants.feature_names == ("rain", "vegsys=1", "vegsys=2", "vegsys=3")  # no copy, nothing constant
    assert plants.categorical.tolist() == [False, True, True, True]
    assert (plants.features[:, 1:].sum(axis=1) == 1).all()
    assert (reptiles.test_features[:, 1:] == 0).all()
    assert (plants.test_features[:40, 1:] == (0, 1, 0)).all()


def test_a_category_of_two_levels_is_one_column(copied: Path):
    for path in ("train_po/NSWtrain_po.csv", "train_bg/NSWtrain_bg.csv"):
        edit(copied / path, lambda t: t.assign(vegsys=t["vegsys"].where(t["vegsys"] != "3", "1")))
    assert load_groups(copied, ["NSW"])[0].feature_names == ("rain", "vegsys=2")


def test_both_backgrounds_hold_the_same_presences(folder: Path):
    target = of(load_groups(folder, ["NSW"]), "NSW_plant")
    random = of(load_groups(folder, ["NSW"], background="random"), "NSW_plant")
    features, labels = target.presence_background
    assert features is target.features
    np.testing.assert_array_equal(labels, target.counts > 0)
    features, labels = random.presence_background
    n = len(random.sites_xy)
    assert len(features) == len(labels) == n + 80
    np.testing.assert_array_equal(labels[:n] == 1, target.counts > 0)
    assert set(np.unique(labels[:n])) == {1, UNKNOWN}
    assert (labels[n:] == 0).all()
    xy, features, counts = random.counted_sites
    assert len(xy) == len(features) == len(counts) == n + 80
    assert (counts[n:] == 0).all()


def test_records_read_as_occurrences_are_in_degrees_and_once_per_place(copied: Path):
    edit(copied / "train_po" / "NSWtrain_po.csv", lambda t: pd.concat([t, t.iloc[:2]]))
    occurrences = read_nceas(copied, "NSW")
    raw = pd.read_csv(copied / "train_po" / "NSWtrain_po.csv").iloc[:-2]
    assert occurrences.steps[0].removed == 2
    np.testing.assert_allclose(occurrences.table[["longitude", "latitude"]], raw[["x", "y"]])
    assert occurrences.n_species == 6
    assert occurrences.table["rain"].tolist() == raw["rain"].tolist()


def test_projected_regions_lie_where_they_are_on_the_globe(copied: Path):
    """Cairns and Auckland: UTM 55 and the New Zealand Map Grid of the land survey, to a kilometre."""
    for region, x, y, place in (("AWT", 369000, 8129000, (145.77, -16.91)),
                                ("NZ", 2667700, 6482100, (174.77, -36.85))):  # fmt: skip
        for kind in ("train_po", "train_bg", "test_env"):
            shutil.copy(copied / kind / f"SA{kind}.csv", copied / kind / f"{region}{kind}.csv")
        edit(copied / "train_po" / f"{region}train_po.csv", lambda t, x=x, y=y: t.assign(x=str(x), y=str(y)))
        found = read_nceas(copied, region).table[["longitude", "latitude"]].iloc[0]
        np.testing.assert_allclose(found, place, atol=0.02)


# The labels stay out of reach -------------------------------------------------------------------------


def predictions(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (out / "predictions").iterdir()}


def test_predictions_are_byte_equal_whatever_the_labels_say_and_without_them(copied: Path, tmp_path: Path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(METHODS, "small", Method("a small forest", small_forest, engine=True))
        patch.setitem(METHODS, "both", Method("rank mean", members=("small", "logistic"), engine=True))
        settings = NceasSettings(regions=("NSW", "SA"), methods=("small", "logistic", "both"), n_jobs=1)
        run_nceas(copied, tmp_path / "with", settings, "both")
        for path in (copied / "test_pa").glob("*.csv"):
            edit(path, lambda t: pd.concat([t.iloc[:, :4], 1 - t.iloc[::-1, 4:].astype(int)], axis=1))
        run_nceas(copied, tmp_path / "permuted", settings, "both")
        shutil.rmtree(copied / "test_pa")
        result = run_nceas(copied, tmp_path / "without", settings, "both")
    found = predictions(tmp_path / "with")
    assert sorted(found) == ["NSW_ot.csv", "NSW_ru.csv", "NSW_sr.csv", "SA_plant.csv"]
    assert predictions(tmp_path / "permuted") == predictions(tmp_path / "without") == found
    assert result.table.empty
    assert {entry.reason for entry in result.not_scored} == {"no labels in this folder"}
    assert "No species could be scored" in nceas.to_text(result)
    with_labels, permuted = (pd.read_csv(tmp_path / name / "auc.csv") for name in ("with", "permuted"))
    assert not np.allclose(with_labels["auc"], permuted["auc"])  # so the labels were other ones


def small_forest(group, seed: int) -> np.ndarray:
    from sdm_core.models import Forest, ForestSettings

    features, labels = group.presence_background
    return np.stack(
        [
            Forest.fit(
                features[labels[:, j] == 1], features[labels[:, j] == 0], ForestSettings(n_trees=5), (seed, j)
            ).share(group.test_features)
            for j in range(len(group.species))
        ],
        axis=1,
    )


def test_labels_are_opened_only_after_every_prediction_is_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen: list[list[str]] = []

    def spy(*args):
        seen.append(sorted(predictions(tmp_path)))
        return read_nceas_labels(*args)

    monkeypatch.setattr(scoring_module, "read_nceas_labels", spy)
    run_nceas(folder, tmp_path, QUICK, "logistic")
    assert len(seen) >= 4
    assert all(names == ["NSW_ot.csv", "NSW_ru.csv", "NSW_sr.csv", "SA_plant.csv"] for names in seen)


def test_predictions_hold_every_site_in_file_order_and_the_species_of_the_survey(
    folder: Path, tmp_path: Path
):
    run_nceas(folder, tmp_path, QUICK, "logistic")
    for name, species in SPECIES.items():
        table = pd.read_csv(tmp_path / "predictions" / f"NSW_{name}.csv", dtype={"siteid": str})
        test = pd.read_csv(folder / "test_env" / f"NSWtest_env_{name}.csv", dtype={"siteid": str})
        assert tuple(table.columns) == ("siteid", *species)
        assert table["siteid"].tolist() == test["siteid"].tolist()
        assert np.isfinite(table[list(species)]).all().all()
    about = json.loads((tmp_path / "about.json").read_text())
    assert about["method"] == "logistic"
    assert about["settings"]["background"] == "target-group"
    assert about["groups"]["NSW_plant"]["surveys"] == ["ot", "ru"]


# Scores -----------------------------------------------------------------------------------------------


def test_auc_and_cor_are_those_of_scikit_learn_and_numpy(folder: Path, tmp_path: Path):
    run_nceas(folder, tmp_path, QUICK, "logistic")
    table = pd.read_csv(tmp_path / "auc.csv")
    assert list(table.columns[:5]) == ["region", "species", "method", "auc", "cor"]
    assert set(table["species"]) == {"nsw18", "nsw19", "nsw41", "nsw47"}
    for row in table.itertuples():
        scores = pd.read_csv(tmp_path / "predictions" / f"NSW_{row.group}.csv")[row.species]
        truth = pd.read_csv(folder / "test_pa" / f"NSWtest_pa_{row.group}.csv")[row.species]
        assert row.auc == pytest.approx(roc_auc_score(truth, scores), abs=1e-6)
        assert row.cor == pytest.approx(np.corrcoef(truth, scores)[0, 1], abs=1e-6)
        assert (row.n_sites, row.n_found) == (40, truth.sum())
    assert table["auc"].mean() > 0.7  # the made-up species do follow rain


def test_species_without_a_score_are_listed_with_the_reason(folder: Path, tmp_path: Path):
    result = run_nceas(folder, tmp_path, QUICK, "logistic")
    listed = pd.read_csv(tmp_path / "not_scored.csv").set_index("species")["reason"].to_dict()
    assert listed == {
        "nsw48": "found at no survey site",
        "nsw49": "found at every survey site",
        "sa01": "no labels in this folder",
        "sa02": "no labels in this folder",
    }
    assert "Not scored: 1 species, found at no survey site (nsw48)" in nceas.to_text(result)


def test_labels_are_matched_by_site_name_not_by_row(copied: Path, tmp_path: Path):
    run_nceas(copied, tmp_path / "a", QUICK, "logistic")
    edit(copied / "test_pa" / "NSWtest_pa_ot.csv", lambda t: t.iloc[::-1])
    run_nceas(copied, tmp_path / "b", QUICK, "logistic")
    assert (tmp_path / "a" / "auc.csv").read_bytes() == (tmp_path / "b" / "auc.csv").read_bytes()


def test_paired_standard_error_is_deviation_of_differences_over_root_n():
    auc = {"forest": [0.5, 0.6, 0.7, 0.9], "ours": [0.6, 0.6, 0.9, 0.8]}
    table = pd.DataFrame(
        [
            {"region": region, "group": "plant", "species": f"s{j}", "method": name, "auc": values[j]}
            for name, values in auc.items()
            for j, region in enumerate(["AWT", "AWT", "AWT", "SWI"])
        ]
    )
    found = paired_differences(table, "forest").set_index("region")
    differences = np.array([0.1, 0.0, 0.2, -0.1])
    assert found.loc["all", "difference"] == pytest.approx(0.05)
    assert found.loc["all", "standard_error"] == pytest.approx(differences.std(ddof=1) / 2)
    assert found.loc["AWT", "standard_error"] == pytest.approx(0.1 / 3**0.5)
    assert np.isnan(found.loc["SWI", "standard_error"])  # one species has no spread
    assert (found.loc["all", "n_better"], found.loc["all", "n_species"]) == (2, 4)


def test_rank_mean_ignores_scale_and_shares_ties():
    scores = np.array([[0.1], [0.3], [0.3], [0.9]])
    np.testing.assert_allclose(rank_mean([scores])[:, 0], [0.25, 0.625, 0.625, 1.0])
    other = np.array([[4.0], [3.0], [2.0], [1.0]])
    np.testing.assert_allclose(
        rank_mean([scores, other]), rank_mean([np.exp(9 * scores), other * 5 - 2])
    )  # fmt: skip


def test_scores_are_averaged_over_seeds_and_single_seeds_are_listed(folder: Path, tmp_path: Path):
    def constant(group, seed: int) -> np.ndarray:
        return group.test_features[:, :1] * (1.0, 4.0, -1.0)[seed] + np.zeros((1, len(group.species)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(METHODS, "constant", Method("constant", constant, engine=True))
        settings = NceasSettings(regions=("NSW",), methods=("constant",), seeds=(0, 1, 2), n_jobs=1)
        result = run_nceas(folder, tmp_path, settings, "constant")
        capped = Method("constant", constant, most_seeds=1)
        assert capped.seeds((4, 5)) == (4,)
    written = pd.read_csv(tmp_path / "predictions" / "NSW_ru.csv")["nsw41"]
    rain = pd.read_csv(folder / "test_env" / "NSWtest_env_ru.csv")["rain"]
    np.testing.assert_allclose(written, rain * 4 / 3, rtol=1e-5)
    seeds = pd.read_csv(tmp_path / "seeds.csv")
    overall = seeds[seeds["region"] == "all"].set_index("seed")["auc"]
    assert overall[0] == pytest.approx(overall[1]) == pytest.approx(1 - overall[2])
    assert result.seeds.shape == (6, 4)


# Command ----------------------------------------------------------------------------------------------


def test_command_prints_tables_with_baselines_and_standard_errors(
    folder: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(METHODS, "forest", Method("a small forest", small_forest))
    out = tmp_path / "out"
    asked = ["benchmark", "nceas", "--data", str(folder), "--out", str(out), "--regions", "NSW"]
    assert __main__.main([*asked, "--methods", "logistic", "forest", "--seeds", "1", "--jobs", "1"]) == 0
    said = capsys.readouterr()
    assert "forest (baseline)" in said.out
    assert "logistic (baseline)" in said.out
    table = pd.read_csv(out / "auc.csv")
    assert f"{table.loc[table['method'] == 'logistic', 'auc'].mean():.4f}" in said.out
    differences = pd.read_csv(out / "differences.csv").set_index("region")
    assert f"±{differences.loc['all', 'standard_error']:.4f}" in said.out
    assert "[1/" in said.err
    assert "[1/" not in said.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--regions", "XX"], "NCEAS has no region 'XX'; there are AWT, CAN, NSW, NZ, SA, SWI"),
        (["--methods", "forrest"], "no method 'forrest'; there are forest, logistic"),
        (["--seeds", "1", "1"], "seeds = [1, 1]; expected different whole numbers from 0 on"),
        (["--jobs", "0"], "jobs = 0; expected 1 or more"),
        (["--regions", "SWI"], "There is no file SWItrain_po.csv in"),
    ],
)
def test_command_refuses_bad_options_in_one_sentence(options, message, folder, tmp_path, capsys):
    asked = ["benchmark", "nceas", "--data", str(folder), "--out", str(tmp_path / "out"), *options]
    assert __main__.main(asked) == 2
    said = capsys.readouterr().err
    assert message in said
    assert len(said.strip().splitlines()) == 1


def test_command_refuses_folders_that_are_not_there_or_cannot_be_written(folder, tmp_path, capsys):
    asked = ["benchmark", "nceas", "--data", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]
    assert __main__.main(asked) == 2
    assert "There is no folder" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert __main__.main([*asked[:3], str(folder), "--out", str(tmp_path / "file" / "out")]) == 2
    assert "Nothing can be written" in capsys.readouterr().err


def test_a_method_whose_package_is_missing_is_left_out_and_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in list(METHODS):
        if name != "logistic":
            monkeypatch.delitem(METHODS, name)
    monkeypatch.setitem(METHODS, "other", Method("other", small_forest, requires="no_such_package"))
    monkeypatch.setitem(METHODS, "blend", Method("blend", members=("other", "logistic")))
    result = run_nceas(folder, tmp_path, NceasSettings(regions=("NSW",), n_jobs=1), "logistic")
    assert result.settings.wanted == ("logistic",)
    assert "Not run: other, which needs no_such_package; `pip install no_such_package`" in nceas.to_text(
        result
    )
    with pytest.raises(ConfigurationError, match="other needs no_such_package, which is not installed"):
        NceasSettings(methods=("blend",))


def test_members_are_run_before_the_method_made_of_them(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(METHODS, "pair", Method("pair", members=("logistic", "forest")))
    assert methods_module.with_members(("pair", "logistic")) == ("logistic", "forest", "pair")
    with pytest.raises(ConfigurationError, match="needs either a function or members"):
        Method("nothing")


def test_a_method_that_gives_no_numbers_is_named(folder: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setitem(
        METHODS, "broken", Method("broken", lambda group, seed: np.full((1, 1), np.nan), engine=True)
    )
    with pytest.raises(TrainingError, match=r"The method broken gave scores of shape \(1, 1\) for NSW_plant"):
        run_nceas(folder, tmp_path, NceasSettings(("NSW",), ("broken",), n_jobs=1), "broken")


@pytest.mark.slow
def test_two_processes_predict_what_one_does(folder: Path, tmp_path: Path):
    one, two = (NceasSettings(("NSW",), ("logistic", "forest"), n_jobs=jobs) for jobs in (1, 2))
    run_nceas(folder, tmp_path / "one", one, "forest")
    run_nceas(folder, tmp_path / "two", two, "forest")
    assert predictions(tmp_path / "one") == predictions(tmp_path / "two")


# Files that are not what they should be ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "change", "message"),
    [
        ("train_po/NSWtrain_po.csv", lambda t: t.drop(columns="spid"), "NSWtrain_po.csv has no column for"),
        ("train_bg/NSWtrain_bg.csv", lambda t: t.drop(columns="rain"), "NSWtrain_bg.csv has no column for"),
        (
            "test_env/NSWtest_env_sr.csv",
            lambda t: t.rename(columns={"rain": "Rain"}),
            "NSWtest_env_sr.csv has no column spelt exactly 'rain'",
        ),
        (
            "train_po/NSWtrain_po.csv",
            lambda t: t.assign(rain=["wet", *t["rain"][1:]]),
            "NSWtrain_po.csv: rain is 'wet' in data row 1; a number was expected in every row",
        ),
        (
            "test_env/NSWtest_env_ru.csv",
            lambda t: t.assign(y=[*t["y"][:-1], ""]),
            "NSWtest_env_ru.csv: y is '' in data row 40",
        ),
        (
            "test_env/NSWtest_env_sr.csv",
            lambda t: t.assign(siteid=["a", "a", *t["siteid"][2:]]),
            "NSWtest_env_sr.csv names the site 'a' twice",
        ),
        (
            "test_env/NSWtest_env_sr.csv",
            lambda t: t.assign(group=["ot", *t["group"][1:]]),
            "NSWtest_env_sr.csv holds the groups 'ot', 'sr'; one group per file was expected",
        ),
        (
            "test_env/NSWtest_env_sr.csv",
            lambda t: t.assign(group="frogs"),
            "is of the group 'frogs', of which NSWtrain_po.csv has no record",
        ),
    ],
)  # fmt: skip
def test_tables_that_are_not_what_they_should_be_are_refused(copied: Path, path: str, change, message: str):
    edit(copied / path, change)
    with pytest.raises(OccurrenceError) as caught:
        read_nceas_region(copied, "NSW")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.assign(nsw47="2"), "NSWtest_pa_sr.csv: the column nsw47 must hold 0 or 1 and"),
        (lambda t: t.iloc[:, :4], "NSWtest_pa_sr.csv has no species beside group, siteid, x, y"),
        (lambda t: t.iloc[1:], "The labels of NSW sr name 39 different sites in 39 rows, not the same 40"),
        (lambda t: t.assign(nsw50="0"), "hold nsw50, of which there is no record to learn from"),
    ],
)  # fmt: skip
def test_labels_that_do_not_fit_are_refused(copied: Path, tmp_path: Path, change, message: str):
    edit(copied / "test_pa" / "NSWtest_pa_sr.csv", change)
    with pytest.raises(OccurrenceError) as caught:
        run_nceas(copied, tmp_path / "out", NceasSettings(("NSW",), ("logistic",), n_jobs=1), "logistic")
    assert message in str(caught.value)
    assert len(predictions(tmp_path / "out")) == 3  # written before the labels were looked at


# The real data ----------------------------------------------------------------------------------------


def test_the_real_benchmark_has_226_species_and_its_logistic_baseline_the_published_level(
    data_dir: Path, tmp_path: Path
):
    """Reference: an independent implementation with the same background has .718 (AWT) and .729 (NSW)."""
    folder = data_dir / "nceas"
    if not folder.is_dir():
        pytest.skip(f"the NCEAS tables are not in {data_dir}")
    groups = load_groups(folder)
    assert sum(len(group.species) for group in groups) == 226
    assert [group.name for group in groups] == [
        "AWT_bird", "AWT_plant", "CAN_bird", "NSW_bat", "NSW_bird", "NSW_plant", "NSW_reptile", "NZ_plant",
        "SA_plant", "SWI_tree",
    ]  # fmt: skip
    settings = NceasSettings(("AWT", "NSW", "SA"), ("logistic",), n_jobs=1)
    result = run_nceas(folder, tmp_path, settings, "logistic")
    for path in (
        path for region in settings.regions for path in (folder / "test_env").glob(f"{region}*.csv")
    ):
        region, _, group = path.stem.partition("test_env")
        group = group.strip("_") or "plant"
        written = pd.read_csv(tmp_path / "predictions" / f"{region}_{group}.csv", dtype={"siteid": str})
        assert written["siteid"].tolist() == pd.read_csv(path, dtype={"siteid": str})["siteid"].tolist()
    means = result.table.groupby("region")["auc"].mean()
    for region, reference in {"AWT": 0.718, "NSW": 0.729}.items():
        assert means[region] == pytest.approx(reference, abs=0.01)
