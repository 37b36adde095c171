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
    "mode_several": "Several, to compare",
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
    "upload_hint": (
        "The file needs a coordinate system. Where it holds several areas, read one, all, or compare them."
    ),
    "upload_several": "{name} holds {n} areas: read",
    "upload_together": "All of them, as one area",
    "upload_read": "Read it",
    "upload_compare": "Compare the {n} areas",
    "change_area": "Change area",
    "keep_area": "Back to {name}",
    "reading": "Reading the cells of {name} …",
    "nothing_by_rule": (
        "By the rule ({rule}) no species is in the list of any cell, so γ is 0 and β is not defined. Choose "
        "another rule or a lower threshold; the expected numbers need no rule."
    ),
    "rule": "From probabilities to a species list",
    "rule_help": (
        "How the list of expected species of a cell is drawn from its probabilities; α and γ follow from it."
    ),
    "threshold": "Present from",
    "top_k": "Species per cell",
    "average_k": "Species per cell on average, over the atlas",
    "score": "Score to expect the most of",
    "criterion": "Threshold by",
    "rules_of_surveys": (
        "Thresholds per species and conformal sets need surveys the model has not seen; this atlas has none."
    ),
    "rules_species_threshold": "Threshold per species, {criterion}",
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
    "only_certain": "Certain",
    "only_status": "Listed",
    "rows_shown": "{n} of {total} species. Select a row to see its map.",
    "column_mean": "Area-weighted mean probability over the cells of the region.",
    "column_max": "Highest probability in any cell of the region.",
    "column_area": "Σ cell area × probability.",
    "column_share": (
        "90 % interval of the expected area as a share of that of the cells, from errors of the model on "
        "blocks it had not seen."
    ),
    "column_present": "In the species list of at least one cell, by the rule chosen above.",
    "column_records": "Observed records in the coarse cells (about 1 800 km²) the region touches.",
    "column_flags": (
        "Endemic to the area of the source; listed in the Habitats Directive; invasive of Union concern."
    ),
    "card_expected": "Species expected, at least",
    "card_expected_under": "in the area · {alpha} expected per cell",
    "card_ranges": "90 %: {ranges}",
    "range_90": "90 %: {ends}",
    "range_meaning": "In small print: {meaning}.",
    "card_gamma": "Species of the region (γ)",
    "card_gamma_under": "in the list of at least one cell by the rule · α {alpha} per cell · β {beta}",
    "card_shannon": "Shannon index (H′)",
    "card_shannon_under": "mean cell richer in H′ than {percent} % of the atlas",
    "card_flags": "Endemic · protected",
    "card_protected_only": "Protected species",
    "card_endemic_unknown": "endemics are not known to this atlas",
    "card_alien_none": "none of Union concern predicted",
    "card_invasive": "{n} invasive of Union concern",
    "card_unassessed": "endemism of {percent} % not assessed",
    "card_trust": "Trust, A to D",
    "standing_part": "{words} in {place} (percentile {percent})",
    "standing_atlas": "the atlas",
    "standing_distinctiveness": "Distinctiveness (weighted endemism)",
    # outlines to be set against
    "outlines_add": "Your outlines",
    "outlines_have": "Your outlines ✓",
    "outlines_hint": (
        "Set the region against biogeographic regions, ecoregions or provinces of your own file: those that "
        "hold most of it count. They stay in this session and go into the reports made in it."
    ),
    "outlines_read": "{n} outlines, named by the column {column}",
    "outlines_remove": "Remove",
    "outlines_file": "GeoJSON, GeoPackage, KML or zipped shapefile, up to 50 MB",
    "outlines_column": "Names are in the column",
    "outlines_column_which": "Which column holds the names?",
    "trust_unlike": "The predictor most unlike the training sites is {predictor}, in {percent} % of {where}.",
    "trust_everywhere": "the area, which lies within the model's experience everywhere",
    "trust_outside": "the area outside the model's experience",
    "trust_grade": "Grade {grade}: {text}. {method}",
    # several areas
    "several_add": "Add to comparison",
    "several_added": "In the comparison",
    "several_add_help": "Gather areas here and see their numbers side by side, with a report of all of them.",
    "several_go": "Comparison ({n})",
    "several_places": "Places or countries to compare",
    "several_add_places": "Add {n}",
    "several_files": "Files of several areas: GeoPackage, GeoJSON, KML, zipped shapefile",
    "several_hint": "Every feature of a file becomes an area of its own.",
    "several_reading": "Reading {name} …",
    "several_column": "Names in {name} are in the column",
    "several_column_help": "Which column (attribute, property) of the file names its areas.",
    "several_found": "{n} areas in {name}: {examples} …",
    "several_add_file": "Add these {n} areas",
    "several_known": "{n} of the areas were in the comparison already.",
    "several_over": "{n} areas were not added: a comparison takes up to {most}.",
    "several_list_one": "1 area; add at least one more to compare it with.",
    "several_list": "{n} areas to compare; select rows to remove them.",
    "several_area": "Area",
    "several_size": "Size",
    "several_from": "From",
    "several_from_place": "place",
    "several_from_cells": "chosen cells",
    "several_from_circle": "circle",
    "several_from_link": "link",
    "several_from_drawn": "drawn",
    "several_compare": "Compare {n} areas",
    "several_one_more": "Compare (add one more)",
    "several_remove": "Remove {n}",
    "several_clear": "Remove all",
    "several_empty": (
        "Choose places or a file of areas on the left, or read an area and press “Add to comparison”. Or try"
    ),
    "compare_title": "{n} areas compared",
    "compare_change": "Change areas",
    "compare_back": "Back to one area",
    "compare_reading": "Reading {name}: {done} of {n}",
    "compare_left": "about {time} left",
    "compare_cancel": "Stop",
    "compare_stopped": "Stopped: {done} of {n} areas are read.",
    "compare_go_on": "Go on",
    "compare_too_few": "A comparison needs two areas that the atlas covers; here there is {n}.",
    "compare_area": "Area",
    "compare_grade": "Trust",
    "compare_intervals": "Show intervals",
    "compare_intervals_help": (
        "Columns with the lower and the upper end beside every number that has an interval. What each "
        "interval means is said with the number on the page of one area, and in its report."
    ),
    "compare_low": "from",
    "compare_high": "to",
    "compare_more_refused": "{n} more areas are left out likewise.",
    "compare_hint": "Press a heading to sort; select a row to read that area.",
    "compare_read": "Read {name}",
    "compare_csv": "Table (CSV)",
    "compare_notes": "Before you compare",
    "compare_reports": "Take all of them away",
    "compare_reports_hint": (
        "A ZIP with a report of each area in its own folder, and the comparison as a page and a table."
    ),
    "compare_share": "This link restores atlas, rule and areas:",
    "compare_no_link": (
        "A link can carry places, circles and clicked cells, up to about 1 500 characters; these areas have "
        "outlines of their own. Keep the file they came from instead."
    ),
    "compare_prepare": "Prepare {n} reports",
    "compare_too_many": (
        "The page writes up to {most} reports at a time. All {n} of a file are written by "
        "`python -m sdm_core report --region FILE --each --out FOLDER`."
    ),
    "compare_writing": "Writing the report of {name}: {done} of {n}",
    "compare_zip": "All reports (ZIP)",
    "compare_report_stopped": "Stopped before all reports were written.",
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
    "records_before": "Shown below are still your records of {files}.",
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
    # structure inside the area
    "structure_title": "Structure inside the area: turnover, nestedness, cells that stand out",
    "structure_intro": (
        "How much the cells of the area differ in their species sets, by the rule: species in the place of "
        "others (turnover), or one cell holding a part of what another holds (nestedness)."
    ),
    "structure_compute": "Work it out",
    "structure_computing": "Comparing the cells …",
    "structure_one_cell": "The area has a single cell, so there is nothing to compare inside it.",
    "structure_multi": (
        "Multi-site Sørensen dissimilarity {total}, of it turnover {turnover} and nestedness {nestedness}: "
        "means over {n_samples} random samples of {n_cells} cells, ± their standard deviations. The values "
        "rise with the number of cells."
    ),
    "structure_multi_one": (
        "Multi-site Sørensen dissimilarity {total}, of it turnover {turnover} and nestedness {nestedness}, "
        "over all {n_cells} cells. The values rise with the number of cells."
    ),
    "structure_layer_beta_sorensen": "Dissimilarity",
    "structure_layer_beta_turnover": "Turnover",
    "structure_layer_beta_nestedness": "Nestedness",
    "structure_layer_lcbd_relative": "Distinct cells",
    "structure_hotspots": "Cells that stand out",
    "structure_kind": "By",
    "structure_kind_richness": "richness",
    "structure_kind_distinctive": "distinctiveness",
    "structure_kind_threatened_share": "threat",
    "structure_value": "Value",
    "structure_place": "Where",
    "structure_cell": "Cell",
    "structure_kinds": ("Richness: {richness}. Distinctiveness: {distinctive}. Threat: {threatened_share}."),
    # EOO and AOO of your records
    "ranges_title": "Extent of occurrence (EOO) and area of occupancy (AOO) of your records",
    "ranges_none": "Your records hold no species inside this outline.",
    "ranges_compute": "Work them out for {n} species",
    "ranges_computing": "Measuring the ranges …",
    "ranges_summary": (
        "{n} species; {few} of them were found in fewer than three places, so that there is no polygon."
    ),
    "ranges_csv": "Table (CSV)",
    "ranges_species": "Species",
    "ranges_records": "Records",
    "ranges_places": "Places",
    "ranges_b1": "B1 under",
    "ranges_b2": "B2 under",
    "ranges_b_help": "The strictest threshold of IUCN criterion B the area is under. {note}",
    "ranges_warnings": "Before you use it",
    "details_area": "Area",
    "details_alpha": "Within cells (α)",
    "details_gamma": "The whole region (γ, β)",
    "details_diversity": "Diversity of the region",
    "details_concern": "Threat, invasion, endemism",
    "details_value": "Value",
    "details_interval": "Interval",
    "details_unit": "Unit",
    "details_what": "What it says",
    "details_threatened": "Threatened share, {name}",
    "details_worst": "Most threatened status, {name}",
    "details_worst_text": (
        "Worst category among certain species; as interval, from those to the possible species."
    ),
    "details_by_rule": "{label}, by the rule",
    "details_by_rule_text": "Those in the list of at least one cell of the region; the rule: {rule}.",
    "details_ends": "What the intervals are",
    "details_foot": "Numbers are about the {n} {containment}. Rule: {rule}.",
    # status lists
    "concern_title": "Threatened, protected, invasive, endemic",
    "card_threatened": "Threatened, of the assessed",
    "card_threatened_none": "No Red List added. Most may not be passed on, so add yours below.",
    "card_threatened_under": "{unassessed} % not assessed · {name}",
    "card_threatened_ends": "{ends} % if none or all of the others were",
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
    "status_other_names": "{n} entries were found under another name or by a key:",
    "synonyms_file": "Table of synonyms, if your lists use other names",
    "synonyms_help": (
        "CSV with the columns synonym and accepted: two names of one species in each row; the tables that "
        "GBIF's name matching writes are read as they are. It holds for all lists of this session."
    ),
    "synonyms_have": "Synonyms from {name}: {n} pairs of names",
    "synonyms_remove": "Remove the synonyms",
    "status_unmatched_one": "Not in this atlas: 1 entry of {name}",
    "status_unmatched": "Not in this atlas: {n} entries of {name}",
    "status_list_title": "{name} ({region})",
    "status_completed": "with predicted categories {share} %",
    "status_worst": "Most threatened: {certain} certain, {possible} possible.",
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

#: Numbers of the comparison in the order of the table of `reports.COLUMNS`: short headings.
COMPARED: dict[str, str] = {
    "area_km2": "km²",
    "n_cells": "Cells",
    "alpha_expected": "α expected",
    "alpha": "α by rule",
    "gamma": "γ by rule",
    "gamma_lower": "γ at least",
    "beta_whittaker": "β (γ/α)",
    "multi_site_sorensen": "Sørensen",
    "multi_site_turnover": "Turnover",
    "multi_site_nestedness": "Nestedness",
    "shannon": "Shannon H′",
    "simpson": "Simpson",
    "hill_1": "Hill 1",
    "weighted_endemism": "Weighted endemism",
    "endemic": "Endemic",
    "protected": "Protected",
    "invasive": "Invasive",
    "threatened_share_percent": "Threatened %",
    "unassessed_percent": "Not assessed %",
    "richness_percentile_countries": "Richness in country",
    "richness_percentile_atlas": "Richness in atlas",
    "richness_percentile_outlines": "Richness in outlines",
    "distinctiveness_percentile_outlines": "Distinct in outlines",
    "distinctiveness_percentile_countries": "Distinct in country",
    "distinctiveness_percentile_atlas": "Distinct in atlas",
}
