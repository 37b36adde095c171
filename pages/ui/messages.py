"""Every sentence the pages say, in one place and ready for translation.

`say(key, **values)` gives the sentence; a translation is one more dictionary with the same keys.
"""

from __future__ import annotations

from pages.ui.messages_explore import (
    CONCERN_LAYERS,
    EXPLORE,
    GROUPS,
    LAYER_UNITS,
    LAYERS,
    layer_base,
    layer_name,
    layer_unit,
)
from pages.ui.messages_region import REGION

ENGLISH: dict[str, str] = {
    "title": "Florascope",
    "tagline": "Where plants are predicted, and how far to trust it",
    # address bar
    "unknown_atlas": (
        "The link asks for the atlas “{value}”, which is not installed; showing {shown} instead."
    ),
    "unknown_layer": "The link asks for the layer “{value}”, which does not exist; showing {shown} instead.",
    "unknown_species": (
        "The link asks for “{value}”, which is not a species of this atlas; showing {shown} instead."
    ),
    "rule_needs_surveys": (
        "{value} needs surveys that the model has not seen, and this atlas ships none; using {shown} instead."
    ),
    "unknown_rule": "The link asks for the rule “{value}”, which does not exist; using {shown} instead.",
    "unknown_place": (
        "The link asks for “{value}”, which is not a known place; showing the whole atlas instead."
    ),
    "unknown_containment": (
        "The link asks to count cells by “{value}”, which does not exist; using {shown} instead."
    ),
    "unknown_resolution": (
        "The link asks for cells of H3 resolution “{value}”, which this area cannot have here; showing the "
        "cells of the atlas instead."
    ),
    "unreadable_region": "The area in the link cannot be read ({reason}) Choose one here instead.",
    # no atlas
    "no_atlas_title": "No atlas is installed yet",
    "no_atlas": (
        "Florascope looks for atlases in {folders}. Put one there, or build one with `python -m sdm_core "
        "train assets/configs/european-trees.toml`, then reload this page."
    ),
    "atlas": "Atlas",
    # about
    "about_title": "How it works",
    "about_lead": (
        "Florascope shows where plant species are predicted to occur, how diverse those predictions are, "
        "and how far to trust them. Nothing is computed in the cloud: every map and number comes from an "
        "atlas on this machine."
    ),
    "about_records_title": "Records.",
    "about_records": (
        "Where a species was found, from an open atlas or inventory; duplicates, misplaced and out-of-"
        "area points are removed, and the number each rule removed is on the model card."
    ),
    "about_climate_title": "Surroundings.",
    "about_climate": "Climate, terrain and land cover at each place and in the country around it.",
    "about_model_title": "Model.",
    "about_model": (
        "One network learns all species at once; its scores become probabilities by calibration on blocks"
        " of land it has never seen."
    ),
    "about_store_title": "Atlas.",
    "about_store": (
        "The probabilities of every species in every hexagon are stored once, so that opening a page runs"
        " no model."
    ),
    "about_answers_title": "Answers.",
    "about_answers": (
        "An area is answered from its hexagons: species list, α, β and γ diversity, Hill numbers, flags "
        "with source and date, and a report whose files all hold the same numbers."
    ),
    "limit_survey": (
        "The maps do not replace a survey: they are for screening, teaching and deciding where to look; "
        "no permit, status or management decision should rest on them alone."
    ),
    "limit_abundance": (
        "A probability is about being recorded somewhere in {grain} around a place, not about abundance, "
        "and not about a particular field or wood."
    ),
    "limit_gamma": (
        "The species number of an area is never 1 − Π(1 − p): neighbouring hexagons are not independent "
        "trials. It is given as a lower bound with an interval, and as the size of the list under the "
        "chosen rule."
    ),
    "quality_title": "How good is it",
    "no_validation": "The model card of “{atlas}” holds no cross-validation.",
    "quality_note": (
        "Means over species on whole blocks of land the model had not seen, beside the baselines; "
        "longitude and latitude alone show how much of a score is only geography. AUC: chance that a "
        "place with the species scores above one without. Average precision: mean precision over the "
        "ranking, harder for rare species. Sample F1: agreement of the species lists of places."
    ),
    "regenerate": "These tables are made again by:",
    "calibration_title": "Do the probabilities keep their word?",
    "calibration_x": "predicted probability",
    "calibration_y": "share of sites with a record",
    "calibration_note": (
        "On held-out blocks, of all the cases given 30 %, about 30 % should hold the species: points on "
        "the dotted line. Below it the model promises too much, above it too little. Larger points stand "
        "for more cases."
    ),
    "coverage_title": "What was promised, and what was kept",
    "coverage_what": "On sites held out",
    "coverage_promised": "Promised",
    "coverage_kept": "Kept",
    "coverage_mean_of_blocks": "Mean of blocks",
    "coverage_note": (
        "Each part of the sites was judged by limits that the others gave. The mean of blocks weighs every "
        "block of land alike, however many sites it has."
    ),
    "fact_species": "Species",
    "fact_cells": "Hexagons",
    "fact_sites": "Training sites",
    "fact_resolution": "H3 resolution",
    "fact_version": "Version",
    "fact_date": "Date",
    "fact_code": "Made with Florascope",
    "download_card": "Model card",
    "cite_title": "How to cite",
    "cite": "Florascope {code} ({year}). Atlas “{atlas}”, version {version}.",
    "cite_data": "Please cite the data sources as well; a report carries the full citation.",
    "licences_title": "Sources and licences",
    # general
    "broken": (
        "Something went wrong here that should not have. Your choices are kept; reload the page to go on."
    ),
    "limits_link": "Limits and proper use",
    **EXPLORE,
    **REGION,
}

