"""Regions as clients send them, and everything the interface says about one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sdm_core import applicability, indicators, regions
from sdm_core.api.posted import Posted
from sdm_core.api.refusals import ApiError
from sdm_core.api.settings import ApiSettings
from sdm_core.api.work import check_in_time
from sdm_core.indicators import rule_options
from sdm_core.observed import observe_region
from sdm_core.on_demand.own_files import OwnData
from sdm_core.prediction import PredictionStore
from sdm_core.registry import Atlas
from sdm_core.statuses import MatchedStatuses, match_statuses

#: Raised when the same question would get another answer from the same predictions.
ANSWER_FORMAT = 2
#: Taxa without a species of the atlas that an answer lists.
_N_UNMATCHED = 500
_ALL, _NONE, _TOP = "all", "none", "top "
_CONTENTS = ("coordinates", "geometries", "features", "geometry")


@dataclass(frozen=True)
class Question:
    """What is asked about a region: rules, their options, and how many species to list (None is all)."""

    containment: str
    rule: str
    options: Mapping[str, Any] = field(default_factory=dict)
    n_species: int | None = 20

    def __post_init__(self) -> None:
        rule_options(self.rule, dict(self.options))
        if self.containment not in regions.CONTAINMENT_RULES:
            raise ApiError(
                422,
                f"The containment rule is {self.containment[:40]!r}, expected one of "
                f"{', '.join(regions.CONTAINMENT_RULES)}.",
            )

    @property
    def key(self) -> tuple:
        """Everything in it, for an ETag."""
        options = tuple(sorted((name, str(value)) for name, value in self.options.items()))
        return (ANSWER_FORMAT, self.containment, self.rule, options, self.n_species)


def number_of_species(text: str) -> int | None:
    """`all`, `none`, `top 20` or `20` as a number; None is all.

    Raises:
        ApiError: it is nothing of this.
    """
    plain = " ".join(text.lower().replace("+", " ").split())
    if plain == _ALL:
        return None
    if plain == _NONE:
        return 0
    digits = plain.removeprefix(_TOP)
    if digits.isascii() and digits.isdigit() and len(digits) <= 6:
        return int(digits)
    raise ApiError(422, f"species is {text[:40]!r}, expected all, none, or a number such as 20.")


def region_of_geojson(content: Any, settings: ApiSettings, name: str) -> regions.Region:
    """The region of a GeoJSON object, repaired where that is possible (its notes say how).

    Raises:
        ApiError: too many polygons.
        RegionError: no polygon, or none that can be used.
    """
    n_rings = count_rings(content)
    if n_rings > settings.max_rings:
        raise ApiError(
            413,
            f"The region has {n_rings:,} outlines and holes, and {settings.max_rings:,} are taken; dissolve "
            "or simplify it.",
        )
    return regions.region_from_geojson(content, name or "Region", source="posted")


def count_rings(content: Any) -> int:
    """How many outlines and holes a GeoJSON object lists, whatever else is in it."""
    if isinstance(content, Mapping):
        return sum(count_rings(content[name]) for name in _CONTENTS if name in content)
    if not isinstance(content, list) or not content:
        return 0
    first = content[0]
    if isinstance(first, list) and first and isinstance(first[0], int | float):
        return 1
    return sum(count_rings(part) for part in content)


def region_of(
    posted: Posted | None,
    settings: ApiSettings,
    name: str = "",
    place: str | None = None,
    radius_km: float | None = None,
    cells: str | None = None,
) -> regions.Region:
    """The region of a body (None: the request has none), else of a place or cells; raises as those two do."""
    if posted is not None and posted.region is not None:
        return region_of_geojson(posted.region, settings, name)
    if posted is not None and place is None and cells is None:
        found = "has no region" if posted.own else "is empty"
        raise ApiError(400, f"The body {found}; send one as GeoJSON, or give a place in the address.")
    return region_of_query(place, radius_km, cells, name)


def region_of_query(
    place: str | None, radius_km: float | None, cells: str | None, name: str
) -> regions.Region:
    """The region of a place name or of a list of H3 cells.

    Raises:
        ApiError: none of them is given, or both are.
        RegionError: the place, the radius or a cell is not known.
    """
    if (place is None) == (cells is None):
        raise ApiError(422, "Give a place, such as place=Pyrenees, or cells with commas between them.")
    if place is not None:
        found = (
            regions.region_from_place(place)
            if radius_km is None
            else regions.region_from_place(place, radius_km)
        )
        return found.renamed(name) if name else found
    names = [part for part in (cells or "").split(",") if part.strip()]
    return regions.region_from_cells(names, name or None)


def select(store: PredictionStore, region: regions.Region, containment: str) -> regions.Selection:
    """Cells of an atlas that count for a region; raises `NoDataInRegionError` where there are none."""
    return regions.select_cells(
        region, store.lonlat, store.resolution, store.cells, store.area_ha, containment
    )


def answer_region(
    atlas: Atlas, region: regions.Region, question: Question, own: OwnData | None = None
) -> dict[str, Any]:
    """Content of `answers.RegionAnswer`: the numbers of the region's report, and the species asked for.

    own: a user's status lists, records and outlines, whose numbers are added.

    Raises:
        NoDataInRegionError: no cell of the atlas lies in the region.
        RuleError: an option the rule does not define.
        RegionError: none of the user's outlines lies on the atlas.
    """
    store = atlas.store
    own = own or OwnData()
    chosen = select(store, region, question.containment)
    check_in_time()
    matched = [match_statuses(file, store.species) for file in own.statuses]
    if own.outlines is not None:
        indicators.check_outlines(own.outlines, store)
    check_in_time()
    summary = indicators.summarise_region(
        store,
        chosen.rows,
        region=region,
        rule=question.rule,
        notes=chosen.notes,
        hectares=chosen.hectares,
        containment=question.containment,
        statuses=matched,
        **dict(question.options),
    )
    check_in_time()
    trust = applicability.assess_trust(store, chosen.rows, summary, atlas.card, hectares=chosen.hectares)
    table = summary.species_table
    shown = table if question.n_species is None else table.head(question.n_species)
    answer = {
        **replace(summary, species_table=shown).to_dict(),
        "trust": trust.to_dict(),
        "n_species": len(table),
    }
    if matched:
        answer["matching"] = [matching_of(found) for found in matched]
    check_in_time()
    if own.records is not None:
        answer["observed"] = observe_region(own.records, region, store.species, summary).to_dict()
    if own.outlines is not None:
        stands = indicators.benchmark_region(
            store, chosen.rows, chosen.hectares, region, matched, own.outlines
        )
        answer["benchmarks"] = stands.to_dict()
    return answer


def matching_of(found: MatchedStatuses) -> dict[str, Any]:
    """How the taxa of a status list reached species of the atlas, and what became of the others."""
    missed = found.unmatched
    return {
        "file": found.file.name,
        "n_entries": len(found.file.entries),
        "ways": {str(way): int(n) for way, n in found.matched["way"].value_counts().items()},
        "n_unmatched": len(missed),
        "unmatched": missed.head(_N_UNMATCHED).to_dict("records"),
        "notes": list(found.notes),
    }
