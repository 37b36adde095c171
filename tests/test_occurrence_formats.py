"""Darwin Core archives, cubes, SINR files, plots × species, and the one way in that recognises them all."""

from __future__ import annotations

import gzip
import io
import json
import re
import zipfile

import numpy as np
import pandas as pd
import pytest
from pyproj import Transformer

from sdm_core.errors import OccurrenceError, UnknownSpeciesError
from sdm_core.occurrences import (
    BRAUN_BLANQUET,
    FORMATS,
    eea_cells_to_lonlat,
    open_darwin_core,
    read_checklist,
    read_csv,
    read_cube,
    read_darwin_core,
    read_occurrences,
    read_plots_long,
    read_plots_wide,
    read_sinr,
    recognise,
)
from sdm_core.occurrences.cubes import eea_cells_to_metres
from sdm_core.occurrences.recognition import header_columns


def write(path, text, encoding="utf-8"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def removed(occurrences):
    return {step.rule: step.removed for step in occurrences.steps if step.removed}


# -- GBIF -------------------------------------------------------------------------------------------------

#: The columns of a GBIF simple download, in its order.
GBIF_COLUMNS = re.split(
    r" +",
    "gbifID datasetKey occurrenceID kingdom phylum class order family genus species "
    "infraspecificEpithet  taxonRank scientificName verbatimScientificName "
    "verbatimScientificNameAuthorship countryCode  locality stateProvince occurrenceStatus "
    "individualCount publishingOrgKey decimalLatitude  decimalLongitude coordinateUncertaintyInMeters "
    "coordinatePrecision elevation elevationAccuracy depth  depthAccuracy eventDate day month year "
    "taxonKey speciesKey basisOfRecord institutionCode  collectionCode catalogNumber recordNumber "
    "identifiedBy dateIdentified license rightsHolder  recordedBy typeStatus establishmentMeans "
    "lastInterpreted mediaType issue",
)


def gbif(*rows):
    usual = {
        "species": "Abies alba",
        "scientificName": "Abies alba Mill.",
        "taxonRank": "SPECIES",
        "decimalLatitude": "46.5",
        "decimalLongitude": "7.5",
        "occurrenceStatus": "PRESENT",
        "basisOfRecord": "HUMAN_OBSERVATION",
        "year": "2010",
        "eventDate": "2010-06-01",
        "speciesKey": "2685484",
    }
    lines = ["\t".join(GBIF_COLUMNS)]
    lines += ["\t".join((usual | row).get(column, "") for column in GBIF_COLUMNS) for row in rows]
    return "\n".join(lines) + "\n"


def test_a_gbif_download_leaves_out_what_is_no_wild_presence_with_a_sound_place(tmp_path):
    path = write(
        tmp_path / "0001.csv",
        gbif(
            {},
            {"occurrenceStatus": "ABSENT"},
            {"basisOfRecord": "FOSSIL_SPECIMEN"},
            {"basisOfRecord": "LIVING_SPECIMEN"},
            {"basisOfRecord": "PRESERVED_SPECIMEN", "year": "1890", "eventDate": "1890"},
            {"issue": "GEODETIC_DATUM_ASSUMED_WGS84;COUNTRY_COORDINATE_MISMATCH"},
            {"issue": "COORDINATE_ROUNDED;GEODETIC_DATUM_ASSUMED_WGS84", "eventDate": "2010-06-02"},
            {"species": "", "scientificName": "Abies Mill.", "taxonRank": "GENUS"},
            {"decimalLatitude": "0", "decimalLongitude": "0"},
            {"year": "3010", "eventDate": "3010"},
        ),
    )
    occurrences = read_csv(path)
    assert removed(occurrences) == {
        "coordinates 0, 0": 1,
        "not at species level": 1,
        "recorded as absent": 1,
        "fossil or cultivated": 2,
        "coordinates flagged by GBIF": 1,
        "impossible years": 1,
    }
    assert occurrences.n_records == 3


def test_swapped_columns_are_named_as_such(tmp_path):
    text = "species,longitude,latitude\nAbies alba,46.5,107.5\nAbies alba,47,108\n"
    with pytest.raises(
        OccurrenceError, match=r"longitude and latitude look swapped: 2 of 2 records .* way round"
    ):
        read_csv(write(tmp_path / "t.csv", text))
    swapped = "species,longitude,latitude\nAbies alba,46.5,7.5\nAbies alba,47,8\n"
    with pytest.raises(OccurrenceError, match="look swapped"):
        read_csv(write(tmp_path / "t.csv", swapped), bounds=(-25, 34, 45, 72))


def test_a_cap_keeps_that_many_records_of_each_species_at_random(tmp_path):
    lines = [
        f"{name},{number / 10},45"
        for name, n in (("Abies alba", 30), ("Poa annua", 3))
        for number in range(n)
    ]
    occurrences = read_csv(
        write(tmp_path / "t.csv", "species,longitude,latitude\n" + "\n".join(lines) + "\n")
    )
    one, other = (occurrences.capped(10, np.random.default_rng(seed)) for seed in (0, 1))
    assert one.table["species"].value_counts().to_dict() == {"Abies alba": 10, "Poa annua": 3}
    assert set(one.table["longitude"]) != set(other.table["longitude"])
    assert removed(one)["cap per species"] == 20
    with pytest.raises(OccurrenceError, match="The cap is 0 records per species"):
        occurrences.capped(0, np.random.default_rng(0))


# -- SINR -------------------------------------------------------------------------------------------------


def sinr(
    path, *, locs=((46.5, 107.5), (-30.0, 20.0)), ids=(7, 9), taxa=(9, 7), names=("Poa annua", "Abies alba")
):
    arrays = {"train_locs": np.array(locs, np.float32), "train_ids": np.array(ids, np.int32)}
    if taxa is not None:
        arrays["taxon_ids"] = np.array(taxa)
    if names is not None:
        arrays["taxon_names"] = np.array(names)
    np.savez(path, **arrays)
    return path


def test_places_of_an_npz_are_latitude_first_and_are_turned(tmp_path):
    occurrences = read_sinr(sinr(tmp_path / "t.npz"))
    assert occurrences.table["species"].tolist() == ["Abies alba", "Poa annua"]
    assert occurrences.table["longitude"].tolist() == [107.5, 20.0]
    assert occurrences.table["latitude"].tolist() == [46.5, -30.0]
    turned = sinr(tmp_path / "u.npz", locs=((107.5, 46.5), (20.0, -30.0)))
    assert read_sinr(turned, order="lon,lat").table["longitude"].tolist() == [107.5, 20.0]
    with pytest.raises(
        OccurrenceError, match=r"u\.npz read as 'lat,lon', longitude and latitude look swapped"
    ):
        read_sinr(turned)


def test_taxa_without_names_are_called_by_their_number_and_names_can_be_given(tmp_path):
    path = sinr(tmp_path / "t.npz", names=None)
    assert read_sinr(path).species == ["7", "9"]
    names = write(tmp_path / "n.json", json.dumps([{"taxon_id": 7, "latin_name": "Abies alba"}]))
    assert read_sinr(path, names=names).species == ["9", "Abies alba"]
    table = write(tmp_path / "n.csv", "id,scientific_name\n9,Poa annua\n7,Abies alba\n")
    assert read_sinr(path, names=table).species == ["Abies alba", "Poa annua"]


def test_a_sinr_csv_is_read_by_its_column_names(tmp_path):
    text = "taxon_id,latitude,longitude,observed_on,user_id\n7,46.5,7.5,2020-05-01,3\n9,47,8,2021-05-01,4\n"
    occurrences = read_sinr(write(tmp_path / "t.csv", text))
    assert occurrences.table["longitude"].tolist() == [7.5, 8]
    assert occurrences.table["year"].tolist() == [2020, 2021]


def test_bad_sinr_files_end_in_one_sentence(tmp_path):
    whole = sinr(tmp_path / "t.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(OccurrenceError, match=r"cut\.npz cannot be read .* download it again"):
        read_sinr(tmp_path / "cut.npz")
    np.savez(tmp_path / "p.npz", train_locs=np.ones((1, 2)), train_ids=np.array([{}], dtype=object))
    with pytest.raises(OccurrenceError, match="pickled objects, which are never run"):
        read_sinr(tmp_path / "p.npz")
    with pytest.raises(UnknownSpeciesError, match=r"1 records .* a taxon that taxon_ids lacks, such as 8"):
        read_sinr(sinr(tmp_path / "u.npz", ids=(7, 8)))
    with pytest.raises(OccurrenceError, match="2 taxon_ids but 1 taxon_names"):
        read_sinr(sinr(tmp_path / "n.npz", names=("x",)))
    with pytest.raises(OccurrenceError, match=r"places of shape \(2, 3\)"):
        read_sinr(sinr(tmp_path / "s.npz", locs=((1, 2, 3), (4, 5, 6))))
    np.savez(tmp_path / "o.npz", other=np.ones(3))
    with pytest.raises(OccurrenceError, match=r"has no array train_locs; .* \(found: other\)"):
        read_sinr(tmp_path / "o.npz")
    with pytest.raises(OccurrenceError, match="holds no records"):
        read_sinr(sinr(tmp_path / "e.npz", locs=np.empty((0, 2)), ids=()))
    with pytest.raises(OccurrenceError, match="rule 'no coordinates'"):
        read_sinr(sinr(tmp_path / "nan.npz", locs=((np.nan, 1), (1, np.nan))))


def test_original_npz_has_the_records_and_species_it_states(data_dir):
    occurrences = read_sinr(data_dir / "inat_500_species_sinr_format" / "species_train.npz")
    assert (occurrences.n_records, occurrences.n_species) == (272_037, 500)
    # Gilbert's lashtail lives in northern Australia.
    lizard = occurrences.table[occurrences.table["species"] == "Lophognathus gilberti"]
    assert lizard["longitude"].between(113, 154).all() and lizard["latitude"].between(-30, -10).all()


# -- cubes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "x", "y", "side"),
    [
        ("1kmE3921N3101", 3_921_500, 3_101_500, 1000),
        ("10kmE392N310", 3_925_000, 3_105_000, 10_000),
        ("50kmE390N310", 3_925_000, 3_125_000, 50_000),
        ("100kmE39N31", 3_950_000, 3_150_000, 100_000),
        ("250mE392125N310100", 3_921_375, 3_101_125, 250),
        ("100mE39215N31012", 3_921_550, 3_101_250, 100),
        ("25mE3921025N3101075", 3_921_037.5, 3_101_087.5, 25),
    ],
)
def test_grid_codes_are_centres_of_cells(code, x, y, side):
    assert [float(values[0]) for values in eea_cells_to_metres([code])] == [x, y, side]
    longitude, latitude = Transformer.from_crs(3035, 4326, always_xy=True).transform(x, y)
    assert eea_cells_to_lonlat([code, "32TLT"])[0] == pytest.approx([longitude, latitude], abs=1e-12)
    assert np.isnan(eea_cells_to_lonlat([code, "32TLT"])[1]).all()


CUBE = (
    "yearmonth\teeacellcode\tfamily\tspecieskey\tspecies\toccurrences\tmincoordinateuncertaintyinmeters\n"
    "2014-05\t1kmE3921N3101\tPinaceae\t2685484\tAbies alba\t3\t10\n"
    "2014-05\t1kmE3921N3101\tPinaceae\t2685484\tAbies alba\t2\t5\n"
    "2014-06\t1kmE3921N3101\tPinaceae\t2685484\tAbies alba\t1\t500\n"
    "2014-05\tnowhere\tPinaceae\t2685484\tAbies alba\t1\t10\n"
    "2015-05\t1kmE3922N3101\tPoaceae\t7\tPoa annua\t0\t10\n"
)


def test_a_cube_is_one_row_per_species_cell_and_time(tmp_path):
    occurrences = read_cube(write(tmp_path / "cube.csv", CUBE))
    assert occurrences.n_records == 2
    first = occurrences.table.iloc[0]
    assert first[["site", "year", "month", "n_records", "uncertainty_m"]].tolist() == [
        "1kmE3921N3101", 2014, 5, 5, 5,
    ]  # fmt: skip
    assert first[["longitude", "latitude"]].tolist() == pytest.approx(
        eea_cells_to_lonlat(["1kmE3921N3101"])[0].tolist()
    )
    assert removed(occurrences) == {"unreadable cell": 1, "no records": 1, "merged rows": 1}
    assert occurrences.taxa["gbif_key"].tolist() == [2685484]
    assert read_cube(tmp_path / "cube.csv", max_uncertainty_m=100).n_records == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CUBE.replace("eeacellcode", "mgrscode"), "a cube on the MGRS grid"),
        (CUBE.replace("1kmE", "oneE").replace("nowhere", ""), "has no EEA cell code such as 1kmE3921N3101"),
        (CUBE.replace("occurrences", "hits"), "the number of records"),
        (CUBE.replace("\tspecies\t", "\tplant\t"), "the species name"),
    ],
)
def test_other_cubes_are_refused(tmp_path, text, message):
    with pytest.raises(OccurrenceError, match=message):
        read_cube(write(tmp_path / "cube.csv", text))


