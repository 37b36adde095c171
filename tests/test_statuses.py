"""Status lists: every bad file one sentence, every taxon either matched or listed as unmatched."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdm_core import config, statuses, taxa
from sdm_core.__main__ import main
from sdm_core.errors import StatusListError

HEADER = "taxon,list,category,region,source,date,licence"
STATUSES = config.ASSETS_DIR / "statuses"
ATLAS = pd.DataFrame(
    {
        "species": ["Abies alba", "Fagus sylvatica", "Taxus baccata", "Populus × canescens", "Sorbus aria"],
        "gbif_key": pd.array([2685484, 2882316, 5284517, pd.NA, 3025586], dtype="Int64"),
    }
)


def rows(*taxa_and_categories: tuple[str, str], header: str = HEADER, more: str = "") -> bytes:
    lines = [
        f"{taxon},Red List,{category},Spain,An author,2020,CC0{more}"
        for taxon, category in taxa_and_categories
    ]
    return "\n".join([header, *lines, ""]).encode()


def read(content: bytes) -> statuses.StatusFile:
    return statuses.read_statuses(content, "mine.csv")


def test_template_has_the_columns_of_the_format_and_no_status():
    header = (STATUSES / "template.csv").read_text(encoding="utf-8").split("\n")
    assert header == [",".join([*statuses.REQUIRED_COLUMNS, *statuses.OPTIONAL_COLUMNS]), ""]


def test_every_status_of_the_shipped_example_says_that_it_is_made_up():
    entries = statuses.read_statuses(STATUSES / "made-up-example.csv").entries
    assert entries["list"].str.startswith("Made-up").all()
    assert entries["source"].str.contains("invented").all()


def test_format_description_names_every_column_and_category():
    words = (STATUSES / "README.md").read_text(encoding="utf-8")
    for name in (*statuses.REQUIRED_COLUMNS, *statuses.OPTIONAL_COLUMNS, *statuses.CATEGORIES):
        assert f"`{name}`" in words, name


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("VU", "VU"),
        (" vulnerable ", "VU"),
        ("Critically  Endangered", "CR"),
        ("CR (PE)", "CR"),
        ("LR/cd", "NT"),
        ("Protected", "protected"),
        ("threatened", None),
        ("", None),
    ],
)
def test_categories_are_read_however_they_are_written(text, category):
    assert statuses.parse_category(text) == category


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_separators_and_encodings_of_spreadsheets_are_read(separator, encoding):
    text = rows(("Abies alba", "Vulnerable")).decode().replace(",", separator).replace("\n", "\r\n")
    entries = read(text.encode(encoding)).entries
    assert entries[["taxon", "category", "date"]].iloc[0].tolist() == ["Abies alba", "VU", "2020"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"mine\.csv is empty; a CSV file with the header taxon,list,category"),
        (b" \n\n", r"mine\.csv is empty"),
        (HEADER.encode(), r"holds a header and no taxon; add one line per taxon"),
        (
            b"a single line of text",
            r"no comma, semicolon or tab in its first line \('a single line of text'\)",
        ),
        (b"%PDF-1.7 \x00", r"is no text file; save the table as CSV"),
        (b"a,b\n\x00,1\n", r"is no text file"),
        (
            rows(("Abies alba", "VU")).replace(b"An author", "Muñoz".encode("latin-1")),
            r"not written in UTF-8 \(line 2 holds a byte that cannot be read\); save it again",
        ),
        (
            rows(("Abies alba", "VU"), header=HEADER.replace("category", "categoria")),
            r"has no column 'category' \(is it 'categoria'\?\): found .*; rename or add it\.$",
        ),
        (
            rows(("Abies alba", "VU"), header=f"{HEADER},remarks", more=",x"),
            r"has the column 'remarks', which the format does not know; take it out, or put its text in",
        ),
        (
            rows(("Abies alba", "VU"), header=f"{HEADER},gbifkey", more=",1"),
            r"has the column 'gbifkey', which the format does not know; rename it to 'gbif_key'",
        ),
        (
            rows(("Abies alba", "VU"), header=f"{HEADER},taxon", more=",x"),
            r"has the column 'taxon' twice; keep one of them",
        ),
        (rows(("Abies alba", "VU,2")), r"has 8 cells in line 2, expected 7 as in its header"),
        (b'"' + rows(("Abies alba", "VU")), r"cannot be read as a table \(.*\); check its quotation marks"),
        (rows(("Abies alba", "")), r"leaves 'category' empty in line 2; write NE where"),
        (rows(("", "VU")), r"leaves 'taxon' empty in line 2"),
        (
            rows(("Abies alba", "VUL")),
            r"has the category 'VUL' in line 2 \(did you mean 'vu'\?\); expected one of NE, NA, DD, LC",
        ),
        (
            rows(("Abies alba", "NE"), header=f"{HEADER},completed", more=",protected"),
            r"has the completed 'protected' in line 2; expected one of NE, NA, DD, LC, NT, VU, EN, CR",
        ),
        (
            rows(("Abies alba", "VU")).replace(b"2020", b"spring 2020"),
            r"has the date 'spring 2020' in line 2; expected a year",
        ),
        (
            rows(("Abies alba", "VU"), header=f"{HEADER},gbif_key", more=",ABC"),
            r"has the gbif_key 'ABC' in line 2; expected the number of a GBIF taxon",
        ),
        (
            rows(("Abies alba", "VU"), ("Taxus baccata", "LC"), ("abies  alba", "EN")),
            r"gives Abies alba two categories in the list “Red List” \(Spain\): VU and EN, in lines 2 and 4",
        ),
    ],
)
def test_every_bad_file_is_refused_in_one_sentence(content, message):
    with pytest.raises(StatusListError, match=message) as refusal:
        read(content)
    assert "\n" not in str(refusal.value)
    assert str(refusal.value).endswith((".", ")"))


def test_file_that_is_absent_a_folder_or_too_large_is_refused(tmp_path, monkeypatch):
    with pytest.raises(StatusListError, match=r"There is no status list at .*none\.csv; check the path"):
        statuses.read_statuses(tmp_path / "none.csv")
    with pytest.raises(StatusListError, match="is a folder; a status list is one CSV file"):
        statuses.read_statuses(tmp_path)
    monkeypatch.setattr(statuses.tables, "MAX_BYTES", 50)
    with pytest.raises(StatusListError, match="expected at most 0; give only the species of your area"):
        read(rows(("Abies alba", "VU")))


def test_the_same_row_twice_counts_once_and_is_said():
    file = read(rows(("Abies alba", "VU"), ("Abies alba", "VU")))
    assert len(file.entries) == 1
    assert file.notes == ("mine.csv: 1 row repeats an earlier one and was counted once.",)


def test_one_file_may_hold_several_lists_that_disagree():
    content = rows(("Abies alba", "VU")) + b"Abies alba,Other list,LC,Europe,Someone,2021-06,CC0\n"
    file = read(content)
    assert file.lists == [("Red List", "Spain"), ("Other list", "Europe")]
    matched = statuses.match_statuses(file, ATLAS)
    assert matched.categories("Red List", "Spain").tolist() == ["VU", "", "", "", ""]
    assert matched.categories("Other list", "Europe").tolist() == ["LC", "", "", "", ""]


@pytest.mark.parametrize(
    ("taxon", "key", "accepted", "species", "way"),
    [
        ("Abies alba Mill.", "", "", "Abies alba", "name"),
        ("FAGUS SYLVATICA", "", "", "Fagus sylvatica", "name"),
        ("Taxus baccata s.l.", "", "", "Taxus baccata", "name"),
        ("Populus x canescens", "", "", "Populus × canescens", "name"),
        ("Aria edulis", "3025586", "", "Sorbus aria", "GBIF key"),
        ("Pinus albus", "111", "2685484", "Abies alba", "GBIF key of the accepted name"),
    ],
)
def test_taxa_reach_their_species_by_name_and_synonyms_by_gbif_key(taxon, key, accepted, species, way):
    content = rows((taxon, "VU"), header=f"{HEADER},gbif_key,accepted_gbif_key", more=f",{key},{accepted}")
    matched = statuses.match_statuses(read(content), ATLAS)
    assert matched.matched[["species", "way"]].iloc[0].tolist() == [species, way]
    assert matched.unmatched.empty


WITH_SYNONYMS = ATLAS.assign(synonyms=["Abies pectinata; Pinus picea", "", "", "", "Aria edulis"])


@pytest.mark.parametrize(
    ("taxon", "given", "species", "way"),
    [
        ("Abies pectinata DC.", "", "Abies alba", "synonym of the atlas"),
        (
            "Fagus communis",
            "Fagus silvestris; Fagus sylvatica L.",
            "Fagus sylvatica",
            "synonym given with the list",
        ),
        ("Arbor vetus", "PINUS PICEA", "Abies alba", "synonym given with the list"),
        ("Abies alba", "Fagus sylvatica", "Abies alba", "name"),
    ],
)
def test_synonyms_of_the_atlas_and_of_the_list_reach_their_species(taxon, given, species, way):
    content = rows((taxon, "VU"), header=f"{HEADER},synonyms", more=f",{given}")
    matched = statuses.match_statuses(read(content), WITH_SYNONYMS)
    assert matched.matched[["species", "way"]].iloc[0].tolist() == [species, way]


def test_what_gbif_joins_with_a_species_of_another_epithet_is_suggested_and_not_matched():
    content = rows(("Abies nebrodensis", "CR"), header=f"{HEADER},accepted_gbif_key", more=",2685484")
    matched = statuses.match_statuses(read(content), ATLAS)
    assert matched.matched.empty
    assert matched.unmatched[["reason", "suggestions"]].iloc[0].tolist() == [
        "GBIF joins it with a species of another epithet; it may be only a part of it",
        "Abies alba",
    ]
    table = b"originalName,species\nAbies nebrodensis,Abies alba\nPinus albus,Abies alba\n"
    synonyms = statuses.read_synonyms(table)
    assert synonyms.others("Abies nebrodensis") == []
    assert synonyms.others("Pinus albus") == ["Abies alba"]


def test_a_synonym_of_another_epithet_that_the_user_gives_is_matched_and_told():
    synonyms = statuses.read_synonyms(b"synonym,accepted\nAbies pectinata,Abies alba\n")
    file = statuses.read_statuses(rows(("Abies pectinata", "CR")), "list.csv", synonyms)
    matched = statuses.match_statuses(file, ATLAS)
    assert matched.matched["species"].tolist() == ["Abies alba"]
    assert "another epithet: Abies pectinata → Abies alba; where such a taxon" in matched.notes[0]


def test_the_report_command_takes_a_table_of_synonyms(simulated_atlas_folder, tmp_path, capsys):
    (tmp_path / "list.csv").write_bytes(rows(("Abies pectinata", "VU")))
    (tmp_path / "synonyms.csv").write_text("synonym,accepted\nAbies pectinata,Abies alba\n")
    asked = [
        "report",
        "--region",
        "place:Pyrenees",
        "--model",
        str(simulated_atlas_folder),
        "--formats",
        "json",
    ]
    asked += ["--status", str(tmp_path / "list.csv")]
    given = ["--synonyms", str(tmp_path / "synonyms.csv")]
    assert main([*asked, *given, "--out", str(tmp_path / "out")]) == 0
    assert "list.csv: 1 of 1 entries are species of this atlas." in capsys.readouterr().err
    assert main([*asked[:-2], *given, "--out", str(tmp_path / "none")]) == 2
    assert "--synonyms goes with --status, which is missing" in capsys.readouterr().err
    assert main([*asked[:-1], "", "--out", str(tmp_path / "none")]) == 2
    assert "The path of the status list is empty; give one CSV file" in capsys.readouterr().err
    (tmp_path / "synonyms.csv").write_text("old,new\nAbies pectinata,Abies alba\n")
    assert main([*asked, *given, "--out", str(tmp_path / "none")]) == 2
    said = capsys.readouterr().err
    assert "synonyms.csv has no column 'synonym'" in said
    assert said.count("\n") == 1


def test_an_epithet_that_many_species_share_is_suggested_for_its_own_genus_only():
    atlas = pd.DataFrame(
        {
            "species": [
                "Abies alba",
                "Populus alba",
                "Poa alpina",
                "Aster alpinus",
                "Salix alba",
                "Sorbus aucuparia",
            ]
        }
    )

    def suggested(taxon: str) -> str:
        return statuses.match_statuses(read(rows((taxon, "VU"))), atlas).unmatched["suggestions"].iloc[0]

    assert suggested("Abies albus") == "Abies alba"
    assert suggested("Gentiana alpina") == ""
    assert suggested("Centaurea jankae") == ""
    assert suggested("Calluna aucuparia") == ""  # a genus of its own
    assert suggested("Pyrosorbus aucuparia") == "Sorbus aucuparia"


def test_synonyms_of_several_species_are_not_matched_and_name_them():
    content = rows(("Arbor una", "VU"), header=f"{HEADER},synonyms", more=",Fagus sylvatica; Abies alba")
    missed = statuses.match_statuses(read(content), ATLAS).unmatched.iloc[0]
    assert missed[["reason", "suggestions"]].tolist() == [
        "its synonyms are several species of the atlas",
        "Abies alba; Fagus sylvatica",
    ]


@pytest.mark.parametrize(
    "table",
    [
        "synonym,accepted\nAbies pectinata (Lam.) DC.,Abies alba Mill.\n",
        "accepted;synonym;remark\nAbies pectinata;Abies alba;the other way round\n",
        "synonym,accepted\nAbies alba,Abies tertia\nAbies pectinata,Abies tertia\n",
    ],
)
def test_a_users_table_of_synonyms_works_in_both_directions(table):
    synonyms = statuses.read_synonyms(table.encode(), "mine.csv")
    content = rows(("Abies pectinata", "VU"))
    file = statuses.read_statuses(content, "list.csv", synonyms)
    assert file.digest != read(content).digest
    matched = statuses.match_statuses(file, ATLAS).matched
    assert matched["species"].tolist() == ["Abies alba"]
    assert matched["way"].iloc[0] in ("synonym given with the list", "GBIF key of the accepted name")
    assert statuses.match_statuses(read(content), ATLAS).matched.empty


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"mine\.csv is empty; a CSV file with the header synonym,accepted"),
        (b"a,b\nx,y\n", r"has no column 'synonym': found 'a', 'b'; .* synonym and accepted"),
        (b"synonym,b\nx,y\n", r"has no column 'accepted'"),
        (b"synonym,accepted\nAbies alba,Abies alba Mill.\n", r"no two names that differ"),
        (b"synonym,accepted,accepted_gbif_key\nA b,C d,x1\n", r"accepted_gbif_key 'x1' in line 2"),
        ("synonym,accepted\nÄ b,C d\n".encode("latin-1"), r"not written in UTF-8 \(line 2"),
    ],
)
def test_every_bad_table_of_synonyms_is_refused_in_one_sentence(content, message):
    with pytest.raises(StatusListError, match=message):
        statuses.read_synonyms(content, "mine.csv")


@pytest.mark.parametrize(
    ("taxon", "reason", "suggestions"),
    [
        ("Fagus silvatica", "no species of the atlas has this name, key or synonym", "Fagus sylvatica"),
        ("Abies albus", "no species of the atlas has this name, key or synonym", "Abies alba"),
        ("Silvafagus sylvaticus", "no species of the atlas has this name, key or synonym", "Fagus sylvatica"),
        ("Artemisia baccata subsp. ulla", "subspecies: its status is not that of the whole species", ""),
        ("Aria aria", "no species of the atlas has this name, key or synonym", "Sorbus aria"),
        (
            "Abies alba subsp. nebrodensis",
            "subspecies: its status is not that of the whole species",
            "Abies alba",
        ),
        ("Abies", "not a species (above species)", ""),
        ("Quercus robur", "no species of the atlas has this name, key or synonym", ""),
    ],
)
def test_unmatched_taxa_are_listed_with_reason_and_suggestions(taxon, reason, suggestions):
    matched = statuses.match_statuses(read(rows((taxon, "VU"))), ATLAS)
    assert matched.matched.empty
    assert matched.unmatched.iloc[0].tolist() == [taxon, "Red List", "Spain", "VU", reason, suggestions]


def test_of_two_taxa_that_are_one_species_the_name_wins_and_it_is_said():
    content = rows(("Abies pectinata", "CR"), header=f"{HEADER},gbif_key", more=",2685484")
    content += b"Abies alba,Red List,LC,Spain,An author,2020,CC0,\n"
    matched = statuses.match_statuses(read(content), ATLAS)
    assert matched.categories("Red List", "Spain")[0] == "LC"
    assert re.search(r"Abies alba takes LC of Abies alba .* Abies pectinata \(CR\)", matched.notes[0])


def test_completed_categories_fill_gaps_and_never_replace_an_official_one():
    content = "\n".join(
        [
            f"{HEADER},completed",
            "Abies alba,Red List,NE,Spain,An author,2020,CC0,EN",
            "Fagus sylvatica,Red List,LC,Spain,An author,2020,CC0,CR",
            "Taxus baccata,Red List,DD,Spain,An author,2020,CC0,",
        ]
    ).encode()
    matched = statuses.match_statuses(read(content), ATLAS)
    assert matched.categories("Red List", "Spain").tolist() == ["NE", "LC", "DD", "", ""]
    assert matched.categories("Red List", "Spain", completed=True).tolist() == ["EN", "LC", "DD", "", ""]


@given(
    st.lists(
        st.one_of(st.sampled_from([*ATLAS["species"], "Abies", "Taxus sp."]), st.text("abcdef ", min_size=1)),
        min_size=1,
        max_size=8,
        unique_by=lambda name: " ".join(name.lower().split()),
    )
)
def test_no_taxon_is_ever_dropped(names):
    names = [name for name in names if name.strip()]
    if not names:
        return
    file = read(rows(*((name, "VU") for name in names)))
    matched = statuses.match_statuses(file, ATLAS)
    assert len(matched.matched) + len(matched.unmatched) == len(names)


def test_the_official_lists_reach_the_species_that_the_flags_reach(data_dir):
    folder = data_dir / "eu_policy_lists"
    policy = next(found for found in taxa.read_policy_lists(folder) if found.key == "invasive_union_concern")
    lines = ["taxon,list,category,region,source,date,licence,gbif_key,accepted_gbif_key"]
    for entry in policy.entries:
        if entry.rank == "species":
            keys = f"{entry.gbif_key or ''},{entry.accepted_key or ''}"
            lines.append(f'"{entry.listed}",Union list,invasive,EU,EU,{policy.date},CC BY 4.0,{keys}')
    atlas = pd.DataFrame(
        {
            "species": ["Ailanthus altissima", "Heracleum mantegazzianum", "Abies alba"],
            "gbif_key": pd.array([3190653, pd.NA, 2685484], dtype="Int64"),
        }
    )
    matched = statuses.match_statuses(read("\n".join(lines).encode()), atlas)
    assert sorted(matched.matched["species"]) == ["Ailanthus altissima", "Heracleum mantegazzianum"]
    assert len(matched.matched) + len(matched.unmatched) == len(lines) - 1
