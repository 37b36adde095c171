"""Sentences of the Explore page and of maps, and what their layers are called."""

from __future__ import annotations

EXPLORE: dict[str, str] = {
    "layer_group": "Show",
    "layer": "Layer",
    "layer_view": "Value or interval",
    "layer_help": "What the colours mean. Species are chosen by name above.",
    "view_value": "Value",
    "view_width": "90 % interval",
    "view_possible": "Possible",
    "view_certain": "Almost certain",
    "needs_list": (
        "Threatened species need a Red List. Most may not be passed on, so add yours on the Region page, "
        "below the numbers of any area; Explore uses it as long as this session lasts."
    ),
    "to_region": "Add a Red List",
    "layer_missing": "“{layer}” is not on the map of this atlas: {reason} Showing {shown} instead.",
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
    "legend_undefined": "not defined",
    "legend_width": "width of the 90 % interval",
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
    "tooltip_most": "most of a hexagon of {area} km²",
    "working_out": "Working out “{layer}” from your list …",
    "tooltip_interval": "90 % interval {low}–{high}",
    "tooltip_interval_mean": "90 % interval of single cells {low}–{high}",
    "tooltip_value": "value {value} ({low}–{high})",
    "cell_value": "<b>{value}</b> {unit}",
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
    "table_low": "Low end of the 90 % interval",
    "table_high": "High end",
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
    "about_threatened_share": (
        "Expected species of the categories VU, EN and CR as a share of those assessed LC to CR, in {grain} "
        "around a place; species without assessment count neither way. List: {list}."
    ),
    "about_unassessed_share": (
        "Expected species without a category, or DD, NA or NE, as a share of all, in {grain} around a place: "
        "the higher it is, the less the threatened share says. List: {list}."
    ),
    "about_most_threatened": (
        "Worst Red List category of the species that are possible in a cell: an outer bound, since a "
        "possible species may be absent. Possible: {possible}. List: {list}."
    ),
    "about_most_threatened_certain": (
        "Worst Red List category of the species that are almost certain in a cell: a firm answer, which says "
        "nothing of the others. Certain: {certain}. List: {list}."
    ),
    "about_invasive": (
        "Expected number of invasive alien species of Union concern (Regulation (EU) 1143/2014) in {grain} "
        "around a place, of those this atlas models: others may be there, too."
    ),
    "about_invasive_share": (
        "Expected invasive alien species of Union concern (Regulation (EU) 1143/2014) as a share of all "
        "expected species in {grain} around a place."
    ),
    "about_endemic": (
        "Expected number of endemic species (the sum of their probabilities) in {grain} around a place, of "
        "the {n_species} species of the atlas."
    ),
    "about_protected": (
        "Expected number of species of the Habitats Directive (the sum of their probabilities) in {grain} "
        "around a place, of the {n_species} species of the atlas."
    ),
    "about_weighted_endemism": (
        "Every species counts with its probability divided by its range, the expected number of cells it "
        "holds in the atlas: high where many species of small ranges meet. Ranges end where the atlas ends, "
        "so species at its edge look rarer than they are."
    ),
    "about_applicability": (
        "Inside, a place is as like the training sites as they are to each other, so the scores of the model "
        "hold (area of applicability, Meyer & Pebesma 2021); outside, where the dissimilarity index is above "
        "{threshold}, nobody knows how wrong it is."
    ),
    "about_mess": (
        "Lowest similarity of any predictor to the training sites (MESS, Elith et al. 2010): below 0 one of "
        "them lies beyond the range the model has seen, by as many percent of that range."
    ),
    "about_mess_variable": (
        "The predictor by which a place is least like the training sites: the one that MESS comes from. "
        "Point at a cell to read its name."
    ),
    "about_spread": (
        "How far the members of the ensemble disagree: the standard deviation of their probabilities, summed "
        "over species, as a share of expected richness. All members may be wrong together, so it is the "
        "least the error can be."
    ),
    "about_width": (
        "How wide the interval of “{layer}” is in each cell. {meaning} Where it is wide, the number says "
        "little."
    ),
    "meaning_interval": (
        "The interval should hold the true value in nine of ten cells; its width comes from the model's "
        "errors on held-out surveys"
    ),
    "species_interval": (
        "Its interval should hold the true probability in nine of ten cells, by errors on held-out surveys."
    ),
    "meaning_kept": ", where it held the recorded number of species of {percent} of the sites",
    "grain_unknown": "a hexagon",
    "coarse_note": (
        "The map shows every cell; the pointer, the table and its file give area-weighted means of "
        "hexagons of {area} km²."
    ),
    "coarse_note_most": (
        "The map shows every cell; the pointer, the table and its file give what holds for most of a hexagon "
        "of {area} km²."
    ),
}

