"""Every sentence the pages say, in one place and ready for translation.

`say(key, **values)` gives the sentence; a translation is one more dictionary with the same keys.
"""

from __future__ import annotations

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
    # region
    "step_choose": "Choose an area",
    "step_read": "Read",
    "step_take": "Take away",
    "region_empty": "Draw an area on the map, or try",
    "mode_draw": "Draw",
    "mode_place": "Place",
    "mode_upload": "Upload",
    "mode_cells": "Click cells",
    "draw_hint": "Use the polygon or rectangle tool at the left of the map; close the outline to read it.",
    "cells_hint": "Click on the map to add or remove hexagons, then read them together.",
    "cell_size": "Size of a hexagon",
    "cells_chosen": "{n} hexagons chosen",
    "cells_none": "No hexagon chosen yet",
    "read_cells": "Read these hexagons",
    "clear_cells": "Start again",
    "place_label": "Place or country",
    "place_placeholder": "Type a name, for example Pyrenees or Slovenia",
    "upload_label": "GeoJSON, GeoPackage, KML or zipped shapefile, up to 50 MB",
    "upload_crs": "Coordinate system of this file (EPSG code)",
    "upload_hint": "The file needs a coordinate system; all its polygons together become one area.",
    "change_area": "Change area",
    "keep_area": "Back to {name}",
    "reading": "Reading the cells of {name} …",
    "rule": "From probabilities to a species list",
    "rule_help": (
        "How the list of expected species of a cell is drawn from its probabilities; α and γ follow from it."
    ),
    "threshold": "Present from",
    "top_k": "Species per cell",
    "average_k": "Species per cell on average, over the atlas",
    "score": "Score to expect the most of",
    "rules_title": "The same area under every rule",
    "rules_intro": (
        "The rule decides how many species a cell holds, so α, γ and β follow from it; Shannon, Simpson and "
        "the expected number do not."
    ),
    "rules_compare": "Compare the rules",
    "rules_computing": "Applying every rule …",
    "rules_rule": "Rule",
    "rules_alpha": "Species per cell (α)",
    "rules_range": "Fewest–most",
    "rules_gamma": "Species of the region (γ)",
    "rules_beta": "β (γ/α)",
    "rules_max_exp": "MaxExp for {score}",
    "rules_chosen": "in use",
    "rules_expected": "Expected species per cell, without any rule: {n}.",
    "species_table": "Species",
    "only": "Only",
    "map_shows": "Map shows",
    "details": "All numbers, with their definitions",
    "trust_title": "How far to trust this",
    "take_title": "Take it away",
    "formats": "Formats",
    "prepare": "Prepare the report",
    "preparing": "Writing the report …",
    "ready": "Ready in {seconds} s. The files carry place, atlas and date in their names.",
    "download_zip": "Everything (ZIP)",
    "screening": (
        "Screening only: predicted suitability does not replace a survey, and a species missing from the "
        "list may still grow here."
    ),
    "way": "How",
    "drawn_area": "Drawn area",
    "middle_of_atlas": "Middle of the atlas",
    "rule_short": "Rule",
    "containment": "Cells counted",
    "containment_help": (
        "Which cells belong to the area. A cell counts with its whole area, or only with the part of it that "
        "lies inside: then the areas add up to that of the area drawn."
    ),
    "search_table": "Name or family",
    "only_present": "In list",
    "only_endemic": "Endemic",
    "only_protected": "Protected",
    "only_invasive": "Invasive",
    "only_observed": "Recorded",
    "only_status": "On your lists",
    "rows_shown": "{n} of {total} species. Select a row to see its map.",
    "column_mean": "Area-weighted mean probability over the cells of the region.",
    "column_max": "Highest probability in any cell of the region.",
    "column_area": "Σ cell area × probability.",
    "column_present": "In the species list of at least one cell, by the rule chosen above.",
    "column_records": "Observed records in the coarse cells (about 1 800 km²) the region touches.",
    "column_flags": (
        "Endemic to the area of the source; listed in the Habitats Directive; invasive of Union concern."
    ),
    "card_expected": "Species expected, at least",
    "card_expected_under": "90 % interval, species taken as independent",
    "card_gamma": "Species of the region (γ)",
    "card_gamma_under": "α {alpha} per cell · β {beta} (γ/α)",
    "card_shannon": "Shannon index (H′)",
    "card_shannon_under": "mean cell richer in H′ than {percent} % of the atlas",
    "card_flags": "Endemic · protected",
    "card_invasive": "{n} invasive of Union concern",
    "card_unassessed": "endemism of {percent} % not assessed",
    "card_trust": "Trust, A to D",
    "standing_part": "{words} in {place} (percentile {percent})",
    "standing_atlas": "the atlas",
    "standing_distinctiveness": "Distinctiveness (weighted endemism)",
    "trust_unlike": "The predictor most unlike the training sites is {predictor}, in {percent} % of {where}.",
    "trust_everywhere": "the area, which lies within the model's experience everywhere",
    "trust_outside": "the area outside the model's experience",
    "trust_grade": "Grade {grade}: {text}. {method}",
    # your records
    "records_step": "Add your records: what was observed here, beside what is predicted",
    "records_step_with": "Your records: {files}",
    "records_files": "Records or plots: CSV, GBIF download, Darwin Core archive, GeoPackage, up to 150 MB",
    "records_hint": (
        "They stay in this session and are never stored. A table needs species, longitude and latitude; "
        "plots need a plot column too, and may have covers. Plots and their finds may come as two files."
    ),
    "records_crs": "Coordinate system, if not degrees",
    "records_crs_none": "such as EPSG:25832",
    "records_scale": "Covers are written",
    "records_scale_help": "Braun-Blanquet symbols stand for the middle of their class: {table}.",
    "records_remove": "Remove",
    "records_reading": "Reading your records …",
    "records_comparing": "Comparing with the prediction …",
    "records_measure": "Measure",
    "records_all": "Observed",
    "records_in_atlas": "of the atlas’ species",
    "records_predicted": "Predicted",
    "records_meaning": "What it says",
    "records_basis": (
        "The observed indices weigh {basis}. The predicted ones weigh each species by its predicted area, "
        "which is not abundance; compare them with the observed ones of the atlas’ species only."
    ),
    "records_cleaning": "{left} of {read} records are left after cleaning",
    "records_unmatched": "{n} observed species are not in this atlas",
    "records_plots": "{n} plots",
    "records_only": "Show only",
    "card_observed": "Species observed",
    "card_observed_under": "{records} records",
    "card_agreed": "Predicted and observed",
    "card_agreed_of": "of {n} in the atlas",
    "card_agreed_under": "{n} more predicted, not observed",
    "card_agreed_help": (
        "Observed species of the atlas that are in the list of the region by the rule. Without complete "
        "plots, a species that was not observed may still grow here."
    ),
    "card_missed": "Missed · unexpected",
    "card_missed_under": "not in the list · below {percent} % in every cell",
    "card_missed_help": (
        "Missed: observed, but not in the list by the rule. Unexpected: of these, those whose probability is "
        "below {percent} % in every cell of the region; check the record, or the model."
    ),
    "card_observed_shannon": "Shannon index, observed",
    "card_coverage": "How complete the list is",
    "card_chao": "with those not found yet ≥ {n}",
    "column_status": (
        "Your records beside the list: agreed (predicted and observed); missed (observed, not in the list); "
        "unexpected (missed, and below 5 % in every cell); not in the atlas."
    ),
    "column_own_records": "Number of your records inside the outline.",
    "status_agreed": "agreed",
    "column_last_year": "Year of your last dated record.",
    "details_area": "Area",
    "details_alpha": "Within cells (α)",
    "details_gamma": "The whole region (γ, β)",
    "details_diversity": "Diversity of the region",
    "details_foot": "Numbers are about the {n} {containment}. Rule: {rule}.",
    # region: status lists
    "concern_title": "Threatened, protected, invasive, endemic",
    "card_threatened": "Threatened, of the assessed",
    "card_threatened_none": "No Red List added. Most may not be passed on, so add yours below.",
    "card_threatened_under": "{unassessed} % not assessed · {name}",
    "card_protected": "Protected",
    "card_protected_under": "in the Habitats Directive",
    "card_alien": "Invasive",
    "card_alien_under": "of Union concern · {share} % of the expected species",
    "card_unknown_under": "not known for this atlas",
    "card_from_lists": "{n} by your lists",
    "card_endemism": "Weighted endemism",
    "card_endemism_under": "of what its area would hold · {n} species with over 5 % of their range here",
    "status_add": "Add a status list",
    "status_hint": (
        "CSV with the columns taxon, list, category, region, source, date, licence: Red List categories "
        "(CR, EN, VU, NT, LC, DD …), or protected, invasive, alien, endemic. Lists stay in this "
        "session and go into the reports made in it; they are stored nowhere."
    ),
    "status_files": "Red Lists and other status lists, CSV, up to 20 MB each",
    "status_template": "Empty file with the columns",
    "status_format": "The format in full",
    "status_matched": "{n} of {total} entries are species of this atlas.",
    "status_remove": "Remove",
    "status_unmatched": "Not in this atlas: {n} entries of {name}",
    "status_list_title": "{name} ({region})",
    "status_completed": "with predicted categories {share} %",
    "status_worst": "Most threatened: {certain} almost certain, {possible} possible.",
    "status_star": "STAR-like score {star}.",
    "status_none": "none",
    "status_bar": "Shares of the expected species: {shares}",
    "status_not_assessed": "not assessed",
    "status_species": "Species with a status, worst first",
    # region: finer cells
    "fine_size": "Cell size",
    "fine_size_help": (
        "The hexagons the numbers are read from: those of the atlas, or smaller ones that are predicted for "
        "this area when you ask, and kept."
    ),
    "fine_own": "{area} (atlas)",
    "fine_title": "Cells of {area} are not predicted here yet",
    "fine_absent": "Cells of {area} cannot be predicted on this installation",
    "fine_instead": "The numbers below are those of the atlas's own cells.",
    "fine_cost": "{n} cells to predict: about {time}, up to {size} in the cache.",
    "fine_meanwhile": "Until then the numbers below are those of the atlas's own cells.",
    "fine_start": "Predict these cells",
    "fine_running": "Predicting cells of {area}: {message}",
    "fine_left": "about {time} left",
    "fine_leave": "You may leave or reload this page: the work goes on, and everyone who asks shares it.",
    "fine_cancel": "Cancel",
    "fine_cancelling": "Stopping at the next step …",
    "fine_cancelled": "Cancelled; the parts predicted so far are kept.",
    "fine_failed": "Predicting finer cells failed: {reason}",
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
