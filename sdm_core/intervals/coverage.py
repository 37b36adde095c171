"""How often intervals hold what was recorded, on held-out blocks that no part of them has seen."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core import diversity
from sdm_core.errors import FlorascopeError
from sdm_core.intervals.cells import richness_of_a_cell
from sdm_core.intervals.draws import LEVEL, RegionDraws, draw_region, interval_of
from sdm_core.intervals.fitting import fit_error_model
from sdm_core.intervals.latent import ErrorModel, Floats, squares_of
from sdm_core.prediction.code import encode

#: Sites a held-out block needs to be judged as a region.
LEAST_SITES = 10
#: Sites whose number of species is judged, at most; drawn at random.
_MAX_SITES = 2_000
#: Folds needed: one to judge, others to fit on.
_LEAST_FOLDS = 2
#: Share of the species in each random group that stands for a status list.
_GROUPS = (0.05, 0.1, 0.2, 0.4)
_SEED = 20_261_126
#: Index → what it is, for the card.
COVERED_TEXTS: dict[str, str] = {
    "cell_richness": "number of species of a site",
    "mean_richness": "mean number of species of the sites of a block",
    "shannon": "Shannon of a block",
    "simpson": "Gini–Simpson of a block",
    "weighted_endemism": "weighted endemism of a block",
    "group_share": "share of a group of species in a block, for groups drawn at random",
    "species_area": "sites of a species in a block, for species expected at one site or more",
}


def coverage_on_blocks(
    probability: ArrayLike, presence: ArrayLike, lonlat: ArrayLike, folds: ArrayLike, block_deg: float
) -> dict[str, Any] | None:
    """Share of held-out blocks whose records lie inside the interval, index by index.

    Fold by fold, the error model comes from the other folds. The index of a block is worked out from what was
    recorded at its sites; the interval, made as for a region of a map, has the chance of single records added
    (each species' sites are drawn, a binomial number), since records are what it is judged by.

    Args:
        probability: (n_sites, n_species) calibrated on other folds than the site's.
        presence: (n_sites, n_species) 1 recorded, 0 not.
        lonlat: (n_sites, 2) degrees.
        folds: (n_sites,) fold that tested the site, negative for none.
        block_deg: side of the held-out squares; blocks are these.

    Returns:
        `promised`, `n_blocks`, `n_sites`, and per index of `COVERED_TEXTS` the share held; None with fewer
        than two folds, or where no block has `LEAST_SITES` sites.
    """
    p, seen = np.asarray(probability, dtype=np.float64), np.asarray(presence) > 0
    points, fold_of = np.asarray(lonlat, dtype=np.float64), np.asarray(folds)
    known = [fold for fold in np.unique(fold_of) if fold >= 0]
    if len(known) < _LEAST_FOLDS:
        return None
    generator = np.random.default_rng(_SEED)
    groups = [np.asarray(generator.random(p.shape[1]) < share) for share in _GROUPS]
    spread = 1.0 / np.maximum(p[fold_of >= 0].sum(axis=0), 1e-9)
    tally = _Tally()
    n_blocks = 0
    for fold in known:
        others, test = np.flatnonzero((fold_of >= 0) & (fold_of != fold)), np.flatnonzero(fold_of == fold)
        try:
            model = fit_error_model(p[others], seen[others], points[others], block_deg)
        except FlorascopeError:
            return None
        number = squares_of(points[test], block_deg)
        for block in np.flatnonzero(np.bincount(number) >= LEAST_SITES):
            rows = test[number == block]
            _judge_block(tally, p[rows], seen[rows], points[rows], model, groups, spread, generator)
            n_blocks += 1
        judged = generator.permutation(test)[: max(1, _MAX_SITES // len(known))]
        for row, codes in zip(judged, encode(p[judged]), strict=True):
            _, low, high = richness_of_a_cell(codes[None, :], model)
            tally.add("cell_richness", low <= seen[row].sum() <= high)
    if not n_blocks:
        return None
    return {
        "promised": LEVEL,
        "n_blocks": n_blocks,
        "n_sites": tally.count["cell_richness"],
        "block_deg": float(block_deg),
        **tally.shares(),
    }


class _Tally:
    """Counts of what was held."""

    def __init__(self) -> None:
        self.held: dict[str, int] = dict.fromkeys(COVERED_TEXTS, 0)
        self.count: dict[str, int] = dict.fromkeys(COVERED_TEXTS, 0)

    def add(self, name: str, held: ArrayLike) -> None:
        """Count one answer, or several."""
        answers = np.atleast_1d(np.asarray(held, dtype=bool))
        self.held[name] += int(answers.sum())
        self.count[name] += answers.size

    def shares(self) -> dict[str, float]:
        """Share held per index; NaN where nothing was judged."""
        return {
            name: self.held[name] / n if (n := self.count[name]) else float("nan") for name in COVERED_TEXTS
        }


def _judge_block(
    tally: _Tally,
    p: Floats,
    seen: NDArray[np.bool_],
    points: Floats,
    model: ErrorModel,
    groups: list[NDArray[np.bool_]],
    spread: Floats,
    generator: np.random.Generator,
) -> None:
    """Compare what a block's sites hold with its intervals."""
    recorded = seen.sum(axis=0, dtype=np.float64)
    if not recorded.any():
        return
    draws = draw_region(encode(p), np.ones(len(p)), points, model)
    drawn = _with_chance(draws, len(p), generator)

    def judge(name: str, index: Callable[[Floats], Floats]) -> None:
        low, high = interval_of(index(drawn))
        value = float(index(recorded[None, :])[0])
        tally.add(name, low - 1e-9 <= value <= high + 1e-9)

    judge("mean_richness", lambda area: area.sum(axis=1))
    judge("shannon", diversity.shannon)
    judge("simpson", diversity.simpson)
    judge("weighted_endemism", lambda area: area @ spread)
    for group in groups:
        judge("group_share", partial(_share, group=group))
    low, high = np.quantile(drawn, [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0], axis=0)
    expected = p.sum(axis=0) >= 1.0
    if expected.any():
        tally.add("species_area", ((low <= recorded) & (recorded <= high))[expected])


def _with_chance(draws: RegionDraws, n_sites: int, generator: np.random.Generator) -> Floats:
    """Sites with each species (n_draws, n_species), given the drawn probabilities."""
    return generator.binomial(n_sites, np.clip(draws.area / n_sites, 0.0, 1.0)).astype(np.float64)


def _share(area: Floats, group: NDArray[np.bool_]) -> Floats:
    total = area.sum(axis=1)
    return np.divide(area[:, group].sum(axis=1), total, out=np.full(len(area), np.nan), where=total > 0)
