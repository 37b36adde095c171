"""What the interface answers, as models that its OpenAPI document describes."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Refusal(BaseModel):
    """Every answer that is not a success."""

    error: str = Field(description="One sentence: what was found, what was expected, what to do.")


class AtlasEntry(BaseModel):
    """One atlas in the list."""

    name: str = Field(examples=["european-trees"])
    title: str
    version: str = Field(description="Hash of everything that decides the predictions.")
    resolution: int = Field(description="H3 resolution of the cells.", examples=[6])
    n_cells: int
    n_species: int
    bounds: list[float] = Field(description="West, south, east, north of the cell centres, degrees.")
    links: dict[str, str] = Field(description="Addresses of its parts, relative to the start of the server.")


class AtlasList(BaseModel):
    """The installed atlases."""

    atlases: list[AtlasEntry]


class LayerEntry(BaseModel):
    """One layer that tiles show."""

    name: str = Field(examples=["richness"])
    title: str
    unit: str
    meaning: str = Field(description="What one value says, in one sentence.")
    group: str = Field(description="diversity, concern or trust.")
    categories: list[str] = Field(
        description="What the whole numbers from 0 stand for; empty where values are amounts."
    )
    tilejson: str
    legend: str


class AtlasDetail(AtlasEntry):
    """One atlas with its layers and what its model card says in short."""

    layers: list[LayerEntry]
    species_layer: str = Field(description="Name pattern of the layer of one species.")
    about: dict[str, Any] = Field(description="Summary, date, grain, limits, data and licence from the card.")


class SpeciesEntry(BaseModel):
    """One species of an atlas; `species_id` is its column there."""

    model_config = ConfigDict(extra="allow")

    species_id: int
    species: str = Field(examples=["Fagus sylvatica"])
    family: str | None = None
    common_genus: str | None = Field(default=None, description="English name of the genus.")
    gbif_key: int | None = None
    synonyms: str | None = Field(default=None, description="Other names of the species, joined by “; ”.")
    endemic: bool | None = Field(default=None, description="null where nobody has assessed it.")
    habitats_directive: str | None = None
    invasive_union_concern: bool | None = None
    links: dict[str, str] = Field(default_factory=dict)


class SpeciesPage(BaseModel):
    """A page of a species search, best match first."""

    total: int = Field(description="Species that match, on all pages.")
    offset: int
    limit: int
    next: str | None = Field(description="Address of the next page, null on the last.")
    species: list[SpeciesEntry]


class CellSpecies(BaseModel):
    """A species in a cell."""

    model_config = ConfigDict(extra="allow")

    species_id: int
    species: str
    probability: float = Field(description="Area-weighted mean where the cell is coarser than the atlas.")


class CellAnswer(BaseModel):
    """One cell, which may be a parent of several cells of the atlas."""

    atlas: str
    atlas_version: str
    cell: str = Field(examples=["861f83647ffffff"])
    resolution: int
    longitude: float
    latitude: float
    n_cells: int = Field(description="Cells of the atlas in it.")
    area_km2: float
    expected_richness: float
    shannon: float | None
    simpson: float | None
    top: list[CellSpecies]


class RegionAnswer(BaseModel):
    """The numbers of a region, the same as in its report's `indicators.json`."""

    model_config = ConfigDict(extra="allow")

    atlas: dict[str, Any] = Field(description="Name, title, version, number of species, H3 resolution.")
    region: dict[str, Any] = Field(
        description="Name, hash of the outline, number of cells, and notes: what was done to the outline and "
        "how its cells were chosen."
    )
    rule: dict[str, Any] = Field(description="How probabilities became species sets.")
    indicators: dict[str, Any] = Field(description="Value, unit, interval and definition of each indicator.")
    groups: dict[str, Any] = Field(description="Endemic, protected and invasive species.")
    trust: dict[str, Any] = Field(description="Grade A to D, what decided it, and all criteria.")
    n_species: int = Field(description="Species with any probability in the region.")
    species: list[dict[str, Any]] = Field(description="Those asked for, widest expected area first.")
    status_lists: list[dict[str, Any]] = Field(
        default_factory=list, description="Numbers of each status list of the body."
    )
    matching: list[dict[str, Any]] | None = Field(
        default=None,
        description="How the taxa of each status list reached species of the atlas, and those that did not, "
        "with what they may be.",
    )
    observed: dict[str, Any] | None = Field(
        default=None, description="The records of the body inside the region, beside what is predicted."
    )
    benchmarks: dict[str, Any] | None = Field(
        default=None, description="How the region stands among others, where the body has outlines."
    )


class JobAnswer(BaseModel):
    """A job that runs in the background."""

    id: str
    state: str = Field(description="queued, running, done, failed or cancelled.")
    progress: float = Field(description="0 to 1.")
    message: str
    seconds_left: float | None
    error: str
    notes: list[str]
    links: dict[str, str] = Field(description="`self`, and `result` once it is done.")


class LegendStop(BaseModel):
    """A value and its colour on the ramp."""

    value: float
    label: str
    colour: str = Field(examples=["#440154"])


class LegendAnswer(BaseModel):
    """What the colours of a layer mean."""

    layer: str
    title: str
    unit: str
    ramp: str
    min: float
    max: float
    cutoff: float
    stops: list[LegendStop]
    other: dict[str, str] = Field(description="Colours of what is not on the ramp, as #rrggbbaa.")


class TileJson(BaseModel):
    """TileJSON 3.0.0 of a layer."""

    tilejson: str
    name: str
    description: str
    version: str
    attribution: str
    scheme: str
    tiles: list[str]
    minzoom: int
    maxzoom: int
    bounds: list[float]
    center: list[float]
    legend: str


#: Refusals every address may give, for the document.
REFUSALS: dict[int | str, dict[str, Any]] = {
    404: {"model": Refusal, "description": "No such atlas, species, cell, region or job."},
    422: {"model": Refusal, "description": "A parameter is not as expected."},
    429: {"model": Refusal, "description": "Too many requests; see Retry-After."},
    503: {"model": Refusal, "description": "Busy, or too slow; see Retry-After."},
}
#: Those of addresses that take a body.
BODY_REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Refusal, "description": "The body is not JSON."},
    413: {"model": Refusal, "description": "The body is too large, or has too many polygons."},
    415: {"model": Refusal, "description": "The body is not sent as JSON."},
    **REFUSALS,
}