def test_original_cube_has_the_coordinates_it_states(data_dir, tmp_path):
    path = data_dir / "alien_plants_belgium_cube" / "DERIVED_plant_cells_1km_year.csv.gz"
    raw = pd.read_csv(path, nrows=40_000)
    raw.to_csv(tmp_path / "cube.csv", index=False)
    occurrences = read_cube(tmp_path / "cube.csv")
    stated = raw[["lon", "lat"]].to_numpy()
    assert np.abs(eea_cells_to_lonlat(raw["cell_code"]) - stated).max() < 1e-5  # written with 5 decimals
    assert occurrences.table["n_records"].sum() == raw["n"].sum()
    assert occurrences.n_records + sum(removed(occurrences).values()) == len(raw)


# -- Darwin Core ------------------------------------------------------------------------------------------

TERMS = "http://rs.tdwg.org/dwc/terms/"
FIELDS = ("occurrenceID", "scientificName", "decimalLatitude", "decimalLongitude", "eventDate")


def meta(
    core="Occurrence",
    location="occurrence.txt",
    separator="\\t",
    quote="",
    header=1,
    encoding="UTF-8",
    extra="",
    fields=FIELDS,
):
    columns = "".join(f'<field index="{number}" term="{TERMS}{term}"/>' for number, term in enumerate(fields))
    return (
        f'<archive xmlns="http://rs.tdwg.org/dwc/text/"><core encoding="{encoding}" '
        f'fieldsTerminatedBy="{separator}" linesTerminatedBy="\\n" fieldsEnclosedBy="{quote}" '
        f'ignoreHeaderLines="{header}" rowType="{TERMS}{core}"><files><location>{location}</location></files>'
        f'<id index="0"/>{columns}<field term="{TERMS}countryCode" default="CH"/></core>{extra}</archive>'
    )


