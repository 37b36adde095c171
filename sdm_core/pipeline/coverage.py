"""What intervals and conformal sets keep of their promise, measured on blocks that no part of it has seen."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdm_core import assemblages
from sdm_core.assemblages import ConformalCalibration
from sdm_core.assemblages.conformal import MINIMUM_PRESENCES
from sdm_core.evaluation import CalibrationMethod, Labels, cross_fit, fit_calibration, sigmoid
from sdm_core.evaluation.splits import Split, block_of
from sdm_core.intervals.coverage import COVERED_TEXTS
from sdm_core.losses import UNKNOWN

#: Accepted share of wrong exclusions.
ERROR_RATE = 0.1
#: Folds needed: one to test, and two to calibrate on each other.
_LEAST_FOLDS = 3
#: Half-width of the central 90 % of a normal distribution, in standard deviations.
_NORMAL_90 = 1.6448536

Floats = NDArray[np.float64]

#: What is measured, as the card names it; without a promise where False.
MEASURES: dict[str, tuple[str, bool]] = {
    "conformal_presences": ("presences in the set of possible species", True),
    "shared_presences": ("the same, species too rare for limits of their own", True),
    "possible_recorded": ("possible species that were recorded", False),
    "conformal_absences": ("absences within their limit", True),
    "certain_recorded": ("certain species that were recorded", True),
    "excluded_recorded": ("species beyond the limit for absence that were recorded", False),
    "blocked_presences": ("presences in the possible set, limits that weigh each block alike", True),
    "marginal_labels": ("labels in their set, limits for presence and absence together", True),
    "marginal_presences": ("presences in the possible set of those limits", False),
    "richness_independent": ("number of species, interval of independent species", True),
    "richness_conformal": ("number of species, conformal interval", True),
    "richness_blocked": ("number of species, conformal interval that weighs each block alike", True),
}


@dataclass(frozen=True)
class _Fold:
    """Sites of one fold and what the other folds say of them: probabilities and presences."""

    rows: NDArray[np.int64]
    probability: Floats
    presence: NDArray[np.bool_]
    other_probability: Floats
    other_presence: NDArray[np.bool_]
    other_blocks: NDArray[np.int64] | None


def measurable(presence: Labels, split: Split) -> bool:
    """Whether coverage can be measured: three folds or more, and no label that is not known."""
    labels = presence.data if hasattr(presence, "toarray") else np.asarray(presence)
    return split.n_folds >= _LEAST_FOLDS and not bool(np.any(labels == UNKNOWN))


def coverage_on_held_out(
    logits: np.ndarray,
    presence: Labels,
    split: Split,
    shrinkage: float = 10.0,
    calibration: CalibrationMethod = "platt",
    lonlat: np.ndarray | None = None,
    block_deg: float | None = None,
) -> dict[str, Any] | None:
    """Coverage of conformal sets and of intervals of the number of species, for the model card.

    Fold by fold, the calibration and all limits come from the other folds (their own calibration from each
    other), so nothing is judged on what it was fitted to. Species too rare for limits of their own share
    those of species about as rare.

    Args:
        logits: (n_sites, n_species) by models that had not seen the site; NaN where never tested.
        presence: (n_sites, n_species) 1 recorded, 0 not.
        split: what was held out.
        shrinkage: of the calibration, as everywhere for this atlas.
        calibration: its method.
        lonlat: (n_sites, 2) degrees; with it and `block_deg`, limits that weigh each block alike are judged
            too, and every share is given as the mean of the blocks as well.
        block_deg: side of square blocks in degrees.

    Returns:
        Shares, `table` with a row of each, and `sentences`; None with fewer than three folds or unknown
        labels, where it cannot be measured.
    """
    labels = presence.toarray() if hasattr(presence, "toarray") else np.asarray(presence)
    if not measurable(labels, split):
        return None
    blocks = None
    if lonlat is not None and block_deg is not None:
        blocks = np.unique(block_of(lonlat, block_deg), axis=0, return_inverse=True)[1].ravel()
    kept = {
        name: np.zeros((len(labels), 2)) for name in MEASURES if blocks is not None or not _by_block(name)
    }
    widths = []
    for fold in _folds(logits, labels, split, shrinkage, calibration, blocks):
        widths.append(_judge(fold, kept))
    tested = split.folds >= 0
    shares = {name: _share(counts[tested]) for name, counts in kept.items()}
    table = [
        _row(name, shares[name], counts[tested], None if blocks is None else blocks[tested])
        for name, counts in kept.items()
        if counts[tested][:, 1].any()
    ]
    found = {
        "promised": 1.0 - ERROR_RATE,
        **shares,
        "conformal_labels": _share(kept["conformal_presences"][tested] + kept["conformal_absences"][tested]),
        "richness_conformal_half_width": float(np.mean(widths)),
        "split": split.name,
        "possible_per_site": _per_site(kept["possible_recorded"][tested]),
        "certain_per_site": _per_site(kept["certain_recorded"][tested]),
        "recorded_per_site": _per_site(kept["conformal_presences"][tested]),
        "n_sites": int(tested.sum()),
        "n_blocks": None if blocks is None else len(np.unique(blocks[tested])),
    }
    return {**found, "table": table, "sentences": _sentences(found, table)}


def with_intervals(coverage: dict[str, Any], held: dict[str, Any] | None) -> dict[str, Any]:
    """Coverage with what the intervals of indicators held on blocks (`intervals.coverage_on_blocks`)."""
    if held is None:
        return coverage
    rows = [
        {
            "measure": f"interval_{name}",
            "what": f"interval: {text}",
            "promised": held["promised"],
            "kept": round(held[name], 4),
            "n": held["n_sites"] if name == "cell_richness" else held["n_blocks"],
            "sites": held["n_sites"] if name == "cell_richness" else None,
            "blocks": held["n_blocks"],
        }
        for name, text in COVERED_TEXTS.items()
        if math.isfinite(held[name])
    ]
    kept = [row["kept"] for row in rows]
    said = (
        f"Intervals of indicators, which let errors of species and of places hang together, promise "
        f"{held['promised']:.0%}; on held-out blocks they held {min(kept):.1%} to {max(kept):.1%}, index by "
        "index."
    )
    return {
        **coverage,
        "intervals": held,
        "table": [*coverage["table"], *rows],
        "sentences": [*coverage["sentences"], *([said] if rows else [])],
    }


def _by_block(name: str) -> bool:
    return name in ("blocked_presences", "richness_blocked")


def _folds(
    logits: np.ndarray,
    labels: np.ndarray,
    split: Split,
    shrinkage: float,
    calibration: CalibrationMethod,
    blocks: NDArray[np.int64] | None,
) -> Iterator[_Fold]:
    """Each fold, calibrated by the others."""
    for fold in range(split.n_folds):
        test = split.test_rows(fold)
        others = np.flatnonzero(split.tested & (split.folds != fold))
        fitted = fit_calibration(logits[others], labels[others], shrinkage, calibration)
        crossed = cross_fit(logits[others], labels[others], split.folds[others], shrinkage, calibration)
        yield _Fold(
            test,
            sigmoid(fitted.calibrated_logits(logits[test])),
            labels[test] > 0,
            sigmoid(crossed),
            labels[others] > 0,
            None if blocks is None else blocks[others],
        )


def _judge(fold: _Fold, kept: dict[str, NDArray[np.float64]]) -> float:
    """Count, site by site of a fold, what was kept and of how many; gives the half-width for one site."""
    p, truth = fold.probability, fold.presence
    seen, known = fold.other_probability, fold.other_presence
    rarity = assemblages.rarity_groups(known)

    def count(name: str, good: NDArray[np.bool_], among: NDArray[np.bool_]) -> None:
        kept[name][fold.rows] = np.column_stack([(good & among).sum(axis=1), among.sum(axis=1)])

    def limits(**options: Any) -> ConformalCalibration:
        return assemblages.calibrate_conformal(seen, known, ERROR_RATE, groups=rarity, **options)

    own = limits()
    possible, certain = assemblages.conformal_set(p, own), assemblages.conformal_certain_set(p, own)
    count("conformal_presences", possible, truth)
    count("possible_recorded", truth, possible)
    count("shared_presences", possible, truth & own.pooled)
    count("conformal_absences", p <= own.absence_limit, ~truth)
    count("excluded_recorded", truth, certain)
    certain = certain & (p >= assemblages.calibrate_certain(seen, known, ERROR_RATE))
    count("certain_recorded", truth, certain)
    together = assemblages.calibrate_conformal(seen, known, ERROR_RATE, kind="marginal", minimum_presences=0)
    possible = assemblages.conformal_set(p, together)
    count("marginal_labels", np.where(truth, possible, p <= together.absence_limit), np.full(p.shape, True))
    count("marginal_presences", possible, truth)

    residual = np.abs(truth.sum(axis=1) - p.sum(axis=1, dtype=np.float64))
    spread = _NORMAL_90 * np.sqrt((p * (1.0 - p)).sum(axis=1, dtype=np.float64))
    width = assemblages.calibrate_richness(seen, known, ERROR_RATE)
    each = np.full((len(p), 1), True)
    count("richness_independent", (residual <= spread + 0.5)[:, None], each)
    count("richness_conformal", (residual <= width)[:, None], each)
    if fold.other_blocks is not None:
        count("blocked_presences", assemblages.conformal_set(p, limits(blocks=fold.other_blocks)), truth)
        wide = assemblages.calibrate_richness(seen, known, ERROR_RATE, blocks=fold.other_blocks)
        count("richness_blocked", (residual <= wide)[:, None], each)
    return width


def _share(counts: NDArray[np.float64]) -> float | None:
    """Sum of the first column ÷ sum of the second; None of nothing."""
    good, among = counts.sum(axis=0)
    return float(good / among) if among else None


def _per_site(counts: NDArray[np.float64]) -> float:
    """Mean number, over sites, of what was to be kept."""
    return round(float(counts[:, 1].mean()), 2)


def _row(
    name: str, kept: float | None, counts: NDArray[np.float64], blocks: NDArray[np.int64] | None
) -> dict[str, Any]:
    """One row of the table; the mean of blocks counts those that hold anything to be kept."""
    what, promised = MEASURES[name]
    row: dict[str, Any] = {
        "measure": name,
        "what": what,
        "promised": 1.0 - ERROR_RATE if promised else None,
        "kept": None if kept is None else round(kept, 4),
        "n": int(counts[:, 1].sum()),
        "sites": int(np.count_nonzero(counts[:, 1])),
    }
    if blocks is not None:
        good, among = (np.bincount(blocks, weights=column) for column in counts.T)
        holding = among > 0
        row["mean_of_blocks"] = round(float((good[holding] / among[holding]).mean()), 4)
        row["blocks"] = int(holding.sum())
    return row


def _sentences(found: dict[str, Any], table: list[dict[str, Any]]) -> list[str]:
    promised = f"{found['promised']:.0%}"
    rows = {row["measure"]: row for row in table}
    said = []
    if found["conformal_presences"] is not None:
        said.append(
            f"Conformal sets that promise to keep {promised} of the presences kept "
            f"{found['conformal_presences']:.1%} of them on held-out blocks ({found['split']})."
        )
    blocks = rows.get("conformal_presences", {}).get("mean_of_blocks")
    if blocks is not None and blocks < found["promised"] - 0.01:
        wide = found["blocked_presences"]
        said.append(
            f"Where each block weighs alike it is {blocks:.1%}: the promise is about sites like the surveyed "
            "ones, and blocks with few of them get less of it. Limits made for a new block kept "
            f"{wide:.1%} of all presences, with longer lists; they are not used."
        )
    if found["shared_presences"] is not None and found["shared_presences"] < found["promised"] - 0.01:
        said.append(
            f"Of species recorded fewer than {MINIMUM_PRESENCES} times on the other blocks "
            f"{found['shared_presences']:.1%} of the presences were kept: limits shared with species as rare "
            "do not reach places unlike those they were recorded at."
        )
    said.append(
        f"An interval that takes species as independent and promises {promised} held the number of species "
        f"of {found['richness_independent']:.1%} of the held-out sites; one calibrated on other blocks, ± "
        f"{found['richness_conformal_half_width']:.1f} species, that of {found['richness_conformal']:.1%}."
    )
    said.append(
        f"A held-out site has {found['possible_per_site']:.1f} possible and {found['certain_per_site']:.1f} "
        f"certain species, and {found['recorded_per_site']:.1f} recorded ones"
        + (
            "."
            if found["certain_recorded"] is None
            else f"; of the certain ones {found['certain_recorded']:.1%} were recorded. Beyond the limit for "
            f"absence alone lie more species, of which {found['excluded_recorded']:.1%} were recorded: a "
            "promise about absences says little where most species are absent."
        )
    )
    return said
