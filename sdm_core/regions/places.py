"""Named places: natural regions, countries and towns, with type-ahead search; all offline."""

from __future__ import annotations

import json
import math
import unicodedata
from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import pyarrow.parquet
import shapely

from sdm_core import config
from sdm_core.errors import RegionError
from sdm_core.regions.basemap import country_outlines, country_shares_in_europe, cut_at_coast, islands_at
from sdm_core.regions.region import Region, format_lonlat, region_from_geometry, region_from_point

PLACES_CREDIT = "Towns: GeoNames (CC BY 4.0); countries and island coasts: Natural Earth (public domain)"
#: Radius of the circle that stands for a town, in km, unless another is asked for.
TOWN_RADIUS_KM = 10.0

#: Other names under which a country is looked for.
_COUNTRY_ALIASES = {
    "Czechia": ("Czech Republic",),
    "Netherlands": ("Holland", "The Netherlands"),
    "North Macedonia": ("Macedonia",),
    "Turkey": ("Türkiye",),
    "United Kingdom": ("UK", "U.K."),
    "Germany": ("Deutschland",),
    "Spain": ("España",),
    "Italy": ("Italia",),
    "Austria": ("Österreich",),
    "Switzerland": ("Schweiz", "Suisse", "Svizzera"),
    "Greece": ("Hellas",),
    "Poland": ("Polska",),
    "Hungary": ("Magyarország",),
    "Norway": ("Norge",),
    "Sweden": ("Sverige",),
    "Finland": ("Suomi",),
    "Croatia": ("Hrvatska",),
}


@dataclass(frozen=True)
class Place:
    """One entry of the place search."""

    #: Unique name, shown and accepted by `region_from_place`.
    name: str
    kind: Literal["natural region", "country", "town"]
    #: Other names it is found by.
    aliases: tuple[str, ...] = ()
    #: Centre of a town in degrees; NaN for the other kinds.
    longitude: float = math.nan
    latitude: float = math.nan
    #: Inhabitants of a town; 0 for the other kinds.
    population: int = 0


def plain_text(text: str) -> str:
    """Lower case without accents, apostrophes or doubled spaces, as names are compared."""
    letters = unicodedata.normalize(
        "NFKD", text.casefold().replace("ø", "o").replace("ł", "l").replace("đ", "d")
    )
    kept = "".join(
        " " if letter in "-_/" else letter for letter in letters if not unicodedata.combining(letter)
    )
    return " ".join(kept.replace("'", "").replace("’", "").split())


def _presets() -> list[dict[str, Any]]:
    path = config.ASSETS_DIR / "regions_presets.json"
    try:
        presets: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["presets"]
    except (OSError, ValueError, KeyError) as error:
        raise RegionError(
            f"The file {path.name} is missing or damaged; restore the assets folder."
        ) from error
    return presets


def _towns() -> list[Place]:
    path = config.ASSETS_DIR / "places" / "places.parquet"
    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise RegionError(
            f"The file {path.name} is missing or damaged; restore the assets folder."
        ) from error
    columns = [
        table[name].to_pylist()
        for name in ("name", "country", "longitude", "latitude", "population", "aliases")
    ]
    towns, taken = [], set()
    for name, country, longitude, latitude, population, aliases in zip(*columns, strict=True):
        label = f"{name}, {country}"
        if label in taken:  # the largest keeps the plain name, others say where they are
            label = f"{label} ({format_lonlat(longitude, latitude)})"
        taken.add(label)
        others = tuple(aliases.split("|")) if aliases else ()
        towns.append(Place(label, "town", others, longitude, latitude, population))
    return towns


@lru_cache(maxsize=1)
def _places() -> dict[str, Place]:
    """All places by name: natural regions, then countries, then towns from the largest."""
    natural = [Place(preset["name"], "natural region", tuple(preset["aliases"])) for preset in _presets()]
    countries = [
        Place(name, "country", _COUNTRY_ALIASES.get(name, ())) for name in sorted(country_outlines())
    ]
    return {place.name: place for place in [*natural, *countries, *_towns()]}