RULES: dict[str, str] = {
    "sse": "Expected number (SSE)",
    "threshold": "Fixed threshold",
    "top_k": "Top K",
    "average_k": "Average K",
    "max_exp": "Best score (MaxExp)",
    "species_threshold": "Threshold per species",
    "conformal": "Not excluded (conformal)",
}
RULE_HELP: dict[str, str] = {
    "sse": "In each cell the k most probable species, k being the expected number Σp.",
    "threshold": "In each cell every species at or above one probability.",
    "top_k": "In each cell the K most probable species.",
    "average_k": "One threshold for the whole atlas, such that its cells hold K species on average.",
    "max_exp": "In each cell the set with the best expected score, F1 unless you choose another.",
    "species_threshold": "Each species from a probability of its own, by surveys the model has not seen.",
    "conformal": "Every species that such surveys do not exclude: a list to search by, too long by far.",
}
#: What MaxExp can maximise.
SCORES: dict[str, str] = {
    "f1": "F1",
    "jaccard": "Jaccard",
    "tss": "true skill statistic (TSS)",
    "accuracy": "accuracy",
}
#: What the thresholds of species are chosen by.
CRITERIA: dict[str, str] = {
    "tss": "highest sensitivity + specificity (TSS)",
    "f1": "highest F1",
    "prevalence": "as many predicted as recorded",
    "minimum_presence": "no presence missed",
    "p10": "a tenth of the presences missed",
}

CONTAINMENT: dict[str, str] = {
    "centre": "With their centre inside",
    "intersect": "All that are touched",
    "area_weighted": "The parts inside",
}

COVER_SCALES: dict[str, str] = {
    "": "as the file shows",
    "percent": "in percent",
    "braun-blanquet": "in Braun-Blanquet symbols",
    "presence": "only as presence",
}
RECORD_FILTERS: dict[str, str] = {
    "here": "Observed by you",
    "missed": "Missed",
    "unexpected": "Unexpected",
    "elsewhere": "Not in the atlas",
    "not_yet": "Predicted, not observed",
}
OBSERVED_BASIS: dict[str, str] = {
    "cover": "from mean covers",
    "plot frequency": "from frequencies in plots",
    "records": "from numbers of records",
    "": "no record inside",
}


def say(key: str, **values: object) -> str:
    """The sentence of this name, with its values filled in."""
    sentence = ENGLISH[key]
    return sentence.format(**values) if values else sentence


__all__ = [
    "CONCERN_LAYERS",
    "CONTAINMENT",
    "COVER_SCALES",
    "CRITERIA",
    "ENGLISH",
    "GROUPS",
    "LAYERS",
    "LAYER_UNITS",
    "OBSERVED_BASIS",
    "RECORD_FILTERS",
    "RULES",
    "RULE_HELP",
    "SCORES",
    "layer_base",
    "layer_name",
    "layer_unit",
    "say",
]
