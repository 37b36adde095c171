"""Occurrences: the original files, users' tables, every cleaning rule and every refusal."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdm_core.errors import OccurrenceError
from sdm_core.occurrences import (
    CleaningStep,
    Occurrences,
    parse_name,
    read_afliber,
    read_csv,
    read_eu_forest,
)
from tests.original_data import afliber, eu_forest


def write(path: Path, text: str, encoding="utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def removed(occurrences: Occurrences) -> dict[str, int]:
    return {step.rule: step.removed for step in occurrences.steps}


# -- names ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "species", "rank"),
    [
        ("Quercus robur", "Quercus robur", "species"),
        ("Quercus robur L.", "Quercus robur", "species"),
        ("quercus robur", "Quercus robur", "species"),
        ("QUERCUS ROBUR", "Quercus robur", "species"),
        ("Quercus_robur", "Quercus robur", "species"),
        ("Cephalanthera longifolia (L.) Fritsch", "Cephalanthera longifolia", "species"),
        ("Viola odorata L. ex Miller", "Viola odorata", "species"),
        ("Rosa canina auct. non L.", "Rosa canina", "species"),
        ("Poa annua de Vries f.", "Poa annua", "species"),
        ("Capsella bursa-pastoris (L.) Medik.", "Capsella bursa-pastoris", "species"),
        ("Populus ×canescens (Aiton) Sm.", "Populus × canescens", "species"),
        ("Populus x canescens", "Populus × canescens", "species"),
        ("Chaenorhinum minus (L.) Lange subsp. minus", "Chaenorhinum minus", "infraspecific"),
        ("Acer opalus granatense", "Acer opalus", "infraspecific"),
        ("Salix alba var. vitellina (L.) Stokes", "Salix alba", "infraspecific"),
        ("Quercus robur × Quercus petraea", None, "hybrid formula"),
        ("Quercus robur x petraea", None, "hybrid formula"),
        ("Taraxacum officinale agg.", None, "aggregate"),
        ("Carex cf. nigra", None, "uncertain"),
        ("Alchemilla sp.", None, "above species"),
        ("Alchemilla", None, "above species"),
        ("Pinaceae Spreng. ex Rudolphi", None, "above species"),
        ("", None, "above species"),
        ("12345", None, "above species"),
    ],
)
def test_names_are_brought_to_species_level(text, species, rank):
    parsed = parse_name(text)
    assert (parsed.species, parsed.rank) == (species, rank)


@settings(max_examples=200)
@given(st.text(max_size=40))
def test_any_text_is_parsed_and_a_species_parses_to_itself(text):
    species = parse_name(text).species
    if species is not None:
        assert parse_name(species).species == species


# -- EU-Forest --------------------------------------------------------------------------------------------

HEADER = "X,Y,COUNTRY,SPECIES NAME,DBH-1,DBH-2,NFI,FF,BS,EEO"


def forest_csv(*rows: tuple) -> str:
    return "\n".join(
        [HEADER, *(f"{x},{y},{country},{name},1,1,1,-9999,-9999,{eeo}" for x, y, country, name, eeo in rows)]
    )


#: 10° E, 52° N is the false origin of EPSG:3035: easting 4,321,000 m, northing 3,210,000 m.
ORIGIN = (4_321_000, 3_210_000)


def test_eu_forest_centres_become_longitude_and_latitude(tmp_path):
    path = write(tmp_path / "f.csv", forest_csv((*ORIGIN, "Germany", "Fagus sylvatica", 1)))
    row = read_eu_forest(path).table.iloc[0]
    assert row["longitude"] == pytest.approx(10, abs=1e-9)
    assert row["latitude"] == pytest.approx(52, abs=1e-9)
    assert row["site"] == "E4321000N3210000"
    assert bool(row["inside_extent"]) is True


def test_eu_forest_cleaning_counts_every_rule(tmp_path):
    x, y = ORIGIN
    path = write(
        tmp_path / "f.csv",
        forest_csv(
            (x, y, "Polland", "Fagus sylvatica", 1),
            (x, y, "Polland", "Fagus sylvatica", 1),  # duplicate
            (x, y, "Germany", "Abies alba", 1),  # second country of the cell, fewer records
            (x, y, "Germany", "Fagus sylvatica", 1),  # duplicate once the cell has one country
            (x + 1000, y, "Germany", "Quercus robur", 0),  # outside the extent of occurrence
            (1_600_000, 900_000, "Spain", "Pinus canariensis", 1),  # Canary Islands
            (x + 2000, y, "Germany", "Salix sp.", 1),  # not a species
            ("", y, "Germany", "Salix alba", 1),  # no easting
        ),
    )
    occurrences = read_eu_forest(path)
    assert removed(occurrences) == {
        "unreadable coordinates": 1,
        "outside Europe": 1,
        "not at species level": 1,
        "country spelling": 0,
        "cells under two countries": 0,
        "duplicates": 2,
    }
    assert occurrences.n_records == 3
    assert occurrences.species == ["Abies alba", "Fagus sylvatica", "Quercus robur"]
    # The cell has two records each under Poland and Germany; the tie goes to the first by alphabet.
    assert set(occurrences.table["country"]) == {"Germany"}
    report = occurrences.report()
    assert list(report.columns) == ["rule", "removed", "left", "note"]
    assert report["left"].iloc[0] == 8 and report["left"].iloc[-1] == 3
    assert "3 records respelt" not in report["note"].iloc[4] and "2 records respelt" in report["note"].iloc[4]
    strict = read_eu_forest(path, keep_outside_extent=False)
    assert strict.species == ["Abies alba", "Fagus sylvatica"]


def test_eu_forest_is_read_from_its_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as archive:
        archive.writestr("EUForestspecies.csv", forest_csv((*ORIGIN, "Germany", "Fagus sylvatica", 1)))
    assert read_eu_forest(tmp_path / "f.zip").n_records == 1


def test_eu_forest_accepts_the_header_the_paper_uses(tmp_path):
    text = forest_csv((*ORIGIN, "Germany", "Fagus sylvatica", 1)).replace("EEO", "EOO")
    assert read_eu_forest(write(tmp_path / "f.csv", text)).n_records == 1


def test_eu_forest_refuses_other_files(tmp_path):
    other = write(tmp_path / "other.csv", "species,longitude,latitude\nFagus sylvatica,10,52\n")
    with pytest.raises(OccurrenceError, match=r"other\.csv has no column for the easting in EPSG:3035"):
        read_eu_forest(other)
    degrees = write(tmp_path / "degrees.csv", forest_csv((10.5, 52.1, "Germany", "Fagus sylvatica", 1)))
    with pytest.raises(OccurrenceError, match="look like degrees; EU-Forest is in metres"):
        read_eu_forest(degrees)
    far = write(tmp_path / "far.csv", forest_csv((1_600_000, 900_000, "Spain", "Pinus canariensis", 1)))
    with pytest.raises(
        OccurrenceError, match=r"No record of far\.csv is left after the rule 'outside Europe'"
    ):
        read_eu_forest(far)


def test_original_eu_forest_loses_39_duplicates_and_the_canary_islands(data_dir):
    occurrences = eu_forest(data_dir)
    counts = removed(occurrences)
    assert sum(counts.values()) + occurrences.n_records == 588_983
    assert counts["duplicates"] == 39
    assert counts["outside Europe"] == 2050
    assert counts["not at species level"] == 0
    notes = {step.rule: step.note for step in occurrences.steps}
    assert notes["cells under two countries"].startswith("21 cells are listed under two countries")
    assert occurrences.n_species == 236
    assert occurrences.table["latitude"].min() > 34
    assert "Polland" not in set(occurrences.table["country"])
    assert occurrences.table.groupby("site", observed=True)["country"].nunique().max() == 1
    assert not occurrences.table.duplicated(["site", "species"]).any()


# -- AFLIBER ----------------------------------------------------------------------------------------------


def afliber_folder(folder: Path, pairs="0,0\n0,1\n0,2\n1,3\n", taxa: str | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    write(
        folder / "DERIVED_cells.csv",
        "cell_id,utm_cell,lon,lat,n_species\n0,30TAA00,-4.5,40.25,3\n1,30TAA01,-4.5,40.34,1\n",
    )
    write(
        folder / "DERIVED_taxa.csv",
        taxa
        or "taxon_id,Taxon,Endemic,Genus,Species,Subspecies,Family,GBIF_id\n"
        "0,Planta exempla una,True,Planta,exempla,una,Plantaceae,11\n"
        "1,Planta exempla altera,False,Planta,exempla,altera,Plantaceae,12\n"
        "2,Planta sola sola,True,Planta,sola,sola,Plantaceae,13\n"
        "3,Planta simplex,True,Planta,simplex,,Plantaceae,14\n",
    )
    with gzip.open(folder / "DERIVED_cell_taxon.csv.gz", "wt") as file:
        file.write("cell_id,taxon_id\n" + pairs)
    return folder


def test_afliber_subspecies_count_for_their_species_once_per_cell(tmp_path):
    occurrences = read_afliber(afliber_folder(tmp_path / "a"))
    assert occurrences.species == ["Planta exempla", "Planta simplex", "Planta sola"]
    assert removed(occurrences)["subspecies merged"] == 1
    assert occurrences.n_records == 3
    assert occurrences.table["site"].astype(str).tolist() == ["30TAA00", "30TAA00", "30TAA01"]


def test_afliber_species_is_endemic_when_all_its_taxa_are(tmp_path):
    taxa = read_afliber(afliber_folder(tmp_path / "a")).taxa.set_index("species")
    assert taxa["endemic"].to_dict() == {"Planta exempla": False, "Planta simplex": True, "Planta sola": True}
    assert taxa["n_taxa"].to_dict() == {"Planta exempla": 2, "Planta simplex": 1, "Planta sola": 1}


def test_afliber_key_of_a_subspecies_is_not_taken_for_the_species(tmp_path):
    taxa = read_afliber(afliber_folder(tmp_path / "a")).taxa.set_index("species")
    assert taxa.loc["Planta simplex", "gbif_key"] == 14
    assert pd.isna(taxa.loc["Planta sola", "gbif_key"])
    assert taxa.loc["Planta exempla", "gbif_taxon_keys"] == "11 12"


def test_afliber_records_of_unknown_taxa_are_counted(tmp_path):
    occurrences = read_afliber(afliber_folder(tmp_path / "a", pairs="0,0\n0,99\n7,0\n,\n"))
    assert removed(occurrences)["unknown cell or taxon"] == 3


def test_afliber_refuses_incomplete_folders(tmp_path):
    with pytest.raises(OccurrenceError, match=r"has no DERIVED_cells\.csv; the AFLIBER folder needs"):
        read_afliber(tmp_path)
    folder = afliber_folder(tmp_path / "a", taxa="taxon_id,Genus,Species\n0,Planta,exempla\n")
    with pytest.raises(OccurrenceError, match="has no column for Subspecies"):
        read_afliber(folder)
    doubled = afliber_folder(tmp_path / "b")
    write(doubled / "DERIVED_cells.csv", "cell_id,utm_cell,lon,lat\n0,A,1,40\n0,B,2,40\n")
    with pytest.raises(OccurrenceError, match="cell_id must hold one whole number per row, each once"):
        read_afliber(doubled)


def test_original_afliber_has_5681_species(data_dir):
    occurrences = afliber(data_dir)
    counts = removed(occurrences)
    assert sum(counts.values()) + occurrences.n_records == 1_824_549
    assert occurrences.n_species == 5681
    assert not occurrences.table.duplicated(["site", "species"]).any()
    taxa = occurrences.taxa.set_index("species")
    assert bool(taxa.loc["Abies pinsapo", "endemic"]) and not bool(taxa.loc["Abies alba", "endemic"])
    assert (taxa["family"] != "").all()


# -- plain CSV and GBIF -----------------------------------------------------------------------------------

GBIF_HEADER = (
    "gbifID\tfamily\tspecies\tscientificName\toccurrenceStatus\tdecimalLatitude\tdecimalLongitude\t"
    "coordinateUncertaintyInMeters\teventDate\tyear\tspeciesKey\tcountryCode\n"
)


def gbif_row(
    species="Fagus sylvatica", lat="47", lon="8", status="PRESENT", uncertainty="10", year="2001"
) -> str:
    cells = [
        "1",
        "Fagaceae",
        species,
        f'{species} "L.',
        status,
        lat,
        lon,
        uncertainty,
        f"{year}-05-01",
        year,
        "7",
        "NA",
    ]
    return "\t".join(cells) + "\n"


def test_gbif_simple_csv_is_understood(tmp_path):
    occurrences = read_csv(
        write(tmp_path / "g.csv", GBIF_HEADER + gbif_row() + gbif_row("Abies alba", year="1999"))
    )
    assert list(occurrences.table.columns) == [
        "species", "longitude", "latitude", "date", "year", "country", "uncertainty_m",
    ]  # fmt: skip
    assert occurrences.table["longitude"].tolist() == [8, 8] and occurrences.table["latitude"].tolist() == [
        47,
        47,
    ]
    assert occurrences.table["country"].tolist() == ["NA", "NA"]  # Namibia, not missing
    assert occurrences.taxa.set_index("species").loc["Abies alba"].to_dict() == {
        "family": "Fagaceae",
        "gbif_key": 7,
    }


def test_every_rule_removes_and_counts_its_records(tmp_path):
    text = GBIF_HEADER + "".join(
        [
            gbif_row(),
            gbif_row(),  # duplicate
            gbif_row(lat=""),
            gbif_row(lat="x"),
            gbif_row(lat="120", lon="45"),  # exchanged
            gbif_row(lat="200", lon="200"),  # out of range
            gbif_row(lat="0", lon="0"),
            gbif_row(lat="8", lon="47"),  # exchanged, seen by the area
            gbif_row(lat="-30", lon="100"),  # elsewhere
            gbif_row(""),
            gbif_row(status="ABSENT"),
            gbif_row(uncertainty="5000"),
            gbif_row("Abies alba", uncertainty=""),
            gbif_row(year="800"),
            gbif_row(year="2999"),
            gbif_row("Acer campestre", year=""),
        ]
    )
    occurrences = read_csv(
        write(tmp_path / "g.csv", text), max_uncertainty_m=1000, years=(1600, 2026), bounds=(-25, 34, 45, 72)
    )
    assert removed(occurrences) == {
        "no coordinates": 2,
        "longitude and latitude exchanged": 2,
        "coordinates out of range": 1,
        "coordinates 0, 0": 1,
        "outside the area": 1,
        "not at species level": 1,
        "recorded as absent": 1,
        "coordinates too uncertain": 1,
        "impossible years": 2,
        "duplicates": 1,
    }
    assert occurrences.species == ["Abies alba", "Acer campestre", "Fagus sylvatica"]
    assert occurrences.report()["left"].tolist()[-1] == occurrences.n_records == 3


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_are_found(tmp_path, separator):
    text = (
        separator.join(["taxon", "long", "lat"]) + "\n" + separator.join(["Abies alba", "7.5", "46.5"]) + "\n"
    )
    assert read_csv(write(tmp_path / "t.csv", text)).table.iloc[0].tolist() == ["Abies alba", 7.5, 46.5]


def test_decimal_commas_and_byte_order_marks_are_understood(tmp_path):
    path = write(tmp_path / "t.csv", "species;longitude;latitude\nAbies alba;7,5;46,5\n", "utf-8-sig")
    assert read_csv(path).table["longitude"].tolist() == [7.5]


def test_gzip_and_zip_tables_are_opened(tmp_path):
    text = "species,longitude,latitude\nAbies alba,7.5,46.5\n"
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(text.encode()))
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("t.csv", text)
    assert read_csv(tmp_path / "t.csv.gz").n_records == read_csv(tmp_path / "t.zip").n_records == 1


def test_columns_can_be_named(tmp_path):
    path = write(tmp_path / "t.csv", "plant,E,N,when\nAbies alba,4321000,3210000,2020-01-02\n")
    occurrences = read_csv(path, species="plant", longitude="E", latitude="N", date="when", crs="EPSG:3035")
    assert occurrences.table["longitude"].iloc[0] == pytest.approx(10)
    assert occurrences.table["latitude"].iloc[0] == pytest.approx(52)
    assert occurrences.table["year"].tolist() == [2020]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"t\.csv is empty"),
        (b"species\nAbies alba\n", "has no comma, tab or semicolon in its first line"),
        (b"specis,longitude,latitude\nA b,1,2\n", r"the species name \(nearest column: 'specis'\)"),
        (b"species,longitute,latitude\nA b,1,2\n", r"the longitude \(nearest column: 'longitute'\)"),
        (b"species,longitude,latitude\n", r"t\.csv holds no records"),
        (b"species,longitude,latitude\nAbies alba,x,y\n", "is left after the rule 'no coordinates'"),
        (b"species,longitude,latitude\nAbies alba M\xfcll.,1,2\n", r"is not written in utf-8 .*'latin-1'"),
        (b"%PDF-1.4", r"t\.csv is a PDF, not a text table"),
        (b"abc\x00\x01\x02", "is a binary file"),
        (b"PK\x03\x04broken", "cannot be unpacked"),
        (b'species,longitude,latitude\n"Abies alba,1,2\n', "cannot be read as a table"),
    ],
)
def test_bad_files_end_in_one_sentence(tmp_path, content, message):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(OccurrenceError, match=message):
        read_csv(tmp_path / "t.csv")


def test_bad_paths_and_options_end_in_one_sentence(tmp_path):
    path = write(tmp_path / "t.csv", "species,longitude,latitude\nAbies alba,7.5,46.5\n")
    with pytest.raises(OccurrenceError, match="There is no occurrence file at"):
        read_csv(tmp_path / "absent.csv")
    with pytest.raises(OccurrenceError, match="is a folder"):
        read_csv(tmp_path)
    with pytest.raises(OccurrenceError, match="no column for the coordinate uncertainty"):
        read_csv(path, max_uncertainty_m=100)
    with pytest.raises(OccurrenceError, match="coordinate system 'EPSG:nothing' is not known"):
        read_csv(path, crs="EPSG:nothing")
    with pytest.raises(OccurrenceError, match="encoding 'klingon' is not known"):
        read_csv(path, encoding="klingon")
    with pytest.raises(OccurrenceError, match="no column for the date"):
        read_csv(path, date="when")
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.csv", "x"), archive.writestr("b.csv", "x")
    with pytest.raises(OccurrenceError, match=r"holds 2 tables \(a\.csv, b\.csv\)"):
        read_csv(tmp_path / "two.zip")


@pytest.mark.parametrize("kind", ["gz", "zip"])
def test_archives_that_unpack_to_too_much_are_refused(tmp_path, monkeypatch, kind):
    monkeypatch.setattr("sdm_core.occurrences.reading.MAX_TABLE_BYTES", 1000)
    if kind == "gz":
        (tmp_path / "t.gz").write_bytes(gzip.compress(b"0" * 1001))
    else:
        with zipfile.ZipFile(tmp_path / "t.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("t.csv", b"0" * 1001)
    with pytest.raises(OccurrenceError, match="unpacks to more than"):
        read_csv(tmp_path / f"t.{kind}")


def test_other_encodings_are_read_when_named(tmp_path):
    path = write(tmp_path / "t.csv", "species,longitude,latitude\nAbies alba Müll.,1,42\n", "latin-1")
    assert read_csv(path, encoding="latin-1").species == ["Abies alba"]


def test_tuscan_records_lose_three_impossible_years(data_dir):
    occurrences = read_csv(data_dir / "occurrences_tuscany" / "floratus.csv.gz", max_uncertainty_m=2000)
    counts = removed(occurrences)
    assert counts["impossible years"] == 3
    assert counts["not at species level"] == 64
    assert occurrences.table["uncertainty_m"].max() <= 2000
    assert sum(counts.values()) + occurrences.n_records == 80_000


# -- the table --------------------------------------------------------------------------------------------


def table(*rows: tuple[str, float, float]) -> Occurrences:
    return Occurrences(pd.DataFrame(rows, columns=["species", "longitude", "latitude"]), (), "made up")


def test_thinning_keeps_one_record_per_species_and_cell():
    occurrences = table(("A b", 0.1, 40.1), ("A b", 0.2, 40.2), ("C d", 0.2, 40.2), ("A b", 1.1, 40.1))
    thinned = occurrences.thinned(spacing_deg=1.0)
    assert thinned.n_records == 3
    assert thinned.steps == (
        CleaningStep("thinning", 1, "One record per species and 1-degree square is kept: the first."),
    )
    assert occurrences.n_records == 4
    by_cell = occurrences.thinned(np.array([5, 5, -1, 6]))
    assert by_cell.table["longitude"].tolist() == [0.1, 1.1]


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.floats(-180, 180), st.floats(-90, 90)), min_size=1, max_size=40
    )
)
def test_thinning_twice_changes_nothing_more_and_loses_no_species(rows):
    occurrences = table(*rows)
    once = occurrences.thinned(spacing_deg=10)
    assert once.thinned(spacing_deg=10).n_records == once.n_records
    assert once.n_species == occurrences.n_species


def test_filtering_everything_away_is_an_error():
    with pytest.raises(OccurrenceError, match="No occurrence is left after the rule 'nothing'"):
        table(("A b", 0, 40)).filtered(np.array([False]), "nothing")
    with pytest.raises(OccurrenceError, match="was given 2 yes/no values for 1 records"):
        table(("A b", 0, 40)).filtered(np.array([True, True]), "rule")
    with pytest.raises(OccurrenceError, match="spacing is 0 degrees"):
        table(("A b", 0, 40)).thinned(spacing_deg=0)
    with pytest.raises(OccurrenceError, match="given 2 cells for 1 records"):
        table(("A b", 0, 40)).thinned(np.array([1, 2]))


def test_a_table_needs_species_and_coordinates():
    with pytest.raises(OccurrenceError, match="has no column latitude"):
        Occurrences(pd.DataFrame({"species": ["A b"], "longitude": [1.0]}))
