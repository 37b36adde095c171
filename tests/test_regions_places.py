"""Named places, type-ahead search, basemap files and regions inside links."""

from __future__ import annotations

import random
import zlib

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from sdm_core import config
from sdm_core.errors import FlorascopeError, RegionError
from sdm_core.regions import (
    basemap_countries,
    basemap_land,
    countries_of,
    country_outlines,
    decode_region_link,
    encode_region_link,
    find_place,
    geodesic_area_km2,
    land_geometry,
    land_share,
    place_names,
    region_from_cells,
    region_from_geometry,
    region_from_place,
    region_from_point,
    search_places,
)
from tests.make_regions import PYRENEES, wiggly_circle


def test_a_town_is_a_circle_around_it():
    region = region_from_place("Pau, France", radius_km=25)
    assert region.area_km2 == pytest.approx(np.pi * 25**2, rel=2e-3)
    assert region.geometry.contains(shapely.Point(-0.3708, 43.2951))  # town hall of Pau
    assert region.source == "place:Pau, France~25"
    assert "Circle of 25 km around Pau, France (GeoNames, CC BY 4.0)." in region.notes


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("pau", "Pau, France"),
        ("PAU, france", "Pau, France"),
        ("Wien", "Vienna, Austria"),
        ("koln", "Köln, Germany"),
        ("pyrénées", "Pyrenees"),
        ("Deutschland", "Germany"),
        ("luxembourg", "Luxembourg"),
        ("majorca", "Mallorca"),
    ],
)
def test_a_place_is_found_whatever_its_case_accents_and_language(text, name):
    assert find_place(text).name == name


def test_search_puts_regions_and_countries_before_towns_and_large_towns_before_small_ones():
    assert search_places("mal", 4) == ["Mallorca", "Malta", "Malatya, Turkey", "Málaga, Spain"]
    assert search_places("picos")[0] == "Picos de Europa"
    assert search_places("nevada")[0] == "Sierra Nevada"
    assert search_places("qqqq") == []
    assert len(search_places("a", 7)) == 7


def test_place_names_are_unique_and_each_kind_is_there():
    names = place_names()
    assert len(names) == len(set(names)) > 20_000
    assert {"Pyrenees", "Spain", "Pau, France"} <= set(names)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Atlantis", r"No place is called 'Atlantis'; did you mean .*\?"),
        ("Pauu", "did you mean Pau, France"),
        ("", "No place is called ''; draw or upload"),
        ("§§§", "No place is called '§§§'; draw or upload"),
    ],
)
def test_an_unknown_place_is_answered_with_similar_names(name, message):
    with pytest.raises(RegionError, match=message):
        region_from_place(name)


def test_every_natural_region_is_a_valid_polygon_on_land():
    natural = [name for name in place_names() if find_place(name).kind == "natural region"]
    assert len(natural) >= 80
    for name in natural:
        region = region_from_place(name)
        assert region.geometry.is_valid and region.area_km2 > 100, name
        assert land_share(region.geometry) > 0.98, name
        assert "repaired" not in " ".join(region.notes), name


@pytest.mark.parametrize(
    ("name", "area_km2"),
    # areas of the islands as published by their governments
    [("Mallorca", 3_640), ("Corsica", 8_722), ("Sardinia", 23_813), ("Sicily", 25_460), ("Crete", 8_261)],
)
def test_islands_have_their_published_area_within_two_percent(name, area_km2):
    assert region_from_place(name).area_km2 == pytest.approx(area_km2, rel=0.02)


def test_drawn_outlines_are_labelled_as_approximate():
    assert region_from_place("Alps").notes == (
        "Approximate outline drawn for Florascope, not an official boundary.",
    )


def test_a_country_cut_by_the_edge_of_the_maps_says_so():
    assert "Only the 87% of France within" in region_from_place("France").notes[1]
    assert len(region_from_place("Austria").notes) == 1


def test_neighbouring_countries_neither_overlap_nor_leave_a_gap():
    names = ("Switzerland", "Austria", "Liechtenstein", "Germany", "Italy", "France")
    outlines = [country_outlines()[name] for name in names]
    whole = geodesic_area_km2(shapely.union_all(outlines))
    assert sum(geodesic_area_km2(outline) for outline in outlines) == pytest.approx(whole, rel=1e-5)
    alps = region_from_geometry(shapely.box(6.5, 46.2, 12, 47.2))
    assert sum(share for _, share in countries_of(alps)) == pytest.approx(1, abs=1e-3)


def test_the_basemap_is_small_and_knows_land_from_sea():
    files = [config.ASSETS_DIR / "basemap" / name for name in ("land.geojson", "countries.geojson")]
    assert sum(path.stat().st_size for path in files) < 600_000
    assert basemap_land()["type"] == basemap_countries()["type"] == "FeatureCollection"
    names = {feature["properties"]["name"] for feature in basemap_countries()["features"]}
    assert {"Spain", "Norway", "North Macedonia"} <= names
    land = land_geometry()
    assert shapely.contains_xy(land, [0.0, 10.0, 25.0], [46.0, 50.0, 62.0]).all()
    assert not shapely.contains_xy(land, [-6.0, 5.0, 3.0, -150.0, 0.0], [45.5, 40.0, 56.0, 37.0, 0.0]).any()


