"""Every sentence of the Region page; `messages.say` gives them."""

from __future__ import annotations

REGION: dict[str, str] = {
    # choosing an area
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
    # status lists
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
    # finer cells
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
}
