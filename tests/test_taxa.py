"""Species tables: flags matched by key, name and synonym, families, endemics, English genus names."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest

from sdm_core import config
from sdm_core.errors import OccurrenceError, UnknownSpeciesError
from sdm_core.naming import SynonymPair, is_same_taxon, synonym_columns
from sdm_core.occurrences import Occurrences
from sdm_core.taxa import (
    COMMON_GENERA,
    SPECIES_COLUMNS,
    common_genera,
    read_gbif_names,
    read_policy_lists,
    species_table,
)
from tests.original_data import afliber, eu_forest

LIST_HEADER = ["verbatimScientificName", "key", "matchType", "rank", "kingdom", "species", "acceptedUsageKey"]


def seen(*names: str, taxa: pd.DataFrame | None = None) -> Occurrences:
    """Each name recorded once per repetition, at places of its own."""
    table = pd.DataFrame({"species": names, "longitude": range(len(names)), "latitude": 40.0})
    return Occurrences(table, (), "made up", taxa)


def policy_folder(folder: Path, directive: list[list[str]], union: list[list[str]] = ()) -> Path:
    for name, rows in (
        ("habitats_directive_art_17_checklist+gbif_updated2031.csv", directive),
        ("IAS_list_union_concern+gbif.csv", union),
    ):
        with (folder / name).open("w", newline="") as file:
            csv.writer(file).writerows([LIST_HEADER, *rows])
    return folder


def flags(folder: Path, directive: list[list[str]], *names: str, taxa=None, union=()) -> pd.DataFrame:
    table = species_table(seen(*names, taxa=taxa), policy_folder=policy_folder(folder, directive, union))
    return table.set_index("species")


def listed(
    name, key="1", rank="SPECIES", kingdom="Plantae", accepted_name=None, accepted="", match="EXACT"
) -> list:
    return [name, key, match, rank, kingdom, accepted_name if accepted_name is not None else name, accepted]


def test_columns_are_those_of_the_store_and_ids_count_from_zero():
    table = species_table(seen("Quercus robur", "Abies alba", "Quercus robur"))
    assert tuple(table.columns) == SPECIES_COLUMNS
    assert table["species"].tolist() == ["Abies alba", "Quercus robur"]
    assert table["species_id"].tolist() == [0, 1]
    assert table["n_records"].tolist() == [1, 2]
    assert table["n_cells"].tolist() == [1, 2]
    assert table["common_genus"].tolist() == ["fir", "oak"]
    assert table["endemic"].isna().all() and table["gbif_key"].isna().all()
    assert table["flag_source"].tolist() == ["", ""] and not table["invasive_union_concern"].any()
    assert str(table["gbif_key"].dtype) == "Int64" and str(table["endemic"].dtype) == "boolean"


def test_order_and_cell_numbers_can_be_given():
    table = species_table(seen("A b", "C d"), species=["C d", "A b"], n_cells={"A b": 7, "C d": 9})
    assert table["species"].tolist() == ["C d", "A b"] and table["n_cells"].tolist() == [9, 7]
    with pytest.raises(UnknownSpeciesError, match="'E f' has no record in the occurrences"):
        species_table(seen("A b"), species=["E f"])


def test_flag_by_name_carries_source_and_date_of_the_list(tmp_path):
    table = flags(tmp_path, [listed("Planta rara")], "Planta rara", "Planta vulgaris")
    assert table.loc["Planta rara", "habitats_directive"] == "yes"
    assert table.loc["Planta rara", "flag_source"] == "Habitats Directive (Art. 17 checklist)"
    assert table.loc["Planta rara", "flag_date"] == "2031"
    assert table.loc["Planta vulgaris", ["habitats_directive", "flag_source", "flag_date"]].tolist() == [
        "",
        "",
        "",
    ]


def test_flag_by_gbif_key_names_the_listed_synonym(tmp_path):
    taxa = pd.DataFrame({"species": ["Planta nova"], "gbif_key": pd.array([55], dtype="Int64")})
    table = flags(tmp_path, [listed("Herba antiqua", key="55")], "Planta nova", taxa=taxa)
    assert table.loc["Planta nova", "habitats_directive"] == "yes"
    assert table.loc["Planta nova", "flag_source"].endswith("listed as Herba antiqua")


def test_listed_synonym_of_the_same_epithet_is_the_whole_species(tmp_path):
    entry = listed("Angelica palustris", key="2", accepted_name="Ostericum palustre", accepted="3")
    table = flags(tmp_path, [entry], "Ostericum palustre")
    assert table.loc["Ostericum palustre", "habitats_directive"] == "yes"


def test_listed_synonym_of_another_epithet_is_a_part(tmp_path):
    entry = listed("Tozzia carpathica", key="2", accepted_name="Tozzia alpina", accepted="3")
    table = flags(tmp_path, [entry], "Tozzia alpina")
    assert table.loc["Tozzia alpina", "habitats_directive"] == "in part"
    assert table.loc["Tozzia alpina", "flag_source"].endswith("listed as Tozzia carpathica")
    # A source that keeps both apart has the flag on the listed one alone.
    both = flags(tmp_path, [entry], "Tozzia alpina", "Tozzia carpathica")
    assert both["habitats_directive"].to_dict() == {"Tozzia alpina": "", "Tozzia carpathica": "yes"}


def test_listed_subspecies_is_a_part_unless_the_source_has_no_other(tmp_path):
    entry = listed("Planta rara subsp. insularis", key="9", rank="SUBSPECIES", accepted_name="Planta rara")
    assert flags(tmp_path, [entry], "Planta rara").loc["Planta rara", "habitats_directive"] == "in part"
    for keys, expected in (("9", "yes"), ("9 10", "in part")):
        taxa = pd.DataFrame({"species": ["Planta rara"], "gbif_taxon_keys": [keys]})
        table = flags(tmp_path, [entry], "Planta rara", taxa=taxa)
        assert table.loc["Planta rara", "habitats_directive"] == expected


def test_listed_genus_flags_its_species(tmp_path):
    entry = listed("Sphagnum spp.", key="5", rank="GENUS", accepted_name="", match="HIGHERRANK")
    table = flags(tmp_path, [entry], "Sphagnum medium", "Abies alba")
    assert table["habitats_directive"].to_dict() == {"Abies alba": "", "Sphagnum medium": "yes"}


def test_match_to_a_higher_rank_does_not_spread(tmp_path):
    # GBIF found only the family of this species: its key must not flag the family's other members.
    entry = listed("Sisymbrium supinum", key="3112", rank="FAMILY", accepted_name="", match="HIGHERRANK")
    taxa = pd.DataFrame({"species": ["Sinapis alba"], "gbif_key": pd.array([3112], dtype="Int64")})
    table = flags(tmp_path, [entry], "Sinapis alba", "Sisymbrium supinum", taxa=taxa)
    assert table["habitats_directive"].to_dict() == {"Sinapis alba": "", "Sisymbrium supinum": "yes"}


def test_names_unknown_to_gbif_are_matched_by_name_and_animals_are_left_out(tmp_path):
    entries = [
        listed("Liparis loeselii", key="", rank="", kingdom="", accepted_name="", match="NONE"),
        listed("Oenanthe lucida", kingdom="Animalia"),
    ]
    table = flags(tmp_path, entries, "Liparis loeselii", "Oenanthe lucida")
    assert table["habitats_directive"].to_dict() == {"Liparis loeselii": "yes", "Oenanthe lucida": ""}


def test_both_lists_are_named_with_their_dates(tmp_path):
    table = flags(tmp_path, [listed("Planta rara")], "Planta rara", union=[listed("Planta rara")])
    row = table.loc["Planta rara"]
    assert bool(row["invasive_union_concern"])
    assert (
        row["flag_source"] == "Habitats Directive (Art. 17 checklist); Union list of invasive alien species"
    )
    assert row["flag_date"] == "2031; undated"


def test_missing_and_wrong_lists_end_in_one_sentence(tmp_path):
    with pytest.raises(OccurrenceError, match=r"holds no habitats_directive\*\.csv"):
        read_policy_lists(tmp_path)
    policy_folder(tmp_path, [])
    (tmp_path / "IAS_list_union_concern+gbif.csv").write_text("name\nx\n")
    with pytest.raises(OccurrenceError, match="has no column 'verbatimScientificName'"):
        read_policy_lists(tmp_path)
    (tmp_path / "names.csv").write_text("name,key\nx,1\n")
    with pytest.raises(
        OccurrenceError,
        match=r"names\.csv has no column for GBIF matches of names; expected one named 'originalName'",
    ):
        read_gbif_names(tmp_path / "names.csv")


def test_a_genus_key_is_not_taken_for_the_species(tmp_path):
    (tmp_path / "names.csv").write_text(
        "key,originalName,matchType,rank,family,species\n"
        "7,Salix una,HIGHERRANK,GENUS,Salicaceae,\n8,Salix altera,EXACT,SPECIES,Salicaceae,Salix altera\n"
    )
    table = species_table(seen("Salix una", "Salix altera"), gbif_names=tmp_path / "names.csv").set_index(
        "species"
    )
    assert pd.isna(table.loc["Salix una", "gbif_key"]) and table.loc["Salix altera", "gbif_key"] == 8
    assert table["family"].tolist() == ["Salicaceae", "Salicaceae"]


def test_several_tables_of_gbif_keys_are_joined_and_the_first_wins(tmp_path):
    header = "key,originalName,matchType,rank,family,species\n"
    (tmp_path / "one.csv").write_text(header + "7,Salix una,EXACT,SPECIES,Salicaceae,Salix una\n")
    (tmp_path / "two.csv").write_text(
        "GBIF_species_id;GBIF_species_name;GBIF_family_name\n99;Salix una;X\n8;Salix altera;Salicaceae\n"
    )
    names = read_gbif_names([tmp_path / "one.csv", tmp_path / "two.csv"]).set_index("species")
    assert names["gbif_key"].to_dict() == {"Salix una": 7, "Salix altera": 8}
    assert names["family"].tolist() == ["Salicaceae", "Salicaceae"]


def test_common_genera_are_many_unique_and_plain():
    with COMMON_GENERA.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    genera = [row["genus"] for row in rows]
    assert len(genera) >= 250 and len(set(genera)) == len(genera) and genera == sorted(genera)
    assert all(genus.isalpha() and genus[0].isupper() for genus in genera)
    assert all(row["english"].strip() == row["english"] != "" for row in rows)
    assert {common_genera()[genus] for genus in ("Fagus", "Pinus", "Picea", "Betula", "Acer")} == {
        "beech", "pine", "spruce", "birch", "maple",
    }  # fmt: skip


def test_european_trees_have_families_keys_and_english_genera(data_dir):
    occurrences = eu_forest(data_dir)
    table = species_table(
        occurrences,
        gbif_names=data_dir / "eu_forest" / "taxaInGbif.csv",
        policy_folder=data_dir / "eu_policy_lists",
    ).set_index("species")
    assert (table["family"] != "").all() and (table["common_genus"] != "").all()
    # The one name that GBIF matched to its genus only has no key.
    assert table.index[table["gbif_key"].isna()].tolist() == ["Salix salviifolia"]
    assert table.loc["Fagus sylvatica", ["family", "gbif_key"]].tolist() == ["Fagaceae", 2882316]
    invasive = table[table["invasive_union_concern"]]
    assert invasive.index.tolist() == ["Ailanthus altissima"]
    assert invasive["flag_date"].tolist() == ["2022"]


def test_iberian_flora_carries_endemics_and_the_habitats_directive(data_dir):
    table = species_table(afliber(data_dir), policy_folder=data_dir / "eu_policy_lists").set_index("species")
    assert len(table) == 5681 and int(table["endemic"].sum()) == 1641
    assert table["endemic"].notna().all() and (table["family"] != "").all()
    assert table.loc["Narcissus asturiensis", "habitats_directive"] == "yes"
    assert table.loc["Ruscus aculeatus", "habitats_directive"] == "yes"
    assert table.loc["Quercus ilex", "habitats_directive"] == ""
    assert table.loc["Sambucus nigra", "habitats_directive"] == "in part"
    assert set(table.loc[table["habitats_directive"] != "", "flag_date"]) == {"2025"}


def test_synonyms_count_in_both_directions_and_only_where_they_are_the_same_plants():
    pairs = [
        SynonymPair("Anagallis arvensis", "Lysimachia arvensis", "one"),
        SynonymPair("Cormus domestica", "Sorbus domestica", "one"),
        SynonymPair("Sorbus domestica", "Cormus domestica", "other"),
        SynonymPair("Anacamptis urvilleana", "Anacamptis pyramidalis", "one"),  # a part of it
        SynonymPair("Malva alba", "Abies alba", "one"),
        SynonymPair("Malva alba", "Salix alba", "one"),  # so it is neither
        SynonymPair("Populus alba", "Salix alba", "one"),  # a species of its own here
    ]
    names = ["Anagallis arvensis", "Sorbus domestica", "Anacamptis pyramidalis", "Abies alba", "Salix alba"]
    found = synonym_columns([*names, "Populus alba"], pairs)
    assert found["synonyms"].tolist() == ["Lysimachia arvensis", "Cormus domestica", "", "", "", ""]
    assert found["synonym_source"].tolist() == ["one", "one; other", "", "", "", ""]


@pytest.mark.parametrize(
    ("name", "other", "same"),
    [
        ("Althaea hirsuta", "Malva setigera", False),
        ("Sorbus torminalis L.", "Torminaria torminalis (L.) Dippel", True),
        ("Aster alpinus", "Erigeron alpina", True),
        ("Atropa belladonna", "Atropa bella-donna", True),
        ("Allium massaesylum", "Allium massaessylum", True),
        ("Androsace vandellii", "Androsace alpina", False),
        ("", "Abies alba", False),
    ],
)
def test_names_of_the_same_plants_differ_in_genus_ending_or_spelling_only(name, other, same):
    assert is_same_taxon(name, other) is same
    assert is_same_taxon(other, name) is same


def test_synonyms_come_from_the_occurrences_gbif_and_the_policy_lists(tmp_path):
    own = pd.DataFrame({"species": ["Anagallis arvensis"], "synonyms": ["Lysimachia arvensis"]})
    (tmp_path / "names.csv").write_text(
        "originalName,key,rank,matchType,family,species\n"
        "Sorbus domestica,1,SPECIES,EXACT,Rosaceae,Cormus domestica\n"
    )
    directive = [listed("Planta rara", accepted_name="Herba rara", accepted="7")]
    table = species_table(
        seen("Anagallis arvensis", "Sorbus domestica", "Herba rara", taxa=own),
        gbif_names=tmp_path / "names.csv",
        policy_folder=policy_folder(tmp_path, directive),
    ).set_index("species")
    assert table["synonyms"].to_dict() == {
        "Anagallis arvensis": "Lysimachia arvensis",
        "Herba rara": "Planta rara",
        "Sorbus domestica": "Cormus domestica",
    }
    assert table["synonym_source"].tolist() == ["made up", "GBIF Backbone Taxonomy", "GBIF Backbone Taxonomy"]


def test_shipped_synonyms_are_no_species_of_their_atlas():
    table = pd.read_csv(
        config.ASSETS_DIR / "atlases" / "iberian-flora" / "species.csv", keep_default_na=False
    )
    given = table[table["synonyms"] != ""]
    assert len(given) > 200
    assert not set("; ".join(given["synonyms"]).split("; ")) & set(table["species"])
    assert (given["synonym_source"] != "").all()