ROWS = (
    "occurrenceID\tname\tlat\tlon\tdate\n"
    '1\tAbies alba "Mill.\t46.5\t7.5\t2020-05-01\n'
    "2\tPoa annua L.\t47\t8\t1999\n"
)


def archive(path, **files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name.replace("__", "."), content)
    return path


def test_an_archive_is_read_as_its_meta_describes_it(tmp_path):
    path = archive(tmp_path / "a.zip", meta__xml=meta(), occurrence__txt=ROWS)
    occurrences = read_darwin_core(path)
    assert occurrences.species == ["Abies alba", "Poa annua"]
    assert occurrences.table["longitude"].tolist() == [7.5, 8]
    assert occurrences.table["year"].tolist() == [2020, 1999]
    assert occurrences.table["country"].tolist() == ["CH", "CH"]  # a default of meta.xml
    assert open_darwin_core(path).core.rows["occurrenceID"].tolist() == ["1", "2"]


def test_an_unpacked_archive_gives_the_same(tmp_path):
    write(tmp_path / "a" / "meta.xml", meta())
    write(tmp_path / "a" / "occurrence.txt", ROWS)
    folder, zipped = (
        read_darwin_core(tmp_path / "a"),
        read_darwin_core(archive(tmp_path / "a.zip", meta__xml=meta(), occurrence__txt=ROWS)),
    )
    assert folder.table.equals(zipped.table)