#: Layers of Explore: what a button calls them.
LAYERS: dict[str, str] = {
    "species": "Species",
    "richness": "Richness",
    "shannon": "Shannon",
    "simpson": "Simpson",
    "threatened_share": "Threatened share",
    "unassessed_share": "Share not assessed",
    "most_threatened": "Most threatened status",
    "invasive": "Invasive species",
    "invasive_share": "Invasive share",
    "endemic": "Endemic species",
    "protected": "Protected species",
    "weighted_endemism": "Weighted endemism",
    "applicability": "Area of applicability",
    "dissimilarity": "Unlike the training sites",
    "mess": "Beyond the training range",
    "mess_variable": "Most limiting predictor",
    "spread": "Spread of the ensemble",
    "effort": "Sampling effort",
    "information": "Where to look next",
}
#: Groups of layers in the order of the buttons: name, layers.
GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "species": ("Species", ("species",)),
    "diversity": ("Diversity", ("richness", "shannon", "simpson")),
    "concern": (
        "Concern",
        (
            "threatened_share",
            "unassessed_share",
            "most_threatened",
            "invasive",
            "invasive_share",
            "endemic",
            "protected",
            "weighted_endemism",
        ),
    ),
    "trust": (
        "Trust",
        (
            "applicability",
            "dissimilarity",
            "mess",
            "mess_variable",
            "spread",
            "effort",
            "information",
        ),
    ),
}
#: What stands beside the colours of a layer.
LAYER_UNITS: dict[str, str] = {
    "species": "probability of presence",
    "richness": "species expected per cell",
    "shannon": "Shannon index H′ (nats)",
    "simpson": "Gini–Simpson index 1 − D",
    "threatened_share": "threatened share of the assessed species",
    "unassessed_share": "share of the expected species without assessment",
    "most_threatened": "worst category of a possible species",
    "most_threatened_certain": "worst category of an almost certain species",
    "invasive": "species of Union concern expected per cell",
    "invasive_share": "share of invasive species of Union concern",
    "endemic": "endemic species expected per cell",
    "protected": "species of the Habitats Directive expected per cell",
    "weighted_endemism": "weighted endemism Σ p/range (range in cells)",
    "applicability": "what the model has learned from",
    "dissimilarity": "dissimilarity index",
    "mess": "similarity (MESS), %; below 0 beyond the range",
    "mess_variable": "predictor of the lowest similarity",
    "spread": "standard deviation, share of expected richness",
    "effort": "records per 100 km² around a cell",
    "information": "expected information of a visit, 0 to 100",
    "beta_sorensen": "mean Sørensen dissimilarity from other cells",
    "beta_turnover": "mean turnover from other cells",
    "beta_nestedness": "mean nestedness with other cells",
    "lcbd_relative": "share in beta diversity, in mean cells",
}
#: Names of layers that are the second view of another one.
SECOND_VIEWS: dict[str, str] = {"most_threatened_certain": "most_threatened"}
_WIDTH = "_width"


def layer_base(layer: str) -> str:
    """The layer of which this is the second view, or itself."""
    return SECOND_VIEWS.get(layer, layer.removesuffix(_WIDTH))


def layer_name(layer: str) -> str:
    """What a layer is called in a legend."""
    return LAYERS.get(layer) or LAYERS.get(layer_base(layer), layer)


def layer_unit(layer: str) -> str:
    """What stands beside the colours of a layer; of a width, that it is one."""
    if layer in LAYER_UNITS:
        return LAYER_UNITS[layer]
    if layer.endswith(_WIDTH):
        return f"{EXPLORE['legend_width']}, {LAYER_UNITS.get(layer_base(layer), layer)}"
    return layer


#: Layers of the Region map beside `LAYERS`: short name for the button, name for the legend.
CONCERN_LAYERS: dict[str, tuple[str, str]] = {
    "endemic": ("Endemics", "Endemic species"),
    "weighted_endemism": ("Range rarity", "Weighted endemism"),
    "invasive_share": ("Invasive", "Invasive species"),
    "threatened_share": ("Threatened", "Threatened species"),
}
