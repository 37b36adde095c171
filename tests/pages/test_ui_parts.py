"""Small parts the pages share: numbers, colours, views, published layers, texts."""

from __future__ import annotations

import ast
import math
import subprocess
import sys

import numpy as np
import pytest

from pages.ui import maps, messages, numbers, palette, routes
from sdm_core import colours, config

PAGES = config.ROOT_DIR / "pages"


@pytest.mark.parametrize(
    ("value", "digits", "unit", "text"),
    [
        (12345, 0, "", "12\u202f345"),
        (0.6204, 2, "", "0.62"),
        (36, 0, "km²", "36\u202fkm²"),
        (float("nan"), 1, "", "–"),
        (None, 0, "km²", "–"),
    ],
)
def test_numbers_have_thin_spaces_units_and_a_dash_where_missing(value, digits, unit, text):
    assert numbers.number(value, digits, unit) == text


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (0, "0\u202f%"),
        (0.0004, "<\u202f0.1\u202f%"),
        (0.031, "3.1\u202f%"),
        (0.02, "2\u202f%"),
        (0.424, "42\u202f%"),
    ],
)
def test_probabilities_are_percents_with_sensible_digits(probability, text):
    assert numbers.percent(probability) == text


def test_cells_below_the_cutoff_and_without_a_value_are_not_coloured():
    ink = palette.LIGHT
    painted = palette.colours("species", np.array([0.0, 0.01, 0.5, 1.0, np.nan]), 0, 1, 0.02, ink)
    assert painted[1].tolist() == list(ink.faint[:3])
    assert painted[4].tolist() == list(ink.outside[:3])
    assert painted[0].tolist() == list(ink.zero[:3])
    assert painted[3].tolist() == palette.ramp("species")[255].tolist()


def test_the_first_view_shows_the_whole_of_an_area():
    longitude, latitude, zoom = maps.fit((-10, 35, 5, 45), (750, 500))
    pixels_per_degree = 512 * 2**zoom / 360
    assert (longitude, 40 < latitude < 41) == (-2.5, True)
    assert 15 * pixels_per_degree <= 751


@pytest.mark.parametrize(("value", "top"), [(0.34, 0.4), (1.0, 1.0), (63, 75), (960, 1000), (0, 1.0)])
def test_ramps_end_at_round_numbers(value, top):
    assert colours.nice_ceiling(value) == pytest.approx(top)


def test_published_layers_are_made_once_and_the_oldest_are_dropped():
    layers = routes.PublishedLayers(max_layers=2)
    calls = []

    def make(name):
        calls.append(name)
        return name.encode()

    first = layers.publish("a", lambda: make("a"))
    assert layers.publish("a", lambda: make("a")) == first
    layers.publish("b", lambda: make("b"))
    layers.publish("c", lambda: make("c"))
    assert calls == ["a", "b", "c"]
    assert layers.body(first.rpartition("/")[2].removesuffix(".json")) is None


def test_every_sentence_the_pages_ask_for_exists():
    prefixes = ("mode_", "only_", "about_", "grade_", "coverage_", "view_", "several_from_", "structure_")
    for path in PAGES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "say" and node.args:
                key = node.args[0]
                if isinstance(key, ast.Constant):
                    assert key.value in messages.ENGLISH, f"{path.name}: {key.value}"
                elif isinstance(key, ast.JoinedStr) and isinstance(key.values[0], ast.Constant):
                    assert key.values[0].value.startswith(prefixes), f"{path.name}: {ast.unparse(key)}"


def test_rules_and_their_words_are_those_of_the_engine():
    from sdm_core import assemblages, indicators

    assert set(messages.RULES) == set(indicators.RULES)
    assert set(messages.CRITERIA) == set(assemblages.CRITERIA)
    assert set(messages.RULE_HELP) == set(messages.RULES)


def test_streamlit_caches_stay_in_the_resources_and_are_bounded():
    n_caches = 0
    for path in PAGES.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        if not path.name.startswith("resources"):
            assert "cache_data" not in source, path
            assert "cache_resource" not in source, path
        for decorator in source.split("@st.cache_")[1:]:
            assert "max_entries=" in decorator.split(")", 1)[0]
            n_caches += 1
    assert n_caches > 20


def test_opening_the_pages_does_not_import_torch(simulated_atlas_folder, tmp_path):
    script = (
        "import sys; from streamlit.testing.v1 import AppTest\n"
        f"app = AppTest.from_file({str(PAGES / 'main.py')!r}, default_timeout=60).run()\n"
        "assert not app.exception, app.exception\n"
        "for page in ('region.py', 'about.py'):\n"
        "    app.switch_page(page).run(); assert not app.exception, app.exception\n"
        "print('torch' in sys.modules)"
    )
    environment = {
        "PATH": "",
        "PYTHONPATH": str(config.ROOT_DIR),
        "FLORASCOPE_ATLASES": str(simulated_atlas_folder.parent),
        "FLORASCOPE_CACHE": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
        check=False,
    )
    assert done.stdout.strip().splitlines()[-1:] == ["False"], done.stderr[-2000:]


@pytest.mark.parametrize(("bounds", "length"), [((8.5, 41.3, 9.6, 43.0), 20), ((-1.8, 42.1, 3.2, 43.3), 50)])
def test_the_scale_bar_of_a_tall_region_is_no_stub(bounds, length):
    bar, label = maps.scale_bar(bounds, palette.LIGHT)
    assert label.data[0]["text"] == f"{length} km"
    (left, south), (right, _) = bar.data["geometry"]["coordinates"][1:3]
    on_ground = (right - left) * 111.195 * math.cos(math.radians(south))
    assert on_ground == pytest.approx(length, rel=0.01)