def test_delimiters_quotes_encoding_and_header_lines_are_those_of_the_meta(tmp_path):
    rows = "# exported\nwhatever\n1;'Abies alba (Müll.; Mill.)';46,5;7,5;2020\n"
    described = meta(separator=";", quote="'", header=2, encoding="latin-1")
    path = archive(tmp_path / "a.zip", meta__xml=described, occurrence__txt=rows.encode("latin-1"))
    core = open_darwin_core(path).core.rows
    assert core["scientificName"].tolist() == ["Abies alba (Müll.; Mill.)"]
    assert read_darwin_core(path).table["longitude"].tolist() == [7.5]


def test_columns_out_of_order_and_without_header_are_placed_by_number(tmp_path):
    columns = "".join(
        f'<field index="{index}" term="{TERMS}{term}"/>'
        for index, term in ((3, "scientificName"), (1, "decimalLatitude"), (0, "decimalLongitude"))
    )
    text = (
        f'<archive><core fieldsTerminatedBy="," fieldsEnclosedBy="&quot;" rowType="{TERMS}Occurrence">'
        f"<files><location>o.csv</location></files>{columns}</core></archive>"
    )
    path = archive(tmp_path / "a.zip", meta__xml=text, o__csv='7.5,46.5,unused,"Abies alba"\n')
    assert read_darwin_core(path).table.iloc[0][["longitude", "latitude"]].tolist() == [7.5, 46.5]


