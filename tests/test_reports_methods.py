"""What a report gives to check it with: the script that makes its numbers again, ODMAP, figures as files."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
import shapely
from PIL import Image

from sdm_core import config, regions
from sdm_core.reports import DEFAULT_FORMATS, FORMAT_FILES, build_report, verify_manifest

VALLEY = shapely.Polygon([(0.6, 42.45), (1.5, 42.45), (1.4, 42.8), (0.7, 42.75), (0.6, 42.45)])


@pytest.fixture(scope="module")
def folder(simulated_atlas, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("methods") / "report"
    build_report(
        simulated_atlas,
        regions.region_from_geometry(VALLEY, "Valley"),
        out,
        rule="threshold",
        t=0.3,
        containment="area_weighted",
        formats=("json", "geojson", "methods", "figures", "html"),
    )
    return out


def _reproduce(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys, runpy; from pathlib import Path; from sdm_core import config; "
        f"config.CACHE_DIR = Path({str(config.CACHE_DIR)!r}); sys.argv = sys.argv[1:]; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    return subprocess.run(
        [sys.executable, "-c", code, str(folder / "reproduce.py"), *options],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
    )


def test_reproduce_finds_every_number_equal_and_names_one_that_was_changed(folder, simulated_atlas_folder):
    model = ("--model", str(simulated_atlas_folder))
    path = folder / "indicators.json"
    before = path.read_text(encoding="utf-8")
    told = json.loads(before)

    done = _reproduce(folder, *model)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert ", 0 not equal" in done.stdout and "not equal " not in done.stdout.replace("0 not equal", "")
    assert f"equal     indicators.shannon.value = {told['indicators']['shannon']['value']}" in done.stdout
    n_species = len(told["species"])
    assert f"equal     species.*.mean_probability: {n_species} of {n_species}" in done.stdout

    told["indicators"]["shannon"]["value"] *= 1.00001
    told["species"][3]["mean_probability"] += 0.001
    del told["trust"]["grade"]
    try:
        path.write_text(json.dumps(told), encoding="utf-8")
        done = _reproduce(folder, *model)
    finally:
        path.write_text(before, encoding="utf-8")
    assert done.returncode == 1
    wrong = [line for line in done.stdout.splitlines() if line.startswith("not equal ")]
    assert [line.split(" = ")[0] for line in wrong] == [
        "not equal indicators.shannon.value",
        "not equal trust.grade",
        f"not equal species.{told['species'][3]['species']}.mean_probability",
    ]
    assert "3 not equal" in done.stdout.splitlines()[-1]


def test_reproduce_without_the_atlas_or_the_numbers_ends_with_one_sentence(folder, tmp_path):
    done = _reproduce(folder, "--model", str(tmp_path / "nowhere"))
    assert done.returncode == 2 and "nowhere" in done.stderr and "Traceback" not in done.stderr
    (tmp_path / "reproduce.py").write_bytes((folder / "reproduce.py").read_bytes())
    done = _reproduce(tmp_path)
    assert done.returncode == 2 and "indicators.json" in done.stderr and "Traceback" not in done.stderr


def test_odmap_table_has_the_five_sections_and_says_what_the_card_does_not(folder, simulated_atlas):
    table = pd.read_csv(folder / "odmap.csv")
    assert list(table.columns) == ["section", "subsection", "element", "value"]
    assert list(table["section"].unique()) == ["Overview", "Data", "Model", "Assessment", "Prediction"]
    values = table.set_index("element")["value"]
    assert values["Taxon"] == "40 plant species"
    assert values["Rule"].startswith("threshold: present where the probability is at least 0.3")
    assert values["Atlas"].startswith(f"{simulated_atlas.name}, version {simulated_atlas.store.version}")
    assert values["Features"] == "not stated on the model card"
    assert not table.isna().any(axis=None)


def test_odmap_lists_steps_without_empty_values():
    from sdm_core.reports.odmap import _steps

    steps = [{"name": "SINR wide", "n_seeds": 2, "patch_weights": ""}, {"rule": "unknown", "removed": 0}]
    assert _steps(steps) == "SINR wide; n_seeds 2 | rule unknown; removed 0"
    assert _steps(None) == "not stated on the model card"


def test_figures_are_written_as_svg_and_as_png_at_300_dots_per_inch(folder):
    names = {path.name for path in (folder / "figures").iterdir()}
    assert {f"figures/{name}" for name in names} <= set(FORMAT_FILES["figures"])
    stems = {name.rpartition(".")[0] for name in names}
    assert names == {f"{stem}.{kind}" for stem in stems for kind in ("svg", "png")}
    assert {"richness", "location", "records", "shannon", "richness-histogram", "species"} <= stems
    for stem in stems:
        root = ElementTree.fromstring((folder / "figures" / f"{stem}.svg").read_bytes())
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        with Image.open(io.BytesIO((folder / "figures" / f"{stem}.png").read_bytes())) as image:
            assert image.info["dpi"][0] == pytest.approx(300, abs=0.1)
    assert "calibration" not in stems  # the card of this atlas has no reliability bins
    assert "calibration" not in (folder / "report.html").read_text(encoding="utf-8").split("annex-b")[-1]


def test_manifest_covers_script_table_and_figures(folder):
    listed = (folder / "MANIFEST.sha256").read_text(encoding="utf-8")
    assert all(name in listed for name in ("reproduce.py", "odmap.csv", "figures/richness.svg"))
    assert verify_manifest(folder) == []


def test_figures_are_written_only_when_asked_for():
    assert "figures" not in DEFAULT_FORMATS and "methods" in DEFAULT_FORMATS
