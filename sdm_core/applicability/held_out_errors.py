"""Does the area of applicability mean anything? Errors of held-out predictions inside and outside it.

Each held-out site has a dissimilarity index to the sites its model was trained on. If the index says how far
to trust a prediction, errors grow with it (Meyer & Pebesma 2021, section 2.5, relate the two likewise).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import spearmanr

from sdm_core.evaluation import Labels
from sdm_core.evaluation.metrics.labels import label_chunks

#: Classes of dissimilarity, of about as many held-out sites each.
N_CLASSES = 5
_N_DRAWS = 1000
_SPECIES_AT_ONCE = 256


@dataclass(frozen=True)
class SiteErrors:
    """How wrong predictions were at each held-out site, all (n_sites,), NaN where nothing is known.

    Attributes:
        log_loss: mean cross-entropy over species, nats.
        frequency_log_loss: the same of knowing only how frequent each species is at these sites.
        f1: of the predicted set; NaN where no species was recorded.
        surplus: expected number of species minus recorded number.
    """

    log_loss: NDArray[np.float64]
    frequency_log_loss: NDArray[np.float64]
    f1: NDArray[np.float64]
    surplus: NDArray[np.float64]

    def take(self, rows: NDArray) -> SiteErrors:
        """Those of some sites."""
        return SiteErrors(
            self.log_loss[rows], self.frequency_log_loss[rows], self.f1[rows], self.surplus[rows]
        )


def site_errors(presence: Labels, logits: NDArray, predicted: NDArray[np.bool_]) -> SiteErrors:
    """Errors of each site from what was recorded, calibrated logits and predicted sets (n_sites, n_species).

    Entries of 255 in `presence` are left out.
    """
    n_sites = len(logits)
    loss, frequency, n_known = np.zeros(n_sites), np.zeros(n_sites), np.zeros(n_sites)
    surplus, right, sizes = np.zeros(n_sites), np.zeros(n_sites), np.zeros((2, n_sites))
    for part, recorded, known in label_chunks(presence, _SPECIES_AT_ONCE):
        here = np.ones(recorded.shape, dtype=bool) if known is None else known
        values = logits[:, part].astype(np.float64)
        n_here = np.maximum(here.sum(axis=0), 1)
        share = (recorded.sum(axis=0) + 0.5) / (n_here + 1.0)
        loss += np.logaddexp(0.0, np.where(recorded, -values, values)).sum(axis=1, where=here)
        frequency -= np.log(np.where(recorded, share, 1.0 - share)).sum(axis=1, where=here)
        surplus += (1.0 / (1.0 + np.exp(-values)) - recorded).sum(axis=1, where=here)
        chosen = predicted[:, part] & here
        right += (chosen & recorded).sum(axis=1)
        sizes += np.stack([chosen.sum(axis=1), recorded.sum(axis=1)])
        n_known += here.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        f1 = np.where(sizes[1] > 0, 2 * right / sizes.sum(axis=0), np.nan)
        return SiteErrors(loss / n_known, frequency / n_known, f1, surplus)


def errors_by_dissimilarity(
    dissimilarity: ArrayLike, threshold: float, errors: SiteErrors, blocks: ArrayLike, seed: int = 0
) -> dict[str, Any]:
    """Errors of held-out sites inside and outside the area of applicability, and by dissimilarity.

    Args:
        dissimilarity: index of each held-out site to the sites its model was trained on (n_sites,).
        threshold: above it a site lies outside.
        errors: of the same sites.
        blocks: spatial block of each site (n_sites,) or (n_sites, n). Intervals of the differences come from
            drawing whole blocks anew, a thousand times, since neighbours err alike.
        seed: of the draws.

    Returns:
        JSON-ready: `inside`, `outside` and `classes` (fifths of the sites, the most alike first), each with
        n_sites, highest dissimilarity and mean errors (None for no sites); `outside_minus_inside` of log
        loss and F1 with 90 % intervals; `rank_correlation` of the index with both (Spearman).
    """
    index = np.asarray(dissimilarity, dtype=np.float64)
    outside = index > threshold
    order = np.argsort(index, kind="stable")
    _, numbers = np.unique(np.asarray(blocks), axis=0, return_inverse=True)
    return {
        "n_sites": len(index),
        "threshold": float(threshold),
        "inside": _row(index, errors, np.flatnonzero(~outside)),
        "outside": _row(index, errors, np.flatnonzero(outside)),
        "classes": [_row(index, errors, part) for part in np.array_split(order, N_CLASSES)],
        "outside_minus_inside": {
            "log_loss": _difference(errors.log_loss, outside, numbers.ravel(), seed),
            "f1": _difference(errors.f1, outside, numbers.ravel(), seed),
        },
        "rank_correlation": {
            "log_loss": _rank_correlation(index, errors.log_loss),
            "f1": _rank_correlation(index, errors.f1),
        },
    }


def _row(index: NDArray, errors: SiteErrors, rows: NDArray) -> dict[str, Any]:
    """Mean errors of some sites."""
    if not len(rows):
        return {"n_sites": 0, "dissimilarity_up_to": None, "log_loss": None, "skill": None, "f1": None,
                "surplus": None}  # fmt: skip
    part = errors.take(rows)
    return {
        "n_sites": len(rows),
        "dissimilarity_up_to": float(index[rows].max()),
        "log_loss": float(part.log_loss.mean()),
        "skill": float(1.0 - part.log_loss.sum() / part.frequency_log_loss.sum()),
        "f1": float(np.nanmean(part.f1)) if np.isfinite(part.f1).any() else None,
        "surplus": float(part.surplus.mean()),
    }


def _difference(values: NDArray, outside: NDArray[np.bool_], blocks: NDArray, seed: int) -> dict[str, Any]:
    """Mean outside minus mean inside, with the 90 % interval of a bootstrap over blocks."""
    known = np.isfinite(values)
    n_blocks = int(blocks.max(initial=-1)) + 1
    groups = [known & ~outside, known & outside]
    if not all(group.any() for group in groups):
        return {"mean": None, "low": None, "high": None}
    sums = np.stack([np.bincount(blocks[g], values[g], n_blocks) for g in groups])
    counts = np.stack([np.bincount(blocks[g], minlength=n_blocks) for g in groups])
    draws = np.random.default_rng(seed).multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), _N_DRAWS)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (draws @ sums.T) / (draws @ counts.T)  # (n_draws, 2)
    low, high = np.nanquantile(means[:, 1] - means[:, 0], [0.05, 0.95])
    mean = sums[1].sum() / counts[1].sum() - sums[0].sum() / counts[0].sum()
    return {"mean": float(mean), "low": float(low), "high": float(high)}


def _rank_correlation(index: NDArray, values: NDArray) -> float | None:
    known = np.isfinite(index) & np.isfinite(values)
    if known.sum() < 3 or not np.ptp(index[known]) or not np.ptp(values[known]):
        return None
    return float(spearmanr(index[known], values[known])[0])


def table_lines(checks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Checks by name as lines of a table for a terminal."""
    lines = [f"{'':34} {'sites':>6} {'DI up to':>9} {'log loss':>9} {'skill':>6} {'F1':>6} {'surplus':>8}"]
    for name, check in checks.items():
        gap, ranks = check["outside_minus_inside"], check["rank_correlation"]
        lines.append(
            f"{name}; rank correlation of DI with log loss {_number(ranks['log_loss'], 3)}, "
            f"with F1 {_number(ranks['f1'], 3)}"
        )
        rows = {"inside the area of applicability": check["inside"], "outside": check["outside"]}
        rows |= {f"fifth {number} by dissimilarity": row for number, row in enumerate(check["classes"], 1)}
        lines += [
            f"  {label:32} {row['n_sites']:6d} {_number(row['dissimilarity_up_to'], 3):>9} "
            f"{_number(row['log_loss'], 4):>9} {_number(row['skill'], 3):>6} {_number(row['f1'], 3):>6} "
            f"{_number(row['surplus'], 2):>8}"
            for label, row in rows.items()
        ]
        lines += [
            f"  outside minus inside, {label}: {_number(gap[key]['mean'], 4)} (90 % interval "
            f"{_number(gap[key]['low'], 4)} to {_number(gap[key]['high'], 4)})"
            for key, label in (("log_loss", "log loss"), ("f1", "F1"))
        ]
    return lines


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