def test_occurrences_of_events_take_place_and_date_of_their_event(tmp_path):
    extension = (
        f'<extension fieldsTerminatedBy="," ignoreHeaderLines="1" rowType="{TERMS}Occurrence"><files>'
        f'<location>occ.csv</location></files><coreid index="0"/>'
        f'<field index="1" term="{TERMS}scientificName"/>'
        f'<field index="2" term="{TERMS}occurrenceStatus"/></extension>'
    )
    described = meta(
        core="Event", location="event.csv", separator=",", extra=extension,
        fields=("eventID", "eventDate", "decimalLatitude", "decimalLongitude"),
    )  # fmt: skip
    path = archive(
        tmp_path / "e.zip",
        meta__xml=described,
        event__csv="id,date,lat,lon\ne1,2020-05-01,46.5,7.5\ne2,2021-05-01,47,8\n",
        occ__csv="id,name,status\ne1,Abies alba,present\ne1,Poa annua,present\ne2,Abies alba,absent\n",
    )
    occurrences = read_darwin_core(path)
    assert occurrences.table[["species", "longitude", "year"]].values.tolist() == [
        ["Abies alba", 7.5, 2020], ["Poa annua", 7.5, 2020],
    ]  # fmt: skip
    assert removed(occurrences) == {"recorded as absent": 1}


def test_a_checklist_has_names_and_no_places(tmp_path):
    extension = (
        '<extension fieldsTerminatedBy="," ignoreHeaderLines="1" rowType="http://rs.gbif.org/terms/1.0/'
        'Distribution"><files><location>distribution.csv</location></files><coreid index="0"/>'
        f'<field index="1" term="{TERMS}countryCode"/></extension>'
    )
    described = meta(
        core="Taxon",
        location="taxon.csv",
        separator=",",
        fields=("taxonID", "scientificName"),
        extra=extension,
    )
    path = archive(
        tmp_path / "c.zip",
        meta__xml=described,
        taxon__csv="id,name\nt1,Abies alba\nt2,Poa annua\n",
        distribution__csv="id,country\nt1,BE\nt1,FR\n",
    )
    checklist = read_checklist(path)
    assert checklist["scientificName"].tolist() == ["Abies alba", "Poa annua"]
    assert checklist["Distribution.countryCode"].tolist() == ["BE | FR", ""]
    with pytest.raises(
        OccurrenceError, match=r"of Taxon rows without occurrences, .* \(read_checklist reads"
    ):
        read_darwin_core(path)
    with pytest.raises(OccurrenceError, match="holds Occurrence rows and no taxa"):
        read_checklist(archive(tmp_path / "o.zip", meta__xml=meta(), occurrence__txt=ROWS))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"meta__xml": "<archive"}, "is not readable XML"),
        ({"meta__xml": "<archive/>"}, "names no core table"),
        ({"meta__xml": '<!DOCTYPE a [<!ENTITY b "c">]><archive/>'}, "declares entities"),
        ({"meta__xml": meta()}, r"names occurrence\.txt, which the archive does not hold"),
        ({"meta__xml": meta(location="../../etc/passwd")}, "lies outside of the archive"),
        ({"meta__xml": meta(location="/etc/passwd")}, "lies outside of the archive"),
        ({"meta__xml": meta(separator=","), "occurrence__txt": ROWS}, "has 1 columns but meta.xml puts"),
        ({"meta__xml": meta(encoding="klingon"), "occurrence__txt": ROWS}, "encoding klingon, which"),
        ({"meta__xml": meta(), "occurrence__txt": ROWS.replace("L.", "Ü").encode("latin-1")}, r"\(byte \d+"),
        ({"meta__xml": meta(), "occurrence__txt": ROWS.split("\n")[0] + "\n"}, "holds no records"),
        ({"readme__txt": "hello"}, "no meta.xml and no occurrence, event or taxon table"),
    ],
)  # fmt: skip
def test_bad_archives_end_in_one_sentence(tmp_path, files, message):
    with pytest.raises(OccurrenceError, match=message):
        read_darwin_core(archive(tmp_path / "a.zip", **files))


def test_a_truncated_zip_is_refused(tmp_path):
    path = archive(tmp_path / "a.zip", meta__xml=meta(), occurrence__txt=ROWS * 50)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(OccurrenceError, match="is not a zip or is cut short"):
        read_darwin_core(path)
    with pytest.raises(OccurrenceError, match="There is no Darwin Core archive at"):
        read_darwin_core(tmp_path / "none.zip")


def test_original_checklist_is_read_from_its_tables(data_dir):
    folder = data_dir / "alien_plants_belgium_dwca"  # it has lost its meta.xml
    checklist = read_checklist(folder)
    taxa = pd.read_csv(folder / "taxon.csv")
    assert checklist["scientificName"].tolist() == taxa["scientificName"].tolist()
    distribution = pd.read_csv(folder / "distribution.csv")
    belgian = set(distribution.loc[distribution["countryCode"] == "BE", "taxonID"])
    found = checklist.loc[checklist["Distribution.countryCode"].str.contains("BE"), "taxonID"]
    assert set(found) == belgian & set(taxa["taxonID"]) and len(found) > 2000


