"""Categories a status list may give, and how they are written.

Red List categories are those of IUCN (Red List Categories and Criteria 3.1 and the regional guidelines);
"protected", "invasive", "alien" and "endemic" are for lists of another kind.
"""

from __future__ import annotations

from types import MappingProxyType

#: Red List categories of species at risk, the least threatened first: the order of "worst".
THREATENED: tuple[str, ...] = ("VU", "EN", "CR")
#: Categories with enough data to say whether a species is threatened, the least threatened first.
ASSESSED: tuple[str, ...] = ("LC", "NT", *THREATENED)
#: Every Red List category, worst last; those before LC say that nothing is known or applicable.
RED_LIST: tuple[str, ...] = ("NE", "NA", "DD", *ASSESSED, "RE", "EW", "EX")
#: Categories of lists of another kind, with the group of species they belong to.
OTHER: tuple[str, ...] = ("protected", "invasive", "alien", "endemic")
CATEGORIES: tuple[str, ...] = (*RED_LIST, *OTHER)

CATEGORY_NAMES = MappingProxyType(
    {
        "EX": "Extinct",
        "EW": "Extinct in the Wild",
        "RE": "Regionally Extinct",
        "CR": "Critically Endangered",
        "EN": "Endangered",
        "VU": "Vulnerable",
        "NT": "Near Threatened",
        "LC": "Least Concern",
        "DD": "Data Deficient",
        "NA": "Not Applicable",
        "NE": "Not Evaluated",
        "protected": "Protected by law",
        "invasive": "Invasive alien species",
        "alien": "Alien species",
        "endemic": "Endemic species",
    }
)
#: Older or longer ways to write a category; tags of possible extinction keep the category.
_OTHER_SPELLINGS = {
    "critically endangered (possibly extinct)": "CR",
    "cr (pe)": "CR",
    "cr(pe)": "CR",
    "cr (pew)": "CR",
    "cr(pew)": "CR",
    "lower risk/least concern": "LC",
    "lr/lc": "LC",
    "lower risk/near threatened": "NT",
    "lr/nt": "NT",
    "lower risk/conservation dependent": "NT",
    "lr/cd": "NT",
}
_SPELLINGS = {
    **{category.lower(): category for category in CATEGORIES},
    **{words.lower(): category for category, words in CATEGORY_NAMES.items()},
    **_OTHER_SPELLINGS,
}


def parse_category(text: str) -> str | None:
    """The category a text stands for, its case and spacing apart; None where it is none of `CATEGORIES`."""
    return _SPELLINGS.get(" ".join(text.split()).lower())
