"""Vegetation plots and other surveys as tables: one row per find (long), or plots × species (wide)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypedDict, Unpack

import numpy as np
import pandas as pd

from sdm_core.errors import OccurrenceError
from sdm_core.occurrences.cleaning import clean_coordinates, clean_names, clean_years, numbers
from sdm_core.occurrences.names import parse_name
from sdm_core.occurrences.plain import (
    DATE_COLUMNS,
    LATITUDE_COLUMNS,
    LONGITUDE_COLUMNS,
    SPECIES_COLUMNS,
    UNCERTAINTY_COLUMNS,
)
from sdm_core.occurrences.reading import find_column, read_table, require_column
from sdm_core.occurrences.surveys import Surveys, surveys_of_records
from sdm_core.occurrences.table import Cleaner

CoverScale = Literal["percent", "braun-blanquet", "presence"]
NameRule = Literal["species", "as written"]
#: A table of plots, one row each, and the name messages call it.
SiteTable = tuple[pd.DataFrame, str]
#: Percent cover of the symbols of Braun-Blanquet with the divided 2 of Barkman et al. (1964): the values of
#: Turboveg 2 (Hennekens & Schaminée 2001, Journal of Vegetation Science 12:589-591).
BRAUN_BLANQUET: Mapping[str, float] = MappingProxyType(
    {"r": 1, "+": 2, "1": 3, "2m": 4, "2a": 8, "2b": 18, "2": 13, "3": 38, "4": 68, "5": 88}
)
SITE_COLUMNS = (
    "plot",
    "site",
    "plotID",
    "PlotObservationID",
    "releve",
    "relevé",
    "surveyId",
    "eventID",
    "sample",
    "sampleID",
)
COVER_COLUMNS = ("cover", "cov", "cover %", "coverPercent", "cover_perc", "organismQuantity", "abundance")
#: What stands for "not there" in a wide table.
ABSENT = ("", "0", "0.0", ".", "-", "NA", "NaN", "FALSE", "False", "false", "absent")
#: What stands for a cover that is not known in a long table.
_NOT_STATED = ("NA", "NaN", "nan", "na", "NULL")
_SITE_FIELDS = {
    "year": ("year",),
    "date": DATE_COLUMNS,
    "country": ("countryCode", "country"),
    "uncertainty_m": (*UNCERTAINTY_COLUMNS, "accuracy"),
    "area_m2": ("area", "areaInM2", "plot_area", "Releve area (m²)"),
    "elevation_m": ("elevation", "altitude", "Altitude (m)"),
}
_NUMBERS = ("uncertainty_m", "area_m2", "elevation_m")


class PlotReading(TypedDict, total=False):
    """How the finds of plots are read, for both forms of tables.

    cover_scale: "percent" (0-100); "braun-blanquet", the symbols of `BRAUN_BLANQUET`; "presence" when the
    column only says that a species is there. Found from the values when not given; small whole numbers, which
    may be either, have to be named. names: "species" (default) brings names to species level and leaves out
    what does not reach it, counted; "as written" keeps them. crs: coordinate system of the coordinates
    (default: degrees). complete: whether the lists are complete (default), so that a missing species is an
    absence.
    """

    cover_scale: CoverScale | None
    names: NameRule
    crs: str
    complete: bool


def read_plots_long(path: Path, *, sites: Path | None = None, **reading: Unpack[PlotReading]) -> Surveys:
    """Surveys from a table with one row per plot and species (and layer), cover kept.

    A species in several layers counts once; its covers are joined as 1 - Π(1 - cover). Plots without a find
    are left out.

    Args:
        path: the finds: plot, species, and cover where known; coordinates too, unless `sites` has them.
        sites: a table with one row per plot: plot, longitude, latitude, year, date, …
        **reading: see `PlotReading`.

    Raises:
        OccurrenceError: when a column is missing, a cover is not on the scale, or nothing is left.
    """
    return plots_of_long_table(*_table_of(path), sites=_site_table(sites), **reading)


def plots_of_long_table(
    raw: pd.DataFrame, name: str, *, sites: SiteTable | None = None, **reading: Unpack[PlotReading]
) -> Surveys:
    """As `read_plots_long`, from a table of text that is already read; `name` is what messages call it."""
    site = raw[require_column(raw, SITE_COLUMNS, "the plot", name)].str.strip()
    written_name = raw[require_column(raw, SPECIES_COLUMNS, "the species name", name)]
    cover_column = find_column(raw.columns, COVER_COLUMNS)
    table = pd.DataFrame({"site": site, "name": written_name})
    if cover_column is not None and reading.get("cover_scale") != "presence":
        cover = raw[cover_column].str.strip()
        table["written"] = cover.where(~cover.isin(_NOT_STATED), "")
    return _surveys(table, raw, name, sites, **reading)


def read_plots_wide(
    path: Path,
    *,
    sites: Path | None = None,
    species_columns: Sequence[str] | None = None,
    **reading: Unpack[PlotReading],
) -> Surveys:
    """Surveys from a table with one row per plot and one column per species.

    Empty, 0, `.`, `-`, NA and FALSE mean absent; anything else is a presence with that cover. Plots without
    a find are left out, with a note.

    Args:
        path: plot, longitude, latitude (unless `sites` has them), then species.
        sites: as `read_plots_long`.
        species_columns: which columns are species; all whose name is a species name when not given
            (`Abies alba`, `Abies_alba`, `Abies.alba`). Columns of one species are joined.
        **reading: see `PlotReading`.

    Raises:
        OccurrenceError: as `read_plots_long`, and when no column is a species.
    """
    return plots_of_wide_table(
        *_table_of(path), sites=_site_table(sites), species_columns=species_columns, **reading
    )


def plots_of_wide_table(
    raw: pd.DataFrame,
    name: str,
    *,
    sites: SiteTable | None = None,
    species_columns: Sequence[str] | None = None,
    **reading: Unpack[PlotReading],
) -> Surveys:
    """As `read_plots_wide`, from a table of text that is already read; `name` is what messages call it."""
    site_column = require_column(raw, SITE_COLUMNS, "the plot", name)
    doubled = raw[site_column].str.strip().duplicated()
    if doubled.any():
        raise OccurrenceError(
            f"{name} has two rows for plot '{raw[site_column][doubled].iloc[0]}'; a wide table has one "
            "row per plot, so join them or read a long table with read_plots_long."
        )
    if species_columns is None:
        chosen = [column for column in raw.columns if parse_name(_spaced(column)).species is not None]
        if not chosen:
            raise OccurrenceError(
                f"{name} has no column named like a species (found: {', '.join(raw.columns[:8])}); name "
                "them with species_columns, or turn the table if its rows are species."
            )
    else:
        chosen = [require_column(raw, [column], f"the species {column}", name) for column in species_columns]
    values = raw[chosen].apply(lambda column: column.str.strip())
    row, column = np.nonzero(~values.isin(ABSENT).to_numpy())
    if not len(row):
        raise OccurrenceError(f"No species of {name} is present in any of its {len(raw)} plots.")
    table = pd.DataFrame(
        {
            "site": raw[site_column].str.strip().to_numpy()[row],
            "name": np.array([_spaced(title) for title in chosen], dtype=object)[column],
        }
    )
    if reading.get("cover_scale") != "presence":
        written = values.to_numpy()[row, column]
        if not np.isin(written, ["1", "1.0", "x", "X", "TRUE", "True", "true"]).all():
            table["written"] = written
    n_bare = len(raw) - len(np.unique(row))
    return _surveys(table, raw.iloc[row].reset_index(drop=True), name, sites, n_bare, **reading)


def _table_of(path: Path) -> SiteTable:
    """The table in a file, and the name messages call it."""
    return read_table(Path(path)), Path(path).name


def _site_table(path: Path | None) -> SiteTable | None:
    return None if path is None else _table_of(path)


def _spaced(name: str) -> str:
    """A column name as R writes it, with blanks again."""
    return name if " " in name.strip() else name.replace(".", " ").replace("_", " ")


def _surveys(
    table: pd.DataFrame,
    raw: pd.DataFrame,
    title: str,
    sites: SiteTable | None,
    n_bare: int = 0,
    *,
    cover_scale: CoverScale | None = None,
    names: NameRule = "species",
    crs: str = "EPSG:4326",
    complete: bool = True,
) -> Surveys:
    """Surveys from finds and what is known of their plots; `raw` has the rows of `table`.

    n_bare: plots of the file without any find, which the table does not hold.
    """
    if names not in ("species", "as written"):
        raise OccurrenceError(f"The rule for names is '{names}'; use 'species' or 'as written'.")
    unknown = np.zeros(len(table), dtype=bool)
    if sites is None:
        described = _site_fields(raw, title)
    else:
        own, sites_title = sites
        key = own[require_column(own, SITE_COLUMNS, "the plot", sites_title)].str.strip()
        if key.duplicated().any():
            raise OccurrenceError(f"{sites_title} lists plot '{key[key.duplicated()].iloc[0]}' twice.")
        place = pd.Index(key).get_indexer(pd.Index(table["site"]))
        unknown = place < 0
        described = _site_fields(own, sites_title).iloc[np.where(unknown, 0, place)]
    described = described.reset_index(drop=True)
    cleaner = Cleaner(table.join(described), f"Survey table {title}", title)
    cleaner.remove(
        unknown | (cleaner.table["site"] == "").to_numpy(),
        "unknown plot",
        "The find names no plot, or one that the table of plots lacks.",
    )
    n_plots = cleaner.table["site"].nunique()
    clean_coordinates(cleaner, crs)
    if names == "species":
        clean_names(cleaner)
    else:
        cleaner.table = cleaner.table.assign(species=cleaner.table["name"].str.strip())
        cleaner.remove(cleaner.table["species"] == "", "no name", "The find has no name.")
    _clean_cover(cleaner, cover_scale)
    clean_years(cleaner, None)
    n_lost = n_bare + n_plots - cleaner.table["site"].nunique()
    if n_lost:
        cleaner.note(
            "plots without finds",
            f"{n_lost} of {n_bare + n_plots} plots have no find left and are left out.",
        )
    return surveys_of_records(cleaner, list(_SITE_FIELDS), complete=complete)


def _site_fields(raw: pd.DataFrame, name: str) -> pd.DataFrame:
    """Coordinates and what else is known of each row's plot."""
    fields = pd.DataFrame(
        {
            "longitude": numbers(raw[require_column(raw, LONGITUDE_COLUMNS, "the longitude", name)]),
            "latitude": numbers(raw[require_column(raw, LATITUDE_COLUMNS, "the latitude", name)]),
        }
    )
    for target, candidates in _SITE_FIELDS.items():
        column = find_column(raw.columns, candidates)
        if column is not None:
            text = raw[column].str.strip()
            fields[target] = numbers(text) if target in _NUMBERS else text
    return fields


