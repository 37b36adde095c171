"""Species sets with a stated error rate, calibrated on held-out surveys: split conformal prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core.assemblages.calibration_surveys import checked_surveys
from sdm_core.assemblages.rules import Booleans, probabilities_last
from sdm_core.errors import RuleError

Kind = Literal["class_conditional", "marginal"]
Floats = NDArray[np.float64]

#: Presences below which a species' own quantile cannot reach a 5 % error rate and it shares a pooled one.
MINIMUM_PRESENCES = 20


@dataclass(frozen=True)
class ConformalCalibration:
    """Highest nonconformity still accepted for "present" and for "absent", per species.

    Attributes:
        presence_limit: (n_species); "present" stays possible while 1 − p ≤ limit.
        absence_limit: (n_species); "absent" stays possible while p ≤ limit.
        pooled: (n_species) true where the limits are those of a group of species or of all (too few
            presences or absences of its own).
        error_rate: accepted share of wrong exclusions: per class, or of both together where `kind` is
            "marginal".
        kind: "class_conditional" or "marginal".
    """

    presence_limit: Floats
    absence_limit: Floats
    pooled: Booleans
    error_rate: float
    kind: Kind = "class_conditional"


@dataclass(frozen=True)
class ConformalCoverage:
    """What conformal sets did on other surveys.

    Attributes:
        presences: share of presences whose label set holds "present"; the promise is 1 − error rate.
        absences: share of absences whose label set holds "absent".
        labels: share of all labels that are in their set.
        presences_of_species: (n_species) as `presences`; NaN for species without a presence.
        possible: mean number of species per survey that cannot be excluded.
        certain: mean number of species per survey that cannot be missed.
        observed: mean number of species per survey.
        undecided: share of label sets that hold both labels; empty: share that hold none.
    """

    presences: float
    absences: float
    labels: float
    presences_of_species: Floats
    possible: float
    certain: float
    observed: float
    undecided: float
    empty: float


def calibrate_conformal(
    probability: ArrayLike,
    presence: ArrayLike,
    error_rate: float = 0.1,
    minimum_presences: int = MINIMUM_PRESENCES,
    kind: Kind = "class_conditional",
    groups: ArrayLike | None = None,
    blocks: ArrayLike | None = None,
) -> ConformalCalibration:
    """Limits of conformal sets from held-out surveys.

    Nonconformity is 1 − p of the true label; the limit is the ⌈(n+1)(1 − error_rate)⌉-th smallest of n
    scores, infinite when n is too small for it. "class_conditional" (Mondrian) takes presences and absences
    apart, so presences are missed at the error rate even of rare species; "marginal" takes them together, so
    a rare species may have nearly all its presences missed while the promise holds. (Vovk 2012; for
    distribution models Poisot, doi 10.32942/X2CD1J.)

    The guarantee holds for surveys exchangeable with these, from a model that has not seen them. Surveys near
    each other are not exchangeable with one elsewhere: with `blocks`, each block weighs the same however many
    surveys it has, blocks take the place of surveys in the count, and the promise is about a survey in a new
    block (Lee, Barber & Willett 2023, doi 10.48550/arXiv.2306.06342).

    Args:
        probability: (n_surveys, n_species) in 0…1.
        presence: (n_surveys, n_species) observed 0 or 1.
        error_rate: above 0 and below 1.
        minimum_presences: presences and absences a species needs for limits of its own.
        kind: whose error rate is kept: that of each class, or of both together.
        groups: (n_species) labels, such as families; a species with too few presences takes the limits of its
            group, where that has enough, and those of all species otherwise. None: all are one group.
        blocks: (n_surveys) labels of the spatial block of each survey.

    Raises:
        RuleError: shapes that differ, NaN, values out of range, or no presence at all; an unknown kind.
    """
    p, is_present = checked_surveys(probability, presence)
    _check_error_rate(error_rate)
    if kind not in ("class_conditional", "marginal"):
        raise RuleError(f'The kind is "{kind}", expected "class_conditional" or "marginal".')
    n_surveys, n_species = p.shape
    group_of = _labels(groups, n_species, "groups", "species")
    block_of = _labels(blocks, n_surveys, "blocks", "survey") if blocks is not None else None

    def limits(columns: NDArray[np.int64]) -> tuple[float, float]:
        scores = np.where(is_present[:, columns], 1.0 - p[:, columns], p[:, columns])
        present = is_present[:, columns]
        blocks_of = None if block_of is None else np.broadcast_to(block_of[:, None], present.shape)
        if kind == "marginal":
            both = _limit(scores.ravel(), error_rate, None if blocks_of is None else blocks_of.ravel())
            return both, both
        return (
            _limit(scores[present], error_rate, None if blocks_of is None else blocks_of[present]),
            _limit(scores[~present], error_rate, None if blocks_of is None else blocks_of[~present]),
        )

    n_present = np.count_nonzero(is_present, axis=0)

    def enough(count: NDArray[np.int64], n_scores: int) -> Booleans:
        return (count >= minimum_presences) & (n_scores - count >= minimum_presences)

    presence_limit, absence_limit = (np.full(n_species, limit) for limit in limits(np.arange(n_species)))
    for label in np.unique(group_of) if groups is not None else ():
        members = np.flatnonzero(group_of == label)
        found = limits(members)
        if enough(n_present[members].sum(), is_present[:, members].size) and np.isfinite(found).all():
            presence_limit[members], absence_limit[members] = found
    own = enough(n_present, n_surveys)
    for species in np.flatnonzero(own):
        found = limits(np.array([species]))
        if block_of is not None and not np.isfinite(found).all():
            own[species] = False  # in too few blocks for the error rate
            continue
        presence_limit[species], absence_limit[species] = found
    return ConformalCalibration(presence_limit, absence_limit, ~own, error_rate, kind)


def rarity_groups(presence: ArrayLike, minimum_presences: int = MINIMUM_PRESENCES) -> NDArray[np.int64]:
    """Groups for `calibrate_conformal` in which rare species share limits with species about as rare.

    Args:
        presence: (n_surveys, n_species) observed 0 or 1.
        minimum_presences: as for `calibrate_conformal`.

    Returns:
        (n_species): for species with too few presences the whole part of the binary logarithm of their
        number (0 for none), −1 for the others.

    Raises:
        RuleError: another shape, or a presence other than 0 and 1.
    """
    observed = np.asarray(presence)
    if observed.ndim != 2 or not np.all((observed == 0) | (observed == 1)):
        raise RuleError(
            f"presence has shape {observed.shape}, or a value other than 0 and 1; expected surveys × species."
        )
    n_present = np.count_nonzero(observed, axis=0)
    doublings = np.log2(np.maximum(n_present, 1)).astype(np.int64)
    return np.where(n_present < minimum_presences, doublings, -1)


def _labels(labels: ArrayLike | None, n: int, name: str, each: str) -> NDArray[np.int64]:
    if labels is None:
        return np.zeros(n, dtype=np.int64)
    array = np.asarray(labels)
    if array.shape != (n,):
        raise RuleError(f"{name} has shape {array.shape}, expected one label for each {each} ({n}).")
    return np.unique(array, return_inverse=True)[1]


def _limit(scores: Floats, error_rate: float, blocks: NDArray[np.int64] | None = None) -> float:
    if blocks is None:
        rank = int(np.ceil((scores.size + 1) * (1.0 - error_rate) - 1e-9))
        return float(np.partition(scores, rank - 1)[rank - 1]) if rank <= scores.size else float("inf")
    _, block_of, sizes = np.unique(blocks, return_inverse=True, return_counts=True)
    order = np.argsort(scores, kind="stable")
    # each of n blocks weighs 1/(n + 1), the new one is at infinity
    reached = np.cumsum(1.0 / sizes[block_of[order]]) >= (len(sizes) + 1) * (1.0 - error_rate) - 1e-9
    return float(scores[order][np.argmax(reached)]) if reached.any() else float("inf")


def conformal_set(probability: ArrayLike, calibration: ConformalCalibration) -> Booleans:
    """Possible species: those whose presence cannot be excluded at the calibrated error rate.

    An outer envelope. The count of `conformal_certain_set` to the count of this one is not an interval of the
    number of species at 1 − error_rate: `calibrate_richness` gives that.

    Args:
        probability: (…, n_species) in 0…1; NaN (no prediction) is never in a set.
        calibration: from `calibrate_conformal`, for the same species.

    Returns:
        (…, n_species) booleans.

    Raises:
        RuleError: probabilities outside 0…1, or another number of species.
    """
    array = _matching(probability, calibration)
    return 1.0 - array <= calibration.presence_limit


def conformal_certain_set(probability: ArrayLike, calibration: ConformalCalibration) -> Booleans:
    """Certain species: presence is possible and absence is excluded at the calibrated error rate ({1} only).

    Arguments, result and errors as for `conformal_set`.
    """
    array = _matching(probability, calibration)
    return (1.0 - array <= calibration.presence_limit) & (array > calibration.absence_limit)


def conformal_coverage(
    probability: ArrayLike, presence: ArrayLike, calibration: ConformalCalibration
) -> ConformalCoverage:
    """How often the sets held the truth on surveys that neither the model nor the calibration has seen.

    Args:
        probability: (n_surveys, n_species) in 0…1.
        presence: (n_surveys, n_species) observed 0 or 1.
        calibration: from `calibrate_conformal`, for the same species.

    Raises:
        RuleError: shapes that differ, NaN, values out of range, or no presence at all.
    """
    p, seen = checked_surveys(probability, presence)
    possible = conformal_set(p, calibration)
    excludable = p > calibration.absence_limit
    kept = np.where(seen, possible, ~excludable)
    n_present = np.count_nonzero(seen, axis=0)
    found = np.full(p.shape[1], np.nan)
    np.divide(np.count_nonzero(possible & seen, axis=0), n_present, out=found, where=n_present > 0)
    return ConformalCoverage(
        presences=float(possible[seen].mean()),
        absences=float((~excludable)[~seen].mean()) if not seen.all() else float("nan"),
        labels=float(kept.mean()),
        presences_of_species=found,
        possible=float(possible.sum(axis=1).mean()),
        certain=float((possible & excludable).sum(axis=1).mean()),
        observed=float(seen.sum(axis=1).mean()),
        undecided=float((possible & ~excludable).mean()),
        empty=float((~possible & excludable).mean()),
    )


def calibrate_richness(
    probability: ArrayLike,
    presence: ArrayLike,
    error_rate: float = 0.1,
    blocks: ArrayLike | None = None,
) -> float:
    """Half-width of a conformal interval of the number of species: Σp ± it holds 1 − error_rate of surveys.

    The ranked absolute residual |S − Σp| of held-out surveys, infinite when there are too few. Unlike the
    Poisson-binomial interval it does not take species as independent nor the probabilities as right.

    Args:
        probability: (n_surveys, n_species) in 0…1, from a model that has not seen these surveys.
        presence: (n_surveys, n_species) observed 0 or 1.
        error_rate: above 0 and below 1.
        blocks: as for `calibrate_conformal`.

    Raises:
        RuleError: as for `calibrate_conformal`.
    """
    p, seen = checked_surveys(probability, presence)
    _check_error_rate(error_rate)
    residual = np.abs(seen.sum(axis=1) - p.sum(axis=1))
    return _limit(
        residual, error_rate, None if blocks is None else _labels(blocks, len(p), "blocks", "survey")
    )


def calibrate_certain(probability: ArrayLike, presence: ArrayLike, error_rate: float = 0.1) -> float:
    """Lowest probability from which species called present are right: at most `error_rate` of them absent.

    Limits for absences promise something about absences, and there are so many of those that most species
    beyond the limits may still be absent. This looks at the species that are called present instead: of all
    pairs of survey and species with a probability of at least t, the share without a presence, (absences
    + 1) / (pairs + 1), is at most the error rate; t is the lowest probability of which that is true, infinite
    where it is true of none. Pairs of all species are taken together, as their probabilities are calibrated.
    (Control of the share of false discoveries, on held-out surveys; the formula is ours.)

    Args:
        probability: (n_surveys, n_species) calibrated, in 0…1, from a model that has not seen these surveys.
        presence: (n_surveys, n_species) observed 0 or 1.
        error_rate: above 0 and below 1.

    Raises:
        RuleError: as for `calibrate_conformal`.
    """
    p, seen = checked_surveys(probability, presence)
    _check_error_rate(error_rate)
    order = np.argsort(-p, axis=None, kind="stable")
    falling, absent = p.ravel()[order], np.cumsum(~seen.ravel()[order])
    last = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))  # equal probabilities go together
    right = (absent[last] + 1) / (last + 2) <= error_rate
    return float(falling[last[right][-1]]) if right.any() else float("inf")


def _check_error_rate(error_rate: float) -> None:
    if not 0 < error_rate < 1:
        raise RuleError(
            f"The error rate is {error_rate:g}, expected a share above 0 and below 1 such as 0.1."
        )


def _matching(probability: ArrayLike, calibration: ConformalCalibration) -> Floats:
    array = probabilities_last(probability).astype(np.float64)
    if array.shape[-1] != calibration.presence_limit.size:
        raise RuleError(
            f"probability has {array.shape[-1]} species, the calibration "
            f"{calibration.presence_limit.size}; use the calibration of the same atlas."
        )
    return array