# -- plots × species --------------------------------------------------------------------------------------

LONG = (
    "plot,taxon,cover\np1,Abies alba,50\np1,Abies alba,50\np1,Poa annua,2\n"
    "p2,Poa annua,80\np2,Poa sp.,5\np3,Abies alba,0\n"
)
PLOTS = "plot,lon,lat,year,area\np1,7.5,46.5,2010,100\np2,8,47,2011,25\np3,9,48,2012,25\n"


def test_long_tables_keep_cover_and_join_layers(tmp_path):
    surveys = read_plots_long(write(tmp_path / "s.csv", LONG), sites=write(tmp_path / "p.csv", PLOTS))
    assert surveys.complete and surveys.species == ("Abies alba", "Poa annua")
    assert surveys.presence.toarray().tolist() == [[1, 1], [0, 1]]
    # Two layers of 50 % that overlap at random cover 75 %.
    assert surveys.cover.toarray() == pytest.approx(np.array([[75, 2], [0, 80]]), abs=1e-4)
    assert surveys.sites["area_m2"].tolist() == [100, 25] and surveys.sites["year"].tolist() == [2010, 2011]
    steps = {step.rule: step for step in surveys.steps}
    assert steps["not at species level"].removed == steps["recorded as absent"].removed == 1
    assert "1 of 3 plots have no find left" in steps["plots without finds"].note
    assert surveys.report()["left"].iloc[-1] == surveys.presence.nnz == 3


def test_wide_tables_are_plots_by_species(tmp_path):
    header = "plot,longitude,latitude,soil,Abies.alba,Poa_annua,Quercus robur\n"
    text = header + "p1,7,46,x,12.5,0,.\np2,8,47,y,,100,3\n"
    surveys = read_plots_wide(write(tmp_path / "w.csv", text))
    assert surveys.species == ("Abies alba", "Poa annua", "Quercus robur")
    assert surveys.presence.toarray().tolist() == [[1, 0, 0], [0, 1, 1]]
    assert surveys.cover.toarray() == pytest.approx(np.array([[12.5, 0, 0], [0, 100, 3]]), abs=1e-4)
    coded = "plot,longitude,latitude,ABIALB,POAANN\np1,7,46,1,0\np2,8,47,1,1\n"
    path = write(tmp_path / "c.csv", coded)
    named = read_plots_wide(path, species_columns=["ABIALB", "POAANN"], names="as written")
    assert named.species == ("ABIALB", "POAANN") and named.cover is None
    with pytest.raises(OccurrenceError, match="no column named like a species"):
        read_plots_wide(path)


def test_wide_and_long_tables_of_the_same_plots_agree(tmp_path):
    generator = np.random.default_rng(3)
    cover = generator.uniform(1, 100, (6, 4)).round(1) * (generator.random((6, 4)) < 0.6)
    cover[:, 0] = 50.0  # every plot has one, every species is somewhere
    cover[0] = 10.5
    names = ["Abies alba", "Poa annua", "Quercus robur", "Rosa canina"]
    wide = pd.DataFrame(cover, columns=names).assign(plot=list("abcdef"), lon=range(6), lat=45)
    wide.to_csv(tmp_path / "w.csv", index=False)
    wide.melt(["plot", "lon", "lat"], var_name="species", value_name="cover").sort_values("plot").to_csv(
        tmp_path / "l.csv", index=False
    )
    one, other = read_plots_wide(tmp_path / "w.csv"), read_plots_long(tmp_path / "l.csv")
    assert (one.presence != other.presence).nnz == 0
    assert one.cover.toarray() == pytest.approx(cover, abs=1e-3)
    assert other.cover.toarray() == pytest.approx(cover, abs=1e-3)


