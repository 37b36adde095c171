"""How well scores rank sites, and how far probabilities can be taken at their word."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sdm_core.errors import TrainingError

#: Species ranked at once; bounds memory to a few arrays of n_sites × this.
_CHUNK = 128


@dataclass(frozen=True)
class RankingScores:
    """Scores per species, each float64 (n_species,); NaN where a species is present at all sites or none.

    `auc`: probability that a random presence is ranked above a random absence, ties half.
    `average_precision`: Σ (recall_n - recall_{n-1}) · precision_n over distinct scores.
    `tss`: largest sensitivity + specificity - 1 over all thresholds.
    """

    auc: np.ndarray
    average_precision: np.ndarray
    tss: np.ndarray


def ranking_scores(presence: np.ndarray, scores: np.ndarray) -> RankingScores:
    """AUC, average precision and TSS of every species from (n_sites, n_species) presences and scores.

    Any monotone score will do (logits, probabilities). Agrees with scikit-learn's `roc_auc_score` and
    `average_precision_score`, ties included.
    Raises `TrainingError` for shapes that differ or scores that are not finite.
    """
    if presence.shape != scores.shape or presence.ndim != 2:
        raise TrainingError(f"Presences of shape {presence.shape} do not fit scores of shape {scores.shape}.")
    if not np.isfinite(scores).all():
        raise TrainingError("Scores must be finite to be ranked; leave out sites without a prediction.")
    n_species = presence.shape[1]
    result = np.full((3, n_species), np.nan)
    for start in range(0, n_species, _CHUNK):
        columns = slice(start, start + _CHUNK)
        result[:, columns] = _rank_columns(presence[:, columns] > 0, scores[:, columns])
    return RankingScores(*result)


def _rank_columns(presence: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """AUC, average precision and TSS (3, n_columns) of one chunk of species."""
    n_sites, n_columns = presence.shape
    if n_sites == 0:
        return np.full((3, n_columns), np.nan)
    order = np.argsort(-scores, axis=0, kind="stable")
    ranked = np.take_along_axis(scores, order, axis=0)
    hits = np.take_along_axis(presence, order, axis=0)
    true_positives = np.cumsum(hits, axis=0, dtype=np.int64)
    false_positives = np.arange(1, n_sites + 1)[:, None] - true_positives
    n_present = true_positives[-1]
    n_absent = n_sites - n_present
    # Ties form one group: every site takes the counts at the end of its group, and at the end of the last.
    last = np.ones((n_sites, n_columns), dtype=bool)
    last[:-1] = ranked[1:] != ranked[:-1]
    rows = np.arange(n_sites)[:, None]
    group_end = np.minimum.accumulate(np.where(last, rows, n_sites)[::-1], axis=0)[::-1]
    tp_end = np.take_along_axis(true_positives, group_end, axis=0)
    fp_end = np.take_along_axis(false_positives, group_end, axis=0)
    first = np.ones((n_sites, n_columns), dtype=bool)
    first[1:] = last[:-1]
    group_start = np.maximum.accumulate(np.where(first, rows, 0), axis=0)
    before = np.maximum(group_start - 1, 0)
    fp_before = np.where(group_start > 0, np.take_along_axis(false_positives, before, axis=0), 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        pairs_lost = (hits * (fp_end + fp_before) / 2.0).sum(axis=0)
        auc = 1.0 - pairs_lost / (n_present * n_absent)
        average_precision = (hits * (tp_end / (tp_end + fp_end))).sum(axis=0) / n_present
        tss = (tp_end / n_present - fp_end / n_absent).max(axis=0)
    scored = (n_present > 0) & (n_absent > 0)
    return np.where(scored, np.stack([auc, average_precision, np.maximum(tss, 0.0)]), np.nan)


def sample_f1(presence: np.ndarray, predicted: np.ndarray) -> float:
    """Mean over sites of the F1 score between recorded and predicted species sets (n_sites, n_species).

    F1 = 2 TP / (2 TP + FP + FN) per site, over sites with at least one recorded species; NaN without any.
    Source: GeoLifeCLEF's score (Ung et al. 2023, equation 3).
    """
    present, chosen = presence > 0, predicted > 0
    n_recorded = present.sum(axis=1)
    hits = (present & chosen).sum(axis=1)
    used = n_recorded > 0
    if not used.any():
        return float("nan")
    return float((2.0 * hits[used] / (n_recorded[used] + chosen.sum(axis=1)[used])).mean())


def reliability_table(presence: np.ndarray, probability: np.ndarray, n_bins: int = 20) -> pd.DataFrame:
    """Predicted against recorded frequency in equal-width bins of probability, all sites and species pooled.

    Columns: lower, upper (bin edges), n (pairs of site and species), mean_probability, recorded_share; empty
    bins are left out.
    """
    bins = np.minimum(
        (np.asarray(probability, dtype=np.float64) * n_bins).astype(np.int64), n_bins - 1
    ).ravel()
    n = np.bincount(bins, minlength=n_bins)
    predicted = np.bincount(bins, np.asarray(probability, dtype=np.float64).ravel(), n_bins)
    recorded = np.bincount(bins, (presence > 0).ravel().astype(np.float64), n_bins)
    edges = np.arange(n_bins + 1) / n_bins
    table = pd.DataFrame(
        {
            "lower": edges[:-1],
            "upper": edges[1:],
            "n": n,
            "mean_probability": predicted / np.maximum(n, 1),
            "recorded_share": recorded / np.maximum(n, 1),
        }
    )
    return table[table["n"] > 0].reset_index(drop=True)


def expected_calibration_error(presence: np.ndarray, probability: np.ndarray, n_bins: int = 20) -> float:
    """Mean absolute gap between predicted and recorded frequency, weighted by the pairs in each bin.

    Σ_bins n_bin / n · |mean probability - recorded share|, pooled over sites and species.
    """
    table = reliability_table(presence, probability, n_bins)
    gaps = (table["mean_probability"] - table["recorded_share"]).abs()
    return float((gaps * table["n"]).sum() / table["n"].sum())


def log_loss(presence: np.ndarray, logits: np.ndarray) -> float:
    """Mean binary cross-entropy over sites and species, in nats."""
    signed = np.where(presence > 0, logits, -logits).astype(np.float64)
    return float(np.logaddexp(0.0, -signed).mean())