@lru_cache(maxsize=1)
def _index() -> list[tuple[str, int, Place]]:
    """(plain name, 0 for the name itself, 1 for an alias, 2 for a later word.

    Place), sorted for prefix search.
    """
    entries = []
    for place in _places().values():
        own = plain_text(place.name)
        entries.append((own, 0, place))
        entries += [(plain_text(alias), 1, place) for alias in place.aliases]
        words = plain_text(place.name.split(",")[0]).split()
        entries += [
            (" ".join(words[start:]), 2, place) for start in range(1, len(words)) if len(words[start]) > 2
        ]
    return sorted(entries, key=lambda entry: entry[0])


def place_names() -> list[str]:
    """Names of all places: natural regions, then countries, then towns from the largest."""
    return list(_places())


def search_places(text: str, limit: int = 12) -> list[str]:
    """Names of places that begin with a text, best first.

    A place is also found by a later word of its name or by another name. Accents, case and hyphens do not
    matter. Natural regions and countries come before towns, larger towns before smaller ones, a place's own
    name before its other names. Empty text gives the first names of `place_names`.
    """
    wanted = plain_text(text)
    if not wanted:
        return place_names()[:limit]
    index = _index()
    best: dict[str, tuple[Any, ...]] = {}
    position = bisect_left(index, wanted, key=lambda entry: entry[0])
    while position < len(index) and index[position][0].startswith(wanted):
        key, rank, place = index[position]
        exact = key == wanted or key.startswith(f"{wanted},")
        order = (not exact or rank == 2, place.kind == "town", rank, -place.population, place.name)
        if place.name not in best or order < best[place.name]:
            best[place.name] = order
        position += 1
    return sorted(best, key=lambda name: best[name])[:limit]


def find_place(name: str) -> Place:
    """The place of a name as `place_names` gives it, or of another name; case and accents do not matter.

    Raises RegionError with similar names when there is none.
    """
    exact = _places().get(name.strip())
    if exact is not None:
        return exact
    wanted = plain_text(name)
    index = _index()
    position = bisect_left(index, wanted, key=lambda entry: entry[0]) if wanted else len(index)
    matches = []
    while position < len(index) and index[position][0].startswith(wanted):
        key, rank, place = index[position]
        if (key == wanted and rank < 2) or (rank == 0 and key.startswith(f"{wanted},")):
            matches.append((place.kind == "town", rank, -place.population, place.name, place))
        position += 1
    if matches:
        return min(matches, key=lambda match: match[:4])[4]
    similar = [
        hit for cut in (len(wanted), 6, 4, 3) for hit in search_places(wanted[:cut], 3) if cut and wanted
    ]
    hint = (
        f"did you mean {' or '.join(dict.fromkeys(similar[:3]))}?"
        if similar
        else "draw or upload the region."
    )
    raise RegionError(f"No place is called '{name.strip()[:60]}'; {hint}")


def region_from_place(name: str, radius_km: float = TOWN_RADIUS_KM) -> Region:
    """The region of a named place: a natural region, a country, or a circle around a town ("Pau, France").

    Parameters: `radius_km` of the circle, towns only. Countries are cut to 32° W–62° E, 24–82° N, with a
    note when that leaves parts out. Raises RegionError with similar names when the name is not known.
    """
    place = find_place(name)
    if place.kind == "town":
        circle = region_from_point(place.longitude, place.latitude, radius_km, place.name)
        note = f"Circle of {radius_km:g} km around {place.name} (GeoNames, CC BY 4.0)."
        suffix = "" if radius_km == TOWN_RADIUS_KM else f"~{radius_km:g}"
        return Region(place.name, circle.geometry, f"place:{place.name}{suffix}", (note,))
    if place.kind == "country":
        notes = ["Outline: Natural Earth 1:10 million (public domain), borders as held on the ground."]
        share = country_shares_in_europe()[place.name]
        if share < 0.995:
            notes.append(
                f"Only the {share:.0%} of {place.name} within 32° W to 62° E and 24° N to 82° N is used; "
                "the rest lies outside the maps of Europe."
            )
        outline: shapely.Geometry = country_outlines()[place.name]
    else:
        preset = next(preset for preset in _presets() if preset["name"] == place.name)
        if "island_at" in preset:
            outline = islands_at(*preset["island_at"])
            notes = ["Coast: Natural Earth 1:10 million (public domain)."]
        else:
            outline = cut_at_coast(shapely.Polygon(preset["outline"]))
            notes = ["Approximate outline drawn for Florascope, not an official boundary."]
    return region_from_geometry(outline, place.name, f"place:{place.name}", tuple(notes))