def test_symbols_of_braun_blanquet_become_percent_by_the_table(tmp_path):
    symbols = list(BRAUN_BLANQUET)
    rows = "".join(f"p{number},Abies alba,{symbol},7,46\n" for number, symbol in enumerate(symbols))
    path = write(tmp_path / "s.csv", "plot,species,cover,lon,lat\n" + rows)
    surveys = read_plots_long(path)
    # Turboveg's values: r 1, + 2, 1 3, 2m 4, 2a 8, 2b 18, 2 13, 3 38, 4 68, 5 88.
    assert surveys.cover.toarray().ravel() == pytest.approx([1, 2, 3, 4, 8, 18, 13, 38, 68, 88], abs=1e-4)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("p1,Abies alba,3\np2,Poa annua,1\n", {}, "may be percent or Braun-Blanquet; say which"),
        ("p1,Abies alba,30\np2,Poa annua,130\n", {}, r"the cover '130' \(1 such rows\), not 0 to 100"),
        ("p1,Abies alba,30\np2,Poa annua,+\n", {"cover_scale": "braun-blanquet"}, r"'30' .* not one of"),
        ("p1,Abies alba,30\np2,Poa annua,4\n", {"cover_scale": "domin"}, "The cover scale is 'domin'; use"),
        ("p1,Abies alba,30\np2,Poa annua,4\n", {"names": "short"}, "The rule for names is 'short'"),
        ("p9,Abies alba,30\n", {}, "rule 'unknown plot'"),
    ],
)  # fmt: skip
def test_covers_that_leave_doubt_are_refused(tmp_path, text, options, message):
    path = write(tmp_path / "s.csv", "plot,taxon,cover\n" + text)
    with pytest.raises(OccurrenceError, match=message):
        read_plots_long(path, sites=write(tmp_path / "p.csv", PLOTS), **options)


def test_small_whole_numbers_are_read_on_the_scale_named(tmp_path):
    path = write(tmp_path / "s.csv", "plot,taxon,cover\np1,Abies alba,3\np2,Poa annua,1\n")
    sites = write(tmp_path / "p.csv", PLOTS)
    percent = read_plots_long(path, sites=sites, cover_scale="percent")
    symbols = read_plots_long(path, sites=sites, cover_scale="braun-blanquet")
    assert percent.cover.data == pytest.approx([3, 1], abs=1e-4)
    assert symbols.cover.data == pytest.approx([38, 3], abs=1e-4)
    assert read_plots_long(path, sites=sites, cover_scale="presence").cover is None


def test_tables_with_a_plot_twice_are_refused(tmp_path):
    text = "plot,lon,lat,Abies alba,Poa annua\np1,7,46,1,0\np1,7,46,0,1\n"
    with pytest.raises(OccurrenceError, match="has two rows for plot 'p1'"):
        read_plots_wide(write(tmp_path / "w.csv", text))
    with pytest.raises(OccurrenceError, match="lists plot 'p1' twice"):
        twice = write(tmp_path / "p.csv", PLOTS + "p1,1,1,2000,1\n")
        read_plots_long(write(tmp_path / "s.csv", LONG), sites=twice)
    with pytest.raises(OccurrenceError, match=r"No species of .* is present in any of its 1 plots"):
        read_plots_wide(write(tmp_path / "n.csv", "plot,lon,lat,Abies alba\np1,7,46,0\n"))


def test_original_plots_are_surveys_whose_cover_only_says_present(data_dir):
    folder = data_dir / "releves_eastern_alps"
    surveys = read_plots_long(folder / "species_cover.csv", sites=folder / "plots.csv")
    table = pd.read_csv(folder / "species_cover.csv")
    assert set(table["cov"]) == {1} and surveys.cover is None
    as_written = read_plots_long(folder / "species_cover.csv", sites=folder / "plots.csv", names="as written")
    assert as_written.n_sites == table["plot"].nunique() == 1964
    assert as_written.presence.nnz == len(table.drop_duplicates(["plot", "taxon"]))
    assert 1900 < surveys.n_sites <= 1964 and surveys.n_species < as_written.n_species


# -- one way in -------------------------------------------------------------------------------------------


def test_every_format_is_recognised_from_its_content(tmp_path):
    sinr(tmp_path / "t.npz")
    archive(tmp_path / "a.zip", meta__xml=meta(), occurrence__txt=ROWS)
    write(tmp_path / "d" / "meta.xml", meta())
    write(tmp_path / "afliber" / "DERIVED_cells.csv", "x")
    texts = {
        "csv": gbif({}),
        "cube": CUBE,
        "geolifeclef": "surveyId,lon,lat,speciesId\n1,2,43,3\n",
        "sinr": "taxon_id,latitude,longitude\n1,2,3\n",
        "plots-long": LONG,
        "plots-wide": "plot,lon,lat,Abies alba,Poa annua\np1,7,46,1,0\n",
        "eu-forest": "X,Y,COUNTRY,SPECIES NAME,DBH-1,DBH-2,NFI,FF,BS,EEO\n",
    }
    for name, text in texts.items():
        assert recognise(write(tmp_path / f"{name}.csv", text)) == name
    (tmp_path / "packed.csv.gz").write_bytes(gzip.compress(CUBE.encode()))
    assert recognise(tmp_path / "packed.csv.gz") == "cube"
    assert recognise(archive(tmp_path / "one.zip", cube__csv=CUBE)) == "cube"
    assert recognise(tmp_path / "t.npz") == "sinr"
    assert recognise(tmp_path / "a.zip") == recognise(tmp_path / "d") == "darwin-core"
    assert recognise(tmp_path / "afliber") == "afliber"
    (tmp_path / "points.gpkg").write_bytes(b"SQLite format 3\0 and more")
    assert recognise(tmp_path / "points.gpkg") == "geopackage"
    assert set(texts) | {"darwin-core", "afliber", "geopackage"} == set(FORMATS)


