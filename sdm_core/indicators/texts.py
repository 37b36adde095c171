"""What each number is called, in which unit, and what it means: data for pages, reports and translation.

A sentence is a template filled with the indicator's own numbers (`value`, `low`, `high`) and the facts of the
summary (`n_cells`, `n_species`, `region`, `atlas`, `rule`). Nothing here computes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class IndicatorText:
    """Words for one indicator.

    Attributes:
        label: short name for a card or a table row.
        unit: unit of the value, "" for a pure number.
        definition: formula and meaning, one or two sentences.
        sentence: plain-language sentence with the numbers in it.
        digits: decimals shown.
        interval: what low and high mean, "" where there are none.
        unknown: sentence in place of the other one where nothing is known.
    """

    label: str
    unit: str
    definition: str
    sentence: str
    digits: int = 1
    interval: str = ""
    unknown: str = ""


_BETWEEN_CELLS = "lowest and highest value of any cell in the region"
_INDEPENDENT = (
    "species are treated as independent of each other and the model as right, so the true interval is wider"
)

#: What an interval from the errors of the model means.
MODEL_ERRORS = (
    "90 % interval from the errors the model made on blocks it had not seen, which neighbouring cells of a "
    "species have in common and the species of a place partly share"
)
#: The same of an index of evenness.
EVENNESS = (
    f"{MODEL_ERRORS}; expected areas are more even than real ones, so that the value lies high in the "
    "interval or above it"
)
#: The same of a number of species.
COUNT_ERRORS = f"{MODEL_ERRORS}; the chance of each species being there is included"
#: The same of the number of species of one cell.
COUNT_OF_A_SITE = (
    "90 % conformal interval: as far from Σp as the number of species of nine of ten held-out sites was"
)

INDICATOR_TEXTS: dict[str, IndicatorText] = {
    "area_km2": IndicatorText(
        "Area",
        "km²",
        "Geodesic area of the region's outline on the WGS84 ellipsoid.",
        "The region covers {value} km².",
        digits=0,
    ),
    "cell_area_km2": IndicatorText(
        "Area of the cells",
        "km²",
        "Summed area of the atlas cells counted for the region (WGS84), of their parts inside where parts "
        "count; every number below is about these.",
        "The atlas describes it with {n_cells} cells that cover {value} km².",
        digits=0,
    ),
    "alpha_expected": IndicatorText(
        "Expected species per cell (α)",
        "species",
        "Area-weighted mean over cells of Σp, the sum of the calibrated probabilities of all "
        "species; no rule is "
        "needed for it.",
        "A cell of the region is expected to hold {value} species on average{interval}.",
    ),
    "alpha_range": IndicatorText(
        "Expected species of single cells",
        "species",
        "Σp of the cells of the region: area-weighted mean, and the poorest and richest cell.",
        "Single cells are expected to hold from {low} to {high} species.",
        interval=_BETWEEN_CELLS,
    ),
    "alpha_cell_interval": IndicatorText(
        "Species in a cell drawn at random",
        "species",
        "Median of the number of species in one cell drawn from the region by area.",
        "Nine of ten cells are expected to hold between {low} and {high} species.",
        digits=0,
        interval="5 % and 95 % of the Poisson-binomial numbers of the cells; " + _INDEPENDENT,
    ),
    "alpha": IndicatorText(
        "Species per cell by rule (α)",
        "species",
        "Area-weighted mean over cells of the number of species in the cell's set, after the rule has turned "
        "probabilities into presences.",
        "By the rule “{rule}” a cell holds {value} species on average, from {low} to {high} between cells.",
        interval=_BETWEEN_CELLS,
    ),
    "gamma": IndicatorText(
        "Species of the region (γ)",
        "species",
        "Number of species present in at least one cell of the region by the rule; no minimum area "
        "beyond that "
        "one cell. It is never 1 − Π(1 − p): neighbouring cells are not independent trials.",
        "Together its cells hold {value} species by the rule “{rule}”, each in at least one cell.",
        digits=0,
    ),
    "gamma_lower": IndicatorText(
        "Species of the region, lower bound (γ)",
        "species",
        "Σ over species of the highest probability in any cell: the expected number if a species present "
        "anywhere in the region is present in its best cell.",
        "At least {value} species are expected in the region{interval}.",
        interval="90 % of the Poisson-binomial distribution of the highest probabilities; " + _INDEPENDENT,
    ),
    "beta_whittaker": IndicatorText(
        "Whittaker beta (γ/α)",
        "",
        "γ divided by α, both by the same rule: how many times more species the region holds than "
        "its mean cell; "
        "1 when all cells are alike. Rises with the number of cells.",
        "The region holds {value} times as many species as its mean cell.",
        digits=2,
    ),
    "beta_additive": IndicatorText(
        "Additive beta (γ − α)",
        "species",
        "γ minus α, both by the same rule: species of the region that its mean cell lacks.",
        "The mean cell lacks {value} of the region's species.",
    ),
    "shannon": IndicatorText(
        "Shannon index of the region (H′)",
        "nats",
        "−Σ q ln q with q the species' shares of expected occupied area (q ∝ Σ cell area × p). "
        "Occupancy-based: "
        "evenness of predicted area, not of individuals. Natural logarithm.",
        "Shannon diversity of the predicted occupied area is {value} nats{interval}.",
        digits=2,
    ),
    "simpson": IndicatorText(
        "Simpson index of the region (1 − D)",
        "",
        "1 − Σ q² with the same occupancy-based shares: chance that two drawings of occupied area are of "
        "different species.",
        "Two drawings from the predicted occupied area are of different species with a chance of "
        "{value}{interval}.",
        digits=3,
    ),
    "hill_0": IndicatorText(
        "Hill number of order 0",
        "species",
        "Number of species with any predicted probability in the region, however small: an upper "
        "bound of the "
        "species list, not a richness estimate.",
        "{value} species have any probability at all in the region.",
        digits=0,
    ),
    "hill_1": IndicatorText(
        "Hill number of order 1",
        "effective species",
        "exp(H′), occupancy-based: number of equally widespread species with the same Shannon index.",
        "The region is as diverse as one with {value} equally widespread species{interval}.",
    ),
    "hill_2": IndicatorText(
        "Hill number of order 2",
        "effective species",
        "1/Σ q², occupancy-based: effective number of the most widespread species.",
        "Its widespread species count as {value} equally widespread ones{interval}.",
    ),
    "cell_shannon": IndicatorText(
        "Shannon index of a cell",
        "nats",
        "Area-weighted mean over cells of −Σ q ln q with q = p/Σp within the cell.",
        "Within a cell the Shannon index is {value} nats on average, from {low} to {high} between cells.",
        digits=2,
        interval=_BETWEEN_CELLS,
    ),
    "cell_simpson": IndicatorText(
        "Simpson index of a cell",
        "",
        "Area-weighted mean over cells of 1 − Σ q² with q = p/Σp within the cell.",
        "Within a cell the Simpson index is {value} on average, from {low} to {high} between cells.",
        digits=3,
        interval=_BETWEEN_CELLS,
    ),
    "weighted_endemism": IndicatorText(
        "Weighted endemism",
        "ranges",
        "Σ over species of the share of their expected area in the atlas that lies in the region, Σ p/range "
        "(range-size rarity). Ranges outside the atlas are not known. Rises with the area of the region.",
        "The region holds as much of its species' ranges in this atlas as {value} whole ranges{interval}.",
        digits=2,
    ),
    "relative_endemism": IndicatorText(
        "Weighted endemism for its area",
        "",
        "Mean share of the species' ranges that lies in the region, divided by the region's share of the "
        "area of the atlas: 1 where every species is spread evenly, above 1 where the region holds more of "
        "the ranges than its area would.",
        "That is {value} times{interval} what a region of its size holds on average.",
        digits=2,
    ),
    "range_over_1_percent": IndicatorText(
        "Species with more than 1 % of their range here",
        "species",
        "Species with more than 1 % of their expected area in the atlas inside the region.",
        "Of {value} species more than 1 % of the range in this atlas lies in the region.",
        digits=0,
    ),
    "range_over_5_percent": IndicatorText(
        "Species with more than 5 % of their range here",
        "species",
        "Species with more than 5 % of their expected area in the atlas inside the region.",
        "Of {value} species more than 5 % of the range in this atlas lies in the region.",
        digits=0,
    ),
    "invasive_share": IndicatorText(
        "Share of invasive species of Union concern",
        "%",
        "Σp of invasive alien species of Union concern ÷ Σp of all species, area-weighted over the region; "
        "other alien species are not counted.",
        "{value} %{interval} of the expected occurrences are of invasive alien species of Union concern.",
        digits=2,
    ),
}

#: Groups of species by flag: what the flag means, and the words for its numbers.
GROUP_TEXTS: dict[str, IndicatorText] = {
    "endemic": IndicatorText(
        "Endemic species",
        "species",
        "Species the source of the atlas marks as endemic to its area. The expected number of the region is "
        "Σ of their highest probabilities (a lower bound, as for γ).",
        "{value}{interval} of the species expected in the region are endemic{unassessed}.",
        unknown="The sources of this atlas do not say which species are endemic.",
    ),
    "protected": IndicatorText(
        "Habitats Directive species",
        "species",
        "Species listed, as a whole or in part, in the EU Habitats Directive; other international, national "
        "and regional lists are not included. The expected number of the region is Σ of their highest "
        "probabilities (a lower bound, as for γ).",
        "{value}{interval} of the species expected in the region are listed in the EU Habitats Directive.",
        unknown="The species of this atlas have not been matched with the EU Habitats Directive, or none is "
        "listed.",
    ),
    "invasive": IndicatorText(
        "Invasive species of Union concern",
        "species",
        "Species on the EU list of invasive alien species of Union concern; other alien species are not "
        "counted. The expected number of the region is Σ of their highest probabilities (a lower bound, as "
        "for γ).",
        "{value}{interval} of the species expected in the region are invasive alien species of Union "
        "concern.",
        unknown="The species of this atlas have not been matched with the EU list of invasive alien species, "
        "or none is listed.",
    ),
}

#: What each rule does, for the line that says which one made the sets.
RULE_TEXTS: dict[str, str] = {
    "sse": "as many species as expected in each cell (k = round Σp), the most probable first, ties included",
    "threshold": "present where the probability is at least {t}",
    "top_k": "the {k} most probable species of each cell",
    "average_k": "one threshold for the whole atlas, with {k} species per cell on average",
    "max_exp": "the set with the highest expected {score} in each cell",
    "species_threshold": "present from a probability of its own for each species, by held-out surveys: "
    "{criterion}",
    "conformal": "every species that held-out surveys do not exclude (conformal sets{promise})",
}

#: What MaxExp can maximise.
SCORE_TEXTS: dict[str, str] = {
    "f1": "F1 score",
    "jaccard": "Jaccard score",
    "tss": "true skill statistic (TSS)",
    "accuracy": "accuracy",
}

#: Statements that belong beside the numbers of any region.
NOTES: tuple[str, ...] = (
    "All numbers are predictions of the model where it applies, not observations; absence of a species from "
    "the list does not show that it is absent.",
    "Regional Shannon, Simpson and Hill numbers weigh species by predicted occupied area, not by abundance.",
)
#: What intervals hold of an atlas with held-out surveys, and of one without.
WITH_ERRORS = (
    "Intervals hold the errors that held-out surveys could show; what all surveys miss alike is not in them, "
    "and near recorded places, which the shipped model has seen, they are wider than need be."
)
WITHOUT_ERRORS = (
    "Without held-out surveys beside the atlas, intervals take species as independent and the calibrated "
    "probabilities as right, so they are too narrow."
)
