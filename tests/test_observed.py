"""Observed: a user's records and plots, clipped to a region and set beside its prediction."""

from __future__ import annotations

import gzip
import io
import zipfile

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from sdm_core import config, indicators, regions
from sdm_core.errors import MissingCRSError, OccurrenceError
from sdm_core.observed import (
    AGREED,
    MISSED,
    NOT_IN_ATLAS,
    UNEXPECTED,
    UNEXPECTED_BELOW,
    match_species,
    observe_region,
    read_records,
)
from sdm_core.observed.accumulation import accumulation_numbers

BOX = [[0.4, 42.45], [1.2, 42.45], [1.2, 42.75], [0.4, 42.75], [0.4, 42.45]]
#: Two plots inside BOX, one outside; covers in percent.
PLOTS = (
    "plot,lon,lat,year,species,cover\n"
    "p1,0.6,42.5,2001,Abies alba,60\n"
    "p1,0.6,42.5,2001,Fagus sylvatica L.,20\n"
    "p2,0.9,42.6,2011,Abies alba,20\n"
    "p3,1.9,42.6,2011,Pinus nigra,50\n"
)


@pytest.fixture(scope="module")
def region():
    return regions.region_from_geojson({"type": "Polygon", "coordinates": [BOX]}, name="Box")


@pytest.fixture(scope="module")
def summary(simulated_atlas, region):
    store = simulated_atlas.store
    chosen = regions.select_cells(region, store.lonlat, store.resolution, store.cells, store.area_ha)
    return indicators.summarise_region(store, chosen.rows, region, "sse", chosen.notes, chosen.hectares)


def read(text: str, name: str = "records.csv", **options):
    return read_records([(name, text.encode())], **options)


def observed(text: str, atlas, region, summary, **options):
    return observe_region(read(text, **options), region, atlas.species, summary)


def points(species: list[str], longitude: float = 0.8, latitude: float = 42.6) -> str:
    """A CSV of one record per species, at one place, each a metre apart."""
    rows = [f"{name},{longitude + 1e-5 * i},{latitude},2001" for i, name in enumerate(species)]
    return "\n".join(["species,longitude,latitude,year", *rows])


def geopackage(layers: dict[str, gpd.GeoDataFrame], tmp_path) -> bytes:
    path = tmp_path / "own.gpkg"
    for name, layer in layers.items():
        if isinstance(layer, gpd.GeoDataFrame):
            layer.to_file(path, layer=name, driver="GPKG")
        else:
            import pyogrio

            pyogrio.write_dataframe(layer, path, layer=name, driver="GPKG")
    return path.read_bytes()


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


# -- beside the prediction --------------------------------------------------------------------------------


def test_species_are_agreed_missed_unexpected_or_not_in_the_atlas(simulated_atlas, region, summary):
    table = summary.species_table.set_index("species")
    present = table.index[table["present"]][0]
    missed = table.index[~table["present"] & (table["max_probability"] >= UNEXPECTED_BELOW)][0]
    unexpected = table.index[~table["present"] & (table["max_probability"] < UNEXPECTED_BELOW)][0]
    found = observed(
        points([present, missed, unexpected, "Planta inventa"]), simulated_atlas, region, summary
    )
    status = found.species.set_index("species")["status"].to_dict()
    assert status == {
        present: AGREED,
        missed: MISSED,
        unexpected: UNEXPECTED,
        "Planta inventa": NOT_IN_ATLAS,
    }
    assert found.n_missed == 2 and found.count(UNEXPECTED) == 1
    row = found.species.set_index("species").loc[missed]
    assert row["mean_probability"] == table.loc[missed, "mean_probability"]
    expected = table.index[table["present"] & (table.index != present)]
    assert set(found.not_observed["species"]) == set(expected)
    assert found.not_observed["mean_probability"].is_monotonic_decreasing


def test_records_outside_are_counted_and_change_nothing_else(simulated_atlas, region, summary):
    inside = observed(points(["Abies alba"]), simulated_atlas, region, summary)
    both = points(["Abies alba"]) + "\nFagus sylvatica,2.1,42.8,1990\nPinus nigra,10,50,1990\n"
    found = observed(both, simulated_atlas, region, summary)
    assert (found.n_records, found.n_outside) == (1, 2)
    pd.testing.assert_frame_equal(found.species, inside.species)
    assert "2 of 3 records lie outside the outline" in " ".join(found.warnings)