def _clean_cover(cleaner: Cleaner, scale: CoverScale | None) -> None:
    """Cover in percent from what is written, or none where it only says "present"."""
    if "written" not in cleaner.table:
        if scale not in (None, "presence"):
            raise OccurrenceError(
                f"{cleaner.name} has no column for the cover, which was said to be {scale}."
            )
        return
    written = cleaner.table["written"]
    if scale is None:
        scale = _scale_of(written, cleaner.name)
    if scale == "presence":
        cleaner.note("no cover", f"Every cover is written as '{written.iloc[0]}': it only says present.")
        cleaner.table = cleaner.table.drop(columns="written")
        return
    if scale == "braun-blanquet":
        cover = written.str.lower().map(BRAUN_BLANQUET)
        bad = cover.isna() & (written != "")
        expected = "one of " + " ".join(BRAUN_BLANQUET)
    elif scale == "percent":
        cover = numbers(written.str.removesuffix("%"))
        bad = (cover.isna() & (written != "")) | ~(cover.fillna(0).between(0, 100))
        expected = "0 to 100 percent"
    else:
        raise OccurrenceError(f"The cover scale is '{scale}'; use 'percent', 'braun-blanquet' or 'presence'.")
    if bad.any():
        raise OccurrenceError(
            f"{cleaner.name} has the cover '{written[bad].iloc[0]}' ({int(bad.sum())} such rows), not "
            f"{expected}; correct it or name another cover_scale."
        )
    cleaner.table = cleaner.table.assign(cover=cover.astype(float))
    cleaner.remove(cleaner.table["cover"] == 0, "recorded as absent", "The cover is 0: not found.")
    n_without = int(cleaner.table["cover"].isna().sum())
    if n_without:
        cleaner.note("no cover stated", f"{n_without} finds state no cover; they are present, cover unknown.")


def _scale_of(written: pd.Series, name: str) -> CoverScale:
    """The scale of the values, where they leave no doubt."""
    stated = written[written != ""]
    value = pd.to_numeric(stated.str.removesuffix("%"), errors="coerce")
    if stated.nunique() <= 1:
        return "percent" if (value == 0).any() else "presence"
    if value.notna().all():
        if ((value == value.round()) & (value <= 5)).all():
            raise OccurrenceError(
                f"The covers of {name} are whole numbers up to {value.max():g}, which may be percent or "
                "Braun-Blanquet; say which with cover_scale."
            )
        return "percent"
    return "braun-blanquet" if stated.str.lower().isin(BRAUN_BLANQUET).all() else "percent"
