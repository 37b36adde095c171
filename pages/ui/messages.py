"""Every sentence the pages say, in one place and ready for translation.

`say(key, **values)` gives the sentence; a translation is one more dictionary with the same keys.
"""

from __future__ import annotations

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
    # explore
    "atlas": "Atlas",
    "layer": "Layer",
    "find_species": "Find a species",
    "find_species_help": "Type a scientific name (“Fagus”) or an English name of the genus (“beech”).",
    "species_placeholder": "Type a name, for example Fagus or beech",
    "window": "Look closer at",
    "window_help": (
        "Every cell is on the map at any zoom. Over the whole of a large atlas, the pointer and the table "
        "read wider hexagons, so that the browser stays quick; choose a place, or click a hexagon, to read "
        "single cells."
    ),
    "whole_atlas": "Whole atlas",
    "around_click": "Around the chosen cell",
    "display": "Display",
    "show_observed": "Observed records",
    "show_observed_help": "Circles: how many records the model learned from, never mixed into the colours.",
    "no_observed": "This atlas carries no observed records for this layer.",
    "opacity": "Opacity of the cells",
    "cutoff": "Grey out below",
    "cutoff_help": (
        "Cells below this value turn pale grey, so that faint predictions do not pass for a range."
    ),
    "full_scale": "Same colours for all species (0–100 %)",
    "full_scale_help": "Off: the ramp ends at the highest value drawn here, as the legend says.",
    "legend_cutoff": "below {value}",
    "legend_missing": "no prediction",
    "mask": "Mark outside the model",
    "mask_help": (
        "Hatches or greys the cells outside the model's area of applicability: their climate, terrain, land "
        "cover or position is unlike that of every place it has learned from; nobody knows how wrong it is."
    ),
    "mask_share": "Grey out the {percent} outside the model's experience",
    "short_information": "Look next",
    "legend_outside": "outside the model's experience",
    "tooltip_outside": "outside the model's experience",
    "legend_observed": "records observed",
    "legend_hexagon": "hexagon ≈ {area} km²",
    "legend_cell": "cell ≈ {area} km²",
    "tooltip_mean": "mean of a hexagon of {area} km²",
    "click_hint": "Click a hexagon to read its species.",
    "learned_from": "Learned from {counts}.",
    "flag_endemic": "endemic",
    "flag_habitats": "Habitats Directive",
    "flag_invasive": "invasive, Union concern",
    "cell_title": "This hexagon",
    "cell_mean": "Mean over {n} cells of {area} km²",
    "cell_single": "One cell of {area} km²",
    "zoom_here": "Finest cells around here",
    "table": "Table",
    "table_caption": "The {n} hexagons of the map, highest first.",
    "download_short": "CSV",
    "download_raster": "GeoTIFF",
    "download_raster_help": (
        "The layer on the map in the finest cells of the atlas, as a cloud-optimised GeoTIFF in degrees; "
        "made when you click, which takes a few seconds."
    ),
    "share": "Share",
    "share_text": "This link restores atlas, layer, species and area:",
    "map_alt": "Hexagon map of {layer}; its values are in the table below the map.",
    "about_species": (
        "Calibrated probability that {species} is recorded in {grain} around a place, learned from "
        "climate, terrain and {source}: it shows where conditions suit the species, not how abundant it "
        "is, and recent planting or loss is invisible to it."
    ),
    "about_richness": (
        "Expected number of the atlas's {n_species} species in {grain} around a place (the sum of their "
        "calibrated probabilities): species with too few records are not counted, so it is a floor, not a"
        " full flora."
    ),
    "about_shannon": (
        "Shannon index (natural logarithm) of the predicted shares of species in {grain} around a place: "
        "it measures evenness of predicted occurrence, not of abundance."
    ),
    "about_simpson": (
        "Gini–Simpson index (1 − Σq²) of the predicted shares of species in {grain} around a place: it "
        "measures evenness of predicted occurrence, and saturates near 1 in rich cells."
    ),
    "about_information": (
        "What a visit may teach, from 0 to 100: the uncertainty of the list of {n_species} species, "
        "Σ p (1 − p) as a share of the largest it could be, times the gap in records, h / (h + e), e being "
        "the records per 100 km² around the cell and h their median. How easily a place is reached is not "
        "counted."
    ),
    "about_effort": (
        "Records the model learned from per 100 km², within about 25 km of each cell; where there are few, a "
        "missing species says little. Source: {source}."
    ),
    "about_dissimilarity": (
        "Distance to the most similar training site in the space of the model's predictors, in units of the "
        "mean distance between training sites (Meyer & Pebesma 2021); {limit}."
    ),
    "about_dissimilarity_limit": "above {threshold} the model has no experience",
    "grain_unknown": "a hexagon",
    "coarse_note": (
        "The map shows every cell; the pointer, the table and its file give area-weighted means of "
        "hexagons of {area} km²."
    ),
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
    **REGION,
}

LAYERS: dict[str, str] = {
    "species": "Species",
    "richness": "Richness",
    "shannon": "Shannon",
    "simpson": "Simpson",
    "information": "Where to look next",
    "effort": "Sampling effort",
    "dissimilarity": "Unlike the training sites",
}
LAYER_UNITS: dict[str, str] = {
    "species": "probability of presence",
    "richness": "species expected per cell",
    "shannon": "Shannon index H′ (nats)",
    "simpson": "Gini–Simpson index 1 − D",
    "information": "expected information of a visit, 0 to 100",
    "effort": "records per 100 km² around a cell",
    "dissimilarity": "dissimilarity index",
    "endemic": "endemic species expected per cell",
    "weighted_endemism": "weighted endemism Σ p/range (range in cells)",
    "invasive_share": "share of invasive species of Union concern",
    "threatened_share": "threatened share of the assessed species",
}
#: Layers of the Region map beside `LAYERS`: short name for the button, name for the legend.
CONCERN_LAYERS: dict[str, tuple[str, str]] = {
    "endemic": ("Endemic", "Endemic species"),
    "weighted_endemism": ("Endemism", "Weighted endemism"),
    "invasive_share": ("Invasive", "Invasive species"),
    "threatened_share": ("Threatened", "Threatened species"),
}
RULES: dict[str, str] = {
    "sse": "Expected number (SSE)",
    "threshold": "Fixed threshold",
    "top_k": "Top K",
    "average_k": "Average K",
    "max_exp": "Best score (MaxExp)",
}
RULE_HELP: dict[str, str] = {
    "sse": "In each cell the k most probable species, k being the expected number Σp.",
    "threshold": "In each cell every species at or above one probability.",
    "top_k": "In each cell the K most probable species.",
    "average_k": "One threshold for the whole atlas, such that its cells hold K species on average.",
    "max_exp": "In each cell the set with the best expected score, F1 unless you choose another.",
}
#: What MaxExp can maximise.
SCORES: dict[str, str] = {
    "f1": "F1",
    "jaccard": "Jaccard",
    "tss": "true skill statistic (TSS)",
    "accuracy": "accuracy",
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