def test_records_count_within_the_outline_and_not_within_its_box(simulated_atlas, summary):
    corner = regions.region_from_geojson(
        {"type": "Polygon", "coordinates": [[[0.4, 42.45], [1.2, 42.45], [0.4, 42.75], [0.4, 42.45]]]}
    )
    text = "species,longitude,latitude\nAbies alba,0.5,42.5\nPinus nigra,1.1,42.7\nTaxus baccata,0.8,42.45\n"
    found = observed(text, simulated_atlas, corner, summary)
    assert set(found.species["species"]) == {"Abies alba", "Taxus baccata"} and found.n_outside == 1


def test_records_without_a_year_are_counted_and_the_last_year_is_of_those_with_one(
    simulated_atlas, region, summary
):
    text = (
        "species,longitude,latitude,year\nAbies alba,0.8,42.6,\nAbies alba,0.8,42.6,1990\n"
        "Abies alba,0.8,42.6,2005\n"
    )
    found = observed(text, simulated_atlas, region, summary)
    assert (found.n_without_year, found.years) == (1, (1990, 2005))
    assert found.species["last_year"].tolist() == [2005] and found.species["first_year"].tolist() == [1990]
    assert "1 of 3 records inside state no year." in found.warnings


def test_two_names_of_one_species_are_one_species(simulated_atlas, region, summary):
    key = int(simulated_atlas.species.set_index("species").loc["Abies alba", "gbif_key"])
    text = (
        "species,decimalLongitude,decimalLatitude,speciesKey\n"
        f"Abies alba,0.8,42.6,{key}\nPinus picea,0.8,42.6,{key}\n"
    )
    found = observed(text, simulated_atlas, region, summary)
    assert found.species["species"].tolist() == ["Abies alba"]
    assert found.species["recorded_as"].tolist() == ["Abies alba; Pinus picea"]
    assert found.species["n_records"].tolist() == [2] and found.numbers["species"].value == 1


def test_exchanged_coordinates_inside_the_range_of_degrees_get_one_sentence(simulated_atlas, region, summary):
    text = "species,longitude,latitude\nAbies alba,42.6,0.8\nPinus nigra,42.6,0.9\n"
    found = observed(text, simulated_atlas, region, summary)
    assert found.n_records == 0 and np.isnan(found.numbers["shannon"].value)
    assert found.warnings == (
        "None of the 2 records lies inside the region, but 2 would with longitude and latitude exchanged: "
        "exchange the two columns.",
    )


def test_nothing_inside_says_where_the_records_are(simulated_atlas, region, summary):
    found = observed(points(["Abies alba", "Poa annua"], 11, 43), simulated_atlas, region, summary)
    assert "they lie between longitude 11.00 and 11.00, latitude 43.00 and 43.00" in found.warnings[0]
    alone = observed(points(["Abies alba"], 11, 43), simulated_atlas, region, summary)
    assert alone.warnings[0].startswith(
        "The only record, at longitude 11.00, latitude 43.00, does not lie inside"
    )
    assert "; check the coordinate system" in alone.warnings[0]
    turned = observed(points(["Abies alba"], 42.5, 0.6), simulated_atlas, region, summary)
    assert "but would with longitude and latitude exchanged" in turned.warnings[0]
    assert found.species.empty and len(found.not_observed) == summary.value("gamma")


# -- diversity of what was observed -----------------------------------------------------------------------


def test_cover_gives_the_shares_of_shannon_and_simpson(simulated_atlas, region, summary):
    found = observed(PLOTS, simulated_atlas, region, summary)
    # Mean covers over two plots: Abies alba (60 + 20) / 2, Fagus sylvatica 20 / 2, so shares 0.8 and 0.2.
    assert found.basis == "cover"
    assert found.species.set_index("species")["mean_cover_percent"].to_dict() == pytest.approx(
        {"Abies alba": 40, "Fagus sylvatica": 10}, abs=1e-4
    )
    assert found.numbers["shannon"].value == pytest.approx(-0.8 * np.log(0.8) - 0.2 * np.log(0.2), abs=1e-6)
    assert found.numbers["simpson"].value == pytest.approx(1 - 0.64 - 0.04, abs=1e-6)
    assert (found.n_plots, found.n_plots_outside) == (2, 1)
    assert "There are only 2 plots inside; with fewer than 5, means say little." in found.warnings
    assert "1 plot among them" in found.warnings[0]


