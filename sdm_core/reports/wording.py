"""Sentences of a report that do not depend on its numbers, and those drawn from a model card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sdm_core import config
from sdm_core.applicability.predictor_words import predictor_words
from sdm_core.indicators import RegionSummary
from sdm_core.reports import card as cards
from sdm_core.reports import text
from sdm_core.reports.observed import FILE_TEXT, OBSERVED_FILE

#: Sections in order, numbered as in the full plan of a region report.
SECTIONS: tuple[dict[str, str], ...] = (
    {"id": "s1", "number": "1", "title": "One-page answer"},
    {"id": "s2", "number": "2", "title": "The area"},
    {"id": "s3", "number": "3", "title": "How far to trust this"},
    {"id": "s4", "number": "4", "title": "Diversity"},
    {"id": "s5", "number": "5", "title": "Species list"},
    {"id": "s6", "number": "6", "title": "Threatened species"},
    {"id": "s7", "number": "7", "title": "Legally protected species"},
    {"id": "s8", "number": "8", "title": "Invasive and alien species"},
    {"id": "s9", "number": "9", "title": "Endemic and range-restricted species"},
    {"id": "s10", "number": "10", "title": "Habitats"},
    {"id": "s11", "number": "11", "title": "Structure inside the area"},
    {"id": "s12", "number": "12", "title": "Context"},
    {"id": "s13", "number": "13", "title": "Change"},
    {"id": "s14", "number": "14", "title": "Where to look next"},
    {"id": "s15", "number": "15", "title": "Limits and proper use"},
    {"id": "s16", "number": "16", "title": "Methods"},
    {"id": "s17", "number": "17", "title": "References, licences and data"},
    {"id": "s18", "number": "18", "title": "Annexes"},
    {"id": "annex-a", "number": "18A", "title": "Species of the region"},
    {"id": "annex-b", "number": "18B", "title": "Files of this report"},
)
NO_HABITATS = (
    "Habitats are not available in this atlas: it predicts species, and comes with no map of habitats."
)
NO_CHANGE = (
    "Change is not available in this atlas: its model describes one period, so there is no second period or "
    "scenario to compare with."
)
ANNEXES = "The species of the region follow in Annex 18A, the files of this report in Annex 18B."
NO_PROTECTED_AREAS = (
    "Outlines of protected areas and key biodiversity areas do not come with this atlas, so what lies inside "
    "the region and near it is not listed; look it up at protectedplanet.net and keybiodiversityareas.org."
)
TRUST = (
    "Read this before the numbers. Predictions come from a model trained on records of where species were "
    "found; where few records were made, the model speaks from similar places elsewhere. Records nearby "
    "and the scores below say how much stands behind this region."
)
NO_LEGAL_FLAGS = (
    "No species of this region carries a flag for the Habitats Directive or as an invasive species of Union "
    "concern; the list of the atlas may not have been matched with those lists, so look them up before use."
)
GROUP_GAPS: Mapping[str, str] = {
    "endemic": "The source of this atlas does not say which species are endemic, so no species is marked as "
    "such.",
}
GROUP_SENTENCES: Mapping[str, str] = {
    "endemic": "By the rule, {by_rule} species marked as endemic by the source {verb} present "
    "(at least {expected} expected{interval}).",
    "protected": "By the rule, {by_rule} species listed in the EU Habitats Directive {verb} present "
    "(at least {expected} expected{interval}).",
    "invasive": "By the rule, {by_rule} invasive alien species of Union concern {verb} present "
    "(at least {expected} expected{interval}).",
}
SPECIES_NOTE = (
    "Flags carry the source and date the atlas has for them; a species without a flag may still be "
    "protected by national or regional law."
)
FILE_TEXTS: Mapping[str, str] = {
    "report.html": "this report for the screen, in one file that asks nothing of the network",
    "report.pdf": "this report on A4",
    "species.csv": "every species with any probability in the region; rule and containment stand in every "
    "row; UTF-8, comma, units in indicators.json",
    OBSERVED_FILE: FILE_TEXT,
    "indicators.json": "all numbers of this report with unit, definition and interval",
    "habitats.csv": "habitats of the region: none, as this atlas predicts none; the file says so",
    "cells.geoparquet": "one row per H3 cell: richness, Shannon, Simpson, species by rule “sse”, endemic, "
    "protected and invasive species, weighted endemism, threat by the first Red List, dissimilarity with "
    "turnover and nestedness, LCBD, hotspots; containment and rule in its metadata; EPSG:4326",
    "area.geojson": "outline of the region, which reads back as the same region",
    "maps/richness.tif": "expected species per cell; cloud-optimised GeoTIFF, EPSG:4326",
    "maps/shannon.tif": "Shannon index per cell, nats; cloud-optimised GeoTIFF, EPSG:4326",
    "maps/beta_sorensen.tif": "mean Sørensen dissimilarity from other cells, 0 to 1; likewise",
    "maps/beta_turnover.tif": "its part by turnover; likewise",
    "maps/beta_nestedness.tif": "its part by nestedness; likewise",
    "maps/lcbd_relative.tif": "LCBD as a multiple of the mean cell’s; likewise",
    "odmap.csv": "the ODMAP table in full: what the model card says of data, model and assessment",
    "reproduce.py": "works out the numbers of indicators.json again and says equal or not equal for each",
    "MANIFEST.sha256": "checksum of every file above, for sha256sum --check",
}
REFERENCES: tuple[dict[str, str], ...] = tuple(
    {"text": words, "link": f"https://doi.org/{doi}"}
    for words, doi in (
        (
            "Zurell D. et al. (2020). A standard protocol for reporting species distribution models. "
            "Ecography 43: 1261–1277.",
            "10.1111/ecog.04960",
        ),
        (
            "Meyer H., Pebesma E. (2021). Predicting into unknown space? Estimating the area of "
            "applicability of spatial prediction models. Methods in Ecology and Evolution 12: 1620–1633.",
            "10.1111/2041-210X.13650",
        ),
        (
            "Elith J., Kearney M., Phillips S. (2010). The art of modelling range-shifting species. Methods "
            "in Ecology and Evolution 1: 330–342.",
            "10.1111/j.2041-210X.2010.00036.x",
        ),
        ("Jost L. (2006). Entropy and diversity. Oikos 113: 363–375.", "10.1111/j.2006.0030-1299.14714.x"),
        (
            "Whittaker R. H. (1960). Vegetation of the Siskiyou Mountains, Oregon and California. Ecological "
            "Monographs 30: 279–338.",
            "10.2307/1943563",
        ),
        (
            "Guisan A. & Rahbek C. (2011). SESAM: a new framework integrating macroecological and species "
            "distribution models. Journal of Biogeography 38: 1433–1444.",
            "10.1111/j.1365-2699.2011.02550.x",
        ),
        (
            "Baselga A. (2010). Partitioning the turnover and nestedness components of beta diversity. "
            "Global Ecology and Biogeography 19: 134–143.",
            "10.1111/j.1466-8238.2009.00490.x",
        ),
        (
            "Legendre P. & De Cáceres M. (2013). Beta diversity as the variance of community data: "
            "dissimilarity coefficients and partitioning. Ecology Letters 16: 951–963.",
            "10.1111/ele.12141",
        ),
        (
            "Estopinan J. et al. (2024). AI-based mapping of the conservation status of orchid assemblages "
            "at global scale. arXiv:2401.04691, published in Ecological Informatics.",
            "10.1016/j.ecoinf.2024.102627",
        ),
        (
            "Crisp M. D. et al. (2001). Endemism in the Australian flora. Journal of Biogeography 28: "
            "183–198.",
            "10.1046/j.1365-2699.2001.00524.x",
        ),
        (
            "Mair L. et al. (2021). A metric for spatially explicit contributions to science-based species "
            "targets. Nature Ecology & Evolution 5: 836–844.",
            "10.1038/s41559-021-01432-0",
        ),
    )
)
_GENERAL_LIMITS: tuple[tuple[str, str], ...] = (
    (
        "Screening only.",
        "This report helps to decide where to look; it is not a substitute for a survey in the field, an "
        "environmental assessment or advice from an authority.",
    ),
    (
        "Presence is not abundance.",
        "A probability says how likely a species is to be recorded in a cell, not how many plants grow "
        "there.",
    ),
    (
        "Ranges are habitat suitability.",
        "A place can suit a species that never reached it or was lost; absence from the list shows nothing.",
    ),
    (
        "Cells are coarse.",
        "A value holds for a whole cell of the atlas; it cannot be read for a plot or a slope inside it.",
    ),
    (
        "No Red List category follows from this.",
        "Predicted area is neither an extent of occurrence nor an area of occupancy.",
    ),
)


def diversity_notes(summary: RegionSummary) -> tuple[str, ...]:
    """What belongs beside the table of section 4."""
    return (
        *summary.limits[1:],
        "Whittaker beta and γ rise with the number of cells: compare regions of like size only, and never "
        "between atlases.",
    )


def build_warning(card: Mapping[str, Any]) -> str:
    """A line for the cover when the atlas is not a finished one; empty otherwise."""
    if card.get("simulated"):
        return f"Simulated atlas: {cards.first(card, 'summary') or 'it says nothing about any real place.'}"
    if card.get("development_build"):
        return str(cards.first(card, "summary") or "Development build of the atlas, not for use.")
    return ""


def limits(card: Mapping[str, Any], summary: RegionSummary) -> list[dict[str, str]]:
    """Limits of every report, then those the model card states for this atlas."""
    general = (*_GENERAL_LIMITS, ("Intervals hold what could be measured.", summary.limits[-1]))
    said = [{"title": title, "text": words} for title, words in general]
    stated = cards.statements(card, "limits", "limitations")
    return said + [{"title": "This atlas.", "text": words} for words in stated]


def method_paragraphs(card: Mapping[str, Any], summary: RegionSummary) -> list[str]:
    """How the numbers came about, shortest first."""
    said = []
    about = cards.first(card, "summary", "description")
    if about:
        said.append(text.sentence(str(about)))
    model = cards.first(card, "model", "architecture")
    if isinstance(model, str):
        said.append(f"Model: {text.sentence(model)}")
    features = cards.first(card, "features")
    if isinstance(features, str):
        said.append(f"What the model sees of a place: {text.sentence(features)}")
    grain = cards.first(card, "grain")
    if isinstance(grain, str):
        said.append(
            f"Grain: a probability is that of being recorded somewhere in {grain} around the place. Cells "
            "are smaller, so expected areas and the number of species of one cell are upper bounds."
        )
    options = ", ".join(f"{name} = {value}" for name, value in summary.rule_options.items())
    said.append(
        "From probabilities to species sets: rule "
        f"“{summary.rule}”{f' with {options}' if options else ''}, {summary.rule_text}. Stored "
        "probabilities are calibrated on held-out blocks and kept in 255 steps, (code/255)², which moves a "
        "probability by at most 0.004."
    )
    entry = card.get("calibration")
    if isinstance(entry, Mapping) and isinstance(entry.get("method"), str):
        said.append(f"Calibration: {text.sentence(entry['method'])}")
    return said


def score_notes(card: Mapping[str, Any]) -> list[str]:
    """What the scores mean, and the command on the card that makes them again."""
    if not cards.results(card):
        return ["The model card of this atlas holds no cross-validation, so none is shown."]
    notes = [
        "AUC and average precision are means over species on held-out blocks; sample F1 is the mean over "
        "sites of the F1 of the species set; calibration error is the mean gap between predicted and "
        "recorded share."
    ]
    validation = card.get("validation")
    if isinstance(validation, Mapping):
        if validation.get("note"):
            notes.append(text.sentence(str(validation["note"])))
        if validation.get("command"):
            notes.append(f"Made again by: {validation['command']}")
    coverage = card.get("coverage")
    if isinstance(coverage, Mapping):
        notes.extend(text.sentence(str(said)) for said in coverage.get("sentences", ()))
    return notes


def covariates(card: Mapping[str, Any]) -> str:
    """Names of the covariates on the card, in one sentence; empty when it has none."""
    names = card.get("covariate_names")
    if names and not isinstance(names, str):
        return f"{len(names)} layers: {'; '.join(predictor_words(str(name)) for name in names)}."
    found = [
        str(cards.first(item, "name", "title") or "") for item in cards.as_mappings(card.get("covariates"))
    ]
    return f"{'; '.join(name for name in found if name)}." if any(found) else ""


def _covariates_in_short(card: Mapping[str, Any]) -> str:
    """How many covariates there are, where they are listed one by one above."""
    names = card.get("covariate_names")
    if names and not isinstance(names, str):
        return f"{len(names)} layers, listed above and in odmap.csv"
    return covariates(card)


def odmap(card: Mapping[str, Any], summary: RegionSummary) -> list[dict[str, str]]:
    """A short ODMAP table; what the card does not say is called not stated."""
    missing = "not stated on the model card"
    sources = cards.data_sources({"data": card.get("data")})
    data = "; ".join(source["name"] for source in sources) or missing
    model = cards.first(card, "model", "architecture")
    blocks = sorted({row["block_deg"] for row in cards.results(card) if text.is_number(row.get("block_deg"))})
    assessment = (
        f"Spatial-block cross-validation with blocks of {text.listed([f'{size:g}°' for size in blocks])}"
        if blocks
        else missing
    )
    sites = card.get("n_sites")
    return [
        {
            "label": "Overview",
            "value": "Mapping and interpolation of species probabilities for screening.",
            "note": "",
        },
        {
            "label": "Taxa",
            "value": f"{text.whole(summary.n_species_atlas)} plant species",
            "note": "",
        },
        {
            "label": "Data",
            "value": data,
            "note": f"{text.whole(sites)} training sites" if text.is_number(sites) else "",
        },
        {"label": "Covariates", "value": _covariates_in_short(card) or missing, "note": ""},
        {"label": "Model", "value": str(model) if isinstance(model, str) else missing, "note": ""},
        {"label": "Assessment", "value": assessment, "note": ""},
        {
            "label": "Prediction",
            "value": f"Calibrated probability per H3 cell, resolution {summary.resolution}; species sets by "
            f"rule “{summary.rule}”",
            "note": "",
        },
        {
            "label": "Software",
            "value": f"Florascope {config.CODE_VERSION}; atlas made with "
            f"{cards.first(card, 'code_version') or 'a version that is not stated'}, "
            f"{cards.first(card, 'date') or 'date not stated'}",
            "note": "",
        },
    ]
