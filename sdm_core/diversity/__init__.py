"""Diversity of a community, of pairs of communities and of a region: one function per index.

- one community (`…, n_species` weights or probabilities): richness in its separate forms, Shannon, Simpson,
  inverse Simpson, Pielou, Hill numbers, weighted endemism;
- two communities: Sørensen and Jaccard dissimilarity, each split into turnover and nestedness. The same
  functions give the abundance analogues (Bray–Curtis, Ružička) when they are handed weights;
- a region (`n_cells, n_species`): alpha, gamma, its lower bound, Whittaker, additive and Jost beta, and
  Baselga's multi-site dissimilarity; all pairs of a stated sample of cells by one matrix product; the mean
  dissimilarity of each cell from others; which cells and species make its beta diversity (LCBD, SCBD); the
  same in coarser cells, weighted by area;
- observed records or plots (`observed_sample`): rarefaction and extrapolation by size and by coverage.

Logarithms are natural. NaN out means "not defined here" (an empty community); NaN in is refused.
"""

from sdm_core.diversity.cell_means import CellMeans, mean_dissimilarity
from sdm_core.diversity.coarser import aggregate_cells
from sdm_core.diversity.community import (
    expected_richness,
    hill,
    inverse_simpson,
    pielou,
    richness,
    richness_interval,
    richness_variance,
    shannon,
    simpson,
    weighted_endemism,
)
from sdm_core.diversity.distinctiveness import (
    BetaContributions,
    beta_contributions,
    beta_contributions_in_parts,
)
from sdm_core.diversity.many_pairs import PairSample, PairTables, all_pairs, pair_sample
from sdm_core.diversity.pairs import (
    jaccard,
    jaccard_nestedness,
    jaccard_turnover,
    sorensen,
    sorensen_nestedness,
    sorensen_turnover,
)
from sdm_core.diversity.rarefaction import (
    ObservedSample,
    RarefactionCurve,
    observed_sample,
    rarefaction_curve,
)
from sdm_core.diversity.region import (
    MultiSiteSample,
    alpha,
    alpha_jost,
    beta_additive,
    beta_jost,
    beta_whittaker,
    gamma,
    gamma_jost,
    gamma_lower,
    multi_site_jaccard,
    multi_site_jaccard_nestedness,
    multi_site_jaccard_turnover,
    multi_site_sample,
    multi_site_sorensen,
    multi_site_sorensen_nestedness,
    multi_site_sorensen_turnover,
)

__all__ = [
    "BetaContributions",
    "CellMeans",
    "MultiSiteSample",
    "ObservedSample",
    "PairSample",
    "PairTables",
    "RarefactionCurve",
    "aggregate_cells",
    "all_pairs",
    "alpha",
    "alpha_jost",
    "beta_additive",
    "beta_contributions",
    "beta_contributions_in_parts",
    "beta_jost",
    "beta_whittaker",
    "expected_richness",
    "gamma",
    "gamma_jost",
    "gamma_lower",
    "hill",
    "inverse_simpson",
    "jaccard",
    "jaccard_nestedness",
    "jaccard_turnover",
    "mean_dissimilarity",
    "multi_site_jaccard",
    "multi_site_jaccard_nestedness",
    "multi_site_jaccard_turnover",
    "multi_site_sample",
    "multi_site_sorensen",
    "multi_site_sorensen_nestedness",
    "multi_site_sorensen_turnover",
    "observed_sample",
    "pair_sample",
    "pielou",
    "rarefaction_curve",
    "richness",
    "richness_interval",
    "richness_variance",
    "shannon",
    "simpson",
    "sorensen",
    "sorensen_nestedness",
    "sorensen_turnover",
    "weighted_endemism",
]