def test_braun_blanquet_symbols_are_read_at_their_midpoints(simulated_atlas, region, summary):
    text = PLOTS.replace(",60", ",4").replace(",20\n", ",+\n").replace(",50", ",2a")
    found = observed(text, simulated_atlas, region, summary)
    assert found.species.set_index("species")["mean_cover_percent"].to_dict() == pytest.approx(
        {"Abies alba": (68 + 2) / 2, "Fagus sylvatica": 1}, abs=1e-4
    )


def test_plots_without_cover_weigh_by_frequency_and_single_records_by_number(
    simulated_atlas, region, summary
):
    wide = (
        "plot,lon,lat,Abies alba,Fagus sylvatica,Pinus nigra\np1,0.6,42.5,x,x,0\np2,0.7,42.5,x,0,0\n"
        "p3,0.8,42.5,x,0,x\n"
    )
    found = observed(wide, simulated_atlas, region, summary)
    assert found.basis == "plot frequency" and found.n_plots == 3
    assert found.numbers["simpson"].value == pytest.approx(1 - (9 + 1 + 1) / 25)
    assert found.numbers["plot_richness"].shown == "1.7 (1.0–2.0)"
    single = observed(points(["Abies alba", "Pinus nigra"]), simulated_atlas, region, summary)
    assert single.basis == "records" and single.numbers["simpson"].value == pytest.approx(0.5)
    assert any("their numbers follow where people went" in warning for warning in single.warnings)


def test_species_of_the_atlas_are_weighed_apart_for_the_comparison(simulated_atlas, region, summary):
    text = points(["Abies alba", "Pinus nigra", "Planta inventa", "Planta altera"])
    found = observed(text, simulated_atlas, region, summary)
    hill = found.numbers["hill_1"]
    assert (hill.value, hill.in_atlas) == (pytest.approx(4), pytest.approx(2))
    assert (found.numbers["species"].value, found.numbers["species"].in_atlas) == (4, 2)


def test_coverage_chao_and_rarefaction_of_known_counts():
    # Sixty records of five species, 56, 1, 1, 1, 1: f1 = 4, f2 = 0. By hand: coverage 1 - 4/60 * 177/179,
    # Chao1 5 + 59/60 * 4 * 3 / 2; fifty of the sixty records hold each single with 5/6.
    numbers = {number.name: number for number in accumulation_numbers(np.array([56, 1, 1, 1, 1]), 0)}
    assert numbers["coverage"].value == pytest.approx(100 * (1 - 4 / 60 * 177 / 179))
    assert numbers["chao"].value == pytest.approx(5 + 59 / 60 * 6)
    assert numbers["rarefied"].label == "Species in 50 records, rarefied"
    assert numbers["rarefied"].value == pytest.approx(1 + 4 * 5 / 6)
    assert numbers["rarefied"].low < numbers["rarefied"].value < numbers["rarefied"].high
    assert 5 < numbers["extrapolated"].value < numbers["chao"].value
    # Twelve plots, species in 12, 6 and 1 of them: ten of twelve hold the last with 10/12.
    plots = {number.name: number for number in accumulation_numbers(np.array([12, 6, 1]), 12)}
    assert plots["rarefied"].label == "Species in 10 plots, rarefied"
    assert plots["rarefied"].value == pytest.approx(2 + 10 / 12)


# -- names ------------------------------------------------------------------------------------------------


def test_names_match_by_spelling_then_by_key_and_typing_errors_get_a_suggestion(simulated_atlas):
    key = int(simulated_atlas.species.set_index("species").loc["Pinus nigra", "gbif_key"])
    recorded = pd.DataFrame(
        {
            "species": ["ABIES  ALBA", "Pinus laricio", "Fagus silvatica", "Bellis perennis"],
            "gbif_key": pd.array([None, key, None, None], dtype="Int64"),
            "n_records": 1,
        }
    )
    matched = match_species(recorded, simulated_atlas.species)
    assert matched["atlas_species"].tolist() == ["Abies alba", "Pinus nigra", "", ""]
    assert matched["found_by"].tolist() == ["name", "GBIF key", "", ""]
    assert matched["suggestion"].tolist() == ["", "", "Fagus sylvatica", ""]
    assert matched["species_id"].tolist()[2:] == [-1, -1]


# -- reading ----------------------------------------------------------------------------------------------


def test_finds_without_coordinates_take_them_from_the_table_of_plots(simulated_atlas, region, summary):
    finds = "plot,species,cover\np1,Abies alba,60\np1,Fagus sylvatica,20\np2,Abies alba,20\n"
    plots = "plot,lon,lat,year\np1,0.6,42.5,2001\np2,0.9,42.6,2011\n"
    records = read_records([("finds.csv", finds.encode()), ("plots.csv", plots.encode())])
    found = observe_region(records, region, simulated_atlas.species, summary)
    assert (found.n_plots, found.n_records, found.years) == (2, 3, (2001, 2011))
    with pytest.raises(OccurrenceError, match=r"'finds.csv' names plots but has no coordinates, and there"):
        read(finds, "finds.csv")


