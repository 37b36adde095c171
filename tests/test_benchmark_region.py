"""Where a region stands among the cells of its country and of the atlas."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from sdm_core import regions
from sdm_core.errors import RegionError
from sdm_core.indicators import benchmark_region, check_outlines, percentile_of, standing_words
from sdm_core.statuses import match_statuses, read_statuses

VALLEY = shapely.Polygon([(0.6, 42.45), (1.5, 42.45), (1.4, 42.8), (0.7, 42.75), (0.6, 42.45)])


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        (0.0, "average"),
        (10.0, "average"),
        (-10.0, "average"),
        (10.1, "above"),
        (30.0, "above"),
        (30.1, "far above"),
        (-10.1, "below"),
        (-30.0, "below"),
        (-30.1, "far below"),
        (float("nan"), "not defined"),
    ],
)
def test_words_follow_the_distance_from_the_mean(difference, words):
    assert standing_words(difference) == words


def test_percentile_is_the_share_of_area_with_lower_values():
    assert percentile_of(2.5, [1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 1.0, 5.0]) == 25.0
    assert percentile_of(0.5, [1.0, 2.0], [1.0, 1.0]) == 0.0
    assert percentile_of(9.0, [1.0, 2.0, np.nan], [1.0, 1.0, 9.0]) == 100.0
    assert percentile_of(1.0 + 1e-12, [1.0, 2.0], [1.0, 1.0]) == 0.0  # equal but for rounding
    assert np.isnan(percentile_of(np.nan, [1.0], [1.0]))
    assert np.isnan(percentile_of(1.0, [np.nan], [1.0]))


def _stand(store, geometry, statuses=()):
    region = regions.region_from_geometry(geometry, "Valley")
    chosen = regions.select_cells(region, store.lonlat, store.resolution, store.cells, store.area_ha)
    return benchmark_region(store, chosen.rows, chosen.hectares, region, statuses), chosen


def test_region_stands_among_the_cells_of_its_countries_and_of_the_atlas(simulated_atlas):
    store = simulated_atlas.store
    found, chosen = _stand(store, shapely.box(0.6, 42.25, 0.9, 42.45))
    richness = np.asarray(store.layer("richness"), dtype=float)
    area = np.asarray(store.area_ha, dtype=float)
    mean = np.average(richness[chosen.rows], weights=area[chosen.rows])
    countries, atlas = found.of("richness")
    assert atlas.against == "atlas" and atlas.value == pytest.approx(mean)
    assert atlas.reference == pytest.approx(np.average(richness, weights=area))
    assert atlas.percentile == pytest.approx(100 * area[richness < mean].sum() / area.sum())
    assert atlas.difference_percent == pytest.approx(100 * (mean / atlas.reference - 1))

    assert countries.against == "countries" and countries.place == "Spain"
    spain = regions.country_outlines()["Spain"]
    inside = shapely.contains_xy(spain, store.lonlat[:, 0], store.lonlat[:, 1])
    assert 0 < inside.sum() < store.n_cells
    assert countries.reference == pytest.approx(np.average(richness[inside], weights=area[inside]))
    assert [standing.measure for standing in found.standings[2:]] == ["weighted_endemism"] * 2
    assert any("biogeographic" in note for note in found.notes)
    assert any("No Red List" in note for note in found.notes)


def test_whole_atlas_is_average_among_itself(simulated_atlas):
    store = simulated_atlas.store
    west, south = store.lonlat.min(axis=0) - 1
    east, north = store.lonlat.max(axis=0) + 1
    found, chosen = _stand(store, shapely.box(west, south, east, north))
    assert len(chosen.rows) == store.n_cells
    for standing in found.standings:
        if standing.against == "atlas":
            assert standing.value == pytest.approx(standing.reference)
            assert standing.words == "average"


def test_red_list_adds_the_threatened_share(simulated_atlas, tmp_path):
    store = simulated_atlas.store
    first, second = store.species["species"].iloc[:2]
    path = tmp_path / "red.csv"
    path.write_text(
        "taxon,list,category,region,source,date,licence\n"
        f"{first},Red List,EN,Spain,Made up,2026-01-01,CC0\n"
        f"{second},Red List,LC,Spain,Made up,2026-01-01,CC0\n",
        encoding="utf-8",
    )
    found, chosen = _stand(store, VALLEY, [match_statuses(read_statuses(path), store.species)])
    (atlas,) = [standing for standing in found.of("threatened_share") if standing.against == "atlas"]
    from sdm_core.prediction import decode

    p = decode(np.asarray(store.codes[:])).astype(float)
    share = np.divide(p[:, 0], p[:, 0] + p[:, 1], out=np.full(len(p), np.nan), where=p[:, :2].sum(1) > 0)
    area = np.asarray(store.area_ha, dtype=float)
    inside, known = share[chosen.rows], np.isfinite(share[chosen.rows])
    assert atlas.value == pytest.approx(np.average(inside[known], weights=area[chosen.rows][known]), rel=1e-6)
    assert not any("No Red List" in note for note in found.notes)
    written = found.to_dict()
    assert written["standings"][2]["measure"] == "threatened_share"
    assert written["standings"][0]["words"] == found.standings[0].words


def _outlines(*zones):
    names, shapes = zip(*zones, strict=True)
    return regions.Outlines("zones.gpkg", "zone", names, tuple(shapely.MultiPolygon([s]) for s in shapes))


def test_outlines_that_hold_most_of_the_region_are_its_frame(simulated_atlas):
    store = simulated_atlas.store
    region = regions.region_from_geometry(VALLEY, "Valley")
    chosen = regions.select_cells(region, store.lonlat, store.resolution, store.cells, store.area_ha)
    west, east = shapely.box(-3, 41, 1.0, 44), shapely.box(1.0, 41, 4, 44)
    share = float(chosen.hectares @ (store.lonlat[chosen.rows, 0] < 1.0) / chosen.hectares.sum())
    assert min(share, 1 - share) > 0.05
    zones = _outlines(("East", east), ("West", west), ("Far", shapely.box(20, 60, 21, 61)))
    found = benchmark_region(store, chosen.rows, chosen.hectares, region, (), zones)
    larger, side = ("West", west) if share > 0.5 else ("East", east)
    assert found.frame is not None
    assert found.frame.shares == ((larger, pytest.approx(max(share, 1 - share))),)
    against = [standing.against for standing in found.of("richness")]
    assert against == ["countries", "outlines", "atlas"]
    standing = found.of("richness")[1]
    inside = shapely.contains_xy(side, store.lonlat[:, 0], store.lonlat[:, 1])
    richness, area = np.asarray(store.layer("richness"), float), np.asarray(store.area_ha, float)
    assert standing.place == f"“{larger}”"
    assert standing.reference == pytest.approx(np.average(richness[inside], weights=area[inside]))
    assert "zones.gpkg" in found.frame.sentence and found.frame.sentence in found.notes
    assert not any("biogeographic" in note for note in found.notes)
    assert found.to_dict()["frame"]["shares_percent"] == {larger: pytest.approx(100 * max(share, 1 - share))}


def test_outlines_that_hold_less_than_half_are_all_the_frame(simulated_atlas):
    store = simulated_atlas.store
    region = regions.region_from_geometry(VALLEY, "Valley")
    chosen = regions.select_cells(region, store.lonlat, store.resolution, store.cells, store.area_ha)
    zones = _outlines(("A", shapely.box(0.6, 42.4, 0.8, 42.9)), ("B", shapely.box(0.8, 42.4, 1.0, 42.9)))
    found = benchmark_region(store, chosen.rows, chosen.hectares, region, (), zones)
    assert found.frame is not None
    assert sorted(name for name, _ in found.frame.shares) == ["A", "B"]
    assert sum(share for _, share in found.frame.shares) < 0.5


def test_outlines_elsewhere_are_said_to_hold_nothing(simulated_atlas):
    store = simulated_atlas.store
    region = regions.region_from_geometry(VALLEY, "Valley")
    chosen = regions.select_cells(region, store.lonlat, store.resolution, store.cells, store.area_ha)
    zones = _outlines(("Far", shapely.box(20, 60, 21, 61)))
    found = benchmark_region(store, chosen.rows, chosen.hectares, region, (), zones)
    assert found.frame is None
    assert any("No outline of zones.gpkg (1 read) holds the centre" in note for note in found.notes)
    with pytest.raises(RegionError, match=r"No outline of zones.gpkg \(1 read\) holds a cell of the atlas"):
        check_outlines(zones, store)
    check_outlines(_outlines(("All", shapely.box(-180, -90, 180, 90))), store)