def test_what_is_recognised_is_read(tmp_path):
    wide = write(tmp_path / "w.csv", "plot,lon,lat,Abies alba,Poa annua\np1,7,46,30,0\np2,8,47,2,60\n")
    occurrences = read_occurrences(wide)
    assert occurrences.n_records == 3 and occurrences.table["cover"].tolist() == pytest.approx([30, 2, 60])
    assert read_occurrences(sinr(tmp_path / "t.npz")).n_records == 2
    assert read_occurrences(write(tmp_path / "g.csv", gbif({})), max_uncertainty_m=10).n_records == 1
    assert read_occurrences(write(tmp_path / "c.csv", CUBE), format="cube").n_records == 2


def test_what_is_not_recognised_is_said_in_one_sentence(tmp_path):
    with pytest.raises(
        OccurrenceError, match=r"no column for the longitude \(decimalLongitude\) nor the latitude"
    ):
        read_occurrences(write(tmp_path / "t.csv", "species,place\nAbies alba,here\n"))
    with pytest.raises(OccurrenceError, match=r"'gbiff'; there are csv, darwin-core"):
        read_occurrences(tmp_path / "t.csv", format="gbiff")
    with pytest.raises(OccurrenceError, match=r"is called 'plots-lang' \(nearest: 'plots-long'\)"):
        read_occurrences(tmp_path / "t.csv", format="plots-lang")
    with pytest.raises(OccurrenceError, match="The format 'cube' has no such option"):
        read_occurrences(write(tmp_path / "c.csv", CUBE), bounds=(0, 0, 1, 1))
    with pytest.raises(OccurrenceError, match="There is no occurrence file at"):
        read_occurrences(tmp_path / "none.csv")
    with pytest.raises(OccurrenceError, match=r"is empty"):
        read_occurrences(write(tmp_path / "e.csv", ""))
    with pytest.raises(OccurrenceError, match="is a binary file"):
        read_occurrences(write(tmp_path / "b.csv", "a\x00b"))
    with pytest.raises(OccurrenceError, match=r"holds 2 tables and no meta\.xml"):
        read_occurrences(archive(tmp_path / "two.zip", a__csv=CUBE, b__csv=CUBE))
    with pytest.raises(
        OccurrenceError, match=r"The folder folder .* \(it has no meta\.xml\); give the table inside"
    ):
        write(tmp_path / "folder" / "x.csv", LONG)
        read_occurrences(tmp_path / "folder")
    with pytest.raises(OccurrenceError, match="is the NCEAS benchmark, whose regions are read one by one"):
        (tmp_path / "nceas" / "train_po").mkdir(parents=True)
        read_occurrences(tmp_path / "nceas")
    (tmp_path / "cut.zip").write_bytes(archive(tmp_path / "w.zip", a__csv=CUBE).read_bytes()[:-30])
    with pytest.raises(OccurrenceError, match="cannot be unpacked"):
        read_occurrences(tmp_path / "cut.zip")


def test_the_header_of_a_large_packed_table_is_read_alone(tmp_path):
    path = tmp_path / "t.csv.gz"
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb") as file:
        file.write(b"species;longitude;latitude\n" + b"Abies alba;1;2\n" * 400_000)
    path.write_bytes(buffer.getvalue()[:-20])  # the end is never looked at
    assert header_columns(path) == ["species", "longitude", "latitude"]


def test_original_files_are_recognised(data_dir):
    expected = {
        "eu_forest/EUForestspecies.zip": "eu-forest",
        "afliber_iberia": "afliber",
        "alien_plants_belgium_cube/DERIVED_plant_cells_1km_year.csv.gz": "cube",
        "alien_plants_belgium_dwca": "darwin-core",
        "inat_500_species_sinr_format/species_train.npz": "sinr",
        "occurrences_tuscany/floratus.csv.gz": "csv",
        "releves_eastern_alps/species_cover.csv": "plots-long",
        "geolifeclef_samples/malpolon_tests/glc25_pre_extracted/metadata.csv": "geolifeclef",
        "geolifeclef_samples/malpolon_tests/glc22/observations/observations_fr_train.csv": "geolifeclef",
    }
    assert {name: recognise(data_dir / name) for name in expected} == expected