def test_a_geopackage_in_another_system_is_read_in_degrees_and_its_columns_guessed(tmp_path):
    layer = gpd.GeoDataFrame(
        {"art": ["Abies alba", "Fagus sylvatica L."], "name": ["Wald", "Bach"], "year": [2001.0, None]},
        geometry=gpd.points_from_xy([0.6, 0.9], [42.5, 42.6]),
        crs=4326,
    ).to_crs(3035)
    records = read_records([("own.gpkg", geopackage({"points": layer}, tmp_path))])
    assert records.table["species"].tolist() == ["Abies alba", "Fagus sylvatica"]
    assert records.table["longitude"].tolist() == pytest.approx([0.6, 0.9], abs=1e-6)
    assert records.table["year"].tolist() == [2001, pd.NA]
    assert "Column 'art' was taken for the species" in records.account["note"].iloc[0]


def test_a_geopackage_of_plots_with_their_finds_in_a_second_layer(tmp_path):
    plots = gpd.GeoDataFrame(
        {"plot": ["p1", "p2"]}, geometry=gpd.points_from_xy([0.6, 0.9], [42.5, 42.6]), crs=4326
    ).to_crs(25831)
    finds = pd.DataFrame({"plot": ["p1", "p1", "p2"], "taxon": ["Abies alba", "Poa annua", "Abies alba"]})
    finds["cover"] = ["3", "+", "r"]
    records = read_records([("own.gpkg", geopackage({"plots": plots, "finds": finds}, tmp_path))])
    assert records.n_plots == 2 and records.table["cover"].tolist() == pytest.approx([38, 2, 1], abs=1e-4)
    assert records.table["longitude"].tolist() == pytest.approx([0.6, 0.6, 0.9], abs=1e-6)


def test_a_geopackage_that_cannot_be_understood_gets_one_sentence(tmp_path):
    shape = gpd.GeoDataFrame({"what": ["stone"]}, geometry=[shapely.Point(1, 42)], crs=4326)
    with pytest.raises(
        OccurrenceError, match=r"has no column for the species \(scientificName\) \(found: what"
    ):
        read_records([("own.gpkg", geopackage({"a": shape}, tmp_path))])
    (tmp_path / "own.gpkg").unlink()
    with pytest.raises(MissingCRSError, match="does not say which coordinate system its points are in"):
        read_records([("own.gpkg", geopackage({"a": shape.set_crs(None, allow_override=True)}, tmp_path))])
    (tmp_path / "own.gpkg").unlink()
    with pytest.raises(OccurrenceError, match=r"no column for the species .* \(found: longitude, latitude\)"):
        read_records([("own.gpkg", geopackage({"a": shape[["geometry"]]}, tmp_path))])


def test_empty_fields_at_the_end_of_rows_are_let_be():
    records = read("species,longitude,latitude\nAbies alba,1,42.5,,\nPinus nigra,1,42.6,,\n")
    assert records.table["species"].tolist() == ["Abies alba", "Pinus nigra"]


def test_plots_without_a_find_are_told():
    records = read("plot,longitude,latitude,Abies alba,Poa annua\np1,1,42.5,0,0\np2,1,42.6,5.5,20\n")
    (told,) = records.account["note"][records.account["rule"] == "plots without finds"]
    assert told == "1 of 2 plots have no find left and are left out."