def test_places_and_outlines_are_small_files():
    for name in ("countries.parquet", "places.parquet"):
        assert (config.ASSETS_DIR / "places" / name).stat().st_size < 1_000_000


@pytest.mark.parametrize(
    "region",
    [
        region_from_place("Pyrenees"),
        region_from_place("Pau, France", 25),
        region_from_point(0.5, 42.5, 3),
        region_from_cells(["86396582fffffff", "86396584fffffff"]),
    ],
    ids=["place", "town", "circle", "cells"],
)
def test_a_named_region_comes_back_from_its_link_exactly(region):
    text = encode_region_link(region)
    assert text == region.source
    again = decode_region_link(text)
    assert again.geometry.symmetric_difference(region.geometry).area < 1e-8
    assert again.name == region.name


def test_a_drawn_region_comes_back_from_its_link_to_the_metre_with_name_and_holes():
    drawn = PYRENEES.difference(shapely.box(-0.4, 42.75, -0.3, 42.85)).union(
        shapely.box(1.123456, 42, 1.5, 42.2)
    )
    region = region_from_geometry(drawn, "Coto Núñez")
    text = encode_region_link(region)
    assert len(text) < 150 and text.startswith("poly1:")
    again = decode_region_link(text)
    assert again.name == "Coto Núñez"
    assert shapely.hausdorff_distance(again.geometry, region.geometry) <= 0.75e-5
    assert again.notes == ("Read from a link.",)


@pytest.mark.parametrize("name", ["Norway", "Greece", "Switzerland"])
def test_a_large_region_is_simplified_to_fit_and_says_how_far(name):
    region = region_from_geometry(country_outlines()[name], name)
    text = encode_region_link(region)
    assert len(text) <= 1_600
    again = decode_region_link(text)
    assert "the outline was simplified by up to" in again.notes[0]
    assert again.area_km2 == pytest.approx(region.area_km2, rel=0.2)


def test_a_circle_of_many_vertices_fits_a_short_link():
    again = decode_region_link(encode_region_link(region_from_geometry(wiggly_circle(20_000)), 400)[:400])
    assert again.area_km2 == pytest.approx(geodesic_area_km2(wiggly_circle(2_000)), rel=0.01)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The region '' in the link is not known; choose the region again"),
        ("javascript:alert(1)", "is not known; choose the region again"),
        ("poly1:", "The region in the link is damaged"),
        ("poly1:####", "The region in the link is damaged"),
        ("poly1:" + "A" * 40, "The region in the link is damaged"),
        ("x" * 20_001, "is 20,001 characters long, more than 20,000"),
        ("point:1,2", "is no circle; a link gives point:longitude,latitude,radius"),
        ("point:1,b,3", "'b' in the link is no number"),
        ("point:nan,1,3", "is not on the Earth"),
        ("place:Atlantis", "No place is called 'Atlantis'"),
        ("place:Pau, France~99999", "radius 99999 km is out of range"),
        ("cells:abc", "'abc' is no H3 cell"),
        ("cells:", "'' is no H3 cell"),
    ],
)
def test_a_link_that_is_no_region_is_refused(text, message):
    with pytest.raises(RegionError, match=message):
        decode_region_link(text)


def test_a_link_that_inflates_without_bound_is_refused():
    import base64

    bomb = base64.urlsafe_b64encode(zlib.compress(b"\0" * 10_000_000, 9)).decode().rstrip("=")
    assert len(bomb) < 20_000
    with pytest.raises(RegionError, match="The region in the link is damaged"):
        decode_region_link("poly1:" + bomb)


def test_a_tampered_link_gives_a_valid_region_or_a_sentence():
    text = encode_region_link(region_from_geometry(wiggly_circle(60)))
    letters = random.Random(3)
    for _ in range(200):
        at = letters.randrange(6, len(text))
        changed = text[:at] + letters.choice("ABCxyz019-_%") + text[at + letters.randrange(0, 3) :]
        try:
            assert decode_region_link(changed).geometry.is_valid
        except FlorascopeError as error:
            assert "\n" not in str(error)


@settings(max_examples=40, derandomize=True)
@given(
    st.floats(-179, 170), st.floats(-85, 80), st.floats(0.001, 9), st.floats(0.001, 5), st.text(max_size=30)
)  # fmt: skip
def test_any_box_and_name_survive_a_link(west, south, width, height, name):
    region = region_from_geometry(shapely.box(west, south, west + width, south + height), name)
    again = decode_region_link(encode_region_link(region))
    assert again.name == region.name
    np.testing.assert_allclose(again.bounds, region.bounds, atol=0.6e-5)
