"""Status lists that users bring: Red Lists, protection, alien and endemic species, as one CSV format.

categories   the categories a list may give
tables       text and rows of a CSV file
reading      a CSV file, checked whole: `read_statuses`
synonyms     a user's table of synonyms: `read_synonyms`
matching     its taxa beside the species of an atlas: `match_statuses`

The format with an empty file to start from is in `assets/statuses/`. The flags of an atlas (Habitats
Directive, Union concern, endemic) are part of its species table, see `taxa`.
"""

from sdm_core.naming import WAYS
from sdm_core.statuses.categories import (
    ASSESSED,
    CATEGORIES,
    CATEGORY_NAMES,
    OTHER,
    RED_LIST,
    THREATENED,
    parse_category,
)
from sdm_core.statuses.matching import MatchedStatuses, match_statuses
from sdm_core.statuses.reading import (
    OPTIONAL_COLUMNS,
    REQUIRED_COLUMNS,
    StatusFile,
    read_statuses,
    with_synonyms,
)
from sdm_core.statuses.synonyms import SynonymTable, read_synonyms
from sdm_core.statuses.tables import MAX_BYTES

__all__ = [
    "ASSESSED",
    "CATEGORIES",
    "CATEGORY_NAMES",
    "MAX_BYTES",
    "OPTIONAL_COLUMNS",
    "OTHER",
    "RED_LIST",
    "REQUIRED_COLUMNS",
    "THREATENED",
    "WAYS",
    "MatchedStatuses",
    "StatusFile",
    "SynonymTable",
    "match_statuses",
    "parse_category",
    "read_statuses",
    "read_synonyms",
    "with_synonyms",
]