def test_a_darwin_core_archive_of_events_keeps_its_covers():
    meta = (
        '<archive xmlns="http://rs.tdwg.org/dwc/text/"><core rowType="http://rs.tdwg.org/dwc/terms/Event" '
        'fieldsTerminatedBy="," ignoreHeaderLines="1"><files><location>e.csv</location></files>'
        '<id index="0"/>'
        '<field index="0" term="http://rs.tdwg.org/dwc/terms/eventID"/>'
        '<field index="1" term="http://rs.tdwg.org/dwc/terms/decimalLongitude"/>'
        '<field index="2" term="http://rs.tdwg.org/dwc/terms/decimalLatitude"/></core>'
        '<extension rowType="http://rs.tdwg.org/dwc/terms/Occurrence" fieldsTerminatedBy="," '
        'ignoreHeaderLines="1"><files><location>o.csv</location></files><coreid index="0"/>'
        '<field index="1" term="http://rs.tdwg.org/dwc/terms/scientificName"/>'
        '<field index="2" term="http://rs.tdwg.org/dwc/terms/organismQuantity"/>'
        '<field index="3" term="http://rs.tdwg.org/dwc/terms/organismQuantityType"/></extension></archive>'
    )
    events = "id,x,y\np1,0.6,42.5\np2,0.9,42.6\n"
    finds = "id,n,q,t\np1,Abies alba,60,% cover\np1,Poa annua,8,% cover\np2,Abies alba,20,% cover\n"
    content = zipped({"meta.xml": meta.encode(), "e.csv": events.encode(), "o.csv": finds.encode()})
    records = read_records([("archive.zip", content)])
    assert records.n_plots == 2 and records.table["cover"].tolist() == pytest.approx([60, 8, 20], abs=1e-4)
    counted = zipped(
        {
            "meta.xml": meta.encode(),
            "e.csv": events.encode(),
            "o.csv": finds.replace("% cover", "individuals").encode(),
        }
    )
    assert read_records([("archive.zip", counted)]).table["cover"].isna().all()


def test_projected_columns_are_read_when_the_system_is_stated():
    text = "species,x,y\nAbies alba,3584000,2220000\n"
    records = read(text, crs="EPSG:3035")
    assert records.table["longitude"].iloc[0] == pytest.approx(1.1, abs=0.2)
    with pytest.raises(OccurrenceError, match=r"no column for the longitude \(decimalLongitude\) nor for"):
        read(text)


def test_windows_text_is_read_with_a_note_and_gzip_as_it_is():
    text = "species;longitude;latitude;Beobachter\nAbies alba;0,6;42,5;Müller\n"
    records = read_records([("alt.csv", text.encode("cp1252")), ("b.csv.gz", gzip.compress(PLOTS.encode()))])
    assert "is not UTF-8 and was read as Windows-1252" in records.account["note"].iloc[0]
    assert records.n_records == 5 and records.title == "alt.csv, b.csv.gz"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"'records.csv' is empty \(0 bytes\)"),
        ("species,longitude,latitude\n", "holds no records"),
        ("a,b\n1,2\n", r"has no column for the species \(scientificName\) nor for the longitude"),
        (
            "species,longitude,latitude\nAbies alba,nan,\n",
            r"No record of records.csv is left after the rule 'no coordinates', which took out the last 1 "
            r"\(“Longitude or latitude is missing or not a number”\); check the columns",
        ),
        (
            "species,longitude,latitude\nAbies alba,500000,4700000\n",
            "if numbers such as 500000, 4.7e.06 are metres, name their coordinate system",
        ),
        (
            "species,longitude,latitude\nAbies alba,1,42.5,what,is,this\n",
            "has 6 fields in its first row and 3 in its header",
        ),
        (PLOTS.replace(",60", ",-3"), "has the cover '-3' .*0 to 100 percent"),
        (
            "species,longitude,latitude,individualCount\nAbies alba,1,42,2\nPinus nigra,1,42,-4\n",
            "has the count -4 in row 3 of its column 'individualCount'",
        ),
        (
            "species,longitude,latitude\nAbies alba,5,142\nPinus nigra,6,143\n",
            "longitude and latitude look sw",
        ),
        ("a\x00b", "is a binary file"),
    ],
)
def test_a_file_that_cannot_be_used_gets_one_sentence(text, said):
    with pytest.raises(OccurrenceError, match=said):
        read(text)


def test_impossible_years_and_keys_and_unknown_covers_stop_nothing():
    text = "species,longitude,latitude,year,speciesKey\nAbies alba,1,42,99999999999999999999,1.5\n"
    records = read(text + "Pinus nigra,1,42,2001,99999999999999999999\n")
    assert records.table["species"].tolist() == ["Pinus nigra"] and records.table["gbif_key"].isna().all()
    assert records.account.set_index("rule").loc["impossible years", "removed"] == 1
    covers = read(PLOTS.replace(",60", ",NA").replace("alba,20", "alba,0"))
    assert covers.table["cover"].isna().tolist() == [True, False, False]


def test_a_cube_is_read_alone_and_damaged_archives_get_one_sentence():
    cube = b"eeacellcode,species,occurrences\n1kmE3500N2200,Abies alba,3\n"
    assert read_records([("cube.csv", cube)]).n_records == 1
    packed = bytearray(gzip.compress(PLOTS.encode()))
    for place in range(10, len(packed)):
        packed[place] ^= 4
        with pytest.raises(OccurrenceError, match=r"cannot be unpacked|has no column|is not written"):
            read_records([("a.csv.gz", bytes(packed))])
        packed[place] ^= 4


def test_a_count_of_nought_is_an_absence():
    text = "species,longitude,latitude,individualCount\nAbies alba,1,42,0\nPinus nigra,1,42,3\n"
    records = read(text)
    assert records.table["species"].tolist() == ["Pinus nigra"]
    assert records.account.set_index("rule").loc["recorded as absent", "removed"] == 1


def test_large_files_and_bombs_are_refused_before_they_are_unpacked(monkeypatch, tmp_path):
    with pytest.raises(OccurrenceError, match="is 200 MB, more than the 150 MB a file of records may have"):
        read_records([("big.csv", memoryview(bytearray(200 * 1024**2)))])
    nought = b"0" * (11 * 1024**2)
    with pytest.raises(OccurrenceError, match=r"holds a file that unpacks to .* times its size"):
        read_records([("bomb.zip", zipped({"a.csv": nought}))])
    monkeypatch.setattr(config, "MAX_UNPACKED_BYTES", 10 * 1024**2)
    with pytest.raises(OccurrenceError, match="unpacks to more than the 10 MB allowed"):
        read_records([("bomb.csv.gz", gzip.compress(nought))])
    with pytest.raises(OccurrenceError, match="whose path leads out of the archive"):
        read_records([("bad.zip", zipped({"../a.csv": b"x"}))])
    with pytest.raises(OccurrenceError, match="cannot be unpacked"):
        read_records([("cut.csv.gz", gzip.compress(PLOTS.encode())[:-12])])


def test_an_upload_leaves_no_file_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    read(PLOTS, "../../outside.csv")
    with pytest.raises(OccurrenceError):
        read("a,b\n1,2\n")
    assert not list(tmp_path.iterdir()) and not list(config.CACHE_DIR.rglob("*outside*"))


def test_the_fingerprint_follows_content_and_the_way_of_reading():
    one = read(PLOTS).fingerprint
    assert read(PLOTS, "other.csv").fingerprint == one
    assert read(PLOTS.replace("60", "61")).fingerprint != one
    assert read(PLOTS, cover_scale="presence").fingerprint != one


def test_points_of_a_map_are_counted_per_place_and_species(simulated_atlas, region, summary):
    text = PLOTS + "p2,0.9,42.6,2011,Pinus nigra,50\n"
    found = observed(text, simulated_atlas, region, summary)
    assert found.points()["n_records"].tolist() == [2, 2]
    nigra = int(found.species.set_index("species").loc["Pinus nigra", "species_id"])
    assert found.points(nigra).values.tolist() == [[0.9, 42.6, 1]]


# -- original data ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_original_plots_of_the_alps_lie_beside_the_trees(data_dir):
    from sdm_core.registry import open_atlas

    folder = data_dir / "releves_eastern_alps"
    records = read_records([folder / "plots.csv", folder / "species_cover.csv"])
    atlas = open_atlas("european-trees")
    forests = regions.region_from_geojson(
        {"type": "Polygon", "coordinates": [[[13, 47.5], [15, 47.5], [15, 48.3], [13, 48.3], [13, 47.5]]]}
    )
    store = atlas.store
    chosen = regions.select_cells(forests, store.lonlat, store.resolution, store.cells, store.area_ha)
    numbers = indicators.summarise_region(store, chosen.rows, forests, "sse", chosen.notes, chosen.hectares)
    found = observe_region(records, forests, atlas.species, numbers)
    plots = pd.read_csv(folder / "plots.csv")
    inside = plots["lon"].between(13, 15) & plots["lat"].between(47.5, 48.3)
    assert abs(found.n_plots - int(inside.sum())) <= 3 and found.basis == "plot frequency"
    agreed = found.species[found.species["status"] == AGREED]["species"]
    assert {"Picea abies", "Fagus sylvatica", "Acer pseudoplatanus"} <= set(agreed)
    assert 0.8 < found.numbers["coverage"].value / 100 <= 1


def test_original_records_of_tuscany_are_cleaned_and_counted(data_dir):
    records = read_records([data_dir / "occurrences_tuscany" / "floratus.csv.gz"])
    removed = records.account.set_index("rule")["removed"]
    assert records.n_read == 80_000 and removed["impossible years"] == 3
    assert records.n_records == 80_000 - removed.sum() and records.n_plots == 0
